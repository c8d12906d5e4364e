"""Training is defined by the spec: what a launcher asks for besides is refused or has no effect;
MPI groups are understood."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, SMALL

from comparisons.cli import main
from comparisons.execution import launch

ONE = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL)
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("ACCELERATE_", *launch._MPI)) and name not in launch._GROUP
} | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

#: Trains three steps and prints the norm of each step's gradients, to the last bit.
NORMS = """
import sys
from pathlib import Path
from accelerate import Accelerator

clip, norms = Accelerator.clip_grad_norm_, []
Accelerator.clip_grad_norm_ = lambda *given: norms.append(float(clip(*given)).hex())

from comparisons.planning.plan import make_spec
from comparisons.execution.run import build
from comparisons.storage.run_folder import RunFolder
from comparisons.execution.study import Tracking, make_accelerator
from comparisons.training.loop import train_run

asked = {"steps": 3, "batch_size": 4, "validation_samples": 8, "precision": "fp32"}
chosen = {("train", name): value for name, value in asked.items()}
chosen |= {("paradigm", "width"): 8, ("paradigm", "iterations"): 3}
spec = make_spec("maze", "dt_net_recall", "smoke", 0, 40, chosen)
out = Path(sys.argv[1])
folder = RunFolder(out, spec)
folder.open()
accelerator = make_accelerator("runs", 1, Tracking("", out))
train_run(spec, *build(spec), folder, accelerator, lambda news: None)
print(*norms)
"""


def norms(out: Path, **more: str) -> list[str]:
    command = [sys.executable, "-c", NORMS, str(out)]
    done = subprocess.run(
        command, env=PLAIN | more, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.fixture(scope="module")
def plain_norms(tmp_path_factory):
    found = norms(tmp_path_factory.mktemp("plain"))
    assert len(found) == 3
    return found


@pytest.mark.parametrize(
    "more",
    [
        {"ACCELERATE_MIXED_PRECISION": "bf16"},
        {"ACCELERATE_MIXED_PRECISION": "fp16"},
        {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"},
        {"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR", "ACCELERATE_DYNAMO_MODE": "max-autotune"},
        {"ACCELERATE_DYNAMO_USE_FULLGRAPH": "perhaps", "ACCELERATE_DYNAMO_USE_DYNAMIC": "?"},
        {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
    ],
    ids=lambda more: "+".join(more),
)
def test_no_variable_changes_a_gradient_by_a_bit(more, plain_norms, tmp_path):
    assert norms(tmp_path, **more) == plain_norms


def run(out: Path, *arguments: str, wait: bool = True, **more: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "compare.py"), *ONE, *arguments, f"--out={out}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=PLAIN | more, **pipes)
    if wait:
        process.wait(300)
    return process


def test_what_has_no_effect_is_said_once_with_the_option_that_has(tmp_path):
    asked = {
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_DYNAMO_BACKEND": "EAGER",
    }
    process = run(tmp_path, **asked)
    error = process.stderr.read()
    assert process.returncode == 0, error
    (line,) = [text for text in error.splitlines() if "ACCELERATE_" in text]
    for name, option in zip(
        asked, ("train.precision=bf16", "train.batch_size=...", "train.compile=true"), strict=True
    ):
        assert f"{name}={asked[name]} (here: --set {option})" in line
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["precision"] == "fp32"


def test_a_launcher_that_asks_for_nothing_is_not_answered(monkeypatch):
    for name, value in (
        ("ACCELERATE_MIXED_PRECISION", "no"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1"),
        ("ACCELERATE_DYNAMO_BACKEND", "NO"),
    ):
        monkeypatch.setenv(name, value)
    assert launch.without_effect() == ""


@pytest.mark.parametrize("name", launch._REFUSED)
def test_what_changes_what_a_process_holds_is_refused(name, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(name, "true")
    assert main([*ONE, f"--out={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare.py: {name}=true: ")
    assert "is not supported" in line
    assert not (tmp_path / "out").exists()


def test_deepspeed_is_refused_in_a_real_process(tmp_path):
    process = run(tmp_path / "out", ACCELERATE_USE_DEEPSPEED="true")
    (line,) = process.stderr.read().splitlines()
    assert (process.returncode, "DeepSpeed" in line) == (2, True)


# Groups of processes.

OPEN_MPI, HYDRA, MVAPICH = launch._PLACES[1:]


def said(names: tuple[str, ...], *values: int) -> dict[str, str]:
    return dict(zip(names, map(str, values), strict=True))


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables of a group, as if the process had just begun; all is as it was
    afterwards."""

    def set_all(**variables: str) -> None:
        for name in list(os.environ):
            if name in launch._GROUP or name.startswith(launch._MPI):
                monkeypatch.delenv(name)
        for name in launch._GROUP:  # so that what the code sets is taken back
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        launch.place.cache_clear()

    yield set_all
    launch.place.cache_clear()


@pytest.mark.parametrize("names", launch._PLACES, ids=lambda names: names[0])
def test_every_launcher_is_understood_and_then_forgotten(names, environment):
    environment(**said(names, 5, 8, 1, 4), PMIX_RANK="5", PMIX_NAMESPACE="job", MASTER_PORT="1")
    launch.leave_group()
    assert launch.process_place() == (5, 8)
    assert launch.local_place() == (1, 4)
    left = [n for n in os.environ if n in launch._GROUP or n.startswith(launch._MPI)]
    assert left == []


def test_without_a_launcher_a_process_is_the_only_one(environment):
    environment()
    assert (launch.process_place(), launch.local_place()) == ((0, 1), (0, 1))


def test_torchruns_word_counts_over_that_of_the_mpi_it_was_started_by(environment):
    environment(**said(OPEN_MPI, 0, 2, 0, 1), **said(launch._PLACES[0], 6, 8, 2, 4))
    assert launch.process_place() == (6, 8)


def test_processes_of_one_machine_find_each_other_and_keep_what_was_said(environment):
    environment(**said(HYDRA, 1, 2, 1, 2))
    launch.check_launch("data")
    launch.join_group()
    group = {name: os.environ.get(name) for name in launch._GROUP if name != "GROUP_RANK"}
    assert group == {
        **said(launch._PLACES[0], 1, 2, 1, 2),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }
    environment(**said(HYDRA, 1, 2, 0, 1), MASTER_ADDR="first", MASTER_PORT="77")
    launch.check_launch("data")
    launch.join_group()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("first", "77")


def test_jobs_of_one_machine_do_not_meet(environment):
    ports = set()
    for job in ("one", "another"):
        environment(**said(OPEN_MPI, 0, 2, 0, 2), PMIX_NAMESPACE=job)
        launch.join_group()
        ports.add(os.environ["MASTER_PORT"])
    assert len(ports) == 2


@pytest.mark.parametrize(
    "variables",
    [said(OPEN_MPI, 0, 2, 0, 1), said(HYDRA[:2], 1, 2)],
    ids=["two machines", "not said"],
)
def test_several_machines_that_do_not_know_the_first_are_refused(
    variables, environment, tmp_path, capsys
):
    environment(**variables)
    assert main([*ONE, "--distribute=data", f"--out={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "MASTER_ADDR" in line
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_no_number_is_one_line(environment, tmp_path, capsys):
    environment(RANK="first", WORLD_SIZE="2")
    assert main([*ONE, f"--out={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "RANK must be a whole number" in line


def trained_once(out: Path, runs: int) -> None:
    found = list((out / "runs").iterdir())
    assert len(found) == runs
    for path in found:
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        steps = [line["step"] for line in lines if line["split"] == "validation"]
        assert steps == [2, 4, 6]
        assert json.loads((path / "result.json").read_text())["processes"] == 1


def test_processes_of_an_mpi_launch_share_the_list_of_runs(tmp_path):
    both = [
        run(tmp_path, "--seeds=0,1,2,3", wait=False, **said(OPEN_MPI, number, 2, number, 2))
        for number in (0, 1)
    ]
    words = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    assert (tmp_path / "report.html").exists()
    trained_once(tmp_path, 4)


def test_the_second_process_works_on_its_own_and_leaves_the_report_to_the_first(tmp_path):
    second = run(tmp_path, "--seeds=0,1", **said(HYDRA, 1, 2, 1, 2))
    assert second.returncode == 0, second.stderr.read()
    trained_once(tmp_path, 2)
    assert not (tmp_path / "report.html").exists()
    first = run(tmp_path, "--seeds=0,1", **said(HYDRA, 0, 2, 0, 2))
    assert first.returncode == 0, first.stderr.read()
    assert (tmp_path / "report.html").exists()


def test_processes_of_an_mpi_launch_train_each_run_together(tmp_path):
    job = f"job of {os.getpid()}"
    both = [
        run(
            tmp_path,
            "--distribute=data",
            wait=False,
            **said(OPEN_MPI, number, 2, number, 2),
            PMIX_NAMESPACE=job,
        )
        for number in (0, 1)
    ]
    words = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    (result,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(result.read_text())["processes"] == 2


MPIRUN = [["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"]]


@pytest.mark.parametrize("launcher", MPIRUN if shutil.which("mpirun") else [])
def test_mpirun_shares_the_list_of_runs_and_passes_exit_statuses_on(launcher, tmp_path):
    out = tmp_path / "out"
    command = [*launcher, sys.executable, str(ROOT / "compare.py"), *ONE, f"--out={out}"]
    given = {"env": PLAIN, "capture_output": True, "text": True, "check": False}
    wrong = subprocess.run([*command, "--set=train.steps=0"], **given)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    done = subprocess.run([*command, "--seeds=0,1"], **given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == 1
    trained_once(out, 2)
