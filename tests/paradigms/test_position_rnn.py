"""Recurrence over position: what depends on what, the parallel scan, and what eigenvalues allow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from comparisons.testing.cost import count_cost
from paradigms import build_paradigm
from paradigms.base import count_parameters
from paradigms.linear_rnn import EIGENVALUES, Diagonal, scan
from tasks import load_task
from tasks.base import TaskSpec

SUMS = TaskSpec("sums", 1, 1, True, 2, (1,), 1)
MAZE = TaskSpec("maze", 3, 2, True, 2, (1,), 1)
NAMES = ("gru", "lstm", "linear_rnn")


def reached(model: nn.Module, x: torch.Tensor, site: tuple[int, ...]) -> torch.Tensor:
    """bool [*S]: the sites of the input that the answer at a site depends on."""
    x = x.double().requires_grad_()
    model.double().eval()(x)[(0, 0, *site)].backward()
    return x.grad[0].abs().sum(0) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_causal_answer_depends_on_all_that_comes_before_and_nothing_after(name):
    torch.manual_seed(0)
    model = build_paradigm(name, SUMS, width=8, causal=True)
    if name == "linear_rnn":  # where an eigenvalue is 0 the past is forgotten
        nn.init.constant_(model.network[1].layer.gates.bias[:8], 0.9)
    found = reached(model, torch.randn(1, 1, 12), (6,))
    assert found.tolist() == [True] * 7 + [False] * 5


@pytest.mark.parametrize("name", NAMES)
def test_by_rows_and_columns_every_site_sees_the_whole_board_in_one_layer(name):
    torch.manual_seed(0)
    model = build_paradigm(name, MAZE, width=8, layers=1)
    if name == "linear_rnn":
        for sweep in model.network[1:3]:
            nn.init.constant_(sweep.layer.gates.bias[:16], 0.9)
    assert reached(model, torch.randn(1, 3, 7, 5), (3, 2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_they_run_along_lines_as_torch_and_a_loop_do(name):
    """A board of one row is the string."""
    torch.manual_seed(0)
    layer = build_paradigm(name, SUMS, width=4).network[1].layer
    lines = torch.randn(3, 9, 4)
    if name != "linear_rnn":
        torch.testing.assert_close(layer(lines), layer.rnn(lines)[0])
        return
    a, v, first = layer._terms(lines)
    h, states = first[:4].expand(3, 4), []
    for t in range(9):
        h = a[:, t, :4] * h + (1 - a[:, t, :4].abs()) * v[:, t, :4]
        states.append(h)
    gate = torch.nn.functional.silu(layer.out_gate(lines))[..., :4]
    torch.testing.assert_close(layer(lines)[..., :4], torch.stack(states, 1) * gate)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 33])
def test_the_parallel_scan_is_the_recurrence(length, dtype):
    generator = torch.Generator().manual_seed(length)
    a, b = torch.randn(2, 3, length, 5, dtype=dtype, generator=generator)
    h, states = torch.zeros(3, 5, dtype=dtype), []
    for t in range(length):
        h = a[:, t] * h + b[:, t]
        states.append(h)
    torch.testing.assert_close(scan(a, b), torch.stack(states, 1))


def parity_layer(eigenvalues: str) -> Diagonal:
    """A layer of one channel whose eigenvalue is set by hand: 1 at a zero, -1 (or, where there are
    none, the least there is) at a one; it adds nothing and starts from 1."""
    layer = Diagonal(eigenvalues, 1, two_way=False)
    with torch.no_grad():
        layer.gates.weight.zero_()
        layer.gates.bias.zero_()
        if eigenvalues == "complex":
            layer.gates.bias[0] = 1.0
            layer.gates.weight[1] = torch.pi
        else:
            layer.gates.bias[0] = 1.0
            layer.gates.weight[0] = -2.0
        layer.first.zero_()
        layer.first[0] = 1.0
        layer.out_gate.weight.zero_()
        layer.out_gate.bias.fill_(1.0)
    return layer


@pytest.mark.parametrize("length", [16, 2000])
def test_one_channel_follows_parity_where_an_eigenvalue_may_be_minus_one(length):
    bits = torch.randint(0, 2, (4, length, 1), generator=torch.Generator().manual_seed(0)).float()
    odd = bits.cumsum(1) % 2 == 1
    for eigenvalues in EIGENVALUES:
        state = parity_layer(eigenvalues).double()(bits.double())[..., :1]
        follows = torch.equal(state < -0.1, odd)
        assert follows == (eigenvalues != "positive"), eigenvalues


@pytest.mark.parametrize("width", [5, 32])
def test_parameters_are_those_of_the_textbook(width):
    def layer(name: str) -> int:
        return count_parameters(
            build_paradigm(name, SUMS, width=width, causal=True).network[1].layer
        )

    # Weights from input and state and, as in torch, two offsets, for each gate.
    assert layer("gru") == 3 * (2 * width**2 + 2 * width)
    assert layer("lstm") == 4 * (2 * width**2 + 2 * width)


@pytest.mark.parametrize("name", NAMES)
def test_cost_grows_with_length_and_counts_every_gate(name):
    task = load_task("prefix_sums")
    model = build_paradigm(name, task.spec, width=16, causal=True)
    short, long = (count_cost(model, task.sample(n, 1).inputs) for n in (16, 64))
    assert long.step == 4 * short.step
    assert model.max_iterations == 1
    gates = {"gru": 6, "lstm": 8, "linear_rnn": 3}[name]  # products of width x width
    assert short.step == 2 * 16 * (16 * 16 * (gates + 1) + 16 + 32)


@pytest.mark.parametrize(
    ("name", "spec", "options", "says"),
    [
        ("gru", MAZE, {"causal": True}, "no order"),
        ("gru", SUMS, {"stride": 2}, "stride must be 1"),
        ("lstm", SUMS, {"layers": 0}, "at least 1"),
        ("linear_rnn", SUMS, {"width": 0}, "width of linear_rnn"),
        ("linear_rnn", SUMS, {"eigenvalues": "negative"}, "unknown eigenvalues"),
    ],
)
def test_senseless_options_are_refused(name, spec, options, says):
    with pytest.raises(ValueError, match=says):
        build_paradigm(name, spec, **options)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_computed_in_float32_under_autocast(name):
    model = build_paradigm(name, SUMS, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.randn(2, 1, 9))
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", ["gru", "lstm", "linear_rnn"])
def test_one_pass_that_is_recurrent_over_positions_says_so(name):
    model = build_paradigm(name, load_task("prefix_sums").spec, width=8)
    assert model.over_positions
    assert model.max_iterations == 1
    assert not build_paradigm("dilated_cnn", load_task("prefix_sums").spec, width=8).over_positions
