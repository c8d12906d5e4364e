"""Reports: what a results folder says, as one self-contained page. Reads stored records only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.read.load import Records


def build_report(out: str | Path) -> Path:
    """Write OUT/report.html from the records in OUT and return its path. Raises
    `reports.read.load.NoRecords` (a ValueError) if OUT is missing or holds no records."""
    from reports.read.load import load_records

    return write_page(load_records(out))


def write_page(records: Records, page: Path | None = None) -> Path:
    """Write the page of records, by default report.html in their folder, and return its path. It
    replaces an older one in one step, so a reader never sees half of it."""
    from foundations.files import write_atomically
    from reports.page.page import render

    return write_atomically(page or records.folder / "report.html", render(records))
