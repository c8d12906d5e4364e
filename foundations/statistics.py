"""Intervals for shares, and differences between networks tested on the same problems.

What is averaged over seeds that share their test problems varies with both, so its interval is of
the sum of two variances (`Spread`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import (  # scipy.stats takes half a second to import
    bdtr,
    betaincinv,
    ndtri,
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


@dataclass(frozen=True)
class Spread:
    """Variance of a mean over seeds and problems, in its two parts: `seeds`, estimated with
    `degrees` degrees of freedom (0 for one seed), and `problems`, with `problem_degrees`."""

    seeds: float
    problems: float
    degrees: int
    problem_degrees: float = math.inf

    @property
    def deviation(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.seeds + self.problems)

    def quantile(self, level: float) -> float:
        """How many standard errors an interval of a level goes to each side.

        The mean of two quantiles of Student's t: with the degrees of freedom of Satterthwaite
        (1946) for a sum of two variances, and of Cochran and Cox (1950). With three seeds the first
        alone covers 92 to 93 % and the second 96 to 97; from eight on they are the same.
        """
        if not self.degrees or not self.seeds:
            return float(_student(self.problem_degrees, level))
        share = self.seeds / (self.seeds + self.problems)
        return float(_of_sum(share, self.degrees, self.problem_degrees, level))

    def p(self, mean: float) -> float:
        """Two-sided p of a mean of zero: one less the level whose interval just holds it."""
        if not self.deviation:
            return float(mean == 0)
        low, high = 0.0, 1.0
        for _ in range(60):
            level = (low + high) / 2
            inside = abs(mean) <= self.quantile(level) * self.deviation
            low, high = (low, level) if inside else (level, high)
        return 1 - high


def _student(degrees: ArrayLike, level: float) -> np.ndarray:
    below = (1 + level) / 2
    return np.where(np.isinf(degrees), ndtri(below), stdtrit(degrees, below))


def _of_sum(share: ArrayLike, degrees: ArrayLike, others: ArrayLike, level: float) -> np.ndarray:
    """The quantile of `Spread`, elementwise. share: the first of two variances of their sum, with
    `degrees` degrees of freedom; others: those of the second."""
    share = np.asarray(share, float)
    with np.errstate(divide="ignore"):
        together = 1 / (share**2 / degrees + (1 - share) ** 2 / others)
    cochran = share * _student(degrees, level) + (1 - share) * _student(others, level)
    return (_student(together, level) + cochran) / 2


def crossed(values: np.ndarray) -> Spread:
    """The variance of the mean of `values` [seeds, problems] where each seed and each problem has
    an effect of its own: two-way random effects without replication (Searle, Casella and McCulloch
    1992). What differs from seed to seed within a problem is counted once, with the seeds."""
    seeds, n = values.shape
    by_problem, by_seed = values.mean(axis=0), values.mean(axis=1)
    problems = float(by_problem.var(ddof=1)) / n if n > 1 else 1.0
    if seeds == 1:
        return Spread(0.0, problems, 0, max(n - 1, 1))
    rest = values - by_problem - by_seed[:, None] + values.mean()
    within = float((rest**2).sum()) / ((seeds - 1) * max(n - 1, 1)) / (seeds * n)
    among = float(by_seed.var(ddof=1)) / seeds
    return Spread(among, max(problems - within, 0.0), seeds - 1, max(n - 1, 1))


def difference(
    first: Sequence[float],
    second: Sequence[float],
    n: int,
    solved: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    level: float = 0.95,
) -> Difference:
    """Compare two networks over seeds: accuracies first[i] and second[i] on the same n problems.

    solved: per pair, which problems each solved (bool [n]); without it the problems count as drawn
    apart. The variance of the mean difference is the sum of that of the seeds, which sees how
    training varies, and that of the problems, which all seeds share, so that more seeds do not
    narrow it (`crossed`); interval and p are those of `Spread`. With one seed only the problems
    speak. ValueError for no pairs.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if len(a) != len(b) or not len(a) or n < 1:
        raise ValueError(
            "a difference needs as many accuracies of one as of the other, and problems"
        )
    gaps = a - b
    mean, seeds = float(gaps.mean()), len(gaps)
    if solved:
        spread = crossed(np.array([x.astype(float) - y.astype(float) for x, y in solved]))
        # Problems that all tell the same, n in a row, bound how often one may not (rule of three):
        # never no width.
        least = 3 / n**2
        if spread.seeds + spread.problems < least:
            spread = replace(spread, problems=least - spread.seeds)
    else:
        among = float(gaps.var(ddof=1)) / seeds if seeds > 1 else 0.0
        problems = sum(_binomial_variance(float(v.mean()), n) for v in (a, b))
        spread = Spread(among, problems, seeds - 1)
    p = spread.p(mean)
    if solved and seeds == 1:
        p = max(mcnemar(x, y) for x, y in solved)
    half = spread.quantile(level) * spread.deviation
    return Difference(
        mean,
        max(mean - half, -1.0),
        min(mean + half, 1.0),
        seeds,
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


def cohens_h(first: float, second: float) -> float:
    """Effect size of two shares (Cohen 1988): 0.2 is small, 0.5 medium, 0.8 large."""
    return 2 * (math.asin(math.sqrt(first)) - math.asin(math.sqrt(second)))


def mean_interval(
    values: Sequence[float],
    n: int,
    level: float = 0.95,
    solved: Sequence[np.ndarray] | None = None,
) -> tuple[float, float]:
    """Interval of a mean accuracy over seeds that share n test problems.

    solved: per seed, which problems it solved (bool [n]); without it problems count as if each seed
    found others hard, which is never too narrow. The variances of seeds and problems add up, as in
    `difference`; the problems' part is Wilson's, so that it has a width at 0 and 1 as well.
    """
    mean, seeds = float(np.mean(values)), len(values)
    among = float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0
    binomial = mean * (1 - mean) / n
    problems = crossed(np.asarray(solved, float)).problems if solved and seeds > 1 else binomial
    # As many problems as would have that variance if they were independent.
    effective = n * binomial / problems if problems and binomial else n
    ends = wilson(mean, effective, level)
    if problems == 0 and among:  # every seed solves other problems
        ends = np.asarray(mean), np.asarray(mean)
    one = partial(np.asarray, dtype=float)
    low, high = _with_seeds(one(mean), one(among), one(problems), one(seeds - 1), ends, level)
    return float(low), float(high)


def mean_intervals(
    mean: ArrayLike, deviation: ArrayLike, seeds: ArrayLike, n: ArrayLike, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """`mean_interval` of many means, elementwise, without what each seed solved. deviation: between
    seeds, NaN of one."""
    means, spread, runs, count = (np.asarray(p, float) for p in (mean, deviation, seeds, n))
    among = np.nan_to_num(spread**2 / runs)
    problems = means * (1 - means) / np.where(count > 0, count, np.inf)
    return _with_seeds(means, among, problems, runs - 1, wilson(means, count, level), level)


def _with_seeds(
    mean: np.ndarray,
    among: np.ndarray,
    problems: np.ndarray,
    degrees: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """An interval for the problems alone, `ends`, widened by the variance among seeds: elementwise,
    by the quantile of `Spread`."""
    z = _student(math.inf, level)
    varies = among > 0
    share = np.where(varies, among, 1.0) / np.where(varies, among + problems, 1.0)
    quantile = _of_sum(share, np.maximum(degrees, 1.0), math.inf, level)
    scale = np.where(varies, quantile / z, 1.0)
    low, high = (scale * np.sqrt((end - mean) ** 2 + z**2 * among) for end in ends)
    return np.maximum(mean - low, 0.0), np.minimum(mean + high, 1.0)


def share_interval(count: int, seeds: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the share of seeds that converge, `count` of `seeds` having done so: that of
    Jeffreys (Brown, Cai and DasGupta 2001), from 0 where none did and to 1 where all did.

    ValueError unless 0 <= count <= seeds and seeds >= 1.
    """
    _check_share(count, seeds)
    tail = (1 - level) / 2
    low = float(betaincinv(count + 0.5, seeds - count + 0.5, tail)) if count else 0.0
    high = float(betaincinv(count + 0.5, seeds - count + 0.5, 1 - tail)) if count < seeds else 1.0
    return low, high


def _check_share(count: int, seeds: int) -> None:
    if seeds < 1 or not 0 <= count <= seeds:
        raise ValueError(f"need 0 <= count <= seeds and seeds >= 1, not {count} of {seeds}")


def interval_of_difference(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float]:
    """Interval of first - second, each (value, low, high), from the intervals of two shares that
    were measured apart (Newcombe 1998, method 10)."""
    (a, low_a, high_a), (b, low_b, high_b) = first, second
    return a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)


def difference_of_shares(
    first: tuple[int, int], second: tuple[int, int], level: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference of two shares of seeds, each (converged, seeds), that were drawn
    apart: `share_interval` of both, put together as by Newcombe (1998, method 10)."""
    sides = ((one[0] / one[1], *share_interval(*one, level)) for one in (first, second))
    low, high = interval_of_difference(*sides)
    return max(low, -1.0), min(high, 1.0)


@dataclass(frozen=True)
class HalfSolved:
    """The difficulty of which half is solved (d50), geometric mean over seeds, with its interval.
    beyond: seeds that solve more than half of the hardest tested difficulty, which counts for
    theirs: d50 is then a lower bound; within: seeds that solve less than half of the easiest."""

    value: float
    low: float
    high: float
    beyond: int
    within: int


def half_solved_at(curve: Mapping[float, float], share: float = 0.5) -> float:
    """The difficulty at which accuracy first falls below a share, interpolated on a log axis of
    difficulty. curve: accuracy by difficulty. The hardest where it never does, the easiest where it
    is below there already. ValueError for an empty curve."""
    if not curve:
        raise ValueError("half_solved_at needs a curve")
    before: tuple[float, float] | None = None
    for difficulty in sorted(curve):
        here = curve[difficulty]
        if here < share:
            if before is None:
                return float(difficulty)
            way = (before[1] - share) / (before[1] - here)
            return float(math.exp(math.log(before[0]) * (1 - way) + math.log(difficulty) * way))
        before = (difficulty, here)
    return float(max(curve))


def half_solved(
    curves: Sequence[Mapping[float, float]], n: int, level: float = 0.95, chance: float = 0.0
) -> HalfSolved:
    """d50 over seeds, whose curves are accuracies by difficulty on n shared problems each, as
    shares of the way from chance to perfect.

    The variance of the mean log d50 is that of the seeds and that of the problems, binomial and
    divided by the square of the mean curve's slope there. ValueError for no curves.
    """
    logs = [math.log(half_solved_at(curve)) for curve in curves]
    if not logs:
        raise ValueError("half_solved needs curves")
    tested = sorted(set.intersection(*(set(curve) for curve in curves)))
    mean, seeds = float(np.mean(logs)), len(logs)
    among = float(np.var(logs, ddof=1)) / seeds if seeds > 1 else 0.0
    averages = [float(np.mean([curve[d] for curve in curves])) for d in tested]
    places = [math.log(d) for d in tested]
    slopes = [
        (averages[i] - averages[i + 1]) / (places[i + 1] - places[i])
        for i in range(len(tested) - 1)
        if averages[i] >= 0.5 > averages[i + 1]
    ]
    solved = (1 + chance) / 2  # of all problems, where half of the way is gone
    problems = solved * (1 - solved) / (1 - chance) ** 2 / n / slopes[0] ** 2 if slopes else 0.0
    spread = Spread(among, problems, seeds - 1)
    half = spread.quantile(level) * spread.deviation if spread.deviation else 0.0
    return HalfSolved(
        math.exp(mean),
        math.exp(mean - half),
        math.exp(mean + half),
        sum(min(curve.values()) >= 0.5 for curve in curves),
        sum(curve[min(curve)] < 0.5 for curve in curves),
    )


def steps_to_reach(curve: Mapping[int, float], target: float) -> float | None:
    """Training steps at which accuracy first reaches a target, interpolated between validations,
    from none at step 0. curve: accuracy by step. None where it never does. Times the operations of
    a step these are FLOPs to reach it."""
    before = (0.0, 0.0)
    for step in sorted(curve):
        here = curve[step]
        if here >= target:
            way = (target - before[1]) / (here - before[1]) if here > before[1] else 1.0
            return before[0] + (step - before[0]) * max(way, 0.0)
        before = (float(step), here)
    return None


LOOKS = (3, 5, 8, 12, 20)  # numbers of seeds at which a claim that is open is looked at again


def spent_at(look: int, looks: Sequence[int] = LOOKS, error: float = 0.05) -> float:
    """How much of the error a look at `look` seeds may spend, when there was one at each smaller
    number of seeds in `looks`: the spending function of Pocock's kind (Lan and DeMets 1983) by the
    share of the most seeds. Whatever was spent adds up to `error` (a union bound), however the
    looks depend on each other. ValueError for a number that is no look."""
    if look not in looks:
        raise ValueError(f"looks are at {', '.join(map(str, looks))} seeds, not {look}")
    whole = [error * math.log(1 + (math.e - 1) * n / looks[-1]) for n in looks]
    place = list(looks).index(look)
    return whole[place] - (whole[place - 1] if place else 0.0)
