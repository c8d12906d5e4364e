"""A real Chromium on pages of files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import picture

# What Chromium would otherwise fetch on its own account.
_QUIET = (
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


def start_browser():
    pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    try:
        started = picture.start_browser(*_QUIET, logs=True)
    except RuntimeError as error:
        pytest.skip(str(error))
    started.set_script_timeout(60)
    return started


def open_page(browser, path: Path, width: int) -> None:
    picture.show(browser, path, width, 900)
    wait_for(browser)


def wait_for(browser) -> None:
    """Until the page is there."""
    # On a busy machine the driver may come back while the page still loads.
    while browser.execute_script("return document.readyState") != "complete":
        time.sleep(0.02)
