"""What version 0.2.0 began goes on: names of runs, and a study with one run finished and one
interrupted."""

from __future__ import annotations

import hashlib
import json
import tarfile

import pytest
from commands import TESTS

from comparisons.cli import main, make_request
from comparisons.options import make_parser
from comparisons.planning.plan import make_plan
from comparisons.studies import STUDIES, plan_studies
from foundations.records.reading import collect
from tasks import needs_data

DATA = TESTS / "data"
IDS = json.loads((DATA / "run_ids.json").read_text())
#: Studies of data that a machine may not have are not among the pinned.
PINNED = [name for name in STUDIES if f"{name} quick" in IDS["studies"]]


def ids(*arguments: str) -> list[str]:
    request, _ = make_request(make_parser().parse_args(list(arguments)))
    return [spec.run_id for spec in make_plan(request).runs]


@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
def test_runs_of_the_default_study_are_called_as_before(preset):
    assert ids(f"--preset={preset}") == IDS["default"][preset]


def test_runs_of_other_tasks_are_called_as_before():
    found = ids("--tasks=pathfinder,maze", "--preset=quick")
    assert found == IDS["default"]["pathfinder,maze quick"]


@pytest.mark.parametrize("name", PINNED)
def test_runs_of_studies_are_called_as_before(name):
    for preset in ("smoke", "quick", "paper"):
        plan, _ = plan_studies([name], preset)
        # But for those of data that a machine may not have.
        found = [spec.run_id for spec in plan.runs if not needs_data(spec.task)]
        digest = hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
        assert [len(found), digest] == IDS["studies"][f"{name} {preset}"]


@pytest.mark.parametrize("name", PINNED)
def test_quick_studies_still_have_every_run_that_they_had(name):
    """Arms may be added; records that were made before go on counting."""
    plan, _ = plan_studies([name], "quick")
    found = {spec.run_id.rpartition("-")[2] for spec in plan.runs}
    assert found >= set(IDS["quick studies of 0.2.0"][name])


COMMAND = [
    "--tasks=maze",
    "--paradigms=dt_net_recall,feed_forward",
    "--seeds=1",
    "--set=train.steps=12",
    "--set=train.validate_every=4",
    "--preset=smoke",
    "--train-samples=40",
    "--set=train.batch_size=8",
    "--set=train.validation_samples=8",
    "--set=train.precision=fp32",
    "--set=evaluation.samples=16",
    "--set=evaluation.iterations=6",
    "--set=evaluation.pictures=2",
    "--set=paradigm.iterations=3",
    "--set=paradigm.width=6",
    "--set=evaluation.blows=noise,zeros",
    "--set=evaluation.inside=8",
    "--workers=1",
]


def test_a_study_begun_before_goes_on_unasked_and_trains_nothing_anew(tmp_path, capsys):
    with tarfile.open(DATA / "begun-0.2.0.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (done,), (begun,) = (list((tmp_path / "runs").glob(f"maze.{n}-*")) for n in ("dt*", "feed*"))
    # The record of what made it tells of the source that computes the same, too.
    files = [p for p in done.rglob("*") if p.is_file() and p.name != "made.json"]
    finished = {p: p.read_bytes() for p in files}
    logged = (begun / "metrics.jsonl").read_text()
    assert json.loads(logged)["step"] == 4
    assert not (begun / "result.json").exists()

    assert main([*COMMAND, f"--out={tmp_path}"]) == 0

    assert {p: p.read_bytes() for p in files} == finished
    assert (begun / "metrics.jsonl").read_text().startswith(logged)
    result = json.loads((begun / "result.json").read_text())
    assert result["steps"] == 12
    assert not (tmp_path / "set-aside").exists()
    table, odd = collect(tmp_path)
    assert not odd
    assert set(table["run_id"]) == {done.name, begun.name}
    said = capsys.readouterr().err
    assert "--again" not in said
    report = (tmp_path / "report.html").read_text()
    assert done.name in report
    assert begun.name in report
