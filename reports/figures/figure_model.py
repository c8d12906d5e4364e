"""A figure as data: a few panels of lines over labelled axes.

`drawing` makes the page's picture of it and the numbers that answer to the mouse, `paper` the files
for print; all from this one description.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

_COLUMNS = ("x", "y", "low", "high", "seeds", "tests")
_CSV = ("panel", "series", "run", "x", "y", "low", "high", "seeds", "n_test")


@dataclass(frozen=True)
class Axis:
    """label: with the unit. ticks: (value, text) pairs, or none for the drawing to choose. whole:
    no ticks between whole numbers."""

    label: str
    log: bool = False
    percent: bool = False
    whole: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    low: float | None = None
    high: float | None = None


def percent_axis(label: str) -> Axis:
    return Axis(label, percent=True, low=0.0, high=1.0)


SOLVED = percent_axis("problems solved entirely (%)")
MAX_BANDS = 6  # lines of a panel that show their confidence bands at once


def iterations_axis(
    steps: Sequence[float], high: float | None = None, label: str = "iterations"
) -> Axis:
    """An axis of numbers of iterations, those of networks that begin at the first."""
    low = 1.0 if label == "iterations" else None
    return Axis(label, whole=True, log=log_axis(steps, 8), low=low, high=high)


@dataclass(frozen=True)
class Line:
    """One series in a panel.

    kind: line | points | flat (a network that ends, drawn level to the right) | thin (one run of
    many). low, high: ends of the 95 % intervals. seeds, tests: how many runs and problems each
    point stands on. each: the seeds' own values, where a point is a mean of few. ring: the place of
    the point that stands for training, or None. quoted: numbers of the records that are not drawn
    and that the figure's headline gives.
    """

    series: str
    x: list[float]
    y: list[float]
    kind: str = "line"
    low: list[float] | None = None
    high: list[float] | None = None
    seeds: list[int] | None = None
    tests: list[float] | None = None
    each: list[list[float]] | None = None
    ring: int | None = None
    run: str = ""
    quoted: dict[str, float] = field(default_factory=dict)

    def level_to(self, last: float, ring: int | None = None) -> Line:
        """The line of a network that ends: its last value holds from there to `last`."""
        held: dict[str, Any] = {
            name: [*values, values[-1]] for name in _COLUMNS if (values := getattr(self, name))
        }
        held["x"][-1] = last
        return replace(self, kind="flat", ring=ring, **held)


@dataclass(frozen=True)
class Panel:
    """One pair of axes. marks: (axis "x" or "y", value, text) of lines across it. task: in a figure
    of several, that which the panel is of. beyond: the place along x from which on problems are
    harder than in training."""

    title: str
    x: Axis
    y: Axis
    lines: list[Line]
    marks: list[tuple[str, float, str]] = field(default_factory=list)
    task: str = ""
    beyond: float | None = None

    @property
    def crowded(self) -> bool:
        """Whether there are so many lines that bands around them would hide one another."""
        return len(self.lines) > MAX_BANDS

    @property
    def seen_marks(self) -> list[tuple[str, float, str]]:
        """Those that lie on the axes."""
        low = {"x": self.x.low, "y": self.y.low}
        return [m for m in self.marks if (at := low[m[0]]) is None or m[1] >= at]


@dataclass(frozen=True)
class Figure:
    """title: a statement of what is seen; caption: how to read it and what it stands on."""

    key: str
    title: str
    caption: str
    panels: list[Panel]

    @staticmethod
    def of(key: str, title: str, caption: str, panels: list[Panel]) -> Figure | None:
        """None where no panel has anything to show."""
        return Figure(key, title, caption, panels) if panels else None

    def csv(self) -> str:
        """The numbers drawn, tidy, as CSV text."""
        out = io.StringIO()
        write = csv.writer(out)
        write.writerow((*_CSV, "x_axis", "y_axis"))
        for panel in self.panels:
            for line in panel.lines:
                parts = (line.low, line.high, line.seeds, line.tests)
                for i, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
                    rest = ["" if p is None else short(p[i]) for p in parts]
                    row = [panel.title, line.series, line.run, short(x), short(y), *rest]
                    write.writerow([*map(plain, row), panel.x.label, panel.y.label])
        return out.getvalue()


def from_high(panels: list[Panel]) -> list[Panel]:
    """Panels of shares with axes that begin at the ten percent below the lowest interval, where all
    lie in the upper half: differences of a few points could not be seen on the whole axis."""
    ends = [v for p in panels for n in p.lines for v in n.low or n.y if math.isfinite(v)]
    low = math.floor(10 * min(ends, default=0.0)) / 10
    if low < 0.5 or not all(p.y.percent for p in panels):
        return panels
    return [replace(p, y=replace(p.y, low=min(low, 0.9))) for p in panels]


def begins(panels: list[Panel]) -> str:
    """The sentence of a caption on where such axes begin; nothing where that is 0."""
    low = next((p.y.low for p in panels if p.y.percent), None)
    return f"The axis of solved problems begins at {100 * low:.0f} %. " if low else ""


def plain(cell: object) -> object:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell


def short(value: float) -> float | int | None:
    """Six significant digits, None for NaN: small in a page, enough for a figure."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded


def log_axis(values: Sequence[float], ratio: float) -> bool:
    """Whether positive values spread over more than `ratio`, so that equal factors should look
    equal."""
    values = [v for v in values if math.isfinite(v)]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= ratio
