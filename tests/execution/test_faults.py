"""Faults while it runs: memory, disks, kills, signals. Nothing finished is lost, and what goes on
goes on the same."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import ONE, SEVERAL, changed, comparable, wait_for
from warm import Warm, start

from comparisons.cli import main
from comparisons.provenance.fingerprint import LOOKED_AT
from comparisons.storage.run_folder import RunFolder
from comparisons.testing.session import Session
from comparisons.training.learner import Learner

# Memory.


def forgetful(monkeypatch, cls, name, most):
    """Let a method fail as a device without memory does, for more than `most` problems at once."""
    whole, sizes = getattr(cls, name), []

    def limited(self, first, *rest, **named):
        sizes.append(len(first))
        if len(first) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, first, *rest, **named)

    monkeypatch.setattr(cls, name, limited)
    return sizes


def test_a_batch_that_memory_cannot_hold_is_cut_and_trains_as_the_whole(tmp_path, monkeypatch):
    arguments = changed(ONE, "--set=train.batch_size=7", "--workers=1")
    assert main([*arguments, f"--out={tmp_path / 'whole'}"]) == 0
    sizes = forgetful(monkeypatch, Learner, "forward", 2)
    assert main([*arguments, f"--out={tmp_path / 'cut'}"]) == 0
    assert sizes[:4] == [LOOKED_AT, 7, 4, 2], "after the step of its fingerprint"
    assert max(sizes[4:]) == 2, "once cut, from then on"
    losses = {}
    for name in ("whole", "cut"):
        (run,) = (tmp_path / name / "runs").iterdir()
        result = json.loads((run / "result.json").read_text())
        assert result.get("batch_parts") == (4 if name == "cut" else None)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses[name] = [line["loss"] for line in lines]
    assert losses["cut"] == pytest.approx(losses["whole"], rel=1e-4)


def test_a_run_that_no_cut_helps_is_named_and_the_others_are_done(tmp_path, monkeypatch, capsys):
    forgetful(monkeypatch, Learner, "forward", 0)
    assert main([*ONE, "--workers=1", f"--out={tmp_path}"]) == 1
    assert "out of memory" in capsys.readouterr().err


def test_test_problems_that_memory_cannot_hold_are_tested_in_parts_with_the_same_answers(
    tmp_path, monkeypatch
):
    study = [*ONE, "--workers=1", "--set=evaluation.inside=5", "--set=evaluation.blows=noise,other"]
    assert main([*study, f"--out={tmp_path / 'whole'}"]) == 0
    each = Session.each

    def limited(self, measure, *rest, **more):
        def failing(batch, indices):
            measured = measure(batch, indices)  # fails at its end, when everything was computed
            if len(batch) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return measured

        return each(self, failing, *rest, **more)

    monkeypatch.setattr(Session, "each", limited)
    assert main([*study, f"--out={tmp_path / 'cut'}"]) == 0
    whole, cut = (
        json.loads(next((tmp_path / name / "runs").glob("*/result.json")).read_text())
        for name in ("whole", "cut")
    )
    assert "test_batches_cut" not in whole
    assert cut["test_batches_cut"] > 0
    # Of 20 problems at two difficulties: 20, two of 10 and four of 5.
    assert cut["test_batches_cut"] == 2 * (1 + 2 + 4)
    assert cut["recovery"] == whole["recovery"]
    for mine, theirs in zip(cut["inside"], whole["inside"], strict=True):
        assert mine["limits"] == theirs["limits"]
        assert mine["rest"]["median"] == pytest.approx(theirs["rest"]["median"], abs=1e-5)
    assert {c["n_test"] for c in cut["stopping"]} == {c["n_test"] for c in whole["stopping"]}
    tables = [
        pd.read_parquet(tmp_path / name / "results.parquet")[
            [
                "test_difficulty",
                "iterations",
                "exit_rule",
                "accuracy",
                "exit_iterations_mean",
                "n_test",
            ]
        ]
        for name in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(*tables)


# Disks.

ALONE = (*SEVERAL, "--workers=1")  # in one process


@contextlib.contextmanager
def small_disk(path: Path, size: str):
    """A file system of its own; skips where there is no right to mount one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def one_line(process: Warm, words: str) -> None:
    """Ends with status 2 and says why in its last line, without a traceback."""
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 2, error[-3000:]
    assert "Traceback" not in error
    last = error.strip().splitlines()[-1]
    assert last.startswith("compare.py: ")
    assert words in last
    assert "same command again" in last


def test_a_full_disk_is_one_line_and_with_room_again_the_study_goes_on(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        out = disk / "out"
        out.mkdir()
        filler = disk / "filler"
        filler.write_bytes(bytes(900_000))
        one_line(start(out, *ALONE), "no space left")
        filler.unlink()
        (tmp_path / "disk").stat()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert start(out, *ALONE).wait(300) == 0
        assert start(tmp_path / "whole", *ALONE).wait(300) == 0
        assert comparable(out) == comparable(tmp_path / "whole")


def test_a_disk_that_fills_up_keeps_the_runs_that_were_finished(tmp_path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        out = disk / "out"
        assert start(out, *ONE).wait(300) == 0
        before = comparable(out)
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        one_line(start(out, *SEVERAL), "no space left")
        (disk / "filler").unlink()
        after = (
            comparable(out)
            if all((r / "result.json").exists() for r in (out / "runs").iterdir())
            else None
        )
        for run, value in before.items():
            if not run.endswith("metrics"):
                assert (out / "runs" / run / "model.safetensors").read_bytes() == value[1]
        assert after is None or before.items() <= after.items()


def test_a_disk_that_becomes_read_only_is_one_line(tmp_path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        out = disk / "out"
        process = start(out, *changed(ONE, "--set=train.steps=200"), "--workers=1")
        wait_for(lambda: process.poll() is not None or list(out.glob("runs/*/metrics.jsonl")), 60)
        while subprocess.run(
            ["mount", "-o", "remount,ro", str(disk)], capture_output=True
        ).returncode:
            assert process.poll() is None, "ended before the disk could be made read-only"
        one_line(process, "read-only")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert start(out, *changed(ONE, "--set=train.steps=200"), "--workers=1").wait(300) == 0


def test_a_results_folder_removed_under_a_study_is_one_line(tmp_path):
    out = tmp_path / "out"
    process = start(out, *changed(SEVERAL, "--workers=1", "--set=train.steps=2000"))
    wait_for(lambda: process.poll() is not None or list(out.glob("runs/*/metrics.jsonl")), 60)
    for _ in range(100):  # as a person would who is told that it is not empty
        shutil.rmtree(out, ignore_errors=True)
    one_line(process, "removed")


# Kills.


KILLED = changed(
    ONE, "--seeds=0,1", "--workers=1", "--set=train.steps=40", "--set=train.batch_size=25"
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(results of a study left alone, seconds it took)"""
    out = tmp_path_factory.mktemp("undisturbed")
    begun = time.monotonic()
    assert start(out, *KILLED).wait(300) == 0
    return comparable(out), time.monotonic() - begun


def kill_and_resume(out: Path, undisturbed, kills: int, seed: int) -> None:
    """Kill a study so often, at random moments; where it was done before that, it begins again in
    another folder."""
    results, seconds = undisturbed
    drawn = random.Random(seed)
    folder, killed = 0, 0
    while killed < kills:
        process = start(out / str(folder), *KILLED)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(drawn.uniform(0.2, 0.8) * seconds)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        folder += process.returncode == 0
    for number in range(folder + 1):
        assert start(out / str(number), *KILLED).wait(300) == 0
        assert comparable(out / str(number)) == results
        assert not (out / str(number) / "set-aside").exists(), "a kill damages nothing"
    print(f"{killed} kills, {folder + 1} folders as if left alone")


def test_a_study_killed_at_random_moments_ends_as_if_left_alone(tmp_path, undisturbed):
    kill_and_resume(tmp_path, undisturbed, kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 16))
def test_many_kills_at_random_moments(tmp_path, undisturbed, seed):
    kill_and_resume(tmp_path, undisturbed, kills=3, seed=seed)


#: Where a process is stopped dead: around each call that makes something lasting.
MOMENTS = {
    "before a checkpoint is in place": ("os.replace", "state.safetensors", "before", "1"),
    "before the second checkpoint is in place": ("os.replace", "state.safetensors", "before", "2"),
    "just after a checkpoint": ("os.replace", "state.safetensors", "after", "1"),
    "before the weights are in place": ("os.replace", "model.safetensors", "before", "1"),
    "before the final rename": ("os.replace", "result.json", "before", "1"),
    "just after the final rename": ("os.replace", "result.json", "after", "1"),
    "before the spec is in place": ("os.replace", "spec.json", "before", "1"),
    "before the table is in place": ("os.replace", "results.parquet", "before", "1"),
    "before the report is in place": ("os.replace", "report.html", "before", "1"),
    "in the middle of writing a checkpoint": ("save_file", "state.safetensors", "half", "1"),
    "in the middle of writing the second checkpoint": (
        "save_file",
        "state.safetensors",
        "half",
        "2",
    ),
}

DYING = """
import os, signal, sys
import comparisons.storage.tensors as tensors_on_disk
call, name, when, left = (sys.argv.pop(1) for _ in range(4))
left = int(left)
def mine(path):
    # Whether this is the call to die at.
    global left
    left -= name in os.path.basename(path)
    return left == 0 and name in os.path.basename(path)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
replace, save_file = os.replace, tensors_on_disk.save_file
def dying_replace(a, b):
    now = mine(b)
    if now and when == "before":
        die()
    replace(a, b)
    if now and when == "after":
        die()
def dying_save(tensors, path, metadata=None):
    save_file(tensors, path, metadata)
    if mine(path):
        os.truncate(path, os.path.getsize(path) // 2)
        die()
if call == "os.replace":
    os.replace = dying_replace
else:
    tensors_on_disk.save_file = dying_save
from comparisons.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_the_worst_moment_loses_nothing(tmp_path, undisturbed, moment):
    died = Warm(DYING, *MOMENTS[moment], *KILLED, f"--out={tmp_path}")
    error = died.communicate(timeout=300)[1]
    assert died.returncode == -signal.SIGKILL, error[-2000:]
    assert start(tmp_path, *KILLED).wait(300) == 0
    assert comparable(tmp_path) == undisturbed[0]
    assert not (tmp_path / "set-aside").exists()
    assert not list(tmp_path.rglob("runs/**/.*.part"))


def test_an_interrupt_ends_cleanly_says_how_to_go_on_and_exits_130(tmp_path):
    endless = changed(ONE, "--set=train.steps=100000")

    process = start(tmp_path, *endless, new_session=True)
    wait_for(lambda: process.poll() is not None or list(tmp_path.glob("runs/*/metrics.jsonl")), 60)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "interrupted; to go on: python compare.py --tasks=maze" in error


def test_a_launched_process_that_dies_leaves_its_run_to_the_others(tmp_path, undisturbed):
    """Two processes of one study, as on two machines with a shared folder: one is killed in the
    middle of a run."""
    first = start(tmp_path, *KILLED)
    wait_for(lambda: list(tmp_path.glob("runs/*/checkpoint/state.safetensors")), 120)
    second = start(tmp_path, *KILLED)
    first.kill()
    first.wait()
    assert second.wait(300) == 0 or start(tmp_path, *KILLED).wait(300) == 0
    assert comparable(tmp_path) == undisturbed[0]
    for run in (tmp_path / "runs").iterdir():
        steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        trained = [s["step"] for s in steps if s["split"] == "validation"]
        assert trained == sorted(set(trained)), "no step twice"


def test_a_worker_that_is_killed_leaves_its_run_to_the_others(tmp_path):
    psutil = pytest.importorskip("psutil")
    several = changed(KILLED, "--workers=2", "--seeds=0,1,2", "--set=train.steps=60")
    assert start(tmp_path / "whole", *several).wait(300) == 0
    out = tmp_path / "killed"
    process = start(out, *several)
    wait_for(lambda: len(list(out.glob("runs/*/checkpoint/state.safetensors"))) > 1, 120)
    # Beside the worker, multiprocessing keeps a tracker of its own.
    workers = [
        c for c in psutil.Process(process.pid).children() if "spawn_main" in str(c.cmdline())
    ]
    assert len(workers) == 1
    workers[0].kill()
    assert process.wait(300) == 0
    assert {k for k in comparable(out) if not k.endswith("metrics")} == {
        k for k in comparable(tmp_path / "whole") if not k.endswith("metrics")
    }
    assert comparable(out) == comparable(tmp_path / "whole")


def test_the_order_of_runs_and_what_ran_before_change_no_number(tmp_path, undisturbed):
    """With as many threads a run: their number may change the last bits (docs/fairness.md)."""
    turned = changed(KILLED, "--seeds=2,1,0")
    assert start(tmp_path, *turned).wait(300) == 0
    found = comparable(tmp_path)
    assert undisturbed[0].items() <= found.items()
    assert len(found) == 6


@pytest.mark.slow
def test_two_hundred_runs_need_no_more_memory_than_twenty(tmp_path, monkeypatch):
    """A soak: resident memory after 20 runs and after 200, in one process."""
    psutil = pytest.importorskip("psutil")
    taken: list[int] = []
    finish = RunFolder.finish

    def noted(self, result):
        finish(self, result)
        taken.append(psutil.Process().memory_info().rss)

    monkeypatch.setattr(RunFolder, "finish", noted)
    seeds = ",".join(map(str, range(200)))
    arguments = [a for a in ONE if not a.startswith("--seeds")]
    assert main([*arguments, f"--seeds={seeds}", "--workers=1", f"--out={tmp_path}"]) == 0
    assert len(taken) == 200
    early, late = max(taken[15:25]), max(taken[-10:])
    print(f"resident after 20 runs {early / 2**20:.0f} MiB, after 200 {late / 2**20:.0f} MiB")
    assert late < early + 100 * 2**20
