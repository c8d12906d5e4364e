"""The documentation as a site: every page is in its contents, the tutorial runs as it stands, and
the glossary is in order."""

from __future__ import annotations

import re
import shlex

import matplotlib
from commands import ROOT
from pages import examples

DOCS = ROOT / "docs"
PAGE = (DOCS / "tutorial.md").read_text()
(COMMAND,) = re.findall(r"^python (compare\.py --plugin .*)$", PAGE, re.MULTILINE)


def test_every_page_is_in_the_contents():
    listed = re.findall(r": ([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert set(listed) == there


def test_the_tutorial_runs_from_a_folder_of_its_own(compare, tmp_path, monkeypatch):
    """At smoke size; the command is otherwise the page's."""
    code = examples("tutorial.md")
    assert set(code) == {"mine.py", "figure.py"}
    (tmp_path / "mine.py").write_text(code["mine.py"])
    asked = [w for w in shlex.split(COMMAND)[1:] if w not in ("--train-samples", "10000")]
    done = compare(*asked, "--preset", "smoke", "--set=train.steps=20", "--workers=1")
    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code["figure.py"], "figure.py", "exec"), {})
    assert (tmp_path / "mine.png").stat().st_size > 5000


def test_the_glossary_is_in_the_order_of_the_alphabet():
    words = re.findall(r"^\| ([^|]+) \| [A-Z0-9]", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 25
    assert words == sorted(words, key=str.lower)


def test_the_answer_is_short_and_each_paragraph_has_its_table():
    text = (DOCS / "answer.md").read_text()
    assert len(text.split()) <= 600
    finding = [part for part in text.split("\n\n") if part.startswith("**")]
    assert len(finding) >= 5
    for part in finding:
        assert re.search(r"\]\([\w/.#-]+\.md[\w#-]*\)", part), part[:60]
