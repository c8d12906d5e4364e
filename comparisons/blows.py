"""Recovery: what becomes of an answer when the state is damaged, or the problem changed, half-way.

Bansal et al. 2022 replace the state of a network that has solved a maze; a network that computes by an
iteration that forgets where it started gets there again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn.utils import parametrize

from comparisons.evaluation import Tally, batch_slices, iterations_to_run
from comparisons.hardware import autocast
from names import unknown_name
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty, Task

FLIPPED = 0.1  # share of the state's numbers that "flip" turns round


def noise(hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise with the state's own mean and spread."""
    fresh = torch.randn(hidden.shape, generator=generator).to(hidden)
    return fresh * hidden.float().std().to(hidden.dtype) + hidden.float().mean().to(hidden.dtype)


def zeros(hidden: Tensor, generator: torch.Generator) -> Tensor:
    """Nothing."""
    return torch.zeros_like(hidden)


def other(hidden: Tensor, generator: torch.Generator) -> Tensor:
    """The state of the next problem of the batch."""
    return hidden.roll(1, 0)


def flip(hidden: Tensor, generator: torch.Generator) -> Tensor:
    """A tenth of its numbers with the other sign."""
    chosen = torch.rand(hidden.shape, generator=generator).to(hidden.device) < FLIPPED
    return torch.where(chosen, -hidden, hidden)


#: Changes of the state; "start" and "end" leave it and move that point of the problem.
STATE_BLOWS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": lambda hidden, generator: hidden,
    "noise": noise,
    "zeros": zeros,
    "other": other,
    "flip": flip,
}
MOVES = ("start", "end")


def check_blow(name: str) -> None:
    """ValueError names the known ones, nearest first."""
    if name not in STATE_BLOWS and name not in MOVES:
        raise unknown_name("blow", name, [*STATE_BLOWS, *MOVES])


def halves(model: Paradigm, budget: int) -> tuple[int, int]:
    """(before, after): iterations until a blow and from it to the end; half each of those a recurrent network may
    take. A network that ends is struck half-way through its depth; one of a single step has no half-way: (0, 1)."""
    most = iterations_to_run(model, budget)
    if model.max_iterations is None:
        return max(1, most // 2), max(1, most // 2)
    return most // 2, most - most // 2


def struck(hidden: Any, blow: str, generator: torch.Generator) -> Any:
    """The hidden state, a tensor or a tuple of such, after a blow."""
    change = STATE_BLOWS[blow]
    if isinstance(hidden, tuple):
        return tuple(change(part, generator) for part in hidden)
    return change(hidden, generator)


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

    before: iterations until the blow. record: iterations after it that are scored, ascending. Blows that the
    task does not have (moved ends) are left out. Each process takes every n-th batch.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    slices = batch_slices(task, difficulty, count)
    sums = torch.zeros(len(blows), len(record), 2, dtype=torch.float64, device=device)
    absent = set()
    mine = slices[accelerator.process_index :: accelerator.num_processes]
    for number, indices in enumerate(mine):
        batch = task.sample(difficulty, seed=seed, split="test", indices=indices).to(device)
        with autocast(device, precision), parametrize.cached():
            state = model.run(channels_last(batch.inputs), before)
            for place, blow in enumerate(blows):
                generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
                now: Batch | None = batch
                hidden = state.hidden
                if blow in MOVES:
                    now = task.moved(batch, seed, blow)
                else:
                    hidden = struck(hidden, blow, generator)
                if now is None:
                    absent.add(blow)
                    continue
                x = channels_last(now.inputs)
                states = model.states(x, record[-1], State(hidden, state.iteration))
                for step, after in enumerate(states, start=1):
                    if step not in record:
                        continue
                    logits = model.readout(after).float()
                    row = sums[place, record.index(step)]
                    row[0] += task.correct(logits, now).sum()
                    row[1] += task.element_accuracy(logits, now).sum()
    model.train(was_training)
    totals = accelerator.reduce(sums, "sum").tolist()
    return {
        blow: {i: Tally(*pair, i * count) for i, pair in zip(record, rows, strict=True)}
        for blow, rows in zip(blows, totals, strict=True)
        if blow not in absent
    }
