"""The search that came before a study: what was tried, and what was taken."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from reports.read.load import number
from reports.read.summary import count, percent


def search_table(folder: Path, notes: list[str]) -> list[dict[str, Any]]:
    """A group per paradigm and task, a row per trial, the chosen one marked; empty where nothing
    was searched."""
    path = folder / "search.json"
    if not path.exists():
        return []
    try:
        searches = json.loads(path.read_text(encoding="utf-8"))["searches"]
        return [_group(found) for found in searches]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        notes.append(f"search.json could not be read ({type(error).__name__}).")
        return []


def _group(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{found['paradigm']} on {found['task']}",
        "samples": count(number(found.get("train_samples"))),
        "rows": [
            _row(trial, place == found["chosen"]) for place, trial in enumerate(found["trials"])
        ],
    }


def _row(trial: dict[str, Any], chosen: bool) -> dict[str, Any]:
    loss, width = number(trial.get("loss")), number(trial.get("width"))
    return {
        "chosen": chosen,
        "rate": f"{number(trial.get('learning_rate')):.3g}",
        "width": f"{width:g}" if math.isfinite(width) else "as it is",
        "accuracy": percent(number(trial.get("accuracy"))),
        "loss": f"{loss:.4f}" if math.isfinite(loss) else "–",
        "status": str(trial.get("status")),
        "steps": count(number(trial.get("steps"))),
        "problems": count(number(trial.get("n_validation"))),
    }
