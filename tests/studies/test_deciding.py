"""Seeds are added where a verdict is nearest, and what is told stays told."""

from __future__ import annotations

import json

import pytest

from comparisons.cli import main
from comparisons.execution import deciding
from comparisons.execution.deciding import (
    Costs,
    next_looks,
    planner,
    runs_of,
    seeds_needed,
    standings,
    until_decided,
    what_is_open,
)
from comparisons.planning.overrides import overrides
from comparisons.storage.run_folder import RunFolder
from comparisons.studies import STUDIES, Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import INCONCLUSIVE, REPRODUCED, Effect, Finding
from comparisons.studies.verdicts import reaches
from foundations.files import write_atomically
from foundations.records.result import Result
from foundations.statistics import spent_at


class Fixed(Costs):
    """So many minutes for whatever is asked."""

    def __init__(self, minutes, workers=1):
        super().__init__(workers)
        self.fixed = minutes

    def minutes(self, runs, out):
        return self.fixed


FREE = Fixed(0.0)


@pytest.fixture
def two(monkeypatch):
    """Two studies, "clear" with a claim that three seeds tell, "close" with one that takes more."""
    for name in list(STUDIES):
        monkeypatch.delitem(STUDIES, name)
    for name, width, bar in (("clear", 8, 0.5), ("close", 6, 0.87)):
        settings = overrides(paradigm={"width": width})
        net = RunSelector("prefix_sums", "dt_net_recall", 24, settings=settings)
        arm = Arm(
            ("prefix_sums",),
            ("dt_net_recall",),
            {"quick": Scale((0, 1, 2), (30,))},
            overrides(
                paradigm={"width": width, "iterations": 3},
                evaluation={"difficulties": (16, 24), "samples": 2000},
            ),
        )
        claim = Claim(f"T-{name}", "a test", "It learns.", reaches(net, bar))
        monkeypatch.setitem(STUDIES, name, Study(name, (arm,), (claim,)))


def finish(out, spec):
    """A stored run, whose accuracy goes up and down with the seed."""
    folder = RunFolder(out, spec)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_atomically(folder.path / "spec.json", json.dumps(spec.to_dict()))
    accuracy = 0.9 + (0.04 if spec.seed % 2 else -0.04)
    row = {"exit_rule": "validated", "iterations": 8, "test_difficulty": 24,
           "test_task": "prefix_sums", "accuracy": accuracy, "n_test": 2000}  # fmt: skip
    folder.finish(
        Result.from_dict(
            {"run_id": spec.run_id, "seed": spec.seed, "status": "complete", "train_difficulty": 16,
             "train_iterations": 3, "train_flops": 1e12, "train_seconds": 10.0, "steps": 9,
             "rows": [row]}
        )
    )  # fmt: skip


def test_seeds_are_added_until_claims_are_told_and_none_after(two, tmp_path):
    planned, asked, said = planner("quick", {}, None), [], []

    def run(plan):
        name = "clear" if plan.runs[0].paradigm_options["width"] == 8 else "close"
        asked.append((name, len(plan.runs)))
        for spec in plan.runs:
            finish(tmp_path, spec)
        return 0

    names = ["close", "clear"]
    stand = until_decided(names, "quick", 1000, tmp_path, planned, run, FREE, len, said.append)
    assert all(one.told for claims in stand.values() for one in claims)
    assert [seeds for name, seeds in asked if name == "clear"] == [3]
    assert [seeds for name, seeds in asked if name == "close"][:2] == [3, 5]
    assert "all 2 claims told" in said[-1]
    assert "0 of 2 claims told; next: " in said[0]
    assert all(f"T-{name} to 3 seeds (0.0 h)" in said[0] for name in names)
    # From the records alone: nothing is run again.
    asked.clear()
    planned = planner("quick", {}, None)
    again = until_decided(names, "quick", 1000, tmp_path, planned, run, FREE, len, len)
    assert not asked
    assert again == stand


@pytest.mark.parametrize(("workers", "turns"), [(1, [3, 3]), (3, [3, 3]), (4, [6])])
def test_workers_without_a_run_begin_the_next_look(two, tmp_path, workers, turns):
    planned, asked = planner("quick", {}, None), []

    def run(plan):
        asked.append(len(plan.runs))
        for spec in plan.runs:
            finish(tmp_path, spec)
        return 0

    costs = Fixed(0.0, workers)
    until_decided(["clear", "close"], "quick", 1, tmp_path, planned, run, costs, len, len)
    assert asked[: len(turns)] == turns


def test_of_looks_done_together_the_one_whose_runs_do_not_end_is_left_alone(two, tmp_path):
    planned, asked = planner("quick", {}, None), []

    def run(plan):
        asked.append({spec.paradigm_options["width"] for spec in plan.runs})
        ended = [spec for spec in plan.runs if spec.paradigm_options["width"] == 6]
        for spec in ended:
            finish(tmp_path, spec)
        return len(plan.runs) - len(ended)

    costs = Fixed(0.0, 8)
    stand = until_decided(["clear", "close"], "quick", 1, tmp_path, planned, run, costs, len, len)
    assert asked[0] == {6, 8}
    assert {6} in asked
    assert not any(8 in widths for widths in asked[1:])
    assert not stand["clear"][0].told


def test_a_look_spends_its_share_of_the_error_alone(two, tmp_path):
    planned = planner("quick", {}, None)
    for look in (3, 5):
        for spec in planned("close", look)[1]:
            finish(tmp_path, spec)
        (standing,) = standings("close", "quick", tmp_path, planned)
        levels = {part.effect.level for part in standing.finding.each}
        assert standing.seeds == look
        assert levels == {1 - spent_at(look)}
        assert 1 - spent_at(look) > 0.95


def test_a_look_that_does_not_fit_the_time_is_not_begun(two, tmp_path):
    planned, said = planner("quick", {}, None), []
    stand = until_decided(
        ["clear"], "quick", 1, tmp_path, planned, pytest.fail, Fixed(90.0), len, said.append
    )
    assert not stand["clear"][0].told
    assert said == ["0 of 1 claims told; next: T-clear to 3 seeds (1.5 h); together about 1.5 h"]


def test_a_claim_takes_the_runs_that_it_asks_for_and_no_others(two, monkeypatch, tmp_path):
    """Of a study of two claims, the one that costs little is told without the other's runs."""
    small, large = (STUDIES.pop(name) for name in ("clear", "close"))
    both = Study("both", small.arms + large.arms, small.claims + large.claims)
    monkeypatch.setitem(STUDIES, "both", both)
    (cheap,), (dear,) = small.claims, large.claims
    planned = planner("quick", {}, None)
    runs = planned("both", 3)[1]
    asked = runs_of(cheap, "quick", runs)
    assert {spec.paradigm_options["width"] for spec in asked} == {8}
    assert len(asked) == 3 < len(runs)
    for spec in asked:
        finish(tmp_path, spec)
    one, other = standings("both", "quick", tmp_path, planned)
    assert (one.told, one.seeds, other.told, other.seeds) == (True, 3, False, 0)
    (following,) = next_looks({"both": [one, other]}, "quick", tmp_path, planned, FREE)
    assert following.claim == dear.id
    assert {spec.paradigm_options["width"] for spec in following.runs} == {6}


def test_what_runs_take_is_measured_once_for_each_kind(two, tmp_path, monkeypatch):
    planned, measured = planner("quick", {}, None), []
    estimate = deciding.estimate

    def noted(runs, *arguments, **options):
        measured.append(len(runs))
        return estimate(runs, *arguments, **options)

    monkeypatch.setattr(deciding, "estimate", noted)
    costs, runs = Costs(1), planned("clear", 3)[1]
    each = costs.minutes(runs[:1], tmp_path)
    assert each > 0
    assert costs.minutes(runs, tmp_path) == pytest.approx(3 * each)
    assert measured == [1]
    finish(tmp_path, runs[0])
    assert costs.minutes(runs, tmp_path) == pytest.approx(2 * each)


def test_a_study_whose_runs_do_not_end_is_left_alone(two, tmp_path):
    planned, asked = planner("quick", {}, None), []

    def fails(plan):
        asked.append(1)
        return 3

    stand = until_decided(["clear"], "quick", 1000, tmp_path, planned, fails, FREE, len, len)
    assert len(asked) == 1
    assert not stand["clear"][0].told


def test_the_nearest_verdict_per_minute_comes_first(two, tmp_path):
    planned = planner("quick", {}, None)
    for name in ("clear", "close"):
        for spec in planned(name, 3)[1]:
            finish(tmp_path, spec)
    stand = {name: standings(name, "quick", tmp_path, planned) for name in ("clear", "close")}
    assert stand["clear"][0].finding.verdict == REPRODUCED
    assert stand["close"][0].finding.verdict == INCONCLUSIVE
    (following,) = next_looks(stand, "quick", tmp_path, planned, FREE)
    assert (following.study, following.claim, following.seeds) == ("close", "T-close", 5)
    assert "1 of 2 claims told; next: T-close to 5 seeds" in what_is_open(stand, [following], 0.0)


def test_seeds_needed_grow_as_the_square_of_what_is_missing():
    def found(value, bars=(0.0,)):
        effect = Effect("difference", value, value - 0.1, value + 0.1, 0.95, bars)
        return Finding(INCONCLUSIVE, "a rule", (), effect)

    assert seeds_needed(found(0.05), 3) == 13
    assert seeds_needed(found(0.2), 3) == 2
    assert seeds_needed(found(0.04, (-0.05, 0.05)), 3) > 200
    assert seeds_needed(Finding(INCONCLUSIVE, "a rule"), 3) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tasks=maze", "--until-decided=1"], "name a --study"),
        (["--study=b22-maze", "--until-decided=0"], "must be over 0 hours"),
        (["--study=b22-maze", "--until-decided=1", "--seeds=0"], "leave out --seeds"),
    ],
)
def test_wrong_use_is_one_line(arguments, words, tmp_path, capsys):
    assert main([*arguments, f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_dry_run_says_where_claims_stand_and_what_the_next_look_takes(two, tmp_path, capsys):
    for spec in planner("quick", {}, None)("clear", 3)[1]:
        finish(tmp_path, spec)
    before = sorted(tmp_path.rglob("*"))
    assert main(["--study=all", "--until-decided=1", "--dry-run", f"--out={tmp_path}"]) == 0
    said = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert said["T-clear"] == ["T-clear", "clear", "reproduced", "3"]
    assert said["T-close"][:8] == ["T-close", "close", "not", "run", "0", "3", "seeds", "3"]
    assert float(said["T-close"][8]) > 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_command_trains_to_a_ledger_with_looks(two, tmp_path):
    fast = ("--preset=smoke", "--set=train.steps=3", "--set=train.validation_samples=8")
    arguments = ["--study=all", "--until-decided=0.02", *fast, "--workers=1", f"--out={tmp_path}"]
    assert main(arguments) == 0
    studies = json.loads((tmp_path / "verdicts.json").read_text())["studies"]
    assert any("looked at with" in n for s in studies for c in s["claims"] for n in c["numbers"])
