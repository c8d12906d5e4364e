"""Networks from outside, tried before anything is trained."""

from __future__ import annotations

import torch

from foundations.records.spec import RunSpec
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
    except Exception as error:
        if model is None and isinstance(error, ValueError):
            raise  # in words of its own: which options there are, or why it is unsuitable
        why = f"{type(error).__name__}: {error}"
        raise PARADIGMS.wrong(spec.paradigm, f"fails on {spec.task}: {why}") from error
    if shape != wanted:
        got = "no tensor" if shape is None else f"shape {tuple(shape)}"
        raise PARADIGMS.wrong(spec.paradigm, f"logits for {spec.task} are {got}, not {wanted}")
    return model.train()
