"""The answer as one row a task: which family extrapolates, needs fewer samples and parameters, and
where recurrence is unnecessary.

A family is spoken for by its network with the highest mean at the place. One is ahead only where
its 95 % interval lies above all intervals of the other family there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from reports.read.formats import human, percent, points
from reports.read.sections import Accuracy, Section, accuracies

RECURRENT, FEED_FORWARD = "recurrent", "feed-forward"
COLUMNS = (
    "who extrapolates",
    "fewest training samples",
    "fewest parameters",
    "recurrence is unnecessary",
)
FAMILIES = {True: RECURRENT, False: FEED_FORWARD}


class Cell(NamedTuple):
    """text: what is said. family: of the side that is ahead, "" for none. basis: which networks
    the numbers are of."""

    text: str
    family: str = ""
    basis: str = ""


class Row(NamedTuple):
    """What one section says to the question. name: of the section. The others: its cells, under
    `COLUMNS`."""

    name: str
    extrapolates: Cell
    samples: Cell
    parameters: Cell
    unnecessary: Cell


def summary(section: Section) -> Row | None:
    """None where only one of the families was run, or nothing tells which is which."""
    sides = {
        kind: [s for s in section.series if section.recurrent.get(s) is kind] for kind in FAMILIES
    }
    if not (sides[True] and sides[False]) or section.best.empty:
        return None
    return Row(
        section.name,
        _extrapolates(section, sides),
        _fewest(section, sides, _samples_needed),
        _fewest(section, sides, _parameters_needed),
        _unnecessary(section, sides),
    )


Sides = dict[bool, list[str]]
#: By series what it needed, and whether less of it was run and is not enough.
Needed = dict[str, tuple[float, bool]]


def by_family(section: Section, cells: Iterable[Accuracy]) -> dict[bool, list[Accuracy]]:
    """The accuracies of either family, the highest first."""
    among = list(cells)
    return {
        kind: sorted(
            (c for c in among if section.recurrent.get(c.series) is kind), key=lambda c: -c.mean
        )
        for kind in FAMILIES
    }


def _best(section: Section, place: float) -> dict[bool, list[Accuracy]]:
    """The accuracies of either family at a place."""
    cells = (section.cell(s, place) for s in section.series)
    return by_family(section, (c for c in cells if c is not None))


def ahead(cells: dict[bool, list[Accuracy]]) -> bool | None:
    """The family whose best interval lies above all of the other's; None for neither."""
    for kind in FAMILIES:
        if cells[kind][0].low > max(c.high for c in cells[not kind]):
            return kind
    return None


def _versus(section: Section, cells: dict[bool, list[Accuracy]], place: float) -> Cell:
    """`recurrent 96.8 % vs 3.8 % at size 21`, the higher first."""
    kind = ahead(cells)
    first = cells[True][0].mean >= cells[False][0].mean if kind is None else kind
    high, low = cells[first][0], cells[not first][0]
    basis = f"{high.series} {high}; {low.series} {low}"
    where = f"at {section.place(place)}"
    if kind is None:
        return Cell(f"not separated: {points(high.mean)} vs {percent(low.mean)} {where}", "", basis)
    numbers = f"{points(high.mean)} vs {percent(low.mean)}"
    return Cell(f"{FAMILIES[kind]} {numbers} {where}", FAMILIES[kind], basis)


def _extrapolates(section: Section, sides: Sides) -> Cell:
    """At the hardest difficulty beyond training that somebody solves half-way from chance, else at
    the easiest beyond it."""
    base = max(section.train_difficulties, default=-float("inf"))
    harder = [d for d in section.difficulties if d > base]
    compared = [(d, c) for d in harder if all((c := _best(section, d)).values())]
    if section.only or not harder:
        return Cell("nothing harder was tested")
    if not compared:
        missing = next(k for k in FAMILIES if not any(_best(section, d)[k] for d in harder))
        return Cell(f"nothing harder was tested of {FAMILIES[missing]} networks")
    half = (1 + section.chance) / 2
    solved = [(d, c) for d, c in compared if max(c[k][0].mean for k in FAMILIES) >= half]
    if not solved:
        place, cells = compared[0]
        best = max((cells[k][0] for k in FAMILIES), key=lambda c: c.mean)
        return Cell(f"neither: {percent(best.mean)} at {section.place(place)}", "", str(best))
    place, cells = solved[-1]
    return _versus(section, cells, place)


def _samples_needed(section: Section, place: float) -> Needed:
    """By series the fewest training samples whose whole interval reaches the goal, and whether
    fewer were run."""
    here = section.by_samples
    here = here[(here["test_difficulty"] == place) & (here["rule"] == section.rule)]
    needed: Needed = {}
    cells = accuracies(here, "train_samples")
    for cell in sorted(cells, key=lambda c: -c.at):
        if cell.low >= section.goal:
            fewer = any(c.series == cell.series and c.at < cell.at for c in cells)
            needed[cell.series] = (cell.at, fewer)
    return needed


def _parameters_needed(section: Section, place: float) -> Needed:
    """By series the weights left of a network whose whole interval reaches the goal."""
    cells = accuracies(section.best[section.best["test_difficulty"] == place])
    reached = [c.series for c in cells if c.low >= section.goal]
    return {s: (round(section.remaining(s)), True) for s in reached}


def _fewest(section: Section, sides: Sides, needed: Callable[[Section, float], Needed]) -> Cell:
    """`1k vs 50k`: the fewest of either family, the fewer first."""
    place = section.home
    if place is None:
        return Cell("–")
    found = needed(section, place)
    best = {
        kind: min(((*found[s], s) for s in names if s in found), default=None)
        for kind, names in sides.items()
    }
    goal = percent(section.goal)
    if best[True] is None and best[False] is None:
        return Cell(f"neither is shown to reach {goal}")

    def said(kind: bool) -> str:
        one = best[kind]
        return "none" if one is None else f"{'' if one[1] else '≤ '}{human(one[0])}"

    basis = "; ".join(f"{one[2]} {human(one[0])}" for one in best.values() if one is not None)
    basis = f"to {goal} at {section.place(place)}: {basis}"
    one, other = best[True], best[False]
    if one is not None and other is not None and one[0] == other[0]:
        return Cell(f"both {said(True)}", "", basis)
    kind = other is None or (one is not None and one[0] < other[0])
    return Cell(f"{FAMILIES[kind]} {said(kind)} vs {said(not kind)}", FAMILIES[kind], basis)


def _unnecessary(section: Section, sides: Sides) -> Cell:
    """The hardest difficulty up to which depth solves the problems as well, as far as intervals
    tell."""
    enough: list[tuple[float, dict[bool, list[Accuracy]]]] = []
    why = ""
    for place in section.difficulties:
        cells = _best(section, place)
        if not all(cells.values()):
            continue
        if cells[False][0].low < section.goal:
            if not enough and cells[True][0].low < section.goal:
                return Cell(f"not told: neither is shown to reach {percent(section.goal)}")
            why = "depth fell short"
            break
        if ahead(cells) is True:
            why = "recurrence is ahead" + ("" if section.only else f" at {section.place(place)}")
            break
        enough.append((place, cells))
    if not enough:
        return Cell(f"nowhere: {why}" if why else "–")
    place, cells = enough[-1]
    numbers = f"{points(cells[True][0].mean)} and {percent(cells[False][0].mean)}"
    trained = "at" if [place] == section.trained else "up to"
    where = "on this task" if section.only else f"{trained} {section.place(place)}"
    basis = "; ".join(f"{cells[k][0].series} {cells[k][0]}" for k in FAMILIES)
    return Cell(f"{where} ({numbers})", FEED_FORWARD, basis)
