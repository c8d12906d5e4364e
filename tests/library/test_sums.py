"""Sums in float64 on devices that have none: Apple's MPS ends a run at the first tensor of that
type."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from comparisons.hardware import sums_device
from comparisons.probes.perturbations import recovery
from comparisons.probes.probe import probe
from comparisons.testing.early_exit import answer_early
from comparisons.testing.evaluation import evaluate
from comparisons.testing.exits import EXIT_RULES, stopping_rules
from comparisons.testing.session import Session
from paradigms import build_paradigm
from tasks import load_task

MPS = torch.device("mps")


class OnMps(Tensor):
    """Stands for a tensor there; which operations return one is up to `LikeMps`."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class LikeMps(TorchFunctionMode):
    """While active, tensors are put "on MPS" and kept track of, and float64 there is the error that
    it is on a Mac."""

    leave = (Tensor.cpu, Tensor.tolist, Tensor.item)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [*args, *kwargs.values()]
        inside = [v for a in given for v in (a if isinstance(a, (list, tuple)) else [a])]
        there = any(isinstance(value, OnMps) for value in inside)
        if there and func == Tensor.device.__get__:
            return MPS
        asked = [value.type for value in given if isinstance(value, torch.device)]
        there = (there or "mps" in asked) and "cpu" not in asked and func not in self.leave

        def here(value: Any) -> Any:
            return torch.device("cpu") if value == MPS else value

        result = func(*map(here, args), **{name: here(value) for name, value in kwargs.items()})
        return self._placed(result, there)

    def _placed(self, result: Any, there: bool) -> Any:
        if type(result) in (tuple, list):
            return type(result)(self._placed(part, there) for part in result)
        if not isinstance(result, Tensor) or isinstance(result, torch.nn.Parameter):
            return result
        if there and result.dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64")
        return result.as_subclass(OnMps if there else Tensor)


def test_the_stand_in_refuses_what_mps_refuses_and_nothing_else():
    with LikeMps():
        x = torch.ones(3).to(MPS)
        assert (x * 2).device == MPS
        assert x.sum().to(torch.device("cpu")).double().device.type == "cpu"
        assert torch.zeros(2, dtype=torch.float64).device.type == "cpu"
        for wrong in (
            lambda: x.sum().double(),
            lambda: torch.zeros(2, dtype=torch.float64, device=MPS),
            lambda: x.to(torch.float64),
            lambda: torch.stack([x, x]).double(),
            lambda: torch.zeros(3, dtype=torch.float64).add_(x),
        ):
            with pytest.raises(TypeError, match="float64"):
                wrong()


def test_sums_stay_on_the_device_but_for_mps():
    assert sums_device(MPS) == torch.device("cpu")
    for device in (torch.device("cpu"), torch.device("cuda", 1)):
        assert sums_device(device) == device


@pytest.fixture
def network():
    task = load_task("maze")
    torch.manual_seed(0)
    return build_paradigm("dt_net_recall", task.spec, width=8, iterations=3).eval(), task


def test_an_evaluation_needs_no_float64_on_the_device(network):
    def scores(device):
        return evaluate(
            Session(*network, device), 9, split="test", count=20, seed=0, iterations=6,
            record=[3, 6], stop=6, rules=tuple(EXIT_RULES),
        )  # fmt: skip

    expected = scores(torch.device("cpu"))
    with LikeMps():
        found = scores(MPS)
    assert found.fixed == expected.fixed
    assert found.rules == expected.rules
    assert found.loss == expected.loss
    for name, correct in expected.correct.items():
        assert torch.equal(found.correct[name], correct)


def test_perturbations_need_no_float64_on_the_device(network):
    def curves(device):
        return recovery(
            Session(*network, device), 9, count=20, seed=0, before=3, record=[1, 3],
            perturbations=("none", "noise", "zeros", "flip", "other", "end"),
        )  # fmt: skip

    expected = curves(torch.device("cpu"))
    with LikeMps():
        assert curves(MPS) == expected


def test_stopping_and_looking_inside_need_no_float64_on_the_device(network):
    session = Session(*network, MPS)
    batch = session.task.sample(9, 8, split="test")
    with LikeMps():
        for rule in stopping_rules():
            answer_early(session, batch.to(MPS), rule, 6)
        facts, _ = probe(session, 9, count=4, seed=0, budget=6)
    assert facts["filters"]["filters"] > 0
    assert facts["rest"]["median"]
