"""Runs in any tracker that Accelerate knows: the spec as configuration, curves while it trains, and
test scores at its end. A run that goes on does so in the same run of the tracker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from filelock import FileLock

from foundations.errors import unknown_name
from foundations.files import write_atomically
from foundations.records.result import Result
from foundations.records.spec import RunSpec

PROJECT = "recurrence-or-depth"


@dataclass(frozen=True)
class Kind:
    """How a tracker begins a run and goes on with it.

    packages: any one of which it needs. run_first: what Accelerate gives it first names a run; of
    other trackers it names a project. begin: arguments by run id and folder; where a tracker takes
    names of ours, they go on as well. given: from a tracker's object for a run to the id of its own
    that it gave it; resume: arguments that go on in the run of that id. files: variables of the
    environment that say where it keeps files, unless the user's say otherwise; {} is the folder.
    """

    packages: tuple[str, ...] = ()
    run_first: bool = False
    begin: Callable[[str, Path], dict[str, Any]] = lambda run_id, folder: {}
    given: Callable[[Any], str] | None = None
    resume: Callable[[str], dict[str, Any]] = lambda known: {}
    files: Mapping[str, str] = field(default_factory=dict)


def _key(run_id: str, length: int) -> str:
    """The name of a run where a tracker wants so many letters and digits and nothing else."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:length]


#: What is particular to a tracker, by its name. What Accelerate knows beside them, or a plugin has
#: registered with it (`register_tracker_class`), has no ids that could be gone on with.
KINDS = {
    "tensorboard": Kind(("tensorboard", "tensorboardX"), run_first=True),
    "wandb": Kind(
        ("wandb",),
        begin=lambda run_id, _: {"name": run_id, "id": run_id, "resume": "allow"},
        files={"WANDB_DIR": "{}"},
    ),
    "trackio": Kind(("trackio",), begin=lambda run_id, _: {"name": run_id, "resume": "allow"}),
    "mlflow": Kind(
        ("mlflow",),
        begin=lambda run_id, _: {"run_name": run_id},
        given=lambda run: run.info.run_id,
        resume=lambda known: {"run_id": known},
        files={"MLFLOW_TRACKING_URI": "sqlite:///{}/mlflow.db"},
    ),
    "aim": Kind(
        ("aim",),
        run_first=True,
        begin=lambda run_id, _: {"experiment": PROJECT},
        given=lambda run: run.hash,
        resume=lambda known: {"run_hash": known},
    ),
    # A key of its own goes on by itself, and is made where there is none: mode "get_or_create".
    "comet_ml": Kind(("comet_ml",), begin=lambda run_id, _: {"experiment_key": _key(run_id, 32)}),
    "clearml": Kind(
        ("clearml",),
        begin=lambda run_id, _: {"task_name": run_id, "reuse_last_task_id": False},
        given=lambda task: task.id,
        # 0: steps are counted from the start, not from the last one that was reported.
        resume=lambda known: {"reuse_last_task_id": known, "continue_last_task": 0},
    ),
    "dvclive": Kind(
        ("dvclive",),
        begin=lambda run_id, folder: {"dir": str(folder / run_id), "resume": True},
    ),
    "swanlab": Kind(
        ("swanlab",),
        begin=lambda run_id, folder: {
            "experiment_name": run_id,
            "id": _key(run_id, 21),
            "resume": "allow",
            "logdir": str(folder),
        },
    ),
}


def check_tracker(name: str) -> None:
    """ValueError for a tracker that Accelerate does not know, or whose package is not installed."""
    if name not in LOGGER_TYPE_TO_CLASS:
        raise unknown_name("tracker", name, LOGGER_TYPE_TO_CLASS)
    packages = KINDS.get(name, Kind()).packages
    if packages and not any(find_spec(package) for package in packages):
        package = packages[0]
        raise ValueError(f"--track {name} needs the package {package}: pip install {package}")


def configuration(spec: RunSpec) -> dict[str, bool | int | float | str]:
    """The whole spec, defaults included, as trackers take it: one level, `train.steps` and so on;
    what is no number, truth value or text as JSON."""
    flat: dict[str, bool | int | float | str] = {"run_id": spec.run_id}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, dict) and value:
                add(f"{prefix}{name}.", value)
            else:
                plain = isinstance(value, (bool, int, float, str))
                flat[prefix + name] = value if plain else json.dumps(value)

    add("", spec.to_dict())
    return flat


def scores(record: Result) -> dict[str, float]:
    """What a finished run is summed up by: accuracy on each test difficulty by each exit rule,
    within the most iterations that were tried, and what the network and its training cost."""
    best: dict[str, tuple[int, float]] = {}
    for row in record.rows:
        if row.get("accuracy") is not None:
            name = f"test/{row['test_task']}/{row['difficulty_label']}/{row['exit_rule']}"
            best[name] = max(best.get(name, (0, 0.0)), (row["iterations"], row["accuracy"]))
    cost = ("parameters", "active_parameters", "train_flops", "train_seconds")
    summed = {f"cost/{name}": float(getattr(record, name)) for name in cost}
    return {name: accuracy for name, (_, accuracy) in best.items()} | summed


@contextmanager
def tracked(accelerator: Accelerator, spec: RunSpec, folder: Path) -> Iterator[None]:
    """What is logged inside goes to this run's curves; nothing happens where no tracker was asked
    for. folder: where trackers that keep files keep them, and where ids that they give are
    remembered."""
    if not accelerator.log_with:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Trackers make projects and databases at their first run: workers begin one after the other.
    with FileLock(folder / ".beginning"):
        _begin(accelerator, spec.run_id, configuration(spec), folder)
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []


@contextmanager
def untracked(accelerator: Accelerator) -> Iterator[None]:
    """What is logged inside is no part of the run's curves."""
    kept, accelerator.trackers = accelerator.trackers, []
    try:
        yield
    finally:
        accelerator.trackers = kept


def _begin(
    accelerator: Accelerator, run_id: str, config: dict[str, bool | int | float | str], folder: Path
) -> None:
    (asked,) = accelerator.log_with
    name = asked.name if isinstance(asked, GeneralTracker) else str(asked)
    kind = KINDS.get(name, Kind())
    for variable, place in kind.files.items():
        os.environ.setdefault(variable, place.format(folder.resolve()))
    memory = folder / "begun" / f"{run_id}.{name}"
    known = memory.read_text() if memory.exists() else ""
    ours = kind.begin(run_id, folder) | (kind.resume(known) if known else {})
    try:
        accelerator.init_trackers(
            run_id if kind.run_first else PROJECT,
            # Told once: trackers add what is told again, or refuse it.
            config=None if known else config,
            init_kwargs={name: ours},
        )
    except BaseException:
        accelerator.trackers = []  # one half begun can't be ended, nor be logged to
        raise
    if accelerator.is_main_process and not known:
        (tracker,) = accelerator.trackers
        memory.parent.mkdir(exist_ok=True)
        write_atomically(memory, kind.given(tracker.tracker) if kind.given else run_id)
