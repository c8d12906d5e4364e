"""What CONTRIBUTING.md says to do, done: its blocks are put into a copy of the library, which is
then used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from commands import ROOT

PARTS = (
    "foundations",
    "tasks",
    "paradigms",
    "comparisons",
    "reports",
    "benchmarks",
    "tests",
    "compare.py",
)
BLOCK = re.compile(r"```python\n# (?P<where>[^\n]+)\n(?P<code>.*?)```", re.DOTALL)
INTO = re.compile(r"in (?P<file>\S+), (?P<side>after|before) `(?P<line>[^`]+)`")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A copy of the library with every block of CONTRIBUTING.md in place."""
    root = tmp_path_factory.mktemp("library")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, root / part)
    shutil.copy(ROOT / "pyproject.toml", root)
    blocks = list(BLOCK.finditer((ROOT / "CONTRIBUTING.md").read_text()))
    assert len(blocks) == 9, "a block that is not tried"
    for block in blocks:
        into = INTO.fullmatch(block["where"])
        if into is None:
            path = root / block["where"]
            assert not path.exists()
            path.write_text(block["code"])
            continue
        path = root / into["file"]
        text = path.read_text()
        line = into["line"] + "\n"
        assert text.count(line) == 1, into["line"]
        placed = line + block["code"] if into["side"] == "after" else block["code"] + line
        path.write_text(text.replace(line, placed))
    return root


def use(library: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=library, env=environment, capture_output=True, text=True,
        timeout=400, check=False
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


SHORT = ("--preset=smoke", "--set=train.steps=4", "--set=evaluation.samples=20", "--workers=1")


def test_the_new_task_is_listed_trained_on_and_reported(library):
    out = library / "task"
    assert "majority" in use(library, "compare.py", "--list")
    use(
        library,
        "compare.py",
        "--tasks=majority",
        "--paradigms=recurrent_convnet,convnet",
        *SHORT,
        f"--out={out}",
    )
    table = pd.read_parquet(out / "results.parquet")
    assert set(table.test_difficulty) == {33, 65}
    assert "more ones" in (out / "report.html").read_text()


#: Prints the changes that the new rule is shown by a network whose state comes to rest, and where
#: it stops.
SHOWN = """
import torch
from comparisons.testing.early_exit import answer_early
from comparisons.testing.evaluation import evaluate
from comparisons.testing.exits import exit_rule_class
from comparisons.testing.session import Session
from paradigms.base import Paradigm, State
from tasks import load_task

class Halving(Paradigm):
    def encode(self, x):
        return State(torch.ones_like(x))
    def advance(self, state, context):
        return State(state.hidden + 0.5 ** (state.iteration + 1), state.iteration + 1)
    def readout(self, state):
        return torch.cat([state.hidden, -state.hidden], 1)

rule, seen = exit_rule_class("slowing"), []
right = rule.chooses
rule.chooses = lambda self, look: (seen.append(look.change.max().item()), right(self, look))[1]
task = load_task("prefix_sums")
session = Session(Halving(), task, torch.device("cpu"))
scores = evaluate(session, 16, split="test", count=4, seed=0, iterations=20, record=[20],
                  rules=("slowing",))
print(*seen[:6])
print(*scores.exits["slowing"].tolist(), *answer_early(
    session, task.sample(16, 4, split="test"), "slowing", 20)[1].tolist())
"""


def test_the_new_exit_rule_sees_how_far_the_state_moves_and_stops(library):
    changes, stops = use(library, "-c", SHOWN).splitlines()
    first, *then = map(float, changes.split())
    assert first == float("inf")
    # The state is 2 - 2 ** -n after n steps.
    assert then == pytest.approx([0.5**n / (2 - 0.5 ** (n - 1)) for n in range(2, 7)])
    assert then[2] < 0.05 < then[1], "slow from the fourth step on, twice at the fifth"
    assert stops.split() == ["5"] * 8


def test_the_new_paradigm_and_exit_rule_are_compared(library):
    out = library / "paradigm"
    rules = "--set=evaluation.exit_rules=slowing,agreement"
    use(
        library,
        "compare.py",
        "--tasks=maze",
        "--paradigms=gated_net,dt_net_recall",
        rules,
        *SHORT,
        f"--out={out}",
    )
    table = pd.read_parquet(out / "results.parquet")
    assert set(table.paradigm) == {"gated_net", "dt_net_recall"}
    slowing = table[table.exit_rule == "slowing"]
    assert len(slowing) > 0
    assert (slowing.exit_iterations_mean < slowing.iterations).any(), "it stops before the budget"
    run = next(path.parent for path in out.glob("runs/maze.gated_net*/result.json"))
    timed = {one["exit_rule"] for one in json.loads((run / "result.json").read_text())["stopping"]}
    assert timed == {"validated", "slowing", "agreement"}
    question = ("--difficulty=7", "--count=4", "--iterations=200", "--rule=slowing")
    use(library, "-m", "comparisons.testing.long_horizon", str(run), *question)
    (path,) = (run / "thinking").glob("7-4-slowing-it200-*.json")
    answers = json.loads(path.read_text())["answers"]
    assert all(answer["stopped"] and answer["iterations"] < 200 for answer in answers)


def test_the_new_task_and_paradigm_pass_the_contract_tests(library):
    chosen = ["-k", "majority or gated_net", "-m", "not slow", "-p", "no:cacheprovider"]
    said = use(
        library,
        "-m",
        "pytest",
        "-o",
        "addopts=--import-mode=importlib",
        "tests/tasks/test_task_contract.py",
        "tests/paradigms/test_paradigm_contract.py",
        *chosen,
    )
    assert int(re.search(r"(\d+) passed", said)[1]) > 20


def test_the_new_study_gives_its_claim_a_verdict(library):
    out = library / "study"
    small = (
        "--set=paradigm.width=8",
        "--set=paradigm.iterations=3",
        "--set=evaluation.iterations=8",
    )
    use(library, "compare.py", "--study=ours", *SHORT, *small, f"--out={out}")
    (study,) = json.loads((out / "verdicts.json").read_text())["studies"]
    assert study["study"] == "ours"
    assert [c["id"] for c in study["claims"]] == ["OURS-1"]
    assert study["complete"] == 6
    assert study["claims"][0]["verdict"] != "not run"
