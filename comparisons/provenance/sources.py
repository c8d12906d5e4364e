"""The source that gives a run its meaning: hashes of the modules, and the commit they are of."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from comparisons.testing.exits import EXIT_RULES, make_exit_rule
from foundations.plugins import loaded
from foundations.records.spec import OBJECTIVES, PROBES, SCHEDULES, RunSpec
from foundations.registry import Registry
from paradigms import PARADIGMS, paradigm_module
from paradigms.lottery import CRITERIA
from tasks import TASKS, task_class

#: Modules that say what training and testing mean, beside those of the task, the paradigm and the
#: exit rules.
MEASURING = (
    "comparisons.training.learner",
    "comparisons.training.objectives",
    "comparisons.training.loop",
    "comparisons.training.pruning",
    "comparisons.testing.evaluation",
    "comparisons.testing.exits",
)


@cache
def _foreign() -> tuple[Path, ...]:
    """Folders of modules that are nobody's own: Python's and installed packages."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(sysconfig.get_paths()[name]).resolve() for name in names)


def _source(module: ModuleType | None) -> Path | None:
    """The file of a module that is the project's or the user's own; None for others."""
    if module is None or not (file := getattr(module, "__file__", None)):
        return None
    path = Path(file).resolve()
    root = Path(__file__).resolve().parents[2]
    ours = path.is_relative_to(root) and path.relative_to(root).parts[0] in _PACKAGES
    installed = any(path.is_relative_to(folder) for folder in _foreign())
    return path if path.suffix == ".py" and (ours or not installed) else None


_PACKAGES = ("foundations", "tasks", "paradigms", "comparisons")


def _imports(path: Path) -> Iterator[str]:
    """Names of modules that a file imports, anywhere in it; for `from a import b` both a and
    a.b."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def source_hash(path: Path) -> str:
    """Of what a file says, not of how: comments, docstrings and layout do not count."""
    tree = _tree(path)
    node: Any
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and any(map(_says, body)):
            node.body = [part for part in body if not _says(part)] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _says(node: ast.stmt) -> bool:
    """Whether it is a docstring: that of what it stands in, or of the variable above it."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def sources_from(*starts: str) -> dict[str, str]:
    """Hash by module: these and whatever they import of the project's or the user's own, and so
    on."""
    hashes: dict[str, str] = {}
    todo = list(starts)
    while todo:
        name = todo.pop()
        path = _source(sys.modules.get(name))
        if path is None or name in hashes:
            continue
        hashes[name] = source_hash(path)
        todo += _imports(path)
    return dict(sorted(hashes.items()))


def from_outside(spec: RunSpec) -> list[tuple[Registry, str]]:
    """What a run names that is not built in, each with the registry that knows it."""
    options, evaluation = spec.paradigm_options, spec.evaluation
    named = [
        *((TASKS, name) for name in (spec.task, *evaluation.transfer)),
        (PARADIGMS, spec.paradigm.rpartition(":")[2]),
        (PARADIGMS, options.get("base")),
        *((EXIT_RULES, name) for name in evaluation.exit_rules),
        (OBJECTIVES, spec.train.objective),
        (SCHEDULES, spec.train.schedule),
        (CRITERIA, options.get("criterion")),
        *((PROBES, name) for name in evaluation.probes),
    ]
    return [(registry, str(name)) for registry, name in named if name in registry.outside]


def brought_by(spec: RunSpec) -> list[str]:
    """The plugins that a run was made with: all that were given, and packages whose things it
    names."""
    packages = [registry.outside[name] for registry, name in from_outside(spec)]
    return [plugin for plugin in dict.fromkeys([*loaded(), *packages]) if plugin]


def sources(spec: RunSpec) -> dict[str, str]:
    """Hash by module of all that gives a run its meaning."""
    kinds = [task_class(name) for name in (spec.task, *spec.evaluation.transfer)]
    starts = [base.__module__ for kind in kinds for base in kind.__mro__]
    starts += [type(make_exit_rule(name, 1)).__module__ for name in spec.evaluation.exit_rules]
    functions = (OBJECTIVES, SCHEDULES, CRITERIA, PROBES)
    starts += [
        registry.load(name).__module__
        for registry, name in from_outside(spec)
        if any(registry is one for one in functions)
    ]
    of_paradigm = paradigm_module(spec.paradigm, spec.paradigm_options.get("base"))
    starts += [module.__name__ for module in of_paradigm]
    measuring = {name: path for name in MEASURING if (path := _source(import_module(name)))}
    hashes = sources_from(*dict.fromkeys(starts))
    return hashes | {name: source_hash(path) for name, path in measuring.items()}


@cache
def commit() -> tuple[str | None, bool | None]:
    """(commit, whether tracked files differ from it) of the checkout that this code is in; (None,
    None) for none."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(Path(__file__).resolve()))  # and not one around it
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.SubprocessError):
        return None, None
