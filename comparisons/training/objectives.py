"""What training minimises and how fast: small pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foundations.errors import unknown_name
from foundations.records.spec import SCHEDULES
from paradigms.base import State

#: Share of the steps after which training is continued beyond its iterations, where it is: before
#: that there is no answer yet that could last.
CONTINUED_FROM = 0.2
#: Iterations with gradient there: the last one's change is penalised, and the state that it starts
#: from is trained too.
WITH_GRADIENT = 2
#: Size of the noise whose growth is penalised, as a share of the state: above what bfloat16 rounds
#: away (0.4 %), below what would be another state.
DISTURBANCE = 0.1


def rate(step: int, steps: int, warmup: int, schedule: str) -> float:
    """Learning rate at a step, as a share of the highest: a pure function, so resuming replays
    nothing.

    Warm-up is exponential as in Bansal et al. 2022: 1 - exp(-5 (step + 1) / warmup), over 0.99 when
    it ends. Then "constant", or half a "cosine" or a "linear" fall to zero at `steps`.
    """
    warm = 1.0 if warmup <= 0 else 1 - math.exp(-5 * (step + 1) / warmup)
    left = min(max((steps - step) / max(steps - warmup, 1), 0.0), 1.0)
    if schedule == "constant":
        return warm
    if schedule == "linear":
        return warm * left
    if schedule == "cosine":
        return warm * (1 - math.cos(math.pi * left)) / 2
    raise unknown_name("schedule", schedule, SCHEDULES)


def progressive_draw(iterations: int, seed: int, step: int) -> tuple[int, int]:
    """Steps without and with gradient for the progressive loss (Bansal et al. 2022, arXiv
    2202.05826).

    n is uniform in 0..iterations-1, then k in 1..iterations-n. A function of (seed, step), so that
    every process draws the same and a resumed run goes on as it would have.
    """
    rng = np.random.default_rng([seed, step])
    n = int(rng.integers(0, iterations))
    return n, int(rng.integers(1, iterations - n + 1))


def continued_draw(most: int, seed: int, step: int) -> int:
    """How many further iterations, uniform in 0..most, come before those that the continued loss is
    of. A function of (seed, step), as `progressive_draw`."""
    return int(np.random.default_rng([seed, step, 1]).integers(0, most + 1))


def squared_change(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """float [n]: the squared length of a step as a share of that of the state it left, over all
    parts of a state [n, ...] together: 0 at a fixed point."""
    return _squared_distance(before, after) / (_squared_length(before) + 1e-6)


def disturbed(state: State, share: float = DISTURBANCE) -> State:
    """The state with noise added, whose root mean square is that share of each part's own."""

    def add_noise(part: Tensor) -> Tensor:
        size = part.float().square().flatten(1).mean(1).sqrt()
        size = size.reshape(-1, *[1] * (part.dim() - 1)).to(part.dtype)
        return part + share * size * torch.randn_like(part)

    return state.map(add_noise)


def squared_growth(
    start: tuple[Sequence[Tensor], Sequence[Tensor]], end: tuple[Sequence[Tensor], Sequence[Tensor]]
) -> Tensor:
    """float [n]: the squared distance of two states at the end as a share of that at the start,
    under 1 where iterations brought them nearer to each other.

    For a small random disturbance it is, on average, the mean square of the singular values of the
    iterations' Jacobian: what contractor-RBP penalises (Linsley et al. 2020, arXiv 2005.11362), by
    a difference of two passes in place of a product with the Jacobian.
    """
    return _squared_distance(*end) / (_squared_distance(*start) + 1e-6)


def _squared_distance(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    return _squared_length([b - a for a, b in zip(before, after, strict=True)])


def _squared_length(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([part.float().square().flatten(1).sum(1) for part in parts]).sum(0)
