"""What the machine can do fast, and how to ask for it."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version

import torch
from accelerate.utils import parse_flag_from_env

from foundations.records.spec import PRECISIONS


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is a hardware type there: AMX or AVX512-BF16 on a CPU, Ampere or later on a
    GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return False


def has_tf32(device: torch.device) -> bool:
    """Whether matrix products there can run in TF32: an NVIDIA GPU, Ampere or later, whose
    libraries were not told otherwise."""
    if device.type != "cuda" or torch.version.hip or not torch.cuda.is_available():
        return False
    allowed = os.environ.get("NVIDIA_TF32_OVERRIDE", "").strip() != "0"
    return allowed and torch.cuda.get_device_capability(device)[0] >= 8


def expected_device() -> torch.device:
    """Where runs will be trained, before accelerate has taken a device."""
    if named := os.environ.get("ACCELERATE_TORCH_DEVICE"):
        return torch.device(named)
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return torch.device("cpu")
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def check_precision(precision: str, device: torch.device) -> None:
    """ValueError where a device can't compute in that precision."""
    if precision == "tf32" and not has_tf32(device):
        raise ValueError(
            f"precision tf32 needs an NVIDIA GPU from Ampere on, and {device_name(device)} has"
            f" none; allowed here: {', '.join(name for name in PRECISIONS if name != 'tf32')}"
        )


def resolve_precision(precision: str, device: torch.device) -> str:
    """ "bf16", "fp32" (IEEE) or "tf32": "auto" takes bf16 where the hardware has it, else fp32.
    ValueError as of `check_precision`."""
    check_precision(precision, device)
    if precision == "auto":
        return "bf16" if fast_bf16(device) else "fp32"
    return precision


def tf32_flags() -> tuple[bool, bool]:
    """Whether (matrix products, convolutions) of float32 run in TF32 on a GPU."""
    # Asked in the newer of torch's two ways, which never raises; told in the older, which keeps
    # both consistent.
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    if not hasattr(cudnn, "conv"):  # before torch 2.9, which has the older way alone
        return cuda.matmul.allow_tf32, cudnn.allow_tf32
    convolutions = cudnn.conv  # type: ignore[attr-defined]  # torch's stubs leave it out
    return cuda.matmul.fp32_precision == "tf32", convolutions.fp32_precision == "tf32"


def set_tf32(products: bool, convolutions: bool | None = None) -> None:
    """Let float32 matrix products and convolutions (by default: as products) run in TF32 on a GPU,
    or in IEEE float32."""
    wanted = (products, products if convolutions is None else convolutions)
    if tf32_flags() == wanted:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the older way
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = wanted


@contextmanager
def float32_as(precision: str) -> Iterator[None]:
    """Context in which what computes in float32 does so in TF32 for "tf32" and in IEEE float32 for
    all others. For backward passes, which follow their forward passes in all else."""
    before = tf32_flags()
    set_tf32(precision == "tf32")
    try:
        yield
    finally:
        set_tf32(*before)


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Context in which convolutions and linear layers run in that precision: the one place that
    applies one."""
    bf16 = precision == "bf16"
    reduced = torch.autocast(device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    with float32_as(precision), reduced:
        yield


#: In the environment: a GPU is used in the plain way (for a comparison, or where one is at fault).
PLAIN_GPU = "COMPARISONS_PLAIN_GPU"


def quick_gpu(device: torch.device) -> bool:
    """Whether what makes training quick on NVIDIA GPUs is used: CUDA graphs, fused optimisers,
    batches in pinned memory, convolutions chosen by trying them."""
    return device.type == "cuda" and not torch.version.hip and not os.environ.get(PLAIN_GPU)


def tune(device: torch.device, share: int = 1) -> None:
    """Set up this process for a device. share: processes that use it, each of which then keeps to
    its part of the memory of a GPU."""
    # The shapes of a training and of a test are few, and each comes thousands of times.
    torch.backends.cudnn.benchmark = quick_gpu(device)
    if device.type == "cuda" and share > 1:
        torch.cuda.set_per_process_memory_fraction(0.95 / share, device.index)


def sums_device(device: torch.device) -> torch.device:
    """Where float64 sums are kept: on the device, or on the CPU for MPS, which has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
