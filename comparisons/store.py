"""Files of a results folder. What counts as done is written last and in one move."""

from __future__ import annotations

import copy
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from comparisons.spec import RunSpec, TrainSpec, default_of, fields


class StoreError(RuntimeError):
    """A results folder that can't be used as it is; the message is one line."""


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file({k: v.detach().contiguous() for k, v in tensors.items()}, part, metadata)
    os.replace(part, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, on the CPU."""
    with safe_open(path, framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118


class RunFolder:
    """runs/<run_id>/ of a results folder."""

    def __init__(self, out: Path, spec: RunSpec) -> None:
        self.spec = spec
        self.path = out / "runs" / spec.run_id
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
        """Whether the run's result is there."""
        return self.result_path.exists()

    def open(self) -> None:
        """Make the folder, or check that the one there holds this very run; StoreError if it does not."""
        (self.path / "checkpoint").mkdir(parents=True, exist_ok=True)
        spec_path = self.path / "spec.json"
        if not spec_path.exists():
            write_atomically(spec_path, json.dumps(self.spec.to_dict(), indent=1))
            return
        try:
            stored = RunSpec.from_dict(json.loads(spec_path.read_text()))
        except (ValueError, OSError) as error:
            raise StoreError(
                f"{spec_path}: {error}; move the folder away to train this run anew"
            ) from error
        if stored != self.spec:
            raise StoreError(
                f"{spec_path} is of a run with other settings under the same name (a default has changed); "
                "move the folder away or use another --out"
            )

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
        """The stored result."""
        return json.loads(self.result_path.read_text())


def save_checkpoint(
    path: Path, parts: dict[str, dict[str, Tensor]], progress: dict[str, Any]
) -> None:
    """One file holds it all, so that a checkpoint is whole or absent. parts: named groups of tensors."""
    flat = {
        f"{part}/{key}": value for part, tensors in parts.items() for key, value in tensors.items()
    }
    save_tensors(path, flat, {"progress": json.dumps(progress)})


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """What `save_checkpoint` wrote; None where there is none."""
    if not path.exists():
        return None
    flat, metadata = load_tensors(path)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = tensor
    return parts, json.loads(metadata["progress"])


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
            spec = RunSpec.from_dict(json.loads((path.parent / "spec.json").read_text()))
            result = json.loads(path.read_text())
            rows += result["rows"]
            specs.append(spec)
        except (ValueError, KeyError, TypeError, OSError) as error:
            odd.append(f"{path.parent.name}: {error}")
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
