"""The README's picture is of today's page and of the records that are kept beside it."""

from __future__ import annotations

import re
import shutil

import commands
import pytest
from PIL import Image

from benchmarks.picture import HEIGHT, WIDTH, main, said_of, shown_from

PICTURE = commands.ROOT / "docs" / "images" / "report.png"
KEPT = commands.ROOT / "docs" / "results" / "default"
COMMAND = "python -m benchmarks.picture docs/results/default --out docs/images/report.png"


def test_the_picture_is_no_older_than_the_page():
    assert said_of(PICTURE) == shown_from(KEPT), f"run: {COMMAND}"
    assert re.search(
        r"!\[.+\]\(docs/images/report\.png\)", (commands.ROOT / "README.md").read_text()
    )


def test_another_template_or_record_makes_another_fingerprint(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "results.parquet").write_bytes(b"one")
    before = shown_from(kept)
    (kept / "results.parquet").write_bytes(b"two")
    assert shown_from(kept) != before


def test_a_folder_that_is_none_is_said_in_a_line(tmp_path, capsys):
    assert main([str(tmp_path / "nothing"), "--out", str(tmp_path / "a.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="no Chromium")
def test_a_picture_is_taken_by_the_command(tmp_path):
    out = tmp_path / "page.png"
    assert main([str(KEPT), "--out", str(out)]) == 0
    with Image.open(out) as image:
        assert image.size == (WIDTH, HEIGHT)
        assert len(image.convert("RGB").getcolors(10**6) or ()) > 20  # something is drawn
    assert said_of(out) == shown_from(KEPT)
