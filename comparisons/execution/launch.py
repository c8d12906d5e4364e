"""What a launcher (accelerate, torchrun, mpirun) says: which process this one is, and nothing else.

How a network is trained is the spec's alone. What a launcher asks for besides is refused where it
changes what a process holds, and has no effect where it is only another way to train.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from functools import cache

#: By launcher, the variables of a process's number, of how many there are, and of both on this
#: machine: torchrun and accelerate, Open MPI, Hydra (MPICH, Intel MPI), MVAPICH.
_PLACES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    (
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_SIZE",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
)
#: All by which accelerate and torch recognise a group.
_GROUP = (*_PLACES[0], "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
_MPI = ("OMPI_COMM_WORLD_", "PMI_", "PMIX_", "MV2_COMM_WORLD_", "MPI_LOCAL")
_ADDRESS, _PORT = "127.0.0.1", 29500

_REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_TP": "tensor parallelism",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism config (tensor, context, sequence)",
}
#: Without effect: the values that ask for nothing, and the option that does it here.
_WITHOUT_EFFECT = {
    "ACCELERATE_MIXED_PRECISION": (("no",), "train.precision=bf16"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (("1",), "train.batch_size=..."),
    "ACCELERATE_DYNAMO_BACKEND": (("no",), "train.compile=true"),
}


class LaunchError(ValueError):
    """A group of processes that can't work together as it was launched. One line."""


@dataclass(frozen=True)
class Place:
    """Which process of how many, overall and on this machine; on_machine is None where the launcher
    does not say."""

    rank: int
    processes: int
    local_rank: int
    on_machine: int | None


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    try:
        value = int(text) if text else -1
    except ValueError:
        raise LaunchError(f"{name} must be a whole number, not {text!r}") from None
    return value if value >= 0 else None


@cache
def place() -> Place:
    """As the launcher said when it was first asked for: the variables may be gone later."""
    for names in _PLACES:
        rank, processes, local, on_machine = map(_number, names)
        if rank is not None and processes:
            return Place(rank, processes, local or 0, on_machine or None)
    return Place(0, 1, 0, 1)


def process_place() -> tuple[int, int]:
    """(number of this process, how many there are)."""
    return place().rank, place().processes


def local_place() -> tuple[int, int]:
    """The same on this machine."""
    return place().local_rank, place().on_machine or place().processes


def check_launch(distribute: str) -> None:
    """LaunchError where what was launched changes what a process holds, or where processes that are
    to train each run together ("data") could not find each other."""
    for name, what in _REFUSED.items():
        if os.environ.get(name, "").strip().lower() in ("1", "true", "t", "yes", "y", "on"):
            raise LaunchError(
                f"{name}={os.environ[name]}: {what} is not supported, since every process holds the"
                " whole network; launch without it (accelerate launch --num_processes N, torchrun"
                " or mpirun)"
            )
    here = place()
    together = distribute == "data" and here.processes > 1
    if together and here.on_machine != here.processes and not os.environ.get("MASTER_ADDR"):
        raise LaunchError(
            "--distribute data over several machines needs MASTER_ADDR, the address of the machine "
            "of process 0, and MASTER_PORT in the environment of every process"
        )


def without_effect() -> str:
    """One line on what the launcher asks for that has no effect, "" where it asks for nothing."""
    parts = []
    for name, (nothing, option) in _WITHOUT_EFFECT.items():
        value = os.environ.get(name, "").strip()
        if value and value.lower() not in nothing:
            parts.append(f"{name}={value} (here: --set {option})")
    return f"without effect, whatever the launcher says: {', '.join(parts)}" if parts else ""


def leave_group() -> None:
    """Forget the group: processes that share a list of runs train each run alone."""
    place()  # asked for before what it reads is taken away: a search comes before its study
    for name in list(os.environ):
        if name in _GROUP or name.startswith(_MPI):
            del os.environ[name]


def join_group() -> None:
    """Say to torch and accelerate, in the one form that both know on every device, what MPI
    said."""
    here = place()
    if here.processes == 1:
        return
    rank, processes, local, on_machine = _PLACES[0]
    said: dict[str, object] = {rank: here.rank, processes: here.processes, local: here.local_rank}
    said |= {on_machine: local_place()[1], "MASTER_ADDR": _ADDRESS, "MASTER_PORT": _port()}
    for name, value in said.items():
        os.environ.setdefault(name, str(value))


def _port() -> int:
    """The same in all processes of a job, and another for another job where MPI names it."""
    job = os.environ.get("PMIX_NAMESPACE", "")
    return _PORT + zlib.crc32(job.encode()) % 10_000 if job else _PORT
