"""The notebook runs from its first cell to its last, on the table that is kept."""

from __future__ import annotations

import json
import shutil

import matplotlib
import pytest
from commands import ROOT

FOLDER = ROOT / "docs" / "notebook"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells(path, kind: str) -> list[str]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in stored["cells"] if cell["cell_type"] == kind]


def test_there_is_one():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_order_and_draws(path, tmp_path, monkeypatch, capsys):
    results = tmp_path / "results" / "default"
    results.mkdir(parents=True)
    shutil.copy(ROOT / "docs/results/default/results.parquet", results)
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")
    matplotlib.use("Agg")
    names: dict[str, object] = {}
    for number, code in enumerate(cells(path, "code")):
        exec(compile(code, f"{path.name}, cell {number}", "exec"), names)
    assert (tmp_path / "notebook" / "accuracy_by_iterations.png").stat().st_size > 5000
    half = names["half"]
    assert list(half.index) == [9, 13, 21]
    assert half.is_monotonic_increasing
    assert f"{names['exponent']:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_output_and_is_linked(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["nbformat"] == 4
    assert all(not cell.get("outputs") for cell in stored["cells"])
    assert f"notebook/{path.name}" in (ROOT / "docs" / "index.md").read_text()
    assert f"docs/notebook/{path.name}" in (ROOT / "README.md").read_text()
