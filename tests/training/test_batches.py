"""The problems of each training step: which they are, whoever makes them and however many steps at
once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from comparisons.training import batches as training
from comparisons.training.batches import batch_indices, batches
from foundations.records.spec import RunSpec, TrainSpec
from tasks import load_task

TASK = load_task("prefix_sums")
EASIEST, TRAINED = TASK.spec.difficulties[0], 24


def spec_of(steps=9, batch_size=6, samples=20, easiest_steps=0):
    train = TrainSpec(steps=steps, batch_size=batch_size, easiest_steps=easiest_steps)
    return RunSpec("prefix_sums", "dt_net", TRAINED, samples, seed=3, train=train)


def process(rank=0, processes=1):
    return SimpleNamespace(device=torch.device("cpu"), process_index=rank, num_processes=processes)


@given(
    batch_size=st.integers(1, 7),
    samples=st.integers(1, 30),
    first=st.integers(0, 10),
    steps=st.integers(1, 12),
)
def test_steps_asked_for_together_are_those_asked_for_one_by_one(batch_size, samples, first, steps):
    spec = spec_of(batch_size=batch_size, samples=samples)
    together = batch_indices(spec, range(first, first + steps))
    single = [batch_indices(spec, range(k, k + 1))[0] for k in range(first, first + steps)]
    assert together.shape == (steps, batch_size)
    assert np.array_equal(together, single)


@given(batch_size=st.integers(1, 7), epochs=st.integers(1, 3))
def test_every_training_problem_comes_once_an_epoch(batch_size, epochs):
    spec = spec_of(batch_size=batch_size, samples=3 * batch_size)
    seen = batch_indices(spec, range(3 * epochs)).reshape(epochs, -1)
    assert (np.sort(seen, axis=1) == np.arange(3 * batch_size)).all()


@pytest.mark.parametrize("at_once", [1, 6, 20, 1000])
@pytest.mark.parametrize("first", [0, 3, 5, 12])
@pytest.mark.parametrize(("rank", "processes"), [(0, 1), (0, 2), (1, 2)])
def test_batches_hold_their_steps_problems(monkeypatch, at_once, first, rank, processes):
    """At every step from any on, before and after the easiest difficulty, in whatever portions they
    are made."""
    monkeypatch.setattr(training, "AT_ONCE", at_once)
    spec = spec_of(easiest_steps=4)
    found = list(batches(TASK, spec, first, process(rank, processes)))
    assert len(found) == spec.train.total_steps - first
    for step, batch in enumerate(found, first):
        expected = TASK.sample(
            EASIEST if step < 4 else TRAINED,
            seed=spec.data_seed,
            split="train",
            indices=batch_indices(spec, range(step, step + 1))[0, rank::processes],
        )
        assert torch.equal(batch.inputs, expected.inputs)
        assert torch.equal(batch.targets, expected.targets)


def test_only_a_few_steps_are_made_ahead(monkeypatch):
    """What a long training will need is not made at its start."""
    made = []
    sample = TASK.sample

    def counted(*args, **kwargs):
        made.append(len(kwargs["indices"]))
        return sample(*args, **kwargs)

    monkeypatch.setattr(TASK, "sample", counted)
    source = batches(TASK, spec_of(steps=1000, batch_size=64), 0, process())
    next(source)
    source.close()
    assert max(made) <= training.AT_ONCE
    assert sum(made) <= 3 * training.AT_ONCE
