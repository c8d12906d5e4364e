"""Pictures of solved and unsolved problems, from the examples that a run stored."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

_RIGHT = (0, 114, 178)  # answer sites that belong there
_MISSING = (230, 159, 0)  # in the right answer, not in the network's
_EXTRA = (213, 0, 80)  # in the network's answer, not in the right one
ROW = 32  # sites of a string per row of its picture


@dataclass(frozen=True)
class Example:
    """One problem as the page shows it: data URIs, or words where the answer is a class."""

    level: str
    solved: bool
    problem: str
    right: str
    answer: str
    right_text: str = ""
    answer_text: str = ""
    wrong_sites: int | None = None
    string: bool = False


@dataclass(frozen=True)
class Thought:
    """One problem's answer as it forms: a strip of frames side by side, of equal size, as a data
    URI.

    iterations: of each frame. ratio: width of a frame over its height.
    """

    level: str
    strip: str
    iterations: list[int]
    ratio: float


def read_thoughts(path: Path, levels: Sequence[str]) -> list[Thought]:
    """The thought pictures of those levels that have any. ValueError if the file cannot be used."""
    try:
        with safe_open(path, framework="numpy") as file:
            keys = set(file.keys())
            out = []
            for level in levels:
                names = [
                    f"{level}.{part}" for part in ("picture", "thoughts", "thought_iterations")
                ]
                if set(names) <= keys:
                    out.append(_thought(level, *map(file.get_tensor, names)))
            return out
    except (SafetensorError, OSError, IndexError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"examples could not be read ({type(error).__name__})") from error


def _thought(
    level: str, pictures: np.ndarray, thoughts: np.ndarray, iterations: np.ndarray
) -> Thought:
    strip, ratio = film([pictures[0]] * len(thoughts), thoughts, iterations)
    return Thought(level, strip, [int(i) for i in iterations], ratio)


def film(
    pictures: Sequence[np.ndarray], answers: np.ndarray, iterations: np.ndarray
) -> tuple[str, float]:
    """(strip, ratio) as in `Thought`: each answer, 0..255 a site, over its picture. ValueError if
    they do not fit."""
    if len(answers) != len(iterations) or not 2 <= len(answers) <= 200:
        raise ValueError("frames and iterations differ in number")
    frames = []
    for picture, sure in zip(pictures, answers, strict=True):
        if sure.ndim == 1:
            picture, sure, _ = _wrap(picture, sure, sure)
        sure = _enlarge(sure, picture.shape[:2])
        if sure.shape != picture.shape[:2]:
            raise ValueError("picture and answer differ in size")
        weight = 0.85 * sure[..., None].astype(float) / 255
        frames.append(picture * (1 - weight) + np.array(_RIGHT) * weight)
    height, width = frames[0].shape[:2]
    return png_uri(np.concatenate(frames, 1).round().astype(np.uint8)), width / height


def read_examples(path: Path, levels: Sequence[str], per_level: int = 1) -> list[Example]:
    """Up to `per_level` solved and as many unsolved problems of each level, a level without any
    left out.

    Raises ValueError, in words for a reader, if the file cannot be used.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            keys = set(file.keys())
            facts = file.metadata() or {}
            dense = facts.get("dense") == "true"
            words = _answers(facts.get("answers", "[]"))
            out = []
            for level in levels:
                names = [f"{level}.{part}" for part in _PARTS]
                if set(names) <= keys:
                    out += _of_level(level, dense, words, per_level, *map(file.get_tensor, names))
            return out
    except (SafetensorError, OSError, IndexError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"examples could not be read ({type(error).__name__})") from error


_PARTS = ("picture", "targets", "predictions", "correct")


def _answers(stored: str) -> list[str]:
    """The task's words for its classes; none where they were not recorded as a list."""
    words = json.loads(stored)
    return [str(word) for word in words] if isinstance(words, list) else []


def _class(number: int, words: list[str]) -> str:
    return words[number] if 0 <= number < len(words) else f"class {number}"


def _of_level(
    level: str,
    dense: bool,
    words: list[str],
    per_level: int,
    pictures: np.ndarray,
    targets: np.ndarray,
    predictions: np.ndarray,
    correct: np.ndarray,
) -> list[Example]:
    solved = correct.astype(bool)
    chosen = [*np.flatnonzero(solved)[:per_level], *np.flatnonzero(~solved)[:per_level]]
    made = []
    for i in chosen:
        picture, target, answer = pictures[i], targets[i], predictions[i]
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError("a picture is not [H, W, 3]")
        if dense:
            made.append(_dense(level, bool(solved[i]), picture, target, answer))
        else:
            made.append(
                Example(
                    level,
                    bool(solved[i]),
                    png_uri(picture),
                    "",
                    "",
                    right_text=_class(int(target), words),
                    answer_text=_class(int(answer), words),
                )
            )
    return made


def _dense(
    level: str, solved: bool, picture: np.ndarray, target: np.ndarray, answer: np.ndarray
) -> Example:
    string = target.ndim == 1
    if string:
        picture, target, answer = _wrap(picture, target, answer)
    sites_wrong = int((target != answer).sum())
    target, answer = (_enlarge(part, picture.shape[:2]) for part in (target, answer))
    if target.shape != picture.shape[:2] or answer.shape != target.shape:
        raise ValueError("picture and answer differ in size")
    wrong = target != answer
    right = _paint(picture, [(target != 0, _RIGHT)])
    given = [
        ((answer != 0) & ~wrong, _RIGHT),
        (wrong & (answer == 0), _MISSING),
        (wrong & (answer != 0), _EXTRA),
    ]
    shown = _paint(picture, given)
    return Example(
        level,
        solved,
        png_uri(picture),
        png_uri(right),
        png_uri(shown),
        wrong_sites=sites_wrong,
        string=string,
    )


def _enlarge(sites: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An answer on a coarser grid than its picture (a board's squares), as large as the picture."""
    scale = max(shape[0] // sites.shape[0], 1)
    return sites.repeat(scale, 0).repeat(scale, 1)


def _wrap(
    picture: np.ndarray, target: np.ndarray, answer: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A string as rows of at most `ROW` sites; the rest of the last row is grey and empty."""
    sites = len(target)
    width = min(sites, ROW)
    rows = -(-sites // width)
    # Bits as dark and pale greys: pure black and white would hide the marks of the answer.
    pixels = np.full((rows * width, 3), 128, np.uint8)
    pixels[:sites] = 70 + picture[0, :sites] // 255 * 165 if picture.shape[0] == 1 else 128

    def fold(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros(rows * width - sites, values.dtype)]).reshape(
            rows, width
        )

    return pixels.reshape(rows, width, 3), fold(target), fold(answer)


def _paint(
    picture: np.ndarray, layers: list[tuple[np.ndarray, tuple[int, int, int]]]
) -> np.ndarray:
    out = picture.astype(float)
    for where, colour in layers:
        # A little of the picture stays, so that end points can be seen beneath the answer.
        out[where] = 0.2 * out[where] + 0.8 * np.array(colour)
    return out.round().astype(np.uint8)


def png_uri(pixels: np.ndarray) -> str:
    """Pixels [H, W, 3], 0..255, as a PNG in a data URI."""
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    image = Image.fromarray(pixels)
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    if len(colours) <= 256:  # the same picture in a byte a pixel and less
        image = Image.fromarray(places.reshape(pixels.shape[:2]).astype(np.uint8), "P")
        image.putpalette(colours.tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
