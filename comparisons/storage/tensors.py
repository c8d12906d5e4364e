"""Tensors in files that are whole or absent, with a checksum; checkpoints among them."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from foundations.files import part_of


class Damaged(ValueError):
    """A file that is not what was once written; the message names it and what is wrong."""


def save_tensors(
    path: Path,
    tensors: dict[str, Tensor],
    metadata: dict[str, str] | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Write a safetensors file whole or not at all, with a checksum of its tensors. check: as of
    `write_atomically`."""
    part = part_of(path)
    on_cpu = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    try:
        save_file(on_cpu, part, {**(metadata or {}), "crc32": _checksum(on_cpu)})
        if check:
            check()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file, on the CPU. Damaged where it is not as it was
    written."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise Damaged(f"{path} can't be read ({error})") from error
    if metadata.pop("crc32", None) not in (None, _checksum(tensors)):
        raise Damaged(f"{path} is not as it was written (its checksum differs)")
    return tensors, metadata


def _checksum(tensors: dict[str, Tensor]) -> str:
    """CRC-32 of all bytes, by name."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def save_checkpoint(
    path: Path,
    parts: dict[str, dict[str, Tensor]],
    progress: dict[str, Any],
    check: Callable[[], None] | None = None,
) -> None:
    """One file holds it all, so that a checkpoint is whole or absent. parts: named groups of
    tensors. check: as of `write_atomically`."""
    flat = {
        f"{part}/{key}": value for part, tensors in parts.items() for key, value in tensors.items()
    }
    save_tensors(path, flat, {"progress": json.dumps(progress)}, check)


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """What `save_checkpoint` wrote; None where there is none. Damaged where it is not as it was
    written."""
    try:
        flat, metadata = load_tensors(path)
    except FileNotFoundError:
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = tensor
    try:
        return parts, json.loads(metadata["progress"])
    except (KeyError, ValueError) as error:
        raise Damaged(f"{path} does not say how far it is") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors; its settings come from the spec."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, entry in state.items()
        for key, value in entry.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**whole, "state": state})
