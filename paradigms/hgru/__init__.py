"""Horizontal gated recurrent networks: hGRU, hCNN and td+hCNN.

hGRU: Linsley et al. 2018, "Learning long-range spatial dependencies with horizontal gated recurrent
units" (arXiv 1805.08315). hCNN, td+hCNN: Kim et al. 2020, "Disentangling neural mechanisms for
perceptual grouping" (ICLR). `unit` is one step of the recurrence, `loops` what it runs in, `net`
the network around it, whose options all three have.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from paradigms.base import Signature
from paradigms.hgru.loops import Loop, TopDownLoop
from paradigms.hgru.net import HorizontalNet, gabor_filters
from paradigms.hgru.unit import StepNorm

__all__ = ["HorizontalNet", "StepNorm", "gabor_filters", "hcnn", "hgru", "recipe", "td_hcnn"]

hgru = partial(HorizontalNet, loop=Loop)
"""hGRU: a horizontal gated recurrent unit (over the first layer's responses).

143,509 parameters on one input channel with one logit: first layer 1,250 (25 x 49 weights and 25
offsets), gates 2 x (625 weights + 25 offsets), kernel 140,625 (25 x 25 x 225; the symmetric one
that is used is the mean of it and its transpose), 5 x 25 Greek letters, 4 x 25 scales of the step
norms, readout 50 + 52 + 4 + 3.
"""

hcnn = partial(HorizontalNet, loop=Loop, activation="relu")
"""hCNN: gated recurrence, horizontal connections only (rectified states; `td_hcnn` without its
upper map). 143,509 parameters where `hgru` has."""

td_hcnn = partial(HorizontalNet, loop=TopDownLoop)
"""td+hCNN: hCNN with top-down connections beside the horizontal.

721,559 parameters on one input channel with one logit: `hgru`'s 143,509; convolutions 7 wide
between 25 and 50 channels 2 x (61,250 + 122,500) with norms 2 x (50 + 50 + 50 + 25); the upper
unit, 50 channels and 9 wide, 202,500 + 5,000 + 100 + 250 + 200; the top-down unit 625 + 1,250 + 50
+ 125 + 100.
"""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe.

    The quick forms look as far as the published one, 7 pixels to each side, over coarser maps: 2
    sites of 4 pixels, or 3 of 2. That is 1/144, or 1/18, of the work at a step. Six steps instead
    of eight pass along the six paddles of a short path. The rate is three times the published one.
    Of all the quick networks these cost most a step and need fewest: on quick pathfinder (length 6)
    800 steps of batch 50 gave 95.9 % of 1,000 test images; of 2,000, the 1,500 of the recipe gave
    93.8 % and 2,000 steps 97.2 %.
    """
    side = max(spec.size or (0,))
    if preset == "paper":
        # 196 images of 150 x 150 would keep 8 steps of a dozen maps each, over 40 GB in float32
        options: dict[str, Any] = {"checkpoint": True} if side > 64 else {}
        return {"options": options, "train": {"alpha": 0.0, "learning_rate": 1e-3}}
    options = {"iterations": 6}
    train: dict[str, Any] = {"alpha": 0.0, "learning_rate": 3e-3}
    if spec.spatial_dims == 2:
        options["kernel"] = 7
        if not spec.dense and side > 16:
            options |= {"kernel": 5, "pool": 4} if side > 32 else {"pool": 2}
            if side > 32:
                train |= {"steps": 1500} | ({"batch_size": 32} if preset == "quick" else {})
        if preset == "quick" and spec.dense and not spec.size:
            train["steps"] = 600  # of mazes 1,500 solve 6 % of size 9: nothing to wait for
    return {"options": options, "train": train}
