"""What was found by trying, for the next time: 8 bytes a problem, in memory and, where it took
long, in the user's cache folder.

It spares time and changes nothing: a problem that is not remembered is found again.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import zipfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np

from foundations.files import part_of

#: Seconds of trying after which what came out is written to the cache folder.
WORTH_KEEPING = 20.0
#: Problems with higher numbers are not remembered.
MOST = 1 << 20


def cache_folder() -> Path:
    """RECURRENCE_CACHE, or `recurrence-or-depth` in XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("RECURRENCE_CACHE"):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "recurrence-or-depth"


class Remembered:
    """By number of a problem, the random state from which it comes out at the first try, uint64; 0
    where it was not made yet. file: where it is kept from one process to the next."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._states = _read(file)
        self._seconds = 0.0

    def of(self, indices: np.ndarray) -> np.ndarray:
        """What is known of problems, uint64 [n]."""
        states = self._states
        known = np.zeros(len(indices), np.uint64)
        here = indices < len(states)
        known[here] = states[indices[here]]
        return known

    def keep(self, indices: np.ndarray, states: np.ndarray, seconds: float) -> None:
        """Remember it. seconds: what finding it took."""
        here = indices < MOST
        if not here.any():
            return
        own = _longer(self._states, int(indices[here].max()) + 1)
        own[indices[here]] = states[here]
        self._states = own
        self._seconds += seconds
        if self._seconds > WORTH_KEEPING:
            self._seconds = 0.0
            self._write()

    def _write(self) -> None:
        """With what other processes wrote meanwhile; a cache that can't be written is none."""
        other = _read(self.file)
        whole = _longer(self._states, len(other)).copy()
        empty = whole[: len(other)] == 0
        whole[: len(other)][empty] = other[empty]
        self._states = whole
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part = part_of(self.file)
            try:
                with open(part, "wb") as file:
                    np.savez_compressed(file, states=whole)
                part.replace(self.file)
            finally:
                part.unlink(missing_ok=True)


def _longer(states: np.ndarray, need: int) -> np.ndarray:
    """The same, or a longer copy with room to spare."""
    if need <= len(states):
        return states
    more = np.zeros(max(need, min(2 * len(states), MOST)), np.uint64)
    more[: len(states)] = states
    return more


def _read(file: Path) -> np.ndarray:
    """What a file holds; nothing where it is absent or is not one of these."""
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        with np.load(file, allow_pickle=False) as held:
            states = held["states"]
        if states.dtype == np.uint64 and states.ndim == 1 and len(states) <= 2 * MOST:
            return states
    return np.zeros(0, np.uint64)


@lru_cache(maxsize=64)
def remembered(name: str, code: tuple[ModuleType, ...], *what: object) -> Remembered:
    """Of all problems of a kind, a process's. what: all that the states depend on, but for the
    number. code: what finds them: other code remembers nothing of this one."""
    said = "\n".join([repr(what), np.__version__, *map(inspect.getsource, code)])
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return Remembered(cache_folder() / f"{name}-{digest}.npz")
