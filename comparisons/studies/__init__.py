"""Studies: for each published figure or table, what to run and what would count as reproducing it.

A module per paper, and one of claims of our own. A study is arms to compare, a plan at the scale of
each preset, and claims with a check each; `--study NAME` runs it and writes the verdicts. What a
quick study tests smaller than published says so in the claim's `scale`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.planning.overrides import Overrides, extended
from comparisons.planning.plan import Plan, Request, make_plan
from comparisons.studies.earlier import earlier
from foundations.errors import unknown_name
from foundations.registry import Registry

if TYPE_CHECKING:
    from comparisons.studies.finding import Check
    from foundations.records.spec import RunSpec

STUDIES = Registry(
    "study",
    {
        "s21-depth": "comparisons.studies.s21:DEPTH",
        "s21-sizes": "comparisons.studies.s21:SIZES",
        "s21-exits": "comparisons.studies.s21:EXITS",
        "s21-images": "comparisons.studies.s21_images:IMAGES",
        "le-pathfinder": "comparisons.studies.le:PATHFINDER",
        "le-techniques": "comparisons.studies.le:TECHNIQUES",
        "yy-lottery": "comparisons.studies.yy:LOTTERY",
        "yy-ood": "comparisons.studies.yy:OOD",
        "b22-maze": "comparisons.studies.b22:MAZE",
        "b22-large": "comparisons.studies.b22:LARGE",
        "b22-huge": "comparisons.studies.b22:HUGE",
        "b22-sums": "comparisons.studies.b22:SUMS",
        "thread-recovery": "comparisons.studies.thread:RECOVERY",
        "own-claims": "comparisons.studies.own:OWN",
    },
    group="studies",
)
ALL = "all"

#: The study that tests each claim.
CLAIMS = {
    "S21-T2-dilated": "s21-depth",
    "S21-F7-depth-maze": "s21-depth",
    "S21-F8-generalise": "s21-depth",
    "S21-F3-depth": "s21-depth",
    "S21-F13-images": "s21-images",
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
    "OWN-loss": "own-claims",
    "OWN-recall": "own-claims",
    "OWN-reach": "own-claims",
    "OWN-cost": "own-claims",
    "OWN-images": "own-claims",
    "OWN-frame": "own-claims",
}


@dataclass(frozen=True)
class Claim:
    """id: of a published figure or statement; source: where; text: what was said, in our words.
    check: of the records. scale: in what a quick study is smaller than the published one, "" where
    it is not. figure: which of the report's figures shows it, by kind. at, scales: check and scale
    of other presets, where they look at other runs than a quick study."""

    id: str
    source: str
    text: str
    check: Check
    scale: str = ""
    figure: str = "difficulty"
    at: Mapping[str, Check] = field(default_factory=dict)
    scales: Mapping[str, str] = field(default_factory=dict)

    def check_at(self, preset: str) -> Check:
        """The check of the records of a preset."""
        return self.at.get(preset, self.check)

    def scale_at(self, preset: str) -> str:
        """In what a study of a preset is smaller than the published one."""
        return self.scales.get(preset, self.scale if preset in ("smoke", "quick") else "")


@dataclass(frozen=True)
class Scale:
    """How large an arm is at a preset. settings: beside those of the arm, and over them. None: the
    arm's paradigms, the preset's seeds and samples."""

    seeds: tuple[int, ...] | None = None
    train_samples: tuple[int, ...] | None = None
    settings: Overrides = field(default_factory=dict)
    paradigms: tuple[str, ...] | None = None
    transfer: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Arm:
    """Paradigms compared on tasks under settings of their own. scales: by preset, "quick",
    "standard" or "paper"; a preset that is not among them is without this arm."""

    tasks: tuple[str, ...]
    paradigms: tuple[str, ...]
    scales: Mapping[str, Scale]
    settings: Overrides = field(default_factory=dict)

    def request(self, preset: str) -> Request:
        """What is asked for at a preset."""
        scale = self.scales[preset]
        return Request(
            self.tasks,
            scale.paradigms or self.paradigms,
            preset,
            scale.seeds,
            scale.train_samples,
            {**self.settings, **scale.settings},
            scale.transfer,
        )


@dataclass(frozen=True)
class Study:
    """summary: what is compared, in a line. arms: what to run, at the scale of a preset; "smoke" is
    "quick" with its sizes cut. published: whether others made its claims; only such are "all", and
    keep the recipe that quick studies were first run with. first_seed: where seeds that are added
    begin."""

    summary: str
    arms: tuple[Arm, ...]
    claims: tuple[Claim, ...]
    published: bool = True
    first_seed: int = 0

    def requests(self, preset: str) -> tuple[Request, ...]:
        """What is asked for at a preset; ValueError for one that no arm has."""
        scale = "quick" if preset == "smoke" else preset
        requests = tuple(arm.request(scale) for arm in self.arms if scale in arm.scales)
        if not requests:
            known = dict.fromkeys(preset for arm in self.arms for preset in arm.scales)
            raise unknown_name("preset of this study", preset, ["smoke", *known])
        if preset == "smoke":
            return tuple(_smoke(request) for request in requests)
        as_earlier = preset == "quick" and self.published
        return tuple(map(_as_earlier, requests)) if as_earlier else requests


def _as_earlier(request: Request) -> Request:
    """The same by the recipe that quick studies were run with."""
    (task,) = request.tasks
    before = earlier(task, request.paradigms)
    return replace(request, settings={**before, **request.settings})


def _smoke(request: Request) -> Request:
    """The same runs, so short that they only show that everything runs."""
    large = (
        ("train", "steps"),
        ("evaluation", "samples"),
        ("evaluation", "iterations"),
        ("task", "size"),
    )
    kept = {key: value for key, value in request.settings.items() if key not in large}
    return replace(request, preset="smoke", settings=kept, train_samples=(1000,))


def study_names() -> list[str]:
    """The names that --study knows."""
    return [*STUDIES.names(), ALL]


def load_study(name: str) -> Study:
    """A study by name; ValueError names the known ones, nearest first."""
    if name not in STUDIES:
        raise unknown_name("study", name, study_names())
    found = STUDIES.load(name)
    if not isinstance(found, Study):
        raise STUDIES.wrong(name, "must be a comparisons.studies.Study")
    return found


def studies_named(name: str) -> list[str]:
    """The studies that a name stands for."""
    if name == ALL:
        ours = [known for known in STUDIES if known not in STUDIES.outside]
        return [known for known in ours if load_study(known).published]
    load_study(name)
    return [name]


def plan_studies(
    names: Iterable[str],
    preset: str,
    seeds: tuple[int, ...] | None = None,
    settings: Overrides | None = None,
    data_dir: Path | None = None,
) -> tuple[Plan, dict[str, tuple[RunSpec, ...]]]:
    """One plan of all runs of the studies, each run once, and the runs of each study. Requests
    whose data is not here are left out by name.

    settings: of --set, added to every request. data_dir: a folder with a folder for each
    task that has no problems but those of data, named after it (`tasks.places`); the others make
    their own.
    ValueError where nothing is left.
    """
    from tasks.places import set_data_places
    from tasks.sources import MissingData

    runs: dict[str, RunSpec] = {}
    unreachable: dict[str, str] = {}
    skipped: list[str] = []
    of_study: dict[str, tuple[RunSpec, ...]] = {}
    for name in names:
        of_study[name] = ()
        for request in load_study(name).requests(preset):
            if data_dir is not None:
                set_data_places(data_dir, request.all_tasks)
            more = extended(request.settings, settings or {})
            request = replace(request, seeds=seeds or request.seeds, settings=more)
            missing = next((unreachable[t] for t in request.tasks if t in unreachable), "")
            try:
                if missing:
                    raise MissingData(missing)
                plan = make_plan(request)
            except MissingData as error:
                unreachable |= dict.fromkeys(request.tasks, str(error))
                skipped.append(f"{name} on {', '.join(request.tasks)}: {error}")
                continue
            runs |= {spec.run_id: spec for spec in plan.runs}
            there = {spec.run_id for spec in of_study[name]}
            of_study[name] += tuple(spec for spec in plan.runs if spec.run_id not in there)
            skipped += plan.skipped
    if not runs:
        raise ValueError("; ".join(skipped))
    return Plan(tuple(runs.values()), tuple(dict.fromkeys(skipped))), of_study
