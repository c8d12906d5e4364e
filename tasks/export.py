"""Problems as files: a parquet data set with a card, and a picture to look at."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from tasks.base import Batch, Difficulty, Task

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from PIL import Image

_CHUNK = 256  # problems made and written at a time


# --- parquet ---


def _array(shape: tuple[int, ...], dtype: str) -> Any:
    """The column type of an array of that shape."""
    import datasets

    if not shape:
        return datasets.Value(dtype)
    if len(shape) == 1:
        return datasets.List(datasets.Value(dtype), length=shape[0])
    return {2: datasets.Array2D, 3: datasets.Array3D}[len(shape)](shape=shape, dtype=dtype)


#: The parts of a problem: their type and what they are.
_PARTS = {
    "inputs": ("float32", "what a network reads"),
    "targets": ("int64", "right answer, 0 to {most}"),
    "mask": ("bool", "the sites that count"),
}


def _shapes(batch: Batch) -> dict[str, tuple[int, ...]]:
    """The shape of one problem's parts, those that the task has."""
    parts = {name: getattr(batch, name) for name in _PARTS}
    return {name: tuple(part.shape[1:]) for name, part in parts.items() if part is not None}


def features_of(batch: Batch) -> datasets.Features:
    """The columns of problems as those of a batch, by name, with their types and shapes."""
    import datasets

    columns = {name: _array(shape, _PARTS[name][0]) for name, shape in _shapes(batch).items()}
    return datasets.Features({"index": datasets.Value("int64")} | columns)


def _table(batch: Batch, first: int, features: datasets.Features) -> pa.Table:
    import datasets

    columns = {"index": list(range(first, first + len(batch)))}
    columns |= {name: list(getattr(batch, name).numpy()) for name in _shapes(batch)}
    made = datasets.Dataset.from_dict(columns, features=features)
    return made.with_format("arrow")[:]


def export(
    task: Task,
    difficulty: Difficulty,
    count: int,
    out: Path,
    *,
    seed: int = 0,
    split: str = "train",
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write the first `count` problems of a split to a folder that `datasets.load_dataset` reads.

    The folder holds data/SPLIT-00000-of-00001.parquet and a card, README.md. Columns: index,
    inputs, targets and, where the task has one, mask, shaped as in a `Batch`. options: those the
    task was loaded with, for the card. Returns the parquet file. ValueError if the folder is not
    empty, and for whatever the task can't do.
    """
    import pyarrow.parquet as pq

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder")
    if count < 1:
        raise ValueError(f"count must be an integer of at least 1, not {count}")
    one = task.sample(difficulty, 1, seed, split)
    task.check_count(difficulty, split, count)
    features = features_of(one)
    path = out / "data" / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, features.arrow_schema, compression="zstd") as writer:
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count)
            batch = task.sample(difficulty, seed=seed, split=split, indices=np.arange(first, last))
            writer.write_table(_table(batch, first, features).cast(features.arrow_schema))
    card = _card(task, difficulty, count, seed, split, options or {}, one)
    (out / "README.md").write_text(card, encoding="utf-8")
    return path


def _card(
    task: Task,
    difficulty: Difficulty,
    count: int,
    seed: int,
    split: str,
    options: Mapping[str, Any],
    one: Batch,
) -> str:
    """The data card: what is in it and how it was made."""
    spec = task.spec
    about = textwrap.dedent(" " * 4 + (type(task).__doc__ or "").strip()).strip()
    columns = "\n".join(
        f"| `{name}` | {what.format(most=max(spec.outputs, 2) - 1)} | {dtype} {list(shape) or ''} |"
        for name, shape in _shapes(one).items()
        for dtype, what in [_PARTS[name]]
    )
    settings = "".join(f" --set {key}={value}" for key, value in options.items())
    kind = "image-segmentation" if spec.dense else "image-classification"
    categories = f"task_categories: [{kind}]\n" if spec.spatial_dims == 2 else ""
    level = f"{spec.difficulty_label} {difficulty}"
    return f"""\
---
pretty_name: {spec.name}, {level}
{categories}configs:
- config_name: default
  data_files:
  - split: {split}
    path: data/{split}-*.parquet
---

# {spec.name}, {level}

{about}

{count:,} {split} problems of {level}, seed {seed}. The best constant answer is right on \
{spec.chance:.2%} of problems.

| column | what | type |
|---|---|---|
| `index` | number of the problem | int64  |
{columns}

Made by, and the same again from:

    python -m tasks export {spec.name} --difficulty {difficulty} --count {count} --seed {seed} \
--split {split}{settings} --out DIR

Read it with:

```python
datasets.load_dataset("DIR", split="{split}").with_format("torch")
```
"""


# --- pictures ---

_INK, _PAPER, _ANSWER = (25, 25, 30), (255, 255, 255), (0.0, 0.45, 0.70)
_CELL, _GAP, _TITLE = 224, 14, 22


def _enlarged(picture: Tensor) -> np.ndarray:
    """uint8 [H, W, 3] of float [3, h, w]: whole pixels, the longer side about `_CELL`."""
    pixels = rearrange((picture.clamp(0, 1) * 255).round().to(torch.uint8), "c h w -> h w c")
    wide = max(1, _CELL // max(pixels.shape[:2]))
    # A string is one row of pixels: made taller, or nobody would see it.
    tall = wide * (8 if pixels.shape[0] == 1 else 1)
    return repeat(pixels.numpy(), "h w c -> (h tall) (w wide) c", tall=tall, wide=wide)


def _with_answer(picture: Tensor, target: Tensor) -> Tensor:
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
            both = [picture, _with_answer(picture, target)]
            tiles.append((f"{name} and its answer", [_enlarged(part) for part in both]))
        else:
            tiles.append((f"{name}: answer {int(target)}", [_enlarged(picture)]))
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
