"""Tasks from the command line:

python -m tasks export TASK --difficulty D,... --split S,... --count N,... --out DIR
python -m tasks export TASK --layout easy_to_hard ... --out DIR
python -m tasks preview TASK --difficulty D --out FILE.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundations.command import Parser, whole_number
from foundations.errors import USAGE, one_line, unknown_name
from foundations.plugins import add_option, load_plugins
from tasks import load_task, task_names
from tasks.base import SPLITS

if TYPE_CHECKING:
    from tasks.base import Task


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


def _splits(text: str) -> list[str]:
    splits = text.split(",")
    for split in splits:
        if split not in SPLITS:
            raise argparse.ArgumentTypeError(str(unknown_name("split", split, SPLITS)))
    return splits


def _counts(text: str) -> list[int]:
    return [whole_number(1, 10**9)(each) for each in text.split(",")]


def _what_to_export(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--difficulty",
        help="by default the one the task is trained on; several, comma-separated, are"
        " configurations of one data set",
    )
    command.add_argument(
        "--count",
        type=_counts,
        default=[1000],
        metavar="N[,N...]",
        help="problems of each difficulty and split, 1000; or a number for each split",
    )
    command.add_argument(
        "--split",
        type=_splits,
        default=["train"],
        metavar="SPLIT[,SPLIT...]",
        help=f"of {', '.join(SPLITS)}; by default train",
    )
    command.add_argument(
        "--layout",
        metavar="NAME",
        help="files as published instead: easy_to_hard (maze, prefix_sums, chess),"
        " easy_to_hard_0.1 (prefix_sums), maze_dataset (maze), curv, curv_neg (pathfinder), cabc",
    )
    command.add_argument(
        "--no-pictures", action="store_true", help="leave out the columns to look at"
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m tasks", description="Problems as files and as pictures.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="export|preview")
    about = {
        "export": "a parquet data set that datasets.load_dataset reads, with a card; or files laid"
        " out as those of a published data set",
        "preview": "a picture of a few problems with their answers",
    }
    for name, text in about.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("task", help=", ".join(task_names()))
        if name == "export":
            _what_to_export(command)
        else:
            command.add_argument("--difficulty", help="by default the one the task is trained on")
            command.add_argument(
                "--count", type=whole_number(1, 10**9), default=8, help="problems, 8"
            )
            command.add_argument("--split", choices=SPLITS, default="train")
        command.add_argument("--seed", type=whole_number(0, 2**63 - 1), default=0)
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


def _export(task: Task, given: argparse.Namespace, options: dict[str, Any]) -> None:
    from tasks.export import export, write_layout

    difficulties: list[Any] = [task.spec.train_difficulty]
    if given.difficulty is not None:
        difficulties = [_value(text) for text in given.difficulty.split(",")]
    common = {"out": given.out, "seed": given.seed, "split": given.split}
    if given.layout is not None:
        made = write_layout(task, given.layout, difficulties, given.count, **common)
        print(f"{given.layout}: {', '.join(map(str, made))}")
    else:
        pictures = not given.no_pictures
        made = export(task, difficulties, given.count, options=options, pictures=pictures, **common)
        print(f"{', '.join(map(str, made))}; card in {given.out / 'README.md'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status, 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        load_plugins(given.plugin)
        from tasks.pictures import preview

        options = _options(given.set)
        if given.data_dir is not None:
            options["data_dir"] = given.data_dir
        task = load_task(given.task, **options)
        if given.command == "export":
            _export(task, given, options)
        else:
            difficulty: Any = task.spec.train_difficulty
            if given.difficulty is not None:
                difficulty = _value(given.difficulty)
            common = {"count": given.count, "seed": given.seed, "split": given.split}
            preview(task, difficulty, given.out, axes=given.axes, **common)
            print(f"picture in {given.out}")
    except (ValueError, OSError) as error:
        words = one_line(error)
        print(f"python -m tasks {given.command}: {words}", file=sys.stderr)
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
