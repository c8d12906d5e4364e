"""Checks: from records to a finding on a published claim.

A check names what it compares, looks at the seeds that were planned, and returns a `Finding`.
Nothing but complete runs of at least three planned seeds on every side can be *reproduced*: less is
*inconclusive*, and nothing at all is *not run*. Every bound that decides is one-sided: a claim that
is false by a hair is reproduced, or one that is true by a hair is not, in 5 of 100 cases at most;
"alike" is two such tests (TOST, Schuirmann 1987).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from comparisons.studies.evidence import FEWEST_SEEDS, Evidence, Measured, RunSelector
from comparisons.studies.finding import (
    INCONCLUSIVE,
    NOT_RUN,
    Check,
    Effect,
    Finding,
    judged,
    provided,
)
from foundations.statistics import (
    Difference,
    difference,
    difference_of_shares,
    mean_interval,
    share_interval,
)


def percent(share: float) -> str:
    """`83.2 %`."""
    return f"{100 * share:.1f} %"


def guard(sides: Sequence[Measured], rule: str, numbers: tuple[str, ...]) -> Finding | None:
    """The verdict where the records don't allow another one."""
    if any(not side.planned or not side.accuracy for side in sides):
        return Finding(NOT_RUN, rule, (*numbers, "no complete run on one side"))
    for side in sides:
        if not side.complete:
            missing = sorted(set(side.planned) - set(side.accuracy))
            why = (
                f"seeds {missing} are missing"
                if missing
                else f"{len(side.planned)} of the {FEWEST_SEEDS} seeds that a verdict needs"
            )
            return Finding(INCONCLUSIVE, rule, (*numbers, why))
    return None


def two_sided(level: float) -> float:
    """The level of the interval whose ends each hold with probability `level`."""
    return 2 * level - 1


def _interval(side: Measured, level: float) -> tuple[float, float]:
    """Of the mean accuracy, two-sided."""
    return mean_interval([*side.accuracy.values()], max(side.n, 1), level, side.all_solved)


def _line(selector: RunSelector, side: Measured) -> str:
    if not side.accuracy:
        return f"{selector}: no run"
    values = list(side.accuracy.values())
    low, high = _interval(side, 0.95)
    each = ", ".join(f"{100 * value:.1f}" for _, value in sorted(side.accuracy.items()))
    seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
    fewer = " or ".join(map(str, side.fewer))
    short = f"; {fewer} iterations, the most recorded up to there" if fewer else ""
    return (
        f"{selector}: {percent(sum(values) / len(values))} ({100 * low:.1f}–{100 * high:.1f};"
        f" {seeds}: {each}; {side.n:,} problems{short}){_unlike(side)}"
    )


def _unlike(side: Measured) -> str:
    """Where seeds were made in unlike ways, the mean of each; else nothing."""
    if len(side.kinds) < 2:
        return ""
    apart = [
        f"{percent(sum(side.accuracy[seed] for seed in seeds) / len(seeds))} in {kind} "
        f"(seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"
        for kind, seeds in side.kinds.items()
    ]
    return f" averaged over runs made in unlike ways: {'; '.join(apart)}"


def reaches(selector: RunSelector, published: float, margin: float = 0.0) -> Check:
    """Our accuracy is at least the published one less a margin: the interval decides."""
    bar = published - margin
    rule = (
        f"{selector} is at least {percent(bar)}: reproduced if the lower bound is, not if the"
        " upper one is not"
    )
    said = f"published: {percent(published)}"
    return _against_bar(selector, rule, bar, lambda low, high: (low >= bar, high < bar), said)


def stays_below(selector: RunSelector, bar: float) -> Check:
    """Our accuracy is at most a bar: the claim is that a network fails there."""
    rule = (
        f"{selector} is at most {percent(bar)}: reproduced if the upper bound is, not if the"
        " lower one is not"
    )
    return _against_bar(selector, rule, bar, lambda low, high: (high <= bar, low > bar))


def _against_bar(
    selector: RunSelector,
    rule: str,
    bar: float,
    decide: Callable[[float, float], tuple[bool, bool]],
    *said: str,
) -> Check:
    """A check of one accuracy. decide: from the ends of its interval, whether the claim holds and
    whether it fails."""

    def check(evidence: Evidence, level: float) -> Finding:
        side = evidence.measured(selector)
        numbers = (_line(selector, side), *said)
        if stopped := guard([side], rule, numbers):
            return stopped
        low, high = _interval(side, two_sided(level))
        mean = float(np.mean([*side.accuracy.values()]))
        bounds = f"bounds {percent(low)} and {percent(high)}, each at {100 * level:.3g} %"
        each = tuple(map(float, side.accuracy.values()))
        effect = Effect("accuracy", mean, low, high, level, (bar,), each)
        return Finding(judged(*decide(low, high)), rule, (*numbers, bounds), effect)

    return check


def has_room(selector: RunSelector, check: Check, most: float = 0.98) -> Check:
    """A check of what is better than a network, which tells nothing where that solves nearly
    everything."""
    return provided(
        stays_below(selector, most), check, f"{selector} leaves no room above {percent(most)}"
    )


def noting_share(check: Check, selectors: Sequence[RunSelector], bar: float) -> Check:
    """A check that says beside it how many seeds converge, that is, solve at least `bar`, and how
    accurate those are: for networks that learn or do not, whose mean is of no network."""

    def noted(evidence: Evidence, level: float) -> Finding:
        lines = [_share(one, evidence.measured(one), bar) for one in selectors]
        found = check(evidence, level)
        return replace(found, numbers=(*found.numbers[:-1], *lines, *found.numbers[-1:]))

    return noted


def _share(selector: RunSelector, side: Measured, bar: float) -> str:
    """How many seeds solve at least `bar`, with the interval of their share, and their mean."""
    solving = [value for value in side.accuracy.values() if value >= bar]
    if not side.accuracy:
        return f"{selector}: no run"
    ends = share_interval(len(solving), len(side.accuracy))
    low, high = (f"{100 * end:.0f}" for end in ends)
    mean = f", on average {percent(float(np.mean(solving)))}" if solving else ""
    return (
        f"{selector}: {len(solving)} of {len(side.accuracy)} seeds ({low}–{high} %) solve"
        f" {percent(bar)}{mean}"
    )


def beats(better: RunSelector, worse: RunSelector, by: float = 0.0) -> Check:
    """One network solves more of the same problems than another, by more than `by`."""
    more = f" by more than {percent(by)}" if by else ""
    rule = f"{better} beats {worse}{more}: a bound of the paired difference decides"
    return _compared(better, worse, rule, (by,), lambda d: (d.low > by, d.high <= by))


def no_worse(first: RunSelector, second: RunSelector, margin: float = 0.0) -> Check:
    """One network solves at least as many of the same problems as another, less a margin."""
    rule = (
        f"{first} is at most {percent(margin)} below {second}: a bound of the paired"
        " difference decides"
    )
    return _compared(
        first, second, rule, (-margin,), lambda d: (d.low >= -margin, d.high < -margin)
    )


def alike(first: RunSelector, second: RunSelector, margin: float) -> Check:
    """Two networks differ by less than a margin: two one-sided tests, each at the full level
    (equivalence)."""
    rule = (
        f"{first} and {second} differ by less than {percent(margin)}: reproduced if both bounds of"
        " the paired difference do, not if one says that they differ by more"
    )

    def decide(d: Difference) -> tuple[bool, bool]:
        return -margin < d.low and d.high < margin, d.low > margin or d.high < -margin

    return _compared(first, second, rule, (-margin, margin), decide)


def _compared(
    first: RunSelector,
    second: RunSelector,
    rule: str,
    bars: tuple[float, ...],
    decide: Callable[[Difference], tuple[bool, bool]],
) -> Check:
    """A check of the difference of two accuracies. decide: whether the claim holds, and whether it
    fails."""

    def check(evidence: Evidence, level: float) -> Finding:
        a, b = evidence.measured(first), evidence.measured(second)
        numbers: tuple[str, ...] = (_line(first, a), _line(second, b))
        if set(a.kinds) != set(b.kinds) and a.kinds and b.kinds:
            sides = "; ".join(" and ".join(side.kinds) for side in (a, b))
            numbers = (*numbers, f"the two sides were made in unlike ways: {sides}")
        if stopped := guard([a, b], rule, numbers):
            return stopped
        both = sorted(set(a.accuracy) & set(b.accuracy))
        if len(both) < FEWEST_SEEDS:
            return Finding(INCONCLUSIVE, rule, (*numbers, "the two sides have other seeds"))
        same = _problems(first) == _problems(second)
        apart = _difference(a, b, same, two_sided(level))
        said = (
            f"difference {100 * apart.mean:+.1f} points ({100 * apart.low:+.1f} to"
            f" {100 * apart.high:+.1f}, each bound at {100 * level:.3g} %,"
            f" {'paired' if apart.paired else 'unpaired'}; p = {apart.p:.2g}; Cohen's"
            f" h = {apart.effect:.2f})"
        )
        each = tuple(float(a.accuracy[seed] - b.accuracy[seed]) for seed in both)
        effect = Effect("difference", apart.mean, apart.low, apart.high, level, bars, each)
        return Finding(judged(*decide(apart)), rule, (*numbers, said), effect)

    return check


def _problems(selector: RunSelector) -> tuple[object, ...]:
    return selector.task, selector.test_task, selector.difficulty


def _difference(a: Measured, b: Measured, same_problems: bool, level: float) -> Difference:
    """Of the seeds that two sides share: paired where both kept which problems they solved, and
    these are the same."""
    seeds = sorted(set(a.accuracy) & set(b.accuracy))
    kept = all(seed in a.solved and seed in b.solved for seed in seeds)
    paired = same_problems and a.n == b.n and kept
    return difference(
        [a.accuracy[seed] for seed in seeds],
        [b.accuracy[seed] for seed in seeds],
        min(a.n, b.n),
        [(a.solved[seed], b.solved[seed]) for seed in seeds] if paired else None,
        level,
    )


def gains_nothing(selector: RunSelector, margin: float, further: int = 5) -> Check:
    """One to `further` iterations more than in training gain no more than a margin: an
    intersection-union test over these iterations, for a network whose rows "fixed" tell each."""
    rule = (
        f"{selector} gains less than {percent(margin)} by any of {further} iterations more: upper"
        f" bounds of the differences decide; not reproduced if the best gains more at a level"
        f" widened for {further}"
    )
    trained = replace(selector, rule="fixed", iterations="trained")
    later = [replace(trained, iterations=f"trained+{k + 1}") for k in range(further)]

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(one) for one in (trained, *later)]
        numbers = tuple(
            _line(one, side) for one, side in zip((trained, *later), sides, strict=True)
        )
        if stopped := guard(sides, rule, numbers):
            return stopped
        widened = 1 - (1 - level) / further
        gains, strict = (
            [_difference(side, sides[0], True, two_sided(at)) for side in sides[1:]]
            for at in (level, widened)
        )
        best = max(gains, key=lambda gain: gain.mean)
        said = (
            f"best gain {100 * best.mean:+.1f} points ({100 * best.low:+.1f} to"
            f" {100 * best.high:+.1f}, each bound at {100 * level:.3g} %)"
        )
        verdict = judged(
            all(gain.high < margin for gain in gains), any(gain.low > margin for gain in strict)
        )
        effect = Effect("difference", best.mean, best.low, best.high, level, (margin,))
        return Finding(verdict, rule, (*numbers, said), effect)

    return check


def converges_more(first: RunSelector, second: RunSelector, bar: float, by: float = 0.0) -> Check:
    """More seeds of one network converge than of another, that is, solve at least `bar`: bounds of
    the difference of the two shares of seeds."""
    rule = (
        f"more seeds of {first} than of {second} solve {percent(bar)}: a bound of the difference"
        " of the shares of seeds decides"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(one) for one in (first, second)]
        counts = [(sum(a >= bar for a in s.accuracy.values()), len(s.accuracy)) for s in sides]
        numbers = tuple(
            _share(one, side, bar) for one, side in zip((first, second), sides, strict=True)
        )
        if stopped := guard(sides, rule, numbers):
            return stopped
        low, high = difference_of_shares(counts[0], counts[1], two_sided(level))
        value = counts[0][0] / counts[0][1] - counts[1][0] / counts[1][1]
        said = f"difference of shares {value:+.2f} ({low:+.2f} to {high:+.2f})"
        effect = Effect("share", value, low, high, level, (by,))
        return Finding(judged(low > by, high <= by), rule, (*numbers, said), effect)

    return check
