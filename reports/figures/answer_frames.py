"""Answer frames: one problem's answer as it forms, undisturbed and after perturbations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.figures.examples import RIGHT, enlarge, fold, open_pictures, png_uri
from reports.figures.recovery import PERTURBATIONS
from reports.read.formats import plural
from reports.read.sections import Section

_PARTS = ("frames", "iterations", "correct", "struck")  # as stored


@dataclass(frozen=True)
class AnswerFrames:
    """A strip of frames side by side, of equal size, as a data URI.

    iterations: of each frame. ratio: width of a frame over its height.
    """

    level: float
    strip: str
    iterations: list[int]
    ratio: float


@dataclass(frozen=True)
class PerturbedFrames(AnswerFrames):
    """Frames before and after a perturbation. first_after: the place of the first frame after it.
    outcome: what became of the answer; event: what "n iterations after" follows."""

    title: str
    outcome: str
    event: str
    first_after: int


def read_frames(path: Path, levels: Sequence[float]) -> list[AnswerFrames]:
    """Those of the levels that have any. ValueError if the file cannot be used."""
    found = []
    with open_pictures(path, "examples") as file:
        for level in levels:
            parts = file.parts(f"{level:g}", ("picture", "thoughts", "thought_iterations"))
            if parts:
                pictures, answers, iterations = parts
                found.append(_strip(level, [pictures[0]] * len(answers), answers, iterations))
    return found


def read_first(path: Path, level: float) -> AnswerFrames | None:
    """The answer to the first test problem of a level, which is the same for every network; None
    where none is stored. ValueError if the file cannot be used."""
    with open_pictures(path, "examples") as file:
        parts = file.parts(f"{level:g}.first", ("picture", "thoughts", "thought_iterations"))
        if not parts:
            return None
        pictures, answers, iterations = parts
        return _strip(level, [pictures[0]] * len(answers), answers, iterations)


def _strip(
    level: float, pictures: Sequence[np.ndarray], answers: np.ndarray, iterations: np.ndarray
) -> AnswerFrames:
    """Each answer, 0..255 a site, over its picture. ValueError if they do not fit."""
    if len(answers) != len(iterations) or not 1 <= len(answers) <= 200:
        raise ValueError("frames and iterations differ in number")
    frames = []
    for picture, sure in zip(pictures, answers, strict=True):
        if sure.ndim == 1:
            picture, sure = fold(picture, sure)
        sure = enlarge(sure, picture.shape[:2])
        if sure.shape != picture.shape[:2]:
            raise ValueError("picture and answer differ in size")
        weight = 0.85 * sure[..., None].astype(float) / 255
        frames.append(picture * (1 - weight) + np.array(RIGHT) * weight)
    height, width = frames[0].shape[:2]
    image = png_uri(np.concatenate(frames, 1).round().astype(np.uint8))
    return AnswerFrames(level, image, [int(i) for i in iterations], width / height)


def read_perturbed(path: Path, levels: Sequence[float], section: Section) -> list[PerturbedFrames]:
    """Frames of each perturbation that a run stored any of: of the hardest of the difficulties at
    which the answer was right before it, else of the easiest. ValueError, in words for a reader, if
    the file cannot be used."""
    made = []
    with open_pictures(path, "frames after perturbations") as file:
        for name in PERTURBATIONS:
            best: tuple[float, list[np.ndarray]] | None = None
            for level in sorted(levels):
                parts = file.parts(f"{level:g}.blow.{name}", _PARTS)
                if not parts or not file.parts(f"{level:g}", ("picture",)):
                    continue
                _, iterations, correct, (first_after, *_) = parts
                if not 1 <= first_after < len(correct) == len(iterations):
                    raise ValueError("frames and iterations differ in number")
                if best is None or correct[first_after - 1]:
                    best = level, parts
            if best is not None:
                level, parts = best
                (before,) = file.parts(f"{level:g}", ("picture",))
                after = file.parts(f"{level:g}.blow.{name}", ("picture",))
                pictures = before[0], after[0] if after else before[0]
                made.append(_perturbed(section.place(level), name, level, parts, pictures))
    return made


def _perturbed(
    place: str, name: str, level: float, parts: Sequence[np.ndarray], problems: Sequence[np.ndarray]
) -> PerturbedFrames:
    answers, stored_iterations, correct, (first, *_) = parts
    first_after = int(first)
    before, after = problems
    pictures = [before] * first_after + [after] * (len(answers) - first_after)
    strip = _strip(level, pictures, answers, stored_iterations)
    title, event = PERTURBATIONS[name]
    moment = plural(strip.iterations[first_after - 1], "iteration")
    return PerturbedFrames(
        **vars(strip),
        title=f"{place}: {title}, after {moment}",
        outcome=outcome(strip.iterations, [bool(c) for c in correct], first_after),
        event=event,
        first_after=first_after,
    )


def outcome(iterations: Sequence[int], right: Sequence[bool], first_after: int) -> str:
    """What became of the answer, as far as the frames tell: right before the perturbation or not,
    and when again."""
    was_right = right[first_after - 1]
    before = "Right before" if was_right else "Not right before"
    after = range(first_after, len(right))
    if not any(right[first_after:]):
        since = plural(iterations[-1] - iterations[first_after], "iteration")
        return f"{before}, not right in the {since} after."
    lasting = [i for i in after if all(right[i:])]
    if not lasting:
        return f"{before}, right for a while after, not at the end."
    again = iterations[lasting[0]] - iterations[first_after]
    if again == 0:
        return f"{before}, and right from there on."
    word = "right again" if was_right else "right"
    return f"{before}, {word} by iteration {again} after it and from then on."
