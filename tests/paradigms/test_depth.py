"""Recurrent networks and their feed-forward twins: counts, depth, weight tying."""

from __future__ import annotations

import pytest
import torch

from paradigms import build_paradigm
from paradigms.base import count_parameters
from tasks.base import TaskSpec

FAMILIES = ("mlp", "convnet", "resnet", "resnet_bn")
NAMES = [*FAMILIES, *(f"recurrent_{f}" for f in FAMILIES), "recurrent_resnet18"]


def spec_of(name, channels, size, outputs, dense=False, dims=2):
    return TaskSpec(
        name=name,
        in_channels=channels,
        spatial_dims=dims,
        dense=dense,
        outputs=outputs,
        difficulties=(1,),
        train_difficulty=1,
        size=size,
    )


CIFAR = spec_of("cifar10", 3, (32, 32), 10)
EMNIST = spec_of("emnist", 1, (28, 28), 47)
DIGITS = spec_of("digits", 1, (8, 8), 10)
CHESS = spec_of("chess", 12, (8, 8), 2, dense=True)
MAZE = spec_of("maze", 3, None, 2, dense=True)
SUMS = spec_of("prefix_sums", 1, None, 2, dense=True, dims=1)
CONTOURS = spec_of("pathfinder", 1, (150, 150), 1)
STRINGS = spec_of("strings", 2, (17,), 3, dims=1)
SPECS = (CIFAR, EMNIST, DIGITS, CHESS, MAZE, SUMS, CONTOURS, STRINGS)


def small(name, spec):
    options = {"width": 6}
    if name.endswith(("resnet", "resnet_bn")):
        options["depth"] = 12 if spec.dense else 11
    return build_paradigm(name, spec, **options)


def some_input(spec, count=2):
    size = spec.size or (13,) * spec.spatial_dims
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, spec.in_channels, *size, generator=generator)


@pytest.mark.parametrize(
    ("name", "spec", "options", "parameters"),
    [
        ("recurrent_mlp", CIFAR, {"width": 200, "depth": 3}, 656_810),
        ("recurrent_mlp", CIFAR, {"width": 200, "depth": 10}, 656_810),
        ("mlp", CIFAR, {"width": 200, "depth": 5}, 737_210),
        ("recurrent_mlp", CIFAR, {"width": 500, "depth": 5}, 1_792_010),
        ("mlp", CIFAR, {"width": 500, "depth": 5}, 2_293_010),
        ("recurrent_mlp", EMNIST, {"width": 500, "depth": 5}, 666_547),
        ("mlp", EMNIST, {"width": 500, "depth": 5}, 1_167_547),
        ("recurrent_convnet", CIFAR, {"depth": 4}, 135_306),
        ("recurrent_convnet", CIFAR, {"depth": 8}, 135_306),
        ("convnet", CIFAR, {"depth": 8}, 283_018),
        ("recurrent_convnet", EMNIST, {"depth": 8}, 153_711),
        ("convnet", EMNIST, {"depth": 8}, 301_423),
        ("recurrent_resnet", MAZE, {"width": 128, "depth": 8}, 632_592),
        ("recurrent_resnet", MAZE, {"width": 128, "depth": 44}, 632_592),
        ("resnet", MAZE, {"width": 128, "depth": 8}, 632_592),
        ("resnet", MAZE, {"width": 128, "depth": 20}, 2_402_064),
        ("resnet", MAZE, {"width": 128, "depth": 44}, 5_941_008),
        ("resnet", MAZE, {"width": 128, "depth": 20, "dilation": 2}, 2_402_064),
        ("recurrent_resnet", CIFAR, {"width": 512, "depth": 19}, 11_815_434),
        ("resnet", CIFAR, {"width": 512, "depth": 15}, 30_689_802),
        ("recurrent_resnet_bn", CIFAR, {"width": 256, "depth": 15}, 3_559_178),
        ("recurrent_resnet_bn", EMNIST, {"width": 256, "depth": 15}, 3_573_551),
    ],
)
def test_a_published_network_has_its_published_number_of_parameters(
    name, spec, options, parameters
):
    with torch.device("meta"):
        model = build_paradigm(name, spec, **options)
    assert count_parameters(model) == parameters
    assert model.effective_depth() == options["depth"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
@pytest.mark.parametrize("name", NAMES)
def test_every_network_answers_every_task_or_says_why_not(name, spec):
    if name.endswith("mlp") and spec.size is None:
        with pytest.raises(ValueError, match="fixed size"):
            small(name, spec)
        return
    model = small(name, spec).eval()
    x = some_input(spec)
    logits = model(x, iterations=2)
    sites = x.shape[2:] if spec.dense else ()
    assert logits.shape == (2, spec.outputs, *sites)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("spec", [CIFAR, CHESS], ids=lambda s: s.name)
@pytest.mark.parametrize("name", NAMES)
def test_every_weight_gets_a_gradient(name, spec):
    model = small(name, spec)
    model(some_input(spec, count=4)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_twin_given_the_tied_weights_computes_the_same(family):
    torch.manual_seed(0)
    recurrent = small(f"recurrent_{family}", CIFAR).eval()
    twin = small(family, CIFAR).eval()
    tied = recurrent.state_dict()
    weights = {}
    for key in twin.state_dict():
        if not key.startswith("recurrent."):
            weights[key] = tied[key]
            continue
        _, iteration, rest = key.split(".", 2)
        # Body i of the twin takes the one body's weights, and of its norms those of iteration i.
        weights[key] = tied[f"recurrent.0.{rest.replace('norms.0.', f'norms.{iteration}.')}"]
    twin.load_state_dict(weights)
    x = some_input(CIFAR)
    assert recurrent.train_iterations == twin.train_iterations > 1
    for a, b in zip(recurrent.iterates(x), twin.iterates(x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["recurrent_mlp", "recurrent_convnet", "recurrent_resnet_bn"])
def test_a_recurrent_network_goes_on_and_its_twin_stops(name):
    torch.manual_seed(0)
    recurrent = small(name, CIFAR).eval()
    twin = small(name.removeprefix("recurrent_"), CIFAR).eval()
    x = some_input(CIFAR)
    trained = recurrent.train_iterations
    assert not torch.equal(recurrent(x, trained), recurrent(x, trained + 1))
    assert torch.equal(twin(x, trained), twin(x, trained + 5))
    assert twin.effective_depth(trained + 5) == recurrent.effective_depth(trained)


def test_each_iteration_has_a_batch_norm_of_its_own():
    model = small("recurrent_resnet_bn", CIFAR).train()
    model(some_input(CIFAR, count=4), iterations=1)
    counts = [int(norms[0].num_batches_tracked) for norms in model.recurrent[0].norms]
    assert counts == [1, 0]


def test_dilation_widens_what_an_iteration_sees():
    def reach(dilation):
        model = build_paradigm("recurrent_resnet", MAZE, width=4, depth=8, dilation=dilation)
        hidden = torch.zeros(1, 4, 41, 41, dtype=torch.double, requires_grad=True)
        body = model.recurrent[0].double()
        body.apply(lambda m: hasattr(m, "weight") and torch.nn.init.constant_(m.weight, 1.0))
        # A positive state: no ReLU hides a path.
        body(hidden + 1.0, 0)[0, :, 20, 20].sum().backward()
        return int((hidden.grad[0, 0, 20] != 0).sum())

    assert reach(1) == 1 + 2 * 4
    assert reach(2) == 1 + 2 * (1 + 2 + 1 + 2)


@pytest.mark.parametrize(
    ("name", "spec", "depth", "nearest"),
    [
        ("mlp", CIFAR, 2, "3, 4"),
        ("convnet", CIFAR, 3, "4, 5"),
        ("recurrent_resnet", CIFAR, 8, "7, 11"),
        ("resnet", MAZE, 7, "8, 12"),
    ],
)
def test_a_depth_that_no_number_of_iterations_makes_is_refused(name, spec, depth, nearest):
    with pytest.raises(ValueError, match=nearest):
        build_paradigm(name, spec, depth=depth)


def test_the_lottery_studys_network_is_a_resnet18_whose_middle_block_iterates():
    with torch.device("meta"):
        tied = build_paradigm("recurrent_resnet18", CIFAR, iterations=5)
        twin = build_paradigm("recurrent_resnet18", CIFAR, iterations=5, tied=False)
    block = 2 * 128 * 128 * 9 + 2 * 2 * 128
    assert count_parameters(twin) - count_parameters(tied) == 4 * block
    # A CIFAR-style ResNet18 has 11,173,962; this one lacks its second blocks of 256 and of 512.
    missing = sum(2 * w * w * 9 + 2 * 2 * w for w in (256, 512))
    assert count_parameters(tied) == 11_173_962 - missing
