"""The map colours what intervals decide, cell by cell, and its advice rests on coloured cells."""

from __future__ import annotations

import pytest
from drawn_records import drawn_tasks, one_task, write_drawn
from hypothesis import Phase, given, settings
from made_records import sections_of

from foundations.measures import aggregate
from reports.narrative.who_wins import advice, who_wins
from reports.read.rules import by_rule


def maps_of(out):
    return [(s, made) for s in sections_of(out) if (made := who_wins(s)) is not None]


def one_map(out, *runs, **facts):
    ((_, made),) = maps_of(write_drawn(out, one_task(*runs, **facts)))
    return made


def told(out, *runs, **facts) -> str:
    return " ".join(one.text for one in advice([one_map(out, *runs, **facts)]))


@settings(max_examples=30, phases=[Phase.explicit, Phase.generate])
@given(tasks=drawn_tasks())
def test_a_cell_has_a_colour_only_where_its_best_interval_is_above_all_of_the_other_family(
    tmp_path_factory, tasks
):
    for section, made in maps_of(write_drawn(tmp_path_factory.mktemp("drawn"), tasks)):
        table = aggregate(
            by_rule(section.rows), ["rule", "test_difficulty", "series", "train_samples"]
        )
        table = table[table["rule"] == section.rule]
        for _, cells in made.lines:
            for difficulty, place in zip(section.difficulties, cells, strict=True):
                here = table[
                    (table["test_difficulty"] == difficulty)
                    & (table["train_samples"] == (place.samples if place else -1))
                ]
                if place is None:
                    continue
                recurrent = here["series"].map(section.recurrent)
                sides = {kind: here[recurrent == kind] for kind in (True, False)}
                assert all(len(side) for side in sides.values())
                apart = sides[True]["mean"].max() - sides[False]["mean"].max()
                assert place.difference == pytest.approx(apart)
                for family, mine in (("recurrent", True), ("feed-forward", False)):
                    above = sides[mine]["low"].max() > sides[not mine]["high"].max()
                    assert (place.family == family) == above
                assert bool(place.strength) == bool(place.family)


def test_the_sign_is_that_of_recurrence_and_neither_is_a_tie_of_overlapping_intervals(tmp_path):
    made = one_map(
        tmp_path,
        ("dt_net", (0.99, 0.9), {}),
        ("feed_forward", (0.987, 0.1), {}),
    )
    ((samples, cells),) = made.lines
    assert samples == "1k"
    assert made.columns == ["9", "13"]
    assert [cell.text for cell in cells] == ["0", "+80"]
    assert [cell.family for cell in cells] == ["", "recurrent"]
    other = tmp_path / "other"
    made = one_map(other, ("dt_net", (0.99, 0.1), {}), ("feed_forward", (0.99, 0.9), {}))
    assert made.lines[0][1][1].text == "\N{MINUS SIGN}80"


def test_a_line_for_each_number_of_samples_that_both_families_have(tmp_path):
    made = one_map(
        tmp_path,
        ("dt_net", (0.6, 0.5), {"size": 100}),
        ("dt_net", (0.99, 0.9), {}),
        ("feed_forward", (0.99, 0.1), {}),
    )
    assert [samples for samples, _ in made.lines] == ["1k"]


def test_advice_names_where_each_is_ahead_and_where_neither(tmp_path):
    said = told(tmp_path / "a", ("dt_net", (0.99, 0.9), {}), ("feed_forward", (0.99, 0.1), {}))
    assert "Use recurrence where problems get harder" in said
    assert "by 80 points at size 13" in said
    assert "Recurrence is unnecessary" in said
    assert "Use depth" not in said
    said = told(tmp_path / "b", ("dt_net", (0.5, 0.1), {}), ("feed_forward", (0.99, 0.9), {}))
    assert "Use depth even for harder problems" in said
    assert "Use recurrence" not in said
    assert "Depth is ahead on problems as hard as those of training: " in said
    said = told(tmp_path / "c", ("dt_net", (0.5, 0.1), {}), ("feed_forward", (0.52, 0.1), {}))
    assert said.startswith("Neither solves even half")
    assert "unnecessary" not in said
    said = told(tmp_path / "d", ("dt_net", (0.91, 0.1), {}), ("feed_forward", (0.9, 0.1), {}))
    assert "unnecessary" not in said, "neither is ahead, and depth is not shown to learn them"


def test_one_family_alone_makes_no_map(tmp_path):
    assert maps_of(write_drawn(tmp_path, one_task(("dt_net", (0.99, 0.9), {})))) == []
    assert advice([]) == []
