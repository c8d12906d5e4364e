"""Aggregates over runs and tasks with bootstrap intervals (Agarwal et al. 2021, "Deep reinforcement
learning at the edge of the statistical precipice"; their library is rliable).

scores: [..., runs, tasks], a score a run and task, in any unit; here shares of solved problems by
difficulty. What stands before runs and tasks is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = NDArray[np.float64]
RESAMPLES = 2000


def interquartile_mean(scores: ArrayLike) -> Any:
    """The mean of the middle half of all scores: less at the mercy of outliers than a mean, less
    wasteful than a median."""
    flat = np.sort(_flat(scores), axis=-1)
    cut = int(0.25 * flat.shape[-1])
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> Any:
    """How probable it is that a run of x has a higher score than one of y, a tie counting half;
    mean over tasks. ValueError if the two have not as many tasks."""
    ours, theirs = _checked(x), _checked(y)
    if ours.shape[-1] != theirs.shape[-1]:
        raise ValueError(f"scores of {ours.shape[-1]} and of {theirs.shape[-1]} tasks")
    ours, theirs = ours[..., :, None, :], theirs[..., None, :, :]
    return ((ours > theirs) + 0.5 * (ours == theirs)).mean((-3, -2, -1))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Scores:
    """The share of all runs and tasks with a score above each threshold, [..., thresholds]."""
    return (_flat(scores)[..., None] > np.asarray(thresholds, float)).mean(-2)


def bootstrapped(
    statistic: Callable[..., Any], *scores: ArrayLike, level: float = 0.95, seed: int = 0
) -> tuple[Any, Any]:
    """The interval of `statistic(*scores)` by the bootstrap: whole runs are drawn again, so that
    every task keeps its weight; percentiles of `RESAMPLES` draws.

    rliable draws task by task, whose runs are trainings of their own there. Here the tasks of a run
    are difficulties that one network was tested on: drawn apart they would scatter too little.
    """
    rng = np.random.default_rng(seed)
    found = statistic(*(_drawn_again(_checked(each), rng) for each in scores))
    tail = 50 * (1 - level)
    low, high = np.percentile(found, [tail, 100 - tail], axis=0)
    return low, high


def _drawn_again(scores: Scores, rng: np.random.Generator) -> Scores:
    """[RESAMPLES, runs, tasks]."""
    return scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))]


def _flat(scores: ArrayLike) -> Scores:
    checked = _checked(scores)
    return checked.reshape(*checked.shape[:-2], -1)


def _checked(scores: ArrayLike) -> Scores:
    made = np.asarray(scores, float)
    if made.ndim < 2 or not made.size or not np.isfinite(made).all():
        raise ValueError("scores must be finite numbers, [runs, tasks], at least one of each")
    return made
