"""Lottery initialisation: any paradigm, with a share of its weights set to zero before training and
kept there.

You and Yu, "The Lottery Initialization and Generalizability Analysis of Deep Recurrent Networks".
Here stands what a pruned network is; which weights go is decided where tasks are known
(`comparisons.training.pruning`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from foundations.errors import unknown_name
from foundations.registry import Registry
from paradigms.base import Paradigm, Signature, count_parameters

#: From outside: a function `(model, layers, loss)` to scores, shaped like the masks, by the name of
#: a layer; the highest are kept. layers: of `masked_layers`. loss(): of the first training batch.
CRITERIA = Registry(
    "lottery criterion",
    {
        "random": "comparisons.training.pruning:random_scores",
        "magnitude": "comparisons.training.pruning:magnitude_scores",
        "snip": "comparisons.training.pruning:snip_scores",
        "grasp": "comparisons.training.pruning:grasp_scores",
        "synflow": "comparisons.training.pruning:synflow_scores",
        "imp": "comparisons.training.pruning:prune_by_rounds",
    },
    group="criteria",
)
SCOPES = ("global", "layer")
KEEPS = ("none", "first", "last", "ends")
CONTROLS = ("none", "shuffle", "reinit")


@dataclass(frozen=True)
class Pruning:
    """How a network is to be pruned; the fields are the options of `lottery`."""

    criterion: str
    density: float
    scope: str
    control: str
    rounds: int


class Mask(nn.Module):
    """Parametrisation of a weight: zero where the mask is."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.mask: Tensor
        self.register_buffer("mask", torch.ones_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


@dataclass(frozen=True)
class MaskedLayer:
    """A masked weight: the module that has it, its name there, and its mask."""

    module: nn.Module
    tensor: str
    parametrization: Mask

    @property
    def mask(self) -> Tensor:
        """1 where a weight is kept, float like the weight."""
        return self.parametrization.mask

    @property
    def weight(self) -> Tensor:
        """The weight that the network computes with."""
        return getattr(self.module, self.tensor)

    @property
    def original(self) -> nn.Parameter:
        """The parameter that is trained."""
        return self.module.get_parameter(f"parametrizations.{self.tensor}.original")

    @torch.no_grad()
    def set_mask(self, mask: Tensor) -> None:
        """Prune where `mask` is 0. Weights under it become zero themselves, but for those that the
        network ties to others (a symmetric kernel), which only stop counting."""
        self.mask.copy_(mask)
        chain: Any = self.module.get_submodule(f"parametrizations.{self.tensor}")
        if len(chain) == 1:
            self.original.mul_(self.mask)


def masked_layers(model: nn.Module) -> dict[str, MaskedLayer]:
    """The masked weights of a network by name, in the order of its modules."""
    found: dict[str, MaskedLayer] = {}
    for path, module in model.named_modules():
        if not parametrize.is_parametrized(module):
            continue
        for tensor, chain in module.parametrizations.items():
            masks = [part for part in chain if isinstance(part, Mask)]
            if masks:
                found[f"{path}.{tensor}".lstrip(".")] = MaskedLayer(module, tensor, masks[0])
    return found


def active_parameters(model: nn.Module) -> int:
    """Trainable weights that are not pruned away."""
    pruned = sum(int((layer.mask == 0).sum()) for layer in masked_layers(model).values())
    return count_parameters(model) - pruned


def _maskable(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Weights of convolutions and linear layers: every parameter of two or more dimensions."""
    for path, module in list(model.named_modules()):
        if "parametrizations" in path.split("."):
            continue
        names = [n for n, p in module.named_parameters(recurse=False) if p.dim() >= 2]
        if parametrize.is_parametrized(module):
            names += [n for n in module.parametrizations if getattr(module, n).dim() >= 2]
        for name in names:
            if getattr(module, name).requires_grad:
                yield module, name


def lottery(
    spec: Signature,
    base: str = "dt_net_recall",
    *,
    criterion: str = "snip",
    density: float = 0.9,
    scope: str = "global",
    keep: str = "none",
    control: str = "none",
    rounds: int = 3,
    **options: Any,
) -> Paradigm:
    """Another paradigm, pruned before training (its option `base`, or NAME). options: of the base.

    criterion: one of random, magnitude, snip, grasp, synflow, or imp (trained, pruned and rewound
    `rounds` times). density: share of the maskable weights that stays, over 0, at most 1. scope:
    "global" ranks all weights together, "layer" each layer by itself. keep: layers left whole:
    none, first, last or ends (both). control: none; "shuffle" moves the mask's zeros about inside
    each layer; "reinit" draws the kept weights anew. ValueError for anything else.
    """
    from paradigms import build_paradigm

    for what, value, known in (
        ("criterion", criterion, CRITERIA),
        ("scope", scope, SCOPES),
        ("keep", keep, KEEPS),
        ("control", control, CONTROLS),
    ):
        if value not in known:
            raise unknown_name(f"lottery {what}", value, known)
    if isinstance(density, bool) or not isinstance(density, (int, float)) or not 0 < density <= 1:
        raise ValueError(f"lottery density must be over 0 and at most 1, not {density!r}")
    if not isinstance(rounds, int) or isinstance(rounds, bool) or not 1 <= rounds <= 50:
        raise ValueError(f"lottery rounds must be a whole number from 1 to 50, not {rounds!r}")
    if base.partition(":")[0] == "lottery":
        raise ValueError("lottery prunes another paradigm, not itself")
    model = build_paradigm(base, spec, **options)
    places = list(_maskable(model))
    first, last = keep in ("first", "ends"), keep in ("last", "ends")
    for module, name in places[int(first) : len(places) - int(last)]:
        weight = getattr(module, name)
        parametrize.register_parametrization(module, name, Mask(weight.detach()), unsafe=False)
    model.pruning = Pruning(criterion, float(density), scope, control, rounds)
    return model


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """That of the pruned paradigm."""
    from paradigms import paradigm_recipe

    return paradigm_recipe(name.partition(":")[2] or "dt_net_recall", preset, spec)
