"""What `--list` prints: everything that has a name, and in a line what it is."""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from comparisons.planning.presets import PRESETS
from comparisons.studies import ALL, CLAIMS, NAMES
from paradigms import PARADIGMS, paradigm_entry
from tasks import TASKS

WIDTH = 80
COLUMN = 25  # where what is said of a name begins
_SENTENCE = re.compile(r"^.*?(?=\.(?:\s|$)| \(|$)")


def listing() -> str:
    """All of it, as text of at most 80 columns."""
    parts = [
        ("tasks", {name: described(entry) for name, entry in TASKS.items()}),
        ("paradigms", {name: described(paradigm_entry(name).make) for name in PARADIGMS}),
        ("", {n: described(paradigm_entry(n).make) for n in PARADIGMS.names() if ":" in n}),
        ("presets", {name: preset["summary"] for name, preset in PRESETS.items()}),
        ("studies", {name: summary for name, (_, summary) in NAMES.items()}),
        ("", {ALL: "every one of them"}),
        ("claims, and the study that tests each", dict(sorted(CLAIMS.items()))),
    ]
    lines: list[str] = []
    for title, entries in parts:
        lines += [title] if title else []
        for name, about in entries.items():
            lines += _entry(name, about)
    return "\n".join(lines)


def described(entry: Any) -> str:
    """The first sentence of the docstring of `MODULE:ATTRIBUTE`, read without importing the module:
    that takes seconds; or of a thing that was registered itself."""
    if not isinstance(entry, str):
        return _first_sentence(entry.__doc__ or "")
    module, _, attribute = entry.partition(":")
    return _sentences(module).get(attribute, "")


@cache
def _sentences(module: str) -> dict[str, str]:
    """First sentences by the name of the class, function or, where a string stands under it,
    variable."""
    found = find_spec(module)
    if found is None or not found.origin:
        return {}
    with open(found.origin, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    documented = [n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    texts = {node.name: ast.get_docstring(node) or "" for node in documented}
    for node, below in pairwise(tree.body):
        match node, below:
            case ast.Assign(targets=[ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                texts[name] = text
    return {name: _first_sentence(text) for name, text in texts.items()}


def _first_sentence(text: str) -> str:
    """Without what stands in brackets after it."""
    return _SENTENCE.match(" ".join(text.partition("\n\n")[0].split()).replace("`", "")).group()


def _entry(name: str, about: str) -> list[str]:
    """One line, or several where one is too short for it."""
    first = f"  {name:{COLUMN - 3}} "
    return textwrap.wrap(
        first + about, WIDTH, subsequent_indent=" " * COLUMN, drop_whitespace=True
    ) or [first.rstrip()]
