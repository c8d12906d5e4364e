"""`python -m benchmarks`: how fast the generators, training steps and inference are on this machine.

Everything is measured in one process, the contestants in turn, so that what the machine does meanwhile meets
them all alike; figures are medians, with the quartiles. Each network runs against itself in the plain way:
float32, default memory layout, eager, the loop spelt out. The roofline is a large matrix product.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from benchmarks.cases import GENERATORS, NETWORKS, Network
from comparisons.cost import count_cost
from comparisons.hardware import (
    autocast,
    device_name,
    fast_bf16,
    package_versions,
    resolve_precision,
)
from files import write_atomically
from names import Parser, whole_number, writable_file
from paradigms import build_paradigm
from paradigms.layers import channels_last
from tasks import load_task


@dataclass(frozen=True)
class Row:
    """One measurement. seconds: median of a call, with the quartiles. rate: of what the unit says, a second.
    ratio: times the plain reference's speed, measured in turn with it; nan where there is none."""

    what: str
    how: str
    unit: str
    seconds: float
    low: float
    high: float
    rate: float
    ratio: float
    share_of_roofline: float


def seconds_of(
    contestants: dict[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """Times of each, sorted; called in turn after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, call in contestants.items():
            began = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: sorted(values) for name, values in times.items()}


def _row(what, how, unit, times, amount, plain=None, flops=0.0, roof=0.0) -> Row:
    middle = statistics.median(times)
    return Row(
        what,
        how,
        unit,
        middle,
        times[len(times) // 4],
        times[(3 * len(times)) // 4],
        amount / middle,
        statistics.median(plain) / middle if plain else float("nan"),
        flops / middle / roof if roof else float("nan"),
    )


def roofline(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a matrix product of 2,048 x 2,048 (8,192 on a GPU) in that precision."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    (times,) = seconds_of({"product": lambda: a @ b}, 5).values()
    return 2 * side**3 / statistics.median(times)


def generators(repeats: int) -> list[Row]:
    """Problems a second of each generator, on one thread."""
    rows = []
    for name, options, difficulty, count in GENERATORS:
        task = load_task(name, **options)
        fresh = iter(range(10**6))

        def draw(task=task, difficulty=difficulty, count=count, fresh=fresh) -> None:
            first = next(fresh) * count
            task.sample(difficulty, indices=range(first, first + count))

        (times,) = seconds_of({"draw": draw}, repeats).values()
        text = ", ".join(f"{k}={v}" for k, v in options.items())
        what = f"{name} {difficulty}" + f" ({text})" * bool(text)
        rows.append(_row(what, "generator", "problems/s", times, count))
    return rows


def network(case: Network, device: torch.device, repeats: int, roof: float) -> list[Row]:
    """Inference and a training step of one network, fast and plain."""
    task = load_task(case.task, **case.task_options)
    batch = task.sample(case.difficulty, case.batch).to(device)
    torch.manual_seed(0)
    plain = build_paradigm(case.paradigm, task.spec, **case.options).to(device)
    fast = build_paradigm(case.paradigm, task.spec, **case.options).to(device)
    fast.load_state_dict(plain.state_dict())
    fast = fast.to(memory_format=torch.channels_last) if task.spec.spatial_dims == 2 else fast
    precision = resolve_precision("auto", device)
    iterations = plain.train_iterations
    x = channels_last(batch.inputs)
    cost = count_cost(fast, x[:1])

    def spelt_out():
        state = plain.encode(batch.inputs)
        for _ in range(iterations):
            state = plain.step(state, batch.inputs)
        return plain.readout(state)

    def quick():
        with autocast(device, precision):
            return fast(x, iterations=iterations)

    def infer(answer):
        def call() -> None:
            with torch.inference_mode():
                answer()

        return call

    def train(model, answer):
        def call() -> None:
            model.zero_grad(set_to_none=True)
            task.loss(answer(), batch).backward()

        return call

    rows = []
    for how, contestants, flops in (
        (
            "inference",
            {"fast": infer(quick), "plain": infer(spelt_out)},
            cost.inference(iterations),
        ),
        (
            "training step",
            {"fast": train(fast, quick), "plain": train(plain, spelt_out)},
            cost.training(0, iterations),
        ),
    ):
        for model in (plain, fast):
            model.train(how != "inference")
        times = seconds_of(contestants, repeats)
        rows.append(
            _row(case.name, f"{how}, {precision}", "problems/s", times["fast"], case.batch,
                 times["plain"], flops * case.batch, roof)
        )  # fmt: skip
    return rows


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""

    def number(value: float, form: str) -> str:
        return "" if value != value else form.format(value)

    lines = [
        "| what | how | rate | one call (quartiles) | times plain | of the roofline |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.what} | {r.how} | {r.rate:,.0f} {r.unit} | {1000 * r.seconds:,.1f} ms "
            f"({1000 * r.low:,.1f}–{1000 * r.high:,.1f}) | {number(r.ratio, '{:.1f}')} "
            f"| {number(100 * r.share_of_roofline, '{:.0f} %')} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(
        prog="python -m benchmarks", description="How fast this library is on this machine."
    )
    parser.add_argument(
        "--repeats", type=whole_number(1, 10_000), default=5, help="timed calls of each (default 5)"
    )
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument(
        "--threads",
        type=whole_number(1, 1024),
        default=0,
        help="of torch (default: its own choice)",
    )
    parser.add_argument("--out", type=writable_file, help="write the results there as JSON")
    options = parser.parse_args(arguments)
    if not any(options.only in name for name in ("generators", *(c.name for c in NETWORKS))):
        parser.error(
            f"--only {options.only!r} is in no case's name: generators, {', '.join(c.name for c in NETWORKS)}"
        )
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if fast_bf16(device) else torch.float32
    roof = roofline(device, dtype)
    name = str(dtype).removeprefix("torch.")
    print(f"{device_name(device)}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"roofline: {roof / 1e9:,.0f} GFLOP/s in {name}", flush=True)
    rows = generators(options.repeats) if options.only in "generators" else []
    for case in NETWORKS:
        if options.only in case.name:
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            rows += network(case, device, options.repeats, roof)
    print(table(rows))
    if options.out:
        record = {
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "versions": package_versions(),
            "roofline_flops": roof,
            "roofline_precision": name,
            "rows": [{k: None if v != v else v for k, v in asdict(r).items()} for r in rows],
        }
        write_atomically(options.out, json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
