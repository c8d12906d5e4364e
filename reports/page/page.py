"""The page: one self-contained HTML file, its tables and static figures readable without
scripts."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.figures import drawing
from reports.figures import styles as looks
from reports.figures.catalogue import overview, section_figures
from reports.figures.examples import ROW
from reports.figures.figure_model import Figure
from reports.figures.reach import reach
from reports.figures.styles import Style, styles_of
from reports.narrative.answer import answer
from reports.narrative.summary import COLUMNS, summary
from reports.narrative.unanswered import unanswered
from reports.narrative.who_wins import advice, who_wins
from reports.page import tables
from reports.page.aggregates import aggregates_table, profiles, scores_of
from reports.page.axes import axes_parts
from reports.page.cite import citation
from reports.page.filters import Filters, filters_of
from reports.page.ledger import read_ledger
from reports.page.pictures import pictures, side_by_side
from reports.page.probe_table import probe_part
from reports.page.runs import configurations
from reports.page.search import search_table
from reports.read.formats import listed, percent
from reports.read.load import Records
from reports.read.rules import CHOSEN, RULES, interval_note, main_rule
from reports.read.sections import Section, sections, sections_by_study
from reports.read.stored import items

Part = dict[str, Any]  # what the template reads
_TEMPLATES = Path(__file__).parents[1] / "templates"
MOST_OPEN = 6  # sections that a page shows unfolded
MOST_KEYS = 12  # paradigms whose names stand at the top; of more, each figure names its own
LARGEST_PLAIN = 8192  # bytes of a CSV file that stands in the page as it is


def render(records: Records) -> str:
    """The whole page as text."""
    shown = sections(records.rows)
    styles = styles_of(records.rows)
    notes, rule = list(records.notes), main_rule(records.rows)
    headline = overview(shown, "overview")
    far = reach(shown, "reach")
    ledger = read_ledger(records.folder, notes)
    filters = filters_of(records, shown, ledger)
    detailed = _detailed(shown, records, filters)
    details = [_section_part(s, records, styles, f"t{i}", notes) for i, s in enumerate(detailed)]
    own = details
    if detailed is not shown:
        places = {s.task: f"t{i}" for i, s in reversed(list(enumerate(detailed)))}
        own = [_about(s, records, styles, places[s.task]) for s in shown]
    parts = [part | _answered(s) for s, part in zip(shown, own, strict=True)]
    axes, search = axes_parts(records, shown, styles), search_table(records.folder, notes)
    for beside in [part["beside"] for part in parts if part["beside"]][:1]:
        beside["first"] = True  # it stands at the top of the page
    mapped = [part for part in parts if part["map"]]
    figures = [f for f in (headline, far) if f]
    figures += [f for part in details for f in part["figures"].values()]
    data = {
        "series": [{"name": name} for name in styles],
        "figures": {f.key: drawing.figure_data(f, styles) for f in figures},
    }
    return _environment().get_template("page.html").render(
        study=_study_part(records),
        series=[(s.index, name, Markup(drawing.swatch(s))) for name, s in styles.items()],
        overview=headline,
        reach=far,
        mapped=mapped,
        advice=_advice(mapped),
        wide=len(details) > MOST_OPEN,
        contents=_contents(details, mapped, ledger is not None, axes, search),
        summary_columns=COLUMNS,
        parts=parts,
        details=details,
        axes=axes,
        configurations=configurations(records, shown, styles),
        colours=[style.colour for style in styles.values()],
        families=[style.family for style in styles.values()],
        many=len(styles) > MOST_KEYS,
        filters=filters,
        citation=citation(_versions(records)),
        ledger=ledger,
        search=search,
        notes=notes,
        remarks=records.remarks,
        rule=RULES[rule],
        chosen=CHOSEN.get(rule, ""),
        unanswered=unanswered(records),
        draw=lambda figure: _figure_part(figure, styles),
        data=Markup(_script_json(data)),
        light=looks.COLOURS_LIGHT,
        dark=looks.COLOURS_DARK,
        ink=looks.ink,
        inks=looks.INK,
        row_length=ROW,
    )  # fmt: skip


def _advice(mapped: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    """Sentences, and for each the parts of the page that it rests on."""
    named = {part["map"].name: part for part in mapped}
    return [
        (one.text, [named[task] for task in one.tasks])
        for one in advice(part["map"] for part in mapped)
    ]


def _contents(
    parts: Sequence[Part],
    mapped: Sequence[Part],
    claims: bool,
    axes: Sequence[Part],
    search: Sequence[Part],
) -> list[tuple[str, str, Part]]:
    """Sections of the page by id, in its order, with what each is of."""
    whole: Part = {}
    return [
        ("answer", "The answer", whole),
        *([("map", "Who is ahead where", whole)] if mapped else []),
        *([("ledger", "Claims", whole)] if claims else []),
        *((part["id"], part["name"], part) for part in parts),
        *((part["id"], f"Other axes: {part['title']}", part) for part in axes),
        *([("search", "Search", whole)] if search else []),
        ("runs", "Runs", whole),
        ("left-out", "Left out", whole),
        ("methods", "Methods", whole),
        ("command", "Reproduce", whole),
        ("cite", "Cite", whole),
    ]


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


def _figure_part(figure: Figure, styles: dict[str, Style]) -> Part:
    drawn = drawing.figure_svgs(figure, styles)
    shown = {line.series for panel in figure.panels for line in panel.lines}
    named = {
        line.series
        for panel, one in zip(figure.panels, drawn, strict=True)
        for line in panel.lines
        if one.room
    }
    return {
        "download": _download(figure.key, figure.csv()),
        "wide": len(drawn) == 1,
        "named": named == shown,
        "shown": sorted(styles[series].index for series in shown),
        "panels": [
            {"title": panel.title, "task": panel.task, "svg": Markup(one.svg), "room": one.room}
            for panel, one in zip(figure.panels, drawn, strict=True)
        ],
    }


def _study_part(records: Records) -> Part:
    study, one = records.study, records.tested.drop_duplicates("run_id")

    def stored(name: str, default: str = "") -> str:
        return str(study.get(name) or default)

    def of_runs(column: str) -> str:
        return ", ".join(sorted(set(one[column]) - {""}))

    return {
        "title": stored("title", "When does recurrence beat feed-forward depth?"),
        "created": stored("created")[:10],
        "command": stored("command"),
        "table": _table_file(records.folder),
        "preset": of_runs("preset") or stored("preset"),
        "runs": len(one),
        "seeds": int(one["seed"].nunique()),
        "devices": of_runs("device"),
        "matched": [str(line) for line in items(study.get("matched"))],
        "precisions": of_runs("precision"),
        "versions": _versions(records),
    }


def _versions(records: Records) -> str:
    """The versions of the library that made the runs."""
    found = {
        str(run.result["version"]) for run in records.runs.values() if run.result.get("version")
    }
    return ", ".join(sorted(found))


def _detailed(shown: list[Section], records: Records, filters: Filters) -> list[Section]:
    """The sections that stand on the page in full: by task or, of several studies, by study, each
    with the few networks that it compares."""
    if not filters.studies:
        return shown
    runs = records.tested.drop_duplicates("run_id")
    networks = dict(zip(runs["run_id"], runs["network"], strict=True))
    return sections_by_study(records.rows, networks, filters.studies)


def _answered(section: Section) -> Part:
    """What the top of the page alone shows of a section."""
    return {"answer": answer(section), "summary": summary(section), "map": who_wins(section)}


def _about(section: Section, records: Records, styles: dict[str, Style], prefix: str) -> Part:
    """What the top of the page and a section's own place both show. prefix: that place."""
    return {
        "id": prefix,
        "name": section.name,
        "task": section.task,
        "study": section.study,
        "chance": percent(section.chance) if section.chance > 0 else "",
        "goal": percent(section.goal),
        "beside": side_by_side(section, records.runs, styles),
    }


def _table_file(folder: Path) -> str:
    """The table beside the page; folders of kept records have the Parquet alone."""
    names = ("results.csv", "results.parquet")
    return next((name for name in names if (folder / name).exists()), names[0])


def _section_part(
    section: Section, records: Records, styles: dict[str, Style], prefix: str, notes: list[str]
) -> Part:
    only, home, runs = section.only, section.home, records.runs
    figures = section_figures(section, runs, prefix)
    scores = scores_of(section)
    if profile := profiles(section, scores, f"{prefix}-profile"):
        figures["profile"] = profile
    probes = probe_part(section, records, styles, notes)
    return _about(section, records, styles, prefix) | {
        "columns": ["solved"] if only else [section.label(d) for d in section.difficulties],
        "heading": "" if only else section.difficulty_name,
        "difficulty_name": section.difficulty_name,
        "trained": [] if only else [section.label(d) for d in section.train_difficulties],
        "sizes": len(section.sizes),
        "samples": tables.samples_table(section, styles),
        "accuracy": tables.accuracy_table(section, styles),
        "rules": tables.rules_table(section, styles),
        "intervals": interval_note(section.best),
        "oracle": bool((section.main["exit_rule"] == "oracle").any()),
        "aggregates": aggregates_table(section, scores, styles),
        "compute": tables.compute_table(section, runs, styles),
        "answered_at": "" if home is None else section.place(home),
        "speed": tables.speed_table(section, styles),
        "stopping": tables.stopping_table(section, runs, styles),
        "stopping_problems": tables.stopping_problems(section, runs),
        "pruning": tables.pruning_table(section, runs, styles),
        "figures": figures,
        "probes": probes,
        "inside": _inside(figures, bool(probes)),
        "pictures": pictures(section, runs, styles, notes),
    }


def _inside(figures: dict[str, Figure], probed: bool) -> str:
    """What the folded part at the end of a section holds; empty where that is nothing."""
    there = (
        ("training curves", "training" in figures),
        ("recovery from perturbations", bool({"recovery", "recovery-trained"} & figures.keys())),
        ("probes of the networks' internals", probed),
    )
    return listed([words for words, shown in there if shown], 3).capitalize()
