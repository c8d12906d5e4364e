"""The network around a loop: Gabor filters before it and a readout after it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from foundations.errors import unknown_name
from paradigms.base import Paradigm, Signature, State
from paradigms.hgru.loops import KERNEL, Loop, shrink
from paradigms.hgru.unit import ACTIVATIONS, StepNorm, in_blocks
from paradigms.layers import BATCH_NORM, CONV, channels_last, has_matrix_unit


def gabor_filters(count: int, dims: int, size: int = KERNEL) -> Tensor:
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


class Stem(nn.Module):
    """Gabor filters, squared, then max-pooled by `pool`. [n, in_channels, *S] to [n, width, *S /
    pool]."""

    def __init__(self, dims: int, in_channels: int, width: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.conv = CONV[dims](in_channels, width, KERNEL, padding=KERNEL // 2)
        filters = gabor_filters(width, dims).unsqueeze(1) / in_channels
        with torch.no_grad():
            self.conv.weight.copy_(filters.expand_as(self.conv.weight))
        nn.init.zeros_(self.conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).square()
        return x if self.pool == 1 else shrink(x, self.pool)


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


def check_unit(spec: Signature, *, width: int, iterations: int, kernel: int, pool: int) -> None:
    """ValueError for sizes of a repeated unit and its stem that make no sense."""
    if width < 1 or iterations < 1:
        raise ValueError(f"width and iterations must be at least 1, not {width} and {iterations}")
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, so that it has a middle, not {kernel}")
    if pool < 1 or (pool > 1 and spec.dense):
        raise ValueError(f"pool must be 1 for a dense task and at least 1 else, not {pool}")


class HorizontalNet(Paradigm):
    """Gabor stem, a loop run for any number of steps, and a readout of its lower state.

    width: channels. kernel: of the horizontal connections, odd. iterations: time steps in training.
    activation: phi, one of tanh, softplus, relu. pool: max-pooling of the first layer's responses,
    over 1 only where the answer is not dense. checkpoint: keep only the state of each step while
    training and run the step again for its gradient, for an eighth of the memory. padded: add zero
    channels up to a multiple of 32; by default where that is faster. ValueError for values that
    make no sense.

    State: H2 of the loop, zero at first; with `padded` channels, those past the width are zero.
    """

    recurrent_parts = ("loop",)

    def __init__(
        self,
        spec: Signature,
        loop: type[Loop],
        *,
        width: int = 25,
        kernel: int = 15,
        iterations: int = 8,
        activation: str = "tanh",
        pool: int = 1,
        checkpoint: bool = False,
        padded: bool | None = None,
    ) -> None:
        super().__init__()
        dims = spec.spatial_dims
        check_unit(spec, width=width, iterations=iterations, kernel=kernel, pool=pool)
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
        return in_blocks if padded else (lambda width: width)

    def encode(self, x: Tensor) -> State:
        room = self._room(x)
        sites = [-(-s // self.stem.pool) for s in x.shape[2:]]
        zeros = x.new_zeros(len(x), room(self.width), *sites, dtype=self._precision(x))
        return State(self.loop.start(zeros, room)).map(channels_last)

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
