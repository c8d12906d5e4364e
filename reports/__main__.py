"""`python -m reports OUT`: build OUT/report.html again from the records in OUT."""

from __future__ import annotations

import argparse
import sys

from reports import build_report


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m reports", description="Build the report of a results folder again."
    )
    parser.add_argument("out", metavar="OUT", help="a folder that compare.py wrote")
    out = parser.parse_args(arguments).out
    try:
        page = build_report(out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
