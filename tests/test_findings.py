"""Titles of figures say what is drawn, and no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reports.drawing import flops
from reports.findings import _KINDS, with_finding
from reports.shapes import Axis, Figure, Line, Panel

PERCENT = Axis("solved", percent=True, low=0.0, high=1.0)
shares = st.floats(0, 1)


def figure(panels, title="What is plotted"):
    return Figure("key", title, "How to read it.", panels)


def panel(title, *lines, marks=(), label="size"):
    return Panel(title, Axis(label), PERCENT, list(lines), list(marks))


def line(name, x, y, **more):
    return Line(name, list(x), list(y), **more)


def title(kind, *panels):
    return with_finding(kind, figure(list(panels))).title.replace("\N{NO-BREAK SPACE}", " ")


def test_the_hardest_place_that_somebody_solves_is_spoken_of():
    one = panel("", line("a", (9, 13, 21), (1, 0.5, 0.01)), line("b", (9, 13, 21), (0.9, 0.7, 0)))
    assert title("difficulty", one) == "b solves 70.0 % at size 13, a 50.0 %"


def test_chance_is_no_solution():
    one = panel("", line("a", (6, 14), (0.9, 0.52)), marks=[("y", 0.5, "chance")])
    assert title("difficulty", one) == "a solves 90.0 % at size 6"


def test_an_interval_that_holds_chance_is_no_solution():
    chance = [("y", 0.5, "chance")]
    near = line("a", (6, 14), (0.9, 0.58), low=[0.85, 0.48], high=[0.95, 0.68])
    clear = line("b", (6, 14), (0.8, 0.57), low=[0.75, 0.53], high=[0.85, 0.61])
    assert "at size 6" in title("difficulty", panel("", near, marks=chance))
    assert "at size 14" in title("difficulty", panel("", near, clear, marks=chance))
    four = [panel(name, near if name == "x" else clear, marks=chance) for name in "wxyz"]
    assert "a on x" in title("overview", *four), "it solves the easier ones"


def test_iterations_past_training_are_compared_with_training():
    rising = panel("size 21", line("a", (1, 16, 64), (0, 0.33, 0.88), ring=1))
    assert title("iterations", rising) == (
        "At size 21, a goes from 33.0 % after 16 iterations, as trained, to 88.0 % after 64"
    )
    level = panel("size 9", line("a", (1, 16, 64), (0, 0.99, 0.99), ring=1))
    assert "gains little" in title("iterations", level)
    ends = panel("size 9", line("a", (1, 64), (0.5, 0.5), kind="flat"))
    assert title("iterations", ends) == "What is plotted"


def test_costs_name_the_best_and_what_is_dearer():
    one = panel(
        "size 9", line("a", [1000], [0.9]), line("b", [500], [0.8]), line("c", [9000], [0.7])
    )
    assert title("parameters", one) == (
        "At size 9, a solves 90.0 % with 1,000 parameters, c 70.0 % with 9,000 parameters"
    )
    assert title("compute", one) == (
        "a solves most, 90.0 %, for 1 kFLOPs an answer; b 80.0 % for 500 FLOPs"
    )
    assert flops(3.13e9) == "3.13 GFLOPs"


def test_with_few_tasks_the_overview_gives_numbers_and_with_many_who_leads_where():
    maze = panel("maze", line("a", (9, 21), (1, 0.5)), line("b", (9, 21), (1, 0.4)))
    photos = panel(
        "photos", line("a", [1e5], [0.6], kind="points"), line("b", [1e4], [0.7], kind="points")
    )
    sums = panel("sums", line("a", (16, 64), (1, 0.9)), line("b", (16, 64), (1, 0.95)))
    paths = panel("paths", line("a", (6, 9), (0.51, 0.5)), marks=[("y", 0.5, "chance")])
    assert (
        title("overview", maze, photos)
        == "a solves 50.0 % of maze at size 21; b solves 70.0 % of photos"
    )
    assert title("overview", maze, photos, sums, paths) == (
        "Farthest at what is hardest: b on photos and sums, a on maze; nobody gets clear of chance on paths"
    )
    assert title("overview", paths, paths, paths, paths) == "What is plotted"


def test_what_is_inside_is_told_in_its_own_terms():
    used = panel("size 9", line("a", (0, 0.2, 0.9), (1, 0.8, 0)), line("b", (0, 0.1), (1, 0.5)))
    used.marks.append(("x", 0.2, "20 %"))
    assert title("inside-reuse", used) == (
        "At size 9, a keeps 80.0 % of its filters in use at every iteration, b 0.0 %"
    )
    near = panel("size 9", line("a", (1, 24), (1, 2e-7)), line("b", (1, 16), (1, 0.5)))
    assert title("inside-rest", near) == (
        "At size 9, a is within 2e-07 of its limit after 24 iterations, b within 0.5"
    )
    far = panel("size 9", line("a", (1, 24), (1, 3.02)), marks=[("y", 4.5, "all of the input")])
    assert title("inside-receptive", far) == (
        "At size 9, a looks 3.0 sites far after 24 iterations, of 4.5 if all of the input counted alike"
    )
    way = panel(
        "size 9", line("a", (0, 3, 4), (0, 0, 0), ring=1), line("b", (0, 1), (0, 0), ring=1)
    )
    assert (
        title("inside-path", way)
        == "At size 9, share of its way that a state has gone as trained: a 75.0 %"
    )
    assert title("inside-path", panel("", line("b", (0, 1), (0, 0)))) == "What is plotted"


def test_recovery_is_told_beside_the_undisturbed():
    calm, noise = (
        panel("no blow", line("a", (1, 9), (0.2, 0.9))),
        panel("noise", line("a", (1, 9), (0, 0.8))),
    )
    assert title("recovery", calm, noise) == "Undisturbed, a solves 90.0 %; 80.0 % with noise"
    assert title("recovery", noise) == "What is plotted"


@given(
    st.sampled_from(sorted(_KINDS)),
    st.lists(st.lists(shares, min_size=0, max_size=4), min_size=0, max_size=4),
)
def test_any_numbers_give_a_title_and_keep_what_is_plotted(kind, curves):
    panels = [
        panel("p", *(line(f"s{i}", range(1, len(y) + 1), y) for i, y in enumerate(curves))),
        panel("empty"),
    ]
    made = with_finding(kind, figure(panels))
    assert made.title
    assert "What is plotted" in f"{made.title} {made.caption}"
    assert made.panels == panels


def test_what_converged_means_is_one_number():
    from comparisons.axes import CONVERGED
    from reports import summary

    assert summary.CONVERGED == CONVERGED


def test_the_order_of_exit_rules_is_told_from_the_intervals(monkeypatch):
    from types import SimpleNamespace

    from reports import words

    def told(*cells):
        held = dict(zip(words._ORDER, cells, strict=True))
        section = SimpleNamespace(
            series=["a"],
            recurrent={"a": True},
            train_difficulties=[9.0],
            difficulties=[9.0, 13.0],
            place=lambda d: f"size {d:g}",
            cell=lambda series, place, rule: dict(
                zip(("mean", "low", "high"), held[rule], strict=True)
            ),
        )
        top = {"series": "a", "test_difficulty": 13.0}
        monkeypatch.setattr(words, "_furthest", lambda *arguments: top)
        (sentence,) = words._say_order_of_rules(section)
        return sentence

    assert "rules holds for a" in told((0.9, 0.8, 1.0), (0.8, 0.7, 0.9), (0.1, 0.0, 0.2))
    assert "does not hold" in told((0.5, 0.4, 0.6), (0.8, 0.7, 0.9), (0.1, 0.0, 0.2))
    assert "overlap" in told((0.75, 0.65, 0.85), (0.8, 0.7, 0.9), (0.1, 0.0, 0.2))
