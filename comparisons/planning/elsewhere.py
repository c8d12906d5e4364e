"""Tests of a run on other problems than those it was trained on: other tasks, and other axes of its
own than difficulty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from comparisons.planning.presets import task_preset
from foundations.errors import unknown_name
from foundations.records.spec import RunSpec

if TYPE_CHECKING:
    from tasks.base import Difficulty, Task

ALL = "all"  # axes of a task


def transfer_options(
    task: Task, other: str, preset: str, options: Mapping[str, Any], samples: int
) -> dict[str, Any]:
    """The options of the task to be tested on as well; ValueError unless its problems look the
    same."""
    from tasks import load_task

    options = {**task_preset(other, preset).get("options", {}), **options}
    tested = load_task(other, **options)
    for name in ("in_channels", "spatial_dims", "dense", "outputs", "size"):
        mine, theirs = getattr(task.spec, name), getattr(tested.spec, name)
        if mine != theirs:
            raise ValueError(
                f"--transfer {task.spec.name}:{other} needs tasks of the same shape, but {name} is"
                f" {mine} and {theirs}"
            )
    for difficulty in transfer_difficulties(tested, preset):
        tested.check_count(difficulty, "test", samples)
    return options


def transfer_difficulties(task: Task, preset: str) -> tuple[Difficulty, ...]:
    """The difficulties of a task on which networks trained on another are tested."""
    of_task = task_preset(task.spec.name, preset)
    return tuple(of_task.get("test_difficulties", task.spec.difficulties))


class Elsewhere(NamedTuple):
    """A test on other problems than those trained on. label: as which its rows are stored."""

    label: str
    task: str
    options: dict[str, Any]
    difficulties: tuple[Difficulty, ...]


def other_tests(spec: RunSpec) -> Iterator[Elsewhere]:
    """The tests of a run on other tasks and along the axes of its own. Problems that an axis draws
    as the run's own are not tested twice."""
    from tasks import load_task

    evaluation = spec.evaluation
    for name, options in evaluation.transfer.items():
        difficulties = transfer_difficulties(load_task(name, **options), spec.preset)
        yield Elsewhere(name, name, options, difficulties)
    for name, options in evaluation.axes.items():
        if options != spec.task_options:
            yield Elsewhere(f"{spec.task}:{name}", spec.task, options, evaluation.difficulties)


def axes_named(task: Task, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The axes of a task by name, with their options; "all" are those that it has, if any."""
    axes = {name: dict(options) for name, options in task.axes().items()}
    chosen = [*axes] if tuple(names) == (ALL,) else list(names)
    for name in chosen:
        if name not in axes:
            raise unknown_name(f"axis of {task.spec.name}", name, [*axes, ALL])
    return {name: axes[name] for name in chosen}
