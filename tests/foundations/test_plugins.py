"""Plugins: found, loaded once, blamed by name."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from outside import undone

from foundations import plugins
from foundations.plugins import PluginError, blamed, load_plugins, loaded
from foundations.registry import Registry

WORDS = Registry("word", {"wrap": "textwrap:wrap"}, group="words")


@pytest.fixture(autouse=True)
def _undo(tmp_path, monkeypatch):
    with undone(WORDS):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setitem(sys.modules, "words_registry", sys.modules[__name__])
        yield


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


MINE = """
from words_registry import WORDS

@WORDS.register("title")
def title(text):
    return text[9]
"""


def test_a_file_and_a_module_are_loaded_once_and_known_from_anywhere(tmp_path, monkeypatch):
    write(tmp_path / "here.py", MINE)
    write(tmp_path / "deep" / "there.py", MINE.replace("title", "other"))
    load_plugins(["here", "deep/there.py", str(tmp_path / "deep" / "there.py"), "here"])
    assert loaded() == (str(tmp_path / "here.py"), str(tmp_path / "deep" / "there.py"))
    assert WORDS.outside == {
        "title": "here",
        "other": str(tmp_path / "deep" / "there.py"),
    }
    load_plugins(loaded())
    assert WORDS.load("title")("0123456789") == "9"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.py", None, "plugin absent.py: there is no such file"),
        ("absent_module", None, "plugin absent_module: ModuleNotFoundError: No module named"),
        ("bad.py", "x = 1\ny = x / 0\n", r"bad.py: ZeroDivisionError: .* \(bad.py, line 2\)"),
        ("bad.py", "def f(:\n", r"plugin .*bad.py: SyntaxError: .*\(bad.py, line 1\)"),
        ("bad.py", "raise SystemExit(3)\n", r"plugin .*bad.py: SystemExit: 3"),
        ("bad.py", MINE.replace("title", "wrap"), r"bad.py: there is a word named 'wrap'"),
        ("bad.py", MINE.replace('"title"', '"a b"'), r"bad.py: 'a b' can't name a word"),
        ("json.py", "", "there is another module named json; give the file another name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_plugin(tmp_path, name, text, said):
    if text is not None:
        write(tmp_path / name, text)
    with pytest.raises(PluginError, match=said) as caught:
        load_plugins([name])
    assert "\n" not in str(caught.value)
    assert loaded() == ()


def test_an_error_is_blamed_on_the_plugin_that_it_comes_from(tmp_path):
    path = write(tmp_path / "here.py", MINE)
    load_plugins([str(path)])
    with pytest.raises(IndexError) as caught:
        WORDS.load("title")("short")
    assert blamed(caught.value) == (
        f"plugin {path}: IndexError: string index out of range (here.py, line 6)"
    )
    assert blamed(ValueError("ours")) == ""


def package(tmp_path: Path, entries: str) -> None:
    info = tmp_path / "packages" / "word_pack-1.2.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: word-pack\nVersion: 1.2\n")
    write(info / "entry_points.txt", "[recurrence_or_depth.words]\n" + entries)
    write(tmp_path / "packages" / "word_pack.py", MINE)
    sys.path.insert(0, str(tmp_path / "packages"))
    plugins._installed.cache_clear()


def test_an_installed_package_adds_names_and_takes_none_over(tmp_path):
    package(tmp_path, "title = word_pack:title\nwrap = word_pack:wrap\n")
    assert "word_pack" not in sys.modules
    assert WORDS["wrap"] == "textwrap:wrap"
    assert list(WORDS.names()) == ["wrap", "title"]
    assert WORDS.load("title")("0123456789") == "9", "registered there by its decorator too"
    assert WORDS.outside == {"title": "word-pack 1.2"}
    assert WORDS.load("wrap") is textwrap.wrap


def test_a_broken_package_is_named_when_it_is_asked_for(tmp_path):
    package(tmp_path, "gone = no_such_module:x\nless = word_pack:less\n")
    with pytest.raises(PluginError, match=r"plugin word-pack 1.2: ModuleNotFoundError"):
        WORDS.load("gone")
    with pytest.raises(ValueError, match=r"plugin word-pack 1.2: word 'less': word_pack has"):
        WORDS.load("less")
    with pytest.raises(ValueError, match="unknown word 'les'; known: less"):
        WORDS.load("les")


def test_a_cell_of_a_notebook_may_be_run_again():
    def mine():
        pass

    mine.__module__ = "__main__"
    assert WORDS.register("mine", mine) is mine
    WORDS.register("mine", mine)
    with pytest.raises(ValueError, match="already"):
        WORDS.register("wrap", mine)
