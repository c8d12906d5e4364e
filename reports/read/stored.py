"""Values of records that nobody vouches for, checked where they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Entry = dict[str, Any]  # an object of a record: any of its fields may be missing or odd

#: A number beyond this is a broken record; the largest trainings so far took under 1e27 FLOPs.
LARGEST = 1e30


def number(value: Any) -> float:
    """`value` as a float of believable size, else NaN; booleans and text are not numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return math.nan
    size: Any = abs(value)  # of a whole number it may be beyond what a float holds
    return float(value) if size <= LARGEST else math.nan


def numbers(value: Any) -> np.ndarray:
    """A stored list as floats, NaN for what is none; empty for anything else."""
    return np.array([number(v) for v in items(value)])


def mean(values: Iterable[Any]) -> float:
    """The mean of those that are numbers; NaN if none is."""
    kept = [v for v in map(number, values) if math.isfinite(v)]
    return float(np.mean(kept)) if kept else math.nan


def items(value: Any) -> list[Any]:
    """A stored list; empty for anything else."""
    return value if isinstance(value, list) else []


def entries(value: Any) -> list[Entry]:
    """The objects of a stored list."""
    return [item for item in items(value) if isinstance(item, dict)]


def part_of(entry: Entry, name: str) -> Entry:
    """What is stored under a name, empty unless it is an object."""
    part = entry.get(name)
    return part if isinstance(part, dict) else {}


def read_object(path: Path, name: str, notes: list[str]) -> Entry:
    """A JSON file that holds an object; empty, with a note, where it does not."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        notes.append(f"{name} is missing.")
    except (OSError, ValueError) as error:
        notes.append(f"{name} could not be read ({type(error).__name__}).")
    else:
        if isinstance(value, dict):
            return value
        notes.append(f"{name} does not hold an object.")
    return {}


def read_checked(path: Path, make: Callable[[Any], T], notes: list[str]) -> T | None:
    """What `make` makes of a JSON file; None where there is none or, with a note, where it raises
    for what it was given."""
    if not path.exists():
        return None
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        notes.append(f"{path.name} could not be read ({type(error).__name__}).")
        return None
