"""Overrides: what a study, or `--set`, has other than the presets of size, task and paradigm."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from foundations.errors import unknown_name
from foundations.records.spec import EvaluationSpec

#: Values by (group, name). The groups are "task", "paradigm", "train", "evaluation", "transfer",
#: and any paradigm, for it alone.
Overrides = dict[tuple[str, str], Any]
GROUPS = ("task", "paradigm", "train", "evaluation", "transfer")


#: Settings whose value is a list, and other names of settings.
_LISTS = {("evaluation", f.name) for f in fields(EvaluationSpec) if isinstance(f.default, tuple)}
_LISTS |= {("evaluation", "axes")}
_ALIASES = {("task", "test_difficulties"): ("evaluation", "difficulties")}


class Sweep(tuple[Any, ...]):
    """`Sweep(8, 20, 44)`: values that are tried in turn, a run each."""

    def __new__(cls, *values: Any) -> Sweep:
        return super().__new__(cls, values)


def setting(group: str, name: str, values: Sequence[Any]) -> tuple[tuple[str, str], Any]:
    """A setting and its value as they are in Overrides: several values are swept over, but for
    fields that are lists."""
    key = _ALIASES.get((group, name), (group, name))
    if key in _LISTS:
        return key, tuple(values)
    return key, Sweep(*values) if len(values) > 1 else values[0]


def swept(value: Any) -> tuple[Any, ...]:
    """All values of a setting."""
    return value if isinstance(value, Sweep) else (value,)


def overrides(**groups: Mapping[str, Any]) -> Overrides:
    """`overrides(train={"alpha": Sweep(0.0, 1.0)}, lottery={"density": 0.9})` as Overrides."""
    return {(group, name): v for group, values in groups.items() for name, v in values.items()}


def of_group(values: Overrides, *groups: str) -> dict[str, Any]:
    """The values of some groups by name, those of a later group over those of an earlier one."""
    merged: dict[str, Any] = {}
    for wanted in groups:
        merged |= {name: value for (group, name), value in values.items() if group == wanted}
    return merged


def extended(values: Overrides, more: Overrides) -> Overrides:
    """Both together. ValueError for what is in both."""
    for group, name in more:
        if (group, name) in values:
            raise ValueError(f"--set {group}.{name} is given twice")
    return {**values, **more}


def combinations(values: Overrides, paradigms: tuple[str, ...]) -> list[Overrides]:
    """Every combination of the values that are swept over: a run each. ValueError for a group that
    is neither one of GROUPS nor a paradigm of these."""
    for group, _ in values:
        if group not in (*GROUPS, *paradigms):
            raise unknown_name("group in --set", group, [*GROUPS, *paradigms])
    each = itertools.product(*map(swept, values.values()))
    return [dict(zip(values, combination, strict=True)) for combination in each]
