"""The workflow on GitHub gives the README's two commands, on every Python that is supported. It
can't run here: what it says is checked."""

from __future__ import annotations

import re
import tomllib

import pytest
from commands import ROOT

README = (ROOT / "README.md").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "readme.yml").read_text()
GIVEN = [line.strip() for line in re.findall(r"- run: (.*)", WORKFLOW)]


def test_it_gives_the_two_commands_of_the_readme():
    commands = re.findall(r"```bash\n(python3 -m venv .*)\n```", README)
    assert len(commands) == 2
    assert {*commands} <= {*GIVEN}


def test_it_begins_with_the_oldest_python_that_is_supported():
    versions = re.search(r"python: \[(.*)\]", WORKFLOW)[1].replace('"', "").split(", ")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]
    assert "os: [ubuntu-latest, macos-latest]" in WORKFLOW


def test_it_is_yaml():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    assert {*jobs} == {"tests", "study", "docs"}
    assert all("runs-on" in job and job["steps"] for job in jobs.values())
