"""The gallery shows every task at every difficulty that a small picture can show."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from commands import ROOT
from PIL import Image

from benchmarks import problems
from tasks import load_task, task_names
from tasks.sources import MissingData

DOCS = ROOT / "docs"
PAGE = (DOCS / "gallery.md").read_text()
PICTURES = re.findall(r"\]\((images/gallery/[\w-]+\.webp)\)", PAGE)


def test_every_task_has_a_part_of_the_page_in_order():
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == task_names()


def test_every_picture_is_there_small_and_shown_once():
    kept = sorted(f"images/gallery/{path.name}" for path in (DOCS / "images/gallery").iterdir())
    assert sorted(PICTURES) == kept
    assert sum((DOCS / name).stat().st_size for name in kept) < 1_500_000
    for name in kept:
        with Image.open(DOCS / name) as image:
            assert max(image.size) <= problems.WIDEST


@pytest.mark.parametrize("name", ["maze", "prefix_sums", "pathfinder", "cabc", "chess", "digits"])
def test_the_page_shows_or_names_each_difficulty(name):
    part = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]
    task = load_task(name)
    for difficulty in task.spec.difficulties:
        if difficulty in problems.shown(task):
            assert f"images/gallery/{name}_{difficulty}.webp" in part
        else:
            assert str(difficulty) in part.partition("Too large")[2]


def test_a_part_is_drawn_anew_by_the_command(tmp_path):
    part = problems.section("digits", tmp_path)
    assert part in PAGE
    with Image.open(tmp_path / "images/gallery/digits_1.webp") as image:
        assert image.getextrema() != ((255, 255),) * 3


def test_a_task_without_its_data_says_how_to_see_it(tmp_path, monkeypatch):
    def absent(name):
        raise MissingData("nowhere")

    monkeypatch.setattr(problems, "load_task", absent)
    assert "--data-dir FOLDER" in problems.section("svhn", tmp_path)


def test_a_picture_that_was_drawn_where_the_data_were_stays(tmp_path, monkeypatch):
    def absent(name):
        raise MissingData("nowhere")

    monkeypatch.setattr(problems, "load_task", absent)
    kept = tmp_path / "images/gallery/svhn_1.webp"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert "](images/gallery/svhn_1.webp)" in problems.section("svhn", tmp_path)


def test_what_networks_think_is_shown_with_the_shares_that_are_kept():
    assert PAGE.endswith(problems.THINKING)
    for name in re.findall(r"\]\((images/thinking_\w+\.webp)\)", problems.THINKING):
        assert (DOCS / name).stat().st_size < 250_000
    kept = pd.read_csv(DOCS / "results/rivals/mazes.csv")
    kept = kept[kept["seed"] == 0]
    shares = 100 * kept[kept["difficulty"] == 13].set_index("paradigm")["accuracy"]
    order = "dt_net_recall trm locrnn conv_gru dt_net_lipschitz deq looped_transformer"
    order += " feed_forward_recall unet dilated_cnn narrow_resnet18 transformer"
    said = re.search(r"In order they solve (.*?) %\s+of that size, and (.*?) %", PAGE, re.DOTALL)
    numbers = re.findall(r"[\d.]+", f"{said[1]} {said[2]}")
    assert [float(n) for n in numbers] == [round(shares[name], 1) for name in order.split()]
