"""Writing files so that a reader never meets half of one, and telling whose the half-written ones
are."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Callable
from pathlib import Path

#: Seconds after which a half-written file is nobody's, whoever began it.
DAY = 86_400.0
_PART = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>[0-9]+)-(?P<start>[0-9a-f]+)\.part")


def _host() -> str:
    """A name of this machine that fits in a file name. Containers may share a host name and not
    their process ids, and names may differ in what a file name can't hold: the number behind it
    keeps those separate."""
    name = socket.gethostname()
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # only Linux has it
        space = 0
    number = zlib.crc32(f"{name}/{space}".encode(errors="surrogateescape"))
    return f"{re.sub(r'[^A-Za-z0-9-]', '_', name)[:40]}-{number:08x}"


HOST = _host()
_START = secrets.token_hex(4)  # process ids recur, this does not


def part_of(path: Path) -> Path:
    """Where this process writes a file before it is moved to `path`; its name says whose it is."""
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}-{_START}.part")


def alive(pid: int) -> bool:
    """Whether this host has a process of this number that has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # not Linux, or it ended just now
        return True
    return status.rpartition(")")[2].split()[:1] != ["Z"]  # a zombie only waits to be counted


def abandoned(part: Path) -> bool:
    """Whether nobody will move a half-written file into place any more: it is this process's own,
    or of a process of this host that is gone, or older than a day. Whether a process of another
    host lives can't be seen from here."""
    try:
        old = time.time() - part.lstat().st_mtime > DAY
    except FileNotFoundError:  # moved into place meanwhile
        return False
    named = _PART.fullmatch(part.name)
    if old or named is None or named["host"] != HOST:
        return old
    pid = int(named["pid"])
    return pid == os.getpid() or not alive(pid)


def write_atomically(path: Path, text: str, check: Callable[[], None] | None = None) -> Path:
    """Write a file so that it is there whole, on the disk, or not at all. Returns its path.

    check: called just before the file is moved into place; what it raises leaves everything as it
    was. An OSError names `path`.
    """
    part = part_of(path)
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if check:
            check()
        os.replace(part, path)
    except OSError as error:
        if error.filename == os.fspath(part):  # which says nothing to those who read the message
            error.filename, error.filename2 = os.fspath(path), None
        raise
    finally:
        part.unlink(missing_ok=True)
    return path
