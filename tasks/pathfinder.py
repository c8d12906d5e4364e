"""Pathfinder: are the two discs joined by one dashed path? (Linsley et al. 2018, arXiv:1805.08315).

The construction follows the settings of Lüddecke and Ecker on a 300 x 300 canvas with 15
distractors; see `tasks.paddles`.
"""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from numba import njit

from tasks import drawing, paddles, sampling
from tasks.base import Batch, Difficulty, TaskSpec
from tasks.contour_files import (
    PATHFINDER,
    ContourFiles,
    pathfinder_folders,
    write_curv,
    write_curv_neg,
)
from tasks.contours import PAPER_TRAINING, ContourTask, check_whole
from tasks.drawing import pack_rows, paint_max, reduce_into, words_across
from tasks.mixing import Mixture
from tasks.paddles import (
    DISC_HALF,
    HALF,
    INK,
    MARGIN,
    PITCH,
    THICKNESS,
    Scene,
    lay_out,
    stamps,
    turn_table,
)
from tasks.published import only_for_made
from tasks.remembered import remembered
from tasks.sampling import below, next_u64

CANVAS = 300
BORDER, START = 22, 54  # empty border; least distance of path one's start from the edge, of 300
DISTRACTORS = 15  # on a canvas of 300
# Pixels by which disc distances may differ; at 2 a classifier on distance still gets 55 %.
_MATCH = 0.5


@dataclass(frozen=True)
class PathfinderRecord:
    """How drawings were made, for checking them.

    paddles: int32 [n, P, 3], row and column of the head and number of the direction in
    `paddles.directions()`; a paddle reaches 5 pixels back from its head. owner: int32 [P], 0 and 1
    the target paths in order of growth, then the distractors. discs: int32 [n, 2, 2], rows and
    columns; with one disc the second is (-1, -1). labels: int64 [n]. chosen: int64 [n], the path
    with the first disc. problems: uint64 [n], the numbers the drawings are pure functions of.
    """

    paddles: np.ndarray
    owner: np.ndarray
    discs: np.ndarray
    labels: np.ndarray
    chosen: np.ndarray
    problems: np.ndarray


class Canvas(NamedTuple):
    """What a drawing is made in: bits, the bitmap of what is occupied; image uint8 [side, side];
    marked uint8, like the image, what the segmentation marks, or of size 0; paddles int32 [P, 3]
    and discs int32 [2, 2] as in `PathfinderRecord`; ends int64 [3, 2], see `lay_out`."""

    bits: np.ndarray
    image: np.ndarray
    marked: np.ndarray
    paddles: np.ndarray
    discs: np.ndarray
    ends: np.ndarray


@njit
def _paint_paddles(state, image, scene, paddles, dimmest, brightest):
    for p in range(len(paddles)):
        light = dimmest
        if brightest > dimmest:
            light += below(state, brightest - dimmest + 1)
        picture = scene.stamps.pictures[paddles[p, 2]]
        paint_max(image, picture, paddles[p, 0] - HALF, paddles[p, 1] - HALF, light)


@njit
def _paint_disc(image, scene, disc):
    paint_max(image, scene.stamps.disc, disc[0] - DISC_HALF, disc[1] - DISC_HALF, 256)


@njit(nogil=True, cache=True)
def _draw(problem, begun, scene, canvas):
    """Draw one problem. begun: uint64 [1], 0 or what `lay_out` left there for this problem, which
    spares what it tried in vain; is set. Returns (label, chosen path), (-1, -1) where paths do not
    fit."""
    state = np.empty(1, np.uint64)
    state[0] = problem
    image, marked, paddles, discs = canvas.image, canvas.marked, canvas.paddles, canvas.discs
    label = np.int64(next_u64(state) >> np.uint64(63))
    if begun[0] != 0:
        state[0] = begun[0]
    chosen = lay_out(state, canvas.bits, scene, paddles, canvas.ends, begun)
    if chosen < 0:
        return np.int64(-1), np.int64(-1)
    image[:] = 0
    _paint_paddles(state, image, scene, paddles, scene.dimmest, scene.brightest)
    discs[:] = -1
    if marked.size > 0:  # one disc, at either end: the label only says which
        discs[0] = canvas.ends[label]
        marked[:] = 0
        first = chosen * scene.length
        _paint_paddles(state, marked, scene, paddles[first : first + scene.length], 256, 256)
        _paint_disc(marked, scene, discs[0])
    else:
        discs[0] = canvas.ends[0]
        discs[1] = canvas.ends[1] if label == 1 else canvas.ends[2]
        _paint_disc(image, scene, discs[1])
    _paint_disc(image, scene, discs[0])
    return label, chosen


@njit(nogil=True, cache=True)
def _fill(problems, begun, scene, canvas, by_area, x, labels, targets, mask):
    """Draw problems, each with its `begun`, into x float32 [n, size, size] and labels, or targets
    and mask if these are not empty. Returns False where the paths do not fit the canvas."""
    share = np.empty(x.shape[1:], np.float32)
    for i in range(len(problems)):
        label, _ = _draw(problems[i], begun[i : i + 1], scene, canvas)
        if label < 0:
            return False
        reduce_into(canvas.image, x[i], by_area, -0.5)
        if targets.size > 0:
            reduce_into(canvas.marked, share, by_area, 0.0)
            for r in range(x.shape[1]):
                for c in range(x.shape[2]):
                    ink = x[i, r, c] + np.float32(0.5)
                    mask[i, r, c] = ink >= INK / 255
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
    (class 1) among all ink (the mask). reduction, flips: see `ContourTask`. mix: "all" or
    "plain+matched" for drawings of both kinds in equal shares.

    data_dir: a folder of published pictures to use in place of drawings (see
    `tasks.contour_files`). `size` is then at most their side; canvas and border, which presets set,
    mean nothing, and what else says how to draw may not be given. test_all: all of them are test
    problems as well, for networks that were trained on others.

    The quick preset draws paddles of the same size on a canvas of 160, the smallest on which paths
    of 14 find room, with distractors in proportion, and takes the mean over 2.5 x 2.5 pixels.
    """

    title = "Pathfinder"
    layouts = {"curv": write_curv, "curv_neg": write_curv_neg}
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
            "evaluation": {"samples": 1000, "iterations": 32},
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
        mix: str = "",
        data_dir: str | None = None,
        test_all: bool = False,
    ) -> None:
        drawn: dict[str, Any] = {
            "size": size, "canvas": canvas, "border": border, "start": start,
            "distractors": distractors, "contrast": contrast, "continuity": continuity,
            "matched": matched, "segmentation": segmentation,
            "reduction": reduction, "flips": flips,
        }  # fmt: skip
        self._drawn = {k: v for k, v in drawn.items() if v != _DEFAULTS[k].default}
        if data_dir is not None:
            canvas, border = 4096, None  # the files have their own: any size may be right
        super().__init__(size, canvas, reduction, flips)
        if data_dir is not None:
            given = {name: name in self._drawn for name in _MADE} | {"mix": bool(mix)}
            only_for_made("pathfinder", given)
            self.files = ContourFiles(
                "pathfinder",
                data_dir,
                pathfinder_folders,
                PATHFINDER,
                self.size,
                reduction,
                bool(test_all),
                "curv_baseline or curv_contour_length_L with imgs/K/*.png, and metadata/K.npy or a"
                " folder of the same name with _neg",
            )
        scale = self.canvas / CANVAS
        border = round(BORDER * scale) if border is None else border
        start = round(START * scale) if start is None else start
        distractors = round(DISTRACTORS * scale**2) if distractors is None else distractors
        self.border = check_whole("border", border, 0, self.canvas // 2 - 12)
        self.start = check_whole("start", start, self.border, self.canvas // 2)
        self.distractors = check_whole("distractors", distractors, 0, 10_000)
        self.matched = bool(matched)
        self.segmentation = bool(segmentation)
        self.continuity = float(continuity)
        self._turns = turn_table(continuity)
        self._light = _brightness(contrast)
        self.spec = _spec(self.size, self.segmentation)
        if mix and self.matched:
            raise ValueError("pathfinder mix names the axes itself: leave out matched")
        self._mixture = Mixture(type(self), self.axes() if mix else {}, mix)

    def axes(self) -> dict[str, dict[str, Any]]:
        """Drawings in which the distance of the discs tells nothing, and the usual ones."""
        if self.files:
            return {}
        plain = {k: v for k, v in self._drawn.items() if k != "matched"}
        return {"plain": plain, "matched": plain | {"matched": True}}

    def check_difficulty(self, difficulty: Difficulty) -> None:
        if self.files:
            self.files.check(difficulty)
            return
        # Ink of both paths at a third of the open canvas: past it, paths hardly ever find room.
        open_side = self.canvas - 2 * self.border
        most = max(2, open_side**2 // (3 * 2 * PITCH * (THICKNESS + 2 * MARGIN)))
        check_whole(f"pathfinder length on a canvas of {self.canvas}", difficulty, 2, most)

    def _scene(self, length: int) -> Scene:
        taken = np.ones((self.canvas, words_across(self.canvas) * 64), bool)
        inside = slice(self.border, self.canvas - self.border)
        taken[inside, 64 + self.border : 64 + self.canvas - self.border] = False
        return Scene(
            stamps(),
            self._turns,
            pack_rows(rearrange(taken, "row (word bit) -> row word bit", bit=64)),
            length,
            max(1, length // 3),
            self.distractors,
            self.start,
            _MATCH if self.matched else 0.0,
            *self._light,
        )

    def _canvas(self, scene: Scene) -> Canvas:
        side, total = self.canvas, 2 * scene.length + scene.distractors * scene.short
        image, paddles = np.empty((side, side), np.uint8), np.empty((total, 3), np.int32)
        marked = np.empty((side, side) if self.segmentation else (0, 0), np.uint8)
        discs, ends = np.empty((2, 2), np.int32), np.empty((3, 2), np.int64)
        return Canvas(np.empty_like(scene.border), image, marked, paddles, discs, ends)

    def _no_room(self, length: int) -> ValueError:
        return ValueError(
            f"pathfinder paths of {length} paddles with {self.distractors} distractors do not fit a"
            f" canvas of {self.canvas} with a border of {self.border}"
        )

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        length, count = int(difficulty), len(indices)
        if self.files:
            return self.files.make(length, indices, seed, split)
        if self._mixture:
            return self._mixture.make(length, indices, seed, split)
        x = np.empty((count, self.size, self.size), np.float32)
        dense = (count, self.size, self.size) if self.segmentation else (0, 0, 0)
        labels, targets = np.empty(count, np.int64), np.empty(dense, np.int64)
        mask = np.empty(dense, np.bool_)
        scene, problems = self._scene(length), self.numbers(length, indices, seed, split)
        canvas, by_area = self._canvas(scene), self.reduction == "area"
        indices = np.asarray(indices, np.int64)
        # Most of the time of a drawing goes into tries in vain, above all of long paths whose ends
        # are to lie equally far apart.
        known = remembered(
            "pathfinder",
            (paddles, drawing, sampling),
            self.canvas, self.border, self.start, self.distractors, self.continuity, self.matched,
            length, seed, split,
        )  # fmt: skip
        begun, since = known.of(indices), time.perf_counter()
        if not _fill(problems, begun, scene, canvas, by_area, x, labels, targets, mask):
            raise self._no_room(length)
        known.keep(indices, begun, time.perf_counter() - since)
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
        self.check_drawn()
        if self._mixture:
            raise ValueError("pathfinder mix has drawings of several axes: ask one of them")
        self.check_difficulty(difficulty)
        length = int(difficulty)
        scene, problems = self._scene(length), self.numbers(length, indices, seed, split)
        count, canvas = len(problems), self._canvas(scene)
        images = np.empty((count, *canvas.image.shape), np.uint8)
        paddles = np.empty((count, *canvas.paddles.shape), np.int32)
        discs = np.empty((count, 2, 2), np.int32)
        labels, chosen = np.empty((2, count), np.int64)
        for i, problem in enumerate(problems):
            own = canvas._replace(image=images[i], paddles=paddles[i], discs=discs[i])
            labels[i], chosen[i] = _draw(problem, np.zeros(1, np.uint64), scene, own)
            if labels[i] < 0:
                raise self._no_room(length)
        pieces = [length, length] + [scene.short] * self.distractors
        owner = np.repeat(np.arange(len(pieces), dtype=np.int32), pieces)
        return images, PathfinderRecord(paddles, owner, discs, labels, chosen, problems)


def _brightness(contrast: float | tuple[float, float]) -> tuple[int, int]:
    """The least and the most of 256; ValueError for a contrast outside (0, 1]."""
    low, high = (contrast, contrast) if isinstance(contrast, (int, float)) else contrast
    if not 0 < low <= high <= 1:
        raise ValueError(f"contrast must be in (0, 1], or low and high, not {contrast!r}")
    return round(256 * low), round(256 * high)


def _spec(size: int, segmentation: bool) -> TaskSpec:
    return TaskSpec(
        name="pathfinder",
        in_channels=1,
        spatial_dims=2,
        dense=segmentation,
        outputs=2 if segmentation else 1,
        difficulties=(6, 9, 14),
        train_difficulty=6,
        size=(size, size),
        chance=0.0 if segmentation else 0.5,
        difficulty_label="path length",
        answers=() if segmentation else ("different paths", "same path"),
    )


#: Options that say how problems are made, which files leave no room for.
_MADE = ("start", "distractors", "contrast", "continuity", "matched", "segmentation")
_DEFAULTS = inspect.signature(Pathfinder.__init__).parameters
