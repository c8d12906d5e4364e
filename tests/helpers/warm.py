"""Processes that begin with the library imported, in place of seconds of importing torch each.

They are forked from a server that has imported and nothing else. A fork of pytest itself would
share what tests left in it, its threads included.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path
from tempfile import mkstemp

from commands import ENVIRONMENT, ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["warmed"])
COMPARE = "import sys; from comparisons.cli import main; sys.exit(main(sys.argv[1:]))"


class Warm:
    """A process that runs Python code, with what a test needs of `subprocess.Popen`. Its standard
    error is kept, its standard output is not."""

    def __init__(self, code: str, *arguments: str, new_session: bool = False) -> None:
        if not forkserver._forkserver._forkserver_pid:
            before = os.environ.copy()
            os.environ.update(ENVIRONMENT, PYTHONPATH=f"{ROOT}:{ROOT / 'tests' / 'helpers'}")
            try:
                forkserver.ensure_running()
            finally:
                os.environ.clear()
                os.environ.update(before)
        handle, name = mkstemp()
        os.close(handle)
        self._errors = Path(name)
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
        error = self._errors.read_text()
        self._errors.unlink()
        return None, error

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
