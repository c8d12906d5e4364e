"""`python -m benchmarks.sparse OUT/runs/RUN --difficulties 59 201 --iterations 1000`: the walk that
computes only what changes against the dense one, same network, same problems, in turn.

Both read the answer out after every iteration, as exit rules want it (`--look N`: every N-th). With
`--figure FILE` also a picture: one problem of the last difficulty, when each of its sites changed
last, and the share of the board that was active, by iteration.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from comparisons.hardware import device_name, resolve_precision, wait_for
from comparisons.testing.exits import make_exit_rule
from comparisons.testing.long_horizon import load_run
from comparisons.testing.session import Session
from foundations.command import Parser, whole_number, writable_file
from foundations.files import write_atomically
from paradigms.sparse import SparseWalk
from tasks.base import Batch


def walked(
    session: Session, batch: Batch, iterations: int, tolerance: float | None, look: int = 1
) -> dict[str, Any]:
    """One walk: its seconds, the answers at its end, what the rule "agreement" would have answered
    (correct, iteration), and the shares active and moving by iteration, means over the problems."""
    rule = make_exit_rule("agreement", session.model.train_iterations)
    active, moving, last = [], [], None
    with session.running():
        began = time.perf_counter()
        looks = session.walk(
            batch,
            iterations,
            tolerance=tolerance,
            wanted=lambda number: number % look == 0 or number == iterations,
        )
        for step in looks:
            if step.logits is not last:
                worth, last = session.worth(batch, step), step.logits
            rule.update(session.observe(batch, step, None, moves=False, worth=worth))
            if step.active is not None and step.moving is not None:
                active.append(float(step.active.mean()))
                moving.append(float(step.moving.mean()))
        wait_for(session.device)
        seconds = time.perf_counter() - began
        answers = session.task.predict(step.logits, batch)
    return {
        "seconds": seconds,
        "answers": answers,
        "solved": worth[0],
        "exits": rule.iteration,
        "exits_solved": rule.correct,
        "active": active,
        "moving": moving,
    }


def compared(
    session: Session,
    difficulty: Any,
    count: int,
    iterations: int,
    tolerance: float,
    repeats: int,
    look: int = 1,
) -> dict[str, Any]:
    """The two walks over some test problems, in turn: seconds (the best of the repeats), shares of
    the problems solved and of the problems and sites answered alike."""
    batch = session.sample(difficulty, np.arange(count), seed=0)
    best: dict[str, float] = {}
    for _ in range(repeats):
        for name, allowed in (("dense", None), ("sparse", tolerance)):
            found = walked(session, batch, iterations, allowed, look)
            best[name] = min(best.get(name, np.inf), found["seconds"])
            if name == "dense":
                dense = found
    same = (dense["answers"] == found["answers"]).flatten(1).float()
    return {
        "difficulty": difficulty,
        "problems": count,
        "iterations": iterations,
        "look": look,
        "tolerance": tolerance,
        "dense_seconds": best["dense"],
        "sparse_seconds": best["sparse"],
        "ratio": best["dense"] / best["sparse"],
        "dense_solved": float(dense["solved"].float().mean()),
        "sparse_solved": float(found["solved"].float().mean()),
        "same_answers": float(same.amin(1).mean()),
        "same_sites": float(same.mean()),
        "same_exits": float((dense["exits"] == found["exits"]).float().mean()),
        "active": [round(share, 5) for share in found["active"]],
        "moving": [round(share, 5) for share in found["moving"]],
    }


def figure(session: Session, difficulty: Any, iterations: int, tolerance: float) -> Figure:
    """The first test problem with its answer, when each site changed last, and the shares of the
    board that changed and that were computed."""
    batch = session.sample(difficulty, np.arange(1), seed=0)
    latest, active, moving = None, [], []
    with session.running():
        walk = SparseWalk(session.model, batch.inputs, tolerance)
        for number, state in enumerate(walk.states(iterations), start=1):
            if latest is None:
                latest = torch.ones(state.hidden.shape[2:])
            if walk.changed is not None:
                latest[walk.changed[0].cpu()] = number
            active.append(float(walk.active[0]))
            moving.append(float(walk.moving[0]))
        answer = session.task.predict(walk.logits(), batch)[0].cpu()
        solved = bool(session.task.correct(walk.logits(), batch)[0])
    assert latest is not None
    drawn = Figure(figsize=(12, 4), layout="constrained")
    problem, when, shares = drawn.subplots(1, 3)
    problem.imshow(session.task.picture(batch.inputs[:1].cpu())[0].permute(1, 2, 0).float())
    problem.imshow(np.ma.masked_equal(answer.numpy(), 0), cmap="autumn", interpolation="nearest")
    problem.set_title(f"the answer ({'right' if solved else 'wrong'})")
    picture = when.imshow(latest, norm=matplotlib.colors.LogNorm(1, iterations), cmap="viridis")
    drawn.colorbar(picture, ax=when, label="iteration")
    when.set_title("last change of the state")
    for axes in (problem, when):
        axes.set_axis_off()
    numbers = range(1, iterations + 1)
    shares.plot(numbers, active, label="computed")
    shares.plot(numbers, moving, label="changed")
    shares.set(xscale="log", xlabel="iteration", ylabel="share of the board", ylim=(0, 1))
    shares.legend()
    return drawn


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(prog="python -m benchmarks.sparse", description="Sparse against dense walk.")
    parser.add_argument("run", type=Path, help="folder of a finished run, OUT/runs/RUN")
    parser.add_argument("--difficulties", type=int, nargs="+", default=[59, 201])
    parser.add_argument("--count", type=whole_number(1, 512), default=1, help="problems of each")
    parser.add_argument("--iterations", type=whole_number(1, 10**6), default=1000)
    parser.add_argument(
        "--look", type=whole_number(1, 10**6), default=1, help="read the answer every LOOK-th step"
    )
    parser.add_argument("--tolerance", type=float, nargs="+", default=[1e-5, 1e-3])
    parser.add_argument("--precision", default="fp32", help="fp32, bf16 or auto")
    parser.add_argument("--repeats", type=whole_number(1, 100), default=2)
    parser.add_argument("--threads", type=whole_number(1, 1024), default=torch.get_num_threads())
    parser.add_argument("--out", type=writable_file, help="write the results there as JSON")
    parser.add_argument("--figure", type=writable_file, help="draw the last of them there")
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _, task, model = load_run(options.run)
    precision = resolve_precision(options.precision, device)
    session = Session(model.to(device), task, device, precision)
    print(f"{device_name(device)}, {options.threads} threads, {precision}")
    rows = []
    for difficulty in options.difficulties:
        for tolerance in options.tolerance:
            row = compared(
                session,
                difficulty,
                options.count,
                options.iterations,
                tolerance,
                options.repeats,
                options.look,
            )
            rows.append(row)
            print(
                f"{difficulty}, tolerance {tolerance:g}: {row['dense_seconds']:.1f} s dense,"
                f" {row['sparse_seconds']:.1f} s sparse, {row['ratio']:.1f} times; solved"
                f" {row['dense_solved']:.0%} and {row['sparse_solved']:.0%}, answers alike"
                f" {row['same_answers']:.0%}, exits alike {row['same_exits']:.0%}; active at the"
                f" end {row['active'][-1]:.1%}, moving {row['moving'][-1]:.1%}",
                flush=True,
            )
    if options.out:
        record = {
            "device": device_name(device),
            "threads": options.threads,
            "precision": precision,
            "command": " ".join(["python -m benchmarks.sparse", *given]),
            "rows": rows,
        }
        write_atomically(options.out, json.dumps(record, indent=1))
    if options.figure:
        drawn = figure(session, difficulty, options.iterations, tolerance)
        drawn.savefig(options.figure, dpi=90)
    return 0


if __name__ == "__main__":
    sys.exit(main())
