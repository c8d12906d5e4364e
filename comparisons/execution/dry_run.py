"""`--dry-run`: what would be run, what of it is stored, and what the rest costs. Nothing is trained
or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from comparisons.execution.deciding import Costs, Planned, next_looks, standings
from comparisons.execution.launch import process_place
from comparisons.execution.progress import counted, duration, plan_lines
from comparisons.execution.study import Tracking, make_accelerator, workers_for
from comparisons.planning.estimate import Estimate, company, estimate, wall_seconds
from comparisons.planning.plan import Plan
from comparisons.storage.run_folder import RunFolder
from foundations.records.labels import labels
from foundations.records.spec import RunSpec


def dry_run(plan: Plan, out: Path, trials: Plan | None, distribute: str, workers: int) -> None:
    """Print it. trials: of a search that comes before, if any."""
    console = Console(highlight=False)
    count = workers_for(plan, distribute, workers)
    processes = process_place()[1]
    # Alone: the other processes of a launcher have nothing to do here.
    device = make_accelerator("runs", count, Tracking("", out)).device
    together = processes if distribute == "data" else 1
    number = count * (1 if together > 1 else processes)
    total = 0.0
    for part, folder, what in ((trials, out / "search", "trial"), (plan, out, "run")):
        if part is None:
            continue
        stored = {s.run_id for s in part.runs if RunFolder(folder, s).complete}
        left = [s for s in part.runs if s.run_id not in stored]
        trained = {s.run_id for s in left if RunFolder(folder, s).trained}
        with company(0 if torch.cuda.is_available() else count - 1):
            estimated = estimate(
                part.runs,
                device,
                together=together,
                done=stored,
                trained=trained,
                tests=what == "run",
                always=True,
            )
        for line in (
            *(f"left out: {text}" for text in part.skipped),
            *plan_lines(part, folder, what),
        ):
            console.print(line, markup=False, soft_wrap=True)
        for line in part.matched:
            console.print(f"matched: {line}", markup=False, soft_wrap=True)
        console.print(_table(part.runs, folder, stored, trained, estimated))
        flops = sum(estimated.flops[s.run_id] for s in left)
        took = wall_seconds([estimated.seconds[s.run_id] for s in left], number)
        total += took
        console.print(
            f"to do: {counted(len(left), what)} of {len(part.runs)}, {flops:.2g} FLOPs, about "
            f"{duration(took)} with {counted(number, 'worker')} on {device.type.upper()}",
            markup=False,
            soft_wrap=True,
        )
    if trials:
        console.print(f"in all: about {duration(total)}")
    console.print(
        "Estimated from a measurement of seconds; training that stops early takes less."
        " Nothing was trained or written.",
        soft_wrap=True,
    )


def dry_run_of_claims(
    names: Sequence[str], preset: str, out: Path, planned: Planned, costs: Costs
) -> None:
    """Print where the claims of studies stand, and what the next look at each would take alone."""
    stand = {name: standings(name, preset, out, planned) for name in names}
    following = {one.claim: one for one in next_looks(stand, preset, out, planned, costs)}
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("claim", "study", "verdict"):
        grid.add_column(name, no_wrap=True)
    for name in ("seeds", "next look", "runs left", "FLOPs", "hours"):
        grid.add_column(name, justify="right")
    for one in (one for claims in stand.values() for one in claims):
        look = [""] * 4
        if after := following.get(one.claim):
            left = [spec for spec in after.runs if not RunFolder(out, spec).complete]
            work = f"{costs.flops(after.runs, out):.1e}", f"{after.minutes / 60:.1f}"
            look = [f"{after.seeds} seeds", str(len(left)), *work]
        grid.add_row(one.claim, one.study, one.finding.verdict, str(one.seeds), *look)
    every = {spec.run_id: spec for one in following.values() for spec in one.runs}
    hours = costs.minutes(tuple(every.values()), out) / 60
    console = Console(highlight=False)
    console.print(grid)
    console.print(
        f"all of these looks together, runs shared: about {hours:.1f} h with"
        f" {counted(costs.workers, 'worker')}. Of all steps, measured on this machine; training"
        " that stops early takes less. Nothing was trained or written.",
        soft_wrap=True,
    )


def _table(
    runs: Sequence[RunSpec], out: Path, stored: set[str], trained: set[str], estimated: Estimate
) -> Table:
    """A line for runs that differ in their seeds alone. stored, trained: names of runs that are
    done, and of those that only tests are left of."""
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    grid.add_column("task", no_wrap=True)
    grid.add_column("paradigm", overflow="fold")
    for name in ("samples", "seeds", "steps", "FLOPs", "minutes"):
        grid.add_column(name, justify="right", overflow="fold")
    grid.add_column("stored", no_wrap=True)
    named = labels(list(runs))
    groups: dict[str, list[RunSpec]] = {}
    for spec in runs:
        groups.setdefault(replace(spec, seed=0).run_id, []).append(spec)
    for group in groups.values():
        first = group[0]
        shown = next((spec for spec in group if spec.run_id not in stored), first)
        done = sum(spec.run_id in stored for spec in group)
        begun = sum(RunFolder(out, s).begun for s in group if s.run_id not in stored | trained)
        states = [f"{done} of {len(group)}" if len(group) > 1 else "yes"] if done else []
        states += ["begun"] if begun else []
        states += ["trained"] if any(s.run_id in trained for s in group) else []
        grid.add_row(
            first.task,
            Text(named[first.run_id]),
            f"{first.train_samples:,}",
            ",".join(str(spec.seed) for spec in group),
            f"{first.train.total_steps:,}",
            f"{estimated.flops[shown.run_id]:.1e}",
            f"{estimated.seconds[shown.run_id] / 60:.1f}",
            ", ".join(states) or "no",
        )
    if any(len(group) > 1 for group in groups.values()):
        grid.caption = "FLOPs and minutes: of one run, the first that is not stored, tests included"
    return grid
