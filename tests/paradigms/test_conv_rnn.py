"""Gated convolutional networks are what they say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from paradigms import build_paradigm
from paradigms.base import State, count_parameters
from paradigms.conv_rnn import GRUCell, LocCell, LSTMCell
from paradigms.sparse import SparseWalk
from tasks import load_task


def one_wide(cell, width=5):
    """A cell whose convolutions see one site, its drive and a state, [7, width] each."""
    torch.manual_seed(0)
    made = cell(1, width, 1)
    drive = torch.randn(7, made.gates * width)
    return made, drive, [torch.randn(7, width) for _ in range(made.parts)]


def at_a_site(cell, drive, state):
    return [part[..., 0] for part in cell(drive[..., None], tuple(s[..., None] for s in state))]


def test_at_one_site_a_conv_lstm_is_an_lstm():
    cell, drive, state = one_wide(LSTMCell)
    known = nn.LSTMCell(1, 5)  # gates in the order i, f, g, o; ours i, f, o, g
    own = cell.gate.weight[..., 0].detach().chunk(4)
    given = drive + cell.gate.bias.detach()
    take, forget, give, new = given.chunk(4, 1)
    with torch.no_grad():
        known.weight_hh.copy_(torch.cat([own[0], own[1], own[3], own[2]]))
        known.weight_ih.zero_()
        for row in range(7):
            known.bias_hh.copy_(torch.cat([take[row], forget[row] + 1, new[row], give[row]]))
            known.bias_ih.zero_()
            wanted = known(torch.zeros(1, 1), (state[0][row : row + 1], state[1][row : row + 1]))
            found = at_a_site(cell, drive[row : row + 1], [s[row : row + 1] for s in state])
            for a, b in zip(found, wanted, strict=True):
                torch.testing.assert_close(a, b)


def test_at_one_site_a_conv_gru_is_its_equations():
    cell, drive, (hidden,) = one_wide(GRUCell)
    keep, reset, new = drive.chunk(3, 1)
    gates = hidden @ cell.gate.weight[..., 0].T
    keep, reset = (keep + gates[:, :5]).sigmoid(), (reset + gates[:, 5:]).sigmoid()
    new = (new + (reset * hidden) @ cell.new.weight[..., 0].T).tanh()
    (found,) = at_a_site(cell, drive, [hidden])
    torch.testing.assert_close(found, keep * hidden + (1 - keep) * new)


def test_at_one_site_a_locrnn_is_its_equations():
    cell, drive, state = one_wide(LocCell)
    parts = drive.chunk(4, 1)
    for i, found in enumerate(at_a_site(cell, drive, state)):
        gate = (parts[i] + state[i] @ cell.gate[i].weight[..., 0].T).sigmoid()
        new = (parts[2 + i] + torch.cat(state, 1) @ cell.lateral[i].weight[..., 0].T).relu()
        mixed = gate * new + (1 - gate) * state[i]
        wanted = nn.functional.layer_norm(mixed, (5,)).relu()  # one site: over its channels
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "recurrent"),
    [
        # drive w x 3 w + 3 w; gates 9 x 2 w^2, new 9 w^2
        ("conv_gru", 3 * 64 + 24 + 27 * 64),
        ("conv_lstm", 4 * 64 + 32 + 36 * 64 + 32),
        # 1-wide gates, laterals of 2 w over 25 and 9 sites, norms
        ("locrnn", 4 * 64 + 32 + 2 * 64 + 34 * 128 + 4 * 8),
    ],
)
def test_parameters_are_counted_by_hand(name, recurrent):
    model = build_paradigm(name, load_task("maze").spec, width=8)
    outside = 27 * 8 + 9 * (8 * 32 + 32 * 8 + 8 * 2)
    assert count_parameters(model) == outside + recurrent
    assert sum(p.numel() for p in model.recurrent_parameters()) == recurrent


@pytest.mark.parametrize(("name", "radius"), [("conv_lstm", 1), ("trm", 9)])
@pytest.mark.parametrize("task", ["maze", "prefix_sums"])
def test_a_step_of_several_maps_reaches_as_far_as_it_says_and_no_farther(name, radius, task):
    """So that the sparse walk gives the states of the dense one."""
    torch.manual_seed(0)
    options = {"cycles": 2, "depth": 3} if name == "trm" else {}
    problems = load_task(task)
    model = build_paradigm(name, problems.spec, width=6, iterations=3, **options).eval()
    assert model.step_radius == radius
    x = problems.sample(21 if task == "maze" else 60, 2, seed=0).inputs
    with torch.inference_mode():
        walk = SparseWalk(model, x, 0.0, tile=5)
        for dense, sparse in zip(model.states(x, 4), walk.states(4), strict=True):
            for a, b in zip(dense.parts, sparse.parts, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(walk.logits(), model.readout(dense), rtol=1e-4, atol=1e-5)


def test_trm_refines_its_latent_and_then_its_answer():
    torch.manual_seed(0)
    model = build_paradigm("trm", load_task("maze").spec, width=6, iterations=3, cycles=2)
    x = torch.rand(2, 3, 7, 7)
    y, z = torch.randn(2, 6, 7, 7), torch.randn(2, 6, 7, 7)
    e = model.embed(x)
    after = model.step(State((y, z), 4), x)
    z = model.blocks(e + y + model.blocks(e + y + z))
    torch.testing.assert_close(after.hidden, (model.blocks(y + z), z))
    assert after.iteration == 5
    sizes = after.hidden[0].square().mean(1)
    torch.testing.assert_close(sizes, torch.ones_like(sizes), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"kernel": 4}, {"width": 0}, {"pool": 2}])
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build_paradigm("conv_gru", load_task("maze").spec, **options)
