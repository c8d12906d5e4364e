"""The runs that a claim is about: which they are, and what was measured of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from comparisons.planning.overrides import Overrides, swept
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import Damaged, load_tensors
from foundations.measures import peak
from foundations.records.made import Made
from foundations.records.result import Result
from foundations.records.spec import RunSpec
from foundations.statistics import steps_to_reach

FEWEST_SEEDS = 3


@dataclass(frozen=True)
class RunSelector:
    """Which runs (of "smoke", with fewer samples, too) and which of their rows. settings: values
    that a run has, a Sweep for any of several, None for an option left at its default; difficulty:
    tested on, None for the trained one; iterations: at most so many, where the rule has a row for
    several; "trained" for as many as in training, "trained+2" for two more, "trained*1.5" for half
    as many more (the most recorded up to there). ValueError for iterations with the rule
    "validated", which chooses them."""

    task: str
    paradigm: str
    difficulty: float | None = None
    rule: str = "validated"
    iterations: int | str | None = None
    samples: int | None = None
    settings: Overrides = field(default_factory=dict)
    test_task: str | None = None

    def __post_init__(self) -> None:
        if self.iterations is not None and self.rule == "validated":
            raise ValueError(
                f"{self}: the rule validated chooses the iterations itself, and has one answer; ask"
                " for rule='fixed'"
            )

    def selects(self, spec: RunSpec) -> bool:
        """Whether it is this run, of whatever seed."""
        return (
            spec.task == self.task
            and spec.paradigm == self.paradigm
            and (self.samples in (None, spec.train_samples) or spec.preset == "smoke")
            and all(_value(spec, *key) in swept(value) for key, value in self.settings.items())
        )

    def __str__(self) -> str:
        parts = [self.paradigm]
        parts += [
            f"{_NAMES.get(key, key[1])}={' or '.join(map(str, swept(value)))}"
            for key, value in self.settings.items()
            if value is not None and key[0] != "evaluation"
        ]
        if self.samples:
            parts.append(f"{self.samples:,} samples")
        if self.rule not in ("validated", "fixed"):
            parts.append(self.rule)
        if self.iterations is not None:
            parts.append(f"{self.iterations} iterations")
        place = "" if self.difficulty is None else f" {self.difficulty:g}"
        return f"{' '.join(parts)} on {self.test_task or self.task}{place}"


_NAMES = {("task", "difficulty"): "train_difficulty"}


def _value(spec: RunSpec, group: str, name: str) -> Any:
    """What a run has for a setting; None for an option left at its default."""
    if (group, name) in _NAMES:
        return spec.train_difficulty
    if group in ("train", "evaluation"):
        return getattr(getattr(spec, group), name)
    return (spec.task_options if group == "task" else spec.paradigm_options).get(name)


@dataclass(frozen=True)
class Measured:
    """accuracy by seed; solved: by seed, which problems (bool [n]), where it was kept; n: problems
    a seed; planned: the seeds that the plan has, whether or not they are complete; made: by seed,
    in what precision, on what machine and by which version; fewer: the iterations of rows that
    stand for more, which were asked for and not recorded."""

    accuracy: dict[int, float]
    solved: dict[int, np.ndarray]
    n: int
    planned: tuple[int, ...]
    made: Mapping[int, str] = field(default_factory=dict)
    fewer: tuple[int, ...] = ()

    @property
    def kinds(self) -> dict[str, list[int]]:
        """Seeds by what made them: more than one kind is never averaged without saying so."""
        seeds: dict[str, list[int]] = {}
        for seed in sorted(self.accuracy):
            seeds.setdefault(self.made.get(seed, ""), []).append(seed)
        return seeds

    @property
    def all_solved(self) -> list[np.ndarray] | None:
        """By seed, which problems, if that was kept for every one of them."""
        kept = [self.solved[seed] for seed in self.accuracy if seed in self.solved]
        alike = all(len(answers) == self.n for answers in kept)
        return kept if kept and alike and len(kept) == len(self.accuracy) else None

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
        self._results: dict[str, Result | None] = {}
        self._answers: dict[str, Mapping[str, Tensor]] = {}

    def result(self, spec: RunSpec) -> Result | None:
        """The stored result of a run, None if it is not there, not readable, not of this very spec
        or not complete."""
        if spec.run_id not in self._results:
            folder = RunFolder(self.out, spec)
            result = folder.result() if folder.complete else None
            self._results[spec.run_id] = result if result and result.seed == spec.seed else None
        return self._results[spec.run_id]

    def _selected(self, selector: RunSelector) -> Iterator[tuple[RunSpec, Result | None]]:
        """The runs selected, each with its result. ValueError for two of one seed."""
        seeds = set()
        for spec in self.runs:
            if selector.selects(spec):
                if spec.seed in seeds:
                    raise ValueError(f"{selector} names more than one run of seed {spec.seed}")
                seeds.add(spec.seed)
                yield spec, self.result(spec)

    def measured(self, selector: RunSelector) -> Measured:
        """Accuracies of the runs selected. A run that diverged or collapsed counts as solving
        nothing. ValueError where more than one run of a seed is selected."""
        accuracy: dict[int, float] = {}
        solved: dict[int, np.ndarray] = {}
        made: dict[int, str] = {}
        planned, n = [], 0
        fewer: set[int] = set()
        for spec, result in self._selected(selector):
            planned.append(spec.seed)
            if result is None:
                continue
            made[spec.seed] = made_by(result)
            if result.status in ("diverged", "collapsed"):
                accuracy[spec.seed] = 0.0
                n = n or spec.evaluation.samples  # it would have been tested on
                continue
            row = _row(result, selector)
            if row is None:
                continue
            accuracy[spec.seed], n = float(row["accuracy"]), int(row["n_test"])
            asked, given = _asked(result, selector), row.get("iterations")
            if asked is not None and given is not None and given < asked:
                fewer.add(given)
            answers = self._solved(spec, result, selector, row)
            if answers is not None and len(answers) == n:
                solved[spec.seed] = answers
        return Measured(accuracy, solved, n, tuple(sorted(planned)), made, tuple(sorted(fewer)))

    def curves(self, selector: RunSelector) -> dict[int, dict[float, float]]:
        """By seed, accuracy by tested difficulty; runs that were tested on none of them, and
        difficulties that are no numbers, left out."""
        found = {}
        for spec, result in self._selected(selector):
            if result is None:
                continue
            numbers = [float(d) for d in spec.evaluation.difficulties if not isinstance(d, str)]
            if result.status in ("diverged", "collapsed"):
                found[spec.seed] = dict.fromkeys(numbers, 0.0)
                continue
            rows = {d: _row(result, replace(selector, difficulty=d)) for d in numbers}
            found[spec.seed] = {d: float(row["accuracy"]) for d, row in rows.items() if row}
        return {seed: curve for seed, curve in found.items() if curve}

    def saturation(self, selector: RunSelector) -> dict[int, int]:
        """By seed, the first iteration at 99 % of the run's own best fixed accuracy; runs that
        solve nothing, or were not tested there, left out."""
        first = {}
        for spec, result in self._selected(selector):
            if result is None or result.status != "complete":
                continue
            rows = _rows(result, selector, "fixed")
            curve = {row["iterations"]: row["accuracy"] for row in rows}
            best = peak(curve)[1] if curve else 0
            if best > 0:
                first[spec.seed] = min(i for i, a in curve.items() if a >= 0.99 * best)
        return first

    def steps_to(self, selector: RunSelector, target: float) -> dict[int, tuple[float, bool]]:
        """By seed, training steps to a validation accuracy, interpolated, and True; or those of the
        whole training, and False, where it was not reached. Runs without a curve left out."""
        needed = {}
        for spec, result in self._selected(selector):
            curve = self._validated(spec) if result is not None else {}
            if curve:
                reached = steps_to_reach(curve, target)
                last = float(max(curve))
                needed[spec.seed] = (last, False) if reached is None else (reached, True)
        return needed

    def flops_to(self, selector: RunSelector, target: float) -> dict[int, tuple[float, bool]]:
        """As `steps_to`, times what a step of the run took."""
        steps = self.steps_to(selector, target)
        cost = {
            spec.seed: result.train_flops / result.steps
            for spec, result in self._selected(selector)
            if result is not None and result.train_flops and result.steps
        }
        return {seed: (n * cost[seed], got) for seed, (n, got) in steps.items() if seed in cost}

    def _validated(self, spec: RunSpec) -> dict[int, float]:
        """Validation accuracy by training step; nothing where it was not kept."""
        curve: dict[int, float] = {}
        for line in self._logged(spec):
            try:
                if line["split"] == "validation":
                    curve[int(line["step"])] = float(line["accuracy"])
            except (ValueError, KeyError, TypeError):
                continue  # it says something else
        return curve

    def _logged(self, spec: RunSpec) -> Iterator[Any]:
        """The lines of a run's metrics that can be read."""
        try:
            lines = RunFolder(self.out, spec).metrics_path.read_text().splitlines()
        except OSError:
            return
        for text in lines:
            try:
                yield json.loads(text)
            except ValueError:
                continue  # cut off

    def seconds_a_step(self, selector: RunSelector) -> dict[int, float]:
        """By seed, seconds of training a step; runs that took no step, or no time that was
        measured, left out."""
        return {
            spec.seed: result.train_seconds / result.steps
            for spec, result in self._selected(selector)
            if result is not None and result.steps and result.train_seconds
        }

    def _kept_answers(self, spec: RunSpec) -> Mapping[str, Tensor]:
        """Which problems a run solved, by task, difficulty and rule; nothing where that was not
        kept."""
        if spec.run_id not in self._answers:
            try:
                tensors, _ = load_tensors(RunFolder(self.out, spec).answers_path)
            except (Damaged, FileNotFoundError):
                tensors = {}
            self._answers[spec.run_id] = tensors
        return self._answers[spec.run_id]

    def _solved(
        self,
        spec: RunSpec,
        result: Result,
        selector: RunSelector,
        row: Mapping[str, Any],
    ) -> np.ndarray | None:
        """Which problems a run solved, bool [n]; None where that was not kept."""
        tensors = self._kept_answers(spec)
        if not tensors:
            return None  # unpaired then
        # Answers were kept for whole budgets, and for the iterations of training.
        if selector.iterations not in (None, "trained") and selector.rule != "fixed":
            most = _row(result, replace(selector, iterations=None))
            if most is None or most["iterations"] != row["iterations"]:
                return None
        name = "trained" if selector.iterations == "trained" else selector.rule
        stopped = _row(result, replace(selector, rule="validated", iterations=None))
        if name in ("trained", "fixed") and stopped and stopped["iterations"] == row["iterations"]:
            name = "validated"  # the same answers
        place = f"{row.get('test_task', spec.task)}/{row['test_difficulty']}"
        answers = tensors.get(f"{place}/{name}")
        return None if answers is None else answers.numpy().astype(bool)


def made_by(result: Result) -> str:
    """`bf16 on AMD EPYC by version 0.2.0`: what must be alike for numbers to be averaged without a
    word."""
    return str(Made.of(result.precision, result.device, result.version))


def _difficulty(result: Result, selector: RunSelector) -> Any:
    return result.train_difficulty if selector.difficulty is None else selector.difficulty


def _rows(result: Result, selector: RunSelector, rule: str) -> list[Mapping[str, Any]]:
    """The rows of a result by an exit rule, of the task and difficulty selected."""
    difficulty, task = _difficulty(result, selector), selector.test_task or selector.task
    return [
        row
        for row in result.rows
        if row.get("exit_rule") == rule
        and row.get("test_difficulty") == difficulty
        and row.get("test_task", selector.task) == task
        and isinstance(row.get("accuracy"), float)
    ]


def _row(result: Result, selector: RunSelector) -> Mapping[str, Any] | None:
    """The row of a result that is selected, None where there is none."""
    kind, _, name = selector.rule.partition(":")
    if kind in _STORED_APART:
        return _STORED_APART[kind](result, _difficulty(result, selector), name)
    # A feed-forward network has one answer, whatever the rule.
    rule = selector.rule if result.max_iterations is None else "validated"
    rows, most = _rows(result, selector, rule), _asked(result, selector)
    if most is not None:
        rows = [row for row in rows if row["iterations"] <= most]
    return max(rows, key=lambda row: row["iterations"], default=None)


def _asked(result: Result, selector: RunSelector) -> int | None:
    """The iterations that a selector allows a network that can go on, from "trained", "trained+2"
    or "trained*1.5"; None where any number will do."""
    words, trained = selector.iterations, result.train_iterations
    if result.max_iterations is not None or words is None:
        return None
    if isinstance(words, int):
        return words
    _, _, more = words.partition("+")
    _, _, times = words.partition("*")
    return trained + int(more) if more else int(trained * float(times or 1))


def _recovered(result: Result, difficulty: float, perturbation: str) -> Mapping[str, Any] | None:
    """The last point of the recovery curve of a perturbation."""
    for curve in result.recovery:
        if curve["blow"] == perturbation and curve["test_difficulty"] == difficulty:
            return {**curve, "accuracy": float(curve["accuracy"][-1])}
    return None


def _probed(result: Result, difficulty: float, name: str) -> Mapping[str, Any] | None:
    """A share of filters, as if filters were the problems."""
    for facts in result.inside:
        share = facts.get("filters", {}).get(name)
        if facts["test_difficulty"] == difficulty and share is not None:
            filters = facts["filters"]["filters"] - facts["filters"]["never_active"]
            return {"test_difficulty": difficulty, "accuracy": float(share), "n_test": filters}
    return None


#: Rules `KIND:NAME` whose numbers are not rows of the table.
_STORED_APART = {"blow": _recovered, "inside": _probed}
