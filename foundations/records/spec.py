"""A run is a value: everything that defines it, its name, and nothing that can change."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class TrainSpec:
    """How a network is trained. Every paradigm can use every field.

    steps: optimiser steps. easiest_steps: steps on the task's easiest difficulty that come before
    them, with a warm-up and schedule of their own ("weights from the easiest difficulty").
    batch_size: problems a step, over all processes. recurrent_lr_scale: factor on the learning rate
    of the network's recurrent parameters (`Paradigm.recurrent_parameters`). precision: see
    `hardware.PRECISIONS`. compile: whether training runs the network compiled, see `compiling`.
    schedule: of the rate after the warm-up, see `objectives.rate`. clip: largest gradient norm, 0
    for none. alpha: weight of the progressive loss, see `learner`. average: decay of the moving
    average of the weights that is evaluated, 0 for none. patience: validations without a better
    loss before stopping, 0 for none; the best weights are then the ones kept.
    """

    steps: int = 2000
    batch_size: int = 50
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    recurrent_lr_scale: float = 1.0
    weight_decay: float = 0.0
    warmup_steps: int = 100
    schedule: str = "cosine"
    clip: float = 1.0
    alpha: float = 1.0
    label_smoothing: float = 0.0
    average: float = 0.99
    precision: str = "auto"
    validate_every: int = 250
    validation_samples: int = 512
    patience: int = 0
    easiest_steps: int = 0
    compile: bool = False

    @property
    def total_steps(self) -> int:
        """Optimiser steps of both phases."""
        return self.easiest_steps + self.steps


@dataclass(frozen=True)
class EvaluationSpec:
    """How a network is tested. iterations: the most steps a recurrent network may take (its trained
    number if that is more). seed: of the test problems, the same for all runs so that they can be
    paired. blows: see `perturbations.recovery`, struck after half of the iterations. inside: test
    problems of each difficulty that the network is looked into with (`probe.inside`), 0 for none.
    transfer: other tasks of the same shape to be tested on as well, by name, with their options."""

    difficulties: tuple[int | str, ...] = ()
    samples: int = 1000
    iterations: int = 64
    exit_rules: tuple[str, ...] = (
        "n_plus_2",
        "agreement",
        "maximum_confidence",
        "convergence",
        "oracle",
    )
    seed: int = 0
    pictures: int = 6
    blows: tuple[str, ...] = ()
    inside: int = 0
    transfer: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSpec:
    """One network, trained once and tested. seed: initialisation and order; data_seed: the
    problems."""

    task: str
    paradigm: str
    train_difficulty: int | str
    train_samples: int
    seed: int = 0
    preset: str = "quick"
    data_seed: int = 0
    task_options: dict[str, Any] = field(default_factory=dict)
    paradigm_options: dict[str, Any] = field(default_factory=dict)
    train: TrainSpec = field(default_factory=TrainSpec)
    evaluation: EvaluationSpec = field(default_factory=EvaluationSpec)

    @property
    def run_id(self) -> str:
        """Name of the run, safe as a file name. Fields at their default are left out of the hash,
        so that a new field leaves the names of old runs as they are."""
        digest = hashlib.sha256(json.dumps(_chosen(self), sort_keys=True).encode()).hexdigest()[:12]
        words = re.sub(r"[^A-Za-z0-9_.]+", "_", f"{self.task}.{self.paradigm}")[:100]
        return f"{words}-s{self.seed}-{digest}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, defaults included."""
        return {"schema": SCHEMA, **json.loads(json.dumps(asdict(self)))}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> RunSpec:
        """The inverse of `to_dict`; ValueError for missing or unknown fields, wrong types or
        another schema."""
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ValueError(f"spec is not of schema {SCHEMA}")
        data = {k: v for k, v in data.items() if k != "schema"}
        try:
            for name, kind in (("train", TrainSpec), ("evaluation", EvaluationSpec)):
                given: dict[str, Any] = {
                    k: tuple(v) if isinstance(v, list) else v for k, v in data[name].items()
                }
                data[name] = kind(**given)
            spec = RunSpec(**data)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"spec has missing or unknown fields: {error}") from error
        for part in (spec, spec.train, spec.evaluation):
            _check_types(part)
        return spec


def _check_types(part: Any) -> None:
    """ValueError unless every field is of the type of its default; those without one are named
    here."""
    without: dict[str, Any] = {
        "task": str,
        "paradigm": str,
        "train_difficulty": (int, str),
        "train_samples": int,
    }
    for f in fields(part):
        value, default = getattr(part, f.name), default_of(f)
        kind = without[f.name] if default is MISSING else type(default)
        if kind is float:
            kind = (int, float)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"spec has {str(value)[:40]!r} for {f.name}")


def default_of(f: Any) -> Any:
    """The default of a dataclass field, or MISSING."""
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _chosen(value: Any) -> dict[str, Any]:
    chosen = {}
    for f in fields(value):
        item = getattr(value, f.name)
        if item == default_of(f):
            continue
        chosen[f.name] = _chosen(item) if is_dataclass(item) else item
    return chosen


def canonical(spec: RunSpec) -> str:
    """A spec as text, equal for equal specs."""
    return json.dumps(spec.to_dict(), sort_keys=True)
