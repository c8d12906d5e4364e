"""Figures of many networks: differences of a few points and single lines can be seen."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from browsing import open_page
from made_records import make_records, page_of, rewrite

from reports.figures.drawing import figure_svgs
from reports.figures.figure_model import (
    MAX_BANDS,
    SOLVED,
    Axis,
    Figure,
    Line,
    Panel,
    begins,
    from_high,
)
from reports.figures.paper import draw
from reports.figures.styles import Style

CHANCE = ("y", 0.1, "chance")


def panel(lows, marks=()):
    lines = [Line(f"n{i}", [i + 1.0], [v + 0.01], "points", [v], [v + 0.02])
             for i, v in enumerate(lows)]  # fmt: skip
    return Panel("", Axis("parameters", log=True), SOLVED, lines, list(marks))


def ticks(svg):
    return [int(v) for v in re.findall(r'text-anchor="end">(\d+)<', svg)]


@pytest.mark.parametrize(
    ("lows", "begin", "shown"),
    [
        ([0.0, 0.97], 0.0, [0, 20, 40, 60, 80, 100]),
        ([0.49, 0.97], 0.0, [0, 20, 40, 60, 80, 100]),
        ([0.58, 0.97], 0.5, [50, 60, 70, 80, 90, 100]),
        ([0.77, 0.97], 0.7, [70, 80, 90, 100]),
        ([0.81, 0.97], 0.8, [80, 85, 90, 95, 100]),
        ([0.99, 1.0], 0.9, [90, 92, 94, 96, 98, 100]),
        ([1.0, 1.0], 0.9, [90, 92, 94, 96, 98, 100]),
    ],
)
def test_an_axis_of_good_networks_begins_below_the_worst(lows, begin, shown):
    made = from_high([panel(lows, [CHANCE]), panel([1.0])])
    assert [p.y.low for p in made] == pytest.approx([begin] * 2), "beside each other, alike"
    said = f"The axis of solved problems begins at {100 * begin:.0f} %. "
    assert begins(made) == (said if begin else "")
    styles = {f"n{i}": Style(i, "other", i) for i in range(2)}
    figure = Figure("f", "", "", made)
    svg = figure_svgs(figure, styles)[0].svg
    assert ticks(svg) == shown
    assert ("chance" in svg) == (begin == 0), "not drawn at a place that is not its own"
    ax = draw(figure, styles).axes[0]
    assert ax.get_ylim()[0] == pytest.approx(begin - 0.03 * (1 - begin))
    assert ("chance" in [t.get_text() for t in ax.texts]) == (begin == 0)


def test_nothing_shown_changes_nothing():
    assert from_high([]) == []
    assert begins([]) == ""


def crowd(out, networks):
    """A study of that many networks of which each has bands."""
    make_records(out, ("maze",), ("dt_net_recall",), (0, 1), (1000,), metrics=20)

    def multiplied(table):
        names = [f"net_{i}" for i in range(networks)]
        each = [
            table.assign(run_id=name + table["run_id"], paradigm=name, label=name,
                         accuracy=table["accuracy"] * (1 - 0.02 * i))
            for i, name in enumerate(names)
        ]  # fmt: skip
        return pd.concat(each, ignore_index=True)

    rewrite(out, multiplied)
    return out


def test_few_lines_keep_their_bands_and_a_crowd_says_whose_are_seen(tmp_path):
    few, many = (page_of(crowd(tmp_path / str(n), n)) for n in (MAX_BANDS, MAX_BANDS + 1))
    assert "Bands are 95" in few
    assert "crowded" not in re.sub(r"<(style|script)>.*?</\1>", "", few, flags=re.DOTALL)
    assert "Bands, of the line pointed at, are 95" in many


_BANDS = """
const svg = document.querySelector('.plot svg[data-most] .band').closest('svg');
return [...svg.querySelectorAll('g[data-series]')]
  .filter((g) => g.style.display !== 'none' && g.querySelector('.band'))
  .map((g) => [+g.dataset.series, +getComputedStyle(g.querySelector('.band')).opacity,
               +getComputedStyle(g).opacity]);
"""
_POINT = """
const svg = document.querySelector('.plot svg[data-most] .band').closest('svg');
const ring = svg.querySelector(`[data-series="${arguments[0]}"] .ring`);
ring.scrollIntoView({block: 'center'});
const place = ring.getBoundingClientRect();
svg.closest('.plot').dispatchEvent(new PointerEvent(arguments[1],
  {clientX: place.x + place.width / 2, clientY: place.y + place.height / 2, bubbles: true}));
"""


@pytest.mark.browser
def test_in_a_crowd_the_line_pointed_at_alone_has_its_band(browser, tmp_path):
    from reports import build_report

    open_page(browser, build_report(crowd(tmp_path, MAX_BANDS + 2)), 1280)
    resting = browser.execute_script(_BANDS)
    assert len(resting) == MAX_BANDS + 2
    assert all(band == 0 and line == 1 for _, band, line in resting)
    browser.execute_script(_POINT, 3, "pointermove")
    pointed = browser.execute_script(_BANDS)
    assert [s for s, band, _ in pointed if band > 0] == [3]
    assert [s for s, _, line in pointed if line == 1] == [3], "the others step back"
    browser.execute_script(_POINT, 3, "pointerleave")
    assert browser.execute_script(_BANDS) == resting
    for series in (0, 1):
        browser.execute_script(f"document.querySelector('[data-toggle=\"{series}\"]').click()")
    left = browser.execute_script(_BANDS)
    assert len(left) == MAX_BANDS
    assert all(band > 0 for _, band, _ in left), "no crowd any more"
