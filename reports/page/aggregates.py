"""Aggregates over the difficulties of a section, of networks with several seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from foundations.aggregates import (
    Scores,
    bootstrapped,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from reports.figures.figure_model import SOLVED, Figure, Line, Panel, percent_axis
from reports.figures.styles import Style
from reports.read.formats import plural, points, span
from reports.read.sections import Section

LEAST_SEEDS = 3  # of fewer, an interval over seeds says nothing
THRESHOLDS = np.linspace(0, 0.99, 34)


def scores_of(section: Section) -> dict[str, Scores]:
    """By series, accuracy by run and difficulty under the page's rule, where at least `LEAST_SEEDS`
    runs were tested on every difficulty."""
    answers = section.answers
    own = set(section.main["run_id"])
    ruled = answers[(answers["rule"] == section.rule) & answers["run_id"].isin(own)]
    found = {}
    for series, rows in ruled.groupby("series", sort=False):
        table = pd.DataFrame(
            rows.pivot_table(index="run_id", columns="test_difficulty", values="accuracy")
        )
        table = table.reindex(columns=section.difficulties).dropna()
        if len(table) >= LEAST_SEEDS:
            found[str(series)] = table.to_numpy(float)
    return found


def aggregates_table(
    section: Section, scores: dict[str, Scores], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """By series the interquartile mean and, against the other family's best by it, the probability
    of improvement; nothing where fewer than two networks have seeds enough. scores: of
    `scores_of`."""
    if len(scores) < 2:
        return []
    means = {series: float(interquartile_mean(each)) for series, each in scores.items()}
    ranked = sorted(means, key=lambda series: -means[series])
    rows = []
    for series, mine in scores.items():
        kind = section.recurrent.get(series)
        others = [s for s in ranked if s != series and section.recurrent.get(s) != kind]
        low, high = bootstrapped(interquartile_mean, mine)
        row = {
            "series": series,
            "index": styles[series].index,
            "runs": len(mine),
            "mean": points(means[series]),
            "value": means[series],
            "span": span(low, high),
            "over": "",
        }
        if others:
            theirs = scores[others[0]]
            ends = bootstrapped(probability_of_improvement, mine, theirs)
            chance = probability_of_improvement(mine, theirs)
            row |= {"over": others[0], "chance": f"{chance:.2f}", "chance_value": float(chance)}
            row |= {"chance_span": f"{ends[0]:.2f} to {ends[1]:.2f}"}
        rows.append(row)
    return rows


def profiles(section: Section, scores: dict[str, Scores], key: str) -> Figure | None:
    """Which share of runs and difficulties is solved to more than each share of problems; none
    where fewer than two networks have seeds enough. scores: of `scores_of`."""
    if len(scores) < 2:
        return None
    lines = []
    for series, mine in scores.items():
        low, high = bootstrapped(lambda drawn: performance_profile(drawn, THRESHOLDS), mine)
        curve = performance_profile(mine, THRESHOLDS).tolist()
        seeds = [len(mine)] * len(curve)
        at = THRESHOLDS.tolist()
        lines.append(Line(series, at, curve, "line", low.tolist(), high.tolist(), seeds))
    places = plural(len(section.difficulties), section.difficulty_name)
    share = percent_axis("runs and difficulties above (%)")
    return Figure(
        key,
        f"{section.name}: performance profiles over {places}",
        "The share of runs and difficulties with more problems solved than on the horizontal axis;"
        " higher is better. Bands: 95\N{NO-BREAK SPACE}%, stratified bootstrap over seeds.",
        [Panel("", SOLVED, share, lines)],
    )
