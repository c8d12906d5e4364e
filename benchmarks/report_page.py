"""`python -m benchmarks.report_page FOLDER`: how large the report of many runs is, and how soon it
opens.

Runs of a real results folder are copied under other seeds until there are as many as asked for; the
page is built from them and opened in headless Chromium.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from foundations.command import Parser, whole_number
from foundations.errors import USAGE
from foundations.records.reading import collect, write_table
from reports import build_report


def multiply(source: Path, out: Path, count: int) -> int:
    """Copy the complete runs of a folder under new seeds until there are `count`. Returns how many
    there are."""
    runs = [p.parent for p in sorted((source / "runs").glob("*/result.json"))]
    if not runs:
        raise ValueError(f"{source} holds no complete runs")
    shutil.copy(source / "study.json", out / "study.json")
    for i in range(count):
        run, copy = runs[i % len(runs)], i // len(runs)
        spec = json.loads((run / "spec.json").read_text())
        result = json.loads((run / "result.json").read_text())
        name = f"{run.name}-copy{copy}"
        seed = spec["seed"] = spec["seed"] + 1000 * copy
        result |= {"run_id": name, "seed": seed}
        result["rows"] = [{**row, "run_id": name, "seed": seed} for row in result["rows"]]
        folder = out / "runs" / name
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(spec))
        (folder / "result.json").write_text(json.dumps(result))
        for other in ("metrics.jsonl", "examples.safetensors"):
            if (run / other).exists():
                shutil.copy(run / other, folder / other)
    return count


def load_seconds(page: Path, repeats: int) -> list[float]:
    """Seconds from asking for the page to its load event, in a fresh headless Chromium each
    time."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    found = []
    for _ in range(repeats):
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            browser.get(page.as_uri())
            timing = "const t = performance.timing; return t.loadEventEnd - t.navigationStart"
            found.append(browser.execute_script(timing) / 1000)
        finally:
            browser.quit()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0; 2 for wrong usage."""
    parser = Parser(prog="python -m benchmarks.report_page", description=__doc__)
    parser.add_argument("folder", type=Path, help="a results folder")
    parser.add_argument("--runs", type=whole_number(1, 100_000), default=300)
    parser.add_argument("--repeats", type=whole_number(1, 1000), default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        try:
            multiply(options.folder, out, options.runs)
        except (ValueError, OSError) as error:
            print(f"{parser.prog}: {error}", file=sys.stderr)
            return USAGE
        table, odd = collect(out)
        for line in odd:
            print(f"left out: {line}", file=sys.stderr)
        write_table(out, table)
        began = time.perf_counter()
        page = build_report(out)
        built = time.perf_counter() - began
        seconds = load_seconds(page, options.repeats)
        print(
            f"{options.runs} runs, {len(table):,} rows: built in {built:.1f} s,"
            f" {page.stat().st_size / 2**20:.1f} MiB, opens in {statistics.median(seconds):.2f} s"
            f" (median of {options.repeats}: {', '.join(f'{s:.2f}' for s in seconds)})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
