"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597): down to coarse maps and up, with skips."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from paradigms.base import Signature
from paradigms.depth import MAX_POOL, check_width
from paradigms.layers import BATCH_NORM, CONV, GlobalMean
from paradigms.resnet import DENSE_SITES, OnePass

CONV_TRANSPOSE: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}


def _double(dims: int, inputs: int, outputs: int) -> nn.Sequential:
    """Two 3-wide convolutions with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        conv = CONV[dims](channels, outputs, 3, padding=1, bias=False)
        layers += [conv, BATCH_NORM[dims](outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """[n, C, *S] to logits [n, outputs, *S], S of any size.

    At every level down sites are halved (rounded up, by max pooling) and channels doubled. On the
    way up a transposed convolution doubles the sites again, cut to those of the map that skipped
    the levels below.
    """

    def __init__(self, dims: int, channels: int, outputs: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width << i for i in range(levels + 1)]
        pairs = list(itertools.pairwise(widths))
        self.first = _double(dims, channels, width)
        self.pool = MAX_POOL[dims](2, ceil_mode=True)
        self.down = nn.ModuleList(_double(dims, a, b) for a, b in pairs)
        self.up = nn.ModuleList(CONV_TRANSPOSE[dims](b, a, 2, stride=2) for a, b in pairs[::-1])
        self.merge = nn.ModuleList(_double(dims, b, a) for a, b in pairs[::-1])
        self.last = CONV[dims](width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.first(x)]
        for down in self.down:
            maps.append(down(self.pool(maps[-1])))
        hidden = maps.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            skipped = maps.pop()
            cut = (..., *(slice(side) for side in skipped.shape[2:]))
            hidden = merge(torch.cat([skipped, up(hidden)[cut]], 1))
        return self.last(hidden)


def unet(spec: Signature, *, width: int = 64, levels: int = 4) -> OnePass:
    """U-Net with BatchNorm and convolutions that keep the size; 31,037,698 parameters for three
    channels and two answers at the published width and levels.

    levels: how often the map is halved. Where the answer is not dense, logits are averaged over
    sites. ValueError for values that make no sense.
    """
    check_width("unet", width)
    if not 1 <= levels <= 8:
        raise ValueError(f"levels of unet must be from 1 to 8, not {levels}")
    network = UNet(spec.spatial_dims, spec.in_channels, spec.outputs, width, levels)
    if spec.dense:
        return OnePass(network, sites=DENSE_SITES)
    return OnePass(nn.Sequential(network, GlobalMean()))


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: no more levels than halve its smallest maps to one site."""
    side = min(spec.size or (32,))
    levels = max(1, min(4, side.bit_length() - 1))
    options = {"levels": levels} if preset == "paper" else {"levels": min(levels, 3), "width": 24}
    return {"options": options, "train": {"alpha": 0.0, "learning_rate": 3e-3}}
