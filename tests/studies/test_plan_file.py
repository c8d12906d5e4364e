"""Plan files: what they say is planned, and what they get wrong is told by its line."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ROOT, SMALL
from outside import undone

from comparisons.cli import main
from comparisons.planning.overrides import Sweep
from comparisons.planning.plan import Request, make_plan
from comparisons.studies import STUDIES
from comparisons.studies.plan_file import REQUIRED, SCHEMA, plan_of_file, read_plan_file
from foundations.errors import USAGE
from paradigms import PARADIGMS

PLAN = """\
    title = "Recall"
    seeds = [0, 1, 2]

    [[request]]
    tasks = ["prefix_sums"]
    paradigms = ["dt_net", "dt_net_recall"]
    train_samples = [1000]
    set.train.steps = 8
    set.train.alpha = [0.0, 1.0]
    set.evaluation.difficulties = [16, 32]

    [request.recipe.dt_net]
    train.learning_rate = 0.0005
    paradigm.width = 8

    [[request]]
    tasks = ["maze"]
    paradigms = ["convnet"]
    seeds = [5]

    [[claim]]
    id = "MINE"
    text = "Recall helps."
    rule = "beats"
    by = 0.01
    runs = [
        { task = "prefix_sums", paradigm = "dt_net_recall", set.train.alpha = 1.0 },
        { task = "prefix_sums", paradigm = "dt_net", set.train.alpha = 1.0 },
    ]
"""


@pytest.fixture(autouse=True)
def _undo():
    with undone(STUDIES, PARADIGMS):
        yield


def written(folder: Path, text: str = PLAN, name: str = "recall.toml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def test_a_file_plans_what_its_requests_say(tmp_path):
    plan, of_study, title = plan_of_file(read_plan_file(written(tmp_path)), "smoke")
    settings = {
        ("train", "steps"): 8,
        ("train", "alpha"): Sweep(0.0, 1.0),
        ("evaluation", "difficulties"): (16, 32),
    }
    first = Request(
        ("prefix_sums",), ("dt_net", "dt_net_recall"), "smoke", (0, 1, 2), (1000,), settings
    )
    recipe = {("train", "learning_rate"): 0.0005, ("paradigm", "width"): 8}
    expected = [
        *make_plan(replace(first, recipes={"dt_net": recipe})).runs,
        *make_plan(Request(("maze",), ("convnet",), "smoke", (5,))).runs,
    ]
    assert list(plan.runs) == expected
    assert {run.train.learning_rate for run in plan.runs if run.paradigm == "dt_net"} == {0.0005}
    plain = [run for run in plan.runs if run.paradigm == "dt_net_recall"]
    assert plain == [r for r in make_plan(first).runs if r.paradigm == "dt_net_recall"]
    assert of_study == {"recall": plan.runs}
    assert title == "Recall"


def test_the_command_line_comes_over_and_beside_the_file(tmp_path):
    file = read_plan_file(written(tmp_path))
    plan, _, _ = plan_of_file(file, "smoke", (7,), {("train", "batch_size"): 4})
    assert {run.seed for run in plan.runs} == {7}
    assert {run.train.batch_size for run in plan.runs} == {4}


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("seeds = [0, 1, 2]", "seeds = [0, 1", 4, "Unclosed array"),
        ("seeds = [0, 1, 2]", "seeds = 3", 2, "seeds must be a list, each a whole number, not 3"),
        ("seeds = [0, 1, 2]", "sedes = [3]", 2, "unknown key of the plan 'sedes'; known: seeds"),
        ('tasks = ["prefix_sums"]', 'tasks = ["sums"]', 5, "unknown task 'sums'"),
        ('"dt_net", "dt', '"dtnet", "dt', 6, "unknown paradigm 'dtnet'; known: dt_net"),
        ("set.train.steps = 8", "set.train.stesp = 8", 8, "unknown train field 'stesp'; known: st"),
        ("set.train.steps = 8", "set.train.steps = -1", 8, "train.steps must be at least 1"),
        ("set.evaluation.difficulties =", "set.evaluation =", 10, "must be GROUP.OPTION"),
        ("set.train.steps = 8", "set.trian.steps = 8", 8, "unknown group in --set 'trian'"),
        ("recipe.dt_net]", "recipe.hgru]", 12, "unknown paradigm of a recipe 'hgru'"),
        ("train.learning_rate = 0.0005", "task.size = 1", 12, "a recipe is of paradigm.OPTION"),
        ("paradigm.width = 8", "paradigm.widht = 8", 14, "unknown option of paradigm dt_net 'wid"),
        ("paradigm.width = 8", "paradigm.width = [1, 2]", 14, "paradigm.width of a recipe must"),
        ('tasks = ["maze"]', "", 16, "request needs tasks"),
        ('rule = "beats"', 'rule = "beat"', 24, "unknown rule 'beat'; known: beats"),
        ("by = 0.01", "margin = 0.01", 25, "rule beats takes better, worse, by"),
        ('"dt_net", set', '"dt_net", setting', 28, "key of run of a claim 'setting'; known: set"),
        ('"dt_net", set', '"gru", set', 26, "no planned run is gru alpha=1.0 on prefix_sums"),
        ('"dt_net", set', '"dt_net", difficulty = 9, set', 26, "planned runs are tested on 16, 32"),
        ('title = "Recall"', 'plugins = ["gone.py"]', 1, "plugin .*gone.py: there is no such file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_line(tmp_path, capsys, old, new, line, said):
    assert old in PLAN
    path = written(tmp_path, PLAN.replace(old, new, 1))
    assert main([f"--plan={path}", "--dry-run"]) == USAGE
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("compare.py: ")
    assert f"line {line}" in error
    assert re.search(said, error), error


def test_a_file_that_is_none_and_options_that_it_brings_itself_are_told(tmp_path, capsys):
    assert main([f"--plan={tmp_path / 'none.toml'}"]) == USAGE
    assert main([f"--plan={written(tmp_path)}", "--tasks=maze"]) == USAGE
    assert main([f"--plan={written(tmp_path)}", "--study=all"]) == USAGE
    assert main([f"--plan={written(tmp_path, name='b22-maze.toml')}", "--dry-run"]) == USAGE
    lines = capsys.readouterr().err.splitlines()
    for line, part in zip(
        lines,
        ["can't be read", "leave out --tasks", "leave out --study", "there is a study named b22"],
        strict=True,
    ):
        assert part in line


MINE = """\
    from torch import nn
    from paradigms import register

    @register("looped")
    class Looped(nn.Module):
        def __init__(self, spec):
            super().__init__()
            self.encode = nn.Conv1d(spec.in_channels, 4, 3, padding=1)
            self.readout = nn.Conv1d(4, spec.outputs, 1)

        def step(self, state, x):
            return (state + self.encode(x)).tanh()
"""


def test_the_example_of_the_docs_is_run_with_its_plugin_and_judged(tmp_path):
    page = (ROOT / "docs" / "plan_files.md").read_text()
    (text,) = re.findall(r"```toml\n# recall.toml\n(.*?)```", page, re.DOTALL)
    written(tmp_path, MINE, "mine.py")
    path = written(tmp_path, text)
    brought = ("--preset", "--train-samples", "--set=paradigm", "--set=train.steps")
    small = [option for option in SMALL if not option.startswith(brought)]
    asked = [*small, "--seeds=0", "--workers=1", f"--out={tmp_path / 'out'}", "--preset=smoke"]
    plan, _, _ = plan_of_file(read_plan_file(path), "quick")
    assert len(plan.runs) == 15
    path = written(
        tmp_path, text.replace("steps = 800", "steps = 2").replace("[1000, 10000]", "[10000]")
    )
    assert main([f"--plan={path}", *asked]) == 0
    out = tmp_path / "out"
    (study,) = json.loads((out / "verdicts.json").read_text())["studies"]
    assert (study["study"], [c["id"] for c in study["claims"]]) == ("recall", ["RECALL-1"])


def test_the_docs_tell_every_key():
    page = (ROOT / "docs" / "plan_files.md").read_text()
    for table in SCHEMA.values():
        for key in table:
            assert f"`{key}`" in page or f"`[[{key}]]`" in page, key
    assert set(REQUIRED) == set(SCHEMA)
