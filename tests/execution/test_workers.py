"""Workers: runs side by side, none twice, and no process left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from commands import ROOT, TESTS
from hypothesis import given
from hypothesis import strategies as st

from comparisons.cli import main
from comparisons.execution import workers as workers_module
from comparisons.execution.study import Tracking, run_all
from comparisons.execution.workers import MOST, cores, helpers, threads_each, usual_workers
from comparisons.planning.plan import Plan, Request, make_plan
from comparisons.storage.run_folder import RunFolder


def _mark(number: int, folder: Path) -> None:
    (folder / str(number)).write_text(str(os.getpid()))


def _sleep(number: int, folder: Path) -> None:
    _mark(number, folder)
    time.sleep(600)


def _wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_helpers_work_in_processes_of_their_own_and_are_waited_for(tmp_path):
    with helpers(2, _mark, tmp_path):
        pass
    pids = {(tmp_path / n).read_text() for n in ("1", "2")}
    assert len(pids | {str(os.getpid())}) == 3


def test_leaving_early_ends_the_helpers(tmp_path):
    def interrupted():
        with helpers(1, _sleep, tmp_path):
            _wait_until(lambda: (tmp_path / "1").exists() and (tmp_path / "1").read_text())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not _alive(int((tmp_path / "1").read_text()))


def test_helpers_end_with_a_process_that_is_killed(tmp_path):
    code = (
        "from pathlib import Path\nfrom comparisons.execution.workers import helpers\n"
        "from tests.execution.test_workers import _sleep\n"
        f"if __name__ == '__main__':\n    with helpers(1, _sleep, Path({str(tmp_path)!r})): pass\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    paths = os.pathsep.join(map(str, (ROOT, TESTS / "helpers")))
    parent = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": paths}
    )
    _wait_until(lambda: (tmp_path / "1").exists() and (tmp_path / "1").read_text())
    helper = int((tmp_path / "1").read_text())
    assert _alive(helper)
    parent.kill()
    parent.wait()
    _wait_until(lambda: not _alive(helper))


@given(st.integers(1, 1000), st.booleans())
def test_there_are_no_more_workers_than_runs_or_cores(runs, accelerator):
    workers = usual_workers(runs, accelerator)
    assert 1 <= workers <= min(runs, cores(), MOST)
    assert workers == 1 or not accelerator


@pytest.mark.parametrize(
    ("environment", "processes", "threads"),
    [
        ({}, 1, 8),
        ({}, 3, 2),
        ({}, 20, 1),
        ({"OMP_NUM_THREADS": "2"}, 1, 2),
        ({"OMP_NUM_THREADS": "6"}, 4, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 1, 8),
        ({"OMP_NUM_THREADS": "1", "LOCAL_RANK": "0"}, 2, 4),
        ({"OMP_NUM_THREADS": "1", "ACCELERATE_MIXED_PRECISION": "no"}, 1, 8),
    ],
)
def test_threads_are_a_share_of_the_cores_or_what_the_user_says(
    monkeypatch, environment, processes, threads
):
    """A launcher's one thread a process is not the user's word."""
    monkeypatch.setattr(workers_module, "cores", lambda: 8)
    for name in [*os.environ]:
        if name == "OMP_NUM_THREADS" or name.startswith(workers_module._LAUNCHERS):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert threads_each(processes) == threads


TINY = (
    "--preset=smoke",
    "--tasks=prefix_sums",
    "--paradigms=dt_net_recall",
    "--set=train.steps=3",
    "--set=evaluation.samples=10",
    "--set=train.validation_samples=8",
)


def test_runs_shared_by_workers_are_each_trained_once(tmp_path):
    assert main([*TINY, "--seeds=0,1,2,3", "--workers=3", f"--out={tmp_path}"]) == 0
    table = pd.read_parquet(tmp_path / "results.parquet")
    assert set(table.seed) == {0, 1, 2, 3}
    for run in (tmp_path / "runs").iterdir():
        lines = (run / "metrics.jsonl").read_text().splitlines()
        assert sum('"split": "train"' in line for line in lines) == 1


def test_a_training_is_left_to_the_process_that_is_at_it(tmp_path):
    """Of three runs, two differ in their tests alone: while another process is at the first, the
    second is left, for it will take that training, and the third is done."""
    request = Request(("prefix_sums",), ("dt_net_recall",), "smoke", (0,))
    (first,) = make_plan(request).runs
    second = replace(first, evaluation=replace(first.evaluation, samples=7))
    plan, done = Plan((first, second, replace(first, seed=1))), []

    def work(spec, *_):
        done.append(spec)

    def go() -> None:
        run_all(plan, tmp_path, "runs", 1, Tracking("", tmp_path), work, wait=False)

    with RunFolder(tmp_path, first).claim():
        go()
    assert done == [plan.runs[2]]
    done.clear()
    # Nobody is at it any more, but it is not done either (`work` does nothing here).
    go()
    assert done == [first, plan.runs[2]]


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_workers_that_makes_no_sense_is_refused(value, capsys):
    with pytest.raises(SystemExit) as stop:
        main([f"--workers={value}"])
    assert stop.value.code == 2
    assert "whole number" in capsys.readouterr().err
