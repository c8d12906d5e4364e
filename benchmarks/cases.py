"""What is measured: generators, networks at their published sizes, their largest convolutions, and
sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: (task, options, difficulty, problems a call)
GENERATORS: tuple[tuple[str, dict[str, Any], Any, int], ...] = (
    ("maze", {}, 9, 2000),
    ("maze", {}, 59, 200),
    ("maze", {"drawing": "published"}, 59, 100),
    ("prefix_sums", {}, 32, 5000),
    ("pathfinder", {}, 6, 200),
    ("pathfinder", {}, 14, 200),
    ("cabc", {}, "easy", 100),
    ("cabc", {}, "hard", 100),
)


@dataclass(frozen=True)
class Network:
    """A paradigm on a task, with the batch it is trained on."""

    name: str
    paradigm: str
    task: str
    difficulty: Any
    batch: int
    options: dict[str, Any] = field(default_factory=dict)
    task_options: dict[str, Any] = field(default_factory=dict)


NETWORKS = (
    Network(
        "dt_net_recall 2d, width 128, 24 x 24",
        "dt_net_recall",
        "maze",
        9,
        50,
        task_options={"drawing": "published"},
    ),
    Network("dt_net_recall 1d, width 400, 32 bits", "dt_net_recall", "prefix_sums", 32, 100),
    Network(
        "dt_net_recall 2d, width 32, 11 x 11",
        "dt_net_recall",
        "maze",
        9,
        50,
        {"width": 32, "iterations": 16},
    ),
    Network("hgru, 150 x 150", "hgru", "pathfinder", 6, 8),
    Network("narrow_resnet18, 150 x 150", "narrow_resnet18", "pathfinder", 6, 8),
    Network("resnet18, 150 x 150", "resnet18", "pathfinder", 6, 8),
)


@dataclass(frozen=True)
class Convolution:
    """A convolution of a state of `width` channels to as many, `kernel` wide."""

    name: str
    width: int
    batch: int
    sites: tuple[int, ...]
    kernel: int = 3


CONVOLUTIONS = (
    Convolution("convolution 2d, width 128, 50 of 24 x 24", 128, 50, (24, 24)),
    Convolution("convolution 1d, width 400, 100 of 32", 400, 100, (32,)),
    Convolution("convolution 15 wide, width 25, 8 of 150 x 150", 25, 8, (150, 150), 15),
)


@dataclass(frozen=True)
class Sweep:
    """A test of one network after each of many iterations."""

    name: str
    paradigm: str
    task: str
    difficulty: Any
    problems: int
    iterations: int
    options: dict[str, Any] = field(default_factory=dict)


SWEEPS = (
    Sweep(
        "sweep of 128 iterations, 256 mazes of size 29, width 32",
        "dt_net_recall",
        "maze",
        29,
        256,
        128,
        {"width": 32, "iterations": 24},
    ),
)
