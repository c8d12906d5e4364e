"""The command line of compare.py."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.listing import listing
from comparisons.options import make_parser, settings_of
from comparisons.planning.overrides import extended
from comparisons.planning.plan import Request, make_plan, names_in
from comparisons.planning.presets import DEFAULT_TASKS, PRESETS, default_paradigms
from comparisons.studies import ALL, load_study, plan_studies, studies_named
from foundations.errors import INTERRUPTED, USAGE, one_line, unknown_name
from foundations.plugins import blamed, load_plugins

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from comparisons.execution.deciding import Costs, Planned
    from comparisons.planning.overrides import Overrides
    from comparisons.planning.plan import Plan
    from foundations.records.spec import RunSpec

DEFAULT_PRESET = "quick"


def make_request(options: argparse.Namespace) -> tuple[Request, str]:
    """What was asked for, and a title for it. ValueError for a name that nothing has."""
    from paradigms import paradigm_title
    from tasks import task_title

    trained = tuple(dict.fromkeys(source for source, _ in options.transfer))
    tasks = names_in(options.tasks) if options.tasks is not None else trained or DEFAULT_TASKS
    paradigms = (
        names_in(options.paradigms) if options.paradigms is not None else default_paradigms(tasks)
    )
    if not tasks or not paradigms:
        raise ValueError("--tasks and --paradigms need at least one name each")
    settings = settings_of(options)
    called = ", ".join(map(paradigm_title, paradigms)), ", ".join(map(task_title, tasks))
    title = " on ".join(called)
    if options.data_dir:
        data = _data_of(tasks, [name for _, name in options.transfer], Path(options.data_dir))
        settings = extended(settings, data)
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


def _data_of(tasks: Sequence[str], tested: Sequence[str], folder: Path) -> Overrides:
    """Say where the data lie of tasks that have no problems but those of data: in a folder of
    their name in this one or, where one task alone is to be trained on such, here. Where there is
    no such task, the setting by which the others read published files: those are other runs."""
    from tasks import needs_data
    from tasks.places import set_data_place, set_data_places

    reading = [task for task in tasks if needs_data(task)]
    if not reading:
        return {("task", "data_dir"): str(folder.resolve())}
    lacking = [t for t in reading if t not in set_data_places(folder, (*reading, *tested))]
    if lacking and len(reading) > 1:
        raise ValueError(
            f"--data-dir {folder} has no folder whose name begins with {lacking[0]}, as it must"
            " have where several tasks read data"
        )
    for task in lacking:
        set_data_place(task, folder)
    return {}


def _check_brought(options: argparse.Namespace, by: str) -> None:
    """ValueError for options that a study, or a plan file, brings itself."""
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
            f"{by} brings its own tasks, paradigms and samples: leave out {', '.join(given)}"
        )


def file_plan(options: argparse.Namespace) -> tuple[Plan, dict[str, tuple[RunSpec, ...]], str]:
    """The runs of a plan file, those that its claims are about, and a title. ValueError as of
    `plan_file`."""
    from comparisons.studies.plan_file import plan_of_file, read_plan_file

    if options.study or options.data_dir:
        raise ValueError("--plan stands for itself: leave out --study and --data-dir")
    _check_brought(options, "--plan")
    file = read_plan_file(options.plan)
    if options.preset:
        file.said["preset"] = options.preset
    if options.out is None and "out" in file.said:
        options.out = Path(file.said["out"])
    return plan_of_file(file, DEFAULT_PRESET, options.seeds, settings_of(options))


def study_plan(options: argparse.Namespace) -> tuple[Plan, dict[str, tuple[RunSpec, ...]], str]:
    """The runs of the study asked for, those of each part, and a title. ValueError for an unknown
    one, or for options that a study brings itself."""
    names = studies_named(options.study)
    _check_brought(options, "--study")
    preset = options.preset or DEFAULT_PRESET
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    if options.until_decided is not None:
        if not options.until_decided > 0:
            raise ValueError(f"--until-decided must be over 0 hours, not {options.until_decided}")
        if options.seeds:
            raise ValueError("--until-decided adds seeds itself: leave out --seeds")
    data = Path(options.data_dir) if options.data_dir else None
    plan, of_study = plan_studies(names, preset, options.seeds, settings_of(options), data)
    title = "Every study" if options.study == ALL else load_study(options.study).summary
    return plan, of_study, title


def usable_folder(out: Path) -> Path:
    """The results folder, made if need be; ValueError where it can't be written to."""
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink(
            missing_ok=True
        )  # a process of this number on another machine may have done it
    except OSError as error:
        for path in made:
            if path.is_dir():
                path.rmdir()
        raise ValueError(
            f"--out {out} can't be written to ({error.strerror}); choose a folder that can"
        ) from error
    return out


def _dry_run(plan: Plan, out: Path, options: argparse.Namespace) -> int:
    """What --dry-run prints, by the first process alone."""
    from comparisons.execution.dry_run import dry_run, dry_run_of_claims
    from comparisons.execution.launch import process_place
    from comparisons.execution.search import trials_of

    if options.until_decided is not None:
        names, preset, planned, costs = _claims_of(options, out)
        if process_place()[0] == 0:
            dry_run_of_claims(names, preset, out, planned, costs)
        return 0
    trials = None
    if options.search:
        trials = trials_of(plan, options.search, options.match != "parameters")
    if process_place()[0] == 0:
        dry_run(plan, out, trials, options.distribute, options.workers)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run compare.py; returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    options = make_parser().parse_args(argv)
    try:
        load_plugins(options.plugin)
        if options.list:
            print(listing())
            return 0
        from comparisons.execution.launch import check_launch

        check_launch(options.distribute)
        if options.plan:
            plan, of_study, title = file_plan(options)
        elif options.study:
            plan, of_study, title = study_plan(options)
        elif options.until_decided is not None:
            raise ValueError("--until-decided is of published claims: name a --study")
        else:
            request, title = make_request(options)
            plan, of_study = make_plan(request), {}
        if options.track:
            from comparisons.execution.tracking import check_tracker

            check_tracker(options.track)
        from comparisons.storage.begun import as_begun

        out = options.out or Path("runs") / plan.runs[0].preset
        plan = replace(plan, runs=as_begun(plan.runs, out))
        of_study = {name: as_begun(runs, out) for name, runs in of_study.items()}
        if options.dry_run:
            return _dry_run(plan, out, options)
        usable_folder(out)
    except (ValueError, OSError) as error:
        print(f"compare.py: {one_line(error)}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if not (why := blamed(error)):
            raise
        print(f"compare.py: {why}", file=sys.stderr)
        return USAGE
    return _run(plan, of_study, title, out, options, argv)


def _run(
    plan: Plan,
    of_study: dict[str, tuple[RunSpec, ...]],
    title: str,
    out: Path,
    options: argparse.Namespace,
    argv: list[str],
) -> int:
    """Search, if asked for, then train, test and report; returns the exit status."""
    from comparisons.execution.launch import LaunchError, process_place, without_effect
    from comparisons.execution.study import run_study
    from comparisons.storage.run_folder import StoreError, folder_trouble

    rank, processes = process_place()
    if rank == 0 and without_effect():
        print(f"compare.py: {without_effect()}", file=sys.stderr)
    if options.distribute == "data" and processes == 1:
        print(
            "compare.py: --distribute data with one process; on a CPU, start several with torchrun",
            file=sys.stderr,
        )
    launcher = ["python"] if processes == 1 else ["accelerate", "launch"]
    command = shlex.join([*launcher, "compare.py", *argv])
    untried = 0
    ways = {
        "distribute": options.distribute,
        "workers": options.workers,
        "other_code": options.other_code,
    }
    try:
        if options.search:
            from comparisons.execution.search import search

            widths = options.match != "parameters"
            plan, untried = search(
                plan, out, options.search, widths=widths, command=command, **ways
            )
        studied = partial(
            run_study, out=out, command=command, title=title, track=options.track,
            wait=not options.no_wait,
        )  # fmt: skip
        if options.until_decided is not None:
            unfinished, report = _until_decided(partial(studied, **ways), out, command, options)
        else:
            unfinished, report = studied(plan, of_study=of_study, **ways)
    except LaunchError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return USAGE
    except (StoreError, OSError) as error:
        print(f"compare.py: {folder_trouble(out, error) or error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"compare.py: interrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    if rank == 0:
        print(f"report: {report}")
    return 1 if (unfinished or untried) and rank == 0 else 0


def _claims_of(options: argparse.Namespace, out: Path) -> tuple[list[str], str, Planned, Costs]:
    """Studies, preset, their plans by number of seeds, and what runs take."""
    import torch

    from comparisons.execution.deciding import Costs, planner
    from comparisons.execution.workers import usual_workers
    from foundations.statistics import LOOKS

    preset = options.preset or DEFAULT_PRESET
    data = Path(options.data_dir) if options.data_dir else None
    costs = Costs(options.workers or usual_workers(LOOKS[0], torch.cuda.is_available()))
    planned = planner(preset, settings_of(options), data, out)
    return studies_named(options.study), preset, planned, costs


def _until_decided(
    studied: Callable[..., tuple[int, Path]], out: Path, command: str, options: argparse.Namespace
) -> tuple[int, Path]:
    """Run studies until their claims are told. studied: `run_study` but for the plan and the runs
    of each study. Returns runs not finished and the report."""
    from comparisons.execution.deciding import until_decided, write_standings
    from comparisons.execution.launch import LaunchError, process_place
    from comparisons.execution.study import build_report

    if process_place()[1] > 1:
        raise LaunchError("--until-decided starts its own workers: start it with python alone")
    names, preset, planned, costs = _claims_of(options, out)
    unfinished = []

    def run(plan: Plan) -> int:
        unfinished.append(studied(plan)[0])
        return unfinished[-1]

    keep = partial(write_standings, out, preset, planned=planned, command=command)
    until_decided(names, preset, options.until_decided, out, planned, run, costs, keep)
    return sum(unfinished), build_report(out)
