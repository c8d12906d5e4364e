"""Attention on a CPU under autocast: in float32 where blocks attend, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from comparisons.planning.plan import make_spec
from comparisons.training.compiling import compiled_parts, in_place
from paradigms import build_paradigm
from paradigms.attention import attends, attention_for
from paradigms.timm_models import timm_model
from tasks import load_task

PARTS = [torch.randn(2, 3, 17, 16, generator=torch.Generator().manual_seed(i)) for i in range(3)]
NETWORKS = ("vit_tiny", "transformer", "looped_transformer")


def attention(*parts):
    return F.scaled_dot_product_attention(*parts)


def test_under_autocast_it_is_that_of_float32_rounded_once():
    halves = [part.bfloat16() for part in PARTS]
    exact = attention(*(half.float() for half in halves))
    with torch.autocast("cpu", torch.bfloat16):
        with attention_for(halves[0]):
            found = attention(*halves)
        assert not torch.equal(attention(*halves).float(), exact)
    assert torch.equal(found, exact.bfloat16())


def test_without_autocast_nothing_is_done():
    with attention_for(PARTS[0]):
        assert torch.equal(attention(*PARTS), attention(*PARTS))
        halves = [part.bfloat16() for part in PARTS]
        assert attention(*halves).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16), attention_for(PARTS[0]):
        assert (PARTS[0] @ PARTS[0].mT).dtype == torch.bfloat16, "products stay in bfloat16"


def build(name):
    spec = make_spec("digits", name, "quick", 0, 100, {})
    torch.manual_seed(0)
    return build_paradigm(name, load_task("digits").spec, **spec.paradigm_options)


def logits(model, x):
    with torch.autocast("cpu", torch.bfloat16):
        state, context = model.encode(x), model.context(x)
        for _ in range(model.train_iterations):
            state = model.advance(state, context)
        return model.readout(state).float()


class Watch(TorchDispatchMode):
    """The types that fused attention is computed in."""

    def __init__(self):
        super().__init__()
        self.met = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "attention" in function.name():
            self.met.add(args[0].dtype)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_that_attend_do_so_in_float32(name):
    with Watch() as watch:
        logits(build(name), torch.rand(4, 1, 8, 8))
    assert watch.met == {torch.float32}


def test_compiled_they_stay_in_one_piece():
    model, x = build("vit_tiny"), torch.rand(4, 1, 8, 8)
    plain = logits(model, x)
    torch._dynamo.reset()
    counters.clear()
    with in_place(compiled_parts(model)):
        compiled = logits(model, x)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert torch.allclose(plain, compiled, atol=0.05)
    torch._dynamo.reset()


def test_a_model_of_timm_without_attention_is_run_as_it_stands():
    spec = load_task("digits").spec
    assert not timm_model(spec, "resnet10t").attends
    assert attends(build("vit_tiny"))
