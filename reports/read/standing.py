"""What intervals allow to be said about accuracies measured at one place: a best one only if it is
separated.

A network is named as the best only where its 95 % interval overlaps that of no other there; else
the networks whose intervals overlap the highest one's are named together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from reports.read.summary import percent

NAMED = 3  # networks that a sentence names one by one; of more it gives the number


class Point(NamedTuple):
    """An accuracy and its 95 % interval. at: what it cost, where that is spoken of. cell: the row
    it comes from."""

    name: str
    mean: float
    low: float
    high: float
    at: float = 0.0
    cell: pd.Series | None = None


def of_cells(cells: Iterable[pd.Series | None]) -> list[Point]:
    """The aggregated rows that exist, as points."""
    return [
        Point(str(c["series"]), float(c["mean"]), float(c["low"]), float(c["high"]), cell=c)
        for c in cells
        if c is not None
    ]


def level(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """(the highest and all whose intervals overlap its, the others), each the highest first.

    Exactly equal accuracies keep their order. One point in the first list among several is a best
    one.
    """
    order = sorted(points, key=lambda p: -p.mean)
    if not order:
        return [], []
    first = order[0]
    equal = [p for p in order if p is first or p.high >= first.low]
    return equal, [p for p in order if p not in equal]


def leader(points: Sequence[Point]) -> Point | None:
    """The best of at least two, None if it is not separated from every other."""
    equal, others = level(points)
    return equal[0] if len(equal) == 1 and others else None


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _percent(point: Point) -> str:
    return percent(point.mean)


def standing(
    points: Sequence[Point],
    say: Callable[[Point], str] = _percent,
    cost: Callable[[Point], str] = lambda point: "",
) -> str:
    """`a solves most, 90.0 %; next b, 70.0 %`, or `a solves 90.0 %, not separated from b 88.0 %`,
    or `a solves 90.0 %`.

    say: the accuracy in words; cost: what follows it, such as ` with 1,000 parameters`.
    """
    equal, others = level(points)
    first = equal[0]
    if len(equal) > 1:
        # From the highest: two of the others may well be separated from each other.
        said = listed([f"{p.name} {say(p)}{cost(p)}" for p in equal[1:]])
        return (
            f"{first.name} solves {say(first)}{cost(first)}, not separated from {said} "
            "(95\N{NO-BREAK SPACE}% intervals overlap)"
        )
    if not others:
        return f"{first.name} solves {say(first)}{cost(first)}"
    after = others[0]
    return (
        f"{first.name} solves most, {say(first)}{cost(first)}; next {after.name}, "
        f"{say(after)}{cost(after)}"
    )
