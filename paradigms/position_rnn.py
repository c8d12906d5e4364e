"""Recurrence over position: GRU and LSTM along strings, and along the rows and columns of boards.

Cho et al. 2014 (arXiv 1406.1078) and Hochreiter & Schmidhuber 1997; two-way as in Schuster &
Paliwal 1997; rows and columns in turn as in ReNet (Visin et al. 2015, arXiv 1505.00393). One pass
over all positions is one iteration here: what grows with the problem is the pass, not their number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from paradigms.base import Signature
from paradigms.depth import check_width
from paradigms.layers import CONV, ChannelNorm, GlobalMean
from paradigms.resnet import DENSE_SITES, OnePass

#: Makes a recurrent layer of that width; the bool is whether it runs both ways. The layer maps
#: lines [m, L, width] to [m, L, features] and says how many `features` it has.
MakeLayer = Callable[[int, bool], Any]


class Gated(nn.Module):
    """A layer of `nn.GRU` or `nn.LSTM`, computed in float32 also where the rest is not: it has
    autocast on no CPU, and rounding would add up along a line."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], width: int, two_way: bool) -> None:
        super().__init__()
        self.rnn = kind(width, width, batch_first=True, bidirectional=two_way)
        self.features = 2 * width if two_way else width

    def forward(self, lines: Tensor) -> Tensor:
        with torch.autocast(lines.device.type, enabled=False):
            return self.rnn(lines.to(next(self.parameters()).dtype))[0]


class Sweep(nn.Module):
    """h + linear(layer(norm(h))), the layer along one axis: 0 is the first of the sites.
    [n, width, *S] to the same."""

    def __init__(self, make: MakeLayer, width: int, axis: int, two_way: bool) -> None:
        super().__init__()
        self.axis = axis + 1
        self.norm = ChannelNorm(width)
        self.layer = make(width, two_way)
        self.out = nn.Linear(self.layer.features, width)

    def forward(self, hidden: Tensor) -> Tensor:
        lines = self.norm(hidden).movedim(1, -1).movedim(self.axis, -2)
        swept = self.out(self.layer(lines.flatten(0, -3))).view(lines.shape)
        return hidden + swept.movedim(-2, self.axis).movedim(-1, 1)


def swept_net(
    spec: Signature,
    name: str,
    make: MakeLayer,
    *,
    width: int = 64,
    layers: int = 1,
    causal: bool = False,
    stride: int = 1,
) -> OnePass:
    """An embedding of each site, `layers` layers of one sweep along each axis, and a linear head.

    causal: one way, so that an answer depends on what comes before it alone; only for strings. By
    default both ways. stride: sites of a side that are embedded as one, over 1 only where the
    answer is not dense. Without a dense answer the head is averaged over sites. ValueError for
    values that make no sense.
    """
    check_width(name, width)
    dims = spec.spatial_dims
    if layers < 1 or stride < 1:
        raise ValueError(f"layers and stride of {name} must be at least 1, not {layers}, {stride}")
    if causal and dims != 1:
        raise ValueError(f"causal {name} makes no sense for {spec.name}, whose sites have no order")
    check_stride(spec, stride)
    network = OnePass(
        nn.Sequential(
            CONV[dims](spec.in_channels, width, stride, stride=stride),
            *(Sweep(make, width, axis, not causal) for _ in range(layers) for axis in range(dims)),
            ChannelNorm(width),
            CONV[dims](width, spec.outputs, 1),
            *([] if spec.dense else [GlobalMean()]),
        ),
        sites=DENSE_SITES if spec.dense else None,
    )
    network.over_positions = True
    return network


def check_stride(spec: Signature, stride: int) -> None:
    """ValueError for an embedding that leaves sites without an answer or an image without sites."""
    if stride > 1 and (spec.dense or min(spec.size or (stride,)) < stride):
        raise ValueError(
            "stride must be 1 for a dense task and at most the size of an image for others, not"
            f" {stride}"
        )


gru = partial(swept_net, name="gru", make=partial(Gated, nn.GRU))
"""GRU over positions: strings both ways (`causal=true`: one way), boards by rows and columns."""

lstm = partial(swept_net, name="lstm", make=partial(Gated, nn.LSTM))
"""LSTM over positions: strings both ways (`causal=true`: one way), boards by rows and columns."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses; one pass leaves nothing for the progressive loss (alpha)."""
    return {"options": small(preset, spec), "train": {"alpha": 0.0, "learning_rate": 3e-3}}


def small(preset: str, spec: Signature) -> dict[str, Any]:
    """Options of networks that pass along lines, at the size of a preset."""
    side = max(spec.size or (0,))
    options: dict[str, Any] = {} if spec.dense or side <= 16 else {"stride": side // 16}
    if preset == "paper":
        return options | {"width": 256, "layers": 2 if spec.spatial_dims == 1 else 4}
    return options | {"width": 32, "layers": 1 if spec.spatial_dims == 1 else 3}
