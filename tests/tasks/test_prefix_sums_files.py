"""Prefix sums of published files, in both layouts."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import load_task

LAYOUTS = {"easy_to_hard": "prefix_sums_data", "easy_to_hard_0.1": "prefix_sums_data/len_{}"}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def write(layout, length, count, out, seed=0, split="test"):
    task = load_task("prefix_sums")
    return task.layouts[layout](task, length, count, out, seed=seed, split=split)


def problems(batch):
    pairs = zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
    return sorted(map(str, pairs))


@each_layout
@given(
    length=st.integers(9, 80), seed=st.integers(0, 100), split=st.sampled_from(("train", "test"))
)
def test_what_is_written_is_read_again(tmp_path_factory, layout, length, seed, split):
    out = tmp_path_factory.mktemp("sums")
    write(layout, length, 40, out, seed, split)
    again = load_task("prefix_sums", data_dir=str(out), test_all=True)
    wanted = load_task("prefix_sums").sample(length, 40, seed, split)
    assert problems(again.sample(length, 40, 3, "test")) == problems(wanted)


@each_layout
def test_the_published_loader_reads_what_is_written(layout, tmp_path):
    write(layout, 16, 30, tmp_path, seed=2)
    folder = tmp_path / LAYOUTS[layout].format(16)
    # As easy_to_hard_data.PrefixSumDataset does.
    inputs = torch.load(folder / "16_data.pth").unsqueeze(1) - 0.5
    targets = torch.load(folder / "16_targets.pth").long()
    wanted = load_task("prefix_sums").sample(16, 30, 2, "test")
    assert torch.equal(inputs, wanted.inputs)
    assert inputs.dtype == torch.float32
    assert torch.equal(targets, wanted.targets)


@each_layout
@pytest.mark.parametrize("inside", [True, False])
def test_a_file_made_by_hand_is_read(layout, inside, tmp_path):
    folder = tmp_path / LAYOUTS[layout].format(4)
    folder.mkdir(parents=True)
    bits = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0]])
    torch.save(bits, folder / "4_data.pth")
    torch.save(torch.tensor([[1.0, 1, 0, 1], [0, 0, 1, 1]]), folder / "4_targets.pth")
    root = tmp_path / "prefix_sums_data" if inside else tmp_path
    task = load_task("prefix_sums", data_dir=str(root), test_all=True)
    batch = task.sample(4, 2, 0, "test")
    first = batch.inputs[:, 0, 0] > 0
    assert torch.equal(batch.inputs[first][0, 0], bits[0] - 0.5)
    assert batch.targets[first][0].tolist() == [1, 1, 0, 1]
    assert batch.targets[~first][0].tolist() == [0, 0, 1, 1]


def test_a_hash_of_the_string_decides_its_split(tmp_path):
    write("easy_to_hard", 16, 500, tmp_path)
    task = load_task("prefix_sums", data_dir=str(tmp_path))
    held = {split: task.capacity(16, split) for split in ("train", "validation", "test")}
    assert sum(held.values()) == 500
    assert 350 < held["train"] < 450
    seen = {split: set(problems(task.sample(16, n, 0, split))) for split, n in held.items()}
    assert len(set.union(*seen.values())) == 500
    every = load_task("prefix_sums", data_dir=str(tmp_path), test_all=True)
    assert every.capacity(16, "test") == 500
    assert every.capacity(16, "train") == held["train"]


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_in_a_file_is_run(tmp_path):
    folder = tmp_path / "prefix_sums_data"
    folder.mkdir()
    sprung = tmp_path / "sprung"
    torch.save(Trap(sprung), folder / "8_data.pth")
    (folder / "9_data.pth").write_bytes(pickle.dumps(Trap(sprung)))
    task = load_task("prefix_sums", data_dir=str(tmp_path))
    for length in (8, 9):
        with pytest.raises(ValueError, match=f"{length}_data.pth: ") as caught:
            task.sample(length, 1, 0, "test")
        assert "\n" not in str(caught.value)
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("data", "targets", "said"),
    [
        (torch.ones(3, 5), torch.ones(3, 5), "must hold strings of 4 bits"),
        (torch.ones(0, 4), torch.ones(0, 4), "must hold strings of 4 bits"),
        (torch.full((3, 4), 0.5), torch.ones(3, 4), "zeros and ones alone"),
        (torch.ones(3, 4), torch.ones(3, 4), "number 0 is no running sum"),
        (torch.zeros(3, 4), torch.zeros(2, 4), "has 3 strings, 4_targets.pth 2 answers"),
        ([1, 0], torch.ones(3, 4), "holds a list, not a tensor"),
        (torch.zeros(3, 4), None, "can't read a tensor from .*4_targets.pth"),
        (b"", None, "can't read a tensor from .*4_data.pth"),
        (b"nonsense", None, "can't read a tensor from .*4_data.pth"),
    ],
)
def test_broken_files_are_refused_in_one_line(data, targets, said, tmp_path):
    for part, content in (("data", data), ("targets", targets)):
        path = tmp_path / f"4_{part}.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            torch.save(content, path)
    with pytest.raises(ValueError, match=said) as caught:
        load_task("prefix_sums", data_dir=str(tmp_path)).sample(4, 1, 0, "test")
    assert "\n" not in str(caught.value)


def test_a_wrong_folder_or_option_is_said_with_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match=r"prefix_sums_data/N_data.pth"):
        load_task("prefix_sums", data_dir=str(tmp_path)).sample(16, 1)
    with pytest.raises(ValueError, match="is not a folder"):
        load_task("prefix_sums", data_dir=str(tmp_path / "none")).sample(16, 1)
    with pytest.raises(ValueError, match="leave out ones"):
        load_task("prefix_sums", data_dir=str(tmp_path), ones=0.1)
    write("easy_to_hard", 16, 20, tmp_path)
    with pytest.raises(ValueError, match="has prefix_sums problems of 16, none of 32"):
        load_task("prefix_sums", data_dir=str(tmp_path)).sample(32, 1)
    with pytest.raises(ValueError, match="exists already"):
        write("easy_to_hard", 16, 20, tmp_path)
