"""Fair budgets: networks made equal in parameters, or trainings in FLOPs, so that none wins by its
size.

`--match samples` is what a study does anyway: all paradigms of a task are trained on the same
problems. `--match parameters` solves for the width of each paradigm, `--match flops` for the number
of training steps; the reference, whose own values stand, is the first paradigm named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from comparisons.planning.overrides import Overrides
from comparisons.testing.cost import Cost, count_cost
from comparisons.training.objectives import CONTINUED_FROM, WITH_GRADIENT, is_continued, passes
from foundations.errors import unknown_name
from foundations.records.spec import RunSpec, TrainSpec
from paradigms import build_paradigm, paradigm_options
from paradigms.base import Paradigm, count_parameters
from paradigms.lottery import masked_layers
from tasks import load_task
from tasks.base import Task

MATCHES = ("samples", "parameters", "flops")
WIDEST = 1 << 14


def kept_parameters(model: Paradigm) -> float:
    """Trainable weights, those that will be pruned away left out."""
    total = float(count_parameters(model))
    if model.pruning:
        masked = sum(layer.mask.numel() for layer in masked_layers(model).values())
        total -= (1 - model.pruning.density) * masked
    return total


def parameters_of(spec: RunSpec) -> float:
    """Kept parameters of a run's network."""
    return _parameters(*_names(spec))


def training_flops(spec: RunSpec) -> float:
    """FLOPs of all training passes of a run: expected ones, where the progressive loss draws
    iterations."""
    return expected_step(spec) * spec.train.total_steps


def expected_step(spec: RunSpec) -> float:
    """FLOPs of a training step, forward and backward."""
    cost, iterations, recurrent, progressive, halts = _cost(*_names(spec), spec.train_difficulty)
    alpha = spec.train.alpha if progressive and recurrent else 0.0
    # n is uniform in 0..T-1, then k in 1..T-n (objectives.progressive_draw).
    drawn = (iterations - 1) / 2, (iterations + 3) / 4
    train = spec.train if recurrent else TrainSpec()
    skipped, kept, readouts = passes(train, halts, alpha, iterations, *drawn)
    if is_continued(spec.train, recurrent, halts):
        skipped += (1 - CONTINUED_FROM) * spec.train.continued / 2
        walks = 2 if spec.train.contract else 1
        kept += (1 - CONTINUED_FROM) * WITH_GRADIENT * walks
    return cost.training(skipped, kept, readouts) * spec.train.batch_size


def cost_of(spec: RunSpec, difficulty: int | str) -> Cost:
    """FLOPs of one problem of that difficulty."""
    return _cost(*_names(spec), difficulty)[0]


def network_of(spec: RunSpec) -> tuple[Task, Paradigm]:
    """The task of a run, and its network without its weights."""
    return _network(*_names(spec))


def _names(spec: RunSpec) -> tuple[str, str, str, str]:
    return (spec.task, _frozen(spec.task_options), spec.paradigm, _frozen(spec.paradigm_options))


def solve_width(spec: RunSpec, target: float) -> int:
    """The width with which the run's network has as nearly `target` kept parameters as a width can
    give.

    ValueError for a paradigm that comes in one size.
    """
    if "width" not in paradigm_options(spec.paradigm):
        raise ValueError(
            f"--match parameters can't solve for the size of {spec.paradigm}: it has no width;"
            " leave it out"
        )

    def at(width: int) -> float:
        options = {**spec.paradigm_options, "width": width}
        return _parameters(spec.task, _frozen(spec.task_options), spec.paradigm, _frozen(options))

    high = 1
    while at(high) < target and high < WIDEST:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) < target else (low, middle)
    return min((w for w in (low, high) if w >= 1), key=lambda w: (abs(at(w) - target), w))


def matching(kind: str, spec: RunSpec, reference: RunSpec) -> Overrides:
    """The setting that makes a run equal to the reference in `kind`, one of MATCHES; empty if none
    is needed."""
    if kind == "samples" or spec.paradigm == reference.paradigm:
        return {}
    if kind == "parameters":
        return {(spec.paradigm, "width"): solve_width(spec, parameters_of(reference))}
    steps = training_flops(reference) / expected_step(spec) - spec.train.easiest_steps
    return {("train", "steps"): max(1, round(steps))}


def check_settings(kind: str, values: Overrides, paradigms: tuple[str, ...]) -> None:
    """ValueError for an unknown kind of match, or settings that fix what it has to solve for."""
    if kind not in MATCHES:
        raise unknown_name("--match", kind, MATCHES)
    for group in ("paradigm", *paradigms[1:]) if kind == "parameters" else ():
        if (group, "width") in values:
            raise ValueError(
                f"--match parameters solves for widths, but --set {group}.width fixes them; only"
                f" the width of {paradigms[0]}, the reference, can be set"
            )


def outcome(kind: str, spec: RunSpec, reference: RunSpec) -> str:
    """One line on how closely a run was matched."""
    if kind == "samples":
        return f"{spec.paradigm} on {spec.task}: {spec.train_samples:,} training samples, as all"
    measure, unit = (
        (parameters_of, "parameters")
        if kind == "parameters"
        else (training_flops, "training FLOPs")
    )
    mine, wanted = measure(spec), measure(reference)
    size = f"{mine:,.0f}" if kind == "parameters" else f"{mine:.3g}"
    if spec.paradigm == reference.paradigm:
        return f"{spec.paradigm} on {spec.task}: {size} {unit}, the reference"
    by = (
        f"width {spec.paradigm_options['width']}"
        if kind == "parameters"
        else f"{spec.train.steps:,} steps"
    )
    return f"{spec.paradigm} on {spec.task}: {size} {unit} ({mine / wanted - 1:+.1%}) with {by}"


def _frozen(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True)


@lru_cache(maxsize=256)
def _network(task: str, task_options: str, paradigm: str, options: str) -> tuple[Task, Paradigm]:
    loaded = _task(task, task_options)
    with torch.device("meta"):
        return loaded, build_paradigm(paradigm, loaded.spec, **json.loads(options))


@lru_cache(maxsize=4096)
def _parameters(task: str, task_options: str, paradigm: str, options: str) -> float:
    return kept_parameters(_network(task, task_options, paradigm, options)[1])


@lru_cache(maxsize=256)
def _cost(
    task: str, task_options: str, paradigm: str, options: str, difficulty: int | str
) -> tuple[Cost, int, bool, bool, str]:
    """(cost, iterations of training, whether it is recurrent, whether the progressive loss makes
    sense for it, by what objective it learns to halt)."""
    loaded = _task(task, task_options)
    model = build_paradigm(paradigm, loaded.spec, **json.loads(options)).requires_grad_(False)
    one = loaded.example(difficulty).inputs
    recurrent = model.max_iterations is None
    cost = count_cost(model, one)
    return cost, model.train_iterations, recurrent, model.progressive, model.halts


@lru_cache(maxsize=64)
def _task(name: str, options: str) -> Task:
    return load_task(name, **json.loads(options))
