"""What several tests share."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from browsing import start_browser
from commands import ROOT
from hypothesis import settings
from made_records import make_records

from comparisons.execution.workers import cores
from tasks.places import variable

# Timings on a shared machine say nothing about correctness. The same inputs each time, so that a
# failure is of the change and can be repeated; others are drawn with --hypothesis-profile=random
# and in the slow tests.
settings.register_profile("repeatable", deadline=None, max_examples=25, derandomize=True)
settings.register_profile("random", deadline=None, max_examples=25)
settings.load_profile("repeatable")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# What tasks remember, nobody's own cache: see `tasks.remembered`.
os.environ["RECURRENCE_CACHE"] = str(Path(tempfile.gettempdir()) / f"tests-cache-{os.getpid()}")


def _own_cores() -> None:
    """Of several workers each has cores of its own: a run takes all that it sees, and threads that
    outnumber the cores wait for each other, many times longer than they compute."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        here = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, here[int(worker.removeprefix("gw")) :: count] or here)


_own_cores()


@pytest.fixture(autouse=True, scope="session")
def _few_threads():
    torch.set_num_threads(min(2, torch.get_num_threads(), cores()))


@pytest.fixture(autouse=True)
def _no_data_places(monkeypatch):
    """What a test says about where data lie is forgotten after it."""
    with monkeypatch.context() as patch:
        for task in ("cifar10", "svhn", "emnist"):
            patch.setenv(variable(task), "")
        yield


@pytest.fixture
def compare(tmp_path):
    """Run compare.py in a process of its own; returns the completed process."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "compare.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def browser():
    """A Chromium that logs what it asks for; skips where there is none."""
    started = start_browser()
    yield started
    started.quit()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_records(tmp_path_factory.mktemp("study"), metrics=40)


@pytest.fixture
def small(tmp_path) -> Path:
    """One task, two paradigms, one seed: enough for most questions."""
    names = ("dt_net_recall", "narrow_resnet18")
    return make_records(tmp_path / "out", ("maze",), names, (0,), (1000,), metrics=20)
