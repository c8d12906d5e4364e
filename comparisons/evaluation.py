"""Testing: accuracy at every recorded iteration and by every exit rule, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.utils import parametrize

from comparisons.exits import make_exit_rule, mean_confidence
from comparisons.hardware import autocast
from paradigms.base import Paradigm
from paradigms.layers import channels_last
from tasks.base import Difficulty, Task

# Sites (pixels or bits) of one evaluation batch: large enough to keep the processor busy, small enough
# for activations to stay near it.
SITES_PER_BATCH = 1 << 16


@dataclass
class Tally:
    """Sums over problems; `iterations` is the sum of the iterations at which they were answered."""

    correct: float = 0.0
    elements: float = 0.0
    iterations: float = 0.0


@dataclass
class Scores:
    """n problems; `fixed` by iteration, `rules` by exit rule; loss is the mean in nats at the last iteration."""

    n: int
    loss: float
    fixed: dict[int, Tally] = field(default_factory=dict)
    rules: dict[str, Tally] = field(default_factory=dict)


def recorded_iterations(most: int, train_iterations: int) -> list[int]:
    """Iterations worth a row: every one up to 8, then eight to the octave, the trained number and the last."""
    grid = {round(2 ** (i / 8)) for i in range(8 * 20)}
    chosen = {i for i in grid if i <= most} | {min(train_iterations, most), most}
    return sorted(i for i in chosen if i >= 1)


def iterations_to_run(model: Paradigm, budget: int) -> int:
    """Steps worth taking: none past the end of a feed-forward network, never fewer than trained."""
    most = max(budget, model.train_iterations)
    return most if model.max_iterations is None else min(most, model.max_iterations)


def batch_slices(task: Task, difficulty: Difficulty, count: int) -> list[np.ndarray]:
    """Problem numbers 0..count-1 in evaluation batches."""
    sites = task.sample(difficulty, 1, split="test").inputs[0, 0].numel()
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
    accelerator: Accelerator,
    precision: str,
) -> Scores:
    """Test on problems 0..count-1 of a split, iterating once; memory does not depend on `iterations`.

    Each process takes every n-th batch and the sums are added up, so that no problem is counted twice or
    missed whatever the number of processes.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    batches = batch_slices(task, difficulty, count)[
        accelerator.process_index :: accelerator.num_processes
    ]
    names = [f"{i}" for i in record] + list(rules)
    sums = torch.zeros(len(names) + 1, 3, dtype=torch.float64, device=device)
    for indices in batches:
        batch = task.sample(difficulty, seed=seed, split=split, indices=indices).to(device)
        x = channels_last(batch.inputs)
        running = {name: make_exit_rule(name, model.train_iterations) for name in rules}
        with autocast(device, precision), parametrize.cached():
            for number, state in enumerate(model.states(x, iterations), start=1):
                if not running and number not in record:
                    continue
                logits = model.readout(state).float()
                correct = task.correct(logits, batch)
                elements = task.element_accuracy(logits, batch)
                if number in record:
                    row = sums[record.index(number)]
                    row += torch.stack(
                        [
                            correct.sum(),
                            elements.sum(),
                            correct.new_tensor(number * len(batch), dtype=torch.float64),
                        ]
                    )
                if running:
                    answer = task.predict(logits, batch)
                    confidence = mean_confidence(logits, batch.mask)
                    for rule in running.values():
                        rule.update(number, answer, confidence, correct, elements)
        for place, rule in enumerate(running.values(), start=len(record)):
            sums[place] += torch.stack(
                [rule.correct.sum(), rule.elements.sum(), rule.iteration.sum().double()]
            )
        sums[-1, 0] += task.loss(logits, batch).double() * len(batch)
    sums = accelerator.reduce(sums, "sum").tolist()
    model.train(was_training)
    tallies = {name: Tally(*row) for name, row in zip(names, sums[:-1], strict=True)}
    return Scores(
        n=count,
        loss=sums[-1][0] / count,
        fixed={i: tallies[f"{i}"] for i in record},
        rules={name: tallies[name] for name in rules},
    )
