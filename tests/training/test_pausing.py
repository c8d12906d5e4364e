"""A run that was paused between any two steps goes on to the same result, to the bit."""

from __future__ import annotations

import pytest
from accelerate import Accelerator

from comparisons.execution.run import build, execute
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training.loop import Paused, Training, train_run

ACCELERATOR = Accelerator(cpu=True)


def a_run(out, paradigm="dt_net_recall", **train):
    asked = {"steps": 9, "batch_size": 4, "validate_every": 4, "validation_samples": 8}
    asked |= {"precision": "fp32", **train}
    chosen = {("train", name): value for name, value in asked.items()}
    chosen |= {("paradigm", "width"): 8, ("paradigm", "iterations"): 3}
    chosen |= {("evaluation", "samples"): 10, ("evaluation", "iterations"): 4}
    chosen |= {("lottery", n): v for n, v in LOTTERY.items()} if paradigm == "lottery" else {}
    spec = make_spec("maze", paradigm, "smoke", 0, 40, chosen)
    return spec, RunFolder(out, spec)


LOTTERY = {"criterion": "imp", "rounds": 2, "density": 0.5}


def comparable(run: RunFolder):
    result = {**run.result().to_dict(), "train_seconds": 0, "data_wait_share": 0, "stopping": []}
    result.pop("scoring_seconds", None)
    rows = [{**row, "train_seconds": 0} for row in result["rows"]]
    return {**result, "rows": rows}, run.metrics_path.read_text(), run.model_path.read_bytes()


@pytest.mark.parametrize("paradigm", ["dt_net_recall", "lottery"])
def test_paused_after_every_step_and_before_the_tests(paradigm, tmp_path):
    spec, whole = a_run(tmp_path / "whole", paradigm)
    execute(spec, whole, ACCELERATOR, lambda news: None)
    _, run = a_run(tmp_path / "parts", paradigm)
    asked: list[str] = []

    def pause(phase):
        asked.append(phase)
        return len(asked) == 1 if phase == "training" else asked.count("testing") == 1

    pauses = 0
    while not run.complete:
        asked[:] = [one for one in asked if one == "testing"]
        try:
            execute(spec, run, ACCELERATOR, lambda news: None, pause)
        except Paused:
            pauses += 1
            assert run.begun
            assert not run.complete
    trainings = 3 if paradigm == "lottery" else 1
    assert pauses >= trainings * 8
    assert comparable(run) == comparable(whole)


def test_there_is_no_pause_after_the_last_step(tmp_path):
    spec, run = a_run(tmp_path, steps=3, validate_every=1)
    run.open()
    asked: list[str] = []
    train_run(spec, *build(spec), run, ACCELERATOR, lambda news: None, asked.append)
    assert asked == ["training"] * 2


def test_a_training_that_stopped_early_is_not_gone_on_with(tmp_path, monkeypatch):
    spec, run = a_run(
        tmp_path, steps=40, validate_every=2, patience=2, learning_rate=1e-9, warmup_steps=0
    )
    execute(spec, run, ACCELERATOR, lambda news: None)
    before = comparable(run)
    stopped = run.result()
    assert stopped.steps < 40
    assert stopped.reason == f"stopped early at step {stopped.steps}"
    (run.path / "result.json").unlink()
    monkeypatch.setattr(Training, "take_step", lambda *_: pytest.fail("trained again"))
    execute(spec, run, ACCELERATOR, lambda news: None)
    assert comparable(run) == before
