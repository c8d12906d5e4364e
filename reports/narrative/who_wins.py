"""The map: which family is ahead on which task, how far beyond training and after how many training
samples, and the advice that follows.

A family is ahead where the 95 % interval of its best network lies above all intervals of the other
at the same place, with the same number of samples. By how much is the difference of the two best,
with the interval that follows from theirs (Newcombe 1998, method 10).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from foundations.statistics import interval_of_difference
from reports.narrative.answer import half_way
from reports.narrative.summary import FAMILIES, FEED_FORWARD, RECURRENT, ahead, by_family
from reports.read.formats import human, listed, span
from reports.read.sections import Accuracy, Section, accuracies

_MOST_NAMED = 4
_AS_HARD = "as hard as those of training"


class Place(NamedTuple):
    """A test at one difficulty after training on so many samples. difference: of the best recurrent
    network and the best feed-forward one, -1..1. family: the one that is ahead, "" for neither.
    learnt: both reach the section's goal with their whole intervals; half: one of them solves half
    of the problems or, from chance, half of the way. beyond: harder than in training."""

    difference: float
    family: str
    basis: str
    learnt: bool
    half: bool
    beyond: bool
    label: str
    samples: float

    @property
    def text(self) -> str:
        """`+92`, in points, from the side of recurrence."""
        rounded = round(100 * self.difference)
        return f"{rounded:+d}".replace("-", "\N{MINUS SIGN}") if rounded else "0"

    @property
    def strength(self) -> int:
        """How strongly to colour it, in percent."""
        return 25 + min(75, round(75 * abs(self.difference))) if self.family else 0


class Map(NamedTuple):
    """columns: difficulties, the easiest first. lines: number of samples, and a place under each
    column or None where either family was not tested."""

    name: str
    difficulty_name: str
    columns: list[str]
    lines: list[tuple[str, list[Place | None]]]

    @property
    def places(self) -> list[Place]:
        return [place for _, cells in self.lines for place in cells if place is not None]


def who_wins(section: Section) -> Map | None:
    """None where only one family was run."""
    measured = section.by_samples
    measured = measured[measured["rule"] == section.rule]
    lines: list[tuple[str, list[Place | None]]] = []
    for samples in sorted(measured["train_samples"].dropna().unique()):
        cells = accuracies(measured[measured["train_samples"] == samples])
        places = [_place(section, cells, d, float(samples)) for d in section.difficulties]
        if any(places):
            lines.append((human(float(samples)), places))
    if not lines:
        return None
    columns = ["solved"] if section.only else [section.label(d) for d in section.difficulties]
    return Map(section.name, "" if section.only else section.difficulty_name, columns, lines)


def _place(
    section: Section, cells: Sequence[Accuracy], difficulty: float, samples: float
) -> Place | None:
    sides = by_family(section, (c for c in cells if c.at == difficulty))
    if not all(sides.values()):
        return None
    first, second = sides[True][0], sides[False][0]
    low, high = interval_of_difference(first.interval, second.interval)
    kind = ahead(sides)
    return Place(
        first.mean - second.mean,
        "" if kind is None else FAMILIES[kind],
        f"{first.series} {first}; {second.series} {second}; difference {span(low, high)} points",
        min(first.low, second.low) >= section.goal,
        max(first.mean, second.mean) >= half_way(section.chance),
        bool(not section.only and difficulty > max(section.train_difficulties, default=math.inf)),
        section.place(difficulty),
        samples,
    )


class Advice(NamedTuple):
    """text: a sentence. tasks: names of the sections that it rests on."""

    text: str
    tasks: list[str]


def advice(maps: Iterable[Map]) -> list[Advice]:
    """When to use which, from what is measured alone; no sentence where nothing was decided."""
    among = list(maps)
    found = [
        _side(among, RECURRENT, True, "Use recurrence where problems get harder than in training"),
        _side(among, FEED_FORWARD, True, "Use depth even for harder problems than in training"),
        _side(
            among,
            RECURRENT,
            False,
            "Recurrence is ahead already on problems as hard as those of training",
        ),
        _side(
            among, FEED_FORWARD, False, "Depth is ahead on problems as hard as those of training"
        ),
        _neither(among),
        _hard_for_both(among),
    ]
    return [one for one in found if one is not None]


def _side(maps: Sequence[Map], family: str, beyond: bool, said: str) -> Advice | None:
    """Where a family is ahead, at the place of each task where it is so by most."""
    most: dict[str, Place] = {}
    for one in maps:
        places = [p for p in one.places if p.family == family and p.beyond is beyond]
        if places:
            most[one.name] = max(places, key=lambda p: abs(p.difference))
    if not most:
        return None
    each = [
        f"{task} (by {abs(100 * place.difference):.0f} points at {place.label}, with"
        f" {human(place.samples)} samples)"
        for task, place in most.items()
    ]
    return Advice(f"{said}: {listed(each, _MOST_NAMED)}.", list(most))


def _largest(one: Map, *, beyond: bool) -> list[Place]:
    """The places with the most samples."""
    most = max((place.samples for place in one.places), default=0)
    return [p for p in one.places if p.samples == most and p.beyond is beyond]


def _neither(maps: Sequence[Map]) -> Advice | None:
    """Where the two are not told apart on problems like those of training, and solve them."""
    even = [
        one.name
        for one in maps
        if (places := _largest(one, beyond=False))
        and all(p.learnt and not p.family for p in places)
    ]
    if not even:
        return None
    where = listed(even, _MOST_NAMED)
    return Advice(
        f"Recurrence is unnecessary on problems {_AS_HARD}, given the most samples run, where"
        f" both families learn them and neither is ahead: {where}.",
        even,
    )


def _hard_for_both(maps: Sequence[Map]) -> Advice | None:
    """Where nobody solves what is harder than in training."""
    hard = [
        one.name
        for one in maps
        if (places := _largest(one, beyond=True)) and not any(p.half for p in places)
    ]
    if not hard:
        return None
    where = listed(hard, _MOST_NAMED)
    return Advice(f"Neither solves even half of anything harder than in training: {where}.", hard)
