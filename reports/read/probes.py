"""What probes recorded of a network's internals, by series and difficulty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.read.sections import Section, section_entries
from reports.read.stored import Entry, mean, number, part_of

if TYPE_CHECKING:
    from reports.read.load import Run

#: Kinds of end that a state comes to, as stored, and as the page says them.
LIMITS = {
    "fixed point": "at a fixed point", "cycle": "in a cycle", "settling": "converging",
    "drift": "not converging",
}  # fmt: skip


def probe_entries(section: Section, runs: dict[str, Run]) -> list[Entry]:
    """What the runs of a section stored about its difficulties, with series and run."""
    found = section_entries(section, runs, "inside")
    placed = [{**entry, "difficulty": number(entry.get("test_difficulty"))} for entry in found]
    return [entry for entry in placed if entry["difficulty"] in section.labels]


def reused_share(entries: list[Entry]) -> float:
    """The mean share of filters that stay in use, which table and headline quote."""
    return mean(part_of(e, "filters").get("reused") for e in entries)


def limits_of(entries: list[Entry]) -> dict[str, float]:
    """By kind of end, how many states of these runs came to it."""
    parts = [part_of(e, "limits") for e in entries]
    return {kind: sum(number(part.get(kind, 0)) for part in parts) for kind in LIMITS}


def solved_by_rest(entries: list[Entry]) -> dict[bool, tuple[float, float]]:
    """(problems, solved of them) among those whose states came to rest (a fixed point or a cycle)
    and among the others; only of the runs that recorded what they solved."""
    told = [e for e in entries if part_of(e, "solved")]
    counts = {True: (0.0, 0.0), False: (0.0, 0.0)}
    for entry in told:
        ended, solved = part_of(entry, "limits"), part_of(entry, "solved")
        for kind in LIMITS:
            rests = kind in ("fixed point", "cycle")
            n, right = counts[rests]
            counts[rests] = n + number(ended.get(kind, 0)), right + number(solved.get(kind, 0))
    return counts


def telling(section: Section, entries: list[Entry]) -> list[float]:
    """The trained (else the easiest) and the hardest of the difficulties probed."""
    probed = [d for d in section.difficulties if any(e["difficulty"] == d for e in entries)]
    trained = [d for d in probed if d in section.train_difficulties][-1:]
    return sorted({*(trained or probed[:1]), *probed[-1:]})
