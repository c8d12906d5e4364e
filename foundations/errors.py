"""Errors as the one line that commands print, and the exit statuses they end with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

USAGE = 2  # exit status of a command that was asked for what makes no sense


INTERRUPTED = 130  # and of one that was stopped by Ctrl-C


def one_line(message: object) -> str:
    """A message, or an error's, as the one line that commands print."""
    return " ".join(str(message).split())


class Unsuitable(ValueError):
    """A paradigm that makes no sense for a task; the message says why."""


def unknown_name(kind: str, name: object, known: Iterable[object]) -> ValueError:
    """Error for a name that is not one of `known`; lists them, the nearest first."""
    words = [str(word) for word in known]
    close = difflib.get_close_matches(str(name), words, n=len(words) or 1, cutoff=0.5)
    ordered = close + [word for word in words if word not in close]
    return ValueError(f"unknown {kind} {str(name)!r}; known: {', '.join(ordered) or '(none)'}")
