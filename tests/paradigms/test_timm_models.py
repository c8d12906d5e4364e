"""Models of timm by name: what builds, what is refused and why."""

from __future__ import annotations

import pytest
import torch

from foundations.errors import Unsuitable
from paradigms import build_paradigm
from paradigms.base import count_parameters
from paradigms.timm_models import feature_maps
from tasks.base import TaskSpec


def make_spec(in_channels=1, spatial_dims=2, dense=False, outputs=1, size=(150, 150)):
    return TaskSpec("fake", in_channels, spatial_dims, dense, outputs, (1,), 1, size)


MAZE = make_spec(in_channels=3, dense=True, outputs=2, size=None)
STRING = make_spec(spatial_dims=1, dense=True, outputs=2, size=None)

# Small models of each kind: convolutions, convolutions with a size they cannot go below, plain and
# windowed transformers of fixed size, channels-last feature maps.
SMALL = ("resnet10t", "test_convnext", "test_vit", "test_efficientnet")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("side", [8, 30, 64])
def test_images_give_one_answer_each(name, side):
    spec = make_spec(in_channels=3, outputs=7, size=(side, side))
    model = build_paradigm(f"timm:{name}", spec)
    assert model(torch.randn(2, 3, side, side)).shape == (2, 7)
    assert model.max_iterations == 1


@pytest.mark.parametrize("name", SMALL)
def test_dense_answers_are_as_large_as_a_fixed_size_input(name):
    spec = make_spec(in_channels=12, dense=True, outputs=2, size=(8, 8))
    model = build_paradigm(f"timm:{name}", spec)
    assert model(torch.randn(2, 12, 8, 8)).shape == (2, 2, 8, 8)


def test_channels_last_feature_maps_are_read_as_channels():
    spec = make_spec(dense=True, outputs=2, size=(64, 64))
    model = build_paradigm("timm:swinv2_cr_tiny_ns_224", spec)
    assert model(torch.randn(1, 1, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize("name", ["resnet10t", "test_convnext"])
@pytest.mark.parametrize("site", [(11, 11), (13, 40), (9, 9)])
def test_dense_answers_are_as_large_as_inputs_of_any_size(name, site):
    model = build_paradigm(f"timm:{name}", MAZE)
    assert model(torch.randn(2, 3, *site)).shape == (2, 2, *site)


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(ValueError, match="resnet18"):
        build_paradigm("timm:resnet81", make_spec())


def test_strings_are_refused_with_a_reason():
    with pytest.raises(Unsuitable, match="reads images, and fake has 1d inputs"):
        build_paradigm("timm:resnet18", STRING)


def test_a_fixed_size_model_is_refused_for_images_of_any_size():
    with pytest.raises(Unsuitable, match=r"gives no feature maps for fake .* images of any size"):
        build_paradigm("timm:swinv2_cr_tiny_ns_224", MAZE)


def test_an_option_the_model_does_not_have_is_not_dropped_silently():
    with pytest.raises(ValueError, match="drop_path_rate"):
        build_paradigm("timm:vgg11", make_spec(size=(32, 32)), drop_path_rate=0.1)


def test_the_dense_head_is_linear_in_maps_upsampled_and_concatenated():
    torch.manual_seed(0)
    spec = make_spec(in_channels=3, dense=True, outputs=2, size=(24, 24))
    head = build_paradigm("timm:resnet10t", spec).eval().network
    x = torch.randn(2, 3, 24, 24)
    maps = [
        torch.nn.functional.interpolate(m, size=(24, 24), mode="bilinear", align_corners=False)
        for m in head.body(x)
    ]
    weight = torch.cat([scale.weight for scale in head.scales], 1)
    joined = torch.nn.functional.conv2d(torch.cat([x, *maps], 1), weight, head.scales[0].bias)
    torch.testing.assert_close(head(x), joined, rtol=1e-4, atol=1e-4)


def test_padding_to_a_grid_leaves_the_middle_of_a_dense_answer_in_place():
    """A network that answers with its input must give it back unmoved."""
    from paradigms.timm_models import OnGrid

    x = torch.randn(1, 1, 13, 40)
    assert torch.equal(OnGrid(torch.nn.Identity(), dense=True)(x), x)


def test_every_parameter_of_a_dense_head_gets_a_gradient():
    model = build_paradigm("timm:resnet10t", MAZE)
    model(torch.randn(2, 3, 16, 16)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


CHESS = make_spec(in_channels=12, dense=True, outputs=2, size=(8, 8))
PHOTO = make_spec(in_channels=3, outputs=1000, size=(224, 224))


@pytest.mark.parametrize(
    ("name", "parameters"), [("resnet50d", 25_576_264), ("convnext_nano", 15_636_760)]
)
def test_at_their_width_they_are_timms(name, parameters):
    assert count_parameters(build_paradigm(name, PHOTO)) == parameters


@pytest.mark.parametrize("name", ["resnet50d", "convnext_nano", "vit_tiny"])
@pytest.mark.parametrize("width", [7, 12])
def test_models_of_any_width_answer_boards_of_fixed_and_of_any_size(name, width):
    for spec, sites in ((CHESS, (8, 8)), (MAZE, (11, 11)), (MAZE, (13, 17))):
        model = build_paradigm(name, spec, width=width).eval()
        with torch.no_grad():
            logits = model(torch.randn(2, spec.in_channels, *sites))
        assert logits.shape == (2, 2, *sites)


@pytest.mark.parametrize("name", ["resnet50d", "convnext_nano", "vit_tiny"])
def test_their_first_map_is_as_fine_as_a_dense_answer(name):
    body = build_paradigm(name, CHESS, width=12).network.body
    with torch.no_grad():
        assert feature_maps(body.eval(), torch.randn(1, 12, 8, 8))[0].shape[2:] == (8, 8)
