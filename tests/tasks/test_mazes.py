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


# --- loops and starts
# --------------------------------------------------------------------------------

LOOPY = {"loops": 0.3}


@given(SIZES, st.integers(0, 2**32), st.sampled_from([0.05, 0.3, 1.0]), SPLITS)
def test_with_loops_the_target_is_a_shortest_path(size, seed, chance, split):
    picture, target, passages = one(size, seed, 7, split, loops=chance)
    start, end = ends(picture)
    from_start, from_end = distances(passages, start), distances(passages, end)
    assert len(from_start) == passages.sum(), "everything can be reached"
    length = from_start[end]
    path = {tuple(s) for s in np.argwhere(target)}
    assert len(path) == length + 1
    assert all(from_start[s] + from_end[s] == length for s in path)
    assert {from_start[s] for s in path} == set(range(length + 1)), "one site at each distance"


def test_walls_are_opened_about_as_often_as_asked():
    cells = 17
    walls = 2 * cells * (cells - 1) - (cells**2 - 1)  # left by the tree
    passages = load_task("maze", loops=0.2).sample(33, 400).mask
    opened = passages.flatten(1).sum(1).double() - (2 * cells**2 - 1)
    share = (opened / walls).mean().item()
    assert abs(share - 0.2) < 4 * (0.16 / (400 * walls)) ** 0.5
    everything = load_task("maze", loops=1.0).sample(9, 2).mask[0, 1:-1, 1:-1]
    assert everything[::2].all()
    assert everything[:, ::2].all()


def test_without_loops_a_maze_is_what_it_always_was():
    plain, asked = (load_task("maze", **o).sample(13, 20) for o in ({}, {"loops": 0.0}))
    assert torch.equal(plain.inputs, asked.inputs)


def logits_of(answer: torch.Tensor) -> torch.Tensor:
    return (
        torch.stack([-answer.float(), answer.float()], 1)
        - 0.5 * torch.tensor([0.0, 1.0])[None, :, None, None]
    )


def walked(passages, start, end, rng) -> np.ndarray:
    """A random shortest path."""
    to_end = distances(passages, end)
    path, here = np.zeros(passages.shape, np.int64), start
    path[here] = 1
    while here != end:
        r, c = here
        sites = ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1))
        here = tuple(rng.choice([s for s in sites if to_end.get(s, -1) == to_end[here] - 1]))
        path[here] = 1
    return path


@pytest.mark.parametrize("drawing", ["cells", "published"])
@given(seed=st.integers(0, 2**32))
def test_every_shortest_path_is_right_and_nothing_else_is(drawing, seed):
    rng = np.random.default_rng(seed)
    small, task = load_task("maze", **LOOPY), load_task("maze", drawing=drawing, **LOOPY)
    batch = small.sample(13, 8, seed=seed)
    paths = [
        walked(m.numpy(), *ends(x.numpy()), rng)
        for x, m in zip(batch.inputs, batch.mask, strict=True)
    ]
    answers = torch.from_numpy(np.stack(paths))
    wrong = answers.clone()
    for i in range(len(wrong)):
        # One pixel more, or one less, or a piece moved elsewhere.
        sites = np.argwhere(batch.mask[i].numpy() & (paths[i] == i % 2))
        wrong[(i, *rng.choice(sites))] = 1 - i % 2
    drawn = task.sample(13, 8, seed=seed)

    def enlarged(answer):
        if drawing == "cells":
            return answer
        double = answer.repeat_interleave(2, 1).repeat_interleave(2, 2)
        return torch.nn.functional.pad(double, (1, 1, 1, 1))

    assert task.correct(logits_of(enlarged(answers)), drawn).all()
    assert not task.correct(logits_of(enlarged(wrong)), drawn).any()
    if drawing == "published":
        torn = enlarged(answers)
        for i in range(len(torn)):
            site = rng.choice(np.argwhere((torn[i] == 0).numpy() & drawn.mask[i].numpy()))
            torn[(i, *site)] = 1
        assert not task.correct(logits_of(torn), drawn).any()


def test_ties_are_met_so_that_accepting_them_matters():
    batch = load_task("maze", loops=0.5).sample(13, 100)
    tied = 0
    for x, m in zip(batch.inputs.numpy(), batch.mask.numpy(), strict=True):
        start, end = ends(x)
        a, b = distances(m, start), distances(m, end)
        tied += sum(a[s] + b[s] == a[end] for s in a) > a[end] + 1
    assert tied > 20


@given(SIZES, st.integers(0, 2**32), st.sampled_from([0.0, 0.2]))
def test_starts_are_dead_ends_or_open_as_asked(size, seed, loops):
    for kind in ("dead_end", "open"):
        picture, _, passages = one(size, seed, 1, start=kind, loops=loops)
        r, c = ends(picture)[0]
        ways = int(passages[[r - 1, r + 1, r, r], [c, c, c - 1, c + 1]].sum())
        assert (ways == 1) == (kind == "dead_end")


@given(SIZES, st.integers(0, 2**32))
def test_carving_always_begins_at_a_dead_end(size, seed):
    picture, _, passages = one(size, seed, 1)
    r, c = ends(picture)[0]
    assert passages[[r - 1, r + 1, r, r], [c, c, c - 1, c + 1]].sum() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loops": 1.5}, "chance from 0 to 1"),
        ({"loops": True}, "chance from 0 to 1"),
        ({"loops": "many"}, "chance from 0 to 1"),
        ({"start": "corner"}, "unknown maze start 'corner'; known: "),
    ],
)
def test_loops_and_starts_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_task("maze", **options)
