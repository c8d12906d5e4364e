"""Which test problems are shown."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from comparisons.execution.examples import pictured


@given(st.lists(st.booleans(), min_size=1, max_size=32), st.integers(1, 12))
def test_as_many_problems_are_shown_as_there_are_to_show(correct, count):
    """One that is shown at least: a single picture of a network that solves nothing was an error
    once."""
    correct = torch.tensor(correct)
    shown = pictured(correct, count)
    assert len(set(shown.tolist())) == len(shown) == min(count, len(correct))
    told = correct[shown].tolist()
    assert told == sorted(told, reverse=True)
    solved, unsolved = sum(told), len(told) - sum(told)
    assert unsolved >= min(count // 2, int((~correct).sum()))
    assert solved >= min(count - count // 2, int(correct.sum()))
