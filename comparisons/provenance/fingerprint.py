"""A fingerprint of what a run computes, before it has learnt anything.

By it a change of the source that changes nothing is told from one that does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from comparisons.testing.exits import Observation, make_exit_rule
from comparisons.training.batches import batch_indices
from comparisons.training.learner import Learner
from comparisons.training.objectives import continued_draw, progressive_draw
from comparisons.training.optimizers import learning_rate, make_optimizer
from comparisons.training.pruning import prune
from foundations.records.spec import RunSpec
from paradigms import build_paradigm
from paradigms.base import Paradigm
from paradigms.layers import channels_last
from tasks import load_task
from tasks.base import Batch, Task

#: What the parts of a fingerprint are called where one differs.
PARTS = {
    "problems": "its first problems",
    "weights": "its weights at the start",
    "step": "logits, loss and gradients of its first step",
    "rules": "what its exit rules choose",
}
LOOKED_AT = 2  # problems of a fingerprint's step: statistics of a batch need two
PROBES = 32  # made-up problems, and twice as many iterations, that exit rules are tried on


def digest(values: Tensor | Sequence[float] | float) -> list[float]:
    """[mean, root mean square, projection on a fixed direction]: equal for equal numbers, and
    nearly so only for those."""
    flat = torch.as_tensor(values).detach().reshape(-1).double()
    direction = torch.cos(torch.arange(len(flat), dtype=torch.float64) * 0.7548776662 + 0.1)
    length = max(len(flat), 1)
    numbers = (flat.sum() / length, flat.norm() / length**0.5, flat @ direction / length**0.5)
    return [float(f"{float(number):.9g}") for number in numbers]


def _of_batch(batch: Batch) -> list[list[float]]:
    parts = (batch.inputs, batch.targets, batch.mask)
    return [digest(part.float()) for part in parts if part is not None]


def fingerprint(spec: RunSpec, tests: bool = True) -> dict[str, list[list[float]]]:
    """What a run computes before it has learnt anything, as digests by part (see PARTS).

    On the CPU in float32 whatever the run is trained in, so that machines can be compared; no state
    of the process is changed. tests: whether test problems may be made for it; those of a search
    are not.
    """
    with torch.random.fork_rng(devices=[]):
        task = load_task(spec.task, **spec.task_options)
        torch.manual_seed(spec.seed)
        model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
        weights = [digest(tensor.float()) for tensor in model.state_dict().values()]
        return {
            "problems": _first_problems(spec, task, tests),
            "weights": weights,
            "step": _first_step(spec, task, model),
            "rules": [
                digest(exits_of(name, model.train_iterations).float())
                for name in spec.evaluation.exit_rules
            ],
        }


def _first_problems(spec: RunSpec, task: Task, tests: bool) -> list[list[float]]:
    """Of training, also as augmented, and of every test, those of other tasks too."""
    count = min(LOOKED_AT, spec.train_samples)
    batch = task.sample(spec.train_difficulty, count, seed=spec.data_seed, split="train")
    digests = _of_batch(batch) + _of_batch(task.augment(batch, torch.Generator().manual_seed(0)))
    if not tests:
        return digests
    evaluation = spec.evaluation
    tested = [(task, difficulty) for difficulty in evaluation.difficulties]
    for name, options in evaluation.transfer.items():
        other = load_task(name, **options)
        tested.append((other, other.spec.train_difficulty))
    along = [load_task(spec.task, **options) for options in evaluation.axes.values()]
    tested += [(axis, spec.train_difficulty) for axis in along]
    for other, difficulty in tested:
        digests += _of_batch(other.sample(difficulty, 1, seed=evaluation.seed, split="test"))
    return digests


def _first_step(spec: RunSpec, task: Task, model: Paradigm) -> list[list[float]]:
    """Loss, logits and gradients of a small batch, which problems the steps take, and how fast they
    learn."""
    train, total = spec.train, spec.train.total_steps
    model = copy.deepcopy(model)
    cpu = torch.device("cpu")
    if model.pruning and model.pruning.criterion != "imp":  # imp scores a network that was trained
        prune(spec, task, model, cpu, lambda number, pruned: {})
    iterations = model.train_iterations
    learner = Learner(model, task, train, "fp32", shared=False).train()
    optimizer = make_optimizer(model, train)
    count = min(LOOKED_AT, spec.train_samples)
    batch = task.sample(spec.train_difficulty, count, seed=spec.data_seed, split="train")
    torch.manual_seed(spec.seed)
    # A quarter of the iterations without and one with gradient: not where the pass over all of them
    # ends.
    continued = iterations // 4 if learner.continues else None
    loss = learner(batch, iterations // 4, max(iterations // 4, 1), continued)
    loss.backward()
    digests = [digest(loss)]
    for group in optimizer.param_groups:
        gradients = [p.grad.reshape(-1) for p in group["params"] if p.grad is not None]
        length = torch.cat(gradients).norm() if gradients else torch.zeros(())
        digests += [digest(length), digest(float(group["scale"]))]
    with torch.no_grad():
        digests.append(digest(model.eval()(channels_last(batch.inputs)).float()))
    steps = range(min(3, total))
    rates = [learning_rate(train, step) for step in (0, total // 4, total // 2, total - 1)]
    digests += [*map(digest, rates), digest(_moved(optimizer, max(rates)))]
    draws = [number for step in steps for number in progressive_draw(iterations, spec.seed, step)]
    if learner.continues:
        draws += [continued_draw(train.continued, spec.seed, step) for step in steps]
    digests.append(digest([float(number) for number in draws]))
    digests.append(digest(torch.from_numpy(batch_indices(spec, steps)).double()))
    return digests


def _moved(optimizer: torch.optim.Optimizer, rate: float) -> Tensor:
    """How far one step of the optimiser takes all parameters: of its size alone, as signs of small
    gradients are not the same everywhere."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in parameters]
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    optimizer.step()
    ways = [(p.detach() - b).norm() for p, b in zip(parameters, before, strict=True)]
    return torch.stack(ways).norm()


def exits_of(name: str, train_iterations: int) -> Tensor:
    """Iterations (int64) at which an exit rule answers made-up problems that settle, waver or go on
    moving.

    One number a problem and a number of iterations allowed, so that a rule that looks back over all
    of them shows, too.
    """
    draw = torch.Generator().manual_seed(0)
    settles = torch.randint(2, 2 * PROBES, (PROBES,), generator=draw)
    rule, iterations = make_exit_rule(name, train_iterations), []
    noise = torch.rand(2 * PROBES, PROBES, generator=draw)
    answers = torch.randint(0, 2, (2 * PROBES, PROBES, 3), generator=draw)
    for number in range(1, 2 * PROBES + 1):
        settled = number >= settles
        at = torch.where(settled, settles, torch.tensor(number)) - 1
        rule.update(
            Observation(
                number,
                answers[at, torch.arange(PROBES)],
                0.5 + 0.5 * noise[number - 1],
                (noise[number - 1] + 0.01) * 0.9 ** (number - 1),
                settled & (settles % 2 == 0),
                noise[number - 1],
            )
        )
        assert rule.iteration is not None
        iterations.append(rule.iteration.clone())
    return torch.stack(iterations)


def differing(
    old: Mapping[str, Any], new: Mapping[str, list[list[float]]], tolerance: float
) -> tuple[str, ...]:
    """Parts of two fingerprints that differ beyond a tolerance, relative to the root mean square of
    each digest."""

    def alike(a: Any, b: list[list[float]]) -> bool:
        if not isinstance(a, list) or len(a) != len(b):
            return False
        for mine, theirs in zip(a, b, strict=True):
            room = tolerance * max(abs(mine[1]), abs(theirs[1])) + 1e-12
            if not all(abs(x - y) <= room for x, y in zip(mine, theirs, strict=True)):
                return False
        return True

    return tuple(part for part in PARTS if not alike(old.get(part), new[part]))
