"""The ledger of published claims: what a results folder's `verdicts.json` says of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports.figures.effects import effect_svg
from reports.read.formats import plural
from reports.read.stored import Entry, items, read_checked

VERDICTS = ("reproduced", "not reproduced", "inconclusive", "not run")


@dataclass(frozen=True)
class Ledger:
    """counts: (verdict, number of claims with it), all verdicts in their order. studies: as stored,
    each field checked."""

    counts: list[tuple[str, int]]
    studies: list[Entry]

    @property
    def runs(self) -> dict[str, list[str]]:
        """The runs of each study, where they are stored."""
        return {str(s["name"]): s["run_ids"] for s in self.studies if s["run_ids"]}

    @property
    def sources(self) -> list[str]:
        """The papers whose claims are tested."""
        return sorted({str(c["source"]) for study in self.studies for c in study["claims"]})

    @property
    def summary(self) -> str:
        """One line: how many claims came out how."""
        total = sum(number for _, number in self.counts)
        parts = [f"{number} {verdict}" for verdict, number in self.counts if number]
        return f"{plural(total, 'claim')}: {', '.join(parts)}."


def read_ledger(folder: Path, notes: list[str]) -> Ledger | None:
    """The ledger of a results folder; None where no study was run, or where nothing in it can be
    read."""
    return read_checked(folder / "verdicts.json", _ledger, notes)


def _ledger(stored: Any) -> Ledger:
    studies = [_study(entry) for entry in stored["studies"]]
    by_verdict = Counter(claim["verdict"] for study in studies for claim in study["claims"])
    return Ledger([(verdict, by_verdict[verdict]) for verdict in VERDICTS], studies)


def _study(entry: Entry) -> Entry:
    texts = {name: str(entry[name]) for name in ("summary", "preset", "command")}
    numbers = {name: int(entry[name]) for name in ("runs", "complete")}
    claims = [_claim(claim) for claim in entry["claims"]]
    runs = [str(run_id) for run_id in items(entry.get("run_ids"))]
    return {"name": str(entry["study"]), **texts, **numbers, "claims": claims, "run_ids": runs}


def _claim(claim: Entry) -> Entry:
    texts = {n: str(claim[n]) for n in ("id", "source", "text", "scale", "rule", "verdict")}
    if texts["verdict"] not in VERDICTS:
        raise ValueError(texts["verdict"])
    parts = [_part(part) for part in claim.get("parts", [])]
    numbers = [str(line) for line in claim["numbers"]]
    return {**texts, "kind": _kind(texts["verdict"]), "numbers": numbers, "parts": parts}


def _part(part: Entry) -> Entry:
    """A part of a claim: its verdict, its rule and what was found, in a line."""
    verdict = str(part["verdict"])
    if verdict not in VERDICTS:
        raise ValueError(verdict)
    said = str(part["numbers"][-1]) if part["numbers"] else ""
    effect = part.get("effect")
    return {
        "verdict": verdict,
        "kind": _kind(verdict),
        "rule": str(part["rule"]),
        "said": said,
        "picture": Markup(effect_svg(effect)) if isinstance(effect, dict) else "",
    }


def _kind(verdict: str) -> str:
    return verdict.replace(" ", "-")
