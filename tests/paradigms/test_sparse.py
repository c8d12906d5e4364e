"""A sparse walk gives the states of the dense one, and computes less."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons.hardware import autocast
from comparisons.testing.exits import state_change
from paradigms import build_paradigm
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from paradigms.sites import SiteSteps
from paradigms.sparse import SparseWalk
from tasks import load_task

CPU = torch.device("cpu")


class Flood(Paradigm):
    """A flood of open sites in whole numbers, which no order of summation rounds.

    Each step goes over an inner map that is 1 wherever no neighbour is flooded: taken for 1 beyond
    the border too, where padding is 0, it would be another flood.
    """

    step_radius, readout_radius = 2, 1

    def encode(self, x):
        return State(x[:, :1] * x[:, 1:])

    def context(self, x):
        return x[:, 1:]

    def sum3(self, h):
        convolve = F.conv2d if h.dim() == 4 else F.conv1d
        return convolve(h, torch.ones(1, 1, *[3] * (h.dim() - 2), dtype=h.dtype), padding=1)

    def advance(self, state, context):
        dry = torch.relu(1 - self.sum3(state.hidden))
        few = (self.sum3(dry) < 6.0).to(dry.dtype)  # of nine neighbours; always so at a corner
        near = (self.sum3(state.hidden) > 0).to(dry.dtype)
        return State(torch.maximum(state.hidden, few * near * context), state.iteration + 1)

    def readout(self, state):
        return torch.cat([state.hidden, self.sum3(state.hidden)], 1)


@settings(max_examples=40, deadline=None)
@given(
    sites=st.one_of(
        st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 24), st.integers(1, 24))
    ),
    n=st.integers(1, 4),
    tile=st.integers(1, 9),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    look=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_whole_numbers_flood_the_same_sites_at_the_same_steps(sites, n, tile, dtype, look, seed):
    generator = torch.Generator().manual_seed(seed)
    wet = torch.rand(n, 1, *sites, generator=generator) < 0.03
    opened = torch.rand(n, 1, *sites, generator=generator) < 0.9
    x = channels_last(torch.cat([wet, opened], 1).to(dtype))
    model = Flood()
    walk = SparseWalk(model, x, tile=tile)
    pairs = zip(model.states(x, 40), walk.states(40), strict=True)
    before = None
    for number, (dense, sparse) in enumerate(pairs, start=1):
        assert torch.equal(dense.hidden, sparse.hidden)
        assert dense.iteration == sparse.iteration
        change = walk.change()
        if change is not None and before.hidden.any():
            torch.testing.assert_close(change, state_change(before, dense))
        before = dense
        if number % look == 0:
            assert torch.equal(model.readout(dense).float(), walk.logits())
    assert not walk.active.any(), "all is flooded that ever will be"
    assert walk.logits() is walk.logits()


def settling(name: str, task: str, **options) -> Paradigm:
    """A network that settles, as its weights are small."""
    torch.manual_seed(0)
    model = build_paradigm(name.partition(",")[0], load_task(task).spec, **options).eval()
    with torch.no_grad():
        for parameter in model.recurrent_parameters():
            if parameter.dim() > 1:
                parameter.mul_(0.5)
    return model


LOCAL = {
    "dt_net_recall": (5, 3, {"width": 8, "iterations": 2}),
    # Taken site by site.
    "dt_net_recall, 1 x 1": (1, 3, {"width": 8, "iterations": 2, "kernel": 1}),
    "dt_net": (4, 3, {"width": 8, "iterations": 2}),
    "recurrent_convnet": (1, 1, {"width": 8}),
    "recurrent_resnet": (4, 3, {"width": 8}),
    "recurrent_resnet_bn": (4, 3, {"width": 8}),
    "recurrent_resnet18": (2, 4, {"width": 2}),
    "lottery": (5, 3, {"width": 8, "iterations": 2}),
    "dt_net_lipschitz": (5, 3, {"width": 8, "iterations": 2}),
    "conv_gru": (2, 3, {"width": 8, "iterations": 2}),
}
#: Those without recall or bias come to rest where all is zero.
DRIVEN = ("dt_net_recall", "recurrent_convnet", "lottery", "dt_net_lipschitz", "conv_gru")
every_local = pytest.mark.parametrize("name", LOCAL)


@every_local
@pytest.mark.parametrize("task", ["maze", "prefix_sums"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.1)])
def test_a_network_that_is_disturbed_at_one_site_settles_alike(name, task, precision, tolerance):
    *_, options = LOCAL[name]
    model = settling(name, task, **options)
    x = channels_last(load_task(task).sample(29 if task == "maze" else 99, 3, seed=0).inputs)
    with torch.inference_mode(), autocast(CPU, precision):
        state = model.run(x, 60)
        if name.partition(",")[0] not in DRIVEN:
            state = state.map(torch.zeros_like)
        middle = tuple(size // 3 for size in state.hidden.shape[2:])
        state.hidden[(1, slice(None), *middle)] += 3
        walk = SparseWalk(model, x, tolerance, tile=None if model.site_step else 6)
        spared = []
        states = zip(dead_band(model, x, state, 30, tolerance), walk.states(30, state), strict=True)
        for dense, sparse in states:
            spared.append(float(walk.active.mean()))
            size = float(dense.hidden.abs().max())
            close = {"rtol": 3 * tolerance, "atol": 3 * tolerance * size}
            torch.testing.assert_close(sparse.hidden, dense.hidden, **close)
            logits = model.readout(sparse).float()
            torch.testing.assert_close(walk.logits(), logits, rtol=1e-2, atol=1e-2)
    assert min(spared) < 0.5


@pytest.mark.parametrize("task", ["maze", "prefix_sums"])
@pytest.mark.parametrize("count", [1, 3])
def test_single_sites_step_as_boards_do(task, count):
    problems = load_task(task)
    torch.manual_seed(1)
    options = {"width": 6, "kernel": 1, "depth": 3}
    model = build_paradigm("dt_net_recall", problems.spec, **options).eval()
    x = channels_last(problems.sample(13, count, seed=0).inputs)
    with torch.inference_mode():
        state = model.encode(x)
        wanted = model.step(state, x).hidden

        def rows(part):
            return part.movedim(1, -1).flatten(0, -2)

        steps = SiteSteps(model.site_step, x.shape[2:], count, rows(model.context(x)))
        padded = F.pad(rows(state.hidden), (0, 0, 0, 1))
        old, new = steps.taken(padded, torch.arange(len(padded) - 1))
        assert torch.equal(old, padded[:-1])
        torch.testing.assert_close(new, rows(wanted))


@settings(max_examples=30, deadline=None)
@given(
    sites=st.one_of(
        st.tuples(st.integers(1, 900)), st.tuples(st.integers(1, 40), st.integers(1, 40))
    ),
    boards=st.integers(1, 3),
    moved=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_a_change_reaches_its_neighbours_and_no_other_board(sites, boards, moved, seed):
    size = torch.Size(sites)
    maps = torch.zeros(boards, 1, *sites)
    numbers = torch.randperm(maps.numel(), generator=torch.Generator().manual_seed(seed))[:moved]
    maps.view(-1)[numbers] = 1
    pool = F.max_pool2d if len(sites) == 2 else F.max_pool1d
    wanted = pool(maps, 3, stride=1, padding=1).flatten().nonzero().flatten()
    steps = SiteSteps(lambda near, given: given, size, boards, maps.view(-1, 1))
    assert torch.equal(steps.reached(numbers), wanted)


def test_once_all_is_at_rest_steps_cost_nothing_and_change_nothing():
    options = {"width": 8, "iterations": 2, "kernel": 1}
    model = settling("dt_net_recall", "maze", **options)
    x = channels_last(load_task("maze").sample(13, 2, seed=0).inputs)
    with torch.inference_mode():
        walk = SparseWalk(model, x, 1e-3)
        shares = [
            (float(walk.active.mean()), float(walk.moving.mean()), walk.change(), walk.logits())
            for _ in walk.states(80)
        ]
    assert shares[-1][:2] == (0, 0)
    assert not shares[-1][2].any()
    assert shares[-1][3] is shares[-2][3]


def dead_band(model, x, state, iterations, tolerance):
    """What a walk with a tolerance is, everything computed."""
    context = model.context(x)
    for _ in range(iterations):
        new = model.advance(state, context)
        moved = (new.hidden - state.hidden).abs().amax(1, keepdim=True)
        stays = moved <= tolerance * state.hidden.abs().amax(1, keepdim=True)
        state = new._replace(hidden=torch.where(stays, state.hidden, new.hidden))
        yield state


@every_local
def test_a_radius_is_how_far_a_step_and_a_readout_reach(name):
    step, readout, options = LOCAL[name]
    model = settling(name, "prefix_sums", **options)
    assert (model.step_radius, model.readout_radius) == (step, readout)
    x = torch.rand(1, 1, 41)
    state = model.run(x, 3)
    for reads, radius in (
        (lambda state: model.step(state, x).hidden, step),
        (model.readout, readout),
    ):
        moved = state.map(torch.clone)
        moved.hidden[:, :, 20] += 100 * torch.randn(moved.hidden.shape[1])
        changed = (reads(moved) != reads(state)).any(1)[0].nonzero()
        assert (changed - 20).abs().max() <= radius
        assert (changed - 20).abs().max() > 0 or radius == 0


@pytest.mark.parametrize("name", ["hgru", "feed_forward_recall", "resnet18", "td_hcnn"])
def test_what_is_not_local_or_not_the_same_again_is_refused(name):
    model = build_paradigm(name, load_task("maze").spec)
    with pytest.raises(ValueError, match="step_radius"):
        next(model.iterates(torch.rand(1, 3, 9, 9), 2, tolerance=0.0))


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_a_tolerance_is_a_share(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        SparseWalk(Flood(), torch.ones(1, 2, 4, 4), tolerance)


def test_iterates_takes_the_sparse_walk():
    x = (torch.rand(2, 2, 15, 12, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    model = Flood()
    for dense, sparse in zip(
        model.iterates(x, 9), model.iterates(x, 9, tolerance=0.0), strict=True
    ):
        assert torch.equal(dense, sparse)
