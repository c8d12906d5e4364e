"""`train.compile`: the same training by compiled code, and nothing compiled for a draw of the
progressive loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from accelerate import Accelerator
from commands import ROOT, SMALL
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from comparisons.cli import main
from comparisons.execution.run import build
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training import compiling
from comparisons.training.compiling import compiled_parts, in_place
from comparisons.training.learner import Learner
from comparisons.training.loop import train_run
from foundations.records.spec import TrainSpec

#: Graphs of a feed-forward twin; torch 2.8 makes one more.
OF_TWIN = 9 if torch.__version__.startswith("2.8.") else 8

ACCELERATOR = Accelerator(cpu=True)
SMALLEST = {"dt_net_recall": {"width": 8, "iterations": 6}, "narrow_resnet18": {"width": 8}}
SMALLEST["feed_forward_recall"] = SMALLEST["lottery"] = SMALLEST["dt_net_recall"]


def a_run(out, paradigm="dt_net_recall", **train):
    asked = {"steps": 6, "batch_size": 4, "validate_every": 2, "validation_samples": 8}
    asked |= {"precision": "fp32", "compile": True, **train}
    chosen = {("train", name): value for name, value in asked.items()}
    chosen |= {("paradigm", name): value for name, value in SMALLEST[paradigm].items()}
    spec = make_spec("maze", paradigm, "smoke", 0, 40, chosen)
    folder = RunFolder(out, spec)
    folder.open()
    return spec, *build(spec), folder


@pytest.fixture
def traced(monkeypatch):
    """Compiles as far as graphs, which is what is counted, and leaves the machine code out. Returns
    how many there are."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    compiling.check_compiler.cache_clear()
    torch._dynamo.reset()
    counters.clear()
    yield lambda: counters["stats"]["unique_graphs"]
    torch._dynamo.reset()
    compiling.check_compiler.cache_clear()


@pytest.mark.parametrize(
    ("paradigm", "most"),
    [("dt_net_recall", 8), ("feed_forward_recall", OF_TWIN), ("narrow_resnet18", 1)],
)
def test_graphs_are_as_many_as_kinds_of_parts_whatever_is_drawn(paradigm, most, traced, tmp_path):
    run = a_run(tmp_path, paradigm, steps=12, validate_every=100)
    before, seen = traced(), []
    forward = Learner.forward

    def counted(self, batch, skipped, kept, *more):
        loss = forward(self, batch, skipped, kept, *more)
        seen.append(((skipped, kept), traced() - before))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "forward", counted)
        train_run(*run, ACCELERATOR, lambda news: None)
    # A network without a progressive loss is drawn the same way at each step.
    assert len({draw for draw, _ in seen}) > 6 or paradigm == "narrow_resnet18"
    assert 0 < seen[-1][1] <= most
    met, last = set(), 0
    for (skipped, kept), graphs in seen:
        kind = (
            skipped > 0,
            kept > 1,
        )  # whether a pass without gradient comes first, and whether parts run again
        assert graphs == last or kind not in met, (
            "draws that differ from the first ones compile nothing"
        )
        met.add(kind)
        last = graphs
    assert not counters["graph_break"]


@pytest.mark.parametrize("paradigm", ["feed_forward_recall", "lottery"])
def test_losses_and_gradients_are_those_of_the_plain_network(paradigm, traced, tmp_path):
    _, task, model, _ = a_run(tmp_path, paradigm)
    batch = task.sample(9, 4, seed=0, split="train")
    found = []
    for compiled in (False, True):
        learner = Learner(model, task, TrainSpec(alpha=0.5), "fp32", compiled=compiled)
        with learner.running():
            loss = learner(batch, 2, 3)
            loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.parameters())])
        model.zero_grad()
    assert traced()
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_outside_training_the_network_is_as_it_was(traced, tmp_path):
    _, _, model, _ = a_run(tmp_path)
    names = list(model.state_dict())
    parts = compiled_parts(model)
    with in_place(parts):
        assert list(model.state_dict()) == names
        assert all("forward" in vars(part) for part in parts)
    assert not any("forward" in vars(part) for part in model.modules())
    with pytest.raises(KeyError), in_place(parts):
        raise KeyError
    assert not any("forward" in vars(part) for part in model.modules())


def test_an_interrupted_training_goes_on_as_if_it_was_not(traced, tmp_path):
    class Stopped(Exception):
        pass

    def stop(news):
        if news["step"] == 4 and "loss" in news:
            raise Stopped

    # Without an average: what is validated and stored is the very network that is trained.
    whole, *_ = train_run(*a_run(tmp_path / "whole", average=0.0), ACCELERATOR, lambda news: None)
    with pytest.raises(Stopped):
        train_run(*a_run(tmp_path / "stopped", average=0.0), ACCELERATOR, stop)
    spec, task, model, folder = a_run(tmp_path / "stopped", average=0.0)
    assert set(folder.checkpoint(True)[0]["model"]) == set(model.state_dict())
    again, progress, _ = train_run(spec, task, model, folder, ACCELERATOR, lambda news: None)
    assert progress.step == 6
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)


def losses(out):
    (run,) = (out / "runs").iterdir()
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return run, [line["loss"] for line in lines]


def test_a_run_by_machine_code_is_recorded_as_such_and_equals_the_plain_one(tmp_path):
    arguments = [*SMALL, "--tasks=maze", "--paradigms=dt_net_recall", "--workers=1"]
    for name in ("false", "true"):
        asked = [f"--set=train.compile={name}", f"--out={tmp_path / name}"]
        assert main([*arguments, *asked]) == 0
    (plain, expected), (compiled, found) = losses(tmp_path / "false"), losses(tmp_path / "true")
    assert found == pytest.approx(expected, rel=1e-3)
    assert plain.name != compiled.name
    assert json.loads((compiled / "spec.json").read_text())["train"]["compile"] is True
    kept = [load_file(run / "model.safetensors") for run in (plain, compiled)]
    torch.testing.assert_close(kept[0], kept[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("without", ["CXX", "TORCHDYNAMO_DISABLE"])
def test_without_a_compiler_nothing_is_begun(without, tmp_path):
    out = tmp_path / "out"
    value = "/nowhere/c++" if without == "CXX" else "1"
    arguments = [*SMALL, "--tasks=maze", "--paradigms=dt_net", "--set=train.compile=true"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "compare.py"), *arguments, f"--out={out}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), without: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "train.compile=true needs what torch.compile compiles with" in done.stderr
    assert not out.exists()
