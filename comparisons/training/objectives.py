"""What training minimises and how fast: small pure functions."""

from __future__ import annotations

import math

import numpy as np

from foundations.errors import unknown_name
from foundations.records.spec import SCHEDULES


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
