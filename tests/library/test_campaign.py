"""A campaign in leases: what it runs and in which order, and that leases on machines that have
nothing but the archives end in what one long lease ends in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from commands import comparable

from benchmarks import __main__ as benchmarks
from benchmarks import agenda as ordering
from benchmarks import campaign
from benchmarks.agenda import (
    Question,
    agenda,
    checkpoint_bytes,
    open_questions,
    questions,
    training_of,
)
from comparisons.execution.deciding import Standing
from comparisons.storage.merging import merge
from comparisons.storage.run_folder import RunFolder
from comparisons.studies.finding import INCONCLUSIVE, Finding
from comparisons.training.loop import Paused
from reports import build_report

SMALL = (
    "--preset=smoke",
    "--studies=b22-sums",
    "--seeds=4",
    "--workers=1",
    "--speed=1000",
    "--set=train.steps=20",
    "--set=train.batch_size=4",
    "--set=train.validate_every=8",
    "--set=train.precision=fp32",
    "--set=paradigm.width=8",
    "--set=paradigm.iterations=3",
    "--set=evaluation.exit_rules=oracle",
    "--set=evaluation.pictures=0",
    "--most-tested=6",
)


class Clock:
    """A second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture(scope="module")
def asked():
    found, lines = questions(
        ("b22-huge", "b22-sums", "b22-large", "thread-recovery"), "paper", (0,), {}, None
    )
    return found, lines


def test_mazes_at_width_128_with_recall_come_first_then_its_sums(asked):
    entries = agenda(asked[0])
    first, second = entries[:1], entries[1:2]
    assert {e.spec.paradigm for e in (*first, *second)} == {"dt_net_recall"}
    assert {e.spec.task for e in first} == {"maze"}
    assert {e.spec.evaluation.difficulties for e in first} == {(201,)}
    assert set(first[-1].decides) == {"B22-maze-201", "B22-201"}
    assert {e.spec.task for e in second} == {"prefix_sums"}
    assert second[-1].decides == ("B22-prefix-512",)
    assert [checkpoint_bytes(e.spec) // 4 // 3 for e in (first[0], second[0])] == [783504, 3123600]
    # Each once, and all that the claims need.
    assert len({e.spec.run_id for e in entries}) == len(entries)
    assert {e.spec.run_id for e in entries} == {s.run_id for q in asked[0] for s in q.runs}
    assert sorted(c for e in entries for c in e.decides) == sorted(q.claim for q in asked[0])


def test_a_training_that_others_share_is_counted_once(asked):
    entries = agenda(asked[0])
    met: set[str] = set()
    for entry in entries:
        assert entry.shared is (training_of(entry.spec) in met)
        met.add(training_of(entry.spec))
        assert entry.flops == entry.load.testing + (not entry.shared) * entry.load.training
    tested_elsewhere = [e for e in entries if e.spec.evaluation.difficulties == (59,)]
    assert [e.shared for e in tested_elsewhere if e.spec.train.alpha == 0.01] == [True]


def test_a_claim_that_no_run_decides_is_named(asked):
    assert "TH-801: no run of preset paper decides it" in asked[1]


def test_what_decides_most_for_its_work_comes_first(asked, monkeypatch):
    """Of claims that nobody put first: one for 4, one more for 3 then, and two for 10."""
    spec = asked[0][0].runs[0]
    flops = {"a": 10.0, "b": 4.0, "c": 3.0}
    runs = {name: replace(spec, task=name) for name in flops}

    class Work:
        def __init__(self, one):
            self.training, self.testing = flops[one.task], 0.0

    monkeypatch.setattr(ordering, "load_of", Work)
    claims = [
        Question("three", "other", (runs["b"], runs["c"])),
        Question("one", "other", (runs["b"],)),
        Question("two", "other", (runs["a"],)),
        Question("again", "other", (runs["a"],)),
    ]
    entries = agenda(claims)
    assert [e.spec.task for e in entries] == ["b", "c", "a"]
    assert [e.decides for e in entries] == [("one",), ("three",), ("two", "again")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    assert benchmarks.main([f"--campaign={out}", "--minutes=0", *SMALL]) == 0
    return out


def test_leases_on_bare_machines_end_in_what_one_long_lease_ends_in(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "time", Clock())
    results, resume, leases, unfinished = None, None, 0, set()
    while True:
        out = tmp_path / f"lease{leases}"
        if results:
            merge([results, resume], out)
        assert benchmarks.main([f"--campaign={out}", "--minutes=1", *SMALL]) == 0
        leases += 1
        results, resume = out / "results.zip", out / "resume.zip"
        assert results.stat().st_size < 16 << 20
        runs = list((out / "runs").iterdir())
        unfinished |= {run.name for run in runs if not (run / "result.json").exists()}
        if len(list((out / "runs").glob("*/result.json"))) == len(list((whole / "runs").iterdir())):
            break
        assert leases < 10
    assert leases >= 2
    assert unfinished, "no run was left in the middle"
    mine = tmp_path / "mine"
    merge([results], mine)
    assert comparable(mine) == comparable(whole)
    verdicts = [json.loads((f / "verdicts.json").read_text())["studies"] for f in (mine, whole)]
    assert [[c["verdict"] for c in s["claims"]] for s in verdicts[0]] == [
        [c["verdict"] for c in s["claims"]] for s in verdicts[1]
    ]
    assert build_report(mine).exists()
    # Nothing is left to be done, nor done twice.
    before = comparable(mine)
    assert benchmarks.main([f"--campaign={mine}", "--minutes=0", *SMALL]) == 0
    assert comparable(mine) == before


def test_workers_finish_what_one_process_finishes(whole, tmp_path):
    out = tmp_path / "out"
    ways = [o for o in SMALL if not o.startswith("--workers")]
    assert benchmarks.main([f"--campaign={out}", "--minutes=0", "--workers=2", *ways]) == 0
    assert comparable(out) == comparable(whole)


def test_without_seeds_a_claim_is_asked_until_it_is_told(tmp_path, capsys):
    ways = [o for o in SMALL if not o.startswith(("--seeds", "--most-tested"))]
    ways = [f"--campaign={tmp_path}", "--minutes=0", *ways, "--set=evaluation.samples=6"]
    assert benchmarks.main(ways) == 0
    assert "3 of 3 runs finished, 1 of 1 claim decided" in capsys.readouterr().out
    (claim,) = json.loads((tmp_path / "verdicts.json").read_text())["studies"][0]["claims"]
    assert claim["verdict"] == "not reproduced"  # 20 steps are none
    assert benchmarks.main(ways) == 2
    assert "B22-prefix-512: told" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seeds", "needed", "asked"), [(0, 3, 3), (3, 8, 5), (5, 8, 8), (20, 40, 0), (3, None, 0)]
)
def test_of_a_claim_that_is_open_the_next_look_is_asked(
    seeds, needed, asked, tmp_path, monkeypatch
):
    def stands(name, *_):
        finding = Finding(INCONCLUSIVE, "", ())
        return [Standing(name, "B22-prefix-512", finding, seeds, needed)]

    monkeypatch.setattr(ordering, "standings", stands)
    found, lines = open_questions(("b22-sums",), "smoke", {}, None, tmp_path)
    assert [len({spec.seed for spec in one.runs}) for one in found] == ([asked] if asked else [])
    assert lines == ([] if asked else ["B22-prefix-512: more seeds can't tell"])


def test_the_end_says_how_it_stands(whole, capsys):
    assert benchmarks.main([f"--campaign={whole}", "--minutes=0", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs finished, 1 of 1 claim decided (B22-prefix-512)" in said
    assert "results.zip: 0." in said


def test_a_dry_run_tells_the_runs_their_minutes_and_claims(whole, tmp_path, capsys):
    assert benchmarks.main([f"--campaign={whole}", "--dry-run", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "| 4 of 4 |" in said
    assert "B22-prefix-512" in said
    assert "4 runs, about" in said
    out = tmp_path / "out"
    assert benchmarks.main([f"--campaign={out}", "--dry-run", *SMALL]) == 0
    assert not out.exists()


def lease(ends: float, spec, times=(10.0, 5.0), travels=True) -> tuple[campaign.Lease, list]:
    saved: list = []
    return campaign.Lease(
        ends,
        {spec.run_id: campaign.Times(*times)},
        frozenset([spec.run_id] if travels else []),
        lambda: saved.append(1),
    ), saved


@pytest.mark.parametrize(
    ("left", "trained", "travels", "begins"),
    [
        (20, 0.0, True, True),
        (0, 0.0, True, False),
        (12, 0.0, True, True),  # trained as far as it goes
        (12, 0.0, False, False),  # its checkpoint would be lost
        (16, 0.0, False, True),
        (12, 0.5, False, True),
        (4, 1.0, True, False),  # tests can't be left in the middle
        (6, 1.0, True, True),
    ],
)
def test_a_run_is_begun_only_where_it_comes_to_something(
    left, trained, travels, begins, asked, tmp_path, monkeypatch
):
    spec = asked[0][0].runs[0]
    monkeypatch.setattr(campaign, "trained_share", lambda folder: trained)
    began = []
    monkeypatch.setattr(campaign, "execute", lambda *given: began.append(given))
    monkeypatch.setattr(campaign.time, "time", lambda: 100.0)
    one, saved = lease(100.0 + left, spec, travels=travels)
    one(spec, RunFolder(tmp_path, spec), None, None)
    assert (len(began), len(saved)) == (int(begins),) * 2


def test_what_is_paused_is_saved_and_what_fails_is_told(asked, tmp_path, monkeypatch):
    spec = asked[0][0].runs[0]
    one, saved = lease(float("inf"), spec)

    def paused(*given):
        raise Paused

    monkeypatch.setattr(campaign, "execute", paused)
    one(spec, RunFolder(tmp_path, spec), None, None)
    assert saved == [1]

    def failed(*given):
        raise ValueError("broken")

    monkeypatch.setattr(campaign, "execute", failed)
    with pytest.raises(ValueError, match="broken"):
        one(spec, RunFolder(tmp_path, spec), None, None)


def test_tests_are_begun_only_if_they_end_in_time(asked, monkeypatch):
    monkeypatch.setattr(campaign.time, "time", lambda: 100.0)
    one, _ = lease(110.0, asked[0][0].runs[0])
    assert not one.over(5.0, "training")
    assert not one.over(9.0, "testing")
    assert one.over(11.0, "testing")
    assert not one.over(11.0, "training")


def test_checkpoints_of_finished_runs_travel_where_others_take_their_training(whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (done, *_) = [p for p in (out / "runs").iterdir() if "dt_net_recall-s0" in p.name]
    spec = campaign.RunSpec.from_dict(json.loads((done / "spec.json").read_text()))
    tested = replace(spec, evaluation=replace(spec.evaluation, difficulties=(64,)))
    assert campaign.Save(out, (spec, tested), (16, 40))() == []
    other = tmp_path / "other"
    merge([out / "results.zip", out / "resume.zip"], other)
    assert (other / "runs" / done.name / "checkpoint" / "state.safetensors").exists()
    assert campaign.Save(out, (spec,), (16, 40))() == []
    merge([out / "results.zip", out / "resume.zip"], tmp_path / "third")
    assert not (tmp_path / "third" / "runs" / done.name / "checkpoint").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--studies=b23"], "unknown study 'b23'"),
        (["--preset=papre"], "unknown preset 'papre'"),
        (["--set=train.steps=0"], "train.steps"),
        (["--studies=b22-sums", "--preset=large"], "preset"),
        (["--minutes=x"], "not a whole number"),
    ],
)
def test_wrong_usage_is_one_line(options, says, tmp_path, capsys):
    out = tmp_path / "out"
    try:
        status = benchmarks.main([f"--campaign={out}", "--speed=1", *options])
    except SystemExit as end:
        status = end.code
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not out.exists()
