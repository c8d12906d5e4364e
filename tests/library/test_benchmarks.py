"""The benchmark measures what it says, on sizes small enough for a test; never how fast."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks import steps
from benchmarks.cases import Convolution, Network, Sweep
from comparisons.training import compiling


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(benchmarks, "SHORT", 0.0)


def test_contestants_run_in_turn_and_times_are_sorted():
    calls = []
    times = benchmarks.seconds_of(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3
    )
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert all(values == sorted(values) for values in times.values())


def test_short_calls_are_repeated_until_they_add_up():
    times = benchmarks.seconds_of({"a": lambda: None}, repeats=2, least=0.05)
    assert len(times["a"]) > 2
    assert sum(times["a"]) >= 0.05


def test_a_network_is_measured_against_itself_in_the_plain_way():
    case = Network("tiny", "dt_net_recall", "maze", 9, 4, {"width": 8, "iterations": 3})
    rows = benchmarks.network(case, torch.device("cpu"), repeats=1, roof=benchmarks.Roof(2e9, 1e9))
    assert [row.how.split(",")[0] for row in rows] == ["inference", "training step"]
    for row in rows:
        assert row.rate == 4 / row.seconds
        assert row.ratio > 0
        assert row.share_of_roofline > 0
        # both do the same work, the plain one against half the roofline
        assert row.plain_share_of_roofline == pytest.approx(2 * row.share_of_roofline / row.ratio)
    text = benchmarks.table(rows)
    assert text.count("\n") == 3
    assert "nan" not in text


@pytest.mark.parametrize("sites", [(6, 6), (12,)])
def test_a_convolution_is_measured_alone(sites):
    case = Convolution("tiny", 4, 2, sites)
    rows = benchmarks.convolution(
        case, torch.device("cpu"), torch.bfloat16, 1, benchmarks.Roof(1e9, 1e9)
    )
    assert [row.how for row in rows] == ["forward, bf16", "forward and backward, bf16"]
    flops = 2 * (2 * 4 * 4) * 3 ** len(sites) * (36 if len(sites) == 2 else 12)
    for row, passes in zip(rows, (1, 3), strict=True):
        assert row.share_of_roofline == pytest.approx(passes * flops / row.seconds / 1e9)


def test_a_sweep_is_measured():
    case = Sweep("tiny", "dt_net_recall", "maze", 9, 4, 5, {"width": 8, "iterations": 3})
    (row,) = benchmarks.sweep(case, torch.device("cpu"), 1)
    assert row.rate == 4 / row.seconds
    assert row.ratio > 0


def test_whole_steps_are_measured_in_each_way(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    torch._dynamo.reset()
    case = steps.Steps("tiny", "maze", "dt_net_recall", "smoke", {"width": 8, "iterations": 3})
    rows = benchmarks.whole_steps(case, torch.device("cpu"), 1)
    assert [row.how.partition(" in ")[0] for row in rows] == ["library", "library, compiled"]
    for row in rows:
        assert row.rate == steps.DRAWS / row.seconds
        assert row.ratio > 0


def test_the_spelt_out_recipe_is_the_librarys(monkeypatch):
    """In float32, without an average or a warm-up, both take the same steps."""
    case = steps.Steps("tiny", "maze", "dt_net_recall", "smoke", {"width": 8, "iterations": 3})
    spec = steps.spec_of(case)
    train = replace(spec.train, warmup_steps=0, schedule="constant", precision="fp32", alpha=0.5)
    monkeypatch.setattr(steps, "spec_of", lambda case: replace(spec, train=train))
    built = []
    build = steps.build
    monkeypatch.setattr(steps, "build", lambda spec: built.append(build(spec)) or built[-1])
    steps.spelt_out(case, torch.device("cpu"))()
    steps.library(case, torch.device("cpu"), False, False)()
    (_, plain), (_, library) = built
    torch.testing.assert_close(library.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


def test_results_are_written_with_the_machine_they_hold_for(tmp_path, monkeypatch, capsys):
    for name in ("CONVOLUTIONS", "NETWORKS", "SWEEPS", "STEPS"):
        monkeypatch.setattr(benchmarks, name, ())
    monkeypatch.setattr(benchmarks, "GENERATORS", (("prefix_sums", {}, 16, 10),))
    assert benchmarks.main(["--repeats=1", f"--out={tmp_path / 'b.json'}"]) == 0
    record = json.loads((tmp_path / "b.json").read_text())
    assert record["roofline_flops"] > 0
    assert record["roofline_flops_fp32"] > 0
    assert record["command"].startswith("python -m benchmarks --repeats=1 --out=")
    assert record["device"] in capsys.readouterr().out
    (row,) = record["rows"]
    assert row["unit"] == "problems/s"
    assert row["ratio"] is None
