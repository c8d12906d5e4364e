"""What the two contour-tracing tasks share: splits, reduction, flips and how they are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Task, is_whole
from tasks.drawing import REDUCTIONS
from tasks.sampling import mix, next_u64, split_of_hash, stream

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


@njit
def problem_number(key, index, wanted_split):
    """The uint64 that a drawing is a pure function of: the first of the stream in the wanted split.

    A number belongs to one split whatever the seed, so no drawing can be in two splits.
    """
    state = stream(key, index)
    problem = next_u64(state)
    while split_of(problem) != wanted_split:
        problem = next_u64(state)
    return problem


def check_whole(what: str, value: object, low: int, high: int) -> int:
    """`value` as an int; ValueError unless it is a whole number from low to high."""
    if not is_whole(value) or not low <= value <= high:
        raise ValueError(f"{what} must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


class ContourTask(Task):
    """A task drawn in ink on a square canvas, with values -0.5 (empty) to 0.5 (ink).

    size: pixels a side of the inputs. canvas: pixels a side of the drawing. reduction: "nearest",
    as in the published results, or "area" (the mean), kinder to thin lines at small sizes. flips:
    whether `augment` mirrors problems at random.
    """

    def __init__(self, size: int, canvas: int, reduction: str, flips: bool) -> None:
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.canvas = check_whole("canvas", canvas, 32, 4096)
        self.size = check_whole("size", size, 8, self.canvas)
        self.reduction = reduction
        self.flips = bool(flips)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Mirror each problem left-right and top-bottom with probability one half each, if
        `flips`."""
        if not self.flips:
            return batch
        device = batch.inputs.device
        for axis in (-1, -2):
            chosen = torch.rand(len(batch), generator=generator, device=device) < 0.5

            def mirror(t: Tensor, axis: int = axis, chosen: Tensor = chosen) -> Tensor:
                where = chosen.view(-1, *[1] * (t.dim() - 1))
                return torch.where(where, t.flip(axis), t)

            batch = replace(batch, inputs=mirror(batch.inputs))
            if self.spec.dense:
                mask = None if batch.mask is None else mirror(batch.mask)
                batch = replace(batch, targets=mirror(batch.targets), mask=mask)
        return batch

    def picture(self, inputs: Tensor) -> Tensor:
        """float [n, 3, H, W]: ink white on black, whatever the batch."""
        return (inputs + 0.5).clamp(0, 1).expand(-1, 3, -1, -1)
