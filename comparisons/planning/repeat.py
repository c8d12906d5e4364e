"""The command that repeats a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comparisons.planning.plan import make_spec
from comparisons.planning.presets import task_preset
from foundations.plugins import loaded
from foundations.records.spec import RunSpec
from tasks.places import data_place


def repeat_command(spec: RunSpec) -> str:
    """The command that repeats one run."""
    from tasks import load_task

    # With the task's own options and difficulties: they say where its data are and which of them,
    # without which nothing can be planned.
    given = {("task", key): value for key, value in spec.task_options.items()}
    given["task", "difficulty"] = spec.train_difficulty
    given["evaluation", "difficulties"] = spec.evaluation.difficulties
    plain = make_spec(spec.task, spec.paradigm, spec.preset, spec.seed, spec.train_samples, given)
    of_task, about = (
        task_preset(spec.task, spec.preset),
        load_task(spec.task, **spec.task_options).spec,
    )
    trained = of_task.get("train_difficulty", about.train_difficulty)
    tested = tuple(of_task.get("test_difficulties", about.difficulties))
    others = spec.evaluation.transfer
    groups: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        (
            "task",
            {"difficulty": spec.train_difficulty, **spec.task_options},
            {"difficulty": trained, **of_task.get("options", {})},
        ),
        ("paradigm", spec.paradigm_options, plain.paradigm_options),
        ("train", vars(spec.train), vars(plain.train)),
        (
            "evaluation",
            vars(spec.evaluation) | {"transfer": {}, "axes": tuple(spec.evaluation.axes)},
            vars(plain.evaluation) | {"difficulties": tested, "axes": ()},
        ),
        *(("transfer", options, {}) for options in list(others.values())[:1]),
    ]
    parts = [
        "python compare.py",
        *(f"--plugin {shlex.quote(plugin)}" for plugin in loaded()),
        f"--tasks {spec.task}",
        f"--paradigms {shlex.quote(spec.paradigm)}",
        *(f"--transfer {spec.task}:{other}" for other in others),
        f"--preset {spec.preset}",
        f"--seeds {spec.seed}",
        f"--train-samples {spec.train_samples}",
        *_data_option(spec),
    ]
    for group, mine, theirs in groups:
        parts += [
            f"--set {shlex.quote(f'{group}.{key}={_text(value)}')}"
            for key, value in mine.items()
            if value != theirs.get(key)
        ]
    return " ".join(parts)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _data_option(spec: RunSpec) -> list[str]:
    """Where the data of the run's tasks lie on this machine, which is no part of the run."""
    from tasks import needs_data

    tasks = {spec.task: spec.task_options, **spec.evaluation.transfer}
    reading = [name for name, said in tasks.items() if "data_dir" not in said and needs_data(name)]
    places = [Path(found) for name in reading if (found := data_place(name))]
    if not places:
        return []
    alone = len(places) == 1 and spec.task in reading
    return [f"--data-dir {shlex.quote(str(places[0] if alone else places[0].parent))}"]
