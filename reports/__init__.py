"""Reports: what a results folder says, as one self-contained page. Reads stored records only."""

from __future__ import annotations

from pathlib import Path


def build_report(out: str | Path, page: str | Path | None = None) -> Path:
    """Write a page, by default OUT/report.html, from the records in OUT and return its path.

    The page replaces an older one in one step, so a reader never sees half of it. Raises
    `reports.read.load.NoRecords` (a ValueError) if OUT is missing or holds no records.
    """
    from foundations.files import write_atomically
    from reports.page.page import render
    from reports.read.load import load_records

    records = load_records(out)
    return write_atomically(Path(page or records.folder / "report.html"), render(records))
