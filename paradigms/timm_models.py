"""Any image model of timm, by name: `timm:NAME`.

A model classifies as timm made it. For a dense answer its feature maps at several scales are
brought to the input's size and read by a linear layer at each site, as in hypercolumns (Hariharan
et al. 2015, arXiv 1411.5752). Weights are never downloaded: every model starts from its random
initialisation.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import timm
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from foundations.errors import Unsuitable, unknown_name
from paradigms.attention import attends, attention_for
from paradigms.base import Signature
from paradigms.depth import check_width
from paradigms.resnet import DENSE_SITES, OnePass

#: Sides a network must take if a task's inputs have no fixed size.
TRIAL_SIDES = (9, 24, 37)
#: What padding brings a side to a multiple of, for models that want one.
GRID = 32


class MultiScaleHead(nn.Module):
    """A linear reading of feature maps of several sizes at every site of the input.

    Each map [n, C_i, *s_i] goes through a 1x1 convolution to [n, outputs, *s_i], is upsampled
    (bilinear) to the input's size and summed. That is one linear layer over all maps upsampled and
    concatenated, as both steps are linear and act on different axes, for far less memory. The input
    itself is one of the maps: most models halve it before the first of theirs.
    """

    def __init__(
        self, body: nn.Module, channels: list[int], in_channels: int, outputs: int
    ) -> None:
        super().__init__()
        self.body = body
        self.scales = nn.ModuleList(
            nn.Conv2d(c, outputs, 1, bias=i == 0) for i, c in enumerate([in_channels, *channels])
        )

    def forward(self, x: Tensor) -> Tensor:
        logits = self.scales[0](x)
        for scale, feature in zip(self.scales[1:], feature_maps(self.body, x), strict=True):
            part = scale(feature)
            part = F.interpolate(part, size=x.shape[2:], mode="bilinear", align_corners=False)
            logits = logits + part.to(logits.dtype)
        return logits


def feature_maps(body: nn.Module, x: Tensor) -> list[Tensor]:
    """The maps of a timm feature extractor, each [n, C, H, W] whatever layout the model uses."""
    inside = str(getattr(body, "output_fmt", "NCHW")).endswith("NHWC")
    return [rearrange(m, "n h w c -> n c h w") if inside else m for m in body(x)]


def _create(name: str, size: tuple[int, ...] | None, **options: Any) -> nn.Module:
    """A timm model, told the size of its inputs where it takes that. Raises what timm raises."""
    if size is not None:
        try:
            return timm.create_model(name, pretrained=False, img_size=size, **options)
        except (
            TypeError
        ) as error:  # most convolutional models read any size and have no such option
            if "img_size" not in str(error):
                raise
    return timm.create_model(name, pretrained=False, **options)


class OnGrid(nn.Module):
    """A network that reads images enlarged to a whole number of 32 pixels a side.

    Border pixels are repeated around the image, and a dense answer is cropped to it.
    """

    def __init__(self, network: nn.Module, dense: bool) -> None:
        super().__init__()
        self.network = network
        self.dense = dense

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        more = [-side % GRID for side in (height, width)]
        top, left = more[0] // 2, more[1] // 2
        around = (left, more[1] - left, top, more[0] - top)
        logits = self.network(F.pad(x, around, mode="replicate"))
        return logits[..., top : top + height, left : left + width] if self.dense else logits


def _as_it_is(model: Any) -> None:
    pass


def _build(
    spec: Signature,
    name: str,
    on_grid: bool,
    options: dict[str, Any],
    change: Callable[[Any], None] = _as_it_is,
) -> nn.Module:
    """A network that was seen to answer for images of the task's size; raises what timm raises.
    change: done to timm's model before it is used."""
    size = spec.size
    if on_grid and size is not None:
        size = tuple(-(-side // GRID) * GRID for side in size)
    if spec.dense:
        body: Any = _create(name, size, in_chans=spec.in_channels, features_only=True, **options)
        channels = body.feature_info.channels()
        network: nn.Module = MultiScaleHead(body, channels, spec.in_channels, spec.outputs)
    else:
        network = _create(
            name, size, in_chans=spec.in_channels, num_classes=spec.outputs, **options
        )
    change(body if spec.dense else network)
    if on_grid:
        network = OnGrid(network, spec.dense)
    network.eval()
    for sites in [spec.size] if spec.size else [(side, side) for side in TRIAL_SIDES]:
        with torch.no_grad():
            shape = tuple(network(torch.zeros(1, spec.in_channels, *sites)).shape)
        wanted = (1, spec.outputs, *(sites if spec.dense else ()))
        if shape != wanted:
            raise ValueError(f"its answer has shape {shape}, not {wanted}")
    return network.train()


def _size(spec: Signature) -> str:
    return "images of any size" if spec.size is None else " x ".join(map(str, spec.size))


def _check_images(spec: Signature, name: str) -> None:
    if spec.spatial_dims != 2:
        raise Unsuitable(
            f"{name} reads images, and {spec.name} has {spec.spatial_dims}d inputs; "
            "the ResNet18 family has a 1d form"
        )


class Timm(OnePass):
    """`OnePass` of a model of timm."""

    def __init__(self, network: nn.Module, spec: Signature) -> None:
        super().__init__(network, sites=DENSE_SITES if spec.dense else None)
        self.attends = attends(network)

    def _run(self, x: Tensor) -> Tensor:
        with attention_for(x) if self.attends else nullcontext():
            return super()._run(x)


def timm_model(spec: Signature, name: str, *, drop_path_rate: float | None = None) -> OnePass:
    """The model NAME of timm (with as many inputs and outputs as the task has, freshly
    initialised).

    Models that refuse the task's image size read it padded to a whole number of 32 pixels.
    drop_path_rate: stochastic depth, for models that have it. ValueError for a name timm does not
    know (nearest ones first), for strings, and for a model that cannot take the images even so or,
    where the answer is dense, gives no feature maps; it says why.
    """
    if not timm.is_model(name):
        # All 1,300 would bury the answer.
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=8, cutoff=0.4)
        raise unknown_name(f"timm model (of {len(known):,})", name, close or known[:8])
    _check_images(spec, f"timm:{name}")
    options = {} if drop_path_rate is None else {"drop_path_rate": drop_path_rate}
    try:
        network = _build(spec, name, False, options)
    except (
        Exception
    ):  # models refuse sizes in every way: assertions, shape errors, division by zero
        try:
            network = _build(spec, name, True, options)
        except Exception as error:
            kind = "feature maps" if spec.dense else "answer"
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise Unsuitable(
                f"timm:{name} gives no {kind} for {spec.name} "
                f"({spec.in_channels} channels, {_size(spec)}), padded or not: {reason[0]}"
            ) from error
    return Timm(network, spec)


def _patch(spec: Signature) -> int:
    """Pixels of a side that are read as one: all by themselves for a dense answer or in small
    images, else a sixteenth of the side."""
    return 1 if spec.dense or spec.size is None else max(1, max(spec.size) // 16)


def _sized(spec: Signature, name: str, model: str, width: int, **options: Any) -> OnePass:
    """A timm model of another width that reads images in patches of `_patch`. ValueError for a
    width under 1, `Unsuitable` for strings."""
    check_width(name, width)
    _check_images(spec, name)
    change = _keep_resolution if name == "resnet50d" and _patch(spec) == 1 else _as_it_is
    network = _build(spec, model, False, options, change)
    return Timm(network, spec)


def _keep_resolution(model: Any) -> None:
    """A ResNet-D whose stem, which divides sides by four, keeps them."""
    model.conv1[0].stride = (1, 1)
    model.maxpool = nn.Identity()


def resnet50d(spec: Signature, *, width: int = 64) -> OnePass:
    """ResNet-50-D of timm at any width (He et al. 2019, arXiv 1812.01187).

    25.6 million parameters at the published width, that of the first stage. Small images and dense
    answers: its stem keeps the size."""
    channels = tuple(width << i for i in range(4))
    stem = max(width // 2, 1)
    return _sized(spec, "resnet50d", "resnet50d", width, channels=channels, stem_width=stem)


def convnext_nano(spec: Signature, *, width: int = 80) -> OnePass:
    """ConvNeXt of timm's size "nano", at any width (Liu et al. 2022, arXiv 2201.03545).

    15.6 million parameters at its own width, that of the first stage. Patches of one pixel for
    small images and dense answers."""
    dims = tuple(width << i for i in range(4))
    return _sized(spec, "convnext_nano", "convnext_nano", width, dims=dims, patch_size=_patch(spec))


def vit_tiny(spec: Signature, *, width: int = 192) -> OnePass:
    """Vision transformer of size "tiny" (Dosovitskiy et al. 2021, arXiv 2010.11929; Touvron et al.
    2021).

    5.7 million parameters at the published width and image size. Patches of two pixels a side for
    small images, of one for dense answers; where sizes differ, its learned positions are those of
    32 x 32, resized. width: rounded up to a multiple of its three heads."""
    patch = _patch(spec) if spec.dense or spec.size is None else max(2, _patch(spec))
    options: dict[str, Any] = {"patch_size": patch, "embed_dim": 3 * math.ceil(width / 3)}
    if spec.size is None:
        options |= {"img_size": 32, "dynamic_img_size": True}
    return _sized(spec, "vit_tiny", "vit_tiny_patch16_224", width, **options)


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """One pass leaves nothing for the progressive loss (alpha)."""
    train = {"alpha": 0.0, "learning_rate": 1e-3}
    small = {"resnet50d": 16, "convnext_nano": 24, "vit_tiny": 48}
    if preset == "paper" or name not in small:
        return {"train": train}
    return {"options": {"width": small[name]}, "train": train}
