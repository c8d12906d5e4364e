"""Pathfinder and cluttered ABC as published: folders of pictures with lists of labels beside them.

A difficulty is a folder. Its pictures are imgs/K/sample_I.png, K a batch of the generator; its list
metadata/K.npy has a row of words a picture: a NumPy array of text from the public generators
(github.com/drewlinsley/pathfinder, drewlinsley/cabc), lines of text under the same name in the Long
Range Arena's release. Where there is a folder of the same name with _neg, the folder is the label.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from tasks.base import Batch, Difficulty
from tasks.drawing import reduce_into
from tasks.paddles import LENGTH, MARGIN, THICKNESS
from tasks.published import Published, hashes, load_array, new_folder, not_there, split_places

if TYPE_CHECKING:
    from tasks.contours import ContourTask
    from tasks.pathfinder import Pathfinder

_BATCH = 10_000  # pictures in a folder imgs/K
_CHUNK = 256  # drawn at a time
_NAMED = 3  # how many left-out pictures a message names
_LENGTHS = re.compile(r"curv_contour_length_(\d+)")
_ABC = {"easy": ("baseline-", "baseline"), "intermediate": ("ix1-", "ix1"), "hard": ("ix2", "ix2-")}


class Columns(NamedTuple):
    """Where a row of a list of labels has the folder, the picture's name and its label."""

    folder: int
    name: int
    label: int


PATHFINDER, CABC = Columns(0, 1, 3), Columns(0, 2, 4)


# --- reading ---


def _rows(path: Path) -> list[list[str]]:
    """The rows of a list of labels."""
    with path.open("rb") as file:
        is_array = file.read(6) == b"\x93NUMPY"
    if not is_array:
        return [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    rows = load_array(path)
    if rows.ndim != 2 or rows.dtype.kind not in "US":
        raise ValueError(f"{path} must hold rows of words, not {rows.dtype} {list(rows.shape)}")
    return rows.astype(str).tolist()


def _by_number(file: Path | os.DirEntry[str]) -> tuple[int, str]:
    """Names that differ in a number alone, in its order."""
    return len(file.name), file.name


def _lists(folder: Path) -> list[Path]:
    """The lists of labels of a folder, in the order of their numbers. One called combined has them
    all, or a part, again."""
    found = sorted(
        (folder / "metadata").glob("*.npy"), key=lambda path: (len(path.stem), path.stem)
    )
    single = [path for path in found if not path.stem.startswith("combined")]
    return single or found


def _listed(folder: Path, columns: Columns) -> Iterator[tuple[str, int]]:
    """(path under the folder, label) of the pictures that lists name."""
    for path in _lists(folder):
        try:
            rows = _rows(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"can't read {path}: {error}") from None
        for number, row in enumerate(rows, 1):
            if len(row) <= max(columns) or row[columns.label] not in ("0", "1"):
                raise ValueError(
                    f"{path}, row {number}: no label 0 or 1 in column {columns.label + 1}"
                )
            yield f"{row[columns.folder]}/{row[columns.name]}", int(row[columns.label])


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each picture under imgs/, by its path under the folder."""
    found: dict[str, int] = {}
    for batch in sorted((folder / "imgs").glob("*/"), key=_by_number):
        with os.scandir(batch) as files:
            pictures = sorted((f for f in files if f.name.endswith(".png")), key=_by_number)
            found |= {f"imgs/{batch.name}/{f.name}": f.stat().st_size for f in pictures}
    return found


class _Level(NamedTuple):
    """paths: of the pictures. labels: int64 [n]. hashed: uint64 [n], of their names."""

    paths: list[Path]
    labels: np.ndarray
    hashed: np.ndarray


@lru_cache(maxsize=16)
def _level(folder: Path, columns: Columns) -> _Level:
    """The pictures of a difficulty, listed once a process. Empty ones are left out with a word."""
    negative = folder.with_name(f"{folder.name}_neg")
    listed: list[tuple[Path, str, int]] = []
    sizes: dict[Path, int] = {}
    for each, label in ((folder, 1), (negative, 0)) if negative.is_dir() else ((folder, -1),):
        held = _sizes(each)
        sizes |= {each / name: size for name, size in held.items()}
        rows = _listed(each, columns) if label < 0 else ((name, label) for name in held)
        listed += [(each / name, f"{each.name}/{name}", answer) for name, answer in rows]
    there = [row for row in listed if sizes.get(row[0], 0) > 0]
    left_out = [name for path, name, _ in listed if sizes.get(path, 0) == 0]
    if left_out:
        more = ", ..." if len(left_out) > _NAMED else ""
        warnings.warn(
            f"{folder.parent}: {len(left_out):,} pictures left out, empty or not there:"
            f" {', '.join(left_out[:_NAMED])}{more}",
            stacklevel=2,
        )
    if not there:
        raise ValueError(
            f"{folder} has no pictures imgs/K/*.png with labels in metadata/K.npy or a folder"
            f" {negative.name} beside it"
        )
    names = [name.encode() for _, name, _ in there]
    return _Level([path for path, _, _ in there], np.array([a for *_, a in there]), hashes(names))


def _picture(path: Path) -> np.ndarray:
    """uint8 [h, h]; ValueError, naming it, for a file that is no square picture."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"can't read a picture from {path}: {error}") from None
    if pixels.shape[0] != pixels.shape[1]:
        raise ValueError(f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, not a square")
    return pixels


class ContourFiles(Published):
    """Published pictures. They have no splits: a hash of the name decides, 80 : 10 : 10.

    folders: of the difficulties that are there, from the folder of them all. size, reduction: of
    the inputs, see `ContourTask`. test_all: all pictures are test problems as well, for networks
    that were trained on others.
    """

    def __init__(
        self,
        task: str,
        data_dir: str | Path,
        folders: Callable[[Path], Mapping[Difficulty, Path]],
        columns: Columns,
        size: int,
        reduction: str,
        test_all: bool,
        wanted: str,
    ) -> None:
        super().__init__(task, data_dir, wanted)
        self.folders, self.columns = folders, columns
        self.size, self.by_area, self.test_all = size, reduction == "area", test_all

    def listed(self) -> dict[Difficulty, Path]:
        return dict(self.folders(self.folder))

    def _level(self, difficulty: Difficulty) -> _Level:
        return _level(self.files[difficulty], self.columns)

    def find(self, difficulty: Difficulty, split: str) -> np.ndarray:
        return split_places(self._level(difficulty).hashed, split, test_all=self.test_all)

    def read(self, difficulty: Difficulty, at: np.ndarray) -> Batch:
        level = self._level(difficulty)
        x = np.empty((len(at), self.size, self.size), np.float32)
        for row, place in enumerate(at):
            pixels = _picture(level.paths[place])
            if len(pixels) < self.size:
                raise ValueError(
                    f"{self.task} size must be at most {len(pixels)}, the side of"
                    f" {level.paths[place]}, not {self.size}"
                )
            reduce_into(pixels, x[row], self.by_area, -0.5)
        return Batch(torch.from_numpy(x).unsqueeze(1), torch.from_numpy(level.labels[at]))


def pathfinder_folders(folder: Path) -> dict[Difficulty, Path]:
    """The folders of path lengths; the baseline has paths of six paddles."""
    found: dict[Difficulty, Path] = {}
    for path in sorted(folder.iterdir()):
        name = _LENGTHS.fullmatch(path.name)
        if path.is_dir() and (name or path.name == "curv_baseline"):
            found[int(name[1]) if name else 6] = path
    return dict(sorted(found.items()))


def cabc_folders(folder: Path) -> dict[Difficulty, Path]:
    """The folders of difficulties, as the public generator and its later versions name them."""
    named = ((level, folder / name) for level, names in _ABC.items() for name in reversed(names))
    return {level: path for level, path in named if path.is_dir()}


# --- writing ---


class _Album:
    """A folder of pictures that is being written, with its lists of labels."""

    def __init__(self, folder: Path) -> None:
        self.folder = new_folder(folder)
        self.rows: dict[int, list[list[str]]] = {}
        self.count = 0

    def add(self, image: np.ndarray, *words: object) -> None:
        """The next picture, uint8 [h, h], and the words of its row, where {k} stands for the number
        of its folder and {i} for its own there."""
        from PIL import Image

        k, i = self.count // _BATCH + 1, self.count % _BATCH
        path = self.folder / f"imgs/{k}/sample_{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        self.rows.setdefault(k, []).append([str(word).format(k=k, i=i) for word in words])
        self.count += 1

    def close(self) -> None:
        """Write the lists, as the public generators do: arrays of text."""
        (self.folder / "metadata").mkdir()
        for batch, rows in self.rows.items():
            np.save(self.folder / "metadata" / f"{batch}.npy", np.array(rows))


def _drawings(
    task: ContourTask, difficulty: Difficulty, count: int, seed: int, split: str
) -> Iterator[tuple[np.ndarray, int]]:
    """(drawing before reduction, label) of the first problems."""
    for first in range(0, count, _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, count))
        images, record = task.draw_with_record(difficulty, numbers, seed, split)
        yield from zip(images, record.labels.tolist(), strict=True)


def _albums(
    task: ContourTask, difficulty: Difficulty, seed: int, split: str, folders: Sequence[Path]
) -> list[_Album]:
    """New folders for drawings of a task; ValueError, and none, where it draws none or one is
    there."""
    if task.spec.dense:
        raise ValueError(f"published {task.spec.name} pictures have one label: no segmentation")
    task.draw_with_record(difficulty, np.arange(1), seed, split)
    not_there(folders)
    return [_Album(folder) for folder in folders]


def _curv(length: int) -> str:
    return "curv_baseline" if length == 6 else f"curv_contour_length_{length}"


def write_curv(
    task: Pathfinder, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """out/curv_baseline (length 6) or out/curv_contour_length_L, labels in the lists. They have no
    splits: `split` says which of ours they hold."""
    length = int(difficulty)
    folder = out / _curv(length)
    not_there([out / f"{folder.name}_neg"])  # which would be the label of both
    (album,) = _albums(task, length, seed, split, [folder])
    of_paddles = [task.continuity, length, length // 3, LENGTH, THICKNESS, MARGIN, 1]
    for image, label in _drawings(task, difficulty, count, seed, split):
        album.add(image, "imgs/{k}", "sample_{i}.png", "{i}", label, *of_paddles)
    album.close()
    return album.folder


def write_curv_neg(
    task: Pathfinder, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """The same, as Linsley et al. and Lüddecke and Ecker have them: positive problems in one
    folder, negative ones in another with _neg."""
    length = int(difficulty)
    folders = [out / f"{_curv(length)}{end}" for end in ("_neg", "")]
    negative, positive = _albums(task, length, seed, split, folders)
    of_paths = [task.continuity, length, length // 3, task.distractors]
    for image, label in _drawings(task, difficulty, count, seed, split):
        album = positive if label else negative
        row = ["imgs/{k}", "sample_{i}.png", "{i}", *of_paths, LENGTH, THICKNESS, MARGIN, 1]
        album.add(image, *row)
    for album in (positive, negative):
        album.close()
    return positive.folder


def write_cabc(
    task: ContourTask, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """out/baseline- (easy), ix1- or ix2, labels in the lists. They have no splits: `split` says
    which of ours they hold."""
    task.check_difficulty(difficulty)
    (album,) = _albums(task, difficulty, seed, split, [out / _ABC[str(difficulty)][0]])
    for image, label in _drawings(task, difficulty, count, seed, split):
        album.add(image, "imgs/{k}", "segs/{k}", "sample_{i}.png", "{i}", label)
    album.close()
    return album.folder
