"""Mazes of published files: what we write others read, and what they write we read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import load_task
from tasks.base import Batch
from tasks.maze_files import check_mazes, doubled, halved, marked

LAYOUTS = ("easy_to_hard", "maze_dataset")
sizes = st.sampled_from((7, 9, 11, 13, 21))


def problems(batch: Batch) -> list[bytes]:
    """Each problem with its answer and mask, in an order of their own."""
    parts = (batch.inputs, batch.targets, batch.mask)
    return sorted(b"".join(p.numpy().tobytes() for p in one) for one in zip(*parts, strict=True))


def write(task, layout, size, count, out, seed=0, split="test"):
    return task.layouts[layout](task, size, count, out, seed=seed, split=split)


# --- the two drawings ---


@given(size=sizes, seed=st.integers(0, 1000), split=st.sampled_from(("train", "test")))
def test_the_published_drawing_and_one_pixel_cells_are_each_other_s(size, seed, split):
    small = load_task("maze").sample(size, 4, seed, split)
    large = load_task("maze", drawing="published").sample(size, 4, seed, split)
    for name in ("inputs", "targets", "mask"):
        one, other = (getattr(batch, name).numpy() for batch in (small, large))
        assert (doubled(one) == other).all()
        assert (halved(other) == one).all()


@given(
    spot=st.tuples(st.integers(0, 23), st.integers(0, 23)),
    colour=st.integers(0, 2),
)
def test_a_picture_that_is_not_doubled_is_not_halved(spot, colour):
    picture = load_task("maze", drawing="published").sample(9, 1).inputs.numpy()
    picture[0, colour, spot[0], spot[1]] = 1 - picture[0, colour, spot[0], spot[1]]
    with pytest.raises(ValueError, match="not doubled"):
        halved(picture)


# --- round trips ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("drawing", ["cells", "published"])
@given(size=sizes, seed=st.integers(0, 1000), count=st.integers(1, 12))
def test_what_is_written_is_read_again(tmp_path_factory, layout, drawing, size, seed, count):
    out = tmp_path_factory.mktemp("mazes")
    task = load_task("maze", drawing=drawing)
    write(task, layout, size, count, out, seed)
    again = load_task("maze", drawing=drawing, data_dir=str(out))
    assert again.capacity(size, "test") == count
    wanted, found = task.sample(size, count, seed, "test"), again.sample(size, count, 5, "test")
    assert problems(found) == problems(wanted)
    other = load_task("maze", drawing="cells", canvas=32, data_dir=str(out))
    made = load_task("maze", drawing="cells", canvas=32)
    assert problems(other.sample(size, count, 0, "test")) == problems(
        made.sample(size, count, seed, "test")
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [{"loops": 0.2}, {"rooms": 0.1}, {"border": 1}, {"canvas": 32}])
def test_mazes_of_other_kinds_are_written_too(layout, options, tmp_path):
    task = load_task("maze", **options)
    write(task, layout, 11, 20, tmp_path)
    frame = {k: v for k, v in options.items() if k in ("border", "canvas")}
    again = load_task("maze", data_dir=str(tmp_path), **frame)
    wanted, found = task.sample(11, 20, 0, "test"), again.sample(11, 20, 0, "test")
    assert problems(found) == problems(wanted)


def test_more_mazes_than_are_read_at_a_time(tmp_path):
    write(load_task("maze"), "easy_to_hard", 7, 2300, tmp_path)
    again = load_task("maze", data_dir=str(tmp_path))
    wanted = load_task("maze").sample(7, 2300, 0, "test")
    assert problems(again.sample(7, 2300, 0, "test")) == problems(wanted)


def test_splits_are_as_published_and_share_no_maze(tmp_path):
    task = load_task("maze")
    write(task, "easy_to_hard", 9, 400, tmp_path, split="train")
    inputs = np.load(tmp_path / "maze_data_train_9" / "inputs.npy")
    solutions = np.load(tmp_path / "maze_data_train_9" / "solutions.npy")
    there = tmp_path / "maze_data_test_9"
    there.mkdir()
    np.save(there / "inputs.npy", inputs[:30])  # a published test file may repeat training mazes
    np.save(there / "solutions.npy", solutions[:30])
    again = load_task("maze", data_dir=str(tmp_path))
    held = {s: again.capacity(9, s) for s in ("train", "validation", "test")}
    assert held["test"] == 30
    assert held["train"] + held["validation"] <= 370
    seen = {s: set(problems(again.sample(9, n, 0, s))) for s, n in held.items()}
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & (seen["test"] | seen["train"])
    assert len(seen["validation"]) > 10


def test_any_shortest_path_of_a_maze_with_loops_is_right(tmp_path):
    task = load_task("maze", loops=0.5)
    write(task, "easy_to_hard", 9, 60, tmp_path)
    again = load_task("maze", data_dir=str(tmp_path))
    batch = again.sample(9, 60, 0, "test")
    # Turned over a diagonal, the task's own answers to the turned mazes differ at times.
    turned = Batch(*(p.transpose(-1, -2) for p in (batch.inputs, batch.targets, batch.mask)))
    logits = torch.nn.functional.one_hot(turned.targets, 2).movedim(-1, 1).float()
    assert again.correct(logits, turned).all()
    assert not again.correct(-logits, turned).any()


@pytest.mark.parametrize("name", ["start", "end"])
def test_an_end_point_of_a_published_maze_can_be_moved(name, tmp_path):
    write(load_task("maze"), "easy_to_hard", 9, 20, tmp_path)
    again = load_task("maze", drawing="published", data_dir=str(tmp_path))
    batch = again.sample(9, 20, 0, "test")
    after = again.perturb(batch, range(20), 0, name)
    bits = marked(halved(after.inputs.numpy()), halved(after.targets.numpy()))
    check_mazes(bits, "moved")
    assert torch.equal(after.mask, batch.mask)
    assert (after.inputs != batch.inputs).flatten(1).any(1).all()


# --- what the published loaders do with what we write, and what they are made of ---


def test_the_published_loader_reads_what_is_written(tmp_path):
    task = load_task("maze", drawing="published")
    write(task, "easy_to_hard", 9, 25, tmp_path, seed=4)
    # As easy_to_hard_data.MazeDataset does.
    inputs, targets = (
        torch.from_numpy(np.load(tmp_path / "maze_data_test_9" / name))
        for name in ("inputs.npy", "solutions.npy")
    )
    inputs, targets = inputs.float(), targets.long()
    wanted = task.sample(9, 25, 4, "test")
    assert inputs.shape == (25, 3, 24, 24)
    assert torch.equal(inputs, wanted.inputs)
    assert torch.equal(targets, wanted.targets)


# Three cells a side, s and e the ends, * their path.
DRAWN = """
#######
#s**..#
###*#.#
#..*#.#
#.#*###
#.#**e#
#######
"""


def by_hand() -> tuple[np.ndarray, np.ndarray]:
    """[7, 7, 3] and [7, 7] of the drawing, in zeros and ones."""
    rows = np.array([list(line) for line in DRAWN.split()])
    colours = {"#": (0, 0, 0), "s": (0, 1, 0), "e": (1, 0, 0)}
    inputs = np.array([[colours.get(c, (1, 1, 1)) for c in row] for row in rows], float)
    return inputs, np.isin(rows, ["s", "e", "*"]).astype(float)


def twice(picture: np.ndarray) -> np.ndarray:
    """As the published script draws it: four copies, moved by one pixel, in a larger picture."""
    side = picture.shape[0]
    large = np.zeros((2 * side + 2, 2 * side + 2, *picture.shape[2:]))
    for down in (1, 2):
        for right in (1, 2):
            large[down : down + 2 * side : 2, right : right + 2 * side : 2] = picture
    return large


def check_hand_made(task):
    inputs, path = by_hand()
    batch = task.sample(5, 1, 0, "test")
    assert (batch.inputs[0].numpy() == inputs.transpose(2, 0, 1)).all()
    assert (batch.targets[0].numpy() == path).all()
    assert (batch.mask[0].numpy() == inputs.any(2)).all()


def test_a_file_made_by_hand_as_the_published_script_makes_it_is_read(tmp_path):
    inputs, path = by_hand()
    folder = tmp_path / "maze_data_test_5"
    folder.mkdir()
    np.save(folder / "inputs.npy", twice(inputs).transpose(2, 0, 1)[None])
    np.save(folder / "solutions.npy", twice(path)[None])
    assert np.load(folder / "inputs.npy").dtype == np.float64
    check_hand_made(load_task("maze", data_dir=str(tmp_path)))


@pytest.mark.parametrize("ends_open", [True, False])
@pytest.mark.parametrize("extended", [True, False])
def test_pixel_grids_made_by_hand_are_read(ends_open, extended, tmp_path):
    inputs, path = by_hand()
    ends = inputs.sum(2) == 1
    shown = (255 * inputs).astype(np.uint8)
    shown[(path > 0) & ~ends] = (0, 0, 255)
    np.save(tmp_path / "pixels_test_3x3.npy", shown[None])
    check_hand_made(load_task("maze", data_dir=str(tmp_path)))
    # Problem and answer apart, as RasterizedMazeDataset has them.
    answer = np.repeat(path[..., None], 3, 2)
    if not ends_open:
        answer[ends] = inputs[ends]
    both = [twice(p) if extended else p for p in (inputs, answer)]
    other = tmp_path / "rasterized"
    other.mkdir()
    np.save(other / "pixels_test_3x3.npy", (255 * np.array(both)).astype(np.uint8)[:, None])
    check_hand_made(load_task("maze", data_dir=str(other)))


def test_what_is_written_is_a_solved_maze_to_maze_dataset(tmp_path):
    write(load_task("maze"), "maze_dataset", 9, 10, tmp_path)
    grids = np.load(tmp_path / "pixels_test_5x5.npy")
    assert grids.dtype == np.uint8
    assert grids.shape == (10, 11, 11, 3)
    colours = {tuple(c) for c in grids.reshape(-1, 3).tolist()}
    assert colours <= {(0, 0, 0), (255, 255, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255)}
    maze = pytest.importorskip("maze_dataset.maze")
    for grid in grids:
        assert (maze.SolvedMaze.from_pixels(grid).as_pixels() == grid).all()


# --- what makes no sense ---


def saved(folder, inputs, solutions, size=9):
    there = folder / f"maze_data_test_{size}"
    there.mkdir(exist_ok=True)
    np.save(there / "inputs.npy", inputs)
    np.save(there / "solutions.npy", solutions)
    return load_task("maze", data_dir=str(folder))


def spoilt(how: str) -> tuple[np.ndarray, np.ndarray]:
    """Five mazes of size 9, the fourth of which is spoilt."""
    batch = load_task("maze").sample(9, 5, 0, "test")
    inputs, solutions = batch.inputs.numpy().copy(), batch.targets.numpy().copy()
    on = np.argwhere(solutions[3] > 0)
    plain = [p for p in on.tolist() if inputs[3, :, p[0], p[1]].all()]
    if how == "path":
        solutions[3][tuple(plain[0])] = 0
    elif how == "wall":
        solutions[3, 0, 0] = 1
    elif how == "ends":
        inputs[3, :, plain[0][0], plain[0][1]] = (0, 1, 0)
    elif how == "colour":
        inputs[3, :, plain[0][0], plain[0][1]] = (0, 0, 1)
    elif how == "edge":
        inputs[3, :, 0, 1] = 1
    elif how == "cell":
        off = np.argwhere((solutions[3] == 0) & inputs[3].any(0))
        r, c = next(p for p in off.tolist() if p[0] % 2 and p[1] % 2)
        inputs[3, :, r, c] = 0
    elif how == "pieces":
        cut = next(p for p in plain if not (p[0] % 2 and p[1] % 2))
        inputs[3, :, cut[0], cut[1]], solutions[3, cut[0], cut[1]] = 0, 0
    return inputs, solutions


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("path", "maze 3 has an answer that is not a shortest path"),
        ("wall", "maze 3 is open at its edge"),
        ("ends", "maze 3 has not one start and one end"),
        ("colour", "a colour that is not white, black, green"),
        ("edge", "maze 3 is open at its edge"),
        ("cell", "maze 3 has a cell that is a wall"),
        ("pieces", "maze 3 is not in one piece"),
    ],
)
def test_a_maze_that_is_none_is_named(how, said, tmp_path):
    task = saved(tmp_path, *spoilt(how))
    with pytest.raises(ValueError, match=said) as caught:
        task.sample(9, 5, 0, "test")
    assert "maze_data_test_9" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_files_are_refused_in_one_line(tmp_path):
    inputs, solutions = spoilt("")
    task = saved(tmp_path, inputs, solutions)
    assert task.sample(9, 5, 0, "test").inputs.shape == (5, 3, 11, 11)
    for number, (name, content, said) in enumerate(
        [
            ("inputs.npy", b"", "inputs.npy: it is empty"),
            ("solutions.npy", b"no array", "can't read an array from"),
            ("solutions.npy", None, "can't read an array from"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        task = saved(folder, inputs, solutions)
        path = folder / "maze_data_test_9" / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=said) as caught:
            task.sample(9, 1, 0, "test")
        assert "\n" not in str(caught.value)


def test_a_pickle_in_an_array_is_not_opened(tmp_path):
    there = tmp_path / "maze_data_test_9"
    there.mkdir()
    np.save(there / "inputs.npy", np.array([{"a": 1}], dtype=object))
    np.save(there / "solutions.npy", np.zeros((1, 11, 11)))
    with pytest.raises(ValueError, match="can't read an array"):
        load_task("maze", data_dir=str(tmp_path)).sample(9, 1, 0, "test")


def test_wrong_shapes_and_sizes_are_said(tmp_path):
    inputs, solutions = spoilt("")
    with pytest.raises(ValueError, match=r"must hold inputs.npy \[n, 3, h, h\]"):
        saved(tmp_path, inputs[:, :2], solutions).sample(9, 1, 0, "test")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ValueError, match="holds mazes of size 9, not 13"):
        saved(other, inputs, solutions, size=13).sample(13, 1, 0, "test")
    np.save(tmp_path / "pixels_test_4x4.npy", np.zeros((3, 9, 9, 3)))
    with pytest.raises(ValueError, match="must hold pixel grids, uint8"):
        load_task("maze", data_dir=str(tmp_path)).sample(7, 1, 0, "test")


def test_a_wrong_folder_is_said_with_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        load_task("maze", data_dir=str(tmp_path / "none")).sample(9, 1)
    with pytest.raises(ValueError, match=r"maze_data_\{train,test\}_SIZE .* pixels_"):
        load_task("maze", data_dir=str(tmp_path)).sample(9, 1)
    write(load_task("maze"), "easy_to_hard", 9, 3, tmp_path)
    task = load_task("maze", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="has maze problems of 9, none of 11"):
        task.sample(11, 1, 0, "test")
    with pytest.raises(ValueError, match="has only 0 distinct train problems"):
        task.sample(9, 1, 0, "train")
    assert task.example(9).inputs.shape == (1, 3, 11, 11)
    with pytest.raises(ValueError, match="has only 3 distinct test problems"):
        task.sample(9, 4, 0, "test")


def test_options_that_say_how_to_make_mazes_do_not_go_with_files(tmp_path):
    with pytest.raises(ValueError, match="leave out loops, ties"):
        load_task("maze", data_dir=str(tmp_path), loops=0.1, ties="redrawn")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_written_over_and_only_what_the_layout_has(layout, tmp_path):
    task = load_task("maze")
    write(task, layout, 9, 3, tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        write(task, layout, 9, 4, tmp_path)
    with pytest.raises(ValueError, match="splits train and test, not 'validation'"):
        write(task, layout, 9, 3, tmp_path, split="validation")
    moved = load_task("maze", offset=1)
    with pytest.raises(ValueError, match="these options: maze"):
        write(moved, layout, 11, 3, tmp_path)
    assert not [path for path in tmp_path.iterdir() if "11" in path.name or "6x6" in path.name]
