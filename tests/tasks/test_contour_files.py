"""Pathfinder and cluttered ABC of published folders, with labels in lists or in folders' names."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from tasks import load_task

SMALL = {"size": 64, "reduction": "area"}
LAYOUTS = [
    ("pathfinder", "curv", 6, "curv_baseline"),
    ("pathfinder", "curv", 9, "curv_contour_length_9"),
    ("pathfinder", "curv_neg", 14, "curv_contour_length_14"),
    ("cabc", "cabc", "easy", "baseline-"),
    ("cabc", "cabc", "hard", "ix2"),
]
each_layout = pytest.mark.parametrize(("name", "layout", "difficulty", "folder"), LAYOUTS)


def write(name, layout, difficulty, count, out, seed=0, split="test"):
    task = load_task(name, **SMALL)
    return task.layouts[layout](task, difficulty, count, out, seed=seed, split=split)


def read(name, out, **options):
    return load_task(name, data_dir=str(out), **{**SMALL, "test_all": True, **options})


def problems(batch):
    pairs = zip(batch.inputs.numpy(), batch.targets.tolist(), strict=True)
    return sorted((picture.tobytes(), label) for picture, label in pairs)


@each_layout
def test_what_is_written_is_read_again(name, layout, difficulty, folder, tmp_path):
    write(name, layout, difficulty, 30, tmp_path, seed=3)
    assert (tmp_path / folder).is_dir()
    for options in (SMALL, {"size": 150, "reduction": "nearest"}):
        wanted = load_task(name, **options).sample(difficulty, 30, 3, "test")
        again = read(name, tmp_path, **options)
        assert problems(again.sample(difficulty, 30, 1, "test")) == problems(wanted)


@each_layout
def test_published_loaders_read_what_is_written(name, layout, difficulty, folder, tmp_path):
    write(name, layout, difficulty, 12, tmp_path)
    found = []
    if layout == "curv_neg":  # by the folder's name
        for label, end in ((1, ""), (0, "_neg")):
            pictures = (tmp_path / f"{folder}{end}" / "imgs" / "1").glob("sample_*.png")
            found += [(picture, label) for picture in pictures]
        old = np.load(tmp_path / folder / "metadata" / "1.npy")
        assert old.shape[1] == 11
    else:  # by columns of the list
        rows = np.load(tmp_path / folder / "metadata" / "1.npy")
        assert rows.dtype.kind == "U"
        place, label = (1, 3) if layout == "curv" else (2, 4)
        assert rows[:, place].tolist() == [f"sample_{i}.png" for i in range(12)]
        found = [(tmp_path / folder / r[0] / r[place], int(r[label])) for r in rows]
    images, record = load_task(name).draw_with_record(difficulty, np.arange(12), 0, "test")
    wanted = zip(images, record.labels.tolist(), strict=True)
    assert sorted((np.asarray(Image.open(p)).tobytes(), a) for p, a in found) == sorted(
        (image.tobytes(), label) for image, label in wanted
    )


# --- files made by hand as published ---


def picture(path, value, side=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side), value, np.uint8)).save(path)


def lra_release(root):
    """As the Long Range Arena has it: lists are lines of text, one picture is an empty file."""
    folder = root / "curv_baseline"
    for i in range(6):
        picture(folder / "imgs" / "0" / f"sample_{i}.png", 40 * i)
    (folder / "imgs" / "0" / "sample_3.png").write_bytes(b"")
    (folder / "metadata").mkdir()
    lines = [f"imgs/0 sample_{i}.png {i} {i % 2} 1.8 6 2 2 0.5 1 1" for i in range(6)]
    (folder / "metadata" / "0.npy").write_text("\n".join(lines) + "\n")


def test_the_empty_picture_of_a_release_is_left_out_with_a_word(tmp_path):
    lra_release(tmp_path)
    task = read("pathfinder", tmp_path, size=32)
    with pytest.warns(UserWarning, match="left out, empty or not there: .*sample_3.png") as said:
        assert task.capacity(6, "test") == 5
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        batch = task.sample(6, 5, 0, "test")
    values = torch.round((batch.inputs[:, 0, 0, 0] + 0.5) * 255).int().tolist()
    assert sorted(zip(values, batch.targets.tolist(), strict=True)) == [
        (40 * i, i % 2) for i in (0, 1, 2, 4, 5)
    ]


@pytest.mark.parametrize("kind", ["U", "S"])
def test_lists_of_the_public_generators_are_read(kind, tmp_path):
    for k in (1, 2):
        rows = []
        for i in range(3):
            picture(tmp_path / "curv_contour_length_9" / f"imgs/{k}/sample_{i}.png", 10 * k + i)
            rows.append([f"imgs/{k}", f"sample_{i}.png", i, (i + k) % 2, 1.8, 9, 3, 5, 2, 3, 1])
        folder = tmp_path / "curv_contour_length_9" / "metadata"
        folder.mkdir(exist_ok=True)
        words = np.array([[str(word) for word in row] for row in rows]).astype(kind)
        np.save(folder / f"{k}.npy", words)
        np.save(folder / "combined.npy", words)  # what is there again is not read twice
    batch = read("pathfinder", tmp_path, size=32).sample(9, 6, 0, "test")
    values = torch.round((batch.inputs[:, 0, 0, 0] + 0.5) * 255).int().tolist()
    wanted = [(10 * k + i, (i + k) % 2) for k in (1, 2) for i in range(3)]
    assert sorted(zip(values, batch.targets.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("folder", ["ix1-", "ix1"])
def test_a_list_of_letters_is_read(folder, tmp_path):
    there = tmp_path / folder
    rows = []
    for i in range(4):
        picture(there / "imgs" / "1" / f"sample_{i}.png", 50 * i)
        rows.append(["imgs/1", "segs/1", f"sample_{i}.png", str(i), str(i % 2), "3", "7"])
    (there / "metadata").mkdir()
    np.save(there / "metadata" / "1.npy", np.array(rows))
    batch = read("cabc", tmp_path, size=32).sample("intermediate", 4, 0, "test")
    values = torch.round((batch.inputs[:, 0, 0, 0] + 0.5) * 255).int().tolist()
    assert sorted(zip(values, batch.targets.tolist(), strict=True)) == [
        (50 * i, i % 2) for i in range(4)
    ]


def test_with_a_negative_folder_beside_it_the_folder_is_the_label(tmp_path):
    for end, label in (("", 1), ("_neg", 0)):
        for i in range(3):
            picture(
                tmp_path / f"curv_baseline{end}" / "imgs" / "7" / f"sample_{i}.png", 100 * label
            )
    batch = read("pathfinder", tmp_path, size=32).sample(6, 6, 0, "test")
    assert torch.equal((batch.inputs[:, 0, 0, 0] > -0.5).long(), batch.targets)
    assert batch.targets.sum() == 3


def test_splits_share_no_picture_and_seeds_shuffle(tmp_path):
    write("pathfinder", "curv", 4, 60, tmp_path)
    task = read("pathfinder", tmp_path, test_all=False)
    held = {split: task.capacity(4, split) for split in ("train", "validation", "test")}
    assert sum(held.values()) == 60
    seen = [set(problems(task.sample(4, n, 0, split))) for split, n in held.items()]
    assert len(set.union(*seen)) == 60
    one, other = (task.sample(4, held["train"], seed) for seed in (0, 1))
    assert problems(one) == problems(other)
    assert not torch.equal(one.inputs, other.inputs)


# --- what makes no sense ---


def listed(root, text="imgs/0 sample_0.png 0 1", content=None):
    folder = root / "curv_baseline"
    picture(folder / "imgs" / "0" / "sample_0.png", 9)
    (folder / "metadata").mkdir()
    (folder / "metadata" / "0.npy").write_bytes(text.encode() if content is None else content)
    return folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("imgs/0 sample_0.png 0", "row 1: no label 0 or 1 in column 4"),
        ("imgs/0 sample_0.png 0 1\nimgs/0 sample_0.png 0 2", "row 2: no label 0 or 1"),
        ("", "has no pictures imgs/K"),
        ("../.. secret.png 0 1", "has no pictures imgs/K"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*left out")
def test_broken_lists_are_refused_in_one_line(text, said, tmp_path):
    listed(tmp_path, text)
    with pytest.raises(ValueError, match=said) as caught:
        read("pathfinder", tmp_path, size=32).sample(6, 1, 0, "test")
    assert "\n" not in str(caught.value)


def test_a_broken_picture_is_named(tmp_path):
    folder = listed(tmp_path)
    path = folder / "imgs" / "0" / "sample_0.png"
    task = read("pathfinder", tmp_path, size=32)
    task.sample(6, 1, 0, "test")
    with pytest.raises(ValueError, match="size must be at most 32, the side of"):
        read("pathfinder", tmp_path, size=64).sample(6, 1, 0, "test")
    for content in (b"no picture", path.read_bytes()[:40]):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"can't read a picture from .*sample_0\.png"
        ) as caught:
            task.sample(6, 1, 0, "test")
        assert "\n" not in str(caught.value)


def test_a_wrong_folder_or_option_is_said_with_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match="curv_baseline or curv_contour_length_L with imgs/K"):
        read("pathfinder", tmp_path).sample(6, 1)
    with pytest.raises(ValueError, match="baseline-, ix1- or ix2"):
        read("cabc", tmp_path).sample("easy", 1)
    with pytest.raises(ValueError, match="is not a folder"):
        read("cabc", tmp_path / "none").sample("easy", 1)
    with pytest.raises(ValueError, match="leave out matched, segmentation"):
        read("pathfinder", tmp_path, matched=True, segmentation=True)
    with pytest.raises(ValueError, match="leave out fonts"):
        read("cabc", tmp_path, fonts="sans")
    listed(tmp_path)
    with pytest.raises(ValueError, match="has pathfinder problems of 6, none of 9"):
        read("pathfinder", tmp_path).sample(9, 1)


def test_what_presets_say_of_the_drawing_does_not_get_in_the_way_of_files(tmp_path):
    listed(tmp_path)
    options = load_task("pathfinder").presets["quick"]["options"]
    assert read("pathfinder", tmp_path, **options | {"size": 32}).capacity(6, "test") == 1


def test_only_drawings_are_written_and_nothing_is_written_over(tmp_path):
    write("pathfinder", "curv_neg", 6, 4, tmp_path)
    for layout in ("curv", "curv_neg"):
        with pytest.raises(ValueError, match="exists already"):
            write("pathfinder", layout, 6, 4, tmp_path)
    task = load_task("pathfinder", segmentation=True)
    with pytest.raises(ValueError, match="no segmentation"):
        task.layouts["curv"](task, 9, 4, tmp_path / "dense", seed=0, split="test")
    task = read("pathfinder", tmp_path)
    with pytest.raises(ValueError, match="were not drawn here"):
        task.layouts["curv"](task, 6, 2, tmp_path / "again", seed=0, split="test")
    assert not (tmp_path / "dense").exists()
    assert not (tmp_path / "again").exists()
