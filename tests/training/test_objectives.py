"""Objectives beside the progressive loss: mixed starts and depths, the gradient at a fixed point,
deep supervision, and halting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comparisons.planning.match import expected_step
from comparisons.planning.plan import make_spec
from comparisons.testing.cost import count_cost
from comparisons.testing.early_exit import answer_early
from comparisons.testing.session import Session
from comparisons.training import learner as training
from comparisons.training.learner import Learner
from comparisons.training.objectives import (
    halting_divergence,
    mixed_depth,
    mixed_starts,
    pull_back,
    segments,
)
from foundations.records.spec import TrainSpec
from paradigms import build_paradigm
from paradigms.base import Paradigm, State
from tasks import load_task

TASK = load_task("prefix_sums")


def learner(name: str, train: TrainSpec, **options) -> Learner:
    torch.manual_seed(0)
    options = {"width": 8, "iterations": 6, **options}
    return Learner(build_paradigm(name, TASK.spec, **options), TASK, train, "fp32")


def gradients(own: Learner, *arguments) -> tuple[torch.Tensor, list[torch.Tensor]]:
    loss = own(*arguments)
    loss.backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in own.parameters()]
    own.zero_grad()
    return loss.detach(), found


# Mixed starts and depths.


@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 9), st.integers(0, 10**6))
def test_depths_are_within_their_spread_and_repeatable(iterations, spread, seed, step):
    depth = mixed_depth(iterations, spread, seed, step)
    assert max(1, iterations - spread) <= depth <= iterations + spread
    assert depth == mixed_depth(iterations, spread, seed, step)
    assert mixed_depth(iterations, 0, seed, step) == iterations


def test_depths_are_uniform():
    draws = np.bincount([mixed_depth(5, 2, 0, step) for step in range(5000)], minlength=8)
    assert np.abs(draws[3:8] / 5000 - 0.2).max() < 0.03


def test_that_share_of_problems_starts_from_noise_and_the_others_as_before():
    torch.manual_seed(0)
    state = State((torch.full((4000, 2, 3), 7.0), torch.zeros(4000, 1, 2, 2)))
    mixed = mixed_starts(state, 0.25)
    for before, after in zip(state.parts, mixed.parts, strict=True):
        noisy = (before != after).flatten(1).all(1)
        assert noisy.float().mean().item() == pytest.approx(0.25, abs=0.03)
        assert after[noisy].mean().item() == pytest.approx(0, abs=0.05)
        assert after[noisy].std().item() == pytest.approx(1, abs=0.05)
        assert torch.equal(after[~noisy], before[~noisy])


def test_every_problem_started_from_noise_leaves_the_encoder_without_gradient():
    own, batch = learner("dt_net_recall", TrainSpec(alpha=0.0, starts=1.0)), TASK.sample(16, 4)
    own(batch, 0, 1).backward()
    assert own.model.projection[0].weight.grad.abs().max() == 0
    assert own.model.recall.input.weight.grad.abs().max() > 0


# The gradient at a fixed point.


class Affine(Paradigm):
    """z <- A z + B x at each site, whose fixed point and its gradient are known."""

    train_iterations = 200

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor([[0.5, 0.2], [-0.1, 0.4]]))
        self.b = torch.nn.Parameter(torch.tensor([[1.0], [2.0]]))

    def encode(self, x):
        return State(x.new_zeros(len(x), 2, x.shape[2]))

    def advance(self, state, context):
        hidden = torch.einsum("ij,njs->nis", self.a, state.hidden)
        hidden = hidden + torch.einsum("ij,njs->nis", self.b, context)
        return State(hidden, state.iteration + 1)

    def readout(self, state):
        return state.hidden


def test_with_many_terms_the_gradient_is_that_of_the_fixed_point():
    model, batch = Affine(), TASK.sample(8, 3)
    own = Learner(model, TASK, TrainSpec(implicit=100), "fp32")
    loss, found = gradients(own, batch, 0, 1)
    fixed = torch.linalg.solve(torch.eye(2) - model.a, model.b) @ batch.inputs
    wanted = TASK.loss(fixed, batch)
    torch.testing.assert_close(loss, wanted.detach())
    wanted.backward()
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-6)


def test_terms_are_those_of_the_neumann_series():
    matrix = torch.tensor([[0.3, 0.1], [0.2, -0.4]])
    z = torch.tensor([[1.0, 2.0]], requires_grad=True)
    g = torch.tensor([[1.0, -1.0]])
    wanted, power = torch.zeros(1, 2), g
    for terms in range(1, 5):
        wanted, power = wanted + power, power @ matrix
        torch.testing.assert_close(pull_back([z @ matrix.T], [z], [g], terms)[0], wanted)


@pytest.mark.parametrize("name", ["dt_net_recall", "deq", "locrnn", "trm"])
def test_with_one_term_the_gradient_is_that_of_the_last_step(name):
    own, batch = learner(name, TrainSpec(implicit=1)).eval(), TASK.sample(16, 4)
    loss, found = gradients(own, batch, 0, 1)
    state = own._skip(batch.inputs, 6)
    wanted = TASK.loss(own.model.readout(own.model.step(state, batch.inputs)), batch)
    torch.testing.assert_close(loss, wanted.detach())
    wanted.backward()
    for gradient, parameter in zip(found, own.parameters(), strict=True):
        other = torch.zeros_like(gradient) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-7)


def test_contractor_rbp_trains_an_hgru():
    """Its gradient at the fixed point and its penalty, Linsley et al. 2020."""
    train = TrainSpec(implicit=4, continued=1, contract=1.0)
    own, batch = learner("hgru", train, kernel=5), TASK.sample(16, 4)
    plain, _ = gradients(own, batch, 0, 1, None)
    penalised, found = gradients(own, batch, 0, 1, 1)
    assert penalised > plain
    assert all(g.isfinite().all() for g in found)
    assert sum(float(g.abs().sum()) > 0 for g in found) > len(found) / 2


# Deep supervision.


@given(st.integers(1, 60), st.integers(1, 20))
def test_segments_are_all_of_the_iterations_as_equal_as_can_be(iterations, count):
    cut = segments(iterations, count)
    assert sum(cut) == iterations
    assert len(cut) == min(count, iterations)
    assert max(cut) - min(cut) <= 1
    assert min(cut) >= 1


def test_deep_supervision_is_the_mean_of_its_answers_each_through_its_last_iteration():
    own, batch = learner("trm", TrainSpec(supervised=3), cycles=2), TASK.sample(16, 4)
    loss, found = gradients(own, batch, 0, 1)
    state, losses = own.model.encode(batch.inputs), []
    for _ in range(3):
        with torch.no_grad():
            state = own.model.step(state, batch.inputs)
        state = own.model.step(state.map(torch.Tensor.detach), batch.inputs)
        losses.append(TASK.loss(own.model.readout(state), batch))
    wanted = torch.stack(losses).mean()
    torch.testing.assert_close(loss, wanted.detach())
    wanted.backward()
    for gradient, parameter in zip(found, own.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


# Halting.


class Counter(Paradigm):
    """A state that is the number of iterations taken."""

    train_iterations = 8

    def encode(self, x):
        return State(torch.zeros(len(x), 2, x.shape[2]))

    def advance(self, state, context):
        return State(state.hidden + 1, state.iteration + 1)

    def readout(self, state):
        return state.hidden


def halting_at(chance: float, halting: str):
    from paradigms.adaptive import Adaptive

    model = Adaptive(TASK.spec, Counter(), halting)
    torch.nn.init.constant_(model.unit.bias, math.log(chance / (1 - chance)))
    return model


def test_act_answers_with_the_mean_state_and_pays_for_its_time():
    model = halting_at(0.4, "act")
    x = torch.zeros(3, 1, 5)
    with torch.no_grad():
        states = list(model.states(x, 6))
    # 0.4, 0.4, and the 0.2 that are left: halts with the third
    assert [bool(model.halted(s).all()) for s in states] == [False, False, True, True, True, True]
    for number, mean in ((1, 1.0), (2, 0.4 * 1 + 0.6 * 2), (3, 1.8), (6, 1.8)):
        torch.testing.assert_close(
            model.readout(states[number - 1]), torch.full((3, 2, 5), mean), rtol=1e-5, atol=1e-5
        )
    torch.testing.assert_close(model.time(states[1]), torch.full((3,), 2 + 0.6))
    for number in (3, 6):
        torch.testing.assert_close(model.time(states[number - 1]), torch.full((3,), 3 + 0.2))


def test_pondernet_halts_where_that_is_likelier_than_not_and_its_chances_add_up():
    model = halting_at(0.25, "pondernet")
    with torch.no_grad():
        states = list(model.states(torch.zeros(2, 1, 5), 8))
    chances = torch.stack([model.chance(s) for s in states], 1)
    wanted = 0.25 * 0.75 ** torch.arange(8.0)
    torch.testing.assert_close(chances, wanted.expand(2, 8))
    # 0.25, 0.44, 0.58
    assert [bool(model.halted(s).all()) for s in states[:4]] == [False, False, True, True]
    assert torch.equal(model.readout(states[4]), torch.full((2, 2, 5), 5.0))


def test_the_prior_diverges_from_itself_by_nothing():
    chance = 2 / 8
    prior = chance * (1 - chance) ** torch.arange(8.0)
    prior[-1] = 1 - prior[:-1].sum()
    both = torch.stack([prior, prior.flip(0)])
    divergence = halting_divergence(both)
    assert divergence[0].item() == pytest.approx(0, abs=1e-5)
    assert divergence[1] > 0.1


@pytest.mark.parametrize("halting", ["act", "pondernet"])
def test_the_loss_of_halting_is_the_one_that_is_documented(halting):
    own = learner("adaptive", TrainSpec(ponder=0.3), halting=halting)
    batch, model = TASK.sample(16, 4), own.model
    loss, found = gradients(own, batch, 0, 1)
    states = list(model.states(batch.inputs, 6))
    if halting == "act":
        wanted = TASK.loss(model.readout(states[-1]), batch) + 0.3 * model.time(states[-1]).mean()
    else:
        shares = torch.stack([model.chance(s) for s in states], 1)
        shares = torch.cat((shares[:, :-1], 1 - shares[:, :-1].sum(1, keepdim=True)), 1)
        expected = 0.0
        for i, state in enumerate(states):
            one = [TASK.loss(model.readout(state)[j : j + 1], batch[[j]]) for j in range(4)]
            expected = expected + (shares[:, i] * torch.stack(one)).mean()
        wanted = expected + 0.3 * halting_divergence(shares).mean()
    torch.testing.assert_close(loss, wanted.detach())
    assert model.unit.bias.grad is None
    wanted.backward()
    for gradient, parameter in zip(found, own.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-7)
    assert model.unit.bias.grad.abs().max() > 0


def test_one_iteration_halts_for_sure():
    own = learner("adaptive", TrainSpec(ponder=0.3), halting="pondernet", iterations=1)
    batch = TASK.sample(16, 4)
    loss = own(batch, 0, 1)
    (state,) = own.model.states(batch.inputs, 1)
    torch.testing.assert_close(loss, TASK.loss(own.model.readout(state), batch))


@pytest.mark.parametrize("halting", ["act", "pondernet"])
def test_processes_with_unlike_shares_of_a_batch_have_the_loss_of_the_whole(halting, monkeypatch):
    own = learner("adaptive", TrainSpec(ponder=0.3), halting=halting)
    batch = TASK.sample(16, 5)
    whole = own(batch, 0, 1)
    own.shared = True
    monkeypatch.setattr(
        training, "_share", lambda batch, counted: len(batch) * 2 / 5
    )  # of strings, sites and problems have the same share
    parts = [own(batch[part], 0, 1) for part in ([0, 1, 2, 3], [4])]
    torch.testing.assert_close(sum(parts) / 2, whole)


@pytest.mark.parametrize("halting", ["act", "pondernet"])
def test_problems_leave_the_batch_where_the_network_halts(halting):
    model = halting_at(0.3, halting)
    session = Session(model, TASK, torch.device("cpu"))
    batch = TASK.sample(16, 5)
    _, taken, steps = answer_early(session, batch, "halting", 20)
    wanted = {"act": 4, "pondernet": 2}[halting]  # 0.3 + 0.3 + 0.3 + 0.1; 1 - 0.7 ^ 2 > 0.5
    assert taken.tolist() == [wanted] * 5
    assert steps == 5 * wanted


def test_a_network_without_a_halting_unit_never_halts():
    session = Session(Counter(), TASK, torch.device("cpu"))
    _, taken, _ = answer_early(session, TASK.sample(16, 2), "halting", 5)
    assert taken.tolist() == [5, 5]


def test_a_network_that_ends_has_nothing_to_halt():
    with pytest.raises(ValueError, match="ends by itself"):
        build_paradigm("adaptive:feed_forward", TASK.spec)
    with pytest.raises(ValueError, match="unknown halting"):
        build_paradigm("adaptive", TASK.spec, halting="bell")


# What they cost, and what they leave alone.


@pytest.mark.parametrize(
    ("paradigm", "train", "passes"),
    [
        ("dt_net_recall", TrainSpec(implicit=5), (12, 1, 1)),
        ("dt_net_recall", TrainSpec(supervised=4), (4, 4, 4)),
        ("dt_net_recall", TrainSpec(alpha=0.0, depths=3), (0, 8, 1)),
        ("adaptive:dt_net_recall", TrainSpec(), (0, 8, 1)),
    ],
)
def test_operations_are_counted(paradigm, train, passes):
    from dataclasses import replace

    spec = make_spec("prefix_sums", paradigm, "smoke", 0, 500, {})
    spec = replace(spec, train=train, paradigm_options={"width": 8, "iterations": 8})
    model = build_paradigm(paradigm, TASK.spec, **spec.paradigm_options)
    cost = count_cost(model, TASK.sample(spec.train_difficulty, 1).inputs)
    assert expected_step(spec) == pytest.approx(cost.training(*passes) * train.batch_size)


@pytest.mark.parametrize("name", ["feed_forward_recall", "dt_net_recall"])
def test_off_by_default_and_for_networks_that_end(name):
    batch = TASK.sample(16, 8)
    plain = learner(name, TrainSpec())
    assert plain.draw(0, 3)[0] == 6
    others = TrainSpec(starts=0.5, depths=3, implicit=2, supervised=2)
    same = learner(name, others)
    equal = torch.equal(plain(batch, 2, 3, None, 6), same(batch, 2, 3, None, 6))
    assert equal == (name == "feed_forward_recall")
