"""The options of compare.py, in the groups of its --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from comparisons.planning.elsewhere import ALL
from comparisons.planning.overrides import Overrides, setting
from comparisons.planning.presets import DEFAULT_PARADIGMS, DEFAULT_TASKS, PRESETS
from foundations import VERSION
from foundations.command import Parser, whole_number
from foundations.plugins import add_option

MOST_SEED = 10**10 - 1  # names of runs have room for ten digits

EXAMPLES = """\
examples:
  python compare.py --dry-run
      what the default study trains, and for how long; trains nothing
  python compare.py --tasks maze --paradigms dt_net_recall,feed_forward --seeds 0,1,2
      two paradigms on one task, three seeds
  python compare.py --tasks prefix_sums --set train.steps=500 --set paradigm.width=32,64
      anything else; several values make several runs
  accelerate launch --num_processes 4 --num_machines 1 --mixed_precision no \\
      --dynamo_backend no compare.py --preset paper
      four GPUs share the runs (the four options keep accelerate from warning)

The same command with the same --out goes on where it stopped and trains nothing
twice."""


def parse_value(text: str) -> Any:
    """A number, a truth value, nothing (None or null), or the words themselves; "none" is a word,
    for options that have it as a choice."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered == "null" or text.strip() == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def parse_setting(given: str) -> tuple[str, str, list[Any]]:
    """`GROUP.FIELD=V1,V2` as (group, field, values); ValueError says what form is wanted."""
    key, equals, text = given.partition("=")
    group, dot, name = key.strip().rpartition(".")
    if not (equals and dot and group and name and text.strip()):
        raise ValueError(
            f"--set {given!r} is not of the form KEY=VALUE with KEY one of task.OPTION,"
            " paradigm.OPTION, train.FIELD, evaluation.FIELD or PARADIGM.OPTION"
        )
    return group, name, [parse_value(v) for v in text.split(",")]


def parse_settings(settings: Iterable[str]) -> Overrides:
    """What --set says: several values are swept over, but for fields that are lists. ValueError as
    of `parse_setting`, or for what is given twice."""
    parsed: Overrides = {}
    for text in settings:
        group, name, values = parse_setting(text)
        key, value = setting(group, name, values)
        if key in parsed:
            raise ValueError(f"--set {group}.{name} is given twice")
        parsed[key] = value
    return parsed


def settings_of(options: argparse.Namespace) -> Overrides:
    """What --set and --axes say."""
    axes = [f"evaluation.axes={options.axes}"] if options.axes else []
    return parse_settings([*options.set, *axes])


def _integers(least: int, what: str, most: int = sys.maxsize) -> Callable[[str], tuple[int, ...]]:
    def parse(text: str) -> tuple[int, ...]:
        try:
            values = tuple(int(word) for word in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list of {what} such as 1,2,3"
            ) from None
        if any(v < least for v in values):
            raise argparse.ArgumentTypeError(f"{what} must be at least {least}, not {min(values)}")
        if any(v > most for v in values):
            raise argparse.ArgumentTypeError(f"{what} must be at most {most}, not {max(values)}")
        return tuple(dict.fromkeys(values))

    return parse


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(part.strip() for part in word.split(":")) for word in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form A:B, as in cifar10:svhn")
    return tuple(dict.fromkeys((source, target) for source, target in pairs))


def make_parser() -> Parser:
    """All options, in groups."""
    parser = Parser(
        prog="compare.py",
        description=(
            "Train paradigms on tasks, measure sample efficiency, parameter efficiency\n"
            "and extrapolation, and write a report. With no options: the default study."
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for add, title in (
        (_what_is_compared, "what is compared"),
        (_how_budgets_are_set, "fair budgets"),
        (_where_it_runs, "where it runs"),
        (_what_is_stored, "results"),
        (_instead_of_training, "instead of training"),
    ):
        add(parser.add_argument_group(title))
    return parser


def _what_is_compared(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--tasks", help=f"names, comma-separated (default {','.join(DEFAULT_TASKS)})"
    )
    group.add_argument(
        "--paradigms",
        help=(
            "names, comma-separated (default: what papers compared on these tasks; on mazes and"
            f" sums {','.join(DEFAULT_PARADIGMS)})"
        ),
    )
    group.add_argument(
        "--study",
        metavar="NAME",
        help="instead: published figures or tables by the name of their study, or all (see --list)",
    )
    group.add_argument(
        "--until-decided",
        type=float,
        metavar="HOURS",
        help=(
            "of --study: add seeds, first where a verdict is nearest, until every claim is told or"
            " the time is over (3, 5, 8, 12 and 20 seeds; see docs/studies.md)"
        ),
    )
    group.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="instead: a study of your own as a TOML file (docs/plan_files.md)",
    )
    group.add_argument("--preset", default=None, help=f"{'|'.join(PRESETS)} (default quick)")
    group.add_argument(
        "--seeds",
        type=_integers(0, "seeds", MOST_SEED),
        help="of initialisation and order, e.g. 0,1,2",
    )
    group.add_argument(
        "--train-samples",
        metavar="NUMBERS",
        type=_integers(1, "numbers of training samples"),
        help="distinct training problems, e.g. 1000,10000; several make a sample-efficiency curve",
    )
    _tests_elsewhere(group)
    add_option(group)
    _further(group)


def _further(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=(
            "any other option: task.OPTION, paradigm.OPTION, PARADIGM.OPTION, train.FIELD, "
            "evaluation.FIELD, transfer.OPTION; several values, comma-separated, make several runs"
        ),
    )
    group.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help=(
            "where the data of tasks that read any lie (a folder for each, or the one folder); "
            "for others: published files, as --set task.data_dir=..."
        ),
    )


def _tests_elsewhere(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--transfer",
        type=_pairs,
        default=(),
        metavar="A:B",
        help=(
            "test what was trained on task A on task B of the same shape as well, e.g. cifar10:svhn"
        ),
    )
    group.add_argument(
        "--axes",
        nargs="?",
        const=ALL,
        default="",
        metavar="NAMES",
        help=(
            "test along other axes than difficulty as well, of those that a task names"
            " (docs/tasks.md), e.g. loops,offset; without names: all"
        ),
    )


def _how_budgets_are_set(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--match",
        default="samples",
        help=(
            "what all paradigms of a task get alike: samples (default: training problems),"
            " parameters (widths are solved for) or flops (of training: steps are solved for); the"
            " first paradigm named is the reference"
        ),
    )
    group.add_argument(
        "--search",
        type=whole_number(1, 1024),
        default=0,
        metavar="N",
        help=(
            "before the study, try N learning rates and widths for every paradigm on validation"
            " problems and take the best (under --match parameters: learning rates only)"
        ),
    )


def _where_it_runs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--workers",
        type=whole_number(1, 1024),
        default=0,
        metavar="N",
        help=(
            "runs trained side by side on CPUs when one process was launched (default: one per "
            "core, at most 8)"
        ),
    )
    group.add_argument(
        "--distribute",
        choices=("runs", "data"),
        default="runs",
        help="what several processes share: the list of runs (default) or each run's data",
    )
    group.add_argument(
        "--no-wait",
        action="store_true",
        help=(
            "end when no run is left to begin, and leave those that other processes are at to them:"
            " for job arrays on one results folder (docs/scaling.md)"
        ),
    )


def _what_is_stored(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out", type=Path, metavar="FOLDER", help="results folder (default runs/PRESET)"
    )
    group.add_argument(
        "--track",
        default="",
        metavar="TRACKER",
        help=(
            "specs, curves and test scores also in an experiment tracker that is installed:"
            " tensorboard, mlflow, trackio, wandb, aim, comet_ml, clearml, dvclive or swanlab"
            " (docs/tracking.md)"
        ),
    )
    made = group.add_mutually_exclusive_group()
    made.add_argument(
        "--again",
        action="store_const",
        dest="other_code",
        const="again",
        default="",
        help=(
            "runs that are stored, and made by code that has since come to compute something else:"
            " set them aside and train them anew"
        ),
    )
    made.add_argument(
        "--keep",
        action="store_const",
        dest="other_code",
        const="keep",
        help="take such runs as they are, and write that into their records",
    )


def _instead_of_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dry-run",
        action="store_true",
        help=(
            "the runs, which of them are stored, their FLOPs and an estimate of minutes from a"
            " measurement of seconds, or, with --until-decided, what the next look at"
            " each claim takes; nothing is trained or written"
        ),
    )
    group.add_argument(
        "--list", action="store_true", help="tasks, paradigms, presets and studies, a line each"
    )
    group.add_argument(
        "--version",
        action="version",
        version=f"%(prog)s {VERSION}",
        help="of the library",
    )
