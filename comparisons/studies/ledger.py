"""The ledger: what became of each published claim, as `verdicts.json` in the results folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comparisons.studies import STUDIES, Claim, load_study
from comparisons.studies.evidence import Evidence
from comparisons.studies.finding import NOT_RUN, Finding, as_record, judge
from foundations.files import write_atomically
from foundations.records.spec import SCHEMA, RunSpec


def write_verdicts(
    out: Path,
    preset: str,
    of_study: Mapping[str, Sequence[RunSpec]],
    skipped: Iterable[str],
    command: str,
    evidence_of: Callable[[Path, Sequence[RunSpec]], Evidence] = Evidence,
    found: Mapping[str, Finding] | None = None,
) -> Path:
    """Judge every claim of the studies by what is stored in `out`; verdicts on other studies that
    are there already stay. evidence_of: what looks at the runs. found: findings by
    claim that were made already. Returns the file's path."""
    path = out / "verdicts.json"
    ledger = {entry["study"]: entry for entry in _stored(path)}
    for name, runs in of_study.items():
        study, evidence = load_study(name), evidence_of(out, runs)
        done = [evidence.result(spec) for spec in runs]
        left_out = [line for line in skipped if line.startswith(f"{name} on ")]
        ledger[name] = {
            "study": name,
            "summary": study.summary,
            "preset": preset,
            "command": command,
            "runs": len(runs),
            # A result that was kept elsewhere may go by another name.
            "run_ids": [(one or spec).run_id for spec, one in zip(runs, done, strict=True)],
            "complete": sum(one is not None for one in done),
            "left_out": left_out,
            "claims": [
                _judged(claim, preset, evidence, left_out, (found or {}).get(claim.id))
                for claim in study.claims
            ],
        }
    # Of a plugin that isn't loaded now, too: its verdicts stay, after those that are known.
    ordered = [ledger[name] for name in dict.fromkeys([*STUDIES, *ledger]) if name in ledger]
    write_atomically(path, json.dumps({"schema": SCHEMA, "studies": ordered}, indent=1))
    return path


def _judged(
    claim: Claim, preset: str, evidence: Evidence, left_out: Sequence[str], found: Finding | None
) -> dict[str, Any]:
    finding = as_record(found or judge(claim.check_at(preset), evidence))
    if finding["verdict"] == NOT_RUN:
        about = " ".join(finding["numbers"])
        tasks = {line: line.partition(" on ")[2].partition(":")[0] for line in left_out}
        finding["numbers"] += [line for line, task in tasks.items() if f" {task}" in about]
    return {
        "id": claim.id,
        "source": claim.source,
        "text": claim.text,
        "scale": claim.scale_at(preset),
        "figure": claim.figure,
        **finding,
    }


def _stored(path: Path) -> list[dict[str, Any]]:
    """What an earlier study left; nothing where it can't be read."""
    try:
        stored = json.loads(path.read_text())
        return [entry for entry in stored["studies"] if isinstance(entry["study"], str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
