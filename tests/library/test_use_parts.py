"""What docs/use_parts.md shows, run; and that the parts agree with a study."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import SMALL
from pages import examples
from torch import nn
from torch.utils.data import DataLoader

from comparisons import evaluate_model, load_run
from comparisons.cli import main
from tasks import as_dataset, load_task

PAGE = examples("use_parts.md")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    there = tmp_path_factory.mktemp("parts") / "out"
    asked = ["--tasks=prefix_sums", "--paradigms=dt_net_recall", *SMALL, "--workers=1"]
    tests = ["--set=evaluation.difficulties=16,32", f"--out={there}"]
    assert main([*asked, *tests]) == 0
    return there


@pytest.mark.parametrize("name", PAGE)
def test_an_example_runs_as_it_stands(name, out, monkeypatch, capsys):
    monkeypatch.chdir(out.parent)
    exec(compile(PAGE[name], name, "exec"), {})
    assert capsys.readouterr().out or name == "train.py"


def test_every_example_is_known():
    assert len(PAGE) == 7


def test_a_loaded_run_scores_what_its_study_found(out):
    (folder,) = (out / "runs").iterdir()
    spec, task, model = load_run(folder)
    test = spec.evaluation
    rows = evaluate_model(
        model, task, test.difficulties, samples=test.samples, iterations=test.iterations,
        seed=test.seed, exit_rules=test.exit_rules,
    )  # fmt: skip
    table = pd.read_parquet(out / "results.parquet")
    keys = ["test_difficulty", "exit_rule", "iterations"]
    columns = ["accuracy", "element_accuracy", "ci_low", "ci_high", "exit_iterations_mean"]
    mine = pd.DataFrame(rows).set_index(keys)[columns].sort_index()
    theirs = table[table.exit_rule != "validated"].set_index(keys)[columns].sort_index()
    assert list(mine.index) == list(theirs.index)
    pd.testing.assert_frame_equal(mine, theirs, check_dtype=False, atol=1e-9)


def test_a_folder_that_holds_no_run_is_said_with_the_plugins_it_would_need(tmp_path):
    with pytest.raises(ValueError, match="is not the folder of a finished run") as caught:
        load_run(tmp_path)
    assert "plugin" not in str(caught.value)
    (tmp_path / "made.json").write_text(json.dumps({"plugins": ["/there/mine.py"]}))
    with pytest.raises(ValueError, match=r"made with the plugins /there/mine\.py"):
        load_run(str(tmp_path))


def test_a_function_that_knows_the_answer_scores_one_and_wrong_shapes_are_said():
    task = load_task("prefix_sums")

    def sums(x):
        ones = (x[:, 0] > 0).cumsum(1) % 2
        return nn.functional.one_hot(ones, 2).movedim(2, 1).float()

    (row,) = evaluate_model(sums, task, [24], samples=30)
    assert (row["accuracy"], row["iterations"], row["exit_rule"]) == (1.0, 1, "fixed")
    with pytest.raises(ValueError, match=r"logits for prefix_sums are of shape \(1, 1, 24\), not"):
        evaluate_model(lambda x: x, task, [24])
    with pytest.raises(ValueError, match="unknown task 'maz'"):
        evaluate_model(sums, "maz")
    network = nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2)).train()
    evaluate_model(network, task, [24], samples=5)
    assert network.training, "left as it was"


def parts(batch) -> list[torch.Tensor]:
    return [part for part in (batch.inputs, batch.targets, batch.mask) if part is not None]


@pytest.mark.parametrize("name", ["maze", "prefix_sums", "digits"])
def test_every_form_has_the_problems_that_sample_has(name):
    task = load_task(name)
    difficulty = task.spec.train_difficulty
    right = task.sample(difficulty, 150, seed=3, split="validation")
    for form in ("map", "iterable"):
        problems = as_dataset(task, difficulty, 150, seed=3, split="validation", form=form)
        whole = next(iter(DataLoader(problems, batch_size=150)))
        assert list(whole) == ["inputs", "targets", "mask"][: len(parts(right))]
        for mine, theirs in zip(whole.values(), parts(right), strict=True):
            assert torch.equal(mine, theirs)
            assert mine.dtype == theirs.dtype
    stream = as_dataset(name, difficulty, 150, seed=3, split="validation", form="huggingface")
    rows = sorted(stream.with_format("torch"), key=lambda row: int(row["index"]))
    assert [int(row["index"]) for row in rows] == list(range(150))
    assert torch.equal(torch.stack([row["inputs"] for row in rows]), right.inputs)
    assert torch.equal(torch.stack([row["targets"] for row in rows]), right.targets)


def test_workers_share_a_stream_and_a_map_is_a_sequence():
    stream = as_dataset("prefix_sums", 16, 200, form="iterable")
    seen = [tuple(p["inputs"].flatten().tolist()) for p in DataLoader(stream, None, num_workers=2)]
    problems = as_dataset("prefix_sums", 16, 200)
    assert sorted(seen) == sorted(tuple(p["inputs"].flatten().tolist()) for p in problems)
    assert torch.equal(problems[-1]["inputs"], problems[199]["inputs"])
    with pytest.raises(IndexError, match="no number 200"):
        problems[200]


def test_what_makes_no_sense_is_said():
    with pytest.raises(ValueError, match="maze has no end of train problems: give a count"):
        as_dataset("maze")
    with pytest.raises(ValueError, match="unknown form 'maps'; known: map"):
        as_dataset("maze", form="maps")
    with pytest.raises(ValueError, match="count must be at least 1"):
        as_dataset("maze", 9, 0)
    assert len(as_dataset("digits", split="test")) == load_task("digits").capacity(
        load_task("digits").spec.train_difficulty, "test"
    )
