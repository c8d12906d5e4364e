"""Objectives, intervals, exit rules and costs: small functions against independent computations."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from comparisons.testing.cost import count_cost
from comparisons.testing.evaluation import evaluate, recorded_iterations
from comparisons.testing.exits import (
    EXIT_RULES,
    ExitRule,
    Observation,
    exit_rule_class,
    make_exit_rule,
    mean_confidence,
    state_change,
    stopping_rules,
    validated_iterations,
)
from comparisons.testing.session import Session
from comparisons.training.objectives import progressive_draw, rate
from foundations.statistics import wilson_interval
from paradigms import build_paradigm
from paradigms.base import Paradigm, State
from tasks import load_task


@given(st.integers(1, 60), st.integers(0, 100))
def test_progressive_draws_stay_inside_the_training_budget(iterations, seed):
    for step in range(20):
        skipped, kept = progressive_draw(iterations, seed, step)
        assert 0 <= skipped < iterations
        assert 1 <= kept <= iterations - skipped
        assert (skipped, kept) == progressive_draw(iterations, seed, step)


def test_progressive_draws_are_uniform():
    draws = np.array([progressive_draw(4, 0, step) for step in range(8000)])
    assert np.abs(np.bincount(draws[:, 0]) / 8000 - 0.25).max() < 0.03
    kept = draws[draws[:, 0] == 1, 1]
    assert np.abs(np.bincount(kept)[1:] / len(kept) - 1 / 3).max() < 0.05


@given(st.integers(2, 5000), st.integers(0, 500), st.sampled_from(["cosine", "constant", "linear"]))
def test_the_rate_rises_then_never_rises_again(steps, warmup, schedule):
    rates = [rate(s, steps, warmup, schedule) for s in range(0, steps, max(1, steps // 200))]
    assert all(0 <= r <= 1 for r in rates)
    if schedule != "constant" and steps > 2 * warmup:
        assert rate(steps, steps, warmup, schedule) == 0
        after = [rate(s, steps, warmup, schedule) for s in range(3 * warmup, steps)]
        assert all(a >= b - 1e-6 for a, b in itertools.pairwise(after))


@given(st.integers(1, 5000), st.data())
def test_wilson_intervals_hold_the_share_and_stay_inside_zero_and_one(count, data):
    right = data.draw(st.integers(0, count))
    low, high = wilson_interval(right, count)
    assert 0 <= low <= right / count <= high <= 1
    mirrored = wilson_interval(count - right, count)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.97])
def test_wilson_intervals_cover_at_about_their_level(share):
    n = 200
    intervals = [wilson_interval(k, n) for k in range(n + 1)]
    covered = sum(
        binom.pmf(k, n, share) for k, (low, high) in enumerate(intervals) if low <= share <= high
    )
    assert 0.91 < covered < 0.99


@pytest.mark.parametrize(("right", "count"), [(1, 0), (-1, 5), (6, 5)])
def test_shares_that_make_no_sense_are_refused(right, count):
    with pytest.raises(ValueError, match="need 0 <= right"):
        wilson_interval(right, count)


def replay(name, answers, confidence, trained=2, change=None):
    """Exit iterations of a rule fed with answers and confidences, [iteration][problem]."""
    rule = make_exit_rule(name, trained)
    for i, (a, c) in enumerate(zip(answers, confidence, strict=True), start=1):
        right = torch.tensor(a) == 7
        moved = torch.tensor(change[i - 1]) if change else torch.ones(len(a))
        answer = torch.tensor(a).reshape(-1, 1)
        rule.update(Observation(i, answer, torch.tensor(c), moved, right, right.float()))
    return rule.iteration.tolist(), rule.correct.tolist()


ANSWERS = [[1, 2, 7], [7, 2, 3], [7, 7, 4], [5, 7, 5], [5, 7, 6]]
CONFIDENCE = [[0.5, 0.9, 0.6], [0.6, 0.8, 0.7], [0.9, 0.7, 0.7], [0.9, 0.6, 0.5], [0.1, 0.5, 0.4]]


def test_agreement_stops_at_the_first_answer_that_repeats_else_at_the_last():
    assert replay("agreement", ANSWERS, CONFIDENCE) == ([3, 2, 5], [True, False, False])


def test_maximum_confidence_takes_the_first_most_confident_iteration():
    assert replay("maximum_confidence", ANSWERS, CONFIDENCE) == ([3, 1, 2], [True, False, False])


def test_n_plus_2_takes_two_iterations_more_than_trained():
    assert replay("n_plus_2", ANSWERS, CONFIDENCE, trained=1) == ([3, 3, 3], [True, True, False])


def test_convergence_stops_where_the_state_hardly_moves_else_at_the_last():
    change = [
        [math.inf] * 3,
        [0.5, 0.005, 0.2],
        [0.009, 0.5, 0.2],
        [0.0, 0.0, 0.2],
        [1.0, 1.0, 0.2],
    ]
    found = replay("convergence", ANSWERS, CONFIDENCE, change=change)
    assert found == ([3, 2, 5], [True, False, False])


def test_the_oracle_takes_the_first_right_answer_and_is_never_beaten():
    assert replay("oracle", ANSWERS, CONFIDENCE) == ([2, 3, 1], [True, True, True])
    for name in EXIT_RULES:
        _, right = replay(name, ANSWERS, CONFIDENCE)
        assert sum(right) <= 3


def test_a_rule_that_stopped_holds_its_answer_whatever_follows():
    for name in EXIT_RULES:
        rule, held = make_exit_rule(name, 2), []
        for i, (a, c) in enumerate(zip(ANSWERS, CONFIDENCE, strict=True), start=1):
            right = torch.tensor(a) == 7
            moved = torch.tensor([0.001, 1.0, 0.001])
            look = Observation(
                i, torch.tensor(a).reshape(-1, 1), torch.tensor(c), moved, right, right.float()
            )
            rule.update(look)
            held.append((rule.stopped.clone(), rule.iteration.clone(), rule.correct.clone()))
        for (stopped, at, right), (later, then, still) in itertools.pairwise(held):
            assert (later | ~stopped).all()
            assert torch.equal(at[stopped], then[stopped])
            assert torch.equal(right[stopped], still[stopped])


class Watcher(ExitRule):
    """Reads how far the state moved, under a name that nobody knows; keeps what it saw."""

    needs_change = True
    seen: list = []

    def chooses(self, look):
        Watcher.seen.append(look.change.tolist())
        return self.stop_at(look.change < 0.3)


class Chooser(ExitRule):
    """Chooses the first iteration, but says so only after the last."""

    stops = False

    def chooses(self, look):
        return torch.full_like(self.stopped, look.iteration == 1)


class Peeker(ExitRule):
    """Reads what it has not said that it needs: the field `wants`."""

    wants = ""

    def chooses(self, look):
        return self.stop_at(getattr(look, self.wants) < 0.5)


@pytest.fixture
def watcher(monkeypatch):
    """The name of a rule that was not there before, which reads the change of the state."""
    monkeypatch.setitem(EXIT_RULES, "watcher", f"{__name__}:Watcher")
    Watcher.seen = []
    return "watcher"


class Halving(Paradigm):
    """A state that moves by half, a quarter, ... of what it started with: 1/2, 1/2, 1/2, then not
    at all."""

    train_iterations = 2

    def encode(self, x):
        return State(torch.ones_like(x))

    def advance(self, state, context):
        shrinks = 0.5 if state.iteration < 3 else 1.0
        return State(state.hidden * shrinks, state.iteration + 1)

    def readout(self, state):
        return torch.cat([state.hidden, -state.hidden], 1)


def test_a_new_rule_that_reads_the_change_of_the_state_sees_it_wherever_rules_are_asked(watcher):
    from comparisons.testing.early_exit import answer_early

    task = load_task("prefix_sums")
    scores = scores_of(
        Halving(), task, 16, count=3, iterations=6, record=[6], rules=(watcher, "agreement")
    )
    seen, Watcher.seen = Watcher.seen, []
    _, taken, _ = answer_early(
        Session(Halving(), task, torch.device("cpu")), task.sample(16, 3, split="test"), watcher, 6
    )
    assert scores.exits[watcher].tolist() == taken.tolist() == [4, 4, 4]
    for changes in (seen, Watcher.seen):
        assert changes[:4] == [[math.inf] * 3, [0.5] * 3, [0.5] * 3, [0.0] * 3]
    assert watcher in stopping_rules()


@pytest.mark.parametrize("wants", ["change", "correct", "elements"])
def test_no_rule_reads_what_it_does_not_say_it_needs_whatever_runs_beside_it(monkeypatch, wants):
    monkeypatch.setitem(EXIT_RULES, "peeker", f"{__name__}:Peeker")
    monkeypatch.setattr(Peeker, "wants", wants)
    task = load_task("prefix_sums")
    with pytest.raises(TypeError, match="NoneType"):
        scores_of(
            Halving(), task, 16, count=3, iterations=3, record=[3],
            rules=("convergence", "oracle", "peeker"),
        )  # fmt: skip


def test_what_an_answer_costs_follows_from_what_its_rule_does(monkeypatch):
    """A rule that chooses among all iterations costs all of them; one that reads nothing out, no
    readouts."""
    from comparisons.execution.run_tests import rows_of
    from comparisons.testing.cost import Cost
    from foundations.records.result import Facts

    monkeypatch.setitem(EXIT_RULES, "chooser", f"{__name__}:Chooser")
    task = load_task("prefix_sums")
    rules = ("chooser", *EXIT_RULES)
    scores = scores_of(Halving(), task, 16, count=3, iterations=6, record=[2, 6], rules=rules)
    facts = Facts(**dict.fromkeys((f.name for f in fields(Facts)), 0))
    rows = rows_of(facts, task, 16, scores, Cost(1000.0, 100.0, 1.0), 2)
    flops = {(r.exit_rule, r.iterations): r.flops_per_example for r in rows}
    means = {(r.exit_rule, r.iterations): r.exit_iterations_mean for r in rows}
    assert flops["fixed", 6] == 1601
    assert flops["validated", 2] == 1201
    assert flops["n_plus_2", 6] == 1401  # two more than in training, one readout
    for name in ("chooser", "maximum_confidence"):
        assert flops[name, 6] == 1606
        assert flops[name, 2] == 1202
    assert means["chooser", 6] == 1
    for name in ("agreement", "convergence", "oracle"):
        at = means[name, 6]
        assert flops[name, 6] == pytest.approx(1000 + 101 * at)
    assert "chooser" not in stopping_rules()


def test_the_rules_that_stop_see_answers_alone():
    assert stopping_rules() == ("n_plus_2", "agreement", "convergence", "halting")
    assert stopping_rules(["oracle", "convergence", "maximum_confidence"]) == ("convergence",)
    for name in EXIT_RULES:
        assert issubclass(exit_rule_class(name), ExitRule)
    with pytest.raises(ValueError, match="unknown exit rule 'agreemint'; known: agreement"):
        make_exit_rule("agreemint", 2)


def test_nobody_asks_for_a_rule_by_name():
    """Names stand in the registry, in the defaults of a spec and in studies; code goes by what a
    rule says of itself."""
    from commands import ROOT

    folders = (ROOT / "comparisons", ROOT / "foundations")
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    texts = {path.name: path.read_text() for path in paths if path.parent.name != "studies"}
    naming = {name for name, text in texts.items() if any(f'"{r}"' in text for r in EXIT_RULES)}
    assert naming == {"exits.py", "spec.py"}


def test_the_change_of_a_state_is_its_relative_distance_whatever_its_parts():
    a, b = torch.rand(3, 2, 4), torch.rand(3, 5)
    one, tenth_more = State((a, b)), State((1.1 * a, 1.1 * b))
    assert state_change(one, one).tolist() == [0, 0, 0]
    assert state_change(None, one).tolist() == [math.inf] * 3, "there was none before"
    torch.testing.assert_close(state_change(one, tenth_more), torch.full((3,), 0.1))
    both = torch.cat([a.flatten(1), b], 1)
    c, d = torch.rand(3, 2, 4), torch.rand(3, 5)
    other = torch.cat([c.flatten(1), d], 1)
    expected = (other - both).norm(dim=1) / both.norm(dim=1)
    torch.testing.assert_close(state_change(one, State((c, d))), expected)


def test_the_validated_rule_takes_the_most_iterations_that_cost_nothing():
    level = {1: 0.1, 4: 0.98, 16: 1.0, 64: 1.0}
    assert validated_iterations(level, 500) == 64
    decays = {1: 0.1, 6: 0.95, 8: 0.94, 64: 0.6}
    assert validated_iterations(decays, 500) == 8
    assert validated_iterations(decays, 100_000) == 6, "with more problems the loss at 8 is seen"
    assert validated_iterations({1: 0.0, 2: 0.0}, 10) == 2


def test_where_nothing_is_harder_the_validated_rule_takes_the_best():
    level = {1: 0.1, 4: 0.98, 16: 1.0, 64: 1.0}
    assert validated_iterations(level, 500, harder=False) == 16
    assert validated_iterations({1: 0.1, 6: 0.95, 8: 0.949}, 500, harder=False) == 6


def test_confidence_counts_only_the_sites_that_count():
    logits = torch.randn(3, 2, 5, 5)
    mask = torch.rand(3, 5, 5) < 0.5
    each = torch.softmax(logits, 1).amax(1)
    expected = torch.stack([e[m].mean() for e, m in zip(each, mask, strict=True)])
    torch.testing.assert_close(mean_confidence(logits, mask), expected)
    torch.testing.assert_close(mean_confidence(logits, None), each.flatten(1).mean(1))
    torch.testing.assert_close(
        mean_confidence(torch.tensor([[2.0]]), None), torch.sigmoid(torch.tensor([2.0]))
    )


@given(st.integers(1, 3000), st.integers(1, 60))
def test_recorded_iterations_hold_the_trained_number_and_the_last(most, trained):
    record = recorded_iterations(most, trained)
    assert record == sorted(set(record))
    assert record[0] == 1
    assert record[-1] == most
    assert min(trained, most) in record


def scores_of(model, task, difficulty, *, seed=0, **options):
    """`evaluate` on test problems, in this process."""
    session = Session(model, task, torch.device("cpu"))
    return evaluate(session, difficulty, split="test", seed=seed, **options)


def test_evaluation_in_one_pass_equals_evaluating_each_iteration_by_itself():
    task = load_task("prefix_sums")
    torch.manual_seed(0)
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=3)
    scores = scores_of(
        model,
        task,
        6,
        count=6,
        seed=5,
        iterations=5,
        record=[1, 3, 5],
        rules=("agreement", "maximum_confidence"),
    )
    batch = task.sample(6, 6, seed=5, split="test")
    with torch.no_grad():
        for i in (1, 3, 5):
            logits = model(batch.inputs, iterations=i)
            assert scores.fixed[i].correct == task.correct(logits, batch).sum()
            assert scores.fixed[i].elements == pytest.approx(
                task.element_accuracy(logits, batch).sum().item()
            )
            assert scores.fixed[i].iterations == 6 * i
        assert scores.loss == pytest.approx(task.loss(logits, batch).item(), rel=1e-5)
    assert model.training, "left as it was"


class Remembers(Paradigm):
    """Counts how many of its states are alive."""

    alive = 0
    most = 0

    def encode(self, x):
        return State(Counted(x))

    def advance(self, state, context):
        return State(Counted(state.hidden.value), state.iteration + 1)

    def readout(self, state):
        value = state.hidden.value
        return torch.cat([value, -value], 1)


class Counted:
    def __init__(self, value):
        self.value = value
        Remembers.alive += 1
        Remembers.most = max(Remembers.most, Remembers.alive)

    def __del__(self):
        Remembers.alive -= 1


def test_evaluation_holds_a_constant_number_of_states_however_long_it_iterates():
    task = load_task("prefix_sums")

    def most_alive(iterations: int) -> int:
        Remembers.alive = Remembers.most = 0
        scores_of(
            Remembers(),
            task,
            16,
            count=4,
            iterations=iterations,
            record=[1, iterations],
            rules=("n_plus_2", "agreement", "maximum_confidence"),
        )
        return Remembers.most

    assert most_alive(5) == most_alive(500) <= 3


def test_costs_are_those_of_the_convolutions():
    task = load_task("maze")
    width, side = 8, 11
    model = build_paradigm("dt_net_recall", task.spec, width=width, iterations=5)
    cost = count_cost(model, task.sample(9, 1).inputs)
    taps = 2 * 9 * side * side  # two operations a multiply-add
    assert cost.fixed == taps * (3 * width + 3 * width)
    assert cost.step == taps * 5 * width * width
    assert cost.readout == taps * (width * 32 + 32 * 8 + 8 * 2)
    assert cost.inference(5) == cost.fixed + 5 * cost.step + cost.readout
    assert cost.training(2, 3) == 3 * cost.fixed + 2 * cost.step + 9 * cost.step + 3 * cost.readout


def test_what_a_rule_answers_under_a_budget_is_what_it_gives_when_iterations_end_there():
    task = load_task("prefix_sums")
    torch.manual_seed(1)
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=4)

    def scores(iterations: int):
        return scores_of(
            model,
            task,
            16,
            count=300,
            iterations=iterations,
            record=sorted({1, 3, iterations}),
            rules=tuple(EXIT_RULES),
        )

    long = scores(12)
    for budget in (1, 3, 12):
        short = scores(budget)
        for name in EXIT_RULES:
            assert long.rules[name][budget] == short.rules[name][budget], (name, budget)
    for name, at in long.exits.items():
        assert at.shape == (300,)
        assert at.min() >= 1
        assert at.max() <= 12
        assert int(at.sum()) == long.rules[name][12].iterations
        assert int(long.correct[name].sum()) == long.rules[name][12].correct
    most = max(t.correct for by in (long.fixed, long.rules["agreement"]) for t in by.values())
    assert long.rules["oracle"][12].correct >= most


def test_answers_are_kept_where_iterations_were_fixed_and_where_training_ended():
    task = load_task("digits")
    torch.manual_seed(1)
    model = build_paradigm("recurrent_resnet_bn", task.spec, width=8, depth=15)
    scores = scores_of(
        model,
        task,
        1,
        count=300,
        iterations=9,
        record=[1, 3, 7, 9],
        stop=7,
    )
    assert set(scores.correct) == {"validated", "trained"}
    for name, number in (("validated", 7), ("trained", 3)):
        assert int(scores.correct[name].sum()) == scores.fixed[number].correct > 0
        assert set(scores.exits[name].tolist()) == {number}
