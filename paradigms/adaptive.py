"""Networks that learn when to halt: any recurrent paradigm with a halting unit.

ACT: Graves 2016, "Adaptive Computation Time for Recurrent Neural Networks" (arXiv 1603.08983), on
convolutional networks as Veerabadran et al. 2023 (arXiv 2311.06964). PonderNet: Banino et al. 2021
(arXiv 2107.05407). The objectives are `comparisons.training.learner`'s; the exit rule that stops
where such a network halts is `halting`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from foundations.errors import Unsuitable, unknown_name
from paradigms.base import Paradigm, Signature, State, first_of

HALTINGS = ("act", "pondernet")
#: ACT halts when what is left of a chance of 1 is no more than this (Graves 2016).
EPSILON = 0.01
#: The chance of all trained iterations together to halt before the last, before training. With
#: likelier halts ACT answers with the mean of states that are not done yet, and learns nothing.
EARLY = 0.1


class Adaptive(Paradigm):
    """A recurrent network and a linear halting unit on the mean of its state over sites.

    At first the unit gives each iteration the chance `EARLY` / train_iterations. State: that of the
    network; for ACT the mean of its states, weighed by their chances; and [n, 3] numbers a problem:
    the chance to have halted, that of this iteration, and for ACT the time so far: iterations
    before halting and the chance left to the last of them. ACT answers with the mean, in which the
    latest state has the chance that is left, so that every iteration has the answer that halting
    there would give; PonderNet with the latest state.
    """

    def __init__(self, spec: Signature, inner: Paradigm, halting: str) -> None:
        super().__init__()
        self.inner, self.halts = inner, halting
        self.train_iterations = inner.train_iterations
        self.same_from = inner.same_from
        self.recurrent_parts = (*(f"inner.{name}" for name in inner.recurrent_parts), "unit")
        was_training = inner.training
        inner.eval()
        with torch.no_grad():
            sites = spec.size or (9,) * spec.spatial_dims
            state = inner.encode(torch.zeros(1, spec.in_channels, *sites))
        inner.train(was_training)
        self.unit = nn.Linear(state.parts[0].shape[1], 1)
        nn.init.zeros_(self.unit.weight)
        nn.init.constant_(self.unit.bias, -math.log(self.train_iterations / EARLY - 1))

    def encode(self, x: Tensor) -> State:
        state = self.inner.encode(x)
        mean = state.map(torch.zeros_like).hidden if self.halts == "act" else ()
        numbers = torch.zeros(len(x), 3, device=x.device)
        return State((state.hidden, mean, numbers), state.iteration)

    def context(self, x: Tensor) -> Any:
        return self.inner.context(x)

    def advance(self, state: State, context: Any) -> State:
        hidden, mean, numbers = state.hidden
        after = self.inner.advance(State(hidden, state.iteration), context)
        first = first_of(after.hidden).flatten(2)
        chance = self.unit(first.mean(2).to(self.unit.weight.dtype)).float().sigmoid()
        halted, _, time = numbers.split(1, 1)
        left = 1 - halted
        if self.halts == "act":
            going = (left > 0).float()
            last = chance >= left - EPSILON
            share = torch.where(last, left, chance) * going
            # the whole iterations, and of the last the chance that is left to it
            time = torch.where(going > 0, state.iteration + 1 + left, time)
            halted = torch.where(last | (going == 0), 1.0, halted + share)
            mean = _weighed(mean, after, share)
        else:
            share = left * chance
            halted = halted + share
        numbers = torch.cat((halted, share, time), 1)
        return State((after.hidden, mean, numbers), after.iteration)

    def readout(self, state: State) -> Tensor:
        hidden, mean, numbers = state.hidden
        if self.halts == "act":
            hidden = _weighed(mean, State(hidden), 1 - numbers[:, :1])
        return self.inner.readout(State(hidden, state.iteration))

    def halted(self, state: State) -> Tensor:
        """bool [n]. ACT: the chances add up to 1. PonderNet: to have halted by now is likelier than
        not, so that answers do not depend on chance."""
        done = state.hidden[2][:, 0]
        return done >= 1 if self.halts == "act" else done > 0.5

    def time(self, state: State) -> Tensor:
        """float [n]: N + R of ACT, whose mean is its price of time; the gradient is R's."""
        return state.hidden[2][:, 2]

    def chance(self, state: State) -> Tensor:
        """float [n]: to halt after exactly this iteration."""
        return state.hidden[2][:, 1]


def _weighed(mean: Any, state: State, share: Tensor) -> Any:
    """The hidden state mean + share of each problem, [n, 1], times a state."""

    def add(own: Tensor, part: Tensor) -> Tensor:
        return own + share.reshape(-1, *[1] * (part.dim() - 1)).to(part.dtype) * part

    return State.together(add, State(mean), state).hidden


def adaptive(
    spec: Signature,
    base: str = "dt_net_recall",
    *,
    halting: str = "act",
    **options: Any,
) -> Paradigm:
    """A recurrent network that learns when to halt (its option `base`, or NAME).

    halting: act or pondernet. options: of the base. ValueError for another, `Unsuitable` (a
    ValueError) for a network whose iterations end.
    """
    from paradigms import build_paradigm

    if halting not in HALTINGS:
        raise unknown_name("halting", halting, HALTINGS)
    inner = build_paradigm(base, spec, **options)
    if inner.halts or inner.max_iterations is not None:
        why = "halts already" if inner.halts else "ends by itself"
        raise Unsuitable(f"adaptive makes no sense for {base}: it {why}")
    return Adaptive(spec, inner, halting)


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """That of the paradigm it is made of."""
    from paradigms import paradigm_recipe

    return paradigm_recipe(name.partition(":")[2] or "dt_net_recall", preset, spec)
