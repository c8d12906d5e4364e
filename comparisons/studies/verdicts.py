"""From records to a verdict on a published claim.

A check names what it compares, looks at the seeds that were planned, and returns a `Finding`.
Nothing but complete runs of at least three planned seeds on every side can be *reproduced*: less is
*inconclusive*, and nothing at all is *not run*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from comparisons.studies.evidence import FEWEST_SEEDS, Evidence, Measured, RunSelector
from foundations.statistics import Difference, difference, mean_interval, student_half_width

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_RUN = "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
LEVEL = 0.95


@dataclass(frozen=True)
class Finding:
    """verdict: one of VERDICTS. rule: how it was reached, in words. numbers: what was found, a line
    each."""

    verdict: str
    rule: str
    numbers: tuple[str, ...] = ()


Check = Callable[[Evidence, float], Finding]


def percent(share: float) -> str:
    """`83.2 %`."""
    return f"{100 * share:.1f} %"


def _guard(sides: Sequence[Measured], rule: str, numbers: tuple[str, ...]) -> Finding | None:
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


def _line(selector: RunSelector, side: Measured, level: float = LEVEL) -> str:
    if not side.accuracy:
        return f"{selector}: no run"
    values = list(side.accuracy.values())
    low, high = mean_interval(values, max(side.n, 1), level)
    each = ", ".join(f"{100 * value:.1f}" for _, value in sorted(side.accuracy.items()))
    seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
    return (
        f"{selector}: {percent(sum(values) / len(values))} ({100 * low:.1f}–{100 * high:.1f};"
        f" {seeds}: {each}; {side.n:,} problems){_unlike(side)}"
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


def _judge(yes: bool, no: bool) -> str:
    """The verdict where a claim holds, or fails, for certain."""
    return REPRODUCED if yes else NOT_REPRODUCED if no else INCONCLUSIVE


def reaches(selector: RunSelector, published: float, margin: float = 0.0) -> Check:
    """Our accuracy is at least the published one less a margin: the interval decides."""
    bar = published - margin
    rule = (
        f"{selector} is at least {percent(bar)}: reproduced if the interval lies above, not if it"
        " lies below"
    )
    said = f"published: {percent(published)}"
    return _against_bar(selector, rule, lambda low, high: (low >= bar, high < bar), said)


def stays_below(selector: RunSelector, bar: float) -> Check:
    """Our accuracy is at most a bar: the claim is that a network fails there."""
    rule = (
        f"{selector} is at most {percent(bar)}: reproduced if the interval lies below, not if it"
        " lies above"
    )
    return _against_bar(selector, rule, lambda low, high: (high <= bar, low > bar))


def _against_bar(
    selector: RunSelector,
    rule: str,
    decide: Callable[[float, float], tuple[bool, bool]],
    *said: str,
) -> Check:
    """A check of one accuracy. decide: from the ends of its interval, whether the claim holds and
    whether it fails."""

    def check(evidence: Evidence, level: float) -> Finding:
        side = evidence.measured(selector)
        numbers = (_line(selector, side, level), *said)
        if stopped := _guard([side], rule, numbers):
            return stopped
        interval = mean_interval(list(side.accuracy.values()), side.n, level)
        return Finding(_judge(*decide(*interval)), rule, numbers)

    return check


def beats(better: RunSelector, worse: RunSelector, by: float = 0.0) -> Check:
    """One network solves more of the same problems than another, by more than `by`."""
    more = f" by more than {percent(by)}" if by else ""
    rule = f"{better} beats {worse}{more}: the interval of the paired difference decides"
    return _compared(better, worse, rule, lambda d: (d.low > by, d.high <= by))


def no_worse(first: RunSelector, second: RunSelector, margin: float = 0.0) -> Check:
    """One network solves at least as many of the same problems as another, less a margin."""
    rule = (
        f"{first} is at most {percent(margin)} below {second}: the interval of the paired"
        " difference decides"
    )
    return _compared(first, second, rule, lambda d: (d.low >= -margin, d.high < -margin))


def alike(first: RunSelector, second: RunSelector, margin: float) -> Check:
    """Two networks differ by less than a margin: the whole interval lies within it
    (equivalence)."""
    rule = (
        f"{first} and {second} differ by less than {percent(margin)}: reproduced if the whole"
        " interval of the paired difference does, not if none of it does"
    )

    def decide(d: Difference) -> tuple[bool, bool]:
        return -margin < d.low and d.high < margin, d.low > margin or d.high < -margin

    return _compared(first, second, rule, decide)


def _compared(
    first: RunSelector,
    second: RunSelector,
    rule: str,
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
        if stopped := _guard([a, b], rule, numbers):
            return stopped
        if set(a.accuracy) != set(b.accuracy):
            return Finding(INCONCLUSIVE, rule, (*numbers, "the two sides have other seeds"))
        apart = _difference(a, b, _problems(first) == _problems(second), level)
        said = (
            f"difference {100 * apart.mean:+.1f} points ({100 * apart.low:+.1f} to"
            f" {100 * apart.high:+.1f} at {100 * apart.level:.3g} %,"
            f" {'paired' if apart.paired else 'unpaired'}; p = {apart.p:.2g}; Cohen's"
            f" h = {apart.effect:.2f})"
        )
        return Finding(_judge(*decide(apart)), rule, (*numbers, said))

    return check


def _problems(selector: RunSelector) -> tuple[object, ...]:
    return selector.task, selector.test_task, selector.difficulty


def _difference(a: Measured, b: Measured, same_problems: bool, level: float) -> Difference:
    """Of two sides that have the same seeds: paired where both kept which problems they solved, and
    these are the same."""
    seeds = sorted(a.accuracy)
    kept = all(seed in a.solved and seed in b.solved for seed in seeds)
    paired = same_problems and a.n == b.n and kept
    return difference(
        [a.accuracy[seed] for seed in seeds],
        [b.accuracy[seed] for seed in seeds],
        min(a.n, b.n),
        [(a.solved[seed], b.solved[seed]) for seed in seeds] if paired else None,
        level,
    )


def saturates_before(first: RunSelector, second: RunSelector) -> Check:
    """One network needs fewer iterations than another to come to 99 % of its own best accuracy
    (read off the test curve, as published): the interval of the mean log ratio over seeds
    decides."""
    rule = (
        f"{first} reaches 99 % of its own best in fewer iterations than {second}: the interval of"
        " the mean log ratio over seeds decides"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(one) for one in (first, second)]
        a, b = (evidence.saturation(one) for one in (first, second))
        numbers = tuple(
            f"{one}: iterations {', '.join(map(str, needed.values())) or '–'}"
            for one, needed in ((first, a), (second, b))
        )
        if stopped := _guard(sides, rule, numbers):
            return stopped
        seeds = sorted(set(a) & set(b))
        if len(seeds) < FEWEST_SEEDS:
            return Finding(INCONCLUSIVE, rule, (*numbers, "too few runs solve anything"))
        logs = np.log([a[seed] / b[seed] for seed in seeds])
        half = float(student_half_width(logs.std(ddof=1), len(logs), level))
        low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
        said = f"ratio {np.exp(logs.mean()):.2f} ({low:.2f} to {high:.2f} at {100 * level:.3g} %)"
        return Finding(_judge(high < 1, low >= 1), rule, (*numbers, said))

    return check


def takes_longer(slow: RunSelector, quick: RunSelector, times: float) -> Check:
    """Training one takes at least so many times as long per step as the other: the smallest ratio
    over seeds decides."""
    rule = (
        f"a training step of {slow} takes at least {times:g} times as long as one of {quick}, for"
        " every seed"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(one) for one in (slow, quick)]
        a, b = (evidence.seconds_a_step(one) for one in (slow, quick))
        numbers = tuple(
            f"{one}: {', '.join(f'{1000 * v:.1f}' for v in seconds.values()) or '–'} ms a step"
            for one, seconds in ((slow, a), (quick, b))
        )
        if stopped := _guard(sides, rule, numbers):
            return stopped
        timed = sorted(set(a) & set(b))
        untimed = sorted((set(sides[0].accuracy) | set(sides[1].accuracy)) - set(timed))
        if untimed:
            why = f"seeds {untimed} have no time of a step on both sides"
            return Finding(INCONCLUSIVE, rule, (*numbers, why))
        ratios = [a[seed] / b[seed] for seed in timed]
        said = f"ratios {', '.join(f'{r:.1f}' for r in ratios)}"
        return Finding(_judge(min(ratios) >= times, max(ratios) < times), rule, (*numbers, said))

    return check


def every(*checks: Check) -> Check:
    """All hold. Intervals are widened for their number (Bonferroni), so that many are no easier to
    pass or fail than one."""

    def check(evidence: Evidence, level: float) -> Finding:
        each = 1 - (1 - level) / len(checks)
        findings = [one(evidence, each) for one in checks]
        verdicts = [finding.verdict for finding in findings]
        worst = next(
            (v for v in (NOT_REPRODUCED, NOT_RUN, INCONCLUSIVE) if v in verdicts), REPRODUCED
        )
        if worst == NOT_RUN and any(v != NOT_RUN for v in verdicts):
            worst = INCONCLUSIVE  # a part of the claim was looked at
        lines = tuple(line for finding in findings for line in finding.numbers)
        rule = "; and ".join(finding.rule for finding in findings)
        return Finding(worst, rule, tuple(dict.fromkeys(lines)))

    return check


def absent(why: str) -> Check:
    """A claim that nothing here can test; says why."""

    def check(evidence: Evidence, level: float) -> Finding:
        return Finding(NOT_RUN, "nothing was run", (why,))

    return check


def judge(check: Check, evidence: Evidence) -> Finding:
    """The finding of a check on what is stored."""
    return check(evidence, LEVEL)


def as_record(finding: Finding) -> dict[str, Any]:
    """Plain data for the ledger."""
    return {**asdict(finding), "numbers": list(finding.numbers)}
