"""Sentences of the page say what its tables do: on any records, and on the page that once did
not."""

from __future__ import annotations

import pytest
from commands import TESTS
from drawn_records import drawn_tasks, one_task, write_drawn
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_records import page_of
from sentence_checks import faults, read_page

from foundations.records.labels import labels
from foundations.records.spec import RunSpec
from reports.figures.catalogue import section_figures
from reports.read.formats import span
from reports.read.load import load_records
from reports.read.sections import sections

PAGES = TESTS / "pages"


@pytest.fixture(scope="module")
def wanting() -> list[str]:
    """What the checks find on the page of the studies as it was."""
    return faults(read_page((PAGES / "studies.html").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("winner", "(tested on 29, 59) gets farthest: it solves 81.3 % at size 59"),
        ("winner", "(67.0 % at size 59) gets farthest"),
        ("winner", "Highest at path length 6: hgru, 96.2 %"),
        ("winner", "hgru solves 96.2 % with 18,509 parameters"),
        ("winner", "(tested on 201) solves most, 13.3 %"),
        ("alike", "100.0 %, narrow_resnet18 72.8 %"),
        ("fewest", "Fewest parameters among those that reach 90.0 % at length 16"),
        ("enough", "training samples are the fewest that reach 95.0 % at path length 6: hgru"),
        ("answers", "At size 59, dt_net (tested on 29, 59) has answered half"),
        ("probes", "keeps 5.0 % of its filters"),
        ("probes", "is within 0.2 of its limit after 99 iterations"),
        ("overview", "hgru on pathfinder"),
        ("overview", "(tested on 201) on maze"),
        ("bold", "prefix_sums, 16: not feed_forward_recall"),
        ("no unit", "trained on 1"),
        ("no such column", "Share of cifar10 problems solved by what it costs"),
    ],
)
def test_the_page_of_the_studies_as_it_was_is_found_wanting(wanting, kind, words):
    assert [f for f in wanting if f.startswith(f"{kind}: ") and words in f]


def test_what_was_right_on_that_page_is_not_held_against_it(wanting):
    right = (
        "At length 512, recurrence does better: dt_net_recall",
        "Next at length 512: feed_forward_recall, 0.0 %",
        "gets farthest: it solves 100.0 % at length 512",
    )
    assert not [f for f in wanting if any(words in f for words in right)]


@settings(max_examples=20, phases=[Phase.explicit, Phase.generate])
@given(tasks=drawn_tasks())
def test_no_sentence_goes_beyond_its_table(tmp_path_factory, tasks):
    page = read_page(page_of(write_drawn(tmp_path_factory.mktemp("drawn"), tasks)))
    assert faults(page) == []
    assert [t.name for t in page.tasks] == [t["name"] for t in tasks]
    assert all(t.said and t.titles for t in page.tasks if any(t.cells.values()))


@settings(max_examples=20, phases=[Phase.explicit, Phase.generate])
@given(tasks=drawn_tasks(several_trained=True))
def test_no_sentence_compares_networks_trained_on_different_difficulties(tmp_path_factory, tasks):
    page = read_page(page_of(write_drawn(tmp_path_factory.mktemp("drawn"), tasks)))
    assert [f for f in faults(page) if f.startswith("alike")] == []


def read(out, tasks):
    (task,) = read_page(page_of(write_drawn(out, tasks))).tasks
    return task


def test_nobody_extrapolates_who_falls_to_chance(tmp_path):
    fallen = one_task(("dt_net", (0.94, 0.46), {}), ("feed_forward", (0.9, 0.5), {}), chance=0.5)
    said = " ".join(read(tmp_path, fallen).said)
    assert "no network extrapolates: none solves at least 75.0 % of the problems at size 13" in said
    assert "farthest" not in said


def test_the_fewest_parameters_are_those_that_pruning_left(tmp_path):
    pruned = {"parameters": 9000, "kept": 0.05}
    tasks = one_task(("dt_net", (0.99, 0.9), pruned), ("feed_forward", (0.99, 0.1), {}))
    said = " ".join(read(tmp_path, tasks).said)
    assert "the fewest parameters left after pruning are 450: dt_net" in said


def test_a_threshold_between_overlapping_intervals_makes_no_winner(tmp_path):
    near = one_task(("dt_net", (0.91, 0.1), {}), ("feed_forward", (0.89, 0.1), {}), n=100)
    task = read(tmp_path, near)
    assert not any("fewest" in text for text in task.said)
    assert any("dt_net solves 91.0 %" in t and "not separated from" in t for t in task.said)


def test_captions_of_one_seed_claim_nothing_of_seeds(tmp_path):
    twins = [("dt_net", (0.9, 0.8), {"seed": seed}) for seed in range(2)]
    one = read(tmp_path / "one", one_task(twins[0], ("feed_forward", (0.9, 0.8), {})))
    two = read(tmp_path / "two", one_task(*twins, ("feed_forward", (0.9, 0.8), {})))
    captions = [" ".join(caption for _, caption in task.titles) for task in (one, two)]
    assert "variances" not in captions[0]
    assert "they are of one seed and say nothing about others" in captions[0]
    assert (
        "intervals over seeds and test problems, whose variances add up (of one seed: Wilson's over"
        " test problems)" in captions[1]
    )


def figures_of(out, tasks):
    records = load_records(write_drawn(out, tasks))
    (section,) = sections(records.rows)
    return section_figures(section, records.runs, "f")


def test_a_figure_of_cost_needs_two_networks_at_one_difficulty(tmp_path):
    alone = figures_of(tmp_path / "alone", one_task(("dt_net", (0.9, 0.8), {})))
    assert not {"compute", "parameters"} & set(alone)
    apart = one_task(("dt_net", (0.9, 0.8), {}), ("feed_forward", (0.9,), {}))
    made = figures_of(tmp_path / "apart", apart)
    assert {panel.title for panel in made["compute"].panels} == {
        f"{what} at size 9"
        for what in ("FLOPs per answer", "FLOPs of training", "seconds of training")
    }
    assert "Seconds were measured on cpu." in made["compute"].caption


@pytest.mark.parametrize(("spike", "cut"), [(1.0, False), (1e13, True)])
def test_one_spike_does_not_set_the_axis_of_losses_and_is_told(tmp_path, spike, cut):
    made = figures_of(tmp_path, one_task(("dt_net", (0.9, 0.8), {"spike": spike})))["training"]
    (panel,) = (p for p in made.panels if p.title == "training loss")
    assert (panel.y.high is not None and panel.y.high < 10) is cut
    assert ("1 point above it" in made.caption) is cut
    assert max(panel.lines[0].y) == pytest.approx(max(0.7, 0.7 / 18 * spike)), "the data are whole"


def test_the_runs_say_what_they_were_trained_on_with_its_unit(tmp_path):
    tasks = one_task(("dt_net", (0.9,), {}), degrees=1)
    for name, plain, where in (("with", False, "size 9"), ("without", True, "–")):
        page = read_page(page_of(write_drawn(tmp_path / name, [{**tasks[0], "plain": plain}])))
        assert [row[page.run_columns.index("trained on")] for row in page.run_rows] == [where]


def test_labels_name_the_trained_difficulty_with_its_unit():
    specs = [RunSpec("maze", "dt_net", size, 1000) for size in (9, 13)]
    named = labels(specs, {"maze": "size"})
    assert list(named.values()) == ["dt_net trained on size 9", "dt_net trained on size 13"]


@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_ends_of_intervals_are_neither_rounded_up_to_all_nor_down_to_none(low, high):
    for end, share in zip(span(low, high).split("–"), (low, high), strict=True):
        assert (end == "100.0") == (share == 1)
        assert (end == "0.0") == (share == 0)
