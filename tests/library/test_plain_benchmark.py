"""The plain script is the library's network and loss, and what is said of the race is no more than
was seen; never how fast."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch.utils.data import TensorDataset

from benchmarks import machine, plain
from comparisons.training.learner import Learner
from foundations.records.spec import TrainSpec
from paradigms import build_paradigm
from tasks import load_task

CPU = torch.device("cpu")


def copied(model, width: int) -> plain.PlainDTNet:
    """The plain network with the library's weights."""
    net = plain.PlainDTNet(width)
    weights = list(model.parameters())
    recall = torch.cat([model.recall.state.weight, model.recall.input.weight], 1)
    own = [model.projection[0].weight, recall]
    own += [conv.weight for block in model.recurrent[0] for conv in (block.first, block.second)]
    own += [layer.weight for layer in model.head if hasattr(layer, "weight")]
    assert sum(w.numel() for w in weights) == sum(w.numel() for w in net.parameters())
    with torch.no_grad():
        for mine, theirs in zip(net.parameters(), own, strict=True):
            mine.copy_(theirs)
    return net


def test_both_sides_compute_the_same_loss():
    task = load_task("maze")
    batch = task.sample(9, 4)
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=5)
    net = copied(model, 8)
    theirs = Learner(model, task, TrainSpec(alpha=plain.ALPHA), "fp32")(batch, 2, 3)
    ours = plain.plain_loss(net, batch.inputs, batch.targets, 5, (2, 3))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_the_recurrent_part_learns_at_a_thirtieth_of_the_rate_after_a_warm_up():
    mazes = load_task("maze").sample(9, 50)
    data = TensorDataset(mazes.inputs, mazes.targets)
    training = plain.plain_training(data, 4, 0, CPU)
    before = [p.clone() for p in next(training).parameters()]
    after = list(next(training).parameters())
    moved = [(a - b).abs().max().item() for a, b in zip(after, before, strict=True)]
    warm = 1 - math.exp(-5 * 2 / plain.WARMUP_EPOCHS)  # one batch is one epoch
    assert max(moved[1:6]) <= 1.01 * warm * plain.RATE / plain.ITERATIONS
    assert max(moved) > 2 * plain.RATE / plain.ITERATIONS


def test_a_step_is_measured_in_turn_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plain, "STEPS", ((4, 2, 2, "cells"),))
    monkeypatch.setattr(plain, "roofline", lambda *_: machine.Roof(2e9, 1e9, 1e9))
    out = tmp_path / "plain.json"
    assert plain.main(["--only=steps", "--repeats=1", "--precision=fp32", f"--out={out}"]) == 0
    record = json.loads(out.read_text())
    (step,) = record["steps"]
    assert step["ratio"] == pytest.approx(step["plain_seconds"] / step["library_seconds"])
    assert step["plain_of_roofline"] == pytest.approx(
        2 * step["library_of_roofline"] / step["ratio"]
    )
    assert record["instruction_set"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("library", "script", "said"),
    [
        (True, True, "takes 3.0 times as long"),
        (True, False, "takes more than 3.0 times as long"),
        (False, True, "no ratio"),
    ],
)
def test_a_script_that_was_stopped_gives_a_bound(library, script, said):
    races = [
        {"side": side, "seed": 0, "seconds": s, "steps": 1, "accuracy": 0.5, "reached": reached}
        for side, s, reached in (("library", 10, library), ("plain", 30, script))
    ]
    assert said in plain.summary({"races": races})


def test_the_race_stops_at_its_limit(monkeypatch):
    monkeypatch.setattr(plain, "MAZES", 100)
    monkeypatch.setattr(plain, "PROBLEMS", 2)
    monkeypatch.setattr(plain, "WIDTH", 4)
    race = plain.plain_race(0, 1.1, 0.01, CPU)
    assert not race.reached
    assert race.steps == 1


@pytest.mark.parametrize(
    ("limit", "kind", "used"),
    [
        ("", "AMX", "AMX"),
        ("AVX2", "AVX512-BF16", "AVX2"),
        ("avx512_core_vnni", "AMX", "AVX512"),
        ("AVX512_CORE_AMX_FP16", "AVX512", "AVX512"),
        ("DEFAULT", "AMX", "AMX"),
        ("AVX2", "aarch64", "aarch64"),
    ],
)
def test_a_forced_limit_is_stated(monkeypatch, limit, kind, used):
    monkeypatch.setenv(machine.LIMIT, limit)
    monkeypatch.setattr(machine, "processor_kind", lambda device: kind)
    assert machine.usable_kind(CPU) == used
    text = machine.instruction_set(CPU)
    assert text.startswith(used)
    assert (f"{machine.LIMIT}={limit}" in text) == (used != kind)


def test_memory_is_measured_as_bytes_a_second():
    assert machine.triad(CPU, numbers=1000) > 0
    assert machine.Roof(2e9, 1e9, 1e8).ridge == 10


def test_the_librarys_side_is_a_run_of_its_command(monkeypatch):
    small = ("--preset=smoke", "--set=train.steps=2", "--set=train.batch_size=4")
    small += (
        "--set=paradigm.width=4",
        "--set=paradigm.iterations=2",
        "--set=evaluation.iterations=4",
    )
    monkeypatch.setattr(plain, "ONE_TEST", (*plain.ONE_TEST, *small))
    monkeypatch.setattr(plain, "MAZES", 50)
    monkeypatch.setattr(plain, "PROBLEMS", 4)
    race = plain.library_race(0, 0.0, "fp32")
    assert (race.side, race.steps, race.reached) == ("library", 2, True)
    assert race.seconds > 0
