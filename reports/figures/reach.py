"""How far beyond training a network gets, by how many samples it was trained on: d50, the
difficulty of which half is solved, over the trained one. 1 is no extrapolation."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from foundations.statistics import HalfSolved, half_solved
from reports.figures.figure_model import Axis, Figure, Line, Panel, log_axis
from reports.read.formats import human
from reports.read.rules import RULES
from reports.read.sections import Section

_FEW = 6  # sample sizes that are named at the axis one by one
_RATIO = "d50 over the trained difficulty"


def reach_panel(section: Section, title: str = "") -> Panel | None:
    """None where nothing harder than in training was tested, or no network learns half of that."""
    if section.only or not section.trained or min(section.difficulties) <= 0:
        return None
    trained = section.trained[0]
    hardest = float(max(section.difficulties) / trained)
    if hardest <= 1:
        return None
    lines = [line for s in section.series if (line := _line(section, s, trained)) is not None]
    if not any(value > 1 + 1e-9 for line in lines for value in line.y):
        return None
    samples = sorted({x for line in lines for x in line.x})
    ticks = tuple((x, human(x)) for x in samples) if len(samples) <= _FEW else ()
    # Both marks are in the picture, and the intervals as far as they tell more.
    lowest = min([1.0, *(value for line in lines for value in line.y)])
    highest = max([hardest, *(value for line in lines for value in line.y)])
    marks = [("y", 1.0, "trained"), ("y", hardest, "hardest tested")]
    return Panel(
        title,
        Axis("training samples", log=True, ticks=ticks),
        Axis(_RATIO, log=log_axis([1.0, hardest], 8), low=lowest, high=highest),
        lines,
        marks,
        section.task,
    )


def _line(section: Section, series: str, trained: float) -> Line | None:
    """d50 by number of training samples; None for a network that was measured at one difficulty."""
    rows = section.answers
    rows = rows[(rows["series"] == series) & (rows["rule"] == section.rule)]
    rows = rows[rows["accuracy"].notna()]
    found: list[tuple[float, HalfSolved, int, float]] = []
    for samples in sorted(map(float, rows["train_samples"].dropna().unique())):
        table = rows[rows["train_samples"] == samples]
        curves = _curves(table, section.chance)
        if curves and min(map(len, curves)) > 1:
            count = float(table["n_test"].min())
            n = int(count) if count > 0 else 1  # unknown: as wide as can be
            found.append(
                (samples, half_solved(curves, n, chance=section.chance), len(curves), count)
            )
    if not found:
        return None
    return Line(
        series,
        [samples for samples, *_ in found],
        [half.value / trained for _, half, *_ in found],
        "line" if len(found) > 1 else "points",
        [half.low / trained for _, half, *_ in found],
        [half.high / trained for _, half, *_ in found],
        [seeds for *_, seeds, _ in found],
        [n for *_, n in found],
    )


def _curves(table: pd.DataFrame, chance: float) -> list[dict[float, float]]:
    """By run, the share of the way from chance to perfect at each difficulty."""
    return [
        {
            float(d): (float(a) - chance) / (1 - chance)
            for d, a in zip(run["test_difficulty"], run["accuracy"], strict=True)
        }
        for _, run in table.groupby("run_id")
    ]


def reach(sections: Sequence[Section], key: str) -> Figure | None:
    """A panel a task. None where no network solves anything harder than in training."""
    titled = len(sections) > 1
    panels = [reach_panel(section, section.name if titled else "") for section in sections]
    shown = [panel for panel in panels if panel is not None]
    if not shown:
        return None
    fewest = min(line.seeds[0] for panel in shown for line in panel.lines if line.seeds)
    among = "" if fewest > 1 else " (of one seed, over test problems alone)"
    return Figure(
        key,
        "How far beyond training each network solves half of the problems",
        f"The difficulty of which half is solved (from chance: half of the way), over the trained"
        f" one; networks answer after {RULES[sections[0].rule]}. Geometric mean over seeds with"
        f" 95\N{NO-BREAK SPACE}% intervals{among}. At the upper line, more than half of the hardest"
        " tested problems are solved: the true value may lie above. At the lower line, half of the"
        " trained ones or fewer: the true value may lie below.",
        shown,
    )
