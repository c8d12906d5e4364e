"""Files of a results folder. What counts as done is written last and in one move."""

from __future__ import annotations

import copy
import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from comparisons.storage.leases import Claim, ClaimLost, hold, holds
from comparisons.storage.tensors import (
    Damaged,
    load_checkpoint,
    save_checkpoint,
    save_tensors,
)
from foundations.errors import one_line
from foundations.files import abandoned, write_atomically
from foundations.records.reading import read_result, read_spec
from foundations.records.result import Result
from foundations.records.spec import EvaluationSpec, RunSpec, canonical


class StoreError(RuntimeError):
    """A results folder that can't be used as it is; the message is one line."""


#: What the system says when it is the folder, and not the run, that is in the way.
_FOLDER_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOTDIR,
)
#: The part of them that may be of one file alone.
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def folder_trouble(out: Path, error: BaseException) -> StoreError | None:
    """A one-line error if it was the results folder that failed: full, read-only or gone, in whole
    or in part, or one of its files that may not be opened or made. Else None."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, SafetensorError):  # says the same in words alone
        told = re.search(r"(?:os error|Os \{ code:) (\d+)", str(error))
        number = int(told[1]) if told else None
    if number is None:
        return None
    file = getattr(error, "filename", None)
    path = Path(file) if isinstance(file, (str, os.PathLike)) else None
    inside = path.is_relative_to(out) if path else isinstance(error, SafetensorError)
    if number == errno.ENOENT and not out.is_dir():
        why = "the folder was removed"
    elif number == errno.ENOENT and inside:  # half-way through being removed
        why = f"{path or 'a folder in it'} was removed"
    elif number in _FOLDER_ERRORS:
        why = os.strerror(number).lower()
    else:
        return None
    trouble = f"{out} can't be written to: {why}"
    if number in _REFUSED and path:
        trouble = f"{path} can't be opened, made or replaced: {why}"
    return StoreError(
        f"{trouble}. What was finished is kept; put it right and give the same command again"
    )


@lru_cache(maxsize=4096)
def _whole(folder: Path, spec: str, *stamps: tuple[int, int]) -> bool:
    """Whether a folder holds a result of this very run. stamps: times and sizes of what was looked
    at."""
    try:
        read_result(folder)
        return canonical(read_spec(folder)) == spec
    except (ValueError, OSError):
        return False


def training_of(spec: RunSpec) -> str:
    """The same for runs that differ in their tests alone, which train once
    (`RunFolder.take_training`); the seed of tests also draws the validation problems."""
    return canonical(replace(spec, evaluation=EvaluationSpec(seed=spec.evaluation.seed)))


@lru_cache(maxsize=4096)
def _stored(folder: Path, *stamp: int) -> tuple[RunSpec, str]:
    """The spec of a folder, and its training. stamp: time and size of its spec.json."""
    spec = read_spec(folder)
    return spec, training_of(spec)


class RunFolder:
    """runs/<run_id>/ of a results folder. notes: a line for each file that was found damaged and
    set aside. own_claim: this process's, while it has the run; with one, nothing is written
    once another process has a newer."""

    def __init__(self, out: Path, spec: RunSpec) -> None:
        self.spec = spec
        self.out = out
        self.path = out / "runs" / spec.run_id
        self.notes: list[str] = []
        self.own_claim: Claim | None = None
        self.result_path = self.path / "result.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoint_path = self.path / "checkpoint" / "state.safetensors"
        self.model_path = self.path / "model.safetensors"
        self.examples_path = self.path / "examples.safetensors"
        self.answers_path = self.path / "answers.safetensors"
        self.inside_path = self.path / "inside.safetensors"
        self.made_path = self.path / "made.json"

    def of_round(self, number: int) -> RunFolder:
        """The same run, with checkpoint and metrics of a training that comes before its own."""
        other = copy.copy(self)
        other.checkpoint_path = self.path / "checkpoint" / f"round{number}.safetensors"
        other.metrics_path = self.path / "checkpoint" / f"round{number}.jsonl"
        return other

    @property
    def complete(self) -> bool:
        """Whether the run's result is there, whole and of this very run."""
        try:
            stamps = [
                (s.st_mtime_ns, s.st_size)
                for s in ((self.path / name).stat() for name in ("result.json", "spec.json"))
            ]
        except OSError:
            return False
        return _whole(self.path, canonical(self.spec), *stamps)

    @property
    def trained(self) -> bool:
        """Whether a run that differs from this one in its tests alone is complete here, so that
        nothing is left to train (`take_training`)."""
        return next(self._same_training(), None) is not None

    @property
    def begun(self) -> bool:
        """Whether anything of this very run was trained and is stored."""
        trained = any((self.path / "checkpoint").glob("*.safetensors"))
        return (trained or self.result_path.exists()) and self._why_not_mine() is None

    def set_aside_all(self, why: str) -> None:
        """Move all that is stored of the run to set-aside/, so that it begins anew. For the one who
        has claimed it."""
        for path in self._content():
            self._set_aside(path, why)

    def open(self) -> None:
        """Make the folder ready for this run. What is in it and is damaged, or of other settings,
        is set aside, never deleted and never used. For the one who has claimed it."""
        (self.path / "checkpoint").mkdir(parents=True, exist_ok=True)
        for part in self.path.rglob(".*.part"):
            if abandoned(part):
                part.unlink(missing_ok=True)
        why = self._why_not_mine()
        if why:
            for path in self._content():
                self._set_aside(path, why)
            (self.path / "checkpoint").mkdir(exist_ok=True)
        elif self.result_path.exists() and not self.complete:
            self._set_aside(self.result_path, "is not a whole result of this run")
        if why is not None:
            self.write(self.path / "spec.json", json.dumps(self.spec.to_dict(), indent=1))

    def take_training(
        self, device: str, processes: int, usable: Callable[[RunFolder], bool]
    ) -> RunFolder | None:
        """Begin with the checkpoints of a complete run of this folder that differs in its tests
        alone, was trained on the same device by as many processes, is `usable` and whole. Returns
        it; None where there is none or this run has begun. For the one who has claimed this run."""
        if self.complete or self.checkpoint_path.exists():
            return None
        for other in filter(usable, self._same_training()):
            try:
                made = other.result()
                if (made.device, made.processes) == (device, processes):
                    self._take(other)
                    return other
            except (Damaged, FileNotFoundError, ValueError):
                continue  # not whole after all: the next one, or training
        return None

    def _take(self, other: RunFolder) -> None:
        """Copy checkpoints and metrics. Those of rounds of pruning come first by name; the run's
        own come last, and its checkpoint is what counts."""
        for path in sorted(other.checkpoint_path.parent.glob("*.safetensors")):
            stored = load_checkpoint(path)
            if stored is None:
                raise FileNotFoundError(path)
            parts, progress = stored
            log = path.with_suffix(".jsonl")
            if path == other.checkpoint_path:
                progress["trained_as"] = progress.get("trained_as") or other.path.name
                self.write(self.metrics_path, other.metrics_path.read_text())
            elif log.exists():
                self.write(self.checkpoint_path.with_name(log.name), log.read_text())
            place = self.checkpoint_path.with_name(path.name)
            save_checkpoint(place, parts, progress, self.check)

    def _same_training(self) -> Iterator[RunFolder]:
        """Complete runs whose spec is this one's but for `evaluation`."""
        wanted = training_of(self.spec)
        kind = self.path.name.rpartition("-")[0]
        for path in sorted(self.path.parent.glob(f"{kind}-*/result.json")):
            try:
                stat = (path.parent / "spec.json").stat()
                spec, training = _stored(path.parent, stat.st_mtime_ns, stat.st_size)
            except (ValueError, OSError):
                continue
            if training != wanted:
                continue
            other = RunFolder(self.out, spec)
            if other.path == path.parent != self.path and other.complete:
                yield other

    def _why_not_mine(self) -> str | None:
        """None if the folder says that it is of this very run; else in words why its files can't be
        trusted, "" where there are none."""
        try:
            if canonical(read_spec(self.path)) == canonical(self.spec):
                return None
            return "is of other settings under the same name (a default has changed)"
        except FileNotFoundError:
            return "was there without a spec.json" if self._content() else ""
        except (ValueError, OSError) as error:
            return f"has a spec.json that can't be read ({one_line(error)})"

    def _content(self) -> list[Path]:
        """Files of the folder and folders with files in them, sorted; without those that say who
        works on the run, and without what others are writing."""

        def counts(path: Path) -> bool:
            if path.is_dir() and not path.is_symlink():
                return any(counts(inner) for inner in path.iterdir())
            return not path.name.endswith(".part")

        return [p for p in sorted(self.path.iterdir()) if not holds(p.name) and counts(p)]

    def _set_aside(self, path: Path, why: str) -> None:
        """Move a file or folder of the run to set-aside/<run_id>/."""
        away = self.out / "set-aside" / self.path.name
        away.mkdir(parents=True, exist_ok=True)
        place, number = away / path.name, 1
        while place.exists():
            number += 1
            place = away / f"{path.name}.{number}"
        self.check()
        os.replace(path, place)
        self.notes.append(
            f"runs/{path.relative_to(self.out / 'runs')} {why}; moved to"
            f" {place.relative_to(self.out)}, the run is repeated"
        )

    def checkpoint(self, mine: bool) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
        """What `save_checkpoint` wrote last; None where there is none, or where it is damaged: then
        set aside, by the process for which `mine` holds."""
        try:
            return load_checkpoint(self.checkpoint_path)
        except Damaged as error:
            if mine:
                self._set_aside(self.checkpoint_path, f"is damaged ({error})")
            return None

    @contextmanager
    def claim(
        self, say: Callable[[str], None] = lambda line: None, first: bool = True
    ) -> Iterator[bool]:
        """Hold the run while working on it; yields False where another process holds it. StoreError
        where the folder or a file in it is in the way.

        A process that ends leaves the run to the others: on its machine at once, elsewhere after
        `leases.LEASE_SECONDS`. say, first: as of `leases.hold`.
        """
        with ExitStack() as stack:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self.own_claim = stack.enter_context(hold(self.path, say, first))
            except OSError as error:
                trouble = folder_trouble(self.out, error)
                if trouble:
                    raise trouble from error
                raise
            try:
                yield self.own_claim is not None
            finally:
                self.own_claim = None

    def check(self) -> None:
        """ClaimLost if another process has taken over the run since this one claimed it. Nothing
        without a claim."""
        if self.own_claim:
            self.own_claim.check(self.path)

    @property
    def lost(self) -> ClaimLost | None:
        """What `check` would raise because the run is another's now; None where it is not, or can't
        be known."""
        try:
            self.check()
        except ClaimLost as error:
            return error
        except OSError:
            pass
        return None

    def write(self, path: Path, text: str) -> None:
        """`write_atomically` for a file of the run, unless it is another's by now."""
        write_atomically(path, text, self.check)

    def save(
        self, path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
    ) -> None:
        """`save_tensors` for a file of the run, unless it is another's by now."""
        save_tensors(path, tensors, metadata, self.check)

    def log(self, **values: Any) -> None:
        """Append one line to the metrics."""
        with open(self.metrics_path, "a") as file:
            # Opened before it is checked: whoever takes over writes the file anew, so that a line
            # which comes late ends in the old one.
            self.check()
            file.write(json.dumps(values) + "\n")

    def forget_metrics_after(self, step: int) -> None:
        """Drop what an interrupted run logged after its last checkpoint, and a line cut short."""
        if not self.metrics_path.exists():
            return
        kept = []
        for line in self.metrics_path.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue
        self.write(self.metrics_path, "".join(kept))

    def finish(self, result: Result) -> None:
        """Write the result: from now on the run is complete. It names the claim that it was made
        under, if any."""
        claimed = replace(result, claim=self.own_claim.token if self.own_claim else "")
        self.write(self.result_path, json.dumps(claimed.to_dict(), indent=1))
        # Taken over in that very moment: the file is whole, and the other process puts its own in
        # its place.
        self.check()

    def result(self) -> Result:
        """The stored result; errors as of `read_result`."""
        return read_result(self.path)
