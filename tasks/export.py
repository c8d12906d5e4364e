"""Problems as files: a parquet data set with a card, or files as a published data set has them."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.pictures import enlarged, with_answer

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_CHUNK = 256  # problems made and written at a time


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


def _classes(spec: TaskSpec) -> datasets.ClassLabel:
    """The column type of answers that are one class, with words for them where the task has any."""
    import datasets

    count = max(spec.outputs, 2)
    names = spec.answers if len(set(spec.answers)) == count else map(str, range(count))
    return datasets.ClassLabel(names=list(names))


def _features(task: Task, batch: Batch, pictures: bool) -> datasets.Features:
    """The columns of an export: the parts of a problem, and pictures for a viewer."""
    import datasets

    columns = dict(features_of(batch))
    if not task.spec.dense:
        columns["targets"] = _classes(task.spec)
    shown = ("image", *(["answer"] if task.spec.dense else [])) if pictures else ()
    images = {name: datasets.Image() for name in shown}
    return datasets.Features({"index": columns.pop("index")} | images | columns)


def _png(pixels: np.ndarray) -> dict[str, Any]:
    """A picture, uint8 [h, w, 3], as the hub's libraries keep one."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return {"bytes": file.getvalue(), "path": None}


def _table(task: Task, batch: Batch, first: int, features: datasets.Features) -> pa.Table:
    import datasets

    columns: dict[str, Any] = {"index": list(range(first, first + len(batch)))}
    if "image" in features:
        pictures = task.picture(batch.inputs)
        columns["image"] = [_png(enlarged(picture)) for picture in pictures]
        if "answer" in features:
            both = zip(pictures, batch.targets, strict=True)
            columns["answer"] = [_png(enlarged(with_answer(*one))) for one in both]
    columns |= {name: list(getattr(batch, name).numpy()) for name in _shapes(batch)}
    made = datasets.Dataset.from_dict(columns, features=features)
    return made.with_format("arrow")[:]


class Part(NamedTuple):
    """The first problems of a split of a difficulty, in a configuration of that name."""

    config: str
    difficulty: Difficulty
    split: str
    problems: int


def _several(given: Any) -> list[Any]:
    return [given] if isinstance(given, (str, int, np.integer)) else list(given)


def _parts(
    task: Task,
    difficulty: Difficulty | Sequence[Difficulty],
    count: int | Sequence[int],
    split: str | Sequence[str],
    seed: int,
) -> list[Part]:
    """Every split of every difficulty; ValueError for what makes no sense or is not there."""
    difficulties, counts, splits = _several(difficulty), _several(count), _several(split)
    for name, given in (("difficulty", difficulties), ("split", splits)):
        if len(set(given)) != len(given):
            raise ValueError(f"each {name} can be given once, not {', '.join(map(str, given))}")
    if len(counts) not in (1, len(splits)):
        raise ValueError(
            f"count must be one number or one for each split, {len(splits)}, not {len(counts)}"
        )
    parts = []
    for level in difficulties:
        words = f"{task.spec.difficulty_label} {level}".replace("%", " percent")
        config = re.sub(r"[^A-Za-z0-9._-]+", "_", words)
        for each, number in zip(splits, counts * (len(splits) // len(counts)), strict=True):
            if number < 1:
                raise ValueError(f"count must be an integer of at least 1, not {number}")
            task.sample(level, 1, seed, each)
            task.check_count(level, each, number)
            parts.append(Part(config, level, each, number))
    return parts


def export(
    task: Task,
    difficulty: Difficulty | Sequence[Difficulty],
    count: int | Sequence[int],
    out: Path,
    *,
    seed: int = 0,
    split: str | Sequence[str] = "train",
    options: Mapping[str, Any] | None = None,
    pictures: bool = True,
) -> list[Path]:
    """Write the first `count` problems of splits to a folder that `datasets.load_dataset` reads.

    A difficulty is a configuration: data/CONFIG/SPLIT-00000-of-00001.parquet, and a card,
    README.md. Columns: index; with `pictures`, image and, for dense tasks, answer (the image with
    the answer painted over), enlarged for looking at; inputs, targets (a `ClassLabel` unless dense)
    and, where the task has one, mask, shaped as in a `Batch`. count: one for all splits, or one for
    each. options: those the task was loaded with, for the card. Returns the parquet files.
    ValueError if the folder is not empty, and for whatever the task can't do.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder")
    parts = _parts(task, difficulty, count, split, seed)
    paths = [out / "data" / p.config / f"{p.split}-00000-of-00001.parquet" for p in parts]
    for path, part in zip(paths, parts, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_parquet(path, task, part, seed, pictures)
    card = _card(task, parts, seed, options or {}, pictures)
    (out / "README.md").write_text(card, encoding="utf-8")
    return paths


def _write_parquet(path: Path, task: Task, part: Part, seed: int, pictures: bool) -> None:
    import pyarrow.parquet as pq

    features = _features(task, task.sample(part.difficulty, 1, seed, part.split), pictures)
    with pq.ParquetWriter(path, features.arrow_schema, compression="zstd") as writer:
        for first in range(0, part.problems, _CHUNK):
            numbers = np.arange(first, min(first + _CHUNK, part.problems))
            batch = task.sample(part.difficulty, seed=seed, split=part.split, indices=numbers)
            table = _table(task, batch, first, features)
            writer.write_table(table.cast(features.arrow_schema))


def write_layout(
    task: Task,
    layout: str,
    difficulty: Difficulty | Sequence[Difficulty],
    count: int | Sequence[int],
    out: Path,
    *,
    seed: int = 0,
    split: str | Sequence[str] = "train",
) -> list[Path]:
    """Write problems as the files of a published data set, one of `task.layouts`, below a folder
    that may hold others. The rest as for `export`. Returns what was made. ValueError for a layout
    that the task has not, for files that are there already, and for whatever the task or the layout
    can't do."""
    if layout not in task.layouts:
        raise unknown_name(f"layout of {task.spec.name}", layout, task.layouts)
    write = task.layouts[layout]
    parts = _parts(task, difficulty, count, split, seed)
    return [write(task, p.difficulty, p.problems, out, seed=seed, split=p.split) for p in parts]


# --- the card ---


def _by_config(parts: Sequence[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.config, []).append(part)
    return groups


def _configs(parts: Sequence[Part]) -> str:
    """The list of files: the first configuration is what is loaded by default."""
    lines = ["configs:"]
    for number, (config, group) in enumerate(_by_config(parts).items()):
        lines.append(f"- config_name: {config}")
        lines += ["  default: true"] if number == 0 else []
        lines.append("  data_files:")
        for part in group:
            lines.append(f"  - split: {part.split}")
            lines.append(f"    path: data/{config}/{part.split}-*.parquet")
    return "\n".join(lines)


def _columns(task: Task, parts: Sequence[Part], seed: int, pictures: bool) -> list[str]:
    """Rows of the table of columns."""
    spec = task.spec
    shown = [("image", "the problem, enlarged for looking at")]
    shown += [("answer", "the same with its answer painted over")] if spec.dense else []
    rows = [f"| `{name}` | {what} | image |" for name, what in shown] if pictures else []
    one = task.sample(parts[0].difficulty, 1, seed, parts[0].split)
    alike = spec.size is not None or len(_by_config(parts)) == 1
    for name, shape in _shapes(one).items():
        dtype, what = _PARTS[name]
        kind = "ClassLabel" if name == "targets" and not spec.dense else dtype
        sides = f" {list(shape) if alike else 'by configuration'}" if shape else ""
        rows.append(f"| `{name}` | {what.format(most=max(spec.outputs, 2) - 1)} | {kind}{sides} |")
    return rows


def _command(
    task: Task, parts: Sequence[Part], seed: int, options: Mapping[str, Any], pictures: bool
) -> str:
    """The command that makes the same again."""

    def listing(values: Iterable[object]) -> str:
        return ",".join(dict.fromkeys(map(str, values)))

    counts = [part.problems for part in parts if part.config == parts[0].config]
    given = {
        "--difficulty": listing(part.difficulty for part in parts),
        "--count": ",".join(map(str, counts if len(set(counts)) > 1 else counts[:1])),
        "--seed": str(seed),
        "--split": listing(part.split for part in parts),
    }
    words = [f"{name} {value}" for name, value in given.items()]
    words += [f"--set {key}={value}" for key, value in options.items()]
    words += [] if pictures else ["--no-pictures"]
    return f"python -m tasks export {task.spec.name} {' '.join(words)} --out DIR"


def _card(
    task: Task, parts: Sequence[Part], seed: int, options: Mapping[str, Any], pictures: bool
) -> str:
    """The data card: what is in it and how it was made."""
    spec = task.spec
    about = textwrap.dedent(" " * 4 + (type(task).__doc__ or "").strip()).strip()
    kind = "image-segmentation" if spec.dense else "image-classification"
    categories = f"task_categories: [{kind}]\n" if spec.spatial_dims == 2 else ""
    levels = ", ".join(dict.fromkeys(str(part.difficulty) for part in parts))
    title = f"{spec.name}, {spec.difficulty_label} {levels}"
    rows = "\n".join(f"| `{part.config}` | {part.split} | {part.problems:,} |" for part in parts)
    columns = "\n".join(_columns(task, parts, seed, pictures))
    return f"""\
---
pretty_name: {title}
{categories}{_configs(parts)}
---

# {title}

{about}

Problems of seed {seed}. The best constant answer is right on {spec.chance:.2%} of them.

| configuration | split | problems |
|---|---|---|
{rows}

| column | what | type |
|---|---|---|
| `index` | number of the problem | int64 |
{columns}

Made by, and the same again from:

    {_command(task, parts, seed, options, pictures)}

Read it with:

```python
datasets.load_dataset("DIR", "{parts[0].config}", split="{parts[0].split}").with_format("torch")
```
"""
