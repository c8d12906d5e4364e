"""The command line of compare.py."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.plan import Request, make_plan, names_in
from comparisons.presets import (
    DEFAULT_PARADIGMS,
    DEFAULT_TASKS,
    PRESETS,
    default_paradigms,
)
from comparisons.studies import ALL, CLAIMS, NAMES, chosen, plan_studies
from names import INTERRUPTED, USAGE, Parser, one_line, unknown_name, whole_number

if TYPE_CHECKING:
    from comparisons.plan import Plan
    from comparisons.spec import RunSpec

DEFAULT_PRESET = "quick"


def _integers(least: int, what: str):
    def parse(text: str) -> tuple[int, ...]:
        try:
            values = tuple(int(word) for word in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a list of {what} such as 1,2,3"
            ) from None
        if any(v < least for v in values):
            raise argparse.ArgumentTypeError(f"{what} must be at least {least}, not {min(values)}")
        return tuple(dict.fromkeys(values))

    return parse


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(part.strip() for part in word.split(":")) for word in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form A:B, as in cifar10:svhn")
    return tuple(dict.fromkeys(pairs))


def make_parser() -> Parser:
    """The options of compare.py."""
    parser = Parser(
        prog="compare.py",
        description="Train paradigms on tasks, measure sample efficiency, parameter efficiency and "
        "extrapolation, and write a report. With no options: the default study.",
        epilog="Run as `accelerate launch compare.py ...`, or `python compare.py ...` for one process. The "
        "same command with the same --out goes on where it stopped and trains nothing twice.",
    )
    parser.add_argument(
        "--tasks", help=f"names, comma-separated (default {','.join(DEFAULT_TASKS)})"
    )
    parser.add_argument(
        "--paradigms",
        help="names, comma-separated (default: what papers compared on these tasks; on mazes and sums "
        f"{','.join(DEFAULT_PARADIGMS)})",
    )
    parser.add_argument("--preset", default=None, help=f"{'|'.join(PRESETS)} (default quick)")
    parser.add_argument(
        "--seeds", type=_integers(0, "seeds"), help="of initialisation and order, e.g. 0,1,2"
    )
    parser.add_argument(
        "--train-samples",
        type=_integers(1, "numbers of training samples"),
        help="distinct training problems, e.g. 1000,10000; several make a sample-efficiency curve",
    )
    parser.add_argument(
        "--transfer",
        type=_pairs,
        default=(),
        metavar="A:B",
        help="test what was trained on task A on task B of the same shape as well, e.g. cifar10:svhn",
    )
    parser.add_argument(
        "--match",
        default="samples",
        help="what all paradigms of a task get alike: samples (default: training problems), parameters (widths are "
        "solved for) or flops (of training: steps are solved for); the first paradigm named is the reference",
    )
    parser.add_argument(
        "--search",
        type=whole_number(1, 1024),
        default=0,
        metavar="N",
        help="before the study, try N learning rates and widths for every paradigm on validation problems and take "
        "the best (under --match parameters: learning rates only)",
    )
    parser.add_argument("--out", type=Path, help="results folder (default runs/PRESET)")
    parser.add_argument(
        "--study",
        help="published figures or tables by the name of their study, or all (see --list)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any other option: task.OPTION, paradigm.OPTION, PARADIGM.OPTION, train.FIELD, "
        "evaluation.FIELD, transfer.OPTION; several values, comma-separated, make several runs",
    )
    parser.add_argument(
        "--data-dir",
        help="folder with a task's own data (for the tasks that read any): --set task.data_dir=...",
    )
    parser.add_argument(
        "--distribute",
        choices=("runs", "data"),
        default="runs",
        help="what several processes share: the list of runs (default) or each run's data",
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1, 1024),
        default=0,
        help="runs trained side by side on a processor when one process was launched (default: one per "
        "core, at most 8)",
    )
    parser.add_argument(
        "--track",
        default="",
        metavar="TRACKER",
        help="live curves in tensorboard (files in OUT/tracking) or wandb, if it is installed",
    )
    parser.add_argument(
        "--list", action="store_true", help="tasks, paradigms, presets and studies, then stop"
    )
    return parser


def listing() -> str:
    """Everything that has a name."""
    from paradigms import PREFIXES, paradigm_names
    from tasks import task_names

    lines = ["tasks", *(f"  {n}" for n in task_names()), "paradigms"]
    lines += [f"  {n}" for n in [*paradigm_names(), *(f"{p}:NAME" for p in PREFIXES)]]
    lines += ["presets", *(f"  {n}: {p['summary']}" for n, p in PRESETS.items()), "studies"]
    lines += [f"  {n}: {summary}" for n, (_, summary) in NAMES.items()]
    lines += [f"  {ALL}: every one of them", "claims, and the study that tests each"]
    lines += [f"  {claim}: {study}" for claim, study in sorted(CLAIMS.items())]
    return "\n".join(lines)


def make_request(options: argparse.Namespace) -> tuple[Request, str]:
    """What was asked for, and a title for it."""
    trained = tuple(dict.fromkeys(source for source, _ in options.transfer))
    tasks = names_in(options.tasks) if options.tasks is not None else trained or DEFAULT_TASKS
    paradigms = (
        names_in(options.paradigms) if options.paradigms is not None else default_paradigms(tasks)
    )
    settings, title = tuple(options.set), f"{', '.join(paradigms)} on {', '.join(tasks)}"
    if not tasks or not paradigms:
        raise ValueError("--tasks and --paradigms need at least one name each")
    if options.data_dir:
        settings = (*settings, f"task.data_dir={Path(options.data_dir).resolve()}")
    request = Request(
        tasks=tasks,
        paradigms=paradigms,
        preset=options.preset or DEFAULT_PRESET,
        seeds=options.seeds,
        train_samples=options.train_samples,
        settings=settings,
        transfer=options.transfer,
        match=options.match,
    )
    return request, title


def study_plan(options: argparse.Namespace) -> tuple[Plan, dict[str, tuple[RunSpec, ...]], str]:
    """The runs of the study asked for, those of each part, and a title. ValueError for an unknown one, or for options
    that a study brings itself."""
    names = chosen(options.study)
    brought = {
        "--tasks": options.tasks,
        "--paradigms": options.paradigms,
        "--train-samples": options.train_samples,
        "--transfer": options.transfer,
        "--match": options.match != "samples",
    }
    given = [name for name, value in brought.items() if value]
    if given:
        raise ValueError(
            f"--study brings its own tasks, paradigms and samples: leave out {', '.join(given)}"
        )
    preset = options.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    data = Path(options.data_dir) if options.data_dir else None
    plan, of_study = plan_studies(names, preset, options.seeds, tuple(options.set), data)
    title = "Every study" if options.study == ALL else NAMES[options.study][1]
    return plan, of_study, title


def usable_folder(out: Path) -> Path:
    """The results folder, made if need be; ValueError where it can't be written to."""
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        for path in made:
            if path.is_dir():
                path.rmdir()
        raise ValueError(
            f"--out {out} can't be written to ({error.strerror}); choose a folder that can"
        ) from error
    return out


def main(argv: list[str] | None = None) -> int:
    """Run compare.py; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    options = make_parser().parse_args(argv)
    if options.list:
        print(listing())
        return 0
    of_study: dict[str, tuple[RunSpec, ...]] = {}
    try:
        if options.study:
            plan, of_study, title = study_plan(options)
        else:
            request, title = make_request(options)
            plan = make_plan(request)
        if options.track:
            from comparisons.tracking import check_tracker

            check_tracker(options.track)
        out = usable_folder(options.out or Path("runs") / plan.runs[0].preset)
    except (ValueError, OSError) as error:
        print(f"compare.py: {one_line(error)}", file=sys.stderr)
        return USAGE

    from comparisons.store import StoreError, folder_trouble
    from comparisons.study import process_place, run_study

    rank, processes = process_place()
    if options.distribute == "data" and processes == 1:
        print(
            "compare.py: --distribute data with one process; on a processor, start several with torchrun",
            file=sys.stderr,
        )
    command = shlex.join(["accelerate", "launch", "compare.py", *argv])
    untried = 0
    try:
        if options.search:
            from comparisons.search import search

            plan, untried = search(
                plan,
                out,
                options.search,
                widths=options.match != "parameters",
                command=command,
                distribute=options.distribute,
                workers=options.workers,
            )
        unfinished, report = run_study(
            plan, out, command, title, options.distribute, options.workers, options.track, of_study
        )
    except (StoreError, OSError) as error:
        print(f"compare.py: {folder_trouble(out, error) or error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"compare.py: interrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    if rank == 0:
        print(f"report: {report}")
    return 1 if (unfinished or untried) and rank == 0 else 0
