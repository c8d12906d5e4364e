"""What perturbations do to one problem's answer: frames before and after, with what happened in
words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from reports.figures.headlines import CALM
from reports.figures.pictures import film
from reports.read.summary import Section, plural

#: By perturbation: for the title of a panel, and for "n iterations after ..".
BLOWS = {
    "none": (CALM, "half-way"),
    "noise": ("state replaced by noise", "the noise"),
    "zeros": ("state set to zero", "the state was zero"),
    "other": ("another problem's state", "the exchange"),
    "flip": ("a tenth of the signs turned", "the signs turned"),
    "start": ("start moved", "the start moved"),
    "end": ("end moved", "the end moved"),
}
_PARTS = ("frames", "iterations", "correct", "struck")


def struck_parts(path: Path, levels: Sequence[float], section: Section) -> list[dict[str, Any]]:
    """One film a blow that a run stored frames of: of the hardest of the difficulties at which the
    answer was right before the blow, else of the easiest. ValueError, in words for a reader, if the
    file cannot be used."""
    try:
        with safe_open(path, framework="numpy") as file:
            keys = set(file.keys())
            made = []
            for blow in BLOWS:
                best: tuple[float, dict[str, np.ndarray]] | None = None
                for level in sorted(levels):
                    at = f"{level:g}.blow.{blow}"
                    if not {f"{at}.{part}" for part in _PARTS} | {f"{level:g}.picture"} <= keys:
                        continue
                    parts = {part: file.get_tensor(f"{at}.{part}") for part in _PARTS}
                    place = int(parts["struck"][0])
                    if not 1 <= place < len(parts["correct"]) == len(parts["iterations"]):
                        raise ValueError("frames and iterations differ in number")
                    if best is None or parts["correct"][place - 1]:
                        best = level, parts
                if best is not None:
                    level, parts = best
                    first = file.get_tensor(f"{level:g}.picture")[0]
                    at = f"{level:g}.blow.{blow}.picture"
                    then = file.get_tensor(at) if at in keys else first
                    made.append(_part(section.place(level), blow, parts, first, then))
            return made
    except (SafetensorError, OSError, IndexError, TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"frames after perturbations could not be read ({type(error).__name__})"
        ) from error


def _part(
    place: str, blow: str, parts: dict[str, np.ndarray], first: np.ndarray, then: np.ndarray
) -> dict[str, Any]:
    struck = int(parts["struck"][0])
    iterations = [int(i) for i in parts["iterations"]]
    right = [bool(c) for c in parts["correct"]]
    pictures = [first] * struck + [then] * (len(iterations) - struck)
    strip, ratio = film(pictures, parts["frames"], parts["iterations"])
    name, what = BLOWS[blow]
    return {
        "blow": blow,
        "title": f"{place}: {name}, after {plural(iterations[struck - 1], 'iteration')}",
        "told": told(iterations, right, struck),
        "what": what,
        "strip": strip,
        "ratio": ratio,
        "iterations": iterations,
        "struck": struck,
    }


def told(iterations: Sequence[int], right: Sequence[bool], struck: int) -> str:
    """What became of the answer, as far as the frames tell: right before the blow or not, and when
    again."""
    before = "Right before" if right[struck - 1] else "Not right before"
    after = range(struck, len(right))
    lasting = [i for i in after if all(right[i:])]
    since = iterations[-1] - iterations[struck]
    if not any(right[i] for i in after):
        return f"{before}, not right in the {plural(since, 'iteration')} after."
    if not lasting:
        return f"{before}, right for a while after, not at the end."
    again = iterations[lasting[0]] - iterations[struck]
    word = "right again" if right[struck - 1] else "right"
    if again == 0:
        return f"{before}, and right from there on."
    return f"{before}, {word} by iteration {again} after it and from then on."
