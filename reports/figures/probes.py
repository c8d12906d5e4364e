"""Inside the network: filters, states and receptive fields per iteration, as runs that were looked
into stored them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from reports.figures.drawing import Style
from reports.figures.pictures import png_uri
from reports.read.load import Records, Run, number
from reports.read.summary import Section, count, percent, points

_INK = np.array((0, 114, 178))
_LIMITS = ("fixed point", "cycle", "settling", "drift")


def inside_entries(section: Section, runs: dict[str, Run]) -> list[dict[str, Any]]:
    """What the runs of a section stored about the difficulties of the task it tests, with series
    and run."""
    tested = set(section.main["test_task"])
    one = section.main.drop_duplicates("run_id")
    found = []
    for series, run_id in zip(one["series"], one["run_id"], strict=True):
        for entry in runs[run_id].stored("inside") if run_id in runs else []:
            if entry.get("test_task") in tested:
                difficulty = number(entry.get("test_difficulty"))
                if difficulty in section.labels:
                    facts = {"series": series, "run_id": run_id, "difficulty": difficulty}
                    found.append({**entry, **facts})
    return found


def numbers(value: Any) -> np.ndarray:
    """A stored list as floats, NaN for what is none; empty for anything else."""
    return np.array([number(v) for v in value]) if isinstance(value, list) else np.zeros(0)


def part_of(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """What is stored under a name, empty unless it is an object."""
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def mean(values: Any) -> float:
    """The mean of those that are numbers; NaN if none is."""
    kept = [v for v in map(number, values) if math.isfinite(v)]
    return float(np.mean(kept)) if kept else math.nan


def reused_share(entries: list[dict[str, Any]]) -> float:
    """The mean share of filters that stay in use, which table and title quote."""
    return mean(part_of(e, "filters").get("reused") for e in entries)


def limits_of(entries: list[dict[str, Any]]) -> dict[str, float]:
    """By kind of end, how many states of these runs came to it."""
    parts = [part_of(e, "limits") for e in entries]
    return {kind: sum(number(part.get(kind, 0)) for part in parts) for kind in _LIMITS}


def telling(section: Section, entries: list[dict[str, Any]]) -> list[float]:
    """The trained (else the easiest) and the hardest of the difficulties looked at."""
    held = [d for d in section.difficulties if any(e["difficulty"] == d for e in entries)]
    trained = [d for d in held if d in section.train_difficulties][-1:]
    return sorted({*(trained or held[:1]), *held[-1:]})


def inside_part(
    section: Section, records: Records, styles: dict[str, Style], notes: list[str]
) -> dict[str, Any] | None:
    """The rows of the table, why networks have empty cells in it, and pictures; None where no run
    was looked into."""
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
    filters = [part_of(e, "filters") for e in here]
    reused = reused_share(here)
    by_count = mean(f.get("reused_by_count") for f in filters)
    ended = limits_of(here)
    problems = sum(number(e.get("n")) for e in here)
    explained = [numbers(part_of(e, "components").get("explained")) for e in here]
    explained = [e for e in explained if len(e)]
    shared = min(map(len, explained), default=0)
    explained = [e[:shared] for e in explained]
    return {
        "series": series,
        "index": index,
        "difficulty": difficulty,
        "place": section.labels[difficulty],
        "problems": count(problems) if math.isfinite(problems) else "–",
        "reused": "–" if math.isnan(reused) else f"{percent(reused)} ({percent(by_count)})",
        "silent": _share(filters, "never_active", "filters"),
        "limits": _ended(ended, here),
        "same": _share(here, "same_answer", "n"),
        "along": (
            " + ".join(map(points, np.mean(explained, 0))) + "\N{NO-BREAK SPACE}%"
            if explained
            else "–"
        ),
        "field": _field(here),
    }


def _share(parts: list[dict[str, Any]], some: str, whole: str) -> str:
    if not any(some in part for part in parts):
        return "–"
    held = mean(number(p.get(some)) / max(number(p.get(whole)), 1) for p in parts)
    return percent(held)


def _ended(ended: dict[str, float], here: list[dict[str, Any]]) -> str:
    """`6 at rest, 2 in a cycle (period 3)`."""
    periods = sorted({int(p) for e in here for p in part_of(e, "periods") if str(p).isdigit()})
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
        part = part_of(entry, "receptive")
        at, sizes = numbers(part.get("iterations")), numbers(part.get("radius"))
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
        for name, reason in part_of(entry, "not_applicable").items():
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
    """Pictures of the first run of a series, at the trained difficulty and the hardest looked
    at."""
    first = [e for e in own if e["run_id"] == own[0]["run_id"]] if own else []
    chosen = [e for e in first if e["difficulty"] in telling(section, first)]
    made = []
    for entry in chosen:
        path = records.folder / "runs" / entry["tested_by"] / "inside.safetensors"
        level = f"{entry['difficulty']:g}"
        try:
            with safe_open(path, framework="numpy") as file:
                held = {
                    name: file.get_tensor(f"{level}.{name}")
                    for name in ("activity", "receptive")
                    if f"{level}.{name}" in set(file.keys())
                }
            pictures = {
                "activity": _activity(held.get("activity"), part_of(entry, "filters")),
                "receptive": _fields(held.get("receptive"), part_of(entry, "receptive")),
            }
        except (SafetensorError, OSError, ValueError, TypeError, IndexError) as error:
            notes.append(
                f"runs/{entry['run_id']}: inside.safetensors could not be read"
                f" ({type(error).__name__}); its pictures are left out."
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
    at = numbers(facts.get("shown"))
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
    at = numbers(facts.get("shown"))
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
