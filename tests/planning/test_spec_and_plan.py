"""A run is a value; a plan is checked before anything is written."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparisons.options import parse_setting, parse_settings
from comparisons.planning import plan as planning
from comparisons.planning.overrides import Sweep, overrides
from comparisons.planning.plan import Request, make_plan, make_spec
from comparisons.planning.presets import DEFAULT_PARADIGMS, default_paradigms
from comparisons.planning.repeat import repeat_command
from foundations.records.spec import EvaluationSpec, RunSpec, TrainSpec, default_of
from tasks import load_task

SPEC = RunSpec(task="maze", paradigm="dt_net_recall", train_difficulty=9, train_samples=100)


def specs():
    return st.builds(
        RunSpec,
        task=st.sampled_from(["maze", "prefix_sums"]),
        paradigm=st.sampled_from(["dt_net", "timm:resnet18", "lottery:hgru"]),
        train_difficulty=st.one_of(st.integers(1, 99), st.sampled_from(["easy", "hard"])),
        train_samples=st.integers(1, 10**6),
        seed=st.integers(0, 10),
        paradigm_options=st.dictionaries(st.sampled_from(["width", "a/b"]), st.integers()),
        train=st.builds(TrainSpec, steps=st.integers(1, 9), learning_rate=st.floats(1e-6, 1)),
        evaluation=st.builds(
            EvaluationSpec, difficulties=st.lists(st.integers(1, 9), max_size=3).map(tuple)
        ),
    )


@given(specs())
def test_a_spec_survives_being_stored(spec):
    stored = json.loads(json.dumps(spec.to_dict()))
    assert RunSpec.from_dict(stored) == spec
    assert RunSpec.from_dict(stored).run_id == spec.run_id


@given(specs(), specs())
def test_two_specs_share_a_name_only_if_they_are_equal(a, b):
    assert (a.run_id == b.run_id) == (a == b)


@given(specs())
def test_names_are_safe_as_file_names(spec):
    assert set(spec.run_id) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    )
    assert not spec.run_id.startswith(".")


def test_names_of_runs_stay_what_they_were():
    # A change here orphans every stored result: it needs a reason and a line in the change log.
    assert SPEC.run_id == "maze.dt_net_recall-s0-38b7c8f6a67f"
    other = replace(SPEC, seed=3, train=TrainSpec(steps=10), paradigm_options={"width": 8})
    assert other.run_id == "maze.dt_net_recall-s3-ee7f084d5581"


def test_stored_specs_of_another_schema_or_with_odd_fields_are_refused():
    for change in ({"schema": 99}, {"colour": 1}, {"train": {"colour": 1}}, {"train": None}):
        with pytest.raises(ValueError, match=r"schema|fields"):
            RunSpec.from_dict(SPEC.to_dict() | change)


def test_layers_override_each_other_in_order():
    spec = make_spec("maze", "dt_net_recall", "quick", 0, 100, {})
    assert spec.paradigm_options["width"] == 32
    assert spec.train_difficulty == 9
    chosen = {("paradigm", "width"): 16, ("dt_net_recall", "width"): 8, ("task", "difficulty"): 11}
    spec = make_spec("maze", "dt_net_recall", "quick", 0, 100, chosen)
    assert spec.paradigm_options["width"] == 8
    assert spec.train_difficulty == 11
    assert "difficulty" not in spec.task_options


def test_several_values_make_several_runs_and_a_paradigms_own_options_reach_it_alone():
    request = Request(
        tasks=("maze",),
        paradigms=("dt_net", "dt_net_recall"),
        preset="smoke",
        settings=overrides(
            dt_net={"width": Sweep(8, 16)}, train={"learning_rate": Sweep(1e-3, 1e-4)}
        ),
    )
    runs = make_plan(request).runs
    assert len(runs) == 2 * 2 + 2
    assert {r.paradigm_options["width"] for r in runs if r.paradigm == "dt_net"} == {8, 16}


def test_runs_of_other_seeds_are_planned_once_and_differ_in_their_seeds_alone(monkeypatch):
    """Two thousand runs of ten kinds load and build for ten."""
    built = []
    whole = planning._built
    monkeypatch.setattr(planning, "_built", lambda *given: built.append(given) or whole(*given))
    paradigms = ("dt_net_recall", "feed_forward", "convnet", "gru")
    seeds = tuple(range(50))
    runs = make_plan(Request(("prefix_sums",), paradigms, "smoke", seeds)).runs
    assert len(built) == len(paradigms)
    assert [(spec.seed, spec.paradigm) for spec in runs] == [
        (seed, name) for seed in seeds for name in paradigms
    ]
    for spec in (runs[0], runs[-1], runs[77]):
        alone = make_spec("prefix_sums", spec.paradigm, "smoke", spec.seed, spec.train_samples, {})
        assert (alone, alone.run_id) == (spec, spec.run_id)


def test_no_seed_may_be_negative():
    with pytest.raises(ValueError, match="seeds must be at least 0"):
        make_plan(Request(("prefix_sums",), ("convnet",), "smoke", (0, -1)))


def test_the_command_of_a_run_repeats_it():
    chosen = {
        ("paradigm", "width"): 24,
        ("task", "drawing"): "published",
        ("task", "difficulty"): 11,
        ("train", "learning_rate"): 0.002,
        ("evaluation", "difficulties"): (9, 15),
    }
    spec = make_spec("maze", "dt_net_recall", "smoke", 2, 77, chosen)
    words = repeat_command(spec).split()
    options = dict(zip(words[2::2], words[3::2], strict=True))
    settings = tuple(w for flag, w in zip(words[2::2], words[3::2], strict=True) if flag == "--set")
    request = Request(
        tasks=(options["--tasks"],),
        paradigms=(options["--paradigms"],),
        preset=options["--preset"],
        seeds=(int(options["--seeds"]),),
        train_samples=(int(options["--train-samples"]),),
        settings=parse_settings(settings),
    )
    assert make_plan(request).runs == (spec,)


def test_the_command_of_a_run_on_files_repeats_it_though_they_lack_the_usual_difficulties(tmp_path):
    task = load_task("prefix_sums")
    task.layouts["easy_to_hard"](task, 17, 300, tmp_path, seed=0, split="train")
    chosen = {
        ("task", "data_dir"): str(tmp_path),
        ("task", "test_all"): True,
        ("task", "difficulty"): 17,
        ("evaluation", "difficulties"): (17,),
    }
    spec = make_spec("prefix_sums", "dt_net_recall", "smoke", 0, 150, chosen)
    words = repeat_command(spec).split()
    pairs = list(zip(words[2::2], words[3::2], strict=True))
    again = parse_settings(tuple(word for flag, word in pairs if flag == "--set"))
    assert make_spec("prefix_sums", "dt_net_recall", "smoke", 0, 150, again) == spec


def test_presets_never_ask_for_more_problems_than_there_are():
    plan = make_plan(
        Request(
            tasks=("maze",),
            paradigms=("dt_net",),
            settings=overrides(task={"difficulty": 5}),
            train_samples=(9,),
        )
    )
    assert plan.runs[0].train.validation_samples < 512


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("width=3", "not of the form"),
        ("paradigm.width", "not of the form"),
        ("paradigm.width=", "not of the form"),
        ("pradigm.width=3", "unknown group in --set 'pradigm'; known: paradigm"),
        ("paradigm.widht=3", "unknown option of paradigm dt_net 'widht'; known: width"),
        ("paradigm.width=0", "at least 1"),
        ("task.colour=3", "unknown option of task maze"),
        ("task.difficulty=8", "odd integer"),
        ("train.stepz=3", "unknown train field 'stepz'; known: steps"),
        ("train.steps=0", "at least 1"),
        ("train.steps=2.5", "of type int"),
        ("train.alpha=2", "from 0 to 1"),
        ("train.learning_rate=nan", "at least 0"),
        ("train.optimizer=adm", "unknown optimizer 'adm'; known: adam"),
        ("train.schedule=cosin", "unknown schedule"),
        ("train.precision=fp8", "unknown precision"),
        ("evaluation.exit_rules=agreemnt", "unknown exit rule 'agreemnt'; known: agreement"),
        ("evaluation.difficulties=9,10", "odd integer"),
        ("evaluation.samples=-3", "at least 1"),
    ],
)
def test_settings_that_make_no_sense_say_what_is_allowed(setting, message):
    with pytest.raises(ValueError, match=message):
        make_plan(Request(("maze",), ("dt_net",), "smoke", settings=parse_settings([setting])))


@given(st.text(max_size=20))
def test_any_text_is_a_setting_or_a_clear_refusal(text):
    try:
        group, name, values = parse_setting(text)
    except ValueError as error:
        assert "not of the form" in str(error)
    else:
        assert group
        assert name
        assert values


@pytest.mark.parametrize("preset", ["smoke", "quick"])
@pytest.mark.parametrize("task", ["maze", "prefix_sums", "pathfinder", "cabc", "chess", "digits"])
def test_every_task_that_brings_its_data_can_be_planned_as_it_stands(task, preset):
    paradigms = default_paradigms([task])
    plan = make_plan(Request((task,), paradigms, preset))
    assert {run.paradigm for run in plan.runs} == set(paradigms)
    assert plan.skipped == ()


def test_a_study_has_the_paradigms_that_papers_compared_on_any_of_its_tasks():
    assert default_paradigms(["maze"]) == DEFAULT_PARADIGMS
    assert default_paradigms(["pathfinder", "maze"]) == (*DEFAULT_PARADIGMS, "hgru")
    alone = default_paradigms(["pathfinder", "cabc"])
    assert alone == default_paradigms(["cabc"])
    assert [name.removeprefix("gabor:") for name in alone] == [*DEFAULT_PARADIGMS, "hgru"]


@pytest.mark.parametrize("part", [TrainSpec, EvaluationSpec])
def test_every_number_of_a_spec_has_limits_and_its_default_is_within_them(part):
    for field in fields(part):
        if type(default_of(field)) in (int, float):
            path = f"part.{field.name}"
            (limits,) = get_type_hints(part, include_extras=True)[field.name].__metadata__
            limits.check(path, default_of(field))
            for odd in (limits.least - 1, limits.most + 1, float("inf"), float("nan")):
                with pytest.raises(ValueError, match=f"{path} must be (at|from)"):
                    limits.check(path, odd)


def test_a_setting_that_is_swept_over_is_a_run_for_each_value_and_a_list_is_one_value():
    parsed = parse_settings(["train.alpha=0,1", "evaluation.difficulties=9,13", "dt_net.width=8"])
    written = overrides(
        train={"alpha": Sweep(0, 1)},
        evaluation={"difficulties": (9, 13)},
        dt_net={"width": 8},
    )
    assert parsed == written
    assert [type(value) for value in parsed.values()] == [Sweep, tuple, int]
    runs = make_plan(Request(("maze",), ("dt_net",), "smoke", settings=written)).runs
    assert [spec.train.alpha for spec in runs] == [0.0, 1.0]
    assert {spec.evaluation.difficulties for spec in runs} == {(9, 13)}
    assert all(type(spec.train.alpha) is float for spec in runs)


def test_none_is_a_word_and_null_is_nothing():
    assert parse_setting("task.augment=none")[2] == ["none"]
    assert parse_setting("task.canvas=null,None")[2] == [None, None]
