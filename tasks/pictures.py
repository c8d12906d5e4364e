"""Problems as pictures for people to look at, with their answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from tasks.base import Batch, Difficulty, Task

if TYPE_CHECKING:
    from PIL import Image

_INK, _PAPER, _ANSWER = (25, 25, 30), (255, 255, 255), (0.0, 0.45, 0.70)
_CELL, _GAP, _TITLE = 224, 14, 22


def enlarged(picture: Tensor) -> np.ndarray:
    """uint8 [H, W, 3] of float [3, h, w]: whole pixels, the longer side about `_CELL`."""
    pixels = rearrange((picture.clamp(0, 1) * 255).round().to(torch.uint8), "c h w -> h w c")
    wide = max(1, _CELL // max(pixels.shape[:2]))
    # A string is one row of pixels: made taller, or nobody would see it.
    tall = wide * (8 if pixels.shape[0] == 1 else 1)
    return repeat(pixels.numpy(), "h w c -> (h tall) (w wide) c", tall=tall, wide=wide)


def with_answer(picture: Tensor, target: Tensor) -> Tensor:
    """A picture [3, H, W] with the sites of a dense answer painted; the picture may have more
    pixels a site."""
    marks = (target if target.dim() == 2 else target[None]) != 0
    tall, wide = picture.shape[1] // marks.shape[0], picture.shape[2] // marks.shape[1]
    marks = repeat(marks, "h w -> (h tall) (w wide)", tall=tall, wide=wide)
    colour = torch.tensor(_ANSWER).view(3, 1, 1)
    return torch.where(marks, 0.35 * picture + 0.65 * colour, picture)


def _tiles(task: Task, batch: Batch, names: list[str]) -> list[tuple[str, list[np.ndarray]]]:
    """Each problem's title, and its picture with, if its answer is dense, a second one of that."""
    tiles = []
    for name, picture, target in zip(names, task.picture(batch.inputs), batch.targets, strict=True):
        if task.spec.dense:
            both = [picture, with_answer(picture, target)]
            tiles.append((f"{name} and its answer", [enlarged(part) for part in both]))
        else:
            tiles.append((f"{name}: answer {int(target)}", [enlarged(picture)]))
    return tiles


def _page(heading: str, tiles: list[tuple[str, list[np.ndarray]]]) -> Image.Image:
    """Titled tiles of one size in rows under a heading."""
    from PIL import Image, ImageDraw, ImageFont

    parts = len(tiles[0][1])
    height, width = tiles[0][1][0].shape[:2]
    stacked = width > 2 * height  # strings go below each other
    step_x, step_y = (0, height + 4) if stacked else (width + 4, 0)
    tile_width, tile_height = (parts - 1) * step_x + width, (parts - 1) * step_y + height + _TITLE
    columns = max(1, min(len(tiles), 1200 // (tile_width + _GAP)))
    rows = -(-len(tiles) // columns)
    size = (
        max(columns * (tile_width + _GAP) + _GAP, 420),
        rows * (tile_height + _GAP) + _GAP + _TITLE + 6,
    )
    page = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    draw.text((_GAP, 8), heading, _INK, ImageFont.load_default(16))
    for i, (title, pictures) in enumerate(tiles):
        x = _GAP + (i % columns) * (tile_width + _GAP)
        y = _TITLE + 6 + _GAP + (i // columns) * (tile_height + _GAP)
        draw.text((x, y), title, _INK, font)
        for j, part in enumerate(pictures):
            page.paste(Image.fromarray(part), (x + j * step_x, y + _TITLE + j * step_y))
    return page


def preview(
    task: Task,
    difficulty: Difficulty,
    out: Path,
    *,
    count: int = 8,
    seed: int = 0,
    split: str = "train",
    axes: bool = False,
) -> None:
    """Draw the first problems of a split with their answers into an image file.

    A dense answer is painted over a second copy of the problem; any other is in its title. axes:
    the first `count` problems of each axis of the task, titled by its name. ValueError
    for whatever the task can't do, and for a file name that no image format has.
    """
    if axes and not task.axes():
        raise ValueError(f"{task.spec.name} names no axes but its {task.spec.difficulty_label}")
    if axes:
        kinds = {name: type(task)(**options) for name, options in task.axes().items()}
    else:
        kinds = {"problem": task}
    tiles = []
    for name, kind in kinds.items():
        batch = kind.sample(difficulty, count, seed, split)
        names = [f"{name} {n}" if count > 1 or not axes else name for n in range(count)]
        tiles += _tiles(kind, batch, names)
    level = f"{task.spec.difficulty_label} {difficulty}"
    page = _page(f"{task.spec.name}, {level}, {split}, seed {seed}", tiles)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out)
