"""Processes that begin with the library imported, in place of seconds of importing torch each.

They are forked from a server that has imported and nothing else. A fork of pytest itself would
share what tests left in it, its threads included. Where a fork is not safe they are started anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import weakref
from multiprocessing import forkserver
from pathlib import Path
from tempfile import mkstemp
from unittest import mock

from commands import ENVIRONMENT, ROOT

FORKS = sys.platform == "linux"
_CONTEXT = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:
    _CONTEXT.set_forkserver_preload(["warmed"])
COMPARE = "import sys; from comparisons.cli import main; sys.exit(main(sys.argv[1:]))"


class Warm:
    """A process that runs Python code, with what a test needs of `subprocess.Popen`. Its standard
    error is kept, its standard output is not."""

    def __init__(self, code: str, *arguments: str, new_session: bool = False) -> None:
        if FORKS:
            paths = f"{ROOT}:{ROOT / 'tests' / 'helpers'}"
            with mock.patch.dict(os.environ, ENVIRONMENT | {"PYTHONPATH": paths}):
                forkserver.ensure_running()
        handle, name = mkstemp()
        os.close(handle)
        self._errors = Path(name)
        weakref.finalize(self, self._errors.unlink, missing_ok=True)
        self._process = _CONTEXT.Process(
            target=_run, args=(code, arguments, dict(ENVIRONMENT), name, new_session)
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python", timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[None, str]:
        self.wait(timeout)
        return None, self._errors.read_text()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def start(out: Path, *arguments: str, **more) -> Warm:
    """compare.py."""
    return Warm(COMPARE, *arguments, f"--out={out}", **more)


def _run(code: str, arguments: tuple[str, ...], environment: dict, errors: str, session: bool):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    if session:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    sys.argv = ["compare.py", *arguments]
    exec(compile(code, "<test>", "exec"), {"__name__": "__main__"})
