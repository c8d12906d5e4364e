"""The benchmark of the sparse walk compares like with like; never how fast."""

from __future__ import annotations

import pytest
import torch

from benchmarks import sparse
from comparisons.testing.session import Session
from paradigms import build_paradigm
from tasks import load_task


@pytest.fixture
def session():
    torch.manual_seed(0)
    task = load_task("maze")
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=2).eval()
    return Session(model, task, torch.device("cpu"))


def test_both_walks_answer_the_same_problems(session):
    row = sparse.compared(session, 9, 2, 12, 0.0, 1)
    assert row["same_answers"] == row["same_exits"] == 1
    assert len(row["active"]) == len(row["moving"]) == 12
    assert row["active"][0] == 1


def test_a_figure_shows_the_answer_the_last_change_and_the_shares(session):
    axes = sparse.figure(session, 9, 12, 0.1).axes
    assert len(axes) == 4, "three, and a bar of colours"
    assert len(axes[2].lines) == 2
