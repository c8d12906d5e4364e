"""What is on by itself on a GPU computes what is computed without. There is no GPU here: steps are
recorded by something that does again what it was shown, on the same memory."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from accelerate import Accelerator

from comparisons import hardware
from comparisons.execution import study
from comparisons.execution.run import build
from comparisons.hardware import PLAIN_GPU, quick_gpu, tune
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training import batches as making
from comparisons.training import loop, optimizers
from comparisons.training.loop import Training, train_run

ACCELERATOR = Accelerator(cpu=True)
GPU = torch.device("cuda", 0)


def a_run(out, paradigm="dt_net_recall", **train):
    asked = {"steps": 24, "batch_size": 4, "validate_every": 8, "validation_samples": 8}
    asked |= {"precision": "fp32", "alpha": 0.5, **train}
    chosen = {("train", name): value for name, value in asked.items()}
    width = {"width": 8, "iterations": 4} if "resnet" not in paradigm else {"width": 8}
    chosen |= {("paradigm", name): value for name, value in width.items()}
    spec = make_spec("maze", paradigm, "smoke", 0, 40, chosen)
    folder = RunFolder(out, spec)
    folder.open()
    return spec, *build(spec), folder


class Again:
    """Like a CUDA graph: recording has no effect, replaying has, and reads what it was shown."""

    def __init__(self, fails: str = "") -> None:
        self.recorded = self.replayed = 0
        self.inside = False
        self.fails = fails

    @contextmanager
    def beside(self):
        assert not self.inside
        self.inside = True
        yield
        self.inside = False

    def record(self, work):
        assert self.inside
        if self.fails:
            raise RuntimeError(self.fails)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            work()

        return replay


def trained(out, recorder=None, paradigm="dt_net_recall", **train):
    run = a_run(out, paradigm, **train)
    begin = Training.begin.__func__

    def begun(cls, *given):
        training = begin(cls, *given)
        if recorder:
            training.graphs = training.graphed(recorder)
        kept.append(training)
        return training

    kept: list[Training] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "begin", classmethod(begun))
        tested, progress, _ = train_run(*run, ACCELERATOR, lambda news: None)
    return tested.state_dict(), progress, run[-1].metrics_path.read_text(), kept[0]


@pytest.mark.parametrize("paradigm", ["dt_net_recall", "lottery", "recurrent_resnet_bn"])
def test_replayed_steps_are_the_steps_themselves(paradigm, tmp_path):
    plain, progress, lines, _ = trained(tmp_path / "plain", None, paradigm)
    recorder = Again()
    graphed, also, same, training = trained(tmp_path / "graphed", recorder, paradigm)
    assert recorder.replayed > recorder.recorded > 0
    assert training.graphs.why_off == ""
    torch.testing.assert_close(graphed, plain, rtol=0, atol=0)
    assert same == lines
    assert (also.step, also.kept_iterations) == (progress.step, progress.kept_iterations)


def test_a_draw_that_leaves_the_first_layers_out_leaves_them_without_a_gradient(tmp_path):
    """Where a zero stood in place of none, Adam would move those weights all the same."""
    run = a_run(tmp_path, alpha=1.0)
    training = Training.begin(*run, ACCELERATOR, lambda news: None)
    recorder = Again()
    graphs = training.graphed(recorder)
    batch = run[1].sample(9, 4)
    for draw, first in (((0, 2), True), ((2, 2), False), ((2, 2), False), ((0, 2), True)):
        graphs.step(batch, draw)
        assert (training.model.projection[0].weight.grad is not None) is first
        training.optimizer.zero_grad()
    assert (recorder.recorded, recorder.replayed) == (2, 2)


def test_batches_of_another_shape_are_recorded_apart(tmp_path):
    run = a_run(tmp_path, alpha=1.0)
    training = Training.begin(*run, ACCELERATOR, lambda news: None)
    recorder = Again()
    graphs = training.graphed(recorder)
    losses = {}
    for count in (4, 3, 4, 3):
        losses.setdefault(count, []).append(graphs.step(run[1].sample(9, count), (1, 2)).item())
        training.optimizer.zero_grad()
    assert losses[4][0] == losses[4][1] != losses[3][0] == losses[3][1]
    assert recorder.recorded == 2


def test_what_cannot_be_recorded_is_trained_without_and_said(tmp_path, monkeypatch):
    plain, *_ = trained(tmp_path / "plain")
    recorder = Again("operation not permitted when stream is capturing\nand more")
    found, _, _, training = trained(tmp_path / "without", recorder)
    torch.testing.assert_close(found, plain, rtol=0, atol=0)
    assert recorder.replayed == 0
    monkeypatch.setattr(loop, "quick_gpu", lambda device: True)
    assert training.speedups()[-1] == (
        "no CUDA graphs: operation not permitted when stream is capturing"
    )


def test_what_was_on_is_recorded_on_a_gpu_and_nothing_on_a_cpu(tmp_path, monkeypatch):
    _, progress, _, training = trained(tmp_path, Again())
    assert progress.speedups == []
    monkeypatch.setattr(loop, "quick_gpu", lambda device: True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    for group in training.optimizer.param_groups:
        group["fused"] = True
    assert training.speedups() == ["pinned batches", "cuDNN benchmark", "fused adam", "CUDA graphs"]


def test_a_gpu_is_used_the_quick_way_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(PLAIN_GPU, raising=False)
    assert quick_gpu(GPU)
    assert not quick_gpu(torch.device("cpu"))
    assert not quick_gpu(torch.device("mps"))
    monkeypatch.setenv(PLAIN_GPU, "1")
    assert not quick_gpu(GPU)
    monkeypatch.delenv(PLAIN_GPU)
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert not quick_gpu(GPU)


@pytest.mark.parametrize(
    ("device", "share", "fraction"),
    [(GPU, 1, None), (GPU, 2, 0.475), (torch.device("cuda"), 2, 0.475)],
)
def test_workers_on_one_gpu_keep_to_their_part_of_its_memory(device, share, fraction, monkeypatch):
    told = []
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *g: told.append(g))
    tune(device, share)
    assert torch.backends.cudnn.benchmark
    # An index or none: torch takes no device without one, which is what Accelerate gives.
    assert told == ([] if fraction is None else [(fraction, device.index)])
    tune(torch.device("cpu"), share)
    assert not torch.backends.cudnn.benchmark
    assert len(told) <= 1


def test_workers_take_the_gpus_of_a_machine_in_turn(monkeypatch, tmp_path):
    chosen, shares = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(study, "Accelerator", lambda **given: ACCELERATOR)
    monkeypatch.setattr(study, "tune", lambda device, share: shares.append(share))
    for number in range(3):
        study.make_accelerator("runs", 3, study.Tracking("", tmp_path), number)
    assert chosen == [0, 1, 0]
    assert shares == [2, 2, 2]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimisers_are_fused_on_gpus_alone_and_their_state_goes_on(name, tmp_path, monkeypatch):
    spec, task, model, _ = a_run(tmp_path, optimizer=name)
    plain = optimizers.make_optimizer(model, spec.train)
    assert all(group["fused"] is None for group in plain.param_groups)
    monkeypatch.setattr(optimizers, "quick_gpu", lambda device: True)
    fused = optimizers.make_optimizer(model, spec.train)
    assert all(group["fused"] is True for group in fused.param_groups)
    task.loss(model(task.sample(9, 4).inputs), task.sample(9, 4)).backward()
    plain.step()
    optimizers.restore_state(fused, model, optimizers.named_state(plain, model))
    fused.step()
    stored = optimizers.named_state(fused, model)
    assert stored.keys() == optimizers.named_state(plain, model).keys()
    steps = {float(value) for key, value in stored.items() if key.endswith(".step")}
    assert steps == (set() if name == "sgd" else {2.0})


def test_batches_for_a_gpu_lie_in_pinned_memory(tmp_path, monkeypatch):
    spec, task, _, _ = a_run(tmp_path)
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: pinned.append(t.shape) or t)
    assert next(making.batches(task, spec, 0, ACCELERATOR)).inputs.shape[0] == 4
    assert not pinned
    monkeypatch.setattr(making, "quick_gpu", lambda device: True)
    source = making.batches(task, spec, 0, ACCELERATOR)
    next(source)
    source.close()
    assert len(pinned) >= 3  # inputs, targets and mask


def test_tf32_flags_are_read_from_where_they_are_set():
    for wanted in (True, False):
        hardware.set_tf32(wanted)
        assert hardware.tf32_flags() == (wanted, wanted)
    hardware.set_tf32(False, True)
