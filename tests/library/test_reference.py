"""The reference says what the code does today."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest
from commands import ROOT

from benchmarks import reference
from paradigms import paradigm_names, paradigm_options
from tasks import task_class, task_names

PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return re.search(rf"(?ms)^### [^\n]*\(`{name}`\)\n(.*?)(?=^##|\Z)", PAGE)[1]


def test_it_is_what_its_command_makes():
    assert reference.page() == PAGE, "python -m benchmarks.reference"


@pytest.mark.parametrize("name", task_names())
def test_every_option_of_a_task_stands_there(name):
    for option, parameter in inspect.signature(task_class(name)).parameters.items():
        assert f"`{option}={parameter.default!r}`" in section(name)


@pytest.mark.parametrize("name", paradigm_names())
def test_every_option_of_a_paradigm_stands_there(name):
    for option in paradigm_options(name):
        assert f"`{option}=" in section(name)


def test_scores_are_those_of_the_kept_tables():
    kept = pd.read_csv(reference.RESULTS / "rivals" / "sums.csv")
    mine = kept[(kept["paradigm"] == "dt_net_recall") & (kept["difficulty"] == 256)]
    each = [f"{100 * a:.1f}" for a in mine.sort_values("seed")["accuracy"]]
    row = r"\| prefix sums \| length 256 \| (.*?) % \|.*rivals"
    assert re.findall(row, section("dt_net_recall")) == [", ".join(each)]
    assert len(each) == 3
