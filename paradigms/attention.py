"""How attention is computed in blocks that are not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FUSED = F.scaled_dot_product_attention


class _InFloat32(TorchFunctionMode):
    """Casts what fused attention on a CPU is given, and its answer back."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function is not _FUSED:
            return function(*args, **kwargs)
        kind = args[2].dtype
        q, k, v = (part.float() for part in args[:3])
        with torch.autocast("cpu", enabled=False):
            return function(q, k, v, *args[3:], **kwargs).to(kind)


def attention_for(x: Tensor) -> AbstractContextManager[Any]:
    """Context for blocks that attend, on the device of x: under autocast on a CPU, fused attention
    is computed in float32.

    In bfloat16 PyTorch's takes, forwards and backwards, 1.7 (576 sites) to 13 times (17 sites) as
    long there (torch 2.14, AVX512-BF16 without AMX; docs/speed.md)."""
    cast = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return _InFloat32() if cast else nullcontext()


def attends(network: nn.Module) -> bool:
    """Whether a network of timm has fused attention."""
    return any(getattr(module, "fused_attn", False) for module in network.modules())
