"""Tasks from the command line:

python -m tasks export TASK --difficulty D --count N --out DIR
python -m tasks preview TASK --difficulty D --out FILE.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foundations.command import Parser, whole_number
from foundations.errors import USAGE, one_line
from foundations.plugins import add_option, load_plugins
from tasks import load_task, task_names
from tasks.base import SPLITS


def _value(text: str) -> int | float | bool | str | None:
    """A word of the command line as what it looks like."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _options(settings: Sequence[str]) -> dict[str, Any]:
    chosen = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise ValueError(f"--set {setting!r} is not of the form OPTION=VALUE")
        # "none" is a word that options such as `augment` know; only those say what is meant by it.
        chosen[name] = text if text == "none" else _value(text)
    return chosen


def _parser() -> Parser:
    parser = Parser(prog="python -m tasks", description="Problems as files and as pictures.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="export|preview")
    about = {
        "export": "a parquet data set that datasets.load_dataset reads, with a card",
        "preview": "a picture of a few problems with their answers",
    }
    for name, text in about.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("task", help=", ".join(task_names()))
        command.add_argument("--difficulty", help="by default the one the task is trained on")
        count = 1000 if name == "export" else 8
        command.add_argument(
            "--count", type=whole_number(1, 10**9), default=count, help=f"problems, {count}"
        )
        command.add_argument("--seed", type=whole_number(0, 2**63 - 1), default=0)
        command.add_argument("--split", choices=SPLITS, default="train")
        command.add_argument("--data-dir", help="folder of local data, for tasks that read any")
        command.add_argument(
            "--set", action="append", default=[], metavar="OPTION=VALUE", help="option of the task"
        )
        if name == "preview":
            command.add_argument(
                "--axes", action="store_true", help="so many problems of each axis of the task"
            )
        add_option(command)
        what = "folder to make" if name == "export" else "image file to write"
        command.add_argument("--out", type=Path, required=True, help=what)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        load_plugins(given.plugin)
        from tasks.export import export, preview

        options = _options(given.set)
        if given.data_dir is not None:
            options["data_dir"] = given.data_dir
        task = load_task(given.task, **options)
        difficulty: Any = task.spec.train_difficulty
        if given.difficulty is not None:
            difficulty = _value(given.difficulty)
        common = {"count": given.count, "seed": given.seed, "split": given.split}
        if given.command == "export":
            path = export(task, difficulty, out=given.out, options=options, **common)
            print(f"{given.count:,} problems in {path}; card in {given.out / 'README.md'}")
        else:
            preview(task, difficulty, given.out, axes=given.axes, **common)
            print(f"picture in {given.out}")
    except (ValueError, OSError) as error:
        words = one_line(error)
        print(f"python -m tasks {given.command}: {words}", file=sys.stderr)
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
