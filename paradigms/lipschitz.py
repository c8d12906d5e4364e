"""Steps that contract: convolutions of bounded norm, and a shortcut that cannot add to it.

Bear, Prügel-Bennett and Hare 2024, "Rethinking Deep Thinking: Stable Learning of Algorithms using
Lipschitz Constraints" (DT-L, NeurIPS, arXiv 2410.23451).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from paradigms.layers import CONV, Conv

#: Sites of a side of the board on which a norm is found. It closes on itself, so that the norm is
#: that of an endless board, at those of its frequencies that fit: no larger than 2 % below.
SIDE = 16
AT_FIRST = 20  # rounds of the power iteration before training; then one with every pass
CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


class BoundedNorm(nn.Module):
    """A convolution's weights [O, C, k..], scaled so that their largest singular value is `most`.

    norm: "board", that of the convolution as a map of boards, or "matrix", that of the weights as
    a matrix [O, C k..], which other work bounds and which may be up to 3 times smaller in 1d and 9
    times in 2d. By power iteration on a vector that is kept from pass to pass (Miyato et al. 2018,
    arXiv 1802.05957; for convolutions Ryu et al. 2019).
    """

    vector: Tensor

    def __init__(self, weight: Tensor, most: float, norm: str) -> None:
        super().__init__()
        self.most, self.norm = most, norm
        sides = [SIDE] * (weight.dim() - 2) if norm == "board" else weight.shape[2:]
        start = torch.randn(1, weight.shape[1], *sides)
        self.register_buffer("vector", start / start.norm())
        for _ in range(AT_FIRST):
            self._iterate(weight)

    @torch.no_grad()
    def _iterate(self, weight: Tensor) -> None:
        apply, transposed = NORMS[self.norm]
        found = transposed(apply(self.vector, weight), weight)
        self.vector.copy_(found / found.norm().clamp_min(1e-12))

    def forward(self, weight: Tensor) -> Tensor:
        with _whole_precision(weight.device):
            if self.training:
                self._iterate(weight)
            # Later passes write over the vector, which this one's gradient still needs.
            norm = NORMS[self.norm][0](self.vector.clone(), weight).norm()
            return weight * (self.most / norm.clamp_min(1e-12))


def _whole_precision(device: torch.device) -> AbstractContextManager:
    # a network built to be counted is on no device that could be cast for
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _around(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution on a board that closes on itself."""
    beside = [k // 2 for k in reversed(weight.shape[2:]) for _ in range(2)]
    return CONVOLVE[x.dim() - 2](F.pad(x, beside, mode="circular"), weight)


def _around_transposed(x: Tensor, weight: Tensor) -> Tensor:
    return _around(x, weight.transpose(0, 1).flip([2, 3][: weight.dim() - 2]))


#: By name: what weights [O, C, k..] do to the vector whose growth is their norm, and their
#: transpose to the outcome.
NORMS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "board": (_around, _around_transposed),
    "matrix": (
        lambda x, weight: x.flatten(1) @ weight.flatten(1).T,
        lambda x, weight: (x @ weight.flatten(1)).unflatten(1, weight.shape[1:]),
    ),
}


def bounded(conv: Conv, most: float, norm: str = "matrix") -> Conv:
    """The convolution, its norm (one of `NORMS`) `most` from now on."""
    weight = conv.weight.detach()
    parametrize.register_parametrization(conv, "weight", BoundedNorm(weight, most, norm))
    return conv


class InterpolatedBlock(nn.Module):
    """Two convolutions of norm 1 and the identity, mixed in learned shares of each channel: no
    difference of two inputs grows. [n, width, *S] to the same. ELU, as published."""

    def __init__(self, dims: int, width: int, kernel: int = 3, norm: str = "matrix") -> None:
        super().__init__()
        self.first, self.second = (
            bounded(CONV[dims](width, width, kernel, padding=kernel // 2, bias=False), 1.0, norm)
            for _ in range(2)
        )
        self.share = nn.Parameter(torch.zeros(width, *[1] * dims))

    def forward(self, hidden: Tensor) -> Tensor:
        inner = F.elu(self.second(F.elu(self.first(hidden))))
        return torch.lerp(hidden, inner, self.share.sigmoid().to(inner.dtype))
