"""The ledger of published claims: what a results folder's `verdicts.json` says of each."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.read.summary import plural

VERDICTS = ("reproduced", "not reproduced", "inconclusive", "not run")


@dataclass(frozen=True)
class Ledger:
    """counts: (verdict, number of claims with it), all verdicts in their order. studies: as stored,
    cleaned."""

    counts: list[tuple[str, int]]
    studies: list[dict[str, Any]]

    @property
    def summary(self) -> str:
        """One line: how many claims came out how."""
        total = sum(number for _, number in self.counts)
        parts = [f"{number} {verdict}" for verdict, number in self.counts if number]
        return f"{plural(total, 'published claim')}: {', '.join(parts)}."


def read_ledger(folder: Path, notes: list[str]) -> Ledger | None:
    """The ledger of a results folder; None where no study was run, or where nothing in it can be
    read."""
    path = folder / "verdicts.json"
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["studies"]
        studies = [_study(entry) for entry in stored]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        notes.append(f"verdicts.json could not be read ({type(error).__name__}).")
        return None
    found = Counter(claim["verdict"] for study in studies for claim in study["claims"])
    return Ledger([(verdict, found[verdict]) for verdict in VERDICTS], studies)


def _study(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(entry["study"]),
        "summary": str(entry["summary"]),
        "preset": str(entry["preset"]),
        "command": str(entry["command"]),
        "runs": int(entry["runs"]),
        "complete": int(entry["complete"]),
        "claims": [_claim(claim) for claim in entry["claims"]],
    }


def _claim(claim: dict[str, Any]) -> dict[str, Any]:
    verdict = str(claim["verdict"])
    if verdict not in VERDICTS:
        raise ValueError(verdict)
    return {
        "id": str(claim["id"]),
        "source": str(claim["source"]),
        "text": str(claim["text"]),
        "scale": str(claim["scale"]),
        "rule": str(claim["rule"]),
        "numbers": [str(line) for line in claim["numbers"]],
        "verdict": verdict,
        "kind": verdict.replace(" ", "-"),
    }
