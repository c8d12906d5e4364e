"""What the report says about stopping, from records in any state."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.figures.exits import exits_figure
from reports.figures.styles import Style
from reports.page.tables import stopping_table
from reports.read.load import Run
from reports.read.sections import Accuracy


class Section:
    """As much of a section as the tables read."""

    name = "maze"
    series = ("net",)
    difficulties = (9.0, 13.0)
    main = pd.DataFrame({"run_id": ["r"], "series": ["net"], "test_task": ["maze"]})

    chance = 0.0

    @staticmethod
    def owners() -> list[tuple[str, str]]:
        return [("net", "r")]

    @staticmethod
    def cell(series: str, difficulty: float, rule: str) -> Accuracy:
        return Accuracy(series, 0.9, 0.8, 1.0, difficulty)

    @staticmethod
    def panel(difficulty: float) -> str:
        return f"size {difficulty:g}"


STYLES = {"net": Style(0)}


def cost(rule: str, seconds: float, difficulty: float = 9, **more):
    return {
        "test_task": "maze",
        "test_difficulty": difficulty,
        "exit_rule": rule,
        "n_test": 100,
        "accuracy": 0.9,
        "iterations_mean": 7.5,
        "seconds_per_example": seconds,
        "flops_per_example": 2e6,
        **more,
    }


def table(*entries):
    return stopping_table(Section(), {"r": Run("r", result={"stopping": list(entries)})}, STYLES)


def test_time_is_told_beside_the_fixed_number_of_iterations():
    (group,) = table(cost("validated", 0.02), cost("agreement", 0.005), cost("agreement", 0.1, 13))
    fixed, stopped = group["rows"]
    assert fixed["cells"][0]["milliseconds"] == "20"
    assert fixed["cells"][0]["saved"] == ""
    assert stopped["cells"][0]["saved"] == "4×"
    assert stopped["cells"][0]["flops"] == "2 MFLOPs"
    assert stopped["cells"][1]["saved"] == ""  # nothing to compare with there


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "words",
        {},
        cost("agreement", float("nan")),
        cost("agreement", 0.1, test_task="other"),
        {**cost("agreement", 0.1), "accuracy": "high"},
        {"test_task": "maze"},
    ],
)
def test_odd_entries_are_left_out(odd):
    (group,) = table(cost("validated", 0.02), odd)
    assert [row["rule"] for row in group["rows"]] == ["fixed on validation problems"]
    assert table(odd) == []
    assert stopping_table(Section(), {}, STYLES) == []


def figure(*entries):
    return exits_figure(Section(), {"r": Run("r", result={"exits": list(entries)})}, "key")


@given(st.dictionaries(st.integers(1, 500), st.integers(1, 50), min_size=1, max_size=10))
def test_the_share_answered_grows_to_all(counted):
    entry = {
        "test_task": "maze",
        "test_difficulty": 9,
        "exit_rule": "agreement",
        "iterations": list(counted),
        "problems": list(counted.values()),
    }
    (panel,) = figure(entry).panels
    (line,) = panel.lines
    assert line.x == sorted(counted)
    assert line.y == sorted(line.y)
    assert line.y[-1] == pytest.approx(1.0)
    assert line.tests[0] == sum(counted.values())


@pytest.mark.parametrize(
    "odd",
    [
        3,
        {"test_task": "maze", "exit_rule": "agreement"},
        {
            "test_task": "maze",
            "test_difficulty": 9,
            "exit_rule": "agreement",
            "iterations": [1, 2],
            "problems": [1],
        },
        {
            "test_task": "maze",
            "test_difficulty": 9,
            "exit_rule": "n_plus_2",
            "iterations": [3],
            "problems": [1],
        },
    ],
)
def test_no_figure_without_what_it_needs(odd):
    assert figure(odd) is None
