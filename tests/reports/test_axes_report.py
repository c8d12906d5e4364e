"""The table of networks by axes, from records."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from made_records import make_records, page_of, rewrite, sections_of, table_of

from reports.figures.styles import Style
from reports.page.axes import axes_parts
from reports.read.load import load_records

AXES = {"plain": {}, "loops": {"loops": 0.1, "ties": "redrawn"}, "offset": {"offset": 1}}


@pytest.fixture
def tested(tmp_path):
    """Records of one task, each network of it tested along three axes, worse on each."""
    make_records(tmp_path)
    before = sections_of(tmp_path)

    def with_axes(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(test_task=table["task"])
        mazes = table[table["task"] == "maze"]
        more = [
            mazes.assign(test_task=f"maze:{axis}", accuracy=mazes["accuracy"] * (1 - place / 4))
            for place, axis in enumerate(AXES)
        ]
        return pd.concat([table, *more])

    rewrite(tmp_path, with_axes)
    for path in (tmp_path / "runs").glob("maze-*/spec.json"):
        spec = json.loads(path.read_text())
        spec.setdefault("evaluation", {})["axes"] = AXES
        path.write_text(json.dumps(spec))
    return tmp_path, before


def test_axes_are_one_table_and_change_no_other(tested):
    out, before = tested
    assert [s.name for s in sections_of(out)] == [s.name for s in before]
    for now, then in zip(sections_of(out), before, strict=True):
        assert now.cells == then.cells
    records = load_records(out)
    styles = {name: Style(i) for i, name in enumerate(records.rows["series"].unique())}
    (part,) = axes_parts(records, sections_of(out), styles)
    assert [axis["name"] for axis in part["axes"]] == list(AXES)
    assert part["axes"][1]["options"] == "loops=0.1, ties=redrawn"
    (section,) = [s for s in sections_of(out) if s.task == "maze"]
    assert [group["series"] for group in part["groups"]] == section.series
    for group in part["groups"]:
        for row, difficulty in zip(group["rows"], section.difficulties, strict=True):
            assert row["trained"] == (difficulty in section.trained)
            usual, plain, loops, _ = row["cells"]
            assert usual == plain, "the made networks solve as many of the plain ones"
            cell = section.cell(group["series"], difficulty)
            assert plain["basis"].startswith(cell.seeds_text)
            assert float(loops["text"].strip("<>")) <= float(plain["text"].strip("<>"))
    page = page_of(out)
    assert page.count("Other axes than difficulty") == 1
    assert "maze:loops" not in page
    assert "tested on maze" not in page


def test_an_axis_tested_later_has_its_options_beside_what_the_network_was_trained_on(tmp_path):
    make_records(tmp_path, ("maze",), ("dt_net_recall",), (0, 1), (1000,))

    def again(table: pd.DataFrame) -> pd.DataFrame:
        small = table[table["test_difficulty"] == 9]
        later = small.assign(run_id=small["run_id"] + "-again", test_task="maze:offset",
                             accuracy=0.25)  # fmt: skip
        return pd.concat([table.assign(test_task="maze"), later])

    rewrite(tmp_path, again)
    for run in [*(tmp_path / "runs").iterdir()]:
        plain = json.loads((run / "spec.json").read_text()) | {"task_options": {"canvas": 15}}
        (run / "spec.json").write_text(json.dumps(plain))
        copied = shutil.copytree(run, run.with_name(f"{run.name}-again"))
        spec = json.loads((run / "spec.json").read_text())
        spec["evaluation"] = {"axes": {"offset": {"canvas": 15, "offset": 1}}}
        (copied / "spec.json").write_text(json.dumps(spec))
        result = json.loads((run / "result.json").read_text())
        result |= {"run_id": copied.name, "trained_as": run.name, "titles": {"task": "Mazes"}}
        (copied / "result.json").write_text(json.dumps(result))
    records = load_records(tmp_path)
    (part,) = axes_parts(records, sections_of(tmp_path), {})
    assert part["axes"] == [{"name": "offset", "options": "offset=1"}]
    (group,) = part["groups"]
    (row,) = group["rows"]
    (section,) = sections_of(tmp_path)
    usual, offset = row["cells"]
    assert usual["text"] == f"{100 * section.cell(group['series'], 9).mean:.1f}"
    assert offset["text"] == "25.0"


def test_a_page_without_such_tests_has_no_such_table(tmp_path):
    make_records(tmp_path)
    assert axes_parts(load_records(tmp_path), sections_of(tmp_path), {}) == []
    assert "Other axes" not in page_of(tmp_path)


def test_axes_that_a_spec_does_not_tell_of_are_shown_all_the_same(tested):
    out, _ = tested
    for path in (out / "runs").glob("*/spec.json"):
        path.unlink()
    (part,) = axes_parts(load_records(out), sections_of(out), {})
    assert {axis["name"] for axis in part["axes"]} == set(AXES)
    assert table_of(out)["test_task"].str.contains(":").any()
