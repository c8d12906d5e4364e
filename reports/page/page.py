"""The page: one self-contained HTML file, its tables and static figures readable without
scripts."""

from __future__ import annotations

import base64
import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.figures.catalogue import overview, section_figures
from reports.figures.drawing import (
    COLOURS_DARK,
    COLOURS_LIGHT,
    DASHES,
    MARKERS,
    MOST_BARS,
    Style,
    figure_data,
    panel_svg,
    swatch,
)
from reports.figures.figure_model import Figure
from reports.figures.perturbed import struck_parts
from reports.figures.pictures import ROW, Example, Thought, read_examples, read_thoughts
from reports.figures.probes import inside_part
from reports.figures.stopping import stopping_table
from reports.narrative.narrative import verdict
from reports.page.ledger import read_ledger
from reports.page.search import search_table
from reports.page.tables import (
    accuracy_table,
    compute_table,
    pruning_table,
    rules_table,
    runs_table,
    speed_table,
)
from reports.read.load import Records, Run
from reports.read.summary import (
    RULES,
    Section,
    interval_words,
    main_rule,
    percent,
    plural,
    sections,
)

_TEMPLATES = Path(__file__).parents[1] / "templates"
LARGEST_PLAIN = 8192  # bytes of a CSV file that stands in the page as it is


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
        runs=runs_table(records, found, styles),
        ledger=read_ledger(records.folder, notes),
        search=search_table(records.folder, notes),
        notes=notes,
        remarks=records.remarks,
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
    """plotly.js, gzipped and in base64: a third of the page, and nothing for the parser to trip
    over."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def _script_json(data: Any) -> str:
    """JSON that cannot leave a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _download(name: str, text: str) -> dict[str, str]:
    """A CSV file inside the page. Large ones are gzipped, which pandas and others read as they are:
    a third of the page of 180 runs was such files."""
    data, kind, ending, words = text.encode(), "text/csv;charset=utf-8", "csv", "Data (CSV)"
    if len(data) > LARGEST_PLAIN:
        data = gzip.compress(data, 9, mtime=0)
        kind, ending, words = "application/gzip", "csv.gz", "Data (CSV, gzipped)"
    href = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return {"name": f"{name}.{ending}", "href": href, "words": words}


def _figure_part(figure: Figure, styles: dict[str, Style]) -> dict[str, Any]:
    wide = len(figure.panels) == 1
    return {
        "key": figure.key,
        "title": figure.title,
        "caption": figure.caption,
        "download": _download(figure.key, figure.csv()),
        "wide": wide,
        "panels": [
            {
                "title": p.title,
                "svg": Markup(panel_svg(p, styles, f"{figure.title}. {p.title}", wide)),
            }
            for p in figure.panels
        ],
    }


def _lines(stored: Any) -> list[Any]:
    return stored if isinstance(stored, list) else []


def _study_part(records: Records) -> dict[str, Any]:
    rows, study = records.tested, records.study
    one = rows.drop_duplicates("run_id")
    return {
        "title": str(study.get("title") or "When does recurrence beat feed-forward depth?"),
        "created": str(study.get("created") or ""),
        "command": str(study.get("command") or ""),
        "preset": ", ".join(sorted(set(one["preset"]) - {""})) or str(study.get("preset") or ""),
        "runs": len(one),
        "seeds": int(one["seed"].nunique()),
        "devices": ", ".join(sorted(set(one["device"]) - {""})),
        "matched": [str(line) for line in _lines(records.study.get("matched"))],
        "precisions": ", ".join(sorted(set(one["precision"]) - {""})),
    }


def _section_part(
    section: Section,
    records: Records,
    styles: dict[str, Style],
    prefix: str,
    notes: list[str],
) -> dict[str, Any]:
    place = section.home
    return {
        "id": prefix,
        "name": section.name,
        "verdict": verdict(section),
        "columns": ["solved"]
        if section.only
        else [section.labels[d] for d in section.difficulties],
        "heading": "" if section.only else section.difficulty_name,
        "difficulty_name": section.difficulty_name,
        "trained": []
        if section.only
        else [section.labels.get(d, f"{d:g}") for d in section.train_difficulties],
        "chance": percent(section.chance) if section.chance > 0 else "",
        "sizes": len(section.sizes),
        "accuracy": accuracy_table(section, styles),
        "rules": rules_table(section, styles),
        "intervals": interval_words(section.best),
        "oracle": bool((section.main["exit_rule"] == "oracle").any()),
        "compute": compute_table(section, styles),
        "answered_at": "" if place is None else section.place(place),
        "speed": speed_table(section, styles),
        "stopping": stopping_table(section, records.runs, styles),
        "pruning": pruning_table(section, records.runs, styles),
        "figures": section_figures(section, records.runs, prefix),
        "inside": inside_part(section, records, styles, notes),
        "pictures": _pictures(section, records.runs, styles, notes),
    }


def _pictures(
    section: Section, runs: dict[str, Run], styles: dict[str, Style], notes: list[str]
) -> list[dict[str, Any]]:
    """Per series the examples of its first run that has any, at the trained and a harder
    difficulty."""
    trained = [d for d in section.train_difficulties if d in section.labels][-1:]
    harder = [d for d in section.difficulties if not trained or d > trained[0]]
    levels = list(dict.fromkeys([*trained, *harder[:1], *harder[-1:]]))
    out = []
    for series in section.series:
        mine = section.main.loc[section.main["series"] == series, "run_id"].unique()
        for run_id in mine:
            if run_id not in runs:
                continue
            examples, thoughts, struck = _stored_pictures(runs[run_id], levels, section, notes)
            if examples:
                shown = [_example_part(e, section) for e in examples]
                index = styles[series].index
                formed = [{"place": section.place(float(t.level)), "thought": t} for t in thoughts]
                out.append(
                    {
                        "series": series,
                        "index": index,
                        "run": run_id,
                        "examples": shown,
                        "thoughts": formed,
                        "struck": struck,
                    }
                )
                break
    return out


def _stored_pictures(
    run: Run, levels: list[float], section: Section, notes: list[str]
) -> tuple[list[Example], list[Thought], list[dict[str, Any]]]:
    """Examples, thoughts and what perturbations did, at each level from the first of the network's
    tests that holds any."""
    examples: list[Example] = []
    thoughts: list[Thought] = []
    struck: list[dict[str, Any]] = []
    left = levels
    for test in run.tests or (run,):
        if test.examples is None or not left:
            continue
        names = [f"{d:g}" for d in left]
        try:
            found = read_examples(test.examples, names)
            formed = read_thoughts(test.examples, names)
            struck = struck or struck_parts(test.examples, left, section)
        except ValueError as error:
            notes.append(f"runs/{test.run_id}: {error}; its pictures are left out.")
            continue
        examples, thoughts = examples + found, thoughts + formed
        left = [d for d in left if f"{d:g}" not in {e.level for e in found}]
    place = {f"{d:g}": i for i, d in enumerate(levels)}
    return (
        sorted(examples, key=lambda e: place[e.level]),
        sorted(thoughts, key=lambda t: place[t.level]),
        struck,
    )


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
