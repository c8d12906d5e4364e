"""The picture of an effect shows where it lies, and says it in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures.effects import effect_svg

KINDS = st.sampled_from(["accuracy", "share", "difference", "ratio"])


def place(svg: str) -> float:
    return float(re.search(r'cx="([\d.]+)"', svg)[1])


@given(KINDS, st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_a_dot_lies_within_its_interval_on_the_axis(kind, values):
    low, value, high, bar = (*sorted(values[:3]), values[3])
    svg = effect_svg({"kind": kind, "value": value, "low": low, "high": high, "bars": [bar]})
    ends = re.search(r'class="span" d="M([\d.]+) 9H([\d.]+)"', svg)
    start, end = map(float, ends.groups())
    assert 8 <= start <= place(svg) <= end <= 212
    diamond = float(re.search(r'class="bar" d="M([\d.]+) ', svg)[1])
    assert (diamond > place(svg)) == (bar > value) or abs(diamond - place(svg)) <= 0.2


@given(st.sampled_from(["difference", "ratio"]), st.floats(0.02, 0.9))
def test_what_is_against_and_what_is_for_lie_apart(kind, size):
    more, less = (1 + size, 1 / (1 + size)) if kind == "ratio" else (size, -size)
    effects = [{"kind": kind, "value": v, "low": v, "high": v} for v in (less, more)]
    sides = [place(effect_svg(effect)) for effect in effects]
    assert sides[0] < 110 < sides[1]
    assert sides[0] + sides[1] == pytest.approx(220, abs=0.2)


@given(KINDS, st.lists(st.floats(0.01, 1), min_size=1, max_size=9))
def test_every_seed_has_a_dot(kind, each):
    effect = {"kind": kind, "value": each[0], "low": each[0], "high": each[0], "each": each}
    dots = re.search(r'class="seeds" d="([^"]+)"', effect_svg(effect))[1]
    places = [float(x) for x in re.findall(r"M([\d.]+) 9h0", dots)]
    assert len(places) == len(each)
    assert places[0] == place(effect_svg(effect))


def test_it_says_in_words_what_it_shows():
    effect = {"kind": "difference", "value": 0.235, "low": 0.1, "high": 0.37, "bars": [0.25]}
    said = "+23.5 points (+10.0 points to +37.0 points), held against +25.0 points"
    assert said in effect_svg(effect)


@pytest.mark.parametrize(
    "effect",
    [{}, {"kind": "ratio", "value": 0.0}, {"kind": "accuracy", "value": None},
     {"kind": "ratio", "value": 2.0, "low": -1.0, "high": 3.0}, {"value": "much", "bars": 3}],
)  # fmt: skip
def test_what_cannot_be_drawn_is_left_out(effect):
    assert effect_svg(effect) == ""
