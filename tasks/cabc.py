"""Cluttered ABC: do the two rings lie on the same letter? (Kim et al., ICLR 2020,
arXiv:1906.01558).

Two overlapping capitals, written with strokes of equal width, moved, turned, bent and then broken
into dots; see `tasks.letters`.
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
from tasks.contour_files import CABC, ContourFiles, cabc_folders, write_cabc
from tasks.contours import PAPER_TRAINING, ContourTask
from tasks.drawing import (
    bit_at,
    disc_stamp,
    distance,
    erase,
    fill_square,
    paint_max,
    reduce_into,
    unpack_rows,
    window_count,
)
from tasks.letters import (
    POINTS,
    Level,
    Pair,
    Pens,
    Spread,
    empty_pair,
    pens,
    place_letters,
    write_letters,
)
from tasks.published import only_for_made
from tasks.sampling import below, next_u64, normal, uniform
from tasks.strokes import FONTS, Alphabet, alphabet

CANVAS = 350
PATCH = 5
PATCH_INK = 8  # pixels of 25: the least above 30 %
KEPT = 0.8
SHIFT, SHIFT_MOST = 2.0, 4
RING, RING_INSIDE = 11, 8
NEAREST_RINGS = 23
# The first ring's pull towards the centre: a Gaussian of this deviation, pixels.
CENTRE_SPREAD = 70.0
# Places tried for two letters before they are transformed anew: few, and letters get smaller.
_PLACES = 60
_TRIES = 100 * _PLACES  # before other letters are drawn
_RING_HALF = RING + 4
_PATCH_MASK = np.uint64(2**PATCH - 1)

_ALIKE, _HALF_ALIKE = Spread(0.0, 0.0, 0.0), Spread(0.354, 21.2, 0.141)
_VARIED = Spread(0.5, 30.0, 0.2)
LEVELS = {
    "easy": Level(_VARIED, _ALIKE, (50.0, 60.0), 170.0),
    "intermediate": Level(_HALF_ALIKE, _HALF_ALIKE, (40.0, 70.0), 110.0),
    "hard": Level(_ALIKE, _VARIED, (30.0, 80.0), 60.0),
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


class Scene(NamedTuple):
    """What all drawings of one difficulty share. ring, ring_inside: stamps, uint8."""

    alphabet: Alphabet
    level: Level
    pens: Pens
    ring: np.ndarray
    ring_inside: np.ndarray


class Canvas(NamedTuple):
    """What a drawing is made in: image uint8 [side, side]; rings int64 [2, 2]; facts int64 [3],
    font and both letters."""

    pair: Pair
    image: np.ndarray
    rings: np.ndarray
    facts: np.ndarray


@lru_cache(maxsize=1)
def _ring() -> tuple[np.ndarray, np.ndarray]:
    outer, inner = (disc_stamp(r, _RING_HALF) for r in (RING, RING_INSIDE))
    return outer - np.minimum(outer, inner), inner


def _canvas() -> Canvas:
    image = np.empty((CANVAS, CANVAS), np.uint8)
    return Canvas(empty_pair(CANVAS), image, np.empty((2, 2), np.int64), np.empty(3, np.int64))


@njit(inline="always")
def _own_places(pen_points, n, centroid, other_reserved, places):
    """Whole pixels along a letter's strokes that the other letter keeps clear of, at a ring's
    distance from the edge. places: int64 [POINTS, 2]. Returns how many."""
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
def _nearness(place, middle):
    far = (place[0] - middle) ** 2 + (place[1] - middle) ** 2
    return np.exp((-0.5 / (CENTRE_SPREAD * CENTRE_SPREAD)) * far)


@njit(inline="always")
def _choose_weighted(state, places, n, middle):
    """A place with weight by nearness to the middle."""
    total = 0.0
    for k in range(n):
        total += _nearness(places[k], middle)
    u = uniform(state) * total
    for k in range(n):
        u -= _nearness(places[k], middle)
        if u < 0:
            return k
    return n - 1


@njit(inline="always")
def _pixels_apart(a, b):
    return np.int64(np.rint(distance(a, b)))


@njit
def _mark(state, label, places, numbers, side, rings):
    """Choose the places of both rings. places: int64 [2, POINTS, 2]; numbers: int64 [2].

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
            at_distance[i, _pixels_apart(places[i, k], rings[0])] += 1
    both = np.flatnonzero((at_distance[0] > 0) & (at_distance[1] > 0))
    both = both[both >= NEAREST_RINGS]
    if len(both) == 0:
        return False
    apart = both[below(state, len(both))]
    on = 0 if label == 1 else 1
    pick = below(state, at_distance[on, apart])
    for k in range(numbers[on]):
        if _pixels_apart(places[on, k], rings[0]) == apart:
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


@njit
def _compose(state, label, scene, canvas):
    """Draw fonts, letters, transforms and places until all fit, the rings too."""
    pair, facts = canvas.pair, canvas.facts
    places, numbers = np.empty((2, POINTS, 2), np.int64), np.empty(2, np.int64)
    while True:
        facts[0] = below(state, len(scene.alphabet.bounds))
        facts[1], facts[2] = below(state, 26), below(state, 26)
        for attempt in range(_TRIES):
            if attempt % _PLACES == 0:
                write_letters(state, scene.alphabet, facts, scene.level, pair)
            if not place_letters(state, scene.level, scene.pens, pair):
                continue
            for i in range(2):
                points, other = pair.pen_points[i], pair.reserved[1 - i]
                centroid = pair.centroids[i]
                numbers[i] = _own_places(points, pair.counts[i], centroid, other, places[i])
            if _mark(state, label, places, numbers, canvas.image.shape[0], canvas.rings):
                return


@njit(nogil=True, cache=True)
def _draw(problem, scene, canvas):
    """Draw one problem. Returns the label."""
    state = np.empty(1, np.uint64)
    state[0] = problem
    label = np.int64(next_u64(state) >> np.uint64(63))
    _compose(state, label, scene, canvas)
    image, rings = canvas.image, canvas.rings
    image[:] = 0
    for i in range(2):
        _dot(state, canvas.pair.ink[i], image)
    for i in range(2):
        erase(image, scene.ring_inside, rings[i, 0] - _RING_HALF, rings[i, 1] - _RING_HALF)
    for i in range(2):
        paint_max(image, scene.ring, rings[i, 0] - _RING_HALF, rings[i, 1] - _RING_HALF, 256)
    return label


@njit(nogil=True, cache=True)
def _fill(problems, scene, canvas, by_area, x, labels):
    """Draw problems into x float32 [n, size, size] and labels int64 [n]."""
    for i in range(len(problems)):
        labels[i] = _draw(problems[i], scene, canvas)
        reduce_into(canvas.image, x[i], by_area, -0.5)


class ClutteredABC(ContourTask):
    """Say whether two rings lie on the same letter of two.

    Inputs: float32 [n, 1, size, size]. Difficulties: easy, intermediate, hard (`LEVELS`). The split
    of a problem is decided by the hash of the number it is drawn from. Letters come from stroke
    fonts of our own (`tasks.strokes`); the published set uses other fonts of strokes.

    size: pixels a side of the inputs, reduced from a drawing of 350. fonts: names of fonts to use,
    by default all. reduction, flips: see `ContourTask`. data_dir, test_all: a folder of published
    pictures to use in place of drawings, and whether all of them are test problems; see
    `Pathfinder`.
    """

    title = "cABC"
    layouts = {"cabc": write_cabc}

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
        data_dir: str | None = None,
        test_all: bool = False,
    ) -> None:
        super().__init__(size, CANVAS, reduction, flips)
        if data_dir is not None:
            only_for_made("cabc", {"fonts": fonts is not None})
            self.files = ContourFiles(
                "cabc",
                data_dir,
                cabc_folders,
                CABC,
                self.size,
                reduction,
                bool(test_all),
                "baseline-, ix1- or ix2 (easy, intermediate, hard) with imgs/K/*.png and"
                " metadata/K.npy",
            )
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

    def _scene(self, difficulty: Difficulty) -> Scene:
        return Scene(self._letters, LEVELS[str(difficulty)], pens(), *_ring())

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        if self.files:
            return self.files.make(difficulty, indices, seed, split)
        x = np.empty((len(indices), self.size, self.size), np.float32)
        labels = np.empty(len(indices), np.int64)
        problems = self.numbers(difficulty, indices, seed, split)
        _fill(problems, self._scene(difficulty), _canvas(), self.reduction == "area", x, labels)
        return Batch(torch.from_numpy(x).unsqueeze(1), torch.from_numpy(labels))

    def draw_with_record(
        self, difficulty: str, indices: np.ndarray, seed: int = 0, split: str = "train"
    ) -> tuple[np.ndarray, CabcRecord]:
        """The drawings behind problems `indices`, before reduction, and how they were made.

        Returns uint8 [n, 350, 350] and the record.
        """
        self.check_drawn()
        self.check_difficulty(difficulty)
        scene, problems = self._scene(difficulty), self.numbers(difficulty, indices, seed, split)
        count, pair = len(problems), empty_pair(CANVAS)
        images = np.empty((count, CANVAS, CANVAS), np.uint8)
        rings, facts = np.empty((count, 2, 2), np.int64), np.empty((count, 3), np.int64)
        centroids, overlaps = np.empty((count, 2, 2)), np.empty((count, 2))
        ink, labels = np.empty((count, 2, CANVAS, CANVAS), bool), np.empty(count, np.int64)
        for i, problem in enumerate(problems):
            labels[i] = _draw(problem, scene, Canvas(pair, images[i], rings[i], facts[i]))
            centroids[i], overlaps[i] = pair.centroids, pair.overlaps
            ink[i] = unpack_rows(pair.ink, CANVAS)
        return images, CabcRecord(
            facts[:, 0], facts[:, 1:], rings, labels, centroids, overlaps, ink, problems
        )
