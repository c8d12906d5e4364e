"""What every registered paradigm must do, on every kind of task."""

from __future__ import annotations

import pytest
import torch

from foundations.errors import Unsuitable
from paradigms import build_paradigm, paradigm_names, paradigm_options, paradigm_recipe
from tasks.base import TaskSpec


def kind(name, channels, dims, dense, outputs, size):
    return TaskSpec(name, channels, dims, dense, outputs, (1,), 1, size)


SPECS = {
    "maze": (kind("mazes", 3, 2, True, 2, None), (2, 3, 11, 11)),
    "strings": (kind("strings", 1, 1, True, 2, None), (2, 1, 20)),
    "board": (kind("board", 12, 2, True, 2, (8, 8)), (2, 12, 8, 8)),
    "digit": (kind("digit", 1, 2, False, 10, (8, 8)), (2, 1, 8, 8)),
    "image": (kind("image", 3, 2, False, 10, (32, 32)), (2, 3, 32, 32)),
    "contour": (kind("contour", 1, 2, False, 1, (64, 64)), (2, 1, 64, 64)),
}


def small(name: str, spec: TaskSpec):
    """The paradigm at its smoke size; None where it says why it makes no sense for the task."""
    torch.manual_seed(0)
    try:
        return build_paradigm(name, spec, **paradigm_recipe(name, "smoke", spec).get("options", {}))
    except Unsuitable as error:
        assert len(str(error)) > 15, "says why"
        return None


every_paradigm = pytest.mark.parametrize("name", paradigm_names())
every_kind = pytest.mark.parametrize("which", SPECS)


@every_paradigm
@every_kind
def test_logits_have_the_shape_of_the_contract_and_gradients_reach_every_weight(name, which):
    spec, shape = SPECS[which]
    model = small(name, spec)
    if model is None:
        assert spec.size is None, "only a varying size is a reason"
        return
    x = torch.rand(shape, generator=torch.Generator().manual_seed(1)) - 0.5
    logits = model(x)
    expected = (shape[0], spec.outputs, *(shape[2:] if spec.dense else ()))
    assert logits.shape == expected
    assert logits.isfinite().all()
    logits.square().sum().backward()
    unreached = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not unreached


@every_paradigm
@every_kind
def test_the_loop_spelt_out_the_iterator_and_the_call_agree(name, which):
    spec, shape = SPECS[which]
    model = small(name, spec)
    if model is None:
        return
    model.eval()
    x = torch.rand(shape) - 0.5
    with torch.no_grad():
        state = model.encode(x)
        spelt_out = []
        for _ in range(3):
            state = model.step(state, x)
            spelt_out.append(model.readout(state))
        iterated = list(model.iterates(x, 3))
        called = model(x, iterations=3)
    assert len(iterated) == 3
    for a, b in zip(spelt_out, iterated, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(iterated[-1], called)


@every_paradigm
def test_going_on_past_the_end_changes_nothing_and_a_recurrent_network_has_no_end(name):
    spec, shape = SPECS["board"]
    model = small(name, spec).eval()
    x = torch.rand(shape)
    most = model.max_iterations
    with torch.no_grad():
        if most is None:
            if model.halts == "act":  # as made it halts late: a chance of a half, so after two
                torch.nn.init.zeros_(model.unit.bias)
            *_, before, last = model.iterates(x, model.train_iterations + 3)
            assert last.isfinite().all()
            assert torch.equal(before, last) == (model.halts == "act")
        else:
            assert torch.equal(model(x, iterations=most), model(x, iterations=most + 5))


@every_paradigm
def test_one_problem_is_answered_the_same_alone_and_in_a_batch(name):
    spec, shape = SPECS["image"]
    model = small(name, spec).eval()
    x = torch.rand(4, *shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-4, atol=1e-5)


@every_paradigm
def test_unknown_options_and_senseless_iterations_are_refused(name):
    spec, shape = SPECS["board"]
    with pytest.raises(ValueError, match="unknown option of paradigm"):
        build_paradigm(name, spec, colour="green")
    assert "colour" not in paradigm_options(name)
    with pytest.raises(ValueError, match="at least 1"):
        small(name, spec)(torch.rand(shape), iterations=0)


def test_an_unknown_paradigm_names_the_nearest_first():
    with pytest.raises(ValueError, match="unknown paradigm 'dt_nett'; known: dt_net, "):
        build_paradigm("dt_nett", SPECS["board"][0])
