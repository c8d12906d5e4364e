"""Which parameters of a network are recurrent, and what a learning rate of their own does."""

from __future__ import annotations

import pytest
import torch
from commands import SMALL
from safetensors.torch import load_file

from comparisons.cli import main
from comparisons.planning.plan import make_spec
from comparisons.training.optimizers import make_optimizer, named_state, restore_state
from foundations.records.spec import TrainSpec
from paradigms import PARADIGMS, build_paradigm
from tasks import load_task


def built(name: str, task: str = "maze", **options):
    torch.manual_seed(0)
    return build_paradigm(name, load_task(task).spec, **options)


def of_paper(paradigm: str):
    return make_spec("maze", paradigm, "paper", 0, 50_000, {})


def recurrent_names(model) -> set[str]:
    chosen = {id(p) for p in model.recurrent_parameters()}
    return {name for name, p in model.named_parameters() if id(p) in chosen}


def test_the_recall_of_a_dt_net_is_in_its_recurrent_block_as_published():
    names = recurrent_names(built("dt_net_recall", width=8))
    assert {name.partition(".")[0] for name in names} == {"recurrent", "recall"}
    outside = {name for name, _ in built("dt_net_recall", width=8).named_parameters()} - names
    assert {name.partition(".")[0] for name in outside} == {"projection", "head"}


@pytest.mark.parametrize("name", ["hgru", "hcnn", "td_hcnn"])
def test_horizontal_networks_have_recurrent_parameters(name):
    names = recurrent_names(built(name, "pathfinder"))
    assert names
    assert all(name.startswith("loop.") for name in names)


def test_a_pruned_network_has_those_of_the_network_it_is():
    whole, pruned = built("dt_net_recall", width=8), built("lottery", width=8, density=0.5)
    assert len(recurrent_names(pruned)) == len(recurrent_names(whole)) > 0


def moved_by_a_step(paradigm: str, task: str, scale: float):
    """By name, how far one step of plain gradient descent moves each parameter (in float64:
    gradients may be small)."""
    problems = load_task(task)
    model = built(paradigm, task).double()
    train = TrainSpec(optimizer="sgd", recurrent_lr_scale=scale, weight_decay=0.0)
    optimizer = make_optimizer(model, train)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    batch = problems.sample(problems.spec.train_difficulty, 2, seed=0, split="train")
    problems.loss(model(batch.inputs.double()), batch).backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.01 * group["scale"]
    optimizer.step()
    return {name: (p.detach() - before[name]) for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("paradigm", "task"), [("dt_net_recall", "prefix_sums"), ("hgru", "pathfinder")]
)
def test_recurrent_parameters_move_at_their_own_rate_and_no_others(paradigm, task):
    plain, scaled = (moved_by_a_step(paradigm, task, scale) for scale in (1.0, 0.1))
    recurrent = recurrent_names(built(paradigm, task))
    assert any(plain[name].abs().max() > 1e-9 for name in recurrent)
    for name, moved in plain.items():
        expected = moved * (0.1 if name in recurrent else 1.0)
        assert torch.allclose(scaled[name], expected, rtol=1e-3, atol=1e-14), name


def test_the_paper_recipe_for_mazes_slows_the_recall_too():
    spec = of_paper("dt_net_recall")
    model = built("dt_net_recall", width=8)
    slow, fast = make_optimizer(model, spec.train).param_groups
    assert slow["scale"] == pytest.approx(1 / 30)
    assert fast["scale"] == 1
    slowed = {id(p) for p in slow["params"]}
    assert {id(p) for p in model.recall.parameters()} <= slowed


@pytest.mark.parametrize("name", [n for n in PARADIGMS if "resnet18" in n and "recurrent" not in n])
def test_a_rate_for_recurrent_parameters_that_are_not_there_is_an_error(name, tmp_path, capsys):
    asked = ("--tasks=maze", f"--paradigms={name}", "--set=train.recurrent_lr_scale=0.1")
    assert main([*asked, f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"train.recurrent_lr_scale must be 1 for {name}" in error
    # Of a preset it is left out, as presets are for all networks.
    assert of_paper(name).train.recurrent_lr_scale == 1


def test_checkpoints_of_before_go_on_with_the_right_moments():
    """They number parameters in the order of groups that the recall was not in."""
    model = built("dt_net_recall", width=8)
    optimizer = make_optimizer(model, TrainSpec(optimizer="adam"))
    problems = load_task("maze")
    batch = problems.sample(9, 2, seed=0, split="train")
    problems.loss(model(batch.inputs, iterations=2), batch).backward()
    optimizer.step()
    state = named_state(optimizer, model)
    first = [n for n, _ in model.named_parameters() if n.startswith("recurrent")]
    order = [*first, *(n for n, _ in model.named_parameters() if n not in first)]
    number = {name: place for place, name in enumerate(order)}
    old = {}
    for key, tensor in state.items():
        owner, _, what = key.rpartition(".")
        old[f"{number[owner]}.{what}"] = tensor
    fresh = make_optimizer(model, TrainSpec(optimizer="adam"))
    restore_state(fresh, model, old)
    found = named_state(fresh, model)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_run_is_trained_by_it(tmp_path):
    """With rate 0 recurrent weights stay as they were drawn, the recall's among them."""
    arguments = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL, "--workers=1")
    arguments += ("--set=train.recurrent_lr_scale=1e-12", "--set=train.weight_decay=0")
    arguments += ("--set=train.learning_rate=0.01", "--set=train.warmup_steps=0")
    arguments += ("--set=train.alpha=0",)  # every step reaches the first layer
    assert main([*arguments, f"--out={tmp_path}"]) == 0
    (path,) = (tmp_path / "runs").glob("*/model.safetensors")
    weights = load_file(path)
    model = built("dt_net_recall", width=8)
    names = recurrent_names(model)
    for name, p in model.named_parameters():
        assert torch.allclose(weights[name], p, atol=1e-7) == (name in names), name
