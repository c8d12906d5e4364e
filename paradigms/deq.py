"""A deep equilibrium model: the fixed point of a DT-net's step, found by Anderson acceleration.

Bai et al. 2019, "Deep Equilibrium Models" (arXiv 1909.01377); on mazes and sums Anil et al. 2022
(arXiv 2211.09961). Anderson acceleration: Walker and Ni 2011. The gradient at the fixed point is an
objective that any recurrent network can be trained by (`train.implicit`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from paradigms.base import Signature, State
from paradigms.dt_net import DTNet
from paradigms.dt_net import recipe as dt_net_recipe

#: Share of the mean squared residual that is added to the diagonal of the system for the mixture.
RIDGE = 1e-4


class DEQ(DTNet):
    """`dt_net_lipschitz` whose iterations are those of a solver.

    memory: how many of the latest states are mixed, 1 for plain iteration. The other options are
    those of DT-nets; there need be no fixed point but with `norm="board"`. State: (z, inputs,
    outputs), the latter [n, memory, width, *S], of which the first `iteration` are filled. Where
    gradients are asked for, a step is the network's own and not the solver's.
    """

    def __init__(
        self,
        spec: Signature,
        *,
        width: int | None = None,
        iterations: int = 30,
        depth: int = 2,
        kernel: int = 3,
        stride: int = 1,
        lipschitz: float = 0.95,
        norm: str = "matrix",
        memory: int = 4,
    ) -> None:
        super().__init__(
            spec,
            recall=True,
            tied=True,
            width=width,
            iterations=iterations,
            depth=depth,
            kernel=kernel,
            stride=stride,
            lipschitz=lipschitz,
            norm=norm,
        )
        if memory < 1:
            raise ValueError(f"memory must be at least 1, not {memory}")
        self.memory = memory

    @property
    def step_radius(self) -> int | None:
        return None  # the mixture is of the whole board

    def encode(self, x: Tensor) -> State:
        z = super().encode(x).hidden
        if self.memory == 1:
            return State((z,))
        past = z.new_zeros(len(z), self.memory, *z.shape[1:])
        return State((z, past, past))

    def advance(self, state: State, context: Any) -> State:
        z, *past = state.hidden
        found = super().advance(State(z, state.iteration), context)
        if not past or torch.is_grad_enabled():
            return State((found.hidden, *past), found.iteration)
        slot = state.iteration % self.memory
        inputs, outputs = past[0].clone(), past[1].clone()
        inputs[:, slot], outputs[:, slot] = z, found.hidden
        z = anderson(inputs, outputs, min(state.iteration + 1, self.memory))
        return State((z.to(found.hidden.dtype), inputs, outputs), found.iteration)

    def readout(self, state: State) -> Tensor:
        return super().readout(State(state.hidden[0]))


def anderson(inputs: Tensor, outputs: Tensor, filled: int) -> Tensor:
    """The mixture of the first `filled` outputs f(z_i), [n, m, ...], whose residual, the same
    mixture of f(z_i) - z_i, is least for each problem; the shares add up to 1."""
    outputs = outputs[:, :filled].float()
    residuals = (outputs - inputs[:, :filled].float()).flatten(2)
    system = residuals @ residuals.transpose(1, 2)
    size = system.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * RIDGE + 1e-12
    system = system + size * torch.eye(filled, device=system.device)
    # not `solve`, which waits for the device to see whether it could
    shares, _ = torch.linalg.solve_ex(system, system.new_ones(len(system), filled))
    shares = shares / shares.sum(1, keepdim=True)
    return torch.einsum("nm,nm...->n...", shares, outputs)


deq = DEQ
"""DEQ: the fixed point of a step of `dt_net_lipschitz`, by Anderson acceleration."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """That of the DT-nets, trained by the gradient of the last step alone (Fung et al. 2021,
    arXiv 2103.12803): with more terms training diverges where steps do not contract."""
    return {**dt_net_recipe(name, preset, spec), "train": {"implicit": 1}}
