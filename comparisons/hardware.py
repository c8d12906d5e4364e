"""What the machine can do fast, and how to ask for it."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version

import torch

PRECISIONS = ("auto", "bf16", "fp32")


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is a hardware type there: AMX or AVX512-BF16 on a CPU, Ampere or later on a GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return False


def resolve_precision(asked: str, device: torch.device) -> str:
    """ "bf16" or "fp32": "auto" takes bf16 where the hardware has it."""
    if asked == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return asked


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Context in which convolutions and products run in that precision."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def device_name(device: torch.device) -> str:
    """What to call it in a record."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    for line in _cpu_info():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_info() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return file.read().splitlines()
    except OSError:
        return []


def package_versions() -> dict[str, str]:
    """Versions that can change a number."""
    names = ("torch", "timm", "numba", "numpy", "accelerate", "datasets", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
