"""A study: every run of a plan, shared between processes, then the table and the report."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from comparisons.ledger import write_verdicts
from comparisons.plan import Plan
from comparisons.progress import Screen
from comparisons.runner import execute
from comparisons.spec import SCHEMA, RunSpec
from comparisons.store import (
    RunFolder,
    StoreError,
    collect,
    folder_trouble,
    write_table,
)
from comparisons.workers import cores, helpers, usual_workers
from files import write_atomically
from reports import build_report

# What `accelerate launch` tells each process of a group. Processes that share a list of runs work alone.
_GROUP = ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
WAIT_SECONDS = 0.5


@cache
def process_place() -> tuple[int, int]:
    """(number of this process, how many there are) as the launcher said when it was first asked for."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


@cache
def local_place() -> tuple[int, int]:
    """The same on this machine."""
    _, processes = process_place()
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", processes))


@dataclass(frozen=True)
class Tracking:
    """A tracker's name, or "" for none, and where it keeps files."""

    name: str
    folder: Path


def make_accelerator(distribute: str, workers: int, tracking: Tracking) -> Accelerator:
    """One of this process's own for shared lists of runs, or one that joins all processes for each run."""
    # Both are asked for before what they read is taken away: a search comes before its study.
    process_place()
    local, on_this_machine = local_place()
    if distribute == "runs":
        for name in (*_GROUP, "LOCAL_RANK"):
            os.environ.pop(name, None)
        if torch.cuda.is_available():
            torch.cuda.set_device(local % torch.cuda.device_count())
        else:
            # A launcher allows one thread a process, whatever there is.
            torch.set_num_threads(max(1, cores() // max(workers, on_this_machine)))
    # Steps of the progressive loss that start late leave the first layers out. Told to look, data parallelism leaves
    # their gradients absent, as in one process, where it would fail otherwise.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        log_with=tracking.name or None,
        project_dir=str(tracking.folder),
        kwargs_handlers=[unused],
    )


def run_study(
    plan: Plan,
    out: Path,
    command: str,
    title: str,
    distribute: str,
    workers: int = 0,
    track: str = "",
    of_study: Mapping[str, Sequence[RunSpec]] | None = None,
) -> tuple[int, Path]:
    """Do what is left of a plan and build the table and the report. Returns (runs not finished, report).

    workers: processes to train runs side by side when a launcher started no more than this one; 0 for as
    many as suit the machine. track: a name of `tracking.TRACKERS`, or "". of_study: the runs of each
    published study, whose claims are then judged.
    """
    rank, _ = process_place()
    tracking = Tracking(track, out / "tracking")
    if rank == 0:
        write_study(plan, out, command, title)
    screen = run_all(plan, out, distribute, workers, tracking)
    report = out / "report.html"
    if rank == 0:
        table, odd = collect(out)
        for line in odd:
            screen.say(f"left out of the table: {line}")
        write_table(out, table)
        if of_study:
            write_verdicts(out, plan.runs[0].preset, of_study, plan.skipped, command)
        report = build_report(out)
    unfinished = sum(not RunFolder(out, spec).complete for spec in plan.runs)
    return unfinished, report


Work = Callable[[RunSpec, RunFolder, Accelerator, Callable[[dict[str, Any]], None]], Any]


def run_all(
    plan: Plan,
    out: Path,
    distribute: str,
    workers: int,
    tracking: Tracking,
    work: Work = execute,
    stay: bool = False,
) -> Screen:
    """Do what is left of a plan, by as many workers as suit, and return the screen it was shown on.

    work: what a run is. stay: in every process, until no run is left, and not only in the first.
    """
    rank, processes = process_place()
    alone = processes == 1 and distribute == "runs"
    workers = workers or usual_workers(len(plan.runs), torch.cuda.is_available())
    workers = workers if alone else 1
    left = sum(not RunFolder(out, spec).complete for spec in plan.runs)
    with helpers(max(0, min(workers, left) - 1), _help, plan, out, workers, tracking, work):
        screen = Screen(plan, out, quiet=rank != 0)
        accelerator = make_accelerator(distribute, workers, tracking)
        _work(plan, out, distribute, accelerator, screen, work, stay or rank == 0)
    return screen


def _help(number: int, plan: Plan, out: Path, workers: int, tracking: Tracking, work: Work) -> None:
    """What a worker beside the first process does: whatever run nobody holds."""
    screen = Screen(plan, out, quiet=True)
    # What is wrong with the results folder, the first process meets as well, and says.
    with suppress(StoreError):
        accelerator = make_accelerator("runs", workers, tracking)
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
    """Train and test every run that nobody else holds. stay: until no run is held by others either."""
    together = distribute == "data"
    failed: dict[str, str] = {}
    with screen:
        while True:
            waiting = 0
            for spec in plan.runs:
                folder = RunFolder(out, spec)
                if folder.complete or spec.run_id in failed:
                    screen.done(spec, folder)
                    continue
                with _claimed(folder, alone=together) as mine:
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
                        if trouble:
                            raise trouble from error
                        if together and accelerator.num_processes > 1:
                            raise  # the other processes wait for this one: nothing to go on with
                        failed[spec.run_id] = f"{type(error).__name__}: {error}".splitlines()[0]
                        screen.failed(spec, failed[spec.run_id])
                    screen.done(spec, folder)
                accelerator.free_memory()
                gc.collect()
            if not waiting or not stay:
                return
            time.sleep(WAIT_SECONDS)


@contextmanager
def _claimed(folder: RunFolder, alone: bool) -> Iterator[bool]:
    """Hold a run; where all processes train it together there is nobody to hold it against."""
    if alone:
        folder.path.mkdir(parents=True, exist_ok=True)
        yield True
        return
    with folder.claim() as mine:
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
    }
    write_atomically(out / "study.json", json.dumps(study, indent=1))
