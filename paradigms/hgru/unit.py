"""The horizontal unit: one step of the recurrence, given its drive.

With drive X, state H2 and a wide kernel W:

    G1 = sigmoid(BN(U1 * H2) + b1)    C1 = BN(W * (G1 . H2))    H1 = phi(X - (alpha . H2 + mu) . C1)
    G2 = sigmoid(BN(U2 * H1) + b2)    C2 = BN(W * H1)           E = gamma . C2
    H2 <- G2 . H2 + (1 - G2) . phi(kappa . (H1 + E) + omega . (H1 . E))

with * a convolution, . a product per element or channel. Each BN keeps statistics for each time
step and has one scale, the same at all of them; offsets are the gates' b1, b2 and mu.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from paradigms.fourier import Spectrum, pays

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "relu": torch.relu,
}
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh_, "relu": torch.relu_}
#: Matrix units read channels in blocks of this many; zero channels are added up to a multiple of
#: it.
BLOCK = 32


def in_blocks(width: int) -> int:
    """The smallest multiple of `BLOCK` from `width` on."""
    return -(-width // BLOCK) * BLOCK


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

    running_mean: Tensor
    running_var: Tensor
    eps = 1e-5
    momentum = 0.1

    def __init__(self, width: int, steps: int, scale: float = 0.1, centre: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), scale))
        self.bias = nn.Parameter(torch.zeros(width)) if centre else None
        room = in_blocks(width)
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
        weight = pad(self.weight, channels)
        bias = None if self.bias is None else pad(self.bias, channels)
        momentum = 0.0 if self.frozen else self.momentum
        return F.batch_norm(x, mean, var, weight, bias, self.training, momentum, self.eps)

    def affine(self, step: int, channels: int) -> tuple[Tensor, Tensor]:
        """(scale, mean), float32 [channels]: outside training this is x -> scale * (x - mean)."""
        mean, var = self._statistics(step, channels)
        return pad(self.weight, channels) * torch.rsqrt(var + self.eps), mean


def pad(t: Tensor, channels: int, dims: int = 1) -> Tensor:
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


def _over(target: Tensor) -> dict[str, Any]:
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
            return pad(getattr(self, name), channels, dims).to(dtype)

        found: dict[str, Any] = {f: ready(f, 2) for f in ("gate1", "gate2")}
        kernel = self.kernel
        if pays(kernel.shape[-1], self.dims, kernel.device):
            found["kernel"] = Spectrum.of(pad(kernel, channels, 2), sites)
        else:
            found["kernel"] = pad(kernel, channels, 2).to(dtype)
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
            opened = self._convolve(x, folded, (pad(bias, channels) - scale * mean).to(dtype))
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
