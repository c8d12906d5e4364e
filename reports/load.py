"""Read what a study stored, whatever its state, and name what could not be used.

Nothing here trusts a record: a file may be missing, cut off or of another version. Each such place
becomes a line in `Records.notes`, which the page shows.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

#: Without these columns of results.parquet a row says nothing.
NEEDED = ("run_id", "task", "paradigm", "test_difficulty", "iterations", "accuracy")

# fmt: off
NUMBERS = (
    "seed", "train_difficulty", "train_samples", "parameters", "active_parameters",
    "train_iterations", "max_iterations", "test_difficulty", "iterations", "accuracy",
    "element_accuracy", "n_test", "ci_low", "ci_high", "flops_per_example", "train_seconds",
    "train_flops", "steps", "examples_seen", "exit_iterations_mean", "chance",
)
# fmt: on

#: A number beyond this is a broken record; the largest trainings so far took under 1e27 FLOPs.
LARGEST = 1e30

WORDS = {
    "preset": "",
    "exit_rule": "fixed",
    "status": "complete",
    "difficulty_name": "difficulty",
    "precision": "",
    "device": "",
}

#: Columns newer than the contract, or of use only to some tables: absent ones are not worth a note.
# fmt: off
OPTIONAL = frozenset((
    "max_iterations", "difficulty_name", "difficulty_label", "exit_iterations_mean",
    "chance", "precision", "device", "steps", "examples_seen", "train_flops", "label", "test_task",
))
# fmt: on


#: The field of a run's spec that says which difficulties it was tested on.
_TESTED = "evaluation.difficulties"


class NoRecords(ValueError):
    """The folder is missing or holds nothing to report on."""


@dataclass
class Run:
    """One run as stored. `metrics` holds the lines of metrics.jsonl that could be read."""

    run_id: str
    spec: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    examples: Path | None = None

    @property
    def status(self) -> str:
        """`complete`, `diverged`, ... as recorded; `not finished` if no result was written."""
        return str(self.result.get("status") or "not finished")


@dataclass
class Records:
    """A results folder.

    rows: one per run × test difficulty × iterations × exit rule, all columns present, beside them
    `series` (what the page calls the paradigm and variant) and `section` (the task and its options).
    notes: what was left out, and why, one sentence each.
    """

    folder: Path
    study: dict[str, Any]
    rows: pd.DataFrame
    runs: dict[str, Run]
    notes: list[str]


def number(value: Any) -> float:
    """`value` as a float of believable size, else NaN; booleans and text are not numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return math.nan
    return float(value) if abs(value) <= LARGEST else math.nan


def load_records(out: str | Path) -> Records:
    """Read the folder. Raises NoRecords if there is nothing to report on."""
    folder = Path(out)
    if not folder.is_dir():
        raise NoRecords(f"{folder} is not a folder of results")
    notes: list[str] = []
    stored = _results_file(folder, notes)
    runs = _read_runs(folder, notes)
    if stored is None and not runs:
        raise NoRecords(f"{folder} holds no records (no results.parquet and no runs)")
    kept = []
    for run in runs.values():
        rows = run.result.pop("rows", None)
        kept += rows if isinstance(rows, list) else []
    if stored is None and kept:
        stored = pd.DataFrame([row for row in kept if isinstance(row, dict)])
        notes.append("No results.parquet or results.csv: accuracies come from the runs' results.")
    study = _read_json(folder / "study.json", "study.json", notes)
    rows = _normalise(stored if stored is not None else pd.DataFrame(), notes)
    if stored is None:
        notes.append("No results.parquet or results.csv: accuracies are left out.")
    _name_unfinished(study, rows, runs, notes)
    _name_sections(rows, runs)
    _name_series(rows, runs)
    return Records(folder, study, rows, runs, notes)


def _read_json(path: Path, name: str, notes: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notes.append(f"{name} is missing.")
    except (OSError, ValueError) as error:
        notes.append(f"{name} could not be read ({type(error).__name__}).")
    else:
        if isinstance(value, dict):
            return value
        notes.append(f"{name} does not hold an object.")
    return {}


def _results_file(folder: Path, notes: list[str]) -> pd.DataFrame | None:
    for name, read in (("results.parquet", pd.read_parquet), ("results.csv", pd.read_csv)):
        if (folder / name).is_file():
            try:
                return read(folder / name)
            except Exception as error:  # pyarrow and pandas raise many kinds for a broken file
                notes.append(f"{name} could not be read ({type(error).__name__}).")
    return None


def _read_runs(folder: Path, notes: list[str]) -> dict[str, Run]:
    runs: dict[str, Run] = {}
    root = folder / "runs"
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if not path.is_dir() or not any((path / f"{n}.json").exists() for n in ("spec", "result")):
            continue
        name = f"runs/{path.name}"
        run = Run(path.name, spec=_read_json(path / "spec.json", f"{name}/spec.json", notes))
        if (path / "result.json").exists():
            run.result = _read_json(path / "result.json", f"{name}/result.json", notes)
            aside = run.result.get("set_aside")
            notes += (
                [f"{line}." for line in aside if isinstance(line, str)]
                if isinstance(aside, list)
                else []
            )
        run.metrics = _read_metrics(path / "metrics.jsonl", f"{name}/metrics.jsonl", notes)
        if (path / "examples.safetensors").is_file():
            run.examples = path / "examples.safetensors"
        runs[path.name] = run
    return runs


def _read_metrics(path: Path, name: str, notes: list[str]) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        notes.append(f"{name} is missing: its training curve is left out.")
        return []
    lines, bad = [], 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            bad += 1
            continue
        if isinstance(value, dict):
            lines.append(value)
        else:
            bad += 1
    if bad:
        notes.append(f"{name}: {bad} line{'s' * (bad > 1)} could not be read and left out.")
    return lines


def _normalise(stored: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """All columns present and of one type; rows that say nothing dropped, with a note."""
    rows = stored.copy()
    missing = [
        c for c in dict.fromkeys((*NEEDED, *NUMBERS, *WORDS)) if c not in rows and c not in OPTIONAL
    ]
    if missing and len(rows):
        notes.append(f"The results have no column {', '.join(missing)}.")
    for column in NUMBERS:
        given = rows[column] if column in rows else pd.Series(np.nan, index=rows.index)
        rows[column] = pd.to_numeric(given, errors="coerce").astype(float)
        rows[column] = rows[column].where(rows[column].abs() <= LARGEST)
    for column in ("run_id", "task", "paradigm"):
        given = rows[column] if column in rows else pd.Series("unknown", index=rows.index)
        rows[column] = given.fillna("unknown").astype(str)
    for column, default in WORDS.items():
        given = rows[column] if column in rows else pd.Series(default, index=rows.index)
        rows[column] = given.fillna(default).astype(str)
    for column, fallback in (
        ("label", rows["paradigm"]),
        ("test_task", rows["task"]),
        ("difficulty_label", rows["test_difficulty"].map(lambda v: f"{v:g}")),
    ):
        given = rows[column] if column in rows else pd.Series(None, index=rows.index, dtype=object)
        rows[column] = given.where(given.notna(), fallback).astype(str)
    rows["chance"] = rows["chance"].where(rows["chance"].between(0, 0.999), 0.0)
    return _drop_unusable(rows, notes).reset_index(drop=True)


def _drop_unusable(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    odd = rows["accuracy"].notna() & ~rows["accuracy"].between(0, 1)
    if odd.any():
        notes.append(f"{odd.sum()} rows have an accuracy outside 0 to 1 and are left out.")
    placeless = rows["accuracy"].notna() & (
        rows["test_difficulty"].isna() | ~(rows["iterations"] >= 1)
    )
    if placeless.any():
        notes.append(
            f"{placeless.sum()} rows lack a test difficulty or iterations and are left out."
        )
    empty = rows["accuracy"].isna() & (rows["status"] == "complete")
    if empty.any():
        who = ", ".join(sorted(set(rows.loc[empty, "run_id"]))[:5])
        notes.append(f"{empty.sum()} rows of complete runs have no accuracy ({who}).")
    return rows[~odd & ~placeless]


def _name_unfinished(
    study: dict[str, Any], rows: pd.DataFrame, runs: dict[str, Run], notes: list[str]
) -> None:
    """Name runs that were planned, or begun, and have no results."""
    planned = study.get("runs")
    planned = [str(r) for r in planned] if isinstance(planned, list) else []
    measured = set(rows.loc[rows["accuracy"].notna(), "run_id"])
    pictureless: list[str] = []
    for run_id in dict.fromkeys([*planned, *runs]):
        run = runs.get(run_id)
        if run_id in measured:
            if run is None:
                notes.append(f"Run {run_id} has results but no folder.")
            elif run.examples is None:
                pictureless.append(run_id)
            continue
        if run is None:
            notes.append(f"Run {run_id} was planned and never begun.")
        elif run.status == "not finished":
            notes.append(f"Run {run_id} is not finished.")
        else:
            reason = run.result.get("reason")
            notes.append(f"Run {run_id}: {run.status}{f' ({reason})' if reason else ''}.")
    if pictureless:
        more = f" and {len(pictureless) - 3} more" if len(pictureless) > 3 else ""
        notes.append(
            f"No pictures of problems (examples.safetensors) from {', '.join(pictureless[:3])}{more}."
        )


def _options_text(options: Any) -> str:
    if not isinstance(options, dict) or not options:
        return ""
    return ", ".join(f"{key}={value}" for key, value in sorted(options.items()))


def _name_sections(rows: pd.DataFrame, runs: dict[str, Run]) -> None:
    """Column `section`: the task, with its options where runs of one task differ in them, and the task
    tested on where that is another."""
    options = {r: _options_text(run.spec.get("task_options")) for r, run in runs.items()}
    text = rows["run_id"].map(options).fillna("").astype(str)
    several = text.groupby(rows["task"]).transform("nunique") > 1
    suffix = text.where(text != "", "default options")
    rows["section"] = rows["task"].where(~several, rows["task"] + " (" + suffix + ")")
    away = rows["test_task"] != rows["task"]
    rows["section"] = rows["section"].where(
        ~away, rows["section"] + " tested on " + rows["test_task"]
    )
    # What it was trained on is no place on the other task's axis.
    rows["train_difficulty"] = rows["train_difficulty"].where(~away)


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key in value for k, v in _flat(value[key], f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): json.dumps(value, sort_keys=True, default=str)}


def _name_series(rows: pd.DataFrame, runs: dict[str, Run]) -> None:
    """Column `series`: the label, with whatever else sets two runs of one label and seed apart.

    Runs that differ in seed or number of samples alone share a series; two runs never share a series,
    number of samples and seed, or a mean over seeds would count one seed twice.
    """
    rows["series"] = rows["label"]
    if rows.empty:
        return
    own = rows["test_task"] == rows["task"]
    one = rows[own].drop_duplicates("run_id").set_index("run_id")
    names = one["label"].copy()
    for _, group in one.groupby(["section", "label"]):
        suffix = {r: [] for r in group.index}
        for column, word in (
            ("train_difficulty", "trained on {name} {value:g}"),
            ("preset", "{value}"),
        ):
            if group[column].nunique() > 1:
                for r, row in group.iterrows():
                    suffix[r].append(word.format(name=row["difficulty_name"], value=row[column]))
        _tell_apart(group, suffix, runs)
        for r, words in suffix.items():
            names[r] += f" ({', '.join(words)})" if words else ""
    rows["series"] = rows["run_id"].map(names)


def _tell_apart(group: pd.DataFrame, suffix: dict[str, list[str]], runs: dict[str, Run]) -> None:
    """Add to `suffix` the settings that differ between runs that would otherwise coincide."""
    filled = group.fillna({"train_samples": -1, "seed": -1})

    def clashes() -> list[list[str]]:
        same: dict[tuple, list[str]] = {}
        for r, row in filled.iterrows():
            same.setdefault((*suffix[r], row["train_samples"], row["seed"]), []).append(str(r))
        return [members for members in same.values() if len(members) > 1]

    if not clashes():
        return
    specs = {r: _flat(runs[r].spec) if r in runs else {} for r in suffix}
    said = {"seed", "train_samples", "train_difficulty", "preset", "task", "paradigm"}
    keys = {key for spec in specs.values() for key in spec} - said
    # One network may have had several tests: what they were of comes first and says most.
    for key in sorted(keys, key=lambda key: (key != _TESTED, key)):
        if any(len({specs[r].get(key) for r in members}) > 1 for members in clashes()):
            for r in suffix:
                value = specs[r].get(key, "default").strip('"')
                named = f"{key.split('.')[-1]}={value}"
                suffix[r].append(f"tested on {value.strip('[]')}" if key == _TESTED else named)
    for members in clashes():
        for r in members:
            suffix[r].append(f"run {r}")
