"""Who needs least: training samples and parameters of the networks that learn the trained
difficulty.

Reaching an accuracy means that the whole 95 % interval does; missing it, that none of it does. The
rest is open, and is said to be.
"""

from __future__ import annotations

import pandas as pd

from foundations.measures import aggregate
from reports.read.standing import listed
from reports.read.summary import Section, by_rule, count, percent, remaining

_LEARNT = 0.9  # share of the way from chance to perfect at which a task counts as learnt


def _goal(section: Section) -> float:
    return section.chance + _LEARNT * (1 - section.chance)


def _reaching(cells: pd.DataFrame, goal: float) -> pd.DataFrame:
    return cells[cells["low"] >= goal]


def _open(cells: pd.DataFrame, goal: float) -> pd.DataFrame:
    return cells[(cells["low"] < goal) & (cells["high"] >= goal)]


def say_samples(section: Section) -> list[str]:
    """The smallest training sets that are enough, of those run."""
    sizes = section.rows.groupby("series")["train_samples"].nunique()
    place = section.home
    if place is None or not (sizes > 1).any():
        return [
            "No network was trained with two training-set sizes, so sample efficiency is not"
            " compared."
        ]
    goal, where = _goal(section), section.place(place)
    ruled = by_rule(section.rows)
    ruled = ruled[ruled["test_difficulty"] == place]
    both = aggregate(ruled, ["rule", "series", "train_samples"])
    table = both[both["rule"] == section.rule]
    if table.empty:
        return []
    passed = _reaching(table, goal).groupby("series")["train_samples"].min()
    unsure = _open(table, goal).groupby("series")["train_samples"].min()
    unsure = unsure[unsure < passed.reindex(unsure.index).fillna(float("inf"))]
    smallest = table.groupby("series")["train_samples"].min()
    text = _fewest(passed, smallest, goal, where)
    never = [s for s in table["series"].unique() if s not in {*passed.index, *unsure.index}]
    if len(unsure):
        names = listed([f"{s} with {count(n)}" for s, n in unsure.items()], 9)
        text += f" Open, as the interval holds {percent(goal)}: {names}."
    if never and len(passed):
        text += f" Not reached by {', '.join(never)}."
    return [text + _stopped(both, never, goal)]


def _fewest(passed: pd.Series, smallest: pd.Series, goal: float, where: str) -> str:
    if passed.empty:
        return (
            f"No network is shown to reach {percent(goal)} at {where} with any training-set size"
            " run."
        )
    fewest = passed.min()
    least = " (the smallest size run)" if fewest == smallest.min() else ""
    who = ", ".join(passed[passed == fewest].index)
    text = (
        f"Of the sizes run, {count(fewest)} training samples{least} are the fewest with which "
        f"the whole interval reaches {percent(goal)} at {where}: {who}."
    )
    rest = passed[passed > fewest].sort_values()
    if len(rest):
        only = {s: " (run with no fewer)" if n == smallest[s] else "" for s, n in rest.items()}
        text += " Then " + ", ".join(f"{s} with {count(n)}{only[s]}" for s, n in rest.items()) + "."
    return text


def _stopped(both: pd.DataFrame, never: list[str], goal: float) -> str:
    """Those that would have reached it stopped after as many iterations as in training."""
    stopped = _reaching(both[both["rule"] == "trained"], goal)
    stopped = stopped[stopped["series"].isin(never)].groupby("series")["train_samples"].min()
    if stopped.empty:
        return ""
    who = ", ".join(f"{s} (with {count(n)})" for s, n in stopped.items())
    return f" Stopped after as many iterations as in training, {who} would."


def say_parameters(section: Section) -> list[str]:
    """The fewest weights, pruned ones not counted, of the networks that reach the goal."""
    place = section.home
    if place is None or section.best["series"].nunique() < 2:
        return []
    goal = _goal(section)
    cells = section.best[section.best["test_difficulty"] == place]
    cells = cells.assign(left=[round(n) if n == n else n for n in _left(section, cells)])
    cells = cells[cells["left"] > 0]
    passed = _reaching(cells, goal)
    if passed.empty:
        return []
    fewest = passed["left"].min()
    least = passed[passed["left"] == fewest].sort_values("mean", ascending=False, kind="stable")
    pruned = (section.main["active_parameters"] < section.main["parameters"]).any()
    names = listed([f"{c['series']} ({percent(c['mean'])})" for _, c in least.iterrows()])
    text = (
        f"Of the networks whose whole interval reaches {percent(goal)} at {section.place(place)},"
        f" the fewest parameters{' left after pruning' if pruned else ''} are {count(fewest)}:"
        f" {names}."
    )
    unsure = _open(cells[cells["left"] < fewest], goal)
    if len(unsure):
        names = listed([f"{c['series']} with {count(c['left'])}" for _, c in unsure.iterrows()], 9)
        text += f" Open, as the interval holds {percent(goal)}: {names}."
    return [text]


def _left(section: Section, cells: pd.DataFrame) -> list[float]:
    return [remaining(section, series) for series in cells["series"]]
