"""Damaged stores: what is found broken is named, set aside and done again; nothing ends in a
traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import SMALL, comparable, edit, flip, halve
from made_records import page_of
from safetensors.torch import load_file, save_file

from comparisons.cli import main
from comparisons.storage.leases import holds
from comparisons.storage.tensors import (
    Damaged,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
    save_tensors,
)
from foundations.files import DAY, HOST
from foundations.records.spec import RunSpec

ONE = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of one run, done."""
    out = tmp_path_factory.mktemp("finished")
    assert main([*ONE, f"--out={out}"]) == 0
    return out


@pytest.fixture
def copied(finished, tmp_path):
    """A copy to be damaged, and the folder of its run."""
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (run,) = (out / "runs").iterdir()
    return out, run


def edit_rows(**values):
    def change(path: Path) -> None:
        stored = json.loads(path.read_text())
        stored["rows"][0] |= values
        path.write_text(json.dumps(stored))

    return change


def write(text: bytes):
    return lambda path: path.write_bytes(text)


RESULTS = {
    "cut off": halve,
    "empty": write(b""),
    "zeros, as after a power cut": write(bytes(4096)),
    "not text": write(b"\xff\xfe\x00\x80"),
    "another kind": write(b"[1, 2]"),
    "nested": write(b"[" * 100_000),
    "of another run": edit(run_id="other"),
    "without rows": edit(rows=None),
    "rows of another kind": edit(rows=[3]),
    "words for a number": edit_rows(accuracy="high"),
    "a number for words": edit_rows(exit_rule=7),
}


@pytest.mark.parametrize("damage", RESULTS)
def test_a_damaged_result_is_named_set_aside_and_made_again(copied, finished, damage, capsys):
    out, run = copied
    RESULTS[damage](run / "result.json")
    broken = (run / "result.json").read_bytes()
    assert main([*ONE, f"--out={out}"]) == 0
    error = capsys.readouterr().err
    assert "result.json is not a whole result of this run" in error
    assert "the run is repeated" in error
    (kept,) = (out / "set-aside" / run.name).iterdir()
    assert kept.read_bytes() == broken
    assert comparable(out) == comparable(finished)
    assert json.loads((run / "result.json").read_text())["set_aside"]
    assert "set-aside" in page_of(out)


SPECS = {
    "cut off": (halve, "can't be read"),
    "gone": (Path.unlink, "without a spec.json"),
    "of another version": (edit(schema=99), "not of schema"),
    "with a field too many": (edit(colour="red"), "unknown fields"),
    "of other settings": (edit(data_seed=7), "a default has changed"),
    "of a wrong type": (edit(seed="0"), "for seed"),
}


@pytest.mark.parametrize("damage", SPECS)
def test_a_folder_that_is_not_of_this_run_is_set_aside_whole(copied, finished, damage, capsys):
    out, run = copied
    change, words = SPECS[damage]
    change(run / "spec.json")
    had = {p.name for p in run.iterdir() if not holds(p.name)}
    assert main([*ONE, f"--out={out}"]) == 0
    assert words in capsys.readouterr().err
    assert {p.name for p in (out / "set-aside" / run.name).iterdir()} == had
    assert comparable(out) == comparable(finished)


@pytest.mark.parametrize("change", [halve, flip, write(b""), write(b"\x00" * 64), write(b"pickle")])
def test_a_damaged_checkpoint_is_set_aside_and_training_starts_anew(
    copied, finished, change, capsys
):
    out, run = copied
    (run / "result.json").unlink()
    change(run / "checkpoint" / "state.safetensors")
    assert main([*ONE, f"--out={out}"]) == 0
    assert "state.safetensors is damaged" in capsys.readouterr().err
    assert (out / "set-aside" / run.name / "state.safetensors").exists()
    assert comparable(out) == comparable(finished)


def test_what_was_set_aside_before_is_not_overwritten(copied):
    out, run = copied
    for text in (b"first", b"second", b"third"):
        (run / "result.json").write_bytes(text)
        assert main([*ONE, f"--out={out}"]) == 0
    kept = {p.read_bytes() for p in (out / "set-aside" / run.name).iterdir()}
    assert kept == {b"first", b"second", b"third"}


def test_a_metrics_line_cut_short_by_a_kill_is_written_again(copied, finished):
    out, run = copied
    (run / "result.json").unlink()
    (run / "checkpoint" / "state.safetensors").unlink()
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "exam')
    assert main([*ONE, f"--out={out}"]) == 0
    assert comparable(out) == comparable(finished)


def test_what_a_killed_writer_left_is_swept_away(copied):
    out, run = copied
    (run / "result.json").unlink()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [
        run / f".result.json.{HOST}.{dead.pid}-0123abcd.part",
        run / "checkpoint" / ".state.safetensors.123.part",  # as earlier versions named them
    ]
    for path in left:
        path.write_bytes(b"half")
    os.utime(left[1], (time.time() - 2 * DAY,) * 2)
    assert main([*ONE, f"--out={out}"]) == 0
    assert not any(path.exists() for path in left)


def test_foreign_files_are_left_alone_and_named_where_they_would_be_read(copied, capsys):
    out, run = copied
    foreign = {
        out / "notes.txt": b"mine",
        out / "runs" / "readme": b"mine",
        out / "runs" / "other" / "result.json": b'{"a": 1}',
        run / "photo.png": b"mine",
        out / "results.parquet": b"not a table",
        out / "verdicts.json": b"[[",
        out / "study.json": b"",
    }
    (out / "runs" / "other").mkdir()
    for path, data in foreign.items():
        path.write_bytes(data)
    assert main([*ONE, f"--out={out}"]) == 0
    assert "left out of the table: other: " in capsys.readouterr().err
    for path in list(foreign)[:4]:
        assert path.read_bytes() == foreign[path]
    assert "runs/other" in page_of(out)


def test_a_link_out_of_the_results_folder_is_not_followed_when_setting_aside(copied, tmp_path):
    out, run = copied
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    (run / "result.json").unlink()
    (run / "result.json").symlink_to(outside)
    assert main([*ONE, f"--out={out}"]) == 0
    assert outside.read_text() == "{}"
    assert not (run / "result.json").is_symlink()


def test_a_tensor_file_is_read_as_written_or_not_at_all(tmp_path):
    path = tmp_path / "t.safetensors"
    tensors = {"b": torch.randn(3, 4).bfloat16(), "a": torch.tensor(True), "n": torch.zeros(0)}
    save_tensors(path, tensors, {"k": "v"})
    found, metadata = load_tensors(path)
    assert metadata == {"k": "v"}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(Damaged):
            load_tensors(path)
    for place in range(len(whole) - 25, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(Damaged):
            load_tensors(path)
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "none")


def test_weights_of_before_there_were_checksums_are_read(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "old.safetensors")
    assert load_tensors(tmp_path / "old.safetensors")[0]["w"].tolist() == [1, 1]


def test_a_checkpoint_that_does_not_say_how_far_it_is_counts_as_damaged(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"model": {"w": torch.ones(2)}}, {"step": 3})
    assert load_checkpoint(path)[1] == {"step": 3}
    save_tensors(path, {"model/w": torch.ones(2)})
    with pytest.raises(Damaged):
        load_checkpoint(path)


def test_nothing_in_a_results_folder_is_ever_unpickled(copied):
    """Pickles in every place that is read: loading one would leave a mark."""
    out, run = copied
    mark = out / "mark"
    attack = b"cos\nsystem\n(S'touch " + os.fsencode(mark) + b"'\ntR."
    (run / "result.json").unlink()
    for path in run.rglob("*.*"):
        if path.is_file() and path.name != "spec.json":
            path.write_bytes(attack)
    assert main([*ONE, f"--out={out}"]) == 0
    assert not mark.exists()
    names = [
        p.name
        for root in ("comparisons", "reports", "tasks", "paradigms")
        for p in Path(root).rglob("*.pt")
    ]
    assert names == []


@pytest.mark.parametrize(
    "name", ["../../evil", "a/../../b", "x" * 500, "\x00", "con\nfig", "..", "timm:a/b", "é" * 90]
)
def test_run_ids_are_safe_as_file_names(name, tmp_path):
    spec = RunSpec(name, name, 9, 10)
    path = tmp_path / "runs" / spec.run_id
    assert path.resolve().parent == (tmp_path / "runs").resolve()
    path.mkdir(parents=True)
    assert spec.run_id.isascii()
    assert RunSpec(name + "b", name, 9, 10).run_id != spec.run_id


def test_the_weights_of_a_run_are_those_trained(copied, finished):
    """What the checks above compare does tell runs apart."""
    out, run = copied
    other = tuple(a for a in ONE if "train.steps" not in a)
    assert main([*other, "--set=train.steps=7", f"--out={out}"]) == 0
    newest = max((out / "runs").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    assert newest.name != run.name
    a, b = (load_file(p / "model.safetensors") for p in (run, newest))
    assert any(not torch.equal(a[name], b[name]) for name in a)
