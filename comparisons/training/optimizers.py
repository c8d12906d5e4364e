"""Optimisers, their rate at each step, and their state in a checkpoint."""

from __future__ import annotations

import torch

from comparisons.hardware import quick_gpu
from comparisons.storage.tensors import optimizer_tensors, restore_optimizer
from comparisons.training.objectives import rate
from foundations.errors import unknown_name
from foundations.records.spec import OPTIMIZERS, TrainSpec
from paradigms.base import Paradigm


def make_optimizer(model: Paradigm, train: TrainSpec) -> torch.optim.Optimizer:
    """The optimiser, with the network's recurrent parameters in a group of their own, in one kernel
    on GPUs. The rate is set at every step."""
    recurrent = list(model.recurrent_parameters())
    recurrent_ids = {id(p) for p in recurrent}
    others = [p for p in model.parameters() if id(p) not in recurrent_ids]
    groups = [
        {"params": params, "scale": scale}
        for params, scale in ((recurrent, train.recurrent_lr_scale), (others, 1.0))
        if params
    ]
    lr, decay = train.learning_rate, train.weight_decay
    # None is torch's own choice, as on CPUs, where nothing is gained and last bits would change.
    fused = all(quick_gpu(p.device) for p in model.parameters()) or None
    if train.optimizer == "adam":
        return torch.optim.Adam(groups, lr, weight_decay=decay, fused=fused)
    if train.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr, weight_decay=decay, fused=fused)
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr, momentum=0.9, weight_decay=decay, fused=fused)
    raise unknown_name("optimizer", train.optimizer, OPTIMIZERS)


def _parameter_names(optimizer: torch.optim.Optimizer, model: Paradigm) -> list[str]:
    """The names of an optimiser's parameters, in the order in which it numbers them."""
    names = {id(p): name for name, p in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


def named_state(optimizer: torch.optim.Optimizer, model: Paradigm) -> dict[str, torch.Tensor]:
    """The state of a network's optimiser, by the names of the parameters: what is stored does not
    depend on its groups."""
    names = _parameter_names(optimizer, model)
    tensors = {}
    for key, tensor in optimizer_tensors(optimizer).items():
        number, _, what = key.partition(".")
        tensors[f"{names[int(number)]}.{what}"] = tensor
    return tensors


def restore_state(
    optimizer: torch.optim.Optimizer, model: Paradigm, tensors: dict[str, torch.Tensor]
) -> None:
    """Put back what `named_state` gave, or what checkpoints held before it: numbers in place of
    names."""
    numbers = {name: number for number, name in enumerate(_parameter_names(optimizer, model))}
    # The order of those checkpoints, whose optimiser had in its first group what was called so.
    first = [name for name, _ in model.named_parameters() if name.startswith("recurrent")]
    once = [*first, *(name for name, _ in model.named_parameters() if name not in set(first))]
    numbered = {}
    for key, tensor in tensors.items():
        owner, _, what = key.rpartition(".")
        name = once[int(owner)] if owner.isdecimal() else owner
        numbered[f"{numbers[name]}.{what}"] = tensor
    restore_optimizer(optimizer, numbered)


def learning_rate(train: TrainSpec, step: int) -> float:
    """The rate of a step; each of the two phases warms up and falls by itself."""
    if step < train.easiest_steps:
        share = rate(step, train.easiest_steps, train.warmup_steps, train.schedule)
    else:
        share = rate(step - train.easiest_steps, train.steps, train.warmup_steps, train.schedule)
    return share * train.learning_rate
