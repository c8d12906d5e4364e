"""Recovery: what becomes of an answer when the state is damaged, or the problem changed, half-way.

Bansal et al. 2022 replace the state of a network that has solved a maze; a network that computes by
an iteration that forgets where it started gets there again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from comparisons.hardware import sums_device
from comparisons.testing.evaluation import Tally, iterations_to_run
from comparisons.testing.session import Session, fast_layout
from foundations.errors import unknown_name
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks import TASKS, task_class
from tasks.base import Batch, Difficulty

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
    flipped = torch.stack([torch.rand(own.shape, generator=g) < FLIPPED for own, g in pairs])
    return channels_last(torch.where(flipped.to(hidden.device), -hidden, hidden))


#: Changes of a part of states [n, ...], given a generator for each problem; each problem's depends
#: on its own state and generator alone, whatever else is in the batch.
OF_STATES: dict[str, Callable[[Tensor, Sequence[torch.Generator]], Tensor]] = {
    "none": lambda hidden, drawing: hidden,
    "noise": noise,
    "zeros": zeros,
    "flip": flip,
}
#: The state of the next problem in its place.
SWAP = "other"


#: After the name of a change of problems: the state too is that of the first iteration, as a
#: control of what the network makes of the changed problem with no answer to another before.
AFRESH = ":afresh"


def check_perturbation(name: str) -> None:
    """ValueError names the known ones, nearest first: those of states, and those of problems that
    any task offers, which may end in `AFRESH`."""
    if name in OF_STATES or name == SWAP:
        return
    offered = {known: None for task in TASKS for known in task_class(task).perturbations}
    if not isinstance(name, str) or name.removesuffix(AFRESH) not in offered:
        raise unknown_name("perturbation", name, [*OF_STATES, SWAP, *offered])


def halves(model: Paradigm, budget: int) -> tuple[int, int]:
    """(before, after): iterations until a perturbation and from it to the end; half each of those a
    recurrent network may take. A network that ends is perturbed half-way through its depth; one of
    a single step has no half-way: (0, 1)."""
    most = iterations_to_run(model, budget)
    if model.max_iterations is None:
        return max(1, most // 2), max(1, most // 2)
    return most // 2, most - most // 2


def perturbed(state: State, name: str, seed: int, indices: Sequence[int] | np.ndarray) -> State:
    """The state of problems number `indices` after one of `OF_STATES`; for each problem a function
    of its state, the seed and its number alone."""
    drawing = [torch.Generator().manual_seed(_seed(seed, int(index))) for index in indices]
    return state.map(lambda part: OF_STATES[name](part, drawing))


def _seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Halfway:
    """Test problems number `indices` of `count`, and the state of the network, which has iterated
    on them for `before` steps."""

    session: Session
    difficulty: Difficulty
    indices: np.ndarray
    count: int
    seed: int
    batch: Batch
    state: State
    before: int

    def after(self, name: str) -> tuple[Batch, State] | None:
        """The problems and the state to go on with after a perturbation; None where it does not
        apply: another problem's state where there is one problem, a change that the task does not
        offer."""
        if name in OF_STATES:
            return self.batch, perturbed(self.state, name, self.seed, self.indices)
        if name == SWAP:
            return (self.batch, self._of_the_next()) if self.count > 1 else None
        task, changes = self.session.task, name.removesuffix(AFRESH)
        if changes not in task.perturbations:
            return None
        changed = fast_layout(task.perturb(self.batch, self.indices, self.seed, changes))
        return changed, self.state if changes == name else self.session.model.encode(changed.inputs)

    def _of_the_next(self) -> State:
        """The state of problem i + 1 for each problem i, of the first for the last, whatever the
        batch: those that it does not hold are computed."""
        following = (self.indices + 1) % self.count
        missing = np.setdiff1d(following, self.indices)
        numbers, state = [*self.indices, *missing], self.state
        if len(missing):
            more = self.session.sample(self.difficulty, missing, seed=self.seed)
            there = self.session.model.run(more.inputs, self.before)
            state = State.together(lambda *parts: torch.cat(parts), state, there)
        place = {int(index): i for i, index in enumerate(numbers)}
        order = [place[int(index)] for index in following]
        return state.map(lambda part: channels_last(part[order]))


def recovery(
    session: Session,
    difficulty: Difficulty,
    *,
    perturbations: tuple[str, ...],
    count: int,
    seed: int,
    before: int,
    record: list[int],
) -> dict[str, dict[int, Tally]]:
    """Accuracy by perturbation and by iterations after it, on test problems 0..count-1.

    before: iterations until the perturbation. record: iterations after it that are scored,
    ascending. Perturbations that do not apply are left out, see `Halfway.after`. What befalls a
    problem is a function of its number and the seed, whatever the batches. Each process takes every
    n-th batch.
    """
    sums_on = sums_device(session.device)
    # Problems solved, shares of elements right, and problems that it applied to.
    shape = len(perturbations), len(record), 3

    def measure(batch: Batch, indices: np.ndarray) -> Tensor:
        tallies = torch.zeros(shape, dtype=torch.float64, device=sums_on)
        state = session.model.run(batch.inputs, before)
        halfway = Halfway(session, difficulty, indices, count, seed, batch, state, before)
        for place, name in enumerate(perturbations):
            after = halfway.after(name)
            if after is not None:
                tallies[place, :, 2] = len(batch)
                _score(session, *after, record, tallies[place])
        return tallies

    sums = torch.zeros(shape, dtype=torch.float64, device=sums_on)
    for _, part in session.each(measure, difficulty, session.slices(difficulty, count), seed=seed):
        sums += part
    return {
        name: {i: Tally(r[0], r[1], i * count) for i, r in zip(record, rows, strict=True)}
        for name, rows in zip(perturbations, session.total(sums).tolist(), strict=True)
        if rows[0][2]
    }


def _score(session: Session, batch: Batch, state: State, record: list[int], sums: Tensor) -> None:
    """Go on from a state; adds to `sums`, float64 [recorded, 3]."""
    wanted = record.__contains__
    for row, step in zip(sums, session.walk(batch, record[-1], state, wanted=wanted), strict=True):
        row[0] += session.task.correct(step.logits, batch).to(sums.device).double().sum()
        row[1] += session.task.element_accuracy(step.logits, batch).to(sums.device).double().sum()
