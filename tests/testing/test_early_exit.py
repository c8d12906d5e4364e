"""Stopping for real gives the answers that the rules would have given, for less work."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from comparisons.testing.cost import count_cost
from comparisons.testing.early_exit import answer_early, time_stopping
from comparisons.testing.evaluation import evaluate
from comparisons.testing.exits import stopping_rules
from comparisons.testing.session import Session
from paradigms import build_paradigm
from paradigms.base import Paradigm, State
from tasks import load_task

CPU = torch.device("cpu")
PAIRS = [
    ("maze", 5, "dt_net_recall", {"width": 8, "iterations": 4}),
    ("prefix_sums", 16, "dt_net_recall", {"width": 8, "iterations": 4}),
    ("pathfinder", 6, "hgru", {"width": 4, "iterations": 3}),
    ("digits", 1, "recurrent_resnet_bn", {"width": 8}),
]


def built(task_name: str, paradigm: str, options: dict):
    task = load_task(
        task_name, **({"size": 64, "canvas": 128} if task_name == "pathfinder" else {})
    )
    torch.manual_seed(0)
    return task, build_paradigm(paradigm, task.spec, **options).eval()


@pytest.mark.parametrize("rule", stopping_rules())
@pytest.mark.parametrize(("task_name", "difficulty", "paradigm", "options"), PAIRS)
def test_same_answers_as_walking_all_iterations(task_name, difficulty, paradigm, options, rule):
    task, model = built(task_name, paradigm, options)
    difficulty = difficulty if task_name != "digits" else task.spec.difficulties[0]
    count, most = 40, 9
    batch = task.sample(difficulty, count, seed=3, split="test")
    session = Session(model, task, CPU)
    logits, taken, steps = answer_early(session, batch, rule, most)
    scores = evaluate(
        session,
        difficulty,
        split="test",
        count=count,
        seed=3,
        iterations=most,
        record=[most],
        rules=(rule,),
    )
    assert torch.equal(taken, scores.exits[rule])
    assert torch.equal(task.correct(logits, batch), scores.correct[rule])
    assert taken.sum() <= steps <= count * most


class Counter(Paradigm):
    """Counts down from a number in the input and says how many are left: problem i is done after i
    steps."""

    train_iterations = 2

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, x):
        return State(x[:, :1].abs().cumsum(-1)[..., -1:] * 10)

    def advance(self, state, context):
        self.computed += len(state.hidden)
        return State((state.hidden - 1).clamp_min(0), state.iteration + 1)

    def readout(self, state):
        left = state.hidden.expand(-1, -1, 16)
        return torch.cat([left * 0, (left % 2) - 0.5], 1)


def test_problems_that_are_answered_are_not_computed_any_more():
    task = load_task("prefix_sums")
    batch = task.sample(16, 64, seed=0)
    batch.inputs.mul_(torch.linspace(0.01, 0.5, 64).view(-1, 1, 1))
    model = Counter()
    _, taken, steps = answer_early(Session(model, task, CPU), batch, "agreement", 60)
    assert model.computed == steps
    assert len(taken.unique()) > 10
    # A batch is packed when a quarter of it is done, so that no more than a quarter waits at any
    # time.
    assert int(taken.sum()) <= steps < int(taken.sum()) * 4 / 3 + 64


def test_cost_of_stopping_is_that_of_the_steps_taken():
    task, model = built("maze", "dt_net_recall", {"width": 8, "iterations": 4})
    cost = count_cost(model, task.sample(5, 1).inputs)
    found = time_stopping(
        Session(model, task, CPU),
        5,
        stopping_rules()[:2],
        count=32,
        seed=0,
        stop=6,
        most=12,
        cost=cost,
    )
    by_rule = {entry["exit_rule"]: entry for entry in found}
    assert set(by_rule) == {"validated", *stopping_rules()[:2]}
    assert by_rule["validated"]["flops_per_example"] == cost.inference(6)
    assert by_rule["validated"]["iterations_mean"] == 6
    assert by_rule["n_plus_2"]["iterations_mean"] == 6
    extra = by_rule["n_plus_2"]["flops_per_example"] - cost.inference(6)
    assert extra == pytest.approx(5 * cost.readout)
    assert all(entry["seconds_per_example"] > 0 for entry in found)
