"""Sample and parameter efficiency on the page: the table of samples needed and the Pareto front."""

from __future__ import annotations

import pytest
from made_records import make_records, sections_of, table_of

from foundations.measures import samples_to_reach
from reports.figures.catalogue import section_figures
from reports.figures.styles import Style
from reports.page.tables import _to_goal, accuracy_table, samples_table
from reports.read.load import Run


@pytest.fixture(scope="module")
def section(tmp_path_factory):
    out = make_records(tmp_path_factory.mktemp("efficiency"), tasks=("maze",))
    assert table_of(out)["train_samples"].nunique() == 2
    return sections_of(out)[0]


@pytest.fixture(scope="module")
def styles(section):
    return {name: Style(i) for i, name in enumerate(section.series)}


def test_samples_needed_are_read_off_the_curve_that_is_drawn(section, styles):
    rows = {row["series"]: row for row in samples_table(section, styles)}
    figure = section_figures(section, {}, "f")["samples"]
    for line in figure.panels[0].lines:
        reached = samples_to_reach(dict(zip(line.x, line.y, strict=True)), section.goal)
        row = rows[line.series]
        if reached is None:
            assert row["needed"] == "> 10,000"
        else:
            assert float(row["needed"].replace(",", "")) == pytest.approx(reached, rel=0.05)
        assert row["sizes"] == "1,000, 10,000"
    assert rows["dt_net"]["needed"] == "> 10,000"
    assert rows["dt_net"]["span"] == "", "the same at both ends of the interval"
    assert rows["dt_net"]["value"] > rows["dt_net_recall"]["value"]


def test_the_front_is_ringed_and_holds_no_network_at_chance(section):
    for kind in ("parameters", "compute"):
        for panel in section_figures(section, {}, "f")[kind].panels:
            points = {n.series: (n.x[0], n.y[0]) for n in panel.lines}
            clear = {n.series for n in panel.lines if n.low[0] > section.chance}
            for name, (cost, share) in points.items():
                beaten = any(points[o][0] <= cost and points[o][1] > share for o in clear)
                (line,) = [n for n in panel.lines if n.series == name]
                assert (line.ring == 0) == (name in clear and not beaten), (panel.title, name)


def test_the_share_of_runs_that_converged_has_its_interval(section, styles):
    row = accuracy_table(section, styles)[section.series.index("dt_net")]
    assert row["converged"] == {"text": "0 of 2 converged", "span": "0.0–65.8"}


def trained(*curve, steps=100, flops=1e12):
    lines = [{"split": "validation", "step": n, "accuracy": a} for n, a in curve]
    lines += [{"split": "train", "step": 1, "loss": 2.0}]
    return Run("a", result={"steps": steps, "train_flops": flops}, metrics=lines)


def test_operations_to_the_goal_are_those_of_the_steps_to_it():
    half, quarter = trained((50, 0.9), (100, 1.0)), trained((25, 0.9))
    assert _to_goal([half], 0.9) == "500G"
    assert _to_goal([half, half], 0.9) == "500G"
    # The geometric mean; 0.45 half-way there.
    assert _to_goal([half, quarter], 0.9) == "354G"
    assert _to_goal([half], 0.45) == "250G"
    never = trained((50, 0.2), (100, 0.3))
    assert _to_goal([half, never], 0.9) == "500G (1 of 2)"
    assert _to_goal([never], 0.9) == "not reached (0 of 1)"


@pytest.mark.parametrize(
    "run", [Run("a"), trained(), trained((50, 1.0), steps="x"), trained(("x", "y"), (None, 1.0))]
)
def test_without_a_curve_nothing_is_said_of_operations(run):
    assert _to_goal([run], 0.9) == "–"
