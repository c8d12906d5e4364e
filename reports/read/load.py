"""Read what a study stored, whatever its state, and name what could not be used.

Nothing here trusts a record: a file may be missing, cut off or of another version. Each such place
becomes a line in `Records.notes`, which the page shows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.read.formats import plural
from reports.read.kept import kept_runs
from reports.read.retests import before_merging, merge_tests, retests_note
from reports.read.series import apart_axes, apart_note, name_sections, name_series
from reports.read.stored import LARGEST, Entry, entries, items, number, part_of, read_object

#: Without these columns of results.parquet a row says nothing.
NEEDED = ("run_id", "task", "paradigm", "test_difficulty", "iterations", "accuracy")

NUMBERS = (
    "seed", "train_difficulty", "train_samples", "parameters", "active_parameters",
    "train_iterations", "max_iterations", "test_difficulty", "iterations", "accuracy",
    "element_accuracy", "n_test", "ci_low", "ci_high", "flops_per_example", "train_seconds",
    "train_flops", "steps", "examples_seen", "exit_iterations_mean", "chance",
)  # fmt: skip

#: Columns of text, by what stands for one that is missing.
TEXTS = {
    "run_id": "unknown", "task": "unknown", "paradigm": "unknown", "preset": "",
    "exit_rule": "fixed", "status": "complete", "difficulty_name": "difficulty", "precision": "",
    "device": "",
}  # fmt: skip

#: Columns newer than the contract, or of use only to some tables: absent ones are not worth a note.
OPTIONAL = frozenset((
    "max_iterations", "difficulty_name", "difficulty_label", "exit_iterations_mean",
    "chance", "precision", "device", "steps", "examples_seen", "train_flops", "label", "test_task",
))  # fmt: skip


class NoRecords(ValueError):
    """The folder is missing or holds nothing to report on."""


@dataclass
class Run:
    """One run as stored. `metrics` holds the lines of metrics.jsonl that could be read. written:
    when its result was, in seconds. tests: the runs that tested its network, itself among them,
    where they are several."""

    run_id: str
    spec: Entry = field(default_factory=dict)
    result: Entry = field(default_factory=dict)
    metrics: list[Entry] = field(default_factory=list)
    examples: Path | None = None
    written: float = 0.0
    tests: tuple[Run, ...] = field(default=(), repr=False, compare=False)

    def stored(self, name: str) -> list[Entry]:
        """The entries of a list in the results of all tests of the network, each with the run it is
        from (`tested_by`). What two tests measured is taken from the first."""
        found: list[Entry] = []
        for run in self.tests or (self,):
            known = {_subject(entry) for entry in found}
            mine = [e for e in entries(run.result.get(name)) if _subject(e) not in known]
            found += [{**entry, "tested_by": run.run_id} for entry in mine]
        return found

    @property
    def status(self) -> str:
        """`complete`, `diverged`, ... as recorded; `not finished` if no result was written."""
        return str(self.result.get("status") or "not finished")


def _subject(entry: Entry) -> tuple[str, ...]:
    """What an entry of a result is about."""
    names = ("test_task", "exit_rule", "blow")
    return f"{number(entry.get('test_difficulty')):g}", *(str(entry.get(n)) for n in names)


@dataclass
class Records:
    """A results folder.

    rows: one per network × test difficulty × iterations × exit rule, all columns present, beside
    them `series` (what the page calls the paradigm and variant) and `section` (the task, its
    options and the trained difficulty). A network that was tested more than once goes by the run it
    was first trained as. axes: the same of tests along other axes of the task than difficulty,
    whose `test_task` is TASK:AXIS. tested: the same a run, whichever network's. notes: what was
    left out, and why, one sentence each. remarks: what to know of how runs were put together.
    """

    folder: Path
    study: Entry
    rows: pd.DataFrame
    axes: pd.DataFrame
    runs: dict[str, Run]
    notes: list[str]
    tested: pd.DataFrame
    remarks: list[str]


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
    kept = [row for run in runs.values() for row in entries(run.result.pop("rows", None))]
    if stored is None and kept:
        stored = pd.DataFrame(kept)
        notes.append("No results.parquet or results.csv: accuracies come from the runs' results.")
    study = read_object(folder / "study.json", "study.json", notes)
    rows = _normalise(stored if stored is not None else pd.DataFrame(), notes)
    if stored is None:
        notes.append("No results.parquet or results.csv: accuracies are left out.")
    _name_unfinished(study, rows, runs, notes)
    over_positions = {run_id for run_id, run in runs.items() if run.result.get("over_positions")}
    rows["over_positions"] = rows["run_id"].isin(over_positions)
    merged = merge_tests(rows, runs)
    name_sections(merged, runs)
    apart = name_series(merged, runs)
    remarks = [*apart_note(apart), *retests_note(runs)]
    tested = before_merging(rows, merged, runs)
    merged, axes = apart_axes(merged)
    return Records(folder, study, merged, axes, runs, notes, apart_axes(tested)[0], remarks)


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
        spec, result, examples = (
            path / name for name in ("spec.json", "result.json", "examples.safetensors")
        )
        if not path.is_dir() or not (spec.exists() or result.exists()):
            continue
        name = f"runs/{path.name}"
        run = runs[path.name] = Run(path.name, read_object(spec, f"{name}/spec.json", notes))
        if result.exists():
            run.written = result.stat().st_mtime
            run.result = read_object(result, f"{name}/result.json", notes)
            aside = items(run.result.get("set_aside"))
            notes += [f"{line}." for line in aside if isinstance(line, str)]
        run.metrics = _read_metrics(path / "metrics.jsonl", f"{name}/metrics.jsonl", notes)
        run.examples = examples if examples.is_file() else None
    for line in kept_runs(folder, notes):
        kept = Run(line["run_id"], part_of(line, "spec"), part_of(line, "result"))
        kept.metrics = entries(line.get("metrics"))
        runs.setdefault(kept.run_id, kept)
    return runs


def _read_metrics(path: Path, name: str, notes: list[str]) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        notes.append(f"{name} is missing: its training curve is left out.")
        return []
    values: list[Any] = []
    for line in filter(str.strip, text.splitlines()):
        try:
            values.append(json.loads(line))
        except ValueError:
            values.append(None)
    lines = entries(values)
    bad = len(values) - len(lines)
    if bad:
        notes.append(f"{name}: {plural(bad, 'line')} could not be read and left out.")
    return lines


def _normalise(stored: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """All columns present and of one type; rows that say nothing dropped, with a note."""
    rows = stored.copy()
    needed = [c for c in dict.fromkeys((*NEEDED, *NUMBERS, *TEXTS)) if c not in OPTIONAL]
    missing = [c for c in needed if c not in rows]
    if missing and len(rows):
        notes.append(f"The results have no column {', '.join(missing)}.")

    def given(column: str, default: Any = None) -> pd.Series:
        return rows[column] if column in rows else pd.Series(default, index=rows.index)

    for column in NUMBERS:
        values = pd.to_numeric(given(column, np.nan), errors="coerce").astype(float)
        rows[column] = values.where(values.abs() <= LARGEST)
    for column, default in TEXTS.items():
        rows[column] = given(column, default).fillna(default).astype(str)
    difficulty = rows["test_difficulty"].map(lambda v: f"{v:g}")
    for column, fallback in (
        ("label", rows["paradigm"]), ("test_task", rows["task"]), ("difficulty_label", difficulty)
    ):  # fmt: skip
        values = given(column).astype(object)
        rows[column] = values.where(values.notna(), fallback).astype(str)
    rows["chance"] = rows["chance"].where(rows["chance"].between(0, 0.999), 0.0)
    return _drop_unusable(rows, notes).reset_index(drop=True)


def _drop_unusable(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    odd = rows["accuracy"].notna() & ~rows["accuracy"].between(0, 1)
    if odd.any():
        notes.append(f"{odd.sum()} rows have an accuracy outside 0 to 1 and are left out.")
    unplaced = rows["test_difficulty"].isna() | ~(rows["iterations"] >= 1)
    unplaced &= rows["accuracy"].notna()
    if unplaced.any():
        notes.append(
            f"{unplaced.sum()} rows lack a test difficulty or iterations and are left out."
        )
    empty = rows["accuracy"].isna() & (rows["status"] == "complete")
    if empty.any():
        who = ", ".join(sorted(set(rows.loc[empty, "run_id"]))[:5])
        notes.append(f"{empty.sum()} rows of complete runs have no accuracy ({who}).")
    return rows[~odd & ~unplaced]


def _pictured(run: Run) -> bool:
    """Whether pictures were asked for."""
    return part_of(run.spec, "evaluation").get("pictures") != 0


def _name_unfinished(
    study: Entry, rows: pd.DataFrame, runs: dict[str, Run], notes: list[str]
) -> None:
    """Name runs that were planned, or begun, and have no results."""
    planned = map(str, items(study.get("runs")))
    measured = set(rows.loc[rows["accuracy"].notna(), "run_id"])
    unpictured: list[str] = []
    for run_id in dict.fromkeys([*planned, *runs]):
        run = runs.get(run_id)
        if run_id in measured:
            if run is None:
                notes.append(f"Run {run_id} has results but no folder.")
            elif run.examples is None and _pictured(run):
                unpictured.append(run_id)
            continue
        if run is None:
            notes.append(f"Run {run_id} was planned and never begun.")
        elif run.status == "not finished":
            notes.append(f"Run {run_id} is not finished.")
        else:
            reason = run.result.get("reason")
            notes.append(f"Run {run_id}: {run.status}{f' ({reason})' if reason else ''}.")
    if unpictured:
        more = f" and {len(unpictured) - 3} more" if len(unpictured) > 3 else ""
        who = f"{', '.join(unpictured[:3])}{more}"
        notes.append(f"No pictures of problems (examples.safetensors) from {who}.")
