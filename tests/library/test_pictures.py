"""The pictures of the documentation hold what they say."""

from __future__ import annotations

import pytest
import torch

from benchmarks import family_tree, gallery
from comparisons.testing.session import Session
from paradigms import build_paradigm, paradigm_names
from tasks import load_task


def test_every_paradigm_is_in_the_family_tree():
    named = " ".join(
        member.names for lane in family_tree.LANES.values() for member, _ in family_tree.rows(lane)
    )
    words = set(named.replace(",", "").replace(":NAME", "").split())
    named_by_another = {"super_narrow_resnet18", "larger_narrow_resnet18"}
    assert not {name.removesuffix("_bn") for name in paradigm_names()} - words - named_by_another
    assert "…" in words, "the other widths of ResNet18"


def test_the_tree_hangs_every_member_on_one_above():
    figure = family_tree.draw()
    count = sum(len(list(family_tree.rows(lane))) for lane in family_tree.LANES.values())
    assert len(figure.axes[0].lines) == count


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dt_net_recall", [1, 2, 4, 8, 16, 64]),
        ("feed_forward_recall", [1, 2, 3]),
        ("narrow_resnet18", [1]),
    ],
)
def test_a_row_of_the_gallery_ends_with_the_networks_last_answer(name, shown):
    torch.manual_seed(0)
    task = load_task("maze")
    options = {} if "resnet" in name else {"width": 8, "iterations": 3}
    model = build_paradigm(name, task.spec, **options).eval()
    session = Session(model, task, torch.device("cpu"))
    row, picture = gallery.thoughts(session, name, 9, 0)
    assert list(row.frames) == shown
    assert picture.shape == (11, 11, 3)
    assert all(frame.shape == (11, 11) for frame in row.frames.values())
    batch = task.sample(9, 1, seed=0, split="test")
    with torch.no_grad():
        right = task.correct(model(batch.inputs, iterations=shown[-1]).float(), batch)[0]
    assert row.correct == right
    figure = gallery.draw([row], picture)
    assert len([axes for axes in figure.axes if axes.images]) == len(shown) + 1


def test_a_string_is_shown_with_its_answer_and_rows_of_bits():
    torch.manual_seed(0)
    task = load_task("prefix_sums")
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=3).eval()
    session = Session(model, task, torch.device("cpu"))
    row, picture = gallery.thoughts(session, "dt_net_recall", 16, 0)
    batch = task.sample(16, 1, seed=0, split="test")
    assert picture.shape == (2, 16, 3)
    assert ((picture[1] == gallery.SURE).all(1) == batch.targets[0].numpy()).all()
    assert all(frame.shape == (16,) for frame in row.frames.values())
    assert gallery.draw([row], picture).axes
