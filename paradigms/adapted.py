"""Networks that know nothing of this library, as paradigms.

Any module is one: as a whole it is one iteration or, where it has `encode`, `step` and `readout`,
a recurrent network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from paradigms.base import Paradigm, State

LOOP = ("encode", "step", "readout")
#: Iterations of a recurrent module that names no `train_iterations` of its own.
USUAL_ITERATIONS = 16


class Looped(Paradigm):
    """A module with `encode(x)`, which gives its first state, `step(state, x)`, the next one, and
    `readout(state)`, logits [n, K, *S] or [n, K].

    A state is a tensor [n, ...] or a tuple of such. The module may have any of the attributes
    `train_iterations` (16), `max_iterations`, `progressive` and `recurrent_parts` of a `Paradigm`.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.train_iterations = getattr(network, "train_iterations", USUAL_ITERATIONS)
        self.max_iterations = getattr(network, "max_iterations", None)
        self.progressive = getattr(network, "progressive", False)
        parts = getattr(network, "recurrent_parts", ())
        self.recurrent_parts = tuple(f"network.{part}" for part in parts)

    def encode(self, x: Tensor) -> State:
        return State(self.network.encode(x))

    def advance(self, state: State, context: Any) -> State:
        return State(self.network.step(state.hidden, context), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return self.network.readout(state.hidden)


class _Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def as_paradigm(network: Any) -> Paradigm:
    """A network that maps inputs [n, C, *S] to logits [n, K, *S] or [n, K] as a paradigm: itself,
    if it is one; recurrent, if it has `encode`, `step` and `readout`; else one iteration. TypeError
    for what can't be called."""
    from paradigms.resnet import OnePass

    if isinstance(network, Paradigm):
        return network
    if isinstance(network, nn.Module):
        if all(callable(getattr(network, part, None)) for part in LOOP):
            return Looped(network)
        if type(network).forward is not nn.Module.forward:
            return OnePass(network)
        raise TypeError(
            f"{type(network).__name__} has neither forward nor all of {', '.join(LOOP)}"
        )
    if callable(network):
        return OnePass(_Called(network))
    raise TypeError(f"a network must be a module or a function, not {type(network).__name__}")
