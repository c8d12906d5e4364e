"""What is installed for what: the versions that published results state, and the lower bounds."""

from __future__ import annotations

import gzip
import json
import re
import tomllib

import pytest
from commands import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "docs" / "results" / "requirements.lock").read_text()
LOCKED = dict(re.findall(r"^([\w.-]+)==([\w.]+)", LOCK, re.MULTILINE))


@pytest.mark.parametrize("kept", ["default", "own"])
def test_the_lock_has_the_versions_that_the_kept_records_state(kept):
    with gzip.open(ROOT / "docs" / "results" / kept / "runs.jsonl.gz", "rt") as file:
        stated = [json.loads(line)["result"]["versions"] for line in file]
    assert stated
    for versions in stated:
        assert versions.pop("python").startswith("3.11.")
        assert {name: LOCKED[name] for name in versions} == versions


def test_the_lock_has_every_package_that_the_library_needs_within_its_bounds():
    for wanted in PROJECT["dependencies"]:
        name, least = wanted.lower().split(">=")
        locked = [int(part) for part in LOCKED[name].split(".")[:2]]
        assert locked >= [int(part) for part in least.split(".")[:2]], wanted


def test_the_oldest_python_is_the_one_that_the_lowest_versions_are_tried_on():
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={versions[0]}"
    tox = (ROOT / "tox.ini").read_text()
    assert re.search(r"\[testenv:lowest\][^\[]*" + rf"base_python = python{versions[0]}\n", tox)
    for group in ("dependencies",):
        assert all(">=" in wanted for wanted in PROJECT[group]), "a lower bound each"
