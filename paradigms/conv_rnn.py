"""Gated convolutional recurrence: ConvGRU, ConvLSTM and LocRNN.

Veerabadran et al. 2023, "Adaptive recurrent vision performs zero-shot computation scaling to unseen
difficulty levels" (NeurIPS, arXiv 2311.06964): ConvGRU and LocRNN on mazes and pathfinder, made
adaptive in time by ACT (`paradigms.adaptive`). ConvGRU: Ballas et al. 2016 (arXiv 1511.06432);
ConvLSTM: Shi et al. 2015 (arXiv 1506.04214). X, the stem's map of the input, drives every step and
is the state before the first.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from paradigms.base import Paradigm, Signature, State, first_of
from paradigms.dt_net import narrowing_head
from paradigms.hgru.net import GlobalReadout, Stem, check_unit
from paradigms.layers import CONV, conv3, reach


class GRUCell(nn.Module):
    """z, r = sigmoid(W X + U * H);  H <- z . H + (1 - z) . tanh(W X + U * (r . H)).

    drive: W X for all gates, [n, gates width, *S]; a state is a tuple of `parts` maps [n, width,
    *S].
    """

    parts, gates = 1, 3

    def __init__(self, dims: int, width: int, kernel: int) -> None:
        super().__init__()
        conv = partial(CONV[dims], kernel_size=kernel, padding=kernel // 2, bias=False)
        self.gate = conv(width, 2 * width)
        self.new = conv(width, width)

    @property
    def radius(self) -> int | None:
        return reach(self.gate, self.new)

    def forward(self, drive: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (hidden,) = state
        gates, new = drive.split((2 * hidden.shape[1], hidden.shape[1]), 1)
        keep, reset = (self.gate(hidden) + gates).sigmoid_().chunk(2, 1)
        new = (self.new(reset * hidden) + new).tanh_()
        return (torch.lerp(new, hidden.to(new.dtype), keep),)


class LSTMCell(nn.Module):
    """i, f, o = sigmoid(W X + U * H);  C <- f . C + i . tanh(W X + U * H);  H <- o . tanh(C)."""

    parts, gates = 2, 4

    def __init__(self, dims: int, width: int, kernel: int) -> None:
        super().__init__()
        self.gate = CONV[dims](width, 4 * width, kernel, padding=kernel // 2)

    @property
    def radius(self) -> int | None:
        return reach(self.gate)

    def forward(self, drive: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, cell = state
        found = self.gate(hidden) + drive
        take, forget, give, new = found.chunk(4, 1)
        # 1 is added so that cells remember at first (Jozefowicz et al. 2015)
        cell = (forget + 1).sigmoid() * cell + take.sigmoid() * new.tanh()
        return give.sigmoid() * cell.tanh(), cell


class LocCell(nn.Module):
    """Excitatory units L and inhibitory interneurons S, gated apart, with lateral connections:

        G = sigmoid(W X + U H)    H <- relu(norm(G . relu(W X + V * [L, S]) + (1 - G) . H))

    for H = L and H = S, each with weights of its own: U is 1 wide, V `kernel` wide for L and two
    sites less for S. norm: over all channels and sites of a map (GroupNorm of one group). L alone
    is read out.
    """

    parts, gates = 2, 4
    radius = None  # the norm sees all sites

    def __init__(self, dims: int, width: int, kernel: int) -> None:
        super().__init__()
        kernels = (kernel, max(kernel - 2, 1))
        self.gate = nn.ModuleList(CONV[dims](width, width, 1, bias=False) for _ in kernels)
        self.lateral = nn.ModuleList(
            CONV[dims](2 * width, width, k, padding=k // 2, bias=False) for k in kernels
        )
        self.norm = nn.ModuleList(nn.GroupNorm(1, width) for _ in kernels)

    def forward(self, drive: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        both = torch.cat(state, 1)
        drives = drive.chunk(4, 1)
        after = []
        for i, hidden in enumerate(state):
            gate = (self.gate[i](hidden) + drives[i]).sigmoid_()
            new = (self.lateral[i](both) + drives[2 + i]).relu_()
            mixed = torch.lerp(hidden.to(new.dtype), new, gate)
            after.append(self.norm[i](mixed).relu_().to(new.dtype))
        return tuple(after)


class ConvRNN(Paradigm):
    """A stem, a gated cell repeated, and a readout of its first map.

    For dense answers stem and head are those of a DT-net, else those of hGRU: squared Gabor
    responses, max-pooled by `pool`, and a maximum over sites, so that networks differ in the cell
    alone. width: channels, by default 64. kernel: of the recurrent convolutions, odd. ValueError
    for values that make no sense.
    """

    progressive = True
    recurrent_parts = ("drive", "cell")

    def __init__(
        self,
        spec: Signature,
        cell: type[GRUCell] | type[LSTMCell] | type[LocCell],
        *,
        width: int = 64,
        kernel: int = 3,
        iterations: int = 16,
        pool: int = 1,
    ) -> None:
        super().__init__()
        dims = spec.spatial_dims
        check_unit(spec, width=width, iterations=iterations, kernel=kernel, pool=pool)
        self.train_iterations = iterations
        if spec.dense:
            self.stem: nn.Module = nn.Sequential(
                conv3(dims, spec.in_channels, width), nn.ReLU(inplace=True)
            )
            self.head: nn.Module = narrowing_head(dims, width, spec.outputs, dense=True)
        else:
            self.stem = Stem(dims, spec.in_channels, width, pool)
            self.head = GlobalReadout(dims, width, spec.outputs)
        self.drive = CONV[dims](width, cell.gates * width, 1)
        self.cell = cell(dims, width, kernel)

    @property
    def step_radius(self) -> int | None:
        return self.cell.radius

    @property
    def readout_radius(self) -> int | None:
        return reach(self.head)

    def encode(self, x: Tensor) -> State:
        return self._first(self.stem(x))

    def context(self, x: Tensor) -> Tensor:
        return self.drive(self.stem(x))

    def begin(self, x: Tensor) -> tuple[State, Any]:
        seen = self.stem(x)
        return self._first(seen), self.drive(seen)

    def _first(self, seen: Tensor) -> State:
        return State(self._hidden((seen,) * self.cell.parts))

    def advance(self, state: State, context: Any) -> State:
        parts = state.hidden if isinstance(state.hidden, tuple) else (state.hidden,)
        return State(self._hidden(self.cell(context, parts)), state.iteration + 1)

    def readout(self, state: State) -> Tensor:
        return self.head(first_of(state.hidden))

    @staticmethod
    def _hidden(maps: tuple[Tensor, ...]) -> Any:
        return maps if len(maps) > 1 else maps[0]


conv_gru = partial(ConvRNN, cell=GRUCell)
"""ConvGRU: a gated unit at every site, over its neighbourhood, driven by the input at every
step."""

conv_lstm = partial(ConvRNN, cell=LSTMCell)
"""ConvLSTM: the same with a cell beside the state that is passed on."""

locrnn = partial(ConvRNN, cell=LocCell, kernel=5)
"""LocRNN: excitatory units and inhibitory interneurons with lateral connections, gated apart."""


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that size uses: `options` of the network and fields of the `train` recipe."""
    side = max(spec.size or (0,))
    pool = {} if spec.dense or side <= 16 else {"pool": 4 if side > 32 else 2}
    if preset == "paper":
        return {"options": pool}
    found: dict[str, Any] = {"options": {"width": 32, **pool}}
    if preset == "quick" and spec.dense and spec.spatial_dims == 1 and name != "locrnn":
        found["train"] = {"steps": 2000, "learning_rate": 3e-3}
        # Of three narrower GRUs one learned sums.
        found["options"]["width"] = 64 if name == "conv_gru" else 32
    return found
