"""Every published claim has a study; a study plans, resumes, says what it lacks, and ends in a
ledger."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import commands
import pandas as pd
import pytest

from comparisons.cli import listing, main
from comparisons.planning.overrides import overrides
from comparisons.studies import (
    ALL,
    CLAIMS,
    STUDIES,
    Arm,
    Claim,
    Scale,
    Study,
    load_study,
    plan_studies,
    studies_named,
)
from comparisons.studies.evidence import Evidence, RunSelector
from comparisons.studies.finding import VERDICTS, judge
from comparisons.studies.verdicts import beats
from reports import build_report

#: Published figures by claim: accuracies in percent, minutes or iterations.
PUBLISHED = json.loads((commands.TESTS / "data" / "published.json").read_text())


def test_every_claim_belongs_to_the_study_that_lists_it():
    found = {claim.id: name for name in STUDIES for claim in load_study(name).claims}
    assert found == CLAIMS
    shown = [line.split() for line in listing().splitlines()]
    for claim, name in CLAIMS.items():
        assert [claim, name] in shown


def test_every_published_record_has_a_study_and_the_figures_in_its_claim():
    text = {c.id: c.text for name in studies_named(ALL) for c in load_study(name).claims}
    assert set(PUBLISHED) == set(text) < set(CLAIMS)
    for claim, figures in PUBLISHED.items():
        cited = re.findall(r"[\d.]*\d", text[claim])
        for figure in figures:
            assert {f"{round(figure, digits):g}" for digits in (0, 1, 2)} & {*cited}, claim


@pytest.mark.parametrize("name", studies_named(ALL))
@pytest.mark.parametrize("preset", ["smoke", "quick", "standard", "paper"])
def test_every_request_plans(name, preset):
    needs_data = {"s21-images", "yy-ood"}
    if name in needs_data:
        assert load_study(name).requests(preset)
        return
    plan, of_study = plan_studies([name], preset)
    assert {spec.run_id for spec in of_study[name]} == {spec.run_id for spec in plan.runs}
    if preset == "quick":
        assert {spec.seed for spec in plan.runs} == {0, 1, 2}


def asked_about(claim, runs, preset="quick") -> list[tuple[RunSelector, list]]:
    """Wherever a claim's check looks, and the runs that it is about."""

    class Looked(Evidence):
        def measured(self, where):
            seen.append((where, [spec for spec in runs if where.selects(spec)]))
            return super().measured(where)

    seen: list = []
    judge(claim.check_at(preset), Looked(Path("nowhere"), runs))
    return seen


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_claims_about_confidence_are_about_networks_whose_labels_were_not_smoothed(preset):
    """Smoothing changes how sure a network is, and with it what the most confident answer can
    find."""
    by_confidence = "maximum_confidence"
    claims = [(name, claim) for name in studies_named(ALL) for claim in load_study(name).claims]
    about = [
        (name, claim)
        for name, claim in claims
        if any(where.rule == by_confidence for where, _ in asked_about(claim, ()))
    ]
    assert {claim.id for _, claim in about} >= {"S21-F9-exit", "S21-F11-exit", "S21-F12-budget"}
    for name, claim in about:
        assert "labels not smoothed" in claim.scale_at("quick")
        _, of_study = plan_studies([name], preset)
        for where, runs in asked_about(claim, of_study[name], preset):
            assert runs, (claim.id, where)
            # Every rule of the claim, since the others are compared with it.
            assert {spec.train.label_smoothing for spec in runs} == {0.0}, (claim.id, where)


@pytest.fixture
def tiny(monkeypatch):
    """Two small studies in place of the real ones; one of them needs data that is not here."""
    small = overrides(paradigm={"width": 8, "iterations": 3}, evaluation={"difficulties": (16, 24)})
    arm = Arm(
        ("prefix_sums",),
        ("dt_net_recall", "dt_net"),
        {"quick": Scale((0, 1, 2), (30,))},
        small,
    )
    claim = Claim(
        "T-1",
        "a test",
        "<b>Recall</b> helps.",
        beats(
            RunSelector("prefix_sums", "dt_net_recall", 24),
            RunSelector("prefix_sums", "dt_net", 24),
        ),
        scale="tiny",
    )
    absent = replace(arm, tasks=("svhn",), paradigms=("resnet_bn",), settings={})
    other = Claim(
        "T-2",
        "a test",
        "Never.",
        beats(RunSelector("svhn", "resnet_bn"), RunSelector("svhn", "mlp")),
    )
    for name in list(STUDIES):
        monkeypatch.delitem(STUDIES, name)
    monkeypatch.setitem(STUDIES, "one", Study("the first", (arm,), (claim,)))
    monkeypatch.setitem(STUDIES, "two", Study("the second", (absent,), (other,)))


FAST = ("--preset=smoke", "--set=train.steps=3", "--set=train.validation_samples=8", "--workers=1")


def test_a_study_runs_to_a_ledger_and_goes_on_without_data_that_is_not_here(
    tiny, tmp_path, monkeypatch
):
    from tasks.sources import MissingData

    def gone(*arguments, **options):
        raise MissingData("svhn is out of reach")

    monkeypatch.setattr("tasks.images.Svhn.__init__", gone)
    arguments = ["--study=all", *FAST, "--set=evaluation.samples=20", f"--out={tmp_path}"]
    assert main(arguments) == 0
    ledger = json.loads((tmp_path / "verdicts.json").read_text())
    one, two = ledger["studies"]
    assert one["runs"] == one["complete"] == 6
    assert one["claims"][0]["verdict"] in VERDICTS[:3]
    assert two["claims"][0]["verdict"] == "not run"
    assert any("svhn is out of reach" in line for line in two["claims"][0]["numbers"])
    page = (tmp_path / "report.html").read_text()
    assert 'id="ledger"' in page
    assert "&lt;b&gt;Recall&lt;/b&gt; helps." in page
    assert "2 claims" in page
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/result.json")}
    assert len(before) == 6
    assert main(arguments) == 0
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/result.json")}


def test_one_study_leaves_the_verdicts_on_others(tiny, tmp_path):
    arguments = [*FAST, "--set=evaluation.samples=20", f"--out={tmp_path}"]
    entry = {
        "summary": "kept",
        "preset": "quick",
        "command": "c",
        "runs": 1,
        "complete": 1,
        "claims": [],
    }
    # The second is a plugin's, which isn't loaded now.
    earlier = {"schema": 1, "studies": [{"study": name, **entry} for name in ("two", "outside")]}
    (tmp_path / "verdicts.json").write_text(json.dumps(earlier))
    assert main(["--study=one", "--seeds=0", *arguments]) == 0
    stored = json.loads((tmp_path / "verdicts.json").read_text())["studies"]
    assert [entry["study"] for entry in stored] == ["one", "two", "outside"]
    assert [entry["summary"] for entry in stored[1:]] == ["kept", "kept"]
    assert stored[0]["claims"][0]["verdict"] == "inconclusive"  # one seed
    assert len(pd.read_parquet(tmp_path / "results.parquet").run_id.unique()) == 2
    (tmp_path / "verdicts.json").write_text('{"studies": [{"study": 3}]}')
    assert "verdicts.json could not be read" in build_report(tmp_path).read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--study=s21-dept"], "known: s21-depth"),
        (["--study=all", "--tasks=maze"], "leave out --tasks"),
        (["--study=b22-maze", "--match=flops"], "leave out --match"),
        (["--study=b22-maze", "--preset=huge"], "known: smoke, quick, standard, paper"),
        (["--study=b22-huge", "--set=evaluation.samples=9"], "evaluation.samples is given twice"),
    ],
)
def test_wrong_use_of_a_study_is_one_line(arguments, words, tmp_path, capsys):
    assert main([*arguments, f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
