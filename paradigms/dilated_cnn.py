"""Dilated convolutions: depth that sees exponentially far.

Yu & Koltun 2016 (arXiv 1511.07122) in two dimensions; in one the residual blocks of temporal
convolutional networks (Bai et al. 2018, arXiv 1803.01271), looking to both sides. Cycles of
dilations as in WaveNet (van den Oord et al. 2016, arXiv 1609.03499).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from paradigms.base import Signature
from paradigms.depth import Repeated, check_width
from paradigms.layers import BATCH_NORM, CONV, conv3, conv_head
from paradigms.position_rnn import check_stride


class DilatedBlock(nn.Module):
    """Two 3-wide convolutions of one dilation, each with BatchNorm, around an identity shortcut.
    [n, width, *S] to the same."""

    def __init__(self, dims: int, width: int, dilation: int) -> None:
        super().__init__()

        def conv() -> nn.Module:
            return CONV[dims](width, width, 3, padding=dilation, dilation=dilation, bias=False)

        norm = BATCH_NORM[dims]
        self.inner = nn.Sequential(conv(), norm(width), nn.ReLU(inplace=True), conv(), norm(width))

    def forward(self, hidden: Tensor, iteration: int) -> Tensor:
        return self.inner(hidden).add_(hidden).relu_()


def dilated_cnn(
    spec: Signature, *, width: int = 64, dilations: int = 5, cycles: int = 2, stride: int = 1
) -> Repeated:
    """Residual blocks whose dilations double from 1, `dilations` of them, `cycles` times over; each
    block is one of its iterations.

    A site sees 4 (2^dilations - 1) cycles sites to each side, and a few through stem and head.
    stride: of the stem, over 1 only where the answer is not dense. ValueError for values that make
    no sense.
    """
    check_width("dilated_cnn", width)
    if not 1 <= dilations <= 16 or cycles < 1:
        raise ValueError(
            "dilations of dilated_cnn must be from 1 to 16 and cycles at least 1, not"
            f" {dilations} and {cycles}"
        )
    check_stride(spec, stride)
    dims = spec.spatial_dims
    blocks = iter([2**i for i in range(dilations)] * cycles)
    narrowing = [32, 8] if dims == 2 else [width, max(width // 2, 1)]
    return Repeated(
        nn.Sequential(
            conv3(dims, spec.in_channels, width, stride),
            BATCH_NORM[dims](width),
            nn.ReLU(inplace=True),
        ),
        lambda: DilatedBlock(dims, width, next(blocks)),
        conv_head(dims, [width, *narrowing, spec.outputs], spec.dense),
        iterations=dilations * cycles,
        tied=False,
        fixed_depth=4,
        body_depth=2,
    )


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses. A dilation beyond the map it looks at reads only zeros."""
    side = max(spec.size or (0,))
    options: dict[str, Any] = {} if spec.dense or side <= 32 else {"stride": 2}
    if side and side <= 32:
        options |= {"dilations": 3 if side <= 16 else 4}
    if preset != "paper":
        options |= {"width": 32}
        if spec.spatial_dims == 2:
            options.setdefault("dilations", 4)
    return {"options": options, "train": {"alpha": 0.0, "learning_rate": 3e-3}}
