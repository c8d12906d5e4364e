"""The table of runs, those without a result among them."""

from __future__ import annotations

import math
from typing import Any

from foundations.measures import aggregate
from reports.figures.styles import Style
from reports.read.formats import count, percent
from reports.read.load import Records, Run
from reports.read.rules import by_rule, main_rule
from reports.read.sections import Section
from reports.read.stored import number


def runs_table(
    records: Records, shown: list[Section], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """A row a run: numbers to sort by, and `words` as they are shown."""
    rows = records.tested[records.tested["test_task"] == records.tested["task"]]
    ruled = by_rule(rows)
    ruled = ruled[ruled["rule"] == main_rule(records.rows)]
    # One run each, so this is its own accuracy and interval.
    table = aggregate(ruled, ["run_id", "test_difficulty"])
    accuracy = {
        (r, d): m
        for r, d, m in zip(*(table[c] for c in ("run_id", "test_difficulty", "mean")), strict=True)
    }
    hardest = rows[rows["accuracy"].notna()].groupby("run_id")["test_difficulty"].max().to_dict()
    by_name = {section.name: section for section in shown}
    made = []
    for _, row in rows.drop_duplicates("run_id").iterrows():
        run_id, trained, section = row["run_id"], row["train_difficulty"], by_name[row["section"]]
        run = records.runs.get(run_id, Run(run_id))
        facts = {name: row[name] for name in ("seed", "preset", "parameters")}
        placed = not section.only and math.isfinite(trained)
        made.append(
            _run(run)
            | facts
            | {
                "task": row["section"],
                "series": row["series"],
                "index": styles[row["series"]].index,
                "train_difficulty": math.nan if section.only else trained,
                "trained_on": section.place(trained) if placed else "–",
                "samples": row["train_samples"],
                "trained": accuracy.get((run_id, trained), math.nan),
                "hardest": accuracy.get((run_id, hardest.get(run_id)), math.nan),
                "seconds": row["train_seconds"],
                "status": run.status if run.result else row["status"],
                "network": "" if row["network"] == run_id else row["network"],
            }
        )
    seen = {row["id"] for row in made}
    made += [_run(run) for run_id, run in records.runs.items() if run_id not in seen]
    for entry in made:
        seed = f"{entry['seed']:g}" if math.isfinite(entry["seed"]) else "–"
        counts = {name: count(entry[name]) for name in ("samples", "parameters", "seconds")}
        shares = {name: percent(entry[name]) for name in ("trained", "hardest")}
        entry["words"] = {"seed": seed, "train_difficulty": entry["trained_on"]} | counts | shares
    return made


def _run(run: Run) -> dict[str, Any]:
    """What its spec and result say of a run, which is all for one without a row in the table."""
    spec, result = run.spec, run.result
    return {
        "id": run.run_id,
        "task": str(spec.get("task", "unknown")),
        "series": str(spec.get("paradigm", "unknown")),
        "index": -1,
        "seed": number(spec.get("seed")),
        "preset": str(spec.get("preset", "")),
        "train_difficulty": number(spec.get("train_difficulty")),
        "trained_on": "–",
        "samples": number(spec.get("train_samples")),
        "parameters": number(result.get("parameters")),
        "trained": math.nan,
        "hardest": math.nan,
        "seconds": number(result.get("train_seconds")),
        "status": run.status,
        "reason": str(result.get("reason") or ""),
        "network": "",
        "command": str(result.get("command") or ""),
    }
