"""Whole training steps, as the library takes them, against the published recipe spelt out: what
`train.compile` gains, and what a GPU does.

A step is everything: augmentation, both passes of the loss, gradients, clipping, the optimiser, the
average. All contestants take the same draws of the progressive loss, over and over.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from accelerate import Accelerator

from comparisons.execution.run import build
from comparisons.hardware import PLAIN_GPU, tune, wait_for
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training.loop import Training
from comparisons.training.objectives import progressive_draw
from foundations.records.spec import RunSpec

#: Steps, and so draws, of one call.
DRAWS = 8
#: Calls before the first that is timed: graphs are recorded in the second, autotuning is over.
WARM = 3


@dataclass(frozen=True)
class Steps:
    """A run of a preset. gpu: of a size that only a GPU is asked for."""

    name: str
    task: str
    paradigm: str
    preset: str
    options: dict[str, object] = field(default_factory=dict)
    gpu: bool = False


STEPS = (
    Steps("compile: dt_net_recall 2d, width 32, 11 x 11", "maze", "dt_net_recall", "quick"),
    Steps("compile: feed_forward_recall 2d, width 32", "maze", "feed_forward_recall", "quick"),
    Steps("compile: dt_net_recall 1d, width 64, 16 bits", "prefix_sums", "dt_net_recall", "quick"),
    Steps("compile: narrow_resnet18, 64 x 64", "pathfinder", "narrow_resnet18", "quick"),
    Steps("gpu: dt_net_recall 2d, width 128, 24 x 24", "maze", "dt_net_recall", "paper", gpu=True),
    Steps("gpu: dt_net_recall 1d, width 400", "prefix_sums", "dt_net_recall", "paper", gpu=True),
    Steps("gpu: feed_forward 2d, width 128, 24 x 24", "maze", "feed_forward", "paper", gpu=True),
    Steps("gpu: narrow_resnet18, 150 x 150", "pathfinder", "narrow_resnet18", "paper", gpu=True),
    Steps("gpu: hgru, 150 x 150", "pathfinder", "hgru", "paper", gpu=True),
)


def spec_of(case: Steps) -> RunSpec:
    """The run whose steps are taken."""
    values = {("paradigm", name): value for name, value in case.options.items()}
    return make_spec(case.task, case.paradigm, case.preset, 0, 50_000, values)


def ways_of(case: Steps, device: torch.device) -> dict[str, Callable[[], None]]:
    """DRAWS steps in each way, warmed up, by what the way is called: "plain" first. What compiling
    took, in seconds over the steps that were taken meanwhile, stands in the name."""
    ways: dict[str, Callable[[], None]] = {"plain": spelt_out(case, device)}
    for compiled in (False, True):
        for graphs in (False, True) if device.type == "cuda" else (False,):
            began = time.perf_counter()
            call = library(case, device, compiled, graphs)
            name = "library" + ", CUDA graphs" * graphs
            if compiled:
                call()
                wait_for(device)
                name += f", compiled in {time.perf_counter() - began:.0f} s"
            ways[name] = call
    for call in ways.values():
        for _ in range(WARM):
            call()
    return ways


def library(case: Steps, device: torch.device, compiled: bool, graphs: bool) -> Callable[[], None]:
    """The library's own steps; without graphs also without what else is only for GPUs."""
    spec = spec_of(case)
    spec = replace(spec, train=replace(spec.train, compile=compiled))
    before = os.environ.pop(PLAIN_GPU, None)
    if not graphs:
        os.environ[PLAIN_GPU] = "1"
    try:
        folder = RunFolder(Path(tempfile.mkdtemp()), spec)
        accelerator = Accelerator(cpu=device.type == "cpu")
        training = Training.begin(spec, *build(spec), folder, accelerator, lambda news: None)
        tune(device)
        chooses = torch.backends.cudnn.benchmark
    finally:
        os.environ.pop(PLAIN_GPU, None)
        if before:
            os.environ[PLAIN_GPU] = before
    problems = training.task.sample(spec.train_difficulty, spec.train.batch_size).to(device)

    def call() -> None:
        torch.backends.cudnn.benchmark = chooses
        for step in range(DRAWS):
            training.progress.step = step
            training.take_step(problems)

    return call


def spelt_out(case: Steps, device: torch.device) -> Callable[[], None]:
    """What one would write: PyTorch in float32, default layout, eager, the recipe's passes."""
    spec = spec_of(case)
    task, model = build(spec)
    model = model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), spec.train.learning_rate)
    problems = task.sample(spec.train_difficulty, spec.train.batch_size).to(device)
    progressive = model.progressive and model.max_iterations is None
    alpha, most = spec.train.alpha if progressive else 0.0, model.train_iterations

    def loss_of(skipped: int, kept: int) -> torch.Tensor:
        x = problems.inputs
        with torch.no_grad():
            state = model.encode(x)
            for _ in range(skipped):
                state = model.step(state, x)
        if not skipped:
            state = model.encode(x)
        for _ in range(kept):
            state = model.step(state, x)
        return task.loss(model.readout(state), problems, spec.train.label_smoothing)

    def call() -> None:
        torch.backends.cudnn.benchmark = False
        for step in range(DRAWS):
            loss = torch.zeros((), device=device)
            if alpha < 1:
                loss = loss + (1 - alpha) * loss_of(0, most)
            if alpha > 0:
                loss = loss + alpha * loss_of(*progressive_draw(most, spec.seed, step))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), spec.train.clip or float("inf"))
            optimizer.step()

    return call
