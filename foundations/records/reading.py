"""Reading what runs have written, and the table of all of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from foundations.errors import one_line
from foundations.files import part_of
from foundations.records.labels import labels
from foundations.records.result import COLUMNS, WORDS, Result
from foundations.records.spec import RunSpec


def read_json(path: Path) -> Any:
    """What a JSON file holds. ValueError, whatever is wrong with it; FileNotFoundError where there
    is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:  # brackets in brackets in brackets
        raise ValueError("nested too deep") from error


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run's folder. ValueError for one that can't be read, FileNotFoundError where
    there is none."""
    return RunSpec.from_dict(read_json(folder / "spec.json"))


def read_result(folder: Path) -> Result:
    """The result of a run's folder. ValueError unless it is a whole one, FileNotFoundError where
    there is none."""
    stored = read_json(folder / "result.json")
    if not isinstance(stored, dict) or stored.get("run_id") != folder.name:
        raise ValueError(f"result.json is not of run {folder.name}")
    rows = stored.get("rows")
    if not isinstance(stored.get("status"), str) or not isinstance(rows, list):
        raise ValueError("result.json has no status or no rows")
    for row in rows:
        for name, value in row.items() if isinstance(row, dict) else [("row", row)]:
            if name in COLUMNS and not _fits(name, value):
                raise ValueError(f"result.json has {str(value)[:40]!r} for {name}")
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("result.json has rows that are none")
    return Result.from_dict(stored)


def _fits(column: str, value: Any) -> bool:
    if value is None:
        return True
    if column in WORDS:
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def collect(out: Path) -> tuple[pd.DataFrame, list[str]]:
    """All complete runs of a results folder as one tidy table, and a line for each that can't be
    read."""
    rows, specs, odd = [], [], []
    for path in sorted((out / "runs").glob("*/result.json")):
        try:
            spec = read_spec(path.parent)
            rows += read_result(path.parent).rows
            specs.append(spec)
        except (ValueError, OSError) as error:
            odd.append(f"{path.parent.name}: {one_line(error)}")
    table = pd.DataFrame(rows)
    own = [row for row in rows if row.get("test_task", row.get("task")) == row.get("task")]
    units = {str(row.get("task")): str(row.get("difficulty_name") or "difficulty") for row in own}
    named = labels(specs, units)
    if len(table):
        table["label"] = table["run_id"].map(named)
    return table.reindex(columns=list(COLUMNS)), odd


def write_table(out: Path, table: pd.DataFrame) -> None:
    """results.parquet and results.csv, each whole or not at all."""
    for name, write in (("results.parquet", table.to_parquet), ("results.csv", table.to_csv)):
        part = part_of(out / name)
        write(part, index=False)
        os.replace(part, out / name)
