"""What was found is found again without trying, from memory or from a file, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import paddles, remembered, sampling
from tasks.remembered import MOST, WORTH_KEEPING, Remembered

NUMBERS = np.array([3, 0, 2 * MOST])
STATES = np.array([7, 8, 9], np.uint64)


def test_numbers_that_are_not_huge_are_remembered(tmp_path):
    known = Remembered(tmp_path / "a.npz")
    assert known.of(NUMBERS).tolist() == [0, 0, 0]
    known.keep(NUMBERS, STATES, 0.1)
    assert known.of(np.array([0, 1, 3, 2 * MOST])).tolist() == [8, 0, 7, 0]
    known.keep(NUMBERS[2:], STATES[2:], 0.1)
    assert not list(tmp_path.iterdir()), "what took no time is not worth a file"


def test_what_took_long_is_there_for_the_next_process_with_what_others_found(tmp_path):
    file = tmp_path / "new" / "a.npz"
    one, other = Remembered(file), Remembered(file)
    one.keep(NUMBERS[:1], STATES[:1], WORTH_KEEPING / 2)
    one.keep(NUMBERS[:1], STATES[:1], WORTH_KEEPING)
    other.keep(np.array([50_000]), np.array([5], np.uint64), 2 * WORTH_KEEPING)
    found = Remembered(file).of(np.array([3, 0, 50_000]))
    assert found.tolist() == [7, 0, 5]
    assert other.of(np.array([3])).tolist() == [7]


@pytest.mark.parametrize("held", [b"", b"no archive", "other", "shape"])
def test_a_file_of_something_else_is_as_none(tmp_path, held):
    file = tmp_path / "a.npz"
    if held == "other":
        np.savez(file, states=np.array([1.5]))
    elif held == "shape":
        np.savez(file, states=np.ones((2, 2), np.uint64))
    else:
        file.write_bytes(held)
    known = Remembered(file)
    assert known.of(NUMBERS).tolist() == [0, 0, 0]
    known.keep(NUMBERS, STATES, 2 * WORTH_KEEPING)
    assert Remembered(file).of(NUMBERS).tolist() == [7, 8, 0]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    known = Remembered(tmp_path / "file" / "a.npz")
    known.keep(NUMBERS, STATES, 2 * WORTH_KEEPING)
    assert known.of(NUMBERS[:1]).tolist() == [7]


def test_files_are_of_one_kind_and_of_one_code(tmp_path, monkeypatch):
    monkeypatch.delenv("RECURRENCE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kinds = [((paddles,), 6), ((paddles,), 7), ((paddles, sampling), 6)]
    files = {remembered.remembered("a", code, what).file for code, what in kinds}
    assert len(files) == 3
    assert {file.parent for file in files} == {tmp_path / "recurrence-or-depth"}
