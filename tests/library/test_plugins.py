"""What docs/plugins.md shows, run from a folder outside the library."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ENVIRONMENT, ROOT
from pages import examples

FILES = examples("plugins.md")
SHORT = (
    "--preset=smoke",
    "--train-samples=40",
    "--set=train.steps=4",
    "--set=train.batch_size=4",
    "--set=train.validation_samples=8",
    "--set=evaluation.samples=12",
    "--set=evaluation.iterations=6",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Somewhere else, with the examples as files."""
    there = tmp_path_factory.mktemp("mine")
    for name, code in FILES.items():
        (there / name).write_text(code)
    return there


def compare(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "compare.py"), *words],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def plugins(*names: str) -> list[str]:
    return [f"--plugin={name}.py" for name in names]


def test_each_example_is_one_short_file():
    assert set(FILES) == {
        "tiny.py", "loop.py", "parity.py", "sure.py", "every_answer.py", "root.py", "gradient.py",
        "length.py", "progress.py",
    }  # fmt: skip
    for name, code in FILES.items():
        said = [line for line in code.splitlines() if line.strip()]
        assert len(said) <= 15, name


@pytest.fixture(scope="module")
def ran(folder) -> Path:
    """A study of a task, networks, a rule, an objective, a schedule, a criterion and a probe from
    outside, by two workers."""
    done = compare(
        folder,
        *plugins("parity", "loop", "sure", "every_answer", "root", "gradient", "length"),
        "--plugin=tiny",  # as a module of the current folder
        "--tasks=parity",
        "--paradigms=tiny,loop,lottery:loop",
        *SHORT,
        "--set=tiny.width=6",
        "--set=loop.iterations=3",
        "--set=evaluation.exit_rules=sure,agreement",
        "--set=train.objective=every_answer",
        "--set=train.schedule=root",
        "--set=lottery:loop.criterion=gradient",
        "--set=lottery:loop.density=0.5",
        "--set=evaluation.inside=4",
        "--set=evaluation.probes=length",
        "--workers=2",
        "--out=out",
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder / "out"


def result_of(out: Path, kind: str) -> tuple[Path, dict]:
    (run,) = out.glob(f"runs/parity.{kind}-*")
    return run, json.loads((run / "result.json").read_text())


def test_what_plugins_bring_is_trained_tested_and_probed_in_every_worker(ran):
    _, tiny = result_of(ran, "tiny")
    _, loop = result_of(ran, "loop")
    assert tiny["max_iterations"] == 1
    assert (loop["max_iterations"], loop["train_iterations"]) == (None, 3)
    assert {row["exit_rule"] for row in loop["rows"]} >= {"sure", "agreement"}
    assert [len(facts["own"]["length"]) for facts in loop["inside"]] == [6, 6]
    _, pruned = result_of(ran, "lottery_loop")
    assert pruned["active_parameters"] < pruned["parameters"]
    assert "parity" in (ran / "report.html").read_text()


def test_the_record_names_them_and_the_recorded_command_repeats_the_run(ran, tmp_path):
    run, stored = result_of(ran, "loop")
    made = json.loads((run / "made.json").read_text())
    assert str(ran.parent / "loop.py") in made["plugins"]
    assert {"loop", "parity", "sure", "every_answer", "root", "length"} <= set(made["sources"])
    assert json.loads((ran / "study.json").read_text())["plugins"] == made["plugins"]
    given = shlex.split(stored["command"])[2:]
    planned = compare(tmp_path, *given, f"--out={ran}", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "to do: 0 runs of 1" in planned.stdout


def test_a_study_of_ones_own_gets_its_verdict(folder):
    small = ("--set=paradigm.width=8", "--set=paradigm.iterations=3", "--workers=1")
    short = [option for option in SHORT if not option.startswith("--train-samples")]
    done = compare(folder, *plugins("progress"), "--study=progress", *short, *small, "--out=study")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    (study,) = json.loads((folder / "study" / "verdicts.json").read_text())["studies"]
    assert [claim["id"] for claim in study["claims"]] == ["OURS-1"]
    assert study["complete"] == 2
