"""Training with compiled networks (`train.compile`): the parts of a network, not the loop over its
iterations.

Draws of the progressive loss differ in how often parts run, so that nothing is compiled anew for
them; and blocks of one kind, as a feed-forward twin has many of, share what was compiled for the
first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn

from foundations.errors import one_line

BACKEND = "inductor"
#: Variants of one piece of code before it is run as it stands: networks have one for every kind of
#: block, with and without gradients, and those with statistics for each time step one for each of
#: these.
VARIANTS = 256

Parts = Mapping[nn.Module, Callable[..., object]]


def compiled_parts(model: nn.Module) -> Parts:
    """What stands in for the `forward` of each part of a network: of its children, and of each
    member of those that are lists. Nothing of the network changes."""
    torch._dynamo.config.recompile_limit = VARIANTS
    torch._dynamo.config.accumulated_recompile_limit = 4 * VARIANTS
    parts: dict[nn.Module, Callable[..., object]] = {}
    for child in model.children():
        for part in child if isinstance(child, nn.ModuleList) else (child,):
            parts[part] = torch.compile(part.forward, backend=BACKEND)
    return parts


@contextmanager
def in_place(parts: Parts) -> Iterator[None]:
    """Context in which the parts run compiled. Outside it the network is as it was: what tests or
    stores it never meets compiled code."""
    for part, forward in parts.items():
        part.forward = forward
    try:
        yield
    finally:
        for part in parts:
            del part.forward


@cache
def check_compiler(device: torch.device) -> None:
    """ValueError, one line, where nothing can be compiled for a device: no C++ compiler, no Triton,
    or told not to."""

    # A number that no cache of earlier compilations has met.
    fresh = 1 + random.SystemRandom().random()

    def probe(x: torch.Tensor) -> torch.Tensor:
        return x + fresh if torch.compiler.is_compiling() else x

    try:
        zero = torch.zeros(2, device=device)
        compiled = bool(torch.compile(probe, backend=BACKEND)(zero).all())
        why = "torch.compile is switched off (TORCHDYNAMO_DISABLE, TORCH_COMPILE_DISABLE)"
    except (RuntimeError, ImportError, OSError) as error:
        compiled, why = False, one_line(str(error).strip().partition("\n")[0][:200])
    if not compiled:
        raise ValueError(
            f"train.compile=true needs what torch.compile compiles with on {device.type} (a C++"
            f" compiler on a CPU, Triton on a GPU); train.compile=false does without: {why}"
        )
