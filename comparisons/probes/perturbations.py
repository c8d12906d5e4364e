"""Recovery: what becomes of an answer when the state is damaged, or the problem changed, half-way.

Bansal et al. 2022 replace the state of a network that has solved a maze; a network that computes by
an iteration that forgets where it started gets there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import parametrize

from comparisons.hardware import autocast, sums_device
from comparisons.testing.evaluation import Tally, batch_slices, iterations_to_run
from foundations.errors import unknown_name
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty, Task

FLIPPED = 0.1  # share of the state's numbers that "flip" turns round


def noise(hidden: Tensor, drawing: Sequence[torch.Generator]) -> Tensor:
    """Normal noise with the mean and spread of each problem's own state."""
    pairs = zip(hidden, drawing, strict=True)
    fresh = torch.stack([torch.randn(own.shape, generator=draws) for own, draws in pairs])
    # One by one: a reduction over all rows at once may round otherwise in a batch of another size.
    each = [torch.std_mean(own.float(), correction=0) for own in hidden]
    spread, mean = (
        torch.stack(part).to(hidden.dtype).view(-1, *[1] * (hidden.dim() - 1))
        for part in zip(*each, strict=True)
    )
    return channels_last(fresh.to(hidden) * spread + mean)


def zeros(hidden: Tensor, drawing: Sequence[torch.Generator]) -> Tensor:
    """Nothing."""
    return torch.zeros_like(hidden)


def flip(hidden: Tensor, drawing: Sequence[torch.Generator]) -> Tensor:
    """A tenth of its numbers with the other sign."""
    pairs = zip(hidden, drawing, strict=True)
    chosen = torch.stack([torch.rand(own.shape, generator=draws) < FLIPPED for own, draws in pairs])
    return channels_last(torch.where(chosen.to(hidden.device), -hidden, hidden))


#: Changes of states [n, ...], given a generator for each problem; each problem's depends on its own
#: state and generator alone, whatever else is in the batch.
STATE_BLOWS: dict[str, Callable[[Tensor, Sequence[torch.Generator]], Tensor]] = {
    "none": lambda hidden, drawing: hidden,
    "noise": noise,
    "zeros": zeros,
    "flip": flip,
}
#: The state of the next problem in its place.
SWAPS = ("other",)
#: The state is left and that point of the problem moves.
MOVES = ("start", "end")


def check_blow(name: str) -> None:
    """ValueError names the known ones, nearest first."""
    known = [*STATE_BLOWS, *SWAPS, *MOVES]
    if name not in known:
        raise unknown_name("blow", name, known)


def halves(model: Paradigm, budget: int) -> tuple[int, int]:
    """(before, after): iterations until a blow and from it to the end; half each of those a
    recurrent network may take. A network that ends is struck half-way through its depth; one of a
    single step has no half-way: (0, 1)."""
    most = iterations_to_run(model, budget)
    if model.max_iterations is None:
        return max(1, most // 2), max(1, most // 2)
    return most // 2, most - most // 2


def _each(change: Callable[..., Tensor], *hidden: Any) -> Any:
    """The change of hidden states: of tensors, or of each part where they are tuples."""
    if isinstance(hidden[0], tuple):
        return tuple(change(*parts) for parts in zip(*hidden, strict=True))
    return change(*hidden)


def struck(hidden: Any, blow: str, seed: int, indices: Sequence[int] | np.ndarray) -> Any:
    """The hidden states of problems number `indices`, a tensor [n, ...] or a tuple of such, changed
    by one of `STATE_BLOWS`; for each problem a function of its state, the seed and its number
    alone."""
    drawing = [torch.Generator().manual_seed(_seed(seed, int(index))) for index in indices]
    return _each(lambda part: STATE_BLOWS[blow](part, drawing), hidden)


def _seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])


class Perturbed(NamedTuple):
    """Test problems number `indices` of `count`, and a network that has iterated on them for
    `before` steps."""

    model: Paradigm
    task: Task
    difficulty: Difficulty
    indices: np.ndarray
    count: int
    seed: int
    batch: Batch
    state: State
    before: int

    def by(self, blow: str) -> tuple[Batch, State] | None:
        """The problems and the state to go on with after a blow; None where it does not apply:
        another problem's state where there is one problem, a moved end where the task has none."""
        now: Batch | None = self.batch
        hidden = self.state.hidden
        if blow in MOVES:
            offered = blow in self.task.perturbations
            now = self.task.perturb(self.batch, self.indices, self.seed, blow) if offered else None
        elif blow not in SWAPS:
            hidden = struck(hidden, blow, self.seed, self.indices)
        elif self.count > 1:
            hidden = self._of_the_next()
        else:
            now = None
        return None if now is None else (now, State(hidden, self.state.iteration))

    def _of_the_next(self) -> Any:
        """The state of problem i + 1 for each problem i, of the first for the last, whatever the
        batch: those that it does not hold are computed."""
        following = (self.indices + 1) % self.count
        missing = np.setdiff1d(following, self.indices)
        held, hidden = [*self.indices, *missing], self.state.hidden
        if len(missing):
            more = self.task.sample(
                self.difficulty, seed=self.seed, split="test", indices=missing
            ).to(self.batch.inputs.device)
            there = self.model.run(channels_last(more.inputs), self.before).hidden
            hidden = _each(lambda *parts: torch.cat(parts), hidden, there)
        place = {int(index): i for i, index in enumerate(held)}
        order = [place[int(index)] for index in following]
        return _each(lambda part: channels_last(part[order]), hidden)


@torch.inference_mode()
def recovery(
    model: Paradigm,
    task: Task,
    difficulty: Difficulty,
    *,
    blows: tuple[str, ...],
    count: int,
    seed: int,
    before: int,
    record: list[int],
    accelerator: Accelerator,
    precision: str,
) -> dict[str, dict[int, Tally]]:
    """Accuracy by blow and by iterations after it, on test problems 0..count-1.

    before: iterations until the blow. record: iterations after it that are scored, ascending. Blows
    that do not apply are left out, see `Perturbed.by`. What befalls a problem is a function of its
    number and the seed, whatever the batches. Each process takes every n-th batch.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    slices = batch_slices(task, difficulty, count)
    kept_on = sums_device(device)
    sums = torch.zeros(len(blows), len(record), 2, dtype=torch.float64, device=kept_on)
    absent = set()
    for indices in slices[accelerator.process_index :: accelerator.num_processes]:
        batch = task.sample(difficulty, seed=seed, split="test", indices=indices).to(device)
        with autocast(device, precision), parametrize.cached():
            state = model.run(channels_last(batch.inputs), before)
            halfway = Perturbed(model, task, difficulty, indices, count, seed, batch, state, before)
            for place, blow in enumerate(blows):
                hit = halfway.by(blow)
                if hit is None:
                    absent.add(blow)
                    continue
                _score(model, task, *hit, record, sums[place])
    model.train(was_training)
    totals = accelerator.reduce(sums, "sum").tolist()
    return {
        blow: {i: Tally(*pair, i * count) for i, pair in zip(record, rows, strict=True)}
        for blow, rows in zip(blows, totals, strict=True)
        if blow not in absent
    }


def _score(
    model: Paradigm, task: Task, batch: Batch, state: State, record: list[int], sums: Tensor
) -> None:
    """Go on from a state; adds to `sums`, float64 [recorded, 2], problems solved and shares of
    elements right."""
    states = model.states(channels_last(batch.inputs), record[-1], state)
    for step, after in enumerate(states, start=1):
        if step not in record:
            continue
        logits = model.readout(after).float()
        for column, found in enumerate(
            (task.correct(logits, batch), task.element_accuracy(logits, batch))
        ):
            sums[record.index(step), column] += found.to(sums.device).double().sum()
