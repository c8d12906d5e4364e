"""Studies: a named plan of runs for each published figure or table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Study:
    """What to run for one published figure or table, and what it is."""

    summary: str
    tasks: tuple[str, ...]
    paradigms: tuple[str, ...]
    settings: tuple[str, ...] = ()


STUDIES: dict[str, Study] = {}
