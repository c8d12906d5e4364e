"""The hyper-parameter search that came before a study: what was tried, and what was taken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from reports.read.formats import count, percent
from reports.read.stored import Entry, number, read_checked


def search_table(folder: Path, notes: list[str]) -> list[Entry]:
    """A group per paradigm and task, a row per trial, the one taken marked; empty where nothing
    was searched."""
    return read_checked(folder / "search.json", _groups, notes) or []


def _groups(stored: Any) -> list[Entry]:
    return [
        {
            "name": f"{search['paradigm']} on {search['task']}",
            "task": str(search["task"]),
            "samples": count(number(search.get("train_samples"))),
            "rows": [
                {"taken": place == search["chosen"], **_trial(trial)}
                for place, trial in enumerate(search["trials"])
            ],
        }
        for search in stored["searches"]
    ]


def _trial(trial: Entry) -> dict[str, str]:
    loss, width = number(trial.get("loss")), number(trial.get("width"))
    return {
        "rate": f"{number(trial.get('learning_rate')):.3g}",
        "width": f"{width:g}" if math.isfinite(width) else "default",
        "accuracy": percent(number(trial.get("accuracy"))),
        "loss": f"{loss:.4f}" if math.isfinite(loss) else "–",
        "status": str(trial.get("status")),
        "steps": count(number(trial.get("steps"))),
        "problems": count(number(trial.get("n_validation"))),
    }
