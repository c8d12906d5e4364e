"""Convolutions with wide kernels, computed by Fourier transforms.

A 15-wide kernel takes 225 products a pixel and pair of channels; by the convolution theorem it
takes fewer than three, and transforms. Processors without matrix units gain (`pays`); the numbers
are those of the direct convolution in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from paradigms.layers import has_matrix_unit

#: Kernels from this width on are faster by transforms (`docs/speed_history.md`): measured at 25
#: channels, maps of 38 and 150 sites.
WIDE = 11


def pays(kernel: int, dims: int, device: torch.device) -> bool:
    """Whether transforms are faster there than the direct convolution: wide kernels in 2d, on a CPU
    without a matrix unit."""
    return dims == 2 and kernel >= WIDE and not has_matrix_unit(device) and not _direct.get()


_direct: ContextVar[bool] = ContextVar("direct", default=False)


@contextmanager
def direct() -> Iterator[None]:
    """Within it every convolution is computed as it is defined."""
    before = _direct.set(True)
    try:
        yield
    finally:
        _direct.reset(before)


class Spectrum(NamedTuple):
    """A kernel's transform: complex64, of a float64 kernel complex128, [rows * (columns // 2 + 1),
    C, C'].

    adjoint: its conjugate transpose, in a memory of its own, since products of transposed
    conjugates are slow; for gradients only.
    """

    values: Tensor
    adjoint: Tensor | None
    kernel: int

    @classmethod
    def of(cls, weight: Tensor, sites: Sequence[int]) -> Spectrum:
        """Of a kernel [C', C, k, k], k odd, for maps of the size `sites`. Differentiable."""
        outputs, inputs, kernel, _ = weight.shape
        rows, columns = _lengths(sites, kernel)
        weight = _precise(weight)
        dtype = weight.dtype.to_complex()
        down = _waves(rows, rows, kernel).to(weight.device, dtype)
        across = _waves(columns, columns // 2 + 1, kernel).to(weight.device, dtype)
        # Only k of the rows and columns are not zero, so that two small products replace a
        # transform of them all; and their result lies in memory as the products of `convolve` want
        # it.
        taps = rearrange(weight, "o i h w -> h w (i o)").to(dtype)
        values = (down @ (across @ taps).flatten(1)).view(-1, inputs, outputs)
        adjoint = values.detach().mH.resolve_conj() if values.requires_grad else None
        return cls(values, adjoint, kernel)

    def convolve(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """What F.conv2d gives with as much padding as keeps the size. [n, C, *sites] to [n, C',
        *sites], of x's type."""
        y = _Convolution.apply(x, self.values, self.adjoint, self.kernel)
        return y if bias is None else y.add_(bias.view(-1, 1, 1))


def _lengths(sites: Sequence[int], kernel: int) -> tuple[int, int]:
    """Of the transforms: half a kernel of room keeps what wraps around away from what is kept."""
    rows, columns = (_smooth(s + kernel // 2) for s in sites)
    return rows, columns


@lru_cache
def _smooth(least: int) -> int:
    """The smallest even number from `least` on without a prime factor over 5, which are transformed
    fastest."""
    for number in range(least + least % 2, 2 * least + 2, 2):
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
    raise AssertionError("there is a power of two between a number and its double")


@lru_cache
def _waves(length: int, count: int, kernel: int) -> Tensor:
    """exp(2 pi i f t / length), complex128 [count, kernel]: f from 0, t centred on the kernel's
    middle."""
    with torch.inference_mode(False):  # it is kept, and later passes may want gradients
        f = torch.arange(count, dtype=torch.float64).view(-1, 1)
        t = torch.arange(kernel, dtype=torch.float64) - kernel // 2
        angle = 2 * math.pi * f * t / length
        return torch.polar(torch.ones_like(angle), angle)


def _precise(x: Tensor) -> Tensor:
    """In float32, unless it is more precise."""
    return x if x.dtype == torch.float64 else x.float()


def _transform(x: Tensor, lengths: tuple[int, int]) -> Tensor:
    """[n, C, *S] to complex [frequencies, n, C]."""
    spectrum = torch.fft.rfft2(_precise(x.contiguous()), s=lengths)
    return spectrum.flatten(0, 1).flatten(1).t().contiguous().view(-1, *x.shape[:2])


def _back(spectrum: Tensor, lengths: tuple[int, int], like: Tensor) -> Tensor:
    """The inverse, cut to the sites of `like` and of its type; channels innermost in memory."""
    y = torch.fft.irfft2(spectrum.view(lengths[0], -1, *spectrum.shape[1:]), s=lengths, dim=(0, 1))
    y = rearrange(y[: like.shape[2], : like.shape[3]], "h w n c -> n c h w")
    # A copy also where nothing is cut, because what custom functions return must not be a view.
    return y.to(like.dtype, memory_format=torch.channels_last, copy=True)


class _Convolution(torch.autograd.Function):
    """Written out because the derivatives that Torch has for transforms of real maps go through
    complex ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, adjoint: Tensor | None, kernel: int) -> Tensor:
        ctx.lengths = _lengths(x.shape[2:], kernel)
        transformed = _transform(x, ctx.lengths)
        ctx.save_for_backward(x, values)
        ctx.transformed, ctx.adjoint = transformed, adjoint
        return _back(transformed @ values, ctx.lengths, x)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, values = ctx.saved_tensors
        transformed, adjoint = ctx.transformed, ctx.adjoint
        if torch.is_grad_enabled() or adjoint is None:
            # These derivatives are to be derived again, so that how they came about matters.
            transformed, adjoint = _transform(x, ctx.lengths), values.mH
        rows, columns = ctx.lengths
        above = _transform(upstream, ctx.lengths)
        for_x = for_values = None
        if ctx.needs_input_grad[0]:
            for_x = _back(above @ adjoint, ctx.lengths, upstream)
        if ctx.needs_input_grad[1]:
            # A frequency stands for itself and its conjugate, but for the first and the last
            # column.
            scale = 2 / (rows * columns)
            for_values = torch.baddbmm(
                values.new_empty(()), transformed.mH, above, beta=0, alpha=scale
            )
            for_values.view(rows, -1, *values.shape[1:])[:, :: columns // 2] /= 2
        return for_x, for_values, None, None
