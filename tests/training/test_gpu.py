"""What only a GPU can show: that recorded steps compute what steps taken one by one compute."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator

from comparisons.execution.run import build
from comparisons.hardware import PLAIN_GPU
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training.loop import train_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def trained(out, paradigm, steps):
    """Weights, and what was on, after so many steps of a small network, most of them replayed."""
    values = {("train", name): value for name, value in
              {"steps": steps, "batch_size": 8, "validate_every": 60, "validation_samples": 16,
               "precision": "fp32", "alpha": 0.5}.items()}  # fmt: skip
    values |= {("paradigm", "width"): 8}
    if "resnet" not in paradigm:
        values |= {("paradigm", "iterations"): 3}
    spec = make_spec("maze", paradigm, "smoke", 0, 200, values)
    folder = RunFolder(out, spec)
    folder.open()
    model, progress, _ = train_run(spec, *build(spec), folder, Accelerator(), lambda news: None)
    return {k: v.detach().cpu() for k, v in model.state_dict().items()}, progress.speedups


# Batch normalisation carries rounding on: errors of 5e-4 in convolutions move running means by 1 in
# 120 steps, by 0.01 in 12.
@pytest.mark.parametrize(
    ("paradigm", "steps"),
    [("dt_net_recall", 120), ("feed_forward_recall", 120), ("narrow_resnet18", 6)],
)
def test_recorded_steps_learn_what_single_steps_learn(tmp_path, monkeypatch, paradigm, steps):
    fast, on = trained(tmp_path / "fast", paradigm, steps)
    assert "CUDA graphs" in on, on
    monkeypatch.setenv(PLAIN_GPU, "1")
    plain, off = trained(tmp_path / "plain", paradigm, steps)
    assert off == []
    for name, value in plain.items():
        # Fused optimisers and chosen algorithms round otherwise, and steps carry it on.
        torch.testing.assert_close(fast[name], value, rtol=0.05, atol=0.01, msg=name)
