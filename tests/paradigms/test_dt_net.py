"""DT-nets and their feed-forward twins against the published construction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from paradigms import build_paradigm
from paradigms.base import count_parameters
from tasks import load_task
from tasks.base import TaskSpec

MAZE, STRINGS = load_task("maze").spec, load_task("prefix_sums").spec
CHESS = TaskSpec("chess", 12, 2, True, 2, (1,), 1, (8, 8))


@pytest.mark.parametrize(
    ("name", "spec", "options", "count"),
    [
        ("dt_net", STRINGS, {}, 2_642_400),
        ("dt_net_recall", STRINGS, {}, 3_123_600),
        ("dt_net", MAZE, {}, 632_592),
        ("dt_net_recall", MAZE, {}, 783_504),
        ("dt_net_recall", CHESS, {"width": 512}, 12_056_976),
        ("feed_forward", STRINGS, {}, 58_322_400),
        ("feed_forward_recall", STRINGS, {}, 58_803_600),
        ("feed_forward", MAZE, {}, 17_737_488),
        ("feed_forward_recall", MAZE, {}, 17_888_400),
        ("dt_net", MAZE, {"iterations": 10}, 632_592),
        # The maze networks of Schwarzschild et al. 2021: effective depth 4 + 4 x iterations.
        ("feed_forward", MAZE, {"iterations": 1}, 632_592),
        ("feed_forward", MAZE, {"iterations": 4}, 2_402_064),
        ("feed_forward", MAZE, {"iterations": 10}, 5_941_008),
    ],
)
def test_parameter_counts_are_the_published_ones(name, spec, options, count):
    with torch.device("meta"):
        assert count_parameters(build_paradigm(name, spec, **options)) == count


def test_recall_is_one_convolution_over_state_and_input():
    model = build_paradigm("dt_net_recall", MAZE, width=6, iterations=2)
    recall, x = model.recall, torch.rand(2, 3, 9, 9)
    hidden = torch.rand(2, 6, 9, 9)
    joined = torch.cat([recall.state.weight, recall.input.weight], 1)
    expected = F.conv2d(torch.cat([hidden, x], 1), joined, padding=1)
    torch.testing.assert_close(recall(hidden, recall.given(x)), expected)


def test_a_twin_with_equal_weights_in_every_block_is_the_recurrent_network():
    recurrent = build_paradigm("dt_net_recall", MAZE, width=8, iterations=4)
    twin = build_paradigm("feed_forward_recall", MAZE, width=8, iterations=4)
    weights = recurrent.state_dict()
    for i in range(4):
        weights |= {
            k.replace("recurrent.0.", f"recurrent.{i}."): v
            for k, v in recurrent.state_dict().items()
            if k.startswith("recurrent.0.")
        }
    twin.load_state_dict(weights)
    x = torch.rand(2, 3, 9, 9)
    torch.testing.assert_close(recurrent(x), twin(x))


def test_recall_sees_a_moved_input_and_a_net_without_does_not():
    x, moved = torch.rand(1, 3, 9, 9), torch.rand(1, 3, 9, 9)
    for name, sees in (("dt_net", False), ("dt_net_recall", True)):
        model = build_paradigm(name, MAZE, width=8, iterations=2)
        state = model.encode(x)
        same = torch.equal(model.step(state, x).hidden, model.step(state, moved).hidden)
        assert same is not sees


@pytest.mark.parametrize(("task", "difficulty"), [("maze", 9), ("prefix_sums", 24)])
def test_with_kernels_of_one_an_iteration_sees_one_site_to_each_side(task, difficulty):
    loaded = load_task(task)
    model = build_paradigm("dt_net_recall", loaded.spec, width=8, kernel=1)
    x = loaded.sample(difficulty, 1).inputs.requires_grad_()
    middle = tuple(s // 2 for s in x.shape[2:])
    for iterations in (1, 3):
        # The projection reads one site to each side before the first iteration.
        hidden = model.run(x, iterations).hidden
        (gradient,) = torch.autograd.grad(hidden[(0, slice(None), *middle)].sum(), x)
        seen = gradient[0].abs().sum(0).nonzero()
        far = (seen - torch.tensor(middle)).abs().max()
        assert far == iterations + 1


@pytest.mark.parametrize(("name", "kernel"), [("dt_net_recall", 2), ("dt_net", 1)])
def test_kernels_that_make_no_sense_are_errors(name, kernel):
    with pytest.raises(ValueError, match="kernel must be 3, or 1 with recall"):
        build_paradigm(name, load_task("maze").spec, width=8, kernel=kernel)


def test_depth_is_the_residual_blocks_of_an_iteration():
    spec = load_task("maze").spec
    one, two, three = (build_paradigm("dt_net_recall", spec, width=8, depth=d) for d in (1, 2, 3))
    assert count_parameters(two) == count_parameters(build_paradigm("dt_net_recall", spec, width=8))
    assert count_parameters(three) - count_parameters(two) == 2 * 9 * 8 * 8
    assert count_parameters(two) - count_parameters(one) == 2 * 9 * 8 * 8
