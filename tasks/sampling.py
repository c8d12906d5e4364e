"""Random numbers that are a pure function of their place, compiled.

A stream is a SplitMix64 generator (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195) whose
first state is a hash of (seed, split, difficulty, ..., index). Nothing is shared between problems,
so they can be made in any order, by any process.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32, _S11 = (np.uint64(s) for s in (30, 27, 31, 32, 11))
_TEN = np.uint64(10)

#: Numbers of the splits in compiled code.
SPLIT_NUMBER = {"train": 1, "validation": 2, "test": 3}


@njit(inline="always")
def mix(z):
    """SplitMix64's finaliser, a bijection of uint64: each input bit reaches each output bit."""
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@njit(inline="always")
def stream(key, index):
    """First state of the stream of problem `index` under `key`; an array of one uint64."""
    state = np.empty(1, np.uint64)
    state[0] = mix(key ^ mix(np.uint64(index) + _GOLDEN))
    return state


@njit(inline="always")
def next_u64(state):
    """The next 64 random bits; moves the stream on."""
    state[0] += _GOLDEN
    return mix(state[0])


@njit(inline="always")
def below(state, n):
    """Uniform integer in 0..n-1 for n < 2**32; the bias is under n / 2**32."""
    return np.int64(((next_u64(state) >> _S32) * np.uint64(n)) >> _S32)


@njit(inline="always")
def uniform(state):
    """Uniform float64 in [0, 1)."""
    return np.float64(next_u64(state) >> _S11) * (1.0 / 9007199254740992.0)


@njit(inline="always")
def normal(state):
    """Standard normal float64 (Box and Muller 1958; the second of the pair is not used)."""
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(state)))
    return radius * np.cos(2.0 * np.pi * uniform(state))


@njit(inline="always")
def split_of_hash(hashed):
    """1 train, 2 validation, 3 test: shares of 80 : 10 : 10 of all hashes."""
    bucket = hashed % _TEN
    if bucket == 0:
        return 2
    return 3 if bucket == 1 else 1


@njit
def _fold(fields):
    key = np.uint64(0)
    for f in fields:
        key = mix(key + _GOLDEN + np.uint64(f))
    return key


def stream_key(name: str, seed: int, split: str, *fields: int) -> np.uint64:
    """Key of the streams of a task's problems. `fields`: what else sets them apart, the difficulty
    first.

    The number of fields is folded in, so that a shorter key never equals a longer one.
    """
    label = int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "little")
    words = [len(fields), label, seed, SPLIT_NUMBER[split], *fields]
    return np.uint64(_fold(np.array([w % 2**64 for w in words], dtype=np.uint64)))


@njit
def _halves(size):
    """Half of the smallest even number of bits that holds `size`, and a mask of as many bits."""
    half = np.uint64(1)
    while (np.uint64(1) << (half + half)) < np.uint64(size):
        half += np.uint64(1)
    return half, (np.uint64(1) << half) - np.uint64(1)


@njit
def permute(position, size, key):
    """The place of `position` in a pseudo-random permutation of 0..size-1 chosen by `key`.

    A six-round Feistel network on the smallest even number of bits that holds `size`, walked until
    it lands inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). O(1) memory.
    """
    half, low_mask = _halves(size)
    value = np.uint64(position)
    while True:
        left, right = value >> half, value & low_mask
        for r in range(6):
            left, right = right, left ^ (mix(right ^ mix(key + np.uint64(r))) & low_mask)
        value = (left << half) | right
        if value < np.uint64(size):
            return value


@njit
def place_of(value, size, key):
    """The inverse of `permute`: the position that it takes to `value`, below size."""
    half, low_mask = _halves(size)
    position = np.uint64(value)
    while True:
        left, right = position >> half, position & low_mask
        for r in range(5, -1, -1):
            left, right = right ^ (mix(left ^ mix(key + np.uint64(r))) & low_mask), left
        position = (left << half) | right
        if position < np.uint64(size):
            return position


@njit(nogil=True, cache=True)
def permute_many(positions, size, key):
    """`permute` for each of int64 `positions`; returns int64."""
    out = np.empty(len(positions), np.int64)
    for i in range(len(positions)):
        out[i] = np.int64(permute(positions[i], size, key))
    return out
