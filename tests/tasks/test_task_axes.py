"""Axes of a task beside difficulty: every axis that a task names draws valid problems that do
differ, and what was drawn before there were any is drawn still."""

from __future__ import annotations

import hashlib
from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import load_task, task_names
from tasks.mixing import Mixture
from tasks.sampling import permute, place_of

SPLITS = ("train", "validation", "test")
MIXING = ("maze", "prefix_sums", "pathfinder")
NAMING = [name for name in MIXING if load_task(name).axes()]
PLACES = [(name, axis) for name in NAMING for axis in load_task(name).axes()]
every_axis = pytest.mark.parametrize(("name", "axis"), PLACES)
MIXABLE = {
    "maze": "plain+loops+rooms+start+offset",
    "prefix_sums": "all",
    "pathfinder": "plain+matched",
}
seeds = st.integers(0, 2**32)
few = settings(max_examples=20)  # each draws several problems, and several axes do it


def on(name: str, axis: str, **more):
    return load_task(name, **load_task(name, **more).axes()[axis])


def hardest(name: str) -> list[int]:
    return {"maze": [9, 13, 21], "prefix_sums": [16, 32, 64], "pathfinder": [4, 6]}[name]


# --- any task ---


def test_axes_are_named_by_tasks_that_say_what_is_plain():
    for name in task_names():
        try:
            axes = load_task(name).axes()
        except FileNotFoundError:
            continue
        assert not axes or next(iter(axes)) == "plain"
        assert all(isinstance(v, (int, float, str)) for o in axes.values() for v in o.values())


@every_axis
def test_an_axis_has_the_spec_of_its_task_and_the_same_axes(name, axis):
    task = on(name, axis)
    assert task.spec == load_task(name).spec
    if axis != "drawing":
        assert task.axes() == load_task(name).axes(), "options of an axis set no other apart"


@every_axis
@few
@given(seed=seeds, split=st.sampled_from(SPLITS), data=st.data())
def test_problems_of_an_axis_depend_on_their_index_alone(name, axis, seed, split, data):
    task = on(name, axis)
    level = data.draw(st.sampled_from(hardest(name)))
    many = task.sample(level, 12, seed=seed, split=split)
    chosen = np.array(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=6)))
    some = on(name, axis).sample(level, seed=seed, split=split, indices=chosen)
    for part, whole in zip(vars(some).values(), vars(many).values(), strict=True):
        assert part is whole is None or torch.equal(part, whole[chosen])
    assert not torch.equal(many.inputs, task.sample(level, 12, seed=seed + 1, split=split).inputs)


@every_axis
def test_an_axis_differs_from_what_is_plain(name, axis):
    plain, there = (on(name, a).sample(hardest(name)[1], 50).inputs for a in ("plain", axis))
    assert (axis == "plain") == torch.equal(plain, there)


@pytest.mark.parametrize("name", MIXING)
@few
@given(seed=seeds, split=st.sampled_from(SPLITS))
def test_a_mixture_is_the_same_problems_of_its_axes_in_equal_shares(name, seed, split):
    task = load_task(name, mix=MIXABLE[name])
    level, axes = hardest(name)[1], Mixture(type(task), task.axes(), MIXABLE[name]).tasks
    mixed = task.sample(level, 60, seed=seed, split=split)
    alone = [axis.sample(level, 60, seed=seed, split=split).inputs for axis in axes]
    same = torch.stack([(mixed.inputs == a).flatten(1).all(1) for a in alone])
    assert same.any(0).all(), "problem i of some axis"
    # A binomial count of 60 at 1 / 4 or 1 / 5 is almost never outside.
    assert all(1 <= int(count) <= 40 for count in same.sum(1))
    chosen = np.array([41, 3, 17])
    some = task.sample(level, seed=seed, split=split, indices=chosen)
    assert torch.equal(some.inputs, mixed.inputs[chosen])
    assert torch.equal(some.targets, mixed.targets[chosen])
    k = task.spec.outputs
    logits = torch.nn.functional.one_hot(mixed.targets, max(k, 2)).float().movedim(-1, 1)
    if k == 1:
        logits = logits[:, 1:] - logits[:, :1]
    assert task.correct(logits, mixed).all()
    assert not task.correct(-logits, mixed).any()


@pytest.mark.parametrize("name", ["maze", "prefix_sums"])
def test_no_problem_is_in_two_splits_on_whatever_axis(name):
    # Where problems are few: a maze of 5 and strings of 16 bits meet often.
    level = 5 if name == "maze" else 16
    fit = [n for n in load_task(name).axes() if n not in ("border", "drawing", "offset")]
    seen: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    for split in SPLITS:
        for axis in fit:
            task = on(name, axis)
            count = min(task.capacity(level, split) or 300, 300)
            for seed in range(5):
                drawn = task.sample(level, count, seed=seed, split=split).inputs
                seen[split] |= {x.numpy().tobytes() for x in drawn}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]


# --- mazes ---


def distances(open_sites: np.ndarray, source: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    """Breadth-first search over 4-connected open sites, which may touch the picture's rim."""
    found, queue = {source: 0}, deque([source])
    while queue:
        r, c = here = queue.popleft()
        for site in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            inside = all(0 <= s < n for s, n in zip(site, open_sites.shape, strict=True))
            if inside and open_sites[site] and site not in found:
                found[site] = found[here] + 1
                queue.append(site)
    return found


def small(batch, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, target and mask of a maze of one-pixel cells, cut to its passages."""
    mask = batch.mask[row].numpy()
    r, c = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    cut = np.s_[r[0] : r[-1] + 1, c[0] : c[-1] + 1]
    return batch.inputs[row].numpy()[:, *cut], batch.targets[row].numpy()[cut], mask[cut]


def ends(picture: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    green = np.argwhere((picture == np.array([0, 1, 0])[:, None, None]).all(0))
    red = np.argwhere((picture == np.array([1, 0, 0])[:, None, None]).all(0))
    assert len(green) == len(red) == 1
    return tuple(green[0]), tuple(red[0])


@pytest.mark.parametrize("axis", [a for n, a in PLACES if n == "maze" and a != "drawing"])
@few
@given(
    size=st.sampled_from([5, 9, 13, 21, 33]),
    seed=seeds,
    split=st.sampled_from(SPLITS),
    index=st.integers(0, 20),
)
def test_the_target_of_every_axis_is_its_only_shortest_path(axis, size, seed, split, index):
    task = on("maze", axis)
    batch = task.sample(size, seed=seed, split=split, indices=[index])
    picture, target, passages = small(batch, 0)
    assert batch.inputs.shape[-1] == task.side(size)
    assert passages.shape == (size, size)
    assert passages[::2, ::2].all(), "every cell is open"
    start, end = ends(picture)
    from_start, from_end = distances(passages, start), distances(passages, end)
    assert len(from_start) == passages.sum(), "everything can be reached"
    length = from_start[end]
    on_path = {s for s in from_start if from_start[s] + from_end[s] == length}
    assert on_path == {tuple(s) for s in np.argwhere(target)}
    assert len(on_path) == length + 1, "one site at each distance"


@few
@given(
    size=st.sampled_from([5, 9, 13]),
    seed=seeds,
    loops=st.sampled_from([0.0, 0.1, 1.0]),
    rooms=st.sampled_from([0.0, 0.3, 1.0]),
    start=st.sampled_from(["carved", "open"]),
)
def test_ties_are_drawn_again_however_many_walls_are_open(size, seed, loops, rooms, start):
    task = load_task("maze", loops=loops, rooms=rooms, ties="redrawn", start=start)
    picture, target, passages = small(task.sample(size, seed=seed, indices=[2]), 0)
    a, b = ends(picture)
    from_a, from_b = distances(passages, a), distances(passages, b)
    on_path = {s for s in from_a if from_a[s] + from_b[s] == from_a[b]}
    assert len(on_path) == from_a[b] + 1
    assert on_path == {tuple(s) for s in np.argwhere(target)}


def test_with_ties_accepted_every_shortest_path_through_a_room_is_right():
    task = load_task("maze", rooms=0.5)
    batch = task.sample(9, 60)
    turned = batch.targets.clone()
    through_posts = 0
    for row in range(60):
        picture, _, passages = small(batch, row)
        a, b = ends(picture)
        to_end = distances(passages, b)
        here, path = a, {a}
        while here != b:
            r, c = here
            near = ((r + 1, c), (r, c + 1), (r - 1, c), (r, c - 1))
            onward = [s for s in near if to_end.get(s, -1) == to_end[here] - 1]
            here = max(onward, key=lambda s: s[0] % 2 + s[1] % 2)  # posts where there is a choice
            path.add(here)
        through_posts += any(r % 2 and c % 2 for r, c in path)
        turned[row] = 0
        for r, c in path:
            turned[row, r + 1, c + 1] = 1
    assert through_posts > 20
    logits = torch.nn.functional.one_hot(turned, 2).float().movedim(-1, 1)
    assert task.correct(logits, batch).all()


def test_each_axis_of_the_maze_is_what_its_name_says():
    size, count = 13, 200
    cells = (size + 1) // 2
    tree = 2 * cells**2 - 1  # cells, and one passage fewer
    drawn = {a: on("maze", a).sample(size, count) for n, a in PLACES if n == "maze"}
    passages = {a: b.mask.flatten(1).sum(1) for a, b in drawn.items()}
    plain = drawn["plain"]
    assert (passages["plain"] == tree).all()
    walls = 2 * cells * (cells - 1) - (cells**2 - 1)
    opened = (passages["loops"] - tree).double().mean() / walls
    assert 0.08 < opened < 0.12, "a tenth of the walls that are left"
    posts = [small(drawn["rooms"], row)[2][1::2, 1::2] for row in range(count)]
    assert 0.08 < np.mean(posts) < 0.12
    for row in range(count):
        where = small(drawn["rooms"], row)[2]
        for r, c in 1 + 2 * np.argwhere(posts[row]):
            assert where[r - 1 : r + 2, c - 1 : c + 2].all(), "a room is open all around its post"
    # The same mazes elsewhere.
    for name in ("offset", "border"):
        for row in range(0, count, 20):
            for moved, still in zip(small(drawn[name], row), small(plain, row), strict=True):
                assert (moved == still).all()
    rim = drawn["offset"].mask
    touched = torch.stack(
        [rim[:, 0].any(1), rim[:, -1].any(1), rim[:, :, 0].any(1), rim[:, :, -1].any(1)]
    )
    assert (touched.sum(0) == 1).all(), "no wall on one side"
    assert (touched.sum(1) > 25).all(), "every side in turn"
    assert drawn["border"].inputs.shape[-1] == plain.inputs.shape[-1] + 2
    double = plain.inputs.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.equal(drawn["drawing"].inputs, torch.nn.functional.pad(double, (1, 1, 1, 1)))


@few
@given(
    seed=seeds,
    drawing=st.sampled_from(["cells", "published"]),
    border=st.integers(0, 3),
    data=st.data(),
)
def test_frames_move_mazes_and_change_nothing_else(seed, drawing, border, data):
    offset = data.draw(st.integers(0, border + 1))
    frame = load_task("maze", drawing=drawing, border=border, offset=offset)
    for old, new in zip(
        vars(load_task("maze", drawing=drawing).sample(9, 6, seed=seed)).values(),
        vars(frame.sample(9, 6, seed=seed)).values(),
        strict=True,
    ):
        assert old.sum() == new.sum()
    moved = frame.perturb(frame.sample(9, 6, seed=seed), range(6), seed, "end")
    still = load_task("maze", drawing=drawing)
    there = still.perturb(still.sample(9, 6, seed=seed), range(6), seed, "end")
    assert moved.targets.sum() == there.targets.sum(), "and so are those with an end elsewhere"


def test_an_end_can_move_in_mazes_with_rooms():
    task = on("maze", "rooms")
    batch = task.sample(13, 40)
    moved = task.perturb(batch, range(40), 0, "start")
    assert torch.equal(moved.mask, batch.mask)
    logits = torch.nn.functional.one_hot(moved.targets, 2).float().movedim(-1, 1)
    assert task.correct(logits, moved).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rooms": -0.1}, "rooms must be a chance"),
        ({"rooms": True}, "rooms must be a chance"),
        ({"ties": "kept"}, "unknown maze ties 'kept'; known: "),
        ({"border": -1}, "border must be"),
        ({"border": 0.5}, "border must be"),
        ({"offset": 2}, "offset must be"),
        ({"offset": 3, "border": 1}, "offset must be"),
        ({"mix": "loop"}, "unknown axis of maze to mix 'loop'; known: loops"),
        ({"mix": "border"}, "differ in size"),
        ({"mix": 3}, "mix must be names"),
        ({"mix": "all", "loops": 0.2}, "leave out loops"),
    ],
)
def test_axes_of_mazes_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_task("maze", **options)


# --- sums ---


@pytest.mark.parametrize("axis", [a for n, a in PLACES if n == "prefix_sums"])
@few
@given(seed=seeds, split=st.sampled_from(SPLITS), length=st.sampled_from([16, 33, 64, 300]))
def test_sums_are_right_on_every_axis(axis, seed, split, length):
    batch = on("prefix_sums", axis).sample(length, 8, seed=seed, split=split)
    bits = (batch.inputs[:, 0] > 0).long()
    assert torch.equal(batch.inputs[:, 0], bits - 0.5)
    assert torch.equal(batch.targets, bits.cumsum(1) % 2)
    if axis == "zeros":
        assert not bits[:, : length // 2].any()


def test_ones_are_as_many_as_asked():
    for axis, share in (("few_ones", 0.1), ("many_ones", 0.9)):
        bits = on("prefix_sums", axis).sample(512, 100).inputs > 0
        assert abs(bits.double().mean() - share) < 0.01


@few
@given(st.integers(1, 2**48), st.integers(0, 2**63), st.data())
def test_a_place_is_where_the_permutation_came_from(size, key, data):
    position = data.draw(st.integers(0, size - 1))
    key = np.uint64(key)
    value = permute(np.uint64(position), size, key)
    assert 0 <= value < size
    assert place_of(value, size, key) == position


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ones": 0.0}, "ones must be a share from 0.05 to 0.95"),
        ({"ones": "half"}, "ones must be a share"),
        ({"zeros": 0.9}, "zeros must be a share from 0 to 0.75"),
        ({"zeros": True}, "zeros must be a share"),
        ({"mix": "all", "ones": 0.9}, "leave out ones"),
        ({"mix": "border"}, "unknown axis of prefix_sums"),
    ],
)
def test_axes_of_sums_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        load_task("prefix_sums", **options)


def test_strings_too_short_for_an_axis_are_refused():
    with pytest.raises(ValueError, match="8 bits"):
        load_task("prefix_sums", zeros=0.5).sample(12, 1)


# --- what was there before ---


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "19eedbb358a0d85c"),
        ({"drawing": "published"}, "69011be578a7c54c"),
        ({"drawing": "published", "canvas": 32}, "d7ec5269dd30cd4e"),
        ({"loops": 0.3}, "e7f0169f034ca0c7"),
        ({"loops": 0.1, "start": "open"}, "a8a51fb60380b477"),
        ({"start": "dead_end"}, "afd911b4edefc5db"),
        ({"start": "open", "drawing": "published"}, "c97d6411953b4fdb"),
    ],
)
def test_mazes_drawn_before_are_drawn_as_before_bit_for_bit(options, digest):
    task, drawn = load_task("maze", **options), hashlib.sha256()
    for size in (5, 9, 13, 21):
        for split in SPLITS:
            for seed in (0, 3):
                batch = task.sample(size, 20 if size == 5 else 40, seed=seed, split=split)
                numbers = range(len(batch))
                moved = [task.perturb(batch, numbers, seed, name) for name in task.perturbations]
                for part in (part for each in (batch, *moved) for part in vars(each).values()):
                    drawn.update(part.numpy().tobytes())
    assert drawn.hexdigest()[:16] == digest


def test_strings_drawn_before_are_drawn_as_before_bit_for_bit():
    task, drawn = load_task("prefix_sums"), hashlib.sha256()
    for length in (16, 32, 100):
        for split in SPLITS:
            batch = task.sample(length, 50, seed=1, split=split)
            drawn.update(batch.inputs.numpy().tobytes() + batch.targets.numpy().tobytes())
    assert drawn.hexdigest()[:16] == "211439918cabcc09"
