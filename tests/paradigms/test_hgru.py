"""hGRU and kin: sizes, the unit's equations, norms per time step, precision, memory."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from paradigms import build_paradigm, paradigm_recipe
from paradigms.base import count_parameters
from paradigms.hgru import StepNorm, gabor_filters
from tasks.base import TaskSpec

NAMES = ("hgru", "hcnn", "td_hcnn")
every_name = pytest.mark.parametrize("name", NAMES)


def make_spec(in_channels=1, spatial_dims=2, dense=False, outputs=1, size=(150, 150)):
    return TaskSpec("fake", in_channels, spatial_dims, dense, outputs, (1,), 1, size)


KINDS = {
    "contour": (make_spec(size=(24, 24)), (24, 24)),
    "digit": (make_spec(outputs=10, size=(8, 8)), (8, 8)),
    "maze": (make_spec(3, dense=True, outputs=2, size=None), (11, 13)),
    "string": (make_spec(spatial_dims=1, dense=True, outputs=2, size=None), (19,)),
    "whole string": (make_spec(spatial_dims=1, outputs=3, size=(32,)), (32,)),
}
SMALL = {"width": 5, "kernel": 5, "iterations": 3}


def disturbed(name, spec, **options):
    """A small network whose norms have seen something, so that their statistics matter."""
    torch.manual_seed(0)
    model = build_paradigm(name, spec, **SMALL | options)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, StepNorm):
            width = len(module.weight)
            module.weight.data.uniform_(0.3, 1.0, generator=generator)
            module.running_mean[:, :width].normal_(0, 0.3, generator=generator)
            module.running_var[:, :width].uniform_(0.3, 2, generator=generator)
    return model


def images(spec, sites, count=3, seed=2):
    return torch.randn(
        count, spec.in_channels, *sites, generator=torch.Generator().manual_seed(seed)
    )


def test_parameter_counts_are_in_the_published_ranges():
    counts = {name: count_parameters(build_paradigm(name, make_spec())) for name in NAMES}
    assert counts == {"hgru": 143_509, "hcnn": 143_509, "td_hcnn": 721_559}
    assert 142_000 <= counts["hgru"] <= 144_000
    assert 720_000 <= counts["td_hcnn"] <= 725_000


@every_name
@pytest.mark.parametrize("kind", KINDS)
def test_answers_have_the_right_shape_for_any_number_of_iterations(name, kind):
    spec, sites = KINDS[kind]
    model = disturbed(name, spec)
    x = images(spec, sites)
    expected = (3, spec.outputs, *(sites if spec.dense else ()))
    model(x).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        answers = list(model.iterates(x, 12))
    assert [tuple(a.shape) for a in answers] == [expected] * 12
    assert all(a.isfinite().all() for a in answers)
    assert not torch.equal(answers[-1], answers[SMALL["iterations"] - 1])


def published_unit(unit, drive, hidden, step):
    """One step as the papers write it, one operation at a time, with fixed statistics."""

    def norm(module, x):
        at = min(step, len(module.running_mean) - 1)
        width = x.shape[1]
        mean, var = module.running_mean[at, :width], module.running_var[at, :width]
        return F.batch_norm(x, mean, var, module.weight, None, False, 0.0, module.eps)

    def each(t):
        return t.view(1, -1, 1, 1)

    activate = {"tanh": torch.tanh, "relu": torch.relu, "softplus": F.softplus}[unit.activation]
    half = unit.kernel.shape[-1] // 2
    gate1 = torch.sigmoid(norm(unit.norm_gate1, F.conv2d(hidden, unit.gate1)) + each(unit.bias1))
    c1 = norm(unit.norm1, F.conv2d(gate1 * hidden, unit.kernel, padding=half))
    h1 = activate(drive - (each(unit.alpha) * hidden + each(unit.mu)) * c1)
    gate2 = torch.sigmoid(norm(unit.norm_gate2, F.conv2d(h1, unit.gate2)) + each(unit.bias2))
    c2 = norm(unit.norm2, F.conv2d(h1, unit.kernel, padding=half))
    e = each(unit.gamma) * c2
    mixed = activate(each(unit.kappa) * (h1 + e) + each(unit.omega) * (h1 * e))
    return gate2 * hidden + (1 - gate2) * mixed


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_testing_follows_the_published_equations(activation, padded, gradient):
    spec, sites = KINDS["contour"]
    model = disturbed("hgru", spec, activation=activation, padded=padded).eval()
    unit = model.loop.horizontal
    for scalar in (unit.alpha, unit.mu, unit.gamma, unit.kappa, unit.omega):
        scalar.data.uniform_(0.2, 1.0)
    x = images(spec, sites)
    with torch.set_grad_enabled(gradient):
        drive = model.stem(x)
        hidden = torch.zeros_like(drive)
        for step, state in enumerate(model.states(x, 5)):
            hidden = published_unit(unit, drive, hidden, step)
            ours = state.hidden[:, : SMALL["width"]]
            torch.testing.assert_close(ours, hidden, rtol=1e-4, atol=1e-5)


@every_name
def test_training_normalises_with_the_batch_and_testing_with_what_was_gathered(name):
    """With momentum 1 what was gathered is the last batch (its variance unbiased), so they
    agree."""
    spec, sites = KINDS["contour"]
    model = disturbed(name, spec)
    for module in model.modules():
        if isinstance(module, (StepNorm, torch.nn.modules.batchnorm._BatchNorm)):
            module.momentum = 1.0
    x = images(spec, sites, count=8)
    hidden = [s.hidden for s in model.states(x, 3)]
    again = [s.hidden for s in model.eval().states(x, 3)]
    for trained, tested in zip(hidden, again, strict=True):
        trained, tested = model.loop.lower(trained), model.loop.lower(tested)
        assert (trained - tested).norm() < 0.05 * trained.norm()


@every_name
@pytest.mark.parametrize("training", [True, False])
def test_states_without_gradients_are_those_with_and_stay_as_they_were(name, training):
    spec, sites = KINDS["contour"]
    x = images(spec, sites)
    with_gradient = list(disturbed(name, spec).train(training).states(x, 4))
    with torch.no_grad():
        without = list(disturbed(name, spec).train(training).states(x, 4))
    for a, b in zip(with_gradient, without, strict=True):
        torch.testing.assert_close(a.hidden, b.hidden)


def test_each_time_step_gathers_its_own_statistics_and_later_ones_the_last():
    norm = StepNorm(4, steps=3)
    for step in range(3):
        norm(torch.randn(64, 4, 5) + 10 * step, step)
    means = norm.running_mean[:, :4]
    for step in range(3):
        torch.testing.assert_close(means[step], torch.full((4,), float(step)), rtol=0, atol=0.1)
    norm.eval()
    x = torch.randn(8, 4, 5)
    assert torch.equal(norm(x, 2), norm(x, 7))
    assert not torch.equal(norm(x, 1), norm(x, 2))


@every_name
@pytest.mark.parametrize("kind", ["contour", "maze", "string"])
@pytest.mark.parametrize("training", [True, False])
def test_zero_channels_change_nothing(name, kind, training):
    spec, sites = KINDS[kind]
    x = images(spec, sites).double()
    found = {}
    for padded in (False, True):
        model = disturbed(name, spec, padded=padded).train(training).double()
        logits = model(x)
        logits.square().sum().backward()
        state = list(model.states(x, 2))[-1].hidden
        found[padded] = (logits, model.loop.lower(state), *(p.grad for p in model.parameters()))
    assert found[True][1].shape[1] == 32
    assert found[True][1][:, SMALL["width"] :].abs().max() == 0
    plain, wide = list(found[False]), list(found[True])
    wide[1] = wide[1][:, : SMALL["width"]]
    for a, b in zip(plain, wide, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@every_name
def test_zero_channels_gather_the_same_statistics(name):
    spec, sites = KINDS["contour"]
    gathered = []
    for padded in (False, True):
        model = disturbed(name, spec, padded=padded)
        with torch.no_grad():
            model(images(spec, sites))
        norms = [m for m in model.modules() if isinstance(m, StepNorm)]
        widths = [len(m.weight) for m in norms]
        gathered.append(
            [
                (m.running_mean[:, :w].clone(), m.running_var[:, :w].clone())
                for m, w in zip(norms, widths, strict=True)
            ]
        )
    for plain, wide in zip(*gathered, strict=True):
        torch.testing.assert_close(plain, wide, rtol=1e-4, atol=1e-5)


@every_name
@pytest.mark.parametrize("padded", [False, True])
def test_reduced_precision_agrees_with_full_precision(name, padded):
    spec, sites = KINDS["contour"]
    model = disturbed(name, spec, padded=padded, width=25, iterations=8).eval()
    x = images(spec, sites, count=4)
    with torch.no_grad():
        full = [model.loop.lower(s.hidden) for s in model.states(x, 8)]
        with torch.autocast("cpu", torch.bfloat16):
            states = list(model.states(x, 8))
            logits = model.readout(states[-1])
        reduced = [model.loop.lower(s.hidden) for s in states]
    assert reduced[0].dtype == torch.bfloat16
    for a, b in zip(full, reduced, strict=True):
        # bf16 keeps 8 bits: 0.4 % of each operand of each of the sums behind a state
        error = (a - b.float()).norm() / a.norm()
        assert error < 0.03
    reference = model.readout(list(model.states(x, 8))[-1])
    torch.testing.assert_close(logits.float(), reference, rtol=0.1, atol=0.1)


@every_name
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_checkpointing_changes_neither_gradients_nor_statistics(name, precision):
    spec, sites = KINDS["contour"]
    found = []
    for checkpoint in (False, True):
        model = disturbed(name, spec, checkpoint=checkpoint)
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            loss = model(images(spec, sites)).float().square().sum()
        loss.backward()
        found.append(([p.grad for p in model.parameters()], list(model.buffers())))
    for plain, kept in zip(*found, strict=True):
        for a, b in zip(plain, kept, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def saved_for_backward(model, x) -> int:
    """Bytes of distinct memory a forward pass keeps for the backward one."""
    kept = {}

    def pack(t):
        kept[t.untyped_storage().data_ptr()] = (t.untyped_storage().nbytes(), t)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(x)
    return sum(size for size, _ in kept.values())


def test_checkpointing_keeps_a_fraction_of_the_memory():
    spec, sites = KINDS["contour"]
    x = images(spec, sites, count=8)
    used = [
        saved_for_backward(disturbed("hgru", spec, iterations=8, checkpoint=c), x)
        for c in (False, True)
    ]
    assert used[1] < used[0] / 4


@every_name
def test_the_kernel_stays_symmetric_across_channels_while_it_learns(name):
    spec, sites = KINDS["contour"]
    model = disturbed(name, spec)
    unit = model.loop.horizontal
    before = unit.kernel.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(images(spec, sites)).square().sum().backward()
        optimizer.step()
    assert not torch.allclose(unit.kernel, before)
    assert torch.equal(unit.kernel, unit.kernel.transpose(0, 1))


@every_name
def test_gates_start_open_over_all_time_scales_up_to_the_trained_one(name):
    torch.manual_seed(0)
    steps = 8
    unit = build_paradigm(name, make_spec(), width=512, kernel=1, iterations=steps).loop.horizontal
    memory = unit.bias2.detach().exp()
    assert memory.min() >= 1
    assert memory.max() <= steps - 1
    # uniform over [1, 7]: the mean is 4 with standard error 0.08
    assert math.isclose(memory.mean(), steps / 2, abs_tol=0.4)
    assert torch.equal(unit.bias1, -unit.bias2)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 24, 25])
def test_gabor_filters_have_no_mean_and_unit_length(dims, count):
    filters = gabor_filters(count, dims)
    assert filters.shape == (count, *[7] * dims)
    torch.testing.assert_close(filters.flatten(1).sum(1), torch.zeros(count), rtol=0, atol=1e-5)
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.ones(count))
    overlap = filters.flatten(1) @ filters.flatten(1).T - torch.eye(count)
    assert overlap.max() < 0.9999, "no filter twice"


def test_the_first_layer_answers_most_to_lines_of_its_orientation():
    filters = gabor_filters(24, 2)
    image = torch.zeros(7, 7)
    image[:, 3] = 1  # a vertical line: its brightness changes along x, which is angle 0
    response = (filters * image).sum((1, 2)).square()
    assert response.argmax() == 0


@every_name
def test_pooling_shrinks_the_state_and_is_refused_for_dense_answers(name):
    spec = make_spec(size=(21, 21))
    model = disturbed(name, spec, pool=4)
    state = model.encode(images(spec, (21, 21)))
    assert model.loop.lower(state.hidden).shape[2:] == (6, 6)
    assert model(images(spec, (21, 21))).shape == (3, 1)
    with pytest.raises(ValueError, match="pool"):
        disturbed(name, KINDS["maze"][0], pool=2)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("kernel", 4, "odd"),
        ("kernel", 0, "odd"),
        ("width", 0, "at least 1"),
        ("iterations", 0, "at least 1"),
        ("activation", "tan", "tanh"),
    ],
)
def test_options_that_make_no_sense_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        build_paradigm("hgru", make_spec(), **{option: value})


@every_name
def test_brightness_is_learnt_in_a_few_steps(name):
    torch.manual_seed(0)
    spec = make_spec(size=(16, 16))
    model = build_paradigm(name, spec, **SMALL)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    y = torch.arange(16) % 2
    losses = []
    for _ in range(40):
        x = 0.3 * torch.randn(16, 1, 16, 16) * (1 + y.view(-1, 1, 1, 1))
        loss = F.binary_cross_entropy_with_logits(model(x)[:, 0], y.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < losses[0] / 2


@every_name
@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
@pytest.mark.parametrize("kind", KINDS)
def test_recipes_build(name, preset, kind):
    spec, _ = KINDS[kind]
    options = paradigm_recipe(name, preset, spec).get("options", {})
    assert build_paradigm(name, spec, **options).max_iterations is None
