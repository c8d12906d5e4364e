"""Titles that say what a figure shows, made from the very numbers that are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
    chance = max((value for axis, value, _ in panel.marks if axis == "y"), default=0.0)
    return chance + SEEN * (1 - chance)


def _telling(panels: Sequence[Panel]) -> Panel:
    """The last panel in which somebody solves something: panels go from easy to hard."""
    seen = [p for p in panels if _ranked(p)[0].y[-1] >= _floor(p)]
    return (seen or list(panels[:1]))[-1]


def _at(panel: Panel) -> str:
    return f"At {panel.title}, " if panel.title else ""


def _hardest(panel: Panel) -> tuple[float, list[tuple[str, float]]]:
    """The hardest place where somebody solves something, and (name, accuracy) there, the best first."""
    places: dict[float, list[tuple[str, float]]] = {}
    for line in panel.lines:
        for x, y in zip(line.x, line.y, strict=True):
            places.setdefault(x, []).append((line.series, y))
    seen = [x for x, found in places.items() if max(y for _, y in found) >= _floor(panel)]
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
        _, (best, most) = _leader(panel)
        tasks.setdefault(best if most >= _floor(panel) else "nobody", []).append(panel.title)
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
}
