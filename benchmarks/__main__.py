"""`python -m benchmarks`: how fast the generators, training steps and inference are on this
machine.

Everything is measured in one process, the contestants in turn, so that what the machine does
meanwhile meets them all alike; figures are medians, with the quartiles. Each network runs against
itself in the plain way: float32, default memory layout, eager, every convolution as it is defined,
the loop spelt out. The roofline is a large matrix product, in the precision of each contestant; the
convolution that most of a DT-net's work is in is also measured alone.
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
from dataclasses import asdict, dataclass

import torch

from benchmarks.cases import (
    CONVOLUTIONS,
    GENERATORS,
    NETWORKS,
    SWEEPS,
    Convolution,
    Network,
    Sweep,
)
from benchmarks.machine import Roof, facts, fast_precision, roofline, said, seconds_of
from benchmarks.steps import DRAWS, STEPS, Steps, ways_of
from comparisons.hardware import autocast
from comparisons.testing.cost import count_cost
from comparisons.testing.evaluation import evaluate, recorded_iterations
from comparisons.testing.session import Session
from foundations.command import Parser, whole_number, writable_file
from foundations.files import write_atomically
from paradigms import build_paradigm
from paradigms.fourier import direct
from paradigms.layers import CONV, channels_last
from tasks import load_task

#: Seconds that go into a pair of contestants at least, so that the median of short calls stands on
#: many.
SHORT = 4.0


@dataclass(frozen=True)
class Row:
    """One measurement. seconds: median of a call, with the quartiles. rate: of what the unit says,
    a second. ratio: times the plain reference's speed, measured in turn with it. share_of_roofline:
    of the FLOP/s of a matrix product in the same precision; plain_share_of_roofline: the same for
    the plain reference, in float32. They are nan where there is nothing to compare with."""

    what: str
    how: str
    unit: str
    seconds: float
    low: float
    high: float
    rate: float
    ratio: float
    share_of_roofline: float
    plain_share_of_roofline: float


def _row(what, how, unit, times, amount, plain=None, flops=0.0, roof=None) -> Row:
    middle = statistics.median(times)
    before = statistics.median(plain) if plain else float("nan")
    return Row(
        what,
        how,
        unit,
        middle,
        times[len(times) // 4],
        times[(3 * len(times)) // 4],
        amount / middle,
        before / middle,
        flops / middle / roof.fast if roof else float("nan"),
        flops / before / roof.plain if roof else float("nan"),
    )


def generators(repeats: int) -> list[Row]:
    """Problems a second of each generator, on one thread."""
    rows = []
    for name, options, difficulty, count in GENERATORS:
        task = load_task(name, **options)
        fresh = iter(range(10**6))

        def draw(task=task, difficulty=difficulty, count=count, fresh=fresh) -> None:
            first = next(fresh) * count
            task.sample(difficulty, indices=range(first, first + count))

        (times,) = seconds_of({"draw": draw}, repeats, SHORT / 4).values()
        text = ", ".join(f"{k}={v}" for k, v in options.items())
        what = f"{name} {difficulty}" + f" ({text})" * bool(text)
        rows.append(_row(what, "generator", "problems/s", times, count))
    return rows


def convolution(
    case: Convolution, device: torch.device, dtype: torch.dtype, repeats: int, roof: Roof
) -> list[Row]:
    """A convolution with nothing around it, forward, and with both gradients: what a network could
    reach at best."""
    torch.manual_seed(0)
    make_layer, padding = CONV[len(case.sites)], case.kernel // 2
    plain = make_layer(case.width, case.width, case.kernel, padding=padding, bias=False).to(device)
    fast = copy.deepcopy(plain).to(dtype)
    x = torch.randn(case.batch, case.width, *case.sites, device=device)
    y = channels_last(x.to(dtype))
    if x.dim() == 4:
        fast = fast.to(memory_format=torch.channels_last)
    flops = 2.0 * x.numel() * plain.weight[0].numel()

    def forward(layer, given):
        def call() -> None:
            with torch.inference_mode():
                layer(given)

        return call

    def both(layer, given):
        given = given.clone().requires_grad_()
        upstream = torch.ones_like(given)

        def call() -> None:
            given.grad = layer.weight.grad = None
            layer(given).backward(upstream)

        return call

    rows = []
    for how, make, passes in (("forward", forward, 1), ("forward and backward", both, 3)):
        times = seconds_of({"fast": make(fast, y), "plain": make(plain, x)}, repeats, SHORT)
        rows.append(
            _row(case.name, f"{how}, {_name(dtype)}", "calls/s", times["fast"], 1,
                 times["plain"], passes * flops, roof)
        )  # fmt: skip
    return rows


def _name(dtype: torch.dtype) -> str:
    return {"bfloat16": "bf16", "float32": "fp32"}[str(dtype).removeprefix("torch.")]


def sweep(case: Sweep, device: torch.device, repeats: int) -> list[Row]:
    """Accuracy after every recorded iteration, streamed, against keeping all answers and scoring
    them afterwards."""
    task = load_task(case.task)
    torch.manual_seed(0)
    plain = build_paradigm(case.paradigm, task.spec, **case.options).to(device).eval()
    fast = copy.deepcopy(plain)
    if task.spec.spatial_dims == 2:
        fast = fast.to(memory_format=torch.channels_last)
    precision = fast_precision(device)
    record = recorded_iterations(case.iterations, plain.train_iterations)
    session = Session(fast, task, device, precision)

    def streamed() -> None:
        evaluate(
            session, case.difficulty, split="test", count=case.problems, seed=0,
            iterations=case.iterations, record=record,
        )  # fmt: skip

    def spelt_out() -> None:
        with torch.inference_mode():
            batch = task.sample(case.difficulty, case.problems, split="test").to(device)
            state, answers = plain.encode(batch.inputs), []
            for _ in range(case.iterations):
                state = plain.step(state, batch.inputs)
                answers.append(plain.readout(state))
            for answer in answers:
                task.correct(answer, batch).double().sum().item()

    times = seconds_of({"fast": streamed, "plain": spelt_out}, repeats)
    return [
        _row(case.name, f"accuracy at each iteration, {precision}", "problems/s", times["fast"],
             case.problems, times["plain"])
    ]  # fmt: skip


def whole_steps(case: Steps, device: torch.device, repeats: int) -> list[Row]:
    """Whole training steps in each of the library's ways, against the recipe spelt out."""
    times = seconds_of(ways_of(case, device), repeats)
    plain = times.pop("plain")
    return [_row(case.name, how, "steps/s", each, DRAWS, plain) for how, each in times.items()]


def network(case: Network, device: torch.device, repeats: int, roof: Roof) -> list[Row]:
    """Inference and a training step of one network, fast and plain."""
    task = load_task(case.task, **case.task_options)
    batch = task.sample(case.difficulty, case.batch).to(device)
    torch.manual_seed(0)
    plain = build_paradigm(case.paradigm, task.spec, **case.options).to(device)
    fast = build_paradigm(case.paradigm, task.spec, **case.options).to(device)
    fast.load_state_dict(plain.state_dict())
    fast = fast.to(memory_format=torch.channels_last) if task.spec.spatial_dims == 2 else fast
    precision = fast_precision(device)
    iterations = plain.train_iterations
    x = channels_last(batch.inputs)
    cost = count_cost(fast, x[:1])

    def spelt_out():
        with direct():
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
        times = seconds_of(contestants, repeats, SHORT)
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
        (
            "| what | how | rate | one call (quartiles) | times plain | of the roofline | plain, of"
            " its own |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.what} | {r.how} | {r.rate:,.0f} {r.unit} | {1000 * r.seconds:,.1f} ms "
            f"({1000 * r.low:,.1f}–{1000 * r.high:,.1f}) | {number(r.ratio, '{:.1f}')} "
            f"| {number(100 * r.share_of_roofline, '{:.0f} %')} "
            f"| {number(100 * r.plain_share_of_roofline, '{:.0f} %')} |"
        )
    return "\n".join(lines)


def _parser() -> Parser:
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
    parser.add_argument(
        "--campaign",
        metavar="OUT",
        help="instead: runs of published size, see `python -m benchmarks --campaign OUT --help`",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or that of the campaign."""
    given = sys.argv[1:] if arguments is None else arguments
    if any(word.partition("=")[0] == "--campaign" for word in given):
        from benchmarks.campaign import main as campaign

        return campaign(given)
    parser = _parser()
    options = parser.parse_args(given)
    names = ["generators", *(case.name for case in (*CONVOLUTIONS, *NETWORKS, *SWEEPS, *STEPS))]
    if not any(options.only in name for name in names):
        parser.error(f"--only {options.only!r} is in no case's name: {', '.join(names)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = fast_precision(device)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    roof = roofline(device, dtype)
    print(said(device, roof, precision), flush=True)
    rows = generators(options.repeats) if options.only in "generators" else []
    for case in (*CONVOLUTIONS, *NETWORKS, *SWEEPS, *STEPS):
        if options.only not in case.name:
            continue
        if isinstance(case, Steps) and (not options.only or (case.gpu and device.type != "cuda")):
            continue  # minutes of compiling, or of a GPU's work: only where they are asked for
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        match case:
            case Convolution():
                rows += convolution(case, device, dtype, options.repeats, roof)
            case Network():
                rows += network(case, device, options.repeats, roof)
            case Sweep():
                rows += sweep(case, device, options.repeats)
            case Steps():
                rows += whole_steps(case, device, options.repeats)
    print(table(rows))
    if options.out:
        record = {
            **facts(device, roof, precision),
            "command": " ".join(["python -m benchmarks", *given]),
            "rows": [{k: None if v != v else v for k, v in asdict(r).items()} for r in rows],
        }
        write_atomically(options.out, json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
