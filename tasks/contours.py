"""What the two contour-tracing tasks share: splits, reduction, flips and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, is_whole
from tasks.drawing import REDUCTIONS
from tasks.sampling import SPLIT_NUMBER, mix, next_u64, split_of_hash, stream, stream_key

if TYPE_CHECKING:
    from tasks.contour_files import ContourFiles

#: The sample-efficiency runs of Lüddecke and Ecker: Adam at a constant rate, stopping early after
#: 20 validations, one every 100 steps, without a better loss.
PAPER_TRAINING = {
    "steps": 25_000,
    "batch_size": 196,
    "warmup_steps": 0,
    "schedule": "constant",
    "clip": 0.0,
    "validate_every": 100,
    "validation_samples": 5000,
    "patience": 20,
}

_SALT = np.uint64(0xC0270025)


@njit
def split_of(problem):
    """1 train, 2 validation, 3 test: the hash of the problem's number decides, 80 : 10 : 10."""
    return split_of_hash(mix(problem ^ _SALT))


@njit(nogil=True)
def _problem_numbers(key, indices, wanted_split):
    """The first number of each problem's stream that is in the wanted split."""
    problems = np.empty(len(indices), np.uint64)
    for i in range(len(indices)):
        state = stream(key, indices[i])
        problems[i] = next_u64(state)
        while split_of(problems[i]) != wanted_split:
            problems[i] = next_u64(state)
    return problems


def check_whole(what: str, value: object, low: int, high: int) -> int:
    """`value` as an int; ValueError unless it is a whole number from low to high."""
    if not is_whole(value) or not low <= value <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


class ContourTask(Task):
    """A task drawn in ink on a square canvas, with values -0.5 (empty) to 0.5 (ink).

    size: pixels a side of the inputs. canvas: pixels a side of the drawing. reduction: "nearest",
    as in the published results, or "area" (the mean), kinder to thin lines at small sizes. flips:
    whether `augment` mirrors problems at random. files: published pictures in place of drawings.
    """

    files: ContourFiles | None = None

    def __init__(self, size: int, canvas: int, reduction: str, flips: bool) -> None:
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.canvas = check_whole("canvas", canvas, 32, 4096)
        self.size = check_whole("size", size, 8, self.canvas)
        self.reduction = reduction
        self.flips = bool(flips)

    def check_difficulty(self, difficulty: Difficulty) -> None:
        super().check_difficulty(difficulty)
        if self.files:
            self.files.check(difficulty)

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        return self.files.capacity(difficulty, split) if self.files else None

    def draw_with_record(
        self, difficulty: Any, indices: np.ndarray, seed: int = 0, split: str = "train"
    ) -> tuple[np.ndarray, Any]:
        """The drawings behind problems `indices`, uint8 [n, canvas, canvas] before reduction, and
        how they were made, with `labels` int64 [n] among that."""
        raise NotImplementedError

    def check_drawn(self) -> None:
        """ValueError where problems are those of files, and so not drawn here."""
        if self.files:
            raise ValueError(f"{self.spec.name} pictures of data_dir were not drawn here")

    def numbers(
        self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str
    ) -> np.ndarray:
        """uint64 [n]: the numbers that the drawings of problems `indices` are pure functions of.

        A number belongs to one split whatever the seed, so no drawing can be in two splits.
        """
        key = stream_key(self.spec.name, seed, split, self.spec.level(difficulty))
        return _problem_numbers(key, np.asarray(indices, np.int64), SPLIT_NUMBER[split])

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Mirror each problem left-right and top-bottom, half of the time each, if `flips`."""
        for axis in (-1, -2) if self.flips else ():
            device = batch.inputs.device
            chosen = torch.rand(len(batch), generator=generator, device=device) < 0.5
            batch = batch.mirrored(chosen, axis)
        return batch

    def picture(self, inputs: Tensor) -> Tensor:
        """float [n, 3, H, W]: ink white on black, whatever the batch."""
        return (inputs + 0.5).clamp(0, 1).expand(-1, 3, -1, -1)
