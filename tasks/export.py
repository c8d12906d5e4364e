"""Problems as files: a parquet data set with a card, or files as a published data set has them."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True)
class Part:
    """The first `count` problems of a split of a difficulty, numbered with a seed."""

    difficulty: Difficulty
    split: str
    count: int
    seed: int = 0

    def config(self, spec: TaskSpec) -> str:
        """The name of the configuration that it is a split of."""
        level = str(self.difficulty).replace("%", "_percent")
        return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{spec.difficulty_label} {level}")


def parts_of(
    difficulties: Sequence[Difficulty], splits: Sequence[str], counts: Sequence[int], seed: int = 0
) -> list[Part]:
    """Every split of every difficulty. counts: one for all, or one for each split. ValueError for
    what makes no such list."""
    if len(counts) not in (1, len(splits)):
        raise ValueError(
            f"count must be one number, or one for each of {len(splits)} splits, not {len(counts)}"
        )
    for count in counts:
        if count < 1:
            raise ValueError(f"count must be an integer of at least 1, not {count}")
    for name, given in (("difficulty", difficulties), ("split", splits)):
        if len(set(given)) != len(given):
            raise ValueError(f"each {name} can be given once, not {', '.join(map(str, given))}")
    each = list(counts) * len(splits) if len(counts) == 1 else list(counts)
    return [
        Part(difficulty, split, count, seed)
        for difficulty in difficulties
        for split, count in zip(splits, each, strict=True)
    ]


def export(
    task: Task,
    parts: Sequence[Part],
    out: Path,
    *,
    options: Mapping[str, Any] | None = None,
    pictures: bool = True,
) -> list[Path]:
    """Write problems to a folder that `datasets.load_dataset` reads.

    A difficulty is a configuration: data/CONFIG/SPLIT-00000-of-00001.parquet, and a card,
    README.md. Columns: index; with `pictures`, image and, for dense tasks, answer (the image with
    the answer painted over), enlarged for looking at; inputs, targets (a `ClassLabel` unless dense)
    and, where the task has one, mask, shaped as in a `Batch`. options: those the task was loaded
    with, for the card. Returns the parquet files. ValueError if the folder is not empty, and for
    whatever the task can't do.
    """
    import pyarrow.parquet as pq

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder")
    ones = [task.sample(part.difficulty, 1, part.seed, part.split) for part in parts]
    for part in parts:
        task.check_count(part.difficulty, part.split, part.count)
    paths = []
    for part, one in zip(parts, ones, strict=True):
        features = _features(task, one, pictures)
        folder = out / "data" / part.config(task.spec)
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(folder / f"{part.split}-00000-of-00001.parquet")
        with pq.ParquetWriter(paths[-1], features.arrow_schema, compression="zstd") as writer:
            for first in range(0, part.count, _CHUNK):
                numbers = np.arange(first, min(first + _CHUNK, part.count))
                batch = task.sample(
                    part.difficulty, seed=part.seed, split=part.split, indices=numbers
                )
                table = _table(task, batch, first, features)
                writer.write_table(table.cast(features.arrow_schema))
    card = _card(task, parts, options or {}, ones[0], pictures)
    (out / "README.md").write_text(card, encoding="utf-8")
    return paths


def write_layout(task: Task, layout: str, parts: Sequence[Part], out: Path) -> list[Path]:
    """Write problems as the files of a published data set, one of `task.layouts`, below a folder
    that may hold others. Returns what was made. ValueError for a layout that the task has not, for
    files that are there already, and for whatever the task or the layout can't do."""
    if layout not in task.layouts:
        raise unknown_name(f"layout of {task.spec.name}", layout, task.layouts)
    for part in parts:
        task.sample(part.difficulty, 1, part.seed, part.split)
        task.check_count(part.difficulty, part.split, part.count)
    return [
        task.layouts[layout](task, p.difficulty, p.count, out, seed=p.seed, split=p.split)
        for p in parts
    ]


def _configs(task: Task, parts: Sequence[Part]) -> str:
    """The card's list of files: the first configuration is what is loaded by default."""
    lines = ["configs:"]
    for number, (config, group) in enumerate(_by_config(task, parts).items()):
        lines.append(f"- config_name: {config}")
        lines += ["  default: true"] if number == 0 else []
        lines.append("  data_files:")
        for part in group:
            lines.append(f"  - split: {part.split}")
            lines.append(f"    path: data/{config}/{part.split}-*.parquet")
    return "\n".join(lines)


def _by_config(task: Task, parts: Sequence[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.config(task.spec), []).append(part)
    return groups


def _listing(parts: Sequence[Part], field: str) -> str:
    """The different values of a field, in order, as the command line takes them."""
    return ",".join(dict.fromkeys(str(getattr(part, field)) for part in parts))


def _card(
    task: Task, parts: Sequence[Part], options: Mapping[str, Any], one: Batch, pictures: bool
) -> str:
    """The data card: what is in it and how it was made."""
    spec, groups = task.spec, _by_config(task, parts)
    about = textwrap.dedent(" " * 4 + (type(task).__doc__ or "").strip()).strip()
    shown = [("image", "the problem, enlarged for looking at")]
    shown += [("answer", "the same with its answer painted over")] if spec.dense else []
    columns = [f"| `{name}` | {what} | image |" for name, what in shown] if pictures else []
    for name, shape in _shapes(one).items():
        dtype, what = _PARTS[name]
        kind = "ClassLabel" if name == "targets" and not spec.dense else dtype
        words = what.format(most=max(spec.outputs, 2) - 1)
        sides = " x ".join(map(str, shape)) if spec.size or len(groups) == 1 else "by difficulty"
        columns.append(f"| `{name}` | {words} | {kind}{f' [{sides}]' if shape else ''} |")
    rows = [
        f"| `{config}` | {part.split} | {part.count:,} |"
        for config, group in groups.items()
        for part in group
    ]
    first = next(iter(groups.values()))
    counts = ",".join(str(part.count) for part in first)
    if len({part.count for part in first}) == 1:
        counts = str(first[0].count)
    settings = "".join(f" --set {key}={value}" for key, value in options.items())
    settings += "" if pictures else " --no-pictures"
    kind = "image-segmentation" if spec.dense else "image-classification"
    categories = f"task_categories: [{kind}]\n" if spec.spatial_dims == 2 else ""
    title = f"{spec.name}, {spec.difficulty_label} {_listing(parts, 'difficulty')}"
    name = next(iter(groups))
    lines = "\n".join
    return f"""\
---
pretty_name: {title}
{categories}{_configs(task, parts)}
---

# {title}

{about}

Seed {parts[0].seed}. The best constant answer is right on {spec.chance:.2%} of problems.

| configuration | split | problems |
|---|---|---|
{lines(rows)}

| column | what | type |
|---|---|---|
| `index` | number of the problem | int64 |
{lines(columns)}

Made by, and the same again from:

    python -m tasks export {spec.name} --difficulty {_listing(parts, "difficulty")} --count {counts} \
--seed {parts[0].seed} --split {_listing(parts, "split")}{settings} --out DIR

Read it with:

```python
datasets.load_dataset("DIR", "{name}", split="{parts[0].split}").with_format("torch")
```
"""
