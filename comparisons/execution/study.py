"""A study: every run of a plan, shared between processes, then the table and the report."""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import GradientAccumulationPlugin, TorchDynamoPlugin

from comparisons.execution.closing import print_results
from comparisons.execution.launch import (
    LaunchError,
    check_launch,
    join_group,
    leave_group,
    local_place,
    process_place,
)
from comparisons.execution.progress import Screen, counted
from comparisons.execution.run import execute
from comparisons.execution.workers import helpers, threads_each, usual_workers
from comparisons.hardware import set_tf32, tune
from comparisons.planning.estimate import estimate
from comparisons.planning.plan import Plan
from comparisons.provenance.review import review
from comparisons.storage import leases
from comparisons.storage.run_folder import RunFolder, StoreError, folder_trouble, training_of
from comparisons.studies.ledger import write_verdicts
from foundations.files import write_atomically
from foundations.plugins import blamed, loaded
from foundations.records.reading import collect, write_table
from foundations.records.spec import SCHEMA, RunSpec
from reports import build_report

WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Tracking:
    """A tracker's name, or "" for none, and where it keeps files."""

    name: str
    folder: Path


def make_accelerator(
    distribute: str, workers: int, tracking: Tracking, number: int = 0
) -> Accelerator:
    """One of this process's own for shared lists of runs, or one that joins all processes for each
    run. number: of this worker, which takes the GPUs of a machine in turn.

    It trains as the spec says, whatever the environment asks for, and float32 is IEEE from here on.
    LaunchError where the launcher asks for what is not supported.
    """
    check_launch(distribute)
    together = distribute == "data" and process_place()[1] > 1
    share = 1
    if distribute == "runs":
        leave_group()
        local, on_this_machine = local_place()
        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            torch.cuda.set_device((local + number) % count)
            share = -(-max(workers, on_this_machine) // count)
        else:
            torch.set_num_threads(threads_each(max(workers, on_this_machine)))
    else:
        join_group()
    set_tf32(False)
    accelerator = Accelerator(
        **_as_the_spec_says(),
        # Without an accelerator, processes join only if told that they are to train on CPUs.
        cpu=together and not torch.accelerator.is_available(),
        log_with=tracking.name or None,
        project_dir=str(tracking.folder),
    )
    tune(accelerator.device, share)
    if together and accelerator.num_processes != process_place()[1]:
        raise LaunchError(
            f"--distribute data: {process_place()[1]} processes can't train together on "
            f"{accelerator.device.type}; ACCELERATE_USE_CPU=true trains on CPUs"
        )
    return accelerator


def _as_the_spec_says() -> dict[str, Any]:
    """Arguments of an Accelerator that leave nothing to the environment, whose word counts for what
    is not given."""
    dynamo = TorchDynamoPlugin(
        backend="no", mode="default", fullgraph=False, dynamic=False, use_regional_compilation=False
    )
    # Steps of the progressive loss that start late leave the first layers out. Told to look, data
    # parallelism leaves their gradients absent, as in one process, where it would fail otherwise.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return {
        "mixed_precision": "no",
        "gradient_accumulation_plugin": GradientAccumulationPlugin(num_steps=1),
        "dynamo_plugin": dynamo,
        "kwargs_handlers": [unused],
    }


def run_study(
    plan: Plan,
    out: Path,
    command: str,
    title: str,
    distribute: str,
    workers: int = 0,
    track: str = "",
    of_study: Mapping[str, Sequence[RunSpec]] | None = None,
    other_code: str = "",
    wait: bool = True,
) -> tuple[int, Path]:
    """Do what is left of a plan and build the table and the report. Returns (runs not finished,
    report); without `wait` the former leaves out runs that other processes are at.

    workers: processes to train runs side by side when a launcher started no more than this one; 0
    for as many as suit the machine. track: a name of `tracking.TRACKERS`, or "". of_study: the runs
    of each published study, whose claims are then judged. other_code: what becomes of runs that
    other code made, see `provenance.review.review`. wait: until runs that other processes hold are
    done, too.
    """
    rank, _ = process_place()
    tracking = Tracking(track, out / "tracking")
    if rank == 0:
        write_study(plan, out, command, title)
    screen = run_all(plan, out, distribute, workers, tracking, other_code=other_code, wait=wait)
    report = out / "report.html"
    if rank == 0:
        table, odd = collect(out)
        for line in odd:
            screen.say(f"left out of the table: {line}")
        write_table(out, table)
        print_results(table, [spec.run_id for spec in plan.runs])
        if of_study:
            write_verdicts(out, plan.runs[0].preset, of_study, plan.skipped, command)
        report = build_report(out)
    unfinished = [spec.run_id for spec in plan.runs if not RunFolder(out, spec).complete]
    if not wait:
        screen.look()
        left = [name for name in unfinished if screen.seen[name].running]
        if left:
            screen.say(f"left to the processes that are at them: {counted(len(left), 'run')}")
        return len(unfinished) - len(left), report
    return len(unfinished), report


Work = Callable[[RunSpec, RunFolder, Accelerator, Callable[[dict[str, Any]], None]], Any]


def run_all(
    plan: Plan,
    out: Path,
    distribute: str,
    workers: int,
    tracking: Tracking,
    work: Work = execute,
    stay: bool = False,
    other_code: str = "",
    what: str = "run",
    wait: bool = True,
) -> Screen:
    """Do what is left of a plan, by as many workers as suit, and return the screen it was shown on.

    work: what a run is; what: what it is called, "run" or "trial". stay: in every process, until no
    run is left, and not only in the first; wait: in the first. other_code: see
    `provenance.review.review`, which comes first.
    """
    rank, processes = process_place()
    if rank == 0 or distribute == "runs":
        review(
            plan.runs,
            out,
            other_code,
            lambda line: print(line, file=sys.stderr) if rank == 0 else None,
            rank == 0,
        )
    workers = workers_for(plan, distribute, workers)
    left = sum(not RunFolder(out, spec).complete for spec in plan.runs)
    with helpers(max(0, min(workers, left) - 1), _help, plan, out, workers, tracking, work):
        screen = Screen(plan, out, quiet=rank != 0, what=what)
        accelerator = make_accelerator(distribute, workers, tracking)
        if distribute == "data":
            # for the first, which has looked through what is stored
            accelerator.wait_for_everyone()
        if rank == 0:
            _announce(screen, plan, accelerator, max(min(workers, left), 1), processes)
        _work(plan, out, distribute, accelerator, screen, work, stay or (wait and rank == 0))
    return screen


def workers_for(plan: Plan, distribute: str, requested: int) -> int:
    """Workers of this process: one where a launcher started several."""
    alone = process_place()[1] == 1 and distribute == "runs"
    return (requested or usual_workers(len(plan.runs), torch.cuda.is_available())) if alone else 1


def _announce(
    screen: Screen, plan: Plan, accelerator: Accelerator, workers: int, processes: int
) -> None:
    """Say what begins, and how long it may take: measured here, while the other workers start."""
    done = {name for name, seen in screen.seen.items() if seen.done}
    left = [spec for spec in plan.runs if spec.run_id not in done]
    trained = {spec.run_id for spec in left if RunFolder(screen.out, spec).trained}
    together = accelerator.num_processes
    tests = screen.what == "run"
    estimated = estimate(
        plan.runs, accelerator.device, together=together, done=done, trained=trained, tests=tests
    )
    apart = processes if together == 1 else 1
    kind = accelerator.device.type
    screen.announce(workers * apart, torch.get_num_threads(), kind, estimated, together)


def _help(number: int, plan: Plan, out: Path, workers: int, tracking: Tracking, work: Work) -> None:
    """What a worker beside the first process does: whatever run nobody holds."""
    screen = Screen(plan, out, quiet=True)
    # What is wrong with the results folder, the first process meets as well, and says.
    with suppress(StoreError):
        accelerator = make_accelerator("runs", workers, tracking, number)
        _work(plan, out, "runs", accelerator, screen, work, False)


def _work(
    plan: Plan,
    out: Path,
    distribute: str,
    accelerator: Accelerator,
    screen: Screen,
    work: Work,
    stay: bool,
) -> None:
    """Train and test every run that nobody else holds. stay: until no run is held by others
    either."""
    together = distribute == "data"
    before = _same_training(plan.runs)
    failed: dict[str, str] = {}
    left: dict[str, float] = {}  # runs that others took over, and until when they are theirs
    losses: Counter[str] = Counter()
    with screen:
        while True:
            waiting = 0
            for spec in plan.runs:
                folder = RunFolder(out, spec)
                if folder.complete or spec.run_id in failed:
                    continue
                alike = [other for other in before[spec.run_id] if other.run_id not in failed]
                if _in_training(alike, out) or time.monotonic() < left.get(spec.run_id, 0.0):
                    waiting += 1
                    continue
                with _claimed(folder, together, screen) as mine:
                    if not mine:
                        waiting += 1
                        continue
                    if folder.complete:
                        continue
                    screen.start(spec)
                    try:
                        work(spec, folder, accelerator, screen.report)
                    except StoreError:
                        raise
                    except Exception as error:
                        trouble = folder_trouble(out, error)
                        if lost := folder.lost:  # whatever went wrong: it is another's run now
                            _tell(screen, str(lost))
                            left[spec.run_id] = time.monotonic() + _patience(losses[spec.run_id])
                            losses[spec.run_id] += 1
                            waiting += 1
                        elif trouble:
                            raise trouble from error
                        elif together and accelerator.num_processes > 1:
                            raise  # the other processes wait for this one: nothing to go on with
                        else:
                            why = f"{type(error).__name__}: {error}".splitlines()[0]
                            why = blamed(error) or why
                            failed[spec.run_id] = why
                            screen.failed(spec, why)
                    screen.done(spec)
                accelerator.free_memory()
                gc.collect()
            if not waiting or not stay:
                screen.look()
                return
            time.sleep(WAIT_SECONDS)


def _same_training(runs: Sequence[RunSpec]) -> dict[str, list[RunSpec]]:
    """By run: those before it that differ from it in their tests alone. It waits until one of them
    is done, to take its training."""
    by_training: dict[str, list[RunSpec]] = {}
    before = {}
    for spec in runs:
        alike = by_training.setdefault(training_of(spec), [])
        before[spec.run_id] = list(alike)
        alike.append(spec)
    return before


def _in_training(alike: Sequence[RunSpec], out: Path) -> bool:
    """Whether runs that differ in their tests alone are still being trained: none is done."""
    return bool(alike) and not any(RunFolder(out, one).complete for one in alike)


def _patience(losses: int) -> float:
    """Seconds for which a run that was taken over is left to others. Longer each time: where leases
    exclude nobody, two processes would take a run from each other for ever, neither of them coming
    to a checkpoint."""
    return leases.LEASE_SECONDS * 2**losses


def _tell(screen: Screen, line: str) -> None:
    """One line, also from processes beside the first, whose screens are quiet."""
    if screen.quiet:
        print(line, file=sys.stderr)
    else:
        screen.say(line)


@contextmanager
def _claimed(folder: RunFolder, alone: bool, screen: Screen) -> Iterator[bool]:
    """Hold a run; where all processes train it together there is nobody to hold it against."""
    if alone:
        folder.path.mkdir(parents=True, exist_ok=True)
        yield True
        return
    first = process_place()[0] == 0 and multiprocessing.parent_process() is None
    with folder.claim(screen.say, first) as mine:
        yield mine


def write_study(plan: Plan, out: Path, command: str, title: str) -> None:
    """study.json: what was asked for."""
    study: dict[str, Any] = {
        "schema": SCHEMA,
        "title": title,
        "command": command,
        "preset": plan.runs[0].preset,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": [spec.run_id for spec in plan.runs],
        "skipped": list(plan.skipped),
        "matched": list(plan.matched),
        **({"plugins": list(loaded())} if loaded() else {}),
    }
    write_atomically(out / "study.json", json.dumps(study, indent=1))
