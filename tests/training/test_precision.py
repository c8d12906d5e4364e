"""A precision is what it says: bf16, IEEE float32 and TF32, forwards and backwards; float64 sums
stay off devices without."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from commands import SMALL
from torch.overrides import TorchFunctionMode

from comparisons import hardware
from comparisons.cli import main
from comparisons.execution.run import build
from comparisons.execution.study import Tracking, make_accelerator
from comparisons.hardware import autocast, resolve_precision, set_tf32, sums_device, tf32_flags
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training import loop as training
from comparisons.training.loop import train_run

CPU = torch.device("cpu")
ON, OFF = (True, True), (False, False)
#: As torch starts: products in IEEE float32, convolutions in TF32.
TORCHS = (False, True)


@pytest.fixture(autouse=True)
def _flags_as_torch_starts():
    set_tf32(*TORCHS)
    yield
    set_tf32(*TORCHS)


@pytest.mark.parametrize(("precision", "inside"), [("fp32", OFF), ("bf16", OFF), ("tf32", ON)])
def test_a_precision_holds_in_its_context_and_no_longer(precision, inside):
    with autocast(CPU, precision):
        assert tf32_flags() == inside
        assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
        with autocast(CPU, "fp32"):
            assert tf32_flags() == OFF
        assert tf32_flags() == inside
    assert tf32_flags() == TORCHS
    with pytest.raises(KeyError), autocast(CPU, precision):
        raise KeyError
    assert tf32_flags() == TORCHS


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="torch 2.8 has the older way alone"
)
def test_both_of_torchs_ways_to_ask_agree_whatever_was_set_before():
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    for wanted in (False, True, False):
        set_tf32(wanted)
        assert tf32_flags() == (wanted, wanted)
        assert torch.backends.cuda.matmul.allow_tf32 is wanted
        assert torch.backends.cudnn.allow_tf32 is wanted


def test_float32_is_ieee_from_the_start(tmp_path):
    make_accelerator("runs", 1, Tracking("", tmp_path))
    assert tf32_flags() == OFF


def a_run(tmp_path, **train):
    asked = {"steps": 2, "batch_size": 4, "validation_samples": 8, **train}
    chosen = {("train", name): value for name, value in asked.items()}
    chosen |= {("paradigm", "width"): 8, ("paradigm", "iterations"): 3}
    spec = make_spec("maze", "dt_net_recall", "smoke", 0, 40, chosen)
    folder = RunFolder(tmp_path, spec)
    folder.open()
    return spec, *build(spec), folder


@pytest.mark.parametrize(("precision", "there"), [("fp32", OFF), ("bf16", OFF), ("tf32", ON)])
def test_gradients_are_computed_in_the_precision_of_the_pass(
    precision, there, tmp_path, monkeypatch
):
    monkeypatch.setattr(hardware, "has_tf32", lambda device: True)
    spec, task, model, folder = a_run(tmp_path, precision=precision)
    seen = []
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: seen.append(tf32_flags()))
    *_, ran = train_run(spec, task, model, folder, Accelerator(cpu=True), lambda news: None)
    assert ran == precision
    assert set(seen) == {there}
    assert len(seen) >= 2 * len(list(model.parameters())) - 2
    assert tf32_flags() == TORCHS


def test_tf32_where_there_is_none_ends_before_anything_is_trained(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [a for a in SMALL if "precision" not in a]
    asked = ["--tasks=maze", "--paradigms=dt_net", "--set=train.precision=tf32", f"--out={out}"]
    assert main([*arguments, *asked]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "precision tf32 needs an NVIDIA GPU from Ampere on" in line
    assert "auto, bf16, fp32" in line
    assert not out.exists()


def test_auto_is_never_tf32():
    assert resolve_precision("auto", CPU) in ("bf16", "fp32")
    with pytest.raises(ValueError, match="tf32"):
        resolve_precision("tf32", CPU)


@pytest.mark.parametrize(
    ("capability", "hip", "override", "has"),
    [
        ((8, 0), None, None, True),
        ((9, 0), None, "1", True),
        ((7, 5), None, None, False),
        ((9, 0), "6.2", None, False),
        ((9, 0), None, "0", False),
    ],
)
def test_tf32_is_for_ampere_and_later_unless_switched_off(
    capability, hip, override, has, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    assert hardware.has_tf32(torch.device("cuda")) is has
    assert not hardware.has_tf32(CPU)


def test_runs_that_are_to_stay_on_cpus_have_no_tf32(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: "gpu")
    assert hardware.expected_device() == "gpu"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert hardware.expected_device() == CPU
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
    assert hardware.expected_device() == torch.device("meta")


# Devices without float64.


def test_sums_are_kept_on_the_device_unless_it_is_apples():
    assert sums_device(torch.device("mps", 0)) == CPU
    for name in ("cpu", "cuda:1"):
        assert sums_device(torch.device(name)) == torch.device(name)


class NoFloat64(TorchFunctionMode):
    """Fails like MPS where a float64 tensor is made on a device, here the CPU by its number."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kwargs.get("device") == torch.device("cpu", 0) and kwargs.get("dtype") is torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return func(*args, **kwargs)


def test_training_makes_no_float64_on_a_device_without(tmp_path, monkeypatch):
    accelerator = Accelerator(cpu=True)
    monkeypatch.setattr(type(accelerator), "device", torch.device("cpu", 0))
    monkeypatch.setattr(training, "sums_device", lambda device: CPU, raising=False)
    monkeypatch.setattr(training, "validate", lambda *given: {"loss": 1.0})
    run = a_run(tmp_path, precision="fp32")
    with NoFloat64():
        _, progress, _ = train_run(*run, accelerator, lambda news: None)
    assert progress.status == "complete"
    assert progress.loss_sum == 0
