"""The axes and the statistics behind verdicts, by what defines them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from foundations.measures import (
    area_under,
    converged_share,
    furthest_solved,
    pareto_front,
    peak,
    samples_to_reach,
)
from foundations.statistics import cohens_h, difference, mcnemar, mean_interval, wilson_interval

shares = st.floats(0, 1)
curves = st.dictionaries(st.sampled_from([100, 300, 1000, 3000, 10_000]), shares, min_size=2)


@given(curves, shares)
def test_samples_to_reach_is_where_the_curve_crosses(curve, target):
    found = samples_to_reach(curve, target)
    if found is None:
        assert max(curve.values()) < target
        return
    below = [s for s in curve if s < found * (1 - 1e-9)]
    assert all(curve[s] < target for s in below)
    assert any(curve[s] >= target for s in curve if s >= found * (1 - 1e-9))


def test_samples_are_interpolated_on_a_log_axis():
    assert samples_to_reach({100: 0.0, 10_000: 1.0}, 0.5) == pytest.approx(1000)
    assert samples_to_reach({100: 0.7, 1000: 1.0}, 0.5) == 100


@given(curves)
def test_area_is_a_mean(curve):
    assert min(curve.values()) - 1e-12 <= area_under(curve) <= max(curve.values()) + 1e-12
    assert area_under({100: 0.0, 1000: 1.0, 10_000: 1.0}) == pytest.approx(0.75)
    assert area_under({100: 0.3}) is None


@given(st.lists(st.tuples(st.integers(1, 50), shares), min_size=1, max_size=12))
def test_the_front_is_what_nobody_beats(points):
    front = pareto_front(points)
    for i, (cost, accuracy) in enumerate(points):
        beaten = any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
        if i in front:
            assert not beaten
        else:
            assert beaten or (cost, accuracy) in [points[j] for j in front]


def test_furthest_solved_stops_at_the_first_gap():
    assert furthest_solved({5: 0.0, 9: 1.0, 13: 0.95, 21: 0.4, 29: 0.99}, trained=9) == 13
    assert furthest_solved({9: 0.5, 13: 0.99}, trained=9) is None
    assert peak({4: 0.2, 8: 0.9, 16: 0.9}) == (8, 0.9)
    converged, low, high = converged_share([1.0, 0.995, 0.98, 0.0])
    assert (converged, low, high) == (2, *wilson_interval(2, 4))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_looks_at_what_only_one_solves(both, first, second, neither):
    a = np.array([True] * (both + first) + [False] * (second + neither))
    b = np.array([True] * both + [False] * first + [True] * second + [False] * neither)
    p = mcnemar(a, b)
    assert p == mcnemar(b, a)
    if first + second:
        assert p == pytest.approx(binomtest(first, first + second).pvalue)
    else:
        assert p == 1.0


def test_intervals_hold_as_often_as_they_say():
    generator = np.random.default_rng(5)
    n, seeds, inside, trials = 200, 4, 0, 300
    for _ in range(trials):
        # Shared problems: each has its own difficulty, and every seed its own luck.
        hard = generator.random(n)
        first = [(hard < 0.7 + generator.normal(0, 0.03)) for _ in range(seeds)]
        second = [(hard < 0.6 + generator.normal(0, 0.03)) for _ in range(seeds)]
        found = difference(
            [f.mean() for f in first],
            [s.mean() for s in second],
            n,
            list(zip(first, second, strict=True)),
        )
        inside += found.low <= 0.1 <= found.high
    assert inside / trials > 0.93


@given(st.lists(shares, min_size=1, max_size=5), st.integers(1, 500))
def test_an_interval_holds_its_mean(values, n):
    low, high = mean_interval(values, n)
    mean = float(np.mean(values))
    assert 0 <= low <= mean + 0.5 / n
    assert mean - 0.5 / n <= high <= 1
    assert mean_interval(values, n, 0.99)[0] <= low


def test_more_seeds_on_the_same_problems_do_not_narrow_the_problems_part():
    a, b = np.arange(100) < 70, np.arange(100) < 60
    one = difference([0.7], [0.6], 100, [(a, b)])
    many = difference([0.7] * 9, [0.6] * 9, 100, [(a, b)] * 9)
    assert many.high - many.low == pytest.approx(one.high - one.low)
    assert one.mean == pytest.approx(0.1)
    assert cohens_h(0.5, 0.5) == 0
    assert cohens_h(1, 0) == pytest.approx(np.pi)
    with pytest.raises(ValueError, match="as many"):
        difference([0.1], [], 10)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=4),
    st.booleans(),
)
def test_an_interval_of_a_difference_has_a_width_and_ends_at_one(solved, paired):
    pairs = [(np.arange(20) < a, np.arange(20) < b) for a, b in solved]
    found = difference(
        [x.mean() for x, _ in pairs], [y.mean() for _, y in pairs], 20, pairs if paired else None
    )
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.01
