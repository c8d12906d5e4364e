"""Convolutions by Fourier transforms are the convolutions they stand for, with their
derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons.testing.cost import count_cost
from paradigms import build_paradigm
from paradigms.fourier import WIDE, Spectrum, direct, pays
from tasks import load_task

CPU = torch.device("cpu")


@pytest.fixture
def without_matrix_unit(monkeypatch):
    """Transforms are used on any processor."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)


def problem(seed, n, inputs, outputs, sites, kernel, dtype=torch.float32):
    torch.manual_seed(seed)
    x = torch.randn(n, inputs, *sites, dtype=dtype, requires_grad=True)
    weight = torch.randn(outputs, inputs, kernel, kernel, dtype=dtype, requires_grad=True)
    return x, weight, torch.randn(n, outputs, *sites, dtype=dtype)


@settings(deadline=None)
@given(
    st.integers(0, 2**16),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from([1, 3, 5, 9, 15]),
    st.sampled_from([(torch.float32, 1e-5), (torch.float64, 1e-13)]),
)
def test_values_and_gradients_are_those_of_the_direct_convolution(
    seed, n, inputs, outputs, sites, kernel, precision
):
    dtype, error = precision
    x, weight, upstream = problem(seed, n, inputs, outputs, sites, kernel, dtype)
    bias = torch.randn(outputs, dtype=dtype)
    wanted = F.conv2d(x, weight, bias, padding=kernel // 2)
    found = Spectrum.of(weight, sites).convolve(x, bias)
    pairs = [(found, wanted)]
    pairs += zip(
        torch.autograd.grad(found, (x, weight), upstream),
        torch.autograd.grad(wanted, (x, weight), upstream),
        strict=True,
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=0, atol=error * (b.abs().max().item() + kernel))


def test_gradients_can_be_derived_again():
    """As by gradient signal preservation, which prunes by products with the Hessian."""
    x, weight, upstream = problem(0, 2, 3, 2, (9, 7), 5, torch.float64)
    second = []
    for y in (Spectrum.of(weight, (9, 7)).convolve(x), F.conv2d(x, weight, padding=2)):
        first = torch.autograd.grad((y * upstream).square().sum(), (x, weight), create_graph=True)
        flow = sum((part**2).sum() for part in first)
        second.append(torch.autograd.grad(flow, (x, weight)))
    for a, b in zip(*second, strict=True):
        torch.testing.assert_close(a, b)


def test_a_map_keeps_its_precision_and_has_its_channels_innermost():
    x, weight, _ = problem(0, 2, 3, 4, (12, 12), 11)
    with torch.no_grad():
        y = Spectrum.of(weight, (12, 12)).convolve(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_a_pass_without_gradients_leaves_nothing_that_spoils_the_next():
    x, weight, upstream = problem(0, 1, 2, 2, (33, 34), 13)
    with torch.inference_mode():
        Spectrum.of(weight, (33, 34)).convolve(x)
    Spectrum.of(weight, (33, 34)).convolve(x).backward(upstream)
    assert weight.grad.isfinite().all()


def test_only_wide_kernels_in_two_dimensions_are_transformed(without_matrix_unit):
    assert pays(WIDE, 2, CPU)
    assert not pays(WIDE - 2, 2, CPU)
    assert not pays(WIDE, 1, CPU)
    assert not pays(WIDE, 2, torch.device("meta"))
    with direct():
        assert not pays(WIDE, 2, CPU)
    assert pays(WIDE, 2, CPU)


@pytest.mark.parametrize("name", ["hgru", "hcnn", "td_hcnn"])
@pytest.mark.parametrize("training", [False, True])
def test_a_network_answers_alike_and_costs_as_much_either_way(name, training, without_matrix_unit):
    task = load_task("pathfinder", size=64)
    batch = task.sample(task.spec.difficulties[0], 3)
    x = batch.inputs.double()
    torch.manual_seed(0)
    model = build_paradigm(name, task.spec, width=6, iterations=3).double().train(training)
    assert pays(15, 2, CPU)
    answers, gradients = [], []
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for way in (torch.enable_grad, direct):
        model.load_state_dict(state)
        model.zero_grad()
        with way():
            answers.append(model(x))
        task.loss(answers[-1], batch).backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters()})
    torch.testing.assert_close(*answers)
    for n, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][n])
    cost = count_cost(model, x[:1])
    with direct():
        assert count_cost(model, x[:1]) == cost
