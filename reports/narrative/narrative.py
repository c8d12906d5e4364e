"""The answer in words, made from the numbers and never going beyond them.

A network is said to be better than others only where its interval overlaps none of theirs
(`reports.standing`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd

from reports.narrative.efficiency import say_parameters, say_samples
from reports.read.standing import Point, leader, listed, of_cells, standing
from reports.read.summary import RULES, Section, count, percent, plural, seeds_text, span


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


def _measured(point: Point) -> str:
    return measured(point.cell)


def solves(section: Section, cell: pd.Series) -> bool:
    """Whether an accuracy is at least half-way from chance to perfect and its interval leaves
    chance out."""
    return bool(cell["mean"] >= half_way(section.chance) and cell["low"] > section.chance)


def _from_training(section: Section, series: str, rule: str = "") -> pd.DataFrame:
    """The cells of a series from its trained difficulty on, the easiest first; all where none is so
    hard."""
    table = section.ruled
    table = table[(table["series"] == series) & (table["rule"] == (rule or section.rule))]
    trained = section.main.loc[section.main["series"] == series, "train_difficulty"].max()
    if np.isfinite(trained) and (table["test_difficulty"] >= trained).any():
        table = table[table["test_difficulty"] >= trained]
    return table.sort_values("test_difficulty")


def reach(section: Section, series: str, rule: str = "") -> float | None:
    """The hardest difficulty up to which the series solves every one tested from its training on.

    None if it does not solve the easiest.
    """
    furthest = None
    for _, cell in _from_training(section, series, rule).iterrows():
        if not solves(section, cell):
            break
        furthest = float(cell["test_difficulty"])
    return furthest


def _rule_of(section: Section, series: str, rule: str) -> str:
    """The rule, or the page's for a series that has no answer by it: networks that end have one
    answer."""
    table = section.ruled
    has = ((table["series"] == series) & (table["rule"] == rule)).any()
    return rule if has else section.rule


def _reached(section: Section, among: list[str], rule: str = "") -> dict[str, float]:
    """How far each series that solves anything gets."""
    found = {s: reach(section, s, _rule_of(section, s, rule)) for s in among}
    return {s: place for s, place in found.items() if place is not None}


def _points(section: Section, among: list[str], place: float, rule: str = "") -> list[Point]:
    return of_cells(section.cell(s, place, _rule_of(section, s, rule)) for s in among)


def _furthest(section: Section, among: list[str], rule: str = "") -> pd.Series | None:
    """A cell of those that reach furthest, the highest there: a place to speak of, not a winner."""
    reached = _reached(section, among, rule)
    far = max(reached.values(), default=None)
    if far is None:
        return None
    found = _points(section, [s for s in reached if reached[s] == far], far, rule)
    return max(found, key=lambda p: p.mean).cell


def verdict(section: Section) -> list[str]:
    """What this task's records say, the main thing first; plain text."""
    if section.best.empty:
        return ["No accuracy was recorded."]
    parts: list[Callable[[Section], list[str]]] = [
        _say_extrapolation,
        _say_recurrence,
        _say_other_rules,
        _say_order_of_rules,
        say_samples,
        say_parameters,
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


def _at(section: Section, place: float) -> str:
    return f"At {section.place(place)}, "


def _stand(section: Section, place: float) -> str:
    """`At size 9, a solves most, ...; next b, ...`: all networks measured at a place."""
    return f"{_at(section, place)}{standing(_points(section, section.series, place), _measured)}."


def _say_extrapolation(section: Section) -> list[str]:
    reached = _reached(section, section.series)
    far = max(reached.values(), default=None)
    if section.only:
        return [
            "The task has no degrees of difficulty, so nothing can be said about extrapolation.",
            _stand(section, section.difficulties[0]),
        ]
    if far is None:
        return _nothing_solved(section)
    harder = _harder(section)
    if not harder:
        text = "nothing harder was tested, so nothing can be said about extrapolation."
        return [_capital(_trained_on(section) + text), _stand(section, far)]
    if far not in harder:
        return _no_extrapolation(section, far, harder)
    return _extrapolation(section, reached, far)


def _first_cells(section: Section, above: float) -> list[pd.Series]:
    """Of each series the easiest cell harder than `above`, from its training on."""
    found = []
    for series in section.series:
        table = _from_training(section, series)
        table = table[table["test_difficulty"] > above]
        if len(table):
            found.append(table.iloc[0])
    return found


def _unsolved(section: Section, cells: list[pd.Series], adverb: str) -> tuple[str, float]:
    """`none solves at least 50.0 % at size 13`, and the easiest of the places meant."""
    places = sorted({float(c["test_difficulty"]) for c in cells})
    where = (
        f"at {section.place(places[0])}"
        if len(places) == 1
        else f"at the {adverb} {section.difficulty_name} it was tested on"
    )
    goal = half_way(section.chance)
    clear = ""
    if any(c["mean"] >= goal for c in cells):
        clear = f" with an interval that leaves out {'chance' if section.chance > 0 else 'zero'}"
    return f"solves at least {percent(goal)} of the problems {where}{clear}", places[0]


def _nothing_solved(section: Section) -> list[str]:
    text, place = _unsolved(section, _first_cells(section, -np.inf), "easiest")
    return [_capital(f"{_trained_on(section)}no network {text}."), _stand(section, place)]


def _no_extrapolation(section: Section, far: float, harder: list[float]) -> list[str]:
    onward = _first_cells(section, harder[0] - 1e-9)
    if not onward:
        return [_stand(section, far)]
    text, place = _unsolved(section, onward, "next harder")
    if any(solves(section, cell) for cell in onward):
        # Solved by a network that does not solve what it was trained on, which is no extrapolation.
        text = (
            f"solves at least {percent(half_way(section.chance))} of the problems both of the"
            f" easiest and of the next harder {section.difficulty_name} it was tested on"
        )
    return [
        _capital(f"{_trained_on(section)}no network extrapolates: none {text}."),
        _stand(section, place),
        _stand(section, far),
    ]


def _extrapolation(section: Section, reached: dict[str, float], far: float) -> list[str]:
    """Who solves the hardest difficulty that anyone does."""
    points = _points(section, section.series, far)
    top = leader(points)
    hardest = ", the hardest tested" if far == max(section.difficulties) else ""
    where = f"{section.place(far)}{hardest}"
    alone = len(points) == 1 and len(section.series) > 1
    if top is None or [s for s in reached if reached[s] == far] != [top.name]:
        text = f"problems are solved up to {where}: {standing(points, _measured)}"
        missing = ", the only network tested there" if alone else ""
        return [_capital(f"{_trained_on(section)}{text}{missing}.")]
    text = (
        f"{top.name} gets farthest: it solves {percent(top.mean)} at {where} ({basis(top.cell)})."
    )
    onward = min((d for d in section.difficulties if d > far), default=None)
    after = None if onward is None else section.cell(top.name, onward)
    if after is not None:
        text += f" At {section.place(onward)} it solves {percent(after['mean'])}."
    rival = max((p for p in points if p.name != top.name), key=lambda p: p.mean)
    return [
        _trained_on(section) + text,
        f"Next at {section.place(far)}: {rival.name}, {_measured(rival)}.",
    ]


def _kinds(section: Section) -> dict[bool, list[str]]:
    return {
        kind: [s for s in section.series if section.recurrent.get(s) is kind]
        for kind in (True, False)
    }


def _say_recurrence(section: Section) -> list[str]:
    """The question itself, at the trained difficulty and at the hardest one that anyone solves."""
    groups = _kinds(section)
    if not (groups[True] and groups[False]):
        unknown = [s for s in section.series if section.recurrent.get(s) is None]
        if unknown:
            names = listed(unknown)
            return [
                "Recurrence and feed-forward depth are not compared: the records do not tell "
                f"which of them {names} {'is' if len(unknown) == 1 else 'are'}."
            ]
        return ["Only one of recurrence and feed-forward depth was run, so they are not compared."]
    top = _furthest(section, section.series)
    far = [] if top is None else [float(top["test_difficulty"])]
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    said = [_compared(section, groups, p, [p] == trained) for p in dict.fromkeys(trained + far)]
    return [sentence for sentence in said if sentence]


def _compared(section: Section, groups: dict[bool, list[str]], place: float, trained: bool) -> str:
    sides = {kind: _points(section, groups[kind], place) for kind in (True, False)}
    if not (sides[True] and sides[False]):
        return ""
    best = {kind: max(sides[kind], key=lambda p: p.mean) for kind in sides}
    kind = best[True].mean >= best[False].mean
    better, worse = best[kind], best[not kind]
    numbers = f"{better.name} {percent(better.mean)}, {worse.name} {percent(worse.mean)}"
    where = _at(section, place) + ("as in training, " if trained else "")
    if section.chance > 0 and better.low <= section.chance:
        return (
            f"{where}neither recurrence nor feed-forward depth is clear of chance "
            f"({percent(section.chance)}): {numbers}."
        )
    if better.low > max(p.high for p in sides[not kind]):
        name = "recurrence" if kind else "feed-forward depth"
        return f"{where}{name} does better: {numbers}."
    return (
        f"{where}recurrence and feed-forward depth are not separated: {numbers}; the intervals "
        "overlap."
    )


def _say_other_rules(section: Section) -> list[str]:
    """Where another exit rule has another network get farthest, each of them separated from the
    rest."""
    if not _harder(section):
        return []
    mine = _champion(section, section.rule)
    others: dict[str, list[str]] = {}
    for rule in section.ruled["rule"].unique():
        other = _champion(section, str(rule))
        if mine is None or other is None or other[0].name == mine[0].name:
            continue
        who, place = other
        words = f"{who.name} gets farthest ({percent(who.mean)} at {section.place(place)})"
        others.setdefault(words, []).append(RULES.get(str(rule), str(rule)))
    return [
        f"The exit rule matters: by {' and by '.join(rules)}, {words}."
        for words, rules in others.items()
    ]


def _champion(section: Section, rule: str) -> tuple[Point, float] | None:
    """(who alone gets farthest by a rule, where), if separated from every other there."""
    reached = _reached(section, section.series, rule)
    far = max(reached.values(), default=None)
    if far is None or far not in _harder(section):
        return None
    top = leader(_points(section, section.series, far, rule))
    return (top, far) if top and [s for s in reached if reached[s] == far] == [top.name] else None


#: Schwarzschild et al. 2021, on mazes larger than those trained on: each at least as good as the
#: next.
_ORDER = ("maximum_confidence", "agreement", "trained")
_SHORT = {
    "maximum_confidence": "maximum confidence",
    "agreement": "agreement",
    "trained": "the iterations of training",
}


def _say_order_of_rules(section: Section) -> list[str]:
    """Whether the published order of exit rules holds beyond the trained difficulty, for the
    network that gets farthest of those that could go on."""
    going = [s for s in section.series if section.recurrent.get(s)]
    top = _furthest(section, going)
    if top is None or top["test_difficulty"] not in _harder(section):
        return []
    place = float(top["test_difficulty"])
    cells = [section.cell(top["series"], place, rule) for rule in _ORDER]
    if any(cell is None for cell in cells):
        return []
    pairs = list(pairwise(cells))
    if all(first["low"] > second["high"] for first, second in pairs):
        said = "the published order of exit rules holds"
    elif any(first["high"] < second["low"] for first, second in pairs):
        said = "the published order of exit rules does not hold"
    else:
        said = (
            "the published order of exit rules is neither shown nor refuted, as intervals overlap,"
        )
    rules = ", ".join(
        f"{_SHORT[rule]} {percent(cell['mean'])} ({span(cell['low'], cell['high'])})"
        for rule, cell in zip(_ORDER, cells, strict=True)
    )
    return [f"At {section.place(place)}, {said} for {top['series']}: {rules}."]


def _say_doubts(section: Section) -> list[str]:
    out = []
    seeds = section.main.dropna(subset="accuracy").groupby("series")["run_id"].nunique()
    if (seeds == 1).all():
        out.append(
            "One seed each: the intervals cover the choice of test problems, not how training may"
            " end with another seed."
        )
    elif (seeds < 3).any():
        few = ", ".join(seeds[seeds < 3].index)
        out.append(f"Fewer than three seeds, so little is known about other seeds: {few}.")
    lost = section.rows[section.rows["status"] != "complete"]
    for (series, status), group in lost.groupby(["series", "status"]):
        measured_runs = group.loc[group["accuracy"].notna(), "run_id"].nunique()
        n = group["run_id"].nunique()
        kept = {0: "", n: ", in no mean"}.get(n - measured_runs)
        kept = f", {n - measured_runs} of them in no mean" if kept is None else kept
        out.append(f"{series}: {plural(n, 'run')} ended as {status}{kept}.")
    return out
