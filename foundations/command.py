"""Command lines that fail in one line: argparse without abbreviations, and types for options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from foundations.errors import USAGE, one_line, unknown_name


class Parser(argparse.ArgumentParser):
    """Wrong usage is one line and exit status 2; the usage text is for --help. Options are written
    out in full: a part of a name could be meant as another option."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """End with the line."""
        self.exit(USAGE, f"{self.prog}: {one_line(message)} (see --help)\n")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """As of ArgumentParser; for an option that does not exist the line names the nearest ones
        that do."""
        given = list(sys.argv[1:] if args is None else args)
        known = self._long_options()
        for word in takewhile(lambda word: word != "--", given):
            name = word.partition("=")[0]
            if name.startswith("--") and name not in known:
                self.error(str(unknown_name("option", name, known)))
        return super().parse_args(given, namespace)

    def _long_options(self) -> list[str]:
        """Those of its commands included."""
        found = [name for name in self._option_string_actions if name.startswith("--")]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    found += command._long_options()
        return list(dict.fromkeys(found))


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
