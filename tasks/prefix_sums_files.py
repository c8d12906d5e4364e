"""Prefix sums as the files of easy-to-hard-data: read, and written in both of its layouts.

Version 1.0.0 (August 2021) has prefix_sums_data/N_data.pth and N_targets.pth, 0.1.0 (June 2021) a
folder len_N around each two: tensors [strings, N] of zeros and ones.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from tasks.base import Batch, Difficulty
from tasks.published import Published, hashes, load_tensor, not_there, split_places

if TYPE_CHECKING:
    from tasks.base import Task

BASE = "prefix_sums_data"
_NAME = re.compile(r"(\d+)_data\.pth")


class _Level(NamedTuple):
    """bits, sums: uint8 [n, length]. hashed: uint64 [n]."""

    bits: np.ndarray
    sums: np.ndarray
    hashed: np.ndarray


def _zeros_and_ones(path: Path, length: int) -> np.ndarray:
    found = load_tensor(path)
    if found.ndim != 2 or found.shape[1] != length or len(found) == 0:
        raise ValueError(
            f"{path} must hold strings of {length} bits, [n, {length}], not {list(found.shape)}"
        )
    bits = (found > 0).to(torch.uint8)
    if (bits != found).any():
        raise ValueError(f"{path} must hold zeros and ones alone")
    return bits.numpy()


@lru_cache(maxsize=32)
def _level(path: Path, length: int) -> _Level:
    """The strings of a length and their sums, read once a process."""
    answers = path.with_name(f"{length}_targets.pth")
    bits, sums = _zeros_and_ones(path, length), _zeros_and_ones(answers, length)
    if len(bits) != len(sums):
        raise ValueError(f"{path} has {len(bits):,} strings, {answers.name} {len(sums):,} answers")
    wrong = (np.cumsum(bits, 1, dtype=np.int64) % 2 != sums).any(1)
    if wrong.any():
        raise ValueError(f"{answers}: number {int(np.flatnonzero(wrong)[0])} is no running sum")
    return _Level(bits, sums, hashes(string.tobytes() for string in bits))


class PrefixSumFiles(Published):
    """Published strings. They have no splits: a hash of the string decides, 80 : 10 : 10.

    test_all: all strings are test problems as well, as in published tests of lengths that were not
    trained on.
    """

    def __init__(self, data_dir: str | Path, test_all: bool) -> None:
        wanted = (
            f"easy-to-hard-data's {BASE}/N_data.pth and N_targets.pth, or these in folders len_N"
        )
        super().__init__("prefix_sums", data_dir, wanted)
        self.test_all = test_all

    def listed(self) -> dict[int, Path]:
        base = self.folder / BASE if (self.folder / BASE).is_dir() else self.folder
        found = {}
        for path in (*base.glob("len_*/*_data.pth"), *base.glob("*_data.pth")):
            name = _NAME.fullmatch(path.name)
            if name and path.parent in (base, base / f"len_{name[1]}"):
                found[int(name[1])] = path
        return dict(sorted(found.items()))

    def _level(self, difficulty: Difficulty) -> _Level:
        return _level(self.files[int(difficulty)], int(difficulty))

    def find(self, difficulty: Difficulty, split: str) -> np.ndarray:
        return split_places(self._level(difficulty).hashed, split, test_all=self.test_all)

    def read(self, difficulty: Difficulty, at: np.ndarray) -> Batch:
        level = self._level(difficulty)
        inputs = torch.from_numpy(level.bits[at].astype(np.float32) - 0.5).unsqueeze(1)
        return Batch(inputs, torch.from_numpy(level.sums[at].astype(np.int64)))


def _write(
    task: Task,
    difficulty: Difficulty,
    count: int,
    out: Path,
    *,
    seed: int,
    split: str,
    own_folder: bool,
) -> Path:
    """out/prefix_sums_data/N_data.pth and N_targets.pth, float32 [count, N], under len_N or not:
    what `easy_to_hard_data.PrefixSumDataset` reads. They have no splits: `split` says which of ours
    they hold."""
    length = int(difficulty)
    folder = out / BASE / f"len_{length}" if own_folder else out / BASE
    paths = [folder / f"{length}_{part}.pth" for part in ("data", "targets")]
    not_there(paths)
    batch = task.sample(length, count, seed, split)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(batch.inputs[:, 0] + 0.5, paths[0])
    torch.save(batch.targets.float(), paths[1])
    return paths[0]


LAYOUTS = {
    "easy_to_hard": partial(_write, own_folder=False),
    "easy_to_hard_0.1": partial(_write, own_folder=True),
}
