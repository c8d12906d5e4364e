"""Titles of figures say what is drawn, and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures.figure_model import Axis, Figure, Line, Panel
from reports.figures.headlines import _KINDS, with_headline
from reports.narrative.answer import order_holds
from reports.read.formats import flops
from reports.read.sections import Accuracy

PERCENT = Axis("solved", percent=True, low=0.0, high=1.0)
shares = st.floats(0, 1)


def figure(panels, title="What is plotted"):
    return Figure("key", title, "How to read it.", panels)


def panel(title, *lines, marks=(), label="size"):
    return Panel(title, Axis(label), PERCENT, list(lines), list(marks))


def line(name, x, y, **more):
    return Line(name, list(x), list(y), **more)


def title(kind, *panels):
    return with_headline(kind, figure(list(panels))).title.replace("\N{NO-BREAK SPACE}", " ")


def sure(name, x, y, half=0.02, **more):
    """A line whose intervals are narrow."""
    low, high = [max(v - half, 0) for v in y], [min(v + half, 1) for v in y]
    return line(name, x, y, low=low, high=high, **more)


def test_the_hardest_place_that_somebody_solves_is_spoken_of():
    one = panel("", sure("a", (9, 13, 21), (1, 0.5, 0.01)), sure("b", (9, 13, 21), (0.9, 0.7, 0)))
    assert title("difficulty", one) == "At size 13, b solves most, 70.0 %; next a, 50.0 %"


def test_nobody_solves_most_where_intervals_overlap_or_where_there_are_none():
    near = [sure(name, (9, 13), (1, y), 0.05) for name, y in (("a", 0.5), ("b", 0.58), ("c", 0.6))]
    assert (
        title("difficulty", panel("", *near))
        == "At size 13, c solves 60.0 %, not separated from b 58.0 % and a 50.0 % (95 % intervals"
        " overlap)"
    )
    bare = panel("", line("a", (9, 13), (1, 0.5)), line("b", (9, 13), (0.9, 0.7)))
    assert "not separated" in title("difficulty", bare)
    many = [sure(name, [9], [0.5], 0.05) for name in "abcdef"]
    said = title("difficulty", panel("", *many))
    assert "a solves 50.0 %, not separated from b 50.0 %, c 50.0 %, d 50.0 % and 2 more" in said


def test_what_is_level_with_the_highest_is_not_said_to_be_level_with_each_other():
    wide = line("a", [9], [0.99], low=[0.86], high=[1.0])
    apart = sure("b", [9], [0.987], 0.013), sure("c", [9], [0.94], 0.013)
    assert (
        title("difficulty", panel("", wide, *apart))
        == "At size 9, a solves 99.0 %, not separated from b 98.7 % and c 94.0 % (95 % intervals"
        " overlap)"
    )


def test_a_network_that_was_tested_alone_beats_nobody():
    alone = panel("", sure("a", (9, 201), (1, 0.13)), sure("b", [9], [0.9]))
    assert (
        title("difficulty", alone) == "At size 201, a solves 13.0 %, the only network tested there"
    )


def test_chance_is_no_solution():
    one = panel("", line("a", (6, 14), (0.9, 0.52)), marks=[("y", 0.5, "chance")])
    assert title("difficulty", one) == "At size 6, a solves 90.0 %"


def test_an_interval_that_holds_chance_is_no_solution():
    chance = [("y", 0.5, "chance")]
    near = line("a", (6, 14), (0.9, 0.58), low=[0.85, 0.48], high=[0.95, 0.68])
    clear = line("b", (6, 14), (0.8, 0.57), low=[0.75, 0.53], high=[0.85, 0.61])
    assert "At size 6" in title("difficulty", panel("", near, marks=chance))
    assert "At size 14" in title("difficulty", panel("", near, clear, marks=chance))
    four = [panel(name, near if name == "x" else clear, marks=chance) for name in "wxyz"]
    assert "one network alone was tested on w, x, y and z" in title("overview", *four)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (
            (1, 16, 64),
            (0, 0.33, 0.88),
            "a goes from 33.0 % after 16 iterations, as trained, to 88.0 % after 64",
        ),
        (
            (1, 16, 64),
            (0, 0.99, 0.97),
            "a: 99.0 % after 16 iterations, as trained, 97.0 % after 64 (95 % intervals overlap)",
        ),
        ((1, 16), (0.5, 0.99), "a solves 99.0 % after 16 iterations, as trained"),
    ],
)
def test_iterations_past_training_are_compared_with_training(x, y, words):
    assert title("iterations", panel("size 9", sure("a", x, y, ring=1))) == f"At size 9, {words}"


def test_networks_that_end_have_no_headline_of_iterations():
    ends = panel("size 9", line("a", (1, 64), (0.5, 0.5), kind="flat"))
    assert title("iterations", ends) == "What is plotted"


def test_samples_are_told_of_a_network_that_has_two_sizes():
    one = panel("size 9", sure("a", [1000], [0.99]), sure("b", (100, 1000), (0.2, 0.9)))
    assert (
        title("samples", one)
        == "At size 9, b solves 20.0 % with 100 training samples, 90.0 % with 1,000"
    )
    assert title("samples", panel("size 9", sure("a", [1000], [0.99]))) == "What is plotted"


def test_costs_name_the_best_and_the_next():
    lines = sure("a", [1000], [0.9]), sure("b", [500], [0.8]), sure("c", [9000], [0.7])
    one = panel("size 9", *lines, label="trainable parameters")
    assert (
        title("parameters", one)
        == "At size 9, a solves most, 90.0 % with 1,000 trainable parameters; next b, 80.0 % with "
        "500 trainable parameters"
    )
    per_answer = panel("FLOPs per answer", *lines)
    assert (
        title("compute", panel("FLOPs per answer at size 9", lines[0]))
        == "At size 9, a solves 90.0 % for 1 kFLOPs an answer"
    )
    said = "a solves most, 90.0 % for 1 kFLOPs an answer; next b, 80.0 % for 500 FLOPs an answer"
    assert title("compute", panel("FLOPs of training", *lines), per_answer) == said
    assert title("compute", panel("FLOPs of training", *lines)) == "What is plotted"
    assert flops(3.13e9) == "3.13 GFLOPs"


def test_with_few_tasks_the_overview_gives_numbers_and_with_many_who_leads_where():
    maze = panel("maze", sure("a", (9, 21), (1, 0.5)), sure("b", (9, 21), (1, 0.4)))
    photos = panel(
        "photos", sure("a", [1e5], [0.6], kind="points"), sure("b", [1e4], [0.7], kind="points")
    )
    sums = panel("sums", sure("a", (16, 64), (1, 0.9)), sure("b", (16, 64), (1, 0.95)))
    close = panel("close", sure("a", (16, 64), (1, 0.9)), sure("b", (16, 64), (1, 0.91)))
    paths = panel("paths", line("a", (6, 9), (0.51, 0.5)), marks=[("y", 0.5, "chance")])
    assert (
        title("overview", maze, photos)
        == "On maze at size 21, a solves most, 50.0 %; next b, 40.0 %. "
        "On photos, b solves most, 70.0 %; next a, 60.0 %"
    )
    assert (
        title("overview", maze, photos, sums, close, paths)
        == "Best at the hardest difficulty that anyone solves: a on maze; b on photos and sums; not"
        " separated on close; none is clear of chance on paths"
    )


def test_validation_is_told_without_names_as_its_lines_have_no_intervals():
    assert (
        title("training", panel("", line("a", (1, 2), (0, 0.99996))))
        == "Validation accuracy of a ends at >99.9 %"
    )
    several = panel("", line("a", (1, 2), (0, 1)), line("a", (1, 2), (0, 0.5)), line("b", [1], [0]))
    assert (
        title("training", several)
        == "Validation accuracy of 2 networks ends between 0.0 % and 75.0 %"
    )


def test_reuse_is_quoted_from_the_records_and_not_read_off_the_curve():
    used = panel(
        "size 9",
        line("a", (0, 0.2, 0.9), (1, 0.8, 0), quoted={"reused": 0.083}),
        line("b", (0, 0.1), (1, 0.5), quoted={"reused": 0.0}),
    )
    assert (
        title("inside-reuse", used)
        == "At size 9, a keeps 8.3 % of its filters in use at every iteration of training, b 0.0 %"
    )
    many = panel("size 9", *(line(n, [1], [1], quoted={"reused": 0.1}) for n in "abcde"))
    assert "5 networks keep 10.0 % to 10.0 % of their filters" in title("inside-reuse", many)
    assert title("inside-reuse", panel("", line("a", [0], [1]))) == "What is plotted"


def test_a_limit_is_spoken_of_only_where_states_have_one():
    def told(settled, problems=8.0, step=0.031):
        quoted = {"settled": settled, "problems": problems, "step": step}
        near = line("a", (1, 24), (1, 2e-7), quoted=quoted)
        return title("inside-rest", panel("size 9", near, line("b", (1, 16), (1, 0.5))))

    assert (
        told(8.0)
        == "At size 9, all 8 states of a converge to a fixed point or cycle, within 2e-07 of the"
        " limit after 24 iterations (median)"
    )
    assert (
        told(0.0)
        == "At size 9, none of 8 states of a has converged after 24 iterations, a step still"
        " changing them by 3.1 % of their norm (median of all)"
    )
    assert (
        told(3.0, step=float("nan"))
        == "At size 9, 3 of 8 states of a converge to a fixed point or cycle, the others have not"
        " after 24 iterations"
    )
    assert told(0.0, problems=0.0) == "What is plotted"


def test_answers_are_spoken_of_only_of_a_network_that_solves_something():
    def told(accuracy, low, chance=0.0, last=64.0):
        facts = {"accuracy": accuracy, "low": low, "chance": chance, "last": last}
        silent = line("z", (1, 64), (0.9, 1.0), quoted={**facts, "accuracy": 0.0, "low": 0.0})
        return title("exits", panel("size 9", silent, line("a", (7, 64), (0.6, 1.0), quoted=facts)))

    assert (
        told(0.93, 0.9)
        == "At size 9, a has answered half of the problems by iteration 7; 93.0 % of all answers"
        " are right"
    )
    assert told(0.0, 0.0) == "What is plotted"
    assert told(0.55, 0.48, chance=0.5) == "What is plotted"
    assert "fewer than half of a's answers repeat before the last iteration, 7" in told(
        0.93, 0.9, last=7.0
    )


def test_receptive_fields_and_trajectories_are_told_in_their_own_terms():
    far = panel(
        "size 9",
        line("a", (1, 24), (1, 3.02)),
        line("b", [1], [2]),
        marks=[("y", 4.5, "all of the input")],
    )
    assert (
        title("inside-receptive", far)
        == "At size 9, the effective receptive field of a has a radius of 3.0 sites after 24"
        " iterations (4.5 if all of the input counted alike); b 2.0 after 1"
    )
    way = panel(
        "size 9", line("a", (0, 3, 4), (0, 0, 0), ring=1), line("b", (0, 1), (0, 0), ring=0)
    )
    assert (
        title("inside-path", way)
        == "At size 9, a covers 75.0 % of its state's trajectory by the iterations of training"
    )
    later = panel("size 9", line("a", (0, 0, 9), (0, 0, 0), ring=1))
    assert (
        title("inside-path", later)
        == "At size 9, a covers <0.1 % of its state's trajectory by the iterations of training"
    )
    assert title("inside-path", panel("", line("b", (0, 1), (0, 0)))) == "What is plotted"


def test_recovery_is_told_beside_the_unperturbed():
    calm, noise = (
        panel("no perturbation", line("a", (1, 9), (0.2, 0.9))),
        panel("noise", line("a", (1, 9), (0, 0.8))),
    )
    assert title("recovery", calm, noise) == "Unperturbed, a solves 90.0 %; 80.0 % with noise"
    assert title("recovery", noise) == "What is plotted"
    many = [panel(f"p{i}", line("a", (1, 9), (0, i / 10))) for i in range(5)]
    assert (
        title("recovery", calm, *many)
        == "Unperturbed, a solves 90.0 %; after 5 perturbations 0.0 % (p0) to 40.0 % (p4)"
    )


@given(
    st.sampled_from(sorted(_KINDS)),
    st.lists(st.lists(shares, min_size=0, max_size=4), min_size=0, max_size=4),
)
def test_any_numbers_give_a_title_and_keep_what_is_plotted(kind, curves):
    panels = [
        panel("p", *(line(f"s{i}", range(1, len(y) + 1), y) for i, y in enumerate(curves))),
        panel("empty"),
    ]
    made = with_headline(kind, figure(panels))
    assert made.title
    assert "What is plotted" in f"{made.title} {made.caption}"
    assert made.panels == panels


@pytest.mark.parametrize(
    ("words", "intervals"),
    [
        ("holds", [(0.85, 1.0), (0.7, 0.84), (0.0, 0.2)]),
        ("left open", [(0.8, 1.0), (0.7, 0.9), (0.0, 0.2)]),
        ("does not hold", [(0.4, 0.6), (0.7, 0.9), (0.0, 0.2)]),
        ("overlap", [(0.65, 0.85), (0.7, 0.9), (0.0, 0.2)]),
    ],
)
def test_the_order_of_exit_rules_is_told_from_the_intervals(words, intervals):
    cells = [Accuracy("a", (low + high) / 2, low, high, 13.0) for low, high in intervals]
    assert words in order_holds(cells)
