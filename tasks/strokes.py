"""Capital letters as strokes, drawn for this project, in several fonts.

A letter is a list of strokes; a stroke is a line through points (x, y), x to the right and y up, in
a box of 0.7 x 1 (a few letters are wider). An `arc` stands for points on an ellipse. A font is a
choice of letter forms and a way to finish them: rounded corners, arcs as corners, serifs, slant,
width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from string import ascii_uppercase
from typing import NamedTuple

import numpy as np

Stroke = list[tuple[float, float]]
STEP = 0.02  # between neighbouring points of a finished letter, of its height


def arc(
    x: float, y: float, rx: float, ry: float, start: float, stop: float, pieces: int = 24
) -> Stroke:
    """Points on the ellipse around (x, y) from angle `start` to `stop`, degrees
    counter-clockwise."""
    angles = np.deg2rad(np.linspace(start, stop, pieces + 1))
    return [(float(x + rx * np.cos(a)), float(y + ry * np.sin(a))) for a in angles]


def _plain(pieces: int) -> dict[str, list[Stroke]]:
    """The basic forms; `pieces`: straight pieces in an arc (few make an angular font)."""

    curve = partial(arc, pieces=pieces)

    return {
        "A": [[(0, 0), (0.35, 1), (0.7, 0)], [(0.126, 0.36), (0.574, 0.36)]],
        "B": [
            [(0, 0), (0, 1), (0.36, 1), *curve(0.36, 0.76, 0.24, 0.24, 90, -90), (0, 0.52)],
            [(0.38, 0.52), *curve(0.38, 0.26, 0.28, 0.26, 90, -90), (0, 0)],
        ],
        "C": [curve(0.38, 0.5, 0.38, 0.5, 48, 312)],
        "D": [[(0, 0), (0, 1), (0.22, 1), *curve(0.22, 0.5, 0.46, 0.5, 90, -90), (0, 0)]],
        "E": [[(0.6, 1), (0, 1), (0, 0), (0.6, 0)], [(0, 0.52), (0.46, 0.52)]],
        "F": [[(0.6, 1), (0, 1), (0, 0)], [(0, 0.52), (0.46, 0.52)]],
        "G": [[*curve(0.38, 0.5, 0.38, 0.5, 48, 325), (0.69, 0.42), (0.42, 0.42)]],
        "H": [[(0, 0), (0, 1)], [(0.62, 0), (0.62, 1)], [(0, 0.52), (0.62, 0.52)]],
        "I": [[(0.3, 0), (0.3, 1)]],
        "J": [[(0.5, 1), (0.5, 0.26), *curve(0.25, 0.26, 0.25, 0.26, 0, -180)]],
        "K": [[(0, 0), (0, 1)], [(0.58, 1), (0, 0.4)], [(0.2, 0.6), (0.6, 0)]],
        "L": [[(0, 1), (0, 0), (0.56, 0)]],
        "M": [[(0, 0), (0.06, 1), (0.4, 0.2), (0.74, 1), (0.8, 0)]],
        "N": [[(0, 0), (0, 1), (0.62, 0), (0.62, 1)]],
        "O": [curve(0.39, 0.5, 0.39, 0.5, 90, 450)],
        "P": [[(0, 0), (0, 1), (0.36, 1), *curve(0.36, 0.74, 0.26, 0.26, 90, -90), (0, 0.48)]],
        "Q": [curve(0.39, 0.5, 0.39, 0.5, 90, 450), [(0.44, 0.3), (0.76, -0.06)]],
        "R": [
            [(0, 0), (0, 1), (0.36, 1), *curve(0.36, 0.75, 0.25, 0.25, 90, -90), (0, 0.5)],
            [(0.3, 0.5), (0.62, 0)],
        ],
        "S": [
            [*curve(0.32, 0.755, 0.3, 0.245, 35, 260), *curve(0.32, 0.265, 0.32, 0.265, 80, -150)]
        ],
        "T": [[(0, 1), (0.68, 1)], [(0.34, 1), (0.34, 0)]],
        "U": [[(0, 1), (0, 0.31), *curve(0.31, 0.31, 0.31, 0.31, 180, 360), (0.62, 1)]],
        "V": [[(0, 1), (0.34, 0), (0.68, 1)]],
        "W": [[(0, 1), (0.22, 0), (0.45, 0.9), (0.68, 0), (0.9, 1)]],
        "X": [[(0, 0), (0.64, 1)], [(0, 1), (0.64, 0)]],
        "Y": [[(0, 1), (0.33, 0.46), (0.66, 1)], [(0.33, 0.46), (0.33, 0)]],
        "Z": [[(0, 1), (0.62, 1), (0, 0), (0.62, 0)]],
    }


def _schoolbook() -> dict[str, list[Stroke]]:
    """Other forms of some letters, as written by hand with a pen that is rarely lifted."""
    return {
        "A": [[(0, 0), *arc(0.33, 0.66, 0.33, 0.34, 180, 0), (0.66, 0)], [(0, 0.42), (0.66, 0.42)]],
        "E": [[*arc(0.36, 0.755, 0.32, 0.245, 40, 265), *arc(0.36, 0.265, 0.36, 0.265, 95, 320)]],
        "G": [[*arc(0.38, 0.5, 0.38, 0.5, 50, 330)], [(0.44, 0.4), (0.72, 0.4), (0.72, 0)]],
        "I": [[(0.1, 1), (0.5, 1)], [(0.3, 1), (0.3, 0)], [(0.1, 0), (0.5, 0)]],
        "J": [
            [(0.2, 1), (0.62, 1)],
            [(0.46, 1), (0.46, 0.24), *arc(0.23, 0.24, 0.23, 0.24, 0, -170)],
        ],
        "K": [[(0, 0), (0, 1)], [(0.56, 1), (0.06, 0.5), (0.6, 0)]],
        "M": [[(0, 0), (0, 1), (0.37, 0.4), (0.74, 1), (0.74, 0)]],
        "Q": [arc(0.39, 0.54, 0.37, 0.46, 250, 610), [(0.28, 0.1), (0.48, 0.14), (0.78, -0.04)]],
        "T": [[(0, 0.9), (0.06, 1), (0.62, 1), (0.68, 0.9)], [(0.34, 1), (0.34, 0)]],
        "U": [
            [(0, 1), (0, 0.3), *arc(0.29, 0.3, 0.29, 0.3, 180, 360), (0.58, 1)],
            [(0.58, 0.3), (0.6, 0.08), (0.7, 0)],
        ],
        "W": [
            [*arc(0.23, 0.32, 0.23, 0.32, 180, 360), (0.46, 0.8)],
            [(0, 1), (0, 0.32)],
            [*arc(0.69, 0.32, 0.23, 0.32, 180, 360), (0.92, 1)],
        ],
        "Y": [
            [(0, 1), *arc(0.28, 0.72, 0.28, 0.24, 180, 360), (0.56, 1)],
            [(0.56, 0.8), (0.56, 0.22), *arc(0.3, 0.22, 0.26, 0.22, 0, -140)],
        ],
        "Z": [[(0, 1), (0.62, 1), (0, 0), (0.62, 0)], [(0.12, 0.5), (0.5, 0.5)]],
    }


def _square() -> dict[str, list[Stroke]]:
    """Forms without curves."""
    hook: Stroke = [(0.6, 0.84), (0.46, 1), (0.14, 1), (0, 0.84), (0, 0.16), (0.14, 0)]
    ring: Stroke = [(0.16, 1), (0, 0.84), (0, 0.16), (0.16, 0), (0.5, 0), (0.66, 0.16)]
    ring += [(0.66, 0.84), (0.5, 1), (0.16, 1)]
    return {
        "C": [[*hook, (0.46, 0), (0.6, 0.16)]],
        "G": [[*hook, (0.6, 0), (0.6, 0.44), (0.34, 0.44)]],
        "J": [[(0.2, 1), (0.54, 1), (0.54, 0.16), (0.4, 0), (0.12, 0), (0, 0.16), (0, 0.3)]],
        "O": [ring],
        "Q": [ring, [(0.4, 0.3), (0.72, -0.06)]],
        "S": [[(0.6, 1), (0.0, 1), (0.0, 0.54), (0.6, 0.46), (0.6, 0), (0, 0)]],
        "U": [[(0, 1), (0, 0.16), (0.14, 0), (0.48, 0), (0.62, 0.16), (0.62, 1)]],
        "W": [[(0, 1), (0.06, 0), (0.42, 0.7), (0.78, 0), (0.84, 1)]],
    }


def rounded(stroke: Stroke, radius: float = 0.14, pieces: int = 6) -> Stroke:
    """Corners replaced by quadratic Bézier arcs that leave the lines at most `radius` away."""
    points = np.array(stroke, dtype=float)
    out = [points[0]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        start, stop = (
            corner + away * min(0.5, radius / max(float(np.linalg.norm(away)), 1e-9))
            for away in (before - corner, after - corner)
        )
        t = np.linspace(0, 1, pieces + 1)[:, None]
        out.extend((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * stop)
    out.append(points[-1])
    return [(float(x), float(y)) for x, y in out]


def _serifs(strokes: list[Stroke], half: float = 0.09) -> list[Stroke]:
    """Short level bars at the free ends of strokes that stop near the top or the bottom line."""
    ends = [(s[e], s[n]) for s in strokes if s[0] != s[-1] for e, n in ((0, 1), (-1, -2))]
    bars = []
    for (x, y), (before_x, before_y) in ends:
        upright = abs(before_y - y) > abs(before_x - x)
        if upright and (abs(y) < 0.02 or abs(y - 1) < 0.02):
            bars.append([(x - half, y), (x + half, y)])
    return strokes + bars


def _same(strokes: list[Stroke]) -> list[Stroke]:
    return strokes


def _round_all(strokes: list[Stroke]) -> list[Stroke]:
    return [rounded(s) for s in strokes]


@dataclass(frozen=True)
class Font:
    """slant: columns to the right per row up. width: of the letters, times the basic one."""

    name: str
    pieces: int = 24
    forms: dict[str, list[Stroke]] = field(default_factory=dict)
    finish: Callable[[list[Stroke]], list[Stroke]] = _same
    slant: float = 0.0
    width: float = 1.0

    def letter(self, letter: str) -> list[Stroke]:
        """Strokes of a capital. KeyError for anything else."""
        strokes = self.finish({**_plain(self.pieces), **self.forms}[letter])
        return [[((x + self.slant * y) * self.width, y) for x, y in s] for s in strokes]


FONTS = (
    Font("plain"),
    Font("schoolbook", forms=_schoolbook()),
    Font("angular", pieces=3, forms=_square()),
    Font("serif", finish=_serifs, width=1.1),
    Font(
        "soft", forms={k: v for k, v in _schoolbook().items() if k in "AKMTUYQ"}, finish=_round_all
    ),
    Font("slanted", forms={"E": _schoolbook()["E"]}, slant=0.22, width=0.85),
    Font("wide", finish=_round_all, width=1.35),
)


def resampled(stroke: Stroke, step: float = STEP) -> np.ndarray:
    """float64 [m, 2]: points along a stroke at most `step` apart, evenly spaced, ends included."""
    points = np.array(stroke, dtype=float)
    pieces = np.hypot(*np.diff(points, axis=0).T)
    points = points[np.concatenate([[True], pieces > 1e-9])]
    along = np.concatenate([[0.0], np.cumsum(pieces[pieces > 1e-9])])
    at = np.linspace(0, along[-1], int(np.ceil(along[-1] / step)) + 1)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], 1)


class Alphabet(NamedTuple):
    """All letters of some fonts, ready for compiled code.

    points: float64 [m, 2], (row, column) with rows downwards, each letter centred on the mean of
    its points. starts: uint8 [m], 1 where a stroke begins. bounds: int64 [fonts, 26, 2], each
    letter's range of points.
    """

    points: np.ndarray
    starts: np.ndarray
    bounds: np.ndarray


@lru_cache(maxsize=4)
def alphabet(names: tuple[str, ...]) -> Alphabet:
    """The letters of fonts; ValueError for no or unknown names."""
    known = {font.name: font for font in FONTS}
    if not names or any(name not in known for name in names):
        raise ValueError(f"fonts must be some of {', '.join(known)}, not {names!r}")
    points: list[np.ndarray] = []
    starts: list[Iterable[int]] = []
    bounds = np.empty((len(names), 26, 2), np.int64)
    total = 0
    for f, name in enumerate(names):
        for i, capital in enumerate(ascii_uppercase):
            strokes = [resampled(s)[:, ::-1] * (-1, 1) for s in known[name].letter(capital)]
            whole = np.vstack(strokes)
            points.append(whole - whole.mean(0))
            starts.extend([1] + [0] * (len(s) - 1) for s in strokes)
            bounds[f, i] = total, total + len(whole)
            total += len(whole)
    begins = np.concatenate([np.array(s, np.uint8) for s in starts])
    return Alphabet(np.vstack(points), begins, bounds)
