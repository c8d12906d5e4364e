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
    """A convolution's weights [O, C, k..], scaled so that its norm as a map of boards is `most`.

    The norm is that of the convolution itself (largest singular value), not of its weights as a
    matrix, which may be k times smaller than it in 2d. By power iteration on a vector that is kept
    from pass to pass (Miyato et al. 2018, arXiv 1802.05957; for convolutions Ryu et al. 2019).
    """

    vector: Tensor

    def __init__(self, weight: Tensor, most: float) -> None:
        super().__init__()
        self.most = most
        start = torch.randn(1, weight.shape[1], *[SIDE] * (weight.dim() - 2))
        self.register_buffer("vector", start / start.norm())
        for _ in range(AT_FIRST):
            self._iterate(weight)

    @torch.no_grad()
    def _iterate(self, weight: Tensor) -> None:
        back = weight.transpose(0, 1).flip([2, 3][: weight.dim() - 2])
        found = _around(_around(self.vector, weight), back)
        self.vector.copy_(found / found.norm().clamp_min(1e-12))

    def forward(self, weight: Tensor) -> Tensor:
        with _whole_precision(weight.device):
            if self.training:
                self._iterate(weight)
            # Later passes write over the vector, which this one's gradient still needs.
            norm = _around(self.vector.clone(), weight).norm()
            return weight * (self.most / norm.clamp_min(1e-12))


def _whole_precision(device: torch.device) -> AbstractContextManager:
    # a network built to be counted is on no device that could be cast for
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _around(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution on a board that closes on itself."""
    beside = [k // 2 for k in reversed(weight.shape[2:]) for _ in range(2)]
    return CONVOLVE[x.dim() - 2](F.pad(x, beside, mode="circular"), weight)


def bounded(conv: Conv, most: float) -> Conv:
    """The convolution, its norm `most` from now on."""
    parametrize.register_parametrization(conv, "weight", BoundedNorm(conv.weight.detach(), most))
    return conv


class InterpolatedBlock(nn.Module):
    """Two convolutions of norm 1 and the identity, mixed in learned shares of each channel: no
    difference of two inputs grows. [n, width, *S] to the same. ELU, as published."""

    def __init__(self, dims: int, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.first, self.second = (
            bounded(CONV[dims](width, width, kernel, padding=kernel // 2, bias=False), 1.0)
            for _ in range(2)
        )
        self.share = nn.Parameter(torch.zeros(width, *[1] * dims))

    def forward(self, hidden: Tensor) -> Tensor:
        inner = F.elu(self.second(F.elu(self.first(hidden))))
        return torch.lerp(hidden, inner, self.share.sigmoid().to(inner.dtype))
