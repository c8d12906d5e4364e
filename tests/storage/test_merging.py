"""Archives of results: nothing in them is trusted, nothing finished is replaced, and what was
merged goes on and makes a page."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import ONE, edit, flip

from comparisons.cli import main as compare
from comparisons.storage import archives
from comparisons.storage.archives import ArchiveError, pack, unpack
from comparisons.storage.merging import main, merge
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import save_checkpoint
from foundations.records.reading import read_spec
from reports import build_report


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A results folder with one finished run."""
    out = tmp_path_factory.mktemp("finished")
    assert compare([*ONE, "--workers=1", f"--out={out}"]) == 0
    return out


@pytest.fixture
def run(finished):
    (path,) = (finished / "runs").iterdir()
    return RunFolder(finished, read_spec(path))


def unfinished(out: Path, run: RunFolder, step: int, seed: int | None = None) -> RunFolder:
    """The same run (or one of another seed), so many steps on its way."""
    spec = run.spec if seed is None else replace(run.spec, seed=seed)
    folder = RunFolder(out, spec)
    folder.open()
    parts = {"model": {"w": torch.full((3,), float(step))}}
    save_checkpoint(folder.checkpoint_path, parts, {"step": step})
    return folder


def archive(path: Path, out: Path, finished=(), unfinished=(), **more) -> Path:
    assert pack(out, path, finished, unfinished, **more) == []
    return path


def test_a_finished_run_is_merged_and_makes_the_same_page(finished, run, tmp_path):
    came = archive(tmp_path / "a.zip", finished, [run])
    names = zipfile.ZipFile(came).namelist()
    assert f"runs/{run.path.name}/result.json" in names
    assert not any("checkpoint" in name or "claim" in name for name in names)
    out = tmp_path / "out"
    merged = merge([came], out)
    assert (merged.finished, merged.unfinished, merged.there) == ([run.path.name], [], [])
    for name in ("spec.json", "result.json", "made.json", "metrics.jsonl", "model.safetensors"):
        assert (out / "runs" / run.path.name / name).read_bytes() == (run.path / name).read_bytes()
    assert (out / "results.csv").read_text() == (finished / "results.csv").read_text()
    assert build_report(out).exists()
    assert not list(out.glob(".merging-*"))
    # The command that made it has nothing left to do.
    assert compare([*ONE, "--workers=1", f"--out={out}"]) == 0
    assert RunFolder(out, run.spec).result() == run.result()


def packed(capsys, *arguments) -> tuple[int, str]:
    """Exit status of `python -m comparisons pack`, and what it said."""
    status = archives.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return status, said.err if status else said.out


def test_a_folder_is_packed_by_a_command_with_what_is_unfinished(finished, run, tmp_path, capsys):
    both = tmp_path / "both"
    shutil.copytree(finished, both)
    begun = unfinished(both, run, 5, seed=7)
    status, said = packed(capsys, both, tmp_path / "all.zip")
    assert status == 0
    assert "1 finished and 1 unfinished runs" in said
    assert "merge all.zip --out FOLDER" in said
    merged = merge([tmp_path / "all.zip"], tmp_path / "out")
    assert (merged.finished, merged.unfinished) == ([run.path.name], [begun.path.name])
    assert RunFolder(tmp_path / "out", begun.spec).checkpoint(mine=False)[1]["step"] == 5


def test_records_alone_are_small_and_enough_to_find_a_run_done(finished, run, tmp_path, capsys):
    status, said = packed(capsys, finished, tmp_path / "records.zip", "--records")
    assert status == 0
    assert "1 finished and 0 unfinished" in said
    assert (tmp_path / "records.zip").stat().st_size < 50_000
    out = tmp_path / "out"
    merge([tmp_path / "records.zip"], out)
    assert {path.name for path in RunFolder(out, run.spec).path.iterdir()} >= {*archives.RECORDS}
    assert not RunFolder(out, run.spec).model_path.exists()
    written = (out / "runs" / run.path.name / "result.json").stat().st_mtime_ns
    assert compare([*ONE, "--workers=1", f"--out={out}"]) == 0
    assert (out / "runs" / run.path.name / "result.json").stat().st_mtime_ns == written


def test_packing_what_is_no_results_folder_is_one_line(finished, tmp_path, capsys):
    status, said = packed(capsys, tmp_path / "nowhere", tmp_path / "a.zip")
    assert (status, said.count("\n")) == (2, 1)
    assert "nowhere holds no runs" in said
    status, said = packed(capsys, finished, tmp_path / "not" / "there" / "a.zip")
    assert (status, said.count("\n")) == (2, 1)
    assert "not" in said
    assert not list(tmp_path.glob("*.zip"))


def test_the_same_run_finished_on_both_sides_is_kept_once(finished, run, tmp_path):
    came = archive(tmp_path / "a.zip", finished, [run])
    out = tmp_path / "out"
    merge([came], out)
    model = out / "runs" / run.path.name / "model.safetensors"
    model.unlink()
    again = merge([came, came], out)
    assert (again.finished, again.there, again.added_to) == ([], [run.path.name], [run.path.name])
    assert model.exists()


def test_unlike_results_of_one_run_are_an_error_that_names_both(finished, run, tmp_path, capsys):
    came = archive(tmp_path / "a.zip", finished, [run])
    out = tmp_path / "out"
    merge([came], out)
    edit(device="another")(out / "runs" / run.path.name / "result.json")
    before = (out / "runs" / run.path.name / "result.json").read_bytes()
    assert main([str(came), f"--out={out}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{run.path.name} is finished in {out} and in {came}, and not alike (device)" in line
    assert (out / "runs" / run.path.name / "result.json").read_bytes() == before


def test_two_archives_that_disagree_change_nothing(finished, run, tmp_path):
    first = archive(tmp_path / "a.zip", finished, [run])
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    edit(device="another")(other / "runs" / run.path.name / "result.json")
    second = archive(tmp_path / "b.zip", other, [RunFolder(other, run.spec)])
    out = tmp_path / "out"
    with pytest.raises(ArchiveError, match=r"finished in .*a\.zip and in .*b\.zip"):
        merge([first, second], out)
    assert not out.exists()


def test_what_is_unfinished_never_replaces_what_is_finished(finished, run, tmp_path):
    begun = tmp_path / "begun"
    came = archive(tmp_path / "b.zip", begun, unfinished=[unfinished(begun, run, 5)])
    out = tmp_path / "out"
    merge([archive(tmp_path / "a.zip", finished, [run])], out)
    before = (out / "runs" / run.path.name / "result.json").read_bytes()
    merged = merge([came], out)
    assert merged.there == [run.path.name]
    assert (out / "runs" / run.path.name / "result.json").read_bytes() == before
    # Nor in the same call, whatever the order.
    for number, order in enumerate(((0, 1), (1, 0))):
        both = [tmp_path / "a.zip", came]
        merged = merge([both[i] for i in order], tmp_path / f"both{number}")
        assert merged.finished == [run.path.name]


def test_what_is_finished_replaces_what_is_not_and_sets_it_aside(finished, run, tmp_path):
    out = tmp_path / "out"
    unfinished(out, run, 5)
    merge([archive(tmp_path / "a.zip", finished, [run])], out)
    assert RunFolder(out, run.spec).complete
    assert (out / "set-aside" / run.path.name / "checkpoint").exists()


@pytest.mark.parametrize(("here", "there", "stays"), [(4, 6, 6), (6, 4, 6), (0, 4, 4)])
def test_of_two_unfinished_the_one_that_is_further_stays(here, there, stays, run, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    if here:
        unfinished(out, run, here)
    came = archive(tmp_path / "a.zip", other, unfinished=[unfinished(other, run, there)])
    merge([came], out)
    parts, values = RunFolder(out, run.spec).checkpoint(True)
    assert values["step"] == stays == parts["model"]["w"][0]


def test_a_run_that_is_being_worked_on_is_left_alone(finished, run, tmp_path):
    out = tmp_path / "out"
    begun = unfinished(out, run, 5)
    came = archive(tmp_path / "a.zip", finished, [run])
    with begun.claim() as mine:
        assert mine
        with pytest.raises(ArchiveError, match="being worked on"):
            merge([came], out)
    assert begun.checkpoint_path.exists()


def hostile(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


RUN = "runs/maze.dt_net-s0-0123456789ab"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/tmp/outside.json",
        f"{RUN}/../../../outside.json",
        "runs/../spec.json",
        f"{RUN}/checkpoint/../../x.safetensors",
        f"{RUN}\\..\\spec.json",
        f"{RUN}/claim.json",
        f"{RUN}/evil.py",
        "runs/spec.json",
        "held",
        f"{RUN}/",
        f"{RUN}/spec.json\n",
    ],
)
def test_a_name_that_no_results_folder_has_is_refused(name, tmp_path, capsys):
    out = tmp_path / "in" / "out"
    came = hostile(tmp_path / "a.zip", (f"{RUN}/spec.json", b"{}"), (name, b"x"))
    assert main([str(came), f"--out={out}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "which is no file of a results folder: nothing was taken from it" in line
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "in"]


def test_links_repeats_and_too_much_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo(f"{RUN}/spec.json")
    link.external_attr = 0o120777 << 16
    with pytest.raises(ArchiveError, match="holds a link"):
        unpack(hostile(tmp_path / "a.zip", (link, b"/etc/passwd")), tmp_path / "x")
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = hostile(tmp_path / "b.zip", *[(f"{RUN}/spec.json", b"{}")] * 2)
    with pytest.raises(ArchiveError, match="twice"):
        unpack(twice, tmp_path / "x")
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    large = hostile(tmp_path / "c.zip", (f"{RUN}/spec.json", b"0" * 1001))
    with pytest.raises(ArchiveError, match="1,001 bytes"):
        unpack(large, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_what_is_no_archive_is_one_line(tmp_path, capsys, finished, run):
    whole = archive(tmp_path / "whole.zip", finished, [run])
    data = bytearray(whole.read_bytes())
    data[200] ^= 0xFF
    cases = {
        "missing.zip": None,
        "text.zip": b"no archive",
        "half.zip": whole.read_bytes()[: len(data) // 2],
        "flipped.zip": bytes(data),
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        assert main([str(path), f"--out={tmp_path / 'out'}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(path) in line
    assert main([str(tmp_path), f"--out={tmp_path / 'out'}"]) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        ("spec.json", lambda path: path.write_text("{"), "can't be used"),
        ("spec.json", lambda path: path.unlink(), "no spec.json"),
        ("spec.json", edit(seed=7), "its spec is of run"),
        ("result.json", edit(run_id="other"), "not a whole result"),
        ("answers.safetensors", flip, "is damaged"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(name, damage, why, finished, run, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    damage(other / "runs" / run.path.name / name)
    came = archive(tmp_path / "a.zip", other, [RunFolder(other, run.spec)])
    assert main([str(came), f"--out={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert run.path.name in line
    assert not (tmp_path / "out").exists()


def test_an_archive_is_no_larger_than_it_may_be_and_says_what_had_no_room(finished, run, tmp_path):
    begun = unfinished(finished, run, 3, seed=9)
    path = tmp_path / "a.zip"
    try:
        for most in (200_000, 30_000, 12_000, 3_000):
            left_out = pack(finished, path, [run], [begun], most)
            assert path.stat().st_size <= most
            names = zipfile.ZipFile(path).namelist()
            for folder, need in ((run, "result.json"), (begun, "checkpoint/state.safetensors")):
                there = f"runs/{folder.path.name}/{need}" in names
                assert there or folder.path.name in left_out
        assert run.path.name in left_out
    finally:
        shutil.rmtree(begun.path)


def test_a_folder_that_cannot_be_written_to_is_one_line(finished, run, tmp_path, capsys):
    came = archive(tmp_path / "a.zip", finished, [run])
    (tmp_path / "file").write_text("")
    assert main([str(came), f"--out={tmp_path / 'file' / 'out'}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_study_of_an_archive_stays_beside_no_other(finished, run, tmp_path):
    came = archive(tmp_path / "a.zip", finished, [run])
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.json").write_text(json.dumps({"title": "mine"}))
    merge([came], out)
    assert json.loads((out / "study.json").read_text()) == {"title": "mine"}
