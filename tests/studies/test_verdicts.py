"""A verdict follows from complete, planned, sufficient runs and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comparisons.execution.deciding import seeds_needed
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import save_tensors
from comparisons.studies.evidence import Evidence, RunSelector, made_by
from comparisons.studies.finding import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    VERDICTS,
    absent,
    as_record,
    every,
    judge,
    provided,
)
from comparisons.studies.ratios import (
    fewer_flops,
    fewer_steps,
    reaches_farther,
    saturates_before,
    takes_longer,
)
from comparisons.studies.verdicts import (
    alike,
    beats,
    converges_more,
    gains_nothing,
    has_room,
    no_worse,
    noting_share,
    reaches,
    stays_below,
)
from foundations.files import write_atomically
from foundations.records.result import Result
from foundations.statistics import mean_interval

N = 400
SMALL = {("paradigm", "width"): 8}
FIRST, SECOND = RunSelector("maze", "dt_net_recall", 13), RunSelector("maze", "dt_net", 13)


@pytest.fixture(scope="module")
def specs():
    made = {}
    for name in ("dt_net_recall", "dt_net"):
        one = make_spec("maze", name, "smoke", 0, 100, SMALL)
        made[name] = [replace(one, seed=seed) for seed in range(5)]
    return made


def store(out, spec, accuracy, *, solved=None, status="complete", **more):
    """A finished run of that accuracy at size 13, its solved problems the first ones unless
    given."""
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
    folder.finish(Result.from_dict(result))
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
        (saturates_before(FIRST, SECOND), INCONCLUSIVE),  # ties, read off to half an iteration
        (converges_more(FIRST, SECOND, 0.8), REPRODUCED),
        (converges_more(SECOND, FIRST, 0.8), NOT_REPRODUCED),
        (converges_more(FIRST, FIRST, 0.8), INCONCLUSIVE),
        (gains_nothing(FIRST, 0.1), REPRODUCED),
        (fewer_steps(FIRST, SECOND, 0.8), INCONCLUSIVE),  # no curves were kept
        (provided(reaches(FIRST, 0.9, 0.1), beats(FIRST, SECOND), "no"), REPRODUCED),
        (provided(reaches(SECOND, 0.9), beats(FIRST, SECOND), "no"), INCONCLUSIVE),
        (has_room(SECOND, beats(FIRST, SECOND)), REPRODUCED),
        (has_room(FIRST, beats(SECOND, FIRST), 0.8), INCONCLUSIVE),
    ],
)
def test_every_check_comes_to_each_verdict_that_the_numbers_allow(tmp_path, specs, check, verdict):
    fill(tmp_path, specs, *CLEAR)
    finding = judge(check, evidence(tmp_path, specs))
    assert finding.verdict == verdict, finding
    assert finding.rule
    assert finding.numbers


def test_no_room_for_certain_is_nothing_that_more_seeds_would_tell(tmp_path, specs):
    fill(tmp_path, specs, (0.95, 0.96, 0.97), (0.5, 0.52, 0.48))
    stored = evidence(tmp_path, specs)
    full, unsure = (
        judge(has_room(FIRST, beats(SECOND, FIRST), most), stored) for most in (0.8, 0.96)
    )
    assert full.verdict == unsure.verdict == INCONCLUSIVE
    assert seeds_needed(full, 3) is None
    assert seeds_needed(unsure, 3) is not None


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


EVERY_CHECK = [
    *CHECKS,
    stays_below(FIRST, 0.5),
    takes_longer(FIRST, SECOND, 1.0),
    saturates_before(FIRST, SECOND),
    reaches(replace(FIRST, rule="blow:noise"), 0.5),
    reaches(replace(FIRST, rule="inside:reused"), 0.5),
]


@pytest.mark.parametrize("check", EVERY_CHECK)
@pytest.mark.parametrize("sides", [("dt_net_recall",), ("dt_net",), ("dt_net_recall", "dt_net")])
@pytest.mark.parametrize(
    "more",
    [
        {"status": "collapsed", "steps": 0, "train_seconds": 0.0},
        {"status": "diverged", "steps": 40},
        {"steps": 0, "train_seconds": 0.0},
        {"train_seconds": 0.0},
        {"rows": []},
    ],
)
def test_runs_with_nothing_to_measure_end_in_a_verdict(tmp_path, specs, check, sides, more):
    fill(tmp_path, specs, *CLEAR)
    for name in sides:
        for spec in specs[name][:3]:
            store(tmp_path, spec, 0.9, **more)
    finding = judge(check, evidence(tmp_path, specs))
    assert finding.verdict in VERDICTS
    assert finding.numbers


@pytest.mark.parametrize("missing", [1, 3])
def test_a_ratio_of_times_that_is_missing_leaves_the_claim_open_and_says_so(
    tmp_path, specs, missing
):
    fill(tmp_path, specs, *CLEAR)
    for spec in specs["dt_net"][:missing]:
        store(tmp_path, spec, 0.5, steps=0)
    finding = judge(takes_longer(FIRST, SECOND, 1.0), evidence(tmp_path, specs))
    assert finding.verdict == INCONCLUSIVE
    assert f"seeds {list(range(missing))} have no time of a step" in finding.numbers[-1]


def test_where_every_run_diverged_nothing_is_solved_of_all_the_problems(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    for spec in specs["dt_net_recall"][:3]:
        store(tmp_path, spec, 0.0, status="diverged")
    found = evidence(tmp_path, specs)
    assert judge(reaches(FIRST, 0.5), found).verdict == NOT_REPRODUCED
    assert judge(stays_below(FIRST, 0.5), found).verdict == REPRODUCED
    assert judge(beats(FIRST, SECOND), found).verdict == NOT_REPRODUCED
    assert judge(beats(SECOND, FIRST), found).verdict == REPRODUCED


def test_saturation_is_read_off_the_task_that_is_meant(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    spec = specs["dt_net"][0]
    path = RunFolder(tmp_path, spec).result_path
    result = json.loads(path.read_text())
    other = [{**row, "test_task": "prefix_sums", "accuracy": 0.1} for row in result["rows"]]
    path.write_text(json.dumps({**result, "rows": result["rows"] + other}))
    found = evidence(tmp_path, specs)
    assert found.saturation(SECOND)[0] == 8
    assert found.saturation(replace(SECOND, test_task="prefix_sums"))[0] == 4


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


LIKE = {"precision": "bf16", "device": "AMD EPYC", "version": "0.2.0"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"precision": "fp32"}, "fp32 on"),
        ({"device": "H200"}, "H200"),
        ({"version": "0.3.0"}, "0.3.0"),
    ],
)
def test_runs_made_in_unlike_ways_are_not_averaged_without_a_word(specs, tmp_path, change, said):
    for spec, accuracy in zip(specs["dt_net_recall"][:3], (0.5, 0.5, 0.8), strict=True):
        store(tmp_path, spec, accuracy, **(LIKE | (change if spec.seed == 2 else {})))
    evidence = Evidence(tmp_path, specs["dt_net_recall"][:3])
    line = judge(reaches(FIRST, 0.1), evidence).numbers[0]
    assert "unlike ways" in line
    assert f"80.0 % in {made_by(Result.from_dict(LIKE | change))} (seed 2)" in line
    assert f"50.0 % in {made_by(Result.from_dict(LIKE))} (seeds 0, 1)" in line
    assert said in line


def test_runs_made_alike_are_averaged_as_they_are(specs, tmp_path):
    for spec in specs["dt_net_recall"][:3]:
        store(tmp_path, spec, 0.5, **LIKE)
    evidence = Evidence(tmp_path, specs["dt_net_recall"][:3])
    assert "unlike" not in " ".join(judge(reaches(FIRST, 0.1), evidence).numbers)


def test_two_sides_made_in_unlike_ways_are_compared_with_a_word(specs, tmp_path):
    for name, precision in (("dt_net_recall", "bf16"), ("dt_net", "fp32")):
        for spec in specs[name][:3]:
            store(tmp_path, spec, 0.5, **(LIKE | {"precision": precision}))
    evidence = Evidence(tmp_path, [*specs["dt_net_recall"][:3], *specs["dt_net"][:3]])
    numbers = judge(beats(FIRST, SECOND), evidence).numbers
    assert any("the two sides were made in unlike ways" in line for line in numbers)


def test_parts_keep_their_verdicts_and_effects_and_make_the_claim_s(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    check = every(beats(FIRST, SECOND), reaches(FIRST, 0.91), absent("no way"))
    record = as_record(judge(check, evidence(tmp_path, specs)))
    assert record["verdict"] == INCONCLUSIVE
    assert [part["verdict"] for part in record["parts"]] == [REPRODUCED, INCONCLUSIVE, NOT_RUN]
    effect = record["parts"][0]["effect"]
    assert effect["kind"] == "difference"
    assert effect["low"] < effect["value"] < effect["high"]
    assert effect["value"] == pytest.approx(0.41)
    (alone,) = as_record(judge(beats(FIRST, SECOND), evidence(tmp_path, specs)))["parts"]
    assert alone["verdict"] == REPRODUCED


def test_many_parts_that_hold_need_no_wider_intervals_but_one_that_fails_does(tmp_path, specs):
    fill(tmp_path, specs, (0.9, 0.92, 0.91), (0.84, 0.93, 0.88))
    found = evidence(tmp_path, specs)
    passes, fails = reaches(FIRST, 0.87), reaches(FIRST, 0.945)
    assert judge(passes, found).verdict == REPRODUCED
    assert judge(every(*[passes] * 9), found).verdict == REPRODUCED
    assert judge(fails, found).verdict == NOT_REPRODUCED
    many = judge(every(fails, *[passes] * 999), found)
    assert many.verdict == INCONCLUSIVE, "of a thousand true parts some fail by chance"
    assert many.each[0].verdict == NOT_REPRODUCED


def test_steps_to_an_accuracy_are_read_off_the_training_curve(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    for name, slow in (("dt_net_recall", 1.0), ("dt_net", 3.0)):
        for spec in specs[name][:3]:
            lines = [
                {
                    "step": int(s * slow * (1 + spec.seed / 10)),
                    "split": "validation",
                    "accuracy": a,
                }
                for s, a in ((100, 0.5), (200, 0.9), (300, 0.7))
            ]
            text = "\n".join(json.dumps(line) for line in lines)
            path = RunFolder(tmp_path, spec).metrics_path
            path.write_text(text + '\n{"step": 3, "spl')
    found = evidence(tmp_path, specs)
    assert found.steps_to(FIRST, 0.7)[0] == (pytest.approx(150), True)
    assert found.steps_to(FIRST, 0.95)[0] == (300, False)
    assert judge(fewer_steps(FIRST, SECOND, 0.7), found).verdict == REPRODUCED
    assert judge(fewer_steps(SECOND, FIRST, 0.7), found).verdict == NOT_REPRODUCED
    # Of the first a step takes as much as six of the second.
    assert judge(fewer_flops(FIRST, SECOND, 0.7), found).verdict == INCONCLUSIVE, "none were kept"
    for name, flops in (("dt_net_recall", 6e12), ("dt_net", 1e12)):
        for spec in specs[name][:3]:
            store(tmp_path, spec, 0.9, train_flops=flops)
    found = evidence(tmp_path, specs)
    assert found.flops_to(SECOND, 0.7)[0] == (pytest.approx(450 * 1e10), True)
    assert judge(fewer_flops(FIRST, SECOND, 0.7), found).verdict == NOT_REPRODUCED
    assert judge(fewer_flops(SECOND, FIRST, 0.7), found).verdict == REPRODUCED
    # Neither gets there: what they were given says nothing.
    assert judge(fewer_steps(FIRST, SECOND, 0.95), found).verdict == INCONCLUSIVE


def test_budgets_are_multiples_of_those_of_training(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    found = evidence(tmp_path, specs)

    def at(iterations):
        return found.measured(replace(FIRST, rule="fixed", iterations=iterations)).accuracy[0]

    assert at(4) == at("trained*0.5") == pytest.approx(0.45)
    assert at("trained") == at("trained+3") == at("trained*2.5") == pytest.approx(0.9)


def test_a_row_that_stands_for_more_iterations_says_so(tmp_path, specs):
    fill(tmp_path, specs, *CLEAR)
    for iterations, short in (("trained*2", False), ("trained+3", True)):
        one = replace(FIRST, rule="fixed", iterations=iterations)
        line = judge(reaches(one, 0.9, 0.05), evidence(tmp_path, specs)).numbers[0]
        assert ("8 iterations, the most recorded" in line) == short
        assert ("the most recorded" in line) == short
    none = replace(FIRST, rule="fixed", iterations=2)  # what was recorded took more
    assert judge(reaches(none, 0.9), evidence(tmp_path, specs)).verdict == NOT_RUN


def test_a_ratio_of_those_that_learned_alone_is_not_told(tmp_path, specs):
    check = saturates_before(SECOND, FIRST)
    for name, first in (("dt_net_recall", 8), ("dt_net", 4)):
        for spec in specs[name]:
            rows = [
                {"exit_rule": rule, "iterations": i, "test_difficulty": 13, "test_task": "maze",
                 "accuracy": 1.0 if i >= first else 0.1, "n_test": N}
                for i, rule in ((2, "fixed"), (4, "fixed"), (8, "fixed"), (8, "validated"))
            ]  # fmt: skip
            store(tmp_path, spec, 1.0, rows=rows)
    assert judge(check, evidence(tmp_path, specs, 5)).verdict == REPRODUCED
    for spec in specs["dt_net"][3:]:
        store(tmp_path, spec, 0.0, status="diverged")
    found = judge(check, evidence(tmp_path, specs, 5))
    assert found.verdict == INCONCLUSIVE
    assert "seeds [3, 4] tell nothing" in found.numbers[-1]


@pytest.mark.parametrize(("end", "verdict"), [(0, REPRODUCED), (1, NOT_REPRODUCED)])
def test_a_bound_is_one_sided(tmp_path, specs, end, verdict):
    """A bar between the bound that holds in 95 of 100 cases and that of the interval that does."""
    values = [0.86, 0.9, 0.94]
    fill(tmp_path, specs, values, values)
    solved = [np.arange(N) < round(value * N) for value in values]
    bound, wider = (mean_interval(values, N, level, solved)[end] for level in (0.9, 0.95))
    assert judge(reaches(FIRST, (bound + wider) / 2), evidence(tmp_path, specs)).verdict == verdict


def test_how_many_seeds_converge_is_said(tmp_path, specs):
    fill(tmp_path, specs, (0.99, 0.99, 0.1), (0.5, 0.5, 0.5))
    numbers = judge(
        noting_share(beats(FIRST, SECOND), (FIRST, SECOND), 0.9), evidence(tmp_path, specs)
    ).numbers
    assert any("2 of 3 seeds" in line and "on average 99.0 %" in line for line in numbers)
    assert any("0 of 3 seeds" in line for line in numbers)


def test_iterations_of_a_rule_that_chooses_them_are_refused():
    """Its one answer would be taken whatever was asked for."""
    with pytest.raises(ValueError, match="chooses the iterations itself"):
        RunSelector("maze", "dt_net", 21, iterations="trained")
    RunSelector("maze", "dt_net", 21, rule="fixed", iterations="trained")
    RunSelector("maze", "dt_net", 21, rule="agreement", iterations="trained*2")


def reach(specs, out, name, ends):
    """Runs that solve all problems up to a size, and of the next one, by seed, such a share."""
    for spec, (size, share) in zip(specs[name], ends, strict=False):
        spec = replace(spec, evaluation=replace(spec.evaluation, difficulties=(9, 13, 21, 33)))
        rows = [
            {"exit_rule": "validated", "iterations": 16, "test_difficulty": d, "test_task": "maze",
             "accuracy": 1.0 if d <= size else share if d == after(size) else 0.0, "n_test": N}
            for d in (9, 13, 21, 33)
        ]  # fmt: skip
        store(out, spec, 1.0, rows=rows)
        yield spec


def after(size):
    return {9: 13, 13: 21, 21: 33}.get(size)


@pytest.mark.parametrize(
    ("first", "second", "times", "verdict"),
    [
        (((21, 0.1), (21, 0.0), (21, 0.2)), ((9, 0.1), (9, 0.0), (9, 0.1)), 1.0, REPRODUCED),
        (((21, 0.1), (21, 0.0), (21, 0.2)), ((9, 0.1), (9, 0.0), (9, 0.1)), 4.0, NOT_REPRODUCED),
        (((9, 0.1), (9, 0.0), (9, 0.1)), ((21, 0.1), (21, 0.0), (21, 0.2)), 1.0, NOT_REPRODUCED),
        (((13, 0.1), (9, 0.0), (21, 0.2)), ((13, 0.1), (9, 0.3), (13, 0.1)), 1.0, INCONCLUSIVE),
        # All of the hardest: its d50 is larger still, and no more is known of it.
        (((33, 0), (33, 0), (33, 0)), ((9, 0.1), (9, 0.0), (9, 0.1)), 1.0, REPRODUCED),
        (((33, 0), (33, 0), (33, 0)), ((9, 0.1), (9, 0.0), (9, 0.1)), 4.0, INCONCLUSIVE),
        (((33, 0), (33, 0), (33, 0)), ((33, 0), (33, 0), (33, 0)), 1.0, INCONCLUSIVE),
        # Not half of the easiest.
        (((0, 0), (0, 0), (0, 0)), ((0, 0), (0, 0), (0, 0)), 0.5, INCONCLUSIVE),
    ],
)
def test_reach_is_compared_by_the_difficulty_of_which_half_is_solved(
    tmp_path, specs, first, second, times, verdict
):
    runs = [*reach(specs, tmp_path, "dt_net_recall", first)]
    runs += reach(specs, tmp_path, "dt_net", second)
    finding = judge(reaches_farther(FIRST, SECOND, times), Evidence(tmp_path, runs))
    assert finding.verdict == verdict, finding.numbers
    assert finding.effect.low <= finding.effect.value <= finding.effect.high


def test_a_network_that_diverged_reaches_nothing(tmp_path, specs):
    runs = [*reach(specs, tmp_path, "dt_net_recall", ((21, 0.1), (21, 0.0), (21, 0.2)))]
    for spec in specs["dt_net"][:3]:
        store(tmp_path, spec, 0.0, status="diverged")
    found = Evidence(tmp_path, [*runs, *specs["dt_net"][:3]])
    assert found.curves(SECOND)[0]
    assert set(found.curves(SECOND)[0].values()) == {0.0}
    assert judge(reaches_farther(FIRST, SECOND), found).verdict == REPRODUCED
