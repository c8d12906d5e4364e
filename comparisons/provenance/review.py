"""What made a run: version, commit, source, and a fingerprint of what it computes.

A run is named by its settings, not by the code that gave them their meaning. So each run keeps a
record (`made.json`) of what made it. Where the source has changed since, behaviour decides: the
fingerprint (its first problems, its weights at the start, logits, loss and gradients of one step,
what its exit rules choose) is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from comparisons.hardware import device_name
from comparisons.provenance.fingerprint import PARTS, differing, fingerprint
from comparisons.provenance.sources import brought_by, commit, sources
from comparisons.storage.run_folder import RunFolder, StoreError
from foundations import VERSION
from foundations.files import write_atomically
from foundations.records.reading import read_json
from foundations.records.spec import RunSpec

AGAIN, KEEP = "again", "keep"
#: Relative differences that count as none: on the CPU and torch that made the run, and elsewhere,
#: where sums are split otherwise and iterating amplifies it.
SAME_MACHINE, OTHER_MACHINE = 1e-4, 1e-2


class Meaning(NamedTuple):
    """An option whose meaning changed with a version. concerns: whether a run uses it in a way that
    changed."""

    version: str
    option: str
    change: str
    concerns: Callable[[RunSpec], bool]


MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        "0.2.0",
        "train.recurrent_lr_scale",
        "a paradigm says which parameters are recurrent, DT-net's recall among them",
        lambda spec: spec.train.recurrent_lr_scale != 1,
    ),
    Meaning(
        "0.2.0",
        "evaluation.blows",
        "noise and moved ends are drawn by a problem's index",
        lambda spec: bool({"noise", "flip", "other", "start", "end"} & {*spec.evaluation.blows}),
    ),
)


class OtherCode(StoreError):
    """Runs that other code made, which computes something else; the message says what and what to
    do."""


@dataclass(frozen=True)
class Origin:
    """How a stored run stands to today's code.

    kind: "same" source; "equal", other source that computes the same; "different"; "unknown", no
    record. modules: those whose source differs. parts: in words, what is computed otherwise.
    record: as stored.
    """

    kind: str
    modules: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    record: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        since = made_in_words(self.record or {})
        where = f" in {', '.join(self.modules)}" if self.modules else ""
        return f"{'; '.join(self.parts)} changed{where} since it was made, {since}"


def made_in_words(record: Mapping[str, Any]) -> str:
    """`2026-11-20 14:02 by version 0.2.0, commit 1a2b3c4 and changes to it`."""
    commit = record.get("commit")
    tree = f", commit {str(commit)[:7]}{' and changes to it' if record.get('dirty') else ''}"
    when = str(record.get("made", ""))[:16].replace("T", " ")
    return f"{when} by version {record.get('version', 'unknown')}{tree if commit else ''}"


def begin(
    spec: RunSpec, folder: RunFolder, device: str, processes: int, tests: bool = True
) -> None:
    """Take the training of a run that differs in its tests alone, if there is one that today's code
    would train alike, and write down what makes this run. One that has begun keeps the record it
    has, or has none. tests: whether it will be tested."""
    if folder.begun:
        return
    taken = folder.take_training(
        device, processes, lambda other: origin(other.spec, other).kind != "different"
    )
    earlier = read_record(taken) if taken else {}
    if earlier is None:
        return  # trained by nobody knows what
    head, dirty = commit()
    record = {
        "version": VERSION,
        "commit": head,
        "dirty": dirty,
        "made": now_in_words(),
        "torch": torch.__version__,
        "cpu": device_name(torch.device("cpu")),
        **{key: earlier[key] for key in (*_OF_TRAINING, "kept", "accepted") if key in earlier},
        **({"plugins": plugins} if (plugins := brought_by(spec)) else {}),
        "sources": sources(spec),
        "tests": tests,
        "fingerprint": fingerprint(spec, tests),
    }
    folder.write(folder.made_path, json.dumps(record))


#: What a record says of training, which a run that was not trained itself has of the one that was.
_OF_TRAINING = ("version", "commit", "dirty", "made")


def now_in_words() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_record(folder: RunFolder) -> dict[str, Any] | None:
    """What made a run; None where nothing usable says so."""
    try:
        record = read_json(folder.made_path)
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and isinstance(record.get("sources"), dict)
    return record if whole and isinstance(record.get("fingerprint"), dict) else None


def origin(spec: RunSpec, folder: RunFolder) -> Origin:
    """How a run that is stored, or begun, stands to today's code."""
    record = read_record(folder)
    if record is None:
        return Origin("unknown")
    changed = meanings_changed(spec, str(record.get("version")), record.get("accepted", []))
    now = sources(spec)
    was = record["sources"]
    if now == was and not changed:
        return Origin("same", record=record)
    modules = tuple(sorted(n for n in {*now, *was} if now.get(n) != was.get(n)))
    parts: tuple[str, ...] = ()
    if now != was:
        here = device_name(torch.device("cpu"))
        at_home = (record.get("torch"), record.get("cpu")) == (torch.__version__, here)
        today = fingerprint(spec, record.get("tests", True))
        tolerance = SAME_MACHINE if at_home else OTHER_MACHINE
        parts = tuple(PARTS[part] for part in differing(record["fingerprint"], today, tolerance))
    if not parts and not changed:
        return Origin("equal", modules, record=record)
    return Origin("different", modules if parts else (), (*parts, *changed), record)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def meanings_changed(spec: RunSpec, version: str, accepted: Iterable[str] = ()) -> tuple[str, ...]:
    """Options of a run whose meaning has changed since a version, in words."""
    return tuple(
        f"the meaning of {meaning.option} ({meaning.change}, version {meaning.version})"
        for meaning in MEANINGS
        if _numbers(version) < _numbers(meaning.version)
        and f"{meaning.option} {meaning.version}" not in set(accepted)
        and meaning.concerns(spec)
    )


def accept(spec: RunSpec, folder: RunFolder, known: Origin, kept: bool) -> None:
    """Today's source is this run's from now on; where `kept`, although it computes something else,
    which is written down."""
    record = dict(known.record or {})
    record["sources"] = sources(spec)
    if kept:
        head, dirty = commit()
        entry = {
            "when": now_in_words(),
            "version": VERSION,
            "commit": head,
            "dirty": dirty,
            "changed": list(known.parts),
            "modules": list(known.modules),
        }
        record["kept"] = [*record.get("kept", []), entry]
        record["accepted"] = [f"{m.option} {m.version}" for m in MEANINGS]
        record["fingerprint"] = fingerprint(spec, record.get("tests", True))
    write_atomically(folder.made_path, json.dumps(record))


def review(
    runs: Iterable[RunSpec], out: Path, choice: str, say: Callable[[str], None], write: bool = True
) -> None:
    """Before anything is trained: what of the stored runs did other code make?

    choice: AGAIN sets runs aside that are different, to be trained anew; KEEP takes them as they
    are and writes that into their records; "" raises OtherCode. Runs that compute the same, and
    those of unknown origin, go on with a line. write: whether records may be brought up to date
    (one process of several does).
    """
    by_kind: dict[str, list[tuple[RunSpec, RunFolder, Origin]]] = {}
    for spec in runs:
        folder = RunFolder(out, spec)
        if folder.begun:
            known = origin(spec, folder)
            by_kind.setdefault(known.kind, []).append((spec, folder, known))
    equal, unknown = by_kind.get("equal", []), by_kind.get("unknown", [])
    different = by_kind.get("different", [])
    if different and not choice:
        raise OtherCode(_refusal(different))
    for spec, folder, known in different if choice == AGAIN else ():
        _set_aside(spec, folder, f"was made by other code: {known}")
    for spec, folder, known in (*equal, *(different if choice == KEEP else ())):
        if write:
            accept(spec, folder, known, kept=known.kind == "different")
    if equal:
        names = sorted({name for _, _, known in equal for name in known.modules})
        say(f"{_runs(equal)} by other source that computes the same ({_few(names)}): they go on")
    if different:
        done = "set aside, to be trained anew" if choice == AGAIN else "kept as they are"
        say(f"{_runs(different)} by code that computes something else: {done}")
    if unknown:
        say(_say_unknown(unknown))


def _set_aside(spec: RunSpec, folder: RunFolder, why: str) -> None:
    """Whoever holds the run moves it; another process may have done so, and begun it anew."""
    while folder.begun and origin(spec, folder).kind == "different":
        with folder.claim() as mine:
            if mine and origin(spec, folder).kind == "different":
                folder.set_aside_all(why)


def _say_unknown(unknown: Sequence[tuple[RunSpec, RunFolder, Origin]]) -> str:
    text = (
        f"{_runs(unknown)} before runs kept a record of what made them: unknown, taken as they are"
    )
    options = {line for spec, _, _ in unknown for line in meanings_changed(spec, "0")}
    return f"{text}; since then {' and '.join(sorted(options))} changed" if options else text


def _refusal(different: Sequence[tuple[RunSpec, RunFolder, Origin]]) -> str:
    (spec, _, known), *others = different
    more = f" (and {len(others)} more like it)" if others else ""
    return (
        f"{spec.run_id}{more} was made by code that computes something else: {known}. Give --again"
        " to train anew (the old folder is set aside) or --keep to take it as it is"
    )


def _runs(runs: Sequence[Any]) -> str:
    return "1 run was made" if len(runs) == 1 else f"{len(runs)} runs were made"


def _few(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
