"""The row of a task says who is ahead only where intervals do, and what its tables hold."""

from __future__ import annotations

import json
import re

import pytest
from drawn_records import drawn_tasks, one_task, write_drawn
from hypothesis import Phase, given, settings
from made_records import make_records, page_of, sections_of

from reports.figures.styles import styles_of
from reports.narrative.summary import summary


def rows_of(out):
    found = []
    for section in sections_of(out):
        row = summary(section)
        if row is not None:
            found.append((section, row))
    return found


def one_row(out, *runs, **facts):
    ((_, row),) = rows_of(write_drawn(out, one_task(*runs, **facts)))
    return row


@settings(max_examples=30, phases=[Phase.explicit, Phase.generate])
@given(tasks=drawn_tasks())
def test_a_family_is_ahead_only_where_its_best_interval_is_above_all_of_the_others(
    tmp_path_factory, tasks
):
    for section, row in rows_of(write_drawn(tmp_path_factory.mktemp("drawn"), tasks)):
        cell = row.extrapolates
        if not cell.family:
            continue
        place = next(d for d in section.difficulties if cell.text.endswith(section.place(d)))
        assert place > max(section.train_difficulties)
        table = section.best[section.best["test_difficulty"] == place]
        mine = table["series"].map(section.recurrent) == (cell.family == "recurrent")
        assert table[mine]["low"].max() > table[~mine]["high"].max()


def test_the_row_of_a_task_that_depth_does_not_carry_on(tmp_path):
    row = one_row(tmp_path, ("dt_net", (0.99, 0.9), {}), ("feed_forward", (0.98, 0.1), {}))
    plain = [c.text.replace("\N{NO-BREAK SPACE}", " ") for c in (row.extrapolates, row.unnecessary)]
    assert plain == ["recurrent 90.0 vs 10.0 % at size 13", "at size 9 (99.0 and 98.0 %)"]
    assert row.samples.text == "both ≤ 1k"
    assert row.parameters.text == "both 1k"


def test_depth_may_be_ahead_and_recurrence_unnecessary_all_the_way(tmp_path):
    row = one_row(tmp_path, ("dt_net", (0.99, 0.6), {}), ("feed_forward", (0.99, 0.97), {}))
    assert row.extrapolates.family == "feed-forward"
    assert row.unnecessary.text.startswith("up to size 13")


def test_nobody_is_ahead_by_overlapping_intervals(tmp_path):
    row = one_row(tmp_path, ("dt_net", (0.99, 0.61), {}), ("feed_forward", (0.9, 0.6), {}), n=50)
    assert row.extrapolates.text.startswith("not separated")
    assert not row.extrapolates.family


def test_nothing_is_unnecessary_where_depth_does_not_learn(tmp_path):
    row = one_row(tmp_path, ("dt_net", (0.99, 0.9), {}), ("feed_forward", (0.5, 0.1), {}))
    assert row.unnecessary.text == "nowhere: depth fell short"
    assert row.samples.text == "recurrent ≤ 1k vs none"


def test_neither_where_nobody_solves_harder_problems(tmp_path):
    row = one_row(tmp_path, ("dt_net", (0.9, 0.2), {}), ("feed_forward", (0.9, 0.1), {}))
    assert row.extrapolates.text.startswith("neither: 20.0")


def test_smaller_sets_that_are_not_enough_make_no_at_most(tmp_path):
    small = {"size": 100}
    row = one_row(
        tmp_path, ("dt_net", (0.99, 0.9), {}), ("feed_forward", (0.99, 0.1), {}),
        ("dt_net", (0.95, 0.4), small), ("feed_forward", (0.4, 0.1), small),
    )  # fmt: skip
    assert row.samples.text == "recurrent ≤ 100 vs 1k"


@pytest.mark.parametrize("alone", ["dt_net", "feed_forward"])
def test_one_family_alone_has_no_row_and_its_sentences_are_open(tmp_path, alone):
    out = write_drawn(tmp_path, one_task((alone, (0.99, 0.9), {})))
    assert rows_of(out) == []
    page = page_of(out)
    assert 'class="summary"' not in page
    assert '<details class="answer" open>' in page


def test_the_page_opens_with_the_question_and_a_row_for_every_task(tmp_path):
    page = page_of(make_records(tmp_path))
    assert re.search(r"<h1>When does recurrence beat depth", page)
    table = re.search(r'<table class="summary">(.*?)</table>', page, re.DOTALL)[1]
    assert re.findall(r'<th scope="row"><a href="#(t\d)">', table) == ["t0", "t1"]
    assert page.index('class="summary"') < page.index('id="overview"')


def test_a_network_that_is_recurrent_over_positions_speaks_for_recurrence(tmp_path):
    out = write_drawn(
        tmp_path, one_task(("dt_net", (0.99, 0.2), {}), ("feed_forward", (0.99, 0.97), {}))
    )
    ((_, before),) = rows_of(out)
    assert before.extrapolates.family == "feed-forward"
    for path in out.glob("runs/*feed_forward*/result.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "over_positions": True}))
    assert rows_of(out) == [], "both are recurrent now"
    (section,) = sections_of(out)
    assert section.recurrent == {"dt_net": True, "feed_forward": True}
    assert section.endless == {"dt_net": True, "feed_forward": False}
    assert {style.family for style in styles_of(section.rows).values()} == {"recurrent"}
