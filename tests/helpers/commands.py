"""Commands in processes of their own, at the size of a test, and what they leave behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
#: A folder of published data and drawings, where somebody says that there is one (`data/`,
#: `reference/`); tests that need it skip elsewhere.
SHARED = Path(os.environ.get("TEST_DATA") or os.devnull)
SMALL = (
    "--preset=smoke",
    "--train-samples=40",
    "--set=train.steps=6",
    "--set=train.batch_size=4",
    "--set=train.validate_every=2",
    "--set=train.validation_samples=8",
    "--set=train.precision=fp32",
    "--set=evaluation.samples=20",
    "--set=evaluation.iterations=6",
    "--set=paradigm.width=8",
    "--set=paradigm.iterations=3",
)


def comparable(out: Path) -> dict[str, object]:
    """What must not depend on how the study was run: results without times, and weights to the
    bit."""
    found: dict[str, object] = {}
    for run in sorted((out / "runs").iterdir()):
        result = json.loads((run / "result.json").read_text())
        rows = [{k: v for k, v in r.items() if k != "train_seconds"} for r in result["rows"]]
        found[run.name] = (rows, (run / "model.safetensors").read_bytes())
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        found[run.name + " metrics"] = lines
    return found


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


ONE = ("--tasks=maze", "--paradigms=dt_net_recall", *SMALL)
SEVERAL = (*ONE, "--seeds=0,1,2")


def changed(arguments: tuple[str, ...], *settings: str) -> tuple[str, ...]:
    """The arguments with some options given other values."""
    keys = [s.rpartition("=")[0] for s in settings]
    return (*(a for a in arguments if a.rpartition("=")[0] not in keys), *settings)


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path: Path) -> None:
    """One bit of the last tensor: of the right length and readable, but not what was written."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(bytes(data))


def edit(**values):
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change
