"""Named things: loaded on first use, told apart from names nobody knows."""

from __future__ import annotations

import sys

import pytest

from foundations.registry import Registry


@pytest.fixture
def words():
    return Registry(
        "word", {"wrap": "textwrap:wrap", "fill": "textwrap:fill"}, prefixes={"re": "re:compile"}
    )


def test_an_entry_is_imported_when_it_is_asked_for_and_not_before():
    things = Registry("thing", {"fraction": "this:s", "other": "no_such_module:x"})
    sys.modules.pop("this", None)
    assert list(things) == ["fraction", "other"]
    assert things.entry("other") == "no_such_module:x"
    assert "this" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        things.load("other")


def test_what_is_registered_from_outside_is_found_like_what_is_built_in(words):
    import textwrap

    assert words.load("wrap") is textwrap.wrap
    words.register("title", str.title)
    assert words.load("title") is str.title
    assert list(words)[-1] == "title"
    with pytest.raises(ValueError, match="there is a word named 'fill' already"):
        words.register("fill", str.title)
    assert words.load("fill") is textwrap.fill


def test_names_of_a_family_share_an_entry(words):
    import re

    assert words.load("re:a+") is re.compile
    assert list(words.names()) == ["wrap", "fill", "re:NAME"]
    for name in ("re:", "re", "res:a"):
        with pytest.raises(ValueError, match="unknown word"):
            words.load(name)


def test_an_unknown_name_is_answered_with_the_nearest_first(words):
    with pytest.raises(ValueError, match=r"unknown word 'fil'; known: fill, .*re:NAME"):
        words.entry("fil")
