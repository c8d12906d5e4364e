"""Training one network: a loop that reads top to bottom."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import release_memory, should_reduce_batch_size
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from comparisons.hardware import resolve_precision, sums_device
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import optimizer_tensors, restore_optimizer, save_checkpoint
from comparisons.testing.evaluation import evaluate
from comparisons.training.learner import Learner
from comparisons.training.objectives import progressive_draw, rate
from foundations.errors import unknown_name
from foundations.records.spec import OPTIMIZERS, RunSpec, TrainSpec
from paradigms.base import Paradigm
from tasks.base import Batch, Task
from tasks.sampling import permute_many, stream_key

LOG_EVERY = 50
#: Problems made in one go, the batches of several steps: what a call costs is then shared by them.
AT_ONCE = 256


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
    best_loss: float = math.inf
    since_best: int = 0
    loss_sum: float = 0.0
    parts: int = 1  # that a batch is cut into, because the device could not hold it whole
    trained_as: str = ""  # the run that this training is of, where it was taken from another


def make_optimizer(model: Paradigm, train: TrainSpec) -> torch.optim.Optimizer:
    """The optimiser, with the network's recurrent parameters in a group of their own. The rate is
    set at every step."""
    recurrent = list(model.recurrent_parameters())
    chosen = {id(p) for p in recurrent}
    others = [p for p in model.parameters() if id(p) not in chosen]
    groups = [
        {"params": params, "scale": scale}
        for params, scale in ((recurrent, train.recurrent_lr_scale), (others, 1.0))
        if params
    ]
    lr, decay = train.learning_rate, train.weight_decay
    if train.optimizer == "adam":
        return torch.optim.Adam(groups, lr, weight_decay=decay)
    if train.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr, weight_decay=decay)
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=0.9, weight_decay=decay)
    raise unknown_name("optimizer", train.optimizer, OPTIMIZERS)


def _parameter_names(optimizer: torch.optim.Optimizer, model: Paradigm) -> list[str]:
    """The names of an optimiser's parameters, in the order in which it numbers them."""
    names = {id(p): name for name, p in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def named_state(optimizer: torch.optim.Optimizer, model: Paradigm) -> dict[str, torch.Tensor]:
    """The state of a network's optimiser, by the names of the parameters: what is stored does not
    depend on its groups."""
    names = _parameter_names(optimizer, model)
    found = {}
    for key, tensor in optimizer_tensors(optimizer).items():
        number, _, what = key.partition(".")
        found[f"{names[int(number)]}.{what}"] = tensor
    return found


def restore_state(
    optimizer: torch.optim.Optimizer, model: Paradigm, tensors: dict[str, torch.Tensor]
) -> None:
    """Put back what `named_state` gave, or what checkpoints held before it: numbers in place of
    names."""
    numbers = {name: number for number, name in enumerate(_parameter_names(optimizer, model))}
    # The order of those checkpoints, whose optimiser had in its first group what was called so.
    first = [name for name, _ in model.named_parameters() if name.startswith("recurrent")]
    once = [*first, *(name for name, _ in model.named_parameters() if name not in set(first))]
    found = {}
    for key, tensor in tensors.items():
        owner, _, what = key.rpartition(".")
        name = once[int(owner)] if owner.isdecimal() else owner
        found[f"{numbers[name]}.{what}"] = tensor
    restore_optimizer(optimizer, found)


def learning_rate(train: TrainSpec, step: int) -> float:
    """The rate of a step; each of the two phases warms up and falls by itself."""
    if step < train.easiest_steps:
        share = rate(step, train.easiest_steps, train.warmup_steps, train.schedule)
    else:
        share = rate(step - train.easiest_steps, train.steps, train.warmup_steps, train.schedule)
    return share * train.learning_rate


def batch_indices(spec: RunSpec, steps: range) -> np.ndarray:
    """Numbers of the problems of consecutive steps, [steps, batch size]: every training problem
    once an epoch, in an order of its own.

    A pure function of the steps, so that a resumed run goes on in the middle of an epoch.
    """
    size, count = spec.train.batch_size, spec.train_samples
    places = np.arange(steps.start * size, steps.stop * size)
    indices = np.empty(len(places), np.int64)
    for epoch in np.unique(places // count):
        chosen = places // count == epoch
        key = stream_key("order", spec.seed, "train", int(epoch))
        indices[chosen] = permute_many(places[chosen] % count, count, key)
    return indices.reshape(len(steps), size)


def _stretches(train: TrainSpec, first: int) -> Iterator[range]:
    """The steps from `first` on in stretches of one difficulty whose problems are few enough to be
    made at once."""
    while first < train.total_steps:
        end = train.easiest_steps if first < train.easiest_steps else train.total_steps
        stretch = range(first, min(first + max(AT_ONCE // train.batch_size, 1), end))
        yield stretch
        first = stretch.stop


def batches(task: Task, spec: RunSpec, first: int, accelerator: Accelerator) -> Iterator[Batch]:
    """This process's share of every step's problems from step `first` on, made at least two steps
    ahead."""
    device = accelerator.device
    rank, processes = accelerator.process_index, accelerator.num_processes

    def make(steps: range) -> list[Batch]:
        indices = batch_indices(spec, steps)[:, rank::processes]
        easy = steps.start < spec.train.easiest_steps
        difficulty = task.spec.difficulties[0] if easy else spec.train_difficulty
        made = task.sample(
            difficulty, seed=spec.data_seed, split="train", indices=indices.reshape(-1)
        ).to(device, non_blocking=True)
        share = indices.shape[1]
        return [made[k * share : (k + 1) * share] for k in range(len(steps))]

    stretches = _stretches(spec.train, first)
    with ThreadPoolExecutor(1) as pool:
        ahead = deque(pool.submit(make, stretch) for stretch in islice(stretches, 2))
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(make, stretch) for stretch in islice(stretches, 1))
            yield from ready


def train_run(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
) -> tuple[Paradigm, Progress, str]:
    """Train from the last checkpoint, or from the start, to the end.

    Returns the network with the weights to be tested (averaged, or the best where training stopped
    early), the final progress (its status "complete" or "diverged") and the precision that ran.
    report is called with what there is to show, a few times a second at most.
    """
    train, device = spec.train, accelerator.device
    precision = resolve_precision(train.precision, device)
    memory_format = torch.channels_last if task.spec.spatial_dims == 2 else torch.contiguous_format
    model = model.to(device, memory_format=memory_format)
    average = (
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(train.average))
        if train.average
        else None
    )
    tested = average.module if average else model
    learner = Learner(
        model,
        task,
        alpha=train.alpha,
        label_smoothing=train.label_smoothing,
        precision=precision,
        compiled=train.compile,
    )
    optimizer = make_optimizer(model, train)
    progress, best = _restore(folder, model, average, optimizer, accelerator)
    learner, optimizer = accelerator.prepare(learner, optimizer)
    inner = accelerator.unwrap_model(learner)
    iterations = model.train_iterations
    loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=sums_device(device))
    pace = _Pace()
    source = batches(task, spec, progress.step, accelerator)
    learner.train()

    def checkpoint() -> None:
        pace.update(progress)
        progress.loss_sum = loss_sum.item()
        if accelerator.is_main_process:
            parts = {"model": model.state_dict(), "optimizer": named_state(optimizer, model)}
            parts |= {"average": average.state_dict()} if average else {}
            parts |= {"best": best} if best else {}
            save_checkpoint(folder.checkpoint_path, parts, vars(progress), folder.check)

    while progress.step < train.total_steps and progress.status == "training":
        step = progress.step
        with pace.waiting():
            batch = next(source)
        torch.manual_seed((spec.seed * 1_000_003 + step) * 64 + accelerator.process_index)
        batch = task.augment(batch, _generator(device, spec.seed, step, accelerator.process_index))
        skipped, kept = progressive_draw(iterations, spec.seed, step)
        now = learning_rate(train, step)
        for group in optimizer.param_groups:
            group["lr"] = now * group["scale"]
        with inner.running():
            loss = _backward(learner, batch, (skipped, kept), accelerator, progress)
        if train.clip:
            accelerator.clip_grad_norm_(learner.parameters(), train.clip)
        optimizer.step()
        optimizer.zero_grad()
        if average:
            average.update_parameters(model)
        loss_sum += loss.to(loss_sum.device)
        progress.step += 1
        if inner.alpha < 1:
            progress.kept_iterations += iterations
        if inner.alpha > 0:
            progress.skipped_iterations += skipped
            progress.kept_iterations += kept

        last = progress.step == train.total_steps
        entry = {"step": progress.step, "examples": progress.step * train.batch_size}
        if progress.step % LOG_EVERY == 0 or last:
            # The one place that waits for the device; a loss that was NaN once is NaN in the sum.
            count = (progress.step - 1) % LOG_EVERY + 1
            mean = accelerator.reduce(loss_sum, "mean").item() / count
            loss_sum.zero_()
            if not math.isfinite(mean):
                progress.status = "diverged"
                progress.reason = f"the loss became {mean} by step {progress.step}"
                break
            if accelerator.is_main_process:
                folder.log(**entry, split="train", loss=mean, learning_rate=now)
                accelerator.log({"train/loss": mean, "learning rate": now}, step=progress.step)
            report({"step": progress.step, "training loss": mean})
        if progress.step % train.validate_every == 0 or last:
            pace.update(progress)
            scores = validate(spec, task, tested, accelerator, precision)
            pace.restart()
            if accelerator.is_main_process:
                folder.log(**entry, split="validation", **scores)
                curves = {f"validation/{name}": value for name, value in scores.items()}
                accelerator.log(curves, step=progress.step)
            report({"step": progress.step, **scores})
            if train.patience and progress.step > train.easiest_steps:
                progress.since_best += 1
                if scores["loss"] < progress.best_loss:
                    progress.best_loss, progress.since_best = scores["loss"], 0
                    best = {k: v.detach().clone() for k, v in tested.state_dict().items()}
                if progress.since_best >= train.patience:
                    progress.reason = f"stopped early at step {progress.step}"
                    break
            checkpoint()
    source.close()
    if progress.status == "training":
        progress.status = "complete"
    pace.update(progress)
    if best:
        tested.load_state_dict(best)
    return tested, progress, precision


def _backward(
    learner: torch.nn.Module,
    batch: Batch,
    draw: tuple[int, int],
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
        model,
        task,
        spec.train_difficulty,
        split="validation",
        count=spec.train.validation_samples,
        seed=spec.evaluation.seed,
        iterations=iterations,
        record=[iterations],
        accelerator=accelerator,
        precision=precision,
    )
    tally = scores.fixed[iterations]
    return {
        "loss": scores.loss,
        "accuracy": tally.correct / scores.n,
        "element_accuracy": tally.elements / scores.n,
    }


def _restore(folder, model, average, optimizer, accelerator):
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


class _Pace:
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
