"""Pruning at initialisation: score every weight once, keep the best share, freeze the mask.

Criteria as in You and Yu: random; magnitude; SNIP (Lee et al. 2019, arXiv 1810.02340); GraSP (Wang
et al. 2020, arXiv 2002.07376); SynFlow (Tanaka et al. 2020, arXiv 2006.05467). Controls as in
Frankle et al. 2021 (arXiv 2009.08576).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from comparisons.training.learner import Learner
from comparisons.training.objectives import progressive_draw
from foundations.records.spec import RunSpec
from paradigms import build_paradigm
from paradigms.base import Paradigm
from paradigms.lottery import CRITERIA, MaskedLayer, masked_layers
from tasks.base import Batch, Task

Scores = dict[str, Tensor]

TEMPERATURE = 200.0  # of the logits in GraSP, as published
SYNFLOW_ROUNDS = 100


@dataclass(frozen=True)
class Pruned:
    """What pruning did. density: by layer, the share that stays; seconds: what scoring cost;
    connected: whether any answer still depends on the input."""

    density: dict[str, tuple[int, int]]
    seconds: float
    connected: bool

    def facts(self) -> dict[str, Any]:
        """For the record: kept and all weights by layer, empty layers, seconds."""
        return {
            "layer_weights": {name: list(counts) for name, counts in self.density.items()},
            "empty_layers": [name for name, (kept, _) in self.density.items() if kept == 0],
            "scoring_seconds": round(self.seconds, 4),
        }


def keep_best(scores: Mapping[str, Tensor], density: float, scope: str) -> Scores:
    """Masks that keep exactly round(density n) of n weights, the highest scores; ties by position.

    scope: "global", n counts all layers' weights together; "layer", each layer's own.
    """
    if scope == "layer":
        return {name: _best(score, density) for name, score in scores.items()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    mask = _best(flat, density)
    parts = mask.split([score.numel() for score in scores.values()])
    return {
        name: part.view_as(score) for part, (name, score) in zip(parts, scores.items(), strict=True)
    }


def _best(scores: Tensor, density: float) -> Tensor:
    flat = scores.flatten()
    kept = round(density * flat.numel())
    order = torch.argsort(flat, descending=True, stable=True)
    mask = torch.zeros_like(flat, dtype=torch.float32)
    mask[order[:kept]] = 1
    return mask.view_as(scores)


def random_scores(layers: Mapping[str, MaskedLayer], generator: torch.Generator) -> Scores:
    """Uniform: which weights go is decided by chance."""
    return {
        name: torch.rand(layer.mask.shape, generator=generator).to(layer.mask.device)
        for name, layer in layers.items()
    }


def magnitude_scores(layers: Mapping[str, MaskedLayer]) -> Scores:
    """|w|."""
    return {name: layer.weight.detach().abs() for name, layer in layers.items()}


def snip_scores(layers: Mapping[str, MaskedLayer], loss: Callable[[], Tensor]) -> Scores:
    """|dL/dm| at a mask m of ones: how much the loss feels a weight being there."""
    with _masks_as_variables(layers) as masks:
        gradients = torch.autograd.grad(loss(), list(masks.values()))
    return {name: g.abs() for name, g in zip(masks, gradients, strict=True)}


def grasp_scores(layers: Mapping[str, MaskedLayer], loss: Callable[[], Tensor]) -> Scores:
    """-w Hg, H the Hessian and g the gradient of the loss: what removing a weight does to the flow
    of gradients. The lowest are kept."""
    weights = [layer.original for layer in layers.values()]
    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    flow = torch.stack([(g * g.detach()).sum() for g in gradients]).sum()
    hessian_gradient = torch.autograd.grad(flow, weights)
    named = zip(layers, weights, hessian_gradient, strict=True)
    return {name: -(w.detach() * hg) for name, w, hg in named}


def synflow_scores(model: Paradigm, layers: Mapping[str, MaskedLayer], one: Tensor) -> Scores:
    """|w dR/dw| where R is the summed answer to an input of ones with every weight made positive.

    one: a single input, [1, C, *S]; its values do not matter. Computed in float64: R is a product
    over all layers and iterations. Biases are left out: what flows in at one does not tell that a
    layer before it has been emptied.
    """
    with _positive(model), _masks_as_variables(layers) as masks:
        answer = model(torch.ones_like(one, dtype=torch.float64)).sum()
        gradients = torch.autograd.grad(answer, list(masks.values()))
        return {
            name: (g * m.detach()).abs()
            for (name, m), g in zip(masks.items(), gradients, strict=True)
        }


@contextmanager
def _positive(model: Paradigm) -> Iterator[None]:
    """The network in float64 with every weight made positive and biases zero; as before
    afterwards."""
    parameters = list(model.parameters())
    biases = [p for n, p in model.named_parameters() if "bias" in n.rpartition(".")[2]]
    originals = [p.detach().clone() for p in parameters]
    was_training = model.training
    model.double().eval()
    with torch.no_grad():
        for p in parameters:
            p.abs_()
        for p in biases:
            p.zero_()
    try:
        yield
    finally:
        model.float().train(was_training)
        with torch.no_grad():
            for p, original in zip(parameters, originals, strict=True):
                p.copy_(original)


def prune_by_synflow(
    model: Paradigm,
    layers: Mapping[str, MaskedLayer],
    one: Tensor,
    density: float,
    scope: str,
    rounds: int = SYNFLOW_ROUNDS,
) -> Scores:
    """Masks by SynFlow, a little at a time: after round k of n a share density^(k/n) is left."""
    masks = {name: torch.ones_like(layer.mask) for name, layer in layers.items()}
    with _masks_kept(layers):
        for k in range(1, rounds + 1):
            scores = synflow_scores(model, layers, one)
            # What is pruned stays so: its score is 0, below or equal to any other, and must lose
            # ties.
            scores = {name: torch.where(masks[name] > 0, s, -1.0) for name, s in scores.items()}
            masks = keep_best(scores, density ** (k / rounds), scope)
            for name, layer in layers.items():
                layer.mask.copy_(masks[name])
    return masks


def prune_by_rounds(
    model: Paradigm,
    layers: Mapping[str, MaskedLayer],
    round_masks: Callable[[int, Paradigm], Scores],
) -> Scores:
    """Masks by iterative magnitude pruning (Frankle & Carbin 2019, arXiv 1803.03635): train, prune
    the smallest, rewind to the first weights, and again; after round k of n a share density^(k/n)
    is left."""
    pruning = model.pruning
    masks = {name: torch.ones_like(layer.mask) for name, layer in layers.items()}
    with _masks_kept(layers):
        for k in range(1, pruning.rounds + 1):
            trained = round_masks(k, copy.deepcopy(model))
            scores = {name: torch.where(masks[name] > 0, s, -1.0) for name, s in trained.items()}
            masks = keep_best(scores, pruning.density ** (k / pruning.rounds), pruning.scope)
            for name, layer in layers.items():
                layer.mask.copy_(masks[name])
    return masks


def shuffled(masks: Mapping[str, Tensor], generator: torch.Generator) -> Scores:
    """Each layer's zeros moved to random places: as many weights, not the chosen ones."""
    moved = {}
    for name, mask in masks.items():
        order = torch.randperm(mask.numel(), generator=generator)
        moved[name] = mask.flatten()[order.to(mask.device)].view_as(mask)
    return moved


def scoring_loss(spec: RunSpec, task: Task, model: Paradigm, batch: Batch) -> Callable[[], Tensor]:
    """The loss that training minimises, on one batch, in float32 and as the first step would draw
    it."""
    # Every process scores by the whole batch.
    learner = Learner(model, task, spec.train, "fp32", shared=False)
    skipped, kept = progressive_draw(model.train_iterations, spec.seed, 0)
    if learner.alpha > 0:
        # The draw decides how deep gradients reach; for scores that are to hold for all steps they
        # reach through every iteration.
        skipped, kept = 0, model.train_iterations
    return lambda: learner(batch, skipped, kept)


def prune(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    device: torch.device,
    round_masks: Callable[[int, Paradigm], Scores],
) -> Pruned:
    """Score and mask the weights of a network as its `pruning` says. Same masks in every process.

    round_masks: for iterative magnitude pruning, called with the number of a round, from 1, and a
    copy of the network; it trains the copy and returns |w| of each masked layer.
    """
    pruning = model.pruning
    began = time.perf_counter()
    layers = masked_layers(model)
    generator = torch.Generator().manual_seed(spec.seed * 1_000_003 + 7)
    batch = task.sample(
        spec.train_difficulty,
        min(spec.train.batch_size, spec.train_samples),
        seed=spec.data_seed,
        split="train",
    ).to(device)
    if pruning.criterion == "imp":
        masks = prune_by_rounds(model, layers, round_masks)
    else:
        with _unchanged_statistics(model):
            masks = _masks(spec, task, model, layers, batch, generator)
    if pruning.control == "shuffle":
        masks = shuffled(masks, generator)
    if pruning.control == "reinit":
        redraw(spec, task, model)
    for name, layer in layers.items():
        layer.set_mask(masks[name])
    seconds = time.perf_counter() - began
    return Pruned(densities(layers), seconds, connected(model, batch.inputs[:1]))


def _masks(spec, task, model, layers, batch, generator) -> Scores:
    pruning = model.pruning
    if pruning.criterion == "synflow":
        return prune_by_synflow(model, layers, batch.inputs[:1], pruning.density, pruning.scope)
    if pruning.criterion == "random":
        scores = random_scores(layers, generator)
    elif pruning.criterion == "magnitude":
        scores = magnitude_scores(layers)
    elif pruning.criterion == "snip":
        scores = snip_scores(layers, scoring_loss(spec, task, model, batch))
    elif pruning.criterion in CRITERIA.outside:
        loss = scoring_loss(spec, task, model, batch)
        scores = CRITERIA.load(pruning.criterion)(model, layers, loss)
        scores = {name: scores[name].detach() for name in layers}
    else:
        cooled = _Cooled(task, TEMPERATURE)
        grasped = grasp_scores(layers, scoring_loss(spec, cooled, model, batch))
        scores = {name: -score for name, score in grasped.items()}
    return keep_best(scores, pruning.density, pruning.scope)


class _Cooled(Task):
    """A task whose loss sees the logits divided by a temperature."""

    def __init__(self, task: Task, temperature: float) -> None:
        self.spec, self.task, self.temperature = task.spec, task, temperature

    def loss(self, logits: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        return self.task.loss(logits / self.temperature, batch, label_smoothing)


def redraw(spec: RunSpec, task: Task, model: Paradigm) -> None:
    """Draw all weights anew, from another seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed + 1_000_003)
        fresh = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
    with torch.no_grad():
        for p, other in zip(model.parameters(), fresh.parameters(), strict=True):
            p.copy_(other)


def densities(layers: Mapping[str, MaskedLayer]) -> dict[str, tuple[int, int]]:
    """(kept, all) weights of each layer."""
    return {
        name: (int(layer.mask.count_nonzero()), layer.mask.numel())
        for name, layer in layers.items()
    }


def connected(model: Paradigm, one: Tensor) -> bool:
    """Whether the answer can depend on the input at all. A network in which it cannot is collapsed:
    it may learn how often each answer is right, and no more.

    Looked for with the weights as they are, and with positive ones, which no nonlinearity can shut
    off (though they may saturate a gate): either shows a path.
    """
    x = (torch.rand(one.shape, generator=torch.Generator().manual_seed(0)) + 0.1).to(one.device)

    def felt(x: Tensor) -> bool:
        x = x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(model(x).sum(), x, allow_unused=True)
        return gradient is not None and bool(gradient.ne(0).any())

    was_training = model.training
    model.eval()
    as_it_is = felt(x.clone())
    model.train(was_training)
    if as_it_is:
        return True
    with _positive(model):
        return felt(x.double())


@contextmanager
def _masks_as_variables(layers: Mapping[str, MaskedLayer]) -> Iterator[dict[str, Tensor]]:
    """The masks, as leaves that gradients reach; as before afterwards."""
    masks = {name: layer.mask for name, layer in layers.items()}
    for mask in masks.values():
        mask.requires_grad_(True)
    try:
        yield masks
    finally:
        for mask in masks.values():
            mask.requires_grad_(False)


@contextmanager
def _masks_kept(layers: Mapping[str, MaskedLayer]) -> Iterator[None]:
    """Puts the masks back as they were."""
    before = {name: layer.mask.clone() for name, layer in layers.items()}
    try:
        yield
    finally:
        for name, layer in layers.items():
            layer.mask.copy_(before[name])


@contextmanager
def _unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Leaves buffers (running statistics of norms) and gradients as if nothing had been
    computed."""
    before = {name: b.detach().clone() for name, b in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, b in model.named_buffers():
                b.copy_(before[name])
        model.zero_grad(set_to_none=True)
