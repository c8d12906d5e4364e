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


def test_difficulties_and_splits_are_configurations_that_show_pictures(tmp_path):
    import datasets

    out = tmp_path / "out"
    words = "export maze --difficulty 9,13 --split train,test --count 6,4 --seed 5"
    assert main([*words.split(), "--out", str(out)]) == 0
    assert datasets.get_dataset_config_names(str(out)) == ["size_9", "size_13"]
    task = load_task("maze")
    for config, size in (("size_9", 9), ("size_13", 13)):
        found = datasets.load_dataset(str(out), config)
        assert {split: len(rows) for split, rows in found.items()} == {"train": 6, "test": 4}
        for split, rows in found.items():
            batch = task.sample(size, len(rows), seed=5, split=split)
            inputs = np.stack([np.asarray(x) for x in rows.with_format("numpy")["inputs"]])
            assert (inputs == batch.inputs.numpy()).all()
            for row, picture, target in zip(rows, batch.inputs, batch.targets, strict=True):
                shown, answer = np.asarray(row["image"]), np.asarray(row["answer"])
                scale = shown.shape[0] // (size + 2)
                assert (shown[::scale, ::scale] == 255 * picture.numpy().transpose(1, 2, 0)).all()
                changed = (shown != answer).any(2)[::scale, ::scale]
                assert (changed == target.numpy().astype(bool)).all()
    first = datasets.load_dataset(str(out), split="test")
    assert np.asarray(first[0]["inputs"]).shape == (3, 11, 11), "the first one is the default"
    card = (out / "README.md").read_text()
    again = card.split("    python -m tasks ")[1].splitlines()[0]
    given = "--difficulty 9,13 --count 6,4 --seed 5 --split train,test"
    assert again == f"export maze {given} --out DIR"


@pytest.mark.parametrize(("name", "names"), [("digits", "0123456789"), ("cabc", None)])
def test_one_answer_is_a_class_with_its_word(name, names, tmp_path):
    import datasets

    task = load_task(name)
    export(task, task.spec.train_difficulty, 12, tmp_path / "out")
    found = read(tmp_path / "out")
    kind = found.features["targets"]
    assert isinstance(kind, datasets.ClassLabel)
    assert kind.names == (list(names) if names else list(task.spec.answers))
    assert isinstance(found.features["image"], datasets.Image)
    assert "answer" not in found.features
    targets = task.sample(task.spec.train_difficulty, 12).targets.tolist()
    assert list(found["targets"]) == targets


def test_pictures_can_be_left_out(tmp_path):
    words = "export prefix_sums --difficulty 16 --count 3 --no-pictures"
    assert main([*words.split(), "--out", str(tmp_path / "out")]) == 0
    assert read(tmp_path / "out").column_names == ["index", "inputs", "targets"]
    assert "--no-pictures" in (tmp_path / "out" / "README.md").read_text()


def test_a_difficulty_with_signs_has_a_configuration_too(tmp_path):
    rows = "fen,moves,rating\n6k1/5ppp/8/8/8/8/5PPP/R5K1 b - - 0 1,g8f8 a1a8,1000\n"
    (tmp_path / "puzzles.csv").write_text(rows)
    task = load_task("chess", source=str(tmp_path / "puzzles.csv"), test_all=True)
    (path,) = export(task, "0-100%", 1, tmp_path / "out", split="test")
    assert path.parent.name == "rating_rank_0-100_percent"
    assert len(read(tmp_path / "out", "test")) == 1


def test_a_layout_holds_what_was_asked_for_and_more_can_be_added(tmp_path, capsys):
    words = "export maze --layout easy_to_hard --difficulty 9,11 --split train,test --count 5,3"
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    kinds = {f"maze_data_{split}_{size}" for split in ("train", "test") for size in (9, 11)}
    assert {path.name for path in tmp_path.iterdir()} == kinds
    assert all(kind in capsys.readouterr().out for kind in ["maze_data_test_11"])
    assert main(["export", "maze", "--layout=maze_dataset", "--count=3", f"--out={tmp_path}"]) == 0
    # A folder of files is a task's, on the command line as elsewhere.
    out = tmp_path / "again"
    words = f"export maze --difficulty 11 --split test --count 3 --data-dir {tmp_path} --out {out}"
    assert main(words.split()) == 0
    found = np.stack([np.asarray(x) for x in read(out, "test")["inputs"]])
    wanted = load_task("maze").sample(11, 3, split="test").inputs.numpy()
    assert sorted(x.tobytes() for x in found) == sorted(x.tobytes() for x in wanted)


def test_help_names_every_layout(capsys):
    from tasks import task_class, task_names

    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    for name in task_names():
        for layout in task_class(name).layouts:
            assert layout in said


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
        ("export maze --split train,test --count 3,4,5 --out x", "one for each split"),
        ("export maze --split train,train --out x", "given once"),
        ("export maze --difficulty 9,9 --out x", "given once"),
        ("export maze --count 3,x --out x", "whole number"),
        ("export maze --layout curv --out x", "known: easy_to_hard"),
        ("export digits --layout curv --out x", "unknown layout of digits"),
        ("export maze --layout easy_to_hard --split validation --out x", "train and test"),
        ("export maze --data-dir none --out x", "not a folder"),
        ("export maze --data-dir . --out x", "maze_data_"),
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
    from tasks.pictures import with_answer

    target = torch.zeros(8, 8, dtype=torch.int64)
    target[2, 5] = 1
    painted = with_answer(torch.zeros(3, 64, 64), target)
    marked = painted.sum(0) > 0
    assert marked[16:24, 40:48].all()
    assert int(marked.sum()) == 64
