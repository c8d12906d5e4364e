"""When networks answer under the rule of agreement, as data."""

from __future__ import annotations

import numpy as np

from reports.figures.figure_model import Figure, Line, Panel, iterations_axis, percent_axis
from reports.read.formats import plural
from reports.read.load import Run
from reports.read.sections import Section, section_entries
from reports.read.stored import number, numbers

SHOWN_RULE = "agreement"  # the published one


def exits_figure(section: Section, runs: dict[str, Run], key: str) -> Figure | None:
    """Share of problems answered by each iteration under the agreement rule, a panel per
    difficulty."""
    answers: dict[tuple[float, str], dict[float, float]] = {}
    for entry in section_entries(section, runs, "exits"):
        at, problems = numbers(entry.get("iterations")), numbers(entry.get("problems"))
        if entry.get("exit_rule") != SHOWN_RULE or len(at) != len(problems) or not len(at):
            continue
        place = number(entry.get("test_difficulty")), entry["series"]
        counted = answers.setdefault(place, {})
        for step, several in zip(at.tolist(), problems.tolist(), strict=True):
            if step >= 1 and several >= 0:
                counted[step] = counted.get(step, 0.0) + several
    steps = [step for counted in answers.values() for step in counted]
    if not steps:
        return None
    x, y = iterations_axis(steps, max(steps)), percent_axis("problems answered (%)")
    panels = []
    for difficulty in section.difficulties:
        lines = [
            _line(section, series, difficulty, answers[difficulty, series], max(steps))
            for series in section.series
            if answers.get((difficulty, series))
        ]
        if lines:
            panels.append(Panel(section.panel(difficulty), x, y, lines))
    networks = plural(len({series for _, series in answers}), "network")
    return Figure.of(
        key,
        f"{section.name}: share of problems answered by each iteration under the rule of agreement",
        "A network answers when its answer repeats the one before it; what does not repeat is"
        f" answered at the last iteration. All problems and seeds of {networks} together.",
        panels[:6],
    )


def _line(
    section: Section, series: str, difficulty: float, counted: dict[float, float], last: float
) -> Line:
    """counted: problems answered by iteration. Quotes how many of the answers are right, and the
    last iteration at which one was given."""
    at, total = sorted(counted), sum(counted.values())
    share = np.cumsum([counted[step] for step in at]) / total
    right = section.cell(series, difficulty, SHOWN_RULE)
    quoted = {"accuracy": right.mean, "low": right.low} if right else {}
    quoted |= {"chance": section.chance, "last": last} if right else {}
    return Line(series, at, share.tolist(), tests=[total] * len(at), quoted=quoted)
