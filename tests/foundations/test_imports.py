"""Imports run one way, between packages and between the rooms of each."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import ROOT

PACKAGES = ("foundations", "tasks", "paradigms", "comparisons", "reports")
#: What each package may import of the others.
ALLOWED = {
    "foundations": set(),
    "tasks": {"foundations"},
    "paradigms": {"foundations"},
    "comparisons": {"foundations", "tasks", "paradigms"},
    "reports": {"foundations"},
}
#: The command that ends with a page is the one place where comparisons calls reports.
ENDS_WITH_A_PAGE = ROOT / "comparisons" / "execution" / "study.py"
#: What foundations and reports do without: they run where no network does.
HEAVY = {"torch", "torchvision", "timm", "accelerate", "datasets"}
#: The rooms of a package from the ground up: each imports those before it, and itself.
FLOORS = {
    "comparisons": (
        ("hardware",),
        ("storage",),
        ("testing",),
        ("training", "probes"),
        ("planning",),
        ("provenance", "studies"),
        ("execution",),
        ("options", "listing", "think"),
        ("cli",),
        ("__main__",),
        ("__init__",),
    ),
    "reports": (("read",), ("figures",), ("narrative",), ("page",), ("__init__",), ("__main__",)),
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, anywhere in it, but for those that only a type checker reads."""
    tree = ast.parse(path.read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_of(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    return files


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_against_the_arrows(package):
    for path in files_of(package):
        tops = {name.partition(".")[0] for name in imported(path)}
        allowed = (
            {package} | ALLOWED[package] | ({"reports"} if path == ENDS_WITH_A_PAGE else set())
        )
        assert tops & {*PACKAGES, "compare", "benchmarks", "tests"} <= allowed, path
        if package in ("foundations", "reports"):
            assert not tops & HEAVY, path


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_are_floors(package):
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms}
    for path in files_of(package):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        for name in imported(path):
            top, *rest = name.split(".")
            other = rest[0] if rest and rest[0] in floor else "__init__"
            if top == package and other != room:
                assert floor[other] < floor[room], f"{path} imports {name}"


def test_every_package_is_in_the_wheel_and_nothing_else_is():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed["packages"]) == there
    assert "py-modules" not in listed


def test_listing_names_imports_nothing_heavy():
    code = (
        "import sys; from comparisons.cli import listing; print(len(listing()));"
        "print([m for m in ('torch', 'timm', 'numba', 'pandas', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
