"""Problems of several axes of a task in one data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numba import njit

from foundations.errors import unknown_name
from tasks.base import Batch
from tasks.sampling import below, stream, stream_key

if TYPE_CHECKING:
    from tasks.base import Task

ALL = "all"


@njit(nogil=True, cache=True)
def _kinds(indices, key, count):
    """int64 [n]: of which of `count` kinds each problem is, uniform."""
    kinds = np.empty(len(indices), np.int64)
    for row in range(len(indices)):
        kinds[row] = below(stream(key, indices[row]), count)
    return kinds


class Mixture:
    """The tasks that an option `mix` names: `axes` of a kind of task joined by "+", or "all" whose
    problems have the size of the plain ones; false where it names none.

    Problem i is problem i of one of them, drawn with equal chance by (difficulty, split, seed, i).
    ValueError for an axis that the task has not, or whose problems have another size.
    """

    def __init__(
        self, kind: Callable[..., Task], axes: Mapping[str, Mapping[str, Any]], names: str
    ) -> None:
        self.tasks: list[Task] = []
        if not names:
            return
        if not isinstance(names, str):
            raise ValueError(f"mix must be names of axes joined by +, not {names!r}")
        tasks = {name: kind(**options) for name, options in axes.items()}
        task, shape = tasks["plain"].spec.name, _shape(tasks["plain"])
        fit = {name: axis for name, axis in tasks.items() if _shape(axis) == shape}
        chosen = list(fit) if names == ALL else names.split("+")
        for name in chosen:
            if name not in axes:
                raise unknown_name(f"axis of {task} to mix", name, [*fit, ALL])
            if name not in fit:
                raise ValueError(
                    f"{task} problems of {name} differ in size from the others and can't"
                    f" be mixed with them; those that can: {', '.join(fit)}"
                )
        self.tasks = [fit[name] for name in dict.fromkeys(chosen)]

    def __bool__(self) -> bool:
        return bool(self.tasks)

    def make(self, difficulty: Any, indices: np.ndarray, seed: int, split: str) -> Batch:
        """Problems of the mixture, as `Task.make`."""
        spec = self.tasks[0].spec
        key = stream_key(f"mix {spec.name}", seed, split, spec.level(difficulty))
        kinds = _kinds(indices, key, len(self.tasks))
        order = torch.from_numpy(np.argsort(np.argsort(kinds, kind="stable"), kind="stable"))
        parts = [
            task.make(difficulty, indices[kinds == kind], seed, split)
            for kind, task in enumerate(self.tasks)
            if (kinds == kind).any()
        ]
        masks = [part.mask for part in parts if part.mask is not None]
        return Batch(
            torch.cat([part.inputs for part in parts])[order],
            torch.cat([part.targets for part in parts])[order],
            torch.cat(masks)[order] if masks else None,
        )


def _shape(task: Task) -> torch.Size:
    """The shape of a problem."""
    return task.sample(task.spec.train_difficulty, 1).inputs.shape
