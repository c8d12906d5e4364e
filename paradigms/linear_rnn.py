"""A linear recurrence over position, each channel by itself: h_t = a_t h_{t-1} + (1 - |a_t|) v_t.

The eigenvalues a_t depend on the input at t, as in gated linear recurrences (Martin & Cundy 2018,
arXiv 1709.04057; Mamba, Gu & Dao 2023, arXiv 2312.00752), and no tanh stands between two states, so
that all of them come from one parallel scan. With a_t from 0 to 1 no such network, however deep,
follows the parity of strings of any length; with -1 among the eigenvalues one layer can (Grazzi et
al. 2024, arXiv 2411.12537). Eigenvalues that do not depend on the input (LRU, Orvieto et al. 2023,
arXiv 2303.06349) would not do, complex or not: their state is a weighted sum of the input.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foundations.errors import unknown_name
from paradigms.base import Signature
from paradigms.position_rnn import small, swept_net
from paradigms.resnet import OnePass

EIGENVALUES = ("signed", "positive", "complex")


def scan(a: Tensor, b: Tensor) -> Tensor:
    """All h_t = a_t h_{t-1} + b_t from h_0 = 0, along the last but one axis; [m, L, C], real or
    complex.

    Doubling (Hillis & Steele 1986): log2(L) steps over all positions at once.
    """
    step, length = 1, a.shape[-2]
    while step < length:
        b = b + a * F.pad(b[..., :-step, :], (0, 0, step, 0))
        # Before the first position stands nothing, whose b is 0: any a will do there.
        a = a * F.pad(a[..., :-step, :], (0, 0, step, 0))
        step *= 2
    return b


class Diagonal(nn.Module):
    """The recurrence over lines [m, L, width], from a learned first state; gated output. Computed
    in float32.

    eigenvalues: "signed", from -1 to 1; "positive", from 0 to 1; "complex", with a length from 0 to
    1 and any angle. The bounds are reached, not only approached: a state is then kept, or turned
    over, without loss over any length.
    """

    def __init__(self, eigenvalues: str, width: int, two_way: bool) -> None:
        super().__init__()
        self.eigenvalues = eigenvalues
        self.parts = 2 if eigenvalues == "complex" else 1  # real numbers of a state
        self.ways = 2 if two_way else 1
        self.features = self.parts * self.ways * width
        self.gates = nn.Linear(width, 2 * self.features)  # eigenvalues and v
        self.out_gate = nn.Linear(width, self.features)
        self.first = nn.Parameter(torch.empty(self.parts, self.ways * width))
        nn.init.normal_(self.first)
        with torch.no_grad():  # most of a state is kept at first
            self.gates.bias[: self.ways * width].uniform_(0.5, 1.0)

    def forward(self, lines: Tensor) -> Tensor:
        with torch.autocast(lines.device.type, enabled=False):
            lines = lines.to(self.first.dtype)
            a, v, first = self._terms(lines)
            terms = (part.chunk(self.ways, -1) for part in (a, (1 - a.abs()) * v, first))
            states = [
                _states(*of_way, from_end=way == 1)
                for way, of_way in enumerate(zip(*terms, strict=True))
            ]
            real = [torch.view_as_real(s).flatten(-2) if s.is_complex() else s for s in states]
            return torch.cat(real, -1) * F.silu(self.out_gate(lines))

    def _terms(self, lines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a, v [m, L, C] and the first state [C]."""
        gates, v = self.gates(lines).chunk(2, -1)
        if self.eigenvalues != "complex":
            return gates.clamp(-1.0 if self.eigenvalues == "signed" else 0.0, 1.0), v, self.first[0]
        (size, angle), v = gates.chunk(2, -1), torch.complex(*v.chunk(2, -1))
        return torch.polar(size.clamp(0, 1), angle), v, torch.complex(*self.first)


def _states(a: Tensor, b: Tensor, first: Tensor, *, from_end: bool) -> Tensor:
    """Those of one way, from the state `first` [C] before the first position."""
    if from_end:
        a, b = a.flip(-2), b.flip(-2)
    b = torch.cat([b[:, :1] + a[:, :1] * first, b[:, 1:]], 1)
    states = scan(a, b)
    return states.flip(-2) if from_end else states


def linear_rnn(
    spec: Signature,
    *,
    width: int = 64,
    layers: int = 1,
    causal: bool = False,
    stride: int = 1,
    eigenvalues: str = "signed",
) -> OnePass:
    """Linear recurrence over positions by a parallel scan: strings both ways (`causal=true`: one
    way), boards by rows and columns. eigenvalues: see `Diagonal`; the rest as of `swept_net`."""
    if eigenvalues not in EIGENVALUES:
        raise unknown_name("eigenvalues", eigenvalues, EIGENVALUES)
    make = partial(Diagonal, eigenvalues)
    options: dict[str, Any] = {"width": width, "layers": layers, "causal": causal, "stride": stride}
    return swept_net(spec, "linear_rnn", make, **options)


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses; one pass leaves nothing for the progressive loss (alpha)."""
    return {"options": small(preset, spec), "train": {"alpha": 0.0, "learning_rate": 3e-3}}
