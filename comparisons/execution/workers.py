"""Processes that train runs side by side on one machine's processor.

The networks here are small: one run keeps one core busy and hardly more, so several runs at once, a
core or a few each, finish a study in a fraction of the time. Workers share a study's runs by their
leases (storage/leases.py), as the processes of a launcher do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from foundations.plugins import load_plugins, loaded

MOST = 8  # workers unless asked for: each holds a copy of torch and of its run


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usual_workers(runs: int, accelerator: bool) -> int:
    """One per core, but no more than runs; one where an accelerator does the work.

    Depends on the plan alone, not on what is left of it, so that a study that was interrupted goes
    on with as many threads to a run as it began with: sums, and so results, depend on them in the
    last bit.
    """
    return 1 if accelerator else max(1, min(cores(), runs, MOST))


#: Of launchers, which allow one thread a process whatever there is.
_LAUNCHERS = ("ACCELERATE_", "TORCHELASTIC_", "OMPI_", "PMI_", "LOCAL_RANK")


def threads_each(processes: int) -> int:
    """Threads of each of so many processes on this machine: its share of the cores, or
    OMP_NUM_THREADS where the user says fewer."""
    share = max(1, cores() // max(1, processes))
    said = os.environ.get("OMP_NUM_THREADS", "")
    launched = any(name.startswith(_LAUNCHERS) for name in os.environ)
    return min(share, int(said)) if said.isdigit() and int(said) and not launched else share


@contextmanager
def helpers(count: int, work: Callable[..., Any], *arguments: Any) -> Iterator[None]:
    """`count` more processes that call work(number, *arguments), numbered from 1, until the block
    ends.

    They end with this process, however it ends; leaving the block early stops them, leaving it at
    its end waits for them.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share torch's thread pools
    processes = [
        context.Process(target=_helper, args=(loaded(), work, number, *arguments), daemon=True)
        for number in range(1, count + 1)
    ]
    for process in processes:
        process.start()
    try:
        yield
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
            process.join()


def _helper(plugins: Sequence[str], work: Callable[..., Any], number: int, *arguments: Any) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the first process hears of it and ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load_plugins(plugins)
    work(number, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
