"""`python -m reports OUT` builds OUT/report.html again, `compare A B` sets two folders side by
side, and `keep OUT DIR` copies what is worth keeping of a folder, in few small files."""

from __future__ import annotations

import sys
from pathlib import Path

from foundations.command import Parser, writable_file
from foundations.errors import USAGE, one_line
from foundations.files import write_atomically
from reports import write_page


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        for name, command in (("compare", _compare), ("keep", _keep)):
            if arguments[:1] == [name] and not (len(arguments) == 1 and Path(name).is_dir()):
                return command(arguments[1:])
        return _build(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return USAGE


def _build(arguments: list[str]) -> int:
    parser = Parser(
        prog="python -m reports",
        description="Build the report of a results folder again.",
        epilog="`python -m reports compare A B` says what differs between two results folders; "
        "`python -m reports keep OUT DIR` copies the records of one, in few small files.",
    )
    parser.add_argument("out", metavar="OUT", help="a folder that compare.py wrote")
    parser.add_argument(
        "--page", metavar="FILE", type=writable_file, help="the page (default OUT/report.html)"
    )
    parser.add_argument(
        "--figures", metavar="DIR", help="also write every figure there as SVG, PDF and CSV"
    )
    options = parser.parse_args(arguments)
    from reports.read.load import load_records

    records = load_records(options.out)
    page = write_page(records, options.page)
    for note in records.notes:
        print(f"left out: {note}", file=sys.stderr)
    if options.figures:
        from reports.figures.paper import export_figures

        written = export_figures(records, options.figures)
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
    from reports.page.difference import as_csv, as_text, changes
    from reports.read.load import load_records

    both, alone = changes(load_records(options.before), load_records(options.after))
    if options.csv:
        write_atomically(options.csv, as_csv(both))
    print(as_text(both, alone))
    return 0


def _keep(arguments: list[str]) -> int:
    parser = Parser(
        prog="python -m reports keep",
        description="Copy the records of a results folder in few small files, without weights and "
        "pictures. `python -m reports DIR` builds their page.",
    )
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("folder", metavar="DIR", type=Path)
    options = parser.parse_args(arguments)
    from reports.read.kept import keep
    from reports.read.load import load_records

    for path in keep(load_records(options.out), options.folder):
        print(f"{path.stat().st_size / 1e3:7.0f} kB  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
