"""A results folder kept in few small files: the page is built from them again."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from made_records import make_records

from reports.__main__ import main
from reports.read.kept import KEPT, MOST_LINES, thinned
from reports.read.load import load_records

# Of a page, what stands in its text: the folder is another one and pictures stay behind.
TABLES = re.compile(r"<td[^>]*>(.*?)</td>", re.DOTALL)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    out, kept = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("kept") / "deep" / "kept"
    make_records(out)
    assert main(["keep", str(out), str(kept)]) == 0
    return out, kept


def test_the_page_of_what_was_kept_has_the_same_tables(folders):
    pages = []
    for folder in folders:
        assert main([str(folder)]) == 0
        pages.append(TABLES.findall((folder / "report.html").read_text()))
    whole, kept = pages
    assert len(kept) > 20
    assert set(kept) <= set(whole)
    figures = [cell for cell in whole if re.search(r"\d\.\d", cell)]
    assert figures
    assert [cell for cell in kept if re.search(r"\d\.\d", cell)] == figures


def test_runs_keep_settings_results_and_what_made_them(folders):
    whole, kept = map(load_records, folders)
    assert whole.runs.keys() == kept.runs.keys()
    for run_id, run in whole.runs.items():
        assert kept.runs[run_id].spec == run.spec
        assert kept.runs[run_id].result == run.result
        assert kept.runs[run_id].metrics == thinned(run.metrics)


def test_it_is_small_and_the_same_twice(folders, tmp_path):
    out, kept = folders
    assert {path.name for path in kept.iterdir()} <= {
        KEPT, "results.parquet", "verdicts.json", "study.json", "report.html",
    }  # fmt: skip
    assert main(["keep", str(out), str(tmp_path)]) == 0
    assert (tmp_path / KEPT).read_bytes() == (kept / KEPT).read_bytes()
    # What was kept can itself be kept.
    assert main(["keep", str(kept), str(tmp_path / "again")]) == 0
    assert load_records(tmp_path / "again").runs.keys() == load_records(out).runs.keys()


def test_a_training_curve_is_thinned_to_its_validations_and_its_end():
    losses = [{"step": n, "split": "train", "loss": 1 / n} for n in range(1, 501)]
    checks = [{"step": n, "split": "validation", "loss": 0.1} for n in (100, 200, 500)]
    lines = thinned(losses + checks)
    assert [line for line in lines if line["split"] == "validation"] == checks
    few = [line for line in lines if line["split"] == "train"]
    assert len(few) <= MOST_LINES
    assert few[-1]["step"] == 500


def test_a_damaged_line_is_named_and_costs_no_other(folders, tmp_path):
    _, kept = folders
    lines = gzip.decompress((kept / KEPT).read_bytes()).decode().splitlines()
    for path in kept.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / KEPT).write_bytes(gzip.compress("\n".join([lines[0], "{cut", *lines[2:]]).encode()))
    records = load_records(tmp_path)
    assert any("line 2" in note for note in records.notes)
    assert json.loads(lines[0])["run_id"] in records.runs
    assert len(records.runs) == len(lines) - 1


@pytest.mark.parametrize("same", [True, False])
def test_a_folder_without_records_or_onto_itself_is_one_line(folders, tmp_path, capsys, same):
    out, _ = folders
    source = out if same else tmp_path / "none"
    assert main(["keep", str(source), str(out if same else tmp_path / "kept")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(source) in error
    assert not (tmp_path / "kept").exists()
