"""Chess puzzles as the tensors of easy-to-hard-data, read and written.

chess_data/data.pth has boards [n, 12, 8, 8], easiest first, row 0 the first rank whoever moves;
targets.pth [n, 8, 8] the two squares of the answer, row 0 the eighth rank (the published loader
turns them); who_moves.pth [n, 1] is 1 where Black moves; rating.pth [n, 1] may be missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tasks.base import Difficulty
from tasks.published import load_tensor, not_there

if TYPE_CHECKING:
    from tasks.chess import Chess

BASE = "chess_data"
_CHUNK = 20_000  # puzzles packed at a time
_TARGETS = ("targets.pth", "segment_targets.pth")  # of versions 1.0.0 and 0.1.0


def is_here(folder: Path) -> bool:
    """Whether a folder holds these files, or a folder chess_data with them."""
    return any((each / "data.pth").is_file() for each in (folder, folder / BASE))


def _bitboards(boards: Tensor) -> np.ndarray:
    """uint64 [..., 1] of [..., 8, 8]: bit 0 is a1, bit 7 h1, bit 8 a2, if row 0 is the first
    rank."""
    parts = []
    for first in range(0, len(boards), _CHUNK):
        squares = (boards[first : first + _CHUNK] > 0).flatten(-2).numpy()
        parts.append(np.packbits(squares, axis=-1, bitorder="little").view("<u8")[..., 0])
    return np.concatenate(parts).astype(np.uint64)


def _single(bits: np.ndarray) -> np.ndarray:
    """bool: exactly one bit is set."""
    return (bits != 0) & (bits & (bits - np.uint64(1)) == 0)


def _answers(planes: np.ndarray, marked: np.ndarray, name: str) -> np.ndarray:
    """uint64 [n, 2]: the bits of origin and destination, by whose pieces stand there. ValueError
    unless every answer marks one piece of the mover's and one other square."""
    own = np.bitwise_or.reduce(planes[:, :6], 1)
    # Files that the published script writes today have the first rank first, released ones last.
    for turned in (marked.byteswap(), marked):
        fits = _single(turned & own) & _single(turned & ~own)
        if fits.all():
            return np.stack([turned & own, turned & ~own], 1)
    worst = int(np.flatnonzero(~fits)[0])
    raise ValueError(f"{name}: puzzle {worst} marks no move of a piece of the side to move")


def read_tensors(folder: Path) -> dict[str, np.ndarray]:
    """Columns as those of `chess_sources.encoded`, of all puzzles in the order of the files: planes
    uint64 [n, 12], origin and to uint8 [n], rating int32 [n] (places where there are no ratings),
    line int64 [n].

    ValueError, naming the file, for one that is not as published.
    """
    base = folder / BASE if (folder / BASE).is_dir() else folder
    targets = next(
        (base / name for name in _TARGETS if (base / name).is_file()), base / _TARGETS[0]
    )
    paths = [base / "data.pth", targets, base / "who_moves.pth"]
    boards, marked, movers = (load_tensor(path) for path in paths)
    count = len(boards)
    shapes = [(count, 12, 8, 8), (count, 8, 8), (count, 1)]
    for path, found, shape in zip(paths, (boards, marked, movers), shapes, strict=True):
        if tuple(found.shape) != shape or count == 0:
            raise ValueError(f"{path} must be of shape {shape}, not {tuple(found.shape)}")
    planes = _bitboards(boards)
    moves = _answers(planes, _bitboards(marked), str(targets))
    black = (movers[:, 0] > 0).numpy()
    # A rank is a byte: turned, the mover always plays upwards.
    planes[black], moves[black] = planes[black].byteswap(), moves[black].byteswap()
    squares = np.log2(moves.astype(np.float64)).astype(np.uint8)
    rating = torch.arange(count)
    if (base / "rating.pth").is_file():
        rating = load_tensor(base / "rating.pth").flatten()
    if len(rating) != count:
        raise ValueError(f"{base / 'rating.pth'} has {len(rating):,} ratings of {count:,} puzzles")
    return {
        "planes": planes,
        "origin": squares[:, 0],
        "to": squares[:, 1],
        "rating": rating.numpy().astype(np.int32),
        "line": np.arange(1, count + 1),
    }


def write_tensors(
    task: Chess, difficulty: Difficulty, count: int, out: Path, *, seed: int, split: str
) -> Path:
    """out/chess_data/data.pth, float32 [count, 12, 8, 8], targets.pth, int64 [count, 8, 8],
    who_moves.pth and rating.pth, float32 [count, 1], easiest first: what
    `easy_to_hard_data.ChessPuzzleDataset` reads. Boards are as networks see them, so that White
    always moves. They have no splits: `split` says which of ours they hold."""
    folder = out / BASE
    names = ("data", "targets", "who_moves", "rating")
    paths = {name: folder / f"{name}.pth" for name in names}
    not_there(paths.values())
    batch = task.sample(difficulty, count, seed, split)
    ratings = task.ratings(difficulty, np.arange(count), seed, split)
    order = torch.from_numpy(np.argsort(ratings, kind="stable"))
    parts = {
        "data": batch.inputs[order],
        "targets": batch.targets[order].flip(1),
        "who_moves": torch.zeros(count, 1),
        "rating": torch.from_numpy(ratings).float()[order].unsqueeze(1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        torch.save(parts[name], path)
    return folder
