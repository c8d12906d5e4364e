"""Running sums modulo two of bit strings (Schwarzschild et al. 2021, "Thinking Deeply with
Recurrence")."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from tasks.base import Batch, Difficulty, Task, TaskSpec
from tasks.mixing import Mixture
from tasks.prefix_sums_files import LAYOUTS, PrefixSumFiles
from tasks.published import only_for_made
from tasks.sampling import mix, next_u64, permute, place_of, stream, stream_key, uniform

# Strings are told apart by their first 48 bits at most: what follows is free, and 2**48 is enough.
_KEYED_BITS = 48
# A fixed permutation of all strings, cut in three, keeps the splits apart whatever the seed.
_SHARES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}


@njit(nogil=True, cache=True)
def _fill(indices, length, first, count, domain, key, split_key, inputs, targets):
    one = np.uint64(1)
    keyed = min(length, 48)
    for row in range(len(indices)):
        index = np.uint64(indices[row])
        place = np.uint64(first) + permute(index, count, key)
        word = permute(place, domain, split_key)
        state = stream(mix(key), index)
        total = 0
        for i in range(length):
            if i >= keyed and (i - keyed) % 64 == 0:
                word = next_u64(state)
            bit = np.int64(word & one)
            word >>= one
            total ^= bit
            inputs[row, 0, i] = bit - 0.5
            targets[row, i] = total


@njit(nogil=True, cache=True)
def _fill_uneven(indices, length, first, count, domain, key, split_key, law, inputs, targets):
    """Strings of `law` = (chance of a one, zeros that come first), drawn until one is in the split
    in which `_fill` has it too. Where nearly all bits that tell strings apart would be zeros, those
    behind the zeros tell: `_fill` meets such a string once in 2**40."""
    chance, zeros = law
    skipped = zeros if zeros > 40 else 0
    keyed = min(length - skipped, 48)
    for row in range(len(indices)):
        state = stream(mix(key), np.uint64(indices[row]))
        place = np.uint64(0)
        inside = False
        while not inside:
            word = np.uint64(0)
            for i in range(length):
                bit = i >= zeros and uniform(state) < chance
                inputs[row, 0, i] = bit - 0.5
                if bit and 0 <= i - skipped < keyed:
                    word |= np.uint64(1) << np.uint64(i - skipped)
            place = place_of(word, domain, split_key)
            inside = place >= np.uint64(first) and place < np.uint64(first + count)
        total = 0
        for i in range(length):
            total ^= inputs[row, 0, i] > 0
            targets[row, i] = total


class PrefixSums(Task):
    """The parity of every prefix of a string of bits.

    Input: n bits as -0.5 and 0.5, float32 [N, 1, n]. Target: the running sum modulo two, [N, n].

    The difficulty is n. Within a split and seed all strings differ: an index is mapped to a string
    by a permutation, so asking for more strings than exist is an error.

    ones: the chance of a one, 0.5 as published. zeros: the share of each string, rounded down to
    whole bits, that comes first and is all zeros. With either, strings repeat as draws do, and a
    length needs at least 8 bits behind the zeros. mix: names of `axes` joined by "+", or "all":
    each problem is of one of them, drawn by its number with equal chance.

    data_dir: a folder of published strings to use in place of drawn ones (see
    `tasks.prefix_sums_files`); no option but test_all may be given beside it. test_all: all of a
    length are test problems as well, as in published tests of lengths that were not trained on.
    """

    title = "prefix sums"
    layouts = LAYOUTS
    spec = TaskSpec(
        name="prefix_sums",
        in_channels=1,
        spatial_dims=1,
        dense=True,
        outputs=2,
        difficulties=(16, 24, 32, 40, 44, 48, 56, 64, 72, 128, 256, 512, 1024, 10_000),
        train_difficulty=32,
        difficulty_label="length",
    )
    # Chosen on problems of seed 77, training seeds 105 to 128, all of which learn
    # (docs/recipes.md): at a rate of 3e-3 in batches of 24 one of ten did not. With smoothed labels
    # networks stay right for 64 iterations.
    presets = {
        "smoke": {"train_difficulty": 16, "test_difficulties": (16, 24, 32)},
        "quick": {
            "train_difficulty": 16,
            "test_difficulties": (16, 32, 48, 64),
            "train": {
                "learning_rate": 2e-3,
                "label_smoothing": 0.2,
                "batch_size": 32,
                "steps": 1000,
            },
            "evaluation": {"samples": 500},
        },
        "paper": {
            "train_difficulty": 32,
            "test_difficulties": (32, 44, 48, 64, 128, 256, 512),
            "train": {"batch_size": 100, "steps": 15_000, "alpha": 1.0},
        },
    }

    def __init__(
        self,
        ones: float = 0.5,
        zeros: float = 0.0,
        mix: str = "",
        data_dir: str | None = None,
        test_all: bool = False,
    ) -> None:
        for name, share, least, most in (("ones", ones, 0.05, 0.95), ("zeros", zeros, 0, 0.75)):
            number = isinstance(share, (int, float)) and not isinstance(share, bool)
            if not number or not least <= share <= most:
                raise ValueError(
                    f"prefix_sums {name} must be a share from {least} to {most}, not {share!r}"
                )
        self.ones, self.zeros = float(ones), float(zeros)
        if mix and not self._even:
            raise ValueError("prefix_sums mix names the axes itself: leave out ones and zeros")
        self._mixture = Mixture(type(self), self.axes() if mix else {}, mix)
        self._files = None if data_dir is None else PrefixSumFiles(data_dir, bool(test_all))
        if self._files:
            given = {"ones": ones != 0.5, "zeros": zeros != 0, "mix": bool(mix)}
            only_for_made("prefix_sums", given)

    @property
    def _even(self) -> bool:
        return self.ones == 0.5 and self.zeros == 0

    def axes(self) -> dict[str, dict[str, Any]]:
        return {
            "plain": {},
            "few_ones": {"ones": 0.1},
            "many_ones": {"ones": 0.9},
            "zeros": {"zeros": 0.5},
        }

    def check_difficulty(self, difficulty: Difficulty) -> None:
        if not isinstance(difficulty, (int, np.integer)) or not 1 <= difficulty <= 2**20:
            raise ValueError(
                f"prefix_sums length must be an integer from 1 to {2**20}, not {difficulty!r}"
            )
        for task in self._mixture.tasks:
            task.check_difficulty(difficulty)
        if not self._even and difficulty - int(self.zeros * difficulty) < 8:
            raise ValueError(
                "prefix_sums with ones or zeros needs 8 bits that are free, more than length"
                f" {difficulty} has"
            )
        if self._files:
            self._files.check(difficulty)

    def _range(self, length: int, split: str) -> tuple[int, int]:
        domain = 2 ** min(length, _KEYED_BITS)
        low, high = (round(share * domain) for share in _SHARES[split])
        return low, high

    def capacity(self, difficulty: Difficulty, split: str) -> int | None:
        if self._files:
            return self._files.capacity(difficulty, split)
        if self._mixture or not self._even:
            return None
        low, high = self._range(int(difficulty), split)
        return high - low

    def make(self, difficulty: Difficulty, indices: np.ndarray, seed: int, split: str) -> Batch:
        length = int(difficulty)
        if self._files:
            return self._files.make(length, indices, seed, split)
        if self._mixture:
            return self._mixture.make(length, indices, seed, split)
        low, high = self._range(length, split)
        inputs = np.empty((len(indices), 1, length), np.float32)
        targets = np.empty((len(indices), length), np.int64)
        places = (length, low, high - low, 2 ** min(length, _KEYED_BITS))
        own_key = stream_key("prefix_sums", seed, split, length)
        split_key = stream_key("prefix_sums", 0, "train", length, 0)
        if self._even:
            _fill(indices, *places, own_key, split_key, inputs, targets)
        else:
            law = (self.ones, int(self.zeros * length))
            _fill_uneven(indices, *places, own_key, split_key, law, inputs, targets)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets))
