"""Pictures of solved and unsolved problems, from the examples that a run stored."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

RIGHT = (0, 114, 178)  # answer sites that belong there
_MISSING = (230, 159, 0)  # in the right answer, not in the network's
_EXTRA = (213, 0, 80)  # in the network's answer, not in the right one
ROW = 32  # sites of a string per row of its picture
_PARTS = ("picture", "targets", "predictions", "correct")


@dataclass(frozen=True)
class Example:
    """One problem as the page shows it: data URIs, or words where the answer is a class."""

    level: float
    solved: bool
    problem: str
    right: str = ""
    answer: str = ""
    right_text: str = ""
    answer_text: str = ""
    wrong_sites: int | None = None
    string: bool = False


class PictureFile:
    """An open file of tensors that are named `LEVEL.PART`."""

    def __init__(self, file: Any) -> None:
        self._file, self._keys = file, set(file.keys())
        self.metadata: dict[str, str] = file.metadata() or {}

    def parts(self, level: str, names: Sequence[str]) -> list[np.ndarray]:
        """Those parts of a level; none unless all are there."""
        keys = [f"{level}.{name}" for name in names]
        return [self._file.get_tensor(key) for key in keys] if set(keys) <= self._keys else []


@contextmanager
def open_pictures(path: Path, what: str) -> Iterator[PictureFile]:
    """Raises ValueError, in words for a reader, if the file, or what is made of it, cannot be
    used."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield PictureFile(file)
    except (SafetensorError, OSError, IndexError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{what} could not be read ({type(error).__name__})") from error


def read_examples(path: Path, levels: Sequence[float], per_level: int = 1) -> list[Example]:
    """Up to `per_level` solved and as many unsolved problems of each level, a level without any
    left out. Raises ValueError as `open_pictures`."""
    found = []
    with open_pictures(path, "examples") as file:
        dense = file.metadata.get("dense") == "true"
        classes = _classes(file.metadata.get("answers", "[]"))
        for level in levels:
            parts = file.parts(f"{level:g}", _PARTS)
            solved = parts[-1].astype(bool) if parts else np.zeros(0, bool)
            shown = [*np.flatnonzero(solved)[:per_level], *np.flatnonzero(~solved)[:per_level]]
            for i in shown:
                picture, target, answer = (part[i] for part in parts[:3])
                if picture.ndim != 3 or picture.shape[2] != 3:
                    raise ValueError("a picture is not [H, W, 3]")
                if dense:
                    found.append(_dense(level, bool(solved[i]), picture, target, answer))
                else:
                    right, given = classes(int(target)), classes(int(answer))
                    found.append(
                        Example(
                            level,
                            bool(solved[i]),
                            png_uri(picture),
                            right_text=right,
                            answer_text=given,
                        )
                    )
    return found


def _classes(stored: str) -> Callable[[int], str]:
    """The task's words for its classes; their numbers where they were not recorded as a list."""
    words = json.loads(stored)
    words = [str(word) for word in words] if isinstance(words, list) else []
    return lambda i: words[i] if 0 <= i < len(words) else f"class {i}"


def _dense(
    level: float, solved: bool, picture: np.ndarray, target: np.ndarray, answer: np.ndarray
) -> Example:
    string = target.ndim == 1
    wrong_sites = int((target != answer).sum())
    if string:
        picture, target, answer = fold(picture, target, answer)
    target, answer = (enlarge(part, picture.shape[:2]) for part in (target, answer))
    if target.shape != picture.shape[:2] or answer.shape != target.shape:
        raise ValueError("picture and answer differ in size")
    wrong = target != answer
    right = _paint(picture, [(target != 0, RIGHT)])
    missing, extra = wrong & (answer == 0), wrong & (answer != 0)
    layers = [((answer != 0) & ~wrong, RIGHT), (missing, _MISSING), (extra, _EXTRA)]
    images = [png_uri(image) for image in (picture, right, _paint(picture, layers))]
    return Example(level, solved, images[0], images[1], images[2], "", "", wrong_sites, string)


def enlarge(sites: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An answer on a coarser grid than its picture (a board's squares), as large as the picture."""
    scale = max(shape[0] // sites.shape[0], 1)
    return sites.repeat(scale, 0).repeat(scale, 1)


def fold(picture: np.ndarray, *answers: np.ndarray) -> list[np.ndarray]:
    """A string as rows of at most `ROW` sites; the rest of the last row is grey and empty."""
    sites = len(answers[0])
    width = min(sites, ROW)
    rows = -(-sites // width)
    # Bits as dark and pale greys: pure black and white would hide the marks of the answer.
    pixels = np.full((rows * width, 3), 128, np.uint8)
    pixels[:sites] = 70 + picture[0, :sites] // 255 * 165 if picture.shape[0] == 1 else 128
    empty = rows * width - sites
    folded = [np.pad(values, (0, empty)).reshape(rows, width) for values in answers]
    return [pixels.reshape(rows, width, 3), *folded]


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
