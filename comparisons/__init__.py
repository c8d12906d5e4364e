"""Comparisons: train paradigms on tasks, test them, and keep what was found.

from comparisons import evaluate_model, load_run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comparisons.testing.trained import evaluate_model as evaluate_model
    from comparisons.testing.trained import load_run as load_run


def __getattr__(name: str) -> Any:
    if name in ("evaluate_model", "load_run"):  # they need torch, which the rest may do without
        from comparisons.testing import trained

        return getattr(trained, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
