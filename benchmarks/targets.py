"""`python -m benchmarks.targets`: seconds from nothing to a network that solves far harder problems
than it saw.

Each target is one run of compare.py in a process of its own, clocked from its start: imports,
compiling the generators, training and testing included. Every seed counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundations.command import Parser, whole_number, writable_file
from foundations.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Target:
    """options: of compare.py. bar: the share of `difficulty` problems to be solved."""

    name: str
    what: str
    difficulty: int
    bar: float
    options: tuple[str, ...]


#: Tests of the rule that counts, "validated", and of as few others as can be asked for; no
#: pictures.
ONE_TEST = ("--set=evaluation.exit_rules=oracle", "--set=evaluation.pictures=0")

TARGETS = (
    Target(
        "maze",
        "95 % of mazes of size 29, trained on size 9",
        29,
        0.95,
        (
            "--tasks=maze",
            "--paradigms=dt_net_recall",
            "--train-samples=1000000",
            "--set=train.steps=3300",
            "--set=train.batch_size=24",
            "--set=paradigm.iterations=24",
            "--set=train.average=0.998",
            "--set=train.learning_rate=2e-3",
            "--set=evaluation.difficulties=29",
            "--set=evaluation.samples=200",
            "--set=evaluation.iterations=128",
            *ONE_TEST,
        ),
    ),
    Target(
        "sums",
        "99 % of sums of 64 bits, trained on 16",
        64,
        0.99,
        (
            "--tasks=prefix_sums",
            "--paradigms=dt_net_recall",
            "--train-samples=50000",
            "--set=evaluation.difficulties=64",
            *ONE_TEST,
        ),
    ),
)


@dataclass(frozen=True)
class Reached:
    """One seed. seconds: of the whole command; train_seconds: of its training steps."""

    target: str
    seed: int
    seconds: float
    train_seconds: float
    accuracy: float
    n_test: int
    reached: bool
    device: str
    threads: int
    steps: int


def reach(target: Target, seed: int, extra: tuple[str, ...] = ()) -> Reached:
    """Run one seed of a target; CalledProcessError if the run fails."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(ROOT / "compare.py"), *target.options, *extra]
        began = time.perf_counter()
        subprocess.run(
            [*command, f"--seeds={seed}", f"--out={out}"], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - began
        (path,) = Path(out).glob("runs/*/result.json")
        result: dict[str, Any] = json.loads(path.read_text())
    (row,) = [
        row
        for row in result["rows"]
        if row["exit_rule"] == "validated" and row["test_difficulty"] == target.difficulty
    ]
    return Reached(
        target.name,
        seed,
        round(seconds, 1),
        result["train_seconds"],
        row["accuracy"],
        row["n_test"],
        row["accuracy"] >= target.bar,
        result["device"],
        result["threads"],
        result["steps"],
    )


def table(found: list[Reached]) -> str:
    """The seeds as Markdown."""
    lines = [
        "| target | seed | whole command | training | solved | reached |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.target} | {r.seed} | {r.seconds:.0f} s | {r.train_seconds:.0f} s | {r.accuracy:.1%}"
        f" of {r.n_test:,} | {'yes' if r.reached else 'no'} |"
        for r in found
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 if every seed reached its target, else 1."""
    parser = Parser(
        prog="python -m benchmarks.targets",
        description=(
            "Seconds from nothing to a network that solves far harder problems than it saw."
        ),
    )
    names = [target.name for target in TARGETS]
    parser.add_argument("--only", choices=names, help="one target")
    parser.add_argument(
        "--seeds", type=whole_number(1, 1000), default=5, help="seeds 0 to SEEDS-1 (default 5)"
    )
    parser.add_argument("--out", type=writable_file, help="write the results there as JSON")
    options = parser.parse_args(arguments)
    found = []
    for target in TARGETS:
        if options.only in (None, target.name):
            for seed in range(options.seeds):
                found.append(reach(target, seed))
                print(table(found[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(found))
    if options.out:
        write_atomically(options.out, json.dumps([asdict(r) for r in found], indent=1))
    return 0 if all(r.reached for r in found) else 1


if __name__ == "__main__":
    sys.exit(main())
