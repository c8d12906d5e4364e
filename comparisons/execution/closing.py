"""What a study ends with on the terminal: a table of what was found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from foundations.measures import aggregate

_KIND = ["label", "train_samples", "test_difficulty"]
RULE = "validated"  # the number of iterations is fixed on validation problems, as in the report


def results_table(table: pd.DataFrame, run_ids: Iterable[str]) -> Group:
    """Task × paradigm: accuracy at the trained and at the hardest difficulty, samples, parameters,
    minutes.

    table: of `reading.collect`. run_ids: of the study; others in the folder are left out.
    """
    rows = table[table["run_id"].isin(set(run_ids)) & (table["test_task"] == table["task"])]
    sections: list[RenderableType] = []
    for task, of_task in rows.groupby("task", sort=False):
        hardest = of_task.groupby("run_id")["test_difficulty"].transform("max")
        for places, group in of_task.groupby([of_task["train_difficulty"], hardest]):
            trained, most = cast("tuple[float, float]", places)
            sections += [Text(), *_section(str(task), trained, most, group)]
    return Group(*sections)


def _section(
    task: str, trained: float, hardest: float, rows: pd.DataFrame
) -> tuple[RenderableType, RenderableType]:
    names = dict(zip(rows["test_difficulty"], rows["difficulty_label"], strict=True))
    unit = next((name for name in rows["difficulty_name"] if isinstance(name, str)), "difficulty")
    seeds = rows["seed"].nunique()
    title = f"{task}: accuracy in % with 95 % interval" + (
        f", means over {seeds} seeds" if seeds > 1 else ""
    )
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    grid.add_column("paradigm", overflow="fold")
    grid.add_column("samples", justify="right", no_wrap=True)
    grid.add_column(f"{unit} {names.get(trained, f'{trained:g}')}\n(trained)")
    if hardest != trained:
        grid.add_column(f"{unit} {names[hardest]}\n(hardest)")
    grid.add_column("params", justify="right", no_wrap=True)
    grid.add_column("minutes", justify="right", no_wrap=True)
    scored = aggregate(rows[rows["exit_rule"] == RULE], _KIND)
    by_kind = rows.drop_duplicates("run_id").groupby(["label", "train_samples"], sort=False)
    facts = [(*cast("tuple[str, float]", kind), runs) for kind, runs in by_kind]
    facts.sort(key=lambda one: (-one[1], -_best(scored, one[0], one[1], hardest)))
    for label, samples, runs in facts:
        mine = scored[(scored["label"] == label) & (scored["train_samples"] == samples)]
        cells = {row["test_difficulty"]: _accuracy(row) for _, row in mine.iterrows()}
        # Training that came to nothing has no accuracy, and says what became of it.
        ended = ", ".join(sorted(set(runs["status"]) - {"complete"}))
        shown = [cells.get(at, ended or "–") for at in dict.fromkeys((trained, hardest))]
        grid.add_row(
            Text(str(label)),
            f"{samples:,.0f}",
            *shown,
            f"{runs['parameters'].mean():,.0f}",
            _minutes(runs["train_seconds"].mean()),
        )
    return Text(title, style="bold"), grid


def _best(scored: pd.DataFrame, label: str, samples: float, difficulty: float) -> float:
    at = scored[
        (scored["label"] == label)
        & (scored["train_samples"] == samples)
        & (scored["test_difficulty"] == difficulty)
    ]
    return float(at["mean"].iloc[0]) if len(at) else -1.0


def _accuracy(row: pd.Series) -> str:
    mean, low, high = (_percent(row[name]) for name in ("mean", "low", "high"))
    return f"{mean} ({low}–{high})"


def _percent(share: float) -> str:
    return "100" if share > 0.9995 else f"{100 * share:.1f}"


def _minutes(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    return f"{seconds / 60:.1f}" if seconds < 594 else f"{seconds / 60:.0f}"


def print_results(table: pd.DataFrame, run_ids: Iterable[str]) -> None:
    """To standard output, as wide as the terminal, or 80 columns."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(results_table(table, run_ids))
