"""Files of a results folder. What counts as done is written last and in one move."""

from __future__ import annotations

import copy
import errno
import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from comparisons.spec import EvaluationSpec, RunSpec, TrainSpec, default_of, fields
from files import write_atomically
from names import one_line


class StoreError(RuntimeError):
    """A results folder that can't be used as it is; the message is one line."""


class Damaged(ValueError):
    """A file that is not what was once written; the message names it and what is wrong."""


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


def folder_trouble(out: Path, error: BaseException) -> StoreError | None:
    """A one-line error if it was the results folder that failed: full, read-only or gone. Else None."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, SafetensorError):  # says the same in words alone
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else None
    if number is None:
        return None
    if number == errno.ENOENT and not out.is_dir():
        why = "the folder was removed"
    elif number in _FOLDER_ERRORS:
        why = os.strerror(number).lower()
    else:
        return None
    return StoreError(
        f"{out} can't be written to: {why}. What was finished is kept; put it right and give the same command again"
    )


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file whole or not at all, with a checksum of its tensors."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    held = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    try:
        save_file(held, part, {**(metadata or {}), "crc32": _checksum(held)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, on the CPU. Damaged where it is not as it was written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise Damaged(f"{path} can't be read ({error})") from error
    if metadata.pop("crc32", None) not in (None, _checksum(tensors)):
        raise Damaged(f"{path} is not as it was written (its checksum differs)")
    return tensors, metadata


def _checksum(tensors: dict[str, Tensor]) -> str:
    """CRC-32 of all bytes, by name."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy(), value)
    return f"{value:08x}"


def read_json(path: Path) -> Any:
    """What a JSON file holds. ValueError, whatever is wrong with it; FileNotFoundError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:  # brackets in brackets in brackets
        raise ValueError("nested too deep") from error


def read_spec(folder: Path) -> RunSpec:
    """The spec of a run's folder. ValueError for one that can't be read, FileNotFoundError where there is none."""
    return RunSpec.from_dict(read_json(folder / "spec.json"))


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a run's folder. ValueError unless it is a whole one, FileNotFoundError where there is none."""
    stored = read_json(folder / "result.json")
    if not isinstance(stored, dict) or stored.get("run_id") != folder.name:
        raise ValueError(f"result.json is not of run {folder.name}")
    rows = stored.get("rows")
    if not isinstance(stored.get("status"), str) or not isinstance(rows, list):
        raise ValueError("result.json has no status or no rows")
    for row in rows:
        for name, value in row.items() if isinstance(row, dict) else [("row", row)]:
            if name in COLUMNS and not _fits(name, value):
                raise ValueError(f"result.json has {str(value)[:40]!r} for {name}")
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("result.json has rows that are none")
    return stored


def _fits(column: str, value: Any) -> bool:
    if value is None:
        return True
    if column in WORDS:
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@lru_cache(maxsize=4096)
def _whole(folder: Path, spec: str, *stamps: tuple[int, int]) -> bool:
    """Whether a folder holds a result of this very run. stamps: times and sizes of what was looked at."""
    try:
        read_result(folder)
        return canonical(read_spec(folder)) == spec
    except (ValueError, OSError):
        return False


def canonical(spec: RunSpec) -> str:
    """A spec as text, equal for equal specs."""
    return json.dumps(spec.to_dict(), sort_keys=True)


class RunFolder:
    """runs/<run_id>/ of a results folder. notes: a line for each file that was found damaged and set aside."""

    def __init__(self, out: Path, spec: RunSpec) -> None:
        self.spec = spec
        self.out = out
        self.path = out / "runs" / spec.run_id
        self.notes: list[str] = []
        self.result_path = self.path / "result.json"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoint_path = self.path / "checkpoint" / "state.safetensors"
        self.model_path = self.path / "model.safetensors"
        self.examples_path = self.path / "examples.safetensors"
        self.answers_path = self.path / "answers.safetensors"
        self.inside_path = self.path / "inside.safetensors"

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

    def open(self) -> None:
        """Make the folder ready for this run. What is in it and is damaged, or of other settings, is set aside, never
        deleted and never used. For the one who has claimed it."""
        (self.path / "checkpoint").mkdir(parents=True, exist_ok=True)
        for part in self.path.rglob(".*.part"):
            part.unlink()  # of a process that was killed while writing
        why = self._why_not_mine()
        if why:
            for path in sorted(self.path.iterdir()):
                if path.name != "lock" and not (path.is_dir() and not any(path.iterdir())):
                    self._set_aside(path, why)
            (self.path / "checkpoint").mkdir(exist_ok=True)
        elif self.result_path.exists() and not self.complete:
            self._set_aside(self.result_path, "is not a whole result of this run")
        if why is not None:
            write_atomically(self.path / "spec.json", json.dumps(self.spec.to_dict(), indent=1))

    def take_training(self, device: str, processes: int) -> None:
        """Begin with the checkpoints of a complete run of this folder that differs in its tests alone, was trained on the
        same device by as many processes, and is whole. For the one who has claimed this run; nothing where it has begun."""
        if self.complete or self.checkpoint_path.exists():
            return
        for other in self._same_training():
            try:
                made = other.result()
                if (made.get("device"), made.get("processes")) == (device, processes):
                    self._take(other)
                    return
            except (Damaged, FileNotFoundError, ValueError):
                continue  # not whole after all: the next one, or training

    def _take(self, other: RunFolder) -> None:
        """Copy checkpoints and metrics. Those of rounds of pruning come first by name; the run's own come last, and its
        checkpoint is what counts."""
        for path in sorted(other.checkpoint_path.parent.glob("*.safetensors")):
            stored = load_checkpoint(path)
            if stored is None:
                raise FileNotFoundError(path)
            parts, progress = stored
            log = path.with_suffix(".jsonl")
            if path == other.checkpoint_path:
                progress["trained_as"] = progress.get("trained_as") or other.path.name
                write_atomically(self.metrics_path, other.metrics_path.read_text())
            elif log.exists():
                write_atomically(self.checkpoint_path.with_name(log.name), log.read_text())
            save_checkpoint(self.checkpoint_path.with_name(path.name), parts, progress)

    def _same_training(self) -> Iterator[RunFolder]:
        """Complete runs whose spec is this one's but for `evaluation`, whose seed also draws the validation problems."""

        def training(spec: RunSpec) -> str:
            return canonical(replace(spec, evaluation=EvaluationSpec(seed=spec.evaluation.seed)))

        kind = self.path.name.rpartition("-")[0]
        for path in sorted(self.path.parent.glob(f"{kind}-*/result.json")):
            try:
                spec = read_spec(path.parent)
            except (ValueError, OSError):
                continue
            other = RunFolder(self.out, spec)
            if (
                other.path == path.parent != self.path
                and training(spec) == training(self.spec)
                and other.complete
            ):
                yield other

    def _why_not_mine(self) -> str | None:
        """None if the folder says that it is of this very run; else in words why its files can't be trusted, "" where
        there are none."""
        try:
            if canonical(read_spec(self.path)) == canonical(self.spec):
                return None
            return "is of other settings under the same name (a default has changed)"
        except FileNotFoundError:
            files = [p for p in self.path.rglob("*") if p.is_file() and p.name != "lock"]
            return "was there without a spec.json" if files else ""
        except (ValueError, OSError) as error:
            return f"has a spec.json that can't be read ({one_line(error)})"

    def _set_aside(self, path: Path, why: str) -> None:
        """Move a file or folder of the run to set-aside/<run_id>/."""
        away = self.out / "set-aside" / self.path.name
        away.mkdir(parents=True, exist_ok=True)
        place, number = away / path.name, 1
        while place.exists():
            number += 1
            place = away / f"{path.name}.{number}"
        os.replace(path, place)
        self.notes.append(
            f"runs/{path.relative_to(self.out / 'runs')} {why}; moved to {place.relative_to(self.out)}, the run is repeated"
        )

    def checkpoint(self, mine: bool) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
        """What `save_checkpoint` wrote last; None where there is none, or where it is damaged: then set aside, by the
        process for which `mine` holds."""
        try:
            return load_checkpoint(self.checkpoint_path)
        except Damaged as error:
            if mine:
                self._set_aside(self.checkpoint_path, f"is damaged ({error})")
            return None

    @contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold the run while working on it; yields False where another process holds it.

        The lock goes with the process that holds it, however that ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def log(self, **values: Any) -> None:
        """Append one line to the metrics."""
        with open(self.metrics_path, "a") as file:
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
        write_atomically(self.metrics_path, "".join(kept))

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result: from now on the run is complete."""
        write_atomically(self.result_path, json.dumps(result, indent=1))

    def result(self) -> dict[str, Any]:
        """The stored result; errors as of `read_result`."""
        return read_result(self.path)


def save_checkpoint(
    path: Path, parts: dict[str, dict[str, Tensor]], progress: dict[str, Any]
) -> None:
    """One file holds it all, so that a checkpoint is whole or absent. parts: named groups of tensors."""
    flat = {
        f"{part}/{key}": value for part, tensors in parts.items() for key, value in tensors.items()
    }
    save_tensors(path, flat, {"progress": json.dumps(progress)})


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """What `save_checkpoint` wrote; None where there is none. Damaged where it is not as it was written."""
    try:
        flat, metadata = load_tensors(path)
    except FileNotFoundError:
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = tensor
    try:
        return parts, json.loads(metadata["progress"])
    except (KeyError, ValueError) as error:
        raise Damaged(f"{path} does not say how far it is") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors; its settings come from the spec."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, entry in state.items()
        for key, value in entry.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**whole, "state": state})


COLUMNS = (
    "run_id",
    "task",
    "paradigm",
    "label",
    "seed",
    "preset",
    "train_difficulty",
    "train_samples",
    "parameters",
    "active_parameters",
    "train_iterations",
    "max_iterations",
    "test_task",
    "test_difficulty",
    "difficulty_name",
    "difficulty_label",
    "iterations",
    "exit_rule",
    "exit_iterations_mean",
    "accuracy",
    "element_accuracy",
    "n_test",
    "ci_low",
    "ci_high",
    "chance",
    "flops_per_example",
    "train_flops",
    "train_seconds",
    "steps",
    "examples_seen",
    "precision",
    "device",
    "status",
)


#: The columns that hold words; the others hold numbers.
WORDS = frozenset(
    (
        "run_id",
        "task",
        "paradigm",
        "label",
        "preset",
        "test_task",
        "difficulty_name",
        "difficulty_label",
        "exit_rule",
        "precision",
        "device",
        "status",
    )
)


def labels(specs: list[RunSpec]) -> dict[str, str]:
    """A name for each run's kind: the paradigm, and whatever option varies between runs of it."""
    by_kind: dict[tuple[str, str], list[RunSpec]] = {}
    for spec in specs:
        by_kind.setdefault((spec.task, spec.paradigm), []).append(spec)
    named = {}
    for group in by_kind.values():
        settings = {s.run_id: _settings(s) for s in group}
        keys = sorted({k for chosen in settings.values() for k in chosen})
        varying = [k for k in keys if len({str(c.get(k)) for c in settings.values()}) > 1]
        for spec in group:
            chosen = settings[spec.run_id]
            parts = [f"{k}={chosen[k]}" for k in varying if k in chosen]
            named[spec.run_id] = " ".join([spec.paradigm, *parts])
    return named


def _settings(spec: RunSpec) -> dict[str, Any]:
    """What may set two runs of one paradigm apart, beside samples and seed."""
    chosen = dict(spec.paradigm_options)
    chosen |= {f"task.{k}": v for k, v in spec.task_options.items()}
    chosen["trained on"] = spec.train_difficulty
    for f in fields(TrainSpec):
        value = getattr(spec.train, f.name)
        if f.name not in ("steps", "validation_samples", "validate_every") and value != default_of(
            f
        ):
            chosen[f.name] = value
    return chosen


def collect(out: Path) -> tuple[pd.DataFrame, list[str]]:
    """All complete runs of a results folder as one tidy table, and a line for each that can't be read."""
    rows, specs, odd = [], [], []
    for path in sorted((out / "runs").glob("*/result.json")):
        try:
            spec = read_spec(path.parent)
            rows += read_result(path.parent)["rows"]
            specs.append(spec)
        except (ValueError, OSError) as error:
            odd.append(f"{path.parent.name}: {one_line(error)}")
    named = labels(specs)
    table = pd.DataFrame(rows)
    if len(table):
        table["label"] = table["run_id"].map(named)
    return table.reindex(columns=list(COLUMNS)), odd


def write_table(out: Path, table: pd.DataFrame) -> None:
    """results.parquet and results.csv, each whole or not at all."""
    for name, write in (("results.parquet", table.to_parquet), ("results.csv", table.to_csv)):
        part = out / f".{name}.{os.getpid()}.part"
        write(part, index=False)
        os.replace(part, out / name)
