"""Pathfinder: are the two discs joined by one dashed path? (Linsley et al. 2018, arXiv:1805.08315).

The construction follows the settings of Lüddecke and Ecker: paddles of 5 x 2 pixels, 11 pixels
apart, on a 300 x 300 canvas, two target paths of L paddles and 15 distractors of L / 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numba import njit

from tasks.base import Batch, Difficulty, TaskSpec
from tasks.contours import PAPER_TRAINING, ContourTask, check_whole, problem_number
from tasks.drawing import (
    disc_stamp,
    flip_bits,
    line_stamp,
    meets,
    near_line,
    pack_rows,
    paint_max,
    reduce_into,
    set_bits,
    words_across,
)
from tasks.sampling import SPLIT_NUMBER, below, next_u64, stream_key, uniform

CANVAS = 300
LENGTH, THICKNESS = 5, 2  # of a paddle, pixels
# As drawn: with these, ink and gaps measure within 3 % of the reference drawings.
DRAWN_THICKNESS, OVERRUN = 1.9, 0.3
MARGIN = 3  # kept free around a paddle
PITCH, REACH = 11, 8  # pivot to pivot; pivot to the head of its paddle
PAIR = 27  # between the first paddles of the two target paths
DISC = 5  # radius
BORDER, START = 22, 54  # empty border; least distance of path one's start from the edge, of 300
DISTRACTORS = 15  # on a canvas of 300
_HALF = 12  # a paddle's stamp reaches this far from its head, margin and filter ringing included
_DISC_HALF = DISC + 4
_INK = 64  # of 255: what counts as occupied, and as ink in the segmentation form
_TRIES = 3
_MATCH = (
    0.5  # pixels by which disc distances may differ; at 2 a classifier on distance still gets 55 %
)
_RESTARTS = 20_000  # of both paths, before the length is said not to fit
_PLACES = 2_000  # starts of one distractor, before the whole drawing is begun anew
_CROWDED = 50  # drawings begun anew for want of room, before the distractors are said not to fit


@dataclass(frozen=True)
class PathfinderRecord:
    """How drawings were made, for checking them.

    paddles: int32 [n, P, 3], row and column of the head and number of the direction in
    `directions()`; a paddle reaches 5 pixels back from its head. owner: int32 [P], 0 and 1 the
    target paths in order of growth, then the distractors. discs: int32 [n, 2, 2], rows and columns;
    with one disc the second is (-1, -1). labels: int64 [n]. chosen: int64 [n], the path with the
    first disc. problems: uint64 [n], the numbers the drawings are pure functions of.
    """

    paddles: np.ndarray
    owner: np.ndarray
    discs: np.ndarray
    labels: np.ndarray
    chosen: np.ndarray
    problems: np.ndarray


@lru_cache(maxsize=1)
def directions() -> np.ndarray:
    """int64 [K, 2]: the pixels of the circle a head lies on, (row, column) from the pivot, by
    angle.

    Heads and pivots are whole pixels, as in the public generator: that spreads the gaps between
    paddles.
    """
    span = np.arange(-REACH - 1, REACH + 2)
    rows, columns = (a.ravel() for a in np.meshgrid(span, span, indexing="ij"))
    on = np.abs(np.hypot(rows, columns) - REACH) < 0.5
    ring = np.stack([rows[on], columns[on]], 1)
    return ring[np.argsort(np.arctan2(-ring[:, 0], ring[:, 1]), kind="stable")]


def direction_angles() -> np.ndarray:
    """float64 [K]: the angles of `directions()` in radians, counter-clockwise from growing
    columns."""
    ring = directions()
    return np.arctan2(-ring[:, 0], ring[:, 1])


@lru_cache(maxsize=1)
def _stamps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By direction: pictures uint8 [K, s, s], ink and mask rows uint64 [K, s]; the disc;
    directions."""
    degrees = np.rad2deg(direction_angles())
    pictures = np.stack([line_stamp(d, LENGTH, DRAWN_THICKNESS, _HALF, OVERRUN) for d in degrees])
    masks = np.stack([near_line(d, LENGTH, MARGIN, _HALF) for d in degrees])
    disc = disc_stamp(DISC, _DISC_HALF)
    return pictures, pack_rows(pictures >= _INK), pack_rows(masks), disc, directions()


def turn_table(continuity: float) -> np.ndarray:
    """float64 [K, K]: row by row, the cumulative law of the next direction, given the last one.

    The weight of a turn is cos²(min(continuity · |turn|, π/2)). ValueError unless continuity > 0.
    """
    if isinstance(continuity, bool) or not continuity > 0:
        raise ValueError(f"continuity must be above 0, not {continuity!r}")
    angles = direction_angles()
    turns = np.abs((angles[None, :] - angles[:, None] + np.pi) % (2 * np.pi) - np.pi)
    weights = np.cos(np.minimum(continuity * turns, np.pi / 2)) ** 2
    weights[weights < 1e-12] = 0  # cos(π/2) is not quite 0
    return np.cumsum(weights, 1) / weights.sum(1, keepdims=True)


@njit(inline="always")
def _ahead(stamps, direction, distance):
    """Whole pixels (rows, columns) nearest to `distance` along a direction."""
    dy, dx = stamps[4][direction]
    scale = distance / np.sqrt(np.float64(dy * dy + dx * dx))
    return np.int64(np.rint(dy * scale)), np.int64(np.rint(dx * scale))


@njit(inline="always")
def _next_direction(state, law):
    """A direction from its cumulative law, by bisection."""
    u = uniform(state)
    low, high = 0, len(law) - 1
    while low < high:
        middle = (low + high) // 2
        if law[middle] <= u:
            low = middle + 1
        else:
            high = middle
    return low


@njit(inline="always")
def _place(bits, stamps, pivot, direction, out):
    """Put a paddle down if its mask is free; out gets (row, column, direction) of its head."""
    row = pivot[0] + stamps[4][direction, 0]
    column = pivot[1] + stamps[4][direction, 1]
    if row < 0 or column < 0 or row >= bits.shape[0] or column >= bits.shape[0]:
        return False
    if meets(bits, stamps[2][direction], row - _HALF, column - _HALF):
        return False
    set_bits(bits, stamps[1][direction], row - _HALF, column - _HALF)
    out[0], out[1], out[2] = row, column, direction
    return True


@njit(inline="always")
def _grow(state, bits, stamps, table, pivot, last, out):
    """The next paddle of a path; moves the pivot on. False after three tries that meet ink."""
    dy, dx = _ahead(stamps, last, PITCH)
    pivot[0] += dy
    pivot[1] += dx
    for _ in range(_TRIES):
        if _place(bits, stamps, pivot, _next_direction(state, table[last]), out):
            return True
    return False


@njit(inline="always")
def _start(state, bits, stamps, tail_row, tail_column, pivot, out):
    """First paddle of a path, its tail at the given place, in any direction."""
    direction = below(state, len(stamps[4]))
    dy, dx = _ahead(stamps, direction, REACH - LENGTH)
    pivot[0] = np.int64(np.rint(tail_row)) - dy
    pivot[1] = np.int64(np.rint(tail_column)) - dx
    return _place(bits, stamps, pivot, direction, out)


@njit
def _two_paths(state, bits, empty, stamps, table, length, start, paddles):
    """Grow both target paths in turn. paddles: int32 [2 * length, 3]. False if they never fit."""
    pivots = np.empty((2, 2), np.int64)
    side = bits.shape[0]
    for _ in range(_RESTARTS):
        bits[:] = empty
        row = start + uniform(state) * (side - 2 * start)
        column = start + uniform(state) * (side - 2 * start)
        away = uniform(state) * 2 * np.pi
        if not _start(state, bits, stamps, row, column, pivots[0], paddles[0]):
            continue
        row += PAIR * np.sin(away)
        column += PAIR * np.cos(away)
        if not _start(state, bits, stamps, row, column, pivots[1], paddles[length]):
            continue
        if _grow_in_turn(state, bits, stamps, table, length, pivots, paddles):
            return True
    return False


@njit
def _grow_in_turn(state, bits, stamps, table, length, pivots, paddles):
    for step in range(1, length):
        for path in range(2):
            here = path * length + step
            last = paddles[here - 1, 2]
            if not _grow(state, bits, stamps, table, pivots[path], last, paddles[here]):
                return False
    return True


@njit
def _distractor(state, bits, stamps, table, length, paddles):
    """One short path anywhere free. False if none was found; what was put down is taken away."""
    pivot = np.empty(2, np.int64)
    side = bits.shape[0]
    for _ in range(_PLACES):
        row, column = uniform(state) * side, uniform(state) * side
        if not _start(state, bits, stamps, row, column, pivot, paddles[0]):
            continue
        done = 1
        while done < length:
            last = paddles[done - 1, 2]
            if not _grow(state, bits, stamps, table, pivot, last, paddles[done]):
                break
            done += 1
        if done == length:
            return True
        for p in range(done):  # ink never overlaps, so flipping it removes it
            ink = stamps[1][paddles[p, 2]]
            flip_bits(bits, ink, paddles[p, 0] - _HALF, paddles[p, 1] - _HALF)
    return False


@njit(inline="always")
def _tip(stamps, paddles, path, length, last, out):
    """The tip a path ends in (last) or began with: out gets row and column."""
    at = paddles[path * length + (length - 1 if last else 0)]
    dy, dx = _ahead(stamps, at[2], 0 if last else LENGTH)
    out[0], out[1] = at[0] - dy, at[1] - dx


@njit(inline="always")
def _distance(a, b):
    return np.hypot(np.float64(a[0] - b[0]), np.float64(a[1] - b[1]))


@njit
def _layout(state, bits, empty, stamps, table, shape, paddles, ends):
    """Target paths and distractors. ends: int64 [3, 2], the first tip of a path chosen at random,
    its last tip and the other path's last tip. Returns the chosen path, or -1 where nothing
    fits."""
    length, start, distractors, tolerance = shape
    short = max(1, length // 3)
    crowded = 0
    for _ in range(_RESTARTS):
        if crowded == _CROWDED or not _two_paths(
            state, bits, empty, stamps, table, length, start, paddles
        ):
            return -1
        chosen = below(state, 2)
        _tip(stamps, paddles, chosen, length, False, ends[0])
        _tip(stamps, paddles, chosen, length, True, ends[1])
        _tip(stamps, paddles, 1 - chosen, length, True, ends[2])
        if tolerance > 0:
            apart = _distance(ends[0], ends[1]) - _distance(ends[0], ends[2])
            if abs(apart) > tolerance:
                continue
        placed = 0
        while placed < distractors:
            first = 2 * length + placed * short
            piece = paddles[first : first + short]
            if not _distractor(state, bits, stamps, table, short, piece):
                break
            placed += 1
        if placed == distractors:
            return chosen
        crowded += 1
    return -1


@njit
def _paint(state, image, stamps, paddles, first, last, dimmest, brightest):
    for p in range(first, last):
        light = dimmest
        if brightest > dimmest:
            light += below(state, brightest - dimmest + 1)
        picture = stamps[0][paddles[p, 2]]
        paint_max(image, picture, paddles[p, 0] - _HALF, paddles[p, 1] - _HALF, light)


@njit(nogil=True, cache=True)
def _draw(problem, stamps, table, empty, shape, light, bits, image, marked, record, ends):
    """Draw one problem. marked: uint8 like image, what the segmentation marks, or of size 0.

    record: (paddles int32 [P, 3], discs int32 [2, 2]). Returns (label, chosen path), or (-1, -1)
    where the paths do not fit the canvas.
    """
    state = np.empty(1, np.uint64)
    state[0] = problem
    paddles, discs = record
    label = np.int64(next_u64(state) >> np.uint64(63))
    chosen = _layout(state, bits, empty, stamps, table, shape, paddles, ends)
    if chosen < 0:
        return np.int64(-1), np.int64(-1)
    length = shape[0]
    image[:] = 0
    _paint(state, image, stamps, paddles, 0, len(paddles), light[0], light[1])
    disc = stamps[3]
    segmentation = marked.size > 0
    discs[:] = -1
    if segmentation:
        # One disc, at either end: the label only says which.
        discs[0] = ends[label]
        marked[:] = 0
        first = chosen * length
        _paint(state, marked, stamps, paddles, first, first + length, 256, 256)
        paint_max(marked, disc, discs[0, 0] - _DISC_HALF, discs[0, 1] - _DISC_HALF, 256)
    else:
        discs[0] = ends[0]
        discs[1] = ends[1] if label == 1 else ends[2]
        paint_max(image, disc, discs[1, 0] - _DISC_HALF, discs[1, 1] - _DISC_HALF, 256)
    paint_max(image, disc, discs[0, 0] - _DISC_HALF, discs[0, 1] - _DISC_HALF, 256)
    return label, chosen


@njit(nogil=True, cache=True)
def _fill(
    indices, key, split, stamps, table, empty, shape, light, by_area, x, labels, targets, mask
):
    """Draw problems into x float32 [n, size, size] and labels, or targets and mask if these are not
    empty.

    Returns False where the paths do not fit the canvas.
    """
    side = empty.shape[0]
    bits = np.empty_like(empty)
    image = np.empty((side, side), np.uint8)
    dense = targets.size > 0
    marked = np.empty((side, side) if dense else (0, 0), np.uint8)
    total = 2 * shape[0] + shape[2] * max(1, shape[0] // 3)
    record = (np.empty((total, 3), np.int32), np.empty((2, 2), np.int32))
    ends = np.empty((3, 2), np.int64)
    share = np.empty(x.shape[1:], np.float32)
    for i in range(len(indices)):
        problem = problem_number(key, indices[i], split)
        label, _ = _draw(
            problem, stamps, table, empty, shape, light, bits, image, marked, record, ends
        )
        if label < 0:
            return False
        reduce_into(image, x[i], by_area, -0.5)
        if dense:
            reduce_into(marked, share, by_area, 0.0)
            for r in range(x.shape[1]):
                for c in range(x.shape[2]):
                    ink = x[i, r, c] + np.float32(0.5)
                    mask[i, r, c] = ink >= _INK / 255
                    targets[i, r, c] = mask[i, r, c] and 2 * share[r, c] > ink
        else:
            labels[i] = label
    return True


class Pathfinder(ContourTask):
    """Say whether two discs lie on the same dashed path. Inputs: float32 [n, 1, size, size].

    The difficulty is the number of paddles in each of the two target paths. The split of a problem
    is decided by the hash of the number it is drawn from.

    size: pixels a side of the inputs; canvas: of the drawing, 300 as published, reduced to `size`.
    border, start: pixels kept empty at the edge, and least distance of the first paddle from it; by
    default 22 and 54 of 300, in proportion. distractors: short paths of a third of the length; by
    default 15 per 300 x 300 pixels. contrast: brightness of paddles in (0, 1], or (low, high) to
    draw it for each. continuity: sharper turns have weight cos²(min(continuity · |turn|, π/2)); 1.8
    as published, more is straighter. matched: published drawings let the distance of the discs
    betray most labels (the ends of a path are nearly always close to 11 L apart, those of two paths
    are not: a classifier on this distance alone is right on 89, 86 and 73 % at lengths 6, 9 and
    14); with `matched` only drawings are used in which both answers would put the discs equally far
    apart, to half a pixel. segmentation: a dense form with one disc: mark the path it lies on
    (class 1) among all ink (the mask). reduction, flips: see `ContourTask`.

    The quick preset draws paddles of the same size on a canvas of 160, the smallest on which paths
    of 14 find room, with distractors in proportion, and takes the mean over 2.5 x 2.5 pixels.
    """

    presets = {
        "smoke": {
            "options": {"size": 64, "canvas": 160, "border": 6, "reduction": "area"},
            "train_difficulty": 4,
            "test_difficulties": (4, 6),
            "train_samples": (256,),
            "evaluation": {"samples": 64},
        },
        "quick": {
            "options": {"size": 64, "canvas": 160, "border": 6, "reduction": "area"},
            "train_difficulty": 6,
            "test_difficulties": (6, 9, 14),
            "evaluation": {"samples": 2000, "iterations": 32},
        },
        # The sample-efficiency runs of Lüddecke and Ecker.
        "paper": {
            "train_difficulty": 6,
            "test_difficulties": (6, 9, 14),
            "train_samples": (1000, 10_000, 100_000, 360_000),
            "train": PAPER_TRAINING,
        },
    }

    def __init__(
        self,
        size: int = 150,
        canvas: int = CANVAS,
        border: int | None = None,
        start: int | None = None,
        distractors: int | None = None,
        contrast: float | tuple[float, float] = 1.0,
        continuity: float = 1.8,
        matched: bool = False,
        segmentation: bool = False,
        reduction: str = "nearest",
        flips: bool = False,
    ) -> None:
        super().__init__(size, canvas, reduction, flips)
        scale = self.canvas / CANVAS
        border = round(BORDER * scale) if border is None else border
        start = round(START * scale) if start is None else start
        distractors = round(DISTRACTORS * scale**2) if distractors is None else distractors
        self.border = check_whole("border", border, 0, self.canvas // 2 - 12)
        self.start = check_whole("start", start, self.border, self.canvas // 2)
        self.distractors = check_whole("distractors", distractors, 0, 10_000)
        self.matched = bool(matched)
        self.segmentation = bool(segmentation)
        self._turns = turn_table(continuity)
        low, high = (contrast, contrast) if isinstance(contrast, (int, float)) else contrast
        if not 0 < low <= high <= 1:
            raise ValueError(f"contrast must be in (0, 1], or low and high, not {contrast!r}")
        self._light = (round(256 * low), round(256 * high))
        self.spec = TaskSpec(
            name="pathfinder",
            in_channels=1,
            spatial_dims=2,
            dense=self.segmentation,
            outputs=2 if self.segmentation else 1,
            difficulties=(6, 9, 14),
            train_difficulty=6,
            size=(self.size, self.size),
            chance=0.0 if self.segmentation else 0.5,
            difficulty_label="path length",
            answers=() if self.segmentation else ("different paths", "same path"),
        )

    def check_difficulty(self, difficulty: Difficulty) -> None:
        # Ink of both paths at a third of the open canvas: past it, paths hardly ever find room.
        open_side = self.canvas - 2 * self.border
        most = max(2, open_side**2 // (3 * 2 * PITCH * (THICKNESS + 2 * MARGIN)))
        check_whole(f"pathfinder length on a canvas of {self.canvas}", difficulty, 2, most)

    def _shape(self, length: int) -> tuple[int, int, int, float]:
        return length, self.start, self.distractors, _MATCH if self.matched else 0.0

    def _empty(self) -> np.ndarray:
        """uint64 bitmap of the canvas in which only the border is occupied."""
        taken = np.ones((self.canvas, words_across(self.canvas) * 64), bool)
        inside = slice(self.border, self.canvas - self.border)
        taken[inside, 64 + self.border : 64 + self.canvas - self.border] = False
        return pack_rows(taken.reshape(self.canvas, -1, 64))

    def _key(self, length: int, seed: int, split: str) -> np.uint64:
        return stream_key("pathfinder", seed, split, length)

    def _no_room(self, length: int) -> ValueError:
        return ValueError(
            f"pathfinder paths of {length} paddles with {self.distractors} distractors do not fit a"
            f" canvas of {self.canvas} with a border of {self.border}"
        )

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        length, count = int(difficulty), len(indices)
        x = np.empty((count, self.size, self.size), np.float32)
        dense = (count, self.size, self.size) if self.segmentation else (0, 0, 0)
        labels, targets = np.empty(count, np.int64), np.empty(dense, np.int64)
        mask = np.empty(dense, np.bool_)
        fits = _fill(
            indices,
            self._key(length, seed, split),
            SPLIT_NUMBER[split],
            _stamps(),
            self._turns,
            self._empty(),
            self._shape(length),
            self._light,
            self.reduction == "area",
            x,
            labels,
            targets,
            mask,
        )
        if not fits:
            raise self._no_room(length)
        inputs = torch.from_numpy(x).unsqueeze(1)
        if self.segmentation:
            return Batch(inputs, torch.from_numpy(targets), torch.from_numpy(mask))
        return Batch(inputs, torch.from_numpy(labels))

    def draw_with_record(
        self, difficulty: int, indices: np.ndarray, seed: int = 0, split: str = "train"
    ) -> tuple[np.ndarray, PathfinderRecord]:
        """The drawings behind problems `indices`, before reduction, and how they were made.

        Returns uint8 [n, canvas, canvas] and the record. ValueError where the paths do not fit.
        """
        self.check_difficulty(difficulty)
        length, count, canvas = int(difficulty), len(indices), self.canvas
        short = max(1, length // 3)
        total = 2 * length + self.distractors * short
        images = np.empty((count, canvas, canvas), np.uint8)
        marked = np.empty((canvas, canvas) if self.segmentation else (0, 0), np.uint8)
        paddles, discs = np.empty((count, total, 3), np.int32), np.empty((count, 2, 2), np.int32)
        labels, chosen = np.empty(count, np.int64), np.empty(count, np.int64)
        problems = np.empty(count, np.uint64)
        empty, ends = self._empty(), np.empty((3, 2), np.int64)
        bits, key = np.empty_like(empty), self._key(length, seed, split)
        for i, index in enumerate(indices):
            problems[i] = problem_number(key, np.int64(index), SPLIT_NUMBER[split])
            labels[i], chosen[i] = _draw(
                problems[i],
                _stamps(),
                self._turns,
                empty,
                self._shape(length),
                self._light,
                bits,
                images[i],
                marked,
                (paddles[i], discs[i]),
                ends,
            )
            if labels[i] < 0:
                raise self._no_room(length)
        owner = np.repeat(
            np.arange(2 + self.distractors, dtype=np.int32),
            [length, length] + [short] * self.distractors,
        )
        return images, PathfinderRecord(paddles, owner, discs, labels, chosen, problems)
