"""Who works on a run: a lease that runs out when it is not renewed, and a claim against which all
that is written is checked.

Locks of the system (flock) end at the machine on many shared file systems. A lease is a file,
`held`, that its process touches every few seconds; others take it over once it has stood still for
long enough, or at once if its process, on their own machine, is gone. A lease alone hinders nobody:
a process that stood still (Ctrl-Z) wakes and goes on. So whoever gets a lease writes its claim to
claim.json, and every process reads that again before each thing it writes: the newest claim counts,
and an older one stops there.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from foundations.files import HOST, alive, write_atomically

MARKER = "held"
CLAIM = "claim.json"
OLD_LOCK = "lock"  # that earlier versions left
#: Without a sign of life for so long, a lease is taken over. Far more than any call that keeps
#: Python from renewing it.
LEASE_SECONDS = 60.0
#: Between two signs of life.
HEARTBEAT_SECONDS = 10.0
#: What a file system says that can't hold a lease.
UNSUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class ClaimLost(RuntimeError):
    """Another process has taken over the run that this one works on; the message is one line."""


def holds(name: str) -> bool:
    """Whether a file of this name, in a run's folder, says who works on the run and is no part of
    its results."""
    return name in (CLAIM, OLD_LOCK, MARKER) or name.startswith(f"{MARKER}.")


@dataclass(frozen=True)
class Claim:
    """What claim.json says. number: how many claims there were of the run, with this one. token: no
    other has it."""

    number: int
    token: str
    host: str
    pid: int

    def check(self, folder: Path) -> None:
        """ClaimLost if the run is another's by now; FileNotFoundError if its folder, or what the
        folder held, is gone."""
        newest = read_claim(folder)
        if newest == self:
            return
        # Whoever takes a run over replaces the claim and never leaves none: without one, somebody
        # removes the folder.
        if not (folder / CLAIM).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / CLAIM))
        by = f" by process {newest.pid} on {newest.host}" if newest else ""
        raise ClaimLost(
            f"{folder.name} was taken over{by}: this process stood still or could not be heard, and"
            " leaves it"
        )


def read_claim(folder: Path) -> Claim | None:
    """The newest claim of a run; None where there is none, or none that can be read."""
    try:
        stored = json.loads((folder / CLAIM).read_text(encoding="utf-8"))
        return Claim(
            int(stored["number"]), str(stored["token"]), str(stored["host"]), int(stored["pid"])
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _make_claim(folder: Path, token: str) -> Claim:
    """Be the newest claim of a run."""
    before = read_claim(folder)
    claim = Claim(before.number + 1 if before else 1, token, HOST, os.getpid())
    write_atomically(folder / CLAIM, json.dumps(asdict(claim)))
    return claim


@contextmanager
def hold(folder: Path, say: Callable[[str], None], first: bool) -> Iterator[Claim | None]:
    """Hold a run while working on it; yields None where another holds it. OSError where its files
    can't be made.

    say: told, once, where a file system can't hold a lease. first: whether this process is the one
    that works all the same then.
    """
    holder = _holder(folder, MARKER, LEASE_SECONDS, HEARTBEAT_SECONDS)
    try:
        mine = holder.acquire()
        token = holder.lease.token
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        _once(f"{folder.parent} can't hold leases ({error.strerror}): one process works there", say)
        mine, token = first, None
    if not mine:
        yield None
        return
    try:
        yield _make_claim(folder, token or secrets.token_hex(16))
    finally:
        with suppress(OSError):  # of a folder that is full or gone: what was written has told so
            holder.lease.release()


_said: set[str] = set()


def _once(line: str, say: Callable[[str], None]) -> None:
    if line not in _said:
        _said.add(line)
        say(line)


@cache
def _holder(folder: Path, marker: str, lease: float, heartbeat: float) -> _Holder:
    """One for each run: how long another's lease has stood still is seen from one attempt to the
    next."""
    return _Holder(folder, marker, lease, heartbeat)


class _Holder:
    """Attempts to get the lease of one run. lease, heartbeat: in seconds."""

    def __init__(self, folder: Path, marker: str, lease: float, heartbeat: float) -> None:
        self.folder, self.path = folder, folder / marker
        self.lease = SoftFileLease(
            self.path, lease_duration=lease, heartbeat_interval=heartbeat, thread_local=False
        )
        self.patience = lease + heartbeat
        self._seen: tuple[object, float] = (None, 0.0)

    def acquire(self) -> bool:
        """Whether the lease is this process's now, and was not already."""
        if self.lease.is_locked:
            return False
        if self._attempt():
            return True
        if self._forsaken():
            self.lease.force_break()
        elif self._stamp() is not None:
            return False
        # Given back meanwhile, or of a process that is gone: filelock 4.0 to 4.2.0 only remove such
        # a marker.
        return self._attempt()

    def _attempt(self) -> bool:
        try:
            self.lease.acquire(blocking=False)
        except (Timeout, LeaseSettingsMismatch):
            return False
        return True

    def _forsaken(self) -> bool:
        """Whether a marker that filelock leaves where it is, is nobody's.

        filelock takes over what has run out by exchanging two names, which NFS and SMB refuse, and
        never takes a marker whose process was killed before it had written its name. Two processes
        that find the same and both go on get two claims, of which one counts.
        """
        before = self._stamp()
        owner, claim = self.lease.owner, read_claim(self.folder)
        if owner and claim and owner.token == claim.token and claim.host == HOST:
            gone = not alive(claim.pid)
        else:
            gone = False
        if before != self._seen[0]:
            self._seen = (before, time.monotonic())
        gone = gone or time.monotonic() - self._seen[1] >= self.patience
        return gone and before is not None and before == self._stamp()

    def _stamp(self) -> object:
        """Changes with every sign of life; None where there is no marker. Opened, because NFS
        answers from memory what was not."""
        try:
            with open(self.path, "rb") as file:
                stat = os.fstat(file.fileno())
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns
