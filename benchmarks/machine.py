"""What a processor is and how fast it could be: its instruction set, and both rooflines.

A roofline (Williams et al. 2009) is what no program exceeds: operations a second where it computes,
bytes a second where it waits for memory.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from comparisons.hardware import device_name, fast_bf16, package_versions, wait_for

LIMIT = "ONEDNN_MAX_CPU_ISA"
#: Kinds of x86 processors, each with what the one before has.
KINDS = ("SSE4", "AVX", "AVX2", "AVX512", "AVX512-BF16", "AMX")
_LIMITS = {  # beginnings of oneDNN's names, the longest first
    "AVX512_CORE_AMX": "AMX",
    "AVX512_CORE_BF16": "AVX512-BF16",
    "AVX512_CORE_FP16": "AVX512-BF16",
    "AVX512_CORE": "AVX512",
    "AVX2": "AVX2",
    "AVX": "AVX",
    "SSE41": "SSE4",
}
TRIAD = 2**26  # float32 numbers in each of the three arrays: 256 MiB, beyond any cache


@dataclass(frozen=True)
class Roof:
    """fast, plain: FLOP/s of a matrix product, in the precision of the fast contestants and in
    float32. bandwidth: bytes a second of STREAM's triad, nan where it was not measured."""

    fast: float
    plain: float
    bandwidth: float = math.nan

    @property
    def ridge(self) -> float:
        """FLOPs for each byte from memory below which float32 code waits for memory."""
        return self.plain / self.bandwidth


def processor_kind(device: torch.device) -> str:
    """One of KINDS, the architecture of other CPUs, or `CUDA 9.0` for a GPU's capability."""
    if device.type == "cuda":
        return "CUDA {}.{}".format(*torch.cuda.get_device_capability(device))
    has = {
        "AMX": torch.cpu._is_amx_tile_supported,
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported,
        "AVX512": torch.cpu._is_avx512_supported,
        "AVX2": torch.cpu._is_avx2_supported,
    }
    return next((kind for kind, supported in has.items() if supported()), platform.machine())


def forced_limit() -> str:
    """The kind that the environment holds oneDNN's convolutions and products to; empty for none."""
    named = os.environ.get(LIMIT, "").upper()
    return next((kind for name, kind in _LIMITS.items() if named.startswith(name)), "")


def usable_kind(device: torch.device) -> str:
    """The kind that convolutions run as: the processor's, or the forced limit where that is
    less."""
    kind, limit = processor_kind(device), forced_limit()
    limited = kind in KINDS and limit and KINDS.index(limit) < KINDS.index(kind)
    return limit if limited else kind


def instruction_set(device: torch.device) -> str:
    """`AVX512-BF16`, or `AVX2 (AVX512-BF16 held to it by ONEDNN_MAX_CPU_ISA=AVX2)`."""
    kind, used = processor_kind(device), usable_kind(device)
    return kind if used == kind else f"{used} ({kind} held to it by {LIMIT}={os.environ[LIMIT]})"


def fast_precision(device: torch.device) -> str:
    """ "bf16" where the hardware has it and is allowed to use it, else "fp32"."""
    allowed = usable_kind(device) == processor_kind(device) or usable_kind(device) in KINDS[4:]
    return "bf16" if fast_bf16(device) and allowed else "fp32"


def seconds_of(
    contestants: Mapping[str, Callable[[], object]], repeats: int, least: float = 0.0
) -> dict[str, list[float]]:
    """Times of each, sorted; called in turn after one round that does not count, `repeats` times
    and, where calls are short, until `least` seconds went into them."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    turn, spent = 0, 0.0
    while turn <= repeats or spent < least:
        for name, call in contestants.items():
            began = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - began)
                spent += times[name][-1]
        turn += 1
    return {name: sorted(values) for name, values in times.items()}


def roofline(device: torch.device, dtype: torch.dtype) -> Roof:
    """A matrix product of 2,048 x 2,048 (8,192 on a GPU) in that precision and in float32, in turn;
    and the triad a = b + s c (McCalpin 1995), the best of ten.

    Under a forced limit the products are convolutions 1 wide: the limit is oneDNN's, and products
    of matrices are another library's, which does not know of it.
    """
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    if forced_limit():
        a, b = (
            a.t()[None, :, :, None].contiguous(memory_format=torch.channels_last),
            b[..., None, None],
        )
    product = functional.conv2d if forced_limit() else torch.matmul
    c, d = a.to(dtype), b.to(dtype)
    with torch.inference_mode():
        times = seconds_of({"fast": lambda: product(c, d), "plain": lambda: product(a, b)}, 9)
    fast, plain = (2 * side**3 / statistics.median(times[name]) for name in ("fast", "plain"))
    return Roof(fast, plain, triad(device))


def triad(device: torch.device, numbers: int = TRIAD) -> float:
    """Bytes a second, two read and one written as STREAM counts them."""
    a, b, c = (torch.ones(numbers, device=device) for _ in range(3))

    def call() -> None:
        torch.add(b, c, alpha=3.0, out=a)
        wait_for(device)

    return 3 * 4 * numbers / seconds_of({"triad": call}, 10)["triad"][0]


def said(device: torch.device, roof: Roof, precision: str) -> str:
    """The machine in two lines."""
    return (
        f"{device_name(device)}, {instruction_set(device)}, {torch.get_num_threads()} threads,"
        f" torch {torch.__version__}\n"
        f"roofline: {roof.fast / 1e9:,.0f} GFLOP/s in {precision}, {roof.plain / 1e9:,.0f} in fp32;"
        f" memory {roof.bandwidth / 1e9:,.1f} GB/s, the limit below {roof.ridge:,.0f} FLOPs a byte"
    )


def facts(device: torch.device, roof: Roof, precision: str) -> dict[str, Any]:
    """The machine as results record it."""
    return {
        "device": device_name(device),
        "instruction_set": instruction_set(device),
        "kind": usable_kind(device),
        "threads": torch.get_num_threads(),
        "versions": package_versions(),
        "roofline_flops": roof.fast,
        "roofline_precision": precision,
        "roofline_flops_fp32": roof.plain,
        "roofline_bytes": roof.bandwidth,
    }
