"""What a network is can be told by how it looks, and no two of a page look the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_records import make_records

from reports.figures.styles import (
    COLOURS_DARK,
    COLOURS_LIGHT,
    DASHES,
    FAMILIES,
    MARKERS,
    Style,
    styles_of,
)
from reports.read.load import load_records

#: What red, green and blue (linear) become for people without one kind of cone (Viénot, Brettel and
#: Mollon 1999), and a change to lightness and two opponent axes.
BLIND = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.clip(to_xyz @ rgb / np.array([0.9505, 1.0, 1.089]), 1e-4, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", ["all", "protan", "deutan"])
@pytest.mark.parametrize("shades", ["light", "dark"])
def test_recurrent_and_feed_forward_are_told_apart_by_colour_blind_readers(seen, shades):
    turn = np.array(BLIND.get(seen, np.eye(3)))
    sides = [getattr(FAMILIES[name], shades) for name in ("recurrent", "feed-forward")]
    for one, other in itertools.product(*sides):
        apart = lab(np.clip(turn @ linear(one), 0, 1)) - lab(np.clip(turn @ linear(other), 0, 1))
        assert np.linalg.norm(apart) > 20, (one, other)


def test_families_differ_without_colour():
    assert len({family.dash for family in FAMILIES.values()}) == len(FAMILIES) <= len(DASHES)


def test_many_networks_of_a_family_differ():
    looks = [Style(i, "recurrent", i) for i in range(16)]
    assert len({(s.colour, s.marker) for s in looks}) == 16
    assert len({s.marker for s in looks}) == len(MARKERS)


def test_every_shade_has_one_for_dark_screens():
    assert len(COLOURS_LIGHT) == len(COLOURS_DARK) == len(set(COLOURS_LIGHT))
    for family in FAMILIES.values():
        assert len(family.light) == len(family.dark)


def test_a_series_looks_like_what_its_records_say(tmp_path):
    rows = load_records(make_records(tmp_path)).rows
    styles = styles_of(rows)
    ends = rows.groupby("series")["max_iterations"].max().isna()
    pruned = (rows["active_parameters"] < rows["parameters"]).groupby(rows["series"]).any()
    for name, style in styles.items():
        assert style.family == (
            "pruned" if pruned[name] else "recurrent" if ends[name] else "feed-forward"
        )
    assert [s.index for s in styles.values()] == list(range(len(styles)))
