"""The tables of docs/speed.md are what was measured; commands are clocked with what they cost."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import studies, tables


def test_the_page_holds_the_tables_of_the_files_beside_it():
    page = (tables.DOCS / "speed.md").read_text(encoding="utf-8")
    assert tables.filled(page, tables.tables()) == page


def test_the_latest_of_each_machine_counts():
    rows = [
        {"what": "tests", "minutes": m, "kind": kind, "device": device, "cores": 2, "version": "1"}
        for m, kind, device in ((9, "AMX", "a"), (7, "AMX", "a"), (5, "AMX", "b"), (3, "AVX2", "c"))
    ]
    text = tables.kinds_table(rows)
    assert "| AMX, bf16 | – | – | 7 (a); 5 (b) | – |" in text
    assert "| GPU | – | – | – | – |" in text
    assert "9 (" not in text


def test_a_page_without_the_place_is_refused():
    with pytest.raises(ValueError, match="no place for the table 'plain'"):
        tables.filled("<!-- kinds: -->\n<!-- end -->", {"plain": "x"})


def test_a_command_is_clocked_and_added_to_what_is_there(tmp_path, monkeypatch, capsys):
    busy = [sys.executable, "-c", "sum(range(10**6)); open('FOLDER/x', 'w')"]
    monkeypatch.setattr(studies, "COMMANDS", {"tests": [busy]})
    out = tmp_path / "studies.json"
    for _ in range(2):
        assert studies.main(["--only=tests", f"--out={out}"]) == 0
    first, second = json.loads(out.read_text())
    assert first.keys() == second.keys()
    assert first["cpu_minutes"] >= 0
    assert first["device"] in capsys.readouterr().out
