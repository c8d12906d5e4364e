"""How loss and validation accuracy moved while training, as data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.figures.curves import MOST_POINTS, chance_mark
from reports.figures.figure_model import SOLVED, Axis, Figure, Line, Panel, log_axis
from reports.read.formats import plural
from reports.read.load import Run
from reports.read.sections import Section
from reports.read.stored import Entry, number

#: A spike, which would hide all else, is a loss more than SPIKE times both that at which the runs
#: begin (median) and that which all but 5 % of the drawn ones stay below.
SPIKE, SPIKE_QUANTILE = 4.0, 0.95


def training_curves(section: Section, key: str, runs: dict[str, Run]) -> Figure | None:
    """Loss and validation accuracy against examples seen, a thin line a run."""
    known = {r: s for s, r in section.owners() if r in runs and runs[r].metrics}
    budget = max(20, min(MOST_POINTS, 6000 // max(len(known), 1)))
    accuracy, loss = (
        [line for r, s in known.items() for line in _curve(s, runs[r], split, column, budget)]
        for split, column in (("validation", "accuracy"), ("train", "loss"))
    )
    x, above = Axis("examples seen in training", low=0.0), ""
    panels = [Panel("validation", x, SOLVED, accuracy, chance_mark(section))] if accuracy else []
    if loss:
        y, above = _loss_axis(loss)
        panels.append(Panel("training loss", x, y, loss))
    return Figure.of(
        key,
        f"{section.name}: validation accuracy and training loss while training",
        f"A line per run ({len(known)} runs), those of each paradigm's largest training set;"
        " validation problems are of the trained difficulty and shared with neither training nor"
        f" test. Losses are means over the steps between two points.{above}",
        panels,
    )


def validation_curve(series: str, run: Run, most: int) -> list[Line]:
    """Validation accuracy of a run by examples seen, in at most so many points; empty where none
    was recorded."""
    return _curve(series, run, "validation", "accuracy", most)


def _loss_axis(lines: Sequence[Line]) -> tuple[Axis, str]:
    """The axis of training losses and, where it leaves spikes out, what the caption says of
    them."""
    losses = [v for line in lines for v in line.y]
    begun = float(np.median([line.y[0] for line in lines]))
    usual = SPIKE * max(begun, float(np.quantile(losses, SPIKE_QUANTILE)))
    above = [v for v in losses if v > usual > 0]
    high = usual if above else None
    shown = [v for v in losses if high is None or v <= high]
    axis = Axis("training loss (nats)", log=log_axis(shown, 8), high=high)
    if high is None:
        return axis, ""
    return axis, (
        f" The axis of losses ends at {high:.3g}: {plural(len(above), 'point')} above it, up to"
        f" {max(above):.3g}, {'is' if len(above) == 1 else 'are'} not shown in full."
    )


def _curve(series: str, run: Run, split: str, column: str, budget: int) -> list[Line]:
    lines: list[Entry] = [m for m in run.metrics if m.get("split") == split]
    measured = [(number(m.get("examples")), number(m.get(column))) for m in lines]
    measured = sorted(p for p in measured if math.isfinite(p[0]) and math.isfinite(p[1]))
    if not measured:
        return []
    x, y = (np.array(part) for part in zip(*measured, strict=True))
    if len(x) > budget:
        groups = np.array_split(np.arange(len(x)), budget)
        ends = [g[-1] for g in groups]
        # A loss is noise around a trend, so its points are means; an accuracy is a measurement.
        y = np.array([y[g].mean() for g in groups]) if column == "loss" else y[ends]
        x = x[ends]
    # A line through one point is none.
    kind = "thin" if len(x) > 1 else "points"
    return [Line(series, x.tolist(), y.tolist(), kind, run=run.run_id)]
