"""A results folder in few small files, to be kept beside a text: from them its page can be built
again.

`python -m reports keep OUT DIR` copies table, verdicts and the study's description, and writes
`runs.jsonl.gz`: a line a run with its settings, its result (whose rows the table has), what made
it, and a training curve of few points. Pictures, weights and checkpoints stay behind.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reports.read.stored import Entry, read_object

if TYPE_CHECKING:
    from reports.read.load import Records

KEPT = "runs.jsonl.gz"
_COPIED = ("results.parquet", "verdicts.json", "study.json", "search.json")
MOST_LINES = 40  # of a training curve, beside its validations


def keep(records: Records, folder: Path) -> list[Path]:
    """Write what is worth keeping of a results folder into another one. Returns the files.
    ValueError for the same."""
    out = records.folder
    if folder.resolve() == out.resolve():
        raise ValueError(f"{folder} is the results folder itself; name another one")
    folder.mkdir(parents=True, exist_ok=True)
    copied = [name for name in _COPIED if (out / name).is_file()]
    written = [Path(shutil.copyfile(out / name, folder / name)) for name in copied]
    before = {line["run_id"]: line.get("made") for line in kept_runs(out, [])}
    lines = []
    for run_id, run in sorted(records.runs.items()):
        line: Entry = {"run_id": run_id, "spec": run.spec, "result": run.result}
        line["metrics"] = thinned(run.metrics)
        made = _made(out / "runs" / run_id / "made.json") or before.get(run_id)
        lines.append(json.dumps(line | ({"made": made} if made else {})))
    path = folder / KEPT
    # Without a time in it: the same records give the same file.
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))
    return [*written, path]


def thinned(metrics: list[Entry]) -> list[Entry]:
    """All validations, and losses at most MOST_LINES, evenly chosen, the last among them."""
    losses = [line for line in metrics if line.get("split") == "train"]
    every = -(-len(losses) // MOST_LINES) or 1
    shown = {id(line) for line in losses[::-1][::every]}
    return [line for line in metrics if line.get("split") != "train" or id(line) in shown]


def _made(path: Path) -> Entry:
    """What made a run, without the numbers of its fingerprint."""
    made = read_object(path, path.name, [])
    return {k: v for k, v in made.items() if k not in ("fingerprint", "sources")}


def kept_runs(folder: Path, notes: list[str]) -> Iterator[Entry]:
    """The lines of KEPT in a folder; one that can't be read is named in `notes`."""
    path = folder / KEPT
    if not path.is_file():
        return
    try:
        text = gzip.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, ValueError) as error:
        notes.append(f"{KEPT} could not be read ({type(error).__name__}).")
        return
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and isinstance(value.get("run_id"), str):
            yield value
        else:
            notes.append(f"{KEPT}: line {number} could not be read and is left out.")
