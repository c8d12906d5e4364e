"""`python -m benchmarks.tables`: put what was measured (`docs/speed/*.json`) into the tables of
`docs/speed.md`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmarks import plain
from benchmarks.studies import COMMANDS
from foundations.command import Parser
from foundations.files import write_atomically

DOCS = Path(__file__).resolve().parents[1] / "docs"
_ROWS = {
    "AVX2": "AVX2 alone, fp32",
    "AVX512": "AVX512 without bf16, fp32",
    "AVX512-BF16": "AVX512-BF16, bf16",
    "AMX": "AMX, bf16",
    "GPU": "GPU",
}


def kinds_table(measured: list[dict[str, Any]]) -> str:
    """A row a kind of processor, a column a command, a number a machine: the latest added."""
    latest = {(row["kind"], row["what"], row["device"]): row for row in measured}
    lines = [f"| processor | {' | '.join(COMMANDS)} |", "|---|" + "---|" * len(COMMANDS)]
    for kind, words in _ROWS.items():
        cells = [
            "; ".join(
                f"{row['minutes']:g} ({row['device']})"
                for (of, name, _), row in latest.items()
                if (of, name) == (kind, what)
            )
            for what in COMMANDS
        ]
        lines.append(f"| {words} | {' | '.join(cell or '–' for cell in cells)} |")
    notes: dict[str, list[str]] = {}
    for row in latest.values():
        machine = f"{row['device']}: {row['cores']} cores, version {row['version']}"
        notes.setdefault(machine, []).append(row.get("note", ""))
    under = ["; ".join([machine, *sorted({*said} - {""})]) for machine, said in notes.items()]
    return "\n".join([*lines, "", "Minutes; – was not measured.", "", *(f"- {n}" for n in under)])


def plain_tables(records: list[dict[str, Any]]) -> str:
    """What `benchmarks.plain` printed on each machine."""
    empty = "Not measured yet on a machine with nothing else running."
    return "\n\n".join(map(plain.table, records)) or empty


def filled(text: str, tables: dict[str, str]) -> str:
    """The page with each table between the marks of its name. ValueError for a mark that the page
    lacks."""
    for name, table in tables.items():
        marks = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)"
        place = re.search(marks, text, re.DOTALL)
        if not place:
            raise ValueError(f"the page has no place for the table {name!r}")
        filled_in = f"{place[1]}\n{table}\n\n{place[2]}"
        text = text[: place.start()] + filled_in + text[place.end() :]
    return text


def tables(docs: Path = DOCS) -> dict[str, str]:
    """All tables, by the name of their mark."""
    measured = json.loads((docs / "speed" / "studies.json").read_text())
    records = [json.loads(p.read_text()) for p in sorted((docs / "speed").glob("plain*.json"))]
    return {"kinds": kinds_table(measured), "plain": plain_tables(records)}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(
        prog="python -m benchmarks.tables",
        description="Put what was measured into the tables of docs/speed.md.",
    )
    parser.parse_args(arguments)
    page = DOCS / "speed.md"
    write_atomically(page, filled(page.read_text(encoding="utf-8"), tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
