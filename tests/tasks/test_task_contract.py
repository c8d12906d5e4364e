"""What every registered task must do."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
import torch

from tasks import load_task, task_names


def loaded(name: str):
    """The task, or a skip where its data can't be had here."""
    try:
        task = load_task(name)
        task.capacity(task.spec.train_difficulty, "train")
        return task
    except FileNotFoundError as error:
        pytest.skip(f"no data: {error}")


every_task = pytest.mark.parametrize("name", task_names())


@every_task
def test_batches_have_the_shapes_and_types_of_the_contract(name):
    task = loaded(name)
    spec = task.spec
    for difficulty in spec.difficulties[:3]:
        for split in ("train", "validation", "test"):
            batch = task.sample(difficulty, 3, seed=1, split=split)
            assert batch.inputs.dtype == torch.float32
            assert batch.inputs.shape[:2] == (3, spec.in_channels)
            sites = batch.inputs.shape[2:]
            assert len(sites) == spec.spatial_dims
            assert spec.size is None or tuple(sites) == spec.size
            assert batch.targets.dtype == torch.int64
            assert batch.targets.shape == ((3, *sites) if spec.dense else (3,))
            assert batch.targets.min() >= 0
            assert batch.targets.max() < max(spec.outputs, 2)
            if batch.mask is not None:
                assert batch.mask.dtype == torch.bool
                assert batch.mask.shape == batch.targets.shape


@every_task
def test_a_sample_depends_on_its_index_alone(name):
    task = loaded(name)
    difficulty = task.spec.train_difficulty
    many = task.sample(difficulty, 12, seed=3)
    order = np.random.default_rng(0).permutation(12)
    shuffled = task.sample(difficulty, seed=3, indices=order)
    assert torch.equal(shuffled.inputs, many.inputs[order])
    assert torch.equal(shuffled.targets, many.targets[order])
    again = load_task(name).sample(difficulty, 5, seed=3)
    assert torch.equal(again.inputs, many.inputs[:5])
    assert not torch.equal(task.sample(difficulty, 12, seed=4).inputs, many.inputs)


def _in_another_process(name: str) -> bytes:
    task = load_task(name)
    return task.sample(task.spec.train_difficulty, 4, seed=7).inputs.numpy().tobytes()


def test_another_process_draws_the_same_samples():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for name in ("maze", "prefix_sums"):
            assert pool.apply(_in_another_process, (name,)) == _in_another_process(name)


@every_task
def test_splits_share_no_problem(name):
    task = loaded(name)
    difficulty = task.spec.train_difficulty
    seen = {}
    for split in ("train", "validation", "test"):
        held = task.capacity(difficulty, split) or 300
        inputs = task.sample(difficulty, min(300, held), split=split, seed=0).inputs
        seen[split] = {x.numpy().tobytes() for x in inputs}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]


@every_task
def test_the_right_answer_scores_one_and_its_opposite_does_not(name):
    task = loaded(name)
    batch = task.sample(task.spec.train_difficulty, 8)
    k = task.spec.outputs
    if k == 1:
        logits = (batch.targets.float() * 2 - 1).unsqueeze(1) * 9
    else:
        logits = torch.nn.functional.one_hot(batch.targets, k).float().movedim(-1, 1) * 9
    assert task.correct(logits, batch).all()
    assert (task.predict(logits, batch) == batch.targets).all()
    assert (task.element_accuracy(logits, batch) == 1).all()
    right, wrong = task.loss(logits, batch), task.loss(-logits, batch)
    assert right.ndim == 0
    assert right < 0.01 < wrong
    assert not task.correct(-logits, batch).any()


@every_task
@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0},
        {"count": -1},
        {"count": 1.5},
        {"count": None},
        {"count": 4, "split": "tests"},
        {"count": 4, "seed": -1},
        {"count": 4, "seed": 0.5},
        {"indices": [-1]},
        {"indices": []},
    ],
)
def test_senseless_requests_are_refused(name, arguments):
    task = loaded(name)
    with pytest.raises(ValueError, match=r"\w"):
        task.sample(task.spec.train_difficulty, **arguments)


@every_task
def test_senseless_difficulties_and_options_are_refused(name):
    task = loaded(name)
    with pytest.raises(ValueError, match=r"\w"):
        task.sample("impossible", 1)
    with pytest.raises(ValueError, match="option"):
        load_task(name, colour="green")


def test_an_unknown_task_names_the_nearest_first():
    with pytest.raises(ValueError, match=r"unknown task 'mze'; known: maze, "):
        load_task("mze")


@every_task
def test_pictures_can_be_shown(name):
    task = loaded(name)
    batch = task.sample(task.spec.train_difficulty, 2)
    picture = task.picture(batch.inputs)
    assert picture.shape[:2] == (2, 3)
    assert picture.ndim == 4
    assert 0 <= picture.min() <= picture.max() <= 1


@every_task
def test_a_task_offers_perturbations_by_name_and_no_others(name):
    task = loaded(name)
    batch = task.sample(task.spec.train_difficulty, 3)
    for offered in task.perturbations:
        after = task.perturb(batch, range(3), 0, offered)
        assert after.inputs.shape == batch.inputs.shape
        assert (after.inputs != batch.inputs).flatten(1).any(1).all()
    with pytest.raises(ValueError, match="perturbation 'nothing'"):
        task.perturb(batch, range(3), 0, "nothing")
