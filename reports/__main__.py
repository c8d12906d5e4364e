"""`python -m reports OUT` builds OUT/report.html again; `python -m reports compare A B` sets two folders side
by side."""

from __future__ import annotations

import sys
from pathlib import Path

from files import write_atomically
from names import USAGE, Parser, one_line, writable_file
from reports import build_report


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["compare"] and not (len(arguments) == 1 and Path("compare").is_dir()):
            return _compare(arguments[1:])
        return _build(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return USAGE


def _build(arguments: list[str]) -> int:
    parser = Parser(
        prog="python -m reports",
        description="Build the report of a results folder again.",
        epilog="`python -m reports compare A B` says what differs between two results folders.",
    )
    parser.add_argument("out", metavar="OUT", help="a folder that compare.py wrote")
    parser.add_argument(
        "--figures", metavar="DIR", help="also write every figure there as SVG, PDF and CSV"
    )
    options = parser.parse_args(arguments)
    page = build_report(options.out)
    if options.figures:
        from reports.load import load_records
        from reports.paper import export_figures

        written = export_figures(load_records(options.out), options.figures)
        print(f"{len(written)} files in {options.figures}")
    print(f"Report: {page}")
    return 0


def _compare(arguments: list[str]) -> int:
    parser = Parser(
        prog="python -m reports compare",
        description="What changed beyond noise from one results folder to another.",
    )
    parser.add_argument("before", metavar="A")
    parser.add_argument("after", metavar="B")
    parser.add_argument(
        "--csv", metavar="FILE", type=writable_file, help="write every pair of accuracies there"
    )
    options = parser.parse_args(arguments)
    from reports.difference import as_csv, as_text, changes
    from reports.load import load_records

    found, alone = changes(load_records(options.before), load_records(options.after))
    if options.csv:
        write_atomically(options.csv, as_csv(found))
    print(as_text(found, alone))
    return 0


if __name__ == "__main__":
    sys.exit(main())
