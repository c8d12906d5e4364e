"""Networks that know nothing of the library."""

from __future__ import annotations

import pytest
import torch
from outside import undone
from torch import nn

from comparisons.cli import main
from comparisons.planning.plan import make_spec
from foundations.errors import USAGE
from foundations.records.spec import OBJECTIVES
from paradigms import PARADIGMS, build_paradigm, paradigm_options, register
from paradigms.adapted import as_paradigm
from paradigms.base import count_parameters
from tasks import load_task

MAZE = load_task("maze").spec


@pytest.fixture(autouse=True)
def _undo():
    with undone(PARADIGMS):
        yield


class Loop(nn.Module):
    train_iterations = 5
    recurrent_parts = ("again",)

    def __init__(self, spec, width=8, *, gain=1.0):
        super().__init__()
        self.encode = nn.Conv2d(spec.in_channels, width, 3, padding=1)
        self.again = nn.Conv2d(width, width, 3, padding=1)
        self.readout = nn.Conv2d(width, spec.outputs, 1)
        self.gain = gain

    def step(self, state, x):
        return torch.tanh(self.gain * self.again(state) + self.encode(x))


def test_a_module_with_a_loop_is_recurrent_and_its_defaults_are_options():
    register("loop", Loop)
    assert {k: p.default for k, p in paradigm_options("loop").items()} == {"width": 8, "gain": 1.0}
    model = build_paradigm("loop", MAZE, width=4, gain=0.5)
    assert (model.max_iterations, model.train_iterations) == (None, 5)
    x = torch.randn(2, MAZE.in_channels, 9, 9)
    network, state = model.network, model.network.encode(x)
    for logits in model.iterates(x, 3):
        state = network.step(state, x)
        assert torch.equal(logits, network.readout(state))
    assert sum(p.numel() for p in model.recurrent_parameters()) == count_parameters(network.again)


def test_any_other_module_is_one_iteration():
    @register("flat")
    def flat(spec):
        return nn.Conv2d(spec.in_channels, spec.outputs, 3, padding=1)

    register("whole", lambda: nn.Conv2d(MAZE.in_channels, MAZE.outputs, 3, padding=1))
    x = torch.randn(2, MAZE.in_channels, 9, 9)
    for name in ("flat", "whole"):
        model = build_paradigm(name, MAZE)
        assert model.max_iterations == 1
        assert torch.equal(model(x, 7), model.network(x))
    pruned = build_paradigm("lottery:flat", MAZE, density=0.5)
    assert pruned(x).shape == (2, MAZE.outputs, 9, 9)


def test_a_paradigm_stays_itself_and_what_is_no_network_is_said():
    model = build_paradigm("dt_net", MAZE, width=4)
    assert as_paradigm(model) is model
    assert torch.equal(as_paradigm(torch.relu)(torch.ones(1, 1)), torch.ones(1, 1))
    with pytest.raises(TypeError, match="Empty has neither forward nor all of encode, step"):
        as_paradigm(type("Empty", (nn.Module,), {})())
    with pytest.raises(TypeError, match="not int"):
        as_paradigm(3)
    register("built", nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="'built': must be a class or function that builds"):
        build_paradigm("built", MAZE)


class Chosen(nn.Module):
    """So many of the input's channels."""

    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        return x[:, : self.count]


class Remembering(nn.Module):
    """Its state is a dict, which nothing can be done with."""

    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Conv2d(spec.in_channels, spec.outputs, 1)

    def encode(self, x):
        return {"hidden": self.layer(x)}

    def step(self, state, x):
        return {"hidden": state["hidden"] + self.layer(x)}

    def readout(self, state):
        return state["hidden"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda spec: nn.Conv2d(spec.in_channels, 5, 3, padding=1), "logits for maze are shape"),
        (lambda spec: nn.Conv2d(7, 2, 3), "fails on maze: RuntimeError: Given groups=1"),
        (lambda spec: nn.GRU(3, 2), "fails on maze"),
        (lambda spec: type("Empty", (nn.Module,), {})(), "neither forward nor all of encode"),
        (lambda spec: None, "a network must be a module or a function, not NoneType"),
        (lambda spec, wide: nn.ReLU(), "missing 1 required"),
        (lambda spec: Chosen(spec.outputs), "has no weights to train"),
        (Remembering, "fails on maze"),
    ],
)
def test_a_network_that_cannot_answer_is_told_before_anything_is_trained(make, said, capsys):
    register("mine", make)
    assert main(["--tasks=maze", "--paradigms=mine", "--dry-run"]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("compare.py: paradigm 'mine': ")
    assert said in line


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (lambda model, task, batch: 1, "fails on dt_net, maze: TypeError: "),
        (lambda model, task, batch, iterations: 1.0, "gives no loss"),
        (lambda model, task, batch, iterations: model(batch.inputs, 1), "gives no loss"),
    ],
)
def test_an_objective_that_gives_no_loss_is_told_before_anything_is_trained(
    objective, said, capsys
):
    with undone(OBJECTIVES):
        OBJECTIVES.register("mine")(objective)
        options = ["--tasks=maze", "--paradigms=dt_net", "--set=train.objective=mine"]
        assert main([*options, "--dry-run"]) == USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("compare.py: objective 'mine': ")
    assert said in line


def test_trying_a_network_draws_no_random_numbers_of_the_process():
    register("loop", Loop)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    make_spec("maze", "loop", "smoke", 0, 100, {})
    assert torch.equal(torch.rand(1), expected)
