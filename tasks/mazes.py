"""Mazes with one shortest path (Schwarzschild et al. 2021, "Thinking Deeply with Recurrence")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import repeat
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec, is_whole
from tasks.maze_files import MazeFiles, write_easy_to_hard, write_pixel_grids
from tasks.maze_grid import Law, count_problems, draw_problem, empty_grid, search
from tasks.mixing import Mixture
from tasks.published import only_for_made
from tasks.sampling import SPLIT_NUMBER, below, stream, stream_key


class Pictures(NamedTuple):
    """Mazes as drawn: inputs float32 [n, 3, h, w], targets int64 [n, h, w] and mask bool [n, h, w],
    zero where nothing is drawn. Cells and walls are squares of `scale` pixels, behind `pad` black
    ones (where the maze sits in its place)."""

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
def _square(pictures, row, place, r, c, on_path, colour):
    """Paint a passage at (r, c) of the maze, 0 white, 1 green or 2 red; place: of its corner."""
    inputs, targets, mask, scale, _ = pictures
    top, left = place
    for y in range(top + r * scale, top + (r + 1) * scale):
        for x in range(left + c * scale, left + (c + 1) * scale):
            mask[row, y, x] = True
            targets[row, y, x] = on_path
            inputs[row, 0, y, x] = 1.0 if colour == 0 or colour == 2 else 0.0
            inputs[row, 1, y, x] = 1.0 if colour == 0 or colour == 1 else 0.0
            inputs[row, 2, y, x] = 1.0 if colour == 0 else 0.0


@njit
def _paint(pictures, row, place, grid, start, end):
    """Paint a maze whose tree of shortest paths is rooted at the start, its corner at `place`."""
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
            _square(pictures, row, place, r, c, on_path[cell], colour)
            # A passage is on the path where both its cells are: any other that joined two cells of
            # a shortest path would make it shorter.
            if grid.right[cell]:
                _square(pictures, row, place, r, c + 1, on_path[cell] & on_path[cell + 1], 0)
            if grid.down[cell]:
                _square(pictures, row, place, r + 1, c, on_path[cell] & on_path[cell + cells], 0)
            if grid.room[cell]:
                _square(pictures, row, place, r + 1, c + 1, 0, 0)


@njit(nogil=True, cache=True)
def _fill(indices, key, wanted_split, law, offset, grid, pictures):
    """Draw problems into zeroed pictures, `offset` pixels off their place; see `draw_problem`."""
    for row in range(len(indices)):
        state = stream(key, indices[row])
        start, end = draw_problem(grid, state, wanted_split, law)
        top = left = pictures.pad
        if offset > 0:
            side = below(state, 4)
            top += offset * (side == 1) - offset * (side == 0)
            left += offset * (side == 3) - offset * (side == 2)
        _paint(pictures, row, (top, left), grid, start, end)


@njit(nogil=True, cache=True)
def _move(indices, key, moves_start, grid, old, new):
    """Draw mazes number `indices` again into zeroed pictures, an end point in another cell."""
    cells, scale, width = grid.cells, old.scale, old.mask.shape[2]
    for row in range(len(indices)):
        start = end = first = -1
        while first < 0 or not old.mask[row, first // width, first % width]:
            first += 1  # to the corner of the first cell, which is open
        place = first // width - scale, first % width - scale
        for i in range(cells):
            for j in range(cells):
                cell = cells * i + j
                y, x = place[0] + (2 * i + 1) * scale, place[1] + (2 * j + 1) * scale
                # Walls around the whole may lie outside the picture.
                more_right, more_down = j < cells - 1, i < cells - 1
                grid.right[cell] = more_right and old.mask[row, y, x + scale]
                grid.down[cell] = more_down and old.mask[row, y + scale, x]
                both = more_right and more_down
                grid.room[cell] = both and old.mask[row, y + scale, x + scale]
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
        _paint(new, row, place, grid, start, end)


_WAYS = {"carved": 0, "dead_end": 1, "open": 2}
_CARVED = Law(0.0, 0.0, _WAYS["carved"], False)
_COUNTED = 4  # grids up to this many cells a side are small enough to count their problems


def _check_drawing(drawing: str, canvas: int | None, border: int, offset: int) -> None:
    """ValueError for a frame or a way of drawing that makes no sense."""
    if drawing not in ("cells", "published"):
        raise unknown_name("maze drawing", drawing, ("cells", "published"))
    if not is_whole(border) or not 0 <= border <= 1000:
        raise ValueError(f"maze border must be a number of cells from 0 to 1000, not {border!r}")
    if not is_whole(offset) or not 0 <= offset <= border + 1:
        raise ValueError(
            "maze offset must be a number of cells from 0 to one more than the border, or the"
            f" maze leaves its frame, not {offset!r}"
        )
    if canvas is not None and (not isinstance(canvas, int) or canvas < 1):
        raise ValueError(f"maze canvas must be a positive number of pixels, not {canvas!r}")


def _check_law(loops: float, start: str, rooms: float, ties: str) -> None:
    """ValueError for a way of making mazes that makes no sense."""
    if start not in _WAYS:
        raise unknown_name("maze start", start, _WAYS)
    if ties not in ("accepted", "redrawn"):
        raise unknown_name("maze ties", ties, ("accepted", "redrawn"))
    for name, chance in (("loops", loops), ("rooms", rooms)):
        number = isinstance(chance, (int, float)) and not isinstance(chance, bool)
        if not number or not 0 <= chance <= 1:
            raise ValueError(f"maze {name} must be a chance from 0 to 1, not {chance!r}")


class Maze(Task):
    """Mark the shortest path through a maze from start to end.

    The difficulty is the odd size n of the papers; the maze has c = (n + 1) / 2 cells a side.
    Inputs: float32 [N, 3, H, H], walls black, passages white, start green, end red. Targets: 1 on
    the path, both ends included. Mask: the passages.

    drawing: "cells", one pixel a cell and wall, H = 2c + 1; or "published", every pixel doubled and
    one black pixel around all, H = 2(2c + 1) + 2. canvas: pad with black to at least this many
    pixels a side (the published networks that read several sizes use 32), or None.

    loops: the chance of each remaining wall between two cells to be opened, so that several paths
    lead to the end. rooms: the chance of each post, where four cells meet, to be taken away with
    the four walls that meet there. ties: with loops or rooms several shortest paths may lead to the
    end; "accepted": the target is one of them, and an answer that marks any other is right too;
    "redrawn": the end is drawn again until there is only one. start: "carved", where carving began,
    as published: always a dead end, for a grid without one cell is in one piece, which carving
    fills before it comes back; any "dead_end"; or a cell with more ways out ("open"). With these,
    "learned an algorithm" can be doubted as Knutson et al. do (arXiv 2410.03020).

    border: as many black cells more on every side of the frame. offset: the maze sits as many cells
    off its place, to a side drawn by the problem's number. At offset 1 without a border there is no
    wall on that side and two on the other.

    mix: names of `axes` joined by "+", or "all" that can be mixed: each problem is of one of them,
    drawn by its number with equal chance. Only axes of one frame can be mixed, and no other option
    but drawing and canvas may be given.

    data_dir: a folder of published mazes to use in place of made ones (see `tasks.maze_files`),
    train and test problems as published. They are drawn as `drawing`, `canvas` and `border` say,
    whichever way the files have them; no other option may be given.

    The end cell is drawn until the problem's hash falls into the split asked for, so that no
    problem is in two splits. Problems repeat as draws do (at size 9 under 0.5 % of 50,000).
    """

    title = "mazes"
    perturbations = {"start": "the start is in another cell", "end": "the end is in another cell"}
    layouts = {"easy_to_hard": write_easy_to_hard, "maze_dataset": write_pixel_grids}
    presets = {
        "smoke": {"train_difficulty": 9, "test_difficulties": (9, 13)},
        "quick": {
            "train_difficulty": 9,
            "test_difficulties": (9, 13, 21),
            # Smoothed labels keep the gradient alive once size 9 is solved, which is what larger
            # mazes need. Small batches at twice the usual rate: docs/recipes.md.
            "train": {
                "label_smoothing": 0.3,
                "batch_size": 16,
                "learning_rate": 2e-3,
                "steps": 1500,
            },
            "evaluation": {"samples": 500},
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
        rooms: float = 0.0,
        ties: str = "accepted",
        border: int = 0,
        offset: int = 0,
        mix: str = "",
        data_dir: str | None = None,
    ) -> None:
        _check_drawing(drawing, canvas, border, offset)
        _check_law(loops, start, rooms, ties)
        self.drawing = drawing
        self.canvas = canvas
        self.border = int(border)
        self.offset = int(offset)
        self.law = Law(float(loops), float(rooms), _WAYS[start], ties == "redrawn")
        self.scale = 1 if drawing == "cells" else 2
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
        self._mixture = Mixture(type(self), self.axes() if mix else {}, mix)
        made = {
            "loops": loops != 0,
            "rooms": rooms != 0,
            "start": start != "carved",
            "ties": ties != "accepted",
            "offset": offset != 0,
            "mix": bool(mix),
        }
        self._files = None if data_dir is None else MazeFiles(data_dir, self.scale, self.side)
        if self._files:
            only_for_made("maze", made)
        if mix and (border or any(made[name] for name in made if name != "mix")):
            raise ValueError(
                "maze mix names the axes itself: leave out loops, rooms, start and such"
            )

    def axes(self) -> dict[str, dict[str, Any]]:
        drawn: dict[str, Any] = {}
        if self.drawing != "cells":
            drawn["drawing"] = self.drawing
        if self.canvas is not None:
            drawn["canvas"] = self.canvas
        other = "published" if self.drawing == "cells" else "cells"
        changes: dict[str, dict[str, Any]] = {
            "plain": {},
            "loops": {"loops": 0.1, "ties": "redrawn"},
            "rooms": {"rooms": 0.1, "ties": "redrawn"},
            "start": {"start": "open"},
            "offset": {"offset": 1},
            "border": {"border": 1},
            "drawing": {"drawing": other},
        }
        return {name: drawn | change for name, change in changes.items()}

    def check_difficulty(self, difficulty: Difficulty) -> None:
        if not is_whole(difficulty) or difficulty % 2 == 0 or not 5 <= difficulty <= 20001:
            raise ValueError(
                "maze size must be an odd integer from 5 to 20001 (9, 11, 13, ...), not"
                f" {difficulty!r}"
            )
        if self._files:
            self._files.check(difficulty)

    def side(self, difficulty: int) -> int:
        """Pixels a side of the picture of a maze of that size."""
        lattice = difficulty + 2 + 2 * self.border
        return max(lattice if self.scale == 1 else 2 * lattice + 2, self.canvas or 0)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        if self._files:
            return self._files.capacity(difficulty, split)
        cells = (int(difficulty) + 1) // 2
        if self._mixture or self.law != _CARVED:
            return None
        return count_problems(cells)[SPLIT_NUMBER[split]] if cells <= _COUNTED else None

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        size, count = int(difficulty), len(indices)
        if self._files:
            return self._files.make(size, indices, seed, split)
        if self._mixture:
            return self._mixture.make(size, indices, seed, split)
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
            self.law,
            self.scale * self.offset,
            empty_grid((size + 1) // 2),
            _pictures(batch, self.scale, (side - self.scale * (size + 2)) // 2),
        )
        return batch

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """bool [n]: every pixel is right; with loops or rooms, those marked are any shortest
        path."""
        if not (self._files or self._mixture or self.law.loops or self.law.rooms):
            return super().correct(logits, batch)
        answer = self.predict(logits, batch)
        # Doubled pixels: every other one, if it is like its three neighbours.
        side, scale = answer.shape[-1], self.scale
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
        cells = ((int(inked[-1] - inked[0]) + 1) // self.scale + 1) // 2
        new = Batch(*(torch.zeros_like(part, device="cpu") for part in vars(batch).values()))
        _move(
            np.asarray(indices, dtype=np.int64),
            stream_key("maze moved", seed, "test", 0),
            name == "start",
            empty_grid(cells),
            *(_pictures(drawn, self.scale, 0) for drawn in (batch, new)),
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
