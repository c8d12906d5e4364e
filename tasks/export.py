"""Problems as files: a parquet data set with a card, and a picture to look at."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tasks.base import Batch, Difficulty, Task

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_CHUNK = 256  # problems made and written at a time


# --- parquet
# -----------------------------------------------------------------------------------------


def _array(shape: tuple[int, ...], dtype: str) -> Any:
    """The column type of an array of that shape."""
    import datasets

    if not shape:
        return datasets.Value(dtype)
    if len(shape) == 1:
        return datasets.List(datasets.Value(dtype), length=shape[0])
    return {2: datasets.Array2D, 3: datasets.Array3D}[len(shape)](shape=shape, dtype=dtype)


def _features(batch: Batch) -> datasets.Features:
    import datasets

    columns = {
        "index": datasets.Value("int64"),
        "inputs": _array(tuple(batch.inputs.shape[1:]), "float32"),
        "targets": _array(tuple(batch.targets.shape[1:]), "int64"),
    }
    if batch.mask is not None:
        columns["mask"] = _array(tuple(batch.mask.shape[1:]), "bool")
    return datasets.Features(columns)


def _table(batch: Batch, first: int, features: datasets.Features) -> pa.Table:
    import datasets

    columns = {"index": list(range(first, first + len(batch)))}
    for name in ("inputs", "targets", "mask"):
        if name in features:
            columns[name] = list(getattr(batch, name).numpy())
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
    features = _features(one)
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
    rows = [("index", "number of the problem", "int64", ())]
    rows += [("inputs", "what a network reads", "float32", one.inputs.shape[1:])]
    answer = f"right answer, 0 to {max(spec.outputs, 2) - 1}"
    rows += [("targets", answer, "int64", one.targets.shape[1:])]
    if one.mask is not None:
        rows += [("mask", "the sites that count", "bool", one.mask.shape[1:])]
    columns = [
        f"| `{name}` | {what} | {kind} {list(shape) or ''} |" for name, what, kind, shape in rows
    ]
    settings = "".join(f" --set {key}={value}" for key, value in options.items())
    kind = "image-segmentation" if spec.dense else "image-classification"
    lines = [
        "---",
        f"pretty_name: {spec.name}, {spec.difficulty_label} {difficulty}",
        *([f"task_categories: [{kind}]"] if spec.spatial_dims == 2 else []),
        "configs:",
        "- config_name: default",
        "  data_files:",
        f"  - split: {split}",
        f"    path: data/{split}-*.parquet",
        "---",
        "",
        f"# {spec.name}, {spec.difficulty_label} {difficulty}",
        "",
        about,
        "",
        (
            f"{count:,} {split} problems of {spec.difficulty_label} {difficulty}, seed {seed}. "
            f"The best constant answer is right on {spec.chance:.2%} of problems."
        ),
        "",
        "| column | what | type |",
        "|---|---|---|",
        *columns,
        "",
        "Made by, and the same again from:",
        "",
        (
            f"    python -m tasks export {spec.name} --difficulty {difficulty} --count {count}"
            f" --seed {seed} --split {split}{settings} --out DIR"
        ),
        "",
        "Read it with:",
        "",
        "```python",
        f'datasets.load_dataset("DIR", split="{split}").with_format("torch")',
        "```",
        "",
    ]
    return "\n".join(lines)


# --- pictures
# ----------------------------------------------------------------------------------------

_INK, _PAPER, _ANSWER = (25, 25, 30), (255, 255, 255), (0.0, 0.45, 0.70)
_CELL, _GAP, _TITLE = 224, 14, 22


def _enlarged(picture: Tensor, side: int) -> np.ndarray:
    """uint8 [H, W, 3] of float [3, h, w]: whole pixels, the longer side about `side`."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    times = max(1, side // max(pixels.shape[:2]))
    # A string is one row of pixels: made taller, or nobody would see it.
    tall = times * (8 if pixels.shape[0] == 1 else 1)
    return pixels.repeat(tall, 0).repeat(times, 1)


def _with_answer(picture: Tensor, target: Tensor) -> Tensor:
    """A picture [3, H, W] with the sites of a dense answer painted; the picture may have more
    pixels a site."""
    marks = (target if target.dim() == 2 else target[None]) != 0
    for axis in (0, 1):
        marks = marks.repeat_interleave(picture.shape[1 + axis] // marks.shape[axis], axis)
    colour = torch.tensor(_ANSWER).view(3, 1, 1)
    return torch.where(marks, 0.35 * picture + 0.65 * colour, picture)


def preview(
    task: Task,
    difficulty: Difficulty,
    out: Path,
    *,
    count: int = 8,
    seed: int = 0,
    split: str = "train",
) -> None:
    """Draw the first problems of a split with their answers into an image file.

    A dense answer is painted over a second copy of the problem; any other is in its title.
    ValueError for whatever the task can't do, and for a file name that no image format has.
    """
    from PIL import Image, ImageDraw, ImageFont

    batch = task.sample(difficulty, count, seed, split)
    pictures = task.picture(batch.inputs)
    tiles = []
    for i in range(count):
        parts = [_enlarged(pictures[i], _CELL)]
        if task.spec.dense:
            parts.append(_enlarged(_with_answer(pictures[i], batch.targets[i]), _CELL))
            title = f"problem {i} and its answer"
        else:
            title = f"problem {i}: answer {int(batch.targets[i])}"
        tiles.append((title, parts))
    height, width = tiles[0][1][0].shape[:2]
    stacked = width > 2 * height  # strings go below each other
    across = 1 if stacked else len(tiles[0][1])
    down = len(tiles[0][1]) if stacked else 1
    tile_width = across * width + (across - 1) * 4
    tile_height = _TITLE + down * height + (down - 1) * 4
    columns = max(1, min(count, 1200 // (tile_width + _GAP)))
    rows = -(-count // columns)
    page = Image.new(
        "RGB",
        (
            max(columns * (tile_width + _GAP) + _GAP, 420),
            rows * (tile_height + _GAP) + _GAP + _TITLE + 6,
        ),
        _PAPER,
    )
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    spec = task.spec
    heading = f"{spec.name}, {spec.difficulty_label} {difficulty}, {split}, seed {seed}"
    draw.text((_GAP, 8), heading, _INK, ImageFont.load_default(16))
    for i, (title, parts) in enumerate(tiles):
        x = _GAP + (i % columns) * (tile_width + _GAP)
        y = _TITLE + 6 + _GAP + (i // columns) * (tile_height + _GAP)
        draw.text((x, y), title, _INK, font)
        for j, part in enumerate(parts):
            at = (
                (x, y + _TITLE + j * (height + 4)) if stacked else (x + j * (width + 4), y + _TITLE)
            )
            page.paste(Image.fromarray(part), at)
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out)
