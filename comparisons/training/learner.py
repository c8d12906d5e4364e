"""The one module that sees both sides: a paradigm and the task it learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import parametrize

from comparisons.hardware import autocast, float32_as
from comparisons.training.compiling import compiled_parts, in_place
from comparisons.training.objectives import (
    WITH_GRADIENT,
    disturbed,
    squared_change,
    squared_growth,
)
from foundations.records.spec import TrainSpec
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Task


def share_of_sites(batch: Batch) -> Tensor | float:
    """What this process's mean loss counts for where several share a batch: its sites, as a share
    of what each has on average. Gradients are averaged over processes as if all had equally many;
    with this they are those of one process that holds the whole batch."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 1.0
    processes = distributed.get_world_size()
    if processes == 1:
        return 1.0
    counted = batch.targets.numel() if batch.mask is None else batch.mask.sum()
    mine = torch.as_tensor(counted, dtype=torch.float32, device=batch.inputs.device)
    total = mine.clone()
    distributed.all_reduce(total)
    return mine * processes / total


class Learner(nn.Module):
    """Network and loss behind a single `forward`, as averaging gradients over processes needs.

    The loss is (1 - alpha) L(all iterations) + alpha L(progressive) for networks it makes sense
    for, else L(all iterations). With alpha = 1 the full pass is not run, with alpha = 0 the
    progressive one is not. Where training is continued, a recurrent network goes on from the last
    of these states: some iterations without gradient, then `WITH_GRADIENT` with it, and to the loss
    come L / 2, `settle` times the mean `squared_change` of the last iteration and `contract` times
    the mean `squared_growth` of a disturbance over these. train: gives alpha, those weights and the
    smoothing of labels. shared: whether other processes, if there are any, hold the rest of the
    batch. compiled: whether `running` compiles the network's parts.
    """

    def __init__(
        self,
        model: Paradigm,
        task: Task,
        train: TrainSpec,
        precision: str,
        *,
        shared: bool = True,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.alpha = train.alpha if model.progressive and model.max_iterations is None else 0.0
        self.label_smoothing = train.label_smoothing
        self.continues = train.continued > 0 and model.max_iterations is None
        self.settle, self.contract = train.settle, train.contract
        self.precision = precision
        self.shared = shared
        self._parts = compiled_parts(model) if compiled else {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context for a forward pass and its backward pass, which is to run in the same precision
        and code."""
        with float32_as(self.precision), in_place(self._parts):
            yield

    def forward(
        self, batch: Batch, skipped: int, kept: int, continued: int | None = None
    ) -> Tensor:
        """Mean loss in nats. skipped, kept: iterations without and with gradient, for the
        progressive part. continued: further ones without gradient, None where training does not go
        on from there."""
        x = channels_last(batch.inputs)
        loss = torch.zeros((), device=x.device)
        if self.alpha < 1:
            logits, state = self._unroll(x, 0, self.model.train_iterations)
            loss = loss + (1 - self.alpha) * self._loss(logits, batch)
        if self.alpha > 0:
            logits, state = self._unroll(x, skipped, kept)
            loss = loss + self.alpha * self._loss(logits, batch)
        if continued is not None:
            loss = loss + self._continued_loss(batch, x, state.map(Tensor.detach), continued)
        return loss

    def _continued_loss(self, batch: Batch, x: Tensor, state: State, skipped: int) -> Tensor:
        start = self._skip(x, skipped, state) if skipped else state
        disturbance = disturbed(start) if self.contract else None
        with autocast(x.device, self.precision), self._masked_once():
            *_, before, last = self.model.states(x, WITH_GRADIENT, start)
            logits = self.model.readout(last)
            beside = disturbance and self.model.run(x, WITH_GRADIENT, disturbance)
        loss = self._loss(logits, batch) / 2
        if self.settle:
            loss = loss + self.settle * squared_change(before.parts, last.parts).mean()
        if disturbance and beside:
            starts, ends = (start.parts, disturbance.parts), (last.parts, beside.parts)
            loss = loss + self.contract * squared_growth(starts, ends).mean()
        return loss

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        share = share_of_sites(batch) if self.shared else 1.0
        return self.task.loss(logits, batch, self.label_smoothing) * share

    def _unroll(self, x: Tensor, skipped: int, kept: int) -> tuple[Tensor, State]:
        state = self._skip(x, skipped) if skipped else None
        with autocast(x.device, self.precision), self._masked_once():
            state = self.model.run(x, kept, state)
            return self.model.readout(state), state

    def _skip(self, x: Tensor, iterations: int, state: State | None = None) -> State:
        """The state after iterations without gradient."""
        # Its own contexts: shared with the pass after it, they would hand that one weights that
        # were cast or masked, and cached, without a gradient.
        with torch.no_grad(), autocast(x.device, self.precision), self._masked_once():
            return self.model.run(x, iterations, state)

    def _masked_once(self) -> AbstractContextManager:
        # Compiled code computes such weights with the rest, and would be compiled anew for each
        # that is cached.
        return nullcontext() if self._parts else parametrize.cached()
