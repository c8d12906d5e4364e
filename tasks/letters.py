"""The two letters of Cluttered ABC: transformed, bent and placed so that they overlap a little.

Letters are kept as lines of points, so that bending moves points and strokes keep their width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from tasks.drawing import area, disc_bits, set_bits, shared_area, words_across
from tasks.sampling import below, normal, uniform

STROKE = 8  # width, pixels: 7 by name, but the reference's strokes measure 8
HEIGHT = 160.0  # of an untransformed letter, pixels: chosen to match the reference's share of ink
CLEAR = 9  # letters grown by this must overlap a little:
# by at least the first share of one of them, by less than the second of both
OVERLAP = (0.01, 0.15)
RING_CLEAR = 14  # the first ring keeps this far from the other letter
BUMPS, BUMP_WIDTH = 10, 39.0
BUMP_HEIGHT = 11.0  # pixels at the top of one bump; ours, chosen by eye
EDGE = 3  # strokes stay this far inside the canvas
POINTS = 4096  # of one letter, at most
_SPACING = 1.5  # pixels between the discs that make up a stroke, at most


class Spread(NamedTuple):
    """Deviations of a transform: of p in the size 0.5^p, of the turn in degrees, of the shear."""

    size: float
    turn: float
    shear: float


class Level(NamedTuple):
    """One difficulty. shared, own: spread of the part of the transform that both letters share and
    of each letter's own. radius: range of the centroids' distance from the middle, pixels.
    separation: least angle between them, degrees."""

    shared: Spread
    own: Spread
    radius: tuple[float, float]
    separation: float


class Pens(NamedTuple):
    """Rows of bits: of the stroke, of it grown by `CLEAR` and by `RING_CLEAR` pixels."""

    stroke: np.ndarray
    grown: np.ndarray
    reserved: np.ndarray


class Pair(NamedTuple):
    """Both letters as written.

    pen_points: float64 [2, POINTS, 2], places of the pen around the centroid; counts: int64 [2],
    how many. ink, grown, reserved: bitmaps uint64 [2, side, words], see `Pens`. centroids: float64
    [2, 2]. overlaps: float64 [2], the share of each grown letter that the other covers. boxes:
    float64 [2, 4], least row and column, most row and column of the places.
    """

    pen_points: np.ndarray
    counts: np.ndarray
    ink: np.ndarray
    grown: np.ndarray
    reserved: np.ndarray
    centroids: np.ndarray
    overlaps: np.ndarray
    boxes: np.ndarray


@lru_cache(maxsize=1)
def pens() -> Pens:
    """Drawn once a process."""
    return Pens(*(disc_bits(STROKE / 2 + grown) for grown in (0, CLEAR, RING_CLEAR)))


def empty_pair(side: int) -> Pair:
    """Room for two letters on a canvas of `side` pixels."""
    points, counts = np.empty((2, POINTS, 2)), np.empty(2, np.int64)
    ink, grown, reserved = np.empty((3, 2, side, words_across(side)), np.uint64)
    centroids, overlaps, boxes = np.empty((2, 2)), np.empty(2), np.empty((2, 4))
    return Pair(points, counts, ink, grown, reserved, centroids, overlaps, boxes)


@njit(inline="always")
def _normal_within_two(state, deviation):
    """Normal number, drawn again until within two deviations."""
    while True:
        z = normal(state)
        if abs(z) <= 2:
            return z * deviation


@njit(inline="always")
def _transform(state, shared, own, out):
    """The 2 x 2 matrix of a letter, rows first: shear, then size per axis, then rotation."""
    size_y = 0.5 ** (shared[0] + _normal_within_two(state, own.size))
    size_x = 0.5 ** (shared[1] + _normal_within_two(state, own.size))
    angle = (shared[2] + _normal_within_two(state, own.turn)) * (np.pi / 180)
    shear = shared[3] + _normal_within_two(state, own.shear)
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

    pen_points: float64 [POINTS, 2], filled with places of the pen, at most 1.5 pixels apart,
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
        row = np.int64(np.rint(pen_points[k, 0] + y))
        column = np.int64(np.rint(pen_points[k, 1] + x))
        if row != last_row or column != last_column:
            set_bits(bits, pen, row - half, column - half)
        last_row, last_column = row, column


@njit
def write_letters(state, alphabet, facts, level, pair):
    """Draw a transform and a bend for both letters and write them down around their centroids.

    facts: int64 [3], font and both letters of an `Alphabet`.
    """
    shared = np.empty(4)
    shared[0] = _normal_within_two(state, level.shared.size)
    shared[1] = _normal_within_two(state, level.shared.size)
    shared[2] = _normal_within_two(state, level.shared.turn)
    shared[3] = _normal_within_two(state, level.shared.shear)
    matrix, bumps = np.empty((2, 2)), np.empty((2 * BUMPS, 3))
    for i in range(2):
        low, high = alphabet.bounds[facts[0], facts[1 + i]]
        points, starts = alphabet.points[low:high], alphabet.starts[low:high]
        _transform(state, shared, level.own, matrix)
        _bumps(state, HEIGHT, bumps)
        pair.counts[i] = _write(points, starts, matrix, bumps, pair.pen_points[i])
        _measure(pair.pen_points[i], pair.counts[i], pair.boxes[i])


@njit(inline="always")
def _trace_both(bits, pen, pair):
    for i in range(2):
        y, x = pair.centroids[i]
        _trace(bits[i], pen, pair.pen_points[i], pair.counts[i], y, x)


@njit
def place_letters(state, level, pens, pair):
    """Find places for both. False if they overlap too much or too little or leave the canvas."""
    side, centroids = pair.ink.shape[1], pair.centroids
    radius = level.radius[0] + uniform(state) * (level.radius[1] - level.radius[0])
    angle = uniform(state) * 360
    for i in range(2):
        if i == 1:
            angle += level.separation + uniform(state) * (360 - 2 * level.separation)
        centroids[i, 0] = (side - 1) / 2 - radius * np.sin(angle * np.pi / 180)
        centroids[i, 1] = (side - 1) / 2 + radius * np.cos(angle * np.pi / 180)
        if not _inside(pair.boxes[i], centroids[i, 0], centroids[i, 1], side):
            return False
    if _boxes_apart(pair.boxes, centroids, STROKE / 2 + CLEAR + 1):
        return False
    _trace_both(pair.grown, pens.grown, pair)
    both = shared_area(pair.grown[0], pair.grown[1])
    for i in range(2):
        pair.overlaps[i] = both / area(pair.grown[i])
    most = max(pair.overlaps[0], pair.overlaps[1])
    if most < OVERLAP[0] or most >= OVERLAP[1]:
        return False
    _trace_both(pair.ink, pens.stroke, pair)
    _trace_both(pair.reserved, pens.reserved, pair)
    return True
