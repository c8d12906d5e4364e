"""Names of lines at their right ends, in place of a legend: which figures have room for them, and
where each stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from reports.figures.figure_model import Figure, Panel

MOST_NAMED = 6  # lines of a panel; of more, names would crowd
_MOST_ROWS, _ROW = 3, 18  # rows of a name, letters of a row
_LONGEST = 24  # letters of a word that stands in no row of that length
HEIGHT = 12.5  # pixels from row to row
_LETTER = 7.0  # pixels that a letter takes at most, on average, of 11.5 pixels in any sans-serif
_GAP = 3.0  # pixels between names
_APART = 12.0  # from a line's end to its name


class Name(NamedTuple):
    """rows: the name, a row each. x, y: where the first row's baseline begins. end: of the line
    that it names. leads: whether it stands so far from that end that a thin line leads there."""

    rows: tuple[str, ...]
    x: float
    y: float
    end: tuple[float, float]
    leads: bool

    @property
    def right(self) -> float:
        return self.x + _LETTER * max(map(len, self.rows))


def named_panels(figure: Figure) -> list[bool]:
    """Which panels have names: of up to two, or two rows of two, each; of three, which are narrow,
    the last; of more, none."""
    named = {1: {0}, 2: {0, 1}, 3: {2}, 4: {0, 1, 2, 3}}.get(len(figure.panels), set())
    return [i in named and _can(panel) for i, panel in enumerate(figure.panels)]


def _can(panel: Panel) -> bool:
    several = 2 <= len(panel.lines) <= MOST_NAMED
    one_each = len({line.series for line in panel.lines}) == len(panel.lines)
    drawn = any(line.kind in ("line", "flat") for line in panel.lines)
    drawn = drawn and all(line.kind != "thin" for line in panel.lines)
    return several and one_each and drawn and all(rows_of(line.series) for line in panel.lines)


def rows_of(name: str) -> tuple[str, ...]:
    """The name in rows of few letters; none where it takes too many."""
    rows = [""]
    for word in name.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > _ROW:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return tuple(rows) if len(rows) <= _MOST_ROWS and max(map(len, rows)) <= _LONGEST else ()


def placed(
    ends: Sequence[tuple[str, tuple[float, float]]], top: float, bottom: float
) -> list[Name | None]:
    """A name for each line (its name and right end) beside the ends, none on another's place, all
    between top and bottom; None for all where they do not fit."""
    rows = [rows_of(name) for name, _ in ends]
    heights = [HEIGHT * len(each) + _GAP for each in rows]
    if sum(heights) > bottom - top or not all(math.isfinite(v) for _, e in ends for v in e):
        return [None] * len(ends)
    x = max(end[0] for _, end in ends) + _APART
    order = sorted(range(len(ends)), key=lambda i: ends[i][1][1])
    starts = _nudged(
        [ends[i][1][1] - heights[i] / 2 for i in order], [heights[i] for i in order], top, bottom
    )
    found: list[Name | None] = [None] * len(ends)
    for i, start in zip(order, starts, strict=True):
        end = ends[i][1]
        off = abs(start + heights[i] / 2 - end[1])
        leads = x - end[0] > _APART + 2 or off > heights[i] / 2
        found[i] = Name(
            rows[i], round(x, 1), round(start + _GAP / 2 + 0.78 * HEIGHT, 1), end, leads
        )
    return found


def _nudged(
    wanted: Sequence[float], heights: Sequence[float], top: float, bottom: float
) -> list[float]:
    """Starts of intervals as near the wanted ones, which ascend, as they can be without overlap
    (pool adjacent violators), within top and bottom."""
    # As wanted, less what stands above: these may be equal, and must ascend.
    above = [sum(heights[:i]) for i in range(len(heights))]
    pools: list[list[float]] = []
    for value in (w - a for w, a in zip(wanted, above, strict=True)):
        pools.append([value])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [_mean(pool) for pool in pools for _ in pool]
    most = bottom - sum(heights)
    return [min(max(v, top), most) + a for v, a in zip(level, above, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
