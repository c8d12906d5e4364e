"""What else than the length of its path a drawing of Pathfinder can differ in."""

from __future__ import annotations

import pytest

from comparisons.planning.plan import Request, make_plan
from tasks import load_task
from tasks.pathfinder import Pathfinder

QUICK = Pathfinder.presets["quick"]["options"]


@pytest.mark.parametrize("more", [{}, {"continuity": 2.5}, {"contrast": (0.5, 1.0)}])
def test_the_axes_are_drawn_as_the_task_is_but_for_the_distance_of_the_discs(more):
    task = load_task("pathfinder", **QUICK, **more)
    assert task.axes() == {"plain": QUICK | more, "matched": QUICK | more | {"matched": True}}
    matched = load_task("pathfinder", **task.axes()["matched"])
    assert matched.matched
    assert matched.axes() == task.axes()


def test_a_study_along_the_axes_tests_on_the_drawings_it_was_not_trained_on():
    settings = {("evaluation", "axes"): ("all",)}
    (run,) = make_plan(Request(("pathfinder",), ("hgru",), "quick", (0,), settings=settings,
                               train_samples=(100,))).runs  # fmt: skip
    from comparisons.planning.elsewhere import other_tests

    (other,) = other_tests(run)
    assert other.label == "pathfinder:matched"
    assert other.options == QUICK | {"matched": True}
    assert other.difficulties == (6, 9, 14)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mix": "all", "matched": True}, "leave out matched"),
        ({"mix": "match"}, "unknown axis of pathfinder to mix 'match'; known: matched, plain, all"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_task("pathfinder", **options)


def test_drawings_of_a_mixture_are_asked_of_its_axes():
    task = load_task("pathfinder", mix="all", **QUICK)
    with pytest.raises(ValueError, match="ask one of them"):
        task.draw_with_record(6, range(2))


def test_a_mixture_has_the_dense_form_too():
    batch = load_task("pathfinder", mix="all", segmentation=True, **QUICK).sample(6, 8)
    assert batch.targets.shape == batch.mask.shape == (8, 64, 64)
    assert (batch.targets <= batch.mask).all()
