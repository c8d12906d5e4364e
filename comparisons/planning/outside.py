"""Networks and objectives from outside, tried before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from foundations.records.spec import OBJECTIVES, RunSpec
from paradigms import PARADIGMS, build_paradigm
from paradigms.base import Paradigm
from tasks.base import Task


def tried(spec: RunSpec, task: Task) -> Paradigm:
    """A network from outside that was seen to give logits of the right shape; ValueError names the
    plugin and what is wrong."""
    one = task.sample(spec.train_difficulty, 1, seed=spec.data_seed, split="validation").inputs
    wanted = task.spec.logits_shape(one)
    model = None
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(spec.seed)
            model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
            shape = getattr(model.eval()(one, 1), "shape", None)
            # States are gone on from, taken apart and put together: two steps show whether.
            model.run(one, 2).map(Tensor.detach)
    except Exception as error:
        if model is None and isinstance(error, ValueError):
            raise  # in words of its own: which options there are, or why it is unsuitable
        why = f"{type(error).__name__}: {error}"
        raise PARADIGMS.wrong(spec.paradigm, f"fails on {spec.task}: {why}") from error
    if shape != wanted:
        got = "no tensor" if shape is None else f"shape {tuple(shape)}"
        raise PARADIGMS.wrong(spec.paradigm, f"logits for {spec.task} are {got}, not {wanted}")
    if not any(p.requires_grad for p in model.parameters()):
        raise PARADIGMS.wrong(spec.paradigm, "has no weights to train")
    return model.train()


def try_objective(spec: RunSpec, task: Task) -> None:
    """ValueError, which names the plugin and what is wrong, for an objective from outside that
    gives no loss for two problems. The network must have been built before: what it raises
    otherwise would be blamed on the objective."""
    name = spec.train.objective
    batch = task.sample(spec.train_difficulty, 2, seed=spec.data_seed, split="validation")
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
            loss = OBJECTIVES.load(name)(model, task, batch, min(2, model.train_iterations))
    except Exception as error:  # code of others: whatever it raises is said in one line
        why = f"{type(error).__name__}: {error}"
        raise OBJECTIVES.wrong(name, f"fails on {spec.paradigm}, {spec.task}: {why}") from error
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise OBJECTIVES.wrong(name, "gives no loss: a tensor of one number, with a gradient")
