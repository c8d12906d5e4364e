"""Aggregates over difficulties stand on the page where networks have seeds enough."""

from __future__ import annotations

import numpy as np
import pytest
from made_records import make_records, page_of

from foundations.aggregates import interquartile_mean, probability_of_improvement
from reports.figures.styles import styles_of
from reports.page.aggregates import aggregates_table, profiles, scores_of
from reports.read.load import load_records
from reports.read.sections import sections


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return make_records(tmp_path_factory.mktemp("several") / "out", seeds=(0, 1, 2))


def test_they_are_of_the_accuracies_by_run_and_difficulty(several):
    records = load_records(several)
    styles = styles_of(records.rows)
    for section in sections(records.rows):
        scores = scores_of(section)
        assert set(scores) == set(section.series)
        rows = {row["series"]: row for row in aggregates_table(section, scores_of(section), styles)}
        for series, mine in scores.items():
            assert mine.shape == (3, len(section.difficulties))
            means = [section.cell(series, d).mean for d in section.difficulties]
            assert mine.mean(0) == pytest.approx(means)
            row = rows[series]
            assert row["value"] == pytest.approx(interquartile_mean(mine))
            assert section.recurrent[row["over"]] != section.recurrent[series]
            theirs = scores[row["over"]]
            assert row["chance_value"] == pytest.approx(probability_of_improvement(mine, theirs))
        figure = profiles(section, scores_of(section), "profile")
        for line in figure.panels[0].lines:
            assert np.all(np.diff(line.y) <= 0), "fewer are above a higher share"
            ends = zip(line.low, line.y, line.high, strict=True)
            assert all(low <= y <= high for low, y, high in ends)
    assert "interquartile mean" in page_of(several)


def test_networks_of_few_seeds_have_none(small):
    records = load_records(small)
    styles = styles_of(records.rows)
    for section in sections(records.rows):
        assert scores_of(section) == {}
        assert aggregates_table(section, scores_of(section), styles) == []
        assert profiles(section, scores_of(section), "profile") is None
    assert "interquartile mean" not in page_of(small)
