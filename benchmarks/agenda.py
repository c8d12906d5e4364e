"""What a campaign runs, and in which order: the runs that published claims are judged by, those
first that decide most for their work."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from comparisons.execution.deciding import planner, runs_of, standings
from comparisons.planning.estimate import Load, load_of
from comparisons.planning.match import network_of
from comparisons.planning.overrides import Overrides
from comparisons.storage.run_folder import training_of
from comparisons.studies import ALL, load_study, plan_studies, studies_named
from foundations.records.spec import RunSpec
from paradigms.base import count_parameters
from tasks import needs_data

#: Studies whose claims come before all others, in this order, whatever they cost: networks with
#: recall on mazes (width 128) and sums (width 400), then what they are compared with.
FIRST = ("b22-huge", "b22-sums", "b22-large", "b22-maze")


@dataclass(frozen=True)
class Question:
    """A published claim, its study, and the runs that decide it."""

    claim: str
    study: str
    runs: tuple[RunSpec, ...]


@dataclass(frozen=True)
class Entry:
    """A run of the campaign. load: its work; shared: whether its training is that of an earlier
    entry, and only its tests are left. decides: claims for which it is the last run that was
    missing."""

    spec: RunSpec
    load: Load
    shared: bool
    decides: tuple[str, ...]

    @property
    def flops(self) -> float:
        """What it adds to the work of those before it."""
        return self.load.testing + (0.0 if self.shared else self.load.training)


def usual_studies(data_dir: Path | None) -> tuple[str, ...]:
    """All published studies, or where there is no folder of data those whose tasks read none."""
    names = studies_named(ALL)
    reading = {
        name
        for name in names
        for arm in load_study(name).arms
        for task in arm.tasks
        if needs_data(task)
    }
    return tuple(name for name in names if data_dir or name not in reading)


def questions(
    names: Sequence[str],
    preset: str,
    seeds: tuple[int, ...],
    settings: Overrides,
    data_dir: Path | None,
    most_tested: int = 0,
) -> tuple[list[Question], list[str]]:
    """The claims of studies, and a line for each that no planned run decides. most_tested: test
    problems of a difficulty at most, 0 for as many as planned. ValueError as of `plan_studies`."""
    plan, of_study = plan_studies(names, preset, seeds, settings, data_dir)
    found, lines = [], list(plan.skipped)
    for name, runs in of_study.items():
        for claim in load_study(name).claims:
            if chosen := runs_of(claim, preset, runs):
                tested = tuple(_tested(spec, most_tested) for spec in chosen)
                found.append(Question(claim.id, name, tested))
            elif runs:
                lines.append(f"{claim.id}: no run of preset {preset} decides it")
    return found, lines


def open_questions(
    names: Sequence[str],
    preset: str,
    settings: Overrides,
    data_dir: Path | None,
    out: Path,
    most_tested: int = 0,
) -> tuple[list[Question], list[str]]:
    """The next look of every claim that what is stored in `out` does not tell, and a line for those
    that it does and those that more seeds can't tell. Otherwise as `questions`."""
    planned = planner(preset, settings, data_dir, out)
    found: list[Question] = []
    told: list[str] = []
    stuck: list[str] = []
    for name in names:
        of_id = {claim.id: claim for claim in load_study(name).claims}
        for one in standings(name, preset, out, planned):
            if one.next_look is None:
                (told if one.told else stuck).append(one.claim)
                continue
            runs = runs_of(of_id[one.claim], preset, planned(name, one.next_look)[1])
            found.append(Question(one.claim, name, tuple(_tested(r, most_tested) for r in runs)))
    lines = [f"{', '.join(told)}: told"] if told else []
    return found, lines + ([f"{', '.join(stuck)}: more seeds can't tell"] if stuck else [])


def _tested(spec: RunSpec, most: int) -> RunSpec:
    tests = spec.evaluation
    samples = min(tests.samples, most) if most else tests.samples
    return replace(spec, evaluation=replace(tests, samples=samples))


def checkpoint_bytes(spec: RunSpec) -> int:
    """About what a checkpoint takes: the weights, the optimiser's moments, averages."""
    train = spec.train
    copies = 1 + (1 if train.optimizer == "sgd" else 2) + bool(train.average) + bool(train.patience)
    return 4 * copies * count_parameters(network_of(spec)[1])


def agenda(
    asked: Sequence[Question], before: Sequence[str] = FIRST, done: Container[str] = ()
) -> list[Entry]:
    """All runs, in order: those of the claims of the studies `before`, study by study, then of the
    others, each time of the claim that, with those decided along with it, decides most per FLOP
    that is left to do. Recall comes first within a claim. done: runs that are finished."""
    loads: dict[str, Load] = {}

    def load(spec: RunSpec) -> Load:
        kind = replace(spec, seed=0).run_id
        if kind not in loads:
            loads[kind] = load_of(spec)
        return loads[kind]

    entries: dict[str, Entry] = {}
    trained: set[str] = set()

    def added(question: Question) -> dict[str, Entry]:
        new: dict[str, Entry] = {}
        met = set(trained)
        by_recall = sorted(question.runs, key=lambda spec: not spec.paradigm.endswith("recall"))
        for spec in by_recall:
            if spec.run_id not in entries:
                new[spec.run_id] = Entry(spec, load(spec), training_of(spec) in met, ())
                met.add(training_of(spec))
        return new

    def decided(new: Mapping[str, Entry]) -> list[str]:
        there = {*entries, *new}
        return [q.claim for q in asked if q in left and all(s.run_id in there for s in q.runs)]

    def worth(question: Question) -> tuple[int, float]:
        new = added(question)
        flops = sum(entry.flops for name, entry in new.items() if name not in done)
        place = before.index(question.study) if question.study in before else len(before)
        return -place, len(decided(new)) / flops if flops else float("inf")

    left = list(asked)
    while left:
        for name, entry in added(max(left, key=worth)).items():
            claims = decided({name: entry})
            entries[name] = replace(entry, decides=tuple(claims))
            trained.add(training_of(entry.spec))
            left = [q for q in left if q.claim not in claims]
        settled = decided({})
        left = [q for q in left if q.claim not in settled]
    return list(entries.values())
