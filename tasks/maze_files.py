"""Mazes as files: those of easy-to-hard-data and the pixel grids of maze-dataset, read and written.

Both draw a maze of c x c cells on 2c + 1 pixels a side, as our `drawing=cells` does; the published
drawing doubles every pixel and puts a black one around.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from numba import njit

from tasks.base import Batch, Difficulty
from tasks.published import Published, hashes, load_array, new_folder, not_there, split_places

if TYPE_CHECKING:
    from tasks.mazes import Maze

# What a pixel of a maze is, as bits.
OPEN, START, END, PATH = (np.uint8(bit) for bit in (1, 2, 4, 8))
_CHUNK = 1000  # mazes read or written at a time
WANTED = (
    "easy-to-hard-data's maze_data_{train,test}_SIZE with inputs.npy and solutions.npy, or"
    " maze-dataset's pixel grids as pixels_{train,test}_CxC.npy, C cells a side"
)


# --- the two drawings ---


def doubled(pictures: np.ndarray) -> np.ndarray:
    """[..., 2h + 2, 2w + 2] of [..., h, w]: the published drawing of one with a pixel a cell."""
    large = repeat(pictures, "... h w -> ... (h a) (w b)", a=2, b=2)
    return np.pad(large, [(0, 0)] * (pictures.ndim - 2) + [(1, 1), (1, 1)])


def halved(pictures: np.ndarray) -> np.ndarray:
    """The inverse of `doubled`; ValueError for pictures that are not drawn so."""
    small = pictures[..., 1:-1:2, 1:-1:2]
    if pictures.shape[-1] % 2 or (doubled(small) != pictures).any():
        raise ValueError("pixels that are not doubled, with a black frame of one pixel")
    return small


def marked(inputs: np.ndarray, solutions: np.ndarray) -> np.ndarray:
    """uint8 [n, h, w], the bits of each pixel, of mazes in colour [n, 3, h, w] and paths [n, h, w].

    Any value above 0 is 1. ValueError for a colour other than white, green, red and black.
    """
    red, green, blue = np.moveaxis(inputs > 0, 1, 0)
    bits = (red | green | blue) * OPEN
    bits |= (green & ~red & ~blue) * START | (red & ~green & ~blue) * END
    if (blue & ~(red & green) | (red & green & ~blue)).any():
        raise ValueError("a colour that is not white, black, green (start) or red (end)")
    return bits | (solutions > 0) * PATH


def drawn(bits: np.ndarray, scale: int, side: int) -> Batch:
    """Mazes, uint8 [n, h, w], as a task draws them: `scale` pixels a cell, in the middle of black
    pictures of `side` pixels."""
    large = repeat(bits, "n h w -> n (h a) (w b)", a=scale, b=scale)
    pad = (side - large.shape[1]) // 2
    framed = np.zeros((len(bits), side, side), np.uint8)
    framed[:, pad : pad + large.shape[1], pad : pad + large.shape[2]] = large
    is_open, start, end, path = ((framed & bit) > 0 for bit in (OPEN, START, END, PATH))
    colours = np.stack([is_open & ~start, is_open & ~end, is_open & ~start & ~end], 1)
    return Batch(
        torch.from_numpy(colours.astype(np.float32)),
        torch.from_numpy(path.astype(np.int64)),
        torch.from_numpy(is_open),
    )


@njit(nogil=True, cache=True)
def _fault(bits, queue, far):
    """Number of the first maze that is no problem, and what is wrong with it (see `_FAULTS`); -1 if
    none. All have walls around. queue, far: int32, as many as there are pixels."""
    n, side, width = bits.shape
    for i in range(n):
        start, end, starts, ends, passages, marks = -1, -1, 0, 0, 0, 0
        for p in range(side * width):
            bit = bits[i, p // width, p % width]
            far[p] = -1
            passages += (bit & 1) > 0
            marks += (bit & 8) > 0
            if bit & 2:
                start, starts = p, starts + 1
            if bit & 4:
                end, ends = p, ends + 1
            if bit & 8 and not bit & 1:
                return i, 2
        if starts != 1 or ends != 1:
            return i, 0
        first, last = 0, 1
        queue[0], far[start] = start, 0
        while first < last:
            here = queue[first]
            first += 1
            r, c = here // width, here % width
            for way in range(4):
                y, x = r + (way == 1) - (way == 0), c + (way == 3) - (way == 2)
                # Black all around, see `check_mazes`: no way leads out.
                if bits[i, y, x] & 1 and far[y * width + x] < 0:
                    far[y * width + x] = far[here] + 1
                    queue[last] = y * width + x
                    last += 1
        if last != passages:
            return i, 1
        # As many marks as a shortest path has, one at each distance from the start, each beside the
        # one before.
        if marks != far[end] + 1:
            return i, 2
        here = end
        while here != start:
            onward = -1
            r, c = here // width, here % width
            for way in range(4):
                y, x = r + (way == 1) - (way == 0), c + (way == 3) - (way == 2)
                if bits[i, y, x] & 8 and far[y * width + x] == far[here] - 1:
                    onward = y * width + x
            if onward < 0 or not bits[i, r, c] & 8:
                return i, 2
            here = onward
    return -1, -1


_FAULTS = (
    "has not one start and one end",
    "is not in one piece",
    "has an answer that is not a shortest path from start to end",
)


def check_mazes(bits: np.ndarray, name: str, first: int = 0) -> None:
    """ValueError, naming the first that is none, unless all are mazes with a right answer: one
    start and end, all passages in one piece inside a wall, with a cell at every odd row and column,
    and one shortest path marked. first: the number of the first."""
    side = bits.shape[1]
    if bits.shape[2] != side or side % 2 == 0 or side < 7:
        raise ValueError(f"{name}: mazes of {side} x {bits.shape[2]} pixels, not an odd square")
    edge = bits[:, [0, -1]].any((1, 2)) | bits[:, :, [0, -1]].any((1, 2))
    walled = ((bits[:, 1::2, 1::2] & OPEN) == 0).any((1, 2))
    for wrong, what in ((edge, "is open at its edge"), (walled, "has a cell that is a wall")):
        if wrong.any():
            number = first + int(np.flatnonzero(wrong)[0])
            raise ValueError(f"{name}: maze {number} {what}")
    scratch = np.empty((2, side * side), np.int32)
    number, fault = _fault(np.ascontiguousarray(bits), scratch[0], scratch[1])
    if number >= 0:
        raise ValueError(f"{name}: maze {first + number} {_FAULTS[fault]}")


# --- reading ---


class _Source(NamedTuple):
    """Arrays that hold mazes one by one along their axis `axis`, and how to make bits of some."""

    arrays: tuple[np.ndarray, ...]
    axis: int
    bits: Callable[..., np.ndarray]

    @property
    def total(self) -> int:
        return self.arrays[0].shape[self.axis]

    def part(self, first: int, last: int) -> np.ndarray:
        some = (a[first:last] if self.axis == 0 else a[:, first:last] for a in self.arrays)
        return self.bits(*(np.asarray(each) for each in some))


def _at_one_pixel(pictures: np.ndarray) -> np.ndarray:
    return halved(pictures) if pictures.shape[-1] % 2 == 0 else pictures


def _easy_to_hard(inputs: np.ndarray, solutions: np.ndarray) -> np.ndarray:
    return marked(_at_one_pixel(inputs), _at_one_pixel(solutions))


def _with_path(grids: np.ndarray) -> np.ndarray:
    """Of [n, h, w, 3] with the path drawn blue, as `SolvedMaze.as_pixels` has it."""
    pixels = _at_one_pixel(rearrange(grids, "n h w c -> n c h w"))
    red, green, blue = (pixels[:, i] > 0 for i in range(3))
    path = blue & ~red & ~green
    plain = pixels | (path[:, None] * np.uint8(255))
    return marked(plain, path | (red ^ green))


def _with_target(grids: np.ndarray) -> np.ndarray:
    """Of [2, n, h, w, 3], problems and answers, as `RasterizedMazeDataset.get_batch` has them."""
    problems, answers = (_at_one_pixel(rearrange(g, "n h w c -> n c h w")) for g in grids)
    return marked(problems, answers.max(1))


def _open_easy_to_hard(folder: Path) -> _Source:
    inputs, solutions = (load_array(folder / name) for name in ("inputs.npy", "solutions.npy"))
    n, *shape = inputs.shape
    if inputs.ndim != 4 or shape[0] != 3 or solutions.shape != (n, *shape[1:]):
        raise ValueError(
            f"{folder} must hold inputs.npy [n, 3, h, h] and solutions.npy [n, h, h], not"
            f" {list(inputs.shape)} and {list(solutions.shape)}"
        )
    return _Source((inputs, solutions), 0, _easy_to_hard)


def _open_grids(path: Path) -> _Source:
    grids = load_array(path)
    if grids.dtype == np.uint8 and grids.shape[-1] == 3:
        if grids.ndim == 4:
            return _Source((grids,), 0, _with_path)
        if grids.ndim == 5 and len(grids) == 2:
            return _Source((grids,), 1, _with_target)
    raise ValueError(
        f"{path} must hold pixel grids, uint8 [n, h, h, 3] with blue paths or [2, n, h, h, 3], not"
        f" {grids.dtype} {list(grids.shape)}"
    )


def _mazes(path: Path, size: int) -> np.ndarray:
    """uint8 [n, size + 2, size + 2]: all mazes of a file."""
    source = _open_easy_to_hard(path) if path.is_dir() else _open_grids(path)
    if source.total == 0:
        raise ValueError(f"{path} holds no maze")
    parts = []
    for first in range(0, source.total, _CHUNK):
        try:
            bits = source.part(first, first + _CHUNK)
        except ValueError as error:
            raise ValueError(f"{path}, mazes from number {first}: {error}") from None
        check_mazes(bits, str(path), first)
        if bits.shape[1] != size + 2:
            raise ValueError(f"{path} holds mazes of size {bits.shape[1] - 2}, not {size}")
        parts.append(bits)
    return np.concatenate(parts)


class _Level(NamedTuple):
    """All mazes of a size: their bits, their hashes and which are published as test problems."""

    bits: np.ndarray
    hashed: np.ndarray
    tests: np.ndarray


@lru_cache(maxsize=16)
def _level(files: tuple[tuple[str, Path], ...], size: int) -> _Level:
    """The mazes of files, (train or test, path), read once a process."""
    parts = [_mazes(path, size) for _, path in files]
    kinds = np.repeat([kind for kind, _ in files], [len(part) for part in parts])
    bits = np.concatenate(parts)
    return _Level(bits, hashes(maze.tobytes() for maze in bits), kinds == "test")


_FOLDER = re.compile(r"maze_data_(train|test)_(\d+)")
_GRIDS = re.compile(r"pixels_(train|test)_(\d+)x\2\.npy")


class MazeFiles(Published):
    """Published mazes. Test problems are those of the files called so, train and validation
    problems those of the others; see `published.split_places`.

    scale: pixels a cell. side: of the pictures of a size.
    """

    def __init__(self, data_dir: str | Path, scale: int, side: Callable[[int], int]) -> None:
        super().__init__("maze", data_dir, WANTED)
        self.scale, self.side = scale, side
        self._levels: dict[Difficulty, _Level] = {}

    def listed(self) -> dict[tuple[int, str], Path]:
        """The files by size and what their names call them, train or test."""
        found = {}
        for path in sorted(self.folder.iterdir(), reverse=True):  # those of easy-to-hard-data win
            if (name := _GRIDS.fullmatch(path.name)) and path.is_file():
                found[2 * int(name[2]) - 1, name[1]] = path
            elif (name := _FOLDER.fullmatch(path.name)) and path.is_dir():
                found[int(name[2]), name[1]] = path
        return dict(sorted(found.items()))

    def levels(self) -> list[Difficulty]:
        return [size for size, _ in self.files]

    def _level(self, difficulty: Difficulty) -> _Level:
        if difficulty not in self._levels:
            size, files = int(difficulty), self.files
            kinds = (kind for kind in ("train", "test") if (size, kind) in files)
            chosen = tuple((kind, files[size, kind]) for kind in kinds)
            self._levels[difficulty] = _level(chosen, size)
        return self._levels[difficulty]

    def find(self, difficulty: Difficulty, split: str) -> np.ndarray:
        if (int(difficulty), "test" if split == "test" else "train") not in self.files:
            return np.empty(0, np.int64)
        level = self._level(difficulty)
        return split_places(level.hashed, split, level.tests)

    def read(self, difficulty: Difficulty, at: np.ndarray) -> Batch:
        return drawn(self._level(difficulty).bits[at], self.scale, self.side(int(difficulty)))


# --- writing ---


def _bits_of(task: Maze, size: int, numbers: np.ndarray, seed: int, split: str) -> np.ndarray:
    """Mazes of a task as bits, out of whatever frame it draws them in."""
    batch = task.sample(size, seed=seed, split=split, indices=numbers)
    scale, side = task.scale, batch.inputs.shape[-1]
    pad, inner = (side - scale * (size + 2)) // 2, scale * (size + 2)
    inside = slice(pad, pad + inner, scale)
    inputs, targets = batch.inputs.numpy(), batch.targets.numpy()
    bits = marked(inputs[:, :, inside, inside], targets[:, inside, inside])
    check_mazes(bits, "these options", int(numbers[0]))
    return bits


def _published_split(layout: str, split: str) -> str:
    if split not in ("train", "test"):
        raise ValueError(f"the layout {layout} has splits train and test, not {split!r}")
    return split


def write_easy_to_hard(
    task: Maze, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """out/maze_data_SPLIT_SIZE/inputs.npy, float32 [count, 3, h, h], and solutions.npy, float32
    [count, h, h], in the published drawing: what `easy_to_hard_data.MazeDataset` reads."""
    size, kind = int(difficulty), _published_split("easy_to_hard", split)
    side = 2 * (size + 2) + 2
    _bits_of(task, size, np.array([count - 1]), seed, split)
    folder = new_folder(out / f"maze_data_{kind}_{size}")

    def array(name: str, *shape: int) -> np.ndarray:
        path = folder / name
        return np.lib.format.open_memmap(path, "w+", np.float32, (count, *shape, side, side))

    inputs, solutions = array("inputs.npy", 3), array("solutions.npy")
    for first in range(0, count, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, count))
        batch = drawn(_bits_of(task, size, numbers, seed, split), 2, side)
        inputs[numbers], solutions[numbers] = batch.inputs.numpy(), batch.targets.numpy()
    return folder


def write_pixel_grids(
    task: Maze, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """out/pixels_SPLIT_CxC.npy, uint8 [count, 2C + 1, 2C + 1, 3] with the path in blue: each is
    what `maze_dataset.SolvedMaze.from_pixels` reads."""
    size, kind = int(difficulty), _published_split("maze_dataset", split)
    cells = (size + 1) // 2
    path = out / f"pixels_{kind}_{cells}x{cells}.npy"
    not_there([path])
    _bits_of(task, size, np.array([count - 1]), seed, split)
    out.mkdir(parents=True, exist_ok=True)
    grids = np.lib.format.open_memmap(path, "w+", np.uint8, (count, size + 2, size + 2, 3))
    for first in range(0, count, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, count))
        bits = _bits_of(task, size, numbers, seed, split)
        colours = rearrange(drawn(bits, 1, size + 2).inputs.numpy(), "n c h w -> n h w c")
        ends = (bits & (START | END)) > 0
        colours[((bits & PATH) > 0) & ~ends] = (0, 0, 1)
        grids[numbers] = (255 * colours).astype(np.uint8)
    return path
