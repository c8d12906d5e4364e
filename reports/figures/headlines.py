"""Headlines: titles that say what a figure shows, made from the very numbers that are drawn.

A network is said to solve most only where its interval overlaps no other's there
(`reports.read.ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import dist, isfinite, nan

from reports.figures.curves import PER_ANSWER
from reports.figures.figure_model import Figure, Line, Panel
from reports.figures.recovery import UNPERTURBED
from reports.read.formats import capital, count, flops, listed, percent, plural
from reports.read.ranking import NAMED, leader, level, ranking
from reports.read.sections import Accuracy

FEW = 3  # tasks up to which the overview's headline gives numbers
# of the way from chance to perfect: where nobody comes so far, an easier place is spoken of
SEEN = 0.05


def with_headline(kind: str, figure: Figure) -> Figure:
    """The figure under a headline that says what is seen; what it plots moves to the caption."""
    drawn = [replace(p, lines=[line for line in p.lines if line.y]) for p in figure.panels]
    panels = [p for p in drawn if p.lines]
    headline = _KINDS[kind](panels) if kind in _KINDS and panels else ""
    if not headline:
        return figure
    return replace(figure, title=headline, caption=f"{figure.title}. {figure.caption}")


def _place(panel: Panel, x: float) -> str:
    return f"{panel.x.label} {dict(panel.x.ticks).get(x, f'{x:g}')}"


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
    return f"{_at(panel)}{text}" if panel.title else capital(text)


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
    x, measured = _hardest(panels[0])
    return f"At {_place(panels[0], x)}, {_stand(panels[0], measured)}"


def _overview(panels: Sequence[Panel]) -> str:
    if len(panels) > FEW:
        return _leaders(panels)
    by_task = []
    for panel in panels:
        x, measured = _spoken_of(panel)
        place = "" if x is None else f" at {_place(panel, x)}"
        by_task.append(f"On {panel.title}{place}, {_stand(panel, measured)}")
    return ". ".join(by_task)


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
        _, measured = _spoken_of(panel)
        top, (best, *others) = leader(measured), sorted(measured, key=lambda a: -a.mean)
        if best.mean < _floor(panel) or best.low <= _chance(panel):
            name = "none is clear of chance on "
        elif top is None:
            name = "not separated on " if others else "one network alone was tested on "
        else:
            name = f"{top.series} on "
        tasks.setdefault(name, []).append(panel.title)
    leaders = "; ".join(f"{name}{listed(names, len(names))}" for name, names in tasks.items())
    return f"Best at the hardest difficulty that anyone solves: {leaders}"


def _iterations(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    going = [line for line in _ranked(panel) if line.kind != "flat"]
    if not going:
        return ""
    line = going[0]
    before, after = _point(line, line.ring or 0), _point(line)
    trained = "" if line.ring is None else ", as trained"
    first = f"{plural(int(before.at), 'iteration')}{trained}"
    if before.at == after.at:
        return f"{_at(panel)}{line.series} solves {percent(after.mean)} after {first}"
    change = f"{percent(before.mean)} after {first}, {{}}{percent(after.mean)} after {after.at:g}"
    if len(level([before, after])[0]) > 1:
        return _overlapping(panel, line.series, change.format(""))
    return f"{_at(panel)}{line.series} goes from {change.format('to ')}"


def _overlapping(panel: Panel, series: str, numbers: str) -> str:
    """Of one network, two accuracies that are not separated."""
    return f"{_at(panel)}{series}: {numbers} (95\N{NO-BREAK SPACE}% intervals overlap)"


def _samples(panels: Sequence[Panel]) -> str:
    """Of a network with several sizes, how far more samples bring it."""
    panel = _telling([p for p in panels if any(len(line.x) > 1 for line in p.lines)] or panels)
    several = [line for line in _ranked(panel) if len(line.x) > 1]
    if not several:
        return ""
    few, many = _point(several[0], 0), _point(several[0])
    less = f"{percent(few.mean)} with {count(few.at)} training samples"
    numbers = f"{less}, {percent(many.mean)} with {count(many.at)}"
    if len(level([few, many])[0]) > 1:
        return _overlapping(panel, few.series, numbers)
    return f"{_at(panel)}{few.series} solves {numbers}"


def _parameters(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    points = [_point(line) for line in panel.lines]
    order = ranking(points, cost=lambda a: f" with {count(a.at)} {panel.x.label}")
    return f"{_at(panel)}{order}"


def _compute(panels: Sequence[Panel]) -> str:
    panel = next((p for p in panels if p.title.startswith(PER_ANSWER)), None)
    if panel is None:
        return ""
    points = [_point(line) for line in panel.lines]
    place = panel.title.removeprefix(PER_ANSWER).strip()
    order = ranking(points, cost=lambda a: f" for {flops(a.at)} an answer")
    return f"{capital(place)}, {order}" if place else order


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
    baseline = next((p for p in panels if p.title == UNPERTURBED), None)
    perturbed = [p for p in panels if p is not baseline]
    if baseline is None or not perturbed:
        return ""
    line = _ranked(baseline)[0]
    ends = [(o.y[-1], p.title) for p in perturbed for o in p.lines if o.series == line.series]
    if not ends:
        return ""
    start = f"Unperturbed, {line.series} solves {percent(line.y[-1])}; "
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
    clear = [
        (panel, lines)
        for panel in panels
        if (lines := [n for n in panel.lines if n.quoted and n.quoted["low"] > n.quoted["chance"]])
    ]
    if not clear:
        return ""
    panel, lines = clear[-1]
    line = max(lines, key=lambda n: n.quoted["accuracy"])
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


def _shares(of: Sequence[tuple[str, float]], verb: str, verbs: str, what: str) -> str:
    """`a keeps 80.0 % of .., b 10.0 %`; of many networks their range, without names."""
    order = sorted(of, key=lambda pair: -pair[1])
    if len(order) > NAMED:
        low, high = percent(order[-1][1]), percent(order[0][1])
        return f"{len(order)} networks {verbs} {low} to {high} {what}"
    (name, share), *others = order
    more = "".join(f", {other} {percent(value)}" for other, value in others)
    return f"{name} {verb} {percent(share)} {what}{more}"


def _reuse(panels: Sequence[Panel]) -> str:
    """The numbers of the table, not of the curve, which is drawn in steps of 5 %."""
    reused = {n.series: n.quoted.get("reused", nan) for n in panels[-1].lines}
    known = [(series, share) for series, share in reused.items() if isfinite(share)]
    whose = "its" if len(known) <= NAMED else "their"
    what = f"of {whose} filters in use at every iteration of training"
    return f"{_at(panels[-1])}{_shares(known, 'keeps', 'keep', what)}" if known else ""


def _rest(panels: Sequence[Panel]) -> str:
    """How near states are to their limits: only of those that have one, else how they still
    move."""
    lines = [line for line in panels[-1].lines if line.quoted.get("problems", 0) > 0]
    rest = len(lines) - NAMED
    more = f"; {plural(rest, 'network')} more in the table" if rest > 0 else ""
    return _opened(panels[-1], "; ".join(map(_settled, lines[:NAMED])) + more) if lines else ""


def _settled(line: Line) -> str:
    settled, problems, step = (line.quoted[k] for k in ("settled", "problems", "step"))
    after = f"after {plural(int(line.x[-1]), 'iteration')}"
    converge = f"states of {line.series} converge to a fixed point or cycle"
    still = f", a step still changing them by {percent(step)} of their norm (median of all)"
    moving = f"{after}{still if isfinite(step) else ''}"
    if settled == 0:
        return f"none of {problems:g} states of {line.series} has converged {moving}"
    if settled < problems:
        return f"{settled:g} of {problems:g} {converge}, the others have not {moving}"
    return f"all {problems:g} {converge}, within {line.y[-1]:.1g} of the limit {after} (median)"


def _receptive(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    line, *others = _ranked(panel)
    whole = f" ({panel.marks[0][1]:.1f} if all of the input counted alike)" if panel.marks else ""
    rest = [f"{o.series} {o.y[-1]:.1f} after {o.x[-1]:g}" for o in others]
    return _opened(
        panel,
        f"the effective receptive field of {line.series} has a radius of {line.y[-1]:.1f} sites"
        f" after {plural(int(line.x[-1]), 'iteration')}{whole}"
        f"{'; ' if rest else ''}{listed(rest, NAMED)}",
    )


def _path(panels: Sequence[Panel]) -> str:
    """How much of a state's path is gone by the trained number of iterations, of networks that go
    on after it."""
    panel, covered = panels[-1], []
    for line in panel.lines:
        ways = [dist(a, b) for a, b in pairwise(zip(line.x, line.y, strict=True))]
        if line.ring and line.ring < len(ways) and sum(ways) > 0:
            # A network that moves later moved before, too, by less than the record's decimals show.
            covered.append((line.series, max(sum(ways[: line.ring]) / sum(ways), 1e-9)))
    what = "of its state's trajectory by the iterations of training"
    return f"{_at(panel)}{_shares(covered, 'covers', 'cover', what)}" if covered else ""


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
