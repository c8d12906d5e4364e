"""What each figure shows, as data: no drawing here."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from foundations.measures import aggregate
from reports.figures.figure_model import Axis, Figure, Line, Panel, log_axis
from reports.figures.headlines import PER_ANSWER, with_finding
from reports.figures.perturbed import BLOWS
from reports.figures.probe_figures import inside_figures
from reports.figures.stopping import exits_figure
from reports.read.load import Records, Run, number
from reports.read.summary import RULES, Section, by_rule, count, interval_words, plural, sections

MOST_POINTS = 120  # a line keeps at most this many, spread evenly along its axis
MOST_PANELS = 6
#: A spike, which would hide all else, is a loss more than SPIKE times both that at which the runs
#: begin (median) and that which all but 5 % of the drawn ones stay below.
SPIKE, SPIKE_QUANTILE = 4.0, 0.95


def _percent_axis(label: str) -> Axis:
    return Axis(label, percent=True, low=0.0, high=1.0)


SOLVED = "problems solved entirely (%)"
_SECONDS = "seconds of training"
_PARAMETERS = ("parameters", "trainable parameters")  # a column, and its axis


def _line(series: str, table: pd.DataFrame, x: str, kind: str = "line", ring=None) -> Line:
    return Line(
        series,
        [float(v) for v in table[x]],
        [float(v) for v in table["mean"]],
        kind,
        low=[float(v) for v in table["low"]],
        high=[float(v) for v in table["high"]],
        seeds=[int(v) for v in table["seeds"]],
        tests=[float(v) for v in table["n_test"]],
        each=_each(table),
        ring=ring,
    )


def _each(table: pd.DataFrame) -> list[list[float]] | None:
    """The seeds' accuracies behind each point, where there is more than one and they were asked
    for."""
    if "each" not in table or table["seeds"].max() < 2:
        return None
    return [[float(v) for v in values] for values in table["each"]]


def _thin(places: Sequence[float], most: int = MOST_POINTS, log: bool = True) -> np.ndarray:
    """Positions of at most about `most` of the sorted places, both ends among them."""
    if len(places) <= most:
        return np.arange(len(places))
    low, high = max(places[0], 1e-9), places[-1]
    wanted = np.geomspace(low, high, most) if log else np.linspace(places[0], high, most)
    return np.unique(np.clip(np.searchsorted(places, wanted), 0, len(places) - 1))


def _basis(table: pd.DataFrame) -> str:
    """`2 seeds and 1,000 test problems per point`, with ranges where points differ."""
    if table.empty:
        return "no points"
    few, many = int(table["seeds"].min()), int(table["seeds"].max())
    seeds = plural(many, "seed") if few == many else f"{few} to {many} seeds"
    tests = table["n_test"].dropna()
    if tests.empty:
        return f"{seeds} per point"
    low, high = tests.min(), tests.max()
    problems = count(high) if low == high else f"{count(low)} to {count(high)}"
    return f"{seeds} per point, {problems} test problems each"


def _seeds(table: pd.DataFrame) -> str:
    return "Means over seeds; " if len(table) and table["seeds"].max() > 1 else "One seed; "


_DOTS = "Small dots: single seeds. "


def _dots(table: pd.DataFrame) -> str:
    return _DOTS if len(table) and table["seeds"].max() > 1 else ""


def _chance(section: Section) -> list[tuple[str, float, str]]:
    return [("y", section.chance, "chance")] if section.chance > 0 else []


def _difficulty_axis(section: Section) -> Axis:
    places = section.difficulties
    ticks = tuple((d, section.labels[d]) for d in places)
    return Axis(section.difficulty_name, log=log_axis(places, 6), ticks=ticks)


def difficulty_panel(section: Section, title: str = "") -> Panel:
    """Accuracy against difficulty under the page's exit rule."""
    lines = [
        _line(str(series), table, "test_difficulty")
        for series, table in section.best.groupby("series", sort=False)
    ]
    marks = _chance(section)
    marks += [("x", d, "trained") for d in section.train_difficulties if d in section.labels]
    return Panel(title, _difficulty_axis(section), _percent_axis(SOLVED), lines, marks)


def against_difficulty(section: Section, key: str) -> Figure | None:
    """The extrapolation curve; none where there is one difficulty only."""
    if section.best["test_difficulty"].nunique() < 2:
        return None
    name = section.difficulty_name
    return Figure(
        key,
        f"Share of {section.name} problems solved at each {name}",
        f"{_seeds(section.best)}answered after {RULES[section.rule]}; {_basis(section.best)}."
        f" {interval_words(section.best)}. {_dots(section.best)}Runs with the largest training set"
        " of each paradigm.",
        [difficulty_panel(section)],
    )


def against_iterations(section: Section, key: str) -> Figure | None:
    """A panel per difficulty; networks that end are level from their end on."""
    fixed = section.main[section.main["exit_rule"] == "fixed"]
    table = aggregate(fixed, ["test_difficulty", "series", "iterations"])
    # Iterations that only some of a series' seeds recorded would make its mean jump.
    most = table.groupby(["test_difficulty", "series"])["seeds"].transform("max")
    table = table[table["seeds"] == most]
    if table.empty or table["iterations"].max() <= 1:
        return None
    last = float(table["iterations"].max())
    trained = section.main.groupby("series")["train_iterations"].max()
    log = log_axis(table["iterations"].tolist(), 8)
    panels = []
    for difficulty in _spread(section.difficulties):
        here = table[table["test_difficulty"] == difficulty]
        lines = [
            _iterations_line(str(s), t, last, float(trained[s]), log)
            for s, t in here.groupby("series", sort=False)
        ]
        x = Axis("iterations", whole=True, log=log, low=1.0, high=last)
        title = section.panel(difficulty)
        panels.append(Panel(title, x, _percent_axis(SOLVED), lines, _chance(section)))
    return Figure(
        key,
        f"Share of {section.name} problems solved after each number of iterations",
        f"{_signs(panels)}{_basis(table)}. Bands: {interval_words(table)}.",
        panels,
    )


def _signs(panels: list[Panel]) -> str:
    """What rings and level lines mean, where there are any."""
    lines = [line for panel in panels for line in panel.lines]
    rings = any(line.ring is not None for line in lines)
    flat = any(line.kind == "flat" for line in lines)
    return ("Rings: the number of iterations in training. " if rings else "") + (
        "Level lines: networks that end, drawn on from their last layer. " if flat else ""
    )


def _iterations_line(
    series: str, table: pd.DataFrame, last: float, trained: float, log: bool
) -> Line:
    steps = table["iterations"].to_numpy()
    keep = set(_thin(steps.tolist(), log=log).tolist())
    at = np.flatnonzero(steps == trained)
    keep |= set(at.tolist())
    table = table.iloc[sorted(keep)]
    place = np.flatnonzero(table["iterations"].to_numpy() == trained)
    ring = int(place[0]) if len(place) else None
    line = _line(series, table, "iterations", ring=ring)
    if line.x[-1] < last and line.x[-1] <= trained:
        # Ends with its last layer: iterating on changes nothing.
        for part in (line.x, line.y, line.low, line.high, line.seeds, line.tests):
            part.append(part[-1])
        line.x[-1] = last
        return Line(**{**line.__dict__, "kind": "flat", "ring": len(line.x) - 2})
    return line


def _spread(places: Sequence[float], most: int = MOST_PANELS) -> list[float]:
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
    solved = _solved_at_all(section, harder)
    if not trained:
        return _spread(solved or harder, 3)
    return [*trained, *_spread(solved, 2)] if solved else [*trained, *harder[:1]]


def _solved_at_all(section: Section, places: list[float]) -> list[float]:
    """Those of the difficulties at which the best is clearly above chance."""
    best = section.best.groupby("test_difficulty")["mean"].max()
    floor = section.chance + 0.05 * (1 - section.chance)
    return [d for d in places if best.get(d, 0) >= floor]


def against_samples(section: Section, key: str) -> Figure | None:
    """Sample efficiency: a panel per telling difficulty; none where no series has two sizes."""
    if not section.compares_samples:
        return None
    ruled = by_rule(section.rows)
    ruled = ruled[(ruled["rule"] == section.rule) & ruled["train_samples"].notna()]
    table = aggregate(ruled, ["test_difficulty", "series", "train_samples"], each=True)
    panels = _panels(section, table, "train_samples", "training samples", "line")
    if not panels:
        return None
    return Figure(
        key,
        f"Share of {section.name} problems solved by the number of training samples",
        f"Distinct training problems, log axis; answered after {RULES[section.rule]};"
        f" {_basis(table)}. {interval_words(table)}. {_dots(table)}",
        panels,
    )


def against_parameters(section: Section, key: str) -> Figure | None:
    """Parameter efficiency: one point per paradigm and telling difficulty; none where nothing is
    beside it."""
    pruned = bool((section.best["active"] < section.best["parameters"]).any())
    column, label = ("active", "parameters left after pruning") if pruned else _PARAMETERS
    places = _telling(section, together=True)
    panels = _compared(_panels(section, section.best, column, label, "points", places))
    if not panels:
        return None
    return Figure(
        key,
        f"Share of {section.name} problems solved by the number of {label}",
        "One point per paradigm at its largest training set, log axis; answered after"
        f" {RULES[section.rule]}; {_basis(section.best)}. {interval_words(section.best)}."
        f" {_dots(section.best)}",
        panels,
    )


def against_compute(section: Section, key: str) -> Figure | None:
    """What an answer and the training cost, at the hardest telling difficulty that anyone solves at
    all; none where fewer than two series were measured."""
    telling = _telling(section, together=True)
    places = (_solved_at_all(section, telling) or telling)[-1:]
    at = f" at {section.place(places[0])}" if places and not section.only else ""
    panels = []
    for column, label in (
        ("flops", PER_ANSWER),
        ("train_flops", "FLOPs of training"),
        ("train_seconds", _SECONDS),
    ):
        panels += _panels(section, section.best, column, label, "points", places, title=label + at)
    panels = _compared(panels)
    if not panels:
        return None
    here = section.best[section.best["test_difficulty"] == places[0]]
    seconds = any(p.x.label == _SECONDS for p in panels)
    return Figure(
        key,
        f"Share of {section.name} problems solved{at} by what it costs",
        "One point per paradigm at its largest training set, log axes; answered after"
        f" {RULES[section.rule]}; {_basis(here)}. {interval_words(here)}."
        f" {_dots(here)}{_machine(section) if seconds else ''}",
        panels,
    )


def _machine(section: Section) -> str:
    """Where the seconds were measured."""
    devices = sorted(set(section.main["device"]) - {""})
    if not devices:
        return "On what machine the seconds were measured is not recorded."
    return f"Seconds were measured on {' and '.join(devices)}."


def _compared(panels: list[Panel]) -> list[Panel]:
    """Those in which there are at least two points to compare."""
    return [p for p in panels if len(p.lines) > 1]


def _panels(
    section: Section,
    table: pd.DataFrame,
    column: str,
    label: str,
    kind: str,
    places: list[float] | None = None,
    title: str = "",
) -> list[Panel]:
    panels = []
    for difficulty in _telling(section) if places is None else places:
        here = table[(table["test_difficulty"] == difficulty) & (table[column] > 0)]
        lines = [_line(str(s), t, column, kind) for s, t in here.groupby("series", sort=False)]
        if lines:
            x = Axis(label, log=True)
            name = title or section.panel(difficulty)
            panels.append(Panel(name, x, _percent_axis(SOLVED), lines, _chance(section)))
    return panels


def training_curves(section: Section, key: str, runs: dict[str, Run]) -> Figure | None:
    """Loss and validation accuracy against examples seen, a thin line a run."""
    owners = section.main.drop_duplicates("run_id")
    owners = dict(zip(owners["run_id"], owners["series"], strict=True))
    known = {r: s for r, s in owners.items() if r in runs and runs[r].metrics}
    budget = max(20, min(MOST_POINTS, 6000 // max(len(known), 1)))
    right, loss, above = [], [], ""
    for run_id, series in known.items():
        metrics = runs[run_id].metrics
        right += _curve(series, run_id, metrics, "validation", "accuracy", budget)
        loss += _curve(series, run_id, metrics, "train", "loss", budget)
    if not right and not loss:
        return None
    x = Axis("examples seen in training", log=False, low=0.0)
    panels = []
    if right:
        panels.append(Panel("validation", x, _percent_axis(SOLVED), right, _chance(section)))
    if loss:
        y, above = _loss_axis(loss)
        panels.append(Panel("training loss", x, y, loss))
    return Figure(
        key,
        f"How validation accuracy and training loss of {section.name} moved while training",
        f"A line per run ({len(known)} runs), those of each paradigm's largest training set;"
        " validation problems are of the trained difficulty and shared with neither training nor"
        f" test. Losses are means over the steps between two points.{above}",
        panels,
    )


def _loss_axis(lines: Sequence[Line]) -> tuple[Axis, str]:
    """The axis of training losses and, where it leaves spikes out, what the caption says of
    them."""
    losses = [v for line in lines for v in line.y]
    begun = float(np.median([line.y[0] for line in lines]))
    usual = max(begun, float(np.quantile(losses, SPIKE_QUANTILE)))
    high, above = None, [v for v in losses if v > SPIKE * usual]
    if usual > 0 and above:
        high = SPIKE * usual
        losses = [v for v in losses if v <= high]
    axis = Axis("training loss (nats)", log=log_axis(losses, 8), high=high)
    if high is None:
        return axis, ""
    return (
        axis,
        (
            f" The axis of losses ends at {high:.3g}: {plural(len(above), 'point')} above it, up to"
            f" {max(above):.3g}, {'is' if len(above) == 1 else 'are'} not shown in full."
        ),
    )


def _curve(
    series: str, run_id: str, metrics: list[dict], split: str, column: str, budget: int
) -> list[Line]:
    points = [
        (number(m.get("examples")), number(m.get(column)))
        for m in metrics
        if m.get("split") == split
    ]
    points = sorted(p for p in points if math.isfinite(p[0]) and math.isfinite(p[1]))
    if not points:
        return []
    x, y = (np.array(part) for part in zip(*points, strict=True))
    if len(x) > budget:
        groups = np.array_split(np.arange(len(x)), budget)
        ends = [g[-1] for g in groups]
        # A loss is noise around a trend, so its points are means; an accuracy is a measurement.
        y = np.array([y[g].mean() for g in groups]) if column == "loss" else y[ends]
        x = x[ends]
    # A line through one point is none.
    kind = "thin" if len(x) > 1 else "points"
    return [Line(series, x.tolist(), y.tolist(), kind, run=run_id)]


def recovery(
    section: Section, key: str, runs: dict[str, Run], trained: bool = False
) -> Figure | None:
    """How networks get back to the answer after a perturbation half-way: a panel for each.

    At the hardest difficulty that any solves at all or, with `trained`, at the trained one if that
    is another: a network that ends solves little else.
    """
    owners = section.main.drop_duplicates("run_id")
    rows = [
        {"run_id": run_id, "series": series, **row}
        for run_id, series in zip(owners["run_id"], owners["series"], strict=True)
        if run_id in runs
        for row in _recovery_rows(runs[run_id].stored("recovery"), section)
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows)
    struck = [d for d in section.difficulties if (table["test_difficulty"] == d).any()]
    place = (_solved_at_all(section, struck) or struck)[-1:]
    if trained:
        place = [d for d in section.train_difficulties if d in struck and d not in place][-1:]
    if not place:
        return None
    here = aggregate(
        table[table["test_difficulty"] == place[0]].reindex(columns=[*table.columns, *_UNUSED]),
        ["blow", "series", "iterations"],
    )
    last = float(here["iterations"].max())
    ends = set(table.loc[table["ends"], "series"])
    panels = [
        Panel(
            BLOWS[str(blow)][0] if blow in BLOWS else str(blow),
            Axis(
                "iterations after the perturbation",
                whole=True,
                log=log_axis(here["iterations"].tolist(), 8),
                high=last,
            ),
            _percent_axis(SOLVED),
            [
                _drawn_on(_line(str(s), t, "iterations"), last if s in ends else 0.0)
                for s, t in found.groupby("series", sort=False)
            ],
            _chance(section),
        )
        for blow in sorted(set(here["blow"]), key=lambda b: [*BLOWS, b].index(b))
        for found in [here[here["blow"] == blow]]
    ]
    when = " or ".join(f"{b:g}" for b in sorted(table.loc[~table["ends"], "before"].unique()))
    said = f"The state, or the problem, is changed after {when} iterations. " if when else ""
    if ends:
        depths = " or ".join(f"{b:g}" for b in sorted(table.loc[table["ends"], "before"].unique()))
        said += (
            f"Level lines: networks that end, perturbed half-way through their depth ({depths}"
            " iterations) and scored at their end; they have no more layers than in training to"
            " get back with, so this says how much of the answer the second half makes, not"
            " whether they recover in time. "
        )
    return Figure(
        key,
        f"Share of {section.name} problems solved after a perturbation, {section.place(place[0])}",
        f"{said}{_basis(here)}. {interval_words(here)}.",
        panels,
    )


def _drawn_on(line: Line, last: float) -> Line:
    """A line whose last value holds from there to `last`, as that of a network that ends."""
    if line.x[-1] >= last:
        return line
    for part in (line.x, line.y, line.low, line.high, line.seeds, line.tests):
        part.append(part[-1])
    line.x[-1] = last
    return Line(**{**line.__dict__, "kind": "flat"})


#: Columns that `aggregate` takes means of and recovery curves do not have.
_UNUSED = (
    "element_accuracy", "ci_low", "ci_high", "parameters", "active_parameters", "flops_per_example",
    "train_flops", "train_seconds", "exit_iterations_mean",
)  # fmt: skip


def _recovery_rows(stored: object, section: Section) -> list[dict]:
    """A row a point of the curves of one run, those of another task and those that make no sense
    left out."""
    rows = []
    for curve in stored if isinstance(stored, list) else []:
        if not isinstance(curve, dict):
            continue
        if "test_task" in curve and curve["test_task"] not in set(section.main["test_task"]):
            continue
        steps, shares = curve.get("iterations"), curve.get("accuracy")
        if not (isinstance(steps, list) and isinstance(shares, list) and len(steps) == len(shares)):
            continue
        facts = {name: number(curve.get(name)) for name in ("test_difficulty", "before", "n_test")}
        facts["ends"] = curve.get("ends") is True
        for step, share in zip(map(number, steps), map(number, shares), strict=True):
            if step >= 1 and 0 <= share <= 1:
                rows.append(
                    {**facts, "blow": str(curve.get("blow")), "iterations": step, "accuracy": share}
                )
    return rows


def _overview_panel(section: Section) -> Panel:
    """Extrapolation or, where there are no degrees of difficulty, parameter efficiency."""
    if not section.only:
        return difficulty_panel(section, section.name)
    made = _panels(
        section, section.best, *_PARAMETERS, "points", section.difficulties[:1], section.name
    )
    return made[0] if made else difficulty_panel(section, section.name)


def overview(found: list[Section], key: str) -> Figure | None:
    """The extrapolation curves of all tasks side by side."""
    shown = [s for s in found if not s.best.empty]
    if len(shown) < 2:
        return None
    table = pd.concat([s.best for s in shown])
    leveled = any(not s.only for s in shown)
    figure = Figure(
        key,
        f"Share of problems solved {'at each difficulty' if leveled else ''}, by task",
        f"{_seeds(table)}answered after {RULES[shown[0].rule]}; {_basis(table)}."
        f" {interval_words(table)}. {_dots(table)}",
        [_overview_panel(s) for s in shown],
    )
    return with_finding("overview", figure)


def section_figures(section: Section, runs: dict[str, Run], prefix: str) -> dict[str, Figure]:
    """The figures of one task by what they show; those without data are absent."""
    made = {
        "difficulty": against_difficulty(section, f"{prefix}-difficulty"),
        "iterations": against_iterations(section, f"{prefix}-iterations"),
        "samples": against_samples(section, f"{prefix}-samples"),
        "parameters": against_parameters(section, f"{prefix}-parameters"),
        "compute": against_compute(section, f"{prefix}-compute"),
        "exits": exits_figure(section, runs, f"{prefix}-exits"),
        "recovery-trained": recovery(section, f"{prefix}-recovery-trained", runs, trained=True),
        "recovery": recovery(section, f"{prefix}-recovery", runs),
        **inside_figures(section, f"{prefix}-inside", runs),
        "training": training_curves(section, f"{prefix}-training", runs),
    }
    return {name: with_finding(name, figure) for name, figure in made.items() if figure is not None}


def figures_of(records: Records) -> dict[str, Figure]:
    """All figures of a page, by a name fit for a file."""
    found = sections(records.rows)
    top = overview(found, "overview")
    made = {"overview": top} if top else {}
    for section in found:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", section.name).strip("_") or "task"
        for kind, figure in section_figures(section, records.runs, "f").items():
            place = f"{name}-{kind}"
            made[place if place not in made else f"{place}-{len(made)}"] = figure
    return made
