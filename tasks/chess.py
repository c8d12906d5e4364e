"""Chess puzzles: mark where the best move starts and ends (Schwarzschild et al. 2021)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from numba import njit
from torch import Tensor

from foundations.errors import unknown_name
from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.chess_files import is_here, read_tensors, write_tensors
from tasks.chess_sources import holds_mates, read_file, read_hub, warn_of
from tasks.sampling import mix, permute_many, stream_key

MATES = Path(__file__).with_name("data") / "mates.csv.gz"
HUB_ID = "Lichess/chess-puzzles"
_HALVES = ("0-50%", "50-100%")
_BUCKETS = {"train": range(2, 10), "validation": range(1), "test": range(1, 2)}
_RANGE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)(%?)")


def ranks(difficulty: Difficulty, puzzles: int) -> tuple[int, int]:
    """First rank, and the one after the last, of a range of puzzles sorted by rating, easiest
    first.

    "0-600000" names ranks, "0-50%" a share of them. ValueError for anything else, and for a range
    that is empty or reaches past the last puzzle.
    """
    match = _RANGE.fullmatch(difficulty.replace(" ", "")) if isinstance(difficulty, str) else None
    if match:
        bounds = float(match[1]), float(match[2])
        whole = 100 if match[3] else puzzles
        first, last = (round(bound * puzzles / whole) for bound in bounds)
        if first < last and bounds[1] <= whole:
            return first, last
    raise ValueError(
        "chess difficulty of rated puzzles must be a range of ranks, easiest first, such as 0-50%"
        f" or 0-{puzzles // 2} (there are {puzzles:,} puzzles), not {difficulty!r}"
    )


@dataclass(frozen=True)
class RankedSpec(TaskSpec):
    """A spec whose difficulties are ranges of ranks; any that makes sense, not only the usual."""

    source: str = ""

    def level(self, difficulty: Difficulty) -> int:
        """The percent of all puzzles that are no harder than the hardest of the range."""
        puzzles = len(_puzzles(self.source).rating)
        return -(-100 * ranks(difficulty, puzzles)[1] // puzzles)


@njit
def _hashes(planes):
    """uint64 [n] of uint64 [n, 12]: a hash of each position."""
    out = np.zeros(len(planes), np.uint64)
    for i in range(len(planes)):
        for j in range(12):
            out[i] = mix(out[i] + np.uint64(j + 1) ^ planes[i, j])
    return out


@dataclass(frozen=True)
class Puzzles:
    """planes: uint64 [n, 12] bitboards. squares: int64 [n, 2], origin and destination. rating:
    int64 [n].

    Sorted by rating, ties as in the source. bucket: int64 [n] in 0..9, by the hash of the position.
    """

    planes: np.ndarray
    squares: np.ndarray
    rating: np.ndarray
    bucket: np.ndarray
    left_out: tuple[str, ...]


@lru_cache(maxsize=4)
def _puzzles(source: str) -> Puzzles:
    """All puzzles of a source, read once a process."""
    folder = Path(source).expanduser()
    if source not in ("mates", "hub") and folder.is_dir():
        columns, left_out = read_tensors(folder), list[str]()
    elif source == "hub":
        columns, left_out = read_hub(
            HUB_ID,
            "download lichess_db_puzzle.csv.zst from https://database.lichess.org/#puzzles and name"
            " the file with --set task.source=FILE",
        )
    else:
        columns, left_out = read_file(MATES if source == "mates" else Path(source).expanduser())
    warn_of(left_out, source)
    order = np.argsort(columns["rating"], kind="stable")
    planes = columns["planes"][order]
    return Puzzles(
        planes,
        np.stack([columns["origin"], columns["to"]], 1)[order].astype(np.int64),
        columns["rating"][order].astype(np.int64),
        (_hashes(planes) % np.uint64(10)).astype(np.int64),
        tuple(left_out),
    )


class Chess(Task):
    """Mark the best move in a chess puzzle.

    Inputs: float32 [n, 12, 8, 8], a plane per piece type K, Q, B, N, R, P, the mover's first.
    Targets: int64 [n, 8, 8], 1 on the origin and the destination of the move. The mover always
    plays upwards: row 0 is the first rank from its side, column 0 file a.

    source: "mates" (positions with exactly one mating first move, embedded; the difficulty is mate
    in 1, 2 or 3), a CSV file of Lichess puzzles (.csv, .gz or .zst; or of mates with a column
    MateIn), or "hub" for all of them. Lichess puzzles are sorted by rating, easiest first, and the
    difficulty is a range of ranks: "0-600000" (the published training set) and "600000-700000" (the
    published test set), or shares of whatever there is, as the easier half "0-50%". A hash of the
    position decides its split, 80 : 10 : 10, and `seed` only shuffles.

    data_dir: in place of any source, the folder of the published tensors (see `tasks.chess_files`),
    with difficulties as for Lichess puzzles. test_all: all puzzles of a range are test problems as
    well, as published for a range that was not trained on.

    augment: "mirror" swaps left and right half of the time, which keeps the answer right where
    nobody may castle, as in the mates; or "none". By default "mirror" for mates.

    A prediction is the two squares with the highest score; it is right if both are.
    """

    title = "chess puzzles"
    layouts = {"easy_to_hard": write_tensors}
    presets = {
        # The difficulties are those of the source's spec.
        "smoke": {},
        "quick": {
            "train_samples": (10**9,),
            "train": {"steps": 2000, "batch_size": 128},
            "evaluation": {"iterations": 32},
        },
        "paper": {
            "options": {"source": "hub"},
            "train_difficulty": "0-600000",
            "test_difficulties": ("0-600000", "600000-700000"),
            "train_samples": (10**9,),
            "train": {
                "optimizer": "sgd",
                "learning_rate": 0.01,
                "batch_size": 300,
                "alpha": 0.5,
            },
        },
    }

    def __init__(
        self,
        source: str = "mates",
        augment: str | None = None,
        data_dir: str | None = None,
        test_all: bool = False,
    ) -> None:
        if augment not in (None, "mirror", "none"):
            raise unknown_name("chess augment", augment, ("mirror", "none"))
        self.source = str(source if data_dir is None else data_dir)
        self.test_all = bool(test_all)
        if data_dir is not None:
            if not is_here(Path(str(data_dir)).expanduser()):
                raise ValueError(
                    f"data_dir {str(data_dir)!r} has no chess puzzles: easy-to-hard-data's"
                    " chess_data with data.pth, targets.pth and who_moves.pth"
                )
        elif self.source not in ("mates", "hub") and not Path(self.source).expanduser().is_file():
            raise ValueError(
                f"chess source must be mates, hub or a CSV file; there is no file {self.source!r}"
            )
        mates = data_dir is None and (
            self.source == "mates"
            or (self.source != "hub" and holds_mates(Path(self.source).expanduser()))
        )
        self.by_rank = not mates
        self.mirrors = mates if augment is None else augment == "mirror"
        self.spec = TaskSpec(
            name="chess",
            in_channels=12,
            spatial_dims=2,
            dense=True,
            outputs=2,
            difficulties=(1, 2, 3),
            train_difficulty=1,
            size=(8, 8),
            difficulty_label="mate in",
        )
        if self.by_rank:
            ranked = {"difficulties": _HALVES, "train_difficulty": _HALVES[0]}
            facts = vars(self.spec) | ranked | {"difficulty_label": "rating rank"}
            self.spec = RankedSpec(**facts, source=self.source)

    def check_difficulty(self, difficulty: Difficulty) -> None:
        if self.by_rank:
            ranks(difficulty, len(_puzzles(self.source).rating))
        else:
            super().check_difficulty(difficulty)

    def capacity(self, difficulty: Difficulty, split: str) -> int:
        return len(self._places(difficulty, split))

    def _places(self, difficulty: Difficulty, split: str) -> np.ndarray:
        """int64: where in the sorted puzzles those of a difficulty and split are."""
        key = (difficulty, split)
        if key not in self._known_places:
            held = _puzzles(self.source)
            if self.by_rank:
                first, last = ranks(difficulty, len(held.rating))
                places = np.arange(first, last)
            else:
                places = np.flatnonzero(held.rating == int(difficulty))
            if not (self.test_all and split == "test"):
                places = places[np.isin(held.bucket[places], _BUCKETS[split])]
            self._known_places[key] = places
        return self._known_places[key]

    @cached_property
    def _known_places(self) -> dict[tuple[Difficulty, str], np.ndarray]:
        return {}

    def _at(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> np.ndarray:
        """Where in the sorted puzzles problems `indices` are."""
        places = self._places(difficulty, split)
        return places[permute_many(indices, len(places), stream_key("chess", seed, split))]

    def ratings(
        self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str
    ) -> np.ndarray:
        """int64 [n]: ratings of problems `indices`; of mates, the n of a mate in n."""
        return _puzzles(self.source).rating[self._at(difficulty, indices, seed, split)]

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        held, at = _puzzles(self.source), self._at(difficulty, indices, seed, split)
        octets = np.ascontiguousarray(held.planes[at], "<u8").view(np.uint8)
        inputs = np.unpackbits(octets, bitorder="little").reshape(-1, 12, 8, 8)
        targets = np.zeros((len(at), 64), np.int64)
        np.put_along_axis(targets, held.squares[at], 1, axis=1)
        return Batch(
            torch.from_numpy(inputs.astype(np.float32)), torch.from_numpy(targets.reshape(-1, 8, 8))
        )

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        if not self.mirrors:
            return batch
        coin = torch.rand(len(batch), device=batch.inputs.device, generator=generator) < 0.5
        return batch.mirrored(coin, -1)

    def predict(self, logits: Tensor, batch: Batch) -> Tensor:
        """int64 [n, 8, 8]: 1 on the two squares with the highest score for class 1."""
        score = (logits[:, 1] - logits[:, 0]).flatten(1)
        answer = torch.zeros_like(score, dtype=torch.int64)
        return answer.scatter_(1, score.topk(2, dim=1).indices, 1).view_as(batch.targets)

    def element_accuracy(self, logits: Tensor, batch: Batch) -> Tensor:
        """float [n]: the share of the two squares that are found; the other 62 tell nothing."""
        return (self.predict(logits, batch) * batch.targets).flatten(1).sum(1) / 2

    def picture(self, inputs: Tensor) -> Tensor:
        """float [n, 3, 64, 64]: the board, 8 pixels a square, in the order of the planes: the
        mover's first rank is on top, its pieces white."""
        return draw_boards(inputs)


# --- drawing ---

_GLYPHS = {
    "K": ("...#...", ".#####.", "...#...", ".#.#.#.", "#######", ".#####.", ".#####."),
    "Q": (".......", "#.#.#.#", "#.#.#.#", ".#####.", ".#####.", "..###..", ".#####."),
    "B": ("...#...", "..###..", ".##.##.", ".##.##.", "..###..", "...#...", ".#####."),
    "N": ("...#...", "..####.", ".#.####", "#######", ".#.####", "..####.", ".#####."),
    "R": (".......", ".#.#.#.", ".#####.", "..###..", "..###..", "..###..", ".#####."),
    "P": (".......", ".......", "...#...", "..###..", "...#...", "..###..", ".#####."),
}
_LIGHT, _DARK = (0.80, 0.72, 0.58), (0.60, 0.48, 0.36)


def draw_boards(planes: Tensor) -> Tensor:
    """float [n, 3, 64, 64] of boards [n, 12, 8, 8]: 8 pixels a square, row 0 on top."""
    glyphs = torch.zeros(6, 8, 8)
    for i, rows in enumerate(_GLYPHS.values()):
        for r, row in enumerate(rows):
            glyphs[i, r, :7] = torch.tensor([float(c == "#") for c in row])
    rank, file = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    light = ((rank + file) % 2 == 1)[None].float()  # a1 is dark
    colours = torch.tensor([_LIGHT, _DARK])
    squares = colours[0].view(3, 1, 1) * light + colours[1].view(3, 1, 1) * (1 - light)
    board = repeat(squares, "c rank file -> 1 c (rank h) (file w)", h=8, w=8)
    sides = rearrange(planes.cpu(), "n (side piece) rank file -> side n piece rank file", side=2)
    ink = torch.einsum("snprf,phw->snrhfw", sides, glyphs)
    white, black = rearrange(ink, "side n rank h file w -> side n 1 (rank h) (file w)")
    return board * (1 - white - black) + white
