"""Networks that are trained already: a finished run's, or anyone's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from comparisons.storage.tensors import load_tensors
from comparisons.testing.evaluation import (
    Scores,
    Tally,
    evaluate,
    iterations_to_run,
    recorded_iterations,
)
from comparisons.testing.session import Session
from foundations.errors import one_line
from foundations.records.reading import read_json, read_spec
from foundations.records.spec import RunSpec
from foundations.statistics import wilson_interval
from paradigms import build_paradigm
from paradigms.adapted import as_paradigm
from paradigms.base import Paradigm
from tasks import load_task
from tasks.base import Difficulty, Task


class Run(NamedTuple):
    """A finished run: what defines it, its task, and its trained network, in evaluation mode."""

    spec: RunSpec
    task: Task
    model: Paradigm


#: The spec of a run that was shared, by the name that the Hub looks for.
CONFIG = "config.json"
HUB = "hf://"


def load_run(folder: str | Path, **task_options: Any) -> Run:
    """A finished run: from its folder OUT/runs/RUN, from one that was shared (`testing.sharing`),
    or as hf://OWNER/NAME from the Hub. task_options: over those of the run, such as where its data
    are here. ValueError if there is no such run; where a plugin was used and is not loaded, it says
    which."""
    folder = _downloaded(str(folder)) if str(folder).startswith(HUB) else Path(folder)
    try:
        shared = folder / CONFIG
        spec = RunSpec.from_dict(read_json(shared)) if shared.exists() else read_spec(folder)
        weights, _ = load_tensors(folder / "model.safetensors")
        task = load_task(spec.task, **{**spec.task_options, **task_options})
        model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
        model.load_state_dict(weights)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        why = one_line(error)
        raise ValueError(
            f"{folder} is not the folder of a finished run such as OUT/runs/RUN ({why[:300]})"
            + _plugins_needed(folder)
        ) from error
    return Run(spec, task, model.eval())


def _downloaded(address: str) -> Path:
    """A copy of what is on the Hub, weights and records alone: nothing of it is run."""
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "model.safetensors"]
    try:
        return Path(snapshot_download(address.removeprefix(HUB), allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise ValueError(f"{address} can't be had: {one_line(error)[:300]}") from error


def _plugins_needed(folder: Path) -> str:
    """What a record says of plugins. They are never loaded by themselves: a folder may be
    anyone's, and a plugin is code."""
    try:
        plugins = read_json(folder / "made.json")["plugins"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"; it was made with the plugins {', '.join(map(str, plugins))}"


def evaluate_model(
    model: Callable[[Tensor], Tensor],
    task: Task | str,
    difficulties: Iterable[Difficulty] | None = None,
    *,
    samples: int = 1000,
    iterations: int | None = None,
    exit_rules: Iterable[str] = (),
    seed: int = 0,
    split: str = "test",
    device: torch.device | str | None = None,
    precision: str = "fp32",
) -> list[dict[str, Any]]:
    """Score any network on the problems that studies are scored on.

    model: whatever maps inputs, float [n, C, *S], to logits, [n, K, *S] for a dense task, else [n,
    K]: a function, a module (with `encode`, `step` and `readout` it is recurrent, see
    `paradigms.adapted`), a paradigm. difficulties: by default the task's own. samples, seed, split:
    the problems 0..samples-1 of the split. iterations: the most that a recurrent network takes, by
    default those of its training; exit_rules: when it stops. device: where the problems go, by
    default where the network's weights are. precision: fp32 or bf16.

    Returns a row for each difficulty, number of iterations and exit rule, with columns of
    `results.parquet`: accuracy is the share of problems wholly right, ci_low and ci_high its 95 %
    interval (Wilson), element_accuracy the share of their elements. ValueError for logits of the
    wrong shape, and for difficulties, splits and counts that the task does not have.
    """
    task = load_task(task) if isinstance(task, str) else task
    network = as_paradigm(model)
    weights = next(iter(model.parameters()), None) if isinstance(model, nn.Module) else None
    device = torch.device(device or (weights.device if weights is not None else "cpu"))
    session = Session(network, task, device, precision)
    most = iterations_to_run(network, iterations or 1)
    rules = tuple(exit_rules) if network.max_iterations is None else ()
    rows: list[dict[str, Any]] = []
    for difficulty in task.spec.difficulties if difficulties is None else difficulties:
        one = task.sample(difficulty, 1, seed, split).to(device)
        with session.running():
            shape, wanted = tuple(network(one.inputs, 1).shape), task.spec.logits_shape(one.inputs)
        if shape != wanted:
            raise ValueError(f"logits for {task.spec.name} are of shape {shape}, not {wanted}")
        task.check_count(difficulty, split, samples)
        record = recorded_iterations(most, network.train_iterations)
        scores = evaluate(
            session, difficulty, split=split, count=samples, seed=seed, iterations=most,
            record=record, rules=rules,
        )  # fmt: skip
        place = {
            "test_task": task.spec.name,
            "test_difficulty": task.spec.level(difficulty),
            "difficulty_label": str(difficulty),
            "n_test": samples,
        }
        rows += [place | row for row in _rows(scores)]
    return rows


def _rows(scores: Scores) -> Iterable[dict[str, Any]]:
    by_rule: dict[str, dict[int, Tally]] = {"fixed": scores.fixed, **scores.rules}
    for rule, by_budget in by_rule.items():
        for budget, tally in by_budget.items():
            low, high = wilson_interval(round(tally.correct), scores.n)
            yield {
                "iterations": budget,
                "exit_rule": rule,
                "exit_iterations_mean": tally.iterations / scores.n,
                "accuracy": tally.correct / scores.n,
                "element_accuracy": tally.elements / scores.n,
                "ci_low": low,
                "ci_high": high,
            }
