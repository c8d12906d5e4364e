"""The search before a study sees validation problems only, is the same for all, and trains nothing
twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparisons.cli import main
from comparisons.execution import search as searching
from comparisons.execution.search import FASTEST, SLOWEST, even, groups, space, trial
from comparisons.planning.overrides import overrides
from comparisons.planning.plan import Request, make_plan
from tasks.prefix_sums import PrefixSums

SMALL = (
    "--tasks=prefix_sums",
    "--paradigms=dt_net_recall,narrow_resnet18",
    "--preset=smoke",
    "--train-samples=30,60",
    "--set=train.steps=8",
    "--set=train.validation_samples=20",
    "--set=evaluation.samples=10",
    "--set=dt_net_recall.width=8",
    "--set=dt_net_recall.iterations=3",
    "--search=3",
)


def small_plan():
    settings = overrides(train={"steps": 8}, dt_net_recall={"width": 8, "iterations": 3})
    return make_plan(
        Request(
            ("prefix_sums",),
            ("dt_net_recall", "narrow_resnet18"),
            preset="smoke",
            seeds=(0, 1),
            train_samples=(30, 60),
            settings=settings,
        )
    )


@given(st.integers(1, 6))
def test_the_space_is_filled_evenly(power):
    count = 2**power
    places = sorted(even(i) for i in range(count))
    assert places == [i / count for i in range(count)]


def test_one_search_for_all_seeds_and_samples_with_one_space_for_all_paradigms():
    plan = small_plan()
    found = groups(plan.runs)
    assert [len(runs) for runs in found.values()] == [4, 4]
    spaces = [space(runs[0], 5, True) for runs in found.values()]
    for mine in spaces:
        assert mine[0].width is None
        assert all(SLOWEST <= s.learning_rate <= FASTEST for s in mine[1:])
    rates = [[s.learning_rate for s in mine[1:]] for mine in spaces]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 4
    assert [s.width for s in spaces[0]] == [None, 4, 16, None, 4]
    assert all(s.width is None for s in space(plan.runs[0], 5, False))


def test_trials_have_seeds_of_their_own():
    plan = small_plan()
    spec = trial(plan.runs[0], space(plan.runs[0], 2, True)[1])
    assert spec.seed not in {run.seed for run in plan.runs}
    assert spec.data_seed not in {run.data_seed for run in plan.runs}
    long = replace(plan.runs[0], train=replace(plan.runs[0].train, steps=4000))
    assert trial(long, space(long, 1, True)[0]).train.steps == 1000


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    out = tmp_path_factory.mktemp("searched")
    seen = []
    right = PrefixSums.make

    def watched(self, difficulty, indices, seed, split):
        if not (out / "search.json").exists():
            seen.append(split)
        return right(self, difficulty, indices, seed, split)

    PrefixSums.make = watched
    try:
        assert main([*SMALL, "--workers=1", f"--out={out}"]) == 0
    finally:
        PrefixSums.make = right
    return out, seen


def test_trials_never_see_a_test_problem(searched):
    _, seen = searched
    assert set(seen) == {"train", "validation"}


def test_the_best_on_validation_is_what_the_study_trains(searched):
    out, _ = searched
    record = json.loads((out / "search.json").read_text())
    table = pd.read_parquet(out / "results.parquet")
    assert len(table.run_id.unique()) == 4
    for found in record["searches"]:
        trials = found["trials"]
        assert len(trials) == 3
        best = min(trials, key=lambda t: (-t["accuracy"], t["loss"]))
        assert trials[found["chosen"]] == best
        specs = [
            json.loads((out / "runs" / run / "spec.json").read_text())
            for run in table.run_id[table.paradigm == found["paradigm"]].unique()
        ]
        assert {s["train"]["learning_rate"] for s in specs} == {best["learning_rate"]}
        if best["width"]:
            assert {s["paradigm_options"]["width"] for s in specs} == {best["width"]}
        assert {s["train_samples"] for s in specs} == {30, 60}
    page = (out / "report.html").read_text()
    assert "Hyper-parameter search" in page
    assert page.count('class="taken"') == 2


def test_a_search_is_not_done_twice(searched, monkeypatch):
    out, _ = searched
    before = (out / "search.json").read_text()

    def never(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(searching, "trained", never)
    monkeypatch.setattr("comparisons.execution.run.trained", never)
    assert main([*SMALL, "--workers=1", f"--out={out}"]) == 0
    assert (
        json.loads((out / "search.json").read_text())["searches"] == json.loads(before)["searches"]
    )


def test_a_broken_record_of_the_search_is_named(searched):
    from reports import build_report

    out, _ = searched
    whole = (out / "search.json").read_text()
    try:
        (out / "search.json").write_text(whole[:50])
        assert "search.json could not be read" in build_report(out).read_text()
    finally:
        (out / "search.json").write_text(whole)
