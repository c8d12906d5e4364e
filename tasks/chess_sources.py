"""Chess puzzles from files and the hub, read with python-chess and kept as an Arrow data set.

A puzzle is stored as the network will see it: the side to move first and playing upwards.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import chess
import numpy as np
import zstandard

from tasks.sources import hub_dataset, quiet

if TYPE_CHECKING:
    from datasets import Dataset

#: Plane order of the published encoding.
PIECES = (chess.KING, chess.QUEEN, chess.BISHOP, chess.KNIGHT, chess.ROOK, chess.PAWN)
Encoded = tuple[dict[str, np.ndarray], list[str]]  # columns, and what was left out: see `encoded`
FORMAT = 1  # of the stored data set; part of its name
_NAMED = 8  # how many left-out lines a message names


class Row(NamedTuple):
    """A puzzle as read. number: of its line in the file, from 1. rating: or the n of a mate in n.

    solves: the moves begin with the answer; else with the opponent's move before it, as Lichess has
    it.
    """

    number: int
    fen: str
    moves: str
    rating: str
    solves: bool


class Malformed(ValueError):
    """A row that is no puzzle; it is left out, counted and named."""


# --- rows of a file ---


#: What text, CSV and both packers raise for a file that is not what its name says.
_UNREADABLE = (EOFError, OSError, UnicodeDecodeError, csv.Error, zlib.error, zstandard.ZstdError)


def _text(path: Path, raw: IO[bytes]) -> io.TextIOWrapper:
    """The text of an open file, unpacked if its name ends in .gz or .zst."""
    unpacked: Any = raw
    if path.suffix == ".gz":
        unpacked = gzip.GzipFile(fileobj=raw)
    elif path.suffix == ".zst":
        unpacked = zstandard.ZstdDecompressor().stream_reader(raw)
    return io.TextIOWrapper(unpacked, encoding="utf-8", newline="")


def _looks_like_fen(field: str) -> bool:
    return field.split(" ")[0].count("/") == 7


def _columns(first: list[str]) -> tuple[dict[str, int], bool]:
    """(places of fen, moves, rating; whether the first row is a header); ValueError if neither."""
    names = [field.strip().lower() for field in first]
    if "fen" in names and "moves" in names:
        rating = "matein" if "matein" in names else "rating"
        if rating not in names:
            raise ValueError("the header has neither a column Rating nor MateIn")
        places = {"fen": names.index("fen"), "moves": names.index("moves")}
        return places | {rating: names.index(rating)}, True
    for i, field in enumerate(first):
        if _looks_like_fen(field):
            return {"fen": i, "moves": i + 1, "rating": i + 2}, False
    raise ValueError("the first line is neither a header with FEN and Moves nor a puzzle")


def holds_mates(path: Path) -> bool:
    """Whether a CSV file has a column MateIn, by its first line; ValueError if it can't be read."""
    try:
        with path.open("rb") as file, _text(path, file) as text:
            first = next(csv.reader(text), [])
    except _UNREADABLE as error:
        raise ValueError(f"can't read chess puzzles from {path}: {error}") from None
    return "matein" in [field.strip().lower() for field in first]


def rows_of_csv(path: Path, data: bytes) -> Iterator[Row]:
    """The puzzles of a CSV file: Lichess's, with or without its header, or one with FEN, Moves,
    MateIn.

    Without a header, the FEN is wherever the first line has one, moves and rating follow it.
    """
    lines = csv.reader(_text(path, io.BytesIO(data)))
    first = next(lines, None)
    if first is None:
        raise ValueError(f"{path} is empty")
    try:
        at, header = _columns(first)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    puzzles = ((lines.line_num, fields) for fields in lines)
    for number, fields in puzzles if header else chain([(1, first)], puzzles):
        whole = len(fields) > max(at.values())
        fen, moves, rating = (fields[i] if whole else "" for i in at.values())
        yield Row(number, fen, moves, rating, solves="matein" in at)


# --- one puzzle ---


def _flipped(squares: int) -> int:
    """A bitboard with its ranks turned."""
    return int.from_bytes(squares.to_bytes(8, "little"), "big")


def encode(board: chess.Board, move: chess.Move) -> tuple[list[int], int, int]:
    """(12 bitboards, origin, destination) as published: the mover's K, Q, B, N, R, P, then the
    other's.

    Bit 0 is a1, bit 7 h1, bit 8 a2. Ranks of board and move are turned when Black moves.
    """
    mine, other = board.occupied_co[board.turn], board.occupied_co[not board.turn]
    planes = [board.pieces_mask(p, board.turn) & mine for p in PIECES]
    planes += [board.pieces_mask(p, not board.turn) & other for p in PIECES]
    origin, to = move.from_square, move.to_square
    if board.turn == chess.BLACK:
        planes = [_flipped(plane) for plane in planes]
        origin, to = chess.square_mirror(origin), chess.square_mirror(to)
    return planes, origin, to


def solve(row: Row) -> tuple[chess.Board, chess.Move, int]:
    """(position, answer, rating) of a row.

    `Malformed` if it is no puzzle; ValueError, naming the line, if it is one with an illegal move.
    """
    try:
        board = chess.Board(row.fen)
        rating = int(row.rating)
        moves = [chess.Move.from_uci(m) for m in row.moves.split()[:2]]
    except ValueError as error:
        raise Malformed(str(error) or "no FEN") from None
    if len(moves) < (1 if row.solves else 2):
        raise Malformed("too few moves")
    if not board.kings & board.occupied_co[0] or not board.kings & board.occupied_co[1]:
        raise Malformed("a king is missing")
    for move in moves[: 1 if row.solves else 2]:
        if not board.is_legal(move):
            raise ValueError(f"line {row.number}: {move.uci()} is illegal in {board.fen()}")
        answer = move
        if not row.solves and move is moves[0]:
            board.push(move)
    return board, answer, rating


# --- a whole source ---


def encoded(rows: Iterable[Row], name: str) -> Encoded:
    """(columns, what was left out) of all rows.

    Columns: planes uint64 [n, 12], origin and to uint8 [n], rating int32 [n], line int64 [n]. A
    position that comes again with its answer is kept once. ValueError, naming file and line, for an
    illegal move and where no row is a puzzle.
    """
    planes: list[list[int]] = []
    facts: list[tuple[int, int, int, int]] = []
    left_out: list[str] = []
    seen: set[tuple[int, ...]] = set()
    for row in rows:
        try:
            board, move, rating = solve(row)
        except Malformed as error:
            left_out.append(f"{row.number} ({error})")
            continue
        except ValueError as error:
            raise ValueError(f"{name}, {error}") from None
        position, origin, to = encode(board, move)
        puzzle = (*position, origin, to)
        if puzzle not in seen:
            seen.add(puzzle)
            planes.append(position)
            facts.append((origin, to, rating, row.number))
    if not planes:
        raise ValueError(f"{name} holds no chess puzzle")
    origin, to, rating, line = np.array(facts, np.int64).T
    columns = {
        "planes": np.array(planes, np.uint64),
        "origin": origin.astype(np.uint8),
        "to": to.astype(np.uint8),
        "rating": rating.astype(np.int32),
        "line": line,
    }
    return columns, left_out


def warn_of(left_out: list[str], name: str) -> None:
    """One warning that counts the malformed rows and names the first of them by line."""
    if left_out:
        more = ", ..." if len(left_out) > _NAMED else ""
        warnings.warn(
            f"{name}: {len(left_out):,} malformed rows left out, lines "
            f"{', '.join(left_out[:_NAMED])}{more}",
            stacklevel=2,
        )


def _folder() -> Path:
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "chess_puzzles"


def _store(columns: dict[str, np.ndarray], left_out: list[str], folder: Path) -> None:
    """Keep the columns as an Arrow data set; whole or not at all, and never an error."""
    import datasets

    made = datasets.Dataset.from_dict(
        columns | {"planes": list(columns["planes"].view(np.int64))},  # Arrow reads ints as signed
        features=datasets.Features(
            planes=datasets.List(datasets.Value("int64"), length=12),
            origin=datasets.Value("uint8"),
            to=datasets.Value("uint8"),
            rating=datasets.Value("int32"),
            line=datasets.Value("int64"),
        ),
    )
    made.info.description = json.dumps(left_out)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = tempfile.mkdtemp(dir=folder.parent)
        try:
            with quiet():
                made.save_to_disk(part)
            os.rename(part, folder)
        except OSError:  # another process was first
            shutil.rmtree(part, ignore_errors=True)
    except OSError:
        pass


def _stored(folder: Path) -> Encoded | None:
    """What `_store` kept, or None."""
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
        left_out = json.loads(found.info.description)
        columns = dict(found.with_format("numpy")[:])
    except (OSError, ValueError):
        return None
    columns["planes"] = np.array(columns["planes"], np.int64).view(np.uint64)
    return columns, left_out


def read_file(path: Path) -> Encoded:
    """`encoded` of a CSV file, from the Arrow data set kept under the hash of its content if there
    is one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"can't read chess puzzles from {path}: {error.strerror}") from None
    try:
        return _kept(
            f"{FORMAT} {path.suffix} ".encode() + data, lambda: rows_of_csv(path, data), str(path)
        )
    except _UNREADABLE as error:
        raise ValueError(f"can't read chess puzzles from {path}: {error}") from None


def read_hub(hub_id: str, advice: str) -> Encoded:
    """`encoded` of the hub's puzzles, kept like those of a file under the fingerprint of the data
    set."""
    found = hub_dataset(hub_id, None, "train", advice)
    mark = f"{FORMAT} {found._fingerprint}".encode()
    return _kept(mark, lambda: _rows_of_dataset(found), hub_id)


def _kept(mark: bytes, rows: Callable[[], Iterable[Row]], name: str) -> Encoded:
    """`encoded` rows, from the data set kept under the hash of `mark` if there is one."""
    folder = _folder() / hashlib.sha256(mark).hexdigest()[:24]
    held = _stored(folder)
    if held is None:
        held = encoded(rows(), name)
        _store(*held, folder)
    return held


def _rows_of_dataset(found: Dataset) -> Iterator[Row]:
    names = {name.lower(): name for name in found.column_names}
    if not {"fen", "moves", "rating"} <= names.keys():
        raise ValueError(f"no columns FEN, Moves, Rating among {', '.join(found.column_names)}")
    chosen = found.select_columns([names["fen"], names["moves"], names["rating"]])
    for number, puzzle in enumerate(chosen, 1):
        fen, moves, rating = (puzzle[names[n]] for n in ("fen", "moves", "rating"))
        moves = moves if isinstance(moves, str) else " ".join(moves)
        yield Row(number, fen, moves, str(rating), solves=False)
