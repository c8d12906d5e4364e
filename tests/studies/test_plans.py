"""At every preset, each claim is judged on made-up records of the very runs that are planned: what
can't be told is known before anything is trained."""

from __future__ import annotations

import pytest
from made_results import MadeUp, made_up

from comparisons.planning.presets import PRESETS
from comparisons.studies import ALL, load_study, plan_studies, studies_named
from comparisons.studies.finding import INCONCLUSIVE, NOT_RUN, REPRODUCED, judge
from tasks import load_task
from tasks.places import set_data_places, variable

#: Claims, or parts, that no run of a preset tells, by the reason that is said.
ABSENT = {
    "LE-F3-stability": ("quick", "smoke", "standard"),
    "TH-801": ("quick", "smoke", "standard", "paper"),
}
SOME_ABSENT = {
    "LE-T2-size": ("quick", "smoke"),
    "LE-F6-samples": ("quick", "smoke"),
    "B22-maze-59": ("quick", "smoke"),
    "YY-T1-ood": ("quick", "smoke", "standard"),
}


@pytest.fixture(autouse=True)
def all_data(monkeypatch):
    """As if every image there is were here; no plan opens one."""
    sizes = {"train": 45_000, "validation": 5000, "test": 30_000}
    monkeypatch.setattr("tasks.images.ImageTask.capacity", lambda self, d, split: sizes[split])


def of(name: str, preset: str):
    plan, of_study = plan_studies([name], preset)
    assert not [line for line in plan.skipped if " needs " in line or "out of reach" in line]
    return of_study[name]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", studies_named(ALL))
def test_every_claim_finds_the_runs_it_names_and_comes_to_a_verdict(name, preset):
    study, runs = load_study(name), of(name, preset)
    by_paradigm: dict[tuple[str, str], set[int]] = {}
    for spec in runs:
        by_paradigm.setdefault((spec.task, spec.paradigm), set()).add(spec.seed)
    for claim in study.claims:
        evidence = MadeUp(runs)
        finding = judge(claim.check_at(preset), evidence)
        if preset in ABSENT.get(claim.id, ()):
            assert finding.verdict == NOT_RUN
            continue
        for where, planned in evidence.found.items():
            assert len(planned) >= 3, (claim.id, where, planned)
            assert planned == tuple(range(len(planned))), (claim.id, where, planned)
        missing = [part for part in finding.each if part.effect is None]
        allowed = 1 if preset in SOME_ABSENT.get(claim.id, ()) else 0
        assert len(missing) == allowed, (claim.id, missing)
        assert claim.scale_at(preset) or preset == "paper" or preset == "standard"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", studies_named(ALL))
def test_no_claim_is_settled_where_all_networks_are_the_same(name, preset):
    """Equal accuracies of all networks and sizes show no difference: a claim that one network beats
    another is not reproduced by them."""
    runs = of(name, preset)

    class Same(MadeUp):
        def result(self, spec):
            return made_up(spec, 0.95)

    for claim in load_study(name).claims:
        finding = judge(claim.check_at(preset), Same(runs))
        for part in finding.each:
            if " beats " in part.rule and part.effect:
                assert part.verdict != REPRODUCED, (claim.id, part)


def test_networks_that_leave_no_room_leave_the_claim_open():
    runs = of("yy-lottery", "quick")

    class Perfect(MadeUp):
        def result(self, spec):
            return made_up(spec, 1.0)

    for claim in load_study("yy-lottery").claims:
        finding = judge(claim.check_at("quick"), Perfect(runs))
        assert finding.verdict == INCONCLUSIVE, (claim.id, finding)


def test_arms_of_a_standard_study_have_equal_budgets():
    """Steps, samples and batch; the loss too, but where it is what is compared."""
    for name in ("s21-depth", "s21-sizes", "b22-maze", "b22-large", "thread-recovery"):
        runs = [spec for spec in of(name, "standard") if spec.task == "maze"]
        budgets = {
            (s.train.total_steps, s.train.batch_size, s.train_samples, s.train.patience)
            for s in runs
        }
        assert len(budgets) == 1, (name, budgets)
        assert {s.train.patience for s in runs} == {10}


def test_wider_parts_are_not_needed_to_reproduce_a_claim():
    runs = of("b22-maze", "standard")

    class Best(MadeUp):
        def result(self, spec):
            recall = spec.paradigm == "dt_net_recall" and spec.train.alpha == 1.0
            return made_up(spec, 0.998 if recall else 0.6)

    (claim,) = load_study("b22-maze").claims
    finding = judge(claim.check_at("standard"), Best(runs))
    assert finding.verdict == REPRODUCED
    assert [part.verdict for part in finding.each] == [REPRODUCED] * 4


def test_studies_read_images_of_a_folder_and_make_their_mazes(tmp_path, monkeypatch):
    for name in ("cifar10", "emnist_balanced", "maze_data_train_9"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(variable("maze"), "")
    assert set_data_places(tmp_path, ["cifar10", "emnist", "svhn", "maze"]) == [
        "cifar10", "emnist", "maze",
    ]  # fmt: skip
    assert load_task("cifar10").data_dir == str((tmp_path / "cifar10").resolve())
    assert load_task("emnist").data_dir == str((tmp_path / "emnist_balanced").resolve())
    assert load_task("svhn").data_dir is None
    maze = load_task("maze")  # a task that can make problems reads files only where it is told to
    assert maze.sample(9, 1).inputs.shape == (1, 3, 11, 11)
