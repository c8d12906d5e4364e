"""Two states refined in turn by one small network: the recursion of TRM.

Jolicoeur-Martineau 2025, "Less is More: Recursive Reasoning with Tiny Networks" (arXiv 2510.04871):
an answer y and a latent z. Its deep supervision is an objective for any recurrent network
(`train.supervised`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paradigms.base import Paradigm, Signature, State
from paradigms.dt_net import check_dense_stride
from paradigms.layers import CONV, GlobalMean, conv3


class TRMBlock(nn.Module):
    """x <- norm(x + conv(x)), x <- norm(x + SwiGLU(x)): a post-norm block whose tokens are sites,
    mixed by a convolution. [n, width, *S] to the same."""

    def __init__(self, dims: int, width: int) -> None:
        super().__init__()
        self.mix = conv3(dims, width, width)
        self.expand = CONV[dims](width, 4 * width, 1, bias=False)
        self.contract = CONV[dims](2 * width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = rms_norm(x + self.mix(x))
        gate, value = self.expand(x).chunk(2, 1)
        return rms_norm(x + self.contract(F.silu(gate) * value))


def rms_norm(x: Tensor) -> Tensor:
    """Channels of each site scaled to a root mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5)


class TRM(Paradigm):
    """An iteration refines the latent `cycles` times, z <- f(x + y + z), then the answer once,
    y <- f(y + z), all by one network f of `depth` blocks.

    As published, but for convolutions in place of attention (so that boards may grow), states that
    are 0 at first, and no Q-head; `adaptive:trm` learns when to halt. width: channels. ValueError
    for values under 1. State: (y, z).
    """

    recurrent_parts = ("blocks",)
    progressive = True

    def __init__(
        self,
        spec: Signature,
        *,
        width: int = 128,
        iterations: int = 48,
        cycles: int = 6,
        depth: int = 2,
        stride: int = 1,
    ) -> None:
        super().__init__()
        if min(width, iterations, cycles, depth) < 1:
            raise ValueError(
                "width, iterations, cycles and depth must be at least 1, not"
                f" {width}, {iterations}, {cycles} and {depth}"
            )
        check_dense_stride(spec, stride)
        dims = spec.spatial_dims
        self.train_iterations, self.cycles = iterations, cycles
        self.embed = conv3(dims, spec.in_channels, width, stride)
        self.blocks = nn.Sequential(*(TRMBlock(dims, width) for _ in range(depth)))
        head = CONV[dims](width, spec.outputs, 1)
        self.head = head if spec.dense else nn.Sequential(head, GlobalMean())

    @property
    def step_radius(self) -> int:
        return (self.cycles + 1) * len(self.blocks)

    @property
    def readout_radius(self) -> int | None:
        return 0 if isinstance(self.head, (nn.Conv1d, nn.Conv2d)) else None

    def encode(self, x: Tensor) -> State:
        return self.begin(x)[0]

    def context(self, x: Tensor) -> Tensor:
        return self.embed(x)

    def begin(self, x: Tensor) -> tuple[State, Tensor]:
        embedded = self.embed(x)
        zeros = torch.zeros_like(embedded)
        return State((zeros, zeros)), embedded

    def advance(self, state: State, context: Any) -> State:
        answer, latent = state.hidden
        for _ in range(self.cycles):
            latent = self.blocks(context + answer + latent)
        return State((self.blocks(answer + latent), latent), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return self.head(state.hidden[0])


trm = TRM
"""TRM: an answer and a latent refined in turn by one small network."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe.

    As published: of every three iterations one is trained, by the answer after it.
    """
    large = max(spec.size or (0,)) > 32
    stride = {} if spec.dense else {"stride": 4 if large else 2}
    if preset == "paper":
        return {"options": stride if large else {}, "train": {"supervised": 16}}
    options = {"width": 32, "iterations": 12, "cycles": 2, **stride}
    return {"options": options, "train": {"supervised": 6}}
