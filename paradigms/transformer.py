"""Transformers over sites: blocks of their own at every depth, or one block looped.

Vaswani et al. 2017 (arXiv 1706.03762), pre-norm, with positions that extrapolate: rotary ones (Su
et al. 2021, arXiv 2104.09864), or none, which only a causal order tells apart (Kazemnejad et al.
2023, arXiv 2305.19466). Looped: one block repeated, the embedded input added to the state before
every repetition (Giannou et al. 2023, arXiv 2301.13196; Yang et al. 2023, arXiv 2311.12424; Fan et
al. 2024, arXiv 2409.15647), which is recall. The blocks are timm's.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from timm.layers import build_rotary_pos_embed
from timm.models.eva import EvaBlock
from torch import Tensor, nn

from foundations.errors import unknown_name
from paradigms.attention import attention_for
from paradigms.base import Signature, State
from paradigms.depth import Repeated, check_width
from paradigms.layers import CONV, ChannelNorm, GlobalMean
from paradigms.position_rnn import check_stride

POSITIONS = ("rope", "none")
#: Channels of an attention head; in 2d half of them turn with each axis, in pairs.
HEAD = 16


class Blocks(nn.ModuleList):
    """A few blocks after one another, over maps [n, width, *S]."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__(
            EvaBlock(width, width // HEAD, qkv_bias=False, num_prefix_tokens=0)
            for _ in range(depth)
        )

    def forward(self, hidden: Tensor, rope: Tensor | None, mask: Tensor | None) -> Tensor:
        tokens = hidden.flatten(2).transpose(1, 2)
        with attention_for(tokens):
            for block in self:
                tokens = block(tokens, rope=rope, attn_mask=mask)
        return tokens.transpose(1, 2).reshape(hidden.shape)


class Transformer(Repeated):
    """`iterations` times `depth` blocks, between an embedding of each site and a linear head.

    tied: the same blocks at all iterations (looped), else blocks of its own at each. recall:
    whether the embedded input is added before every iteration. width: rounded up to whole heads of
    16 channels. positions: "rope", or "none", which needs a causal order. causal: each site attends
    to itself and those before it; only for strings. stride: sites of a side that are embedded as
    one, over 1 only where the answer is not dense. ValueError for values that make no sense.
    """

    def __init__(
        self,
        spec: Signature,
        name: str,
        tied: bool,
        *,
        width: int = 64,
        iterations: int = 6,
        depth: int = 1,
        recall: bool = False,
        positions: str = "rope",
        causal: bool = False,
        stride: int = 1,
    ) -> None:
        check_width(name, width)
        if min(iterations, depth, stride) < 1:
            raise ValueError(
                f"iterations, depth and stride of {name} must be at least 1, not {iterations},"
                f" {depth} and {stride}"
            )
        dims = spec.spatial_dims
        if positions not in POSITIONS:
            raise unknown_name("positions", positions, POSITIONS)
        if causal and dims != 1:
            raise ValueError(
                f"causal {name} makes no sense for {spec.name}, whose sites have no order"
            )
        if positions == "none" and not causal:
            raise ValueError(
                f"{name} without positions must be causal: else it can't tell sites apart"
            )
        check_stride(spec, stride)
        width = math.ceil(width / HEAD) * HEAD
        head = [ChannelNorm(width), CONV[dims](width, spec.outputs, 1)]
        super().__init__(
            CONV[dims](spec.in_channels, width, stride, stride=stride),
            lambda: Blocks(width, depth),
            nn.Sequential(*head, *([] if spec.dense else [GlobalMean()])),
            iterations=iterations,
            tied=tied,
            fixed_depth=2,
            body_depth=4 * depth,  # values, their projection, and two layers at each site
        )
        self.recalls, self.positions, self.causal, self.stride = recall, positions, causal, stride

    def context(self, x: Tensor) -> Any:
        """What is recalled [n, width, *S], the angles of positions [sites, 2 HEAD] and the mask of
        attention, bool [sites, sites]; None for each that it does without."""
        sites = [side // self.stride for side in x.shape[2:]]
        rope = mask = None
        if self.positions == "rope":
            # timm gives each axis a quarter of `dim` pairs, as if there were two.
            angles = build_rotary_pos_embed(
                sites, dim=HEAD * 2 // len(sites), in_pixels=False, device=x.device
            )
            rope = torch.cat(angles, -1)
        if self.causal:
            mask = torch.ones(sites * 2, dtype=torch.bool, device=x.device).tril()
        return self.stem(x) if self.recalls else None, rope, mask

    def advance(self, state: State, context: Any) -> State:
        given, rope, mask = context
        hidden = state.hidden if given is None else state.hidden + given
        blocks = self.recurrent[state.iteration % len(self.recurrent)]
        return State(blocks(hidden, rope, mask), state.iteration + 1)


transformer = partial(Transformer, name="transformer", tied=False)
"""Transformer whose every iteration has blocks of its own; sites attend to all others."""

looped_transformer = partial(Transformer, name="looped_transformer", tied=True, recall=True)
"""One transformer block repeated, the input added at every step: `transformer`, tied."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe."""
    side = max(spec.size or (0,))
    # Images of one answer as patches, at most 16 a side.
    options: dict[str, Any] = {} if spec.dense else {"stride": max(side // 16, 2)}
    train: dict[str, Any] = {"alpha": 0.0, "learning_rate": 1e-3}
    if preset == "quick" and spec.dense and spec.spatial_dims == 1:
        train["steps"] = 3000  # attention learns strings late: docs/paradigms.md
    if preset == "paper":
        return {"options": options | {"width": 256, "iterations": 12}, "train": train}
    return {"options": options | {"width": 48, "iterations": 6}, "train": train}
