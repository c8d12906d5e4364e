"""Fair budgets: what --match makes equal is equal, and what it cannot make equal is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparisons.cli import main
from comparisons.planning.match import (
    expected_step,
    kept_parameters,
    parameters_of,
    solve_width,
    training_flops,
)
from comparisons.planning.plan import Request, make_plan, make_spec
from comparisons.planning.repeat import repeat_command
from comparisons.training.objectives import progressive_draw
from paradigms import build_paradigm, paradigm_names, paradigm_options
from paradigms.base import count_parameters
from tasks import load_task

SMALL = ("dt_net_recall", "feed_forward_recall", "narrow_resnet18", "hgru", "lottery")


def plan(kind: str, task: str, paradigms: tuple[str, ...] = SMALL):
    return make_plan(Request((task,), paradigms, train_samples=(500,), match=kind))


def test_every_paradigm_of_our_own_has_a_width():
    assert [n for n in paradigm_names() if "width" not in paradigm_options(n)] == []


@pytest.mark.parametrize("task", ["maze", "prefix_sums", "pathfinder"])
def test_matched_parameters_are_as_near_as_a_width_allows(task):
    runs = plan("parameters", task).runs
    wanted = count_parameters(
        build_paradigm(
            runs[0].paradigm,
            load_task(task, **runs[0].task_options).spec,
            **runs[0].paradigm_options,
        )
    )
    assert parameters_of(runs[0]) == wanted
    for spec in runs[1:]:
        width, error = spec.paradigm_options["width"], abs(parameters_of(spec) - wanted)
        # Stages of narrow ResNets come in eights, so that the next other count may be as far off.
        for other in range(max(1, width - 12), width + 13):
            options = {**spec.paradigm_options, "width": other}
            assert abs(parameters_of(replace(spec, paradigm_options=options)) - wanted) >= error
        assert error < 0.35 * wanted, spec.paradigm


@settings(max_examples=20, deadline=None)
@given(target=st.integers(2_000, 3_000_000), name=st.sampled_from(["dt_net", "hgru", "resnet_bn"]))
def test_solved_widths_grow_with_the_target(target, name):
    spec = make_spec("pathfinder", name, "quick", 0, 500, {})
    assert solve_width(spec, target) <= solve_width(spec, 2 * target)


def test_pruned_weights_do_not_count():
    spec = load_task("maze").spec
    whole = build_paradigm("dt_net_recall", spec, width=16)
    pruned = build_paradigm("lottery", spec, width=16, density=0.25)
    weights = sum(p.numel() for p in whole.parameters() if p.dim() > 1)
    rest = count_parameters(whole) - weights
    assert kept_parameters(pruned) == rest + 0.25 * weights


@pytest.mark.parametrize("task", ["maze", "prefix_sums"])
def test_matched_flops_are_equal_to_within_a_step(task):
    found = plan("flops", task)
    wanted = training_flops(found.runs[0])
    for spec in found.runs:
        assert abs(training_flops(spec) - wanted) <= expected_step(spec)
    assert len(found.matched) == len(found.runs)
    assert "the reference" in found.matched[0]


def test_expected_iterations_are_those_of_the_draw():
    chosen = {("paradigm", "iterations"): 12, ("train", "alpha"): 1.0}
    spec = make_spec("maze", "dt_net_recall", "smoke", 0, 500, chosen)
    draws = [progressive_draw(12, 0, step) for step in range(4000)]
    from comparisons.testing.cost import count_cost

    task = load_task("maze", **spec.task_options)
    model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
    cost = count_cost(model, task.sample(spec.train_difficulty, 1).inputs)
    mean = sum(cost.training(*draw) for draw in draws) / len(draws) * spec.train.batch_size
    assert expected_step(spec) == pytest.approx(mean, rel=0.03)


@pytest.mark.parametrize("kind", ["parameters", "flops"])
def test_a_matched_run_is_repeated_by_its_command(kind):
    import shlex

    from comparisons.cli import make_parser, make_request

    for spec in plan(kind, "prefix_sums", SMALL[:3]).runs:
        options = make_parser().parse_args(shlex.split(repeat_command(spec))[2:])
        (again,) = make_plan(make_request(options)[0]).runs
        assert again.run_id == spec.run_id


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--match=size"], "known: samples, parameters, flops"),
        (["--match=parameters", "--set=paradigm.width=8"], "paradigm.width fixes them"),
        (["--match=parameters", "--set=narrow_resnet18.width=8"], "narrow_resnet18.width fixes"),
        (["--match=parameters", "--paradigms=dt_net,timm:resnet10t"], "timm:resnet10t: it has no"),
    ],
)
def test_what_cannot_be_matched_is_one_line(arguments, words, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--tasks=maze", *arguments, f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()
