"""Mazes with one shortest path (Schwarzschild et al. 2021, "Thinking Deeply with Recurrence")."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.sampling import below, mix, next_u64, stream, stream_key, uniform

_TEN = np.uint64(10)
_TRIES = 40  # draws of an end cell before the maze is carved anew


@njit(inline="always")
def _edge_hash(a, b):
    """Hash of the passage between cells a and b; a maze's is the sum, whatever the order of
    carving."""
    low, high = min(a, b), max(a, b)
    return mix(np.uint64(low) * np.uint64(0x100000001B3) + np.uint64(high) + np.uint64(1))


@njit
def split_of(tree_hash, start, end):
    """1 train, 2 validation, 3 test: the hash of the problem itself decides, 80 : 10 : 10."""
    bucket = mix(tree_hash ^ mix((np.uint64(start) << np.uint64(32)) + np.uint64(end))) % _TEN
    if bucket == 0:
        return 2
    return 3 if bucket == 1 else 1


@njit(inline="always")
def _carve(cells, state, parent):
    """Carve a random spanning tree of the cells x cells grid by depth-first search with
    backtracking.

    Fills `parent` (int32 [cells * cells]; the root has its own number) and returns (root, hash).
    """
    total = cells * cells
    for i in range(total):
        parent[i] = -1
    root = below(state, total)
    parent[root] = root
    here = root
    left = total - 1
    tree_hash = np.uint64(0)
    bits = next_u64(state)
    used = 0
    ways = np.empty(4, np.int64)
    while left > 0:
        column = here % cells
        n = 0
        if here >= cells and parent[here - cells] < 0:
            ways[n] = here - cells
            n += 1
        if here < total - cells and parent[here + cells] < 0:
            ways[n] = here + cells
            n += 1
        if column > 0 and parent[here - 1] < 0:
            ways[n] = here - 1
            n += 1
        if column < cells - 1 and parent[here + 1] < 0:
            ways[n] = here + 1
            n += 1
        if n == 0:
            here = parent[here]  # the tree is its own stack
            continue
        pick = 0
        if n > 1:
            # 16 bits a choice, four choices a draw: uniform to within 1 / 65,536.
            if used == 4:
                bits = next_u64(state)
                used = 0
            pick = np.int64(((bits & np.uint64(0xFFFF)) * np.uint64(n)) >> np.uint64(16))
            bits >>= np.uint64(16)
            used += 1
        onward = ways[pick]
        tree_hash += _edge_hash(here, onward)
        parent[onward] = here
        here = onward
        left -= 1
    return root, tree_hash


@njit
def _open_walls(cells, state, parent, chance, right, down):
    """Open each wall between two cells with that chance. right, down: uint8 [cells * cells],
    whether there is a passage from a cell to the next in its row, or column, tree included. Returns
    the hash of the new ones."""
    total = cells * cells
    right[:] = 0
    down[:] = 0
    for cell in range(total):
        above = parent[cell]
        if above != cell:
            low = min(cell, above)
            if abs(cell - above) == 1:
                right[low] = 1
            else:
                down[low] = 1
    added = np.uint64(0)
    for cell in range(total):
        if (cell + 1) % cells > 0 and right[cell] == 0 and uniform(state) < chance:
            right[cell] = 1
            added += _edge_hash(cell, cell + 1)
        if cell < total - cells and down[cell] == 0 and uniform(state) < chance:
            down[cell] = 1
            added += _edge_hash(cell, cell + cells)
    return added


@njit
def _search(cells, root, right, down, parent, queue):
    """Breadth-first search from the root: `parent` becomes the tree of its shortest paths."""
    total = cells * cells
    parent[:] = -1
    parent[root] = root
    queue[0] = root
    first, last = 0, 1
    while first < last:
        here = queue[first]
        first += 1
        for way in range(4):
            if way == 0 and here % cells > 0 and right[here - 1]:
                onward = here - 1
            elif way == 1 and (here + 1) % cells > 0 and right[here]:
                onward = here + 1
            elif way == 2 and here >= cells and down[here - cells]:
                onward = here - cells
            elif way == 3 and here < total - cells and down[here]:
                onward = here + cells
            else:
                continue
            if parent[onward] < 0:
                parent[onward] = here
                queue[last] = onward
                last += 1


@njit
def _ways_out(cells, cell, right, down):
    """Passages that leave a cell."""
    ways = 0
    if cell % cells > 0 and right[cell - 1]:
        ways += 1
    if (cell + 1) % cells > 0 and right[cell]:
        ways += 1
    if cell >= cells and down[cell - cells]:
        ways += 1
    if cell < cells * cells - cells and down[cell]:
        ways += 1
    return ways


@njit
def _start_cell(state, cells, ways, right, down):
    """A cell with one way out (ways = 1) or with more (2), uniform among them; -1 if none was
    met."""
    for _ in range(_TRIES):
        cell = below(state, cells * cells)
        if (_ways_out(cells, cell, right, down) == 1) == (ways == 1):
            return cell
    return np.int64(-1)


@njit(inline="always")
def _paint(x, mask, target, row, r0, c0, scale, is_passage, on_path, colour):
    """Paint one pixel of a maze as a square of scale x scale."""
    for r in range(r0, r0 + scale):
        for c in range(c0, c0 + scale):
            mask[row, r, c] = is_passage
            target[row, r, c] = on_path
            x[row, 0, r, c] = 1.0 if colour == 0 or colour == 2 else 0.0
            x[row, 1, r, c] = 1.0 if colour == 0 or colour == 1 else 0.0
            x[row, 2, r, c] = 1.0 if colour == 0 else 0.0


@njit(nogil=True, cache=True)
def _fill(
    indices, cells, key, wanted_split, scale, pad, chance, ways, x, mask, target, starts, ends
):
    """Draw problems into zeroed arrays. starts, ends: int64 [n], the cells of the end points.

    chance: of each wall to be opened after carving. ways: 1 wants the start at a dead end, 2 where
    there are more ways out, 0 where carving began.
    """
    total = cells * cells
    parent = np.empty(total, np.int32)
    on_path = np.empty(total, np.uint8)
    plain = chance == 0 and ways == 0
    right, down = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    queue = np.empty(total, np.int32)
    for row in range(len(indices)):
        state = stream(key, indices[row])
        end = -1
        start = 0
        while end < 0:
            start, tree_hash = _carve(cells, state, parent)
            if not plain:
                tree_hash += _open_walls(cells, state, parent, chance, right, down)
                if ways > 0:
                    start = _start_cell(state, cells, ways, right, down)
                    if start < 0:
                        continue
                _search(cells, start, right, down, parent, queue)
            for _ in range(_TRIES):
                candidate = below(state, total - 1)
                if candidate >= start:
                    candidate += 1
                if split_of(tree_hash, start, candidate) == wanted_split:
                    end = candidate
                    break
        starts[row] = start
        ends[row] = end
        on_path[:] = 0
        cell = end
        on_path[cell] = 1
        while cell != start:
            cell = parent[cell]
            on_path[cell] = 1
        for cell in range(total):
            r = pad + (2 * (cell // cells) + 1) * scale
            c = pad + (2 * (cell % cells) + 1) * scale
            colour = 1 if cell == start else (2 if cell == end else 0)
            _paint(x, mask, target, row, r, c, scale, True, on_path[cell], colour)
            above = parent[cell]
            if cell != start:
                # The passage to the parent lies between the two cells. Its pixel is on the path
                # where both its cells are: on a tree no other passage joins two cells of a path.
                rw = pad + (cell // cells + above // cells + 1) * scale
                cw = pad + (cell % cells + above % cells + 1) * scale
                both = on_path[cell] & on_path[above]
                _paint(x, mask, target, row, rw, cw, scale, True, both, 0)
        if not plain:
            # Passages that no shortest path from the start takes. None joins two cells of the path:
            # it would make it shorter.
            for cell in range(total):
                for onward, is_open in ((cell + 1, right[cell]), (cell + cells, down[cell])):
                    if is_open and parent[onward] != cell and parent[cell] != onward:
                        rw = pad + (cell // cells + onward // cells + 1) * scale
                        cw = pad + (cell % cells + onward % cells + 1) * scale
                        _paint(x, mask, target, row, rw, cw, scale, True, 0, 0)


@njit(nogil=True, cache=True)
def _move(indices, passages, x, target, key, moves_start):
    """Move an end point of mazes number `indices` drawn one pixel a cell, x float32 [n, 3, h, w],
    in place, to another cell (odd row and column, counted from the first passage), and mark a
    shortest path in `target`, zeroed."""
    count, rows, columns = passages.shape
    parent = np.empty(rows * columns, np.int32)
    queue = np.empty(rows * columns, np.int32)
    cells = np.empty(rows * columns, np.int32)
    for i in range(count):
        state = stream(key, indices[i])
        start = -1
        end = -1
        top, left = rows, columns
        for r in range(rows):
            for c in range(columns):
                if not passages[i, r, c]:
                    continue
                top, left = min(top, r), min(left, c)
                if x[i, 0, r, c] < 0.5:
                    start = r * columns + c
                elif x[i, 1, r, c] < 0.5:
                    end = r * columns + c
        held = 0
        for r in range(top, rows, 2):
            for c in range(left, columns, 2):
                place = r * columns + c
                if passages[i, r, c] and place != start and place != end:
                    cells[held] = place
                    held += 1
        fresh = cells[below(state, held)]
        old = start if moves_start else end
        for channel in range(3):
            x[i, channel, old // columns, old % columns] = 1.0
            x[i, channel, fresh // columns, fresh % columns] = 0.0
        x[i, 1 if moves_start else 0, fresh // columns, fresh % columns] = 1.0
        if moves_start:
            start = fresh
        else:
            end = fresh
        parent[:] = -1
        parent[start] = start
        queue[0] = start
        first, last = 0, 1
        while first < last and parent[end] < 0:
            here = queue[first]
            first += 1
            for onward in (here - 1, here + 1, here - columns, here + columns):
                inside = 0 <= onward < rows * columns
                if (
                    inside
                    and parent[onward] < 0
                    and passages[i, onward // columns, onward % columns]
                ):
                    parent[onward] = here
                    queue[last] = onward
                    last += 1
        here = end
        target[i, here // columns, here % columns] = 1
        while here != start:
            here = parent[here]
            target[i, here // columns, here % columns] = 1


@lru_cache(maxsize=8)
def _count_problems(cells: int) -> dict[int, int]:
    """Distinct problems by split, by walking every choice that the carving can make (small
    grids)."""
    total = cells * cells
    neighbours = [
        [
            n
            for n, near in (
                (i - cells, i >= cells),
                (i + cells, i < total - cells),
                (i - 1, i % cells > 0),
                (i + 1, i % cells < cells - 1),
            )
            if near
        ]
        for i in range(total)
    ]
    hashes = {
        frozenset((a, b)): int(_edge_hash(a, b))
        for a in range(total)
        for b in neighbours[a]
        if a < b
    }
    counts = {1: 0, 2: 0, 3: 0}
    for start in range(total):
        trees: set[frozenset] = set()
        todo = [(start, {start: start}, frozenset())]
        while todo:
            here, parent, edges = todo.pop()
            while not (ways := [n for n in neighbours[here] if n not in parent]):
                if here == start:
                    trees.add(edges)
                    break
                here = parent[here]
            for n in ways:
                todo.append((n, {**parent, n: here}, edges | {frozenset((here, n))}))
        for edges in trees:
            tree_hash = np.uint64(sum(hashes[e] for e in edges) % 2**64)
            for end in range(total):
                if end != start:
                    counts[split_of(tree_hash, start, end)] += 1
    return counts


_SPLIT_NUMBER = {"train": 1, "validation": 2, "test": 3}
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
        whole = isinstance(difficulty, (int, np.integer)) and not isinstance(difficulty, bool)
        if not whole or difficulty < 5 or difficulty % 2 == 0 or difficulty > 20001:
            raise ValueError(
                "maze size must be an odd integer from 5 to 20001 (9, 11, 13, ...), not"
                f" {difficulty!r}"
            )

    def side(self, difficulty: int) -> int:
        """Pixels a side of the picture of a maze of that size."""
        lattice = difficulty + 2
        return max(lattice if self.drawing == "cells" else 2 * lattice + 2, self.canvas or 0)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        cells = (int(difficulty) + 1) // 2
        if self.loops or self.start != "carved":
            return None
        return _count_problems(cells)[_SPLIT_NUMBER[split]] if cells <= _COUNTED else None

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        size, count = int(difficulty), len(indices)
        side = self.side(size)
        scale = 1 if self.drawing == "cells" else 2
        pad = (side - scale * (size + 2)) // 2
        inputs = np.zeros((count, 3, side, side), np.float32)
        mask = np.zeros((count, side, side), np.bool_)
        targets = np.zeros((count, side, side), np.int64)
        starts, ends = np.empty(count, np.int64), np.empty(count, np.int64)
        key = stream_key("maze", seed, split, size)
        wanted = _SPLIT_NUMBER[split]
        _fill(
            indices,
            (size + 1) // 2,
            key,
            wanted,
            scale,
            pad,
            self.loops,
            _WAYS[self.start],
            inputs,
            mask,
            targets,
            starts,
            ends,
        )
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(mask))

    def correct(self, logits: Tensor, batch: Batch) -> Tensor:
        """bool [n]: every pixel is right; with loops, the pixels marked are a shortest path,
        whichever."""
        if not self.loops:
            return super().correct(logits, batch)
        answer = self.predict(logits, batch)
        # Doubled pixels: every other one, if it is like its three neighbours.
        scale, coarse = self._coarse(answer.shape[-1])
        first = coarse.start
        small = Batch(
            batch.inputs[:, :, coarse, coarse], batch.targets[:, coarse, coarse], batch.mask
        )
        found = answer[:, coarse, coarse]
        inside = answer[:, first : answer.shape[-1] - first, first : answer.shape[-1] - first]
        whole = found.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        same = (inside == whole[:, : inside.shape[1], : inside.shape[2]]).flatten(1).all(1)
        return super().correct(logits, batch) | (same & _shortest_path(found, small))

    def _coarse(self, side: int) -> tuple[int, slice]:
        """Pixels a side of one pixel of the plain drawing, and the slice of a picture that has each
        once."""
        if self.drawing == "cells":
            return 1, slice(0, side, 1)
        first = (side // 2 + 1) % 2
        return 2, slice(first, side - first, 2)

    def perturb(
        self, batch: Batch, indices: Sequence[int] | np.ndarray, seed: int, name: str
    ) -> Batch:
        """The same mazes with the start or the end (name) in another cell, uniform among the
        others."""
        if name not in self.perturbations:
            return super().perturb(batch, indices, seed, name)
        scale, coarse = self._coarse(batch.inputs.shape[-1])
        passages = batch.mask[:, coarse, coarse].cpu().numpy()
        inputs = batch.inputs.cpu().clone()
        small = inputs[:, :, coarse, coarse].numpy().copy()
        targets = np.zeros(passages.shape, np.int64)
        key = stream_key("maze moved", seed, "test", 0)
        numbers = np.asarray(indices, dtype=np.int64)
        if len(numbers) != len(batch):
            raise ValueError(f"{len(batch)} mazes need as many numbers, not {len(numbers)}")
        _move(numbers, passages, small, targets, key, 1 if name == "start" else 0)
        enlarged = torch.from_numpy(targets), torch.from_numpy(small)
        if scale == 2:
            enlarged = tuple(
                part.repeat_interleave(2, -1).repeat_interleave(2, -2) for part in enlarged
            )
        inside = slice(coarse.start, coarse.start + enlarged[0].shape[-1])
        new_targets = torch.zeros_like(batch.targets, device="cpu")
        new_targets[:, inside, inside] = enlarged[0]
        inputs[:, :, inside, inside] = enlarged[1]
        return Batch(inputs, new_targets, batch.mask.cpu()).to(batch.inputs.device)

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
