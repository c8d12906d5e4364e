"""Aggregates over runs and tasks are rliable's."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from foundations.aggregates import (
    bootstrapped,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

metrics = pytest.importorskip("rliable.metrics")


@pytest.fixture(scope="module")
def library():
    """rliable's library without arch, whose bootstrap it wraps and which does not know pandas 3."""
    arch = types.ModuleType("arch")
    arch.bootstrap = types.SimpleNamespace(IIDBootstrap=object, IndependentSamplesBootstrap=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "arch", arch)
        patch.setitem(sys.modules, "arch.bootstrap", arch.bootstrap)
        from rliable import library

        yield library


_SHARES = st.floats(0, 1).map(lambda share: round(share, 2))  # ties happen
SCORES = arrays(float, st.tuples(st.integers(1, 7), st.integers(1, 5)), elements=_SHARES)


@given(SCORES)
def test_the_interquartile_mean_is_rliables(scores):
    assert interquartile_mean(scores) == pytest.approx(metrics.aggregate_iqm(scores))


@given(st.data())
def test_the_probability_of_improvement_is_rliables(data):
    tasks = data.draw(st.integers(1, 4))
    x, y = (
        data.draw(arrays(float, (data.draw(st.integers(1, 6)), tasks), elements=_SHARES))
        for _ in range(2)
    )
    found = probability_of_improvement(x, y)
    assert found == pytest.approx(metrics.probability_of_improvement(x, y))
    assert found + probability_of_improvement(y, x) == pytest.approx(1)


@given(SCORES)
def test_a_performance_profile_is_rliables(library, scores):
    thresholds = np.linspace(0, 1, 11)
    theirs = [library.run_score_deviation(scores, threshold) for threshold in thresholds]
    assert performance_profile(scores, thresholds) == pytest.approx(theirs)


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_of_one_task_an_interval_is_that_of_the_percentile_bootstrap(seed):
    scores = np.random.default_rng(seed).beta(4, 1, size=(12, 1))
    low, high = bootstrapped(_mean, scores)
    theirs = stats.bootstrap(
        (scores[:, 0],), np.mean, n_resamples=2000, method="percentile", rng=seed
    ).confidence_interval
    assert [low, high] == pytest.approx([theirs.low, theirs.high], abs=0.15 * (high - low))


def test_whole_runs_are_drawn_again():
    # Both tasks of a run are low or high together: a second task tells nothing more.
    scores = np.repeat([[0.0], [1.0]], 4, axis=0)
    assert bootstrapped(_mean, np.tile(scores, 2)) == bootstrapped(_mean, scores)


def test_an_interval_over_difficulties_of_the_same_runs_holds_about_as_often_as_it_says():
    generator, truth = np.random.default_rng(0), 0.6
    held = []
    for _ in range(200):
        by_run = generator.normal(0, 0.08, (20, 1))
        scores = truth + by_run + generator.normal(0, 0.02, (20, 8))
        low, high = bootstrapped(interquartile_mean, scores)
        held.append(low <= truth <= high)
    assert np.mean(held) > 0.87  # task by task: 0.61


def _mean(scores):
    return scores.mean((-2, -1))


def test_every_task_keeps_its_weight_in_an_interval():
    # All runs of a task alike: whatever is drawn again, the mean over tasks stays.
    scores = np.tile([0.1, 0.5, 0.9], (5, 1))
    assert bootstrapped(_mean, scores) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("scores", [[], [[]], [1.0, 2.0], [[np.nan]]])
def test_what_is_no_table_of_scores_is_refused(scores):
    with pytest.raises(ValueError, match="runs, tasks"):
        performance_profile(scores, [0.5])
    with pytest.raises(ValueError, match="tasks"):
        probability_of_improvement([[1.0]], [[1.0, 2.0]])
