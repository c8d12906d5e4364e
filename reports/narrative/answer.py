"""The answer in words, made from the numbers and never going beyond them.

A network is said to be better than others only where its interval overlaps none of theirs
(`reports.read.ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from foundations.measures import furthest_solved
from reports.narrative.efficiency import say_parameters, say_samples
from reports.read.formats import capital, listed, percent, plural, span
from reports.read.ranking import NAMED, leader, ranking
from reports.read.rules import RULES
from reports.read.sections import Accuracy, Section


def half_way(chance: float) -> float:
    """The accuracy half-way between chance and perfect: what counts as solving a difficulty."""
    return (1 + chance) / 2


def solves(section: Section, cell: Accuracy) -> bool:
    """Whether an accuracy is at least half-way from chance to perfect and its interval leaves
    chance out."""
    return cell.mean >= half_way(section.chance) and cell.low > section.chance


def _from_training(section: Section, series: str, rule: str = "") -> list[Accuracy]:
    """The cells of a series from its trained difficulty on, the easiest first; all where none is so
    hard."""
    cells = [section.cell(series, d, rule) for d in section.difficulties]
    measured = [cell for cell in cells if cell is not None]
    trained = section.main.loc[section.main["series"] == series, "train_difficulty"].max()
    return [cell for cell in measured if cell.at >= trained] or measured


def reach(section: Section, series: str, rule: str = "") -> float | None:
    """The hardest difficulty up to which the series solves every one tested from its training on.

    None if it does not solve the easiest.
    """
    cells = _from_training(section, series, rule)
    return furthest_solved({cell.at: solves(section, cell) for cell in cells}, -math.inf)


def _rule_of(section: Section, series: str, rule: str) -> str:
    """The rule, or the page's for a series that has no answer by it: networks that end have one
    answer."""
    known = any(section.cell(series, d, rule) for d in section.difficulties)
    return rule if known else section.rule


def _reached(section: Section, among: list[str], rule: str = "") -> dict[str, float]:
    """How far each series that solves anything gets."""
    reached = {s: reach(section, s, _rule_of(section, s, rule)) for s in among}
    return {s: place for s, place in reached.items() if place is not None}


def _measured(section: Section, among: list[str], place: float, rule: str = "") -> list[Accuracy]:
    cells = (section.cell(s, place, _rule_of(section, s, rule)) for s in among)
    return [cell for cell in cells if cell is not None]


def _furthest(section: Section, among: list[str]) -> Accuracy | None:
    """A cell of those that reach furthest, the highest there: a place to speak of, not a winner."""
    reached = _reached(section, among)
    far = max(reached.values(), default=None)
    if far is None:
        return None
    measured = _measured(section, [s for s in reached if reached[s] == far], far)
    return max(measured, key=lambda cell: cell.mean)


def answer(section: Section) -> list[str]:
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
    names = ", ".join(map(section.label, where))
    return f"Trained on {section.difficulty_name} {names}, "


def _harder(section: Section) -> list[float]:
    base = max(section.train_difficulties, default=-np.inf)
    return [d for d in section.difficulties if d > base]


def _at(section: Section, place: float) -> str:
    return f"At {section.place(place)}, "


def _stand(section: Section, place: float) -> str:
    """`At size 9, a solves most, ...; next b, ...`: all networks measured at a place."""
    return f"{_at(section, place)}{ranking(_measured(section, section.series, place), str)}."


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
        return [capital(_trained_on(section) + text), _stand(section, far)]
    if far not in harder:
        return _no_extrapolation(section, far, harder)
    return _extrapolation(section, reached, far)


def _first_cells(section: Section, above: float) -> list[Accuracy]:
    """Of each series the easiest cell harder than `above`, from its training on."""
    harder = [[c for c in _from_training(section, s) if c.at > above] for s in section.series]
    return [cells[0] for cells in harder if cells]


def _unsolved(section: Section, cells: list[Accuracy], adverb: str) -> tuple[str, float]:
    """`none solves at least 50.0 % at size 13`, and the easiest of the places meant."""
    places = sorted({cell.at for cell in cells})
    where = (
        f"at {section.place(places[0])}"
        if len(places) == 1
        else f"at the {adverb} {section.difficulty_name} it was tested on"
    )
    goal = half_way(section.chance)
    clear = ""
    if any(cell.mean >= goal for cell in cells):
        clear = f" with an interval that leaves out {'chance' if section.chance > 0 else 'zero'}"
    return f"solves at least {percent(goal)} of the problems {where}{clear}", places[0]


def _nothing_solved(section: Section) -> list[str]:
    text, place = _unsolved(section, _first_cells(section, -np.inf), "easiest")
    return [capital(f"{_trained_on(section)}no network {text}."), _stand(section, place)]


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
        capital(f"{_trained_on(section)}no network extrapolates: none {text}."),
        _stand(section, place),
        _stand(section, far),
    ]


def _extrapolation(section: Section, reached: dict[str, float], far: float) -> list[str]:
    """Who solves the hardest difficulty that anyone does."""
    measured = _measured(section, section.series, far)
    top = leader(measured)
    hardest = ", the hardest tested" if far == max(section.difficulties) else ""
    where = f"{section.place(far)}{hardest}"
    if top is None or [s for s in reached if reached[s] == far] != [top.series]:
        alone = len(measured) == 1 and len(section.series) > 1
        missing = ", the only network tested there" if alone else ""
        text = f"problems are solved up to {where}: {ranking(measured, str)}{missing}."
        return [capital(_trained_on(section) + text)]
    solved = f"{percent(top.mean)} at {where} ({top.basis})"
    text = f"{top.series} extrapolates farthest: it solves {solved}."
    onward = min((d for d in section.difficulties if d > far), default=far)
    after = section.cell(top.series, onward)
    if onward > far and after is not None:
        text += f" At {section.place(onward)} it solves {percent(after.mean)}."
    rival = max((cell for cell in measured if cell is not top), key=lambda cell: cell.mean)
    next_best = f"Next at {section.place(far)}: {rival.series}, {rival}."
    return [_trained_on(section) + text, next_best]


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
            return [
                "Recurrence and feed-forward depth are not compared: the records do not tell "
                f"which of them {listed(unknown, NAMED)} {'is' if len(unknown) == 1 else 'are'}."
            ]
        return ["Only one of recurrence and feed-forward depth was run, so they are not compared."]
    top, trained = _furthest(section, section.series), section.trained
    places = dict.fromkeys([*trained, *([top.at] if top else [])])
    return [text for d in places if (text := _compared(section, groups, d, [d] == trained))]


def _compared(section: Section, groups: dict[bool, list[str]], place: float, trained: bool) -> str:
    sides = {kind: _measured(section, groups[kind], place) for kind in (True, False)}
    if not (sides[True] and sides[False]):
        return ""
    best = {kind: max(sides[kind], key=lambda a: a.mean) for kind in sides}
    kind = best[True].mean >= best[False].mean
    better, worse = best[kind], best[not kind]
    numbers = f"{better.series} {percent(better.mean)}, {worse.series} {percent(worse.mean)}"
    where = _at(section, place) + ("as in training, " if trained else "")
    if section.chance > 0 and better.low <= section.chance:
        return (
            f"{where}neither recurrence nor feed-forward depth is clear of chance "
            f"({percent(section.chance)}): {numbers}."
        )
    if better.low > max(a.high for a in sides[not kind]):
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
    for rule in dict.fromkeys(rule for _, _, rule in section.cells):
        other = _champion(section, rule)
        if mine is None or other is None or other.series == mine.series:
            continue
        where = f"{percent(other.mean)} at {section.place(other.at)}"
        others.setdefault(f"{other.series} extrapolates farthest ({where})", []).append(
            RULES.get(rule, rule)
        )
    return [
        f"The exit rule matters: by {' and by '.join(rules)}, {champion}."
        for champion, rules in others.items()
    ]


def _champion(section: Section, rule: str) -> Accuracy | None:
    """Who alone gets farthest by a rule, if separated from every other there."""
    reached = _reached(section, section.series, rule)
    far = max(reached.values(), default=None)
    if far is None or far not in _harder(section):
        return None
    top = leader(_measured(section, section.series, far, rule))
    return top if top and [s for s in reached if reached[s] == far] == [top.series] else None


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
    top = _furthest(section, [s for s in section.series if section.endless.get(s)])
    if top is None or top.at not in _harder(section):
        return []
    cells = [section.cell(top.series, top.at, rule) for rule in _ORDER]
    measured = [cell for cell in cells if cell is not None]
    if len(measured) < len(cells):
        return []
    rules = ", ".join(
        f"{_SHORT[rule]} {percent(cell.mean)} ({span(cell.low, cell.high)})"
        for rule, cell in zip(_ORDER, measured, strict=True)
    )
    return [f"At {section.place(top.at)}, {order_holds(measured)} for {top.series}: {rules}."]


def order_holds(cells: Sequence[Accuracy]) -> str:
    """What accuracies by the rules of `_ORDER` say of it."""
    pairs = list(pairwise(cells))
    if all(first.low > second.high for first, second in pairs):
        return "the published order of exit rules holds"
    if any(first.high < second.low for first, second in pairs):
        return "the published order of exit rules does not hold"
    return "the published order of exit rules is left open, as intervals overlap,"


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
        runs = group["run_id"].nunique()
        unmeasured = runs - group.loc[group["accuracy"].notna(), "run_id"].nunique()
        several = "" if unmeasured == runs else f" {unmeasured} of them"
        kept = f",{several} excluded from the mean" if unmeasured else ""
        out.append(f"{series}: {plural(runs, 'run')} ended as {status}{kept}.")
    return out
