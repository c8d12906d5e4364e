"""A verdict follows from complete, planned, sufficient runs and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comparisons.plan import make_spec
from comparisons.store import RunFolder, save_tensors, write_atomically
from comparisons.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    VERDICTS,
    Evidence,
    Where,
    absent,
    alike,
    beats,
    every,
    judge,
    no_worse,
    reaches,
    saturates_before,
    stays_below,
    takes_longer,
)

N = 400
SMALL = {("paradigm", "width"): 8}
FIRST, SECOND = Where("maze", "dt_net_recall", 13), Where("maze", "dt_net", 13)


@pytest.fixture(scope="module")
def specs():
    made = {}
    for name in ("dt_net_recall", "dt_net"):
        one = make_spec("maze", name, "smoke", 0, 100, SMALL)
        made[name] = [replace(one, seed=seed) for seed in range(5)]
    return made


def store(out, spec, accuracy, *, solved=None, status="complete", **more):
    """A finished run of that accuracy at size 13, its solved problems the first ones unless given."""
    folder = RunFolder(out, spec)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_atomically(folder.path / "spec.json", json.dumps(spec.to_dict()))
    solved = np.arange(N) < round(accuracy * N) if solved is None else solved
    rows = [
        {
            "exit_rule": rule,
            "iterations": number,
            "test_difficulty": 13,
            "test_task": "maze",
            "accuracy": float(solved.mean()) * share,
            "n_test": N,
        }
        for rule, number, share in (
            ("fixed", 4, 0.5),
            ("fixed", 8, 1.0),
            ("fixed", 16, 1.0),
            ("validated", 16, 1.0),
            ("agreement", 16, 1.0),
        )
    ]
    result = {
        "run_id": spec.run_id,
        "seed": spec.seed,
        "status": status,
        "train_difficulty": 9,
        "train_iterations": 8,
        "max_iterations": None,
        "train_seconds": 10.0,
        "steps": 100,
        "rows": rows if status == "complete" else [],
        **more,
    }
    folder.finish(result)
    save_tensors(
        folder.answers_path, {"maze/13/validated": torch.from_numpy(solved.astype(np.uint8))}
    )


def fill(out, specs, first, second, **more):
    for name, values in (("dt_net_recall", first), ("dt_net", second)):
        for spec, value in zip(specs[name], values, strict=False):
            store(out, spec, value, **more)


def evidence(out, specs, planned=3):
    return Evidence(out, [spec for runs in specs.values() for spec in runs[:planned]])


CLEAR = ((0.9, 0.92, 0.91), (0.5, 0.52, 0.48))


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (beats(FIRST, SECOND), REPRODUCED),
        (beats(FIRST, SECOND, by=0.6), NOT_REPRODUCED),
        (beats(FIRST, SECOND, by=0.41), INCONCLUSIVE),
        (beats(SECOND, FIRST), NOT_REPRODUCED),
        (no_worse(FIRST, SECOND), REPRODUCED),
        (no_worse(SECOND, FIRST, 0.1), NOT_REPRODUCED),
        (alike(FIRST, SECOND, 0.05), NOT_REPRODUCED),
        (alike(FIRST, SECOND, 0.9), REPRODUCED),
        (alike(FIRST, FIRST, 0.05), REPRODUCED),
        (reaches(FIRST, 0.9, 0.05), REPRODUCED),
        (reaches(SECOND, 0.9), NOT_REPRODUCED),
        (reaches(FIRST, 0.91), INCONCLUSIVE),
        (stays_below(SECOND, 0.7), REPRODUCED),
        (stays_below(FIRST, 0.7), NOT_REPRODUCED),
        (absent("no way"), NOT_RUN),
        (every(beats(FIRST, SECOND), reaches(FIRST, 0.9, 0.1)), REPRODUCED),
        (every(beats(FIRST, SECOND), beats(SECOND, FIRST)), NOT_REPRODUCED),
        (every(beats(FIRST, SECOND), reaches(FIRST, 0.91)), INCONCLUSIVE),
        (every(beats(FIRST, SECOND), absent("no way")), INCONCLUSIVE),
        (takes_longer(FIRST, SECOND, 1.0), REPRODUCED),
        (takes_longer(FIRST, SECOND, 2.0), NOT_REPRODUCED),
        (saturates_before(FIRST, SECOND), NOT_REPRODUCED),
    ],
)
def test_every_check_comes_to_each_verdict_that_the_numbers_allow(tmp_path, specs, check, verdict):
    fill(tmp_path, specs, *CLEAR)
    finding = judge(check, evidence(tmp_path, specs))
    assert finding.verdict == verdict, finding
    assert finding.rule
    assert finding.numbers


CHECKS = [
    beats(FIRST, SECOND),
    no_worse(FIRST, SECOND),
    reaches(FIRST, 0.5),
    alike(FIRST, FIRST, 0.5),
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("planned", [1, 2])
def test_one_or_two_seeds_reproduce_nothing(tmp_path, specs, check, planned):
    fill(tmp_path, specs, *CLEAR)
    finding = judge(check, evidence(tmp_path, specs, planned))
    assert finding.verdict == INCONCLUSIVE
    assert "of the 3 seeds" in " ".join(finding.numbers)


def spoil_missing(out, spec):
    RunFolder(out, spec).result_path.unlink()


def spoil_half_finished(out, spec):
    path = RunFolder(out, spec).result_path
    path.write_text(path.read_text()[:100])


def spoil_other_seed(out, spec):
    path = RunFolder(out, spec).result_path
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 77}))


def spoil_other_spec(out, spec):
    path = RunFolder(out, spec).path / "spec.json"
    stored = json.loads(path.read_text())
    stored["train"]["steps"] += 1
    path.write_text(json.dumps(stored))


def spoil_no_rows(out, spec):
    path = RunFolder(out, spec).result_path
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": []}))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "spoil",
    [spoil_missing, spoil_half_finished, spoil_other_seed, spoil_other_spec, spoil_no_rows],
)
def test_a_wrong_or_missing_run_reproduces_nothing(tmp_path, specs, check, spoil):
    fill(tmp_path, specs, *CLEAR)
    assert judge(check, evidence(tmp_path, specs)).verdict == REPRODUCED
    spoil(tmp_path, specs["dt_net_recall"][1])
    finding = judge(check, evidence(tmp_path, specs))
    assert finding.verdict == INCONCLUSIVE
    assert "seeds [1] are missing" in finding.numbers


def test_nothing_stored_is_not_run(tmp_path, specs):
    for check in CHECKS:
        assert judge(check, evidence(tmp_path, specs)).verdict == NOT_RUN
        assert judge(check, Evidence(tmp_path, [])).verdict == NOT_RUN


def test_a_diverged_run_counts_as_solving_nothing(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    store(tmp_path, specs["dt_net_recall"][2], 0.0, status="diverged")
    found = evidence(tmp_path, specs).measured(FIRST)
    assert found.accuracy[2] == 0.0
    assert found.complete
    assert judge(reaches(FIRST, 0.9), evidence(tmp_path, specs)).verdict != REPRODUCED


def test_the_same_problems_are_compared_one_by_one(tmp_path, specs):
    generator = np.random.default_rng(0)
    base = generator.random(N) < 0.6
    better = base | (np.arange(N) < 30)  # the very same problems and a few more
    for seed in range(3):
        store(tmp_path, specs["dt_net_recall"][seed], 0, solved=better)
        store(tmp_path, specs["dt_net"][seed], 0, solved=base)
    paired = judge(beats(FIRST, SECOND), evidence(tmp_path, specs))
    assert paired.verdict == REPRODUCED
    assert "paired" in paired.numbers[-1]
    for spec in specs["dt_net"][:3]:
        RunFolder(tmp_path, spec).answers_path.unlink()
    unpaired = judge(beats(FIRST, SECOND), evidence(tmp_path, specs))
    assert "unpaired" in unpaired.numbers[-1]
    assert unpaired.verdict == INCONCLUSIVE


def test_answers_after_the_iterations_of_training_are_compared_one_by_one(tmp_path, specs):
    at_8 = [replace(where, rule="fixed", iterations="trained") for where in (FIRST, SECOND)]
    fill(tmp_path, specs, [0.9, 0.9, 0.9], [0.6, 0.6, 0.6])
    words = judge(beats(*at_8), evidence(tmp_path, specs)).numbers[-1]
    assert "unpaired" in words, "the rule validated stopped at 16"
    for name, share in (("dt_net_recall", 0.9), ("dt_net", 0.6)):
        for spec in specs[name][:3]:
            solved = torch.arange(N) < round(share * N)
            path = RunFolder(tmp_path, spec).answers_path
            save_tensors(path, {"maze/13/trained": solved.to(torch.uint8)})
    words = judge(beats(*at_8), evidence(tmp_path, specs)).numbers[-1]
    assert "unpaired" not in words
    assert "paired" in words


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    second=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_a_claim_and_its_opposite_are_never_both_reproduced(tmp_path, specs, first, second):
    fill(tmp_path, specs, first, second)
    found = evidence(tmp_path, specs)
    one, other = judge(beats(FIRST, SECOND), found), judge(beats(SECOND, FIRST), found)
    assert {one.verdict, other.verdict} <= set(VERDICTS)
    assert not one.verdict == other.verdict == REPRODUCED
    # More parts in a claim never make it easier.
    many = judge(every(*[beats(FIRST, SECOND)] * 4), found)
    assert many.verdict != REPRODUCED or one.verdict == REPRODUCED
