"""Checks of how many times as much one network needs as another: iterations, steps, time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from comparisons.studies.evidence import FEWEST_SEEDS, Evidence, RunSelector
from comparisons.studies.finding import INCONCLUSIVE, Check, Effect, Finding, judged
from comparisons.studies.verdicts import guard, percent, two_sided
from foundations.statistics import Spread, half_solved, interval_of_difference


def _needs_less(
    selectors: tuple[RunSelector, RunSelector],
    rule: str,
    unit: str,
    measure: Callable[[Evidence, RunSelector], Mapping[int, tuple[float, bool]]],
    rounding: float,
) -> Check:
    """The first needs less than the second: the bounds of the geometric mean ratio over seeds.

    measure: what each seed needs and whether it got there; where it did not, what it was given is a
    bound below. rounding: variance with which what is needed is read off, in units squared.
    """

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(one) for one in selectors]
        needs = [measure(evidence, one) for one in selectors]
        numbers = tuple(
            f"{one}: {unit} "
            + (", ".join(f"{'' if got else 'over '}{v:g}" for v, got in need.values()) or "–")
            for one, need in zip(selectors, needs, strict=True)
        )
        if stopped := guard(sides, rule, numbers):
            return stopped
        seeds = sorted(set(needs[0]) & set(needs[1]))
        if len(seeds) < FEWEST_SEEDS:
            return Finding(INCONCLUSIVE, rule, (*numbers, "too few runs tell"))
        # Those that did not learn are no chance loss: a ratio of the others would flatter.
        both = set(sides[0].planned) & set(sides[1].planned)
        if silent := sorted(both - set(seeds)):
            return Finding(INCONCLUSIVE, rule, (*numbers, f"seeds {silent} tell nothing"))
        a, b = (np.array([need[seed][0] for seed in seeds], float) for need in needs)
        logs = np.log(a / b)
        read = float(np.mean(rounding / a**2 + rounding / b**2))
        # In full for every seed: ratios that come out equal are no surer than they can be read.
        spread = Spread(float(logs.var(ddof=1)) / len(seeds), read, len(seeds) - 1)
        half = spread.quantile(two_sided(level)) * spread.deviation
        mean = float(logs.mean())
        low, value, high = (float(np.exp(mean + by)) for by in (-half, 0.0, half))
        said = (
            f"ratio {value:.2f} ({low:.2f} to {high:.2f}, each bound at {100 * level:.3g} %,"
            f" {len(seeds)} seeds)"
        )
        sure = [all(need[seed][1] for seed in seeds) for need in needs]
        verdict = judged(high < 1 and sure[0], low >= 1 and sure[1])
        each = tuple(map(float, a / b))
        effect = Effect("ratio", value, low, high, level, (1.0,), each)
        return Finding(verdict, rule, (*numbers, said), effect)

    return check


def saturates_before(first: RunSelector, second: RunSelector) -> Check:
    """One network needs fewer iterations than another to come to 99 % of its own best accuracy
    (read off the test curve, as published)."""
    rule = (
        f"{first} reaches 99 % of its own best in fewer iterations than {second}: a bound of the"
        " mean log ratio over seeds decides"
    )

    def needed(evidence: Evidence, selector: RunSelector) -> dict[int, tuple[float, bool]]:
        return {seed: (float(i), True) for seed, i in evidence.saturation(selector).items()}

    return _needs_less((first, second), rule, "iterations", needed, 1 / 12)


def fewer_steps(first: RunSelector, second: RunSelector, target: float) -> Check:
    """One network needs fewer training steps than another to a validation accuracy: read off
    `metrics.jsonl`, interpolated between validations."""
    rule = (
        f"{first} reaches {percent(target)} of validation problems in fewer training steps than"
        f" {second}: a bound of the mean log ratio over seeds decides"
    )

    def needed(evidence: Evidence, selector: RunSelector) -> dict[int, tuple[float, bool]]:
        return evidence.steps_to(selector, target)

    return _needs_less((first, second), rule, "steps", needed, 1 / 12)


def fewer_flops(first: RunSelector, second: RunSelector, target: float) -> Check:
    """One network needs fewer operations of training than another to a validation accuracy: steps
    to it as of `fewer_steps`, times what a step takes."""
    rule = (
        f"{first} reaches {percent(target)} of validation problems with fewer FLOPs of training"
        f" than {second}: a bound of the mean log ratio over seeds decides"
    )

    def needed(evidence: Evidence, selector: RunSelector) -> dict[int, tuple[float, bool]]:
        return evidence.flops_to(selector, target)

    return _needs_less((first, second), rule, "FLOPs", needed, 0.0)


def reaches_farther(first: RunSelector, second: RunSelector, times: float = 1.0) -> Check:
    """The difficulty of which one network solves half (d50, `statistics.half_solved`) is more than
    `times` that of another.

    The bounds of both are put together as those of two measured apart (Newcombe 1998), on a log
    axis. Where a network solves half of the hardest tested difficulty, or less than half of the
    easiest, its d50 is a bound alone, and only what follows from the bound is told.
    """
    more = "" if times == 1 else f" {times:g} times"
    rule = (
        f"{first} solves half of problems harder than{more} those of which {second} does: a bound"
        " of the ratio of d50 decides"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        pair = (first, second)
        sides, curves = [evidence.measured(s) for s in pair], [evidence.curves(s) for s in pair]
        if stopped := guard(sides, rule, tuple(map(str, pair))):
            return stopped
        a, b = (
            half_solved([*of_seed.values()], side.n, two_sided(level))
            for of_seed, side in zip(curves, sides, strict=True)
        )
        numbers = tuple(
            f"{one}: d50 {half.value:.3g} ({half.low:.3g} to {half.high:.3g};"
            f" {half.beyond} of {len(of_seed)} seeds beyond what was tested)"
            for one, half, of_seed in zip(pair, (a, b), curves, strict=True)
        )
        logs = [(math.log(h.value), math.log(h.low), math.log(h.high)) for h in (a, b)]
        ends = interval_of_difference(logs[0], logs[1])
        low, value, high = (math.exp(one) for one in (ends[0], logs[0][0] - logs[1][0], ends[1]))
        said = f"ratio {value:.2f} ({low:.2f} to {high:.2f}, each bound at {100 * level:.3g} %)"
        verdict = judged(
            low > times and not (a.within or b.beyond),
            high <= times and not (a.beyond or b.within),
        )
        effect = Effect("ratio", value, low, high, level, (times,))
        return Finding(verdict, rule, (*numbers, said), effect)

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
        if stopped := guard(sides, rule, numbers):
            return stopped
        timed = sorted(set(a) & set(b))
        untimed = sorted((set(sides[0].accuracy) & set(sides[1].accuracy)) - set(timed))
        if untimed:
            why = f"seeds {untimed} have no time of a step on both sides"
            return Finding(INCONCLUSIVE, rule, (*numbers, why))
        ratios = [a[seed] / b[seed] for seed in timed]
        said = f"ratios {', '.join(f'{r:.1f}' for r in ratios)}"
        middle = float(np.exp(np.mean(np.log(ratios))))
        ends = min(ratios), max(ratios)
        effect = Effect("ratio", middle, *ends, level, each=tuple(ratios))
        verdict = judged(min(ratios) >= times, max(ratios) < times)
        return Finding(verdict, rule, (*numbers, said), effect)

    return check
