"""How networks get back to the answer after a perturbation half-way, as data."""

from __future__ import annotations

import pandas as pd

from foundations.measures import aggregate
from reports.figures.curves import basis, chance_mark, solved_at_all, table_lines
from reports.figures.figure_model import SOLVED, Figure, Panel, iterations_axis
from reports.read.formats import capital
from reports.read.load import Run
from reports.read.rules import interval_note
from reports.read.sections import Section
from reports.read.stored import Entry, number, numbers

UNPERTURBED = "no perturbation"  # title of the panel of undisturbed networks
#: By the stored name of a perturbation: title of its panel, and what "n iterations after" follows.
PERTURBATIONS = {
    "none": (UNPERTURBED, "half-way"),
    "noise": ("state replaced by noise", "the noise"),
    "zeros": ("state set to zero", "the reset to zero"),
    "other": ("another problem's state", "the exchange"),
    "flip": ("a tenth of the signs flipped", "the sign flip"),
    "start": ("start moved", "the start moved"),
    "end": ("end moved", "the end moved"),
    "start:afresh": ("start moved, solved from scratch", "the start moved"),
    "end:afresh": ("end moved, solved from scratch", "the end moved"),
}
#: Columns that `aggregate` takes means of and recovery curves do not have.
_UNUSED = (
    "element_accuracy", "ci_low", "ci_high", "parameters", "active_parameters", "flops_per_example",
    "train_flops", "train_seconds", "exit_iterations_mean",
)  # fmt: skip


def recovery(
    section: Section, key: str, runs: dict[str, Run], trained: bool = False
) -> Figure | None:
    """A panel for each perturbation.

    At the hardest difficulty that any solves at all or, with `trained`, at the trained one if that
    is another: a network that ends solves little else.
    """
    table = pd.DataFrame(
        [row for owner in section.owners() for row in _rows(section, runs, *owner)]
    )
    if table.empty:
        return None
    measured = [d for d in section.difficulties if (table["test_difficulty"] == d).any()]
    place = (solved_at_all(section, measured) or measured)[-1:]
    if trained:
        place = [d for d in section.train_difficulties if d in measured and d not in place][-1:]
    if not place:
        return None
    here = table[table["test_difficulty"] == place[0]].reindex(columns=[*table.columns, *_UNUSED])
    here = aggregate(here, ["perturbation", "series", "iterations"])
    label = "iterations after the perturbation"
    last = float(here["iterations"].max())
    x = iterations_axis(here["iterations"].tolist(), last, label)
    ends = set(table.loc[table["ends"], "series"])
    panels = []
    applied = sorted(set(here["perturbation"]), key=lambda name: [*PERTURBATIONS, name].index(name))
    for name in applied:
        lines = table_lines(here[here["perturbation"] == name], "iterations")
        drawn = [n.level_to(last) if n.series in ends and n.x[-1] < last else n for n in lines]
        title = PERTURBATIONS[name][0] if name in PERTURBATIONS else name
        panels.append(Panel(title, x, SOLVED, drawn, chance_mark(section)))
    return Figure(
        key,
        f"{section.name}: share of problems solved after a perturbation, {section.place(place[0])}",
        f"{_moments(table)}{capital(basis(here))}. {interval_note(here)}.",
        panels,
    )


def _moments(table: pd.DataFrame) -> str:
    """When networks are perturbed, and what that means for those that end."""
    going, ending = (
        " or ".join(f"{b:g}" for b in sorted(table.loc[which, "before"].unique()))
        for which in (~table["ends"], table["ends"])
    )
    text = f"The state, or the problem, is changed after {going} iterations. " if going else ""
    if ending:
        text += (
            f"Level lines: networks that end, perturbed half-way through their depth ({ending}"
            " iterations) and scored at their end; they have no more layers than in training to"
            " get back with, so this says how much of the answer the second half makes, not"
            " whether they recover in time. "
        )
    return text


def _rows(section: Section, runs: dict[str, Run], series: str, run_id: str) -> list[Entry]:
    """A row a point of the curves of one run, those of another task and those that make no sense
    left out."""
    rows: list[Entry] = []
    for curve in runs[run_id].stored("recovery") if run_id in runs else []:
        if "test_task" in curve and curve["test_task"] not in set(section.main["test_task"]):
            continue
        steps, shares = numbers(curve.get("iterations")), numbers(curve.get("accuracy"))
        if len(steps) != len(shares):
            continue
        facts: Entry = {
            name: number(curve.get(name)) for name in ("test_difficulty", "before", "n_test")
        }
        facts |= {"run_id": run_id, "series": series, "perturbation": str(curve.get("blow"))}
        facts["ends"] = curve.get("ends") is True
        rows += [
            {**facts, "iterations": step, "accuracy": share}
            for step, share in zip(steps.tolist(), shares.tolist(), strict=True)
            if step >= 1 and 0 <= share <= 1
        ]
    return rows
