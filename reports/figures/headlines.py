"""Titles that say what a figure shows, made from the very numbers that are drawn.

A network is said to solve most only where its interval overlaps no other's there
(`reports.read.ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import dist, isfinite

from reports.figures.curves import PER_ANSWER
from reports.figures.figure_model import Figure, Line, Panel
from reports.figures.recovery import UNPERTURBED
from reports.read.formats import count, flops, listed, percent, plural
from reports.read.ranking import NAMED, leader, level, ranking
from reports.read.sections import Accuracy

FEW = 3  # tasks up to which the overview's title gives numbers
# of the way from chance to perfect: where nobody comes so far, an easier place is spoken of
SEEN = 0.05


def with_headline(kind: str, figure: Figure) -> Figure:
    """The figure under a title that says what is seen; what it plots moves to the caption."""
    drawn = [replace(p, lines=[line for line in p.lines if line.y]) for p in figure.panels]
    panels = [p for p in drawn if p.lines]
    say = _KINDS.get(kind)
    title = say(panels) if say and panels else ""
    if not title:
        return figure
    return replace(figure, title=title, caption=f"{figure.title}. {figure.caption}")


def _place(panel: Panel, x: float) -> str:
    words = dict(panel.x.ticks).get(x, f"{x:g}")
    return f"{panel.x.label} {words}"


def _ranked(panel: Panel) -> list[Line]:
    """Lines of a panel, the highest last value first."""
    return sorted(panel.lines, key=lambda line: -line.y[-1])


def _point(line: Line, i: int = -1) -> Accuracy:
    """A drawn accuracy; one without an interval is separated from nothing."""
    low, high = (0.0, 1.0) if line.low is None or line.high is None else (line.low[i], line.high[i])
    return Accuracy(line.series, line.y[i], low, high, line.x[i])


def _points(panel: Panel, x: float) -> list[Accuracy]:
    return [_point(line, line.x.index(x)) for line in panel.lines if x in line.x]


def _floor(panel: Panel) -> float:
    """The accuracy from which somebody solves something."""
    chance = _chance(panel)
    return chance + SEEN * (1 - chance)


def _chance(panel: Panel) -> float:
    return max((value for axis, value, _ in panel.marks if axis == "y"), default=0.0)


def _solves(panel: Panel, line: Line, i: int) -> bool:
    """Whether a point is clear of chance: far enough, and with its whole interval."""
    low = line.low[i] if line.low is not None else line.y[i]
    return line.y[i] >= _floor(panel) and low > _chance(panel)


def _telling(panels: Sequence[Panel]) -> Panel:
    """The last panel in which somebody solves something: panels go from easy to hard."""
    seen = [p for p in panels if any(_solves(p, line, -1) for line in p.lines)]
    return (seen or list(panels[:1]))[-1]


def _at(panel: Panel) -> str:
    return f"At {panel.title}, " if panel.title else ""


def _opened(panel: Panel, text: str) -> str:
    """Text that begins with a word of its own, not with a name, after the place or as a
    beginning."""
    return f"{_at(panel)}{text}" if panel.title else text[:1].upper() + text[1:]


def _hardest(panel: Panel) -> tuple[float, list[Accuracy]]:
    """The hardest place where somebody solves something, and the points there."""
    seen = {x for line in panel.lines for i, x in enumerate(line.x) if _solves(panel, line, i)}
    x = max(seen) if seen else min(x for line in panel.lines for x in line.x)
    return x, _points(panel, x)


def _stand(panel: Panel, points: Sequence[Accuracy]) -> str:
    """`ranking`, with a word where others of the panel were not tested."""
    alone = len(points) == 1 and len({line.series for line in panel.lines}) > 1
    return ranking(points) + (", the only network tested there" if alone else "")


def _difficulty(panels: Sequence[Panel]) -> str:
    x, found = _hardest(panels[0])
    return f"At {_place(panels[0], x)}, {_stand(panels[0], found)}"


def _overview(panels: Sequence[Panel]) -> str:
    if len(panels) > FEW:
        return _leaders(panels)
    said = []
    for panel in panels:
        x, found = _spoken_of(panel)
        place = "" if x is None else f" at {_place(panel, x)}"
        said.append(f"On {panel.title}{place}, {_stand(panel, found)}")
    return ". ".join(said)


def _spoken_of(panel: Panel) -> tuple[float | None, list[Accuracy]]:
    """The hardest place where somebody solves something and the points there; of single points all,
    and no place."""
    if panel.lines[0].kind != "points":
        return _hardest(panel)
    return None, [_point(line) for line in panel.lines]


def _leaders(panels: Sequence[Panel]) -> str:
    """Which network leads on which tasks: with many tasks, numbers would hide it."""
    tasks: dict[str, list[str]] = {}
    for panel in panels:
        _, found = _spoken_of(panel)
        top, (best, *others) = leader(found), sorted(found, key=lambda p: -p.mean)
        if best.mean < _floor(panel) or best.low <= _chance(panel):
            name = "none is clear of chance on "
        elif top is None:
            name = "not separated on " if others else "one network alone was tested on "
        else:
            name = f"{top.series} on "
        tasks.setdefault(name, []).append(panel.title)
    said = [f"{name}{listed(names, len(names))}" for name, names in tasks.items()]
    return f"Best where it is hardest and still solved: {'; '.join(said)}"


def _iterations(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    going = [line for line in _ranked(panel) if line.kind != "flat"]
    if not going:
        return ""
    line = going[0]
    start = line.ring if line.ring is not None else 0
    before, after = _point(line, start), _point(line)
    steps = plural(int(after.at), "iteration")
    if before.at == after.at:
        trained = ", as trained" if line.ring is not None else ""
        return f"{_at(panel)}{line.series} solves {percent(after.mean)} after {steps}{trained}"
    first = (
        f"{plural(int(before.at), 'iteration')}{', as trained' if line.ring is not None else ''}"
    )
    numbers = f"{percent(before.mean)} after {first}, {percent(after.mean)} after {after.at:g}"
    if len(level([before, after])[0]) > 1:
        return _overlapping(panel, line.series, numbers)
    return (
        f"{_at(panel)}{line.series} goes from {percent(before.mean)} after {first}, to "
        f"{percent(after.mean)} after {after.at:g}"
    )


def _overlapping(panel: Panel, name: str, numbers: str) -> str:
    """Of one network, two accuracies between which nothing can be told."""
    return f"{_at(panel)}{name}: {numbers} (95\N{NO-BREAK SPACE}% intervals overlap)"


def _samples(panels: Sequence[Panel]) -> str:
    """Of a network with several sizes, how far more samples bring it."""
    panel = _telling([p for p in panels if any(len(line.x) > 1 for line in p.lines)] or panels)
    several = [line for line in _ranked(panel) if len(line.x) > 1]
    if not several:
        return ""
    few, many = _point(several[0], 0), _point(several[0])
    numbers = (
        f"{percent(few.mean)} with {count(few.at)} training samples, {percent(many.mean)} with "
        f"{count(many.at)}"
    )
    if len(level([few, many])[0]) > 1:
        return _overlapping(panel, few.series, numbers)
    return f"{_at(panel)}{few.series} solves {numbers}"


def _parameters(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    points = [_point(line) for line in panel.lines]
    said = ranking(points, cost=lambda p: f" with {count(p.at)} {panel.x.label}")
    return f"{_at(panel)}{said}"


def _compute(panels: Sequence[Panel]) -> str:
    panel = next((p for p in panels if p.title.startswith(PER_ANSWER)), None)
    if panel is None:
        return ""
    points = [_point(line) for line in panel.lines]
    place = panel.title.removeprefix(PER_ANSWER).strip()
    said = ranking(points, cost=lambda p: f" for {flops(p.at)} an answer")
    return f"{place[:1].upper()}{place[1:]}, {said}" if place else said


def _training(panels: Sequence[Panel]) -> str:
    """The span of where validation ends, without names: single runs have no interval to rank them
    by."""
    if not panels[0].y.percent:
        return ""
    ends: dict[str, list[float]] = {}
    for line in panels[0].lines:
        ends.setdefault(line.series, []).append(line.y[-1])
    means = sorted(sum(v) / len(v) for v in ends.values())
    if len(means) == 1:
        return f"Validation accuracy of {next(iter(ends))} ends at {percent(means[0])}"
    low, high = percent(means[0]), percent(means[-1])
    where = f"at {low}" if low == high else f"between {low} and {high}"
    return f"Validation accuracy of {len(means)} networks ends {where}"


def _recovery(panels: Sequence[Panel]) -> str:
    calm = next((p for p in panels if p.title == UNPERTURBED), None)
    perturbed = [p for p in panels if p is not calm]
    if calm is None or not perturbed:
        return ""
    line = _ranked(calm)[0]
    ends = [(o.y[-1], p.title) for p in perturbed for o in p.lines if o.series == line.series]
    if not ends:
        return ""
    start = f"Undisturbed, {line.series} solves {percent(line.y[-1])}; "
    if len(ends) <= NAMED:
        return start + ", ".join(f"{percent(end)} with {title}" for end, title in ends)
    (least, worst), (most, mildest) = min(ends), max(ends)
    return (
        f"{start}after {len(ends)} perturbations {percent(least)} ({worst}) to {percent(most)}"
        f" ({mildest})"
    )


def _exits(panels: Sequence[Panel]) -> str:
    """Of the network that solves most by agreement, when it has answered: only where it is clear of
    chance."""
    right = [
        (panel, line)
        for panel in panels
        for line in panel.lines
        if line.quoted and line.quoted["low"] > line.quoted["chance"]
    ]
    if not right:
        return ""
    panel = right[-1][0]
    line = max((n for p, n in right if p is panel), key=lambda n: n.quoted["accuracy"])
    half = next(x for x, y in zip(line.x, line.y, strict=True) if y >= 0.5)
    right_share = f"{percent(line.quoted['accuracy'])} of all answers are right"
    if half >= line.quoted["last"]:
        # What does not repeat is answered at the last iteration, for want of another.
        return _opened(
            panel,
            f"fewer than half of {line.series}'s answers repeat before the last iteration,"
            f" {half:g}; {right_share}",
        )
    return (
        f"{_at(panel)}{line.series} has answered half of the problems by iteration {half:g};"
        f" {right_share}"
    )


def _spread(said: Sequence[tuple[str, float]], verb: str, verbs: str, what: str) -> str:
    """`a keeps 80.0 % of .., b 10.0 %`; of many networks their range, without names."""
    order = sorted(said, key=lambda pair: -pair[1])
    if len(order) > NAMED:
        low, high = percent(order[-1][1]), percent(order[0][1])
        return f"{len(order)} networks {verbs} {low} to {high} {what}"
    (name, share), *others = order
    more = "".join(f", {other} {percent(value)}" for other, value in others)
    return f"{name} {verb} {percent(share)} {what}{more}"


def _reuse(panels: Sequence[Panel]) -> str:
    """The numbers of the table, not of the curve, which is drawn in steps of 5 %."""
    panel = panels[-1]
    said = [
        (line.series, line.quoted["reused"])
        for line in panel.lines
        if line.quoted and isfinite(line.quoted["reused"])
    ]
    if not said:
        return ""
    what = "of its filters" if len(said) <= NAMED else "of their filters"
    text = _spread(said, "keeps", "keep", f"{what} in use at every iteration of training")
    return f"{_at(panel)}{text}"


def _rest(panels: Sequence[Panel]) -> str:
    """How near states are to their limits: only of those that have one, else how they still
    move."""
    panel = panels[-1]
    said = [_settled(line) for line in panel.lines if line.quoted and line.quoted["problems"] > 0]
    more = (
        f"; {plural(len(said) - NAMED, 'network')} more in the table" if len(said) > NAMED else ""
    )
    return _opened(panel, "; ".join(said[:NAMED]) + more) if said else ""


def _settled(line: Line) -> str:
    settled, problems, step = (line.quoted[k] for k in ("settled", "problems", "step"))
    moved = f", by {percent(step)} of their length a step (median of all)" if isfinite(step) else ""
    after = f"after {plural(int(line.x[-1]), 'iteration')}"
    if settled == 0:
        return f"all {problems:g} states of {line.series} still move {after}{moved}"
    if settled < problems:
        return (
            f"{settled:g} of {problems:g} states of {line.series} come to rest or into a cycle, the"
            f" others still move {after}{moved}"
        )
    return (
        f"all {problems:g} states of {line.series} come to rest or into a cycle, within"
        f" {line.y[-1]:.1g} of the limit {after} (median)"
    )


def _receptive(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    line, *others = _ranked(panel)
    text = (
        f"{_at(panel)}{line.series} depends on input {line.y[-1]:.1f} sites away after "
        f"{plural(int(line.x[-1]), 'iteration')}"
    )
    if panel.marks:
        text += f", of {panel.marks[0][1]:.1f} if all of the input counted alike"
    rest = [f"{o.series} {o.y[-1]:.1f} after {o.x[-1]:g}" for o in others]
    return text + (f"; {listed(rest, NAMED)}" if rest else "")


def _path(panels: Sequence[Panel]) -> str:
    """How much of a state's path is gone by the trained number of iterations, of networks that go
    on after it."""
    panel, said = panels[-1], []
    for line in panel.lines:
        ways = [dist(a, b) for a, b in pairwise(zip(line.x, line.y, strict=True))]
        if line.ring and line.ring < len(ways) and sum(ways) > 0:
            # A network that moves later moved before, too, by less than the record's decimals show.
            said.append((line.series, max(sum(ways[: line.ring]) / sum(ways), 1e-9)))
    if not said:
        return ""
    text = _spread(
        said, "has covered", "have covered", "of its state's path by the iterations of training"
    )
    return f"{_at(panel)}{text}"


_KINDS: dict[str, Callable[[Sequence[Panel]], str]] = {
    "difficulty": _difficulty,
    "overview": _overview,
    "iterations": _iterations,
    "samples": _samples,
    "parameters": _parameters,
    "compute": _compute,
    "training": _training,
    "recovery": _recovery,
    "exits": _exits,
    "inside-reuse": _reuse,
    "inside-rest": _rest,
    "inside-receptive": _receptive,
    "inside-path": _path,
}
