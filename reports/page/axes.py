"""Tests along other axes than difficulty: a table a task, networks by axes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.figures.styles import Style
from reports.read.formats import count, points, span
from reports.read.load import Records
from reports.read.rules import interval_note
from reports.read.sections import Accuracy, Section, sections
from reports.read.series import titles_of
from reports.read.stored import part_of


def axes_parts(
    records: Records, shown: list[Section], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """What the page shows, a task each: its axes with their options, and a group of rows for each
    network, of one section or several; nothing where no network was tested so."""
    if records.axes.empty:
        return []
    usual = {section.name: section for section in shown}
    return [
        _part(str(task), rows, records, usual, styles) | {"id": f"axes-{place}"}
        for place, (task, rows) in enumerate(records.axes.groupby("task", sort=False))
    ]


def _part(
    task: str,
    rows: pd.DataFrame,
    records: Records,
    usual: dict[str, Section],
    styles: dict[str, Style],
) -> dict[str, Any]:
    runs = [records.runs[r] for r in rows["run_id"].unique() if r in records.runs]
    own = part_of(runs[0].spec, "task_options") if runs else {}
    options: dict[str, Any] = {}
    for test in (test for run in runs for test in run.tests or (run,)):
        options = part_of(part_of(test.spec, "evaluation"), "axes") | options
    tested = {label: label.partition(":")[2] for label in rows["test_task"].unique()}
    names = [name for name in options if name in tested.values()]
    names += [name for name in tested.values() if name not in names]
    # Each axis as a section of its own: the same means and intervals as elsewhere on the page.
    by_axis = {
        name: {s.name: s for s in sections(rows[rows["test_task"] == f"{task}:{name}"])}
        for name in names
    }
    owners = rows.drop_duplicates(["section", "series"])[["section", "series"]]
    several = owners["section"].nunique() > 1
    groups = []
    for section, series in owners.itertuples(index=False):
        here = {name: found[section] for name, found in by_axis.items() if section in found}
        one = next(iter(here.values()))
        levels = sorted({d for found in here.values() for d in found.labels})
        columns = [usual.get(section), *(here.get(name) for name in names)]
        cells = [[_cell(column, series, d) for column in columns] for d in levels]
        groups.append({
            "series": series,
            "index": styles[series].index if series in styles else -1,
            "trained": f"trained on {section}" if several else "",
            "rows": [
                {"place": one.place(d), "trained": d in one.train_difficulties, "cells": each}
                for d, each in zip(levels, cells, strict=True)
            ],
        })  # fmt: skip
    first = next(iter(next(iter(by_axis.values())).values()))
    return {
        "task": task,
        "title": titles_of("task", rows, records.runs).get(task, task),
        "axes": [{"name": name, "options": _said(options.get(name), own)} for name in names],
        "groups": groups,
        "intervals": interval_note(first.best),
    }


def _said(options: Any, own: dict[str, Any]) -> str:
    """`loops=0.1, ties=redrawn`: in what an axis differs from the options trained with, `own`."""
    if not isinstance(options, dict):
        return ""
    return ", ".join(f"{k}={v}" for k, v in options.items() if own.get(k) != v)


def _cell(section: Section | None, series: str, difficulty: float) -> dict[str, Any] | None:
    cell: Accuracy | None = section.cell(series, difficulty) if section else None
    if cell is None:
        return None
    basis = f"{cell.seeds_text}; {count(cell.n_test)} problems each"
    return {"text": points(cell.mean), "span": span(cell.low, cell.high), "basis": basis}
