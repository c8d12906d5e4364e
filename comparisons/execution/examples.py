"""Pictures of what a run answered, kept beside its numbers."""

from __future__ import annotations

import json

import torch

from comparisons.probes.answer_frames import FRAMES, answer_frames, perturbed_frames, spread_over
from comparisons.storage.run_folder import RunFolder
from comparisons.testing.evaluation import iterations_to_run, recorded_iterations
from comparisons.testing.session import Session, fast_layout
from foundations.records.spec import RunSpec
from tasks.base import Difficulty, Task

#: Problems among which those to be shown are chosen.
LOOKED_AT = 32
MOST_SITES = 100_000  # of a problem that is shown


def pictured(correct: torch.Tensor, count: int) -> torch.Tensor:
    """Which problems to show, solved ones first: half of either, and more of one where the other
    has too few.

    correct: bool [n]. int64 [min(count, n)].
    """
    solved, unsolved = correct.nonzero().flatten(), (~correct).nonzero().flatten()
    wrong = min(max(count // 2, count - len(solved)), len(unsolved))
    return torch.cat([solved[: count - wrong], unsolved[:wrong]])


def save_examples(spec: RunSpec, session: Session, iterations: int, folder: RunFolder) -> None:
    """Pictures of a few solved and unsolved test problems of each difficulty, with the answers
    given after so many iterations."""
    tensors: dict[str, torch.Tensor] = {}
    for difficulty in spec.evaluation.difficulties if spec.evaluation.pictures else ():
        tensors |= _examples(spec, session, difficulty, iterations)
    about = session.task.spec
    metadata = {
        "dense": str(about.dense).lower(),
        "spatial_dims": str(about.spatial_dims),
        "iterations": str(iterations),
        "answers": json.dumps(about.answers),
    }
    if tensors:
        folder.save(folder.examples_path, tensors, metadata)


def _pixels(task: Task, inputs: torch.Tensor) -> torch.Tensor:
    """uint8 [n, H, W, 3]."""
    pictures = (task.picture(inputs.cpu()) * 255).round().to(torch.uint8)
    return pictures.permute(0, 2, 3, 1).contiguous()


def _examples(
    spec: RunSpec, session: Session, difficulty: Difficulty, iterations: int
) -> dict[str, torch.Tensor]:
    """The tensors of one difficulty, by `LEVEL.NAME`; none where a problem is too large to show."""
    evaluation, model, task = spec.evaluation, session.model, session.task
    count = min(LOOKED_AT, evaluation.samples)
    batch = task.sample(difficulty, count, seed=evaluation.seed, split="test").to(session.device)
    if batch.inputs[0, 0].numel() > MOST_SITES:
        return {}
    batch = fast_layout(batch)
    with session.running():
        logits = model(batch.inputs, iterations=iterations).float()
        correct = task.correct(logits, batch)
        predictions = task.predict(logits, batch)
    shown = pictured(correct, evaluation.pictures)
    tensors = {
        "picture": _pixels(task, batch.inputs[shown]),
        "targets": batch.targets[shown].cpu(),
        "predictions": predictions[shown].cpu(),
        "correct": correct[shown].cpu().to(torch.uint8),
    }
    most = iterations_to_run(model, evaluation.iterations)
    steps = spread_over(recorded_iterations(most, model.train_iterations), FRAMES)
    if task.spec.dense:
        # The same problem for every network, to be set side by side.
        one = batch[:1]
        tensors["first.picture"] = _pixels(task, one.inputs)
        tensors["first.thoughts"] = answer_frames(session, fast_layout(one), steps)
        tensors["first.thought_iterations"] = torch.tensor(steps)
    if task.spec.dense and most > 2:
        after = perturbed_frames(session, difficulty, int(shown[0]), evaluation)
        tensors |= {f"blow.{name}": tensor for name, tensor in after.items()}
        tensors["thoughts"] = answer_frames(session, fast_layout(batch[shown[:1]]), steps)
        tensors["thought_iterations"] = torch.tensor(steps)
    level = task.spec.level(difficulty)
    return {f"{level}.{name}": tensor for name, tensor in tensors.items()}
