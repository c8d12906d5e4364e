"""Steps that contract have one fixed point; a solver finds it sooner; halting wraps any network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons.testing.cost import count_cost
from paradigms import build_paradigm
from paradigms.base import State, count_parameters
from paradigms.deq import anderson
from paradigms.lipschitz import bounded
from tasks import load_task


def step_to_the_last_digit(model, x, iterations, state=None):
    with torch.no_grad():
        return model.run(x, iterations, state)


@pytest.mark.parametrize(("dims", "kernel"), [(1, 3), (2, 1), (2, 3)])
def test_the_norm_of_a_convolution_is_that_of_all_frequencies(dims, kernel):
    torch.manual_seed(0)
    conv = torch.nn.Conv1d if dims == 1 else torch.nn.Conv2d
    layer = bounded(conv(6, 6, kernel, padding=kernel // 2, bias=False), 0.7, "board")
    with torch.no_grad():
        for _ in range(200):  # training passes
            layer.weight  # noqa: B018
    layer.eval()
    weight = layer.weight.detach()
    waves = torch.fft.fftn(weight, s=(64,) * dims, dim=tuple(range(2, 2 + dims)))
    norm = torch.linalg.matrix_norm(waves.flatten(2).permute(2, 0, 1), 2).max()
    assert 0.7 * 0.999 <= norm.item() <= 0.7 * 1.03


@pytest.mark.parametrize(("dims", "kernel"), [(1, 3), (2, 1), (2, 3)])
def test_the_published_norm_is_that_of_the_weights_as_a_matrix(dims, kernel):
    torch.manual_seed(0)
    conv = torch.nn.Conv1d if dims == 1 else torch.nn.Conv2d
    layer = bounded(conv(6, 5, kernel, padding=kernel // 2, bias=False), 0.7)
    with torch.no_grad():
        for _ in range(200):  # training passes
            layer.weight  # noqa: B018
    layer.eval()
    norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
    assert norm == pytest.approx(0.7, rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(
    lipschitz=st.sampled_from([0.3, 0.8, 0.95]),
    kernel=st.sampled_from([1, 3]),
    task=st.sampled_from(["maze", "prefix_sums"]),
    seed=st.integers(0, 99),
)
def test_any_two_states_come_nearer(lipschitz, kernel, task, seed):
    torch.manual_seed(seed)
    problems = load_task(task)
    options = {"lipschitz": lipschitz, "norm": "board", "kernel": kernel, "width": 8}
    model = build_paradigm("dt_net_lipschitz", problems.spec, **options).eval()
    x = problems.sample(9 if task == "maze" else 20, 2, seed=seed).inputs
    one = step_to_the_last_digit(model, x, 1)
    other = one.map(lambda part: 3 * torch.randn_like(part))
    before = (one.hidden - other.hidden).norm()
    after = (model.step(one, x).hidden - model.step(other, x).hidden).norm()
    assert after <= 1.05 * lipschitz * before


def test_every_start_ends_in_one_state():
    torch.manual_seed(0)
    spec = load_task("maze").spec
    model = build_paradigm("dt_net_lipschitz", spec, width=8, norm="board").eval()
    x = load_task("maze").sample(9, 3).inputs
    one = step_to_the_last_digit(model, x, 300)
    noise = one.map(lambda part: 5 * torch.randn_like(part))
    other = step_to_the_last_digit(model, x, 300, noise)
    torch.testing.assert_close(one.hidden, other.hidden, rtol=1e-4, atol=1e-6)


def test_without_the_bound_a_dt_net_is_as_it_was():
    spec = load_task("maze").spec
    torch.manual_seed(0)
    plain = build_paradigm("dt_net_recall", spec, width=8)
    torch.manual_seed(0)
    same = build_paradigm("dt_net_lipschitz", spec, width=8, lipschitz=0.0)
    assert list(plain.state_dict()) == list(same.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), same.parameters(), strict=True)
    )


def test_a_bound_costs_nothing_at_a_step():
    one = load_task("maze").sample(9, 1).inputs
    spec = load_task("maze").spec
    plain, bound = (
        count_cost(build_paradigm(name, spec, width=8), one)
        for name in ("dt_net_recall", "dt_net_lipschitz")
    )
    assert plain == bound


@pytest.mark.parametrize(("name", "options"), [("dt_net", {"lipschitz": 0.5})])
def test_a_bound_wants_recall_and_to_be_below_one(name, options):
    spec = load_task("maze").spec
    with pytest.raises(ValueError, match="lipschitz"):
        build_paradigm(name, spec, **options)
    with pytest.raises(ValueError, match="lipschitz"):
        build_paradigm("dt_net_recall", spec, lipschitz=1.0)
    with pytest.raises(ValueError, match="norm"):
        build_paradigm("dt_net_recall", spec, lipschitz=0.5, norm="largest")


# --- deq


def slow(z):
    """A linear contraction of [n, 5] by at most 0.99, its fixed point at 100, 2, 2, 1.1, 0.5."""
    factors = torch.tensor([0.99, 0.5, 0.5, 0.1, -1.0 + 0.01])
    return factors * z + torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0])


def test_anderson_acceleration_finds_a_slow_fixed_point_sooner():
    factors = torch.tensor([0.99, 0.5, 0.5, 0.1, -0.99])
    rest = 1 / (1 - factors)
    z = plain = torch.zeros(2, 5)
    inputs, outputs = torch.zeros(2, 6, 5), torch.zeros(2, 6, 5)
    for k in range(30):
        inputs[:, k % 6], outputs[:, k % 6] = z, slow(z)
        z, plain = anderson(inputs, outputs, min(k + 1, 6)), slow(plain)
    assert (z - rest).norm() < 0.01 * (plain - rest).norm()


def test_its_fixed_point_is_that_of_plain_iteration():
    torch.manual_seed(0)
    problems = load_task("prefix_sums")
    model = build_paradigm("deq", problems.spec, width=8, iterations=4).eval()
    plain = build_paradigm("deq", problems.spec, width=8, iterations=4, memory=1).eval()
    plain.load_state_dict(model.state_dict())
    x = problems.sample(24, 3).inputs
    found = step_to_the_last_digit(model, x, 40).hidden[0]
    wanted = step_to_the_last_digit(plain, x, 400).hidden[0]
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        cost, less = (count_cost(m, x[:1]) for m in (model, plain))
    assert cost.step > less.step


# --- adaptive


@pytest.mark.parametrize(
    "base", ["dt_net", "dt_net_lipschitz", "hgru", "td_hcnn", "conv_gru", "locrnn", "deq", "trm"]
)
@pytest.mark.parametrize("halting", ["act", "pondernet"])
def test_any_recurrent_network_can_learn_when_to_halt(base, halting):
    torch.manual_seed(0)
    spec = load_task("maze").spec
    options = {"width": 8, "iterations": 3}
    model = build_paradigm(f"adaptive:{base}", spec, halting=halting, **options)
    inner = build_paradigm(base, spec, **options)
    assert count_parameters(model) == count_parameters(inner) + 8 + 1
    assert model.halts == halting
    x = load_task("maze").sample(9, 2).inputs
    model.eval()
    with torch.no_grad():
        states = list(model.states(x, 3))
        assert all(model.readout(s).isfinite().all() for s in states)
        assert model.halted(states[-1]).shape == (2,)
        inner_state = State(states[0].hidden[0], states[0].iteration)
        first = model.inner.readout(inner_state)
    torch.testing.assert_close(model.readout(states[0]), first)
