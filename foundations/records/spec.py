"""A run is a value: everything that defines it, its name, and nothing that can change."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from foundations.errors import unknown_name
from foundations.registry import Registry

SCHEMA = 1
OPTIMIZERS = ("adam", "adamw", "sgd")
PRECISIONS = ("auto", "bf16", "fp32", "tf32")
#: Each a function of what is left of a training, from 1 to 0, to the rate, a share of the highest.
SCHEDULES = Registry(
    "schedule",
    {
        "cosine": "comparisons.training.objectives:cosine",
        "constant": "comparisons.training.objectives:constant",
        "linear": "comparisons.training.objectives:linear",
    },
    group="schedules",
)
#: What training minimises: the losses that the other fields of `TrainSpec` choose from, or a
#: function `(model, task, batch, iterations)` from outside, see `training.learner`.
USUAL = "usual"
OBJECTIVES = Registry(
    "objective", {USUAL: "comparisons.training.learner:Learner"}, group="objectives"
)
#: Functions `(session, difficulty, count, seed, iterations)` from outside, to what they found.
PROBES = Registry("probe", {}, group="probes")


class Limits(NamedTuple):
    """What a field may be, beside its type: a number in a range, or one of a few words.

    Beyond `most` a number is a slip of the hand: nothing would end, or fit any memory. open_end:
    why `most` itself is left out, where it is.
    """

    least: float = 0
    most: float = 10**9
    words: Collection[str] = ()
    open_end: str = ""

    def check(self, path: str, value: Any) -> None:
        """ValueError, by the path of the field, for a value outside the limits."""
        if self.words:
            if value not in self.words:
                raise unknown_name(path.rpartition(".")[2], value, self.words)
        elif self.most == 1:
            if not self.least <= value <= 1:
                raise ValueError(f"{path} must be from {self.least} to 1, not {value}")
            if self.open_end and value == 1:
                raise ValueError(f"{path} must be below 1: {self.open_end}")
        elif not value >= self.least or value == float("inf"):
            raise ValueError(f"{path} must be at least {self.least} and finite, not {value}")
        elif value > self.most:
            raise ValueError(f"{path} must be at most {self.most:,}, not {value}")


Count = Annotated[int, Limits(1)]
CountOrZero = Annotated[int, Limits()]
Amount = Annotated[float, Limits()]
Share = Annotated[float, Limits(0, 1)]
Problems = Annotated[int, Limits(1, 10**7)]


@dataclass(frozen=True)
class TrainSpec:
    """How a network is trained. Every paradigm can use every field.

    steps: optimiser steps. easiest_steps: steps on the task's easiest difficulty that come before
    them, with a warm-up and schedule of their own ("weights from the easiest difficulty").
    batch_size: problems a step, over all processes. recurrent_lr_scale: factor on the learning rate
    of the network's recurrent parameters (`Paradigm.recurrent_parameters`). compile: whether
    training runs the network compiled, see `compiling`. schedule: of the rate after the warm-up,
    see `objectives.rate`. clip: largest gradient norm, 0 for none. alpha: weight of the progressive
    loss, see `learner`. average: decay of the moving average of the weights that is evaluated, 0
    for none. patience: validations without a better loss before stopping, 0 for none; the best
    weights are then the ones kept. continued: the most iterations, a random number of them, that a
    recurrent network goes on for after those of its loss, to be trained there as well (see
    `learner`), 0 for none. settle: weight there of the squared change that the last one makes.
    contract: weight there of the squared growth of a small disturbance. The others are for
    recurrent networks (see `learner`). starts: share of the problems whose first state is noise.
    depths: by how many iterations at most the number of a step differs from the network's own.
    implicit: terms of the gradient through the state after all iterations as if it were a fixed
    point, 0 to train through the iterations. supervised: answers that are trained, evenly spread
    over the iterations, no gradient from one to another; 0 for the last alone. ponder: weight of
    what networks that halt by themselves pay for time (`paradigms.adaptive`). objective: "usual",
    what all these fields say, or a function from outside in its place (`OBJECTIVES`).
    """

    steps: Count = 2000
    batch_size: Annotated[int, Limits(1, 10**6)] = 50
    optimizer: Annotated[str, Limits(words=OPTIMIZERS)] = "adam"
    learning_rate: Amount = 1e-3
    recurrent_lr_scale: Amount = 1.0
    weight_decay: Amount = 0.0
    warmup_steps: CountOrZero = 100
    schedule: Annotated[str, Limits(words=SCHEDULES)] = "cosine"
    clip: Amount = 1.0
    alpha: Share = 1.0
    label_smoothing: Share = 0.0
    average: Annotated[float, Limits(0, 1, open_end="at 1 the average never moves")] = 0.99
    precision: Annotated[str, Limits(words=PRECISIONS)] = "auto"
    validate_every: Count = 250
    validation_samples: Problems = 512
    patience: CountOrZero = 0
    easiest_steps: CountOrZero = 0
    compile: bool = False
    continued: CountOrZero = 0
    settle: Amount = 0.0
    contract: Amount = 0.0
    starts: Share = 0.0
    depths: CountOrZero = 0
    implicit: CountOrZero = 0
    supervised: CountOrZero = 0
    ponder: Amount = 0.01
    objective: Annotated[str, Limits(words=OBJECTIVES)] = USUAL

    @property
    def total_steps(self) -> int:
        """Optimiser steps of both phases."""
        return self.easiest_steps + self.steps


@dataclass(frozen=True)
class EvaluationSpec:
    """How a network is tested. iterations: the most steps a recurrent network may take (its trained
    number if that is more). seed: of the test problems, the same for all runs so that they can be
    paired. blows: perturbations of the state after half of the iterations, see
    `perturbations.recovery`. inside: test problems of each difficulty that the network is probed
    with (`probe.inside`), 0 for none. transfer: other tasks of the same shape to be tested on as
    well, by name, with their options. axes: what else than difficulty problems of the same task
    can differ in (`Task.axes`), to be tested on as well, by name, with the options of such
    problems. probes: those from outside (`PROBES`) that the `inside` problems are given to."""

    difficulties: tuple[int | str, ...] = ()
    samples: Problems = 1000
    iterations: Annotated[int, Limits(1, 10**6)] = 64
    exit_rules: tuple[str, ...] = (
        "n_plus_2",
        "agreement",
        "maximum_confidence",
        "convergence",
        "oracle",
    )
    seed: CountOrZero = 0
    pictures: Annotated[int, Limits(0, 1000)] = 6
    blows: tuple[str, ...] = ()
    inside: CountOrZero = 0
    transfer: dict[str, dict[str, Any]] = field(default_factory=dict)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)
    probes: tuple[str, ...] = ()


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

    @cached_property
    def run_id(self) -> str:
        """Name of the run, safe as a file name. Fields at their default are left out of the hash,
        so that a new field leaves the names of old runs as they are."""
        digest = hashlib.sha256(
            json.dumps(_off_default(self), sort_keys=True).encode()
        ).hexdigest()[:12]
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


def _allowed(part: Any) -> dict[str, tuple[Any, Limits | None]]:
    """By field: the type that it must have, and its limits."""
    allowed: dict[str, tuple[Any, Limits | None]] = {}
    for name, hint in get_type_hints(part, include_extras=True).items():
        kind, limits = get_args(hint) if get_origin(hint) is Annotated else (hint, None)
        plain = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
        allowed[name] = (plain, limits)
    return allowed


_ALLOWED = {part: _allowed(part) for part in (RunSpec, TrainSpec, EvaluationSpec)}


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value is of a type: a whole number is a float too, a truth value no number."""
    wanted = (int, float) if kind is float else kind
    return isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))


def _check_types(part: Any) -> None:
    """ValueError unless every field is of its type."""
    for name, (kind, _) in _ALLOWED[type(part)].items():
        value = getattr(part, name)
        if not _is_of(value, kind):
            raise ValueError(f"spec has {str(value)[:40]!r} for {name}")


Part = TypeVar("Part", TrainSpec, EvaluationSpec)


def typed(group: str, part: type[Part], values: Mapping[str, Any]) -> Part:
    """A TrainSpec or EvaluationSpec from loose values; ValueError for unknown fields or wrong
    types."""
    known = [f.name for f in fields(part) if f.default is not MISSING]
    clean: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"{group} field", name, known)
        kind, _ = _ALLOWED[part][name]
        if not _is_of(value, kind):
            raise ValueError(f"{group}.{name} must be of type {kind.__name__}, not {value!r}")
        clean[name] = float(value) if kind is float else value
    return part(**clean)


def check_limits(spec: RunSpec) -> None:
    """ValueError unless every field of training and evaluation is within its limits."""
    for group in ("train", "evaluation"):
        part = getattr(spec, group)
        for name, (_, limits) in _ALLOWED[type(part)].items():
            if limits:
                limits.check(f"{group}.{name}", getattr(part, name))


def default_of(f: Any) -> Any:
    """The default of a dataclass field, or MISSING."""
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _off_default(value: Any) -> dict[str, Any]:
    """The fields that are not at their default."""
    off: dict[str, Any] = {}
    for f in fields(value):
        item = getattr(value, f.name)
        if item != default_of(f):
            off[f.name] = _off_default(item) if is_dataclass(item) else item
    return off


def canonical(spec: RunSpec) -> str:
    """A spec as text, equal for equal specs."""
    return json.dumps(spec.to_dict(), sort_keys=True)
