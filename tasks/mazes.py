"""Mazes with one shortest path (Schwarzschild et al. 2021, "Thinking Deeply with Recurrence")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from einops import repeat
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec, is_whole
from tasks.maze_grid import count_problems, draw_problem, empty_grid, search
from tasks.sampling import SPLIT_NUMBER, below, stream, stream_key


class Pictures(NamedTuple):
    """Mazes as drawn: inputs float32 [n, 3, h, w], targets int64 [n, h, w] and mask bool [n, h, w],
    zero where nothing is drawn. Cells and walls are squares of `scale` pixels, behind `pad` black
    ones."""

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray
    scale: int
    pad: int


def _pictures(batch: Batch, scale: int, pad: int) -> Pictures:
    assert batch.mask is not None
    inputs, targets, mask = (p.cpu().numpy() for p in (batch.inputs, batch.targets, batch.mask))
    return Pictures(inputs, targets, mask, scale, pad)


@njit(inline="always")
def _square(pictures, row, r, c, on_path, colour):
    """Paint a passage at (r, c) of the maze, 0 white, 1 green or 2 red."""
    inputs, targets, mask, scale, pad = pictures
    for y in range(pad + r * scale, pad + (r + 1) * scale):
        for x in range(pad + c * scale, pad + (c + 1) * scale):
            mask[row, y, x] = True
            targets[row, y, x] = on_path
            inputs[row, 0, y, x] = 1.0 if colour == 0 or colour == 2 else 0.0
            inputs[row, 1, y, x] = 1.0 if colour == 0 or colour == 1 else 0.0
            inputs[row, 2, y, x] = 1.0 if colour == 0 else 0.0


@njit
def _paint(pictures, row, grid, start, end):
    """Paint a maze whose tree of shortest paths is rooted at the start."""
    cells, parent = grid.cells, grid.parent
    on_path = np.zeros(cells * cells, np.uint8)
    cell = end
    on_path[cell] = 1
    while cell != start:
        cell = np.int64(parent[cell])
        on_path[cell] = 1
    for i in range(cells):
        for j in range(cells):
            cell, r, c = cells * i + j, 2 * i + 1, 2 * j + 1
            colour = 1 if cell == start else (2 if cell == end else 0)
            _square(pictures, row, r, c, on_path[cell], colour)
            # A passage is on the path where both its cells are: any other that joined two cells of
            # a shortest path would make it shorter.
            if grid.right[cell]:
                _square(pictures, row, r, c + 1, on_path[cell] & on_path[cell + 1], 0)
            if grid.down[cell]:
                _square(pictures, row, r + 1, c, on_path[cell] & on_path[cell + cells], 0)


@njit(nogil=True, cache=True)
def _fill(indices, key, wanted_split, chance, ways, grid, pictures):
    """Draw problems into zeroed pictures; see `draw_problem`."""
    for row in range(len(indices)):
        state = stream(key, indices[row])
        start, end = draw_problem(grid, state, wanted_split, chance, ways)
        _paint(pictures, row, grid, start, end)


@njit(nogil=True, cache=True)
def _move(indices, key, moves_start, grid, old, new):
    """Draw mazes number `indices` again into zeroed pictures, an end point in another cell."""
    cells = grid.cells
    for row in range(len(indices)):
        start = end = -1
        for i in range(cells):
            for j in range(cells):
                cell = cells * i + j
                y, x = old.pad + (2 * i + 1) * old.scale, old.pad + (2 * j + 1) * old.scale
                grid.right[cell] = old.mask[row, y, x + old.scale]
                grid.down[cell] = old.mask[row, y + old.scale, x]
                if old.inputs[row, 0, y, x] < 0.5:
                    start = cell
                elif old.inputs[row, 1, y, x] < 0.5:
                    end = cell
        fresh = below(stream(key, indices[row]), cells * cells - 2)
        fresh += fresh >= min(start, end)
        fresh += fresh >= max(start, end)
        if moves_start:
            start = fresh
        else:
            end = fresh
        search(grid, start)
        _paint(new, row, grid, start, end)


_WAYS = {"carved": 0, "dead_end": 1, "open": 2}
_COUNTED = 4  # grids up to this many cells a side are small enough to count their problems


class Maze(Task):
    """Mark the shortest path through a maze from start to end.

    The difficulty is the odd size n of the papers; the maze has c = (n + 1) / 2 cells a side.
    Inputs: float32 [N, 3, H, H], walls black, passages white, start green, end red. Targets: 1 on
    the path, both ends included. Mask: the passages.

    drawing: "cells", one pixel a cell and wall, H = 2c + 1; or "published", every pixel doubled and
    padded by 3 black pixels in all, H = 2(2c + 1) + 2. canvas: pad with black to at least this many
    pixels a side (the published networks that read several sizes use 32), or None.

    loops: the chance of each remaining wall between two cells to be opened, so that several paths
    lead to the end. The target is a shortest one; an answer that marks any other of the same length
    is right too. start: "carved", where carving began, as published: always a dead end, for a grid
    without one cell is in one piece, which carving fills before it comes back; any "dead_end"; or a
    cell with more ways out ("open"). With both, "learned an algorithm" can be doubted as Knutson et
    al. do (arXiv 2410.03020).

    The end cell is drawn until the problem's hash falls into the split asked for, so that no
    problem is in two splits. Problems repeat as draws do (at size 9 under 0.5 % of 50,000).
    """

    perturbations = {"start": "the start is in another cell", "end": "the end is in another cell"}
    presets = {
        "smoke": {"train_difficulty": 9, "test_difficulties": (9, 13)},
        "quick": {
            "train_difficulty": 9,
            "test_difficulties": (9, 13, 21),
            # Smoothed labels keep the gradient alive once size 9 is solved, which is what larger
            # mazes need.
            "train": {"label_smoothing": 0.3, "steps": 1500},
        },
        "paper": {
            "options": {"drawing": "published"},
            "train_difficulty": 9,
            "test_difficulties": (9, 11, 13, 15, 21, 29, 59),
            "train": {"alpha": 0.01, "recurrent_lr_scale": 1 / 30},
        },
    }

    def __init__(
        self,
        drawing: str = "cells",
        canvas: int | None = None,
        loops: float = 0.0,
        start: str = "carved",
    ) -> None:
        if drawing not in ("cells", "published"):
            raise unknown_name("maze drawing", drawing, ("cells", "published"))
        if start not in _WAYS:
            raise unknown_name("maze start", start, _WAYS)
        if isinstance(loops, bool) or not isinstance(loops, (int, float)) or not 0 <= loops <= 1:
            raise ValueError(f"maze loops must be a chance from 0 to 1, not {loops!r}")
        if canvas is not None and (not isinstance(canvas, int) or canvas < 1):
            raise ValueError(f"maze canvas must be a positive number of pixels, not {canvas!r}")
        self.drawing = drawing
        self.canvas = canvas
        self.loops = float(loops)
        self.start = start
        self._scale = 1 if drawing == "cells" else 2
        self.spec = TaskSpec(
            name="maze",
            in_channels=3,
            spatial_dims=2,
            dense=True,
            outputs=2,
            difficulties=(9, 11, 13, 15, 17, 19, 21, 25, 29, 33, 45, 59, 101, 201, 801),
            train_difficulty=9,
            difficulty_label="size",
        )

    def check_difficulty(self, difficulty: Difficulty) -> None:
        if not is_whole(difficulty) or difficulty % 2 == 0 or not 5 <= difficulty <= 20001:
            raise ValueError(
                "maze size must be an odd integer from 5 to 20001 (9, 11, 13, ...), not"
                f" {difficulty!r}"
            )

    def side(self, difficulty: int) -> int:
        """Pixels a side of the picture of a maze of that size."""
        lattice = difficulty + 2
        return max(lattice if self._scale == 1 else 2 * lattice + 2, self.canvas or 0)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        cells = (int(difficulty) + 1) // 2
        if self.loops or self.start != "carved":
            return None
        return count_problems(cells)[SPLIT_NUMBER[split]] if cells <= _COUNTED else None

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        size, count = int(difficulty), len(indices)
        side = self.side(size)
        batch = Batch(
            torch.zeros(count, 3, side, side),
            torch.zeros(count, side, side, dtype=torch.int64),
            torch.zeros(count, side, side, dtype=torch.bool),
        )
        _fill(
            indices,
            stream_key("maze", seed, split, size),
            SPLIT_NUMBER[split],
            self.loops,
            _WAYS[self.start],
            empty_grid((size + 1) // 2),
            _pictures(batch, self._scale, (side - self._scale * (size + 2)) // 2),
        )
        return batch

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """bool [n]: every pixel is right; with loops, the pixels marked are any shortest path."""
        if not self.loops:
            return super().correct(logits, batch)
        answer = self.predict(logits, batch)
        # Doubled pixels: every other one, if it is like its three neighbours.
        side, scale = answer.shape[-1], self._scale
        first = (side // 2 + 1) % 2 if scale == 2 else 0
        last = side - first
        coarse = slice(first, last, scale)
        small = Batch(
            batch.inputs[:, :, coarse, coarse], batch.targets[:, coarse, coarse], batch.mask
        )
        found = answer[:, coarse, coarse]
        whole = repeat(found, "n h w -> n (h a) (w b)", a=scale, b=scale)
        inside, cut = answer[:, first:last, first:last], slice(last - first)
        same = (inside == whole[:, cut, cut]).flatten(1).all(1)
        return super().correct(logits, batch) | (same & _shortest_path(found, small))

    def perturb(
        self, batch: Batch, indices: Sequence[int] | np.ndarray, seed: int, name: str
    ) -> Batch:
        """The same mazes with their start or end (name) in another cell, uniform among these."""
        if name not in self.perturbations:
            return super().perturb(batch, indices, seed, name)
        if len(indices) != len(batch):
            raise ValueError(f"{len(batch)} mazes need as many numbers, not {len(indices)}")
        assert batch.mask is not None
        inked = batch.mask[0].any(0).nonzero()  # the columns of the first maze that have passages
        first, last = int(inked[0]), int(inked[-1])
        cells = ((last + 1 - first) // self._scale + 1) // 2
        new = Batch(*(torch.zeros_like(part, device="cpu") for part in vars(batch).values()))
        _move(
            np.asarray(indices, dtype=np.int64),
            stream_key("maze moved", seed, "test", 0),
            name == "start",
            empty_grid(cells),
            *(_pictures(drawn, self._scale, first - self._scale) for drawn in (batch, new)),
        )
        return new.to(batch.inputs.device)

    def picture(self, inputs: Tensor) -> Tensor:
        return inputs


def _shortest_path(marked: Tensor, batch: Batch) -> Tensor:
    """bool [n]: the marked pixels (int64 [n, h, w], passages only) join start and end, as few as
    possible.

    As many as the target's, both ends among them with one marked neighbour each and all others with
    two: that is a path between the ends and perhaps rings beside it, for which nothing is left.
    """
    start = (batch.inputs[:, 1] > 0.5) & (batch.inputs[:, 0] < 0.5)
    end = (batch.inputs[:, 0] > 0.5) & (batch.inputs[:, 1] < 0.5)
    ends = (start | end).long()
    framed = torch.nn.functional.pad(marked, (1, 1, 1, 1))
    neighbours = (
        framed[:, :-2, 1:-1] + framed[:, 2:, 1:-1] + framed[:, 1:-1, :-2] + framed[:, 1:-1, 2:]
    )
    fits = (marked == 0) | (neighbours == 2 - ends)
    as_many = marked.flatten(1).sum(1) == batch.targets.flatten(1).sum(1)
    with_ends = ((marked * ends).flatten(1).sum(1)) == 2
    return fits.flatten(1).all(1) & as_many & with_ends
