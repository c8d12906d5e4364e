"""Errors that every part of the library words in the same way."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

USAGE = 2  # exit status of a command that was asked for what makes no sense
INTERRUPTED = 130  # and of one that was stopped by Ctrl-C


def one_line(message: object) -> str:
    """A message, or an error's, as the one line that commands print."""
    return " ".join(str(message).split())


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line and exit status 2; the usage text is for --help."""

    def error(self, message: str) -> NoReturn:
        """End with the line."""
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see --help)\n")


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """For options: a whole number in a range."""

    def parse(text: str) -> int:
        # isdecimal takes the digits of every script, and so does int.
        if not text.isdecimal() or not least <= int(text[:20]) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return parse


def writable_file(text: str) -> Path:
    """For options: a file to be written at the end of long work, so tried at its start."""
    try:
        path = Path(text).resolve()  # the file behind a link, which is replaced in the end
        new = not path.exists()
        if not new and not path.is_file():
            raise ValueError(
                "not a regular file"
            )  # as /dev/stdout: to be written to, never replaced
        with open(path, "a"):
            pass
        if new:
            path.unlink()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise argparse.ArgumentTypeError(f"{text!r} can't be written: {why.lower()}") from None
    return path


class Unsuitable(ValueError):
    """A paradigm that makes no sense for a task; the message says why."""


def unknown_name(kind: str, name: object, known: Iterable[object]) -> ValueError:
    """Error for a name that is not one of `known`; lists them, the nearest first."""
    words = [str(word) for word in known]
    close = difflib.get_close_matches(str(name), words, n=len(words) or 1, cutoff=0.5)
    ordered = close + [word for word in words if word not in close]
    return ValueError(f"unknown {kind} {str(name)!r}; known: {', '.join(ordered) or '(none)'}")
