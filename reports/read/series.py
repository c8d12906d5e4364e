"""Which runs stand together on the page: the sections, and the series in them whose seeds are
averaged.

A section holds what was trained on one task, with one set of options, on one difficulty. A series
holds runs that differ in seed and number of samples alone and were made alike: in one precision, on
one kind of machine, by one version.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from foundations.errors import one_line
from foundations.records.made import Made
from reports.read.retests import made_of

if TYPE_CHECKING:
    from reports.read.load import Run

#: Runs of one kind made in unlike ways that are named one by one on the page.
MOST_NAMED = 4


def name_sections(rows: pd.DataFrame, runs: dict[str, Run]) -> None:
    """Column `section`: the task, with its options and the trained difficulty where runs of it
    differ in them, and the task tested on where that is another."""
    titles = titles_of("task", rows, runs)
    named = rows["task"].astype(str).map(lambda name: titles.get(name, name))
    text = _options(rows, runs)
    several = text.groupby(rows["task"]).transform("nunique") > 1
    shown = text.where(several, "")
    trained = rows.groupby("run_id")["train_difficulty"].transform("first")
    several = trained.groupby([rows["task"], shown]).transform("nunique") > 1
    place = _places(rows, trained).where(several, "")
    away = (rows["test_task"] != rows["task"]) & ~_along_axes(rows)
    rows["section"] = [
        _named(task, list(filter(None, said))) + (f" tested on {other}" if elsewhere else "")
        for task, other, elsewhere, *said in zip(
            named, rows["test_task"], away, shown, place, strict=True
        )
    ]
    # What it was trained on is no place on the other task's axis.
    rows["train_difficulty"] = rows["train_difficulty"].where(~away)


def _along_axes(rows: pd.DataFrame) -> pd.Series:
    """Which rows are of tests along another axis of the task than difficulty."""
    tested = rows["test_task"].astype(str)
    # Not by `partition`, which makes no columns of no rows.
    return tested.str.split(":", n=1).str[0].eq(rows["task"]) & tested.ne(rows["task"])


def apart_axes(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows without those of tests along other axes, and these."""
    if rows.empty:
        return rows, rows
    along = _along_axes(rows)
    return rows[~along].reset_index(drop=True), rows[along].reset_index(drop=True)


def _options(rows: pd.DataFrame, runs: dict[str, Run]) -> pd.Series:
    """By row, the options of the task in which runs of it differ."""
    said: dict[str, dict[str, str]] = {}
    for name, run in runs.items():
        given = run.spec.get("task_options")
        given = given if isinstance(given, dict) else {}
        said[name] = {str(key): str(value) for key, value in given.items()}
    one = rows.drop_duplicates("run_id")
    of_task: dict[str, list[dict[str, str]]] = {}
    for task, name in zip(one["task"], one["run_id"], strict=True):
        of_task.setdefault(task, []).append(said.get(name, {}))
    apart = {
        task: {
            key for each in all_of for key in each if any(o.get(key) != each[key] for o in all_of)
        }
        for task, all_of in of_task.items()
    }

    def words(task: str, name: str) -> str:
        mine = said.get(name, {})
        shown = ", ".join(f"{key}={mine[key]}" for key in sorted(mine) if key in apart[task])
        return shown if mine else "default options"

    texts = [words(*at) for at in zip(rows["task"], rows["run_id"], strict=True)]
    return pd.Series(texts, index=rows.index, dtype=object)


def _places(rows: pd.DataFrame, trained: pd.Series) -> pd.Series:
    """`trained on size 9` by row, in the task's own words for its difficulties."""
    own = rows[rows["test_task"] == rows["task"]]
    names = own.drop_duplicates("task").set_index("task")["difficulty_name"].to_dict()
    known = own.drop_duplicates(["task", "test_difficulty"])
    labels = known.set_index(["task", "test_difficulty"])["difficulty_label"].to_dict()
    said = []
    for task, level in zip(rows["task"], trained, strict=True):
        name = names.get(task, "difficulty")
        word = labels.get((task, level), f"{level:g}")
        said.append(f"trained on {name} {word}" if level == level else f"trained {name} unknown")
    return pd.Series(said, index=rows.index, dtype=object)


@dataclass(frozen=True)
class Apart:
    """Runs of one kind that were made in unlike ways: seeds by what made them."""

    section: str
    series: str
    seeds: dict[str, list[float]]


def name_series(rows: pd.DataFrame, runs: dict[str, Run]) -> list[Apart]:
    """Column `series`: the label, with whatever else sets two runs of one label and seed apart, and
    what made them where that differs. Returns what was drawn apart for the latter.

    Two runs never share a series, number of samples and seed, or a mean over seeds would count one
    seed twice.
    """
    rows["series"] = rows["label"]
    if rows.empty:
        return []
    away = (rows["test_task"] != rows["task"]).rename("away")
    one = rows.loc[away.sort_values(kind="stable").index].drop_duplicates("run_id")
    one.index = pd.Index(one["run_id"].astype(str))
    titles = titles_of("paradigm", rows, runs)
    one["series"] = [_label(row, runs.get(row["run_id"]), titles) for _, row in one.iterrows()]
    made = {row["run_id"]: made_of(row, runs.get(row["run_id"])) for _, row in one.iterrows()}
    seeds = dict(zip(one.index, one["seed"], strict=True))
    measured = set(rows.loc[rows["accuracy"].notna(), "run_id"])
    names: dict[str, str] = {}
    apart: list[Apart] = []
    for (section, label), group in one.groupby(["section", "series"], sort=False):
        suffix: dict[str, list[str]] = {r: [] for r in group["run_id"]}
        if group["preset"].nunique() > 1:
            for r, preset in zip(group["run_id"], group["preset"], strict=True):
                suffix[r].append(str(preset))
        _add_settings(group, suffix, runs, made)
        for alike in _by_suffix(suffix).values():
            # A run without a number is in no mean, so what made it sets nothing apart.
            differing = _differing([made[r] for r in alike if r in measured])
            makers: dict[str, list[float]] = {}
            for r in alike if differing else ():
                maker = ", ".join(_MADE[i](made[r][i]) for i in differing)
                makers.setdefault(maker, []).append(seeds[r])
                suffix[r].append(maker)
            if makers:
                apart.append(Apart(str(section), _named(label, suffix[alike[0]][:-1]), makers))
        names |= {r: _named(label, suffixes) for r, suffixes in suffix.items()}
    rows["series"] = rows["run_id"].map(names)
    return apart


def _label(row: pd.Series, run: Run | None, titles: Mapping[str, str]) -> str:
    """The label without the trained difficulty, which the section names (`trained on size 9`,
    `trained on=9` before), and with the paradigm's title where one is recorded: `DT-net with recall
    (width=64)`."""
    level = run.spec.get("train_difficulty") if run else None
    said = re.escape(str(level)) if level is not None else r"\S+"
    unit = re.escape(row["difficulty_name"])
    text = re.sub(rf" trained on(?:=| {unit} | difficulty ){said}(?= |$)", "", row["label"])
    title = titles.get(str(row["paradigm"]))
    if title is None or text.partition(" ")[0] != row["paradigm"]:
        return text
    return _named(title, text.split()[1:])


def titles_of(what: str, rows: pd.DataFrame, runs: Mapping[str, Run]) -> dict[str, str]:
    """What the records call each "task" or "paradigm", by its name. Two of one title go by their
    names: they would otherwise be taken for one."""
    titles: dict[str, str] = {}
    for r, name in dict(zip(rows["run_id"], rows[what].astype(str), strict=True)).items():
        said = runs[r].result.get("titles") if r in runs else None
        title = one_line(said.get(what) or "") if isinstance(said, dict) else ""
        if title:
            titles.setdefault(name, title)
    often = Counter(titles.get(name, name) for name in set(rows[what].astype(str)))
    return {name: title for name, title in titles.items() if often[title] == 1}


def _named(label: Any, qualifiers: Sequence[str]) -> str:
    return f"{label} ({', '.join(qualifiers)})" if qualifiers else str(label)


def _by_suffix(suffix: dict[str, list[str]]) -> dict[tuple[str, ...], list[str]]:
    """Runs by what follows their label so far."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for r, qualifiers in suffix.items():
        alike.setdefault(tuple(qualifiers), []).append(r)
    return alike


#: How each field of `Made` is said behind a label.
_MADE = (
    lambda precision: "precision unknown" if precision == "unknown" else precision,
    lambda machine: "machine unknown" if machine == "unknown" else f"on {machine}",
    lambda version: f"version {version}",
)


def _differing(made: Sequence[Made]) -> list[int]:
    """Which fields are not alike in all."""
    return [i for i in range(len(_MADE)) if len({each[i] for each in made}) > 1]


def _add_settings(
    group: pd.DataFrame, suffix: dict[str, list[str]], runs: dict[str, Run], made: dict[str, Made]
) -> None:
    """Add to `suffix` the settings that differ between runs that would otherwise coincide."""
    filled = group.fillna({"train_samples": -1, "seed": -1})

    def clashes() -> list[list[str]]:
        same: dict[tuple, list[str]] = {}
        columns = (filled[c] for c in ("run_id", "train_samples", "seed"))
        for r, samples, seed in zip(*columns, strict=True):
            same.setdefault((*suffix[r], samples, seed, made[r]), []).append(r)
        return [members for members in same.values() if len(members) > 1]

    if not clashes():
        return
    specs = {r: _flat(runs[r].spec) if r in runs else {} for r in suffix}
    said = {"seed", "train_samples", "train_difficulty", "preset", "task", "paradigm"}
    keys = {key for spec in specs.values() for key in spec} - said
    # What a run was tested on says less of a network than how it was trained.
    for key in sorted(keys, key=lambda key: (key.startswith("evaluation."), key)):
        if any(len({specs[r].get(key) for r in members}) > 1 for members in clashes()):
            word = key if key.endswith(".seed") else key.rpartition(".")[2]
            for r in suffix:
                value = specs[r].get(key, "default").strip('"')
                suffix[r].append(f"{word}={value}")
    for members in clashes():
        for r in members:
            suffix[r].append(f"run {r}")


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key in value for k, v in _flat(value[key], f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): json.dumps(value, sort_keys=True, default=str)}


def apart_note(apart: Sequence[Apart]) -> list[str]:
    """A line where runs of one kind were made in unlike ways; else none."""
    if not apart:
        return []
    kinds = [
        f"{each.series} on {each.section} "
        f"({'; '.join(f'{words}: {_seeds(seeds)}' for words, seeds in each.seeds.items())})"
        for each in apart
    ]
    more = f", and {len(kinds) - MOST_NAMED} more" if len(kinds) > MOST_NAMED else ""
    return [
        "Runs that differ in precision, kind of machine or version are separate series, not"
        f" averaged: {', '.join(kinds[:MOST_NAMED])}{more}."
    ]


def _seeds(seeds: Sequence[float]) -> str:
    """`seeds 0, 1`."""
    known = [f"{seed:g}" for seed in sorted({s for s in seeds if s == s})]
    if not known:
        return "seed unknown"
    return f"seed{'s' if len(known) > 1 else ''} {', '.join(known)}"
