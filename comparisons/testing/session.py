"""A network under test: its batches, its walk over iterations, and the contexts both need.

Whatever looks at a trained network (accuracy by iteration, exit rules, recovery, answer frames,
long horizons, probes) asks here for problems and for states, and says only what it wants of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import release_memory, should_reduce_batch_size
from torch import Tensor

from comparisons.hardware import autocast
from comparisons.testing.exits import Observation, mean_confidence, state_change
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last, weights_once
from paradigms.sparse import SparseWalk
from tasks.base import Batch, Difficulty, Task

#: Sites (pixels or bits) of one batch: large enough to keep the processor busy, small enough for
#: activations to stay near it. A GPU is kept busy by more.
SITES_PER_BATCH = 1 << 16
SITES_ON_A_GPU = 1 << 19
MOST_PROBLEMS = 512  # of one batch

T = TypeVar("T")


class Step(NamedTuple):
    """One iteration of a batch: its number, the state after it, and its logits, float32.

    Of a walk with a tolerance also, float [n]: active, the share of each board that was computed;
    moving, the share that changed; change, how far the state moved as a share of its length, where
    that is known without reading all of it.
    """

    iteration: int
    state: State
    logits: Tensor
    active: Tensor | None = None
    moving: Tensor | None = None
    change: Tensor | None = None


def fast_layout(batch: Batch) -> Batch:
    """The batch with its inputs in the memory layout in which convolutions are fast."""
    return replace(batch, inputs=channels_last(batch.inputs))


@dataclass
class Session:
    """A network, the task it is tested on, where and in which precision (see
    `hardware.resolve_precision`).

    accelerator: where several processes share the problems; each is then given its own. cut: how
    many batches were halved because the device could not hold them.
    """

    model: Paradigm
    task: Task
    device: torch.device
    precision: str = "fp32"
    accelerator: Accelerator | None = None
    cut: int = 0

    @classmethod
    def of(cls, accelerator: Accelerator, model: Paradigm, task: Task, precision: str) -> Session:
        """The session in which all of an accelerator's processes take part."""
        return cls(model, task, accelerator.device, precision, accelerator)

    def alone(self) -> Session:
        """The same for this process by itself, which then has all problems."""
        return replace(self, accelerator=None)

    def on(self, task: Task) -> Session:
        """The same network on another task."""
        return replace(self, task=task)

    @contextmanager
    def running(self, gradients: bool = False) -> Iterator[None]:
        """Context in which the network is run: in evaluation mode, by default without gradients, in
        the session's precision, weights that are computed (such as masked ones) computed once."""
        was_training = self.model.training
        self.model.eval()
        try:
            with (
                torch.inference_mode(not gradients),
                autocast(self.device, self.precision),
                weights_once(self.model),
            ):
                yield
        finally:
            self.model.train(was_training)

    # Problems.

    def sample(
        self, difficulty: Difficulty, indices: np.ndarray, *, seed: int, split: str = "test"
    ) -> Batch:
        """Problems by number, as the network is given them."""
        made = self.task.sample(difficulty, seed=seed, split=split, indices=indices)
        return fast_layout(made.to(self.device))

    def slices(
        self, difficulty: Difficulty, count: int, *, start: int = 0, size: int = 0
    ) -> list[np.ndarray]:
        """Problem numbers start..count-1 in batches; size: problems of one, by default what suits
        their number of sites."""
        if not size:
            one = self.task.example(difficulty).inputs
            sites = SITES_ON_A_GPU if self.device.type == "cuda" else SITES_PER_BATCH
            size = min(max(sites // one[0, 0].numel(), 1), count, MOST_PROBLEMS)
        numbers = np.arange(start, count)
        return np.split(numbers, range(size, len(numbers), size)) if len(numbers) else []

    def each(
        self,
        measure: Callable[[Batch, np.ndarray], T],
        difficulty: Difficulty,
        batches: list[np.ndarray],
        *,
        seed: int,
        split: str = "test",
        running: bool = True,
    ) -> Iterator[tuple[np.ndarray, T]]:
        """(indices, measure(batch, indices)) for batches of problem numbers, those of this process.

        `measure` returns what it found and changes nothing outside itself: a batch that the device
        can't hold is cut into two and measured again. running: whether it is called in the context
        of that name.
        """
        todo = list(batches)
        if self.accelerator is not None:
            todo = todo[self.accelerator.process_index :: self.accelerator.num_processes]
        while todo:
            indices = todo.pop(0)
            try:
                batch = self.sample(difficulty, indices, seed=seed, split=split)
                if running:
                    with self.running():
                        measured = measure(batch, indices)
                else:
                    measured = measure(batch, indices)
            except RuntimeError as error:
                if len(indices) == 1 or not should_reduce_batch_size(error):
                    raise
            else:
                yield indices, measured
                continue
            # Outside the handler, whose error holds on to what was computed so far.
            todo[:0] = np.array_split(indices, 2)
            self.cut += 1
            release_memory()

    def total(self, part: Tensor) -> Tensor:
        """The sum of what each process found."""
        return part if self.accelerator is None else self.accelerator.reduce(part, "sum")

    # Iterations.

    def walk(
        self,
        batch: Batch,
        iterations: int,
        state: State | None = None,
        *,
        after: int = 0,
        wanted: Callable[[int], bool] = lambda number: True,
        tolerance: float | None = None,
        moves: bool = False,
    ) -> Iterator[Step]:
        """The wanted ones of `iterations` steps, from the encoded problems or from `state`, one at
        a time, so that memory does not grow with their number. after: steps already taken, from
        which they are numbered. tolerance: where given, only what changes by more is computed
        (`paradigms.sparse.SparseWalk`, which says whether the network allows it); a step's state
        then holds until the second wanted step after it. moves: whether `Step.change` is asked
        for."""
        if tolerance is not None:
            yield from self._sparse_walk(batch, iterations, state, after, wanted, tolerance, moves)
            return
        states = self.model.states(batch.inputs, iterations, state)
        for number, now in enumerate(states, start=after + 1):
            if wanted(number):
                yield Step(number, now, self.model.readout(now).float())

    def _sparse_walk(
        self,
        batch: Batch,
        iterations: int,
        state: State | None,
        after: int,
        wanted: Callable[[int], bool],
        tolerance: float,
        moves: bool,
    ) -> Iterator[Step]:
        walk = SparseWalk(self.model, batch.inputs, tolerance)
        for number, now in enumerate(walk.states(iterations, state), start=after + 1):
            if not wanted(number):
                continue
            # The walk writes over a state two steps later.
            kept = now if wanted(number + 1) else now.map(torch.clone)
            change = walk.change() if moves and wanted(number - 1) else None
            yield Step(number, kept, walk.logits(), walk.active, walk.moving, change)

    def worth(self, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
        """What the answers of a step are worth: bool [n], wholly right; float [n], the share of
        their elements that are."""
        return (
            self.task.correct(step.logits, batch),
            self.task.element_accuracy(step.logits, batch),
        )

    def observe(
        self,
        batch: Batch,
        step: Step,
        before: State | None,
        *,
        moves: bool,
        worth: tuple[Tensor, Tensor] | tuple[None, None] = (None, None),
    ) -> Observation:
        """What an exit rule is shown of a step. before: the state of the step before it. moves:
        whether any rule reads how far the state moved. worth: of its answers, if known."""
        change = step.change if before is not None else None
        if moves and change is None:
            change = state_change(before, step.state)
        return Observation(
            step.iteration,
            self.task.predict(step.logits, batch),
            mean_confidence(step.logits, batch.mask),
            change,
            worth[0],
            worth[1],
            self.model.halted(step.state),
        )
