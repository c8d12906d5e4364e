"""Runs that differ from a finished one in their tests alone are not trained again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import SMALL, comparable, edit, flip, halve

from comparisons.cli import main
from comparisons.training import loop as training

ONE = ("--tasks=maze", "--paradigms=dt_net_recall", "--workers=1", *SMALL)
OTHER_TESTS = ("--set=evaluation.difficulties=9,11", "--set=evaluation.exit_rules=oracle")
ROUNDS = ("--paradigms=lottery", "--set=lottery.criterion=imp", "--set=lottery.rounds=2")


def instead(*options: str) -> list[str]:
    """ONE, with these options in place of its own."""
    names = {option.rpartition("=")[0] for option in options}
    return [*(o for o in ONE if o.rpartition("=")[0] not in names), *options]


def only_run(out: Path, but: Path | None = None) -> Path:
    (run,) = (path for path in (out / "runs").iterdir() if path.name != (but and but.name))
    return run


def result(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


@pytest.fixture
def finished(whole, tmp_path) -> Path:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert main([*ONE, f"--out={out}"]) == 0
    return out


@pytest.fixture
def trainings(monkeypatch) -> list[int]:
    """A number for each training step done."""
    done: list[int] = []
    step = training._backward
    monkeypatch.setattr(training, "_backward", lambda *given: done.append(1) or step(*given))
    return done


@pytest.mark.parametrize("more", [(), ROUNDS], ids=["one training", "rounds of pruning"])
def test_other_tests_of_the_same_training_give_what_a_run_of_their_own_gives(
    more, tmp_path, trainings
):
    out, alone = tmp_path / "out", tmp_path / "alone"
    assert main([*ONE, *more, *OTHER_TESTS, f"--out={alone}"]) == 0
    assert main([*ONE, *more, f"--out={out}"]) == 0
    first = only_run(out)
    assert trainings
    trainings.clear()
    assert main([*ONE, *more, *OTHER_TESTS, f"--out={out}"]) == 0
    assert not trainings
    second = only_run(out, first)
    assert result(second)["trained_as"] == first.name
    assert "trained_as" not in result(first)
    assert result(second)["train_seconds"] == pytest.approx(result(first)["train_seconds"], abs=0.5)
    shutil.rmtree(first)
    assert comparable(out) == comparable(alone)


def test_the_first_of_three_is_the_one_named(finished):
    first = only_run(finished)
    for count in (30, 40):
        assert main([*instead(f"--set=evaluation.samples={count}"), f"--out={finished}"]) == 0
    named = [result(path).get("trained_as") for path in (finished / "runs").iterdir()]
    assert sorted(named, key=str) == sorted([None, first.name, first.name], key=str)


@pytest.mark.parametrize(
    "change",
    [
        "--seeds=1",
        "--set=evaluation.seed=5",
        "--set=train.steps=7",
        "--set=paradigm.width=6",
        "--train-samples=41",
    ],
)
def test_another_training_is_trained(change, finished, trainings):
    first = only_run(finished)
    assert main([*instead(*OTHER_TESTS, change), f"--out={finished}"]) == 0
    assert trainings
    assert "trained_as" not in result(only_run(finished, first))


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("checkpoint/state.safetensors", halve),
        ("checkpoint/state.safetensors", flip),
        ("checkpoint/state.safetensors", Path.unlink),
        ("metrics.jsonl", Path.unlink),
        ("result.json", Path.unlink),
        ("result.json", halve),
        ("spec.json", halve),
        ("result.json", edit(device="another")),
        ("result.json", edit(processes=2)),
    ],
)
def test_nothing_is_taken_from_a_run_that_is_not_whole_or_was_trained_elsewhere(
    file, change, finished, trainings
):
    first = only_run(finished)
    change(first / file)
    assert main([*ONE, *OTHER_TESTS, f"--out={finished}"]) == 0
    assert len(trainings) == 6
    second = result(only_run(finished, first))
    assert "trained_as" not in second
    assert "set_aside" not in second
