"""Tables of networks, and networks registered from outside."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from commands import ROOT
from torch import nn

import paradigms.hgru
from comparisons.listing import described, listing
from paradigms import (
    PARADIGMS,
    Entry,
    build_paradigm,
    paradigm_module,
    paradigm_options,
    paradigm_recipe,
)
from paradigms.base import Paradigm, State, count_parameters
from paradigms.lottery import active_parameters, masked_layers
from tasks.base import TaskSpec

SPEC = TaskSpec("digit", 1, 2, False, 10, (1,), 1, (8, 8))


class Tiny(Paradigm):
    """A linear layer (over all pixels) that runs once."""

    max_iterations = 1

    def __init__(self, spec, *, scale=1.0):
        super().__init__()
        self.scale = scale
        self.layer = nn.Linear(spec.in_channels * 64, spec.outputs)

    def encode(self, x):
        return State(x)

    def advance(self, state, context):
        return State(self.layer(self.scale * state.hidden.flatten(1)), 1)

    def readout(self, state):
        return state.hidden


def tiny_recipe(name, preset, spec):
    return {"options": {"scale": 2.0 if preset == "quick" else 3.0}}


@pytest.fixture
def register():
    """`PARADIGMS.register`, undone after the test."""
    before = dict(PARADIGMS)
    yield PARADIGMS.register
    PARADIGMS.clear()
    PARADIGMS.update(before)


def defaults(name):
    return {option: p.default for option, p in paradigm_options(name).items()}


def test_a_row_sets_defaults_and_what_it_sets_beside_them_is_no_option():
    assert defaults("hgru") | {"activation": "relu"} == defaults("hcnn")
    assert defaults("hgru") == defaults("td_hcnn")
    assert set(defaults("mlp")) == {"depth", "width"}
    assert set(defaults("resnet")) - set(defaults("resnet_bn")) == {"dilation"}
    with pytest.raises(ValueError, match="unknown option of paradigm dt_net 'recall'"):
        build_paradigm("dt_net", SPEC, recall=True)


def test_a_class_registered_from_outside_is_a_paradigm_like_any(register):
    register("tiny", Tiny)
    assert defaults("tiny") == {"scale": 1.0}
    assert build_paradigm("tiny", SPEC, scale=0.0)(torch.ones(2, 1, 8, 8)).shape == (2, 10)
    assert paradigm_recipe("tiny", "quick", SPEC) == {}
    assert paradigm_module("tiny") == [sys.modules[__name__]]
    assert "  tiny                   A linear layer\n" in listing()
    assert "scale" in paradigm_options("lottery:tiny")


def test_a_recipe_is_named_beside_its_factory_and_only_there(register):
    register("tiny", Entry(Tiny, tiny_recipe))
    register("tiny_named", Entry(f"{__name__}:Tiny", f"{__name__}:tiny_recipe"))
    register("tiny_row", Entry(partial(Tiny, scale=5.0)))
    for name in ("tiny", "tiny_named"):
        assert paradigm_recipe(name, "paper", SPEC) == {"options": {"scale": 3.0}}
        assert paradigm_recipe(f"lottery:{name}", "quick", SPEC) == {"options": {"scale": 2.0}}
        assert paradigm_module(name) == [sys.modules[__name__]]
    assert paradigm_recipe("tiny_row", "paper", SPEC) == {}
    assert build_paradigm("tiny_row", SPEC).scale == 5.0
    assert paradigm_module("tiny_row") == [sys.modules[__name__]]


def test_rows_are_described_by_the_string_under_them_which_is_read_without_torch():
    assert described("paradigms.hgru:td_hcnn") == (
        "td+hCNN: hCNN with top-down connections beside the horizontal"
    )
    assert paradigm_module("lottery:hgru")[1] is paradigms.hgru
    code = "import sys, comparisons.listing as l; l.listing(); print('torch' in sys.modules)"
    shown = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert shown == "False\n"


def test_active_parameters_are_those_no_mask_takes_away():
    model = build_paradigm("lottery:mlp", SPEC, width=8)
    assert active_parameters(model) == count_parameters(model)
    masks = [layer.mask.clone() for layer in masked_layers(model).values()]
    masks[0].view(-1)[:5] = 0
    for layer, mask in zip(masked_layers(model).values(), masks, strict=True):
        layer.set_mask(mask)
    assert active_parameters(model) == count_parameters(model) - 5
    # Other buffers may be called masks, too: those of windowed attention are.
    model.register_buffer("attn_mask", torch.zeros(7))
    assert active_parameters(model) == count_parameters(model) - 5
