"""The families that pit depth against recurrence: MLPs, ConvNets and ResNets, tied or not.

Schwarzschild et al. 2021, "Thinking Deeply with Recurrence", compare networks of one effective
depth: the number of weight layers that the input passes through. A recurrent network repeats one
body, its feed-forward twin gives each repetition weights of its own. Here the two are one class
with one or many bodies, so that a pair differs in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from foundations.errors import Unsuitable
from paradigms.base import Paradigm, Signature, State
from paradigms.layers import BATCH_NORM, CONV, GlobalMean, conv3, conv_head, reach

MAX_POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class Repeated(Paradigm):
    """A stem, a body passed `iterations` times, and a head.

    body: makes one body, a module called with (hidden, iteration). tied: one body for all
    iterations (recurrent), else one each (feed-forward). fixed_depth, body_depth: weight layers
    outside the body and in it; on the shortest way from input to logits.
    """

    recurrent_parts = ("recurrent",)

    def __init__(
        self,
        stem: nn.Module,
        body: Callable[[], nn.Module],
        head: nn.Module,
        *,
        iterations: int,
        tied: bool,
        fixed_depth: int,
        body_depth: int,
        progressive: bool = True,
    ) -> None:
        super().__init__()
        self.train_iterations = iterations
        self.max_iterations = None if tied else iterations
        self.progressive = progressive
        self.same_from = iterations - 1  # for bodies with norms of their own for each iteration
        self.fixed_depth, self.body_depth = fixed_depth, body_depth
        self.stem = stem
        self.recurrent = nn.ModuleList(body() for _ in range(1 if tied else iterations))
        self.head = head

    @property
    def step_radius(self) -> int | None:
        return reach(*self.recurrent) if self.max_iterations is None else None

    @property
    def readout_radius(self) -> int | None:
        return reach(self.head)

    def effective_depth(self, iterations: int | None = None) -> int:
        """Weight layers that an input passes through in that many iterations (by default, as
        trained)."""
        taken = self.train_iterations if iterations is None else iterations
        if self.max_iterations is not None:
            taken = min(taken, self.max_iterations)
        return self.fixed_depth + self.body_depth * taken

    def encode(self, x: Tensor) -> State:
        return State(self.stem(x))

    def context(self, x: Tensor) -> Any:
        return None

    def advance(self, state: State, context: Any) -> State:
        body = self.recurrent[state.iteration % len(self.recurrent)]
        return State(body(state.hidden, state.iteration), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return self.head(state.hidden)


class Layer(nn.Module):
    """One weight layer and a ReLU, the same at every iteration."""

    def __init__(self, weights: nn.Module) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, hidden: Tensor, iteration: int) -> Tensor:
        return self.weights(hidden).relu_()


class Residual(nn.Module):
    """`blocks` residual blocks of two 3-wide convolutions each; [n, width, *S] to the same.

    dilation: of the second convolution of each block. norms: sets of BatchNorms, a norm per
    convolution in each; iteration i uses set i and every later one the last; 0 for none.
    """

    def __init__(self, dims: int, width: int, *, blocks: int, dilation: int, norms: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleList((conv3(dims, width, width), _dilated(dims, width, dilation)))
            for _ in range(blocks)
        )
        self.norms = nn.ModuleList(
            nn.ModuleList(BATCH_NORM[dims](width) for _ in range(2 * blocks)) for _ in range(norms)
        )

    def forward(self, hidden: Tensor, iteration: int) -> Tensor:
        norms: Any = self.norms[min(iteration, len(self.norms) - 1)] if len(self.norms) else None
        blocks: Any = self.blocks  # lists of lists, which their types do not say
        for i, (first, second) in enumerate(blocks):
            inner = first(hidden)
            inner = second((inner if norms is None else norms[2 * i](inner)).relu_())
            inner = inner if norms is None else norms[2 * i + 1](inner)
            hidden = inner.add_(hidden).relu_()
        return hidden


def _dilated(dims: int, width: int, dilation: int) -> nn.Module:
    return CONV[dims](width, width, 3, padding=dilation, dilation=dilation, bias=False)


def _iterations(name: str, depth: int, fixed: int, each: int) -> int:
    """How many passes of the body make that effective depth; ValueError if none do."""
    taken, rest = divmod(depth - fixed, each)
    if taken < 1 or rest:
        allowed = ", ".join(str(fixed + each * i) for i in range(1, 5))
        raise ValueError(
            f"effective depth of {name} must be one of {allowed}, ... "
            f"({fixed} fixed layers and {each} an iteration), not {depth}"
        )
    return taken


def check_width(name: str, width: int) -> None:
    """ValueError, which names the paradigm, for a width under 1."""
    if width < 1:
        raise ValueError(f"width of {name} must be at least 1, not {width}")


# --- mlp


def _mlp(spec: Signature, name: str, tied: bool, *, depth: int = 5, width: int = 200) -> Repeated:
    """One hidden layer after another; published at effective depths 3 to 10 and width 200
    (CIFAR-10) or 500.

    `Unsuitable` (a ValueError) for a task whose inputs differ in size.
    """
    if spec.size is None:
        raise Unsuitable(
            f"{name} makes no sense for {spec.name}: it reads inputs of one fixed size, and those"
            f" of {spec.name} grow with the difficulty"
        )
    check_width(name, width)
    sites = math.prod(spec.size)
    answer = (spec.outputs, *spec.size) if spec.dense else (spec.outputs,)
    return Repeated(
        nn.Sequential(
            nn.Flatten(), nn.Linear(spec.in_channels * sites, width), nn.ReLU(inplace=True)
        ),
        lambda: Layer(nn.Linear(width, width)),
        nn.Sequential(nn.Linear(width, math.prod(answer)), nn.Unflatten(1, answer)),
        iterations=_iterations(name, depth, 2, 1),
        tied=tied,
        fixed_depth=2,
        body_depth=1,
    )


recurrent_mlp = partial(_mlp, name="recurrent_mlp", tied=True)
"""MLP with one hidden layer repeated."""

mlp = partial(_mlp, name="mlp", tied=False)
"""The twin of `recurrent_mlp` with distinct hidden layers."""


# --- convnet


def _pooled_head(dims: int, width: int, wide: int, spec: Signature) -> tuple[nn.Module, int]:
    """What follows the body of a convnet for one answer an input; and the padding of all its 3-wide
    layers.

    Published: pool 3, convolution without padding, pool 3, linear. Inputs under 19 sites a side
    would vanish on the way: there the convolutions pad and the pools shrink.
    """
    smallest = min(spec.size) if spec.size else 19
    pad = 0 if smallest >= 19 else 1
    sides = [(s + 2 * (2 * pad - 2)) for s in spec.size or ()]
    pools: list[tuple[int, ...]] = []
    for shrink in (2 * pad - 2, 0):
        pools.append(tuple(min(3, s) for s in sides) or (3,) * dims)
        sides = [s // min(3, s) + shrink for s in sides]
    layers: list[nn.Module] = [
        MAX_POOL[dims](pools[0]),
        CONV[dims](width, wide, 3, padding=pad),
        nn.ReLU(inplace=True),
    ]
    if spec.size is None:  # as many features whatever the size
        layers += [GlobalMean(), nn.Linear(wide, spec.outputs)]
    else:
        layers += [
            MAX_POOL[dims](pools[1]),
            nn.Flatten(),
            nn.Linear(wide * math.prod(sides), spec.outputs),
        ]
    return nn.Sequential(*layers), pad


def _convnet(
    spec: Signature, name: str, tied: bool, *, depth: int = 6, width: int = 64
) -> Repeated:
    """Internal convolutions between three others; published at effective depths 4 to 8.

    The depth counts convolutions, as published: the last, linear layer does not count. Where the
    answer is dense nothing is pooled and the linear layer acts at every site.
    """
    check_width(name, width)
    dims = spec.spatial_dims
    narrow, wide = max(width // 2, 1), 2 * width
    if spec.dense:
        pad = 1
        head: nn.Module = nn.Sequential(
            CONV[dims](width, wide, 3, padding=1),
            nn.ReLU(inplace=True),
            CONV[dims](wide, spec.outputs, 1),
        )
    else:
        head, pad = _pooled_head(dims, width, wide, spec)
    return Repeated(
        nn.Sequential(
            CONV[dims](spec.in_channels, narrow, 3, padding=pad),
            nn.ReLU(inplace=True),
            CONV[dims](narrow, width, 3, padding=pad),
            nn.ReLU(inplace=True),
        ),
        lambda: Layer(CONV[dims](width, width, 3, padding=1)),
        head,
        iterations=_iterations(name, depth, 3, 1),
        tied=tied,
        fixed_depth=3,
        body_depth=1,
    )


recurrent_convnet = partial(_convnet, name="recurrent_convnet", tied=True)
"""Convnet with one internal convolution repeated."""

convnet = partial(_convnet, name="convnet", tied=False)
"""The twin of `recurrent_convnet` with distinct convolutions."""


# --- resnet


def _resnet_head(spec: Signature, width: int, normalised: bool) -> nn.Module:
    dims = spec.spatial_dims
    # The published count has one BatchNorm more than its forward pass uses, as wide as the state
    # and defined next to the head. Here it normalises what the head reads, so that no weight is
    # dead.
    first = [BATCH_NORM[dims](width)] if normalised else []
    if spec.dense:
        narrowing = [32, 8] if dims == 2 else [width, max(width // 2, 1)]
        return nn.Sequential(*first, conv_head(dims, [width, *narrowing, spec.outputs], dense=True))
    return nn.Sequential(
        *first,
        conv3(dims, width, 512, stride=2),
        *([BATCH_NORM[dims](512)] if normalised else []),
        nn.ReLU(inplace=True),
        GlobalMean(),
        nn.Linear(512, spec.outputs),
    )


def _resnet(
    spec: Signature,
    name: str,
    tied: bool,
    normalised: bool = False,
    *,
    depth: int | None = None,
    width: int | None = None,
    stride: int | None = None,
    dilation: int = 1,
) -> Repeated:
    """Modules of four convolutions in two residual blocks, without norm or with BatchNorm.

    depth: 4 + 4 an iteration where the answer is dense (a convolution before, three after), else 3
    + 4 (strided convolutions before and after, linear); by default three iterations. width: by
    default 128 (dense, 2d), 400 (dense, 1d) or 512, with norms 256. stride: of the first
    convolution, by default 2 where the answer is not dense. dilation: 2 gives the published dilated
    variant, which widens the second convolution of each block.
    """
    dims = spec.spatial_dims
    fixed = 4 if spec.dense else 3
    iterations = _iterations(name, fixed + 12 if depth is None else depth, fixed, 4)
    if width is None:
        width = (128 if dims == 2 else 400) if spec.dense else (256 if normalised else 512)
    check_width(name, width)
    stride = stride or (1 if spec.dense else 2)
    if stride < 1 or dilation < 1 or (stride > 1 and spec.dense):
        raise ValueError(
            f"stride and dilation of {name} must be at least 1, and stride 1 where the answer is"
            f" dense, not {stride} and {dilation}"
        )
    head = _resnet_head(spec, width, normalised)
    norms = (iterations if tied else 1) if normalised else 0
    return Repeated(
        nn.Sequential(
            conv3(dims, spec.in_channels, width, stride),
            *([BATCH_NORM[dims](width)] if normalised else []),
            nn.ReLU(inplace=True),
        ),
        lambda: Residual(dims, width, blocks=2, dilation=dilation, norms=norms),
        head,
        iterations=iterations,
        tied=tied,
        fixed_depth=fixed,
        body_depth=4,
        # With a norm for each iteration, one that is skipped has no statistics of its own to learn.
        progressive=not normalised,
    )


def _normalised_resnet(
    spec: Signature,
    name: str,
    tied: bool,
    *,
    depth: int | None = None,
    width: int | None = None,
    stride: int | None = None,
) -> Repeated:
    """`_resnet` with norms; published without dilation."""
    return _resnet(spec, name, tied, True, depth=depth, width=width, stride=stride)


recurrent_resnet = partial(_resnet, name="recurrent_resnet", tied=True)
"""ResNet with one module of four convolutions repeated (two residual blocks, no norm)."""

resnet = partial(_resnet, name="resnet", tied=False)
"""The twin of `recurrent_resnet` with distinct modules."""

recurrent_resnet_bn = partial(_normalised_resnet, name="recurrent_resnet_bn", tied=True)
"""`recurrent_resnet` with BatchNorm, one for each iteration.

Iterations past the trained ones use the norms of the last trained one.
"""

resnet_bn = partial(_normalised_resnet, name="resnet_bn", tied=False)
"""The twin of `recurrent_resnet_bn` with distinct modules."""


# --- what studies use


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe.

    All are trained as published, through every iteration: no progressive loss. Those without a norm
    take a rate that they can stand, whatever the task's.
    """
    train: dict[str, Any] = {"alpha": 0.0}
    if name not in ("recurrent_resnet_bn", "resnet_bn"):
        train |= {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    if preset == "paper":
        return {"train": train}
    return {"options": _small(name, spec), "train": train}


def _small(name: str, spec: Signature) -> dict[str, Any]:
    """Options that train in minutes on a CPU."""
    widest = max(spec.size or (0,))
    if name.endswith("mlp"):
        return {"width": 200, "depth": 5}
    if name.endswith("convnet"):
        return {"width": 32, "depth": 8 if spec.dense else 6}
    if not spec.dense:
        # Two iterations are the fewest that a recurrent network and its twin differ in; a third is
        # worth a point on CIFAR-10.
        depth = 15 if 16 < widest <= 48 else 11
        return {"width": 48, "depth": depth, **({"stride": 4} if widest > 48 else {})}
    # A dense answer needs a view as wide as the problem; an iteration widens it by 4 sites a side.
    return {"width": 64, "depth": 24} if 0 < widest <= 16 else {"width": 32, "depth": 44}
