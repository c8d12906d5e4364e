"""The recurrent ResNet18 of the lottery study, one block of whose stages iterates.

You and Yu, "The Lottery Initialization and Generalizability Analysis of Deep Recurrent Networks".
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from paradigms.base import Signature
from paradigms.depth import Repeated, Residual, check_width
from paradigms.layers import BATCH_NORM, CONV, GlobalMean, conv3


class StageBlock(nn.Module):
    """A residual block with BatchNorm that may change width and size; its shortcut is 1-wide where
    it does."""

    def __init__(self, dims: int, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        norm = BATCH_NORM[dims]
        self.inner = nn.Sequential(
            conv3(dims, inputs, outputs, stride),
            norm(outputs),
            nn.ReLU(inplace=True),
            conv3(dims, outputs, outputs),
            norm(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                CONV[dims](inputs, outputs, 1, stride=stride, bias=False), norm(outputs)
            )

    def forward(self, hidden: Tensor) -> Tensor:
        return self.inner(hidden).add_(self.shortcut(hidden)).relu_()


def recurrent_resnet18(
    spec: Signature, *, iterations: int = 5, width: int = 64, tied: bool = True
) -> Repeated:
    """The recurrent ResNet of You and Yu (a CIFAR-style ResNet18 whose second 128-wide block
    iterates).

    conv 64, two blocks of 64, a stride-2 block to 128, one block of 128 iterated (trained with 5,
    tested with 5 to 20), stride-2 blocks to 256 and 512, mean, linear. The BatchNorms of the
    iterated block are shared by all iterations. width: of the first stage; the others are 2, 4 and
    8 times as wide. tied: False gives the feed-forward twin. Where the answer is dense nothing is
    strided and the linear layer acts at every site.
    """
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")
    check_width("recurrent_resnet18", width)
    dims = spec.spatial_dims
    half = 1 if spec.dense else 2
    linear = (
        [CONV[dims](8 * width, spec.outputs, 1)]
        if spec.dense
        else [GlobalMean(), nn.Linear(8 * width, spec.outputs)]
    )
    return Repeated(
        nn.Sequential(
            conv3(dims, spec.in_channels, width),
            BATCH_NORM[dims](width),
            nn.ReLU(inplace=True),
            StageBlock(dims, width, width, 1),
            StageBlock(dims, width, width, 1),
            StageBlock(dims, width, 2 * width, half),
        ),
        lambda: Residual(dims, 2 * width, blocks=1, dilation=1, norms=1),
        nn.Sequential(
            StageBlock(dims, 2 * width, 4 * width, half),
            StageBlock(dims, 4 * width, 8 * width, half),
            *linear,
        ),
        iterations=iterations,
        tied=tied,
        fixed_depth=12,
        body_depth=2,
    )


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """Trained as published, through every iteration: no progressive loss (alpha)."""
    small = {} if preset == "paper" else {"options": {"width": 16, "iterations": 5}}
    return {**small, "train": {"alpha": 0.0}}
