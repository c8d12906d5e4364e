"""The one module that sees both sides: a paradigm and the task it learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import parametrize

from comparisons.hardware import autocast, float32_as
from comparisons.training.compiling import compiled_parts, in_place
from comparisons.training.objectives import (
    WITH_GRADIENT,
    Passes,
    disturbed,
    halting_divergence,
    is_continued,
    mixed_depth,
    mixed_starts,
    passes,
    progressive_draw,
    pull_back,
    segments,
    squared_change,
    squared_growth,
)
from foundations.records.spec import OBJECTIVES, USUAL, TrainSpec
from paradigms.adaptive import Adaptive
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Task


def share_of_sites(batch: Batch) -> Tensor | float:
    """What this process's mean loss over sites counts for where several share a batch."""
    return _share(batch, batch.targets.numel() if batch.mask is None else batch.mask.sum())


def share_of_problems(batch: Batch) -> Tensor | float:
    """What this process's mean over problems counts for where several share a batch."""
    return _share(batch, len(batch))


def _share(batch: Batch, counted: int | Tensor) -> Tensor | float:
    """What this process has of something, as a share of what each has on average. Gradients are
    averaged over processes as if all had equally much; with this they are those of one process that
    holds the whole batch."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 1.0
    processes = distributed.get_world_size()
    if processes == 1:
        return 1.0
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
    smoothing of labels.

    Other objectives take the place of these two losses, for recurrent networks:

    halting, of a network that learns when to halt: ACT's loss of the state that it answers with and
    `ponder` times what it took (Graves 2016, arXiv 1603.08983), or PonderNet's expectation over
    when it halts and `ponder` times the divergence from a prior (Banino et al. 2021, arXiv
    2107.05407).
    implicit: the loss of a state that is taken for a fixed point, with that many terms of its
    gradient (`objectives.pull_back`); with `contract`, contractor-RBP.
    supervised: the mean loss of that many answers on the way, each trained through its last
    iteration alone (deep supervision of Jolicoeur-Martineau 2025, arXiv 2510.04871; there with a
    step of the optimiser each, here together).

    objective: a function from outside, `(model, task, batch, iterations)` to a mean loss in nats;
    for all networks, with no other term beside it.

    starts: in any of the others, a share of the problems starts from noise
    (`objectives.mixed_starts`). shared: whether other processes, if there are any, hold the rest of
    the batch. compiled: whether `running` compiles the network's parts.
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
        own = train.objective != USUAL
        self.objective = OBJECTIVES.load(train.objective) if own else None
        self.continues = is_continued(train, model.max_iterations is None, model.halts)
        self.settle, self.contract = train.settle, train.contract
        self.train_spec = train
        recurrent = model.max_iterations is None
        self.halts = model.halts
        self.starts = train.starts if recurrent and not model.halts else 0.0
        self.implicit = train.implicit if recurrent else 0
        self.supervised = train.supervised if recurrent else 0
        self.depths = train.depths if recurrent and not model.halts else 0
        self.precision = precision
        self.shared = shared
        self._parts = compiled_parts(model) if compiled else {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context for a forward pass and its backward pass, which is to run in the same precision
        and code."""
        with float32_as(self.precision), in_place(self._parts):
            yield

    def draw(self, seed: int, step: int) -> tuple[int, int, int]:
        """(iterations, skipped, kept) of a step, see `forward`."""
        iterations = mixed_depth(self.model.train_iterations, self.depths, seed, step)
        return iterations, *progressive_draw(iterations, seed, step)

    def passes(self, iterations: float, skipped: float, kept: float) -> Passes:
        """What `forward` runs for a draw."""
        recurrent = self.model.max_iterations is None
        train = self.train_spec if recurrent or self.objective else TrainSpec()
        return passes(train, self.halts, self.alpha, iterations, skipped, kept)

    def forward(
        self,
        batch: Batch,
        skipped: int,
        kept: int,
        continued: int | None = None,
        iterations: int | None = None,
    ) -> Tensor:
        """Mean loss in nats. skipped, kept: iterations without and with gradient, for the
        progressive part. continued: further ones without gradient, None where training does not go
        on from there. iterations: of the other losses, by default the network's."""
        x = channels_last(batch.inputs)
        iterations = iterations or self.model.train_iterations
        if self.objective:
            with autocast(x.device, self.precision), self._masked_once():
                loss = self.objective(self.model, self.task, replace(batch, inputs=x), iterations)
            return loss * (share_of_sites(batch) if self.shared else 1.0)
        if self.halts:
            return self._halting_loss(batch, x, iterations)
        if self.implicit:
            loss, state = self._implicit_loss(batch, x, iterations)
        elif self.supervised:
            loss, state = self._supervised_loss(batch, x, iterations)
        else:
            loss = torch.zeros((), device=x.device)
            if self.alpha < 1:
                logits, state = self._unroll(x, 0, iterations)
                loss = loss + (1 - self.alpha) * self._loss(logits, batch)
            if self.alpha > 0:
                logits, state = self._unroll(x, skipped, kept)
                loss = loss + self.alpha * self._loss(logits, batch)
        if continued is not None:
            loss = loss + self._continued_loss(batch, x, state.map(Tensor.detach), continued)
        return loss

    def _halting_loss(self, batch: Batch, x: Tensor, iterations: int) -> Tensor:
        model = cast("Adaptive", self.model)  # it alone halts
        ponder = self.train_spec.ponder
        share = share_of_problems(batch) if self.shared else 1.0
        with autocast(x.device, self.precision), self._masked_once():
            if self.halts == "act":
                state = model.run(x, iterations)
                time = model.time(state).mean() * share
                return self._loss(model.readout(state), batch) + ponder * time
            losses, chances = [], []
            for state in model.states(x, iterations):
                logits = model.readout(state)
                losses.append(self.task.losses(logits, batch, self.label_smoothing))
                chances.append(model.chance(state))
            before = torch.stack(chances, 1)[:, :-1]
            left = 1 - before.sum(1, keepdim=True)  # halts after the last
            halting = torch.cat([before, left], 1)
        expected = (halting * torch.stack(losses, 1)).sum(1)
        return (expected + ponder * halting_divergence(halting)).mean() * share

    def _implicit_loss(self, batch: Batch, x: Tensor, iterations: int) -> tuple[Tensor, State]:
        found = self._skip(x, iterations)
        with autocast(x.device, self.precision), self._masked_once():
            before = found.map(lambda part: part.detach().requires_grad_())
            after = self.model.advance(before, self.model.context(x))
            rest = after.map(lambda part: part.detach().requires_grad_())
            loss = self._loss(self.model.readout(rest), batch)
            gradient = torch.autograd.grad(
                loss, rest.parts, retain_graph=True, materialize_grads=True
            )
            total = pull_back(after.parts, before.parts, gradient, self.implicit)
            # Its gradient is the state's, its value nothing.
            carried = torch.stack(
                [(t * a).float().sum() for t, a in zip(total, after.parts, strict=True)]
            )
        return loss + (carried - carried.detach()).sum(), after

    def _supervised_loss(self, batch: Batch, x: Tensor, iterations: int) -> tuple[Tensor, State]:
        loss, state = torch.zeros((), device=x.device), None
        lengths = segments(iterations, self.supervised)
        for length in lengths:
            detached = state.map(Tensor.detach) if state else None
            logits, state = self._unroll(x, length - 1, 1, detached)
            loss = loss + self._loss(logits, batch) / len(lengths)
        assert state is not None
        return loss, state

    def _continued_loss(self, batch: Batch, x: Tensor, state: State, skipped: int) -> Tensor:
        start = self._skip(x, skipped, state) if skipped else state
        disturbance = disturbed(start) if self.contract else None
        with autocast(x.device, self.precision), self._masked_once():
            *_, before, last = self.model.states(x, WITH_GRADIENT, start)
            logits = self.model.readout(last)
            beside = disturbance and self.model.run(x, WITH_GRADIENT, disturbance)
        loss = self._loss(logits, batch) / 2
        share = share_of_problems(batch) if self.shared and (self.settle or self.contract) else 1.0
        if self.settle:
            change = squared_change(before.parts, last.parts).mean()
            loss = loss + self.settle * change * share
        if disturbance and beside:
            starts, ends = (start.parts, disturbance.parts), (last.parts, beside.parts)
            loss = loss + self.contract * squared_growth(starts, ends).mean() * share
        return loss

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        share = share_of_sites(batch) if self.shared else 1.0
        return self.task.loss(logits, batch, self.label_smoothing) * share

    def _unroll(
        self, x: Tensor, skipped: int, kept: int, state: State | None = None
    ) -> tuple[Tensor, State]:
        state = self._skip(x, skipped, state) if skipped else state
        with autocast(x.device, self.precision), self._masked_once():
            state = self._run(x, kept, state)
            return self.model.readout(state), state

    def _run(self, x: Tensor, iterations: int, state: State | None) -> State:
        """The state after iterations from one, or from the first, which may be noise."""
        if state is None and self.starts:
            state = mixed_starts(self.model.encode(x), self.starts)
        return self.model.run(x, iterations, state)

    def _skip(self, x: Tensor, iterations: int, state: State | None = None) -> State:
        """The state after iterations without gradient."""
        # Its own contexts: shared with the pass after it, they would hand that one weights that
        # were cast or masked, and cached, without a gradient.
        with torch.no_grad(), autocast(x.device, self.precision), self._masked_once():
            return self._run(x, iterations, state)

    def _masked_once(self) -> AbstractContextManager:
        # Compiled code computes such weights with the rest, and would be compiled anew for each
        # that is cached.
        return nullcontext() if self._parts else parametrize.cached()
