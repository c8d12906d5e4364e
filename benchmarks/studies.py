"""`python -m benchmarks.studies`: minutes of the commands that users run, from an empty folder.

Every measurement is added to the file of `--out`, with the machine and how busy it was before;
`python -m benchmarks.tables` makes the table of `docs/speed.md` of them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import fast_precision, instruction_set, usable_kind
from comparisons.execution.workers import cores
from comparisons.hardware import device_name
from foundations import VERSION
from foundations.command import Parser, writable_file
from foundations.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
#: In `docs/speed.md`'s order. FOLDER is one that is made for the command and removed after it.
COMMANDS: dict[str, list[list[str]]] = {
    "default study": [[sys.executable, "compare.py", "--out=FOLDER"]],
    "pathfinder and maze": [
        [sys.executable, "compare.py", "--tasks=pathfinder,maze", "--out=FOLDER"]
    ],
    "tests": [[sys.executable, "-m", "pytest"]],
    "installation": [
        [sys.executable, "-m", "venv", "FOLDER/venv"],
        ["FOLDER/venv/bin/pip", "install", "--quiet", "."],
    ],
}


def clocked(name: str, precision: str) -> dict[str, Any]:
    """Run the commands of a name; CalledProcessError if one fails. precision: of a study, where it
    isn't its own choice."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    extra = [f"--set=train.precision={precision}"] if precision else []
    busy = os.getloadavg()[0]
    began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS[name]:
            words = [word.replace("FOLDER", folder) for word in command]
            study = "compare.py" in command
            subprocess.run([*words, *(extra if study else [])], check=True, cwd=ROOT)
    seconds, spent = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = spent.ru_utime + spent.ru_stime - cpu.ru_utime - cpu.ru_stime
    return {
        "what": name,
        "minutes": round(seconds / 60, 1),
        "cpu_minutes": round(used / 60, 1),
        "kind": "GPU" if device.type == "cuda" else usable_kind(device),
        "instruction_set": instruction_set(device),
        "device": device_name(device),
        "cores": cores(),
        "precision": precision or fast_precision(device),
        "version": VERSION,
        "load_before": round(busy, 1),
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(
        prog="python -m benchmarks.studies",
        description="Minutes of the commands that users run, on this machine.",
    )
    parser.add_argument("--only", choices=tuple(COMMANDS), help="one of them")
    parser.add_argument(
        "--precision",
        choices=("bf16", "fp32"),
        help="of studies (default: their own choice; fp32 under a forced AVX2)",
    )
    parser.add_argument("--out", type=writable_file, help="a JSON file to add the measurements to")
    options = parser.parse_args(arguments)
    rows = json.loads(options.out.read_text()) if options.out and options.out.exists() else []
    for name in COMMANDS:
        if options.only in (None, name):
            rows.append(clocked(name, options.precision or ""))
            print(json.dumps(rows[-1]), flush=True)
            if options.out:
                write_atomically(options.out, json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
