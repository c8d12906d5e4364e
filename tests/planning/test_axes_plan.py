"""Tests along other axes than difficulty: as asked for, as planned, as stored."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from comparisons.cli import main, make_request
from comparisons.options import make_parser
from comparisons.planning.elsewhere import other_tests
from comparisons.planning.estimate import load_of
from comparisons.planning.plan import make_plan
from comparisons.planning.repeat import repeat_command
from foundations.records.spec import RunSpec
from tasks import load_task

MAZE = load_task("maze").axes()


def planned(*arguments: str) -> RunSpec:
    options = ["--preset=smoke", "--tasks=maze", "--paradigms=dt_net_recall", *arguments]
    return make_plan(make_request(make_parser().parse_args(options))[0]).runs[0]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], []),
        (["--axes"], list(MAZE)),
        (["--axes=loops,offset"], ["loops", "offset"]),
        (["--set=evaluation.axes=all"], list(MAZE)),
        (["--tasks=digits", "--paradigms=convnet", "--axes"], []),
    ],
)
def test_axes_are_those_asked_for_that_the_task_has(asked, found):
    spec = planned(*asked)
    assert list(spec.evaluation.axes) == found
    assert RunSpec.from_dict(spec.to_dict()) == spec
    own = {name: o for name, o in spec.evaluation.axes.items() if o != spec.task_options}
    assert [e.label for e in other_tests(spec)] == [f"maze:{name}" for name in own]
    assert "plain" not in own
    words = repeat_command(spec).replace("python compare.py", "").split()
    assert make_plan(make_request(make_parser().parse_args(words))[0]).runs == (spec,)
    assert load_of(spec).testing >= load_of(planned(*asked, "--set=evaluation.pictures=1")).testing


def test_what_is_not_asked_for_names_no_run_anew():
    assert planned("--axes").run_id != planned().run_id
    assert load_of(planned("--axes")).testing > 3 * load_of(planned()).testing


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("--axes=loop", "unknown axis of maze 'loop'; known: loops"),
        ("--set=task.mix=loop", "unknown axis of maze to mix"),
    ],
)
def test_axes_that_no_task_has_are_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        planned(asked)


def test_a_network_is_trained_on_a_mixture_and_tested_on_each_of_its_axes(tmp_path):
    options = ["--preset=smoke", "--tasks=maze", "--paradigms=dt_net_recall", "--workers=1"]
    options += ["--train-samples=16", "--set=train.steps=2", "--set=train.batch_size=4"]
    options += ["--set=train.validation_samples=4", "--set=evaluation.samples=6", "--axes"]
    options += ["--set=evaluation.iterations=3", "--set=paradigm.iterations=2"]
    options += [
        "--set=paradigm.width=4",
        "--set=task.difficulty=5",
        "--set=evaluation.difficulties=5",
    ]
    for mix in ("", "plain+loops"):
        more = [f"--set=task.mix={mix}"] if mix else []
        assert main([*options, *more, f"--out={tmp_path}"]) == 0
    table = pd.read_parquet(tmp_path / "results.parquet")
    expected = {"maze", *(f"maze:{name}" for name in MAZE)}
    assert all(set(rows["test_task"]) == expected for _, rows in table.groupby("run_id"))
    plain = table[~table["run_id"].isin(mixed_runs(tmp_path))].drop(columns="test_task")
    own, again = (
        plain[table["test_task"].reindex(plain.index) == name].reset_index(drop=True)
        for name in ("maze", "maze:plain")
    )
    pd.testing.assert_frame_equal(own, again)
    page = (tmp_path / "report.html").read_text()
    assert "trained on mazes (mix=plain+loops)" in page
    assert "trained on mazes (default options)" in page


def mixed_runs(out) -> list[str]:
    specs = [json.loads(p.read_text()) for p in (out / "runs").glob("*/spec.json")]
    return [RunSpec.from_dict(s).run_id for s in specs if s["task_options"]]
