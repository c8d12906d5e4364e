"""Sharing a run: a folder that loads like the run, and a Hub that is not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from commands import ONE

from comparisons import load_run
from comparisons.cli import main
from comparisons.testing.sharing import _without_places
from comparisons.testing.sharing import main as share
from foundations.errors import USAGE

TOKEN = "hf_secret"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shared") / "out"
    assert main([*ONE, "--workers=1", f"--out={out}"]) == 0
    (made,) = (out / "runs").iterdir()
    return made


class Hub:
    """Folders in the place of repositories."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.refuses = False

    def create_repo(self, name, private, exist_ok):
        if self.refuses:
            raise OSError("401 Client Error:\n Unauthorized")
        assert exist_ok
        return f"https://huggingface.co/{name}"

    def upload_folder(self, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.place / repo_id)

    def snapshot_download(self, name, allow_patterns):
        if not (self.place / name).exists():
            raise OSError(f"no repository {name}")
        return str(self.place / name)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    there = Hub(tmp_path / "hub")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: there)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", there.snapshot_download)
    return there


def test_a_shared_folder_loads_like_the_run_and_tells_what_it_is(run, tmp_path, capsys):
    folder = tmp_path / "mine"
    assert share([str(run), str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "made.json", "model.safetensors",
    }  # fmt: skip
    (spec, task, model), (same, _, copy) = load_run(run), load_run(folder)
    assert spec == same
    x = task.sample(9, 2, split="test").inputs
    assert torch.equal(model(x), copy(x))
    card = (folder / "README.md").read_text()
    facts = yaml.safe_load(card.split("---")[1])
    assert facts["license"] == "mit"
    result = json.loads((run / "result.json").read_text())
    rows = [row for row in result["rows"] if row["exit_rule"] == "validated"]
    found = [m["value"] for r in facts["model-index"][0]["results"] for m in r["metrics"]]
    assert found == [round(row["accuracy"], 4) for row in rows]
    for row in rows:
        assert f"({100 * row['ci_low']:.1f}–{100 * row['ci_high']:.1f})" in card
    assert result["command"] in card
    assert share([str(run), str(folder)]) == USAGE
    assert "is not an empty folder" in capsys.readouterr().err


def test_what_is_pushed_is_loaded_from_the_hub_and_no_token_is_written(run, tmp_path, hub, capsys):
    assert share([str(run), str(tmp_path / "mine"), "--push=me/maze", "--licence=cc-by-4.0"]) == 0
    said = capsys.readouterr()
    assert said.out == "shared: https://huggingface.co/me/maze\n"
    spec, _, model = load_run("hf://me/maze")
    assert spec == load_run(run).spec
    assert not model.training
    assert TOKEN not in said.out + said.err
    for path in (tmp_path / "mine").iterdir():
        assert TOKEN.encode() not in path.read_bytes()


def test_what_the_hub_refuses_is_one_line(run, tmp_path, hub, capsys):
    hub.refuses = True
    assert share([str(run), str(tmp_path / "a"), "--push=me/maze"]) == USAGE
    assert share([str(run), str(tmp_path / "b"), "--push=maze"]) == USAGE
    assert share([str(tmp_path), str(tmp_path / "c")]) == USAGE
    refused, form, none = capsys.readouterr().err.splitlines()
    assert "me/maze can't be uploaded to the Hub: 401 Client Error: Unauthorized" in refused
    assert "is not of the form OWNER/NAME" in form
    assert "is not the folder of a finished run" in none
    with pytest.raises(ValueError, match="hf://me/none can't be had: no repository"):
        load_run("hf://me/none")


def test_folders_of_this_machine_are_left_out():
    given = "python compare.py --plugin /home/me/mine.py --set 'task.data_dir=/d/cifar 10'"
    said = "python compare.py --plugin mine.py --set 'task.data_dir=cifar 10'"
    assert _without_places(given) == said
