"""The axes on which networks are compared: one definition each.

All take accuracies as shares in 0..1 and say nothing about how they came about; studies and reports
choose the rows. Sample efficiency as in Lüddecke and Ecker's curves, parameter efficiency as the
Pareto front of their Table 2, extrapolation as in Schwarzschild et al. 2021 and Bansal et al. 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from foundations.statistics import mean_intervals, wilson_interval

CONVERGED = 0.99  # accuracy at the trained difficulty; Bansal et al. 2022 average such runs only
SOLVED = 0.9  # accuracy at which a difficulty counts as solved


def samples_to_reach(curve: Mapping[float, float], target: float) -> float | None:
    """Training samples at which accuracy first reaches a target, interpolated on a log axis of
    samples.

    curve: accuracy by number of training samples. None where no number of them reaches it.
    """
    before: tuple[float, float] | None = None
    for samples in sorted(curve):
        here = curve[samples]
        if here >= target:
            if before is None or here == before[1]:
                return float(samples)
            way = (target - before[1]) / (here - before[1])
            return float(math.exp(math.log(before[0]) * (1 - way) + math.log(samples) * way))
        before = (samples, here)
    return None


def area_under(curve: Mapping[float, float]) -> float | None:
    """Mean accuracy over a log axis of training samples (trapezoids); None for fewer than two
    numbers of them."""
    if len(curve) < 2:
        return None
    samples = sorted(curve)
    place = np.log(samples)
    return float(np.trapezoid([curve[s] for s in samples], place) / (place[-1] - place[0]))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, accuracy) points nobody beats: none is cheaper at least as accurately, or more
    accurate at the same price. Places in `points`, cheapest first."""
    front: list[int] = []
    best = -math.inf
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front


def furthest_solved(
    accuracy: Mapping[float, float], trained: float, share: float = SOLVED
) -> float | None:
    """The largest difficulty up to which all tested ones, from the trained on, are solved to
    `share`; None if the first of them is not."""
    reached = None
    for difficulty in sorted(d for d in accuracy if d >= trained):
        if accuracy[difficulty] < share:
            break
        reached = float(difficulty)
    return reached


def peak(by_iterations: Mapping[int, float]) -> tuple[int, float]:
    """(iterations, accuracy) of the best point of a test curve: a peak chosen on test data, to be
    labelled so."""
    best = max(by_iterations, key=lambda i: (by_iterations[i], -i))
    return best, by_iterations[best]


def converged_share(at_trained: Sequence[float]) -> tuple[int, float, float]:
    """How many runs have an accuracy of at least CONVERGED at the trained difficulty, and Wilson's
    95 % interval of their share. ValueError for no runs."""
    converged = sum(a >= CONVERGED for a in at_trained)
    return converged, *wilson_interval(converged, len(at_trained))


def aggregate(rows: pd.DataFrame, by: Sequence[str], each: bool = False) -> pd.DataFrame:
    """Mean accuracy over seeds with a 95 % interval, one row per group.

    `rows` must hold one row per run and group. Adds mean, low, high, seeds, n_test (problems per
    run), element, and means of the numeric columns that figures use. The interval adds the
    variances of seeds and of problems (`statistics.mean_interval`): seeds share their test
    problems, so more seeds do not shrink that part. With one seed it is the recorded one, else
    Wilson's, and says nothing about other seeds. each: also the seeds' own accuracies, sorted, as
    lists.
    """
    rows = rows[rows["accuracy"].notna()]
    grouped = rows.groupby(list(by), sort=True)
    table = grouped.agg(
        mean=("accuracy", "mean"),
        spread=("accuracy", "std"),
        seeds=("run_id", "nunique"),
        n_test=("n_test", "min"),
        element=("element_accuracy", "mean"),
        ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"),
        parameters=("parameters", "mean"),
        active=("active_parameters", "mean"),
        flops=("flops_per_example", "mean"),
        train_flops=("train_flops", "mean"),
        train_seconds=("train_seconds", "mean"),
        exit_mean=("exit_iterations_mean", "mean"),
    ).reset_index()
    if each:
        table["each"] = [] if table.empty else list(grouped["accuracy"].agg(sorted))
    mean, seeds = table["mean"].to_numpy(), table["seeds"].to_numpy()
    low, high = mean_intervals(mean, table["spread"].to_numpy(), seeds, table["n_test"].to_numpy())
    recorded = seeds == 1
    recorded &= ((table["ci_low"] <= mean + 1e-9) & (table["ci_high"] >= mean - 1e-9)).to_numpy()
    table["low"] = np.where(recorded, np.clip(table["ci_low"], 0, 1), low)
    table["high"] = np.where(recorded, np.clip(table["ci_high"], 0, 1), high)
    return table.drop(columns=["spread", "ci_low", "ci_high"])
