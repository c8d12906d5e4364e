"""Figures of what is inside networks: filters, states and receptive fields per iteration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reports.figures.figure_model import Axis, Figure, Line, Panel, log_axis
from reports.figures.probes import (
    inside_entries,
    limits_of,
    mean,
    numbers,
    part_of,
    reused_share,
    telling,
)
from reports.read.load import Run, number
from reports.read.summary import Section, count


def inside_figures(section: Section, key: str, runs: dict[str, Run]) -> dict[str, Figure]:
    """By name; those without data are absent."""
    entries = inside_entries(section, runs)
    made = {
        "inside-reuse": _reuse_figure(section, entries, f"{key}-reuse"),
        "inside-rest": _rest_figure(section, entries, f"{key}-rest"),
        "inside-path": _path_figure(section, entries, f"{key}-path"),
        "inside-receptive": _receptive_figure(section, entries, f"{key}-receptive"),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _grouped(
    section: Section, entries: list[dict[str, Any]], part: str
) -> list[tuple[float, list[tuple[str, list[dict[str, Any]]]]]]:
    """(difficulty, [(series, entries that have the part)]) for each panel."""
    having = [e for e in entries if part_of(e, part)]
    return [
        (
            difficulty,
            [
                (series, mine)
                for series in section.series
                if (
                    mine := [
                        e for e in having if e["series"] == series and e["difficulty"] == difficulty
                    ]
                )
            ],
        )
        for difficulty in telling(section, having)
    ]


def _averaged(tables: list[dict[str, np.ndarray]], at: str) -> dict[str, np.ndarray]:
    """Means over runs of columns of equal length each, at the places all of them have."""
    tables = [t for t in tables if len(t[at]) and len({len(v) for v in t.values()}) == 1]
    if not tables:
        return {}
    common = sorted(set.intersection(*({float(v) for v in t[at]} for t in tables)))
    if not common:
        return {}
    rows = [{k: v[[list(t[at]).index(c) for c in common]] for k, v in t.items()} for t in tables]
    return {k: np.mean([row[k] for row in rows], 0) for k in rows[0]}


def _facts(mine: list[dict[str, Any]], points: int) -> dict[str, Any]:
    return {"seeds": [len(mine)] * points, "tests": [number(mine[0].get("n"))] * points}


def _rings(panels: list[Panel]) -> str:
    ringed = any(line.ring is not None for panel in panels for line in panel.lines)
    return " Rings: the number of iterations in training." if ringed else ""


def _problems(entries: list[dict[str, Any]]) -> str:
    several = sorted({number(e.get("n")) for e in entries if math.isfinite(number(e.get("n")))})
    return " or ".join(count(n) for n in several)


def _reuse_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "filters"):
        lines = []
        for series, mine in groups:
            curves = [numbers(part_of(e, "filters").get("curve")) for e in mine]
            curves = [c for c in curves if len(c) == 21 and np.isfinite(c).all()]
            if curves:
                share = (1 - np.linspace(0, 1, 21)).tolist()
                told = {"reused": reused_share(mine)}
                mean_curve = np.mean(curves, 0).tolist()
                lines.append(Line(series, mean_curve, share, **_facts(mine, 21), told=told))
        if lines:
            panels.append(
                Panel(
                    section.panel(difficulty),
                    Axis(
                        "least activity as a share of the peak (%)", percent=True, low=0.0, high=1.0
                    ),
                    Axis("filters with at least that (%)", percent=True, low=0.0, high=1.0),
                    lines,
                    [("x", 0.2, "20 %")],
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"Share of filters that stay in use at every iteration, {section.name}",
        "For each filter of what is repeated, its activity (mean positive response, before any"
        " shortcut) at the least active of the iterations of training over that at the most active"
        " one; filters that are never active and iterations that read only zeros left out. Means"
        f" over seeds, {_problems(entries)} test problems each.",
        panels,
    )


def _movement(mine: list[dict[str, Any]]) -> dict[str, float]:
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


def _rest_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "rest"):
        lines = []
        for series, mine in groups:
            held = _averaged(
                [
                    {
                        "x": numbers(e.get("grid")),
                        **{
                            k: numbers(part_of(e, "rest").get(k)) for k in ("low", "median", "high")
                        },
                    }
                    for e in mine
                ],
                "x",
            )
            if not held:
                continue
            # At the last state itself the distance is none, which a log axis has no place for.
            keep = (held["median"] > 0) & np.isfinite(held["median"])
            if keep.sum() > 1:
                x, y, low, high = (held[k][keep] for k in ("x", "median", "low", "high"))
                low = np.maximum(
                    low, y.min() / 10
                ).tolist()  # below the axis, and not below any log
                x, y, high = x.tolist(), y.tolist(), high.tolist()
                trained = np.flatnonzero(np.array(x) == number(mine[0].get("train_iterations")))
                ring = int(trained[0]) if len(trained) and mine[0].get("ends") is False else None
                lines.append(
                    Line(
                        series,
                        x,
                        y,
                        low=low,
                        high=high,
                        ring=ring,
                        **_facts(mine, len(x)),
                        told=_movement(mine),
                    )
                )
        if lines:
            steps = [v for line in lines for v in line.x]
            panels.append(
                Panel(
                    section.panel(difficulty),
                    Axis("iterations", whole=True, log=log_axis(steps, 8), low=1.0),
                    Axis("distance from where the state ends", log=True),
                    lines,
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"How far states are from where they end, {section.name}",
        "The limit is the fixed point or the nearest state of the cycle that a state ends in;"
        " where it ends in neither, and in networks that end, the last state (which alone makes"
        " their lines fall at the end). In units of that state's length. Median over problems,"
        f" means over seeds; band: middle half of the problems. {_problems(entries)} test problems"
        f" each, in float32.{_rings(panels)}",
        panels,
    )


def _path_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "components"):
        lines = []
        for series, mine in groups:
            path = part_of(mine[0], "components").get("path")
            rows = [numbers(row) for row in path] if isinstance(path, list) else []
            if len(rows) < 2 or any(len(r) < 2 or not np.isfinite(r[:2]).all() for r in rows):
                continue
            at = numbers(mine[0].get("grid"))
            trained = np.flatnonzero(at == number(mine[0].get("train_iterations")))
            ring = int(trained[0]) if len(trained) and trained[0] < len(rows) else None
            x, y = ([float(r[i]) for r in rows] for i in (0, 1))
            lines.append(Line(series, x, y, ring=ring, run=mine[0]["run_id"]))
        if lines:
            panels.append(
                Panel(
                    section.panel(difficulty),
                    Axis("first principal component"),
                    Axis("second principal component"),
                    lines,
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"The way of a state through its two main directions, {section.name}",
        "The first test problem, first seed, from its first iteration to its last (spaced as the"
        " iterations of the figure above), along the first two principal components of its own"
        " states, in units of their root mean square distance from their mean. Each network has"
        " components of its own." + _rings(panels),
        panels,
    )


def _receptive_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "receptive"):
        lines, whole = [], []
        for series, mine in groups:
            parts = [part_of(e, "receptive") for e in mine]
            held = _averaged(
                [{"x": numbers(p.get("iterations")), "y": numbers(p.get("radius"))} for p in parts],
                "x",
            )
            if not held or not np.isfinite(held["y"]).all():
                continue
            x, y = held["x"].tolist(), held["y"].tolist()
            trained = np.flatnonzero(held["x"] == number(mine[0].get("train_iterations")))
            ring = int(trained[0]) if len(trained) and len(x) > 1 else None
            kind = "line" if len(x) > 1 else "points"
            lines.append(Line(series, x, y, kind, ring=ring, **_facts(mine, len(x))))
            whole += [number(p.get("uniform")) for p in parts]
        if lines:
            steps = [v for line in lines for v in line.x]
            top, radii = mean(whole), [v for line in lines for v in line.y]
            panels.append(
                Panel(
                    section.panel(difficulty),
                    Axis("iterations", whole=True, log=log_axis(steps, 8), low=1.0),
                    Axis("radius (sites)", low=0.0, high=1.05 * max([top, *radii])),
                    lines,
                    [("y", top, "all of the input alike")],
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"How far a network looks, {section.name}",
        "Root mean square distance of the input from a central output, weighted by the size of the"
        " output's gradient there (Luo et al. 2016): of the answer's logit over the mean logit at"
        " the site nearest to the middle that counts or, where there is one answer for the whole"
        " input, of the squared length of the state at the middle. Median over up to 8 test"
        " problems, means over seeds.",
        panels,
    )
