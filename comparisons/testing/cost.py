"""Floating-point operations, counted by running the network once under torch's counter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from paradigms.base import Paradigm
from paradigms.fourier import direct
from paradigms.layers import channels_last, weights_once


@dataclass(frozen=True)
class Cost:
    """FLOPs of one problem (a multiply-add counts as two): encoding and context once, then each
    step and each readout."""

    fixed: float
    step: float
    readout: float

    def inference(self, iterations: float) -> float:
        """FLOPs to answer once after so many iterations."""
        return self.fixed + iterations * self.step + self.readout

    def training(self, skipped: float, kept: float, readouts: float = 1) -> float:
        """FLOPs of a training pass: a backward pass costs two forward ones; skipped steps have
        none."""
        answers = readouts * self.readout
        return 3 * self.fixed + skipped * self.step + 3 * (kept * self.step + answers)


@contextmanager
def _as_defined() -> Iterator[None]:
    """Context in which attention and recurrent layers run as products, which the counter knows, and
    not as one fused operation, which on some devices it does not."""
    fused = torch.backends.mkldnn.enabled
    # `mkldnn.flags` would set more than that, and warn.
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        with direct(), sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(False):
            yield
    finally:
        torch.backends.mkldnn.enabled = fused


@torch.no_grad()
def count_cost(model: Paradigm, inputs: Tensor) -> Cost:
    """Cost for one problem, inputs [1, C, *S] on the model's device. The step counted is the first.

    Every convolution is counted as it is defined, also where it is computed in fewer operations.
    Operations on one element at a time (activations, a linear recurrence's scan) do not count.
    """
    was_training = model.training
    model.eval()
    x = channels_last(inputs)

    def counted(call):
        with _as_defined(), FlopCounterMode(display=False) as counter:
            result = call()
        return float(counter.get_total_flops()), result

    with weights_once(model):
        begin, (state, context) = counted(lambda: model.begin(x))
        step, state = counted(lambda: model.advance(state, context))
        readout, _ = counted(lambda: model.readout(state))
    model.train(was_training)
    return Cost(begin, step, readout)
