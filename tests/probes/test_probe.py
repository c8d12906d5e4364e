"""Inside the network: measured on recurrences whose limits, filters, planes and fields are
known."""

from __future__ import annotations

import itertools
import json
import math
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from comparisons.cli import main
from comparisons.probes import trajectories
from comparisons.probes.filter_reuse import FilterMeter, activity_of, least_over_peak, reuse
from comparisons.probes.probe import Trace, probe, trace
from comparisons.probes.receptive_field import (
    central_site,
    radius,
    receptive_fields,
    uniform_radius,
)
from comparisons.probes.trajectories import (
    COORDINATES,
    LONGEST_PERIOD,
    WINDOW,
    chosen_coordinates,
    components,
    limit_states,
    limits,
    to_limit,
    watch,
)
from comparisons.testing.session import Session
from foundations.errors import Unsuitable
from paradigms import build_paradigm, paradigm_names, paradigm_recipe
from paradigms.base import Paradigm, State
from tasks import load_task

CPU = torch.device("cpu")


def of_states(advance):
    """The same map, of states."""
    return lambda state: State(advance(state.hidden))


def ends_in(start, advance):
    return limits(*watch(State(start), of_states(advance)))


# --- limits
# --------------------------------------------------------------------------------------------


@given(st.integers(1, LONGEST_PERIOD), st.integers(0, 2**16))
def test_a_state_that_goes_round_has_the_period_it_goes_round_in(period, seed):
    """A permutation of numbers that differ: one cycle of `period` places, the others stay."""
    size = period + 3
    order = torch.arange(size)
    order[:period] = order[:period].roll(1)
    start = torch.rand(4, size, generator=torch.Generator().manual_seed(seed)) + torch.arange(size)
    found = ends_in(start, lambda state: state[:, order])
    assert {(f.kind, f.period) for f in found} == {
        ("fixed point" if period == 1 else "cycle", period)
    }


def test_a_longer_period_than_can_be_seen_twice_is_not_called_a_cycle():
    order = torch.arange(LONGEST_PERIOD + 1).roll(1)
    start = torch.arange(LONGEST_PERIOD + 1.0)[None]
    assert ends_in(start, lambda state: state[:, order])[0].kind == "drift"


@given(st.floats(0.0, 0.8), st.floats(-3, 3))
def test_a_contraction_that_has_come_to_rest_is_a_fixed_point(factor, goal):
    def advance(state):
        return goal + 1 + factor * (state - goal - 1)

    state = torch.randn(5, 7)
    for _ in range(200):
        state = advance(state)
    assert {f.kind for f in ends_in(state, advance)} == {"fixed point"}


@given(st.floats(0.9, 0.97))
def test_a_contraction_still_under_way_is_settling(factor):
    start = torch.full((3, 6), 5.0)
    assert {f.kind for f in ends_in(start, lambda s: 1 + factor * (s - 1))} == {"settling"}


@given(st.floats(1e-4, 10))
def test_a_state_that_moves_on_by_the_same_step_drifts_however_slowly(speed):
    """Single steps of the slowest are a tenth of the tolerance: all the window together tells."""
    start = torch.randn(3, 8) + 3
    step = speed * start.square().sum(1, keepdim=True).sqrt() * F.normalize(torch.ones(3, 8))
    found = ends_in(start, lambda state: state + step)
    assert {(f.kind, f.period) for f in found} == {("drift", 0)}


def test_chaos_and_overflow_are_no_limit():
    assert ends_in(torch.tensor([[0.3], [0.7]]), lambda x: 3.99 * x * (1 - x))[0].kind == "drift"
    assert ends_in(torch.ones(1, 2), lambda x: x * 1e6)[0].kind == "drift"


def test_problems_of_one_batch_are_told_apart_and_tuples_are_one_state():
    start = (torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([[2.0, 3.0]] * 3))

    def advance(state):
        a, b = state
        return a + torch.tensor([[0.0], [0.0], [0.1]]), torch.stack([b[0], b[1].flip(0), b[2]])

    found = ends_in(start, advance)
    assert [(f.kind, f.period) for f in found] == [("fixed point", 1), ("cycle", 2), ("drift", 0)]


@given(st.integers(1, 9))
def test_the_distance_to_a_cycle_is_zero_on_it_and_shrinks_on_the_way(period):
    """Places on a circle of `period`, and a radius that halves towards 1."""
    turn = 2 * math.pi / period

    def advance(state):
        angle, size = state[:, 2:3] + turn, 1 + (state[:, 3:] - 1) / 2
        return torch.cat([size * angle.cos(), size * angle.sin(), angle % (2 * math.pi), size], 1)

    first = torch.tensor([[3.0, 0.0, 0.0, 3.0]])
    state = first
    for _ in range(60):
        state = advance(state)
    # The angle itself would jump at a whole turn; the place alone is what goes round.
    found = ends_in(state[:, :2], _Placed(state, advance))
    assert found[0].period == period
    ends = limit_states(State(state[:, :2]), of_states(_Placed(state, advance)), found)
    way, state = [], first
    for _ in range(20):
        state = advance(state)
        way.append(float(to_limit(state[:, :2], ends, found)))
    assert way[-1] < 1e-4
    assert all(b <= 0.51 * a + 1e-5 for a, b in itertools.pairwise(way))


class _Placed:
    """The places of a state that also knows its angle."""

    def __init__(self, state, advance):
        self.state, self.advance = state, advance

    def __call__(self, place):
        self.state = self.advance(self.state)
        return self.state[:, :2]


def test_watching_needs_no_memory_for_the_states_passed(monkeypatch):
    alive = []

    class Counted:
        def __init__(self):
            alive.append(1)

        def __del__(self):
            alive.pop()

    most = 0

    def advance(state):
        nonlocal most
        fresh = state + 0.0
        fresh.kept = Counted()
        most = max(most, len(alive))
        return fresh

    watch(State(torch.ones(2, 2)), of_states(advance))
    assert WINDOW > 10
    assert most <= 3


# --- principal components
# ------------------------------------------------------------------------------


@given(st.integers(0, 2**16), st.integers(5, 40), st.integers(12, 80))
def test_a_planted_plane_is_found(seed, numbers, points):
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.normal(size=(numbers, 2)))[0]
    places = rng.normal(size=(points, 2)) * [5, 2]
    data = places @ plane.T + rng.normal(size=numbers)
    explained, found = components(torch.from_numpy(data))
    assert sum(explained[:2]) == pytest.approx(1, abs=1e-9)
    assert explained[0] >= explained[1]
    # Distances within the plane are kept, in units of the spread.
    spread = np.sqrt(places.var(0).sum())
    apart = np.linalg.norm(places[0] - places[-1]) / spread
    assert float((found[0] - found[-1]).norm()) == pytest.approx(apart, rel=1e-6)


def test_a_state_that_stands_still_or_overflows_has_no_components():
    assert components(torch.ones(10, 5)) is None
    assert components(torch.full((10, 5), torch.nan)) is None
    assert components(torch.randn(1, 5)) is None


def test_of_large_states_the_same_numbers_are_drawn_each_time_and_keep_the_shares():
    chosen = chosen_coordinates(50_000)
    assert torch.equal(chosen, chosen_coordinates(50_000))
    assert len(chosen.unique()) == COORDINATES
    assert torch.equal(chosen_coordinates(30), torch.arange(30))
    rng = np.random.default_rng(0)
    path = torch.from_numpy(rng.normal(size=(40, 3)) * [4, 2, 1] @ rng.normal(size=(3, 50_000)))
    whole, some = components(path)[0], components(path[:, chosen])[0]
    np.testing.assert_allclose(some, whole, atol=0.03)


# --- receptive fields
# ----------------------------------------------------------------------------------


class Linear(Paradigm):
    """A convolution with one non-negative kernel over and over: the field after t steps is its
    t-fold convolution with itself, whose variance is t times that of the kernel."""

    def __init__(self, kernel, dims):
        super().__init__()
        self.dims = dims
        self.kernel = kernel.reshape(1, 1, *kernel.shape).double()

    def encode(self, x):
        return State(x)

    def advance(self, state, context):
        conv = {1: F.conv1d, 2: F.conv2d}[self.dims]
        padding = self.kernel.shape[-1] // 2
        return State(conv(state.hidden, self.kernel, padding=padding), state.iteration + 1)

    def readout(self, state):
        return state.hidden


@given(
    st.integers(1, 2),
    st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True),
)
@settings(max_examples=20)
def test_a_linear_network_has_the_receptive_field_that_its_kernel_says(dims, weights, steps):
    side = weights[0]
    symmetric = torch.tensor([side, weights[1], side]).double()
    variance = 2 * side / (2 * side + weights[1])
    kernel = symmetric if dims == 1 else symmetric[:, None] * symmetric
    x = torch.randn(1, 1, *[31] * dims, dtype=torch.float64)
    fields = receptive_fields(Linear(kernel, dims), x, sorted(steps), dense=True)
    assert sorted(fields) == sorted(steps)
    for number, (field, centre) in fields.items():
        assert field.shape == x.shape[2:]
        assert radius(field, centre) == pytest.approx(math.sqrt(dims * number * variance))
        assert int((field > 0).sum()) == (2 * number + 1) ** dims


def test_a_map_of_several_channels_is_read_where_one_answer_is_given():
    class Pooled(Linear):
        def readout(self, state):
            return state.hidden.flatten(2).mean(2)

    net = Pooled(torch.ones(3).double(), 1)
    fields = receptive_fields(net, torch.rand(1, 1, 21).double() + 1, [2], dense=False)
    assert torch.equal((fields[2][0] > 0).nonzero().flatten(), torch.arange(8, 13))


def test_a_strided_map_is_placed_on_the_input():
    class Strided(Linear):
        def encode(self, x):
            return State(F.avg_pool1d(x, 4))

    net = Strided(torch.ones(1).double(), 1)
    field, centre = receptive_fields(net, torch.rand(1, 1, 20).double() + 1, [1], dense=False)[1]
    assert centre.item() == 9.5
    assert radius(field, centre) == pytest.approx(math.sqrt(5) / 2)


def test_the_field_of_everything_alike_is_uniform_and_of_nothing_has_no_size():
    centre = torch.tensor([4.0, 4.0])
    assert radius(torch.ones(9, 9), centre) == pytest.approx(uniform_radius((9, 9), centre))
    assert radius(torch.zeros(9, 9), centre) is None
    assert radius(torch.full((3, 3), torch.nan), torch.tensor([1.0, 1.0])) is None


def test_the_central_site_counts():
    mask = torch.zeros(7, 7, dtype=torch.bool)
    assert central_site((7, 7), mask) == (3, 3)
    mask[2, 4] = mask[0, 0] = True
    assert central_site((7, 7), mask) == (2, 4)


def test_fields_that_would_keep_too_much_are_left_out(monkeypatch):
    monkeypatch.setattr("comparisons.probes.receptive_field.MOST_KEPT", 100)
    fields = receptive_fields(
        Linear(torch.ones(3), 1), torch.rand(1, 1, 21).double(), [1, 4, 5], dense=True
    )
    assert sorted(fields) == [1, 4]


# --- filters
# -------------------------------------------------------------------------------------------


def test_the_meter_sees_what_hooks_on_the_convolutions_see():
    task = load_task("maze")
    torch.manual_seed(0)
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=3).eval()
    x = task.sample(9, 3, split="test").inputs
    seen = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, out: seen.append(out.clone()))
    with torch.no_grad():
        context, state = model.context(x), model.encode(x)
        state = model.advance(state, context)
        seen.clear()
        meter = FilterMeter()
        with meter:
            model.advance(state, context)
    assert len(meter.amount) == len(seen) == 5
    for amount, count, out in zip(meter.amount, meter.count, seen, strict=True):
        torch.testing.assert_close(amount.float(), out.relu().mean((2, 3)).sum(0))
        torch.testing.assert_close(count.float(), (out > 0).float().mean((2, 3)).sum(0))


def test_filters_used_once_and_filters_used_always_are_told_apart():
    class Turns(Paradigm):
        """Channel 0 answers at even iterations alone, 1 always, 2 at full and at a third, 3
        never."""

        train_iterations = 4

        def encode(self, x):
            return State(x)

        def advance(self, state, context):
            even = state.iteration % 2 == 0
            gains = torch.tensor([float(even), 1.0, 1.0 if even else 1 / 3, -1.0])
            F.conv1d(context, gains.reshape(4, 1, 1))
            return State(state.hidden, state.iteration + 1)

    x = torch.rand(5, 1, 9) + 0.1
    net, meters = Turns(), {i: FilterMeter() for i in range(1, 7)}
    state = net.encode(x)
    for number in range(1, 7):
        with meters[number]:
            state = net.advance(state, x)
    activity = activity_of(meters, 5)
    ratio = least_over_peak(activity.amount)
    np.testing.assert_allclose(ratio.numpy(), [0, 1, 1 / 3, np.nan], rtol=1e-5)
    found = reuse(activity, 4)
    assert found["never_active"] == 1
    assert found["reused"] == pytest.approx(2 / 3)
    assert found["reused_by_count"] == pytest.approx(2 / 3)
    assert found["iterations"] == 4


def test_an_iteration_that_reads_zeros_says_nothing_about_a_filter():
    weight = torch.ones(1, 1, 1)
    meters = {1: FilterMeter(), 2: FilterMeter(), 3: FilterMeter()}
    for number, value in ((1, 0.0), (2, 1.0), (3, 0.5)):
        with meters[number]:
            F.conv1d(torch.full((1, 1, 4), value), weight)
    assert least_over_peak(activity_of(meters, 1).amount).tolist() == [0.5]


# --- the whole
# -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", paradigm_names())
@pytest.mark.parametrize("kind", ["maze", "prefix_sums", "digits"])
def test_every_paradigm_can_be_probed(name, kind):
    task = load_task(kind)
    torch.manual_seed(0)
    try:
        options = paradigm_recipe(name, "smoke", task.spec).get("options", {})
        model = build_paradigm(name, task.spec, **options)
    except Unsuitable:
        return
    difficulty = {"maze": 9, "prefix_sums": 12}.get(kind, task.spec.difficulties[0])
    facts, tensors = probe(Session(model, task, CPU), difficulty, count=3, seed=0, budget=9)
    json.dumps(facts, allow_nan=False)
    assert model.training
    recurrent = model.max_iterations is None
    assert ("filters" in facts) == ("activity" in tensors) == ("limits" in facts) == recurrent
    assert ("rest" in facts) == (facts["iterations"] > 1)
    missing = {"states": "rest", "filters": "filters", "receptive": "receptive"}
    assert set(facts["not_applicable"]) == {k for k, v in missing.items() if v not in facts}
    if recurrent:
        assert sum(facts["limits"].values()) == 3
        assert 0 <= facts["filters"]["reused"] <= 1
        assert facts["filters"]["filters"] > 0
        shown = facts["filters"]["shown"]
        assert set(shown) >= {1, model.train_iterations, 9}
        assert tensors["activity"].shape == (len(shown), facts["filters"]["filters"])
    if "receptive" in facts:
        assert all(v > 0 for v in facts["receptive"]["radius"])
        assert len(tensors["receptive"]) == len(facts["receptive"]["shown"])


def test_batches_add_up(monkeypatch):
    task = load_task("prefix_sums")
    torch.manual_seed(0)
    model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=4)
    session = Session(model, task, CPU)
    whole, _ = probe(session, 12, count=6, seed=0, budget=6)
    monkeypatch.setattr("comparisons.testing.session.SITES_PER_BATCH", 24)
    parts, _ = probe(session, 12, count=6, seed=0, budget=6)
    assert parts["limits"] == whole["limits"]
    np.testing.assert_allclose(parts["filters"]["curve"], whole["filters"]["curve"], rtol=1e-4)
    np.testing.assert_allclose(parts["rest"]["median"], whole["rest"]["median"], atol=1e-5)


def test_a_paradigm_with_a_known_cycle_is_seen_through_to_the_record():
    """A state that turns by a third of a circle at each step and is drawn to its length at the
    encoding."""

    class Turning(Paradigm):
        train_iterations = 3

        def encode(self, x):
            n = len(x)
            return State(
                torch.tensor([[1.0, 0.0]]).repeat(n, 1).reshape(n, 2, 1).expand(-1, -1, 12) * 3
            )

        def advance(self, state, context):
            angle = 2 * math.pi / 3
            turn = torch.tensor(
                [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
            )
            size = state.hidden.square().sum(1, keepdim=True).sqrt()
            moved = torch.einsum("ij,njs->nis", turn, state.hidden)
            return State(moved * (1 + (size - 1) / 2) / size, state.iteration + 1)

        def readout(self, state):
            return state.hidden

    task = load_task("prefix_sums")
    seen = Trace([1, 2, 4, 8, 16, 40])
    batch = task.sample(12, 4, split="test")
    seen.add(trace(Session(Turning(), task, CPU), seen, 40, batch))
    assert [(f.kind, f.period) for f in seen.limits] == [("cycle", 3)] * 4
    rest = torch.cat(seen.rest, 1)[:, 0]
    assert (rest[1:] <= rest[:-1] + 1e-6).all()
    np.testing.assert_allclose(rest[:3], [1, 0.5, 0.125], rtol=1e-3)
    assert seen.same_answer < 4
    with torch.inference_mode():
        after = Turning().run(batch.inputs, 40)
    assert seen.solved == task.correct(after.hidden, batch).tolist()


def test_memory_does_not_grow_with_the_number_of_iterations():
    class Counts(Paradigm):
        def __init__(self):
            super().__init__()
            self.alive, self.most = weakref.WeakSet(), 0

        def encode(self, x):
            return State(x)

        def advance(self, state, context):
            hidden = state.hidden * 0.9 + context
            self.alive.add(hidden)
            self.most = max(self.most, len(self.alive))
            return State(hidden, state.iteration + 1)

        def readout(self, state):
            return torch.cat([state.hidden, -state.hidden], 1)

    task, most = load_task("prefix_sums"), []
    for iterations in (10, 500):
        net, seen = Counts(), Trace([1, iterations])
        trace(Session(net, task, CPU), seen, iterations, task.sample(12, 3, split="test"))
        most.append(net.most)
    assert most[0] == most[1] <= 4


def test_what_probes_find_is_recorded_where_they_are_asked_for_and_shown(tmp_path):
    options = ["--preset=smoke", "--tasks=maze", "--paradigms=dt_net_recall,feed_forward_recall"]
    options += ["--set=paradigm.width=8", "--set=paradigm.iterations=3", "--set=train.steps=3"]
    options += ["--set=evaluation.samples=12", "--set=evaluation.iterations=8"]
    options += ["--set=evaluation.inside=4", "--set=train.validation_samples=8"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    for path in (tmp_path / "runs").glob("*/result.json"):
        result = json.loads(path.read_text())
        assert [f["test_difficulty"] for f in result["inside"]] == [9, 13]
        assert all(f["n"] == 4 for f in result["inside"])
        assert (path.parent / "inside.safetensors").is_file()
    page = (tmp_path / "report.html").read_text()
    assert "Probes of the network's internals" in page
    assert "every filter is used once" in page


def test_asking_for_none_stores_none_and_leaves_names_of_runs_as_they_were():
    from foundations.records.spec import EvaluationSpec, RunSpec

    plain = RunSpec("maze", "dt_net", 9, 100)
    assert EvaluationSpec().inside == 0
    assert (
        RunSpec("maze", "dt_net", 9, 100, evaluation=EvaluationSpec(inside=0)).run_id
        == plain.run_id
    )
    assert (
        RunSpec("maze", "dt_net", 9, 100, evaluation=EvaluationSpec(inside=4)).run_id
        != plain.run_id
    )


def test_the_window_holds_two_of_the_longest_periods():
    assert 2 * LONGEST_PERIOD <= WINDOW
    assert trajectories.TOLERANCE < 0.01
