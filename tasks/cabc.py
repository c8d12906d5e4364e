"""Cluttered ABC: do the two rings lie on the same letter? (Kim et al., ICLR 2020,
arXiv:1906.01558).

Two overlapping capitals, written with strokes of equal width, moved, turned, bent and then broken
into dots. Letters are kept as lines of points, so that bending moves points and strokes keep their
width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numba import njit

from tasks.base import Batch, Difficulty, TaskSpec
from tasks.contours import PAPER_TRAINING, ContourTask, problem_number
from tasks.drawing import (
    area,
    bit_at,
    disc_bits,
    disc_stamp,
    erase,
    fill_square,
    paint_max,
    reduce_into,
    set_bits,
    shared_area,
    window_count,
    words_across,
)
from tasks.sampling import SPLIT_NUMBER, below, next_u64, normal, stream_key, uniform
from tasks.strokes import FONTS, alphabet

CANVAS = 350
STROKE = 8  # width, pixels: 7 by name, but the reference's strokes measure 8
HEIGHT = 160.0  # of an untransformed letter, pixels: chosen to match the reference's share of ink
CLEAR = 9  # letters grown by this must overlap a little:
OVERLAP = (
    0.01,
    0.15,
)  # by at least the first share of one of them, by less than the second of both
RING_CLEAR = 14  # the first ring keeps this far from the other letter
PATCH = 5
PATCH_INK = 8  # pixels of 25: the least above 30 %
KEPT = 0.8
SHIFT, SHIFT_MOST = 2.0, 4
RING, RING_INSIDE = 11, 8
NEAREST_RINGS = 23
BUMPS, BUMP_WIDTH = 10, 39.0
BUMP_HEIGHT = 11.0  # pixels at the top of one bump; ours, chosen by eye
EDGE = 3  # strokes stay this far inside the canvas
CENTRE_SPREAD = (
    70.0  # the first ring's pull towards the centre: a Gaussian of this deviation, pixels
)

_SPACING = 1.5  # pixels between the discs that make up a stroke, at most
_POINTS = 4096  # of one letter, at most
# places tried for two letters before they are transformed anew: few, and letters get smaller
_PLACES = 60
_TRIES = 100 * _PLACES  # before other letters are drawn
_RING_HALF = RING + 4
_PATCH_MASK = np.uint64(2**PATCH - 1)


class Level(NamedTuple):
    """One difficulty. Deviations of the shared and of the per-letter part of the transform: of p in
    the size 0.5^p, of the rotation in degrees, of the shear; radius range in pixels; least
    separation."""

    shared: tuple[float, float, float]
    own: tuple[float, float, float]
    radius: tuple[float, float]
    separation: float


LEVELS = {
    "easy": Level((0.5, 30.0, 0.2), (0.0, 0.0, 0.0), (50.0, 60.0), 170.0),
    "intermediate": Level((0.354, 21.2, 0.141), (0.354, 21.2, 0.141), (40.0, 70.0), 110.0),
    "hard": Level((0.0, 0.0, 0.0), (0.5, 30.0, 0.2), (30.0, 80.0), 60.0),
}


@dataclass(frozen=True)
class CabcRecord:
    """How drawings were made, for checking them.

    fonts: int64 [n]. letters: int64 [n, 2], 0 for A. rings: int64 [n, 2, 2], rows and columns.
    labels: int64 [n]. centroids: float64 [n, 2, 2]. overlaps: float64 [n, 2], the share of each
    grown letter that the other covers. ink: bool [n, 2, canvas, canvas], the letters' strokes.
    problems: uint64 [n], the numbers the drawings are pure functions of.
    """

    fonts: np.ndarray
    letters: np.ndarray
    rings: np.ndarray
    labels: np.ndarray
    centroids: np.ndarray
    overlaps: np.ndarray
    ink: np.ndarray
    problems: np.ndarray


@lru_cache(maxsize=1)
def _stamps() -> tuple[np.ndarray, ...]:
    """Pens of the stroke, of it grown by 9 and by 14 pixels (rows of bits); the ring, its
    inside."""
    outer, inner = (disc_stamp(r, _RING_HALF) for r in (RING, RING_INSIDE))
    pens = [disc_bits(STROKE / 2 + grown) for grown in (0, CLEAR, RING_CLEAR)]
    return (*pens, outer - np.minimum(outer, inner), inner)


@njit(inline="always")
def _normal_within_two(state, deviation):
    """Normal number, drawn again until within two deviations."""
    while True:
        z = normal(state)
        if abs(z) <= 2:
            return z * deviation


@njit(inline="always")
def _transform(state, shared, own, out):
    """Row by row the 2 x 2 matrix of a letter: shear, then size per axis, then rotation; rows
    first."""
    size_y = 0.5 ** (shared[0] + _normal_within_two(state, own[0]))
    size_x = 0.5 ** (shared[1] + _normal_within_two(state, own[0]))
    angle = (shared[2] + _normal_within_two(state, own[1])) * (np.pi / 180)
    shear = shared[3] + _normal_within_two(state, own[2])
    c, s = np.cos(angle), np.sin(angle)
    # x' = size_x (x + shear y), y' = size_y y, then turned.
    out[0, 0] = c * size_y - s * size_x * shear
    out[0, 1] = -s * size_x
    out[1, 0] = s * size_y + c * size_x * shear
    out[1, 1] = c * size_x


@njit(inline="always")
def _bumps(state, half, bumps):
    """A smooth displacement, in each direction the sum of ten Gaussians of either sign.

    bumps: float64 [20, 3], centre row and column within `half` of the letter's middle, signed
    height.
    """
    for b in range(2 * BUMPS):
        bumps[b, 0] = (2 * uniform(state) - 1) * half
        bumps[b, 1] = (2 * uniform(state) - 1) * half
        bumps[b, 2] = BUMP_HEIGHT if below(state, 2) == 1 else -BUMP_HEIGHT


@njit(inline="always")
def _bend(bumps, y, x):
    dy = dx = 0.0
    scale = -0.5 / (BUMP_WIDTH * BUMP_WIDTH)
    for b in range(BUMPS):
        a = bumps[b]
        dy += a[2] * np.exp(scale * ((y - a[0]) ** 2 + (x - a[1]) ** 2))
        a = bumps[b + BUMPS]
        dx += a[2] * np.exp(scale * ((y - a[0]) ** 2 + (x - a[1]) ** 2))
    return y + dy, x + dx


@njit
def _write(points, starts, matrix, bumps, pen_points):
    """Transform and bend a letter and fill gaps between its points.

    pen_points: float64 [_POINTS, 2], filled with places of the pen, at most 1.5 pixels apart,
    around their mean. Returns how many.
    """
    n = 0
    last_y = last_x = 0.0
    for i in range(len(points)):
        y = HEIGHT * (matrix[0, 0] * points[i, 0] + matrix[0, 1] * points[i, 1])
        x = HEIGHT * (matrix[1, 0] * points[i, 0] + matrix[1, 1] * points[i, 1])
        y, x = _bend(bumps, y, x)
        steps = 1
        if not starts[i]:
            steps = max(1, int(np.ceil(np.hypot(y - last_y, x - last_x) / _SPACING)))
        for k in range(1, steps + 1):
            if n < len(pen_points):
                pen_points[n, 0] = last_y + (y - last_y) * k / steps if steps > 1 else y
                pen_points[n, 1] = last_x + (x - last_x) * k / steps if steps > 1 else x
                n += 1
        last_y, last_x = y, x
    middle_y = pen_points[:n, 0].mean()
    middle_x = pen_points[:n, 1].mean()
    for k in range(n):
        pen_points[k, 0] -= middle_y
        pen_points[k, 1] -= middle_x
    return n


@njit(inline="always")
def _measure(pen_points, n, box):
    """The box around a letter: float64 [4], least row and column, most row and column."""
    box[0], box[1] = pen_points[0]
    box[2], box[3] = pen_points[0]
    for k in range(1, n):
        y, x = pen_points[k]
        box[0], box[1] = min(box[0], y), min(box[1], x)
        box[2], box[3] = max(box[2], y), max(box[3], x)


@njit(inline="always")
def _inside(box, y, x, side):
    """Whether a letter moved by (y, x) keeps its strokes off the edge."""
    low, high = EDGE + STROKE / 2, side - 1 - EDGE - STROKE / 2
    return box[0] + y >= low and box[1] + x >= low and box[2] + y <= high and box[3] + x <= high


@njit(inline="always")
def _boxes_apart(boxes, centroids, reach):
    """Whether two boxes grown by `reach` leave a gap, so that what is in them cannot meet."""
    for axis in range(2):
        gap = max(
            boxes[0, axis] + centroids[0, axis] - boxes[1, axis + 2] - centroids[1, axis],
            boxes[1, axis] + centroids[1, axis] - boxes[0, axis + 2] - centroids[0, axis],
        )
        if gap > 2 * reach:
            return True
    return False


@njit(inline="always")
def _trace(bits, pen, pen_points, n, y, x):
    """Draw a letter with a pen into an emptied bitmap."""
    half = len(pen) // 2
    bits[:] = np.uint64(0)
    last_row = last_column = -1000
    for k in range(n):
        row, column = (
            np.int64(np.rint(pen_points[k, 0] + y)),
            np.int64(np.rint(pen_points[k, 1] + x)),
        )
        if row != last_row or column != last_column:
            set_bits(bits, pen, row - half, column - half)
        last_row, last_column = row, column


@njit
def _write_letters(state, letters, level, canvas):
    """Draw a transform and a bend for both letters and write them down around their centroids.

    letters: ((points, starts), (points, starts)). level: the fields of `Level`. canvas: see
    `_scratch`.
    """
    shared_sd, own_sd = level[0], level[1]
    shared = np.empty(4)
    shared[0] = _normal_within_two(state, shared_sd[0])
    shared[1] = _normal_within_two(state, shared_sd[0])
    shared[2] = _normal_within_two(state, shared_sd[1])
    shared[3] = _normal_within_two(state, shared_sd[2])
    matrix, bumps = np.empty((2, 2)), np.empty((2 * BUMPS, 3))
    for i in range(2):
        _transform(state, shared, own_sd, matrix)
        _bumps(state, HEIGHT, bumps)
        canvas[1][i] = _write(letters[i][0], letters[i][1], matrix, bumps, canvas[0][i])
        _measure(canvas[0][i], canvas[1][i], canvas[7][i])


@njit
def _place_letters(state, level, stamps, side, canvas):
    """Find places for both letters. False if they overlap too much or too little or leave the
    canvas."""
    pen_points, counts, ink, grown, reserved, centroids, overlaps, boxes = canvas
    radius_range, separation = level[2], level[3]
    radius = radius_range[0] + uniform(state) * (radius_range[1] - radius_range[0])
    angle = uniform(state) * 360
    for i in range(2):
        if i == 1:
            angle += separation + uniform(state) * (360 - 2 * separation)
        centroids[i, 0] = (side - 1) / 2 - radius * np.sin(angle * np.pi / 180)
        centroids[i, 1] = (side - 1) / 2 + radius * np.cos(angle * np.pi / 180)
        if not _inside(boxes[i], centroids[i, 0], centroids[i, 1], side):
            return False
    if _boxes_apart(boxes, centroids, STROKE / 2 + CLEAR + 1):
        return False
    for i in range(2):
        y, x = centroids[i, 0], centroids[i, 1]
        _trace(grown[i], stamps[1], pen_points[i], counts[i], y, x)
    both = shared_area(grown[0], grown[1])
    for i in range(2):
        overlaps[i] = both / area(grown[i])
    most = max(overlaps[0], overlaps[1])
    if most < OVERLAP[0] or most >= OVERLAP[1]:
        return False
    for i in range(2):
        y, x = centroids[i, 0], centroids[i, 1]
        _trace(ink[i], stamps[0], pen_points[i], counts[i], y, x)
        _trace(reserved[i], stamps[2], pen_points[i], counts[i], y, x)
    return True


@njit(inline="always")
def _own_places(pen_points, n, centroid, other_reserved, places):
    """Whole pixels along a letter's strokes that the other letter keeps clear of, at a ring's
    distance from the edge. places: int64 [_POINTS, 2]. Returns how many."""
    m = 0
    side = other_reserved.shape[0]
    for k in range(n):
        row = np.int64(np.rint(pen_points[k, 0] + centroid[0]))
        column = np.int64(np.rint(pen_points[k, 1] + centroid[1]))
        if min(row, column) < RING or max(row, column) >= side - RING:
            continue
        if m > 0 and places[m - 1, 0] == row and places[m - 1, 1] == column:
            continue
        if bit_at(other_reserved, row, column) == 0:
            places[m, 0], places[m, 1] = row, column
            m += 1
    return m


@njit(inline="always")
def _choose_weighted(state, places, n, middle):
    """A place with weight by nearness to the middle."""
    scale = -0.5 / (CENTRE_SPREAD * CENTRE_SPREAD)
    total = 0.0
    for k in range(n):
        far = (places[k, 0] - middle) ** 2 + (places[k, 1] - middle) ** 2
        total += np.exp(scale * far)
    u = uniform(state) * total
    for k in range(n):
        far = (places[k, 0] - middle) ** 2 + (places[k, 1] - middle) ** 2
        u -= np.exp(scale * far)
        if u < 0:
            return k
    return n - 1


@njit
def _mark(state, label, places, numbers, side, rings):
    """Choose the places of both rings. places: int64 [2, _POINTS, 2]; numbers: int64 [2].

    The distance is drawn before it is known on which letter the second ring falls, from those at
    which both have room, so that it says nothing of the label. False where there is no such
    distance.
    """
    if numbers[0] == 0 or numbers[1] == 0:
        return False
    first = _choose_weighted(state, places[0], numbers[0], (side - 1) / 2)
    rings[0] = places[0, first]
    at_distance = np.zeros((2, 2 * side), np.int64)
    for i in range(2):
        for k in range(numbers[i]):
            dy, dx = places[i, k, 0] - rings[0, 0], places[i, k, 1] - rings[0, 1]
            at_distance[i, np.int64(np.rint(np.hypot(np.float64(dy), np.float64(dx))))] += 1
    possible = 0
    for d in range(NEAREST_RINGS, 2 * side):
        possible += at_distance[0, d] > 0 and at_distance[1, d] > 0
    if possible == 0:
        return False
    pick = below(state, possible)
    distance = NEAREST_RINGS
    for d in range(NEAREST_RINGS, 2 * side):
        if at_distance[0, d] > 0 and at_distance[1, d] > 0:
            if pick == 0:
                distance = d
                break
            pick -= 1
    on = 0 if label == 1 else 1
    pick = below(state, at_distance[on, distance])
    for k in range(numbers[on]):
        dy, dx = places[on, k, 0] - rings[0, 0], places[on, k, 1] - rings[0, 1]
        if np.int64(np.rint(np.hypot(np.float64(dy), np.float64(dx)))) == distance:
            if pick == 0:
                rings[1] = places[on, k]
                break
            pick -= 1
    return True


@njit(inline="always")
def _shift(state):
    """Whole pixels by which a dot is moved: normal, cut to a whole number towards 0, clipped."""
    return min(max(np.int64(SHIFT * normal(state)), -SHIFT_MOST), SHIFT_MOST)


@njit
def _dot(state, bits, image):
    """Break a letter into dots."""
    side = image.shape[0]
    for top in range(0, side - PATCH + 1, PATCH):
        empty = np.uint64(0)
        for r in range(top, top + PATCH):
            for w in range(1, bits.shape[1] - 1):
                empty |= bits[r, w]
        if empty == 0:
            continue
        for left in range(0, side - PATCH + 1, PATCH):
            if window_count(bits, top, left, PATCH, _PATCH_MASK) < PATCH_INK:
                continue
            if uniform(state) < KEPT:
                fill_square(image, top + _shift(state), left + _shift(state), PATCH)


@njit(nogil=True, cache=True)
def _draw(problem, fonts, level, stamps, image, canvas, rings, facts):
    """Draw one problem. facts: int64 [3], font and both letters. Returns the label."""
    points, starts, bounds = fonts
    state = np.empty(1, np.uint64)
    state[0] = problem
    side = image.shape[0]
    label = np.int64(next_u64(state) >> np.uint64(63))
    places = np.empty((2, _POINTS, 2), np.int64)
    numbers = np.empty(2, np.int64)
    done = False
    while not done:
        facts[0] = below(state, len(bounds))
        facts[1], facts[2] = below(state, 26), below(state, 26)
        a0, a1 = bounds[facts[0], facts[1]]
        b0, b1 = bounds[facts[0], facts[2]]
        letters = ((points[a0:a1], starts[a0:a1]), (points[b0:b1], starts[b0:b1]))
        for attempt in range(_TRIES):
            if attempt % _PLACES == 0:
                _write_letters(state, letters, level, canvas)
            if not _place_letters(state, level, stamps, side, canvas):
                continue
            pen_points, counts, centroids = canvas[0], canvas[1], canvas[5]
            for i in range(2):
                other = canvas[4][1 - i]
                numbers[i] = _own_places(pen_points[i], counts[i], centroids[i], other, places[i])
            if _mark(state, label, places, numbers, side, rings):
                done = True
                break
    image[:] = 0
    for i in range(2):
        _dot(state, canvas[2][i], image)
    for i in range(2):
        erase(image, stamps[4], rings[i, 0] - _RING_HALF, rings[i, 1] - _RING_HALF)
    for i in range(2):
        paint_max(image, stamps[3], rings[i, 0] - _RING_HALF, rings[i, 1] - _RING_HALF, 256)
    return label


@njit
def _scratch(side, words):
    """Room to draw in, for both letters: places of the pen around the centroid float64 [2, _POINTS,
    2], how many int64 [2], bitmaps of ink, of grown and of reserved letters, centroids, overlaps,
    boxes."""
    bitmaps = np.empty((3, 2, side, words), np.uint64)
    pen_points, counts = np.empty((2, _POINTS, 2)), np.empty(2, np.int64)
    centroids, overlaps, boxes = np.empty((2, 2)), np.empty(2), np.empty((2, 4))
    return pen_points, counts, bitmaps[0], bitmaps[1], bitmaps[2], centroids, overlaps, boxes


@njit(nogil=True, cache=True)
def _fill(indices, key, split, fonts, level, stamps, side, words, by_area, x, labels):
    """Draw problems into x float32 [n, size, size] and labels int64 [n]."""
    image = np.empty((side, side), np.uint8)
    canvas = _scratch(side, words)
    rings, facts = np.empty((2, 2), np.int64), np.empty(3, np.int64)
    for i in range(len(indices)):
        problem = problem_number(key, indices[i], split)
        labels[i] = _draw(problem, fonts, level, stamps, image, canvas, rings, facts)
        reduce_into(image, x[i], by_area, -0.5)


class ClutteredABC(ContourTask):
    """Say whether two rings lie on the same letter of two.

    Inputs: float32 [n, 1, size, size]. Difficulties: easy, intermediate, hard (`LEVELS`). The split
    of a problem is decided by the hash of the number it is drawn from. Letters come from stroke
    fonts of our own (`tasks.strokes`); the published set uses other fonts of strokes.

    size: pixels a side of the inputs, reduced from a drawing of 350. fonts: names of fonts to use,
    by default all. reduction, flips: see `ContourTask`.
    """

    presets = {
        "smoke": {
            "options": {"size": 64, "reduction": "area"},
            "train_difficulty": "easy",
            "test_difficulties": ("easy", "hard"),
            "train_samples": (256,),
            "evaluation": {"samples": 64},
        },
        "quick": {
            "options": {"size": 96, "reduction": "area"},  # smaller, and rings are hard to see
            "train_difficulty": "easy",
            "test_difficulties": ("easy", "intermediate", "hard"),
            "evaluation": {"samples": 2000, "iterations": 32},
        },
        "paper": {
            "train_difficulty": "easy",
            "test_difficulties": ("easy", "intermediate", "hard"),
            "train_samples": (1000, 10_000, 100_000, 144_000),
            "train": PAPER_TRAINING,
        },
    }

    def __init__(
        self,
        size: int = 150,
        fonts: Sequence[str] | None = None,
        reduction: str = "nearest",
        flips: bool = False,
    ) -> None:
        super().__init__(size, CANVAS, reduction, flips)
        names = (fonts,) if isinstance(fonts, str) else fonts
        self.fonts = tuple(f.name for f in FONTS) if names is None else tuple(names)
        self._letters = alphabet(self.fonts)
        self.spec = TaskSpec(
            name="cabc",
            in_channels=1,
            spatial_dims=2,
            dense=False,
            outputs=1,
            difficulties=tuple(LEVELS),
            train_difficulty="easy",
            size=(self.size, self.size),
            chance=0.5,
            answers=("different letters", "same letter"),
        )

    def _key(self, difficulty: Difficulty, seed: int, split: str) -> np.uint64:
        return stream_key("cabc", seed, split, self.spec.level(difficulty))

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        x = np.empty((len(indices), self.size, self.size), np.float32)
        labels = np.empty(len(indices), np.int64)
        _fill(
            indices,
            self._key(difficulty, seed, split),
            SPLIT_NUMBER[split],
            self._letters,
            tuple(LEVELS[difficulty]),
            _stamps(),
            CANVAS,
            words_across(CANVAS),
            self.reduction == "area",
            x,
            labels,
        )
        return Batch(torch.from_numpy(x).unsqueeze(1), torch.from_numpy(labels))

    def draw_with_record(
        self, difficulty: str, indices: np.ndarray, seed: int = 0, split: str = "train"
    ) -> tuple[np.ndarray, CabcRecord]:
        """The drawings behind problems `indices`, before reduction, and how they were made.

        Returns uint8 [n, 350, 350] and the record.
        """
        self.check_difficulty(difficulty)
        count, key = len(indices), self._key(difficulty, seed, split)
        images = np.empty((count, CANVAS, CANVAS), np.uint8)
        rings, facts = np.empty((count, 2, 2), np.int64), np.empty((count, 3), np.int64)
        centroids, overlaps = np.empty((count, 2, 2)), np.empty((count, 2))
        ink = np.empty((count, 2, CANVAS, CANVAS), bool)
        labels, problems = np.empty(count, np.int64), np.empty(count, np.uint64)
        canvas = _scratch(CANVAS, words_across(CANVAS))
        for i, index in enumerate(indices):
            problems[i] = problem_number(key, np.int64(index), SPLIT_NUMBER[split])
            labels[i] = _draw(
                problems[i],
                self._letters,
                tuple(LEVELS[difficulty]),
                _stamps(),
                images[i],
                canvas,
                rings[i],
                facts[i],
            )
            centroids[i], overlaps[i] = canvas[5], canvas[6]
            ink[i] = _unpacked(canvas[2])
        record = CabcRecord(
            facts[:, 0], facts[:, 1:], rings, labels, centroids, overlaps, ink, problems
        )
        return images, record


def _unpacked(bitmaps: np.ndarray) -> np.ndarray:
    """bool [2, 350, 350] of two bitmaps."""
    shifts = np.arange(64, dtype=np.uint64)
    ones = (bitmaps[..., None] >> shifts) & np.uint64(1)
    return ones.reshape(*bitmaps.shape[:-1], -1)[..., 64 : 64 + CANVAS].astype(bool)
