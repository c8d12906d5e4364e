"""Who needs least: training samples and parameters of the networks that learn the trained
difficulty.

Reaching an accuracy means that the whole 95 % interval does; missing it, that none of it does. The
rest is open, and is said to be.
"""

from __future__ import annotations

import math

from reports.read.formats import count, listed, percent
from reports.read.ranking import NAMED
from reports.read.sections import Accuracy, Section, accuracies


def _undecided(cells: list[tuple[str, float]], goal: float) -> str:
    """What is said of networks whose interval holds the goal."""
    names = listed([f"{series} with {count(n)}" for series, n in cells], 9)
    return f" Undecided, as the interval contains {percent(goal)}: {names}." if cells else ""


def _smallest(cells: list[Accuracy]) -> dict[str, float]:
    """By series the smallest training set of the cells."""
    return {cell.series: cell.at for cell in sorted(cells, key=lambda c: (c.series, -c.at))}


def say_samples(section: Section) -> list[str]:
    """The smallest training sets that are enough, of those run."""
    sizes = section.rows.groupby("series")["train_samples"].nunique()
    place = section.home
    if place is None or not (sizes > 1).any():
        return [
            "No network was trained with two training-set sizes, so sample efficiency is not"
            " compared."
        ]
    goal, where = section.goal, section.place(place)
    here = section.by_samples[section.by_samples["test_difficulty"] == place]
    cells = {str(rule): accuracies(table, "train_samples") for rule, table in here.groupby("rule")}
    measured = cells.get(section.rule, [])
    if not measured:
        return []
    passed = _smallest([c for c in measured if c.low >= goal])
    unsure = _smallest([c for c in measured if c.low < goal <= c.high])
    unsure = {s: n for s, n in unsure.items() if n < passed.get(s, math.inf)}
    text = _fewest(passed, _smallest(measured), goal, where)
    text += _undecided(list(unsure.items()), goal)
    never = [s for s in _smallest(measured) if s not in passed and s not in unsure]
    if never and passed:
        text += f" Not reached by {', '.join(never)}."
    # Those that would have reached it stopped after as many iterations as in training.
    trained = [c for c in cells.get("trained", []) if c.low >= goal and c.series in never]
    stopped = ", ".join(f"{s} (with {count(n)})" for s, n in _smallest(trained).items())
    return [
        text
        + (f" Stopped after as many iterations as in training, {stopped} would." if stopped else "")
    ]


def _fewest(passed: dict[str, float], smallest: dict[str, float], goal: float, where: str) -> str:
    if not passed:
        return (
            f"No network is shown to reach {percent(goal)} at {where} with any training-set size"
            " run."
        )
    fewest = min(passed.values())
    least = " (the smallest size run)" if fewest == min(smallest.values()) else ""
    text = (
        f"Of the sizes run, {count(fewest)} training samples{least} are the fewest with which "
        f"the whole interval reaches {percent(goal)} at {where}:"
        f" {', '.join(s for s, n in passed.items() if n == fewest)}."
    )
    rest = sorted((n, s) for s, n in passed.items() if n > fewest)
    only = {s: " (run with no fewer)" if n == smallest[s] else "" for n, s in rest}
    then = ", ".join(f"{s} with {count(n)}{only[s]}" for n, s in rest)
    return text + (f" Then {then}." if rest else "")


def say_parameters(section: Section) -> list[str]:
    """The fewest weights, pruned ones not counted, of the networks that reach the goal."""
    place = section.home
    if place is None or section.best["series"].nunique() < 2:
        return []
    goal = section.goal
    cells = accuracies(section.best[section.best["test_difficulty"] == place])
    left = {cell.series: section.remaining(cell.series) for cell in cells}
    left = {series: round(n) for series, n in left.items() if n > 0.5}
    passed = [cell for cell in cells if cell.low >= goal and cell.series in left]
    if not passed:
        return []
    fewest = min(left[cell.series] for cell in passed)
    least = sorted((c for c in passed if left[c.series] == fewest), key=lambda c: -c.mean)
    pruned = (section.main["active_parameters"] < section.main["parameters"]).any()
    names = listed([f"{cell.series} ({percent(cell.mean)})" for cell in least], NAMED)
    unsure = [c for c in cells if c.low < goal <= c.high and left.get(c.series, fewest) < fewest]
    return [
        f"Of the networks whose whole interval reaches {percent(goal)} at {section.place(place)},"
        f" the fewest parameters{' left after pruning' if pruned else ''} are {count(fewest)}:"
        f" {names}.{_undecided([(c.series, left[c.series]) for c in unsure], goal)}"
    ]
