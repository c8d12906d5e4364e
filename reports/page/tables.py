"""The tables of a section, as rows of words and numbers for the template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from foundations.measures import area_under, converged_share, samples_to_reach
from foundations.statistics import steps_to_reach
from reports.figures.styles import Style
from reports.read.formats import count, flops, human, percent, points, span
from reports.read.load import Run
from reports.read.rules import ORACLE, RULES, oracle, peaks
from reports.read.sections import Accuracy, Section, accuracies, section_entries
from reports.read.stored import Entry, items, number, part_of

Row = dict[str, Any]  # what the template reads: texts mostly, numbers to sort by
SHARES = (0.5, 0.9, 0.99)  # of the best accuracy, for which iterations are counted
_STOPPING = {
    "validated": "fixed on validation problems",
    "n_plus_2": "two more than in training",
    "agreement": "agreement",
    "convergence": "convergence of the state",
}
_COSTS = ("n_test", "accuracy", "iterations_mean", "seconds_per_example", "flops_per_example")


def _by_series(
    section: Section, styles: dict[str, Style], make: Callable[[str], Row | None]
) -> list[Row]:
    """A row, or a group of them, for each series that has one."""
    made = {series: make(series) for series in section.series}
    return [{"series": s, "index": styles[s].index, **row} for s, row in made.items() if row]


def accuracy_table(section: Section, styles: dict[str, Style]) -> list[Row]:
    """Accuracy by difficulty under the page's rule, with what it stands on."""
    highest: dict[float, Accuracy] = {}
    for cell in accuracies(section.best):
        highest[cell.at] = max(highest.get(cell.at, cell), cell, key=lambda c: c.mean)
    converged = _converged(section)

    def cell_of(cell: Accuracy | None, seeds: int) -> Row | None:
        if cell is None:
            return None
        return {
            "value": cell.mean,
            "text": points(cell.mean),
            "span": span(cell.low, cell.high),
            # Bold is the highest and whatever its interval does not separate from it.
            "top": cell.high >= highest[cell.at].low > section.chance,
            "basis": f"{cell.seeds_text}; {count(cell.n_test)} problems each",
            "partial": cell.seeds < seeds,
        }

    def row(series: str) -> Row:
        cells = [section.cell(series, d) for d in section.difficulties]
        measured = [cell for cell in cells if cell]
        seeds = max((cell.seeds for cell in measured), default=0)
        problems = pd.Series([cell.n_test for cell in measured], dtype=float).min()
        runs = section.runs_of(series)
        return {
            "seeds": seeds,
            "lost": int((runs["status"] != "complete").sum()),
            "converged": converged.get(series),
            "samples": count(runs["train_samples"].max()),
            "parameters": count(runs["parameters"].mean()),
            "problems": count(problems),
            "cells": [cell_of(cell, seeds) for cell in cells],
        }

    return _by_series(section, styles, row)


def _converged(section: Section) -> dict[str, Row]:
    """By series, the share of runs that converged on the hardest difficulty trained on, by the
    page's rule; empty where that was not tested."""
    cells = {s: section.cell(s, d) for d in section.trained for s in section.series}
    shares = {s: (len(c.each), converged_share(c.each)) for s, c in cells.items() if c}
    return {
        s: {"text": f"{runs} of {of} converged", "span": span(low, high)}
        for s, (of, (runs, low, high)) in shares.items()
    }


def samples_table(section: Section, styles: dict[str, Style]) -> list[Row]:
    """Training samples to `section.goal` at the home difficulty, interpolated, of the series with
    two training-set sizes or more; ends where the curves of the intervals' ends cross it."""
    table = section.by_samples
    here = (table["rule"] == section.rule) & (table["test_difficulty"] == section.home)

    def needed(curve: dict[float, float]) -> str:
        reached = samples_to_reach(curve, section.goal)
        if reached is None:
            return f"> {count(max(curve))}"
        return f"≤ {count(reached)}" if reached == min(curve) else count(float(f"{reached:.2g}"))

    def row(series: str) -> Row | None:
        cells = accuracies(table[here & (table["series"] == series)], "train_samples")
        mean, low, high = (
            {cell.at: float(getattr(cell, end)) for cell in cells}
            for end in ("mean", "low", "high")
        )
        area = area_under(mean)
        if area is None:
            return None
        return {
            "needed": needed(mean),
            "value": samples_to_reach(mean, section.goal) or 1e15,  # sorts last
            "span": "" if needed(high) == needed(low) else f"{needed(high)} to {needed(low)}",
            "area": percent(area),
            "sizes": ", ".join(map(count, mean)),
        }

    return _by_series(section, styles, row)


def rules_table(section: Section, styles: dict[str, Style]) -> list[Row]:
    """A group per network that could go on: blind rules one below the other, then the peak."""
    peak = peaks(section.main)
    sighted = {
        "peak over iterations, chosen on the test data": peak.assign(exit_mean=peak["iterations"]),
        ORACLE: oracle(section.main),
    }
    order = {rule: i for i, rule in enumerate(RULES)}
    groups: dict[str, dict[str, list[Accuracy]]] = {}
    for (series, _, rule), cell in section.cells.items():
        groups.setdefault(series, {}).setdefault(rule, []).append(cell)

    def row(rule: str, measured: list[Accuracy], peak: bool = False) -> Row:
        cells = {
            cell.at: {
                "text": points(cell.mean),
                "span": span(cell.low, cell.high),
                "iterations": f"{cell.iterations:.3g}" if np.isfinite(cell.iterations) else "",
            }
            for cell in measured
        }
        return {"rule": rule, "cells": [cells.get(d) for d in section.difficulties], "peak": peak}

    def group(series: str) -> Row | None:
        if not section.endless.get(series):
            return None
        blind = groups.get(series, {})
        rules = sorted(blind, key=lambda r: (order.get(r, 99), r))
        rows = [row(RULES.get(rule, rule), blind[rule]) for rule in rules]
        for words, table in sighted.items():
            mine = accuracies(table[table["series"] == series])
            if mine or words != ORACLE:
                rows.append(row(words, mine, True))
        return {"rows": rows}

    return _by_series(section, styles, group)


def compute_table(section: Section, known: dict[str, Run], styles: dict[str, Style]) -> list[Row]:
    """What training and an answer cost; the answer at the section's home difficulty. known: runs by
    name, whose validation curves say what reaching `section.goal` took."""

    def row(series: str) -> Row:
        runs = section.runs_of(series)
        cell = None if section.home is None else section.cell(series, section.home)
        return {
            "parameters": count(runs["parameters"].mean()),
            "active": count(section.remaining(series)),
            "samples": count(runs["train_samples"].max()),
            "examples": _human(runs["examples_seen"].mean()),
            "flops": _human(cell.flops if cell else np.nan),
            "train_flops": _human(runs["train_flops"].mean()),
            "goal_flops": _to_goal([known[r] for r in runs["run_id"] if r in known], section.goal),
            "seconds": count(runs["train_seconds"].mean()),
            "precision": ", ".join(sorted(set(runs["precision"]) - {""})) or "–",
        }

    return _by_series(section, styles, row)


def _to_goal(runs: list[Run], goal: float) -> str:
    """FLOPs of training until validation first reached a goal, geometric mean over the runs that
    did, and how many of those with a curve these are."""
    needed, curves = [], 0
    for run in runs:
        lines = [m for m in run.metrics if m.get("split") == "validation"]
        points = [(number(m.get("step")), number(m.get("accuracy"))) for m in lines]
        curve = {int(step): a for step, a in points if np.isfinite(step) and np.isfinite(a)}
        each = number(run.result.get("train_flops")) / max(number(run.result.get("steps")), 1.0)
        if not curve or not each > 0:
            continue
        curves += 1
        if (steps := steps_to_reach(curve, goal)) is not None:
            needed.append(max(steps, 1.0) * each)
    if not needed:
        return f"not reached (0 of {curves})" if curves else "–"
    mean = _human(float(np.exp(np.mean(np.log(needed)))))
    return mean if len(needed) == curves else f"{mean} ({len(needed)} of {curves})"


def _human(value: float) -> str:
    return human(float(value)) if np.isfinite(value) else "–"


def speed_table(section: Section, styles: dict[str, Style]) -> list[Row]:
    """Iterations that each recurrent series needs to reach 50, 90 and 99 % of its own best accuracy
    at the trained difficulty; mean over the seeds that got above chance. The best is read off the
    same curve."""
    fixed = section.main[section.main["exit_rule"] == "fixed"].dropna(subset="accuracy")
    fixed = fixed[fixed["test_difficulty"].isin(section.trained)].sort_values("iterations")

    def row(series: str) -> Row | None:
        if not section.endless.get(series):
            return None
        needed = []
        for _, run in fixed[fixed["series"] == series].groupby("run_id"):
            best = run["accuracy"].max()
            if best > section.chance:
                reached = (run["accuracy"] >= share * best for share in SHARES)
                needed.append([run.loc[mask, "iterations"].min() for mask in reached])
        if not needed:
            return None
        return {"seeds": len(needed), "cells": [f"{m:.1f}" for m in np.mean(needed, 0)]}

    return _by_series(section, styles, row)


def pruning_table(section: Section, runs: dict[str, Run], styles: dict[str, Style]) -> list[Row]:
    """What is left of each pruned series, and where least is; empty where nothing was pruned."""

    def row(series: str) -> Row | None:
        results = [runs[r].result for s, r in section.owners() if s == series and r in runs]
        results = [result for result in results if _layers(result)]
        if not results:
            return None
        layers = [_layers(result) for result in results]
        shares = [{n: kept / whole for n, (kept, whole) in each.items()} for each in layers]
        least = min(shares, key=lambda each: min(each.values()))
        name = min(least, key=lambda layer: least[layer])
        kept = [sum(k for k, _ in e.values()) / sum(w for _, w in e.values()) for e in layers]
        empty = sorted({str(n) for result in results for n in result.get("empty_layers") or []})
        seconds = [
            [number(r.get(f"{what}_seconds")) for what in ("scoring", "train")] for r in results
        ]
        cost = [scoring / training for scoring, training in seconds if training > 0]
        return {
            "runs": len(results),
            "density": percent(float(np.mean(kept))),
            "least": f"{name} ({percent(least[name])})",
            "most": percent(max(max(each.values()) for each in shares)),
            "empty": ", ".join(empty) or "none",
            "collapsed": sum(r.get("status") == "collapsed" for r in results),
            "cost": percent(float(np.mean(cost))) if cost else "–",
        }

    return _by_series(section, styles, row)


def _layers(result: Entry) -> dict[str, tuple[float, float]]:
    """(kept, all) weights by layer as recorded; empty unless every entry makes sense."""
    layers = {
        str(n): tuple(map(number, items(w))) for n, w in part_of(result, "layer_weights").items()
    }
    pairs = {name: (pair[0], pair[1]) for name, pair in layers.items() if len(pair) == 2}
    sensible = all(0 <= kept <= whole and whole > 0 for kept, whole in pairs.values())
    return pairs if sensible and len(pairs) == len(layers) else {}


def stopping_problems(section: Section, runs: dict[str, Run]) -> str:
    """How many problems the costs of stopping were measured on; empty where nothing was."""
    entries = section_entries(section, runs, "stopping")
    counts = {n for e in entries if np.isfinite(n := number(e.get("n_test")))}
    return " to ".join(map(count, sorted({min(counts), max(counts)}))) if counts else ""


def stopping_table(section: Section, runs: dict[str, Run], styles: dict[str, Style]) -> list[Row]:
    """A group per network, a row per rule: what answering costs when answered problems leave the
    batch."""
    costs: dict[tuple[str, float, str], list[list[float]]] = {}
    for entry in section_entries(section, runs, "stopping"):
        measured = [number(entry.get(key)) for key in _COSTS]
        if np.isfinite(measured).all():
            place = number(entry.get("test_difficulty")), str(entry.get("exit_rule"))
            costs.setdefault((entry["series"], *place), []).append(measured)
    means = {place: np.mean(several, 0).tolist() for place, several in costs.items()}

    def cell(series: str, difficulty: float, rule: str) -> Row | None:
        if (series, difficulty, rule) not in means:
            return None
        n_test, accuracy, iterations, seconds, operations = means[series, difficulty, rule]
        fixed = means.get((series, difficulty, "validated"))
        compared = rule != "validated" and fixed is not None and seconds > 0
        return {
            "accuracy": points(accuracy),
            "iterations": f"{iterations:.3g}",
            "milliseconds": f"{1000 * seconds:.3g}",
            "flops": flops(operations),
            "saved": f"{fixed[3] / seconds:.2g}×" if fixed and compared else "",
            "basis": f"{count(n_test)} problems",
        }

    def group(series: str) -> Row | None:
        rows = [
            {"rule": words, "cells": [cell(series, d, rule) for d in section.difficulties]}
            for rule, words in _STOPPING.items()
        ]
        rows = [row for row in rows if any(row["cells"])]
        return {"rows": rows} if rows else None

    return _by_series(section, styles, group)
