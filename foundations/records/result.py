"""The record of a finished run: what `result.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from foundations.records.spec import default_of


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true of a run whatever it is tested on.

    parameters: trainable numbers; active_parameters: those that are not pruned away.
    max_iterations: where a feed-forward network ends, None for a recurrent one. chance: accuracy of
    guessing. train_flops: of all passes, forward and backward, and of all trainings where a network
    is pruned by several. train_seconds: as that, validation left out. steps: of the last training.
    status: "complete", "diverged" or "collapsed".
    """

    run_id: str
    task: str
    paradigm: str
    seed: int
    preset: str
    train_difficulty: int
    train_samples: int
    parameters: int
    active_parameters: int
    train_iterations: int
    max_iterations: int | None
    difficulty_name: str
    chance: float
    train_flops: float
    train_seconds: float
    steps: int
    examples_seen: int
    precision: str
    device: str
    status: str


@dataclass(frozen=True, kw_only=True)
class Row(Facts):
    """A row of the table: a run on one test difficulty, after so many iterations or by an exit rule
    with that budget.

    accuracy: share of problems wholly right, ci_low and ci_high its 95 % interval (Wilson);
    element_accuracy: share of their elements. exit_iterations_mean: iterations at which problems
    were answered. n_test: problems; 0, and no numbers, for a run that could not be tested.
    """

    test_task: str
    test_difficulty: int
    difficulty_label: str
    iterations: int
    exit_rule: str
    n_test: int
    exit_iterations_mean: float | None = None
    accuracy: float | None = None
    element_accuracy: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    flops_per_example: float | None = None


@dataclass(frozen=True, kw_only=True)
class Result(Facts):
    """Everything that is recorded of a run. Of an older version's record, or of a trial's in a
    search, fields may be None.

    titles: what reports call the task and the paradigm. over_positions: whether the network is
    recurrent over the positions of one pass. reason: why training ended as it did. data_wait_share:
    of the training time. version: of this library, command: what repeats the run, trained_as: the
    run whose training was taken over, claim: under which it was written. set_aside: files found
    damaged. batch_parts, test_batches_cut: in how many parts a training batch, and how many test
    batches, had to be cut for the device's memory. speedups: what was on in training that a GPU
    could do without. layer_weights (kept and all, by layer), empty_layers and scoring_seconds: of
    pruning. recovery: accuracy after each perturbation. inside: what the probes found. exits,
    stopping: how many problems each rule answered when, and what stopping really costs. rows: see
    `Row`. loss, accuracy: on validation problems, of a trial.
    """

    reason: str
    data_wait_share: float
    processes: int
    threads: int
    versions: dict[str, str]
    command: str
    titles: dict[str, str] = field(default_factory=dict)
    over_positions: bool = False
    version: str = ""
    claim: str = ""
    trained_as: str = ""
    set_aside: list[str] = field(default_factory=list)
    batch_parts: int = 1
    test_batches_cut: int = 0
    speedups: list[str] = field(default_factory=list)
    layer_weights: dict[str, list[int]] | None = None
    empty_layers: list[str] | None = None
    scoring_seconds: float | None = None
    recovery: list[dict[str, Any]] = field(default_factory=list)
    inside: list[dict[str, Any]] = field(default_factory=list)
    exits: list[dict[str, Any]] = field(default_factory=list)
    stopping: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    loss: float | None = None
    accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `result.json`; what has nothing to say is left out."""
        return plain(self) | {"rows": self.rows}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Result:
        """The inverse of `to_dict`; fields that nobody knows any more are dropped."""
        values: dict[str, Any] = {}
        for f in fields(cls):
            default = default_of(f)
            values[f.name] = stored.get(f.name, None if default is MISSING else default)
        return cls(**values)


#: The columns of the table of results. label: what runs alike but for seed and samples are called.
COLUMNS = ("run_id", "task", "paradigm", "label", *(f.name for f in fields(Row)[3:]))
#: The columns that hold words; the others hold numbers.
WORDS = frozenset(("label", *(f.name for f in fields(Row) if f.type == "str")))


def facts_of(record: Facts) -> dict[str, Any]:
    """The facts of a run among the fields of a record of it."""
    return {f.name: getattr(record, f.name) for f in fields(Facts)}


def plain(record: Facts) -> dict[str, Any]:
    """The fields of a record that are not as they are by default."""
    values = {f.name: (getattr(record, f.name), default_of(f)) for f in fields(record)}
    return {name: value for name, (value, default) in values.items() if value != default}
