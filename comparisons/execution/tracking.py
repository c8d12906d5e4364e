"""Live curves of runs in TensorBoard or Weights & Biases, through Accelerate's trackers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from accelerate import Accelerator

from foundations.errors import unknown_name
from foundations.records.spec import RunSpec

#: Tracker by name, and the packages any one of which it needs.
TRACKERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
PROJECT = "recurrence-or-depth"


def check_tracker(name: str) -> None:
    """ValueError for a tracker that is unknown, or whose package is not installed."""
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    if not any(find_spec(package) for package in TRACKERS[name]):
        package = TRACKERS[name][0]
        raise ValueError(f"--track {name} needs the package {package}: pip install {package}")


@contextmanager
def tracked(accelerator: Accelerator, spec: RunSpec) -> Iterator[None]:
    """What is logged inside goes to this run's curves; nothing happens where no tracker was asked
    for."""
    if not accelerator.log_with:
        yield
        return
    # TensorBoard has a folder a run; the others a project with named runs.
    folders = any(str(kind) == "tensorboard" for kind in accelerator.log_with)
    accelerator.init_trackers(
        spec.run_id if folders else PROJECT,
        config={
            "task": spec.task,
            "paradigm": spec.paradigm,
            "train_samples": spec.train_samples,
            "seed": spec.seed,
            "preset": spec.preset,
        },
        init_kwargs={"wandb": {"name": spec.run_id}},
    )
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []
