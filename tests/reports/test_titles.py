"""Names as people say them: of tasks and paradigms, from the records."""

from __future__ import annotations

import json

import pytest
from made_records import make_records, page_of

from paradigms import paradigm_names, paradigm_title
from reports.read.load import load_records
from tasks import TASKS, task_class, task_names, task_title

TITLES = {"maze": "mazes", "dt_net_recall": "DT-net with recall", "narrow_resnet18": "ResNet"}


@pytest.fixture
def titled(tmp_path):
    return make_records(tmp_path / "out", tasks=("maze",), seeds=(0,), samples=(1000,))


def say(out, titles, those=lambda spec: True):
    """Write titles into the results of some runs."""
    for run in (out / "runs").iterdir():
        spec = json.loads((run / "spec.json").read_text())
        if those(spec):
            result = json.loads((run / "result.json").read_text())
            named = {
                what: titles[spec[what]] for what in ("task", "paradigm") if spec[what] in titles
            }
            (run / "result.json").write_text(json.dumps(result | {"titles": named}))


def test_series_and_sections_go_by_the_titles_of_the_records(titled):
    say(titled, TITLES)
    rows = load_records(titled).rows
    assert set(rows["section"]) == {"mazes"}
    named = {"DT-net with recall", "ResNet", "dt_net", "feed_forward_recall"}
    assert set(rows["series"]) == named, "a network without a title keeps its name"
    page = page_of(titled)
    assert "DT-net with recall" in page
    assert "<script>" not in page.split("</title>")[0]


def test_options_stand_behind_the_title(titled):
    say(titled, TITLES)
    table = load_records(titled).rows
    assert "dt_net_recall" not in set(table["series"])
    path = titled / "results.parquet"
    stored = load_records(titled).tested.copy()
    stored.loc[stored["paradigm"] == "dt_net_recall", "label"] = "dt_net_recall alpha=0 width=8"
    stored.drop(columns=["series", "section"]).to_parquet(path)
    assert "DT-net with recall (alpha=0, width=8)" in set(load_records(titled).rows["series"])


def test_an_older_run_of_the_same_network_has_its_title_too(titled, tmp_path):
    out = make_records(tmp_path / "two", tasks=("maze",), seeds=(0, 1), samples=(1000,))
    say(out, TITLES, those=lambda spec: spec["seed"] == 1)
    rows = load_records(out).rows
    mine = rows[rows["paradigm"] == "dt_net_recall"]
    assert set(mine["series"]) == {"DT-net with recall"}
    assert mine["seed"].nunique() == 2


def test_two_networks_of_one_title_go_by_their_names(titled):
    say(titled, TITLES | {"dt_net": "DT-net with recall"})
    series = set(load_records(titled).rows["series"])
    assert {"dt_net", "dt_net_recall"} < series


def test_every_paradigm_and_task_has_a_title_of_its_own():
    for names, title in ((paradigm_names(), paradigm_title), (task_names(), task_title)):
        titles = [title(name) for name in names]
        assert all(titles)
        assert len(set(titles)) == len(titles)
    assert paradigm_title("lottery:dt_net_recall") == "pruned DT-net with recall"
    assert paradigm_title("timm:resnet10t") == "resnet10t"
    with pytest.raises(ValueError, match="dt_net"):
        paradigm_title("dt_nett")


def test_a_task_made_from_another_does_not_go_by_its_title(monkeypatch):
    class Shorter(task_class("maze")):
        pass

    monkeypatch.setitem(TASKS, "shorter", Shorter)
    assert Shorter.title == "mazes"
    assert task_title("shorter") == "shorter"
