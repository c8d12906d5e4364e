"""Testing: accuracy at every recorded iteration and by every exit rule, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils.memory import release_memory, should_reduce_batch_size
from torch.nn.utils import parametrize

from comparisons.hardware import autocast, sums_device
from comparisons.testing.exits import Look, make_exit_rule, mean_confidence, state_change
from paradigms.base import Paradigm
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty, Task

# Sites (pixels or bits) of one evaluation batch: large enough to keep the processor busy, small
# enough for activations to stay near it.
SITES_PER_BATCH = 1 << 16


@dataclass
class Tally:
    """Sums over problems; `iterations` is the sum of the iterations at which they were answered."""

    correct: float = 0.0
    elements: float = 0.0
    iterations: float = 0.0


@dataclass
class Scores:
    """n problems. fixed: by iteration. rules: by exit rule, then by budget, the most iterations
    allowed. correct: by exit rule, bool [n], whether each problem is solved with the whole budget.
    exits: by exit rule, int64 [n], the iterations at which each problem was answered. loss: the
    mean in nats at the last iteration. cut: how many batches were halved because the device could
    not hold them."""

    n: int
    loss: float
    fixed: dict[int, Tally] = field(default_factory=dict)
    rules: dict[str, dict[int, Tally]] = field(default_factory=dict)
    correct: dict[str, torch.Tensor] = field(default_factory=dict)
    exits: dict[str, torch.Tensor] = field(default_factory=dict)
    cut: int = 0


def recorded_iterations(most: int, train_iterations: int) -> list[int]:
    """Iterations worth a row: every one up to 8, then eight to the octave, the trained number and
    the last."""
    grid = {round(2 ** (i / 8)) for i in range(8 * 20)}
    chosen = {i for i in grid if i <= most} | {min(train_iterations, most), most}
    return sorted(i for i in chosen if i >= 1)


def iterations_to_run(model: Paradigm, budget: int) -> int:
    """Steps worth taking: none past the end of a feed-forward network, never fewer than trained."""
    most = max(budget, model.train_iterations)
    return most if model.max_iterations is None else min(most, model.max_iterations)


def batch_slices(task: Task, difficulty: Difficulty, count: int) -> list[np.ndarray]:
    """Problem numbers 0..count-1 in evaluation batches."""
    sites = task.sample(difficulty, 1, split="validation").inputs[0, 0].numel()
    size = int(min(max(SITES_PER_BATCH // sites, 1), count, 512))
    return np.split(np.arange(count), range(size, count, size))


@torch.inference_mode()
def evaluate(
    model: Paradigm,
    task: Task,
    difficulty: Difficulty,
    *,
    split: str,
    count: int,
    seed: int,
    iterations: int,
    record: list[int],
    rules: tuple[str, ...] = (),
    stop: int | None = None,
    accelerator: Accelerator,
    precision: str,
) -> Scores:
    """Test on problems 0..count-1 of a split, iterating once; memory does not depend on
    `iterations`.

    stop: iterations, one of `record`, of the rule "validated", whose answers are kept problem by
    problem, as are those after the iterations of training ("trained") and those of `rules`. Each
    process takes every n-th batch and the sums are added up, so that no problem is counted twice or
    missed whatever the number of processes.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    batches = batch_slices(task, difficulty, count)[
        accelerator.process_index :: accelerator.num_processes
    ]
    rows = len(record) * (1 + len(rules))
    sums = torch.zeros(rows + 1, 3, dtype=torch.float64, device=sums_device(device))
    named = (*(("validated", "trained") if stop else ()), *rules)
    each = torch.zeros(2, len(named), count, dtype=torch.int64, device=device)
    todo, cut = list(batches), 0
    while todo:
        indices, before = todo.pop(0), sums.clone()
        try:
            batch = task.sample(difficulty, seed=seed, split=split, indices=indices).to(device)
            _score(
                model, task, batch, indices, iterations, record, rules, stop, precision, sums, each
            )
            continue
        except RuntimeError as error:
            if len(indices) == 1 or not should_reduce_batch_size(error):
                raise
        # Outside the handler, whose error holds on to what was computed so far.
        sums.copy_(before)
        todo[:0] = np.array_split(indices, 2)
        cut += 1
        release_memory()
    sums = accelerator.reduce(sums, "sum").tolist()
    solved, exits = accelerator.reduce(each, "sum").cpu()
    model.train(was_training)

    def tallies(group: int) -> dict[int, Tally]:
        first = group * len(record)
        own = sums[first : first + len(record)]
        return {i: Tally(*row) for i, row in zip(record, own, strict=True)}

    return Scores(
        n=count,
        loss=sums[-1][0] / count,
        fixed=tallies(0),
        rules={name: tallies(i) for i, name in enumerate(rules, start=1)},
        correct=dict(zip(named, solved.bool(), strict=True)),
        exits=dict(zip(named, exits, strict=True)),
        cut=cut,
    )


def _score(
    model: Paradigm,
    task: Task,
    batch: Batch,
    indices: np.ndarray,
    iterations: int,
    record: list[int],
    rules: tuple[str, ...],
    stop: int | None,
    precision: str,
    sums: torch.Tensor,
    each: torch.Tensor,
) -> None:
    """Iterate on one batch. Adds to `sums`, a row for each recorded iteration under no rule and
    then under each, the last for the loss; writes the columns `indices` of `each`: solved and
    answered when, by rule."""
    x = channels_last(batch.inputs)
    running = [make_exit_rule(name, model.train_iterations) for name in rules]
    moving = any(rule.needs_change for rule in running)
    rows = len(record) * (1 + len(rules))
    change, before = None, None
    with autocast(x.device, precision), parametrize.cached():
        for number, state in enumerate(model.states(x, iterations), start=1):
            if not running and number not in record:
                continue
            logits = model.readout(state).float()
            correct = task.correct(logits, batch)
            elements = task.element_accuracy(logits, batch)
            if running:
                if moving:
                    change, before = state_change(before, state.hidden), state.hidden
                answer = task.predict(logits, batch)
                confidence = mean_confidence(logits, batch.mask)
                for rule in running:
                    rule.update(Look(number, answer, confidence, change, correct, elements))
            for place, wanted in enumerate((stop, model.train_iterations) if stop else ()):
                if number == wanted:
                    each[0, place, indices], each[1, place, indices] = correct.long(), number
            if number in record:
                here = [(correct, elements, torch.full_like(elements, number))]
                here += [(rule.correct, rule.elements, rule.iteration) for rule in running]
                place = record.index(number)
                for held, row in zip(here, sums[place : rows : len(record)], strict=True):
                    row += torch.stack([part.sum().to(sums.device).double() for part in held])
    for place, rule in enumerate(running, start=each.shape[1] - len(rules)):
        each[0, place, indices], each[1, place, indices] = rule.correct.long(), rule.iteration
    sums[-1, 0] += task.loss(logits, batch).to(sums.device).double() * len(batch)
