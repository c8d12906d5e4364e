"""`python -m benchmarks.film OUT/runs/RUN --difficulty 801 --out FILE.webp`: one large maze being
solved, until the state rests or the answer stays: the answer, and where the state still moves."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from comparisons.hardware import device_name, resolve_precision
from comparisons.testing.long_horizon import load_run
from comparisons.testing.session import Session
from foundations.command import Parser, whole_number, writable_file
from foundations.files import write_atomically
from paradigms.sparse import SparseWalk

#: Frames of one doubling of the iterations.
PER_OCTAVE = 3
#: The walk ends where the answer is the same in so many frames, and the state is at rest but for
#: this share of the maze.
STAYS, AT_REST = 3, 1e-3
#: Pixels of a side, at most.
SIDE = 402
WALL, PASSAGE, ANSWER, MOVING = (38, 38, 44), (236, 236, 236), (230, 97, 1), (66, 133, 220)


def frame(passages: np.ndarray, answer: np.ndarray, moving: np.ndarray, title: str) -> Image.Image:
    """One picture. All bool [h, w]."""
    colours = np.where(passages[..., None], PASSAGE, WALL)
    colours[moving] = MOVING
    colours[answer] = ANSWER
    picture = Image.fromarray(colours.astype(np.uint8))
    # By whole numbers: other factors draw lines of their own on a board of single pixels.
    picture = picture.reduce(-(-max(picture.size) // SIDE))
    times = SIDE // max(picture.size)
    picture = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    framed = Image.new("RGB", (picture.width, picture.height + 22), "white")
    framed.paste(picture, (0, 22))
    ImageDraw.Draw(framed).text((4, 5), title, fill="black", font_size=13)
    return framed


def filmed(
    session: Session, difficulty: Any, problem: int, iterations: int, tolerance: float
) -> tuple[list[Image.Image], dict[str, Any]]:
    """Frames, closer together at first, and what is to be said of the walk: seconds of its steps,
    when it came to rest, whether its answer was right then, and the shares of the board."""
    batch = session.sample(difficulty, np.array([problem]), seed=0)
    passages = batch.inputs[0].amax(0).cpu().numpy() > 0.5
    frames, shares, seconds, number = [], [], 0.0, 0
    answers: list[np.ndarray] = []
    wanted = {round(2 ** (k / PER_OCTAVE)) for k in range(PER_OCTAVE * 40)}
    with session.running():
        walk = SparseWalk(session.model, batch.inputs, tolerance)
        began = time.perf_counter()
        for number, _ in enumerate(walk.states(iterations), start=1):
            still = float(walk.moving[0])
            if number not in wanted and still > 0 and number < iterations:
                continue
            seconds += time.perf_counter() - began
            answer = session.task.predict(walk.logits(), batch)[0].cpu().numpy() == 1
            moving = (
                np.ones_like(passages) if walk.changed is None else walk.changed[0].cpu().numpy()
            )
            answers = [*answers[1 - STAYS :], answer]
            title = f"iteration {number:,}: the state still changes on {still:.1%} of the maze"
            frames.append(frame(passages, answer & passages, moving & passages, title))
            shares.append([number, round(float(walk.active[0]), 6), round(still, 6)])
            print(f"{title}; {seconds:.0f} s", file=sys.stderr, flush=True)
            began = time.perf_counter()
            stays = len(answers) == STAYS and all((a == answer).all() for a in answers)
            if still == 0 or (stays and still < AT_REST):
                break
        solved = bool(session.task.correct(walk.logits(), batch)[0])
    said = {"difficulty": difficulty, "problem": problem, "iterations": number}
    said |= {"at_rest": still == 0, "solved": solved, "seconds": round(seconds, 1)}
    return frames, {**said, "active_and_moving": shares}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 where the maze was solved, else 1."""
    parser = Parser(prog="python -m benchmarks.film", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run on mazes, OUT/runs/RUN")
    parser.add_argument("--difficulty", type=int, required=True, help="size of the maze")
    parser.add_argument("--problem", type=whole_number(0, 10**6), default=0, help="its number")
    parser.add_argument("--iterations", type=whole_number(1, 10**7), default=10**6, help="at most")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument(
        "--out", type=writable_file, required=True, help="FILE.webp; FILE.json beside"
    )
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(given)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _, task, model = load_run(options.run)
    session = Session(model.to(device), task, device, resolve_precision("fp32", device))
    frames, said = filmed(
        session, options.difficulty, options.problem, options.iterations, options.tolerance
    )
    times = [120] * (len(frames) - 1) + [4000]
    frames[0].save(
        options.out,
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        quality=30,
        method=6,
    )
    said |= {"tolerance": options.tolerance, "device": device_name(device)}
    said |= {"threads": torch.get_num_threads()}
    said |= {"command": " ".join(["python -m benchmarks.film", *given])}
    write_atomically(Path(options.out).with_suffix(".json"), json.dumps(said, indent=1))
    print(json.dumps({k: v for k, v in said.items() if k != "active_and_moving"}))
    return 0 if said["solved"] else 1


if __name__ == "__main__":
    sys.exit(main())
