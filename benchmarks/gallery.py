"""`python -m benchmarks.gallery OUT/runs/RUN … --difficulty 9 --out FILE.png`: one test problem as
trained networks think about it, a row a network, a column an iteration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparisons.hardware import resolve_precision
from comparisons.probes.answer_frames import answer_frames
from comparisons.testing.long_horizon import load_run
from comparisons.testing.session import Session
from foundations.command import Parser, whole_number, writable_file
from tasks.base import Difficulty

#: The columns, as far as a network goes; the last of a network's iterations has one of its own.
SHOWN = (1, 2, 4, 8, 16)
#: Iterations of networks that would go on for ever.
MOST = 64
SURE = np.array([230, 97, 1]) / 255
RIGHT, WRONG = "#1a7f37", "#c0392b"


class Row(NamedTuple):
    """name: of the network. frames: by iteration, how sure it is of every site, in [0, 1], [h, w].
    correct: whether its last answer is right."""

    name: str
    frames: dict[int, np.ndarray]
    correct: bool


def thoughts(
    session: Session, name: str, difficulty: Difficulty, problem: int
) -> tuple[Row, np.ndarray]:
    """A network's answers to test problem `problem`, and the problem as a picture, [h, w, 3]; of a
    string [2, n, 3], with the right answer under it."""
    model, task = session.model, session.task
    batch = session.sample(difficulty, np.array([problem]), seed=0)
    last = MOST if model.max_iterations is None else model.max_iterations
    wanted = sorted({*(n for n in SHOWN if n < last), last})
    frames = answer_frames(session, batch, wanted).numpy() / 255
    with session.running():
        logits = model(batch.inputs, iterations=last).float()
    picture = task.picture(batch.inputs.cpu())[0].permute(1, 2, 0).numpy()
    if task.spec.spatial_dims == 1:
        right = batch.targets.cpu().numpy()
        picture = np.concatenate([picture, over(np.ones((1, 1, 3)), right)])
    correct = bool(task.correct(logits, batch)[0])
    return Row(name, dict(zip(wanted, frames, strict=True)), correct), picture


def over(picture: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """A picture [h, w, 3] in which sites [h, w] are as orange as a network is sure of them."""
    return picture * (1 - sure[..., None]) + SURE * sure[..., None]


def show(axes: Axes, picture: np.ndarray, sure: np.ndarray | None = None) -> None:
    """The problem, and over it how sure a network is of a site; of a string that alone."""
    string = len(picture) == 2
    if sure is not None:
        picture = over(np.ones(3) if string else 0.85 * picture, np.atleast_2d(sure))
    aspect: Any = "auto" if string else "equal"
    axes.imshow(np.clip(picture, 0, 1), interpolation="nearest", aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])


def draw(rows: list[Row], picture: np.ndarray) -> Figure:
    """A row a network; one pass alone stands in the last column."""
    tall, gap = (0.55, 0.7) if len(picture) == 2 else (1.2, 0.2)
    height = tall * len(rows) + 0.4
    figure = Figure(figsize=(1.15 * (len(SHOWN) + 2) + 1.6, height), dpi=130)
    grid = figure.subplots(
        len(rows), len(SHOWN) + 2, squeeze=False,
        gridspec_kw={"wspace": 0.06, "hspace": gap, "left": 0.19, "right": 0.99,
                     "top": 1 - 0.35 / height, "bottom": 0.25 / height},
    )  # fmt: skip
    for axes, title in zip(grid[0], ["the problem", *SHOWN, "last"], strict=True):
        axes.set_title(title, fontsize=10)
    for row, cells in zip(rows, grid, strict=True):
        show(cells[0], picture)
        cells[0].set_ylabel(row.name, rotation=0, ha="right", va="center", fontsize=10)
        last = max(row.frames)
        for n, axes in zip(SHOWN, cells[1:-1], strict=True):
            if n in row.frames and n < last:
                show(axes, picture, row.frames[n])
            else:
                axes.axis("off")
        show(cells[-1], picture, row.frames[last])
        colour = RIGHT if row.correct else WRONG
        word = "right" if row.correct else "wrong"
        cells[-1].set_xlabel(f"{last}: {word}", fontsize=8, color=colour, labelpad=1)
        for spine in cells[-1].spines.values():
            spine.set(color=colour, linewidth=2)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Exit status 2 for runs on several tasks."""
    parser = Parser(prog="python -m benchmarks.gallery", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs on one task")
    parser.add_argument("--difficulty", required=True, help="of the problem")
    parser.add_argument("--problem", type=whole_number(0, 10**6), default=0, help="its number")
    parser.add_argument("--out", type=writable_file, required=True, help="FILE.webp, .png or .svg")
    options = parser.parse_args(arguments)
    runs = [load_run(folder) for folder in options.runs]
    tasks = sorted({spec.task for spec, _, _ in runs})
    if len(tasks) > 1:
        parser.error(f"runs of one task only, not of {' and '.join(tasks)}")
    device, rows, picture = torch.device("cpu"), [], np.zeros((1, 1, 3))
    for spec, task, model in runs:
        words = options.difficulty
        difficulty = int(words) if words.isdecimal() else words
        session = Session(model.to(device), task, device, resolve_precision("fp32", device))
        row, picture = thoughts(session, spec.paradigm, difficulty, options.problem)
        rows.append(row)
    draw(rows, picture).savefig(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
