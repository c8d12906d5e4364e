"""Folders that were begun when where its data lay was part of a run's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from comparisons.storage.run_folder import RunFolder
from foundations.records.spec import RunSpec
from tasks import needs_data
from tasks.places import data_place


def as_begun(runs: Iterable[RunSpec], out: Path) -> tuple[RunSpec, ...]:
    """The same runs, each by its older name where the folder has it by that one alone."""
    return tuple(_older(spec, out) or spec for spec in runs)


def _older(spec: RunSpec, out: Path) -> RunSpec | None:
    place = data_place(spec.task)
    if not place or "data_dir" in spec.task_options or not needs_data(spec.task):
        return None
    older = replace(spec, task_options={**spec.task_options, "data_dir": place})
    there = RunFolder(out, older).path.exists() and not RunFolder(out, spec).path.exists()
    return older if there else None
