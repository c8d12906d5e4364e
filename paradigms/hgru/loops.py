"""How the state feeds back on itself: through one unit, or through a deeper map as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paradigms.hgru.unit import CONVOLVE, HorizontalUnit, StepNorm, pad
from paradigms.layers import CONV

#: Width of the convolutions around the units: the first layer's and those between two maps.
KERNEL = 7
MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}


def shrink(x: Tensor, factor: int) -> Tensor:
    """Max-pooling by a whole factor; sizes are rounded up."""
    return MAX_POOL[x.dim() - 2](x, factor, ceil_mode=True)


class StepConv(nn.Module):
    """7-wide convolution, BN with statistics for each time step, ReLU. [n, C, *S] to [n, C',
    *S]."""

    def __init__(self, dims: int, inputs: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.conv = CONV[dims](inputs, outputs, KERNEL, padding=KERNEL // 2, bias=False)
        self.norm = StepNorm(outputs, steps, scale=1.0, centre=True)

    def forward(self, x: Tensor, channels: int, step: int) -> Tensor:
        """channels: C' with the zero channels wanted; those of x are found from it."""
        weight = pad(self.conv.weight.transpose(0, 1), x.shape[1]).transpose(0, 1)
        weight = pad(weight, channels).to(x.dtype)
        x = CONVOLVE[x.dim() - 2](x, weight, padding=KERNEL // 2)
        return torch.relu(self.norm(x, step))


class Loop(nn.Module):
    """The state feeding back on itself: one horizontal unit. A state is a tensor [n, C, *S]."""

    def __init__(
        self, dims: int, width: int, kernel: int, iterations: int, activation: str
    ) -> None:
        super().__init__()
        self.width = width
        self.horizontal = HorizontalUnit(dims, width, kernel, iterations, activation)

    def weights(self, room: Callable[[int], int], drive: Tensor) -> Any:
        """What every step needs of the parameters; `room` gives the channels to use for a width."""
        return self.horizontal.weights(room(self.width), drive.dtype, drive.shape[2:])

    def start(self, hidden: Tensor, room: Callable[[int], int]) -> Any:
        """The first state, given zeros of the lower one's shape."""
        return hidden

    def forward(self, weights: Any, drive: Tensor, state: Any, step: int) -> Any:
        return self.horizontal(weights, drive, state, step)

    @staticmethod
    def lower(state: Any) -> Tensor:
        """The part of a state that is read out."""
        return state


class TopDownLoop(Loop):
    """A loop through a deeper map: lower unit, pooling and convolutions, upper unit, and back.

    The upper unit has twice the channels, at a quarter of the side, and a kernel 9 wide (for the
    usual 15). Its state comes back through two convolutions, each followed by upsampling, as the
    drive of a third, top-down unit, 1 wide, that gates it into the lower state. A state is (lower,
    upper).
    """

    def __init__(
        self, dims: int, width: int, kernel: int, iterations: int, activation: str
    ) -> None:
        super().__init__(dims, width, kernel, iterations, activation)
        upper = 2 * width
        upper_kernel = 2 * round(kernel * 0.3) + 1
        self.upper_width = upper
        self.down = nn.ModuleList(
            [StepConv(dims, width, upper, iterations), StepConv(dims, upper, upper, iterations)]
        )
        self.upper = HorizontalUnit(dims, upper, upper_kernel, iterations, activation)
        self.up = nn.ModuleList(
            [StepConv(dims, upper, upper, iterations), StepConv(dims, upper, width, iterations)]
        )
        self.top_down = HorizontalUnit(dims, width, 1, iterations, activation)

    def weights(self, room: Callable[[int], int], drive: Tensor) -> Any:
        lower, upper = room(self.width), room(self.upper_width)
        sites, dtype = drive.shape[2:], drive.dtype
        return (
            self.horizontal.weights(lower, dtype, sites),
            self.upper.weights(upper, dtype, _quarter(sites)),
            self.top_down.weights(lower, dtype, sites),
        )

    def start(self, hidden: Tensor, room: Callable[[int], int]) -> Any:
        sites = _quarter(hidden.shape[2:])
        return hidden, hidden.new_zeros(len(hidden), room(self.upper_width), *sites)

    def forward(self, weights: Any, drive: Tensor, state: Any, step: int) -> Any:
        lower, upper = state
        lower = self.horizontal(weights[0], drive, lower, step)
        wide, narrow = upper.shape[1], lower.shape[1]
        half = self.down[0](shrink(lower, 2), wide, step)
        upper = self.upper(weights[1], self.down[1](shrink(half, 2), wide, step), upper, step)
        back = _grow(self.up[0](upper, wide, step), half)
        back = _grow(self.up[1](back, narrow, step), lower)
        return self.top_down(weights[2], back, lower, step), upper

    @staticmethod
    def lower(state: Any) -> Tensor:
        return state[0]


def _quarter(sites: Sequence[int]) -> list[int]:
    return [math.ceil(s / 4) for s in sites]


def _grow(x: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the sites and precision of another map."""
    return F.interpolate(x, size=like.shape[2:], mode="nearest").to(like.dtype)
