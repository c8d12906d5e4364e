"""Training one network: a loop that reads top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import release_memory, should_reduce_batch_size
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from comparisons.hardware import quick_gpu, resolve_precision, sums_device
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import save_checkpoint
from comparisons.testing.evaluation import evaluate
from comparisons.testing.session import Session
from comparisons.training.batches import batches
from comparisons.training.graphs import CudaRecorder, Draw, GraphedSteps, Recorder
from comparisons.training.learner import Learner
from comparisons.training.objectives import (
    CONTINUED_FROM,
    WITH_GRADIENT,
    continued_draw,
)
from comparisons.training.optimizers import (
    learning_rate,
    make_optimizer,
    named_state,
    restore_state,
)
from foundations.records.spec import USUAL, RunSpec
from paradigms.base import Paradigm
from tasks.base import Batch, Task

LOG_EVERY = 50
#: Asked "training" after every step and "testing" before the tests: whether to leave the run there.
Pause = Callable[[str], bool]


class Paused(Exception):
    """A run was left where it can be gone on with to the same result."""


def never(phase: str) -> bool:
    """The `Pause` that never comes."""
    return False


@dataclass
class Progress:
    """Where a run is; all that a checkpoint holds beside tensors."""

    step: int = 0
    status: str = "training"  # then "complete" or "diverged"
    reason: str = ""
    seconds: float = 0.0
    waited: float = 0.0
    skipped_iterations: int = 0
    kept_iterations: int = 0
    more_readouts: int = 0  # than one a step
    best_loss: float = math.inf
    since_best: int = 0
    loss_sum: float = 0.0
    parts: int = 1  # that a batch is cut into, because the device could not hold it whole
    trained_as: str = ""  # the run that this training is of, where it was taken from another
    speedups: list[str] = field(default_factory=list)  # what was on that a device does not need


class Pace:
    """Seconds spent training, and the part of them spent waiting for data; validation is left
    out."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self._since, self._waited = time.perf_counter(), 0.0

    def update(self, progress: Progress) -> None:
        progress.seconds += time.perf_counter() - self._since
        progress.waited += self._waited
        self.restart()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start


def train_run(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
    pause: Pause = never,
) -> tuple[Paradigm, Progress, str]:
    """Train from the last checkpoint, or from the start, to the end. Paused, its checkpoint saved,
    where `pause` says so between two steps.

    Returns the network with the weights to be tested (averaged, or the best where training stopped
    early), the final progress (its status "complete" or "diverged") and the precision that ran.
    report is called with what there is to show, a few times a second at most.
    """
    training = Training.begin(spec, task, model, folder, accelerator, report)
    train, progress = spec.train, training.progress
    source = batches(task, spec, progress.step, accelerator)
    while progress.step < train.total_steps and progress.status == "training":
        with training.pace.waiting():
            batch = next(source)
        training.take_step(batch)
        last = progress.step == train.total_steps
        if progress.step % LOG_EVERY == 0 or last:
            training.log()
            if progress.status == "diverged":
                break
        if progress.step % train.validate_every == 0 or last:
            training.validate()
            if train.patience and progress.since_best >= train.patience:
                progress.reason = f"stopped early at step {progress.step}"
                progress.status = "complete"  # nor is it gone on with from here
            training.checkpoint()
        if not last and pause("training"):
            training.checkpoint()
            source.close()
            raise Paused
    source.close()
    if progress.status == "training":
        progress.status = "complete"
    training.pace.update(progress)
    progress.speedups = training.speedups()
    if training.best:
        training.tested.load_state_dict(training.best)
    return training.tested, progress, training.precision


@dataclass
class Training:
    """A network in training: its parts, its progress, and what is done with them.

    tested: the network, or the moving average of its weights, that is validated and tested. best:
    the weights of the best validation so far, where training may stop early. loss_sum: float64, of
    the losses since the last line of the log; kept on the device, so that no step waits for it.
    """

    spec: RunSpec
    task: Task
    model: Paradigm
    average: AveragedModel | None
    learner: torch.nn.Module
    optimizer: torch.optim.Optimizer
    folder: RunFolder
    accelerator: Accelerator
    report: Callable[[dict[str, Any]], None]
    precision: str
    progress: Progress
    best: dict[str, torch.Tensor]
    loss_sum: torch.Tensor
    graphs: GraphedSteps | None = None
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def begin(
        cls,
        spec: RunSpec,
        task: Task,
        model: Paradigm,
        folder: RunFolder,
        accelerator: Accelerator,
        report: Callable[[dict[str, Any]], None],
    ) -> Training:
        """From the last checkpoint, or afresh."""
        train, device = spec.train, accelerator.device
        precision = resolve_precision(train.precision, device)
        convolutional = task.spec.spatial_dims == 2
        layout = torch.channels_last if convolutional else torch.contiguous_format
        model = model.to(device).to(memory_format=layout)
        average = None
        if train.average:
            average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(train.average))
        learner: torch.nn.Module = Learner(model, task, train, precision, compiled=train.compile)
        optimizer = make_optimizer(model, train)
        progress, best = _restore(folder, model, average, optimizer, accelerator)
        learner, optimizer = accelerator.prepare(learner, optimizer)
        learner.train()
        loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=sums_device(device))
        training = cls(
            spec, task, model, average, learner, optimizer, folder, accelerator, report, precision,
            progress, best, loss_sum,
        )  # fmt: skip
        # What an objective from outside does may differ from step to step: no graph repeats that.
        own = train.objective != USUAL
        if quick_gpu(device) and accelerator.num_processes == 1 and not own:
            training.graphs = training.graphed(CudaRecorder(device))
        return training

    def graphed(self, recorder: Recorder) -> GraphedSteps:
        """Its steps by a recorder."""
        return GraphedSteps(list(self.learner.parameters()), self._backward, recorder)

    def _backward(self, batch: Batch, draw: Draw) -> torch.Tensor:
        return _backward(self.learner, batch, draw, self.accelerator, self.progress)

    def speedups(self) -> list[str]:
        """What is on that makes training quicker on this device, in words."""
        if not quick_gpu(self.accelerator.device):
            return []
        found = ["pinned batches"]
        found += ["cuDNN benchmark"] if torch.backends.cudnn.benchmark else []
        fused = any(group.get("fused") for group in self.optimizer.param_groups)
        found += [f"fused {self.spec.train.optimizer}"] if fused else []
        if self.graphs:
            off = self.graphs.why_off
            found.append(f"no CUDA graphs: {off}" if off else "CUDA graphs")
        return found

    @property
    def tested(self) -> Paradigm:
        return cast("Paradigm", self.average.module) if self.average else self.model

    def take_step(self, batch: Batch) -> None:
        """One step of the optimiser. Its randomness is a function of the seed and the step alone,
        so that a resumed run goes on as it would have."""
        spec, progress, accelerator = self.spec, self.progress, self.accelerator
        step, rank, device = progress.step, accelerator.process_index, accelerator.device
        torch.manual_seed((spec.seed * 1_000_003 + step) * 64 + rank)
        batch = self.task.augment(batch, _generator(device, spec.seed, step, rank))
        inner = accelerator.unwrap_model(self.learner)
        iterations, skipped, kept = inner.draw(spec.seed, step)
        further = None
        if inner.continues and step >= CONTINUED_FROM * spec.train.total_steps:
            further = continued_draw(spec.train.continued, spec.seed, step)
        now = learning_rate(spec.train, step)
        for group in self.optimizer.param_groups:
            group["lr"] = now * group["scale"]
        with inner.running():
            work = self.graphs.step if self.graphs and progress.parts == 1 else self._backward
            loss = work(batch, (skipped, kept, further, iterations))
        if spec.train.clip:
            accelerator.clip_grad_norm_(self.learner.parameters(), spec.train.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update_parameters(self.model)
        self.loss_sum += loss.to(self.loss_sum.device)
        progress.step += 1
        run = inner.passes(iterations, skipped, kept)
        progress.skipped_iterations += int(run.skipped)
        progress.kept_iterations += int(run.kept)
        progress.more_readouts += int(run.readouts) - 1
        if further is not None:
            progress.skipped_iterations += further
            progress.kept_iterations += WITH_GRADIENT * (2 if spec.train.contract else 1)

    def log(self) -> None:
        """The mean loss since the last line; a run whose loss is not finite has diverged. The one
        place that waits for the device: a loss that was NaN once is NaN in the sum."""
        progress, step = self.progress, self.progress.step
        count = (step - 1) % LOG_EVERY + 1
        mean = self.accelerator.reduce(self.loss_sum, "mean").item() / count
        self.loss_sum.zero_()
        if not math.isfinite(mean):
            progress.status = "diverged"
            progress.reason = f"the loss became {mean} by step {step}"
            return
        now = learning_rate(self.spec.train, step - 1)
        self._record("train", {"loss": mean, "learning_rate": now})
        if self.accelerator.is_main_process:
            self.accelerator.log({"train/loss": mean, "learning rate": now}, step=step)
        self.report({"step": step, "training loss": mean})

    def validate(self) -> None:
        """Score the network on validation problems; where training may stop early, the best weights
        are kept."""
        progress, train = self.progress, self.spec.train
        self.pace.update(progress)
        scores = validate(self.spec, self.task, self.tested, self.accelerator, self.precision)
        self.pace.restart()
        self._record("validation", scores)
        if self.accelerator.is_main_process:
            curves = {f"validation/{name}": value for name, value in scores.items()}
            self.accelerator.log(curves, step=progress.step)
        self.report({"step": progress.step, **scores})
        if train.patience and progress.step > train.easiest_steps:
            progress.since_best += 1
            if scores["loss"] < progress.best_loss:
                progress.best_loss, progress.since_best = scores["loss"], 0
                self.best = {k: v.detach().clone() for k, v in self.tested.state_dict().items()}

    def _record(self, split: str, values: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            step = self.progress.step
            examples = step * self.spec.train.batch_size
            self.folder.log(step=step, examples=examples, split=split, **values)

    def checkpoint(self) -> None:
        """Everything that is needed to go on to the same result."""
        self.pace.update(self.progress)
        self.progress.loss_sum = self.loss_sum.item()
        if not self.accelerator.is_main_process:
            return
        optimizer = named_state(self.optimizer, self.model)
        parts = {"model": self.model.state_dict(), "optimizer": optimizer}
        parts |= {"average": self.average.state_dict()} if self.average else {}
        parts |= {"best": self.best} if self.best else {}
        save_checkpoint(self.folder.checkpoint_path, parts, vars(self.progress), self.folder.check)


def _backward(
    learner: torch.nn.Module,
    batch: Batch,
    draw: Draw,
    accelerator: Accelerator,
    progress: Progress,
) -> torch.Tensor:
    """The loss of a batch, its gradients added up. A batch that the device can't hold is cut into
    twice as many parts, now and from now on; where processes share it, each would have to be told,
    so there it is an error."""
    while True:
        loss = torch.zeros((), device=accelerator.device)
        try:
            for indices in np.array_split(np.arange(len(batch)), progress.parts):
                part = batch if progress.parts == 1 else batch[torch.as_tensor(indices)]
                share = learner(part, *draw) * (len(part) / len(batch))
                accelerator.backward(share)
                loss += share.detach()
            return loss
        except RuntimeError as error:
            alone = accelerator.num_processes == 1
            if not (alone and should_reduce_batch_size(error)) or progress.parts >= len(batch):
                raise
        # Outside the handler, whose error holds on to what was computed so far.
        progress.parts = min(2 * progress.parts, len(batch))
        learner.zero_grad()
        release_memory()


def validate(
    spec: RunSpec, task: Task, model: Paradigm, accelerator: Accelerator, precision: str
) -> dict[str, float]:
    """Loss (nats), accuracy and element accuracy on validation problems at the trained
    iterations."""
    iterations = model.train_iterations
    scores = evaluate(
        Session.of(accelerator, model, task, precision),
        spec.train_difficulty,
        split="validation",
        count=spec.train.validation_samples,
        seed=spec.evaluation.seed,
        iterations=iterations,
        record=[iterations],
    )
    tally = scores.fixed[iterations]
    return {
        "loss": scores.loss,
        "accuracy": tally.correct / scores.n,
        "element_accuracy": tally.elements / scores.n,
    }


def _restore(
    folder: RunFolder,
    model: Paradigm,
    average: AveragedModel | None,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Progress and best weights of the last checkpoint, its tensors put back; a fresh start without
    one."""
    stored = folder.checkpoint(accelerator.is_main_process)
    progress = Progress()
    best: dict[str, torch.Tensor] = {}
    if stored:
        parts, values = stored
        model.load_state_dict(parts["model"])
        if average:
            average.load_state_dict(parts["average"])
        restore_state(optimizer, model, parts.get("optimizer", {}))
        best = {k: v.to(accelerator.device) for k, v in parts.get("best", {}).items()}
        progress = Progress(**values)
    if accelerator.is_main_process:
        folder.forget_metrics_after(progress.step)
    return progress, best


def _generator(device: torch.device, seed: int, step: int, rank: int) -> torch.Generator:
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) * 64 + rank)
