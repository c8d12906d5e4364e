"""Properties of the maze generator, against oracles that share no code with it."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import load_task

SIZES = st.sampled_from([5, 7, 9, 11, 13, 21, 33])
SPLITS = st.sampled_from(["train", "validation", "test"])


def one(size: int, seed: int, index: int, split: str = "train", **options):
    batch = load_task("maze", **options).sample(size, seed=seed, split=split, indices=[index])
    return batch.inputs[0].numpy(), batch.targets[0].numpy(), batch.mask[0].numpy()


def distances(open_sites: np.ndarray, source: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Breadth-first search over 4-connected open sites."""
    found = {source: 0}
    queue = deque([source])
    while queue:
        r, c = queue.popleft()
        for site in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            if open_sites[site] and site not in found:
                found[site] = found[(r, c)] + 1
                queue.append(site)
    return found


def ends(picture: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """(start, end): the pure green and the pure red pixel."""
    green = np.argwhere((picture == np.array([0, 1, 0])[:, None, None]).all(0))
    red = np.argwhere((picture == np.array([1, 0, 0])[:, None, None]).all(0))
    assert len(green) == len(red) == 1
    return tuple(green[0]), tuple(red[0])


@given(SIZES, st.integers(0, 2**40), st.integers(0, 2**40), SPLITS)
def test_a_maze_is_a_spanning_tree_of_its_cells(size, seed, index, split):
    index %= 50 if size == 5 else 2**40 if size > 7 else 5000
    _, _, passages = one(size, seed, index, split)
    cells = (size + 1) // 2
    assert passages.shape == (2 * cells + 1, 2 * cells + 1)
    assert passages[1::2, 1::2].all(), "every cell is open"
    assert not passages[::2, ::2].any(), "no lattice corner is open"
    assert passages.sum() == 2 * cells**2 - 1, "cells, and one passage fewer than cells"
    start = tuple(np.argwhere(passages)[0])
    assert len(distances(passages, start)) == passages.sum(), "everything can be reached"


@given(SIZES, st.integers(0, 2**40), st.integers(0, 2**40))
def test_the_answer_is_the_unique_shortest_path_and_4_connected(size, seed, index):
    index %= 500
    picture, target, passages = one(size, seed, index)
    start, end = ends(picture)
    from_start, from_end = distances(passages, start), distances(passages, end)
    length = from_start[end]
    # A site lies on a shortest path if it is as far from both ends together as they are apart.
    on_path = {s for s in from_start if from_start[s] + from_end[s] == length}
    assert on_path == {tuple(s) for s in np.argwhere(target)}
    # Unique: one site at each distance, so no two shortest paths differ.
    assert len(on_path) == length + 1


@given(SIZES, st.integers(0, 2**32))
def test_pictures_hold_walls_passages_and_two_end_points_only(size, seed):
    picture, _, passages = one(size, seed, 3)
    start, end = ends(picture)
    assert start != end
    white = (picture == 1).all(0)
    black = (picture == 0).all(0)
    assert (black == ~passages).all()
    assert white.sum() == passages.sum() - 2


@pytest.mark.parametrize(("size", "side"), [(9, 24), (11, 28), (13, 32), (59, 124)])
def test_the_published_drawing_has_the_published_side_and_the_same_maze(size, side):
    small = one(size, 1, 2)
    large = one(size, 1, 2, drawing="published")
    assert large[0].shape == (3, side, side)
    for a, b in zip(small, large, strict=True):
        inner = b[..., 1:-1, 1:-1]
        assert (inner == np.repeat(np.repeat(a, 2, -2), 2, -1)).all()
        assert b.sum() == inner.sum(), "the padding is black and does not count"


def test_a_canvas_pads_with_walls_that_do_not_count():
    picture, target, passages = one(9, 0, 0, drawing="published", canvas=32)
    assert picture.shape == (3, 32, 32)
    assert passages.sum() == one(9, 0, 0, drawing="published")[2].sum()
    assert not (target.astype(bool) & ~passages).any()


def keys(batch) -> set[bytes]:
    return {x.numpy().tobytes() for x in batch.inputs.to(torch.uint8)}


@pytest.mark.parametrize("size", [5, 7])
def test_splits_share_no_maze_whatever_the_seed(size):
    task = load_task("maze")
    sets = {
        s: set().union(*(keys(task.sample(size, 80, seed=seed, split=s)) for seed in range(40)))
        for s in ("train", "validation", "test")
    }
    assert not sets["train"] & sets["test"]
    assert not sets["train"] & sets["validation"]
    assert not sets["validation"] & sets["test"]


def test_small_sizes_hold_as_many_problems_as_drawing_finds():
    task = load_task("maze")
    for split in ("validation", "test"):
        held = task.capacity(5, split)
        found = set()
        for seed in range(200):
            found |= keys(task.sample(5, held, seed=seed, split=split))
        assert len(found) == held


def test_asking_for_more_mazes_than_exist_says_how_many_there_are():
    task = load_task("maze")
    held = task.capacity(5, "train")
    with pytest.raises(ValueError, match=f"only {held} distinct train problems"):
        task.sample(5, held + 1)


def test_few_mazes_repeat_inside_a_training_set():
    sample = load_task("maze").sample(9, 50_000)
    assert len(keys(sample)) > 0.995 * 50_000


def test_end_points_are_spread_evenly_over_the_cells():
    pictures = load_task("maze").sample(9, 20_000).inputs
    expected = 20_000 / 25
    for channel in (0, 1):  # red alone, green alone
        alone = (pictures[:, channel] == 1) & (pictures.sum(1) == 1)
        counts = alone.sum(0)[1::2, 1::2].double()
        assert counts.sum() == 20_000
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 60, "24 degrees of freedom: 51 is passed once in a thousand"


@pytest.mark.parametrize("size", [8, 3, 10, -9, 0, 9.0, "9", True, 10**9])
def test_sizes_that_make_no_sense_are_refused(size):
    with pytest.raises(ValueError, match="odd integer from 5"):
        load_task("maze").sample(size, 1)


def test_a_large_maze_can_be_drawn():
    _, target, passages = one(801, 0, 0)
    assert passages.shape == (803, 803)
    assert target.sum() > 401
