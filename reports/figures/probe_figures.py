"""Figures of the internals that probes recorded: filter reuse, states and receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reports.figures.figure_model import Axis, Figure, Line, Panel, iterations_axis, percent_axis
from reports.read.formats import count
from reports.read.load import Run
from reports.read.probes import limits_of, probe_entries, reused_share, telling
from reports.read.sections import Section
from reports.read.stored import Entry, mean, number, numbers, part_of

Frame = tuple[Axis, Axis, list[tuple[str, float, str]]]  # of a panel: x, y and marks

_SHARE = percent_axis("filters with at least that (%)")
_LEAST = percent_axis("least activation as a share of the peak (%)")


def probe_figures(section: Section, key: str, runs: dict[str, Run]) -> dict[str, Figure | None]:
    """By name; None where there are no data."""
    entries = probe_entries(section, runs)
    return {
        "inside-reuse": _reuse_figure(section, entries, f"{key}-reuse"),
        "inside-rest": _rest_figure(section, entries, f"{key}-rest"),
        "inside-path": _path_figure(section, entries, f"{key}-path"),
        "inside-receptive": _receptive_figure(section, entries, f"{key}-receptive"),
    }


def _panels(
    section: Section,
    entries: list[Entry],
    part: str,
    draw: Callable[[str, list[Entry]], Line | None],
    frame: Callable[[list[Line]], Frame],
) -> list[Panel]:
    """A panel for each telling difficulty: a line for each series from the entries of its runs that
    have the part, in the frame for those lines."""
    having = [e for e in entries if part_of(e, part)]
    panels = []
    for difficulty in telling(section, having):
        here = [e for e in having if e["difficulty"] == difficulty]
        own = {s: [e for e in here if e["series"] == s] for s in section.series}
        lines = [line for s, mine in own.items() if mine and (line := draw(s, mine))]
        if lines:
            x, y, marks = frame(lines)
            panels.append(Panel(section.panel(difficulty), x, y, lines, marks))
    return panels


def _averaged(tables: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Means over runs of columns of equal length each, at the places `x` all of them have."""
    tables = [t for t in tables if len(t["x"]) and len({len(v) for v in t.values()}) == 1]
    places = [{float(v) for v in t["x"]} for t in tables]
    common = sorted(set.intersection(*places)) if places else []
    if not common:
        return {}
    rows = [{k: v[[list(t["x"]).index(c) for c in common]] for k, v in t.items()} for t in tables]
    return {k: np.mean([row[k] for row in rows], 0) for k in rows[0]}


def _facts(mine: list[Entry], points: int) -> dict[str, Any]:
    return {"seeds": [len(mine)] * points, "tests": [number(mine[0].get("n"))] * points}


def _ring(mine: list[Entry], places: Sequence[float] | np.ndarray) -> int | None:
    """Where the number of iterations in training is, of those places."""
    trained = np.flatnonzero(np.array(places) == number(mine[0].get("train_iterations")))
    return int(trained[0]) if len(trained) else None


def _rings(panels: list[Panel]) -> str:
    ringed = any(line.ring is not None for panel in panels for line in panel.lines)
    return " Rings: the number of iterations in training." if ringed else ""


def _problems(entries: list[Entry]) -> str:
    several = sorted({number(e.get("n")) for e in entries if math.isfinite(number(e.get("n")))})
    return " or ".join(count(n) for n in several)


def _iterations(lines: list[Line]) -> Axis:
    return iterations_axis([v for line in lines for v in line.x])


def _reuse_figure(section: Section, entries: list[Entry], key: str) -> Figure | None:
    def draw(series: str, mine: list[Entry]) -> Line | None:
        curves = [numbers(part_of(e, "filters").get("curve")) for e in mine]
        curves = [c for c in curves if len(c) == 21 and np.isfinite(c).all()]
        if not curves:
            return None
        least, share = np.mean(curves, 0).tolist(), (1 - np.linspace(0, 1, 21)).tolist()
        return Line(series, least, share, **_facts(mine, 21), quoted={"reused": reused_share(mine)})

    frame: Frame = (_LEAST, _SHARE, [("x", 0.2, "20 %")])
    return Figure.of(
        key,
        f"{section.name}: share of filters that stay in use at every iteration",
        "For each filter of the repeated layers, its activation (mean positive response, before any"
        " shortcut) at the least active of the iterations of training over that at the most active"
        " one; filters that are never active and iterations that read only zeros left out. Means"
        f" over seeds, {_problems(entries)} test problems each.",
        _panels(section, entries, "filters", draw, lambda lines: frame),
    )


def _movement(mine: list[Entry]) -> dict[str, float]:
    """How many states came to a fixed point or cycle, of how many, and how far a last step moves
    one (median)."""
    ended = limits_of(mine)
    steps = [numbers(part_of(e, "step").get("median")) for e in mine]
    total = sum(ended.values())
    return {
        "settled": ended["fixed point"] + ended["cycle"],
        "problems": total if math.isfinite(total) else 0.0,
        "step": mean(step[-1] for step in steps if len(step)),
    }


def _rest_figure(section: Section, entries: list[Entry], key: str) -> Figure | None:
    def draw(series: str, mine: list[Entry]) -> Line | None:
        quantiles = ("low", "median", "high")
        table = _averaged(
            [
                {"x": numbers(e.get("grid"))}
                | {k: numbers(part_of(e, "rest").get(k)) for k in quantiles}
                for e in mine
            ]
        )
        if not table:
            return None
        # At the last state itself the distance is none, which a log axis has no place for.
        keep = (table["median"] > 0) & np.isfinite(table["median"])
        if keep.sum() < 2:
            return None
        x, low, y, high = (table[k][keep] for k in ("x", *quantiles))
        low = np.maximum(low, y.min() / 10)  # below the axis, and not below any log
        ends = {"low": low.tolist(), "high": high.tolist(), "quoted": _movement(mine)}
        ring = _ring(mine, x) if mine[0].get("ends") is False else None
        return Line(series, x.tolist(), y.tolist(), ring=ring, **_facts(mine, len(x)), **ends)

    distance = Axis("distance from the limit", log=True)
    panels = _panels(section, entries, "rest", draw, lambda n: (_iterations(n), distance, []))
    return Figure.of(
        key,
        f"{section.name}: distance of states from their limits",
        "The limit is the fixed point, or the nearest state of the cycle, that a state converges"
        " to; where there is neither, and in networks that end, the last state (which alone makes"
        " their lines fall at the end). In units of that state's norm. Median over problems,"
        f" means over seeds; band: middle half of the problems. {_problems(entries)} test problems"
        f" each, in float32.{_rings(panels)}",
        panels,
    )


def _path_figure(section: Section, entries: list[Entry], key: str) -> Figure | None:
    def draw(series: str, mine: list[Entry]) -> Line | None:
        path = part_of(mine[0], "components").get("path")
        rows = [numbers(row) for row in path] if isinstance(path, list) else []
        if len(rows) < 2 or any(len(r) < 2 or not np.isfinite(r[:2]).all() for r in rows):
            return None
        ring = _ring(mine, numbers(mine[0].get("grid")))
        x, y = ([float(r[i]) for r in rows] for i in (0, 1))
        ring = ring if ring is not None and ring < len(rows) else None
        return Line(series, x, y, ring=ring, run=mine[0]["run_id"])

    frame: Frame = (Axis("first principal component"), Axis("second principal component"), [])
    panels = _panels(section, entries, "components", draw, lambda lines: frame)
    return Figure.of(
        key,
        f"{section.name}: trajectory of a state in its first two principal components",
        "The first test problem, first seed, from its first iteration to its last (spaced as the"
        " iterations of the figure above), along the first two principal components of its own"
        " states, in units of their root mean square distance from their mean. Each network has"
        " components of its own." + _rings(panels),
        panels,
    )


def _receptive_figure(section: Section, entries: list[Entry], key: str) -> Figure | None:
    def draw(series: str, mine: list[Entry]) -> Line | None:
        parts = [part_of(e, "receptive") for e in mine]
        table = _averaged(
            [{"x": numbers(p.get("iterations")), "y": numbers(p.get("radius"))} for p in parts]
        )
        if not table or not np.isfinite(table["y"]).all():
            return None
        x, y = table["x"].tolist(), table["y"].tolist()
        kind, ring = ("line", _ring(mine, x)) if len(x) > 1 else ("points", None)
        uniform = {"uniform": mean(p.get("uniform") for p in parts)}
        return Line(series, x, y, kind, ring=ring, **_facts(mine, len(x)), quoted=uniform)

    def frame(lines: list[Line]) -> Frame:
        whole = mean(line.quoted["uniform"] for line in lines)
        high = 1.05 * max([whole, *(v for line in lines for v in line.y)])
        marks = [("y", whole, "all of the input alike")]
        return _iterations(lines), Axis("radius (sites)", low=0.0, high=high), marks

    return Figure.of(
        key,
        f"{section.name}: effective receptive field by iteration",
        "Root mean square distance of the input from a central output, weighted by the size of the"
        " output's gradient there (Luo et al. 2016): of the answer's logit over the mean logit at"
        " the site nearest to the middle that counts or, where there is one answer for the whole"
        " input, of the squared length of the state at the middle. Median over up to 8 test"
        " problems, means over seeds.",
        _panels(section, entries, "receptive", draw, frame),
    )
