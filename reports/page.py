"""The page: one self-contained HTML file, its tables and static figures readable without scripts."""

from __future__ import annotations

import base64
import gzip
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.drawing import (
    COLOURS_DARK,
    COLOURS_LIGHT,
    DASHES,
    MARKERS,
    MOST_BARS,
    Style,
    figure_data,
    human,
    panel_svg,
    swatch,
)
from reports.figures import Figure, overview, section_figures
from reports.load import Records, Run
from reports.pictures import ROW, Example, read_examples
from reports.summary import (
    RULES,
    Section,
    aggregate,
    by_rule,
    count,
    main_rule,
    peaks,
    percent,
    plural,
    points,
    sections,
    seeds_text,
    span,
)
from reports.words import verdict

_TEMPLATES = Path(__file__).parent / "templates"


def write_atomically(path: Path, text: str) -> Path:
    """Write a file whole or not at all; returns its path."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def render(records: Records) -> str:
    """The whole page as text."""
    found = sections(records.rows)
    names = list(dict.fromkeys(records.rows["series"]))
    styles = {name: Style(i) for i, name in enumerate(names)}
    notes = list(records.notes)
    top = overview(found, "overview")
    parts = [
        _section_part(section, records, styles, f"t{i}", notes) for i, section in enumerate(found)
    ]
    figures = [top] if top else []
    figures += [f for part in parts for f in part["figures"].values()]
    data = {
        "series": [{"name": n, "marker": s.marker, "dash": s.dash, "colour": s.colour}
                   for n, s in styles.items()],
        "light": COLOURS_LIGHT,
        "dark": COLOURS_DARK,
        "markers": [name for name, _ in MARKERS],
        "dashes": [name for name, _ in DASHES],
        "bars": MOST_BARS,
        "figures": {f.key: figure_data(f, styles) for f in figures},
    }  # fmt: skip
    return _environment().get_template("page.html").render(
        study=_study_part(records),
        series=[(s.index, name, Markup(swatch(s))) for name, s in styles.items()],
        overview=top,
        parts=parts,
        runs=_runs_table(records, found, styles),
        notes=notes,
        rule=RULES[main_rule(records.rows)],
        draw=lambda figure: _figure_part(figure, styles),
        data=Markup(_script_json(data)),
        plotly=Markup(_plotly_source()),
        light=COLOURS_LIGHT,
        dark=COLOURS_DARK,
        row_length=ROW,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["include_raw"] = lambda name: Markup((_TEMPLATES / name).read_text("utf-8"))
    return environment


@lru_cache(maxsize=1)
def _plotly_source() -> str:
    """plotly.js, gzipped and in base64: a third of the page, and nothing for the parser to trip over."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def _script_json(data: Any) -> str:
    """JSON that cannot leave a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data_uri(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()


def _figure_part(figure: Figure, styles: dict[str, Style]) -> dict[str, Any]:
    wide = len(figure.panels) == 1
    return {
        "key": figure.key,
        "title": figure.title,
        "caption": figure.caption,
        "csv": _data_uri(figure.csv()),
        "wide": wide,
        "panels": [
            {
                "title": p.title,
                "svg": Markup(panel_svg(p, styles, f"{figure.title}. {p.title}", wide)),
            }
            for p in figure.panels
        ],
    }


def _study_part(records: Records) -> dict[str, Any]:
    rows, study = records.rows, records.study
    one = rows.drop_duplicates("run_id")
    return {
        "title": str(study.get("title") or "When does recurrence beat feed-forward depth?"),
        "created": str(study.get("created") or ""),
        "command": str(study.get("command") or ""),
        "preset": ", ".join(sorted(set(one["preset"]) - {""})) or str(study.get("preset") or ""),
        "runs": len(one),
        "seeds": int(one["seed"].nunique()),
        "devices": ", ".join(sorted(set(one["device"]) - {""})),
        "precisions": ", ".join(sorted(set(one["precision"]) - {""})),
    }


def _section_part(
    section: Section,
    records: Records,
    styles: dict[str, Style],
    prefix: str,
    notes: list[str],
) -> dict[str, Any]:
    return {
        "id": prefix,
        "name": section.name,
        "verdict": verdict(section),
        "columns": [section.labels[d] for d in section.difficulties],
        "difficulty_name": section.difficulty_name,
        "trained": [section.labels.get(d, f"{d:g}") for d in section.train_difficulties],
        "chance": percent(section.chance) if section.chance > 0 else "",
        "accuracy": _accuracy_table(section, styles),
        "rules": _rules_table(section, styles),
        "compute": _compute_table(section, styles),
        "figures": section_figures(section, records.runs, prefix),
        "pictures": _pictures(section, records.runs, styles, notes),
    }


def _accuracy_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    best = section.best
    tops = best.groupby("test_difficulty")["mean"].max()
    main = section.main.drop_duplicates("run_id")
    table = []
    for series in section.series:
        mine = best[best["series"] == series].set_index("test_difficulty")
        runs = main[main["series"] == series]
        lost = int((runs["status"] != "complete").sum())
        seeds = int(mine["seeds"].max()) if len(mine) else 0
        cells = []
        for d in section.difficulties:
            if d not in mine.index:
                cells.append(None)
                continue
            cell = mine.loc[d]
            cells.append(
                {
                    "value": float(cell["mean"]),
                    "text": points(cell["mean"]),
                    "span": span(cell["low"], cell["high"]),
                    "top": bool(cell["mean"] >= tops[d] and cell["mean"] > section.chance),
                    "basis": f"{seeds_text(cell)}; {count(cell['n_test'])} problems each",
                    "partial": int(cell["seeds"]) < seeds,
                }
            )
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "seeds": seeds,
                "lost": lost,
                "samples": count(runs["train_samples"].max()),
                "parameters": count(runs["parameters"].mean()),
                "problems": count(mine["n_test"].min()) if len(mine) else "–",
                "cells": cells,
            }
        )
    return table


def _rules_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    """A group per network that could go on: blind rules one below the other, then the peak."""
    top = peaks(section.main)
    order = {rule: i for i, rule in enumerate(RULES)}
    groups = []
    for series in section.series:
        if not section.recurrent.get(series):
            continue
        mine = section.ruled[section.ruled["series"] == series]
        rows = [
            _rule_row(section, RULES.get(rule, rule), mine[mine["rule"] == rule])
            for rule in sorted(mine["rule"].unique(), key=lambda r: (order.get(r, 99), r))
        ]
        best = top[top["series"] == series]
        best = best.assign(exit_mean=best["iterations"])
        rows.append(_rule_row(section, "peak over iterations, chosen on the test data", best, True))
        groups.append({"series": series, "index": styles[series].index, "rows": rows})
    return groups


def _rule_row(
    section: Section, rule: str, cells: pd.DataFrame, peak: bool = False
) -> dict[str, Any]:
    cells = cells.set_index("test_difficulty")
    out = []
    for d in section.difficulties:
        cell = cells.loc[d] if d in cells.index else None
        out.append(
            None
            if cell is None
            else {
                "text": points(cell["mean"]),
                "span": span(cell["low"], cell["high"]),
                "iterations": f"{cell['exit_mean']:.4g}" if np.isfinite(cell["exit_mean"]) else "",
            }
        )
    return {"rule": rule, "cells": out, "peak": peak}


def _compute_table(section: Section, styles: dict[str, Style]) -> list[dict[str, Any]]:
    table = []
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    place = (trained or section.difficulties[:1] or [None])[0]
    for series in section.series:
        runs = section.main[section.main["series"] == series].drop_duplicates("run_id")
        cell = None if place is None else section.cell(series, place)
        flops = np.nan if cell is None else cell["flops"]
        table.append(
            {
                "series": series,
                "index": styles[series].index,
                "parameters": count(runs["parameters"].mean()),
                "active": count(runs["active_parameters"].mean()),
                "samples": count(runs["train_samples"].max()),
                "examples": _human(runs["examples_seen"].mean()),
                "flops": _human(flops),
                "train_flops": _human(runs["train_flops"].mean()),
                "seconds": count(runs["train_seconds"].mean()),
                "precision": ", ".join(sorted(set(runs["precision"]) - {""})) or "–",
            }
        )
    return table


def _human(value: float) -> str:
    return human(float(value)) if np.isfinite(value) else "–"


def _pictures(
    section: Section, runs: dict[str, Run], styles: dict[str, Style], notes: list[str]
) -> list[dict[str, Any]]:
    """Per series the examples of its first run that has any, at the trained and a harder difficulty."""
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    harder = [d for d in section.difficulties if not trained or d > trained[0]]
    levels = list(dict.fromkeys([*trained, *harder[:1], *harder[-1:]]))
    out = []
    for series in section.series:
        mine = section.main.loc[section.main["series"] == series, "run_id"].unique()
        for run_id in mine:
            run = runs.get(run_id)
            if run is None or run.examples is None:
                continue
            try:
                examples = read_examples(run.examples, [f"{d:g}" for d in levels])
            except ValueError as error:
                notes.append(f"runs/{run_id}: {error}; its pictures are left out.")
                continue
            if examples:
                shown = [_example_part(e, section) for e in examples]
                index = styles[series].index
                out.append({"series": series, "index": index, "run": run_id, "examples": shown})
                break
    return out


def _example_part(example: Example, section: Section) -> dict[str, Any]:
    place = section.place(float(example.level))
    state = "solved" if example.solved else "unsolved"
    wrong = example.wrong_sites
    detail = "" if not wrong else f", {plural(wrong, 'site')} wrong"
    return {
        "place": place,
        "state": state,
        "title": f"{place}: {state}{detail}",
        "example": example,
    }


def _runs_table(
    records: Records, found: list[Section], styles: dict[str, Style]
) -> list[dict[str, Any]]:
    rows = records.rows[records.rows["test_task"] == records.rows["task"]]
    ruled = by_rule(rows)
    ruled = ruled[ruled["rule"] == main_rule(rows)]
    # One run each, so this is its own accuracy and interval.
    table = aggregate(ruled, ["run_id", "test_difficulty"]).set_index(["run_id", "test_difficulty"])
    accuracy = table["mean"].to_dict()
    by_name = {s.name: s for s in found}
    out, seen = [], set()
    for _, row in rows.drop_duplicates("run_id").iterrows():
        run = records.runs.get(row["run_id"], Run(row["run_id"]))
        section = by_name[row["section"]]
        hardest = max(section.difficulties, default=np.nan)
        seen.add(row["run_id"])
        status = run.status if run.result else row["status"]
        out.append(
            {
                "id": row["run_id"],
                "task": row["section"],
                "series": row["series"],
                "index": styles[row["series"]].index,
                "seed": row["seed"],
                "preset": row["preset"],
                "train_difficulty": row["train_difficulty"],
                "samples": row["train_samples"],
                "parameters": row["parameters"],
                "trained": accuracy.get((row["run_id"], row["train_difficulty"]), np.nan),
                "hardest": accuracy.get((row["run_id"], hardest), np.nan),
                "seconds": row["train_seconds"],
                "status": status,
                "reason": str(run.result.get("reason") or ""),
                "command": str(run.result.get("command") or ""),
            }
        )
    out += [_bare_run(run) for run_id, run in records.runs.items() if run_id not in seen]
    for row in out:
        row["words"] = {
            "seed": _plain(row["seed"]),
            "train_difficulty": _plain(row["train_difficulty"]),
            "samples": count(row["samples"]),
            "parameters": count(row["parameters"]),
            "trained": percent(row["trained"]),
            "hardest": percent(row["hardest"]),
            "seconds": count(row["seconds"]),
        }
    return out


def _plain(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else "–"


def _bare_run(run: Run) -> dict[str, Any]:
    """A run without a row of results: what its spec says."""
    from reports.load import number

    spec, result = run.spec, run.result
    return {
        "id": run.run_id,
        "task": str(spec.get("task", "unknown")),
        "series": str(spec.get("paradigm", "unknown")),
        "index": -1,
        "seed": number(spec.get("seed")),
        "preset": str(spec.get("preset", "")),
        "train_difficulty": number(spec.get("train_difficulty")),
        "samples": number(spec.get("train_samples")),
        "parameters": number(result.get("parameters")),
        "trained": np.nan,
        "hardest": np.nan,
        "seconds": number(result.get("train_seconds")),
        "status": run.status,
        "reason": str(result.get("reason") or ""),
        "command": str(result.get("command") or ""),
    }
