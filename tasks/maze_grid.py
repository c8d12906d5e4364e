"""Mazes as graphs: carving, opening walls and rooms, shortest paths, and which split a problem is
in."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from tasks.sampling import below, mix, next_u64, split_of_hash, uniform

_TRIES = 40  # draws of an end cell before the maze is carved anew


class Grid(NamedTuple):
    """A maze of cells x cells cells, numbered row by row; each array has one entry a cell.

    parent: int32, the cell before it on the way from the root, whose parent is itself. right, down:
    uint8, whether there is a passage to the next cell in its row, or column; 0 in the last ones.
    room: uint8, whether the post at its lower right corner, where four cells meet, is open. queue:
    int32, what `search` needs of memory: the cells in the order in which it met them.
    """

    cells: int
    parent: np.ndarray
    right: np.ndarray
    down: np.ndarray
    room: np.ndarray
    queue: np.ndarray


class Law(NamedTuple):
    """How problems are drawn. loops: the chance of each wall to be opened after carving; rooms: of
    each post, with the four walls that meet there. ways: 1 wants the start at a dead end, 2 where
    there are more ways out, 0 where carving began. unique: whether an end that two shortest paths
    lead to is drawn again."""

    loops: float
    rooms: float
    ways: int
    unique: bool


def empty_grid(cells: int) -> Grid:
    """A grid of that many cells a side, to be filled."""
    kinds = (np.int32, np.uint8, np.uint8, np.uint8, np.int32)
    return Grid(cells, *(np.empty(cells * cells, kind) for kind in kinds))


@njit(inline="always")
def _edge_hash(a, b):
    """Hash of the passage between cells a and b; a maze's is the sum, in whatever order."""
    low, high = min(a, b), max(a, b)
    return mix(np.uint64(low) * np.uint64(0x100000001B3) + np.uint64(high) + np.uint64(1))


@njit
def split_of(tree_hash, start, end):
    """1 train, 2 validation, 3 test: the hash of the problem itself decides, 80 : 10 : 10."""
    return split_of_hash(mix(tree_hash ^ mix((np.uint64(start) << np.uint64(32)) + np.uint64(end))))


@njit(inline="always")
def _carve(grid, state):
    """Carve a random spanning tree of the grid by depth-first search with backtracking.

    Returns (root, hash).
    """
    cells, parent, right, down, room, _ = grid
    total = cells * cells
    parent[:] = -1
    right[:] = 0
    down[:] = 0
    room[:] = 0
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
        if abs(here - onward) == 1:
            right[min(here, onward)] = 1
        else:
            down[min(here, onward)] = 1
        parent[onward] = here
        here = onward
        left -= 1
    return root, tree_hash


@njit
def _open_walls(grid, state, chance):
    """Open each wall between two cells with that chance; returns the hash of the new passages."""
    cells = grid.cells
    total = cells * cells
    added = np.uint64(0)
    for cell in range(total):
        if (cell + 1) % cells > 0 and grid.right[cell] == 0 and uniform(state) < chance:
            grid.right[cell] = 1
            added += _edge_hash(cell, cell + 1)
        if cell < total - cells and grid.down[cell] == 0 and uniform(state) < chance:
            grid.down[cell] = 1
            added += _edge_hash(cell, cell + cells)
    return added


@njit
def _open_rooms(grid, state, chance):
    """Open each post with that chance, and the walls that meet there; returns the hash of the new
    passages and of the posts."""
    cells = grid.cells
    added = np.uint64(0)
    for cell in range(cells * (cells - 1)):
        below_it = cell + cells
        if (cell + 1) % cells == 0 or uniform(state) >= chance:
            continue
        grid.room[cell] = 1
        added += _edge_hash(cell, below_it + 1)  # no passage joins these two: the post's own
        for row in (cell, below_it):
            if grid.right[row] == 0:
                grid.right[row] = 1
                added += _edge_hash(row, row + 1)
        for column in (cell, cell + 1):
            if grid.down[column] == 0:
                grid.down[column] = 1
                added += _edge_hash(column, column + cells)
    return added


@njit(inline="always")
def _neighbour(grid, cell, way):
    """The cell behind the passage to the left, the right, above or below (0..3); -1 for a wall."""
    cells = grid.cells
    if way == 0 and cell > 0 and grid.right[cell - 1]:
        return cell - 1
    if way == 1 and grid.right[cell]:
        return cell + 1
    if way == 2 and cell >= cells and grid.down[cell - cells]:
        return cell - cells
    if way == 3 and grid.down[cell]:
        return cell + cells
    return -1


@njit
def search(grid, root):
    """Breadth-first search from the root: `parent` becomes the tree of its shortest paths."""
    grid.parent[:] = -1
    grid.parent[root] = root
    grid.queue[0] = root
    first, last = 0, 1
    while first < last:
        here = np.int64(grid.queue[first])
        first += 1
        for way in range(4):
            onward = _neighbour(grid, here, way)
            if onward >= 0 and grid.parent[onward] < 0:
                grid.parent[onward] = here
                grid.queue[last] = onward
                last += 1


@njit
def _start_cell(grid, state, ways):
    """A cell with one way out (ways = 1) or more (2), uniform among them; -1 if none was met."""
    for _ in range(_TRIES):
        cell = below(state, grid.cells * grid.cells)
        ways_out = 0
        for way in range(4):
            ways_out += _neighbour(grid, cell, way) >= 0
        if (ways_out == 1) == (ways == 1):
            return cell
    return np.int64(-1)


@njit
def _ambiguous(grid):
    """uint8 by cell: whether several shortest paths lead there from the root of the last search."""
    total = grid.cells * grid.cells
    far = np.full(total, -1, np.int32)
    far[grid.queue[0]] = 0
    several = np.zeros(total, np.uint8)
    for place in range(1, total):
        cell = np.int64(grid.queue[place])
        before = np.int64(grid.parent[cell])
        far[cell] = far[before] + 1
        several[cell] = several[before]
        for way in range(4):
            other = _neighbour(grid, cell, way)
            if other >= 0 and other != before and far[other] == far[cell] - 1:
                several[cell] = 1
    return several


@njit
def draw_problem(grid, state, wanted_split, law):
    """Carve mazes until one with its ends is in the split wanted; returns (start, end), the root of
    the grid's tree of shortest paths and another cell."""
    several = np.zeros(1, np.uint8)
    while True:
        start, tree_hash = _carve(grid, state)
        if law.loops > 0 or law.rooms > 0 or law.ways > 0:
            tree_hash += _open_walls(grid, state, law.loops)
            if law.rooms > 0:
                tree_hash += _open_rooms(grid, state, law.rooms)
            if law.ways > 0:
                start = _start_cell(grid, state, law.ways)
                if start < 0:
                    continue
            search(grid, start)
            if law.unique:
                several = _ambiguous(grid)
        for _ in range(_TRIES):
            end = below(state, grid.cells * grid.cells - 1)
            end += end >= start
            if len(several) > 1 and several[end]:
                continue
            if split_of(tree_hash, start, end) == wanted_split:
                return start, end


@lru_cache(maxsize=8)
def count_problems(cells: int) -> dict[int, int]:
    """Distinct problems by split, by walking every choice of the carving (small grids)."""
    total = cells * cells
    walls = [(i, i + 1) for i in range(total) if (i + 1) % cells]
    walls += [(i, i + cells) for i in range(total - cells)]
    hashes = {frozenset(wall): int(_edge_hash(*wall)) for wall in walls}
    neighbours = [[a + b - i for a, b in walls if i in (a, b)] for i in range(total)]
    counts = {1: 0, 2: 0, 3: 0}
    for start in range(total):
        trees: set[frozenset] = set()
        todo: list[tuple[int, dict[int, int], frozenset]] = [(start, {start: start}, frozenset())]
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
