"""All figures of a page."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from reports.figures import curves
from reports.figures.exits import exits_figure
from reports.figures.figure_model import Figure, Panel
from reports.figures.headlines import with_headline
from reports.figures.probe_figures import probe_figures
from reports.figures.reach import reach
from reports.figures.recovery import recovery
from reports.figures.training import training_curves
from reports.read.formats import capital
from reports.read.load import Records, Run
from reports.read.sections import Section, sections


def _overview_panel(section: Section) -> Panel:
    """Extrapolation or, where there are no degrees of difficulty, parameter efficiency."""
    places = section.difficulties[:1] if section.only else []
    panels = curves.cost_panels(section, curves.PARAMETERS, places, section.name)
    panel = panels[0] if panels else curves.difficulty_panel(section, section.name)
    return replace(panel, task=section.task)


def overview(among: list[Section], key: str) -> Figure | None:
    """The extrapolation curves of all tasks side by side."""
    shown = [s for s in among if not s.best.empty]
    if len(shown) < 2:
        return None
    table = pd.concat([s.best for s in shown])
    where = "" if all(s.only for s in shown) else "at each difficulty"
    title = f"Share of problems solved {where}, by task"
    caption = capital(curves.answered(shown[0].rule, table))
    return with_headline(
        "overview", Figure(key, title, caption, [_overview_panel(s) for s in shown])
    )


def section_figures(section: Section, runs: dict[str, Run], prefix: str) -> dict[str, Figure]:
    """The figures of one task by what they show; those without data are absent."""
    made = {
        "difficulty": curves.against_difficulty(section, f"{prefix}-difficulty"),
        "iterations": curves.against_iterations(section, f"{prefix}-iterations"),
        "samples": curves.against_samples(section, f"{prefix}-samples"),
        "parameters": curves.against_parameters(section, f"{prefix}-parameters"),
        "compute": curves.against_compute(section, f"{prefix}-compute"),
        "exits": exits_figure(section, runs, f"{prefix}-exits"),
        "recovery-trained": recovery(section, f"{prefix}-recovery-trained", runs, trained=True),
        "recovery": recovery(section, f"{prefix}-recovery", runs),
        **probe_figures(section, f"{prefix}-inside", runs),
        "training": training_curves(section, f"{prefix}-training", runs),
    }
    return {kind: with_headline(kind, figure) for kind, figure in made.items() if figure}


def figures_of(records: Records) -> dict[str, Figure]:
    """All figures of a page, by a name fit for a file."""
    shown = sections(records.rows)
    top = overview(shown, "overview")
    far = reach(shown, "reach")
    made = {name: f for name, f in (("overview", top), ("reach", far)) if f}
    for section in shown:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", section.name).strip("_") or "task"
        for kind, figure in section_figures(section, records.runs, "f").items():
            place = f"{name}-{kind}"
            made[place if place not in made else f"{place}-{len(made)}"] = figure
    return made
