"""Intervals for shares, and differences between networks tested on the same problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import (  # scipy.stats takes half a second to import
    bdtr,
    ndtr,
    ndtri,
    stdtr,
    stdtrit,
)


def wilson(
    share: ArrayLike, count: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals (low, high) in [0, 1] for shares of `count` independent problems each (Wilson
    1927), elementwise: (0, 1) where the count is unknown or 0, NaN where the share is."""
    share, count = np.asarray(share, float), np.asarray(count, float)
    z = float(ndtri((1 + level) / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    known, told = (count > 0) & np.isfinite(share), np.isfinite(share)
    low = np.where(known, np.clip(centre - half, 0, 1), np.where(told, 0.0, np.nan))
    high = np.where(known, np.clip(centre + half, 0, 1), np.where(told, 1.0, np.nan))
    # At 0 and at `count` an end is exactly 0 or 1; rounding may not push it past the share.
    low, high = np.where(known & (share == 0), 0.0, low), np.where(known & (share == 1), 1.0, high)
    return np.minimum(low, share), np.maximum(high, share)


def wilson_interval(right: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of `wilson` for `right` problems solved of `count`.

    ValueError unless 0 <= right <= count and count >= 1.
    """
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"need 0 <= right <= count and count >= 1, not {right} of {count}")
    low, high = wilson(right / count, count, level)
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Accuracy of one network less that of another. mean and interval in shares, at `level`; seeds:
    pairs of runs; n: problems of each; paired: whether the same problems were compared one by one;
    p: two-sided, of no difference; effect: Cohen's h of the two mean accuracies."""

    mean: float
    low: float
    high: float
    seeds: int
    n: int
    paired: bool
    p: float
    effect: float
    level: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p of two networks that solve equally many of the same problems (McNemar
    1947).

    first, second: bool [n], whether each problem was solved. Problems that both or neither solve
    say nothing.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    only_first = int((first & ~second).sum())
    apart = only_first + int((second & ~first).sum())
    fewer = min(only_first, apart - only_first)
    return min(1.0, 2 * float(bdtr(fewer, apart, 0.5))) if apart else 1.0


def difference(
    first: Sequence[float],
    second: Sequence[float],
    n: int,
    solved: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    level: float = 0.95,
) -> Difference:
    """Compare two networks over seeds: accuracies first[i] and second[i] on the same n problems.

    solved: per pair, which problems each solved (bool [n]); without it the problems count as drawn
    apart. The interval is the wider of two: Student's t over the seeds' differences, which sees how
    training varies, and that of the problems, which all seeds share, so that more seeds do not
    narrow it. The p is likewise the larger of the two tests'. With one seed only the problems
    speak. ValueError for no pairs.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) != len(b) or not len(a) or n < 1:
        raise ValueError(
            "a difference needs as many accuracies of one as of the other, and problems"
        )
    gaps = a - b
    mean = float(gaps.mean())
    if solved:
        each = np.mean([x.astype(float) - y.astype(float) for x, y in solved], axis=0)
        spread = float(each.std(ddof=1)) / math.sqrt(n) if n > 1 else 1.0
        # Problems that all tell the same, n in a row, bound how often one may not (rule of three):
        # never no width.
        spread = max(spread, math.sqrt(3) / n)
        p_problems = (
            max(mcnemar(x, y) for x, y in solved) if len(a) == 1 else _normal_p(mean, spread)
        )
    else:
        spread = math.sqrt(sum(_binomial_variance(float(v.mean()), n) for v in (a, b)))
        p_problems = _normal_p(mean, spread)
    half = float(ndtri((1 + level) / 2)) * spread
    p = p_problems
    if len(gaps) > 1:
        deviation = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
        half = max(half, float(student_half_width(gaps.std(ddof=1), len(gaps), level)))
        if deviation > 0:
            p = max(p, float(2 * stdtr(len(gaps) - 1, -abs(mean) / deviation)))
    return Difference(
        mean,
        max(mean - half, -1.0),
        min(mean + half, 1.0),
        len(gaps),
        n,
        bool(solved),
        min(p, 1.0),
        cohens_h(float(a.mean()), float(b.mean())),
        level,
    )


def _binomial_variance(share: float, n: int) -> float:
    # Agresti and Coull's two successes and two failures keep it over 0 where all or none were
    # solved.
    kept = (share * n + 2) / (n + 4)
    return kept * (1 - kept) / (n + 4)


def _normal_p(mean: float, spread: float) -> float:
    return float(2 * ndtr(-abs(mean) / spread)) if spread > 0 else float(mean == 0)


def cohens_h(first: float, second: float) -> float:
    """Effect size of two shares (Cohen 1988): 0.2 is small, 0.5 medium, 0.8 large."""
    return 2 * (math.asin(math.sqrt(first)) - math.asin(math.sqrt(second)))


def mean_interval(values: Sequence[float], n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a mean accuracy over seeds that share n test problems: the wider of Student's t
    over seeds and Wilson's over problems."""
    mean = float(np.mean(values))
    low, high = wilson_interval(round(mean * n), n, level)
    if len(values) > 1:
        half = float(student_half_width(np.std(values, ddof=1), len(values), level))
        low, high = min(low, mean - half), max(high, mean + half)
    return max(low, 0.0), min(high, 1.0)


def student_half_width(deviation: ArrayLike, seeds: ArrayLike, level: float = 0.95) -> np.ndarray:
    """Half of Student's interval of a mean over `seeds` values with that standard deviation,
    elementwise; NaN for one."""
    seeds = np.asarray(seeds, float)
    with np.errstate(invalid="ignore"):
        return stdtrit(seeds - 1, (1 + level) / 2) * np.asarray(deviation) / np.sqrt(seeds)
