"""Problems of published files in place of made ones: where they are, and which split each is in."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tasks.sampling import permute_many, stream_key

if TYPE_CHECKING:
    from tasks.base import Batch, Difficulty


class Published:
    """The problems of a folder of files, numbered within each difficulty.

    A kind of files overrides `listed`, `find` and `read`. Nothing is read before it is asked for,
    so that a network trained on files can be loaded where they are not. Each problem is used once:
    `seed` only shuffles.

    task: the name of the task. data_dir: the folder. wanted: the files that it may hold, in words.
    """

    def __init__(self, task: str, data_dir: str | Path, wanted: str) -> None:
        self.task = task
        self.folder = Path(str(data_dir)).expanduser()
        self.wanted = wanted
        self._files: dict[Any, Path] = {}
        self._found: dict[tuple[Difficulty, str], np.ndarray] = {}

    def listed(self) -> dict[Any, Path]:
        """The files of the folder by difficulty, or by what else tells them apart."""
        raise NotImplementedError

    @property
    def files(self) -> dict[Any, Path]:
        """The same, listed once."""
        if not self._files and self.folder.is_dir():
            self._files = self.listed()
        return self._files

    def levels(self) -> Iterable[Difficulty]:
        """The difficulties that there are files of."""
        return self.files

    def find(self, difficulty: Difficulty, split: str) -> np.ndarray:
        """int64: numbers of the problems of a split."""
        raise NotImplementedError

    def read(self, difficulty: Difficulty, at: np.ndarray) -> Batch:
        """The problems of those numbers."""
        raise NotImplementedError

    def check(self, difficulty: Difficulty) -> None:
        """ValueError, saying what is there, unless there are files of a difficulty."""
        levels = list(dict.fromkeys(self.levels()))
        if not levels and not self.folder.is_dir():
            raise ValueError(f"data_dir {str(self.folder)!r} is not a folder")
        if not levels:
            raise ValueError(
                f"data_dir {str(self.folder)!r} has no problems of {self.task}: {self.wanted}"
            )
        if difficulty not in levels:
            raise ValueError(
                f"data_dir {str(self.folder)!r} has {self.task} problems of"
                f" {', '.join(map(str, levels))}, none of {difficulty!r}"
            )

    def capacity(self, difficulty: Difficulty, split: str) -> int:
        """How many problems of a split there are."""
        self.check(difficulty)
        return len(self._places(difficulty, split))

    def _places(self, difficulty: Difficulty, split: str) -> np.ndarray:
        if (difficulty, split) not in self._found:
            self._found[difficulty, split] = self.find(difficulty, split)
        return self._found[difficulty, split]

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        """Problems number `indices` of a split, as `Task.make` has them."""
        places = self._places(difficulty, split)
        key = stream_key(self.task, seed, split)
        return self.read(difficulty, places[permute_many(indices, len(places), key)])


def only_for_made(task: str, given: Mapping[str, bool]) -> None:
    """ValueError if any option was given (true) that says how problems are made."""
    names = [name for name, there in given.items() if there]
    if names:
        raise ValueError(
            f"{task} data_dir brings problems that are made already: leave out {', '.join(names)}"
        )


# --- splits ---


def hashes(problems: Iterable[bytes]) -> np.ndarray:
    """uint64: a hash of each problem, or of its name, which decides its split."""
    digests = (hashlib.blake2b(each, digest_size=8).digest() for each in problems)
    return np.frombuffer(b"".join(digests), "<u8")


def split_places(
    hashed: np.ndarray, split: str, tests: np.ndarray | None = None, *, test_all: bool = False
) -> np.ndarray:
    """int64: the places of a split's problems, by their hashes uint64 [n].

    tests: bool [n], those published as test problems: all of them are, whatever else is the same as
    one of them is in no split, and the rest is 90 : 10 train and validation. None: 80 : 10 : 10.
    test_all: all are test problems as well.
    """
    if test_all and split == "test":
        return np.arange(len(hashed))
    bucket = hashed % np.uint64(10)
    if tests is None:
        of_split = {"train": bucket > 1, "validation": bucket == 0, "test": bucket == 1}
    else:
        # By sorting: NumPy 2.0 fails at tables of numbers this large.
        free = ~np.isin(hashed, hashed[tests], kind="sort")
        of_split = {"train": free & (bucket > 0), "validation": free & (bucket == 0), "test": tests}
    return np.flatnonzero(of_split[split])


# --- files ---

#: What NumPy and torch raise for a file that is not what its name says.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    KeyError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def load_array(path: Path) -> np.ndarray:
    """An .npy file, left on disk until its parts are asked for; nothing in it is run. ValueError,
    naming it, if it can't be read."""
    try:
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except _UNREADABLE as error:
        raise ValueError(f"can't read an array from {path}: {_words(error)}") from None


def load_tensor(path: Path) -> Tensor:
    """A tensor that `torch.save` wrote, left on disk where its format allows it; nothing in the
    file is run. ValueError, naming it, if it can't be read or holds anything else."""
    try:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # written before torch 1.6
            found = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ValueError(f"can't read a tensor from {path}: {_words(error)}") from None
    if not isinstance(found, Tensor):
        raise ValueError(f"{path} holds a {type(found).__name__}, not a tensor")
    return found


def _words(error: BaseException) -> str:
    """The first sentence of an error: those of torch.load go on with advice to trust the file."""
    first = str(error).strip().partition("\n")[0].partition(". ")[0]
    return first or type(error).__name__


def new_folder(path: Path) -> Path:
    """Make a folder; ValueError if it is there already."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise ValueError(f"{path} exists already") from None
    return path


def not_there(paths: Iterable[Path]) -> None:
    """ValueError if any of the files is there already."""
    for path in paths:
        if path.exists():
            raise ValueError(f"{path} exists already")
