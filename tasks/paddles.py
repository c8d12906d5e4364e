"""Dashed paths for Pathfinder: paddles that follow one another where there is room.

The construction is that of Lüddecke and Ecker: paddles of 5 x 2 pixels, 11 pixels apart, two target
paths of L paddles and distractors of L / 3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from tasks.drawing import (
    disc_stamp,
    distance,
    flip_bits,
    line_stamp,
    meets,
    near_line,
    pack_rows,
    set_bits,
)
from tasks.sampling import below, uniform

LENGTH, THICKNESS = 5, 2  # of a paddle, pixels
# As drawn: with these, ink and gaps measure within 3 % of the reference drawings.
DRAWN_THICKNESS, OVERRUN = 1.9, 0.3
MARGIN = 3  # kept free around a paddle
PITCH, REACH = 11, 8  # pivot to pivot; pivot to the head of its paddle
PAIR = 27  # between the first paddles of the two target paths
DISC = 5  # radius
INK = 64  # of 255: what counts as occupied, and as ink in the segmentation form
HALF = 12  # a paddle's stamp reaches this far from its head, margin and filter ringing included
DISC_HALF = DISC + 4
_TRIES = 3
_RESTARTS = 20_000  # of both paths, before the length is said not to fit
_PLACES = 2_000  # starts of one distractor, before the whole drawing is begun anew
_CROWDED = 50  # drawings begun anew for want of room, before the distractors are said not to fit


class Stamps(NamedTuple):
    """By direction: pictures uint8 [K, s, s] of a paddle, ink and mask rows uint64 [K, s] and
    `directions()`; disc: uint8, of the disc."""

    pictures: np.ndarray
    ink: np.ndarray
    masks: np.ndarray
    disc: np.ndarray
    directions: np.ndarray


class Scene(NamedTuple):
    """What all drawings of one difficulty share.

    turns: see `turn_table`. border: uint64 bitmap in which only the border is occupied. length,
    short: paddles of a target path and of a distractor. distractors: how many. start: least
    distance of the first paddle from the edge, pixels. tolerance: pixels by which the distances of
    the discs may differ between the answers; 0 for any. dimmest, brightest: range of the paddles'
    brightness, 256 is all.
    """

    stamps: Stamps
    turns: np.ndarray
    border: np.ndarray
    length: int
    short: int
    distractors: int
    start: int
    tolerance: float
    dimmest: int
    brightest: int


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
    """float64 [K]: angles of `directions()`, radians counter-clockwise from growing columns."""
    ring = directions()
    return np.arctan2(-ring[:, 0], ring[:, 1])


@lru_cache(maxsize=1)
def stamps() -> Stamps:
    """Drawn once a process."""
    degrees = np.rad2deg(direction_angles())
    pictures = np.stack([line_stamp(d, LENGTH, DRAWN_THICKNESS, HALF, OVERRUN) for d in degrees])
    masks = np.stack([near_line(d, LENGTH, MARGIN, HALF) for d in degrees])
    disc = disc_stamp(DISC, DISC_HALF)
    return Stamps(pictures, pack_rows(pictures >= INK), pack_rows(masks), disc, directions())


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
def _ahead(scene, direction, distance):
    """Whole pixels (rows, columns) nearest to `distance` along a direction."""
    dy, dx = scene.stamps.directions[direction]
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
def _place(bits, scene, pivot, direction, out):
    """Put a paddle down if its mask is free; out gets (row, column, direction) of its head."""
    row = pivot[0] + scene.stamps.directions[direction, 0]
    column = pivot[1] + scene.stamps.directions[direction, 1]
    if row < 0 or column < 0 or row >= bits.shape[0] or column >= bits.shape[0]:
        return False
    if meets(bits, scene.stamps.masks[direction], row - HALF, column - HALF):
        return False
    set_bits(bits, scene.stamps.ink[direction], row - HALF, column - HALF)
    out[0], out[1], out[2] = row, column, direction
    return True


@njit(inline="always")
def _grow(state, bits, scene, pivot, last, out):
    """The next paddle of a path; moves the pivot on. False after three tries that meet ink."""
    dy, dx = _ahead(scene, last, PITCH)
    pivot[0] += dy
    pivot[1] += dx
    for _ in range(_TRIES):
        if _place(bits, scene, pivot, _next_direction(state, scene.turns[last]), out):
            return True
    return False


@njit(inline="always")
def _start(state, bits, scene, tail_row, tail_column, pivot, out):
    """First paddle of a path, its tail at the given place, in any direction."""
    direction = below(state, len(scene.stamps.directions))
    dy, dx = _ahead(scene, direction, REACH - LENGTH)
    pivot[0] = np.int64(np.rint(tail_row)) - dy
    pivot[1] = np.int64(np.rint(tail_column)) - dx
    return _place(bits, scene, pivot, direction, out)


@njit
def _two_paths(state, bits, scene, paddles, begun):
    """Grow both target paths in turn. paddles: int32 [2 * length, 3]. begun: gets the state that
    the last try began with. False if they never fit."""
    pivots = np.empty((2, 2), np.int64)
    side = bits.shape[0]
    for _ in range(_RESTARTS):
        begun[0] = state[0]
        bits[:] = scene.border
        row = scene.start + uniform(state) * (side - 2 * scene.start)
        column = scene.start + uniform(state) * (side - 2 * scene.start)
        away = uniform(state) * 2 * np.pi
        if not _start(state, bits, scene, row, column, pivots[0], paddles[0]):
            continue
        row += PAIR * np.sin(away)
        column += PAIR * np.cos(away)
        if not _start(state, bits, scene, row, column, pivots[1], paddles[scene.length]):
            continue
        if _grow_in_turn(state, bits, scene, pivots, paddles):
            return True
    return False


@njit
def _grow_in_turn(state, bits, scene, pivots, paddles):
    for step in range(1, scene.length):
        for path in range(2):
            here = path * scene.length + step
            last = paddles[here - 1, 2]
            if not _grow(state, bits, scene, pivots[path], last, paddles[here]):
                return False
    return True


@njit
def _distractor(state, bits, scene, paddles):
    """One short path anywhere free. False if none was found; what was put down is taken away."""
    pivot = np.empty(2, np.int64)
    side = bits.shape[0]
    for _ in range(_PLACES):
        row, column = uniform(state) * side, uniform(state) * side
        if not _start(state, bits, scene, row, column, pivot, paddles[0]):
            continue
        done = 1
        while done < scene.short:
            if not _grow(state, bits, scene, pivot, paddles[done - 1, 2], paddles[done]):
                break
            done += 1
        if done == scene.short:
            return True
        for p in range(done):  # ink never overlaps, so flipping it removes it
            ink = scene.stamps.ink[paddles[p, 2]]
            flip_bits(bits, ink, paddles[p, 0] - HALF, paddles[p, 1] - HALF)
    return False


@njit(inline="always")
def _tip(scene, paddles, path, last, out):
    """The tip a path ends in (last) or began with: out gets row and column."""
    at = paddles[path * scene.length + (scene.length - 1 if last else 0)]
    dy, dx = _ahead(scene, at[2], 0 if last else LENGTH)
    out[0], out[1] = at[0] - dy, at[1] - dx


@njit
def lay_out(state, bits, scene, paddles, ends, begun):
    """Target paths and distractors. paddles: int32 [P, 3], row, column and direction of each head.
    ends: int64 [3, 2], the first tip of a path chosen at random, its last tip and the other path's
    last tip. begun: uint64 [1], gets the state from which the same comes out at the first try.
    Returns the chosen path, or -1 where nothing fits."""
    crowded = 0
    for _ in range(_RESTARTS):
        if crowded == _CROWDED or not _two_paths(state, bits, scene, paddles, begun):
            return -1
        chosen = below(state, 2)
        _tip(scene, paddles, chosen, False, ends[0])
        _tip(scene, paddles, chosen, True, ends[1])
        _tip(scene, paddles, 1 - chosen, True, ends[2])
        if scene.tolerance > 0:
            apart = distance(ends[0], ends[1]) - distance(ends[0], ends[2])
            if abs(apart) > scene.tolerance:
                continue
        placed = 0
        while placed < scene.distractors:
            first = 2 * scene.length + placed * scene.short
            if not _distractor(state, bits, scene, paddles[first : first + scene.short]):
                break
            placed += 1
        if placed == scene.distractors:
            return chosen
        crowded += 1
    return -1
