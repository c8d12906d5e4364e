"""`python -m benchmarks.schematics`: docs/images/paradigms/NAME.svg, what a paradigm repeats and
how far an answer sees after so many iterations. Both are found by building the network small and
asking it, so that a picture can't say what the code does not do."""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from benchmarks.family_tree import LANES, rows
from foundations.command import Parser
from foundations.errors import Unsuitable
from paradigms import build_paradigm, paradigm_names, paradigm_options, paradigm_title

PICTURES = Path(__file__).parents[1] / "docs" / "images" / "paradigms"
#: Sites of the string, and of a side of the board for networks that read no strings.
LENGTH, SIDE = 65, 17
#: Iterations that are asked, and the small size they are asked at.
ASKED = 8
SMALL = {"width": 16, "iterations": ASKED}
#: Draws of weights and inputs: a unit that is silent in one hides what it sees.
DRAWS = 3
GREY = "#555555"


class Facts(NamedTuple):
    """What a picture says. repeats: its iterations are one step, or positions of one pass
    ("positions"), or have weights of their own ("nothing"). steps: of a network that ends. recall:
    whether a step is given the input. parts: maps of a state. seen: a row an iteration, "1" where
    the answer in the middle depends on that site of the input."""

    repeats: str
    steps: int | None
    recall: bool
    parts: int
    seen: tuple[str, ...]


def _small(name: str, seed: int) -> tuple[Any, Tensor]:
    """A network of few channels with random weights, in float64, and inputs of one site changed
    each after the unchanged one, [1 + sites, 1, *S]."""
    torch.manual_seed(seed)
    options = {k: v for k, v in SMALL.items() if k in paradigm_options(name)}
    spec = SimpleNamespace(
        name="a string", in_channels=1, spatial_dims=1, dense=True, outputs=2, size=(LENGTH,)
    )
    try:
        model = build_paradigm(name, spec, **options)
    except Unsuitable:  # reads images alone: changed along the middle row
        spec.spatial_dims, spec.size = 2, (SIDE, SIDE)
        model = build_paradigm(name, spec, **options)
    model = model.double().eval()
    with torch.no_grad():  # some weights are zero at first, and hide what lies behind them
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    side = spec.size[0]
    x = torch.randn(1, 1, *spec.size, dtype=torch.float64).repeat(
        1 + side, 1, *[1] * len(spec.size)
    )
    middle = x[:, 0] if spec.spatial_dims == 1 else x[:, 0, side // 2]
    middle[1:] += torch.eye(side, dtype=torch.float64)
    return model, x


@cache
def facts(name: str) -> Facts:
    """Of one paradigm, found by asking a small network."""
    draws = [_small(name, seed) for seed in range(DRAWS)]
    with torch.no_grad():
        seen = np.any([_seen(model, x) for model, x in draws], axis=0)
        model, x = draws[0]
        contexts = [list(_tensors(model.context(one))) for one in (x[:1], x[1:2])]
        state, ends = model.encode(x[:1]), model.max_iterations
    repeats = "positions" if model.over_positions else "nothing" if ends else "a step"
    given = any(not torch.equal(a, b) for a, b in zip(*contexts, strict=True))
    return Facts(
        repeats,
        ends,
        given and ends != 1,
        len(state.parts),
        tuple("".join("01"[site] for site in row) for row in seen.astype(int)),
    )


def _seen(model: Any, x: Tensor) -> np.ndarray:
    """bool [iterations, sites]: whether the logits of the middle site differ at all."""
    found = []
    for logits in model.iterates(x, min(ASKED, model.max_iterations or ASKED)):
        at = logits[(..., *(side // 2 for side in x.shape[2:]))]
        found.append((at[1:] != at[0]).any(1).numpy())
    return np.array(found)


def _tensors(found: Any) -> list[Tensor]:
    """The tensors of what `context` gives."""
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, (tuple, list)):
        return [t for part in found for t in _tensors(part)]
    return []


def lane(name: str) -> tuple[str, str]:
    """The lane of the family tree that a paradigm stands in, and its colour."""
    for (title, colour), members in LANES.items():
        for member, _ in rows(members):
            words = member.names.replace(",", "").replace(":NAME", "").split()
            if {name, name.removesuffix("_bn")} & set(words):
                return title, colour
    return next(lane for lane in LANES if "nothing" in lane[0])


def _box(axes: Axes, left: float, right: float, words: str, colour: str = GREY) -> None:
    style = "round,pad=0,rounding_size=1.2"
    axes.add_patch(
        FancyBboxPatch((left, 10), right - left, 10, boxstyle=style, fc=f"{colour}22", ec=colour)
    )
    axes.text((left + right) / 2, 15, words, ha="center", va="center", size=10)


def _arrow(axes: Axes, start: tuple, end: tuple, colour: str = GREY, bend: str = "arc3") -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "connectionstyle": bend,
             "shrinkA": 0, "shrinkB": 0}  # fmt: skip
    axes.annotate("", end, start, arrowprops=style)


def _flow(axes: Axes, found: Facts, colour: str) -> None:
    """Boxes from the problem to the answer, with what is repeated."""
    axes.set(xlim=(0, 100), ylim=(0, 32))
    axes.axis("off")
    _box(axes, 1, 13, "input")
    _box(axes, 87, 99, "answer")
    if found.steps == 1:
        _box(axes, 30, 70, "one pass", colour)
        _arrow(axes, (13, 15), (30, 15))
        _arrow(axes, (70, 15), (87, 15))
        if found.repeats == "positions":
            _arrow(axes, (62, 20), (38, 20), colour, "arc3,rad=0.5")
            axes.text(50, 29, "a cell, along the positions", ha="center", size=9, color=colour)
        else:
            axes.text(50, 24, "nothing is repeated", ha="center", size=9, color=colour)
        return
    _box(axes, 19, 32, "encode")
    _box(axes, 69, 81, "read out")
    for start, end in ((13, 19), (32, 38), (63, 69), (81, 87)):
        _arrow(axes, (start, 15), (end, 15))
    if found.steps is None:
        _box(axes, 38, 63, "step", colour)
        _arrow(axes, (59, 20), (42, 20), colour, "arc3,rad=0.7")
        axes.text(50.5, 28.5, "the same weights again", ha="center", size=9, color=colour)
    else:
        for left, words in ((38, "step 1"), (46.6, "2 …"), (55.2, "last")):
            _box(axes, left, left + 7.8, words, colour)
        axes.text(50.5, 24, "each with weights of its own", ha="center", size=9, color=colour)
    if found.recall:
        axes.plot([7, 7, 50.5], [10, 4, 4], color=colour, lw=1.3)
        _arrow(axes, (50.5, 4), (50.5, 10), colour)
        axes.text(52, 3, "the input at every step", size=9, color=colour)
    if found.parts > 1:
        axes.text(36.5, 21.5, f"state: {found.parts} tensors", ha="right", size=9, color=GREY)


def draw(name: str) -> Figure:
    """The picture of one paradigm."""
    found, (title, colour) = facts(name), lane(name)
    figure = Figure(figsize=(6.2, 4.0), facecolor="white")
    figure.text(0.03, 0.95, paradigm_title(name), weight="bold", size=12)
    figure.text(0.97, 0.95, title, size=9, color=colour, ha="right")
    _flow(figure.add_axes((0.02, 0.50, 0.96, 0.43)), found, colour)
    height = 0.3 if len(found.seen) > 1 else 0.07
    axes = figure.add_axes((0.1, 0.43 - height, 0.87, height), facecolor="#f2f2f2")
    half = len(found.seen[0]) // 2
    for row, sites in enumerate(found.seen, 1):
        runs = [(m.start() - half - 0.5, len(m[0])) for m in re.finditer("1+", sites)]
        axes.broken_barh(runs, (row - 0.5, 0.95), color=colour)
    axes.set(xlim=(-half - 0.5, half + 0.5), ylim=(0.5, len(found.seen) + 0.5))
    axes.invert_yaxis()
    axes.set_yticks(range(1, len(found.seen) + 1))
    axes.tick_params(labelsize=8)
    axes.set_ylabel("iteration" if len(found.seen) > 1 else "", size=9)
    board = "a row of a board" if len(found.seen[0]) == SIDE else "a string"
    axes.set_xlabel(f"sites of {board} that the answer at site 0 can depend on", size=9)
    return figure


def save(name: str, folder: Path) -> None:
    """NAME.svg, with its facts as the description, the same bytes each time."""
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}
    about = {"Date": None, "Creator": None, "Title": paradigm_title(name),
             "Description": json.dumps(facts(name))}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(settings):
        draw(name).savefig(folder / f"{name}.svg", metadata=about)


def said_by(path: Path) -> Facts:
    """The facts in a picture."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"<dc:description>(.*?)</dc:description>", text, re.DOTALL)
    said: list[Any] = (
        json.loads(found[1].replace("&quot;", '"')) if found else ["", None, False, 0, ""]
    )
    repeats, steps, recall, parts, seen = said
    return Facts(repeats, steps, recall, parts, tuple(seen))


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(prog="python -m benchmarks.schematics", description=__doc__)
    parser.add_argument("names", nargs="*", help="paradigms, by default all")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder")
    options = parser.parse_args(arguments)
    for name in options.names or paradigm_names():
        save(name, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
