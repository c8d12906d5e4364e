"""Internals that probes recorded, as a table and pictures: filters, states, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypedDict

import numpy as np
from safetensors import SafetensorError, safe_open

from reports.figures.examples import png_uri
from reports.figures.styles import Style
from reports.read.formats import count, percent, points
from reports.read.load import Records
from reports.read.probes import (
    LIMITS,
    limits_of,
    probe_entries,
    reused_share,
    solved_by_rest,
    telling,
)
from reports.read.sections import Section
from reports.read.stored import Entry, mean, number, numbers, part_of

_INK = np.array((0, 114, 178))
_MEASURES = {
    "filters": "Filter reuse",
    "states": "States and their limits",
    "receptive": "Receptive field",
}
Maps = dict[str, Any]  # a picture, as a data URI, with the iterations it shows


class Probes(TypedDict):
    """rows: of the table; reasons: why cells are empty; maps: pictures, a card a difficulty."""

    rows: list[dict[str, Any]]
    reasons: list[str]
    maps: list[dict[str, Any]]


def probe_part(
    section: Section, records: Records, styles: dict[str, Style], notes: list[str]
) -> Probes | None:
    """What the page shows of the internals; None where no run was probed."""
    entries = probe_entries(section, records.runs)
    if not entries:
        return None
    made: Probes = {"rows": [], "reasons": _reasons(entries), "maps": []}
    for series in section.series:
        own = [e for e in entries if e["series"] == series]
        name = {"series": series, "index": styles[series].index}
        for difficulty in section.difficulties:
            here = [e for e in own if e["difficulty"] == difficulty]
            if here:
                place = {"difficulty": difficulty, "place": section.labels[difficulty]}
                made["rows"].append({**name, **place, **_cells(here)})
        made["maps"] += [name | card for card in _maps(own, section, records, notes)]
    return made


def _cells(here: list[Entry]) -> dict[str, str]:
    """Of one network at one difficulty, from the entries of its runs."""
    filters = [part_of(e, "filters") for e in here]
    reused, by_count = reused_share(here), mean(f.get("reused_by_count") for f in filters)
    problems = sum(number(e.get("n")) for e in here)
    return {
        "problems": count(problems),
        "reused": "–" if math.isnan(reused) else f"{percent(reused)} ({percent(by_count)})",
        "silent": _share(filters, "never_active", "filters"),
        "limits": _limits(here),
        "solved": _solved(here),
        "same": _share(here, "same_answer", "n"),
        "along": _components(here),
        "field": _field(here[0]),
    }


def _share(parts: list[Entry], some: str, whole: str) -> str:
    if not any(some in part for part in parts):
        return "–"
    return percent(mean(number(p.get(some)) / max(number(p.get(whole)), 1) for p in parts))


def _components(here: list[Entry]) -> str:
    """`70.0 + 20.0 + 10.0 %`, of the components that all runs have."""
    explained = [numbers(part_of(e, "components").get("explained")) for e in here]
    explained = [e for e in explained if len(e)]
    shared = min(map(len, explained), default=0)
    means = np.mean([e[:shared] for e in explained], 0).tolist() if explained else []
    return " + ".join(map(points, means)) + "\N{NO-BREAK SPACE}%" if explained else "–"


def _limits(here: list[Entry]) -> str:
    """`6 at a fixed point, 2 in a cycle (period 3)`."""
    periods = sorted({int(p) for e in here for p in part_of(e, "periods") if str(p).isdigit()})
    period = f" (period {', '.join(map(str, periods))})" if periods else ""
    return _joined(
        f"{many:g} {LIMITS[kind]}{period if kind == 'cycle' else ''}"
        for kind, many in limits_of(here).items()
        if many > 0
    )


def _solved(here: list[Entry]) -> str:
    """`100 % of 24 at rest, 20 % of 5 others`."""
    names = {True: "at rest", False: "others"}
    return _joined(
        f"{percent(right / n)} of {n:g} {names[rests]}"
        for rests, (n, right) in solved_by_rest(here).items()
        if n > 0
    )


def _field(entry: Entry) -> str:
    """`4 (after 16), 5 (after 32)`: radii after the trained and the last number of iterations."""
    part = part_of(entry, "receptive")
    at, sizes = numbers(part.get("iterations")), numbers(part.get("radius"))
    if len(at) != len(sizes) or not len(at):
        return "–"
    trained = np.flatnonzero(at == number(entry.get("train_iterations")))
    places = dict.fromkeys([*trained.tolist(), len(at) - 1])
    return _joined(f"{sizes[i]:.3g} (after {at[i]:g})" for i in places if math.isfinite(sizes[i]))


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "–"


def _reasons(entries: list[Entry]) -> list[str]:
    """Why a cell is empty, a sentence a reason, with the networks it holds for."""
    networks: dict[tuple[str, str], dict[str, None]] = {}
    for entry in entries:
        for name, reason in part_of(entry, "not_applicable").items():
            networks.setdefault((str(name), str(reason)), {})[entry["series"]] = None
    return [
        f"{_MEASURES.get(name, name)}: not applicable to {', '.join(series)} ({reason})."
        for (name, reason), series in networks.items()
    ]


def _maps(
    own: list[Entry], section: Section, records: Records, notes: list[str]
) -> list[dict[str, Any]]:
    """Pictures of the first run of a series, at the trained difficulty and the hardest probed."""
    first = [e for e in own if e["run_id"] == own[0]["run_id"]]
    cards = []
    for entry in [e for e in first if e["difficulty"] in telling(section, first)]:
        path = records.folder / "runs" / entry["tested_by"] / "inside.safetensors"
        names = {part: f"{entry['difficulty']:g}.{part}" for part in ("activity", "receptive")}
        try:
            with safe_open(path, framework="numpy") as file:
                stored = set(file.keys())
                maps = {p: file.get_tensor(n) for p, n in names.items() if n in stored}
            pictures = {
                "reuse": _reuse(maps.get("activity"), part_of(entry, "filters")),
                "receptive": _fields(maps.get("receptive"), part_of(entry, "receptive")),
            }
        except (SafetensorError, OSError, ValueError, TypeError, IndexError) as error:
            notes.append(
                f"runs/{entry['run_id']}: inside.safetensors could not be read"
                f" ({type(error).__name__}); its pictures are left out."
            )
            break
        if any(pictures.values()):
            place = section.place(entry["difficulty"])
            cards.append({"run": entry["run_id"], "place": place, **pictures})
    return cards


def _reuse(shares: np.ndarray | None, facts: Entry) -> Maps | None:
    """Iterations down, filters across, the steadiest first."""
    if shares is None:
        return None
    at = numbers(facts.get("shown"))
    if shares.ndim != 2 or len(at) != len(shares) or not shares.size:
        raise ValueError("activities and iterations differ in number")
    order = np.argsort(-shares.min(0).astype(int), kind="stable")
    image, iterations = png_uri(_inked(shares[:, order] / 255)), f"{at[0]:g} to {at[-1]:g}"
    return {"image": image, "filters": shares.shape[1], "iterations": iterations}


def _fields(maps: np.ndarray | None, facts: Entry) -> Maps | None:
    """One field beside the next; those of strings as rows high enough to see."""
    if maps is None:
        return None
    at = numbers(facts.get("shown"))
    if maps.ndim not in (2, 3) or len(at) != len(maps) or not maps.size:
        raise ValueError("fields and iterations differ in number")
    shown = np.sqrt(maps / 255)
    if maps.ndim == 2:
        image = np.repeat(shown, 3, 0)
    else:
        larger = max(1, 64 // min(maps.shape[1:]))
        shown = shown.repeat(larger, 1).repeat(larger, 2)
        image = np.concatenate([np.pad(m, ((0, 0), (0, 1)), constant_values=1) for m in shown], 1)
    return {"image": png_uri(_inked(image)), "iterations": ", ".join(f"{i:g}" for i in at)}


def _inked(shares: np.ndarray) -> np.ndarray:
    return (255 + (_INK - 255) * shares[..., None]).round().astype(np.uint8)
