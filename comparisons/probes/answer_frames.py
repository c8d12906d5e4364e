"""One problem's answer after each iteration, as pictures: as it forms, and as it recovers after a
blow."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from comparisons.probes.perturbations import MOVES, Perturbed, halves
from comparisons.testing.evaluation import recorded_iterations
from foundations.records.spec import EvaluationSpec
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty, Task

FRAMES = 24  # of a thought picture


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


def thoughts(model: Paradigm, batch: Batch, steps: list[int]) -> Tensor:
    """What the first problem's answer is after each of the steps: uint8 [steps, *S], see
    `sureness`."""
    iterates = enumerate(model.iterates(channels_last(batch.inputs), steps[-1]), start=1)
    wanted = set(steps)
    return torch.stack([sureness(logits, batch) for number, logits in iterates if number in wanted])


@torch.inference_mode()
def struck_frames(
    model: Paradigm,
    task: Task,
    difficulty: Difficulty,
    index: int,
    asked: EvaluationSpec,
    device: torch.device,
) -> dict[str, Tensor]:
    """The answer to test problem `index` until half of the iterations asked for, then on after each
    blow asked for: the very ones that `perturbations.recovery` counts.

    By `BLOW.NAME`: `frames`, uint8 [frames, *S]. `iterations`, int64 [frames], counted from the
    start. `correct`, uint8 [frames]: whether the task's whole answer is right then. `struck`, int64
    [1]: the first frame after the blow, the answer at once, at the iteration of the frame before
    it. `picture`, uint8 [H, W, 3]: the changed problem, of blows that move an end. Blows that do
    not apply are left out: to another state where there is one problem, to an end where the task
    has none, and all of them to a network of one step.
    """
    before, after = halves(model, asked.iterations)
    if not asked.blows or not before:
        return {}
    first = spread_over(recorded_iterations(before, model.train_iterations), FRAMES // 2 - 1)
    then = spread_over(recorded_iterations(after, model.train_iterations), FRAMES // 2)
    indices = np.array([index])
    batch = task.sample(difficulty, seed=asked.seed, split="test", indices=indices).to(device)
    found: dict[str, Tensor] = {}
    with parametrize.cached():
        way, states = [], enumerate(model.states(channels_last(batch.inputs), before), start=1)
        for number, state in states:
            if number in first:
                way.append(_look(model, task, batch, state))
        halfway = Perturbed(
            model, task, difficulty, indices, asked.samples, asked.seed, batch, state, before
        )
        for blow in asked.blows:
            hit = halfway.by(blow)
            if hit is None:
                continue
            now = hit[0]
            looks = [*way, _look(model, task, *hit)]
            states = enumerate(model.states(channels_last(now.inputs), after, hit[1]), start=1)
            looks += [_look(model, task, now, s) for number, s in states if number in then]
            found |= {
                f"{blow}.frames": torch.stack([sure for sure, _ in looks]),
                f"{blow}.correct": torch.tensor([right for _, right in looks], dtype=torch.uint8),
                f"{blow}.iterations": torch.tensor([*first, *(before + i for i in [0, *then])]),
                f"{blow}.struck": torch.tensor([len(first)]),
            }
            if blow in MOVES:
                picture = task.picture(now.inputs.cpu())[0].permute(1, 2, 0)
                found[f"{blow}.picture"] = (picture * 255).round().to(torch.uint8)
    return found


def _look(model: Paradigm, task: Task, batch: Batch, state: State) -> tuple[Tensor, bool]:
    logits = model.readout(state).float()
    return sureness(logits, batch), bool(task.correct(logits, batch)[0])
