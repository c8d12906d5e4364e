"""Layers that several paradigms share, in one and two dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Conv: TypeAlias = nn.Conv1d | nn.Conv2d
CONV: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
BATCH_NORM: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {
    1: nn.BatchNorm1d,
    2: nn.BatchNorm2d,
}


def conv3(dims: int, inputs: int, outputs: int, stride: int = 1) -> Conv:
    """3-wide convolution without bias that keeps the size (divides it by the stride, rounding up).

    With a stride over 2 it is 2 stride - 1 wide, so that no site goes unread.
    """
    width = max(3, 2 * stride - 1)
    return CONV[dims](inputs, outputs, width, stride=stride, padding=width // 2, bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions, `kernel` wide (odd), around an identity shortcut, no norm, no bias.
    [n, width, *S] to the same."""

    def __init__(self, dims: int, width: int, kernel: int = 3) -> None:
        super().__init__()
        conv, same = CONV[dims], kernel // 2
        self.first = conv(width, width, kernel, padding=same, bias=False)
        self.second = conv(width, width, kernel, padding=same, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.second(self.first(hidden).relu_()).add_(hidden).relu_()


class Recall(nn.Module):
    """3-wide convolution of state and input side by side, kept as two: conv(h) + conv(x).

    The input's part is the same at every iteration, so `given` computes it once. Initialised as the
    one convolution over width + channels that it stands for.
    """

    def __init__(self, dims: int, width: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.state = conv3(dims, width, width)
        self.input = conv3(dims, channels, width, stride)
        bound = 1 / math.sqrt(self.state.weight[0].numel() + self.input.weight[0].numel())
        for part in (self.state, self.input):
            nn.init.uniform_(part.weight, -bound, bound)

    def given(self, x: Tensor) -> Tensor:
        """The input's part, [n, width, *S]."""
        return self.input(x)

    def forward(self, hidden: Tensor, given: Tensor) -> Tensor:
        return self.state(hidden).add_(given)


class GlobalMean(nn.Module):
    """Mean over all sites: [n, K, *S] to [n, K]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each site by itself, [n, C, *S] to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def conv_head(dims: int, widths: list[int], dense: bool) -> nn.Sequential:
    """3-wide convolutions from widths[0] to widths[-1] with ReLU between; averaged over sites if
    not dense."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [conv3(dims, a, b), nn.ReLU(inplace=True)]
    layers.pop()
    return nn.Sequential(*layers, *([] if dense else [GlobalMean()]))


#: Layers outside training that give each site from itself alone.
PER_SITE = (nn.ReLU, nn.Identity, nn.BatchNorm1d, nn.BatchNorm2d, nn.Tanh, nn.Sigmoid, nn.Softplus)


def reach(*modules: nn.Module) -> int | None:
    """Sites from a site of the output to the farthest one of the input that it depends on, if all
    layers of the modules follow one another: the sum of what their convolutions reach. None where a
    layer changes the size, pads other than to keep it, or is not known to be local."""
    total = 0
    for module in modules:
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            sides = {
                dilation * (kernel - 1) / 2
                for kernel, dilation in zip(module.kernel_size, module.dilation, strict=True)
            }
            keeps = all(p in sides for p in module.padding) and set(module.stride) == {1}
            if len(sides) > 1 or not keeps or module.padding_mode == "circular":
                return None
            total += int(sides.pop())
        elif any(True for _ in module.children()):
            inner = reach(*module.children())
            if inner is None:
                return None
            total += inner
        elif not isinstance(module, (*PER_SITE, nn.ModuleList)):
            return None
    return total


def channels_last(x: Tensor) -> Tensor:
    """The same images with channels innermost in memory, which convolutions read fastest; strings
    as they are."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


@contextmanager
def weights_once(model: nn.Module) -> Iterator[None]:
    """Context in which weights that are computed (masked, or of bounded norm) are so now, once, and
    in no step."""
    with parametrize.cached():
        for module in model.modules():
            for name in getattr(module, "parametrizations", ()):
                getattr(module, name)
        yield


def has_matrix_unit(device: torch.device) -> bool:
    """Whether reduced precision runs on matrix hardware that wants channels in blocks."""
    if device.type != "cpu":
        return True
    found = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(found and found())
