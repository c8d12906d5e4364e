"""Inside the network: filters, states and receptive fields per iteration, as runs that were looked into stored them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from reports.drawing import Style
from reports.load import Records, Run, number
from reports.pictures import png_uri
from reports.shapes import Axis, Figure, Line, Panel, log_axis
from reports.summary import Section, count

_INK = np.array((0, 114, 178))
_MOST_PANELS = 3
_LIMITS = ("fixed point", "cycle", "settling", "drift")


def inside_entries(section: Section, runs: dict[str, Run]) -> list[dict[str, Any]]:
    """What the runs of a section stored about the difficulties of the task it tests, with series and run."""
    tested = set(section.main["test_task"])
    one = section.main.drop_duplicates("run_id")
    found = []
    for series, run_id in zip(one["series"], one["run_id"], strict=True):
        stored = runs[run_id].result.get("inside") if run_id in runs else None
        for entry in stored if isinstance(stored, list) else []:
            if isinstance(entry, dict) and entry.get("test_task") in tested:
                difficulty = number(entry.get("test_difficulty"))
                if difficulty in section.labels:
                    facts = {"series": series, "run_id": run_id, "difficulty": difficulty}
                    found.append({**entry, **facts})
    return found


def _numbers(value: Any) -> np.ndarray:
    """A stored list as floats, NaN for what is none; empty for anything else."""
    return np.array([number(v) for v in value]) if isinstance(value, list) else np.zeros(0)


def _part_of(entry: dict[str, Any], name: str) -> dict[str, Any]:
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def _mean(values: Any) -> float:
    """The mean of those that are numbers; NaN if none is."""
    kept = [v for v in map(number, values) if math.isfinite(v)]
    return float(np.mean(kept)) if kept else math.nan


# --- the table and the maps ----------------------------------------------------------------------------


def inside_part(
    section: Section, records: Records, styles: dict[str, Style], notes: list[str]
) -> dict[str, Any] | None:
    """The rows of the table, why networks have empty cells in it, and pictures; None where no run was looked into."""
    entries = inside_entries(section, records.runs)
    if not entries:
        return None
    rows, maps = [], []
    for series in section.series:
        own = [e for e in entries if e["series"] == series]
        for difficulty in section.difficulties:
            here = [e for e in own if e["difficulty"] == difficulty]
            if here:
                rows.append(_row(here, series, section, difficulty, styles[series].index))
        maps += _maps(own, series, section, records, styles[series].index, notes)
    return {"rows": rows, "reasons": _reasons(entries), "maps": maps}


def _row(
    here: list[dict[str, Any]], series: str, section: Section, difficulty: float, index: int
) -> dict[str, Any]:
    filters = [_part_of(e, "filters") for e in here]
    reused = _mean(f.get("reused") for f in filters)
    by_count = _mean(f.get("reused_by_count") for f in filters)
    limits = [_part_of(e, "limits") for e in here]
    ended = {kind: sum(number(part.get(kind, 0)) for part in limits) for kind in _LIMITS}
    problems = sum(number(e.get("n")) for e in here)
    explained = [_numbers(_part_of(e, "components").get("explained")) for e in here]
    explained = [e for e in explained if len(e)]
    return {
        "series": series,
        "index": index,
        "difficulty": difficulty,
        "place": section.labels[difficulty],
        "problems": count(problems) if math.isfinite(problems) else "–",
        "reused": "–" if math.isnan(reused) else f"{100 * reused:.0f} % ({100 * by_count:.0f} %)",
        "silent": _share(filters, "never_active", "filters"),
        "limits": _ended(ended, here),
        "same": _share(here, "same_answer", "n"),
        "along": " + ".join(f"{100 * v:.0f}" for v in np.mean(explained, 0)) + " %"
        if explained
        else "–",
        "field": _field(here),
    }


def _share(parts: list[dict[str, Any]], some: str, whole: str) -> str:
    if not any(some in part for part in parts):
        return "–"
    held = _mean(number(p.get(some)) / max(number(p.get(whole)), 1) for p in parts)
    return "–" if math.isnan(held) else f"{100 * held:.0f} %"


def _ended(ended: dict[str, float], here: list[dict[str, Any]]) -> str:
    """`12 fixed points, 3 cycles (periods 2, 4), 1 drifts`."""
    periods = sorted({int(p) for e in here for p in _part_of(e, "periods") if str(p).isdigit()})
    words = {
        "fixed point": "at rest",
        "cycle": "in a cycle",
        "settling": "settling",
        "drift": "moving on",
    }
    said = []
    for kind, many in ended.items():
        if many > 0:
            period = (
                f" (period {', '.join(map(str, periods))})" if kind == "cycle" and periods else ""
            )
            said.append(f"{many:g} {words[kind]}{period}")
    return ", ".join(said) or "–"


def _field(here: list[dict[str, Any]]) -> str:
    said = []
    for entry in here[:1]:
        part = _part_of(entry, "receptive")
        at, sizes = _numbers(part.get("iterations")), _numbers(part.get("radius"))
        if len(at) == len(sizes) and len(at):
            trained = np.flatnonzero(at == number(entry.get("train_iterations")))
            places = list(dict.fromkeys([*(int(t) for t in trained), len(at) - 1]))
            said = [f"{sizes[i]:.3g} (after {at[i]:g})" for i in places if math.isfinite(sizes[i])]
    return ", ".join(said) or "–"


_WHAT = {
    "filters": "Filter reuse",
    "states": "States and their limits",
    "receptive": "Receptive field",
}


def _reasons(entries: list[dict[str, Any]]) -> list[str]:
    """Why a cell is empty, a sentence a reason, with the networks it holds for."""
    why: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for name, reason in _part_of(entry, "not_applicable").items():
            held = why.setdefault((str(name), str(reason)), [])
            if entry["series"] not in held:
                held.append(entry["series"])
    return [
        f"{_WHAT.get(name, name)}: not applicable to {', '.join(held)} ({reason})."
        for (name, reason), held in why.items()
    ]


def _maps(
    own: list[dict[str, Any]],
    series: str,
    section: Section,
    records: Records,
    index: int,
    notes: list[str],
) -> list[dict[str, Any]]:
    """Pictures of the first run of a series, at the trained difficulty and the hardest looked at."""
    first = [e for e in own if e["run_id"] == own[0]["run_id"]] if own else []
    chosen = [e for e in first if e["difficulty"] in _telling(section, first)]
    made = []
    for entry in chosen:
        path = records.folder / "runs" / entry["run_id"] / "inside.safetensors"
        level = f"{entry['difficulty']:g}"
        try:
            with safe_open(path, framework="numpy") as file:
                held = {
                    name: file.get_tensor(f"{level}.{name}")
                    for name in ("activity", "receptive")
                    if f"{level}.{name}" in set(file.keys())
                }
            pictures = {
                "activity": _activity(held.get("activity"), _part_of(entry, "filters")),
                "receptive": _fields(held.get("receptive"), _part_of(entry, "receptive")),
            }
        except (SafetensorError, OSError, ValueError, TypeError, IndexError) as error:
            notes.append(
                f"runs/{entry['run_id']}: inside.safetensors could not be read ({type(error).__name__}); its "
                "pictures are left out."
            )
            break
        if any(pictures.values()):
            place = section.place(entry["difficulty"])
            made.append(
                {
                    "series": series,
                    "index": index,
                    "run": entry["run_id"],
                    "place": place,
                    **pictures,
                }
            )
    return made


def _activity(shares: np.ndarray | None, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Iterations down, filters across, the steadiest first."""
    if shares is None:
        return None
    at = _numbers(facts.get("shown"))
    if shares.ndim != 2 or len(at) != len(shares) or not shares.size:
        raise ValueError("activities and iterations differ in number")
    order = np.argsort(-shares.min(0).astype(int), kind="stable")
    return {
        "image": png_uri(_inked(shares[:, order] / 255)),
        "filters": shares.shape[1],
        "iterations": f"{at[0]:g} to {at[-1]:g}",
    }


def _fields(maps: np.ndarray | None, facts: dict[str, Any]) -> dict[str, Any] | None:
    """One field beside the next; those of strings as rows high enough to see."""
    if maps is None:
        return None
    at = _numbers(facts.get("shown"))
    if maps.ndim not in (2, 3) or len(at) != len(maps) or not maps.size:
        raise ValueError("fields and iterations differ in number")
    if maps.ndim == 2:
        image = np.repeat(np.sqrt(maps / 255), 3, 0)
    else:
        larger = max(1, 64 // min(maps.shape[1:]))
        shown = np.sqrt(maps / 255).repeat(larger, 1).repeat(larger, 2)
        image = np.concatenate([np.pad(m, ((0, 0), (0, 1)), constant_values=1) for m in shown], 1)
    return {"image": png_uri(_inked(image)), "iterations": ", ".join(f"{i:g}" for i in at)}


def _inked(shares: np.ndarray) -> np.ndarray:
    return (255 + (_INK - 255) * shares[..., None]).round().astype(np.uint8)


def _telling(section: Section, entries: list[dict[str, Any]]) -> list[float]:
    """The trained and the hardest of the difficulties looked at, and at most one between."""
    held = [d for d in section.difficulties if any(e["difficulty"] == d for e in entries)]
    trained = [d for d in held if d in section.train_difficulties][-1:]
    return sorted({*(trained or held[:1]), *held[-1:]})[:_MOST_PANELS]


# --- figures -------------------------------------------------------------------------------------------


def inside_figures(section: Section, key: str, runs: dict[str, Run]) -> dict[str, Figure]:
    """By name; those without data are absent."""
    entries = inside_entries(section, runs)
    made = {
        "inside-reuse": _reuse_figure(section, entries, f"{key}-reuse"),
        "inside-rest": _rest_figure(section, entries, f"{key}-rest"),
        "inside-path": _path_figure(section, entries, f"{key}-path"),
        "inside-receptive": _receptive_figure(section, entries, f"{key}-receptive"),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _grouped(
    section: Section, entries: list[dict[str, Any]], part: str
) -> list[tuple[float, list[tuple[str, list[dict[str, Any]]]]]]:
    """(difficulty, [(series, entries that have the part)]) for each panel."""
    having = [e for e in entries if _part_of(e, part)]
    return [
        (
            difficulty,
            [
                (series, mine)
                for series in section.series
                if (
                    mine := [
                        e for e in having if e["series"] == series and e["difficulty"] == difficulty
                    ]
                )
            ],
        )
        for difficulty in _telling(section, having)
    ]


def _averaged(tables: list[dict[str, np.ndarray]], at: str) -> dict[str, np.ndarray]:
    """Means over runs of columns of equal length each, at the places all of them have."""
    tables = [t for t in tables if len(t[at]) and len({len(v) for v in t.values()}) == 1]
    if not tables:
        return {}
    common = sorted(set.intersection(*({float(v) for v in t[at]} for t in tables)))
    if not common:
        return {}
    rows = [{k: v[[list(t[at]).index(c) for c in common]] for k, v in t.items()} for t in tables]
    return {k: np.mean([row[k] for row in rows], 0) for k in rows[0]}


def _facts(mine: list[dict[str, Any]], points: int) -> dict[str, Any]:
    return {"seeds": [len(mine)] * points, "tests": [number(mine[0].get("n"))] * points}


def _problems(entries: list[dict[str, Any]]) -> str:
    several = sorted({number(e.get("n")) for e in entries if math.isfinite(number(e.get("n")))})
    return " or ".join(count(n) for n in several)


def _reuse_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "filters"):
        lines = []
        for series, mine in groups:
            curves = [_numbers(_part_of(e, "filters").get("curve")) for e in mine]
            curves = [c for c in curves if len(c) == 21 and np.isfinite(c).all()]
            if curves:
                share = (1 - np.linspace(0, 1, 21)).tolist()
                lines.append(Line(series, np.mean(curves, 0).tolist(), share, **_facts(mine, 21)))
        if lines:
            panels.append(
                Panel(
                    section.place(difficulty),
                    Axis(
                        "least activity as a share of the peak (%)", percent=True, low=0.0, high=1.0
                    ),
                    Axis("filters with at least that (%)", percent=True, low=0.0, high=1.0),
                    lines,
                    [("x", 0.2, "20 %")],
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"Share of filters that stay in use at every iteration, {section.name}",
        "For each filter of what is repeated, its activity (mean positive response, before any shortcut) at the least "
        "active of the iterations of training over that at the most active one; filters that are never active and "
        f"iterations that read only zeros left out. Means over seeds, {_problems(entries)} test problems each.",
        panels,
    )


def _rest_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "rest"):
        lines = []
        for series, mine in groups:
            held = _averaged(
                [
                    {
                        "x": _numbers(e.get("grid")),
                        **{
                            k: _numbers(_part_of(e, "rest").get(k))
                            for k in ("low", "median", "high")
                        },
                    }
                    for e in mine
                ],
                "x",
            )
            if not held:
                continue
            # At the last state itself the distance is none, which a log axis has no place for.
            keep = (held["median"] > 0) & np.isfinite(held["median"]) & (held["low"] > 0)
            if keep.sum() > 1:
                x, y, low, high = (held[k][keep].tolist() for k in ("x", "median", "low", "high"))
                trained = np.flatnonzero(np.array(x) == number(mine[0].get("train_iterations")))
                ring = int(trained[0]) if len(trained) and mine[0].get("ends") is False else None
                lines.append(
                    Line(series, x, y, low=low, high=high, ring=ring, **_facts(mine, len(x)))
                )
        if lines:
            steps = [v for line in lines for v in line.x]
            panels.append(
                Panel(
                    section.place(difficulty),
                    Axis("iterations", log=log_axis(steps, 8), low=1.0),
                    Axis("distance from the limit", log=True),
                    lines,
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"How far states are from where they end, {section.name}",
        "The limit is the fixed point or the nearest state of the cycle that a state ends in; where it ends in neither, and "
        "in networks that end, the last state. In units of that state's length. Median over problems, means over seeds; band: middle half of the problems. "
        f"{_problems(entries)} test problems each, in float32. Rings: the number of iterations in training.",
        panels,
    )


def _path_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "components"):
        lines = []
        for series, mine in groups:
            path = _part_of(mine[0], "components").get("path")
            rows = [_numbers(row) for row in path] if isinstance(path, list) else []
            if len(rows) < 2 or any(len(r) < 2 or not np.isfinite(r[:2]).all() for r in rows):
                continue
            at = _numbers(mine[0].get("grid"))
            trained = np.flatnonzero(at == number(mine[0].get("train_iterations")))
            ring = int(trained[0]) if len(trained) and trained[0] < len(rows) else None
            x, y = ([float(r[i]) for r in rows] for i in (0, 1))
            lines.append(Line(series, x, y, ring=ring, run=mine[0]["run_id"]))
        if lines:
            panels.append(
                Panel(
                    section.place(difficulty),
                    Axis("first principal component"),
                    Axis("second principal component"),
                    lines,
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"The way of a state through its two main directions, {section.name}",
        "The first test problem, first seed, from its first iteration to its last (spaced as the iterations of the figure "
        "above), along the first two principal components of its own states, in units of their root mean square distance "
        "from their mean. Each network has components of its own. Rings: the number of iterations in training.",
        panels,
    )


def _receptive_figure(section: Section, entries: list[dict[str, Any]], key: str) -> Figure | None:
    panels = []
    for difficulty, groups in _grouped(section, entries, "receptive"):
        lines, whole = [], []
        for series, mine in groups:
            parts = [_part_of(e, "receptive") for e in mine]
            held = _averaged(
                [
                    {"x": _numbers(p.get("iterations")), "y": _numbers(p.get("radius"))}
                    for p in parts
                ],
                "x",
            )
            if not held or not np.isfinite(held["y"]).all():
                continue
            x, y = held["x"].tolist(), held["y"].tolist()
            trained = np.flatnonzero(held["x"] == number(mine[0].get("train_iterations")))
            ring = int(trained[0]) if len(trained) and len(x) > 1 else None
            kind = "line" if len(x) > 1 else "points"
            lines.append(Line(series, x, y, kind, ring=ring, **_facts(mine, len(x))))
            whole += [number(p.get("uniform")) for p in parts]
        if lines:
            steps = [v for line in lines for v in line.x]
            top = _mean(whole)
            panels.append(
                Panel(
                    section.place(difficulty),
                    Axis("iterations", log=log_axis(steps, 8), low=1.0),
                    Axis("radius (sites)", low=0.0, high=1.05 * top),
                    lines,
                    [("y", top, "all of the input alike")],
                )
            )
    if not panels:
        return None
    return Figure(
        key,
        f"How far a network looks, {section.name}",
        "Root mean square distance of the input from a central output, weighted by the size of the output's gradient there "
        "(Luo et al. 2016): of the answer's logit over the mean logit at the site nearest to the middle that counts or, where "
        "there is one answer for the whole input, of the squared length of the state at the middle. Median over up to 8 test "
        "problems, means over seeds.",
        panels,
    )
