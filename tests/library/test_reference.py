"""Every task and paradigm has a page, and what it says from code and results is what they say
today."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest
from commands import ROOT

from benchmarks import reference, schematics
from paradigms import PARADIGMS, paradigm_names, paradigm_options
from tasks import task_class, task_names

DOCS = ROOT / "docs"
PAGES = {
    (kind, name): (DOCS / kind / f"{stem}.md").read_text(encoding="utf-8")
    for kind in ("tasks", "paradigms")
    for name, stem in reference.page_of(kind).items()
}


def part(page: str, title: str) -> str:
    return re.search(rf"(?ms)^## {title}\n(.*?)(?=^## |\Z)", page)[1]


def test_files_are_what_the_command_makes():
    for path, text in reference.written():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {reference.__name__}"


@pytest.mark.parametrize(
    ("kind", "names"),
    [("tasks", task_names()), ("paradigms", [*paradigm_names(), *PARADIGMS.prefixes])],
)
def test_every_name_has_one_page_with_all_five_parts(kind, names):
    titles = [page.partition("\n")[0] for page in {p for (k, _), p in PAGES.items() if k == kind}]
    named = [name.removesuffix(":NAME") for title in titles for name in reference.names_on(title)]
    assert set(named) == set(names)
    for name in names:
        page = PAGES.get((kind, name)) or PAGES[kind, f"{name}:NAME"]
        picture = page.partition("## Law")[0]
        assert re.search(r"!\[.+\]\(\.\./images/|tasks preview", picture), name
        for title in reference.PARTS:
            written = re.sub(r"<!--.*?-->", "", part(page, title))
            assert len(written.split()) >= 4, f"{name}: {title}"
        for made in ("picture", "law", "numbers"):
            assert page.count(f"<!-- made: {made} -->") == 1, name


def test_every_picture_and_page_that_a_page_shows_is_there():
    for (kind, name), page in PAGES.items():
        for found in re.findall(r"\]\((\.\.?/[^)#]+|[\w/]+\.md)(?:#[\w-]+)?\)", page):
            assert (DOCS / kind / found).resolve().is_file(), f"{name}: {found}"


@pytest.mark.parametrize("name", task_names())
def test_every_option_of_a_task_stands_on_its_page(name):
    law = part(PAGES["tasks", name], "Law")
    for option, parameter in inspect.signature(task_class(name)).parameters.items():
        assert f"`{option}={parameter.default!r}`" in law


@pytest.mark.parametrize("name", paradigm_names())
def test_every_option_of_a_paradigm_stands_on_its_page(name):
    law = re.search(rf"(?m)^\*\*`{name}`\*\*:.*$", part(PAGES["paradigms", name], "Law"))[0]
    for option in paradigm_options(name):
        assert f"`{option}=" in law


def test_scores_are_those_of_the_kept_tables():
    kept = pd.read_csv(reference.RESULTS / "rivals" / "sums.csv")
    mine = kept[(kept["paradigm"] == "dt_net_recall") & (kept["difficulty"] == 256)]["accuracy"]
    cell = f"{100 * mine.mean():.1f} ({100 * mine.min():.1f}–{100 * mine.max():.1f})"
    assert len(mine) == 3
    numbers = part(PAGES["paradigms", "dt_net_recall"], "Our numbers")
    rivals = numbers.partition("prefix_sums.md), from the [rivals]")[2]
    row = re.search(r"(?m)^\| `dt_net_recall` \|.*$", rivals)[0]
    assert row.split(" | ")[-1] == f"{cell} |"


def test_runs_of_other_settings_or_another_training_are_told_apart():
    page = part(PAGES["tasks", "maze"], "Our numbers")
    assert re.search(r"resnet18\.md\) \| size 13, 50,000 \| 3 \|", page)
    page = part(PAGES["tasks", "pathfinder"], "Our numbers")
    assert re.search(r"resnet18\.md\) `learning_rate=0\.005` \| path length 6, 20,000 \|", page)


def test_a_name_without_a_page_is_given_one(monkeypatch, tmp_path):
    """So a new task is its file and its test; what is known of it is written when it is known."""
    pages = tmp_path / "tasks"
    pages.mkdir()
    (tmp_path / "gallery.md").write_text("")
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    page = reference.task_page(reference.NEW.format(title="digits", name="digits"))
    assert "scikit-learn's handwritten digits" in part(page, "Law")
    assert "None are known" in part(page, "Traps")
    assert reference.task_page(page) == page


def test_what_a_picture_says_is_what_the_network_does():
    kept = {path.stem for path in schematics.PICTURES.iterdir()}
    assert kept == set(paradigm_names())
    for name in kept:
        said, found = (
            schematics.said_by(schematics.PICTURES / f"{name}.svg"),
            schematics.facts(name),
        )
        assert said[:4] == found[:4], name
        # what has faded to the last bit of a number differs between processors
        for mine, other in zip(said.seen, found.seen, strict=True):
            assert abs(mine.count("1") - other.count("1")) <= 2, name
    recall = schematics.facts("dt_net_recall")
    assert recall[:4] == ("a step", None, True, 1)
    assert [row.count("1") for row in recall.seen[:3]] == [19, 29, 39]
    assert schematics.facts("feed_forward")[:3] == ("nothing", 8, False)
    assert schematics.facts("gru").repeats == "positions"


def test_a_schematic_is_drawn_anew_by_the_command(tmp_path):
    assert schematics.main(["gru", "--out", str(tmp_path)]) == 0
    assert schematics.said_by(tmp_path / "gru.svg") == schematics.facts("gru")
