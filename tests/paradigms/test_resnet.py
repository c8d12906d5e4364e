"""The ResNet18 family: sizes, shapes for every kind of task, and what its options change."""

from __future__ import annotations

import pytest
import torch

from paradigms import build_paradigm
from paradigms.base import count_parameters
from tasks.base import TaskSpec

FAMILY = ("resnet18", "narrow_resnet18", "super_narrow_resnet18", "larger_narrow_resnet18")


def make_spec(in_channels=1, spatial_dims=2, dense=False, outputs=1, size=(150, 150)):
    return TaskSpec("fake", in_channels, spatial_dims, dense, outputs, (1,), 1, size)


PUBLISHED = {
    "resnet18": 11_170_753,
    "narrow_resnet18": 119_697,
    "super_narrow_resnet18": 30_409,
    "larger_narrow_resnet18": 687_305,
}
MAZE = make_spec(in_channels=3, dense=True, outputs=2, size=None)
STRING = make_spec(spatial_dims=1, dense=True, outputs=2, size=None)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_parameter_counts_are_the_published_ones(name, count, residual):
    assert count_parameters(build_paradigm(name, make_spec(), residual=residual)) == count


def test_the_small_image_stem_gives_the_published_cifar_resnet18():
    spec = make_spec(in_channels=3, outputs=10, size=(32, 32))
    assert count_parameters(build_paradigm("resnet18", spec)) == 11_173_962


@pytest.mark.parametrize(
    ("name", "size", "stem"),
    [(n, s, None) for n in FAMILY[1:] for s in (8, 32, 64, 65)] + [(FAMILY[1], 8, "imagenet")],
)
def test_images_give_one_answer_each(name, size, stem):
    model = build_paradigm(name, make_spec(3, outputs=5, size=(size, size)), stem=stem)
    assert model(torch.randn(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("spec", "site"), [(MAZE, (11, 11)), (MAZE, (13, 29)), (STRING, (16,))])
def test_dense_answers_are_as_large_as_the_input(spec, site, residual):
    for name in FAMILY[1:]:
        model = build_paradigm(name, spec, residual=residual)
        x = torch.randn(2, spec.in_channels, *site)
        assert model(x).shape == (2, spec.outputs, *site)


def wake(model):
    """Give blocks that start as zero a part in the answer."""
    for norm in model.modules():
        if isinstance(norm, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            torch.nn.init.ones_(norm.weight)
    return model


def test_strings_may_have_one_answer_each():
    spec = make_spec(spatial_dims=1, outputs=3, size=(64,))
    assert build_paradigm("narrow_resnet18", spec)(torch.randn(2, 1, 64)).shape == (2, 3)


def test_a_dense_answer_has_the_parameters_of_a_global_one():
    dense, one = make_spec(3, dense=True, outputs=2), make_spec(3, outputs=2)
    counts = [count_parameters(build_paradigm("narrow_resnet18", s)) for s in (dense, one)]
    assert counts[0] == counts[1]


def test_the_string_form_swaps_square_kernels_for_lines():
    line = build_paradigm("narrow_resnet18", STRING).state_dict()
    square = build_paradigm(
        "narrow_resnet18", make_spec(dense=True, outputs=2, size=None)
    ).state_dict()
    shapes = {"line": [], "square": []}
    for kind, weights in (("line", line), ("square", square)):
        for weight in weights.values():
            shapes[kind].append(tuple(weight.shape[:3]))
    assert sorted(shapes["line"]) == sorted(shapes["square"])


def test_a_dense_network_depends_on_sites_far_away_but_not_on_the_whole_of_a_large_image():
    torch.manual_seed(0)
    model = wake(build_paradigm("super_narrow_resnet18", MAZE).eval())
    x = torch.randn(1, 3, 1, 200, requires_grad=True)
    model(x)[0, 0, 0, 100].backward()
    reach = x.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    # 7-wide stem, then four 3-wide convolutions at each of dilations 1, 2, 4 and 8, of which the
    # first in a stage still has the dilation before it: 3 + 4 + (1 + 6) + (2 + 12) + (4 + 24) = 56
    # to a side.
    assert reach.min() >= 100 - 56
    assert reach.max() <= 100 + 56
    assert reach.max() - reach.min() > 80


def test_strided_and_dilated_forms_agree_where_the_strided_one_looks():
    """The dense form computes the strided one at every site: at every eighth they are the same
    number."""
    torch.manual_seed(0)
    strided = wake(build_paradigm("super_narrow_resnet18", make_spec(), stem="cifar").eval())
    dense = build_paradigm("super_narrow_resnet18", make_spec(dense=True), stem="cifar").eval()
    dense.network.body.load_state_dict(strided.network.body.state_dict())
    x = torch.randn(1, 1, 256, 256)
    assert strided.network.body.forward_features(x[..., :64, :64]).shape[-1] == 8
    coarse = strided.network.body.forward_features(x)
    fine = dense.network.body.forward_features(x)[..., ::8, ::8]
    inside = slice(10, -10)  # away from the border, where the two are padded differently
    torch.testing.assert_close(
        coarse[..., inside, inside], fine[..., inside, inside], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("spec", "site"), [(make_spec(), (64, 64)), (MAZE, (11, 11)), (STRING, (16,))]
)
def test_dropping_residual_additions_changes_the_answer_and_nothing_else(spec, site):
    torch.manual_seed(0)
    with_sum = build_paradigm("narrow_resnet18", spec)
    without = build_paradigm("narrow_resnet18", spec, residual=False)
    weights = list(with_sum.state_dict().values())
    wake(with_sum)
    names = list(without.state_dict())
    assert len(names) == len(weights)
    without.load_state_dict(dict(zip(names, with_sum.state_dict().values(), strict=True)))
    x = torch.randn(2, spec.in_channels, *site)
    assert not torch.allclose(with_sum(x), without(x))


@pytest.mark.parametrize("residual", [True, False])
def test_every_parameter_gets_a_gradient_and_training_lowers_the_loss(residual):
    torch.manual_seed(0)
    model = build_paradigm("super_narrow_resnet18", make_spec(size=(64, 64)), residual=residual)
    y = torch.arange(8) % 2
    x = torch.randn(8, 1, 64, 64) * (1 + y.view(-1, 1, 1, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.float())
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_a_second_iteration_changes_nothing_and_runs_nothing():
    model = build_paradigm("super_narrow_resnet18", make_spec()).eval()
    runs = []
    model.network.register_forward_hook(lambda *_: runs.append(1))
    first, second, third = model.iterates(torch.randn(1, 1, 40, 40), 3)
    assert len(runs) == 1
    assert torch.equal(first, second)
    assert torch.equal(second, third)


def test_evaluation_in_parts_gives_the_answers_of_the_whole():
    torch.manual_seed(0)
    model = wake(build_paradigm("super_narrow_resnet18", MAZE).eval())
    x = torch.randn(5, 3, 15, 15)
    with torch.no_grad():
        whole = model(x)
        model.sites = 15 * 15 * 2
        parts = []
        model.network.register_forward_hook(lambda _, inputs, __: parts.append(len(inputs[0])))
        torch.testing.assert_close(model(x), whole)
    assert parts == [2, 2, 1]


def test_an_unknown_stem_is_refused_by_name():
    with pytest.raises(ValueError, match="cifar"):
        build_paradigm("resnet18", make_spec(), stem="cifr")
