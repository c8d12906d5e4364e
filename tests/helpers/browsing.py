"""A real Chromium on pages of files."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

# What Chromium would otherwise fetch on its own account.
_QUIET = (
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


def start_browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", *_QUIET):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.set_script_timeout(60)
    return started


def open_page(browser, path: Path, width: int, draw: bool = True) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    # On a busy machine the driver may come back while the page still loads.
    while browser.execute_script("return document.readyState") != "complete":
        time.sleep(0.02)
    if draw:
        draw_all(browser)


_DRAW_ALL = """
const done = arguments[0], plots = [...document.querySelectorAll('.plot')];
const step = () => {
  const left = plots.find((p) => !p.querySelector('.live svg.main-svg'));
  if (!left) return done(plots.length);
  left.scrollIntoView();
  setTimeout(step, 20);
};
step();
"""


def draw_all(browser) -> int:
    return browser.execute_async_script(_DRAW_ALL)
