"""Chess: encoding, sources, scoring, and mates verified by an independent search."""

from __future__ import annotations

import gzip
import warnings

import chess
import commands
import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import chess_sources, load_task
from tasks.chess import MATES, ranks
from tasks.chess_mates import (
    MAX_MATE,
    from_board,
    generate,
    only_mate,
    scratch,
    to_board,
    to_move,
    write,
)
from tasks.chess_sources import PIECES, encode

PUZZLES = commands.SHARED / "data" / "lichess" / "puzzles.csv"

#: Three real puzzles: FEN before the opponent's move, moves, rating.
ROWS = [
    ("r6k/pp2r2p/4Rp1Q/3p4/8/1N1P2R1/PqP2bPP/7K b - - 0 24", "f2g3 e6e7 b2b1 b3c1 b1c1 h6c1", 1828),
    ("5rk1/1p3ppp/pq3b2/8/8/1P1Q1N2/P4PPP/3R2K1 w - - 2 27", "d3d6 f8d8 d6d8 f6d8", 1479),
    ("8/4R3/1p2P3/p4r2/P6p/1P3Pk1/4K3/8 w - - 1 64", "e7f7 f5e5 e2f1 e5e6", 1440),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "puzzles"


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    """What is kept of a source goes to a folder of these tests' own; what is in memory goes."""
    monkeypatch.setattr(chess_sources, "_folder", lambda: cache)
    from tasks.chess import _puzzles

    _puzzles.cache_clear()


@st.composite
def boards(draw):
    """Positions of random legal games."""
    board = chess.Board()
    for choice in draw(st.lists(st.integers(0, 10**6), max_size=60)):
        moves = list(board.legal_moves)
        if not moves:
            board.pop()
            break
        board.push(moves[choice % len(moves)])
    return board


def planes_of(board, move=None):
    """float [12, 8, 8] of a position, by way of the bitboards that a source keeps."""
    masks, _, _ = encode(board, move or next(iter(board.legal_moves), chess.Move.null()))
    octets = np.array(masks, "<u8").view(np.uint8)
    return np.unpackbits(octets, bitorder="little").reshape(12, 8, 8)


@given(boards())
@settings(max_examples=60, deadline=None)
def test_a_boards_planes_give_back_its_pieces(board):
    planes = planes_of(board)
    back = chess.Board(None)
    for plane, rank, file in np.argwhere(planes):
        mine = plane < 6
        square = chess.square(file, rank if board.turn else 7 - rank)
        colour = board.turn if mine else not board.turn
        back.set_piece_at(square, chess.Piece(PIECES[plane % 6], colour))
    assert back.board_fen() == board.board_fen()
    assert planes.sum() == len(board.piece_map())


@given(boards())
@settings(max_examples=60, deadline=None)
def test_swapping_the_colours_changes_nothing_for_the_mover(board):
    move = next(iter(board.legal_moves), None)
    if move is None:
        return
    turned = chess.Move(
        chess.square_mirror(move.from_square), chess.square_mirror(move.to_square), move.promotion
    )
    assert encode(board, move) == encode(board.mirror(), turned)


def csv_of(rows, header=None):
    lines = ([header] if header else []) + [",".join(map(str, row)) for row in rows]
    return "\n".join(lines) + "\n"


def task_of(tmp_path, text, name="puzzles.csv", **options):
    path = tmp_path / name
    data = text.encode()
    if name.endswith(".gz"):
        data = gzip.compress(data)
    elif name.endswith(".zst"):
        data = zstandard.compress(data)
    path.write_bytes(data)
    return load_task("chess", source=str(path), **options)


def everything(task, difficulty="0-100%"):
    """All problems of a difficulty, by (inputs, targets) bytes."""
    found = set()
    for split in ("train", "validation", "test"):
        held = task.capacity(difficulty, split)
        if held:
            b = task.sample(difficulty, held, split=split)
            found |= {
                (x.numpy().tobytes(), y.numpy().tobytes())
                for x, y in zip(b.inputs, b.targets, strict=True)
            }
    return found


def expected(rows):
    """The same, straight from python-chess."""
    found = set()
    for fen, moves, _ in rows:
        board = chess.Board(fen)
        first, second = moves.split()[:2]
        board.push_uci(first)
        x = np.zeros((12, 8, 8), np.float32)
        y = np.zeros((8, 8), np.int64)
        move = chess.Move.from_uci(second)
        for square, piece in board.piece_map().items():
            rank = chess.square_rank(square) if board.turn else 7 - chess.square_rank(square)
            plane = "KQBNRP".index(piece.symbol().upper()) + 6 * (piece.color != board.turn)
            x[plane, rank, chess.square_file(square)] = 1
        for square in (move.from_square, move.to_square):
            rank = chess.square_rank(square) if board.turn else 7 - chess.square_rank(square)
            y[rank, chess.square_file(square)] = 1
        found.add((x.tobytes(), y.tobytes()))
    return found


LICHESS = "PuzzleId,FEN,Moves,Rating,RatingDeviation,Popularity,NbPlays,Themes,GameUrl,OpeningTags"


@pytest.mark.parametrize("name", ["puzzles.csv", "puzzles.csv.gz", "puzzles.csv.zst"])
@pytest.mark.parametrize("kind", ["plain", "header", "lichess", "lichess without header"])
def test_every_form_of_the_file_gives_the_same_puzzles(name, kind, tmp_path):
    if kind.startswith("lichess"):
        rows = [
            (f"00{i}xx", *row, 80, 90, 7, "mate short", "https://x/y", "")
            for i, row in enumerate(ROWS)
        ]
        text = csv_of(rows, LICHESS if kind == "lichess" else None)
    else:
        text = csv_of(ROWS, "FEN,Moves,Rating" if kind == "header" else None)
    assert everything(task_of(tmp_path, text, name)) == expected(ROWS)


def test_what_is_kept_is_what_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(chess_sources, "_folder", lambda: tmp_path / "own")
    first = everything(task_of(tmp_path, csv_of(ROWS)))
    from tasks.chess import _puzzles

    _puzzles.cache_clear()
    assert len(list((tmp_path / "own").iterdir())) == 1
    monkeypatch.setattr(chess_sources, "encoded", lambda *_: pytest.fail("read again"))
    assert everything(task_of(tmp_path, csv_of(ROWS))) == first


def test_a_changed_file_is_read_again(tmp_path):
    everything(task_of(tmp_path, csv_of(ROWS[:2])))
    from tasks.chess import _puzzles

    _puzzles.cache_clear()
    assert everything(task_of(tmp_path, csv_of(ROWS[1:]))) == expected(ROWS[1:])


@pytest.mark.parametrize("again", [False, True])
def test_malformed_rows_are_counted_and_named_by_line(again, tmp_path):
    rows = [ROWS[0], ("not a fen", "e2e4 e7e5", 1), (ROWS[1][0], "d3d6", 1479), ("x",), ROWS[2]]
    from tasks.chess import _puzzles

    for _ in range(1 + again):  # the second time from what was kept
        _puzzles.cache_clear()
        with pytest.warns(UserWarning, match=r"3 malformed rows.*lines 2 .*, 3 .*, 4 ") as caught:
            found = everything(task_of(tmp_path, csv_of(rows)))
        assert len(caught) == 1
    assert found == expected([ROWS[0], ROWS[2]])


def test_an_illegal_move_is_an_error_with_its_line(tmp_path):
    bad = (ROWS[1][0], "d3d6 f8f1", 1479)
    with pytest.raises(ValueError, match=r"puzzles.csv, line 2: f8f1 is illegal"):
        everything(task_of(tmp_path, csv_of([ROWS[0], bad])))


def test_a_file_without_a_puzzle_says_so(tmp_path):
    for text, reason in (("a,b,c\n", "neither"), ("", "empty"), ("FEN,Moves\n", "Rating")):
        with pytest.raises(ValueError, match=reason):
            task_of(tmp_path, text).capacity("0-100%", "train")
    with pytest.raises(ValueError, match="no file"):
        load_task("chess", source=str(tmp_path / "none.csv"))


def test_a_repeated_puzzle_is_kept_once(tmp_path):
    task = task_of(tmp_path, csv_of(ROWS + ROWS))
    assert sum(task.capacity("0-100%", s) for s in ("train", "validation", "test")) == 3


def test_difficulty_is_the_rating_rank(tmp_path):
    task = task_of(tmp_path, csv_of(ROWS))
    assert everything(task, "0-1") == expected([ROWS[2]])  # 1440
    assert everything(task, "1-2") == expected([ROWS[1]])  # 1479
    assert everything(task, "2-3") == expected([ROWS[0]])  # 1828


@given(st.integers(1, 10**7), st.integers(0, 99), st.integers(1, 100))
def test_neighbouring_ranges_share_no_rank(puzzles, first, more):
    last = min(first + more, 100)
    try:
        low = ranks(f"0-{first}%", puzzles) if first else (0, 0)
        high = ranks(f"{first}-{last}%", puzzles)
    except ValueError:
        assert puzzles < 200  # too few for a range of this share to hold one
        return
    assert low[1] == high[0]
    assert ranks("0-100%", puzzles) == (0, puzzles)


@pytest.mark.parametrize("difficulty", ["50-0%", "0-11", "easy", 3, "", "0-101%", "2-2", True])
def test_a_range_that_makes_no_sense_is_refused(difficulty):
    with pytest.raises(ValueError, match="range of ranks"):
        ranks(difficulty, 10)


def test_harder_ranges_have_higher_levels(tmp_path):
    spec = task_of(tmp_path, csv_of(ROWS)).spec
    assert [spec.level(d) for d in spec.difficulties] == [50 + 17, 100]  # two of three, all of them


def test_every_real_puzzle_is_legal_and_encoded_as_published():
    if not PUZZLES.is_file():
        pytest.skip("needs the real puzzles in TEST_DATA/data/lichess")
    rows = [line.split(",") for line in PUZZLES.read_text().splitlines()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = load_task("chess", source=str(PUZZLES))
        found = everything(task)
    assert len(rows) == 10_000
    assert found == expected(rows)
    ratings = sorted(int(row[2]) for row in rows)
    from tasks.chess import _puzzles

    assert _puzzles(str(PUZZLES)).rating.tolist() == ratings or len(found) < 10_000


# --- scoring
# -----------------------------------------------------------------------------------------


def test_the_two_highest_squares_are_the_answer():
    task = load_task("chess")
    batch = task.sample(1, 20)
    logits = torch.randn(20, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert (task.predict(logits, batch).flatten(1).sum(1) == 2).all()
    # A shift of a whole board's scores changes no answer: no threshold is involved.
    shifted = logits + torch.tensor([-3.0, 50.0]).view(1, 2, 1, 1)
    assert torch.equal(task.predict(logits, batch), task.predict(shifted, batch))
    logits[:, 1] += 100 * batch.targets
    assert task.correct(logits, batch).all()
    assert (task.element_accuracy(logits, batch) == 1).all()


def test_one_square_of_two_is_half_and_not_correct():
    task = load_task("chess")
    batch = task.sample(1, 20)
    first = torch.nn.functional.one_hot(batch.targets.flatten(1).argmax(1), 64).view(-1, 8, 8)
    logits = torch.zeros(20, 2, 8, 8)
    logits[:, 1] = 2.0 * first - 1.0 * batch.targets + batch.targets.roll(1, -1) * 0.5
    assert not task.correct(logits, batch).any()
    assert (task.element_accuracy(logits, batch) == 0.5).all()


def test_augmentation_mirrors_board_and_answer_together():
    task = load_task("chess")
    batch = task.sample(1, 64)
    after = task.augment(batch, torch.Generator().manual_seed(0))
    turned = (after.inputs != batch.inputs).flatten(1).any(1)
    assert 10 < int(turned.sum()) < 54
    for moved in (after.inputs, after.targets):
        before = batch.inputs if moved is after.inputs else batch.targets
        assert torch.equal(moved[turned], before[turned].flip(-1))
        assert torch.equal(moved[~turned], before[~turned])


# --- mates
# -------------------------------------------------------------------------------------------


def independent_mating_moves(board: chess.Board, n: int) -> list[chess.Move]:
    """All first moves that force mate within n moves, by plain search over python-chess's legal
    moves."""

    def forced(board: chess.Board, n: int) -> bool:
        """Whether the side to move is mated within n more moves of the other, whatever it does."""
        if board.is_checkmate():
            return True
        replies = list(board.legal_moves)
        if n == 0 or not replies:
            return False
        for reply in replies:
            board.push(reply)
            lost = bool(first_mating(board, n))
            board.pop()
            if not lost:
                return False
        return True

    def first_mating(board: chess.Board, n: int) -> chess.Move | None:
        for move in board.legal_moves:
            if n == 1 and not board.gives_check(move):
                continue
            board.push(move)
            wins = forced(board, n - 1)
            board.pop()
            if wins:
                return move
        return None

    found = []
    for move in list(board.legal_moves):
        board.push(move)
        if forced(board, n - 1):
            found.append(move)
        board.pop()
    return found


def embedded(n: int) -> list[tuple[chess.Board, str]]:
    with gzip.open(MATES, "rt") as file:
        rows = [line.strip().split(",") for line in file][1:]
    return [(chess.Board(fen), move) for fen, move, m in rows if int(m) == n]


@pytest.mark.parametrize(("n", "count"), [(1, 150), (2, 6), (3, 3)])
def test_embedded_mates_are_forced_and_unique_by_an_independent_search(n, count):
    rows = embedded(n)
    assert len(rows) >= 3000
    few = sorted(rows, key=lambda row: row[0].legal_moves.count())  # small boards: a quick search
    for board, move in few[:count] if n == 3 else few[:: len(few) // count]:
        assert board.is_valid()
        assert [m.uci() for m in independent_mating_moves(board, n)] == [move]
        assert n == 1 or independent_mating_moves(board, n - 1) == []


@pytest.mark.slow
@pytest.mark.parametrize(("n", "count"), [(1, 10_000), (2, 200), (3, 20)])
def test_more_embedded_mates_are_forced_and_unique(n, count):
    rows = embedded(n)
    for board, move in rows[:: max(1, len(rows) // count)]:
        assert [m.uci() for m in independent_mating_moves(board, n)] == [move]


@given(boards())
@settings(max_examples=40, deadline=None)
def test_the_compiled_search_finds_the_mates_in_one_that_python_chess_finds(board):
    board.set_castling_fen("-")
    pieces, kings, side, en_passant = from_board(board)
    n, code = only_mate(pieces, kings, side, en_passant, 1, scratch())
    mates = independent_mating_moves(board, 1)
    assert [to_move(code)] * (n == 1) == (mates if len(mates) == 1 else [])
    assert to_board(pieces, side).board_fen() == board.board_fen()  # the search left it as it was


def test_generated_mates_are_the_embedded_ones():
    for n in range(1, MAX_MATE + 1):
        rows = generate(n, 3, seed=0)
        with gzip.open(MATES, "rt") as file:
            kept = {tuple(line.strip().split(",")) for line in file}
        assert {(fen, move, str(m)) for fen, move, m in rows} <= kept


def test_written_mates_are_read_as_a_source(tmp_path):
    rows = [row for n in (1, 2) for row in generate(n, 8, seed=1)]
    write(rows, tmp_path / "mates.csv.gz")
    task = load_task("chess", source=str(tmp_path / "mates.csv.gz"))
    assert task.spec.difficulties == (1, 2, 3)
    held = [sum(task.capacity(n, s) for s in ("train", "validation", "test")) for n in (1, 2, 3)]
    assert held == [8, 8, 0]


def test_the_splits_of_the_mates_share_no_position():
    task = load_task("chess")
    for n in (1, 2, 3):
        kept = []
        for split in ("train", "validation", "test"):
            batch = task.sample(n, task.capacity(n, split), split=split)
            kept.append({x.numpy().tobytes() for x in batch.inputs})
        assert len(kept[0] | kept[1] | kept[2]) == sum(map(len, kept))
        assert len(kept[0]) > 6 * len(kept[2]) > 0
