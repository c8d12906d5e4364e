"""Properties of the prefix-sum generator."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import load_task

LENGTHS = st.integers(6, 200)


@given(LENGTHS, st.integers(0, 2**60), st.sampled_from(["train", "validation", "test"]))
def test_sums_obey_their_recurrence(length, seed, split):
    batch = load_task("prefix_sums").sample(length, 4, seed=seed, split=split)
    assert batch.inputs.shape == (4, 1, length)
    assert set(batch.inputs.unique().tolist()) <= {-0.5, 0.5}
    bits = (batch.inputs[:, 0] > 0).long()
    assert (batch.targets[:, 0] == bits[:, 0]).all()
    assert (batch.targets[:, 1:] == batch.targets[:, :-1] ^ bits[:, 1:]).all()


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_a_split_runs_through_all_its_strings_once(length, seed):
    task = load_task("prefix_sums")
    found = []
    for split in ("train", "validation", "test"):
        held = task.capacity(length, split)
        if held:
            found += [
                tuple(x.tolist())
                for x in task.sample(length, held, seed=seed, split=split).inputs[:, 0]
            ]
        with pytest.raises(ValueError, match="distinct"):
            task.sample(length, held + 1, seed=seed, split=split)
    assert len(found) == len(set(found)) == 2**length


@pytest.mark.parametrize("length", [16, 32, 64, 300])
def test_bits_are_fair_and_independent(length):
    bits = (load_task("prefix_sums").sample(length, 20_000).inputs[:, 0] > 0).double() * 2 - 1
    bound = 5 / 20_000**0.5  # five standard errors of a mean of signs
    assert bits.mean(0).abs().max() < bound
    correlation = bits.T @ bits / 20_000 - torch.eye(length, dtype=torch.float64)
    assert correlation.abs().max() < 1.2 * bound


@pytest.mark.parametrize("length", [0, -1, 2.5, "16", 2**30])
def test_lengths_that_make_no_sense_are_refused(length):
    with pytest.raises(ValueError, match="length must be an integer"):
        load_task("prefix_sums").sample(length, 1)
