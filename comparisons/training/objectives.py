"""What training minimises and how fast: small pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from foundations.records.spec import SCHEDULES, USUAL, TrainSpec
from paradigms.base import State

#: Share of the steps after which training is continued beyond its iterations, where it is: before
#: that there is no answer yet that could last.
CONTINUED_FROM = 0.2
#: Iterations with gradient there: the last one's change is penalised, and the state that it starts
#: from is trained too.
WITH_GRADIENT = 2
#: Size of the noise whose growth is penalised, as a share of the state: above what bfloat16 rounds
#: away (0.4 %), below what would be another state.
DISTURBANCE = 0.1


def rate(step: int, steps: int, warmup: int, schedule: str) -> float:
    """Learning rate at a step, as a share of the highest: a pure function, so resuming replays
    nothing.

    Warm-up is exponential as in Bansal et al. 2022: 1 - exp(-5 (step + 1) / warmup), over 0.99 when
    it ends. Then the schedule, one of `SCHEDULES`.
    """
    warm = 1.0 if warmup <= 0 else 1 - math.exp(-5 * (step + 1) / warmup)
    left = min(max((steps - step) / max(steps - warmup, 1), 0.0), 1.0)
    return warm * float(SCHEDULES.load(schedule)(left))


def constant(left: float) -> float:
    """The highest rate to the end."""
    return 1.0


def linear(left: float) -> float:
    """A fall to zero in a line."""
    return left


def cosine(left: float) -> float:
    """Half a cosine, down to zero."""
    return (1 - math.cos(math.pi * left)) / 2


def progressive_draw(iterations: int, seed: int, step: int) -> tuple[int, int]:
    """Steps without and with gradient for the progressive loss (Bansal et al. 2022, arXiv
    2202.05826).

    n is uniform in 0..iterations-1, then k in 1..iterations-n. A function of (seed, step), so that
    every process draws the same and a resumed run goes on as it would have.
    """
    rng = np.random.default_rng([seed, step])
    n = int(rng.integers(0, iterations))
    return n, int(rng.integers(1, iterations - n + 1))


def continued_draw(most: int, seed: int, step: int) -> int:
    """How many further iterations, uniform in 0..most, come before those that the continued loss is
    of. A function of (seed, step), as `progressive_draw`."""
    return int(np.random.default_rng([seed, step, 1]).integers(0, most + 1))


def is_continued(train: TrainSpec, recurrent: bool, halts: str) -> bool:
    """Whether steps go on from the state that the last one ended in: of a recurrent network that
    does not halt, by the objectives of the library."""
    return train.continued > 0 and recurrent and not halts and train.objective == USUAL


def mixed_depth(iterations: int, spread: int, seed: int, step: int) -> int:
    """How many iterations a step is of: uniform in iterations - spread..iterations + spread, at
    least 1 (randomised depths of path-independent training, Anil et al. 2022, arXiv 2211.09961). A
    function of (seed, step), as `progressive_draw`."""
    if not spread:
        return iterations
    rng = np.random.default_rng([seed, step, 2])
    return int(rng.integers(max(iterations - spread, 1), iterations + spread + 1))


def mixed_starts(state: State, share: float) -> State:
    """The state with unit Gaussian noise in the place of that share of the problems' (mixed
    initialisation of path-independent training, Anil et al. 2022)."""
    noisy = torch.rand(len(state.parts[0]), device=state.parts[0].device) < share

    def mixed(part: Tensor) -> Tensor:
        chosen = noisy.reshape(-1, *[1] * (part.dim() - 1))
        return torch.where(chosen, torch.randn_like(part), part)

    return state.map(mixed)


def pull_back(
    after: Sequence[Tensor], before: Sequence[Tensor], gradient: Sequence[Tensor], terms: int
) -> list[Tensor]:
    """The gradient at a fixed point, pulled back through one more step again and again: the first
    terms of sum_k (J^T)^k g, J the Jacobian of the step before -> after, g the gradient.

    All of them are the implicit gradient (deep equilibrium models, Bai et al. 2019, arXiv
    1909.01377), some are its Neumann series (recurrent back-propagation, Liao et al. 2018, arXiv
    1803.06396), one is the Jacobian-free gradient (Fung et al. 2022, arXiv 2103.12803).
    """
    total = list(gradient)
    for _ in range(terms - 1):
        pulled = torch.autograd.grad(
            after, before, total, retain_graph=True, materialize_grads=True
        )
        total = [g + p for g, p in zip(gradient, pulled, strict=True)]
    return total


def segments(iterations: int, count: int) -> list[int]:
    """Iterations cut into `count` runs (no more than there are iterations) as equal as can be, the
    longer ones first."""
    count = min(count, iterations)
    return [iterations // count + (i < iterations % count) for i in range(count)]


def halting_divergence(chances: Tensor) -> Tensor:
    """float [n]: KL divergence, in nats, of the chances [n, T] of halting after each iteration from
    a geometric prior of mean T / 2 that halts after the last at the latest (Banino et al. 2021)."""
    iterations = chances.shape[1]
    stay = torch.full((iterations,), 1 - min(2 / iterations, 1 - 1e-6), device=chances.device)
    prior = stay.cumprod(0) / stay * (1 - stay)
    prior[-1] = 1 - prior[:-1].sum()
    return (chances * ((chances + 1e-9).log() - prior.log())).sum(1)


class Passes(NamedTuple):
    """What a training step runs for each problem: iterations without and with gradient, readouts
    (a count of a pass that has one answer, where it has more)."""

    skipped: float
    kept: float
    readouts: float = 1


def passes(
    train: TrainSpec, halts: str, alpha: float, iterations: float, skipped: float, kept: float
) -> Passes:
    """Those of a recurrent network's objective, before training goes on from there: for a draw, or
    expected ones for the means of draws. A step that pulls a gradient back costs what one without
    gradient does. An objective from outside is counted as one pass with one answer."""
    if train.objective != USUAL:
        return Passes(0, iterations)
    if halts:
        return Passes(0, iterations, iterations if halts == "pondernet" else 1)
    if train.implicit:
        return Passes(iterations + train.implicit - 1, 1)
    if train.supervised:
        answers = min(train.supervised, iterations)
        return Passes(iterations - answers, answers, answers)
    return Passes(
        skipped if alpha > 0 else 0, (alpha < 1) * iterations + (kept if alpha > 0 else 0)
    )


def squared_change(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """float [n]: the squared length of a step as a share of that of the state it left, over all
    parts of a state [n, ...] together: 0 at a fixed point."""
    return _squared_distance(before, after) / (_squared_length(before) + 1e-6)


def disturbed(state: State, share: float = DISTURBANCE) -> State:
    """The state with noise added, whose root mean square is that share of each part's own."""

    def add_noise(part: Tensor) -> Tensor:
        size = part.float().square().flatten(1).mean(1).sqrt()
        size = size.reshape(-1, *[1] * (part.dim() - 1)).to(part.dtype)
        return part + share * size * torch.randn_like(part)

    return state.map(add_noise)


def squared_growth(
    start: tuple[Sequence[Tensor], Sequence[Tensor]], end: tuple[Sequence[Tensor], Sequence[Tensor]]
) -> Tensor:
    """float [n]: the squared distance of two states at the end as a share of that at the start,
    under 1 where iterations brought them nearer to each other.

    For a small random disturbance it is, on average, the mean square of the singular values of the
    iterations' Jacobian: what contractor-RBP penalises (Linsley et al. 2020, arXiv 2005.11362), by
    a difference of two passes in place of a product with the Jacobian.
    """
    return _squared_distance(*end) / (_squared_distance(*start) + 1e-6)


def _squared_distance(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    return _squared_length([b - a for a, b in zip(before, after, strict=True)])


def _squared_length(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([part.float().square().flatten(1).sum(1) for part in parts]).sum(0)
