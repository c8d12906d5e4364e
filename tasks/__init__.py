"""Tasks: problems of a chosen difficulty, and what a right answer is.

A new task is one file here and one line in `TASKS`. Modules are imported on first use, so that
listing names costs nothing.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from foundations.errors import unknown_name
from foundations.registry import Registry
from tasks.places import data_place

if TYPE_CHECKING:
    from tasks.base import Task
    from tasks.data_sets import as_dataset as as_dataset

TASKS = Registry(
    "task",
    {
        "maze": "tasks.mazes:Maze",
        "prefix_sums": "tasks.prefix_sums:PrefixSums",
        "pathfinder": "tasks.pathfinder:Pathfinder",
        "cabc": "tasks.cabc:ClutteredABC",
        "chess": "tasks.chess:Chess",
        "cifar10": "tasks.images:Cifar10",
        "svhn": "tasks.images:Svhn",
        "emnist": "tasks.images:Emnist",
        "digits": "tasks.images:Digits",
    },
    group="tasks",
)
#: `@register("parity")` above a subclass of `Task`: a task from outside.
register = TASKS.register


def task_names() -> list[str]:
    """The names that `load_task` knows."""
    TASKS.discover()
    return list(TASKS)


def task_class(name: str) -> type[Task]:
    """The class behind a name; ValueError names the known ones, nearest first."""
    found: Any = TASKS.load(name)
    if not hasattr(found, "__mro__") or not hasattr(found, "make"):
        raise TASKS.wrong(name, "must be a subclass of tasks.base.Task")
    return found


def task_title(name: str) -> str:
    """What reports call a task: `mazes`. Its name unless its own class says otherwise: a title that
    it inherits is another task's. ValueError as of `task_class`."""
    return vars(task_class(name)).get("title") or name


def needs_data(name: str) -> bool:
    """Whether a task has no problems but those of data: it takes a `data_dir`, and is none of those
    that write such files, which make problems."""
    found = task_class(name)
    return "data_dir" in inspect.signature(found).parameters and not found.layouts


def load_task(name: str, **options: Any) -> Task:
    """The task of that name. Options are those of its class; ValueError names the allowed ones.

    A task that has no problems but those of data reads `places.data_place` unless an option says
    where they lie.
    """
    cls = task_class(name)
    allowed = list(inspect.signature(cls).parameters)
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of task {name}", option, allowed)
    if (place := data_place(name)) and needs_data(name):
        options.setdefault("data_dir", place)
    task = cls(**options)
    if not hasattr(task, "spec"):
        raise TASKS.wrong(name, "has no spec")
    return task


def __getattr__(name: str) -> Any:
    if name == "as_dataset":  # needs torch, which names alone do without
        from tasks.data_sets import as_dataset

        return as_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
