"""Judge again what was kept of a results folder, without training: after a change of the checks.

    python -m comparisons.studies.kept FOLDER

reads the `results.parquet` and `runs.jsonl.gz` that `python -m reports keep` wrote, plans the
studies of its `verdicts.json` as they would be run today, and writes that file anew. Answers
problem by problem are not kept, so differences are unpaired, with wider intervals.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from comparisons.studies import STUDIES, plan_studies
from comparisons.studies.evidence import Evidence
from comparisons.studies.ledger import write_verdicts
from foundations.records.result import Result
from foundations.records.spec import RunSpec, canonical


def _key(spec: RunSpec) -> str:
    """The same for a run wherever its data lay."""
    options = {k: v for k, v in spec.task_options.items() if k != "data_dir"}
    return canonical(replace(spec, task_options=options))


class Kept(Evidence):
    """The planned runs of a study and what was kept of them. kept: by `_key`."""

    def __init__(
        self, out: Path, runs: Sequence[RunSpec], kept: Mapping[str, tuple[RunSpec, Result, Any]]
    ) -> None:
        super().__init__(out, runs)
        self.kept = kept

    def result(self, spec: RunSpec) -> Result | None:
        found = self.kept.get(_key(spec))
        return found[1] if found and found[1].seed == spec.seed else None

    def _logged(self, spec: RunSpec) -> Iterator[Any]:
        found = self.kept.get(_key(spec))
        yield from found[2] if found else ()


def kept_in(folder: Path) -> dict[str, tuple[RunSpec, Result, Any]]:
    """Spec, result and training curve of every run that was kept."""
    table = pd.read_parquet(folder / "results.parquet")
    rows = dict(iter(table.groupby("run_id")))
    kept = {}
    for text in gzip.decompress((folder / "runs.jsonl.gz").read_bytes()).decode().splitlines():
        line = json.loads(text)
        spec, run_id = RunSpec.from_dict(line["spec"]), line["run_id"]
        stored = dict(line["result"])
        if run_id in rows:
            stored["rows"] = rows[run_id].to_dict("records")
        kept[_key(spec)] = spec, Result.from_dict(stored), line.get("metrics", [])
    return kept


def judge_again(folder: Path) -> Path:
    """Write a kept folder's verdicts anew. Returns their file. Runs on data that is not here are
    those that were kept of them; verdicts of studies that nothing here has stay as they are."""
    kept = kept_in(folder)
    entries = json.loads((folder / "verdicts.json").read_text())["studies"]
    for entry in (one for one in entries if one["study"] in STUDIES):
        name, preset = entry["study"], entry["preset"]
        try:
            plan, of_study = plan_studies([name], preset)
            runs, skipped = list(of_study[name]), plan.skipped
        except ValueError as error:  # none of its data is here
            runs, skipped = [], (str(error),)
        named = re.findall(rf"{name} on ([\w, ]+):", "; ".join(skipped))
        tasks = {task for names in named for task in names.split(", ")}
        runs += [s for s, _, _ in kept.values() if s.task in tasks and s.preset == preset]
        write_verdicts(
            folder, preset, {name: runs}, skipped, entry["command"],
            lambda out, runs: Kept(out, runs, kept),
        )  # fmt: skip
    return folder / "verdicts.json"


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m comparisons.studies.kept FOLDER", file=sys.stderr)
        return 2
    print(judge_again(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
