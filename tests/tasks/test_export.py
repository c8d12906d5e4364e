"""Problems as files: what is written reads back equal."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from commands import ROOT
from PIL import Image

from tasks import load_task
from tasks.__main__ import main
from tasks.export import export

CASES = [
    ("maze", 5, {}),
    ("prefix_sums", 16, {}),
    ("digits", 1, {}),
    ("chess", 2, {}),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What the data-set library keeps goes to a folder of the test's own."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def read(folder, split="train"):
    import datasets

    return datasets.load_dataset(str(folder), split=split).with_format("numpy")


@pytest.mark.parametrize(("name", "difficulty", "options"), CASES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_export_reads_back_equal(name, difficulty, options, split, tmp_path):
    task = load_task(name, **options)
    export(task, difficulty, 20, tmp_path / "out", seed=3, split=split)
    found = read(tmp_path / "out", split)
    batch = task.sample(difficulty, 20, seed=3, split=split)
    assert found["index"][:].tolist() == list(range(20))
    for column in ("inputs", "targets", "mask"):
        wanted = getattr(batch, column)
        if wanted is None:
            assert column not in found.column_names
            continue
        values = np.stack([np.asarray(v) for v in found[column]])
        assert values.shape == tuple(wanted.shape)
        assert values.dtype == wanted.numpy().dtype
        assert (values == wanted.numpy()).all()


def test_an_export_longer_than_a_chunk_is_whole(tmp_path):
    task = load_task("prefix_sums")
    export(task, 16, 600, tmp_path / "out")
    found = read(tmp_path / "out")
    batch = task.sample(16, 600)
    assert len(found) == 600
    assert (np.asarray(found[599]["targets"]) == batch.targets[599].numpy()).all()


def test_the_card_says_how_to_make_it_again(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    words = "export maze --difficulty 5 --count 4 --seed 2 --split test --set drawing=published"
    assert main([*words.split(), "--out", str(first)]) == 0
    card = (first / "README.md").read_text()
    line = next(x for x in card.splitlines() if x.startswith("    python -m tasks "))
    again = line.split("python -m tasks ")[1].replace("DIR", str(second))
    assert main(again.split()) == 0
    a, b = read(first, "test"), read(second, "test")
    assert (np.asarray(a["inputs"][:]) == np.asarray(b["inputs"][:])).all()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", "digits", "--count", "2", "--out", str(tmp_path)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(("name", "difficulty", "options"), CASES)
def test_a_preview_is_a_picture_of_the_problems(name, difficulty, options, tmp_path):
    out = tmp_path / "pictures" / f"{name}.png"
    words = ["preview", name, "--difficulty", str(difficulty), "--count", "3", "--out", str(out)]
    assert main(words) == 0
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[0] > 60
    assert pixels.shape[1] >= 420
    # Other problems give another picture.
    assert main([*words, "--seed", "1"]) == 0
    with Image.open(out) as picture:
        other = np.asarray(picture)
    assert pixels.shape == other.shape
    assert (pixels != other).any()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("export", "required"),
        ("export maze", "--out"),
        ("draw maze --out x", "invalid choice"),
        ("export maez --out x", "maze"),
        ("export maze --difficulty 6 --out x", "odd"),
        ("export maze --difficulty 9 --count 0 --out x", "count"),
        ("export digits --count 100000 --out x", "only"),
        ("export maze --set width=3 --out x", "drawing"),
        ("export maze --set drawing --out x", "OPTION=VALUE"),
        ("preview digits --out x.nosuchformat", "extension"),
        ("export maze --split tset --out x", "validation"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(words, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(words.split())
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert reason in said.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_runs_as_a_module(tmp_path):
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-m", "tasks", "preview", "digits", "--out", str(tmp_path / "d.png")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d.png").is_file()


def test_an_answer_is_painted_at_the_scale_of_the_picture():
    from tasks.export import _with_answer

    target = torch.zeros(8, 8, dtype=torch.int64)
    target[2, 5] = 1
    painted = _with_answer(torch.zeros(3, 64, 64), target)
    marked = painted.sum(0) > 0
    assert marked[16:24, 40:48].all()
    assert int(marked.sum()) == 64
