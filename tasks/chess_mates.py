"""Chess positions with exactly one mating first move, found in random games and proved by search.

    python -m tasks.chess_mates --count 2000 --seed 0 --out mates.csv.gz

A compiled move generator plays random legal games and searches every position on the way: a mate in
n is kept if the side to move can force mate in n moves and no sooner, and exactly one first move
does so against every defence; one position a game. Mates in three are looked for by checks alone,
then proved like the rest. The search is exhaustive: all moves of both sides, promotions to all four
pieces and captures en passant among them. Castling is left out of the games, so no position has the
right to it. Positions are handed on only if python-chess finds them legal.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import chess
import numpy as np
from numba import njit

from foundations.command import Parser
from tasks.sampling import below, stream, stream_key

# Pieces are 1..6 = P N B R Q K, positive for White; squares 0 = a1, 1 = b1, ..., 63 = h8, as in
# python-chess. A move is from + 64 to + 4096 promotion + 32768 if it captures en passant.
PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
_EN_PASSANT = 32768
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
_LEAPS = ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2))
MAX_MATE = 3
_MOVES = 256  # no legal position has more than 218
_FIRST_PLY, _LAST_PLY = 10, 240  # where in a random game to look, in moves of either side


def _squares(square: int, step: tuple[int, int], most: int) -> list[int]:
    rank, file = divmod(square, 8)
    ahead = [(rank + i * step[0], file + i * step[1]) for i in range(1, most + 1)]
    return [8 * r + f for r, f in ahead if 0 <= r < 8 and 0 <= f < 8]


def _table(steps: tuple[tuple[int, int], ...], most: int) -> np.ndarray:
    """int8 [64, len(steps), most + 1]: squares in each direction, ended by -1."""
    table = np.full((64, len(steps), most + 1), -1, np.int8)
    for square in range(64):
        for i, step in enumerate(steps):
            ahead = _squares(square, step, most)
            table[square, i, : len(ahead)] = ahead
    return table


_RAYS = _table(_DIRECTIONS, 7)
_KNIGHT = _table(_LEAPS, 1)[:, :, 0].copy()
_START = np.array(
    [4, 2, 3, 5, 6, 3, 2, 4] + 8 * [1] + 32 * [0] + 8 * [-1] + [-4, -2, -3, -5, -6, -3, -2, -4],
    np.int8,
)


@njit
def _attacked(board, square, by):
    """Whether a piece of side `by` (1 White, -1 Black) attacks the square."""
    for i in range(8):
        at = _KNIGHT[square, i]
        if at >= 0 and board[at] == by * KNIGHT:
            return True
    behind = square - 8 * by
    if 0 <= behind < 64:
        if square % 8 > 0 and board[behind - 1] == by * PAWN:
            return True
        if square % 8 < 7 and board[behind + 1] == by * PAWN:
            return True
    for d in range(8):
        slider = ROOK if d < 4 else BISHOP
        for i in range(8):
            at = _RAYS[square, d, i]
            if at < 0:
                break
            piece = board[at] * by
            if piece == 0:
                continue
            if piece in (slider, QUEEN) or (piece == KING and i == 0):
                return True
            break
    return False


@njit
def _push_pawn(moves, n, origin, to):
    """Add a pawn's move, as four promotions on the last rank; returns the new number of moves."""
    if to < 8 or to >= 56:
        for piece in range(KNIGHT, KING):
            moves[n] = origin + 64 * to + 4096 * piece
            n += 1
        return n
    moves[n] = origin + 64 * to
    return n + 1


@njit
def _pawn_moves(board, side, en_passant, origin, moves, n):
    ahead = origin + 8 * side
    if board[ahead] == 0:
        n = _push_pawn(moves, n, origin, ahead)
        home = 1 if side > 0 else 6
        if origin // 8 == home and board[ahead + 8 * side] == 0:
            moves[n] = origin + 64 * (ahead + 8 * side)
            n += 1
    for sideways in (-1, 1):
        if not 0 <= origin % 8 + sideways < 8:
            continue
        to = ahead + sideways
        if board[to] * side < 0:
            n = _push_pawn(moves, n, origin, to)
        elif to == en_passant:
            moves[n] = origin + 64 * to + _EN_PASSANT
            n += 1
    return n


@njit
def _pseudo_moves(board, side, en_passant, moves):
    """All moves but castling, those that leave the own king attacked too; returns how many."""
    n = 0
    for origin in range(64):
        piece = board[origin] * side
        if piece <= 0:
            continue
        if piece == PAWN:
            n = _pawn_moves(board, side, en_passant, origin, moves, n)
        elif piece == KNIGHT:
            for i in range(8):
                to = _KNIGHT[origin, i]
                if to >= 0 and board[to] * side <= 0:
                    moves[n] = origin + 64 * to
                    n += 1
        else:
            first = 4 if piece == BISHOP else 0
            last = 4 if piece == ROOK else 8
            reach = 1 if piece == KING else 7
            for d in range(first, last):
                for i in range(reach):
                    to = _RAYS[origin, d, i]
                    if to < 0 or board[to] * side > 0:
                        break
                    moves[n] = origin + 64 * to
                    n += 1
                    if board[to] != 0:
                        break
    return n


@njit
def _make(board, kings, side, move):
    """Play a move; returns (captured piece, square that may be captured en passant or -1)."""
    origin, to = move % 64, (move // 64) % 64
    promotion = (move // 4096) % 8
    captured = board[to]
    piece = board[origin]
    board[to] = piece if promotion == 0 else side * promotion
    board[origin] = 0
    if move >= _EN_PASSANT:
        board[to - 8 * side] = 0
    if piece == side * KING:
        kings[(1 - side) // 2] = to
    behind = -1
    if piece == side * PAWN and abs(to - origin) == 16:
        behind = (origin + to) // 2
    return captured, behind


@njit
def _unmake(board, kings, side, move, captured):
    origin, to = move % 64, (move // 64) % 64
    piece = side * PAWN if (move // 4096) % 8 else board[to]
    board[origin] = piece
    board[to] = captured
    if move >= _EN_PASSANT:
        board[to - 8 * side] = -side * PAWN
    if piece == side * KING:
        kings[(1 - side) // 2] = origin


@njit
def _safe(board, kings, side):
    """Whether the king of a side is not attacked."""
    return not _attacked(board, kings[(1 - side) // 2], -side)


@njit("int64(int8[::1], int64[::1], int64, int64, int64, int64, b1, int32[:, ::1], int64)")
def _mating_moves(board, kings, side, en_passant, n, most, checks, moves, depth):
    """How many first moves of `side` force mate within n moves, counting up to `most`.

    checks: look only at moves of `side` that give check; else at all. moves: scratch, two rows a
    move from row `depth` on; moves[row, -1] holds the reply that refuted last. The first mating
    move found is left in moves[depth, -2].
    """
    found = 0
    mine = moves[depth]
    for m in range(_pseudo_moves(board, side, en_passant, mine)):
        move = mine[m]
        captured, behind = _make(board, kings, side, move)
        quiet = n > 1 and not checks
        wins = _safe(board, kings, side) and (quiet or not _safe(board, kings, -side))
        if wins:
            replies = moves[depth + 1]
            count = _pseudo_moves(board, -side, behind, replies)
            killer = replies[_MOVES + 1]
            for r in range(count):  # what refuted the last move often refutes this one
                if replies[r] == killer:
                    replies[r], replies[0] = replies[0], killer
                    break
            stuck = True
            for r in range(count):
                taken, behind2 = _make(board, kings, -side, replies[r])
                if _safe(board, kings, -side):
                    stuck = False
                    if n == 1:
                        wins = False
                    else:
                        again = _mating_moves(
                            board, kings, side, behind2, n - 1, 1, checks, moves, depth + 2
                        )
                        wins = again > 0
                _unmake(board, kings, -side, replies[r], taken)
                if not wins:
                    replies[_MOVES + 1] = replies[r]
                    break
            if stuck and _safe(board, kings, -side):
                wins = False  # stalemate
        _unmake(board, kings, side, move, captured)
        if wins:
            found += 1
            if found == 1:
                mine[_MOVES] = move
            if found == most:
                break
    return found


@njit
def scratch():
    """What a search needs of memory."""
    return np.zeros((2 * MAX_MATE, _MOVES + 2), np.int32)


@njit
def only_mate(board, kings, side, en_passant, deepest, moves):
    """(n, move) if the side to move has a mate in n <= deepest, none shorter, and one first move
    only.

    (0, 0) if there is no such mate, or several first moves force it.
    """
    for n in range(1, deepest + 1):
        found = _mating_moves(board, kings, side, en_passant, n, 2, False, moves, 0)
        if found == 1:
            return n, moves[0, _MOVES]
        if found > 1:
            return 0, 0
    return 0, 0


@njit(nogil=True)
def _play(key, game, n, board, kings):
    """Play random game number `game` up to a position with an only mate in n; returns (side, move).

    (0, 0) if it ends without one. board: int8 [64], left at the position; kings: int64 [2]. The
    search starts at a random move, so that positions come from all stages of the game.
    """
    state = stream(key, game)
    board[:] = _START
    kings[0], kings[1] = 4, 60
    moves = scratch()
    choices = np.empty(_MOVES, np.int32)
    side, en_passant = 1, -1
    first = _FIRST_PLY + below(state, _LAST_PLY - _FIRST_PLY)
    for ply in range(_LAST_PLY):
        if ply >= first and en_passant < 0:
            # Few positions have a mate in three, and all moves are many: look for mates by checks
            # first.
            hopeful = n < 3 or _mating_moves(board, kings, side, en_passant, n, 1, True, moves, 0)
            if hopeful:
                length, move = only_mate(board, kings, side, en_passant, n, moves)
                if length == n:
                    return side, move
        count = 0
        for m in range(_pseudo_moves(board, side, en_passant, moves[0])):
            captured, _ = _make(board, kings, side, moves[0, m])
            if _safe(board, kings, side):
                choices[count] = moves[0, m]
                count += 1
            _unmake(board, kings, side, moves[0, m], captured)
        if count == 0:
            break
        _, en_passant = _make(board, kings, side, choices[below(state, count)])
        side = -side
    return 0, 0


def to_board(pieces: np.ndarray, side: int) -> chess.Board:
    """python-chess's board of int8 [64] pieces, without castling or en passant."""
    board = chess.Board(None)
    for square in np.flatnonzero(pieces):
        code = int(pieces[square])
        board.set_piece_at(int(square), chess.Piece(abs(code), code > 0))
    board.turn = side > 0
    return board


def to_move(code: int) -> chess.Move:
    """python-chess's move of a move code."""
    return chess.Move(code % 64, (code // 64) % 64, (code // 4096) % 8 or None)


def from_board(board: chess.Board) -> tuple[np.ndarray, np.ndarray, int, int]:
    """(pieces, king squares of White and Black, side, square of a capture en passant or -1)."""
    pieces = np.zeros(64, np.int8)
    for square, piece in board.piece_map().items():
        pieces[square] = piece.piece_type if piece.color else -piece.piece_type
    kings = np.array([board.king(chess.WHITE), board.king(chess.BLACK)])
    en_passant = -1 if board.ep_square is None else board.ep_square
    return pieces, kings, 1 if board.turn else -1, en_passant


def generate(n: int, count: int, seed: int = 0) -> list[tuple[str, str, int]]:
    """`count` rows (FEN, mating move in UCI, n), no position twice, each from its own game."""
    key = stream_key("mates", seed, "train", n)
    board, kings = np.empty(64, np.int8), np.empty(2, np.int64)
    rows: dict[str, tuple[str, str, int]] = {}
    game = 0
    while len(rows) < count:
        side, code = _play(key, game, n, board, kings)
        game += 1
        if side:
            position, move = to_board(board, side), to_move(code)
            if not position.is_valid() or not position.is_legal(move):
                raise AssertionError(
                    f"game {game - 1} reached an illegal position: {position.fen()}"
                )
            rows[position.fen()] = (position.fen(), move.uci(), n)
    return list(rows.values())


def write(rows: list[tuple[str, str, int]], path: Path) -> None:
    """Write a gzipped CSV with columns FEN, Moves, MateIn; the same rows give the same bytes."""
    text = "".join(f"{fen},{move},{n}\n" for fen, move, n in rows)
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9, mtime=0) as packed:
        packed.write(("FEN,Moves,MateIn\n" + text).encode())
    path.write_bytes(raw.getvalue())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = Parser(prog="python -m tasks.chess_mates", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--count", type=int, default=1000, help="positions of each of mate in 1, 2, 3"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="gzipped CSV to write")
    options = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0:
        parser.error("--count must be at least 1 and --seed at least 0")
    rows = [row for n in range(1, MAX_MATE + 1) for row in generate(n, options.count, options.seed)]
    write(rows, options.out)
    print(f"{len(rows):,} positions in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
