"""One problem's answer after each iteration, as pictures: as it forms, and as it recovers from a
perturbation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from comparisons.probes.perturbations import Halfway, halves
from comparisons.testing.evaluation import recorded_iterations
from comparisons.testing.session import Session
from foundations.records.spec import EvaluationSpec
from tasks.base import Batch, Difficulty

FRAMES = 24  # of an answer


def spread_over(values: list[int], most: int) -> list[int]:
    """At most `most` of the values, evenly chosen, both ends among them."""
    if len(values) <= most:
        return values
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def sureness(logits: Tensor, batch: Batch) -> Tensor:
    """uint8 [*S]: how sure a network is that a site of the first problem is marked, that is that
    its answer there is not 0, as a probability 0..255; 0 off the mask. logits: [n, K, *S], one or
    several answers per site."""
    first = logits[0].float()
    margin = first[0] if len(first) == 1 else first[1:].logsumexp(0) - first[0]
    sure = margin.sigmoid()
    if batch.mask is not None:
        sure = sure * batch.mask[0]
    return (sure * 255).round().to(torch.uint8).cpu()


def answer_frames(session: Session, batch: Batch, iterations: list[int]) -> Tensor:
    """The first problem's answer after each of the iterations: uint8 [iterations, *S], see
    `sureness`."""
    with session.running():
        steps = session.walk(batch, iterations[-1], wanted=iterations.__contains__)
        return torch.stack([sureness(step.logits, batch) for step in steps])


def perturbed_frames(
    session: Session, difficulty: Difficulty, index: int, evaluation: EvaluationSpec
) -> dict[str, Tensor]:
    """The answer to test problem `index` until half of the iterations, then on after each
    perturbation: the very ones that `perturbations.recovery` counts.

    By `PERTURBATION.NAME`: `frames`, uint8 [frames, *S]. `iterations`, int64 [frames], counted from
    the start. `correct`, uint8 [frames]: whether the task's whole answer is right then. `struck`,
    int64 [1]: the first frame after the perturbation, the answer at once, at the iteration of the
    frame before it. `picture`, uint8 [H, W, 3]: the changed problem, where it is that which
    changes. Perturbations that do not apply are left out: another state where there is one problem,
    what the task does not offer, and all of them for a network of one step.
    """
    model, task = session.model, session.task
    before, after = halves(model, evaluation.iterations)
    if not evaluation.blows or not before:
        return {}
    first = spread_over(recorded_iterations(before, model.train_iterations), FRAMES // 2 - 1)
    then = spread_over(recorded_iterations(after, model.train_iterations), FRAMES // 2)
    indices = np.array([index])
    batch = session.sample(difficulty, indices, seed=evaluation.seed)
    tensors: dict[str, Tensor] = {}
    with session.running():
        way = []
        for step in session.walk(batch, before, wanted=first.__contains__):  # the last is `before`
            way.append(_frame(session, batch, step.logits))
        halfway = Halfway(
            session, difficulty, indices, evaluation.samples, evaluation.seed, batch, step.state,
            before,
        )  # fmt: skip
        for name in evaluation.blows:
            perturbed = halfway.after(name)
            if perturbed is None:
                continue
            now, state = perturbed
            steps = session.walk(now, after, state, wanted=then.__contains__)
            frames = [*way, _frame(session, now, model.readout(state).float())]
            frames += [_frame(session, now, step.logits) for step in steps]
            tensors |= {
                f"{name}.frames": torch.stack([sure for sure, _ in frames]),
                f"{name}.correct": torch.tensor([right for _, right in frames], dtype=torch.uint8),
                f"{name}.iterations": torch.tensor([*first, *(before + i for i in [0, *then])]),
                f"{name}.struck": torch.tensor([len(first)]),
            }
            if now is not batch:
                picture = task.picture(now.inputs.cpu())[0].permute(1, 2, 0)
                tensors[f"{name}.picture"] = (picture * 255).round().to(torch.uint8)
    return tensors


def _frame(session: Session, batch: Batch, logits: Tensor) -> tuple[Tensor, bool]:
    return sureness(logits, batch), bool(session.task.correct(logits, batch)[0])
