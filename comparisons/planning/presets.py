"""The sizes of a study. A preset scales one plan; tasks and paradigms add what is theirs to
each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: What a study of each size uses where neither the task, nor the paradigm, nor the user says
#: otherwise.
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "summary": "about a minute: does everything run?",
        "seeds": (0,),
        "train_samples": (1000,),
        "train": {"steps": 60, "warmup_steps": 10, "validate_every": 30, "validation_samples": 64},
        "evaluation": {"samples": 100, "iterations": 24},
    },
    "quick": {
        "summary": "minutes on two CPU cores: real learning at small size",
        "seeds": (0,),
        "train_samples": (1000, 50_000),
        "train": {"steps": 2000},
        "evaluation": {"samples": 1000, "iterations": 64},
    },
    "standard": {
        "summary": "a night on a CPU for a study: small networks trained until they are trained",
        "seeds": (0, 1, 2, 3, 4),
        "train_samples": (50_000,),
        "train": {
            "steps": 10_000,
            "warmup_steps": 200,
            "validate_every": 250,
            "validation_samples": 1000,
            "patience": 10,
        },
        "evaluation": {"samples": 1000, "iterations": 128},
    },
    "paper": {
        "summary": "the published sizes, for a GPU",
        "seeds": (0, 1, 2, 3, 4),
        "train_samples": (1000, 10_000, 50_000),
        "train": {
            "steps": 50_000,
            "warmup_steps": 1000,
            "average": 0.0,
            "validate_every": 1000,
            "validation_samples": 5000,
        },
        "evaluation": {"samples": 10_000, "iterations": 500},
    },
}

#: Presets with the problems and networks of another, whose own budgets (all of "train" and
#: "evaluation" above) go over those of task and network, so that all arms have the same.
LIKE = {"standard": "quick"}

DEFAULT_TASKS = ("maze", "prefix_sums")
DEFAULT_PARADIGMS = ("dt_net_recall", "feed_forward_recall", "narrow_resnet18")
DRAWINGS = ("pathfinder", "cabc")
#: What papers compared on a task, where that is something else.
USUAL_PARADIGMS = {
    **dict.fromkeys(DRAWINGS, (*DEFAULT_PARADIGMS, "hgru")),
    **dict.fromkeys(
        ("cifar10", "svhn", "emnist", "digits"),
        ("recurrent_resnet_bn", "resnet_bn"),
    ),
}
#: Where drawings alone are asked for: with ends of their own DT-nets stay at chance on them. With
#: other tasks, which need no such ends, networks come as they are.
ON_DRAWINGS = ("gabor:dt_net_recall", "gabor:feed_forward_recall", "narrow_resnet18", "hgru")


def default_paradigms(tasks: Iterable[str]) -> tuple[str, ...]:
    """The paradigms of a study of these tasks when none are named: each runs on all of the
    tasks."""
    tasks = tuple(tasks)
    if tasks and set(tasks) <= set(DRAWINGS):
        return ON_DRAWINGS
    usual = (USUAL_PARADIGMS.get(task, DEFAULT_PARADIGMS) for task in tasks)
    return tuple(dict.fromkeys(name for names in usual for name in names))


def task_preset(task: str, preset: str) -> Mapping[str, Any]:
    """What a task has of its own for a size of study."""
    from tasks import task_class

    presets = task_class(task).presets
    if preset in presets or preset not in LIKE:
        return presets.get(preset, {})
    like = {k: v for k, v in presets.get(LIKE[preset], {}).items() if k != "train_samples"}
    return without_budgets(like, preset)


def without_budgets(values: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """Recipes of a task or a network, less what a preset of `LIKE` has for all of them."""
    if preset not in LIKE:
        return dict(values)
    own = PRESETS[preset]
    return {
        group: {k: v for k, v in of.items() if k not in own[group]}
        if group in ("train", "evaluation")
        else of
        for group, of in values.items()
    }
