"""Depth that sees everything: dilated convolutions, the U-Net, the transformer and its twin."""

from __future__ import annotations

import pytest
import torch

from comparisons.testing.cost import count_cost
from paradigms import build_paradigm
from paradigms.base import count_parameters
from tasks.base import TaskSpec

SUMS = TaskSpec("sums", 1, 1, True, 2, (1,), 1)
MAZE = TaskSpec("maze", 3, 2, True, 2, (1,), 1)
DIGIT = TaskSpec("digit", 1, 2, False, 10, (1,), 1, (8, 8))


def reached(model, sites: int, site: int) -> list[int]:
    """The places of a string that the answer at one of them depends on."""
    x = torch.randn(1, 1, sites, dtype=torch.double, requires_grad=True)
    model.double().eval()(x)[0, 0, site].backward()
    return x.grad[0, 0].nonzero()[:, 0].tolist()


# --- dilated convolutions


def test_dilations_double_and_begin_again():
    model = build_paradigm("dilated_cnn", MAZE, width=4, dilations=3, cycles=2)
    found = [[c.dilation[0] for c in (b.inner[0], b.inner[3])] for b in model.recurrent]
    assert found == [[d, d] for d in (1, 2, 4, 1, 2, 4)]
    assert model.max_iterations == 6
    assert model.effective_depth() == 4 + 2 * 6


def test_a_site_sees_as_far_as_the_docstring_says():
    torch.manual_seed(0)
    model = build_paradigm("dilated_cnn", SUMS, width=4, dilations=2, cycles=1)
    around = 1 + 4 * (2**2 - 1) + 3  # stem, blocks, head
    found = reached(model, 61, 30)
    assert 30 - around <= min(found) < max(found) <= 30 + around
    assert max(found) - min(found) > around


# --- U-Net


def test_the_unet_has_as_many_parameters_as_the_usual_one_in_pytorch():
    with torch.device("meta"):
        assert count_parameters(build_paradigm("unet", MAZE)) == 31_037_698


@pytest.mark.parametrize("sites", [(1, 1), (11, 11), (13, 40), (5, 64)])
def test_a_unet_answers_at_every_site_whatever_the_size(sites):
    model = build_paradigm("unet", MAZE, width=4, levels=3).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, *sites)).shape == (2, 2, *sites)


# --- transformers


def tied_pair(spec, **options):
    """The looped transformer, and `transformer` given its block's weights at every depth."""
    torch.manual_seed(0)
    looped = build_paradigm("looped_transformer", spec, width=32, iterations=3, **options).eval()
    twin = build_paradigm("transformer", spec, width=32, iterations=3, recall=True, **options)
    weights = looped.state_dict()
    twin.load_state_dict(
        {
            key: weights[key if not key.startswith("recurrent.") else f"recurrent.0{key[11:]}"]
            for key in twin.state_dict()
        }
    )
    return looped, twin.eval()


@pytest.mark.parametrize("spec", [SUMS, MAZE, DIGIT], ids=lambda s: s.name)
def test_the_looped_transformer_is_the_transformer_tied(spec):
    looped, twin = tied_pair(spec)
    x = torch.randn(2, spec.in_channels, *(spec.size or (7,) * spec.spatial_dims))
    with torch.no_grad():
        for a, b in zip(looped.iterates(x, 3), twin.iterates(x, 3), strict=True):
            torch.testing.assert_close(a, b)
    assert looped.max_iterations is None
    assert twin.max_iterations == 3
    block = count_parameters(looped.recurrent)
    assert count_parameters(twin) - count_parameters(looped) == 2 * block
    # queries, keys, values and their projection, two layers four times as wide, norms
    assert block == 4 * 32**2 + 32 + 8 * 32**2 + 5 * 32 + 4 * 32


@pytest.mark.parametrize("positions", ["rope", "none"])
def test_a_causal_transformer_does_not_look_ahead(positions):
    torch.manual_seed(0)
    model = build_paradigm("transformer", SUMS, width=16, causal=True, positions=positions)
    assert reached(model, 9, 4) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("spec", [SUMS, MAZE], ids=lambda s: s.name)
def test_positions_are_told_by_their_distance_alone(spec):
    """What a site attends to does not change when everything is moved: no absolute positions."""
    torch.manual_seed(0)
    model = build_paradigm("transformer", spec, width=32, iterations=1)
    given, rope, mask = model.context(torch.zeros(1, spec.in_channels, *(6,) * spec.spatial_dims))
    assert given is None
    assert mask is None
    sin, cos = rope.view(*(6,) * spec.spatial_dims, 2, 16).unbind(-2)
    q, k = torch.randn(2, 16)

    def score(i, j):
        def turned(v, at):
            half = torch.stack([-v[1::2], v[::2]], -1).flatten()
            return v * cos[at] + half * sin[at]

        return turned(q, i) @ turned(k, j)

    here, there, moved_here, moved_there = (
        (0, 1, 3, 4) if spec is SUMS else ((0, 2), (1, 0), (3, 5), (4, 3))
    )
    torch.testing.assert_close(score(here, there), score(moved_here, moved_there))
    assert not torch.isclose(score(here, there), score(there, here))


def test_without_recall_steps_do_not_see_the_input_again():
    model = build_paradigm("looped_transformer", SUMS, width=16, recall=False)
    x = torch.randn(2, 1, 8)
    state = model.encode(x)
    assert torch.equal(model.step(state, x).hidden, model.step(state, -x).hidden)
    again = build_paradigm("looped_transformer", SUMS, width=16)
    assert not torch.equal(again.step(state, x).hidden, again.step(state, -x).hidden)


def test_attention_counts_and_grows_with_the_square_of_the_sites():
    model = build_paradigm("transformer", SUMS, width=32)

    def step(sites):
        return count_cost(model, torch.zeros(1, 1, sites)).step

    assert step(16) == 2 * 16 * 12 * 32**2 + 2 * 2 * 16**2 * 32
    assert step(32) - 2 * step(16) == 2 * 2 * 32 * (32**2 - 2 * 16**2)


@pytest.mark.parametrize(
    ("name", "spec", "options", "says"),
    [
        ("transformer", MAZE, {"causal": True}, "no order"),
        ("transformer", SUMS, {"positions": "none"}, "must be causal"),
        ("transformer", SUMS, {"positions": "learned"}, "unknown positions"),
        ("looped_transformer", SUMS, {"depth": 0}, "at least 1"),
        ("looped_transformer", MAZE, {"stride": 2}, "stride must be 1"),
        ("dilated_cnn", MAZE, {"dilations": 17}, "from 1 to 16"),
        ("unet", MAZE, {"levels": 0}, "from 1 to 8"),
    ],
)
def test_senseless_options_are_refused(name, spec, options, says):
    with pytest.raises(ValueError, match=says):
        build_paradigm(name, spec, **options)
