"""`python -m benchmarks.plain`: this library against what one would otherwise write.

The other side is a training script as one writes it in PyTorch from the paper (DT-net with recall
on mazes, Bansal et al. 2022, arXiv 2202.05826, with the constants of the code published with it):
float32, eager, the default memory layout, a DataLoader over stored mazes, Adam, the progressive
loss. It shares the mazes with the library and nothing else. Two things are measured: a training
step of the same network on the same batch, in turn; and seconds of training until `--accuracy` of
mazes of size 13 are solved after training on size 9, each side by its own recipe.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.machine import Roof, facts, fast_precision, roofline, said, seconds_of
from benchmarks.targets import ONE_TEST, Target, reach
from comparisons.hardware import wait_for
from comparisons.testing.cost import count_cost
from comparisons.training.learner import Learner
from foundations.command import Parser, whole_number, writable_file
from foundations.files import write_atomically
from foundations.records.spec import TrainSpec
from paradigms import build_paradigm
from paradigms.layers import channels_last
from tasks import load_task

# The published recipe.
ITERATIONS, BATCH, RATE, ALPHA, DECAY, MAZES, WARMUP_EPOCHS = 30, 50, 1e-3, 0.01, 2e-4, 50_000, 10
#: Network of either side in the race: that of the library's quick studies, a quarter as wide as the
#: published one, with which no processor comes to an end in minutes.
WIDTH = 32
TRAINED, TESTED, PROBLEMS = 9, 13, 500
CHECK_EVERY = 100  # steps between tests of the plain side, which its clock leaves out
#: Of the step: width, iterations, mazes a batch, drawing.
STEPS = ((32, 16, 50, "cells"), (128, ITERATIONS, 4, "published"))


class PlainDTNet(nn.Module):
    """DT-net with recall: x [n, 3, H, W] and a number of iterations, from a state [n, width, H, W]
    or the start, to logits [n, 2, H, W] and the state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        conv = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
        self.projection = nn.Sequential(conv(3, width), nn.ReLU())
        self.recall = conv(width + 3, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width)) for _ in range(2)
        )
        self.head = nn.Sequential(
            conv(width, 32), nn.ReLU(), conv(32, 8), nn.ReLU(), conv(8, 2)
        )  # fmt: skip

    def forward(
        self, x: Tensor, iterations: int, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if state is None:
            state = self.projection(x)
        for _ in range(iterations):
            state = self.recall(torch.cat([state, x], 1))
            for block in self.blocks:
                state = torch.relu(block(state) + state)
        return self.head(state), state


def plain_loss(
    net: PlainDTNet, x: Tensor, targets: Tensor, iterations: int, draw: tuple[int, int]
) -> Tensor:
    """(1 - alpha) of the loss after all iterations and alpha of the progressive one, over
    passages."""
    skipped, kept = draw
    passages = x.amax(1) > 0

    def loss(logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, reduction="none")[passages].mean()

    after_all, _ = net(x, iterations)
    state = None
    if skipped:
        with torch.no_grad():
            _, state = net(x, skipped)
    progressive, _ = net(x, kept, state)
    return (1 - ALPHA) * loss(after_all) + ALPHA * loss(progressive)


def plain_optimizer(net: PlainDTNet, iterations: int) -> torch.optim.Adam:
    """Adam, the recurrent parameters at a rate divided by the iterations."""
    recurrent = [*net.recall.parameters(), *net.blocks.parameters()]
    others = [*net.projection.parameters(), *net.head.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": recurrent, "lr": RATE / iterations},
        {"params": others},
    ]
    return torch.optim.Adam(groups, RATE, weight_decay=DECAY)


def plain_training(
    mazes: TensorDataset, width: int, seed: int, device: torch.device
) -> Iterator[PlainDTNet]:
    """The script: yields the network after every step, for ever."""
    torch.manual_seed(seed)
    loader = DataLoader(mazes, BATCH, shuffle=True, drop_last=True)
    net = PlainDTNet(width).to(device)
    optimizer = plain_optimizer(net, ITERATIONS)
    rates = [group["lr"] for group in optimizer.param_groups]
    epoch = 0
    while True:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - math.exp(-5 * (epoch + 1) / WARMUP_EPOCHS))
        for x, targets in loader:
            skipped = int(torch.randint(0, ITERATIONS, ()))
            kept = int(torch.randint(1, ITERATIONS - skipped + 1, ()))
            net.train()
            loss = plain_loss(net, x.to(device), targets.to(device), ITERATIONS, (skipped, kept))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield net
        epoch += 1


@torch.inference_mode()
def plain_accuracy(net: PlainDTNet, device: torch.device) -> float:
    """Share of mazes of size 13 solved, at the best number of iterations from that of training to
    twice as many: chosen on the test mazes, to the plain side's advantage."""
    task = load_task("maze")
    batch = task.sample(TESTED, PROBLEMS, split="test").to(device)
    net.eval()
    logits, state = net(batch.inputs, ITERATIONS)
    best = float(task.correct(logits, batch).double().mean())
    for _ in range(ITERATIONS):
        logits, state = net(batch.inputs, 1, state)
        best = max(best, float(task.correct(logits, batch).double().mean()))
    return best


@dataclass(frozen=True)
class Race:
    """One seed of either side. seconds, steps: of training, until `accuracy` was first seen to be
    enough, or in all."""

    side: str
    seed: int
    seconds: float
    steps: int
    accuracy: float
    reached: bool


def plain_race(seed: int, goal: float, limit: float, device: torch.device) -> Race:
    """Train the plain side until it solves enough, or for `limit` seconds; tests are not
    clocked, nor is making the mazes."""
    seconds, steps, accuracy = 0.0, 0, 0.0
    mazes = load_task("maze").sample(TRAINED, MAZES, split="train")
    training = plain_training(TensorDataset(mazes.inputs, mazes.targets), WIDTH, seed, device)
    while seconds < limit and accuracy < goal:
        began = time.perf_counter()
        for _ in range(CHECK_EVERY):
            net = next(training)
            steps += 1
            if seconds + time.perf_counter() - began > limit:
                break
        wait_for(device)
        seconds += time.perf_counter() - began
        accuracy = plain_accuracy(net, device)
        print(f"plain: {steps} steps, {seconds:.0f} s, {accuracy:.1%}", file=sys.stderr, flush=True)
    return Race("plain", seed, round(seconds, 1), steps, accuracy, accuracy >= goal)


def library_race(seed: int, goal: float, precision: str) -> Race:
    """The library's quick recipe, from its first step to its last."""
    settings = (
        "--tasks=maze",
        "--paradigms=dt_net_recall",
        f"--train-samples={MAZES}",
        f"--set=evaluation.difficulties={TESTED}",
        f"--set=evaluation.samples={PROBLEMS}",
        *ONE_TEST,
    )
    run = reach(
        Target("maze", "", TESTED, goal, settings), seed, (f"--set=train.precision={precision}",)
    )
    return Race("library", seed, run.train_seconds, run.steps, run.accuracy, run.reached)


def step(
    case: tuple[int, int, int, str], device: torch.device, precision: str, roof: Roof, repeats: int
) -> dict[str, Any]:
    """A training step of both sides, in turn: the published loss, with the mean progressive draw,
    and Adam's step; data left out."""
    width, iterations, count, drawing = case
    task = load_task("maze", drawing=drawing)
    batch = task.sample(TRAINED, count).to(device)
    draw = iterations // 2, max(iterations // 4, 1)
    torch.manual_seed(0)
    net = PlainDTNet(width).to(device).train()
    model = build_paradigm("dt_net_recall", task.spec, width=width, iterations=iterations)
    model = model.to(device).to(memory_format=torch.channels_last)
    learner = Learner(model, task, TrainSpec(alpha=ALPHA), precision).train()
    optimizers = plain_optimizer(net, iterations), torch.optim.Adam(model.parameters(), RATE)

    def plain() -> None:
        plain_loss(net, batch.inputs, batch.targets, iterations, draw).backward()
        optimizers[0].step()
        optimizers[0].zero_grad()

    def library() -> None:
        with learner.running():
            learner(batch, *draw).backward()
        optimizers[1].step()
        optimizers[1].zero_grad()

    times = seconds_of({"library": library, "plain": plain}, repeats)
    medians = {side: statistics.median(values) for side, values in times.items()}
    cost = count_cost(model, channels_last(batch.inputs[:1]))
    flops = count * (cost.training(0, iterations) + cost.training(*draw))
    side = batch.inputs.shape[-1]
    return {
        "what": f"width {width}, {iterations} iterations, {count} mazes of {side} x {side}",
        "precision": precision,
        "library_seconds": medians["library"],
        "plain_seconds": medians["plain"],
        "ratio": medians["plain"] / medians["library"],
        "library_of_roofline": flops / medians["library"] / roof.fast,
        "plain_of_roofline": flops / medians["plain"] / roof.plain,
    }


def table(record: dict[str, Any]) -> str:
    """What was measured as Markdown."""
    lines = [
        f"On {record['device']}, {record['instruction_set']}, {record['threads']} threads:",
        "",
        "| training step | library | plain fp32 | times plain | library, of its roofline | plain |",
        "|---|---|---|---|---|---|",
        *(
            f"| {s['what']} | {1000 * s['library_seconds']:,.0f} ms in {s['precision']}"
            f" | {1000 * s['plain_seconds']:,.0f} ms | {s['ratio']:.1f}"
            f" | {s['library_of_roofline']:.0%} | {s['plain_of_roofline']:.0%} |"
            for s in record["steps"]
        ),
    ]
    if not record["races"]:
        return "\n".join(lines)
    lines += [
        "",
        f"| {record['goal']:.0%} of mazes of size {TESTED} | seed | seconds of training | steps"
        " | solved |",
        "|---|---|---|---|---|",
        *(
            f"| {r['side']} | {r['seed']} | {r['seconds']:,.0f}"
            f"{'' if r['reached'] else ', not yet'} | {r['steps']:,} | {r['accuracy']:.1%} |"
            for r in record["races"]
        ),
        "",
        summary(record),
    ]
    return "\n".join(lines)


def summary(record: dict[str, Any]) -> str:
    """How many times as soon the library is there, by the means over seeds; a bound where the plain
    side was stopped first."""
    sides = {
        side: [r for r in record["races"] if r["side"] == side] for side in ("library", "plain")
    }
    if not all(r["reached"] for r in sides["library"]):
        return "The library did not reach the goal with every seed, so no ratio is given."
    mean = {side: statistics.fmean(r["seconds"] for r in runs) for side, runs in sides.items()}
    ratio = f"{mean['plain'] / mean['library']:.1f} times"
    if all(r["reached"] for r in sides["plain"]):
        return f"The plain script takes {ratio} as long to get there."
    return f"The plain script takes more than {ratio} as long to get there: it was stopped."


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(
        prog="python -m benchmarks.plain",
        description="This library against a plain PyTorch script of the published recipe.",
    )
    number = whole_number(1, 100_000)
    parser.add_argument("--only", choices=("steps", "race"), help="one of the two measurements")
    parser.add_argument("--repeats", type=number, default=3, help="timed steps (default 3)")
    parser.add_argument("--seeds", type=number, default=1, help="of the race (default 1)")
    parser.add_argument(
        "--accuracy", type=whole_number(1, 100), default=95, help="per cent to be solved (95)"
    )
    parser.add_argument(
        "--limit", type=number, default=240, help="seconds for the plain side (default 240)"
    )
    parser.add_argument(
        "--precision", choices=("bf16", "fp32"), help="of the library (default: what is fast here)"
    )
    parser.add_argument("--out", type=writable_file, help="write the results there as JSON")
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision, goal = options.precision or fast_precision(device), options.accuracy / 100
    roof = roofline(device, torch.bfloat16 if precision == "bf16" else torch.float32)
    print(said(device, roof, precision), flush=True)
    steps, races = [], []
    if options.only != "race":
        steps = [step(case, device, precision, roof, options.repeats) for case in STEPS]
    if options.only != "steps":
        for seed in range(options.seeds):
            races.append(asdict(library_race(seed, goal, precision)))
            races.append(asdict(plain_race(seed, goal, options.limit, device)))
    record = {
        **facts(device, roof, precision),
        "command": " ".join(["python -m benchmarks.plain", *given]),
        "goal": goal,
        "steps": steps,
        "races": races,
    }
    print(table(record))
    if options.out:
        write_atomically(options.out, json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
