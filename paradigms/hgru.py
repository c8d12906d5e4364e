"""Horizontal gated recurrent networks: hGRU, hCNN and td+hCNN.

hGRU: Linsley et al. 2018, "Learning long-range spatial dependencies with horizontal gated recurrent
units" (arXiv 1805.08315). hCNN, td+hCNN: Kim et al. 2020, "Disentangling neural mechanisms for
perceptual grouping" (ICLR). One step with drive X, state H2 and a wide kernel W:

    G1 = sigmoid(BN(U1 * H2) + b1)    C1 = BN(W * (G1 . H2))    H1 = phi(X - (alpha . H2 + mu) . C1)
    G2 = sigmoid(BN(U2 * H1) + b2)    C2 = BN(W * H1)           E = gamma . C2
    H2 <- G2 . H2 + (1 - G2) . phi(kappa . (H1 + E) + omega . (H1 . E))

with * a convolution, . a product per element or channel. Each BN keeps statistics for each time
step and has one scale, the same at all of them; offsets are the gates' b1, b2 and mu.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from foundations.errors import unknown_name
from paradigms.base import Paradigm, Signature, State
from paradigms.fourier import Spectrum, pays
from paradigms.layers import BATCH_NORM, CONV, channels_last, has_matrix_unit

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}
MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "relu": torch.relu,
}
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh_, "relu": torch.relu_}
#: Matrix units read channels in blocks of this many; zero channels are added up to a multiple of
#: it.
BLOCK = 32
STEM_KERNEL = 7


def gabor_filters(count: int, dims: int, size: int = STEM_KERNEL) -> Tensor:
    """float32 [count, size] or [count, size, size], zero mean, unit length.

    Pairs of an even and an odd filter; in 2d their orientations, in 1d their wavelengths are spread
    evenly. An odd count ends with a difference of Gaussians.
    """
    reach = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    pairs = max(count // 2, 1)
    filters = []
    for i in range(count):
        pair, odd = divmod(i, 2)
        if dims == 2:
            angle = math.pi * pair / pairs
            y, x = torch.meshgrid(reach, reach, indexing="ij")
            along, radius2, wavelength = x * math.cos(angle) + y * math.sin(angle), x**2 + y**2, 4.5
        else:
            along, radius2, wavelength = reach, reach**2, 2.5 + 4.5 * pair / pairs
        envelope = torch.exp(-radius2 / (2 * (size / 4) ** 2))
        if i == count - 1 and not odd:
            filters.append(envelope - torch.exp(-radius2 / size))
        else:
            wave = torch.sin if odd else torch.cos
            filters.append(envelope * wave(2 * math.pi * along / wavelength))
    stacked = torch.stack(filters)
    flat = stacked.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return F.normalize(flat, dim=1).view_as(stacked)


class SymmetricChannels(nn.Module):
    """Makes W[i, j] = W[j, i] by averaging the two. [width, width, *k] to the same."""

    def forward(self, weight: Tensor) -> Tensor:
        return (weight + weight.transpose(0, 1)) / 2

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class StepNorm(nn.Module):
    """BatchNorm with statistics for each time step and the same scale (and offset) at all of them.

    Steps past the last use the last one's statistics. Inputs may have more channels than `width`:
    they must be zero, and stay so. scale: its initial value, 0.1 as in Cooijmans et al. 2017 (arXiv
    1603.09025), so that gates and tanh start where their slope is large.
    """

    eps = 1e-5
    momentum = 0.1

    def __init__(self, width: int, steps: int, scale: float = 0.1, centre: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), scale))
        self.bias = nn.Parameter(torch.zeros(width)) if centre else None
        room = -(-width // BLOCK) * BLOCK
        self.register_buffer("running_mean", torch.zeros(steps, room))
        self.register_buffer("running_var", torch.ones(steps, room))
        #: True while a checkpointed step runs again for its gradient: it was counted the first
        #: time.
        self.frozen = False

    def _statistics(self, step: int, channels: int) -> tuple[Tensor, Tensor]:
        step = min(step, len(self.running_mean) - 1)
        return self.running_mean[step, :channels], self.running_var[step, :channels]

    def forward(self, x: Tensor, step: int) -> Tensor:
        channels = x.shape[1]
        mean, var = self._statistics(step, channels)
        weight = _pad(self.weight, channels)
        bias = None if self.bias is None else _pad(self.bias, channels)
        momentum = 0.0 if self.frozen else self.momentum
        return F.batch_norm(x, mean, var, weight, bias, self.training, momentum, self.eps)

    def affine(self, step: int, channels: int) -> tuple[Tensor, Tensor]:
        """(scale, mean), float32 [channels]: outside training this is x -> scale * (x - mean)."""
        mean, var = self._statistics(step, channels)
        return _pad(self.weight, channels) * torch.rsqrt(var + self.eps), mean


def _pad(t: Tensor, channels: int, dims: int = 1) -> Tensor:
    """Zeros added at the end of the first `dims` dimensions up to `channels`."""
    if t.shape[0] == channels:
        return t
    more = [0, 0] * (t.dim() - dims)
    for size in reversed(t.shape[:dims]):
        more += [0, channels - size]
    return F.pad(t, more)


def _per_channel(t: Tensor, sites: Sequence[int]) -> Tensor:
    """[C] ready to meet maps [n, C, *sites].

    In 2d repeated along a row, channels innermost, as the maps are in memory: elementwise kernels
    then run over a whole row at a time and not over the few channels of one pixel.
    """
    if len(sites) == 1:
        return t.view(-1, 1)
    return t.expand(1, 1, sites[1], len(t)).contiguous().permute(0, 3, 1, 2)


class Weights(NamedTuple):
    """A unit's parameters with zero channels added, in the precision of the pass.

    Gates [C, C, 1..], kernel [C, C, k..] or its transform; the others as `_per_channel` lays them
    out.
    """

    gate1: Tensor
    gate2: Tensor
    bias1: Tensor
    bias2: Tensor
    kernel: Tensor | Spectrum
    alpha: Tensor
    mu: Tensor
    gamma: Tensor
    kappa: Tensor
    omega: Tensor


def _over(target: Tensor) -> dict[str, Tensor]:
    """Where no gradient is needed, write a result over a tensor that is read for the last time."""
    return {} if torch.is_grad_enabled() else {"out": target}


class HorizontalUnit(nn.Module):
    """The recurrent unit of the module's docstring over `width` channels, kernel `kernel` wide.

    iterations: T, the number of time steps with statistics of their own. The gate that keeps the
    state has bias log u with u uniform in [1, T - 1], so that units forget over 1 to T - 1 steps;
    the gate of the first half has minus that (chronos initialisation, Tallec & Ollivier 2018, arXiv
    1804.11188).
    """

    def __init__(
        self, dims: int, width: int, kernel: int, iterations: int, activation: str = "tanh"
    ) -> None:
        super().__init__()
        self.dims = dims
        self.activation = activation
        ones = (1,) * dims
        self.gate1 = nn.Parameter(nn.init.orthogonal_(torch.empty(width, width, *ones)))
        self.gate2 = nn.Parameter(nn.init.orthogonal_(torch.empty(width, width, *ones)))
        self.kernel = nn.Parameter(nn.init.orthogonal_(torch.empty(width, width, *[kernel] * dims)))
        parametrize.register_parametrization(self, "kernel", SymmetricChannels())
        remember = torch.empty(width).uniform_(1, max(iterations - 1, 1)).log()
        self.bias1 = nn.Parameter(-remember)
        self.bias2 = nn.Parameter(remember.clone())
        for name, value in (
            ("alpha", 0.1),
            ("mu", 1),
            ("gamma", 1),
            ("kappa", 0.5),
            ("omega", 0.5),
        ):
            setattr(self, name, nn.Parameter(torch.full((width,), float(value))))
        self.norm_gate1, self.norm1, self.norm_gate2, self.norm2 = (
            StepNorm(width, iterations) for _ in range(4)
        )

    def weights(self, channels: int, dtype: torch.dtype, sites: Sequence[int]) -> Weights:
        """The parameters for a pass over maps of `channels` >= width channels and size `sites`."""

        def ready(name: str, dims: int) -> Tensor:
            return _pad(getattr(self, name), channels, dims).to(dtype)

        found: dict[str, Any] = {f: ready(f, 2) for f in ("gate1", "gate2")}
        kernel = self.kernel
        if pays(kernel.shape[-1], self.dims, kernel.device):
            found["kernel"] = Spectrum.of(_pad(kernel, channels, 2), sites)
        else:
            found["kernel"] = _pad(kernel, channels, 2).to(dtype)
        for name in Weights._fields:
            if name not in found:
                found[name] = _per_channel(ready(name, 1), sites)
        return Weights(**found)

    def forward(self, w: Weights, drive: Tensor, hidden: Tensor, step: int) -> Tensor:
        """The next state. drive, hidden: [n, C, *S]; step: how many were taken before, from 0."""
        return (self._train_step if self.training else self._test_step)(w, drive, hidden, step)

    def _convolve(self, x: Tensor, weight: Tensor | Spectrum, bias: Tensor | None = None) -> Tensor:
        if isinstance(weight, Spectrum):
            return weight.convolve(x, bias)
        return CONVOLVE[self.dims](x, weight, bias, padding=weight.shape[-1] // 2)

    def _train_step(self, w: Weights, drive: Tensor, hidden: Tensor, step: int) -> Tensor:
        gate1 = torch.sigmoid(self.norm_gate1(self._convolve(hidden, w.gate1), step) + w.bias1)
        gated = torch.mul(gate1, hidden, **_over(gate1))
        c1 = self.norm1(self._convolve(gated, w.kernel), step)
        h1 = self._first_half(drive, hidden, c1, w.alpha, w.mu, gated)
        gate2 = torch.sigmoid(self.norm_gate2(self._convolve(h1, w.gate2), step) + w.bias2)
        c2 = self.norm2(self._convolve(h1, w.kernel), step)
        return self._second_half(hidden, h1, c2, gate2, w.kappa, w.omega, w.gamma, c1)

    def _test_step(self, w: Weights, drive: Tensor, hidden: Tensor, step: int) -> Tensor:
        """The same numbers with the norms, now fixed, folded into neighbouring weights.

        The kernels' norms leave their mean to the convolution's bias and their scale to alpha, mu
        and gamma; the gates' fold whole.
        """
        channels, dtype = hidden.shape[1], hidden.dtype

        def column(t: Tensor) -> Tensor:
            return t.to(dtype).view(-1, *[1] * self.dims)

        def gate(x: Tensor, norm: StepNorm, weight: Tensor, bias: Tensor) -> Tensor:
            scale, mean = norm.affine(step, channels)
            folded = (weight * scale.view(-1, *[1] * (self.dims + 1))).to(dtype)
            opened = self._convolve(x, folded, (_pad(bias, channels) - scale * mean).to(dtype))
            return torch.sigmoid(opened, **_over(opened))

        scale, mean = self.norm1.affine(step, channels)
        gate1 = gate(hidden, self.norm_gate1, w.gate1, self.bias1)
        gated = torch.mul(gate1, hidden, **_over(gate1))
        c1 = self._convolve(gated, w.kernel, -mean.to(dtype))
        alpha, mu = w.alpha * column(scale), w.mu * column(scale)
        h1 = self._first_half(drive, hidden, c1, alpha, mu, gated)
        gate2 = gate(h1, self.norm_gate2, w.gate2, self.bias2)
        scale, mean = self.norm2.affine(step, channels)
        c2 = self._convolve(h1, w.kernel, -mean.to(dtype))
        gamma = w.gamma * column(scale)
        return self._second_half(hidden, h1, c2, gate2, w.kappa, w.omega, gamma, c1)

    def _first_half(
        self,
        drive: Tensor,
        hidden: Tensor,
        c1: Tensor,
        alpha: Tensor,
        mu: Tensor,
        spare: Tensor,
    ) -> Tensor:
        """H1. spare: a map that is read no more; fresh memory costs more than the arithmetic."""
        held = torch.addcmul(mu, alpha, hidden, **_over(spare))
        return self._activate(torch.addcmul(drive, held, c1, value=-1, **_over(held)))

    def _second_half(
        self,
        hidden: Tensor,
        h1: Tensor,
        c2: Tensor,
        gate2: Tensor,
        kappa: Tensor,
        omega: Tensor,
        gamma: Tensor,
        spare: Tensor,
    ) -> Tensor:
        """H2. spare: as in `_first_half`."""
        # kappa (H1 + E) + omega H1 E = H1 (kappa + omega E) + kappa E, three passes over memory
        mixed = torch.addcmul(kappa, omega * gamma, c2, **_over(spare))
        mixed = torch.mul(mixed, h1, **_over(mixed))
        mixed = self._activate(torch.addcmul(mixed, kappa * gamma, c2, **_over(mixed)))
        return torch.lerp(mixed, hidden, gate2, **_over(mixed))

    def _activate(self, x: Tensor) -> Tensor:
        """phi of a tensor that is read for the last time."""
        in_place = IN_PLACE.get(self.activation)
        if in_place is None or torch.is_grad_enabled():
            return ACTIVATIONS[self.activation](x)
        return in_place(x)


class Stem(nn.Module):
    """Gabor filters, squared, then max-pooled by `pool`. [n, in_channels, *S] to [n, width, *S /
    pool]."""

    def __init__(self, dims: int, in_channels: int, width: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.conv = CONV[dims](in_channels, width, STEM_KERNEL, padding=STEM_KERNEL // 2)
        filters = gabor_filters(width, dims).unsqueeze(1) / in_channels
        with torch.no_grad():
            self.conv.weight.copy_(filters.expand_as(self.conv.weight))
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).square()
        return x if self.pool == 1 else _shrink(x, self.pool)


def _shrink(x: Tensor, factor: int) -> Tensor:
    """Max-pooling by a whole factor; sizes are rounded up."""
    return MAX_POOL[x.dim() - 2](x, factor, ceil_mode=True)


class SiteReadout(nn.Module):
    """BN, then a 1-wide convolution: [n, width, *S] to [n, outputs, *S]."""

    def __init__(self, dims: int, width: int, outputs: int) -> None:
        super().__init__()
        self.norm = BATCH_NORM[dims](width)
        self.conv = CONV[dims](width, outputs, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv(self.norm(hidden))


class GlobalReadout(nn.Module):
    """BN, 1-wide convolution to two channels (as many as outputs, if more), maximum over all sites,
    BN, linear: [n, width, *S] to [n, outputs]."""

    def __init__(self, dims: int, width: int, outputs: int) -> None:
        super().__init__()
        found = max(2, outputs)
        self.sites = SiteReadout(dims, width, found)
        self.norm = nn.BatchNorm1d(found)
        self.linear = nn.Linear(found, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.linear(self.norm(self.sites(hidden).flatten(2).amax(2)))


class StepConv(nn.Module):
    """7-wide convolution, BN with statistics for each time step, ReLU. [n, C, *S] to [n, C',
    *S]."""

    def __init__(self, dims: int, inputs: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.conv = CONV[dims](inputs, outputs, STEM_KERNEL, padding=STEM_KERNEL // 2, bias=False)
        self.norm = StepNorm(outputs, steps, scale=1.0, centre=True)

    def forward(self, x: Tensor, channels: int, step: int) -> Tensor:
        """channels: C' with the zero channels wanted; those of x are found from it."""
        weight = _pad(self.conv.weight.transpose(0, 1), x.shape[1]).transpose(0, 1)
        weight = _pad(weight, channels).to(x.dtype)
        x = CONVOLVE[x.dim() - 2](x, weight, padding=STEM_KERNEL // 2)
        return torch.relu(self.norm(x, step))


class Loop(nn.Module):
    """The state feeding back on itself: one horizontal unit. A state is a tensor [n, C, *S]."""

    def __init__(
        self, dims: int, width: int, kernel: int, iterations: int, activation: str
    ) -> None:
        super().__init__()
        self.width = width
        self.horizontal = HorizontalUnit(dims, width, kernel, iterations, activation)

    def weights(self, room: Callable[[int], int], drive: Tensor) -> Any:
        """What every step needs of the parameters; `room` gives the channels to use for a width."""
        return self.horizontal.weights(room(self.width), drive.dtype, drive.shape[2:])

    def start(self, hidden: Tensor, room: Callable[[int], int]) -> Any:
        """The first state, given zeros of the lower one's shape."""
        return hidden

    def forward(self, weights: Any, drive: Tensor, state: Any, step: int) -> Any:
        return self.horizontal(weights, drive, state, step)

    @staticmethod
    def lower(state: Any) -> Tensor:
        """The part of a state that is read out."""
        return state


class TopDownLoop(Loop):
    """A loop through a deeper map: lower unit, pooling and convolutions, upper unit, and back.

    The upper unit has twice the channels, at a quarter of the side, and a kernel 9 wide (for the
    usual 15). Its state comes back through two convolutions, each followed by upsampling, as the
    drive of a third, top-down unit, 1 wide, that gates it into the lower state. A state is (lower,
    upper).
    """

    def __init__(
        self, dims: int, width: int, kernel: int, iterations: int, activation: str
    ) -> None:
        super().__init__(dims, width, kernel, iterations, activation)
        upper = 2 * width
        upper_kernel = 2 * round(kernel * 0.3) + 1
        self.upper_width = upper
        self.down = nn.ModuleList(
            [StepConv(dims, width, upper, iterations), StepConv(dims, upper, upper, iterations)]
        )
        self.upper = HorizontalUnit(dims, upper, upper_kernel, iterations, activation)
        self.up = nn.ModuleList(
            [StepConv(dims, upper, upper, iterations), StepConv(dims, upper, width, iterations)]
        )
        self.top_down = HorizontalUnit(dims, width, 1, iterations, activation)

    def weights(self, room: Callable[[int], int], drive: Tensor) -> Any:
        lower, upper = room(self.width), room(self.upper_width)
        sites, dtype = drive.shape[2:], drive.dtype
        return (
            self.horizontal.weights(lower, dtype, sites),
            self.upper.weights(upper, dtype, _quarter(sites)),
            self.top_down.weights(lower, dtype, sites),
        )

    def start(self, hidden: Tensor, room: Callable[[int], int]) -> Any:
        upper = hidden.new_zeros(len(hidden), room(self.upper_width), *_quarter(hidden.shape[2:]))
        return hidden, channels_last(upper)

    def forward(self, weights: Any, drive: Tensor, state: Any, step: int) -> Any:
        lower, upper = state
        lower = self.horizontal(weights[0], drive, lower, step)
        wide, narrow = upper.shape[1], lower.shape[1]
        half = self.down[0](_shrink(lower, 2), wide, step)
        upper = self.upper(weights[1], self.down[1](_shrink(half, 2), wide, step), upper, step)
        back = _grow(self.up[0](upper, wide, step), half)
        back = _grow(self.up[1](back, narrow, step), lower)
        return self.top_down(weights[2], back, lower, step), upper

    @staticmethod
    def lower(state: Any) -> Tensor:
        return state[0]


def _quarter(sites: Sequence[int]) -> list[int]:
    return [math.ceil(s / 4) for s in sites]


def _grow(x: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the sites and precision of another map."""
    return F.interpolate(x, size=like.shape[2:], mode="nearest").to(like.dtype)


class HorizontalNet(Paradigm):
    """Gabor stem, a loop run for any number of steps, and a readout of its lower state.

    State: H2 of the loop, zero at first; with `padded` channels, those past the width are zero.
    """

    recurrent_parts = ("loop",)

    def __init__(
        self,
        spec: Signature,
        loop: type[Loop],
        *,
        width: int,
        kernel: int,
        iterations: int,
        activation: str,
        pool: int,
        checkpoint: bool,
        padded: bool | None,
    ) -> None:
        super().__init__()
        dims = spec.spatial_dims
        if width < 1 or iterations < 1:
            raise ValueError(
                f"width and iterations must be at least 1, not {width} and {iterations}"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a middle, not {kernel}")
        if pool < 1 or (pool > 1 and spec.dense):
            raise ValueError(f"pool must be 1 for a dense task and at least 1 else, not {pool}")
        if activation not in ACTIVATIONS:
            raise unknown_name("activation", activation, ACTIVATIONS)
        self.train_iterations = iterations
        self.width = width
        self.checkpoint = checkpoint
        self.padded = padded
        self.stem = Stem(dims, spec.in_channels, width, pool)
        self.loop = loop(dims, width, kernel, iterations, activation)
        readout = SiteReadout if spec.dense else GlobalReadout
        self.head = readout(dims, width, spec.outputs)
        self._norms = [m for m in self.loop.modules() if isinstance(m, StepNorm)]

    def _precision(self, x: Tensor) -> torch.dtype:
        kind = x.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype

    def _room(self, x: Tensor) -> Callable[[int], int]:
        """How many channels to use for a width, on this device and in this precision."""
        padded = self.padded
        if padded is None:
            padded = self._precision(x).itemsize == 2 and has_matrix_unit(x.device)
        return (lambda width: -(-width // BLOCK) * BLOCK) if padded else (lambda width: width)

    def encode(self, x: Tensor) -> State:
        room = self._room(x)
        sites = [-(-s // self.stem.pool) for s in x.shape[2:]]
        zeros = x.new_zeros(len(x), room(self.width), *sites, dtype=self._precision(x))
        return State(self.loop.start(channels_last(zeros), room))

    def context(self, x: Tensor) -> tuple[Tensor, Any]:
        """(X, weights): the first layer's responses and the parameters ready for use."""
        room, dtype = self._room(x), self._precision(x)
        drive = self.stem(channels_last(x)).to(dtype)
        more = room(self.width) - self.width
        drive = channels_last(F.pad(drive, (0, 0) * (x.dim() - 2) + (0, more)))
        return drive, self.loop.weights(room, drive)

    def advance(self, state: State, context: tuple[Tensor, Any]) -> State:
        drive, weights = context
        arguments = (weights, drive, state.hidden, state.iteration)
        if self.checkpoint and self.training and torch.is_grad_enabled():
            hidden = checkpoint(
                self.loop,
                *arguments,
                use_reentrant=False,
                context_fn=lambda: (contextlib.nullcontext(), self._again()),
            )
        else:
            hidden = self.loop(*arguments)
        return State(hidden, state.iteration + 1)

    @contextlib.contextmanager
    def _again(self) -> Iterator[None]:
        """While a step is run again for its gradient, statistics stay as they are."""
        for norm in self._norms:
            norm.frozen = True
        try:
            yield
        finally:
            for norm in self._norms:
                norm.frozen = False

    def readout(self, state: State) -> Tensor:
        return self.head(self.loop.lower(state.hidden)[:, : self.width])


def hgru(
    spec: Signature,
    *,
    width: int = 25,
    kernel: int = 15,
    iterations: int = 8,
    activation: str = "tanh",
    pool: int = 1,
    checkpoint: bool = False,
    padded: bool | None = None,
) -> HorizontalNet:
    """hGRU: a horizontal gated recurrent unit (over the first layer's responses).

    width: channels. kernel: of the horizontal connections, odd. iterations: time steps in training.
    activation: phi, one of tanh, softplus, relu. pool: max-pooling of the first layer's responses,
    over 1 only where the answer is not dense. checkpoint: keep only the state of each step while
    training and run the step again for its gradient, for an eighth of the memory. padded: add zero
    channels up to a multiple of 32; by default where that is faster. ValueError for values that
    make no sense.

    143,509 parameters on one input channel with one logit: first layer 1,250 (25 x 49 weights and
    25 offsets), gates 2 x (625 weights + 25 offsets), kernel 140,625 (25 x 25 x 225; the symmetric
    one that is used is the mean of it and its transpose), 5 x 25 Greek letters, 4 x 25 scales of
    the step norms, readout 50 + 52 + 4 + 3.
    """
    return HorizontalNet(
        spec,
        Loop,
        width=width,
        kernel=kernel,
        iterations=iterations,
        activation=activation,
        pool=pool,
        checkpoint=checkpoint,
        padded=padded,
    )


def hcnn(
    spec: Signature,
    *,
    width: int = 25,
    kernel: int = 15,
    iterations: int = 8,
    activation: str = "relu",
    pool: int = 1,
    checkpoint: bool = False,
    padded: bool | None = None,
) -> HorizontalNet:
    """hCNN: gated recurrence, horizontal connections only (rectified states; `td_hcnn` without its
    upper map).

    143,509 parameters where `hgru` has. Options as `hgru`.
    """
    return HorizontalNet(
        spec,
        Loop,
        width=width,
        kernel=kernel,
        iterations=iterations,
        activation=activation,
        pool=pool,
        checkpoint=checkpoint,
        padded=padded,
    )


def td_hcnn(
    spec: Signature,
    *,
    width: int = 25,
    kernel: int = 15,
    iterations: int = 8,
    activation: str = "tanh",
    pool: int = 1,
    checkpoint: bool = False,
    padded: bool | None = None,
) -> HorizontalNet:
    """td+hCNN: hCNN with top-down connections beside the horizontal. Options as `hgru`.

    721,559 parameters on one input channel with one logit: `hgru`'s 143,509; convolutions 7 wide
    between 25 and 50 channels 2 x (61,250 + 122,500) with norms 2 x (50 + 50 + 50 + 25); the upper
    unit, 50 channels and 9 wide, 202,500 + 5,000 + 100 + 250 + 200; the top-down unit 625 + 1,250 +
    50 + 125 + 100.
    """
    return HorizontalNet(
        spec,
        TopDownLoop,
        width=width,
        kernel=kernel,
        iterations=iterations,
        activation=activation,
        pool=pool,
        checkpoint=checkpoint,
        padded=padded,
    )


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
                train["steps"] = 1500
    return {"options": options, "train": train}
