"""A state as a value: its parts, and functions of them."""

from __future__ import annotations

import pytest
import torch

from paradigms.base import State

A, B, C = torch.full((2, 3), 1.0), torch.full((2, 5), 2.0), torch.full((2, 3, 4), 3.0)
HIDDEN = {"tensor": A, "pair": (A, B), "nested": (A, (B, (C,)))}
every_structure = pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)


def structure(hidden):
    return tuple(map(structure, hidden)) if isinstance(hidden, tuple) else hidden.shape


@every_structure
def test_parts_are_the_tensors_themselves_in_order(hidden):
    parts = State(hidden).parts
    expected = (A, B, C)[: len(parts)]
    assert all(part is tensor for part, tensor in zip(parts, expected, strict=True))


@every_structure
def test_map_keeps_the_structure_and_the_iteration(hidden):
    state = State(hidden, 7)
    doubled = state.map(lambda t: 2 * t)
    assert structure(doubled.hidden) == structure(hidden)
    assert doubled.iteration == 7
    assert all(torch.equal(d, 2 * p) for d, p in zip(doubled.parts, state.parts, strict=True))


@every_structure
def test_together_meets_part_with_part_and_takes_the_first_iteration(hidden):
    first, second = State(hidden, 3), State(hidden, 5).map(lambda t: 10 * t)
    both = State.together(torch.sub, second, first)
    assert structure(both.hidden) == structure(hidden)
    assert both.iteration == 5
    assert all(torch.equal(b, 9 * p) for b, p in zip(both.parts, first.parts, strict=True))


def test_states_of_different_structure_do_not_go_together():
    with pytest.raises(ValueError, match="zip"):
        State.together(torch.add, State((A, B)), State((A,)))
