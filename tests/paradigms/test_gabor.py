"""Networks between the ends of hGRU."""

from __future__ import annotations

import pytest
import torch

from comparisons.testing.cost import count_cost
from foundations.errors import Unsuitable
from paradigms import build_paradigm, paradigm_options, paradigm_recipe, paradigm_title
from paradigms.base import count_parameters
from paradigms.gabor import SITE_OUTPUTS, maps_of
from paradigms.hgru.net import GlobalReadout, Stem
from tasks.base import TaskSpec

CONTOUR = TaskSpec("contour", 1, 2, False, 1, (1,), 1, (64, 64), 0.5)
MAZE = TaskSpec("mazes", 3, 2, True, 2, (1,), 1, None)
INNER = (
    "dt_net_recall", "feed_forward_recall", "dt_net_lipschitz", "deq", "trm", "conv_gru", "locrnn",
    "gru", "linear_rnn", "transformer", "looped_transformer", "dilated_cnn", "unet",
    "narrow_resnet18", "resnet50d", "recurrent_resnet",
)  # fmt: skip


def made(inner, **more):
    torch.manual_seed(0)
    name = f"gabor:{inner}"
    options = paradigm_recipe(name, "quick", CONTOUR).get("options", {})
    return build_paradigm(name, CONTOUR, **(options | more))


@pytest.mark.parametrize("inner", INNER)
def test_it_is_the_network_with_its_weights_and_iterations_and_the_two_ends(inner):
    model = made(inner)
    options = paradigm_recipe(f"gabor:{inner}", "quick", CONTOUR).get("options", {})
    alone = build_paradigm(inner, maps_of(CONTOUR, 32, 4), **options)
    ends = count_parameters(Stem(2, 1, 32, 4)) + count_parameters(GlobalReadout(2, SITE_OUTPUTS, 1))
    assert count_parameters(model) == count_parameters(alone) + ends
    for name in ("train_iterations", "max_iterations", "progressive", "over_positions"):
        assert getattr(model, name) == getattr(alone, name)
    assert sum(p.numel() for p in model.recurrent_parameters()) == sum(
        p.numel() for p in alone.recurrent_parameters()
    )


@pytest.mark.parametrize("inner", ["dt_net_recall", "gru", "conv_gru"])
def test_an_answer_is_the_inner_networks_on_the_stems_maps_read_by_the_maximum(inner):
    model = made(inner).eval()
    x = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        maps = model.stem(x)
        assert maps.shape == (3, 32, 16, 16)
        sites = model.inner(maps)
        assert sites.shape == (3, SITE_OUTPUTS, 16, 16)
        torch.testing.assert_close(model(x), model.head(sites))
        # What one site says decides.
        loud = sites.clone()
        loud[:, :, 5, 5] += 100
        assert not torch.allclose(model.head(loud), model.head(sites))
        state, context = model.begin(x)
        torch.testing.assert_close(state.parts[0], model.encode(x).parts[0])
        again = model.advance(state, model.context(x))
        torch.testing.assert_close(model.advance(state, context).parts[0], again.parts[0])


@pytest.mark.parametrize("name", ["gabor:dt_net_recall", "gabor:unet", "conv_gru"])
def test_what_state_and_context_share_is_computed_and_counted_once(name):
    torch.manual_seed(0)
    options = paradigm_recipe(name, "quick", CONTOUR)["options"]
    model = build_paradigm(name, CONTOUR, **options)
    calls = []
    model.stem.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(torch.rand(2, 1, 64, 64))
    assert len(calls) == 1
    cost = count_cost(model, torch.rand(1, 1, 64, 64))
    stem = 2 * 64 * 64 * model.stem.conv.weight.numel()
    assert stem <= cost.fixed < 2 * stem


def test_it_takes_the_options_of_both_and_has_the_title_of_both():
    assert {"filters", "shrink", "width", "iterations"} <= set(paradigm_options("gabor:dt_net"))
    assert paradigm_title("gabor:unet") == "Gabor-stem U-Net"
    assert paradigm_title("gabor") == paradigm_title("gabor:dt_net_recall")
    assert made("dt_net_recall", width=8, iterations=3, filters=5).train_iterations == 3


def test_dense_answers_are_read_at_every_site():
    model = build_paradigm("gabor", MAZE, width=8, iterations=3).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 3, 11, 13)).shape == (2, 2, 11, 13)


def test_others_are_wrapped_around_it():
    halting = build_paradigm("adaptive:gabor:dt_net_recall", CONTOUR, width=8, iterations=3)
    assert halting(torch.rand(2, 1, 64, 64)).shape == (2, 1)
    pruned = build_paradigm("lottery:gabor:dt_net_recall", CONTOUR, width=8, density=0.5)
    assert pruned.pruning is not None


@pytest.mark.parametrize(
    ("name", "spec", "options", "said"),
    [
        ("gabor", MAZE, {"shrink": 2}, "shrink must be 1 for a dense task, not 2"),
        ("gabor:adaptive:dt_net", CONTOUR, {}, "it is adaptive:gabor:NAME"),
        ("gabor:lottery", CONTOUR, {}, "it is lottery:gabor:NAME"),
        ("gabor", CONTOUR, {"shrink": 0}, "filters and shrink must be at least 1, not 32 and 0"),
        ("gabor:resnet_18", CONTOUR, {}, "unknown paradigm"),
        ("gabor", CONTOUR, {"colour": 1}, "unknown option of paradigm gabor"),
    ],
)
def test_what_makes_no_sense_is_said(name, spec, options, said):
    with pytest.raises(ValueError, match=said) as raised:
        build_paradigm(name, spec, **options)
    assert isinstance(raised.value, Unsuitable) == ("makes no sense" in str(raised.value))
