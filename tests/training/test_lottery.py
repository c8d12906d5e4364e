"""Pruned networks and the criteria that prune them, by their properties."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from comparisons.cli import main
from comparisons.planning.estimate import load_of
from comparisons.planning.plan import make_spec
from comparisons.storage.tensors import load_tensors, save_tensors
from comparisons.training.loop import train_run
from comparisons.training.pruning import (
    connected,
    densities,
    grasp_scores,
    keep_best,
    magnitude_scores,
    prune,
    random_scores,
    scoring_loss,
    shuffled,
    snip_scores,
    synflow_scores,
)
from foundations.records.spec import RunSpec
from paradigms import build_paradigm, paradigm_options
from paradigms.base import Paradigm, State, count_parameters
from paradigms.lottery import CRITERIA, active_parameters, masked_layers
from tasks import load_task

ONE_SHOT = [c for c in CRITERIA if c != "imp"]
CPU = torch.device("cpu")


def spec_of(paradigm="lottery", task="prefix_sums", **options):
    chosen = {("train", "steps"): 4, ("train", "batch_size"): 8, ("train", "validation_samples"): 8}
    chosen |= {("paradigm", key): value for key, value in options.items()}
    return make_spec(task, paradigm, "smoke", 0, 100, chosen)


def built(spec):
    task = load_task(spec.task, **spec.task_options)
    torch.manual_seed(spec.seed)
    return task, build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)


def pruned(spec):
    task, model = built(spec)
    return task, model, prune(spec, task, model, CPU, None)


# --- masks
# -------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.floats(0.01, 1),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_the_density_is_exact_whatever_the_shapes_and_ties(sizes, density, levels, random):
    scores = {
        f"w{i}": torch.tensor([float(random.randrange(levels)) for _ in range(n)])
        for i, n in enumerate(sizes)
    }
    whole = keep_best(scores, density, "global")
    assert sum(int(m.sum()) for m in whole.values()) == round(density * sum(sizes))
    kept = torch.cat([s[whole[n] > 0] for n, s in scores.items()])
    lost = torch.cat([s[whole[n] == 0] for n, s in scores.items()])
    assert not len(kept) or not len(lost) or kept.min() >= lost.max()
    for _name, mask in keep_best(scores, density, "layer").items():
        assert int(mask.sum()) == round(density * mask.numel())


@given(st.lists(st.integers(0, 1), min_size=1, max_size=50), st.integers(0, 99))
def test_a_shuffled_mask_keeps_as_many_weights_in_each_layer(bits, seed):
    masks = {"a": torch.tensor(bits, dtype=torch.float32), "b": torch.ones(2, 3)}
    moved = shuffled(masks, torch.Generator().manual_seed(seed))
    assert {n: m.shape for n, m in moved.items()} == {n: m.shape for n, m in masks.items()}
    assert all(moved[n].sum() == masks[n].sum() for n in masks)


@pytest.mark.parametrize("criterion", ONE_SHOT)
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_a_pruned_network_has_exactly_the_density_asked_for(criterion, scope):
    spec = spec_of(criterion=criterion, scope=scope, density=0.3, keep="ends", width=8)
    _, model, found = pruned(spec)
    kept, whole = (sum(part) for part in zip(*found.density.values(), strict=True))
    if scope == "global":
        assert kept == round(0.3 * whole)
    else:
        assert all(k == round(0.3 * n) for k, n in found.density.values())
    assert active_parameters(model) == count_parameters(model) - whole + kept
    names = [n for n, p in model.named_parameters() if p.dim() >= 2]
    assert len(found.density) == len(names) - 2, "first and last are left whole"


@pytest.mark.parametrize("base", ["narrow_resnet18", "hgru", "recurrent_resnet", "resnet_bn"])
def test_any_paradigm_can_be_pruned_and_all_its_own_options_still_hold(base):
    assert set(paradigm_options(base)) < set(paradigm_options(f"lottery:{base}"))
    spec = spec_of(f"lottery:{base}", "digits", density=0.5)
    task, model, found = pruned(spec)
    assert found.connected
    kept, whole = (sum(part) for part in zip(*found.density.values(), strict=True))
    assert kept == round(0.5 * whole)
    assert model(task.sample(1, 2).inputs).isfinite().all()


# --- scores
# ------------------------------------------------------------------------------------------


class Small(Paradigm):
    """Two linear layers with a nonlinearity between, all in float64, for finite differences."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)

    def encode(self, x):
        return State(x)

    def advance(self, state, context):
        return State(torch.tanh(self.first(context)), state.iteration + 1)

    def readout(self, state):
        return self.second(state.hidden)


def small_masked():
    from torch.nn.utils import parametrize

    from paradigms.lottery import Mask

    torch.manual_seed(3)
    model = Small().double()
    for layer in (model.first, model.second):
        parametrize.register_parametrization(layer, "weight", Mask(layer.weight.detach()))
    x, y = torch.randn(5, 3).double(), torch.randn(5, 1).double()
    return model, masked_layers(model), lambda: (model(x) - y).square().mean()


def test_snip_is_what_the_loss_changes_by_when_a_mask_does():
    _, layers, loss = small_masked()
    scores = snip_scores(layers, loss)
    step = 1e-6
    for name, layer in layers.items():
        for place in np.ndindex(*layer.mask.shape):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    layer.mask[place] += sign * step
                    values.append(loss().item())
                    layer.mask[place] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert scores[name][place].item() == pytest.approx(abs(slope), abs=1e-8)


def test_grasp_is_minus_the_weight_times_the_explicit_hessian_times_the_gradient():
    _, layers, loss = small_masked()
    scores = grasp_scores(layers, loss)
    weights = [layer.original for layer in layers.values()]
    gradient = torch.autograd.grad(loss(), weights, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])
    hessian = torch.stack(
        [
            torch.cat([h.flatten() for h in torch.autograd.grad(g, weights, retain_graph=True)])
            for g in flat
        ]
    )
    product = -torch.cat([w.detach().flatten() for w in weights]) * (hessian @ flat.detach())
    torch.testing.assert_close(torch.cat([s.flatten() for s in scores.values()]), product)


def test_synflow_conserves_the_scores_of_each_layer():
    spec = spec_of("lottery:mlp", "digits", width=20, depth=5)
    task, model = built(spec)
    layers = masked_layers(model)
    before = copy.deepcopy(model.state_dict())
    scores = synflow_scores(model, layers, task.sample(1, 1).inputs)
    sums = torch.stack([s.sum() for s in scores.values()])
    torch.testing.assert_close(sums / sums[0], torch.ones_like(sums))
    after = model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before), "nothing was left changed"


@pytest.mark.parametrize("density", [0.1, 0.01, 0.002])
def test_synflow_empties_no_layer_where_one_shot_criteria_may(density):
    spec = spec_of("lottery:mlp", "digits", criterion="synflow", density=density, width=40, depth=6)
    _, _, found = pruned(spec)
    assert found.connected
    assert all(kept > 0 for kept, _ in found.density.values())


def test_magnitude_does_not_see_the_data_and_random_does_not_see_the_weights():
    spec = spec_of(criterion="magnitude", density=0.5)
    _, model = built(spec)
    layers = masked_layers(model)
    before = magnitude_scores(layers)
    other = [random_scores(layers, torch.Generator().manual_seed(1)) for _ in range(2)]
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(-2)
    assert all(torch.equal(magnitude_scores(layers)[n], 2 * s) for n, s in before.items())
    again = random_scores(layers, torch.Generator().manual_seed(1))
    assert all(torch.equal(again[n], other[0][n]) for n in again)


@pytest.mark.parametrize("criterion", ONE_SHOT)
def test_scoring_leaves_everything_but_the_mask_as_it_was_and_repeats(criterion):
    spec = spec_of("lottery:resnet_bn", "digits", criterion=criterion, density=0.4)
    _, fresh = built(spec)
    _, one, first = pruned(spec)
    _, two, second = pruned(spec)
    assert first.density == second.density
    masks, again = masked_layers(one), masked_layers(two)
    assert all(torch.equal(masks[n].mask, again[n].mask) for n in masks)
    state = fresh.state_dict()
    for key, value in one.state_dict().items():
        if key.endswith("mask"):
            continue
        name = key.replace(".original", ".0.mask")
        expected = state[key]
        if key.endswith("original"):
            expected = expected * one.state_dict()[name]
        assert torch.equal(value, expected), key


def test_the_objective_scored_is_the_one_trained_with():
    spec = spec_of(width=8)
    task, model = built(spec)
    batch = task.sample(16, 8)
    loss = scoring_loss(spec, task, model, batch)()
    expected = task.loss(model(batch.inputs), batch, spec.train.label_smoothing)
    torch.testing.assert_close(loss, expected)


# --- training
# ----------------------------------------------------------------------------------------


class Folder:
    """A results folder that forgets."""

    def __init__(self, path):
        self.checkpoint_path, self.metrics_path = path / "state.safetensors", path / "metrics.jsonl"

    def log(self, **values):
        pass

    def checkpoint(self, mine):
        return None

    def forget_metrics_after(self, step):
        pass

    def check(self):
        pass


@pytest.mark.parametrize("control", ["none", "shuffle", "reinit"])
def test_pruned_weights_are_exactly_zero_after_training_and_after_loading(tmp_path, control):
    options = {"density": 0.3, "control": control, "width": 8, "iterations": 3}
    spec = spec_of(criterion="magnitude", **options)
    task, model, _ = pruned(spec)
    masks = {n: layer.mask.clone() for n, layer in masked_layers(model).items()}
    before = {n: layer.weight.clone() for n, layer in masked_layers(model).items()}
    tested, _, _ = train_run(
        spec, task, model, Folder(tmp_path), Accelerator(cpu=True), lambda news: None
    )
    save_tensors(tmp_path / "model.safetensors", tested.state_dict())
    _, loaded = built(spec)
    loaded.load_state_dict(load_tensors(tmp_path / "model.safetensors")[0])
    for network in (model, tested, loaded):
        layers = masked_layers(network)
        for name, mask in masks.items():
            assert torch.equal(layers[name].mask, mask)
            assert (layers[name].weight[mask == 0] == 0).all()
        moved = [n for n in masks if not torch.equal(layers[n].weight, before[n])]
        assert moved, "and others were trained"
    x = task.sample(16, 2).inputs
    assert torch.equal(tested.eval()(x), loaded.eval()(x))


def test_the_controls_change_what_they_say_and_nothing_else():
    plain, moved, redrawn = (
        pruned(spec_of(criterion="magnitude", density=0.3, control=control, width=8))[1]
        for control in ("none", "shuffle", "reinit")
    )
    a, b, c = (masked_layers(model) for model in (plain, moved, redrawn))
    assert densities(a) == densities(b) == densities(c)
    assert all(torch.equal(a[n].mask, c[n].mask) for n in a)
    assert any(not torch.equal(a[n].mask, b[n].mask) for n in a)
    for name in a:
        both = (a[name].mask * b[name].mask).bool()
        assert torch.equal(a[name].weight[both], b[name].weight[both])
        kept = a[name].mask.bool()
        assert (a[name].weight[kept] != c[name].weight[kept]).any()


def test_a_network_cut_in_two_is_collapsed_and_said_to_be_rather_than_scored(tmp_path):
    options = ["--preset=smoke", "--tasks=digits", "--paradigms=lottery:mlp", "--set=train.steps=2"]
    options += ["--set=lottery:mlp.density=0.0001", "--set=lottery:mlp.criterion=magnitude"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    table = pd.read_parquet(tmp_path / "results.parquet")
    assert set(table.status) == {"collapsed"}
    assert table.accuracy.isna().all()
    assert "collapsed" in (tmp_path / "report.html").read_text()
    result = json.loads(next((tmp_path / "runs").glob("*/result.json")).read_text())
    assert result["empty_layers"]


def test_rounds_of_training_and_pruning_end_at_the_density_and_rewind(tmp_path):
    options = [
        "--preset=smoke",
        "--tasks=prefix_sums",
        "--paradigms=lottery",
        "--set=train.steps=3",
        "--set=train.alpha=0",
    ]
    options += [
        "--set=lottery.criterion=imp",
        "--set=lottery.rounds=2",
        "--set=lottery.density=0.5",
    ]
    options += ["--set=paradigm.width=8", "--set=evaluation.samples=10"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    kept, whole = np.sum(list(result["layer_weights"].values()), 0)
    assert kept == round(0.5 * whole)
    assert result["active_parameters"] == result["parameters"] - whole + kept
    assert (run / "checkpoint" / "round1.jsonl").exists()
    assert (run / "checkpoint" / "round2.jsonl").exists()
    spec = RunSpec.from_dict(json.loads((run / "spec.json").read_text()))
    once = replace(spec, paradigm_options=spec.paradigm_options | {"criterion": "magnitude"})
    assert result["train_flops"] == pytest.approx(3 * load_of(once).training, rel=0.02)


def test_a_connected_network_is_told_from_one_that_is_not():
    _, model = built(spec_of("lottery:mlp", "digits", width=20, depth=5))
    x = load_task("digits").sample(1, 1).inputs
    assert connected(model, x)
    layer = next(iter(masked_layers(model).values()))
    layer.set_mask(torch.zeros_like(layer.mask))
    assert not connected(model, x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"criterion": "snap"}, "unknown lottery criterion 'snap'; known: snip"),
        ({"density": 0}, "over 0 and at most 1"),
        ({"density": 1.5}, "over 0 and at most 1"),
        ({"density": True}, "over 0 and at most 1"),
        ({"scope": "net"}, "unknown lottery scope"),
        ({"keep": "middle"}, "unknown lottery keep"),
        ({"control": "x"}, "unknown lottery control"),
        ({"rounds": 0}, "from 1 to 50"),
        ({"colour": 1}, "unknown option of paradigm lottery"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        build_paradigm("lottery", load_task("prefix_sums").spec, **options)


def test_pruning_what_is_pruned_already_is_refused():
    with pytest.raises(ValueError, match="not itself"):
        build_paradigm("lottery:lottery", load_task("prefix_sums").spec)
