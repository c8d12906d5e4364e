"""`--until-decided HOURS`: seeds are added claim by claim, first where a verdict is nearest, until
every claim is told or the time is over.

A claim takes the runs that its check asks for, and no others of its study: a run that several ask
for is trained once. Claims are looked at with 3, 5, 8, 12 and 20 seeds
(`foundations.statistics.LOOKS`), each look spending its part of an error of 5 %. What is told at a
look stays told. Everything is read off the records, so that a command that ended, here or on
another machine whose records were merged, goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from comparisons.hardware import expected_device
from comparisons.planning.estimate import company, estimate, wall_seconds
from comparisons.planning.overrides import Overrides
from comparisons.planning.plan import Plan
from comparisons.storage.begun import as_begun
from comparisons.storage.run_folder import RunFolder
from comparisons.studies import Claim, load_study, plan_studies
from comparisons.studies.evidence import Evidence
from comparisons.studies.finding import NOT_REPRODUCED, REPRODUCED, Effect, Finding, judge
from comparisons.studies.ledger import write_verdicts
from foundations.records.spec import RunSpec
from foundations.statistics import LOOKS, spent_at

TOLD = (REPRODUCED, NOT_REPRODUCED)

#: The plan of a study with so many seeds, and its runs.
Planned = Callable[[str, int], tuple[Plan, tuple[RunSpec, ...]]]


@dataclass(frozen=True)
class Standing:
    """Where a claim stands. seeds: of the look that told it, or of the last; needed: seeds that
    would tell it if what was found is true, None where more seeds can't."""

    study: str
    claim: str
    finding: Finding
    seeds: int
    needed: int | None = None

    @property
    def told(self) -> bool:
        """Whether it has a verdict."""
        return self.finding.verdict in TOLD

    @property
    def next_look(self) -> int | None:
        """Seeds of the look that may tell it; None where it is told, or more seeds can't."""
        if self.told or self.needed is None:
            return None
        return next((look for look in LOOKS if look > self.seeds), None)


def planner(
    preset: str, settings: Overrides, data_dir: Path | None, out: Path | None = None
) -> Planned:
    """Plans of studies, each made once. out: the results folder that they are for."""
    made: dict[tuple[str, int], tuple[Plan, tuple[RunSpec, ...]]] = {}

    def planned(name: str, seeds: int) -> tuple[Plan, tuple[RunSpec, ...]]:
        if (name, seeds) not in made:
            first = load_study(name).first_seed
            chosen = tuple(range(first, first + seeds))
            plan, runs = plan_studies([name], preset, chosen, settings, data_dir)
            made[name, seeds] = plan, as_begun(runs[name], out) if out else runs[name]
        return made[name, seeds]

    return planned


def seeds_needed(finding: Finding, seeds: int) -> int | None:
    """Seeds at which every part would be told if its effect is what was found: bounds close in on
    it as the square root of their number. None where a part has no effect to go by."""
    needed = 0.0
    for part in finding.each:
        if part.verdict in TOLD:
            continue
        if part.effect is None or not part.effect.bars:
            return None
        needed = max(needed, seeds * _widths_off(part.effect) ** 2)
    return min(round(needed) + 1, 10**6)


def _widths_off(effect: Effect) -> float:
    """Half the width of the bounds, as a multiple of how far the effect is from what decides."""
    half = (effect.high - effect.low) / 2
    off = min(abs(effect.value - bar) for bar in effect.bars)
    return min(half / off, 1000.0) if off else 1000.0


class _Asking(Evidence):
    """As if nothing were stored; notes what is asked for."""

    def __init__(self, runs: Sequence[RunSpec]) -> None:
        super().__init__(Path(), runs)
        self.asked: dict[str, RunSpec] = {}

    def result(self, spec: RunSpec) -> None:
        self.asked[spec.run_id] = spec


def runs_of(claim: Claim, preset: str, runs: Sequence[RunSpec]) -> tuple[RunSpec, ...]:
    """Those of a study's runs that a claim is judged by."""
    asking = _Asking(runs)
    judge(claim.check_at(preset), asking)
    return tuple(asking.asked.values())


def standings(name: str, preset: str, out: Path, planned: Planned) -> list[Standing]:
    """Every claim of a study at the last look that its records allow, or at the one that told
    it; at no look (0 seeds) where they allow none."""
    return [_stands(name, claim, preset, out, planned) for claim in load_study(name).claims]


def _stands(name: str, claim: Claim, preset: str, out: Path, planned: Planned) -> Standing:
    stands = None
    for look in LOOKS:
        _, runs = planned(name, look)
        asked = runs_of(claim, preset, runs)
        if not asked or not all(RunFolder(out, spec).complete for spec in asked):
            break
        finding = judge(claim.check_at(preset), Evidence(out, runs), 1 - spent_at(look))
        stands = Standing(name, claim.id, finding, look, seeds_needed(finding, look))
        if stands.told:
            break
    if stands is None:
        _, runs = planned(name, LOOKS[0])
        finding = judge(claim.check_at(preset), Evidence(out, runs))
        can_tell = LOOKS[0] if runs_of(claim, preset, runs) else None
        stands = Standing(name, claim.id, finding, 0, can_tell)
    return stands


def unfinished(runs: Sequence[RunSpec], out: Path) -> list[RunSpec]:
    """Those that are not done."""
    return [spec for spec in runs if not RunFolder(out, spec).complete]


class Costs:
    """What runs take on this machine, each kind measured once. workers: runs trained side by
    side."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._seconds: dict[str, float] = {}
        self._flops: dict[str, float] = {}

    def _measured(self, runs: Sequence[RunSpec], out: Path) -> list[RunSpec]:
        """Those that are not done, all of a kind that was measured."""
        left = unfinished(runs, out)
        new = {kind: spec for spec in left if (kind := _kind(spec)) not in self._seconds}
        if new:
            with company(self.workers - 1):
                found = estimate(tuple(new.values()), expected_device(), always=True)
            self._seconds |= {kind: found.seconds[spec.run_id] for kind, spec in new.items()}
            self._flops |= {kind: found.flops[spec.run_id] for kind, spec in new.items()}
        return left

    def flops(self, runs: Sequence[RunSpec], out: Path) -> float:
        """Operations of what is left of runs."""
        return sum(self._flops[_kind(spec)] for spec in self._measured(runs, out))

    def minutes(self, runs: Sequence[RunSpec], out: Path) -> float:
        """What is left of runs, of all their steps: training that stops early takes less."""
        seconds = [self._seconds[_kind(spec)] for spec in self._measured(runs, out)]
        return wall_seconds(seconds, self.workers) / 60


def _kind(spec: RunSpec) -> str:
    """The same for runs that differ in their seeds alone."""
    return replace(spec, seed=0, data_seed=0).run_id


@dataclass(frozen=True)
class Next:
    """The look that comes next for a claim, the runs it asks for, what is left of them in minutes,
    and what the claim is thought to take until it is told."""

    study: str
    claim: str
    seeds: int
    runs: tuple[RunSpec, ...]
    minutes: float
    a_verdict: float


def next_looks(
    stand: Mapping[str, Sequence[Standing]], preset: str, out: Path, planned: Planned, costs: Costs
) -> list[Next]:
    """The next look of every claim that more seeds may tell, nearest verdict per minute first."""
    following = []
    for name, claims in stand.items():
        of_id = {claim.id: claim for claim in load_study(name).claims}
        for one in claims:
            look = one.next_look
            if look is None or one.needed is None:
                continue
            later = [more for more in LOOKS if more >= look]
            runs = runs_of(of_id[one.claim], preset, planned(name, look)[1])
            cost = costs.minutes(runs, out)
            end = next((more for more in later if more >= one.needed), 4 * LOOKS[-1])
            share = (end - one.seeds) / (look - one.seeds)
            following.append(Next(name, one.claim, look, runs, cost, share * cost))
    return sorted(following, key=lambda one: one.a_verdict)


def what_is_open(
    stand: Mapping[str, Sequence[Standing]], following: Sequence[Next], hours: float
) -> str:
    """A line: how many claims are told, which are not, and what their next looks take, each with
    the hours that it would take alone. hours: of all of them."""
    every = [one for claims in stand.values() for one in claims]
    left = [one.claim for one in every if not one.told]
    if not left:
        return f"all {len(every)} claims told"
    said = [f"{one.claim} to {one.seeds} seeds ({one.minutes / 60:.1f} h)" for one in following]
    stuck = [claim for claim in left if claim not in {one.claim for one in following}]
    return (
        f"{len(every) - len(left)} of {len(every)} claims told; next: "
        f"{', '.join(said) or 'no more seeds'}; together about {hours:.1f} h"
        + (f"; that more seeds can't tell: {', '.join(stuck)}" if stuck else "")
    )


def until_decided(
    names: Sequence[str],
    preset: str,
    hours: float,
    out: Path,
    planned: Planned,
    run: Callable[[Plan], int],
    costs: Costs,
    keep: Callable[[Mapping[str, Sequence[Standing]]], object],
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[Standing]]:
    """Add seeds until every claim is told or no look fits the hours that are left. Returns where
    each claim stands, by study.

    run: does what is left of a plan, and returns how many runs did not end; a claim some of whose
    runs did not is left alone. It is given the runs of as many claims as keep the workers of
    `costs` busy. keep: writes down where claims stand, after every look.
    """
    end = clock() + 3600 * hours
    stand = {name: standings(name, preset, out, planned) for name in names}
    stuck: set[str] = set()
    while (
        True
    ):  # ends: every turn completes a look, of which there are five, or marks a claim stuck
        keep(stand)
        following = next_looks(stand, preset, out, planned, costs)
        all_runs = _together(following)
        left = (end - clock()) / 60
        fits = [one for one in following if one.minutes <= left and one.claim not in stuck]
        say(what_is_open(stand, following, costs.minutes(all_runs, out) / 60))
        if not fits:
            return stand
        chosen = _enough(fits, out, costs, left)
        plan, _ = planned(chosen[0].study, chosen[0].seeds)
        if run(replace(plan, runs=_together(chosen))):
            stuck |= {one.claim for one in chosen if unfinished(one.runs, out)}
        # Other claims may ask for the same runs, in other studies too.
        stand = {name: standings(name, preset, out, planned) for name in names}


def _together(looks: Sequence[Next]) -> tuple[RunSpec, ...]:
    """The runs of looks, each once."""
    return tuple({spec.run_id: spec for one in looks for spec in one.runs}.values())


def _enough(fits: Sequence[Next], out: Path, costs: Costs, left: float) -> list[Next]:
    """The nearest look, and the next ones as long as there are workers without a run and all of
    them are done within the minutes left."""
    chosen = [fits[0]]
    for one in fits[1:]:
        runs = _together(chosen)
        if len(unfinished(runs, out)) >= costs.workers:
            break
        if costs.minutes(_together([*chosen, one]), out) <= left:
            chosen.append(one)
    return chosen


def write_standings(
    out: Path, preset: str, stand: Mapping[str, Sequence[Standing]], planned: Planned, command: str
) -> None:
    """The ledger of what was told at which look."""
    of_study: dict[str, tuple[RunSpec, ...]] = {}
    skipped: list[str] = []
    found: dict[str, Finding] = {}
    for name, claims in stand.items():
        plan, of_study[name] = planned(name, max((*(c.seeds for c in claims), LOOKS[0])))
        skipped += plan.skipped
        for one in claims:
            said = "not looked at yet"
            if one.seeds:
                spent = f"{100 * spent_at(one.seeds):.2g} % of error spent there"
                said = f"looked at with {one.seeds} seeds, {spent}"
            found[one.claim] = replace(one.finding, numbers=(*one.finding.numbers, said))
    write_verdicts(out, preset, of_study, skipped, command, found=found)
