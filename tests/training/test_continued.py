"""Training that goes on past its iterations, so that answers last and states come to rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from outside import undone

from comparisons.planning.match import expected_step
from comparisons.planning.plan import make_spec
from comparisons.testing.exits import state_change
from comparisons.training.learner import Learner
from comparisons.training.objectives import (
    CONTINUED_FROM,
    DISTURBANCE,
    WITH_GRADIENT,
    continued_draw,
    disturbed,
    progressive_draw,
    squared_change,
    squared_growth,
)
from foundations.records.spec import OBJECTIVES, TrainSpec
from paradigms import build_paradigm
from paradigms.base import State
from tasks import load_task

TASK = load_task("prefix_sums")


def network(name: str = "dt_net_recall"):
    torch.manual_seed(0)
    return build_paradigm(name, TASK.spec, width=8, iterations=6)


def learner(train: TrainSpec, name: str = "dt_net_recall") -> Learner:
    return Learner(network(name), TASK, train, "fp32")


@given(st.integers(0, 50), st.integers(0, 9), st.integers(0, 10**6))
def test_draws_are_within_the_limit_and_repeatable(most, seed, step):
    assert 0 <= continued_draw(most, seed, step) <= most
    assert continued_draw(most, seed, step) == continued_draw(most, seed, step)


def test_draws_are_uniform_and_not_those_of_the_progressive_loss():
    draws = np.array([continued_draw(5, 0, step) for step in range(6000)])
    share = np.bincount(draws, minlength=6) / len(draws)
    assert np.abs(share - 1 / 6).max() < 0.02
    first = np.array([progressive_draw(6, 0, step)[0] for step in range(6000)])
    assert abs(np.corrcoef(draws, first)[0, 1]) < 0.05


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
def test_the_penalty_is_the_square_of_the_change_that_exit_rules_see(seed, n, parts):
    draw = torch.Generator().manual_seed(seed)
    shapes = [(n, 3, 5)] * parts
    before, after = (
        tuple(torch.randn(shape, generator=draw) for shape in shapes) for _ in range(2)
    )
    seen = state_change(State(before), State(after)).square()
    torch.testing.assert_close(squared_change(before, after), seen, rtol=1e-4, atol=1e-5)
    assert squared_change(before, before).abs().max() == 0


@pytest.mark.parametrize(("grown", "factor"), [(0.25, 0.5), (1.0, 1.0), (9.0, 3.0)])
def test_the_growth_of_a_disturbance_is_that_of_its_squared_length(grown, factor):
    torch.manual_seed(0)
    start = State((torch.randn(5, 3, 8), torch.randn(5, 2, 4, 4)))
    beside = disturbed(start)
    noise = [b - a for a, b in zip(start.parts, beside.parts, strict=True)]
    for part, own in zip(start.parts, noise, strict=True):
        assert own.square().mean().sqrt() / part.square().mean().sqrt() == pytest.approx(
            DISTURBANCE, rel=0.2
        )
    end = [a + factor * own for a, own in zip(start.parts, noise, strict=True)]
    growth = squared_growth((start.parts, beside.parts), (start.parts, end))
    torch.testing.assert_close(growth, torch.full((5,), grown), rtol=1e-3, atol=1e-4)


def test_the_loss_is_the_sum_that_is_documented():
    train = TrainSpec(continued=4, settle=0.7, contract=0.3)
    own, batch = learner(train), TASK.sample(16, 8)
    model, x = own.model, batch.inputs
    torch.manual_seed(3)
    loss = own(batch, 0, 3, 4)
    loss.backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    state = model.run(x, 3)
    wanted = TASK.loss(model.readout(state), batch, 0.0)
    with torch.no_grad():
        state = model.run(x, 4, state.map(torch.Tensor.detach))
    before = model.step(state, x)
    after = model.step(before, x)
    torch.manual_seed(3)
    beside = disturbed(state)
    apart = model.step(model.step(beside, x), x).hidden - after.hidden
    noise = beside.hidden - state.hidden
    growth = apart.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    wanted = wanted + TASK.loss(model.readout(after), batch, 0.0) / 2
    moved = (after.hidden - before.hidden).flatten(1).norm(dim=1)
    wanted = wanted + 0.7 * (moved / before.hidden.flatten(1).norm(dim=1)).square().mean()
    wanted = wanted + 0.3 * growth.square().mean()
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_without_a_continuation_the_loss_is_as_before(alpha):
    batch = TASK.sample(16, 8)
    plain, other = learner(TrainSpec(alpha=alpha)), learner(TrainSpec(alpha=alpha, settle=3.0))
    assert not plain.continues
    assert not other.continues
    assert torch.equal(plain(batch, 2, 3), other(batch, 2, 3, None))
    assert other(batch, 2, 3, 0) != other(batch, 2, 3, None)


def test_a_network_that_ends_is_not_continued():
    assert learner(TrainSpec(continued=4)).continues
    assert not learner(TrainSpec(continued=4), "feed_forward_recall").continues


def test_its_operations_are_counted():
    spec = make_spec("prefix_sums", "dt_net_recall", "smoke", 0, 500, {})
    more = replace(spec, train=replace(spec.train, continued=10))
    twin = make_spec("prefix_sums", "feed_forward_recall", "smoke", 0, 500, {})
    assert expected_step(twin) == expected_step(
        replace(twin, train=replace(twin.train, continued=10))
    )
    from comparisons.testing.cost import count_cost

    model = build_paradigm(spec.paradigm, TASK.spec, **spec.paradigm_options)
    cost = count_cost(model, TASK.sample(spec.train_difficulty, 1).inputs)
    extra = cost.training(5, WITH_GRADIENT) - cost.training(0, 0)
    extra *= (1 - CONTINUED_FROM) * spec.train.batch_size
    twice = replace(more, train=replace(more.train, contract=1.0))
    assert expected_step(twice) > expected_step(more)
    assert expected_step(more) - expected_step(spec) == pytest.approx(extra, rel=1e-6)


def trained(train: TrainSpec):
    own = learner(train)
    optimizer = torch.optim.Adam(own.parameters(), 3e-3)
    for step in range(100):
        batch = TASK.sample(16, indices=np.arange(8) + 8 * step, split="train")
        torch.manual_seed(step)
        own(batch, *progressive_draw(6, 0, step), continued_draw(6, 0, step)).backward()
        torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return own.model


def test_training_for_rest_and_for_contraction_does_what_it_says():
    """Real trainings, the same but for the penalties."""
    x = TASK.sample(16, 64).inputs

    @torch.inference_mode()
    def change(model) -> float:
        *_, before, after = model.states(x, 20)
        return float(state_change(before, after).mean())

    @torch.inference_mode()
    def growth(model) -> float:
        torch.manual_seed(0)
        start = model.run(x, 20)
        beside = disturbed(start)
        ends = model.run(x, 2, start).parts, model.run(x, 2, beside).parts
        return float(squared_growth((start.parts, beside.parts), ends).mean())

    plain = trained(TrainSpec(continued=6))
    assert change(trained(TrainSpec(continued=6, settle=3.0))) < change(plain) / 2
    assert growth(trained(TrainSpec(continued=6, contract=1.0))) < growth(plain) / 2


def test_training_by_an_objective_from_outside_is_not_counted_as_continued():
    with undone(OBJECTIVES):
        OBJECTIVES.register("mine")(lambda model, task, batch, n: model(batch.inputs, n).sum())
        plain, more = (
            make_spec("maze", "dt_net_recall", "smoke", 0, 100,
                      {("train", "objective"): "mine", ("train", "continued"): count})
            for count in (0, 20)
        )  # fmt: skip
        assert expected_step(more) == expected_step(plain)
