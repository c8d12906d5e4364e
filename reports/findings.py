"""Titles that say what a figure shows, made from the very numbers that are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import dist

from reports.drawing import flops
from reports.shapes import Figure, Line, Panel
from reports.summary import count, percent

FEW = 3  # tasks up to which the overview's title gives numbers
SEEN = 0.05  # of the way from chance to perfect: where nobody comes so far, an easier place is spoken of


def with_finding(kind: str, figure: Figure) -> Figure:
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


def _floor(panel: Panel) -> float:
    """The accuracy from which somebody solves something."""
    chance = _chance(panel)
    return chance + SEEN * (1 - chance)


def _chance(panel: Panel) -> float:
    return max((value for axis, value, _ in panel.marks if axis == "y"), default=0.0)


def _solves(panel: Panel, line: Line, i: int) -> bool:
    """Whether a point is clear of chance: far enough, and with its whole interval."""
    low = line.low[i] if line.low is not None else line.y[i]
    return line.y[i] >= _floor(panel) and (_chance(panel) == 0 or low > _chance(panel))


def _telling(panels: Sequence[Panel]) -> Panel:
    """The last panel in which somebody solves something: panels go from easy to hard."""
    seen = [p for p in panels if _solves(p, _ranked(p)[0], -1)]
    return (seen or list(panels[:1]))[-1]


def _at(panel: Panel) -> str:
    return f"At {panel.title}, " if panel.title else ""


def _hardest(panel: Panel) -> tuple[float, list[tuple[str, float]]]:
    """The hardest place where somebody solves something, and (name, accuracy) there, the best first."""
    places: dict[float, list[tuple[str, float]]] = {}
    seen = set()
    for line in panel.lines:
        for i, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
            places.setdefault(x, []).append((line.series, y))
            if _solves(panel, line, i):
                seen.add(x)
    x = max(seen) if seen else min(places)
    return x, sorted(places[x], key=lambda pair: -pair[1])


def _difficulty(panels: Sequence[Panel]) -> str:
    x, found = _hardest(panels[0])
    (best, most), *others = found
    text = f"{best} solves {percent(most)} at {_place(panels[0], x)}"
    return text + (f", {others[0][0]} {percent(others[0][1])}" if others else "")


def _overview(panels: Sequence[Panel]) -> str:
    if len(panels) > FEW:
        return _leaders(panels)
    said = []
    for panel in panels:
        x, (best, most) = _leader(panel)
        place = "" if panel.lines[0].kind == "points" else f" at {_place(panel, x)}"
        said.append(f"{best} solves {percent(most)} of {panel.title}{place}")
    return "; ".join(said)


def _leader(panel: Panel) -> tuple[float, tuple[str, float]]:
    """The best at the hardest place where somebody solves something; of points, the best of all."""
    if panel.lines[0].kind != "points":
        x, found = _hardest(panel)
        return x, found[0]
    line = _ranked(panel)[0]
    return line.x[-1], (line.series, line.y[-1])


def _leaders(panels: Sequence[Panel]) -> str:
    """Which network leads on which tasks: with many tasks, numbers would hide it."""
    tasks: dict[str, list[str]] = {}
    for panel in panels:
        x, (best, _) = _leader(panel)
        found = [
            (line, line.x.index(x)) for line in panel.lines if line.series == best and x in line.x
        ]
        leads = any(_solves(panel, line, i) for line, i in found)
        tasks.setdefault(best if leads else "nobody", []).append(panel.title)
    named = sorted(tasks.items(), key=lambda pair: (pair[0] == "nobody", -len(pair[1])))
    said = [f"{best} on {' and '.join(names)}" for best, names in named if best != "nobody"]
    lost = (
        f"; nobody gets clear of chance on {', '.join(tasks['nobody'])}"
        if "nobody" in tasks
        else ""
    )
    return f"Farthest at what is hardest: {', '.join(said)}{lost}" if said else ""


def _iterations(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    going = [line for line in _ranked(panel) if line.kind != "flat"]
    if not going:
        return ""
    line = going[0]
    ring = line.ring if line.ring is not None else 0
    before, after = line.y[ring], line.y[-1]
    trained = "as trained" if line.ring is not None else "its first"
    if abs(after - before) < 0.01:
        return (
            f"{_at(panel)}{line.series} gains little by iterating past training: {percent(after)}"
        )
    return (
        f"{_at(panel)}{line.series} goes from {percent(before)} after {line.x[ring]:g} iterations, {trained}, to "
        f"{percent(after)} after {line.x[-1]:g}"
    )


def _samples(panels: Sequence[Panel]) -> str:
    panel = _telling(panels)
    line, *others = _ranked(panel)
    if len(line.x) > 1:
        return (
            f"{_at(panel)}{line.series} solves {percent(line.y[0])} after {count(line.x[0])} training samples, "
            f"{percent(line.y[-1])} after {count(line.x[-1])}"
        )
    other = f", {others[0].series} {percent(others[0].y[-1])}" if others else ""
    return f"{_at(panel)}{line.series} solves {percent(line.y[-1])} after {count(line.x[-1])} training samples{other}"


def _costs(unit: Callable[[float], str]) -> Callable[[Sequence[Panel]], str]:
    def say(panels: Sequence[Panel]) -> str:
        panel = _telling(panels)
        line, *others = _ranked(panel)
        text = f"{_at(panel)}{line.series} solves {percent(line.y[-1])} with {unit(line.x[-1])}"
        dearer = [o for o in others if o.x[-1] > line.x[-1]] or others
        if not dearer:
            return text
        return f"{text}, {dearer[0].series} {percent(dearer[0].y[-1])} with {unit(dearer[0].x[-1])}"

    return say


def _compute(panels: Sequence[Panel]) -> str:
    line, *others = _ranked(panels[0])
    text = f"{line.series} solves most, {percent(line.y[-1])}, for {flops(line.x[-1])} an answer"
    if not others:
        return text
    return f"{text}; {others[0].series} {percent(others[0].y[-1])} for {flops(others[0].x[-1])}"


def _training(panels: Sequence[Panel]) -> str:
    if not panels[0].y.percent:
        return ""
    ends: dict[str, list[float]] = {}
    for line in panels[0].lines:
        ends.setdefault(line.series, []).append(line.y[-1])
    means = sorted(((sum(v) / len(v), name) for name, v in ends.items()), reverse=True)
    (most, best), (least, worst) = means[0], means[-1]
    text = f"Validation accuracy ends at {percent(most)} for {best}"
    return text + (f" and at {percent(least)} for {worst}" if worst != best else "")


def _recovery(panels: Sequence[Panel]) -> str:
    calm = next((p for p in panels if p.title == "no blow"), None)
    struck = [p for p in panels if p is not calm]
    if calm is None or not struck:
        return ""
    line = _ranked(calm)[0]
    ends = {
        p.title: next((o.y[-1] for o in p.lines if o.series == line.series), None) for p in struck
    }
    said = [f"{percent(end)} with {title}" for title, end in ends.items() if end is not None]
    return f"Undisturbed, {line.series} solves {percent(line.y[-1])}; {', '.join(said[:3])}"


def _exits(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    line = panel.lines[0]
    half = next((x for x, y in zip(line.x, line.y, strict=True) if y >= 0.5), None)
    if half is None:
        return ""
    return f"{_at(panel)}{line.series} has answered half of the problems by iteration {half:g}"


def _reuse(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    mark = panel.marks[0][1] if panel.marks else 0.0
    shares = {
        line.series: max((y for x, y in zip(line.x, line.y, strict=True) if x >= mark), default=0.0)
        for line in panel.lines
    }
    best, *others = sorted(shares.items(), key=lambda pair: -pair[1])
    text = (
        f"{_at(panel)}{best[0]} keeps {percent(best[1])} of its filters in use at every iteration"
    )
    return text + (f", {others[-1][0]} {percent(others[-1][1])}" if others else "")


def _rest(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    ends = sorted((line.y[-1], line.series, line.x[-1]) for line in panel.lines)
    nearest, *others = ends
    text = f"{_at(panel)}{nearest[1]} is within {nearest[0]:.1g} of its limit after {nearest[2]:g} iterations"
    return text + (f", {others[-1][1]} within {others[-1][0]:.1g}" if others else "")


def _receptive(panels: Sequence[Panel]) -> str:
    panel = panels[-1]
    line, *others = _ranked(panel)
    text = f"{_at(panel)}{line.series} looks {line.y[-1]:.1f} sites far after {line.x[-1]:g} iterations"
    if panel.marks:
        text += f", of {panel.marks[0][1]:.1f} if all of the input counted alike"
    return text + (f"; {others[-1].series} {others[-1].y[-1]:.1f}" if others else "")


def _path(panels: Sequence[Panel]) -> str:
    """How much of a state's way is gone by the trained number of iterations, of networks that go on after it."""
    panel, said = panels[-1], []
    for line in panel.lines:
        ways = [dist(a, b) for a, b in pairwise(zip(line.x, line.y, strict=True))]
        if line.ring is not None and line.ring < len(ways) and sum(ways) > 0:
            said.append(f"{line.series} {percent(sum(ways[: line.ring]) / sum(ways))}")
    if not said:
        return ""
    return f"{_at(panel)}share of its way that a state has gone as trained: {', '.join(said)}"


_KINDS: dict[str, Callable[[Sequence[Panel]], str]] = {
    "difficulty": _difficulty,
    "overview": _overview,
    "iterations": _iterations,
    "samples": _samples,
    "parameters": _costs(lambda x: f"{count(x)} parameters"),
    "compute": _compute,
    "training": _training,
    "recovery": _recovery,
    "exits": _exits,
    "inside-reuse": _reuse,
    "inside-rest": _rest,
    "inside-receptive": _receptive,
    "inside-path": _path,
}
