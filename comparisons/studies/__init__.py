"""Studies: for each published figure or table, what to run and what would count as reproducing it.

A module per paper. A study is plans of runs by preset, and claims with a check each; `--study NAME`
runs it and writes the verdicts. What a quick study tests smaller than published says so in the
claim's `scale`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from foundations.errors import unknown_name

if TYPE_CHECKING:
    from comparisons.planning.plan import Plan, Request
    from comparisons.studies.verdicts import Check
    from foundations.records.spec import RunSpec

#: Names and what they are, without importing anything: `MODULE:ATTRIBUTE` of each study.
NAMES = {
    "s21-depth": ("s21:DEPTH", "mazes and digits: depth by repeated or by distinct layers"),
    "s21-sizes": ("s21:SIZES", "mazes: trained on 9, 11 and 13, tested on each"),
    "s21-exits": ("s21:EXITS", "mazes: when to stop, and filters used again and again"),
    "s21-images": ("s21:IMAGES", "CIFAR-10, SVHN and EMNIST: recurrent ResNets (needs their data)"),
    "le-pathfinder": ("le:PATHFINDER", "pathfinder: narrow ResNets and hGRU, size and samples"),
    "le-techniques": ("le:TECHNIQUES", "pathfinder: rates, flips and weights from easier problems"),
    "yy-lottery": ("yy:LOTTERY", "sums and mazes: DT-nets pruned before training"),
    "yy-ood": ("yy:OOD", "CIFAR-10 to SVHN: more iterations than trained with (needs their data)"),
    "b22-maze": ("b22:MAZE", "mazes: recall and the progressive loss"),
    "b22-large": ("b22:LARGE", "mazes: trained on 9, tested on 59"),
    "b22-huge": ("b22:HUGE", "mazes: trained on 9, tested on 201"),
    "b22-sums": ("b22:SUMS", "sums: far longer strings than trained on"),
    "thread-recovery": ("thread:RECOVERY", "mazes: damaged states, moved ends, plain ResNets"),
}
ALL = "all"

#: The study that tests each published claim.
CLAIMS = {
    "S21-T2-dilated": "s21-depth",
    "S21-F7-depth-maze": "s21-depth",
    "S21-F8-generalise": "s21-depth",
    "S21-F3-depth": "s21-depth",
    "S21-F13-images": "s21-depth",
    "S21-T5-sizes": "s21-sizes",
    "S21-F9-exit": "s21-exits",
    "S21-F11-exit": "s21-exits",
    "S21-F12-budget": "s21-exits",
    "S21-F4-reuse": "s21-exits",
    "S21-T1-cifar10": "s21-images",
    "S21-T1-svhn": "s21-images",
    "S21-T1-emnist": "s21-images",
    "LE-T1-speed": "le-pathfinder",
    "LE-T2-size": "le-pathfinder",
    "LE-T3-samples": "le-pathfinder",
    "LE-F5-iterations": "le-pathfinder",
    "LE-F3-stability": "le-pathfinder",
    "LE-F6-samples": "le-techniques",
    "YY-F4-prefix": "yy-lottery",
    "YY-F4-saturation": "yy-lottery",
    "YY-F5-maze": "yy-lottery",
    "YY-F5-final": "yy-lottery",
    "YY-T1-ood": "yy-ood",
    "B22-maze-13": "b22-maze",
    "B22-maze-59": "b22-large",
    "B22-maze-201": "b22-huge",
    "B22-201": "b22-huge",
    "B22-prefix-512": "b22-sums",
    "TH-recover": "thread-recovery",
    "TH-resnet": "thread-recovery",
    "TH-801": "thread-recovery",
}


@dataclass(frozen=True)
class Claim:
    """id: of a published figure or statement; source: where; text: what was said, in our words.
    check: of the records. scale: in what a quick study is smaller than the published one, "" where
    it is not. figure: which of the report's figures shows it, by kind."""

    id: str
    source: str
    text: str
    check: Check
    scale: str = ""
    figure: str = "difficulty"


@dataclass(frozen=True)
class Study:
    """plans: what to run, by preset ("quick", "paper"); "smoke" is quick with its sizes cut."""

    plans: dict[str, tuple[Request, ...]]
    claims: tuple[Claim, ...]


def study_names() -> list[str]:
    """The names that --study knows."""
    return [*NAMES, ALL]


def load_study(name: str) -> Study:
    """A study by name; ValueError names the known ones, nearest first."""
    from importlib import import_module

    if name not in NAMES:
        raise unknown_name("study", name, study_names())
    module, attribute = NAMES[name][0].split(":")
    return getattr(import_module(f"comparisons.studies.{module}"), attribute)


def chosen(name: str) -> list[str]:
    """The studies that a name stands for."""
    if name == ALL:
        return list(NAMES)
    load_study(name)
    return [name]


def requests_of(study: Study, preset: str) -> tuple[Request, ...]:
    """What a study asks for at a preset; ValueError for one it does not have."""
    if preset == "smoke":
        return tuple(_smoke(request) for request in study.plans["quick"])
    if preset not in study.plans:
        raise unknown_name("preset of this study", preset, ["smoke", *study.plans])
    return study.plans[preset]


def _smoke(request: Request) -> Request:
    """The same runs, so short that they only show that everything runs."""
    large = ("train.steps", "evaluation.samples", "evaluation.iterations", "task.size")
    kept = tuple(s for s in request.settings if not s.startswith(large))
    return replace(request, preset="smoke", settings=kept, train_samples=(1000,))


def plan_studies(
    names: Iterable[str],
    preset: str,
    seeds: tuple[int, ...] | None = None,
    settings: tuple[str, ...] = (),
    data_dir: Path | None = None,
) -> tuple[Plan, dict[str, tuple[RunSpec, ...]]]:
    """One plan of all runs of the studies, each run once, and the runs of each study. Requests
    whose data is not here are left out by name.

    settings: of --set, added to every request. data_dir: a folder with a folder for each
    task that reads data, named after it.
    ValueError where nothing is left.
    """
    from comparisons.planning.plan import Plan, make_plan
    from tasks.sources import MissingData

    runs, skipped, unreachable = {}, [], {}
    of_study: dict[str, tuple[RunSpec, ...]] = {}
    for name in names:
        of_study[name] = ()
        for request in requests_of(load_study(name), preset):
            asked = replace(
                request,
                seeds=seeds or request.seeds,
                settings=(*request.settings, *settings, *_data_of(request.tasks, data_dir)),
            )
            missing = next((unreachable[t] for t in request.tasks if t in unreachable), "")
            try:
                if missing:
                    raise MissingData(missing)
                plan = make_plan(asked)
            except MissingData as error:
                unreachable |= dict.fromkeys(request.tasks, str(error))
                skipped.append(f"{name} on {', '.join(request.tasks)}: {error}")
                continue
            runs |= {spec.run_id: spec for spec in plan.runs}
            of_study[name] += plan.runs
            skipped += plan.skipped
    if not runs:
        raise ValueError("; ".join(skipped))
    return Plan(tuple(runs.values()), tuple(dict.fromkeys(skipped))), of_study


def _data_of(tasks: Iterable[str], data_dir: Path | None) -> tuple[str, ...]:
    """The setting that says where a task's data is: in the folder of data_dir whose name begins
    with the task's."""
    from tasks import task_class

    if data_dir is None:
        return ()
    reading = [t for t in tasks if "data_dir" in signature(task_class(t)).parameters]
    found = [folder for t in reading for folder in sorted(data_dir.glob(f"{t}*"))]
    return tuple(f"task.data_dir={folder.resolve()}" for folder in found[:1])
