"""Stopping by itself: when networks answer, and what that saves over a fixed number of
iterations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from reports.figures.drawing import Style, flops
from reports.figures.figure_model import Axis, Figure, Line, Panel, log_axis
from reports.read.load import Run, number
from reports.read.summary import Section, count, plural, points

#: The rule whose distribution is drawn: the published one.
SHOWN_RULE = "agreement"
_NAMES = {
    "validated": "fixed on validation problems",
    "n_plus_2": "two more than in training",
    "agreement": "agreement",
    "convergence": "convergence of the state",
}
_COSTS = (
    "n_test", "accuracy", "iterations_mean", "seconds_per_example", "flops_per_example",
    "test_difficulty",
)  # fmt: skip


def _owners(section: Section) -> list[tuple[str, str]]:
    one = section.main.drop_duplicates("run_id")
    return list(zip(one["series"], one["run_id"], strict=True))


def _entries(section: Section, runs: dict[str, Run], name: str) -> list[dict[str, Any]]:
    """What the runs of a section stored under a name about the task it tests; odd entries are left
    out."""
    tested = set(section.main["test_task"])
    found = []
    for series, run_id in _owners(section):
        for entry in runs[run_id].stored(name) if run_id in runs else []:
            if entry.get("test_task") in tested:
                found.append({**entry, "series": series, "run_id": run_id})
    return found


def stopping_table(
    section: Section, runs: dict[str, Run], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """A group per network, a row per rule: what answering costs when answered problems leave the
    batch."""
    entries = _entries(section, runs, "stopping")
    if not entries:
        return []
    table = pd.DataFrame(
        [
            {
                "series": entry["series"],
                "rule": str(entry.get("exit_rule")),
                **{key: number(entry.get(key)) for key in _COSTS},
            }
            for entry in entries
        ]
    )
    table = table[np.isfinite(table[list(_COSTS)]).all(axis=1)]
    means = table.groupby(["series", "test_difficulty", "rule"], sort=False).mean()
    groups = []
    for series in section.series:
        rows = []
        for rule, words in _NAMES.items():
            cells = [_cell(means, series, d, rule) for d in section.difficulties]
            if any(cells):
                rows.append({"rule": words, "cells": cells})
        if rows:
            groups.append({"series": series, "index": styles[series].index, "rows": rows})
    return groups


def _cell(means: pd.DataFrame, series: str, difficulty: float, rule: str) -> dict[str, str] | None:
    if (series, difficulty, rule) not in means.index:
        return None
    mine = means.loc[(series, difficulty, rule)]
    saved = ""
    if rule != "validated" and (series, difficulty, "validated") in means.index:
        fixed = means.loc[(series, difficulty, "validated")]
        if mine["seconds_per_example"] > 0:
            saved = f"{fixed['seconds_per_example'] / mine['seconds_per_example']:.2g}×"
    return {
        "accuracy": points(mine["accuracy"]),
        "iterations": f"{mine['iterations_mean']:.3g}",
        "milliseconds": f"{1000 * mine['seconds_per_example']:.3g}",
        "flops": flops(mine["flops_per_example"]),
        "saved": saved,
        "basis": f"{count(mine['n_test'])} problems",
    }


def _told(right: pd.Series, chance: float, last: float) -> dict[str, float]:
    """How many of the answers under the rule are right, and the last iteration at which one was
    given."""
    return {"accuracy": right["mean"], "low": right["low"], "chance": chance, "last": last}


def exits_figure(section: Section, runs: dict[str, Run], key: str) -> Figure | None:
    """Share of problems answered by each iteration under the agreement rule, a panel per
    difficulty."""
    counted: dict[tuple[float, str], dict[float, float]] = {}
    for entry in _entries(section, runs, "exits"):
        at, problems = entry.get("iterations"), entry.get("problems")
        difficulty = number(entry.get("test_difficulty"))
        if entry.get("exit_rule") != SHOWN_RULE or not isinstance(at, list):
            continue
        if not isinstance(problems, list) or len(at) != len(problems):
            continue
        held = counted.setdefault((difficulty, entry["series"]), {})
        for step, several in zip(map(number, at), map(number, problems), strict=True):
            if step >= 1 and several >= 0:
                held[step] = held.get(step, 0.0) + several
    if not counted:
        return None
    steps = [step for held in counted.values() for step in held]
    last, log = max(steps), log_axis(steps, 8)
    panels = []
    for difficulty in section.difficulties:
        lines = []
        for series in section.series:
            held = counted.get((difficulty, series))
            if held:
                at = sorted(held)
                share = np.cumsum([held[step] for step in at]) / sum(held.values())
                right = section.cell(series, difficulty, SHOWN_RULE)
                lines.append(
                    Line(
                        series,
                        at,
                        share.tolist(),
                        tests=[sum(held.values())] * len(at),
                        told=None if right is None else _told(right, section.chance, last),
                    )
                )
        if lines:
            panels.append(
                Panel(
                    section.panel(difficulty),
                    Axis("iterations", whole=True, log=log, low=1.0, high=last),
                    Axis("problems answered (%)", percent=True, low=0.0, high=1.0),
                    lines,
                )
            )
    if not panels:
        return None
    names = {series for _, series in counted}
    return Figure(
        key,
        f"Share of {section.name} problems answered by each iteration under the rule of agreement",
        "A network answers when its answer repeats the one before it; what does not repeat is"
        " answered at the last iteration. All problems and seeds of"
        f" {plural(len(names), 'network')} together.",
        panels[:6],
    )
