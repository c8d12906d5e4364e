"""ResNet18 and its narrow kin, with and without residual additions, for images and strings.

The narrow ones are the feed-forward networks of Lüddecke & Ecker, "CNNs efficiently learn
long-range dependencies". All are built by timm's `ByobNet`. A network for dense answers is the same
one read at every site: no stride, no pooling, and dilation in place of each stride (Yu & Koltun
2016, arXiv 1511.07122), with the final linear layer as a 1-wide convolution, so the parameters stay
the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.byobnet import BasicBlock, ByoBlockCfg, ByobNet, ByoModelCfg
from torch import Tensor, nn

from foundations.errors import unknown_name
from paradigms.base import Paradigm, Signature, State
from paradigms.layers import BATCH_NORM, CONV, GlobalMean, channels_last

STEMS = ("imagenet", "cifar")
#: Largest side at which an image gets the stem that keeps its resolution.
SMALL = 32
#: Sites (over the whole batch) that a dense network reads at a time where no gradient is needed. At
#: the 512 channels of resnet18 a float32 feature map is then at most half a gigabyte.
DENSE_SITES = 1 << 18


class OnePass(Paradigm):
    """A whole feed-forward network as one iteration, after which nothing changes.

    network: maps [n, C, *S] to logits. sites: without gradients, the batch is read in parts of at
    most so many sites, or one example, which bounds memory; None for no limit.
    """

    max_iterations = 1

    def __init__(self, network: nn.Module, sites: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.sites = sites

    def encode(self, x: Tensor) -> State:
        return State(channels_last(x))

    def advance(self, state: State, context: Any) -> State:
        return State(self._run(state.hidden), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return state.hidden if state.iteration else self._run(state.hidden)

    def _run(self, x: Tensor) -> Tensor:
        # In training mode a part is not enough: BatchNorm must see the whole batch.
        if self.sites is None or self.training or torch.is_grad_enabled():
            return self.network(x)
        count = max(1, self.sites // x[0, 0].numel())
        return torch.cat([self.network(part) for part in x.split(count)])


class _Shortcutless(nn.Module):
    """A basic block that does not add its shortcut. The 1x1 projection stays, but is not run."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block.act(self.block.conv2_kxk(self.block.conv1_kxk(x)))


class ResNet(nn.Module):
    """Stem, stages and a linear head on the mean over sites, or on each site if dense.

    idle: parameters that the forward pass leaves out. While training they enter the logits times
    zero: their gradient is then zero and not missing, which data parallelism takes for an error.
    """

    def __init__(self, body: ByobNet, head: nn.Module, idle: list[nn.Parameter]) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self._idle = idle  # a plain list: the parameters are registered in `body` already

    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(self.body.forward_features(x))
        if self.training and self._idle:
            logits = logits + 0.0 * sum(p.sum() for p in self._idle)
        return logits


def _body(spec: Signature, channels: tuple[int, ...], stem: str, residual: bool) -> ByobNet:
    blocks = tuple(
        ByoBlockCfg("basic", d=2, c=c, s=1 if i == 0 else 2, gs=0, br=1.0)
        for i, c in enumerate(channels)
    )
    published = stem == "imagenet"
    pool = "maxpool" if published and not spec.dense else ""
    config = ByoModelCfg(
        blocks=blocks,
        stem_type="7x7" if published else "3x3",
        stem_pool=pool,
        stem_chs=channels[0],
    )
    # Blocks that start as zero need the shortcut: without it no gradient would pass.
    body = ByobNet(
        config, num_classes=0, in_chans=spec.in_channels, global_pool="", zero_init_last=residual
    )
    if spec.dense or not published:
        _set_stride(body.stem, 1)
    return body


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def _set_stride(module: nn.Module, stride: int) -> None:
    for conv in _convolutions(module):
        conv.stride = (stride, stride)


def _dilate(body: ByobNet) -> None:
    """Replace the strides of the stages by dilation: what follows a stride of s looks s times as
    far."""
    dilation = 1
    for stage in body.stages:
        for block in stage:
            for conv in _convolutions(block):
                stride = conv.stride[0]
                wide = conv.kernel_size[0] > 1
                conv.stride = (1, 1)
                conv.dilation = (dilation, dilation)
                conv.padding = (dilation * (conv.kernel_size[0] // 2),) * 2
                # The strided convolution itself still reads the grid it was given.
                if wide and stride > 1:
                    dilation *= stride


def _to_1d(module: nn.Module) -> nn.Module:
    """The 1d form of a 2d layer or of all layers inside it, freshly initialised like timm's."""
    if isinstance(module, nn.Conv2d):
        conv = nn.Conv1d(
            module.in_channels,
            module.out_channels,
            module.kernel_size[0],
            stride=module.stride[0],
            padding=module.padding[0],
            dilation=module.dilation[0],
            groups=module.groups,
            bias=module.bias is not None,
        )
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        return conv
    if isinstance(
        module, nn.BatchNorm2d
    ):  # timm's has an activation, which insists on four dimensions
        norm = nn.BatchNorm1d(module.num_features, eps=module.eps, momentum=module.momentum)
        norm.load_state_dict(module.state_dict())  # keeps weights that start as zero
        return nn.Sequential(norm, getattr(module, "act", nn.Identity()))
    if isinstance(module, nn.MaxPool2d):
        return nn.MaxPool1d(module.kernel_size, module.stride, module.padding)
    for name, child in module.named_children():
        setattr(module, name, _to_1d(child))
    return module


def _drop_additions(body: ByobNet) -> list[nn.Parameter]:
    """Take the shortcuts out of the forward pass; returns the parameters it no longer reads."""
    idle: list[nn.Parameter] = []
    for stage in body.stages:
        for i, block in enumerate(stage):
            if block.shortcut is not None:
                idle += list(block.shortcut.parameters())
            stage[i] = _Shortcutless(block)
    return idle


def _head(spec: Signature, features: int) -> nn.Module:
    linear: nn.Module
    if spec.dense:
        linear = CONV[spec.spatial_dims](features, spec.outputs, 1)
    else:
        linear = nn.Linear(features, spec.outputs)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.get_parameter("bias"))
    return linear if spec.dense else nn.Sequential(GlobalMean(), linear)


def _resnet18(
    spec: Signature,
    published: tuple[int, ...],
    *,
    residual: bool = True,
    stem: str | None = None,
    width: int | None = None,
) -> OnePass:
    """A ResNet with two basic blocks in each of four stages, of `published` channels.

    residual: whether blocks add their shortcut; parameters are the same either way. stem:
    "imagenet" is 7-wide with stride 2 and max-pooling (both left out for a dense answer), "cifar"
    3-wide with stride 1; by default "cifar" where the task's inputs have a fixed side of at most
    32. width: channels of the first stage, the others in proportion, all to the nearest eight; by
    default the published ones. ValueError for anything else.
    """
    if width is not None and (not isinstance(width, int) or width < 1):
        raise ValueError(f"width of a ResNet must be a whole number from 1, not {width!r}")
    first = published[0]
    # timm builds stages in eights, so that is what is asked for.
    channels = tuple(max(1, round(c * (width or first) / first / 8)) * 8 for c in published)
    if spec.spatial_dims not in BATCH_NORM:
        raise ValueError(f"a ResNet reads strings or images, not {spec.spatial_dims}d inputs")
    if stem is None:
        small = spec.size is not None and max(spec.size) <= SMALL
        stem = "cifar" if small else "imagenet"
    if stem not in STEMS:
        raise unknown_name("stem", stem, STEMS)
    body = _body(spec, channels, stem, residual)
    if spec.dense:
        _dilate(body)
    if spec.spatial_dims == 1:
        _to_1d(body)
    idle = [] if residual else _drop_additions(body)
    return OnePass(
        ResNet(body, _head(spec, channels[-1]), idle), sites=DENSE_SITES if spec.dense else None
    )


resnet18 = partial(_resnet18, published=(64, 128, 256, 512))
"""ResNet18 with stages of 64, 128, 256 and 512 channels (two basic blocks each)."""

narrow_resnet18 = partial(_resnet18, published=(16, 32, 32, 32))
"""ResNet18 with stages of 16, 32, 32 and 32 channels."""

super_narrow_resnet18 = partial(_resnet18, published=(8, 16, 16, 16))
"""ResNet18 with stages of 8, 16, 16 and 16 channels."""

larger_narrow_resnet18 = partial(_resnet18, published=(24, 48, 48, 128))
"""ResNet18 with stages of 24, 48, 48 and 128 channels."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """The published sizes in every preset; one pass leaves nothing for the progressive loss
    (alpha).

    In a few thousand steps the networks need the larger rate that Lüddecke and Ecker found to help,
    and for an answer at each site of a picture more of these (cheap) steps than others.
    """
    train = {"alpha": 0.0, "learning_rate": 1e-3 if preset == "paper" else 3e-3}
    if preset == "quick" and spec.dense and spec.spatial_dims == 2:
        train["steps"] = 2700
    return {"train": train}
