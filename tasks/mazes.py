"""Mazes with one shortest path (Schwarzschild et al. 2021, "Thinking Deeply with Recurrence")."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from names import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.sampling import below, mix, next_u64, stream, stream_key

_TEN = np.uint64(10)
_TRIES = 40  # draws of an end cell before the maze is carved anew


@njit(inline="always")
def _edge_hash(a, b):
    """Hash of the passage between cells a and b; a maze's is the sum, whatever the order of carving."""
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
    """Carve a random spanning tree of the cells x cells grid by depth-first search with backtracking.

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
def _fill(indices, cells, key, wanted_split, scale, pad, x, mask, target, starts, ends):
    """Draw problems into zeroed arrays. starts, ends: int64 [n], the cells of the end points."""
    total = cells * cells
    parent = np.empty(total, np.int32)
    on_path = np.empty(total, np.uint8)
    for row in range(len(indices)):
        state = stream(key, indices[row])
        end = -1
        start = 0
        while end < 0:
            start, tree_hash = _carve(cells, state, parent)
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


@lru_cache(maxsize=8)
def _count_problems(cells: int) -> dict[int, int]:
    """Distinct problems by split, by walking every choice that the carving can make (small grids)."""
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
_COUNTED = 4  # grids up to this many cells a side are small enough to count their problems


class Maze(Task):
    """Mark the one shortest path from start to end.

    The difficulty is the odd size n of the papers; the maze has c = (n + 1) / 2 cells a side. Inputs:
    float32 [N, 3, H, H], walls black, passages white, start green, end red. Targets: 1 on the path, both
    ends included. Mask: the passages.

    drawing: "cells", one pixel a cell and wall, H = 2c + 1; or "published", every pixel doubled and
    padded by 3 black pixels in all, H = 2(2c + 1) + 2. canvas: pad with black to at least this many
    pixels a side (the published networks that read several sizes use 32), or None.

    The end cell is drawn until the problem's hash falls into the split asked for, so that no problem
    is in two splits. Problems repeat as draws do (at size 9 under 0.5 % of 50,000).
    """

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

    def __init__(self, drawing: str = "cells", canvas: int | None = None) -> None:
        if drawing not in ("cells", "published"):
            raise unknown_name("maze drawing", drawing, ("cells", "published"))
        if canvas is not None and (not isinstance(canvas, int) or canvas < 1):
            raise ValueError(f"maze canvas must be a positive number of pixels, not {canvas!r}")
        self.drawing = drawing
        self.canvas = canvas
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
                f"maze size must be an odd integer from 5 to 20001 (9, 11, 13, ...), not {difficulty!r}"
            )

    def side(self, difficulty: int) -> int:
        """Pixels a side of the picture of a maze of that size."""
        lattice = difficulty + 2
        return max(lattice if self.drawing == "cells" else 2 * lattice + 2, self.canvas or 0)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        cells = (int(difficulty) + 1) // 2
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
            indices, (size + 1) // 2, key, wanted, scale, pad, inputs, mask, targets, starts, ends
        )
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(mask))

    def picture(self, inputs: Tensor) -> Tensor:
        return inputs
