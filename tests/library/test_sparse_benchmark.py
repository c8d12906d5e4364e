"""The benchmark of the sparse walk compares like with like; never how fast."""

from __future__ import annotations

import pytest
import torch

from benchmarks import film, sparse
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


def test_a_film_shows_the_answer_where_the_state_moves_and_ends_when_it_rests(session):
    frames, said = film.filmed(session, 9, 0, 40, 0.5)
    numbers = [number for number, *_ in said["active_and_moving"]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == said["iterations"] <= 40
    assert len(frames) == len(numbers)
    assert {frame.size for frame in frames} == {(396, 418)}, "36 pixels a site, and a line of text"
    colours = {colour for _, colour in frames[0].crop((0, 22, 396, 418)).getcolors()}
    assert film.WALL in colours
    assert colours <= {film.WALL, film.PASSAGE, film.ANSWER, film.MOVING}
    assert said["at_rest"] is (said["active_and_moving"][-1][2] == 0)
