"""`python -m benchmarks.picture FOLDER --out docs/images/report.png`: the top of a page as a
browser shows it, for the README.

FOLDER: a results folder, or what `python -m reports keep` kept of one. Which templates and which
records the picture is of is written into the file, so that a test can tell when it is out of date.
Needs Chromium, chromedriver and selenium.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from foundations.command import Parser, writable_file
from foundations.errors import USAGE, one_line
from reports import build_report

WIDTH, HEIGHT = 1280, 960
_TEMPLATES = Path(__file__).resolve().parents[1] / "reports" / "templates"
_FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage")


def shown_from(folder: Path) -> str:
    """A fingerprint of the templates and of a folder's table."""
    parts = [*sorted(_TEMPLATES.iterdir()), folder / "results.parquet"]
    digest = hashlib.sha256()
    for path in parts:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def said_of(picture: Path) -> str:
    """The fingerprint that a picture was saved with."""
    from PIL import Image

    with Image.open(picture) as image:
        return str(image.info.get("shown_from", ""))


def start_browser(*flags: str, logs: bool = False) -> Any:
    """A headless Chromium. flags: beside those it needs. logs: of what it says and asks for.
    RuntimeError where none is there."""
    from selenium import webdriver

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        raise RuntimeError("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, *flags):
        options.add_argument(f"--{flag}")
    if logs:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def show(browser: Any, page: Path, width: int, height: int) -> None:
    """Open a page in a window of so many pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


def screenshot(page: Path, width: int, height: int) -> bytes:
    """A PNG of the top of a page. RuntimeError where no browser is there."""
    browser = start_browser("hide-scrollbars")
    try:
        show(browser, page, width, height)
        return bytes(browser.get_screenshot_as_png())
    finally:
        browser.quit()


def take(folder: Path, out: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Build the page of a folder beside it, in no place that is kept, and write its picture."""
    from PIL import Image, PngImagePlugin

    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(folder, Path(place) / folder.name))
        image = Image.open(io.BytesIO(screenshot(build_report(copy), width, height)))
        said = PngImagePlugin.PngInfo()
        said.add_text("shown_from", shown_from(folder))
        found = io.BytesIO()
        few = image.convert("RGB").quantize(256)  # a third of the size, and no eye sees it
        few.save(found, "PNG", optimize=True, pnginfo=said)
    out.write_bytes(found.getvalue())


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 with one line on what is wrong."""
    parser = Parser(prog="python -m benchmarks.picture", description="The top of a page as PNG.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--out", required=True, metavar="PNG", type=writable_file)
    parser.add_argument("--width", type=int, default=WIDTH, help=f"pixels (default {WIDTH})")
    parser.add_argument("--height", type=int, default=HEIGHT, help=f"pixels (default {HEIGHT})")
    options = parser.parse_args(arguments)
    try:
        take(options.folder, options.out, options.width, options.height)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
