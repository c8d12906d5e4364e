"""The runs, those without a result among them, and the configurations that they are seeds of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from foundations.measures import aggregate
from foundations.records.made import Made
from reports.figures.drawing import curves_svg, dots_svg
from reports.figures.styles import Style
from reports.figures.training import validation_curve
from reports.read.formats import count, human, percent
from reports.read.load import Records, Run
from reports.read.rules import by_rule, main_rule
from reports.read.sections import Section
from reports.read.stored import number

Entry = dict[str, Any]
MOST_CURVE = 24  # points of a learning curve in the table
_SHOWN = ("trained", "hardest")


def configurations(
    records: Records, shown: list[Section], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    """Runs that differ in their seed alone, as one row: a dot a seed, and what its runs share."""
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for run in runs_table(records, shown, styles):
        samples = None if math.isnan(run["samples"]) else run["samples"]
        key = (run["task"], run["series"], run["trained_on"], samples)
        alike.setdefault(key, []).append(run)
    return [_configuration(runs, records.runs) for runs in alike.values()]


def _configuration(runs: list[Entry], stored: Mapping[str, Run]) -> Entry:
    first = runs[0]
    of = [stored.get(run["id"], Run(run["id"])) for run in runs]
    curves = [validation_curve(first["series"], run, MOST_CURVE) for run in of]
    networks = _networks(runs)
    means = {name: _mean([one[name] for one in networks]) for name in (*_SHOWN, "seconds")}
    complete = sum(run["status"] == "complete" for run in runs)
    makers = {
        Made.of(run.result.get("precision"), run.result.get("device"), run.result.get("version"))
        for run in of
        if run.result
    }
    return {
        "task": first["task"],
        "on": first["on"],
        "series": first["series"],
        "index": first["index"],
        "train_difficulty": first["train_difficulty"],
        "trained_on": first["trained_on"],
        "samples": first["samples"],
        "parameters": first["parameters"],
        "parameters_short": human(first["parameters"]) if first["parameters"] > 0 else "–",
        **means,
        "words": {name: percent(means[name]) for name in _SHOWN}
        | {"samples": count(first["samples"]), "seconds": count(means["seconds"])},
        "dots": {name: Markup(dots_svg([one[name] for one in networks])) for name in _SHOWN},
        "seeds": len(networks),
        "status": "complete" if complete == len(runs) else _not_complete(runs, complete),
        "runs": runs,
        "settings": _settings(of[0].spec),
        "made": "; ".join(sorted(str(made) for made in makers)),
        "curve": Markup(curves_svg([line for lines in curves for line in lines])),
    }  # fmt: skip


def _networks(runs: list[Entry]) -> list[Entry]:
    """A row a network, however often it was tested: its test that went farthest, and what any says
    of the difficulty it was trained on."""
    tests: dict[str, list[Entry]] = {}
    for run in runs:
        tests.setdefault(run["network"] or run["id"], []).append(run)
    found = []
    for mine in tests.values():
        farthest = max(mine, key=lambda run: (run["tested_to"], math.isfinite(run["hardest"])))
        trained = next((run["trained"] for run in mine if math.isfinite(run["trained"])), math.nan)
        found.append(farthest | {"trained": trained})
    return found


def _not_complete(runs: list[Entry], complete: int) -> str:
    if len(runs) == 1:
        return str(runs[0]["status"])
    return f"{complete} of {len(runs)} complete"


def _mean(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _settings(spec: Entry) -> list[tuple[str, str]]:
    """What a run was trained with, part by part, as `key=value`."""
    parts = ("task_options", "paradigm_options", "train", "evaluation")
    said = []
    for part in parts:
        values = spec.get(part)
        if isinstance(values, dict) and values:
            words = (f"{key}={_value(value)}" for key, value in values.items())
            said.append((part.replace("_", " "), ", ".join(words)))
    return said


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


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
                "on": row["task"],
                "series": row["series"],
                "index": styles[row["series"]].index,
                "train_difficulty": math.nan if section.only else trained,
                "trained_on": section.place(trained) if placed else "–",
                "samples": row["train_samples"],
                "trained": accuracy.get((run_id, trained), math.nan),
                "hardest": accuracy.get((run_id, hardest.get(run_id)), math.nan),
                "tested_to": hardest.get(run_id, -math.inf),
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
        "on": str(spec.get("task", "unknown")),
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
        "tested_to": -math.inf,
        "seconds": number(result.get("train_seconds")),
        "status": run.status,
        "reason": str(result.get("reason") or ""),
        "network": "",
        "command": str(result.get("command") or ""),
    }
