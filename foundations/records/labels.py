"""What the runs in the table of results are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from foundations.records.spec import RunSpec, TrainSpec, default_of

_TRAINED_ON = "trained on"


def labels(specs: list[RunSpec], units: Mapping[str, str] | None = None) -> dict[str, str]:
    """A name for each run's kind: the paradigm, and whatever option varies between runs of it.
    units: by task, what its difficulty is called."""
    by_kind: dict[tuple[str, str], list[RunSpec]] = {}
    for spec in specs:
        by_kind.setdefault((spec.task, spec.paradigm), []).append(spec)
    named = {}
    for group in by_kind.values():
        settings = {s.run_id: _settings(s) for s in group}
        keys = sorted({k for chosen in settings.values() for k in chosen})
        varying = [k for k in keys if len({str(c.get(k)) for c in settings.values()}) > 1]
        for spec in group:
            chosen = settings[spec.run_id]
            unit = (units or {}).get(spec.task, "difficulty")
            parts = [
                f"{k} {unit} {chosen[k]}" if k == _TRAINED_ON else f"{k}={chosen[k]}"
                for k in varying
                if k in chosen
            ]
            named[spec.run_id] = " ".join([spec.paradigm, *parts])
    return named


def _settings(spec: RunSpec) -> dict[str, Any]:
    """What may set two runs of one paradigm apart, beside samples and seed."""
    chosen = dict(spec.paradigm_options)
    chosen |= {f"task.{k}": v for k, v in spec.task_options.items()}
    chosen[_TRAINED_ON] = spec.train_difficulty
    for f in fields(TrainSpec):
        value = getattr(spec.train, f.name)
        if f.name not in ("steps", "validation_samples", "validate_every") and value != default_of(
            f
        ):
            chosen[f.name] = value
    return chosen
