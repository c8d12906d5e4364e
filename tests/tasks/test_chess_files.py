"""Chess puzzles of published tensors."""

from __future__ import annotations

import chess
import pytest
import torch

from tasks import load_task

# (position to move in, answer): two with Black to move.
PUZZLES = [
    ("6k1/5ppp/8/8/8/8/5PPP/R5K1 w - - 0 1", "a1a8"),
    ("r5k1/5ppp/8/8/8/8/5PPP/6K1 b - - 0 1", "a8a1"),
    ("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1", "e2e4"),
    ("4k3/4p3/8/8/8/8/8/3QK3 b - - 0 1", "e7e5"),
]
PIECES = "KQBNRPkqbnrp"


def tensors():
    """As the published script makes them: row 0 the first rank, the mover's planes first."""
    boards, targets = torch.zeros(4, 12, 8, 8), torch.zeros(4, 8, 8, dtype=torch.long)
    movers = torch.zeros(4, 1)
    for n, (fen, move) in enumerate(PUZZLES):
        board = chess.Board(fen)
        movers[n] = float(board.turn == chess.BLACK)
        order = PIECES if board.turn == chess.WHITE else PIECES.swapcase()
        for square, piece in board.piece_map().items():
            boards[n, order.index(piece.symbol()), square // 8, square % 8] = 1
        for square in (chess.parse_square(move[:2]), chess.parse_square(move[2:])):
            targets[n, square // 8, square % 8] = 1
    return {"data": boards, "targets": targets, "who_moves": movers}


def save(folder, parts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        torch.save(part, folder / f"{name}.pth")


def as_trained(parts):
    """What the published training makes of its loader's tensors: targets turned by the loader,
    boards and targets turned where Black moves."""
    boards, targets = parts["data"].clone(), parts["targets"].flip(1)
    black = parts["who_moves"][:, 0] == 1
    boards[black], targets[black] = boards[black].flip(2), targets[black].flip(1)
    return boards, targets


def problems(boards, targets):
    pairs = zip(boards, targets, strict=True)
    return sorted((b.numpy().tobytes(), t.numpy().tobytes()) for b, t in pairs)


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_tensors_made_by_hand_are_read_whichever_way_their_answers_are(turned, inside, tmp_path):
    parts = tensors()
    released = parts | {"targets": parts["targets"].flip(1)}
    save(tmp_path / "chess_data", released if turned else parts)
    root = tmp_path / "chess_data" if inside else tmp_path
    batch = load_task("chess", data_dir=str(root), test_all=True).sample(
        "0-100%", 4, 0, split="test"
    )
    assert problems(batch.inputs, batch.targets) == problems(*as_trained(released))


def test_answers_of_the_first_release_are_read(tmp_path):
    parts = tensors()
    parts["segment_targets"] = parts.pop("targets")
    save(tmp_path / "chess_data", parts)
    task = load_task("chess", data_dir=str(tmp_path), test_all=True)
    assert task.capacity("0-4", "test") == 4
    # Without ratings the order of the file is that of difficulty.
    one = task.sample("0-1", 1, 0, "test")
    assert one.targets[0].nonzero().tolist() == [[0, 0], [7, 0]]


@pytest.mark.parametrize("source", ["mates", "lichess"])
def test_what_is_written_is_read_again(source, tmp_path):
    if source == "lichess":
        rows = ["r6k/pp2r2p/4Rp1Q/3p4/8/1N1P2R1/PqP2bPP/7K b - - 0 24,f2g3 e6e7 b2b1,1828"]
        rows += ["5rk1/1p3ppp/pq3b2/8/8/1P1Q1N2/P4PPP/3R2K1 w - - 2 27,d3d6 f8d8 d6d8,1479"]
        rows += ["8/4R3/1p2P3/p4r2/P6p/1P3Pk1/4K3/8 w - - 1 64,e7f7 f5e5 e2f1 e5e6,1440"]
        source = tmp_path / "puzzles.csv"
        source.write_text("\n".join(rows) + "\n")
        task, difficulty, count = load_task("chess", source=str(source), test_all=True), "0-3", 3
    else:
        task, difficulty, count = load_task("chess"), 2, 60
    write = task.layouts["easy_to_hard"]
    write(task, difficulty, count, tmp_path / "out", seed=3, split="test")
    again = load_task("chess", data_dir=str(tmp_path / "out"), test_all=True)
    wanted = task.sample(difficulty, count, 3, "test")
    found = again.sample(f"0-{count}", count, 0, "test")
    assert problems(found.inputs, found.targets) == problems(wanted.inputs, wanted.targets)
    parts = {
        name: torch.load(tmp_path / "out" / "chess_data" / f"{name}.pth")
        for name in ("data", "targets", "who_moves", "rating")
    }
    assert problems(*as_trained(parts)) == problems(wanted.inputs, wanted.targets)
    assert parts["targets"].dtype == torch.int64
    assert (parts["rating"].diff(dim=0) >= 0).all()
    with pytest.raises(ValueError, match="exists already"):
        write(task, difficulty, count, tmp_path / "out", seed=3, split="test")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": torch.zeros(4, 6, 8, 8)}, r"data.pth must be of shape \(4, 12, 8, 8\)"),
        ({"who_moves": torch.zeros(3, 1)}, r"who_moves.pth must be of shape \(4, 1\)"),
        ({"targets": torch.zeros(4, 8, 8)}, "puzzle 0 marks no move"),
        ({"rating": torch.zeros(5, 1)}, "has 5 ratings of 4 puzzles"),
        ({"targets": "text"}, "holds a str, not a tensor"),
    ],
)
def test_broken_tensors_are_refused_in_one_line(change, said, tmp_path):
    save(tmp_path, tensors() | change)
    with pytest.raises(ValueError, match=said) as caught:
        load_task("chess", data_dir=str(tmp_path)).sample("0-100%", 1)
    assert "\n" not in str(caught.value)


def test_a_wrong_folder_is_said_with_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match=r"chess_data with data\.pth, targets\.pth and"):
        load_task("chess", data_dir=str(tmp_path))


def test_all_of_a_range_can_be_test_problems():
    some, every = load_task("chess"), load_task("chess", test_all=True)
    splits = ("train", "validation", "test")
    assert every.capacity(1, "test") == sum(some.capacity(1, split) for split in splits)
    assert every.capacity(1, "train") == some.capacity(1, "train")
