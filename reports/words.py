"""The answer in words, made from the numbers and never going beyond them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd

from reports.summary import RULES, Section, count, percent, plural, seeds_text, span

_LEARNT = 0.9  # share of the way from chance to perfect at which a task counts as learnt


def half_way(chance: float) -> float:
    """The accuracy half-way between chance and perfect: what counts as solving a difficulty."""
    return (1 + chance) / 2


def measured(cell: pd.Series) -> str:
    """`83.2 % (95 % interval 76.1–88.0; 1 seed; 1,000 problems each)`."""
    return f"{percent(cell['mean'])} ({basis(cell)})"


def basis(cell: pd.Series) -> str:
    """`95 % interval 76.1–88.0; 2 seeds: 80.1, 84.0; 1,000 problems each`."""
    seeds = seeds_text(cell)
    problems = f"; {count(cell['n_test'])} problems each" if np.isfinite(cell["n_test"]) else ""
    return f"95\N{NO-BREAK SPACE}% interval {span(cell['low'], cell['high'])}; {seeds}{problems}"


def apart(a: pd.Series, b: pd.Series) -> bool:
    """Whether the intervals do not overlap, a stricter test than that of their difference."""
    return bool(a["low"] > b["high"] or b["low"] > a["high"])


def reach(section: Section, series: str, rule: str = "") -> float | None:
    """The hardest difficulty up to which the series solves every one tested from its training on.

    Solving means at least half-way between chance and perfect. None if it does not solve the easiest.
    """
    goal = half_way(section.chance)
    table = section.ruled
    table = table[(table["series"] == series) & (table["rule"] == (rule or section.rule))]
    trained = section.main.loc[section.main["series"] == series, "train_difficulty"].max()
    if np.isfinite(trained) and (table["test_difficulty"] >= trained).any():
        table = table[table["test_difficulty"] >= trained]
    furthest = None
    for _, cell in table.sort_values("test_difficulty").iterrows():
        if cell["mean"] < goal:
            break
        furthest = float(cell["test_difficulty"])
    return furthest


def _rule_of(section: Section, series: str, rule: str) -> str:
    """The rule, or the page's for a series that has no answer by it: networks that end have one answer."""
    table = section.ruled
    has = ((table["series"] == series) & (table["rule"] == rule)).any()
    return rule if has else section.rule


def _furthest(section: Section, among: list[str], rule: str = "") -> pd.Series | None:
    """The cell of the series that reaches furthest, ties broken by accuracy there; None if none does."""
    found = []
    for series in among:
        mine = _rule_of(section, series, rule)
        place = reach(section, series, mine)
        cell = None if place is None else section.cell(series, place, mine)
        if cell is not None:
            found.append((place, cell["mean"], cell))
    return max(found, key=lambda f: f[:2])[2] if found else None


def _best_at(section: Section, among: list[str], difficulty: float) -> pd.Series | None:
    cells = [c for s in among if (c := section.cell(s, difficulty)) is not None]
    return max(cells, key=lambda c: c["mean"], default=None)


def verdict(section: Section) -> list[str]:
    """What this task's records say, the main thing first; plain text."""
    if section.best.empty:
        return ["No accuracy was recorded."]
    parts: list[Callable[[Section], list[str]]] = [
        _say_extrapolation,
        _say_recurrence,
        _say_other_rules,
        _say_order_of_rules,
        _say_samples,
        _say_parameters,
        _say_doubts,
    ]
    return [sentence for part in parts for sentence in part(section)]


def _trained_on(section: Section) -> str:
    where = section.train_difficulties
    if not where or section.only:
        return f"Trained on {section.task}, " if section.elsewhere else ""
    names = ", ".join(section.labels.get(d, f"{d:g}") for d in where)
    return f"Trained on {section.difficulty_name} {names}, "


def _harder(section: Section) -> list[float]:
    base = max(section.train_difficulties, default=-np.inf)
    return [d for d in section.difficulties if d > base]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _say_extrapolation(section: Section) -> list[str]:
    goal = percent(half_way(section.chance))
    top = _furthest(section, section.series)
    if top is None:
        order = section.best.sort_values("test_difficulty", kind="stable")
        best = order.sort_values("mean", ascending=False, kind="stable").iloc[0]
        easiest = "" if section.only else " from the easiest difficulty tested on"
        at = "" if section.only else f", at {section.place(best['test_difficulty'])}"
        text = (
            f"{_trained_on(section)}no paradigm solves {goal} of the problems{easiest}; the highest "
            f"accuracy is {best['series']}'s, {measured(best)}{at}."
        )
        return [_capital(text)]
    place = float(top["test_difficulty"])
    if section.only:
        return [
            "The task has no degrees of difficulty, so nothing can be said about extrapolation. "
            f"Highest: {top['series']}, {measured(top)}."
        ]
    if not _harder(section):
        text = (
            f"nothing harder was tested, so nothing can be said about extrapolation. "
            f"Highest at {section.place(place)}: {top['series']}, {measured(top)}."
        )
        return [_trained_on(section) + text if section.train_difficulties else _capital(text)]
    hardest = place == max(section.difficulties)
    text = (
        f"{top['series']} {'gets farthest: it ' if len(section.series) > 1 else ''}solves {percent(top['mean'])} at {section.place(place)}"
        f"{', the hardest tested' if hardest else ''} ({basis(top)})."
    )
    if not hardest:
        onward = min(d for d in section.difficulties if d > place)
        after = section.cell(top["series"], onward)
        if after is not None:
            text += f" At {section.place(onward)} it solves {percent(after['mean'])}."
    out = [_trained_on(section) + text]
    rivals = [s for s in section.series if s != top["series"]]
    rival = _best_at(section, rivals, place)
    if rival is not None:
        close = "" if apart(top, rival) else ", and the intervals overlap: not told apart"
        out.append(f"Next at {section.place(place)}: {rival['series']}, {measured(rival)}{close}.")
    return out


def _say_recurrence(section: Section) -> list[str]:
    """The question itself, at the trained difficulty and at the one where the best gets to."""
    groups = {
        kind: [s for s in section.series if section.recurrent.get(s) is kind]
        for kind in (True, False)
    }
    if not (groups[True] and groups[False]):
        return ["Only one of recurrence and feed-forward depth was run, so they are not compared."]
    top = _furthest(section, section.series)
    far = None if top is None else float(top["test_difficulty"])
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    out = []
    for place in dict.fromkeys([*trained, *([far] if far is not None else [])]):
        a, b = (_best_at(section, groups[kind], place) for kind in (True, False))
        if a is None or b is None:
            continue
        better, worse = (a, b) if a["mean"] >= b["mean"] else (b, a)
        kind = "recurrence" if better is a else "feed-forward depth"
        numbers = (
            f"{better['series']} {percent(better['mean'])}, {worse['series']} "
            f"{percent(worse['mean'])}"
        )
        where = section.place(place) + (", as in training" if [place] == trained else "")
        if apart(a, b):
            out.append(f"At {where}, {kind} does better: {numbers}.")
        else:
            out.append(
                f"At {where}, recurrence and feed-forward depth are not told apart: {numbers}; "
                "the intervals overlap."
            )
    return out


def _say_other_rules(section: Section) -> list[str]:
    top = _furthest(section, section.series)
    if top is None or not _harder(section):
        return []
    others: dict[str, list[str]] = {}
    for rule in section.ruled["rule"].unique():
        other = _furthest(section, section.series, str(rule))
        if other is not None and other["series"] != top["series"]:
            others.setdefault(
                f"{other['series']} ({percent(other['mean'])} at "
                f"{section.place(other['test_difficulty'])})",
                [],
            ).append(RULES.get(str(rule), str(rule)))
    return [
        f"The rule matters: by {' and by '.join(rules)}, {who} gets farthest."
        for who, rules in others.items()
    ]


#: Schwarzschild et al. 2021, on mazes larger than those trained on: each at least as good as the next.
_ORDER = ("maximum_confidence", "agreement", "trained")
_SHORT = {
    "maximum_confidence": "maximum confidence",
    "agreement": "agreement",
    "trained": "the iterations of training",
}


def _say_order_of_rules(section: Section) -> list[str]:
    """Whether the published order of exit rules holds beyond the trained difficulty, for the network that gets
    farthest of those that could go on."""
    going = [s for s in section.series if section.recurrent.get(s)]
    top = _furthest(section, going)
    if top is None or top["test_difficulty"] not in _harder(section):
        return []
    place = float(top["test_difficulty"])
    cells = [section.cell(top["series"], place, rule) for rule in _ORDER]
    if any(cell is None for cell in cells):
        return []
    pairs = list(pairwise(cells))
    if all(first["mean"] >= second["mean"] for first, second in pairs):
        said = "the published order of exit rules holds"
    elif any(first["high"] < second["low"] for first, second in pairs):
        said = "the published order of exit rules does not hold"
    else:
        said = "the published order of exit rules is not seen, though the intervals overlap"
    rules = ", ".join(
        f"{_SHORT[rule]} {percent(cell['mean'])} ({span(cell['low'], cell['high'])})"
        for rule, cell in zip(_ORDER, cells, strict=True)
    )
    return [f"At {section.place(place)}, {said} for {top['series']}: {rules}."]


def _learnt_at(section: Section) -> float | None:
    trained = [d for d in section.train_difficulties if d in section.labels]
    return trained[-1] if trained else (section.difficulties or [None])[0]


def _goal(section: Section) -> float:
    return section.chance + _LEARNT * (1 - section.chance)


def _say_samples(section: Section) -> list[str]:
    from reports.summary import aggregate, by_rule

    sizes = sorted(section.rows["train_samples"].dropna().unique())
    place = _learnt_at(section)
    if len(sizes) < 2 or place is None:
        return ["One training-set size only, so sample efficiency is not compared."]
    goal = _goal(section)
    ruled = by_rule(section.rows)
    ruled = ruled[ruled["test_difficulty"] == place]
    both = aggregate(ruled, ["rule", "series", "train_samples"])
    table = both[both["rule"] == section.rule]
    passed = table[table["mean"] >= goal].groupby("series")["train_samples"].min()
    where = section.place(place)
    if passed.empty:
        return [f"No paradigm reaches {percent(goal)} at {where} with any training-set size run."]
    fewest = passed.min()
    who = ", ".join(passed[passed == fewest].index)
    least = " (the smallest size run)" if fewest == sizes[0] else ""
    text = (
        f"Of the sizes run, {count(fewest)} training samples{least} are the fewest that "
        f"reach {percent(goal)} at {where}: {who}."
    )
    rest = passed[passed > fewest].sort_values()
    if len(rest):
        text += " Then " + ", ".join(f"{s} with {count(n)}" for s, n in rest.items()) + "."
    never = [s for s in table["series"].unique() if s not in passed.index]
    if never:
        text += f" Not reached by {', '.join(never)}."
    stopped = both[(both["rule"] == "trained") & (both["mean"] >= goal)]
    stopped = stopped[stopped["series"].isin(never)].groupby("series")["train_samples"].min()
    if len(stopped):
        who = ", ".join(f"{s} (with {count(n)})" for s, n in stopped.items())
        text += f" Stopped after as many iterations as in training, {who} would."
    return [text]


def _say_parameters(section: Section) -> list[str]:
    place = _learnt_at(section)
    if place is None:
        return []
    goal = _goal(section)
    table = section.best
    table = table[(table["test_difficulty"] == place) & (table["mean"] >= goal)]
    table = table[table["parameters"].notna()].sort_values("parameters")
    if table.empty or section.best["series"].nunique() < 2:
        return []
    least = table.iloc[0]
    return [
        f"Fewest parameters among those that reach {percent(goal)} at {section.place(place)}: "
        f"{least['series']}, {count(least['parameters'])} ({percent(least['mean'])})."
    ]


def _say_doubts(section: Section) -> list[str]:
    out = []
    seeds = section.main.dropna(subset="accuracy").groupby("series")["run_id"].nunique()
    if (seeds == 1).all():
        out.append(
            "One seed each: the intervals cover the choice of test problems, not how training may end "
            "with another seed."
        )
    elif (seeds < 3).any():
        few = ", ".join(seeds[seeds < 3].index)
        out.append(f"Fewer than three seeds, so little is known about other seeds: {few}.")
    lost = section.rows[section.rows["status"] != "complete"]
    for (series, status), group in lost.groupby(["series", "status"]):
        n = group["run_id"].nunique()
        kept = "" if group["accuracy"].notna().any() else ", in no mean"
        out.append(f"{series}: {plural(n, 'run')} ended as {status}{kept}.")
    return out
