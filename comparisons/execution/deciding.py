"""`--until-decided HOURS`: seeds are added study by study, first where a verdict is nearest, until
every claim is told or the time is over.

Claims are looked at with 3, 5, 8, 12 and 20 seeds (`foundations.statistics.LOOKS`), each look
spending its part of an error of 5 %. What is told at a look stays told. Everything is read off the
records, so that a command that ended, here or on another machine whose records were merged, goes
on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from comparisons.planning.estimate import PLAIN_SPEED, load_of
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


def standings(name: str, preset: str, out: Path, planned: Planned) -> list[Standing]:
    """Every claim of a study at the last look that its records allow, or at the one that told
    it; at no look (0 seeds) where they allow none."""
    found: dict[str, Standing] = {}
    claims = load_study(name).claims
    for look in LOOKS:
        _, runs = planned(name, look)
        if not runs or not all(RunFolder(out, spec).complete for spec in runs):
            break
        evidence = Evidence(out, runs)
        for claim in claims:
            if claim.id not in found or not found[claim.id].told:
                found[claim.id] = _looked(name, claim, preset, evidence, look)
    if not found:
        _, runs = planned(name, LOOKS[0])
        evidence = Evidence(out, runs)
        for claim in claims:
            finding = judge(claim.check_at(preset), evidence)
            can_tell = LOOKS[0] if runs else None
            found[claim.id] = Standing(name, claim.id, finding, 0, can_tell)
    return list(found.values())


def _looked(name: str, claim: Claim, preset: str, evidence: Evidence, look: int) -> Standing:
    finding = judge(claim.check_at(preset), evidence, 1 - spent_at(look))
    return Standing(name, claim.id, finding, look, seeds_needed(finding, look))


def minutes(runs: Sequence[RunSpec], out: Path) -> float:
    """What is left of runs, at the speed of those that are done, or a guess that is rather long."""
    left, flops, seconds = 0.0, 0.0, 0.0
    for spec in runs:
        folder = RunFolder(out, spec)
        if not folder.complete:
            left += load_of(spec).flops
            continue
        result = folder.result()
        if result.train_flops and result.train_seconds:
            flops += result.train_flops
            seconds += result.train_seconds
    return left / (flops / seconds if seconds else PLAIN_SPEED) / 60


@dataclass(frozen=True)
class Next:
    """The look that comes next for a study, what its runs take, and what a claim of it is
    thought to take until it is told, in minutes."""

    study: str
    seeds: int
    minutes: float
    a_verdict: float


def next_looks(stand: Mapping[str, Sequence[Standing]], out: Path, planned: Planned) -> list[Next]:
    """The next look of every study with a claim that more seeds may tell, nearest verdict per
    minute first."""
    following = []
    for name, claims in stand.items():
        seeds = max((one.seeds for one in claims), default=0)
        later = [look for look in LOOKS if look > seeds]
        needs = [one.needed for one in claims if not one.told and one.needed is not None]
        if not later or not needs:
            continue
        cost = minutes(planned(name, later[0])[1], out)
        ends = [next((look for look in later if look >= n), 4 * LOOKS[-1]) for n in needs]
        each = [(end - seeds) / (later[0] - seeds) * cost for end in ends]
        following.append(Next(name, later[0], cost, min(each)))
    return sorted(following, key=lambda one: one.a_verdict)


def what_is_open(stand: Mapping[str, Sequence[Standing]], following: Sequence[Next]) -> str:
    """A line: how many claims are told, which are not, and what their next looks take."""
    every = [one for claims in stand.values() for one in claims]
    left = [one.claim for one in every if not one.told]
    if not left:
        return f"all {len(every)} claims told"
    hours = sum(one.minutes for one in following) / 60
    at = ", ".join(f"{one.study} to {one.seeds} seeds" for one in following) or "no more seeds"
    return (
        f"{len(every) - len(left)} of {len(every)} claims told; open: {', '.join(left)};"
        f" next: {at}, about {hours:.1f} h"
    )


def until_decided(
    names: Sequence[str],
    preset: str,
    hours: float,
    out: Path,
    planned: Planned,
    run: Callable[[Plan, Mapping[str, tuple[RunSpec, ...]]], int],
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, list[Standing]]:
    """Add seeds until every claim is told or no look fits the hours that are left. Returns where
    each claim stands, by study.

    run: does what is left of a plan and judges the studies given, and returns how many runs did not
    end; a study of which some did not is left alone.
    """
    end = clock() + 3600 * hours
    stand = {name: standings(name, preset, out, planned) for name in names}
    stuck: set[str] = set()
    while (
        True
    ):  # ends: every turn completes a look, of which there are five, or marks a study stuck
        following = next_looks(stand, out, planned)
        left = (end - clock()) / 60
        fits = [one for one in following if one.minutes <= left and one.study not in stuck]
        say(what_is_open(stand, following))
        if not fits:
            return stand
        name, seeds = fits[0].study, fits[0].seeds
        plan, runs = planned(name, seeds)
        if run(replace(plan, runs=runs), {name: runs}):
            stuck.add(name)
        stand[name] = standings(name, preset, out, planned)


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
            spent = f"{one.seeds} seeds, {100 * spent_at(one.seeds):.2g} % of error spent there"
            said = f"looked at with {spent}" if one.seeds else "not looked at yet"
            found[one.claim] = replace(one.finding, numbers=(*one.finding.numbers, said))
    write_verdicts(out, preset, of_study, skipped, command, found=found)
