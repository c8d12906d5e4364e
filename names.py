"""Errors that every part of the library words in the same way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Unsuitable(ValueError):
    """A paradigm that makes no sense for a task; the message says why."""


def unknown_name(kind: str, name: object, known: Iterable[object]) -> ValueError:
    """Error for a name that is not one of `known`; lists them, the nearest first."""
    words = [str(word) for word in known]
    close = difflib.get_close_matches(str(name), words, n=len(words) or 1, cutoff=0.5)
    ordered = close + [word for word in words if word not in close]
    return ValueError(f"unknown {kind} {str(name)!r}; known: {', '.join(ordered) or '(none)'}")
