"""Where the data of tasks lie on this machine.

That is said to the machine, in its environment, and not to the run: a run is the same one, by the
same name, wherever its data lie.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

#: Begins the name of the variable that says so: RECURRENCE_DATA_CIFAR10.
PREFIX = "RECURRENCE_DATA_"


def variable(task: str) -> str:
    """The environment variable for a task's data."""
    return PREFIX + re.sub(r"\W", "_", task).upper()


def data_place(task: str) -> str | None:
    """The folder of a task's data, None where nothing says."""
    return os.environ.get(variable(task)) or None


def set_data_place(task: str, folder: Path) -> None:
    """Say where a task's data lie, to this process and those that it starts."""
    os.environ[variable(task)] = str(folder.expanduser().resolve())


def set_data_places(parent: Path, tasks: Iterable[str]) -> list[str]:
    """Say of every task with a folder in another one whose name begins with the task's, as
    `cifar10` or `emnist_balanced` do, that its data lie there. Returns these tasks."""
    found = []
    for task in tasks:
        folders = [path for path in sorted(parent.glob(f"{task}*")) if path.is_dir()]
        if folders:
            set_data_place(task, folders[0])
            found.append(task)
    return found
