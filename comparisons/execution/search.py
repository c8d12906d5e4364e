"""A small search for learning rate and width, the same for every paradigm, on validation problems
only.

`--search N` gives each pair of task and paradigm N trials before the study: first the recipe as it
stands, then draws from one space, the same for all. A trial trains for a quarter of the steps with
a seed that no study uses and is judged on validation problems of the trained difficulty; test
problems are never made. The trials are runs of their own in OUT/search, so that they resume; the
choice is in OUT/search.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from comparisons.execution.run import build, record_of, trained
from comparisons.execution.study import Tracking, process_place, run_all
from comparisons.hardware import device_name
from comparisons.planning.match import parameters_of, solve_width
from comparisons.planning.plan import Plan
from comparisons.provenance.review import begin
from comparisons.storage.run_folder import RunFolder
from comparisons.training.loop import validate
from foundations.files import write_atomically
from foundations.records.result import Result
from foundations.records.spec import SCHEMA, RunSpec
from paradigms import paradigm_options

SLOWEST, FASTEST = 1e-4, 1e-2  # learning rates, drawn evenly on a log axis
WIDTH_FACTORS = (1.0, 0.5, 2.0)  # of the recipe's width, in turn
SHARE = 0.25  # of the steps of the run that is searched for
FEWEST = 50  # steps of a trial
SEED = (
    1_000_000  # of all trials: no study's, and one for all, so that they differ in what is searched
)


@dataclass(frozen=True)
class Setting:
    """What a trial may change. width: None to leave it as it is."""

    learning_rate: float
    width: int | None = None

    def apply(self, spec: RunSpec) -> RunSpec:
        """The run with these values."""
        options = spec.paradigm_options
        if self.width is not None:
            options = {**options, "width": self.width}
        train = replace(spec.train, learning_rate=self.learning_rate)
        return replace(spec, train=train, paradigm_options=options)


def even(number: int, base: int = 2) -> float:
    """The number-th of a sequence that fills [0, 1) evenly however far it goes (van der Corput
    1935)."""
    place, share = 0.0, 1.0
    while number:
        share /= base
        number, digit = divmod(number, base)
        place += digit * share
    return place


def space(spec: RunSpec, count: int, widths: bool) -> list[Setting]:
    """The settings of `count` trials for a run: its own first."""
    settings = [Setting(spec.train.learning_rate)]
    width = None
    if widths and "width" in paradigm_options(spec.paradigm):
        # The width that gives the parameters it has: its own, whatever its default is called.
        width = solve_width(spec, parameters_of(spec))
    for number in range(1, count):
        rate = SLOWEST * (FASTEST / SLOWEST) ** even(number)
        factor = WIDTH_FACTORS[number % len(WIDTH_FACTORS)]
        scaled = None if width is None or factor == 1 else max(1, round(width * factor))
        settings.append(Setting(float(f"{rate:.3g}"), scaled))
    return settings


def groups(runs: Iterable[RunSpec]) -> dict[str, list[RunSpec]]:
    """Runs that differ in seed and number of samples only: each group is searched for once."""
    alike_runs: dict[str, list[RunSpec]] = {}
    for spec in runs:
        alike = replace(spec, seed=0, data_seed=0, train_samples=1)
        alike_runs.setdefault(alike.run_id, []).append(spec)
    return alike_runs


def trial(spec: RunSpec, setting: Setting) -> RunSpec:
    """The run that tries a setting: shorter, with a seed and problems of its own."""
    steps = max(min(FEWEST, spec.train.steps), round(SHARE * spec.train.steps))
    easiest = round(SHARE * spec.train.easiest_steps)
    warmup = min(spec.train.warmup_steps, max(1, steps // 4))
    tried = replace(
        setting.apply(spec),
        seed=SEED,
        data_seed=SEED,
    )
    train = replace(tried.train, steps=steps, easiest_steps=easiest, warmup_steps=warmup)
    return replace(tried, train=train)


def run_trial(
    spec: RunSpec,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
) -> Result:
    """Train a trial and judge it on validation problems. Returns its result."""
    if accelerator.is_main_process:
        folder.open()
        begin(spec, folder, device_name(accelerator.device), accelerator.num_processes, tests=False)
    accelerator.wait_for_everyone()
    task, model = build(spec)
    done = trained(spec, task, model, folder, accelerator, report)
    scores: dict[str, float] = {}
    if done.progress.status == "complete":
        scores = validate(spec, task, done.tested, accelerator, done.precision)
    if accelerator.is_main_process:
        record = record_of(spec, task, done, folder, accelerator)
        loss, accuracy = scores.get("loss"), scores.get("accuracy")
        folder.finish(replace(record, set_aside=folder.notes, loss=loss, accuracy=accuracy))
    accelerator.wait_for_everyone()
    return folder.result()


def search(
    plan: Plan,
    out: Path,
    count: int,
    *,
    widths: bool,
    command: str,
    distribute: str,
    workers: int,
    other_code: str = "",
) -> tuple[Plan, int]:
    """Try `count` settings for every group of runs. Returns (the plan with the best of each, trials
    that did not finish). widths: whether widths are searched for, beside learning rates.
    other_code: see `provenance.review.review`."""
    trials = trials_of(plan, count, widths)
    folder = out / "search"
    run_all(
        trials,
        folder,
        distribute,
        workers,
        Tracking("", folder),
        run_trial,
        stay=True,
        other_code=other_code,
        what="trial",
    )
    unfinished = sum(not RunFolder(folder, spec).complete for spec in trials.runs)
    best_plan, record = choose(plan, out, count, widths)
    if process_place()[0] == 0:
        record = {"schema": SCHEMA, "command": command, "seed": SEED, **record}
        write_atomically(out / "search.json", json.dumps(record, indent=1))
    return best_plan, unfinished


def trials_of(plan: Plan, count: int, widths: bool) -> Plan:
    """All trials for the runs of a plan."""
    tried = [
        trial(_largest(runs), setting)
        for runs in groups(plan.runs).values()
        for setting in space(_largest(runs), count, widths)
    ]
    return Plan(tuple({spec.run_id: spec for spec in tried}.values()))


def _largest(runs: list[RunSpec]) -> RunSpec:
    return max(runs, key=lambda spec: spec.train_samples)


def choose(plan: Plan, out: Path, count: int, widths: bool) -> tuple[Plan, dict[str, Any]]:
    """The plan with the best setting of each group, from the finished trials in OUT/search, and all
    trials.

    Best: the highest validation accuracy, then the lowest validation loss, then the first tried.
    """
    tuned: dict[str, RunSpec] = {}
    table = []
    for alike in groups(plan.runs).values():
        largest = _largest(alike)
        settings = space(largest, count, widths)
        results = [_result(out, trial(largest, setting)) for setting in settings]
        best = min(range(len(settings)), key=lambda i: (*_rank(results[i]), i))
        tuned |= {spec.run_id: settings[best].apply(spec) for spec in alike}
        table.append(
            {
                "task": largest.task,
                "paradigm": largest.paradigm,
                "train_samples": largest.train_samples,
                "chosen": best,
                "trials": [
                    {
                        "learning_rate": setting.learning_rate,
                        "width": setting.width,
                        **{k: getattr(result, k) for k in ("status", "accuracy", "loss", "run_id")},
                        "steps": trial(largest, setting).train.steps,
                        "n_validation": largest.train.validation_samples,
                    }
                    for setting, result in zip(settings, results, strict=True)
                ],
            }
        )
    runs = tuple(tuned[spec.run_id] for spec in plan.runs)
    return replace(plan, runs=runs), {"searches": table}


def _result(out: Path, spec: RunSpec) -> Result:
    folder = RunFolder(out / "search", spec)
    return folder.result() if folder.complete else Result.from_dict({"status": "not finished"})


def _rank(result: Result) -> tuple[float, float]:
    if result.accuracy is None or result.loss is None:
        return (0.0, math.inf)
    return (-result.accuracy, result.loss)
