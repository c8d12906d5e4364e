"""Intervals hold as often as they say, whatever varies: seeds, problems or both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, ndtri

from foundations.statistics import (
    LOOKS,
    Spread,
    crossed,
    difference,
    difference_of_shares,
    half_solved,
    half_solved_at,
    mean_interval,
    share_interval,
    spent_at,
)

#: Deviations, on the scale of logits, of (seeds, problems, seeds within a problem).
VARYING = {
    "alike": (0.25, 3.0, 0.5),
    "mostly seeds": (0.6, 1.0, 0.5),
    "mostly problems": (0.05, 4.0, 0.5),
}
N = 150


def drawn(generator, seeds, varying, gap=0.0):
    """Which of N problems two networks solved, bool [seeds, N] each, and their true accuracies:
    logits with an effect of the seed, of the problem (in part that of both networks) and of chance.
    """
    by_seed, by_problem, rest = varying
    shared = generator.normal(0, by_problem * 0.8, N)
    solved = []
    for shift in (0.5 + gap / 2, 0.5 - gap / 2):
        problems = shared + generator.normal(0, by_problem * 0.6, N)
        logits = shift + generator.normal(0, by_seed, (seeds, 1)) + problems
        logits = logits + generator.normal(0, rest, (seeds, N))
        solved.append(generator.random((seeds, N)) < expit(logits))
    return solved


def true_accuracy(shift, varying):
    deviation = np.sqrt(sum(v**2 for v in varying))
    points = ndtri((np.arange(20_000) + 0.5) / 20_000) * deviation
    return float(expit(shift + points).mean())


def covered(varying, seeds, trials):
    """How often the intervals of a mean (with and without answers) and of a difference (with
    them) hold the truth."""
    generator = np.random.default_rng(seeds)
    first, second = (true_accuracy(0.5 + s, varying) for s in (0.4, -0.4))
    inside = np.zeros(3)
    for _ in range(trials):
        a, b = drawn(generator, seeds, varying, 0.8)
        low, high = mean_interval(a.mean(axis=1), N, solved=list(a))
        wide = mean_interval(a.mean(axis=1), N)
        found = difference(a.mean(axis=1), b.mean(axis=1), N, list(zip(a, b, strict=True)))
        inside += (
            low <= first <= high,
            wide[0] <= first <= wide[1],
            found.low <= first - second <= found.high,
        )
    return inside / trials


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 8, 12, 20])
@pytest.mark.parametrize("kind", VARYING)
def test_intervals_hold_in_94_to_96_of_100(kind, seeds):
    trials = 3000  # one standard error of a share of 0.95: 0.004
    mean, wide, apart = covered(VARYING[kind], seeds, trials)
    assert 0.94 - 0.012 <= mean <= 0.96 + 0.012, mean
    assert 0.94 - 0.012 <= apart <= 0.96 + 0.012, apart
    assert wide >= 0.94 - 0.012, wide  # without the answers: never too narrow


@pytest.mark.parametrize("kind", VARYING)
def test_intervals_of_three_seeds_hold(kind):
    mean, wide, apart = covered(VARYING[kind], 3, 300)
    assert min(mean, wide, apart) > 0.91


def wrong(varying, trials, told, gap=0.0):
    """How often a claim that is false by a hair is told at one of the looks, each spending its part
    of the error."""
    generator, errors = np.random.default_rng(7), 0
    for _ in range(trials):
        a, b = drawn(generator, LOOKS[-1], varying, gap)
        for seeds in LOOKS:
            level = 1 - 2 * spent_at(seeds)
            pairs = list(zip(a[:seeds], b[:seeds], strict=True))
            found = difference(a[:seeds].mean(1), b[:seeds].mean(1), N, pairs, level)
            if told(found):
                errors += 1
                break
    return errors / trials


@pytest.mark.slow
@pytest.mark.parametrize("kind", VARYING)
def test_verdicts_at_several_looks_are_wrong_in_less_than_5_of_100(kind):
    assert wrong(VARYING[kind], 1500, lambda found: found.low > 0) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", VARYING)
def test_networks_that_differ_by_the_margin_are_called_alike_in_less_than_5_of_100(kind):
    """At exactly the margin, "alike" and "not alike" are both false by a hair."""
    varying, gap = VARYING[kind], 0.4
    margin = true_accuracy(0.5 + gap / 2, varying) - true_accuracy(0.5 - gap / 2, varying)
    assert 0.02 < margin < 0.1

    def alike(found):
        return -margin < found.low and found.high < margin

    def unlike(found):
        return found.low > margin or found.high < -margin

    assert wrong(varying, 1500, alike, gap) < 0.05
    assert wrong(varying, 1500, unlike, gap) < 0.05


def test_what_is_spent_adds_up():
    assert sum(spent_at(look) for look in LOOKS) == pytest.approx(0.05)
    assert all(spent_at(look) > 0.004 for look in LOOKS)
    with pytest.raises(ValueError, match="looks are at"):
        spent_at(4)


def test_the_two_variances_add_up():
    generator = np.random.default_rng(0)
    values = generator.normal(0, 1, (6, 1)) + generator.normal(0, 2, (1, 50))
    spread = crossed(values)
    assert spread.seeds == pytest.approx(values.mean(axis=1).var(ddof=1) / 6)
    assert spread.problems == pytest.approx(values.mean(axis=0).var(ddof=1) / 50)
    assert crossed(values + generator.normal(0, 1, (6, 50))).problems < spread.problems * 1.5
    # Seeds alone: Student's t; problems alone: the normal distribution.
    assert Spread(1.0, 0.0, 2).quantile(0.95) == pytest.approx(4.303, abs=1e-3)
    assert Spread(0.0, 1.0, 2).quantile(0.95) == pytest.approx(1.960, abs=1e-3)
    assert 1.96 < Spread(1.0, 1.0, 2).quantile(0.95) < 4.3


@given(st.floats(0, 1), st.integers(1, 20), st.floats(-3, 3))
def test_p_and_interval_agree(seeds, degrees, mean):
    spread = Spread(seeds, 1.0, degrees)
    p = spread.p(mean)
    half = spread.quantile(0.95) * spread.deviation
    assert (p < 0.05) == (abs(mean) > half) or abs(abs(mean) - half) < 1e-6


@given(st.integers(1, 30), st.data())
def test_a_share_of_seeds_has_an_interval(seeds, data):
    count = data.draw(st.integers(0, seeds))
    low, high = share_interval(count, seeds)
    assert 0 <= low <= count / seeds <= high <= 1
    assert high - low > 0.05
    with pytest.raises(ValueError, match="count"):
        share_interval(seeds + 1, seeds)


def test_shares_of_seeds_that_converge_are_covered():
    for seeds in (3, 5, 8, 12, 20):
        shares = np.linspace(0.02, 0.98, 49)
        held = []
        for share in shares:
            count = np.random.default_rng(1).binomial(seeds, share, 400)
            ends = {c: share_interval(int(c), seeds) for c in set(count)}
            held += [ends[c][0] <= share <= ends[c][1] for c in count]
        assert 0.93 < np.mean(held) < 0.98
    low, high = difference_of_shares((20, 20), (4, 20))
    assert 0.5 < low < 0.8 < high <= 1
    assert difference_of_shares((3, 3), (3, 3))[0] < -0.3


def test_the_difficulty_of_which_half_is_solved():
    assert half_solved_at({10: 1.0, 100: 0.0}) == pytest.approx(10**1.5)
    assert half_solved_at({10: 0.2, 100: 0.0}) == 10
    assert half_solved_at({10: 1.0, 100: 0.9}) == 100
    with pytest.raises(ValueError, match="curve"):
        half_solved_at({})
    curves = [{9: 1.0, 21: a, 59: 0.1} for a in (0.8, 0.9, 0.85)]
    found = half_solved(curves, 500)
    assert 21 < found.low < found.value < found.high < 59
    assert (found.beyond, found.within) == (0, 0)
    more = half_solved(curves, 20)
    assert more.low < found.low
    assert half_solved([{9: 1.0, 21: 0.9}] * 3, 100).beyond == 3


@pytest.mark.parametrize("chance", [0.0, 0.5])
def test_the_interval_of_d50_holds_with_and_without_chance(chance):
    """Of shares of the way from chance to perfect, which scatter more than accuracies do: told
    nothing of chance, an interval is half as wide and misses."""
    generator, n = np.random.default_rng(0), 500
    truth = {9: 0.95, 13: 0.7, 21: 0.2}
    value = half_solved_at(truth)
    held = []
    for _ in range(400):
        counts = {d: generator.binomial(n, chance + (1 - chance) * t) for d, t in truth.items()}
        curve = {d: (c / n - chance) / (1 - chance) for d, c in counts.items()}
        found = [half_solved([curve] * 3, n, chance=c) for c in (chance, 0.0)]
        held.append([one.low <= value <= one.high for one in found])
    aware, unaware = np.mean(held, 0)
    assert aware > 0.93
    assert (unaware < 0.93) == (chance > 0)
