"""DT-nets, with and without recall, and their feed-forward twins.

Bansal et al. 2022, "End-to-end Algorithm Synthesis with Recurrent Networks" (arXiv 2202.05826), and
Schwarzschild et al. 2021, whose maze networks are the ones without recall. `dt_net_lipschitz` is
DT-L (Bear et al. 2024, see `paradigms.lipschitz`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foundations.errors import unknown_name
from paradigms.base import Paradigm, Signature, State
from paradigms.layers import Recall, ResidualBlock, conv3, conv_head, reach
from paradigms.lipschitz import NORMS, InterpolatedBlock, bounded


def check_dense_stride(spec: Signature, stride: int) -> None:
    """ValueError for a stride that leaves sites of a dense task without an answer, or under 1."""
    if stride < 1 or (stride > 1 and spec.dense):
        raise ValueError(
            f"stride must be 1 for a dense task and at least 1 for others, not {stride}"
        )


def narrowing_head(dims: int, width: int, outputs: int, dense: bool) -> nn.Sequential:
    """The published head: three convolutions that narrow to the outputs."""
    narrowing = [32, 8] if dims == 2 else [width, max(width // 2, 1)]
    return conv_head(dims, [width, *narrowing, outputs], dense)


class DTNet(Paradigm):
    """A projection, one block repeated, and a head of three convolutions.

    tied: one block for all iterations (recurrent), else one each (feed-forward). A block is `depth`
    residual blocks, published as two, of two convolutions each; with recall they come after a
    convolution over state and input, which is shared by all blocks as in the published feed-forward
    nets. width: channels of the state, by default 128 (2d) or 400 (1d). kernel: width of the
    blocks' convolutions, 3 as published, or 1: an iteration then sees no farther than its recall
    does, one site to each side, and has to find rules that are local. stride: of the projection and
    the recall of the input; over 1 only where the answer is not dense. lipschitz: over 0 and below
    1, with recall, the largest norm of the recall's convolution, where those of the blocks have at
    most 1; 0 for no bound. norm: one of `lipschitz.NORMS`. With "matrix", as published, the bound
    is not one on steps; with "board" two states of a problem come nearer to each other by at least
    that factor with every step, so that there is one fixed point and every start ends in it.
    ValueError for values that make no sense.
    """

    progressive = True

    def __init__(
        self,
        spec: Signature,
        recall: bool,
        tied: bool,
        *,
        width: int | None = None,
        iterations: int = 30,
        depth: int = 2,
        kernel: int = 3,
        stride: int = 1,
        lipschitz: float = 0.0,
        norm: str = "matrix",
    ) -> None:
        super().__init__()
        dims = spec.spatial_dims
        if width is None:
            width = 128 if dims == 2 else 400
        if min(width, iterations, depth) < 1:
            raise ValueError(
                "width, iterations and depth must be at least 1, not"
                f" {width}, {iterations} and {depth}"
            )
        if kernel not in (1, 3) or (kernel == 1 and not recall):
            raise ValueError(f"kernel must be 3, or 1 with recall, not {kernel}")
        check_dense_stride(spec, stride)
        if not 0 <= lipschitz < 1 or (lipschitz and not recall):
            raise ValueError(
                f"lipschitz must be from 0 to below 1, 0 without recall, not {lipschitz}"
            )
        if norm not in NORMS:
            raise unknown_name("norm", norm, NORMS)
        block = partial(InterpolatedBlock, norm=norm) if lipschitz else ResidualBlock
        blocks = 1 if tied else iterations
        self.train_iterations = iterations
        self.max_iterations = None if blocks == 1 else blocks
        self.recurrent = nn.ModuleList(
            nn.Sequential(*(block(dims, width, kernel) for _ in range(depth)))
            for _ in range(blocks)
        )
        self.projection = nn.Sequential(
            conv3(dims, spec.in_channels, width, stride), nn.ReLU(inplace=True)
        )
        self.recall = Recall(dims, width, spec.in_channels, stride) if recall else None
        if self.recall is not None and lipschitz:
            bounded(self.recall.state, lipschitz, norm)
        # As published, where the recall's convolution is the first of the block.
        self.recurrent_parts = ("recurrent", "recall") if recall else ("recurrent",)
        # The published 1d recall is followed by a ReLU, the 2d one is not.
        self.rectify_recall = dims == 1
        self.head = narrowing_head(dims, width, spec.outputs, spec.dense)

    @property
    def step_radius(self) -> int | None:
        recall = () if self.recall is None else (self.recall.state,)
        return reach(*recall, *self.recurrent) if self.max_iterations is None else None

    @property
    def readout_radius(self) -> int | None:
        return reach(self.head)

    @property
    def site_step(self) -> Callable[[Tensor, Any], Tensor] | None:
        if self.step_radius != 1 or self.recall is None:
            return None
        # Of [width, width, 3, ...]: a row for each number of each neighbour.
        spread = self.recall.state.weight.flatten(2).permute(2, 1, 0).flatten(0, 1)
        blocks = [b for b in self.recurrent[0].children() if isinstance(b, ResidualBlock)]
        mixing = [(b.first.weight.flatten(1), b.second.weight.flatten(1)) for b in blocks]

        def step(near: Tensor, given: Tensor) -> Tensor:
            hidden = torch.addmm(given, near.flatten(1), spread)
            if self.rectify_recall:
                hidden = hidden.relu_()
            for first, second in mixing:
                hidden = F.linear(F.linear(hidden, first).relu_(), second).add_(hidden).relu_()
            return hidden

        return step

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


dt_net = partial(DTNet, recall=False, tied=True)
"""DT-net: one block of convolutions, repeated."""

dt_net_recall = partial(DTNet, recall=True, tied=True)
"""DT-net whose every repetition sees the input again."""

dt_net_lipschitz = partial(DTNet, recall=True, tied=True, lipschitz=0.99)
"""DT-L: `dt_net_recall` with convolutions of bounded norm, ELU and shortcuts that interpolate,
without the published norms of batches. A contraction with `norm="board"`."""

feed_forward = partial(DTNet, recall=False, tied=False)
"""The twin of `dt_net` with distinct blocks (one for each of `iterations`)."""

feed_forward_recall = partial(DTNet, recall=True, tied=False)
"""The twin of `dt_net_recall` with distinct blocks (one for each of `iterations`)."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe."""
    large = max(spec.size or (0,)) > 32
    # Images are read at a quarter of their size: a step over every pixel is for dense answers.
    stride = {} if spec.dense else {"stride": 4 if large else 2}
    if preset == "paper":
        return {"options": stride if large else {}}
    width = 32 if spec.spatial_dims == 2 else 64
    found: dict[str, Any] = {
        "options": {"width": width, "iterations": 16 if spec.dense else 8, **stride}
    }
    if preset == "quick" and spec.dense and "feed_forward" in name:
        # On mazes they learn later than what repeats one block, on strings only at a higher rate.
        found["train"] = {"steps": 1700} if spec.spatial_dims == 2 else {"learning_rate": 3e-3}
    if preset == "quick" and spec.dense and "lipschitz" in name and spec.spatial_dims == 1:
        found["train"] = {"steps": 2000}
    if large and preset == "quick":
        # They stay at chance on such drawings, also with 2,000 steps (`gabor:dt_net_recall` does
        # not): training is short, and ends sooner once validation says so.
        found["train"] = {"batch_size": 24, "steps": 600, "patience": 4, "validate_every": 100}
    return found
