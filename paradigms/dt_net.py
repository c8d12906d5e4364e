"""DT-nets, with and without recall, and their feed-forward twins.

Bansal et al. 2022, "End-to-end Algorithm Synthesis with Recurrent Networks" (arXiv 2202.05826), and
Schwarzschild et al. 2021, whose maze networks are the ones without recall.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from paradigms.base import Paradigm, Signature, State
from paradigms.layers import Recall, ResidualBlock, conv3, conv_head


class DTNet(Paradigm):
    """A projection, one block repeated, and a head of three convolutions.

    blocks: 1 ties the weights over all iterations (recurrent); as many as `iterations` gives each
    step its own (feed-forward). A block is two residual blocks, four convolutions in all; with
    recall they come after a convolution over state and input, which is shared by all blocks as in
    the published feed-forward nets. stride: of the projection and the recall of the input; over 1
    only where the answer is not dense.
    """

    progressive = True

    def __init__(
        self,
        spec: Signature,
        *,
        width: int,
        iterations: int,
        blocks: int,
        recall: bool,
        stride: int = 1,
    ) -> None:
        super().__init__()
        dims = spec.spatial_dims
        if width < 1 or iterations < 1:
            raise ValueError(
                f"width and iterations must be at least 1, not {width} and {iterations}"
            )
        if stride < 1 or (stride > 1 and spec.dense):
            raise ValueError(
                f"stride must be 1 for a dense task and at least 1 for others, not {stride}"
            )
        self.train_iterations = iterations
        self.max_iterations = None if blocks == 1 else blocks
        self.recurrent = nn.ModuleList(
            nn.Sequential(ResidualBlock(dims, width), ResidualBlock(dims, width))
            for _ in range(blocks)
        )
        self.projection = nn.Sequential(
            conv3(dims, spec.in_channels, width, stride), nn.ReLU(inplace=True)
        )
        self.recall = Recall(dims, width, spec.in_channels, stride) if recall else None
        # As published, where the recall's convolution is the first of the block.
        self.recurrent_parts = ("recurrent", "recall") if recall else ("recurrent",)
        # The published 1d recall is followed by a ReLU, the 2d one is not.
        self.rectify_recall = dims == 1
        narrowing = [32, 8] if dims == 2 else [width, max(width // 2, 1)]
        self.head = conv_head(dims, [width, *narrowing, spec.outputs], spec.dense)

    def encode(self, x: Tensor) -> State:
        return State(self.projection(x))

    def context(self, x: Tensor) -> Tensor | None:
        return None if self.recall is None else self.recall.given(x)

    def advance(self, state: State, context: Any) -> State:
        hidden = state.hidden
        if self.recall is not None:
            hidden = self.recall(hidden, context)
            if self.rectify_recall:
                hidden = hidden.relu_()
        block = self.recurrent[state.iteration % len(self.recurrent)]
        return State(block(hidden), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return self.head(state.hidden)


def _published_width(spec: Signature) -> int:
    return 128 if spec.spatial_dims == 2 else 400


def dt_net(
    spec: Signature, *, width: int | None = None, iterations: int = 30, stride: int = 1
) -> DTNet:
    """DT-net: one block of convolutions, repeated. width: channels of the state, by default 128
    (2d) or 400 (1d)."""
    width = _published_width(spec) if width is None else width
    return DTNet(spec, width=width, iterations=iterations, blocks=1, recall=False, stride=stride)


def dt_net_recall(
    spec: Signature, *, width: int | None = None, iterations: int = 30, stride: int = 1
) -> DTNet:
    """DT-net whose every repetition sees the input again. Options as `dt_net`."""
    width = _published_width(spec) if width is None else width
    return DTNet(spec, width=width, iterations=iterations, blocks=1, recall=True, stride=stride)


def feed_forward(
    spec: Signature, *, width: int | None = None, iterations: int = 30, stride: int = 1
) -> DTNet:
    """The twin of `dt_net` with distinct blocks (one for each of `iterations`)."""
    width = _published_width(spec) if width is None else width
    return DTNet(
        spec, width=width, iterations=iterations, blocks=iterations, recall=False, stride=stride
    )


def feed_forward_recall(
    spec: Signature, *, width: int | None = None, iterations: int = 30, stride: int = 1
) -> DTNet:
    """The twin of `dt_net_recall` with distinct blocks (one for each of `iterations`)."""
    width = _published_width(spec) if width is None else width
    return DTNet(
        spec, width=width, iterations=iterations, blocks=iterations, recall=True, stride=stride
    )


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe."""
    large = max(spec.size or (0,)) > 32
    # Images are read at a quarter of their size: a step over every pixel is for dense answers.
    stride = {} if spec.dense else {"stride": 4 if large else 2}
    if preset == "paper":
        return {"options": stride if large else {}}
    width = 32 if spec.spatial_dims == 2 else 64
    return {"options": {"width": width, "iterations": 16 if spec.dense else 8, **stride}}
