"""From records to a verdict on a published claim.

A check names what it compares, looks at the seeds that were planned, and returns a `Finding`.
Nothing but complete runs of at least three planned seeds on every side can be *reproduced*: less is
*inconclusive*, and nothing at all is *not run*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import Damaged, load_tensors
from foundations.measures import peak
from foundations.records.made import Made
from foundations.records.spec import RunSpec
from foundations.statistics import difference, mean_interval, student_half_width

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, NOT_RUN = "inconclusive", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, NOT_RUN)
FEWEST_SEEDS = 3
LEVEL = 0.95


@dataclass(frozen=True)
class Finding:
    """verdict: one of VERDICTS. rule: how it was reached, in words. numbers: what was found, a line
    each."""

    verdict: str
    rule: str
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Where:
    """Which runs and which of their rows. options: values of a run's fields by their path, as in
    `{"paradigm.depth": 20, "train.steps": 500}`, a tuple for any of several; difficulty: tested on,
    None for the trained one; iterations: only for the rule "fixed", "trained" for as many as in
    training."""

    task: str
    paradigm: str
    difficulty: float | None = None
    rule: str = "validated"
    iterations: int | str | None = None
    samples: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    test_task: str | None = None

    def names(self, spec: RunSpec) -> bool:
        """Whether it is about this run."""
        return (
            spec.task == self.task
            and spec.paradigm == self.paradigm
            and self.samples in (None, spec.train_samples)
            and all(_value(spec, path) in _several(value) for path, value in self.options.items())
        )

    def __str__(self) -> str:
        parts = [self.paradigm]
        parts += [
            f"{path.rpartition('.')[2]}={' or '.join(map(str, _several(value)))}"
            for path, value in self.options.items()
            if value is not None
        ]
        if self.samples:
            parts.append(f"{self.samples:,} samples")
        if self.rule not in ("validated", "fixed"):
            parts.append(self.rule)
        if self.iterations is not None:
            parts.append(f"{self.iterations} iterations")
        place = "" if self.difficulty is None else f" {self.difficulty:g}"
        return f"{' '.join(parts)} on {self.test_task or self.task}{place}"


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _value(spec: RunSpec, path: str) -> Any:
    group, _, name = path.partition(".")
    if group in ("task", "paradigm"):
        return getattr(spec, f"{group}_options").get(name)
    if group in ("train", "evaluation"):
        return getattr(getattr(spec, group), name)
    return getattr(spec, path)


@dataclass(frozen=True)
class Measured:
    """accuracy by seed; solved: by seed, which problems (bool [n]), where it was kept; n: problems
    a seed; planned: the seeds that the plan has, whether or not they are complete; made: by seed,
    in what precision, on what machine and by which version."""

    accuracy: dict[int, float]
    solved: dict[int, np.ndarray]
    n: int
    planned: tuple[int, ...]
    made: Mapping[int, str] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, list[int]]:
        """Seeds by what made them: more than one kind is never averaged without saying so."""
        found: dict[str, list[int]] = {}
        for seed in sorted(self.accuracy):
            found.setdefault(self.made.get(seed, ""), []).append(seed)
        return found

    @property
    def complete(self) -> bool:
        """Whether every planned seed, and enough of them, is there."""
        return (
            bool(self.planned)
            and set(self.accuracy) == set(self.planned)
            and len(self.planned) >= FEWEST_SEEDS
        )


class Evidence:
    """The planned runs of a study and what is stored of them."""

    def __init__(self, out: Path, runs: Sequence[RunSpec]) -> None:
        self.out, self.runs = out, tuple(runs)
        self._results: dict[str, dict[str, Any] | None] = {}

    def result(self, spec: RunSpec) -> dict[str, Any] | None:
        """The stored result of a run, None if it is not there, not readable, not of this very spec
        or not complete."""
        if spec.run_id not in self._results:
            self._results[spec.run_id] = self._read(spec)
        return self._results[spec.run_id]

    def _read(self, spec: RunSpec) -> dict[str, Any] | None:
        folder = RunFolder(self.out, spec)
        result = folder.result() if folder.complete else {}
        return result if result.get("seed") == spec.seed else None

    def measured(self, where: Where) -> Measured:
        """Accuracies of the runs it is about. A run that diverged or collapsed counts as solving
        nothing. ValueError where it does not tell the runs of a seed apart."""
        accuracy: dict[int, float] = {}
        solved: dict[int, np.ndarray] = {}
        made: dict[int, str] = {}
        planned, n = [], 0
        for spec in self.runs:
            if not where.names(spec):
                continue
            if spec.seed in planned:
                raise ValueError(f"{where} names more than one run of seed {spec.seed}")
            planned.append(spec.seed)
            result = self.result(spec)
            if result is None:
                continue
            made[spec.seed] = made_by(result)
            if result.get("status") in ("diverged", "collapsed"):
                accuracy[spec.seed] = 0.0
                n = n or spec.evaluation.samples  # it would have been tested on
                continue
            row = _row(result, where)
            if row is None:
                continue
            accuracy[spec.seed], n = float(row["accuracy"]), int(row["n_test"])
            found = self._solved(spec, result, where, row)
            if found is not None and len(found) == n:
                solved[spec.seed] = found
        return Measured(accuracy, solved, n, tuple(sorted(planned)), made)

    def saturation(self, where: Where) -> dict[int, int]:
        """By seed, the first iteration at 99 % of the run's own best fixed accuracy; runs that
        solve nothing, or were not tested there, left out."""
        found = {}
        for spec in self.runs:
            result = self.result(spec) if where.names(spec) else None
            if result is None or result.get("status") != "complete":
                continue
            place = result["train_difficulty"] if where.difficulty is None else where.difficulty
            curve = {
                row["iterations"]: row["accuracy"]
                for row in result["rows"]
                if row["exit_rule"] == "fixed"
                and row["test_difficulty"] == place
                and row.get("test_task", where.task) == (where.test_task or where.task)
            }
            best = peak(curve)[1] if curve else 0
            if best > 0:
                found[spec.seed] = min(i for i, a in curve.items() if a >= 0.99 * best)
        return found

    def seconds_a_step(self, where: Where) -> dict[int, float]:
        """By seed, seconds of training a step; runs that took no step, or no time that was
        measured, left out."""
        runs = [(spec, self.result(spec)) for spec in self.runs if where.names(spec)]
        return {
            spec.seed: result["train_seconds"] / result["steps"]
            for spec, result in runs
            if result is not None and result.get("steps") and result.get("train_seconds")
        }

    def _solved(
        self, spec: RunSpec, result: Mapping[str, Any], where: Where, row: Mapping[str, Any]
    ) -> np.ndarray | None:
        path = RunFolder(self.out, spec).answers_path
        place = f"{row.get('test_task', spec.task)}/{row['test_difficulty']}"
        try:
            tensors, _ = load_tensors(path)
        except (Damaged, FileNotFoundError):
            return None  # unpaired then
        name = "trained" if where.iterations == "trained" else where.rule
        stopped = _row(result, replace(where, rule="validated", iterations=None))
        if name in ("trained", "fixed") and stopped and stopped["iterations"] == row["iterations"]:
            name = "validated"  # the same answers
        found = tensors.get(f"{place}/{name}")
        return None if found is None else found.numpy().astype(bool)


def _row(result: Mapping[str, Any], where: Where) -> Mapping[str, Any] | None:
    """The row of a result that is meant, None where there is none."""
    difficulty = result["train_difficulty"] if where.difficulty is None else where.difficulty
    kind, _, name = where.rule.partition(":")
    if kind in _STORED_APART:
        return _STORED_APART[kind](result, difficulty, name)
    ends = result.get("max_iterations") is not None
    # A network that ends has one answer, whatever the rule.
    rule = "validated" if ends else where.rule
    iterations = where.iterations
    if iterations == "trained":
        iterations = result["train_iterations"]
    rows = [
        row
        for row in result.get("rows", ())
        if row.get("exit_rule") == rule
        and row.get("test_difficulty") == difficulty
        and row.get("test_task", where.task) == (where.test_task or where.task)
        and isinstance(row.get("accuracy"), float)
    ]
    if iterations is not None and not ends:
        upto = [row for row in rows if row["iterations"] <= iterations]
        rows = upto if upto else rows
    return max(rows, key=lambda row: row["iterations"], default=None)


def _after_blow(
    result: Mapping[str, Any], difficulty: float, blow: str
) -> Mapping[str, Any] | None:
    """The last point of the recovery curve of a blow."""
    for curve in result.get("recovery", ()):
        if curve["blow"] == blow and curve["test_difficulty"] == difficulty:
            return {**curve, "accuracy": float(curve["accuracy"][-1])}
    return None


def _inside(result: Mapping[str, Any], difficulty: float, name: str) -> Mapping[str, Any] | None:
    """A share of filters, as if filters were the problems."""
    for facts in result.get("inside", ()):
        share = facts.get("filters", {}).get(name)
        if facts["test_difficulty"] == difficulty and share is not None:
            filters = facts["filters"]["filters"] - facts["filters"]["never_active"]
            return {"test_difficulty": difficulty, "accuracy": float(share), "n_test": filters}
    return None


#: Rules `KIND:NAME` whose numbers are not rows of the table.
_STORED_APART = {"blow": _after_blow, "inside": _inside}


Check = Callable[[Evidence, float], Finding]


def made_by(result: Mapping[str, Any]) -> str:
    """`bf16 on AMD EPYC by version 0.2.0`: what must be alike for numbers to be averaged without a
    word."""
    return str(Made.of(result))


def percent(share: float) -> str:
    """`83.2 %`."""
    return f"{100 * share:.1f} %"


def _guard(found: Sequence[Measured], rule: str, numbers: tuple[str, ...]) -> Finding | None:
    """The verdict where the records don't allow another one."""
    if any(not side.planned or not side.accuracy for side in found):
        return Finding(NOT_RUN, rule, (*numbers, "no complete run on one side"))
    for side in found:
        if not side.complete:
            missing = sorted(set(side.planned) - set(side.accuracy))
            why = (
                f"seeds {missing} are missing"
                if missing
                else f"{len(side.planned)} of the {FEWEST_SEEDS} seeds that a verdict needs"
            )
            return Finding(INCONCLUSIVE, rule, (*numbers, why))
    return None


def _line(where: Where, side: Measured, level: float = LEVEL) -> str:
    if not side.accuracy:
        return f"{where}: no run"
    values = list(side.accuracy.values())
    low, high = mean_interval(values, max(side.n, 1), level)
    each = ", ".join(f"{100 * value:.1f}" for _, value in sorted(side.accuracy.items()))
    seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
    return (
        f"{where}: {percent(sum(values) / len(values))} ({100 * low:.1f}–{100 * high:.1f}; {seeds}:"
        f" {each}; {side.n:,} problems){_unlike(side)}"
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


def reaches(where: Where, published: float, margin: float = 0.0) -> Check:
    """Our accuracy is at least the published one less a margin: the interval decides."""
    bar = published - margin
    rule = (
        f"{where} is at least {percent(bar)}: reproduced if the interval lies above, not if it lies"
        " below"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        side = evidence.measured(where)
        numbers = (_line(where, side, level), f"published: {percent(published)}")
        stopped = _guard([side], rule, numbers)
        if stopped:
            return stopped
        low, high = mean_interval(list(side.accuracy.values()), side.n, level)
        return Finding(_judge(low >= bar, high < bar), rule, numbers)

    return check


def stays_below(where: Where, bar: float) -> Check:
    """Our accuracy is at most a bar: the claim is that a network fails there."""
    rule = (
        f"{where} is at most {percent(bar)}: reproduced if the interval lies below, not if it lies"
        " above"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        side = evidence.measured(where)
        numbers = (_line(where, side, level),)
        stopped = _guard([side], rule, numbers)
        if stopped:
            return stopped
        low, high = mean_interval(list(side.accuracy.values()), side.n, level)
        return Finding(_judge(high <= bar, low > bar), rule, numbers)

    return check


def beats(better: Where, worse: Where, by: float = 0.0) -> Check:
    """One network solves more of the same problems than another, by more than `by`."""
    more = f" by more than {percent(by)}" if by else ""
    rule = f"{better} beats {worse}{more}: the interval of the paired difference decides"

    def check(evidence: Evidence, level: float) -> Finding:
        return _compared(evidence, better, worse, level, rule, lambda d: (d.low > by, d.high <= by))

    return check


def no_worse(first: Where, second: Where, margin: float = 0.0) -> Check:
    """One network solves at least as many of the same problems as another, less a margin."""
    rule = (
        f"{first} is at most {percent(margin)} below {second}: the interval of the paired"
        " difference decides"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        return _compared(
            evidence, first, second, level, rule, lambda d: (d.low >= -margin, d.high < -margin)
        )

    return check


def alike(first: Where, second: Where, margin: float) -> Check:
    """Two networks differ by less than a margin: the whole interval lies within it
    (equivalence)."""
    rule = (
        f"{first} and {second} differ by less than {percent(margin)}: reproduced if the whole"
        " interval of the paired difference does, not if none of it does"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        return _compared(
            evidence,
            first,
            second,
            level,
            rule,
            lambda d: (
                -margin < d.low and d.high < margin,
                d.low > margin or d.high < -margin,
            ),
        )

    return check


def _compared(
    evidence: Evidence,
    first: Where,
    second: Where,
    level: float,
    rule: str,
    decide: Callable[[Any], tuple[bool, bool]],
) -> Finding:
    a, b = evidence.measured(first), evidence.measured(second)
    numbers = (_line(first, a), _line(second, b))
    if set(a.kinds) != set(b.kinds) and a.kinds and b.kinds:
        sides = (" and ".join(side.kinds) for side in (a, b))
        numbers = (*numbers, f"the two sides were made in unlike ways: {'; '.join(sides)}")
    stopped = _guard([a, b], rule, numbers)
    if stopped:
        return stopped
    if set(a.accuracy) != set(b.accuracy):
        return Finding(INCONCLUSIVE, rule, (*numbers, "the two sides have other seeds"))
    seeds = sorted(a.accuracy)
    same_problems = (first.task, first.test_task, first.difficulty) == (
        second.task,
        second.test_task,
        second.difficulty,
    )
    together = (
        same_problems
        and a.n == b.n
        and all(seed in a.solved and seed in b.solved for seed in seeds)
    )
    found = difference(
        [a.accuracy[seed] for seed in seeds],
        [b.accuracy[seed] for seed in seeds],
        min(a.n, b.n),
        [(a.solved[seed], b.solved[seed]) for seed in seeds] if together else None,
        level,
    )
    how = "paired" if found.paired else "unpaired"
    said = (
        f"difference {100 * found.mean:+.1f} points ({100 * found.low:+.1f} to"
        f" {100 * found.high:+.1f} at {100 * found.level:.3g} %, {how}; p = {found.p:.2g}; Cohen's"
        f" h = {found.effect:.2f})"
    )
    return Finding(_judge(*decide(found)), rule, (*numbers, said))


def saturates_before(first: Where, second: Where) -> Check:
    """One network needs fewer iterations than another to come to 99 % of its own best accuracy
    (read off the test curve, as published): the interval of the mean log ratio over seeds
    decides."""
    rule = (
        f"{first} reaches 99 % of its own best in fewer iterations than {second}: the interval of"
        " the mean log ratio over seeds decides"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        a, b = evidence.measured(first), evidence.measured(second)
        needed = [evidence.saturation(where) for where in (first, second)]
        numbers = tuple(
            f"{where}: iterations {', '.join(map(str, found.values())) or '–'}"
            for where, found in zip((first, second), needed, strict=True)
        )
        stopped = _guard([a, b], rule, numbers)
        if stopped:
            return stopped
        seeds = sorted(set(needed[0]) & set(needed[1]))
        if len(seeds) < FEWEST_SEEDS:
            return Finding(INCONCLUSIVE, rule, (*numbers, "too few runs solve anything"))
        logs = np.log([needed[0][s] / needed[1][s] for s in seeds])
        half = float(student_half_width(logs.std(ddof=1), len(logs), level))
        low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
        said = f"ratio {np.exp(logs.mean()):.2f} ({low:.2f} to {high:.2f} at {100 * level:.3g} %)"
        return Finding(_judge(high < 1, low >= 1), rule, (*numbers, said))

    return check


def takes_longer(slow: Where, quick: Where, times: float) -> Check:
    """Training one takes at least so many times as long per step as the other: the smallest ratio
    over seeds decides."""
    rule = (
        f"a training step of {slow} takes at least {times:g} times as long as one of {quick}, for"
        " every seed"
    )

    def check(evidence: Evidence, level: float) -> Finding:
        sides = [evidence.measured(where) for where in (slow, quick)]
        seconds = [evidence.seconds_a_step(where) for where in (slow, quick)]
        numbers = tuple(
            f"{where}: {', '.join(f'{1000 * v:.1f}' for v in found.values()) or '–'} ms a step"
            for where, found in zip((slow, quick), seconds, strict=True)
        )
        stopped = _guard(sides, rule, numbers)
        if stopped:
            return stopped
        both = sorted(set(seconds[0]) & set(seconds[1]))
        untimed = sorted((set(sides[0].accuracy) | set(sides[1].accuracy)) - set(both))
        if untimed:
            why = f"seeds {untimed} have no time of a step on both sides"
            return Finding(INCONCLUSIVE, rule, (*numbers, why))
        ratios = [seconds[0][s] / seconds[1][s] for s in both]
        said = f"ratios {', '.join(f'{r:.1f}' for r in ratios)}"
        return Finding(_judge(min(ratios) >= times, max(ratios) < times), rule, (*numbers, said))

    return check


def _judge(yes: bool, no: bool) -> str:
    return REPRODUCED if yes else NOT_REPRODUCED if no else INCONCLUSIVE


def every(*checks: Check) -> Check:
    """All hold. Intervals are widened for their number (Bonferroni), so that many are no easier to
    pass or fail than one."""

    def check(evidence: Evidence, level: float) -> Finding:
        each = 1 - (1 - level) / len(checks)
        found = [one(evidence, each) for one in checks]
        verdicts = [finding.verdict for finding in found]
        worst = next(
            (v for v in (NOT_REPRODUCED, NOT_RUN, INCONCLUSIVE) if v in verdicts), REPRODUCED
        )
        if worst == NOT_RUN and any(v != NOT_RUN for v in verdicts):
            worst = INCONCLUSIVE  # a part of the claim was looked at
        lines = tuple(line for finding in found for line in finding.numbers)
        rule = "; and ".join(finding.rule for finding in found)
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
