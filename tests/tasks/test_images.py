"""Image tasks: reading, splits, normalisation, augmentation."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import commands
import numpy as np
import pytest
import torch
from PIL import Image

from foundations.records.spec import RunSpec
from tasks import load_task, sources
from tasks.images import Cifar10
from tasks.places import set_data_place

SHARED = commands.SHARED / "data"
SPLITS = ("train", "validation", "test")


def real(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real images in TEST_DATA/data/{name}")
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """What the hub's library keeps goes to a folder of the test's own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def offline(own_cache, monkeypatch):
    monkeypatch.setattr(sources, "reachable", lambda url: False)
    monkeypatch.setattr("tasks.images.reachable", lambda url: False)


def colours(count: int) -> list[np.ndarray]:
    """Distinct pictures of one colour each, as bytes [32, 32, 3]."""
    return [np.full((32, 32, 3), (i, 255 - i, 7 * i % 256), np.uint8) for i in range(count)]


@pytest.fixture
def picture_folder(tmp_path):
    """A folder a class of 40 training and 10 test pictures each, of two classes."""
    root = tmp_path / "pictures"
    for i, pixels in enumerate(colours(100)):
        split = "test" if i % 5 == 0 else "train"
        folder = root / split / ("ant" if i < 50 else "bee")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i:03}.png")
    return root


def raw(task, batch) -> torch.Tensor:
    """The bytes that a batch came from."""
    return (task.picture(batch.inputs) * 255).round().to(torch.uint8)


def everything(task, split: str):
    return task.sample(1, task.capacity(1, split), split=split)


def test_the_digits_are_scikit_learns_each_in_one_split():
    from sklearn.datasets import load_digits

    task = load_task("digits")
    held = [everything(task, split) for split in SPLITS]
    ours = torch.cat([raw(task, b)[:, 0] for b in held])
    labels = torch.cat([b.targets for b in held])
    grey = (ours.double() * 16 / 255).round().numpy()
    mine = sorted((g.tobytes(), int(k)) for g, k in zip(grey, labels, strict=True))
    digits = load_digits()
    theirs = sorted(
        (g.tobytes(), int(k)) for g, k in zip(digits.images, digits.target, strict=True)
    )
    assert mine == theirs


def test_no_digit_is_in_two_splits():
    task = load_task("digits")
    kept = [{x.numpy().tobytes() for x in everything(task, split).inputs} for split in SPLITS]
    assert len(kept[0] | kept[1] | kept[2]) == sum(map(len, kept))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_shuffles_the_same_problems(seed):
    task = load_task("digits")
    count = task.capacity(1, "test")
    plain = task.sample(1, count, seed=5, split="test").inputs.flatten(1)
    other = task.sample(1, count, seed=seed, split="test").inputs.flatten(1)
    assert not torch.equal(plain, other)
    assert sorted(map(tuple, plain.tolist())) == sorted(map(tuple, other.tolist()))


def test_a_problem_depends_on_its_index_alone():
    task = load_task("digits")
    many = task.sample(1, 50, seed=3)
    few = task.sample(1, indices=[41, 7], seed=3)
    assert torch.equal(few.inputs, many.inputs[[41, 7]])
    assert torch.equal(few.targets, many.targets[[41, 7]])


def test_more_images_than_there_are_is_an_error_with_the_number():
    task = load_task("digits")
    held = task.capacity(1, "train")
    with pytest.raises(ValueError, match=f"only {held:,} distinct train"):
        task.sample(1, held + 1)


def test_digits_are_normalised():
    x = everything(load_task("digits"), "train").inputs
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


@pytest.mark.parametrize("augment", ["crop", "flip", "crop+flip"])
def test_an_augmented_image_is_a_shift_and_mirror_of_the_old_one(augment):
    task = Cifar10(augment=augment)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(64, 3, 32, 32, generator=generator)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (Cifar10.mean, Cifar10.std))
    from tasks.base import Batch

    batch = Batch((pixels - mean) / std, torch.arange(64) % 10)
    after = task.augment(batch, torch.Generator().manual_seed(1))
    assert torch.equal(after.targets, batch.targets)
    found = after.inputs * std + mean
    padded = torch.nn.functional.pad(pixels, [4] * 4)
    seen = set()
    for i in range(64):
        matches = [
            (dy, dx, flip)
            for flip in (False, True)
            for dy in range(9)
            for dx in range(9)
            if torch.allclose(
                found[i],
                (padded[i].flip(-1) if flip else padded[i])[:, dy : dy + 32, dx : dx + 32],
                atol=1e-5,
            )
        ]
        assert len(matches) == 1
        seen |= set(matches)
    assert ({s[2] for s in seen} == {False, True}) == ("flip" in augment)
    assert (len({s[:2] for s in seen}) > 20) == ("crop" in augment)


def test_augmentation_is_a_function_of_its_generator():
    task = load_task("digits")
    batch = task.sample(1, 32)
    a, b, c = (task.augment(batch, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a.inputs, b.inputs)
    assert not torch.equal(a.inputs, c.inputs)


def test_no_augmentation_leaves_the_batch_alone():
    task = load_task("digits", augment="none")
    batch = task.sample(1, 4)
    assert task.augment(batch, torch.Generator()) is batch


def test_an_unknown_augmentation_names_the_known_ones():
    with pytest.raises(ValueError, match=r"crop\+flip"):
        load_task("cifar10", augment="corp")


@pytest.mark.parametrize("name", ["cifar10", "svhn", "emnist"])
def test_offline_one_line_says_what_to_download_and_where_to_put_it(
    name, offline, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    task = load_task(name)
    with pytest.raises(ValueError, match="download") as caught:
        task.capacity(1, "train")
    assert isinstance(caught.value, FileNotFoundError)
    message = str(caught.value)
    assert "\n" not in message
    assert "http" in message
    assert "--data-dir" in message


def test_a_folder_without_images_is_named(tmp_path, own_cache):
    with pytest.raises(ValueError, match="neither train"):
        load_task("cifar10", data_dir=str(tmp_path)).capacity(1, "train")
    with pytest.raises(ValueError, match="not a folder"):
        load_task("cifar10", data_dir=str(tmp_path / "none")).capacity(1, "train")


def test_pictures_in_a_folder_a_class_are_read_exactly(picture_folder, own_cache):
    task = load_task("cifar10", data_dir=str(picture_folder))
    test = everything(task, "test")
    got = sorted(
        (tuple(x[:, 0, 0].tolist()), int(k))
        for x, k in zip(raw(task, test), test.targets, strict=True)
    )
    wanted = sorted(
        (tuple(p[0, 0].tolist()), int(i >= 50)) for i, p in enumerate(colours(100)) if i % 5 == 0
    )
    assert got == wanted
    assert task.capacity(1, "train") + task.capacity(1, "validation") == 80


@pytest.mark.parametrize("names", [("img", "label"), ("image", "label"), ("picture", "kind")])
def test_parquet_columns_are_found_by_what_they_hold(names, picture_folder, tmp_path, own_cache):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "tables" / "plain"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        files = sorted((picture_folder / split).rglob("*.png"))
        images = [{"bytes": f.read_bytes(), "path": f.name} for f in files]
        labels = [int(f.parent.name == "bee") for f in files]
        table = pa.table({"note": ["-"] * len(files), names[0]: images, names[1]: labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    a = load_task("cifar10", data_dir=str(tmp_path / "tables"))
    b = load_task("cifar10", data_dir=str(picture_folder))
    x, y = everything(a, "test"), everything(b, "test")

    def contents(batch):
        return sorted(zip(batch.inputs[:, :, 0, 0].tolist(), batch.targets.tolist(), strict=True))

    assert contents(x) == contents(y)


def test_images_of_another_size_are_refused(picture_folder, own_cache):
    with pytest.raises(ValueError, match="pixels"):
        load_task("emnist", data_dir=str(picture_folder)).capacity(1, "train")


def test_the_real_emnist_images_are_all_read_and_balanced(own_cache):
    task = load_task("emnist", data_dir=str(real("emnist_balanced")))
    sizes = [task.capacity(1, split) for split in SPLITS]
    assert sizes[0] + sizes[1] == 16_920
    assert sizes[2] == 2585
    counts = everything(task, "test").targets.bincount()
    assert counts.tolist() == [55] * 47


def test_the_real_cifar10_test_images_are_all_read(own_cache):
    images, labels = Cifar10.read("test", str(real("cifar10")))
    assert images.shape == (10_000, 3, 32, 32)
    assert labels.bincount().tolist() == [1000] * 10
    # The published mean of the training images; those of the test set have nearly the same.
    mean = images.float().mean((0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor(Cifar10.mean), atol=0.005, rtol=0)


def test_a_study_of_pictures_in_a_folder_ends_and_says_how_to_repeat_it(
    picture_folder, offline, tmp_path
):
    from comparisons.cli import main

    options = ["--preset=smoke", "--tasks=cifar10", "--paradigms=resnet_bn", "--set=train.steps=2"]
    options += [f"--data-dir={picture_folder}", "--transfer=cifar10:svhn"]
    options += [f"--set=transfer.data_dir={picture_folder}", f"--out={tmp_path / 'out'}"]
    assert main(options) == 0
    (path,) = (tmp_path / "out" / "runs").glob("*/result.json")
    result = json.loads(path.read_text())
    assert f"--data-dir {picture_folder}" in result["command"]
    assert f"--set transfer.data_dir={picture_folder}" in result["command"]
    assert {row["test_task"] for row in result["rows"]} == {"cifar10", "svhn"}
    assert main([*result["command"].split()[2:], f"--out={tmp_path / 'again'}"]) == 0
    (again,) = (tmp_path / "again" / "runs").glob("*/result.json")
    assert again.parent.name == path.parent.name, "the same run"


def test_a_run_is_the_same_one_wherever_its_data_lie(picture_folder, offline, tmp_path, capsys):
    from comparisons.cli import main

    shutil.copytree(picture_folder, tmp_path / "elsewhere" / "cifar10")
    options = ["--preset=smoke", "--tasks=cifar10", "--paradigms=resnet_bn", "--set=train.steps=2"]
    options.append(f"--out={tmp_path / 'out'}")
    assert main([*options, f"--data-dir={picture_folder}"]) == 0
    capsys.readouterr()
    assert main([*options, f"--data-dir={tmp_path / 'elsewhere'}"]) == 0
    assert "already there: 1 of 1 run" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 1
    (spec,) = (tmp_path / "out" / "runs").glob("*/spec.json")
    assert str(tmp_path) not in spec.read_text(), "a record names no folder of this machine"


def test_what_was_begun_when_runs_were_called_by_where_their_data_lay_goes_on(tmp_path):
    from comparisons.storage.begun import as_begun
    from comparisons.storage.run_folder import RunFolder

    set_data_place("cifar10", tmp_path)
    new, other = RunSpec("cifar10", "resnet_bn", 1, 90), RunSpec("maze", "dt_net", 9, 90)
    older = replace(new, task_options={"data_dir": str(tmp_path)})
    assert as_begun([new, other], tmp_path) == (new, other)
    RunFolder(tmp_path, older).path.mkdir(parents=True)
    assert as_begun([new, other], tmp_path) == (older, other)
    RunFolder(tmp_path, new).path.mkdir()
    assert as_begun([new], tmp_path) == (new,)


def test_several_tasks_that_read_data_need_a_folder_each(picture_folder, capsys):
    from comparisons.cli import main

    assert main(["--tasks=cifar10,svhn", f"--data-dir={picture_folder}", "--dry-run"]) == 2
    assert "has no folder whose name begins with cifar10" in capsys.readouterr().err
