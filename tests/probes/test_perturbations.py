"""Damage half-way: what is done to the state, and what is measured after it."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from comparisons.cli import main
from comparisons.probes.answer_frames import answer_frames, perturbed_frames, sureness
from comparisons.probes.perturbations import (
    OF_STATES,
    SWAP,
    Halfway,
    check_perturbation,
    halves,
    perturbed,
    recovery,
)
from comparisons.testing.evaluation import evaluate
from comparisons.testing.session import Session
from foundations.records.spec import EvaluationSpec
from paradigms import build_paradigm
from paradigms.base import Paradigm, State
from tasks import TASKS, load_task
from tasks.prefix_sums import PrefixSums

CPU = torch.device("cpu")


def network(task, width=8):
    torch.manual_seed(1)
    return build_paradigm("dt_net_recall", task.spec, width=width, iterations=4)


def curves(model, task, difficulty, perturbations, before=5, record=(1, 2, 4)):
    return recovery(
        Session(model, task, CPU),
        difficulty,
        perturbations=perturbations,
        count=40,
        seed=0,
        before=before,
        record=list(record),
    )


def test_without_a_perturbation_iterations_go_on_as_if_nothing_had_happened():
    task = load_task("prefix_sums")
    model = network(task)
    found = curves(model, task, 12, ("none",))["none"]
    session = Session(model, task, CPU)
    whole = evaluate(session, 12, split="test", count=20, seed=0, iterations=9, record=[6, 7, 9])
    again = recovery(
        session, 12, perturbations=("none",), count=20, seed=0, before=5, record=[1, 2, 4]
    )["none"]
    for step in (1, 2, 4):
        assert again[step].correct == whole.fixed[5 + step].correct
        assert again[step].elements == pytest.approx(whole.fixed[5 + step].elements)
    assert set(found) == {1, 2, 4}


@pytest.mark.parametrize("name", [b for b in OF_STATES if b != "none"])
def test_a_perturbation_changes_the_state_reproducibly_and_keeps_its_shape(name):
    state = State((torch.randn(3, 8, 5), torch.randn(3, 2)), 4)
    one, two = (perturbed(state, name, 3, range(3)) for _ in range(2))
    assert one.iteration == 4
    for a, b, before in zip(one.parts, two.parts, state.parts, strict=True):
        assert torch.equal(a, b)
        assert a.shape == before.shape
        assert not torch.equal(a, before)


def test_each_perturbation_does_what_it_says():
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(50, 4000, generator=generator) * torch.linspace(1, 5, 50).view(-1, 1)
    state += torch.linspace(-9, 9, 50).view(-1, 1)
    assert (perturbed(State(state), "zeros", 0, range(50)).hidden == 0).all()
    assert torch.equal(perturbed(State(state), "none", 0, range(50)).hidden, state)
    flipped = perturbed(State(state), "flip", 0, range(50)).hidden
    assert torch.equal(flipped.abs(), state.abs())
    assert 0.09 < (flipped != state).float().mean() < 0.11
    noise = perturbed(State(state), "noise", 0, range(50)).hidden
    # Each problem's own mean and spread, not those of the batch.
    torch.testing.assert_close(noise.mean(1), state.mean(1), atol=0.4, rtol=0)
    torch.testing.assert_close(noise.std(1), state.std(1), atol=0, rtol=0.06)
    shape = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
    assert (torch.corrcoef(shape).fill_diagonal_(0).abs() < 0.1).all(), "noise of its own"


class Local(Paradigm):
    """Works site by site, so that what it computes for a problem is the same to the last bit in any
    batch; what it answers depends on its whole state, of two parts, for ever."""

    train_iterations = 2

    def encode(self, x):
        return State((x * 1.5, x.cumsum(-1) * 0.1))

    def advance(self, state, context):
        a, b = state.hidden
        return State((0.9 * a + 0.3 * b, 0.95 * b - 0.2 * a + 0.1 * context), state.iteration + 1)

    def readout(self, state):
        a, b = state.hidden
        return torch.cat([a[:, :1], b[:, :1]], 1)


def in_parts(monkeypatch, splits, model, task, difficulty, perturbations, seed=0):
    """What `recovery` finds of problems in batches as `splits` says, numbers of problems, by as
    many processes as it has lists; their sums added up."""
    count = sum(sum(sizes) for sizes in splits)
    slices = [[] for _ in range(max(map(len, splits)) * len(splits))]
    first = 0
    for process, sizes in enumerate(splits):
        for place, size in enumerate(sizes):
            slices[process + place * len(splits)] = np.arange(first, first + size)
            first += size
    totals = []

    def reduce(sums, how):
        totals.append(sums)
        return sum(totals)

    monkeypatch.setattr(Session, "slices", lambda *asked: slices)
    for process in range(len(splits)):
        shared = SimpleNamespace(
            device=CPU, process_index=process, num_processes=len(splits), reduce=reduce
        )
        found = recovery(
            Session.of(shared, model, task, "fp32"), difficulty, perturbations=perturbations,
            count=count, seed=seed, before=3, record=[1, 3],
        )  # fmt: skip
    return found


OFFERED = tuple(load_task("maze").perturbations)
EVERY = (*OF_STATES, SWAP, *OFFERED)


@pytest.mark.parametrize(
    "splits",
    [
        [[1] * 12],
        [[5, 7]],
        [[11, 1]],
        [[3, 3], [3, 3]],
        [[1, 2], [3, 1], [4, 1]],
        [[2], [2], [2], [2], [2], [2]],
    ],
)
def test_what_befalls_a_problem_depends_neither_on_the_batches_nor_on_the_processes(
    monkeypatch, splits
):
    task, model = load_task("maze"), Local()
    whole = in_parts(monkeypatch, [[12]], model, task, 9, EVERY)
    assert set(whole) == set(EVERY)
    assert in_parts(monkeypatch, splits, model, task, 9, EVERY) == whole
    # Each of them does something, and noise and moves go by the seed.
    one_step = {name: curve[1].elements for name, curve in whole.items()}
    assert len(set(one_step.values())) == len(EVERY)
    again = in_parts(monkeypatch, [[12]], model, task, 9, ("noise", "flip", "end"), seed=1)
    assert all(again[name][1].elements != one_step[name] for name in again)


def test_another_problems_state_is_that_of_the_next_however_small_the_batch():
    task, model, count = load_task("maze"), Local(), 7
    whole = task.sample(9, count, seed=0, split="test")
    states = model.run(whole.inputs, 3).hidden
    for indices in ([0, 1, 2, 3, 4, 5, 6], [0, 1, 2], [3, 4], [5, 6], [6], [2]):
        numbers = np.array(indices)
        batch = whole[torch.from_numpy(numbers)]
        state = model.run(batch.inputs, 3)
        halfway = Halfway(Session(model, task, CPU), 9, numbers, count, 0, batch, state, 3)
        now, hit = halfway.after("other")
        assert now is batch
        assert hit.iteration == 3
        for part, of_all in zip(hit.hidden, states, strict=True):
            assert torch.equal(part, of_all[(numbers + 1) % count])


def test_a_problem_that_is_alone_has_no_other_state(monkeypatch):
    task = load_task("maze")
    assert set(in_parts(monkeypatch, [[1]], Local(), task, 9, ("other", "zeros"))) == {"zeros"}


@given(
    seed=st.integers(0, 2**20),
    which=st.sampled_from(OFFERED),
    numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True),
)
def test_where_an_end_moves_depends_on_the_problems_number_alone(seed, which, numbers):
    task = load_task("maze")
    batch = task.sample(9, seed=seed, split="test", indices=numbers)
    moved = task.perturb(batch, numbers, seed, which)
    for place, number in enumerate(numbers):
        one = task.perturb(batch[place : place + 1], [number], seed, which)
        assert torch.equal(moved.inputs[place], one.inputs[0])
        assert torch.equal(moved.targets[place], one.targets[0])


def test_the_same_maze_under_many_numbers_has_its_end_moved_to_many_places():
    task = load_task("maze")
    batch = task.sample(9, seed=0, split="test", indices=[3] * 40)
    moved = task.perturb(batch, range(40), 0, "end")
    assert len({one.numpy().tobytes() for one in moved.inputs}) > 15
    with pytest.raises(ValueError, match="40 mazes need as many numbers, not 39"):
        task.perturb(batch, range(39), 0, "end")


def test_a_network_that_sees_the_problem_anew_recovers_and_one_that_does_not_cannot():
    """Answers from its input at each step, or from what it was told at first."""

    class Copies(Paradigm):
        def __init__(self, looks):
            super().__init__()
            self.looks = looks

        def encode(self, x):
            return State(x)

        def advance(self, state, context):
            return State(context if self.looks else state.hidden, state.iteration + 1)

        def readout(self, state):
            total = ((state.hidden[:, 0] + 0.5).cumsum(1) % 2).round()
            return torch.stack([0.5 - total, total - 0.5], 1)

    task = load_task("prefix_sums")
    looking, blind = (curves(Copies(looks), task, 12, ("zeros", "none")) for looks in (True, False))
    assert looking["zeros"][1].correct == looking["none"][1].correct == 40
    assert blind["none"][4].correct == 40
    assert blind["zeros"][4].correct < 40


@pytest.mark.parametrize("drawing", ["cells", "published"])
@pytest.mark.parametrize("which", OFFERED)
@given(seed=st.integers(0, 2**20), loops=st.sampled_from([0.0, 0.3]))
def test_a_moved_end_is_a_maze_with_one_end_elsewhere_and_its_own_shortest_path(
    drawing, which, seed, loops
):
    task = load_task("maze", drawing=drawing, loops=loops)
    batch = task.sample(9, 6, seed=seed, split="test")
    moved = task.perturb(batch, range(6), seed, which)
    assert torch.equal(moved.mask, batch.mask)
    scale = 1 if drawing == "cells" else 2

    def ends(inputs):
        green = (inputs[:, 1] > 0.5) & (inputs[:, 0] < 0.5)
        red = (inputs[:, 0] > 0.5) & (inputs[:, 1] < 0.5)
        return green, red

    (green, red), (new_green, new_red) = ends(batch.inputs), ends(moved.inputs)
    stays, goes = (red, green) if which == "start" else (green, red)
    new_stays, new_goes = (new_red, new_green) if which == "start" else (new_green, new_red)
    assert torch.equal(stays, new_stays)
    assert (new_goes.flatten(1).sum(1) == scale**2).all()
    assert not (new_goes & (goes | stays)).any()
    assert torch.equal(moved.inputs.sum(1) > 0, batch.inputs.sum(1) > 0)
    # The right answer to the new maze is right by the task's own rule, and as short as any.
    sure = torch.stack([-moved.targets.float(), moved.targets.float() - 0.5], 1)
    assert task.correct(sure, moved).all()
    assert not (moved.targets.bool() & ~moved.mask).any()
    for target, mask, a, b in zip(moved.targets, moved.mask, new_green, new_red, strict=True):
        assert target[a].all()
        assert target[b].all()
        reached, steps = a & mask, 0
        while not (reached & b).any():
            grown = torch.nn.functional.max_pool2d(reached[None, None].float(), (3, 1), 1, (1, 0))
            wide = torch.nn.functional.max_pool2d(reached[None, None].float(), (1, 3), 1, (0, 1))
            reached = ((grown + wide)[0, 0] > 0) & mask
            steps += 1
        if drawing == "cells":
            assert int(target.sum()) == steps + 1


def test_tasks_without_ends_leave_their_perturbations_out():
    task = load_task("prefix_sums")
    assert set(curves(network(task), task, 12, ("zeros", "end"))) == {"zeros"}


def test_perturbations_are_recorded_and_shown(tmp_path):
    options = ["--preset=smoke", "--tasks=maze", "--paradigms=dt_net_recall,feed_forward_recall"]
    options += ["--set=paradigm.width=8", "--set=paradigm.iterations=3", "--set=train.steps=3"]
    options += ["--set=evaluation.samples=12", "--set=evaluation.iterations=8"]
    options += ["--set=evaluation.blows=noise,end,none", "--set=train.validation_samples=8"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    found = {}
    for path in (tmp_path / "runs").glob("*/result.json"):
        result = json.loads(path.read_text())
        found[result["paradigm"]] = result.get("recovery")
    ended = found["feed_forward_recall"]
    curves_found = found["dt_net_recall"]
    assert {(c["blow"], c["test_difficulty"]) for c in curves_found} == {
        (blow, size) for blow in ("noise", "end", "none") for size in (9, 13)
    }
    assert all(np.isfinite(c["accuracy"]).all() and c["before"] == 4 for c in curves_found)
    assert all(c["ends"] and c["before"] == 1 and c["iterations"] == [2] for c in ended)
    assert {c["blow"] for c in ended} == {"noise", "end", "none"}
    page = (tmp_path / "report.html").read_text()
    assert "state replaced by noise" in page
    assert "perturbed half-way through their depth" in page
    assert page.count('data-event="the end moved"') == 2
    assert "end moved" in page


def test_an_unknown_perturbation_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown perturbation 'nois'; known: noise"):
        check_perturbation("nois")


def test_a_network_that_ends_is_perturbed_half_way_through_its_depth_and_one_of_one_step_is_not():
    task = load_task("maze")
    for name, expected in (("feed_forward_recall", (3, 4)), ("narrow_resnet18", (0, 1))):
        options = {"width": 8, "iterations": 7} if expected[0] else {}
        assert halves(build_paradigm(name, task.spec, **options), 64) == expected
    assert halves(network(task), 64) == (32, 32)
    assert halves(network(task), 2) == (2, 2)  # never fewer than trained


def test_a_depth_perturbed_by_nothing_ends_as_it_would_have_and_its_later_layers_alone_count():
    task = load_task("maze")
    torch.manual_seed(2)
    model = build_paradigm("feed_forward_recall", task.spec, width=8, iterations=6)
    batch = task.sample(9, 5, split="test")
    with torch.no_grad():
        half = model.run(batch.inputs, 3)
        whole = model(batch.inputs)
        went_on = model.readout(model.run(batch.inputs, 3, half))
        lost = model.run(batch.inputs, 3, State(torch.zeros_like(half.hidden), half.iteration))
        for block in model.recurrent[:3]:
            for weight in block.parameters():
                weight.zero_()
        again = model.run(batch.inputs, 3, State(torch.zeros_like(half.hidden), half.iteration))
    torch.testing.assert_close(went_on, whole)
    torch.testing.assert_close(lost.hidden, again.hidden)


FRAMED = EvaluationSpec(iterations=12, blows=("none", "zeros", "other", "end"))


def test_frames_go_on_without_a_perturbation_and_start_anew_from_it_with_one():
    task = load_task("maze")
    model = network(task).eval()
    session = Session(model, task, CPU)
    batch = task.sample(9, 1, split="test")
    found = perturbed_frames(session, 9, 0, FRAMED)
    assert {name.partition(".")[0] for name in found} == set(FRAMED.blows)
    for name in FRAMED.blows:
        place = int(found[f"{name}.struck"])
        steps = found[f"{name}.iterations"].tolist()
        assert steps[place - 1] == steps[place] == 6
        assert sorted(set(steps)) == sorted(set(steps[:place] + steps[place + 1 :]))
        assert steps[-1] == 12
        assert found[f"{name}.frames"].shape == (len(steps), *batch.targets.shape[1:])
        assert len(found[f"{name}.correct"]) == len(steps)
        assert torch.equal(found[f"{name}.frames"][:place], found["none.frames"][:place])
    undisturbed = answer_frames(session, batch, [6, 12])
    assert torch.equal(found["none.frames"][[place - 1, -1]], undisturbed)
    assert torch.equal(found["none.frames"][place], found["none.frames"][place - 1])
    with torch.no_grad():
        empty = model.run(batch.inputs, 6)
        empty = State(torch.zeros_like(empty.hidden), 6)
        blank = sureness(model.readout(empty), batch)
        then = sureness(model.readout(model.run(batch.inputs, 6, empty)), batch)
        moved = task.perturb(batch, [0], FRAMED.seed, "end")
        there = model.run(moved.inputs, 6, model.run(batch.inputs, 6))
    assert torch.equal(found["zeros.frames"][place], blank)
    assert torch.equal(found["zeros.frames"][-1], then)
    assert torch.equal(found["end.frames"][-1], sureness(model.readout(there), moved))
    assert found["end.picture"].shape == (*batch.inputs.shape[2:], 3)
    red = (found["end.picture"][..., 0] > 128) & (found["end.picture"][..., 1] < 128)
    assert torch.equal(red, (moved.inputs[0, 0] > 0.5) & (moved.inputs[0, 1] < 0.5))


def test_frames_know_when_the_answer_is_right():
    """A network that has the answer whole whenever it looks at its input, an iteration after any
    perturbation."""

    class Looks(Paradigm):
        def encode(self, x):
            return State(x)

        def advance(self, state, context):
            return State(context, state.iteration + 1)

        def readout(self, state):
            total = ((state.hidden[:, 0] + 0.5).cumsum(1) % 2).round()
            return torch.stack([0.5 - total, total - 0.5], 1)

    task = load_task("prefix_sums")
    found = perturbed_frames(Session(Looks(), task, CPU), 12, 0, FRAMED)
    assert "end.frames" not in found
    right, place = found["zeros.correct"].tolist(), int(found["zeros.struck"])
    assert right == [1] * place + [0] + [1] * (len(right) - place - 1)


def test_no_frames_where_no_perturbation_is_asked_for_or_applies():
    task = load_task("maze")
    assert perturbed_frames(Session(network(task), task, CPU), 9, 0, EvaluationSpec()) == {}
    one_step = build_paradigm("narrow_resnet18", task.spec).eval()
    assert perturbed_frames(Session(one_step, task, CPU), 9, 0, FRAMED) == {}
    alone = replace(FRAMED, samples=1)
    found = perturbed_frames(Session(network(task), task, CPU), 9, 0, alone)
    assert found
    assert not any(name.startswith("other") for name in found)


def test_frames_show_what_is_counted():
    """The very noise, other state or moved end that `recovery` deals to a problem among others."""
    task, model, count = load_task("maze"), Local(), 5
    asked = EvaluationSpec(iterations=6, blows=EVERY, samples=count, seed=4)
    numbers = np.arange(count)
    batch = task.sample(9, count, seed=4, split="test")
    state = model.run(batch.inputs, 3)
    session = Session(model, task, CPU)
    halfway = Halfway(session, 9, numbers, count, 4, batch, state, 3)
    for index in range(count):
        found = perturbed_frames(session, 9, index, asked)
        for name in EVERY:
            now, hit = halfway.after(name)
            place = int(found[f"{name}.struck"])
            one = slice(index, index + 1)
            at_once = sureness(model.readout(hit)[one], now[one])
            assert torch.equal(found[f"{name}.frames"][place], at_once), (index, name)
            at_last = sureness(model.readout(model.run(now.inputs, 3, hit))[one], now[one])
            assert torch.equal(found[f"{name}.frames"][-1], at_last), (index, name)


class OneLogit(PrefixSums):
    """The same sums, asked for as one logit a site."""

    spec = replace(PrefixSums.spec, name="one_logit", outputs=1)


def test_sureness_is_the_probability_of_a_mark_whatever_the_number_of_logits():
    batch = load_task("prefix_sums").sample(12, 2, split="test")
    logits = torch.randn(2, 3, 12) * 3
    for given_logits, expected in (
        (logits[:, :1], logits[0, 0].sigmoid()),
        (logits[:, :2], logits[:, :2].softmax(1)[0, 1]),
        (logits, 1 - logits.softmax(1)[0, 0]),
    ):
        found = sureness(given_logits, batch)
        assert found.dtype == torch.uint8
        assert (found.float() - expected * 255).abs().max() <= 0.51


def test_a_dense_task_of_one_logit_goes_all_the_way_to_its_report(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "one_logit", f"{__name__}:OneLogit")
    both = "dt_net_recall,narrow_resnet18"
    options = ["--preset=smoke", "--tasks=one_logit", f"--paradigms={both}", "--workers=1"]
    options += ["--set=dt_net_recall.width=8", "--set=dt_net_recall.iterations=3"]
    options += ["--set=train.steps=3"]
    options += ["--set=evaluation.samples=12", "--set=evaluation.iterations=8"]
    options += ["--set=evaluation.blows=noise,other", "--set=train.validation_samples=8"]
    options += ["--set=evaluation.inside=2", "--set=evaluation.difficulties=16"]
    assert main([*options, f"--out={tmp_path}"]) == 0
    (path,) = (tmp_path / "runs").glob("one_logit.dt_net_recall*/result.json")
    (other,) = (tmp_path / "runs").glob("one_logit.narrow_resnet18*/examples.safetensors")
    result = json.loads(path.read_text())
    assert {curve["blow"] for curve in result["recovery"]} == {"noise", "other"}
    examples = load_file(path.with_name("examples.safetensors"))
    assert examples["16.blow.noise.frames"].shape[1:] == (16,)
    assert examples["16.thoughts"].shape[1:] == (16,)
    beside = load_file(other)
    assert torch.equal(examples["16.first.picture"], beside["16.first.picture"]), "one problem"
    assert len(examples["16.first.thoughts"]) == 8
    assert beside["16.first.thought_iterations"].tolist() == [1]
    assert "one_logit" in (tmp_path / "report.html").read_text()
