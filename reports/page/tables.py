"""The tables of the page, as rows of words and numbers for the template."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from foundations.measures import CONVERGED, aggregate
from reports.figures.drawing import Style, human
from reports.read.load import Records, Run, number
from reports.read.summary import (
    ORACLE,
    RULES,
    Section,
    by_rule,
    count,
    main_rule,
    oracle,
    peaks,
    percent,
    points,
    remaining,
    seeds_text,
    span,
)


def accuracy_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    best = section.best
    # Bold is the highest and whatever its interval does not separate from it.
    order = best.sort_values("mean", ascending=False, kind="stable")
    tops = order.drop_duplicates("test_difficulty").set_index("test_difficulty")["low"]
    main = section.main.drop_duplicates("run_id")
    settled = _converged(section)
    table = []
    for series in section.series:
        mine = best[best["series"] == series].set_index("test_difficulty")
        runs = main[main["series"] == series]
        lost = int((runs["status"] != "complete").sum())
        seeds = int(mine["seeds"].max()) if len(mine) else 0
        cells = []
        for d in section.difficulties:
            if d not in mine.index:
                cells.append(None)
                continue
            cell = mine.loc[d]
            cells.append(
                {
                    "value": float(cell["mean"]),
                    "text": points(cell["mean"]),
                    "span": span(cell["low"], cell["high"]),
                    "top": bool(cell["high"] >= tops[d] > section.chance),
                    "basis": f"{seeds_text(cell)}; {count(cell['n_test'])} problems each",
                    "partial": int(cell["seeds"]) < seeds,
                }
            )
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "seeds": seeds,
                "lost": lost,
                "converged": settled.get(series),
                "samples": count(runs["train_samples"].max()),
                "parameters": count(runs["parameters"].mean()),
                "problems": count(mine["n_test"].min()) if len(mine) else "–",
                "cells": cells,
            }
        )
    return table


def _converged(section: Section) -> dict[str, int]:
    """By series, how many runs solve CONVERGED of the hardest difficulty trained on, by the page's
    rule; empty where that was not tested."""
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    rows = by_rule(section.main)
    rows = rows[(rows["rule"] == section.rule) & rows["test_difficulty"].isin(trained)]
    return (rows["accuracy"] >= CONVERGED).groupby(rows["series"]).sum().astype(int).to_dict()


def rules_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    """A group per network that could go on: blind rules one below the other, then the peak."""
    top, told = peaks(section.main), oracle(section.main)
    order = {rule: i for i, rule in enumerate(RULES)}
    groups = []
    for series in section.series:
        if not section.recurrent.get(series):
            continue
        mine = section.ruled[section.ruled["series"] == series]
        rows = [
            _rule_row(section, RULES.get(rule, rule), mine[mine["rule"] == rule])
            for rule in sorted(mine["rule"].unique(), key=lambda r: (order.get(r, 99), r))
        ]
        best = top[top["series"] == series]
        best = best.assign(exit_mean=best["iterations"])
        rows.append(_rule_row(section, "peak over iterations, chosen on the test data", best, True))
        bound = told[told["series"] == series]
        if len(bound):
            rows.append(_rule_row(section, ORACLE, bound, True))
        groups.append({"series": series, "index": styles[series].index, "rows": rows})
    return groups


def _rule_row(
    section: Section, rule: str, cells: pd.DataFrame, peak: bool = False
) -> dict[str, Any]:
    cells = cells.set_index("test_difficulty")
    out = []
    for d in section.difficulties:
        cell = cells.loc[d] if d in cells.index else None
        out.append(
            None
            if cell is None
            else {
                "text": points(cell["mean"]),
                "span": span(cell["low"], cell["high"]),
                "iterations": f"{cell['exit_mean']:.3g}" if np.isfinite(cell["exit_mean"]) else "",
            }
        )
    return {"rule": rule, "cells": out, "peak": peak}


def compute_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    table = []
    place = section.home  # at which the cost of an answer is told
    for series in section.series:
        runs = section.main[section.main["series"] == series].drop_duplicates("run_id")
        cell = None if place is None else section.cell(series, place)
        flops = np.nan if cell is None else cell["flops"]
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "parameters": count(runs["parameters"].mean()),
                "active": count(remaining(section, series)),
                "samples": count(runs["train_samples"].max()),
                "examples": _human(runs["examples_seen"].mean()),
                "flops": _human(flops),
                "train_flops": _human(runs["train_flops"].mean()),
                "seconds": count(runs["train_seconds"].mean()),
                "precision": ", ".join(sorted(set(runs["precision"]) - {""})) or "–",
            }
        )
    return table


def _human(value: float) -> str:
    return human(float(value)) if np.isfinite(value) else "–"


SHARES = (0.5, 0.9, 0.99)  # of the best accuracy, for which iterations are counted


def speed_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    """Iterations that each recurrent series needs to reach 50, 90 and 99 % of its own best accuracy
    at the trained difficulty; mean over the seeds that got above chance. The best is read off the
    same curve."""
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    fixed = section.main[section.main["exit_rule"] == "fixed"]
    table = []
    for series in section.series:
        if not (section.recurrent.get(series) and trained):
            continue
        mine = fixed[(fixed["series"] == series) & (fixed["test_difficulty"] == trained[0])]
        needed = []
        for _, run in mine.dropna(subset="accuracy").groupby("run_id"):
            run = run.sort_values("iterations")
            best = run["accuracy"].max()
            if best > section.chance:
                needed.append(
                    [run.loc[run["accuracy"] >= s * best, "iterations"].min() for s in SHARES]
                )
        if not needed:
            continue
        means = np.mean(needed, 0)
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "seeds": len(needed),
                "cells": [f"{m:.1f}" for m in means],
            }
        )
    return table


def pruning_table(
    section: Section, runs: dict[str, Run], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """What is left of each pruned series, and where least is; empty where nothing was pruned."""
    table = []
    for series in section.series:
        names = section.main.loc[section.main["series"] == series, "run_id"].unique()
        found = [runs[r].result for r in names if r in runs and _layers(runs[r].result)]
        if not found:
            continue
        layers = [_layers(result) for result in found]
        shares = [{n: kept / whole for n, (kept, whole) in each.items()} for each in layers]
        least = min(shares, key=lambda each: min(each.values()))
        name = min(least, key=least.get)
        kept = np.mean(
            [sum(k for k, _ in e.values()) / sum(w for _, w in e.values()) for e in layers]
        )
        empty = sorted({str(n) for result in found for n in result.get("empty_layers") or []})
        cost = [
            number(r.get("scoring_seconds")) / number(r.get("train_seconds"))
            for r in found
            if number(r.get("train_seconds")) > 0
        ]
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "runs": len(found),
                "density": percent(kept),
                "least": f"{name} ({percent(least[name])})",
                "most": percent(max(max(each.values()) for each in shares)),
                "empty": ", ".join(empty) or "none",
                "collapsed": sum(r.get("status") == "collapsed" for r in found),
                "cost": percent(np.mean(cost)) if cost else "–",
            }
        )
    return table


def _layers(result: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """(kept, all) weights by layer as recorded; empty unless every entry makes sense."""
    layers = result.get("layer_weights")
    if not isinstance(layers, dict):
        return {}
    found = {
        str(name): (number(pair[0]), number(pair[1]))
        for name, pair in layers.items()
        if isinstance(pair, list) and len(pair) == 2
    }
    sensible = all(0 <= kept <= whole and whole > 0 for kept, whole in found.values())
    return found if sensible and len(found) == len(layers) else {}


def runs_table(
    records: Records, found: list[Section], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    rows = records.tested[records.tested["test_task"] == records.tested["task"]]
    ruled = by_rule(rows)
    ruled = ruled[ruled["rule"] == main_rule(records.rows)]
    # One run each, so this is its own accuracy and interval.
    table = aggregate(ruled, ["run_id", "test_difficulty"]).set_index(["run_id", "test_difficulty"])
    accuracy = table["mean"].to_dict()
    by_name = {s.name: s for s in found}
    measured = rows[rows["accuracy"].notna()].groupby("run_id")["test_difficulty"].max()
    out, seen = [], set()
    for _, row in rows.drop_duplicates("run_id").iterrows():
        run = records.runs.get(row["run_id"], Run(row["run_id"]))
        section = by_name[row["section"]]
        hardest = measured.get(row["run_id"], np.nan)
        seen.add(row["run_id"])
        status = run.status if run.result else row["status"]
        out.append(
            {
                "id": row["run_id"],
                "task": row["section"],
                "series": row["series"],
                "index": styles[row["series"]].index,
                "seed": row["seed"],
                "preset": row["preset"],
                "train_difficulty": np.nan if section.only else row["train_difficulty"],
                "trained_on": _trained_on(section, row),
                "samples": row["train_samples"],
                "parameters": row["parameters"],
                "trained": accuracy.get((row["run_id"], row["train_difficulty"]), np.nan),
                "hardest": accuracy.get((row["run_id"], hardest), np.nan),
                "seconds": row["train_seconds"],
                "status": status,
                "reason": str(run.result.get("reason") or ""),
                "network": "" if row["network"] == row["run_id"] else row["network"],
                "command": str(run.result.get("command") or ""),
            }
        )
    out += [_bare_run(run) for run_id, run in records.runs.items() if run_id not in seen]
    for row in out:
        row["words"] = {
            "seed": _plain(row["seed"]),
            "train_difficulty": row["trained_on"],
            "samples": count(row["samples"]),
            "parameters": count(row["parameters"]),
            "trained": percent(row["trained"]),
            "hardest": percent(row["hardest"]),
            "seconds": count(row["seconds"]),
        }
    return out


def _trained_on(section: Section, row: pd.Series) -> str:
    """`size 9`; nothing where the task has no degrees of difficulty."""
    value = row["train_difficulty"]
    return "–" if section.only or not np.isfinite(value) else section.place(value)


def _plain(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else "–"


def _bare_run(run: Run) -> dict[str, Any]:
    """A run without a row of results: what its spec says."""
    spec, result = run.spec, run.result
    return {
        "id": run.run_id,
        "task": str(spec.get("task", "unknown")),
        "series": str(spec.get("paradigm", "unknown")),
        "index": -1,
        "seed": number(spec.get("seed")),
        "preset": str(spec.get("preset", "")),
        "train_difficulty": number(spec.get("train_difficulty")),
        "trained_on": "–",
        "samples": number(spec.get("train_samples")),
        "parameters": number(result.get("parameters")),
        "trained": np.nan,
        "hardest": np.nan,
        "seconds": number(result.get("train_seconds")),
        "status": run.status,
        "reason": str(result.get("reason") or ""),
        "network": "",
        "command": str(result.get("command") or ""),
    }
