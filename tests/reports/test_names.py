"""Names at the ends of lines: on nobody's place, inside the figure, and legible."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures.drawing import figure_svgs
from reports.figures.figure_model import SOLVED, Axis, Figure, Line, Panel
from reports.figures.names import HEIGHT, MOST_NAMED, named_panels, placed, rows_of
from reports.figures.styles import COLOURS_DARK, COLOURS_LIGHT, INK, Style, ink

NAMES = ("a", "DT-net with recall", "feed-forward DT-net with recall", "recurrent ResNet18")


def figure(panels=1, lines=3, kind="line", name="network"):
    each = [Line(f"{name} {i}", [1.0, 2.0], [0.1, 0.2 * i], kind) for i in range(lines)]
    return Figure("f", "", "", [Panel("", Axis("x"), SOLVED, each) for _ in range(panels)])


def box(name):
    top = name.y - 0.78 * HEIGHT
    return top, top + HEIGHT * len(name.rows)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.floats(18, 246)), min_size=2, max_size=6))
def test_names_stand_apart_and_inside(ends):
    names = placed([(name, (350.0, y)) for name, y in ends], 4, 286)
    boxes = sorted(box(name) for name in names)
    assert boxes[0][0] >= 4 - 0.1
    assert boxes[-1][1] <= 286 + 0.1
    for (_, bottom), (top, _) in pairwise(boxes):
        assert top >= bottom
    # In the order of the lines, and at their ends where nobody else is.
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    assert [names[i].y for i in order] == sorted(name.y for name in names)


def test_a_name_alone_stands_at_its_line_and_a_crowd_that_does_not_fit_has_none():
    (only,) = placed([("a", (350.0, 100.0))], 4, 286)
    assert not only.leads
    assert sum(box(only)) / 2 == pytest.approx(100, abs=1)
    near = placed([("a", (350.0, 100.0)), ("a", (200.0, 200.0))], 4, 286)
    assert [name.leads for name in near] == [False, True], "from a line that ends earlier"
    assert near[0].x == near[1].x
    assert placed([("a", (350.0, 100.0))] * 6, 4, 60) == [None] * 6


def test_figures_with_few_lines_and_room_have_names():
    assert named_panels(figure(1)) == [True]
    assert named_panels(figure(2)) == [True] * 2
    assert named_panels(figure(3)) == [False, False, True]
    assert named_panels(figure(4)) == [True] * 4
    assert named_panels(figure(6)) == [False] * 6, "no room"
    assert named_panels(figure(1, lines=MOST_NAMED + 1)) == [False]
    assert named_panels(figure(1, lines=1)) == [False]
    assert named_panels(figure(1, kind="points")) == [False]
    assert named_panels(figure(1, kind="thin")) == [False]
    assert named_panels(figure(1, name="unbreakable" * 3)) == [False]


def test_long_names_are_broken_between_words():
    assert rows_of("feed-forward DT-net with recall") == ("feed-forward", "DT-net with recall")
    assert rows_of("word " * 40) == ()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True))
def test_what_a_line_across_says_stands_between_points(places):
    """Of a panel with points at these places, the names of lines at their right."""
    line = Line("a", [float(at) for at in sorted(places)], [0.5] * len(places))
    panel = Panel("", Axis("x"), SOLVED, [line], [("y", 0.5, "chance")])
    (drawn,) = figure_svgs(Figure("f", "", "", [panel]), {"a": Style(0)})
    (said,) = re.findall(r'<text class="mark" x="([\d.]+)"[^>]*>chance', drawn.svg)
    points = [
        float(at) for at in re.findall(r'class="dot" transform="translate\(([\d.]+)', drawn.svg)
    ]
    assert len(points) == len(places)
    assert min(abs(float(said) - at) for at in points) > 24, "half as wide as the word, and a sign"


def luminance(colour):
    """Of WCAG, 0..1."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    ("shades", "text", "ground"),
    [(COLOURS_LIGHT, INK[0], "#ffffff"), (COLOURS_DARK, INK[1], "#14171a")],
)
def test_names_have_the_contrast_that_letters_need(shades, text, ground):
    for shade in shades:
        high, low = sorted((luminance(ink(shade, text)), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, shade
