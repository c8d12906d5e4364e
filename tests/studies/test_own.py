"""Our own claims find the runs they name, are written down before they are run, and are apart from
published ones."""

from __future__ import annotations

import re
from dataclasses import replace

import commands
import numpy as np
import pytest
from made_results import MadeUp

from comparisons.execution.deciding import planner
from comparisons.studies import ALL, CLAIMS, load_study, plan_studies, studies_named
from comparisons.studies.finding import judge

STUDY = load_study("own-claims")


@pytest.fixture(autouse=True)
def all_data(monkeypatch):
    monkeypatch.setattr("tasks.images.ImageTask.capacity", lambda self, d, split: 30_000)


@pytest.mark.parametrize("preset", ["smoke", "quick", "standard"])
def test_every_own_claim_finds_its_five_seeds(preset):
    plan, of_study = plan_studies(["own-claims"], preset)
    runs = of_study["own-claims"]
    assert not plan.skipped
    for claim in STUDY.claims:
        evidence = MadeUp(runs)
        finding = judge(claim.check_at(preset), evidence)
        assert evidence.found
        for where, planned in evidence.found.items():
            assert planned == (10, 11, 12, 13, 14), (claim.id, where)
        assert all(part.effect is not None for part in finding.each), (claim.id, finding)
        for effect in (part.effect for part in finding.each):
            if effect.kind in ("accuracy", "difference") and effect.each:
                assert np.mean(effect.each) == pytest.approx(effect.value), "of its seeds"


def test_arms_differ_in_what_a_claim_is_about_alone():
    """Within a task every network has the same steps, samples and batch."""
    _, of_study = plan_studies(["own-claims"], "quick")
    for task in ("maze", "digits", "emnist"):
        runs = [spec for spec in of_study["own-claims"] if spec.task == task]
        budgets = {(s.train.total_steps, s.train.batch_size, s.train_samples) for s in runs}
        assert len(budgets) == 1, task


def test_each_own_claim_stands_in_the_docs_with_a_date():
    text = (commands.ROOT / "docs" / "own_claims.md").read_text()
    own = {claim for claim, study in CLAIMS.items() if study == "own-claims"}
    assert set(re.findall(r"^\| `(OWN-\w+)`", text, re.MULTILINE)) == own
    assert own == {claim.id for claim in STUDY.claims}
    assert re.search(r"Stated on \d+ \w+ 20\d\d", text)


def test_all_studies_are_the_published_ones_and_added_seeds_are_new_ones():
    assert "own-claims" not in studies_named(ALL)
    _, runs = planner("quick", {}, None)("own-claims", 8)
    assert {spec.seed for spec in runs} == set(range(10, 18))


def test_equal_networks_tell_no_claim_of_a_difference():
    _, of_study = plan_studies(["own-claims"], "quick")

    class Same(MadeUp):
        def result(self, spec):
            result = super().result(spec)
            return replace(result, rows=[{**row, "accuracy": 0.95} for row in result.rows])

    for claim in STUDY.claims:
        finding = judge(claim.check, Same(of_study["own-claims"]))
        differs = any(" beats " in part.rule for part in finding.each)
        assert not differs or finding.verdict != "reproduced", claim.id
