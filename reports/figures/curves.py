"""Accuracy against difficulty, iterations, training samples, parameters and compute, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from foundations.measures import pareto_front
from reports.figures.figure_model import (
    SOLVED,
    Axis,
    Figure,
    Line,
    Panel,
    begins,
    from_high,
    iterations_axis,
    log_axis,
)
from reports.read.formats import capital, count
from reports.read.rules import RULES, by_iterations, interval_note
from reports.read.sections import Section

MOST_POINTS = 120  # a line keeps at most this many, spread evenly along its axis
MOST_PANELS = 6
PER_ANSWER = "FLOPs per answer"  # how the panel is called that the compute figure's headline is of
_SECONDS = "seconds of training"
_COSTS = {"flops": PER_ANSWER, "train_flops": "FLOPs of training", "train_seconds": _SECONDS}
Column = tuple[str, str]  # of a table, with the label of its axis
PARAMETERS: Column = ("parameters", "trainable parameters")
_SMALL_DOTS = "Small dots: single seeds. "
_ONE_POINT = "One point per paradigm at its largest training set"
_FRONT = (
    "Ringed: the Pareto front, networks clear of chance than which none has a higher mean at the"
    " same cost or less. "
)


def table_line(
    series: object, table: pd.DataFrame, x: str, kind: str = "line", ring: int | None = None
) -> Line:
    """The aggregated rows of a series as a line along one of their columns."""
    at, y, low, high, tests = (
        table[c].astype(float).tolist() for c in (x, "mean", "low", "high", "n_test")
    )
    seeds = [int(v) for v in table["seeds"]]
    several = "each" in table and max(seeds) > 1
    each = [[float(v) for v in values] for values in table["each"]] if several else None
    return Line(str(series), at, y, kind, low, high, seeds, tests, each, ring)


def table_lines(table: pd.DataFrame, x: str, kind: str = "line") -> list[Line]:
    """A line for each series."""
    return [table_line(s, t, x, kind) for s, t in table.groupby("series", sort=False)]


def basis(table: pd.DataFrame) -> str:
    """`means of 2 seeds, 1,000 test problems each`, with ranges where points differ."""
    if table.empty:
        return "no points"
    few, many = int(table["seeds"].min()), int(table["seeds"].max())
    seeds = (
        "one seed" if many == 1 else f"means of {few if few == many else f'{few} to {many}'} seeds"
    )
    tests = table["n_test"].dropna()
    if tests.empty:
        return seeds
    low, high = tests.min(), tests.max()
    problems = count(high) if low == high else f"{count(low)} to {count(high)}"
    return f"{seeds}, {problems} test problems each"


def answered(rule: str, table: pd.DataFrame) -> str:
    """By which rule networks answer, and what points and intervals stand on."""
    dots = _SMALL_DOTS if len(table) and table["seeds"].max() > 1 else ""
    return f"answered after {RULES[rule]}; {basis(table)}. {interval_note(table)}. {dots}"


def chance_mark(section: Section) -> list[tuple[str, float, str]]:
    return [("y", section.chance, "chance")] if section.chance > 0 else []


def difficulty_panel(section: Section, title: str = "") -> Panel:
    """Accuracy against difficulty under the page's exit rule."""
    places = section.difficulties
    ticks = tuple((d, section.labels[d]) for d in places)
    x = Axis(section.difficulty_name, log=log_axis(places, 6), ticks=ticks)
    marks = [("x", d, "trained") for d in section.train_difficulties if d in section.labels]
    lines = table_lines(section.best, "test_difficulty")
    trained = max(section.train_difficulties, default=None)
    beyond = trained if trained in section.labels and trained < max(places) else None
    return Panel(title, x, SOLVED, lines, chance_mark(section) + marks, beyond=beyond)


def against_difficulty(section: Section, key: str) -> Figure | None:
    """The extrapolation curve; none where there is one difficulty only."""
    if section.best["test_difficulty"].nunique() < 2:
        return None
    return Figure(
        key,
        f"{section.name}: share of problems solved at each {section.difficulty_name}",
        "Runs with the largest training set of each paradigm,"
        f" {answered(section.rule, section.best)}",
        [difficulty_panel(section)],
    )


def against_iterations(section: Section, key: str) -> Figure | None:
    """A panel per difficulty; networks that end are level from their end on."""
    table = by_iterations(section.main)
    if table.empty or table["iterations"].max() <= 1:
        return None
    trained = section.main.groupby("series")["train_iterations"].max()
    x = iterations_axis(table["iterations"].tolist(), float(table["iterations"].max()))
    panels = []
    for difficulty in spread(section.difficulties):
        here = table[table["test_difficulty"] == difficulty]
        lines = [
            _iterations_line(str(s), t, x, float(trained[s]))
            for s, t in here.groupby("series", sort=False)
        ]
        panels.append(Panel(section.panel(difficulty), x, SOLVED, lines, chance_mark(section)))
    return Figure(
        key,
        f"{section.name}: share of problems solved after each number of iterations",
        f"{_signs(panels)}{capital(basis(table))}. {_bands(panels)} are {interval_note(table)}.",
        panels,
    )


def _bands(panels: list[Panel]) -> str:
    """Bands, and of which lines they are seen."""
    return "Bands, of the line pointed at," if any(p.crowded for p in panels) else "Bands"


def _signs(panels: list[Panel]) -> str:
    """What rings and level lines mean, where there are any."""
    lines = [line for panel in panels for line in panel.lines]
    rings = any(line.ring is not None for line in lines)
    flat = any(line.kind == "flat" for line in lines)
    return ("Rings: the number of iterations in training. " if rings else "") + (
        "Level lines: networks that end, drawn on from their last layer. " if flat else ""
    )


def _iterations_line(series: str, table: pd.DataFrame, axis: Axis, trained: float) -> Line:
    """trained: the number of iterations in training, which keeps its point and gets a ring."""
    steps = table["iterations"].to_numpy()
    keep = sorted({*_thin(steps.tolist(), axis.log), *np.flatnonzero(steps == trained)})
    ring = keep.index(np.flatnonzero(steps == trained)[0]) if trained in steps else None
    line = table_line(series, table.iloc[keep], "iterations", ring=ring)
    if axis.high is not None and line.x[-1] < axis.high and line.x[-1] <= trained:
        # Ends with its last layer: iterating on changes nothing.
        return line.level_to(axis.high, ring=len(line.x) - 1)
    return line


def _thin(places: Sequence[float], log: bool) -> np.ndarray:
    """Positions of at most about MOST_POINTS of the sorted places, both ends among them."""
    if len(places) <= MOST_POINTS:
        return np.arange(len(places))
    wanted = (np.geomspace if log else np.linspace)(places[0], places[-1], MOST_POINTS)
    return np.unique(np.clip(np.searchsorted(places, wanted), 0, len(places) - 1))


def spread(places: Sequence[float], most: int = MOST_PANELS) -> list[float]:
    """At most `most` of the places, evenly chosen, first and last among them."""
    if len(places) <= most:
        return list(places)
    return [places[i] for i in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]


def _telling(section: Section, together: bool = False) -> list[float]:
    """Up to three difficulties worth a panel: as trained, and harder ones that anyone solves at
    all. together: of those at which two series or more were measured."""
    among = section.difficulties
    if together:
        series = section.best.groupby("test_difficulty")["series"].nunique()
        among = [d for d in among if series.get(d, 0) > 1]
    trained = [d for d in section.train_difficulties if d in among][-1:]
    harder = [d for d in among if not trained or d > trained[0]]
    solved = solved_at_all(section, harder)
    if not trained:
        return spread(solved or harder, 3)
    return [*trained, *spread(solved, 2)] if solved else [*trained, *harder[:1]]


def solved_at_all(section: Section, places: list[float]) -> list[float]:
    """Those of the difficulties at which the best is clearly above chance."""
    best = section.best.groupby("test_difficulty")["mean"].max()
    floor = section.chance + 0.05 * (1 - section.chance)
    return [d for d in places if best.get(d, 0) >= floor]


def against_samples(section: Section, key: str) -> Figure | None:
    """Sample efficiency: a panel per telling difficulty; none where no series has two sizes."""
    if not section.compares_samples:
        return None
    table = section.by_samples[section.by_samples["rule"] == section.rule]
    return Figure.of(
        key,
        f"{section.name}: share of problems solved by the number of training samples",
        f"Distinct training problems, log axis; {answered(section.rule, table)}",
        _panels(section, table, ("train_samples", "training samples"), "line", _telling(section)),
    )


def against_parameters(section: Section, key: str) -> Figure | None:
    """Parameter efficiency: one point per paradigm and telling difficulty; none where nothing is
    beside it."""
    pruned = bool((section.best["active"] < section.best["parameters"]).any())
    column = ("active", "parameters left after pruning") if pruned else PARAMETERS
    panels = _compared(
        cost_panels(section, column, _telling(section, together=True)), section.chance
    )
    return Figure.of(
        key,
        f"{section.name}: share of problems solved by the number of {column[1]}",
        f"{_ONE_POINT}, log axis; {answered(section.rule, section.best)}{_FRONT}{begins(panels)}",
        panels,
    )


def against_compute(section: Section, key: str) -> Figure | None:
    """What an answer and the training cost, at the hardest telling difficulty that anyone solves at
    all; none where fewer than two series were measured."""
    telling = _telling(section, together=True)
    places = (solved_at_all(section, telling) or telling)[-1:]
    at = f" at {section.place(places[0])}" if places and not section.only else ""
    panels = _compared(
        [p for cost in _COSTS.items() for p in cost_panels(section, cost, places, cost[1] + at)],
        section.chance,
    )
    here = section.best[section.best["test_difficulty"].isin(places)]
    timed = any(p.x.label == _SECONDS for p in panels)
    return Figure.of(
        key,
        f"{section.name}: share of problems solved{at} by what it costs",
        f"{_ONE_POINT}, log axes; {answered(section.rule, here)}{_FRONT}"
        f"{begins(panels)}{_machine(section) if timed else ''}",
        panels,
    )


def _machine(section: Section) -> str:
    """Where the seconds were measured."""
    devices = sorted(set(section.main["device"]) - {""})
    if not devices:
        return "On what machine the seconds were measured is not recorded."
    return f"Seconds were measured on {' and '.join(devices)}."


def _compared(panels: list[Panel], chance: float) -> list[Panel]:
    """Those in which there are at least two points to compare, the Pareto front ringed."""
    return from_high([_with_front(p, chance) for p in panels if len(p.lines) > 1])


def _with_front(panel: Panel, chance: float) -> Panel:
    """A network whose interval holds chance is on no front, however little it costs."""
    clear = [n for n in panel.lines if n.low is not None and n.low[0] > chance]
    front = [clear[i].series for i in pareto_front([(n.x[0], n.y[0]) for n in clear])]
    return replace(
        panel, lines=[replace(n, ring=0) if n.series in front else n for n in panel.lines]
    )


def cost_panels(
    section: Section, column: Column, places: list[float], title: str = ""
) -> list[Panel]:
    """A point a network: its accuracy by what it costs, a panel a place."""
    return _panels(section, section.best, column, "points", places, title)


def _panels(
    section: Section,
    table: pd.DataFrame,
    by: Column,
    kind: str,
    places: list[float],
    title: str = "",
) -> list[Panel]:
    at = {d: table[(table["test_difficulty"] == d) & (table[by[0]] > 0)] for d in places}
    x, marks = Axis(by[1], log=True), chance_mark(section)
    return [
        Panel(title or section.panel(d), x, SOLVED, table_lines(here, by[0], kind), marks)
        for d, here in at.items()
        if len(here)
    ]
