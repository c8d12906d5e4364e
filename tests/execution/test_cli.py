"""The command line as a user meets it: real processes, exit statuses, files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import ROOT, SMALL, comparable, wait_for
from safetensors.torch import load_file
from warm import start

from comparisons.cli import main
from foundations.records.spec import EvaluationSpec

TWO = ("--tasks=maze,prefix_sums", "--paradigms=dt_net_recall,feed_forward_recall", *SMALL)

CONTRACT_COLUMNS = [
    "run_id",
    "task",
    "paradigm",
    "seed",
    "preset",
    "train_difficulty",
    "train_samples",
    "parameters",
    "active_parameters",
    "train_iterations",
    "test_difficulty",
    "iterations",
    "exit_rule",
    "accuracy",
    "element_accuracy",
    "n_test",
    "ci_low",
    "ci_high",
    "flops_per_example",
    "train_seconds",
    "status",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished small study, made in this process."""
    out = tmp_path_factory.mktemp("study")
    assert main([*TWO, f"--out={out}"]) == 0
    return out


def test_a_study_leaves_the_files_of_the_contract(study):
    runs = list((study / "runs").iterdir())
    assert len(runs) == 4
    for run in runs:
        for name in (
            "spec.json",
            "metrics.jsonl",
            "checkpoint",
            "model.safetensors",
            "result.json",
        ):
            assert (run / name).exists(), name
        assert json.loads((run / "result.json").read_text())["run_id"] == run.name
        for line in (run / "metrics.jsonl").read_text().splitlines():
            assert {"step", "examples", "split", "loss"} <= set(json.loads(line))
    for name in ("results.parquet", "results.csv", "report.html"):
        assert (study / name).stat().st_size > 0


def test_the_table_holds_every_run_difficulty_iteration_and_rule(study):
    table = pd.read_parquet(study / "results.parquet")
    assert set(CONTRACT_COLUMNS) <= set(table.columns)
    assert len(table) == len(pd.read_csv(study / "results.csv"))
    maze = table[(table.task == "maze") & (table.paradigm == "dt_net_recall")]
    assert set(maze.test_difficulty) == {9, 13}
    rules = {"fixed", "validated", *EvaluationSpec.exit_rules}
    assert rules == set(maze.exit_rule)
    stopped = maze[maze.exit_rule == "validated"].set_index("test_difficulty")
    assert stopped.iterations.nunique() == 1, "fixed once, on validation problems"
    level = maze[(maze.exit_rule == "fixed") & (maze.iterations == stopped.iterations.iloc[0])]
    assert (level.set_index("test_difficulty").accuracy == stopped.accuracy).all()
    fixed = maze[maze.exit_rule == "fixed"]
    assert set(fixed.iterations) == {1, 2, 3, 4, 5, 6}
    assert (fixed.flops_per_example.diff().dropna() != 0).all()
    twin = table[(table.task == "maze") & (table.paradigm == "feed_forward_recall")]
    assert twin.iterations.max() == 3, "a feed-forward network ends after its last block"
    assert (table.ci_low <= table.accuracy).all()
    assert (table.accuracy <= table.ci_high).all()
    assert (table.n_test == 20).all()
    assert (table.status == "complete").all()


def test_repeating_the_command_trains_nothing_and_gives_the_same_table(study):
    before = {p: p.stat().st_mtime_ns for p in (study / "runs").rglob("*.*") if p.name != "lock"}
    table = (study / "results.csv").read_bytes()
    (study / "report.html").unlink()
    assert main([*TWO, f"--out={study}"]) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert (study / "results.csv").read_bytes() == table
    assert (study / "report.html").exists()


@pytest.mark.parametrize("kill_after_checkpoints", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_study_goes_on_to_the_same_results_to_the_bit(tmp_path, kill_after_checkpoints):
    arguments = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL, "--set=train.batch_size=50")
    arguments = tuple(a for a in arguments if a != "--set=train.batch_size=4")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole, *arguments).wait(300) == 0
    process = start(killed, *arguments)
    checkpoints: set[int] = set()

    def seen() -> bool:
        for path in killed.glob("runs/*/checkpoint/state.safetensors"):
            checkpoints.add(path.stat().st_mtime_ns)
        return len(checkpoints) >= kill_after_checkpoints or process.poll() is not None

    wait_for(seen, 120)
    process.kill()
    process.wait()
    assert start(killed, *arguments).wait(300) == 0
    assert comparable(killed) == comparable(whole)


def test_a_loss_that_becomes_nan_is_recorded_and_the_study_goes_on(tmp_path):
    assert (
        main(
            [
                *TWO,
                "--set=train.learning_rate=1e9,0.001",
                "--set=train.clip=0",
                f"--out={tmp_path}",
            ]
        )
        == 0
    )
    table = pd.read_parquet(tmp_path / "results.parquet")
    by_run = table.groupby("run_id").status.first()
    assert (by_run == "diverged").sum() == 4
    assert (by_run == "complete").sum() == 4
    assert table[table.status == "diverged"].accuracy.isna().all()
    for run in (tmp_path / "runs").iterdir():
        result = json.loads((run / "result.json").read_text())
        if result["status"] == "diverged":
            assert "loss became" in result["reason"]
    assert "diverged" in (tmp_path / "report.html").read_text()


WRONG = [
    (("--tasks", "mze"), "unknown task 'mze'; known: maze"),
    (("--tasks", ""), "at least one name"),
    (("--paradigms", "dtnet"), "unknown paradigm 'dtnet'; known: "),
    (("--preset", "quik"), "unknown preset 'quik'; known: quick"),
    (("--train-samples", "-3"), "must be at least 1, not -3"),
    (("--train-samples", "many"), "not a list of"),
    (("--train-samples", "100000000000", "--tasks", "prefix_sums"), "distinct train problems"),
    (("--seeds", "-1"), "seeds must be at least 0"),
    (("--study", "none-such"), "unknown study"),
    (("--set", "task.difficulty=10"), "odd integer from 5"),
    (("--set", "task.difficulty=nine"), "odd integer from 5"),
    (("--set", "colour=red"), "not of the form"),
    (("--distribute", "all"), "invalid choice"),
    (("--no-such-option",), "unknown option '--no-such-option'"),
    (("--out", "/dev/null/folder"), "can't be written to"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_wrong_usage_is_one_clear_line_exit_status_2_and_leaves_nothing(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["--tasks=maze", "--preset=smoke", *arguments])
    except SystemExit as stop:
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_can_not_be_written_leaves_no_part_of_its_path_behind(tmp_path):
    (tmp_path / "file").touch()
    assert main(["--preset=smoke", f"--out={tmp_path / 'file' / 'a' / 'b'}"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_installed_commands_work(compare):
    listed = compare("--list")
    assert listed.returncode == 0
    for name in ("maze", "prefix_sums", "dt_net_recall", "quick"):
        assert name in listed.stdout
    helped = compare("--help")
    assert helped.returncode == 0
    assert "--train-samples" in helped.stdout
    wrong = compare("--tasks", "mze")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("compare.py: unknown task 'mze'; known: maze, ")
    assert "Traceback" not in wrong.stderr


def launch(processes: int, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Really so many processes: on a CPU `accelerate launch --num_processes` starts one without
    MPI."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(processes), str(ROOT / "compare.py")]
    command += [*arguments, f"--out={out}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["ACCELERATE_USE_CPU"] = "true"
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_two_launched_processes_share_the_runs_and_agree_with_one(study, tmp_path):
    done = launch(2, tmp_path, *TWO)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("report:") == 1
    alone, shared = comparable(study), comparable(tmp_path)
    assert set(alone) == set(shared)
    for name, value in alone.items():
        if not name.endswith("metrics"):
            accuracies = [(r["test_difficulty"], r["iterations"], r["n_test"]) for r in value[0]]
            assert accuracies == [
                (r["test_difficulty"], r["iterations"], r["n_test"]) for r in shared[name][0]
            ]


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_that_share_a_run_train_as_one(tmp_path, processes):
    """The same losses and the same network to rounding, though a batch of 4 cannot be split into
    three equal parts; and the same test problems, none twice and none missed."""
    arguments = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL, "--distribute=data")
    out = {}
    for count in (1, processes):
        done = launch(count, tmp_path / str(count), *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        (folder,) = (tmp_path / str(count) / "runs").iterdir()
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        result = json.loads((folder / "result.json").read_text())
        assert result["processes"] == count
        losses = [line["loss"] for line in lines]
        out[count] = losses, load_file(folder / "model.safetensors"), result["rows"]
    (one, weights, rows), (several, others, shared) = out[1], out[processes]
    assert one == pytest.approx(several, rel=1e-5)
    for name, tensor in weights.items():
        assert torch.allclose(tensor, others[name], atol=1e-5), name
    assert [r["n_test"] for r in rows] == [r["n_test"] for r in shared]
    assert [r["accuracy"] for r in rows] == pytest.approx([r["accuracy"] for r in shared], abs=0.02)


def test_two_processes_prune_the_same_weights_as_one(tmp_path):
    arguments = (
        "--tasks=prefix_sums",
        "--paradigms=lottery",
        "--preset=smoke",
        "--distribute=data",
    )
    arguments += ("--set=paradigm.width=8", "--set=paradigm.iterations=3", "--set=train.steps=4")
    arguments += ("--set=evaluation.samples=8", "--set=lottery.density=0.3")
    arguments += ("--set=lottery.criterion=snip,grasp,synflow",)
    for processes in (1, 2):
        done = launch(processes, tmp_path / str(processes), *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
    models = sorted((tmp_path / "1" / "runs").glob("*/model.safetensors"))
    assert len(models) == 3
    for path in models:
        one = load_file(path)
        two = load_file(tmp_path / "2" / path.relative_to(tmp_path / "1"))
        masks = [name for name in one if name.endswith("mask")]
        assert masks
        assert all(torch.equal(one[name], two[name]) for name in masks)
        kept = sum(float(one[name].sum()) for name in masks)
        assert kept == round(0.3 * sum(one[name].numel() for name in masks))


def test_networks_trained_on_one_task_are_tested_on_another_of_the_same_shape(tmp_path):
    options = ["--preset=smoke", "--paradigms=narrow_resnet18,hgru", "--set=train.steps=2"]
    options += ["--transfer=pathfinder:cabc", "--set=evaluation.samples=12"]
    options += ["--set=train.validation_samples=8", "--set=transfer.size=64"]
    options += ["--set=hgru.width=4", "--set=hgru.iterations=2"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    table = pd.read_parquet(tmp_path / "results.parquet")
    assert set(table.task) == {"pathfinder"}
    for paradigm, rows in table.groupby("paradigm"):
        places = rows.groupby("test_task").difficulty_label.unique().map(set).to_dict()
        assert places == {"pathfinder": {"4", "6"}, "cabc": {"easy", "hard"}}, paradigm
    page = (tmp_path / "report.html").read_text()
    assert "Pathfinder tested on cabc" in page
    command = json.loads(next((tmp_path / "runs").glob("*/result.json")).read_text())["command"]
    assert "--transfer pathfinder:cabc" in command


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("maze:prefix_sums", "same shape"),
        ("maze", "form A:B"),
        ("maze:mze", "unknown task 'mze'; known: maze"),
        ("chess:digits", "unknown task to be trained on"),
    ],
)
def test_a_transfer_that_makes_no_sense_is_one_line_and_leaves_nothing(
    tmp_path, capsys, pair, words
):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(["--tasks=maze", f"--transfer={pair}", f"--out={out}"]))
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()
