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

from reports.read.kept import kept_runs
from reports.read.series import name_sections, name_series, say_apart
from reports.read.tested import as_tested, merge_tests, say_tests

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


class NoRecords(ValueError):
    """The folder is missing or holds nothing to report on."""


@dataclass
class Run:
    """One run as stored. `metrics` holds the lines of metrics.jsonl that could be read. written:
    when its result was, in seconds. tests: the runs that tested its network, itself among them,
    where they are several."""

    run_id: str
    spec: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    examples: Path | None = None
    written: float = 0.0
    tests: tuple[Run, ...] = field(default=(), repr=False, compare=False)

    def stored(self, name: str) -> list[dict[str, Any]]:
        """The entries of a list in the results of all tests of the network, each with the run it is
        from (`tested_by`). What two tests measured is taken from the first."""
        entries: list[dict[str, Any]] = []
        for run in self.tests or (self,):
            held = {_what(entry) for entry in entries}
            mine = run.result.get(name)
            entries += [
                {**entry, "tested_by": run.run_id}
                for entry in (mine if isinstance(mine, list) else [])
                if isinstance(entry, dict) and _what(entry) not in held
            ]
        return entries

    @property
    def status(self) -> str:
        """`complete`, `diverged`, ... as recorded; `not finished` if no result was written."""
        return str(self.result.get("status") or "not finished")


def _what(entry: dict[str, Any]) -> tuple[str, ...]:
    """What an entry of a result is about."""
    names = ("test_task", "exit_rule", "blow")
    return f"{number(entry.get('test_difficulty')):g}", *(str(entry.get(n)) for n in names)


@dataclass
class Records:
    """A results folder.

    rows: one per network × test difficulty × iterations × exit rule, all columns present, beside
    them `series` (what the page calls the paradigm and variant) and `section` (the task, its
    options and the trained difficulty). A network that was tested more than once goes by the run it
    was first trained as. tested: the same a run, whichever network's. notes: what was left out, and
    why, one sentence each. remarks: what to know of how runs were put together.
    """

    folder: Path
    study: dict[str, Any]
    rows: pd.DataFrame
    runs: dict[str, Run]
    notes: list[str]
    tested: pd.DataFrame
    remarks: list[str]


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
    merged = merge_tests(rows, runs)
    name_sections(merged, runs)
    apart = name_series(merged, runs)
    remarks = [*say_apart(apart), *say_tests(runs)]
    return Records(folder, study, merged, runs, notes, as_tested(rows, merged, runs), remarks)


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
            run.written = (path / "result.json").stat().st_mtime
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
    for line in kept_runs(folder, notes):
        parts = {name: line.get(name) for name in ("spec", "result")}
        known = {name: part for name, part in parts.items() if isinstance(part, dict)}
        metrics = line.get("metrics")
        held = [m for m in metrics if isinstance(m, dict)] if isinstance(metrics, list) else []
        runs.setdefault(line["run_id"], Run(line["run_id"], **known, metrics=held))
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
            "No pictures of problems (examples.safetensors) from"
            f" {', '.join(pictureless[:3])}{more}."
        )
