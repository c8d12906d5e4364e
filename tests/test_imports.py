"""Imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "tasks": {"paradigms", "comparisons", "reports", "compare"},
    "paradigms": {"tasks", "comparisons", "reports", "compare"},
    "comparisons": {"compare"},
    "reports": {"tasks", "paradigms", "comparisons", "compare", "torch"},
    "files.py": {"tasks", "paradigms", "comparisons", "reports", "compare"},
    "names.py": {"tasks", "paradigms", "comparisons", "reports", "compare"},
}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_nothing_imports_against_the_arrows(part):
    files = [ROOT / part] if part.endswith(".py") else sorted((ROOT / part).rglob("*.py"))
    assert files
    for path in files:
        assert not imported(path) & FORBIDDEN[part], path


def test_listing_names_imports_nothing_heavy():
    code = (
        "import sys; from comparisons.cli import listing; print(len(listing()));"
        "print([m for m in ('torch', 'timm', 'numba', 'pandas', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
