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
from comparisons.studies import ALL, CLAIMS, STUDIES
from paradigms import PARADIGMS, paradigm_entry
from tasks import TASKS

WIDTH = 80
COLUMN = 25  # where what is said of a name begins
_SENTENCE = re.compile(r"^.*?(?=\.(?:\s|$)| \(|$)")


def listing() -> str:
    """All of it, as text of at most 80 columns."""
    for registry in (TASKS, PARADIGMS, STUDIES):
        registry.discover()
    parts = [
        ("tasks", {name: described(entry) for name, entry in TASKS.items()}),
        ("paradigms", {name: described(paradigm_entry(name).make) for name in PARADIGMS}),
        ("", {n: described(paradigm_entry(n).make) for n in PARADIGMS.names() if ":" in n}),
        ("presets", {name: preset["summary"] for name, preset in PRESETS.items()}),
        ("studies", {name: described(entry) for name, entry in STUDIES.items()}),
        ("", {ALL: "every one of published claims"}),
        ("claims, and the study that tests each", dict(sorted(CLAIMS.items()))),
    ]
    lines: list[str] = []
    for title, entries in parts:
        lines += [title] if title else []
        for name, about in entries.items():
            lines += _entry(name, about)
    return "\n".join(lines)


def described(entry: Any) -> str:
    """The first sentence of the docstring of `MODULE:ATTRIBUTE`, or the summary it is made with,
    read without importing the module: that takes seconds. Of a thing itself, its own."""
    if not isinstance(entry, str):
        return getattr(entry, "summary", "") or _first_sentence(entry.__doc__ or "")
    module, _, attribute = entry.partition(":")
    return _sentences(module).get(attribute, "")


@cache
def _sentences(module: str) -> dict[str, str]:
    """First sentences by the name of the class, function or, where a string stands under it,
    variable; of one that is made with a summary, that."""
    try:
        source = find_spec(module)
    except ImportError:  # of a package that an installed plugin names and that isn't there
        return {}
    if source is None or not source.origin:
        return {}
    with open(source.origin, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    sentences = {}
    for node, below in pairwise([*tree.body, ast.Pass()]):
        match node, below:
            case ((ast.ClassDef(name=name) | ast.FunctionDef(name=name)), _):
                sentences[name] = _first_sentence(ast.get_docstring(node) or "")
            case ast.Assign(targets=[ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                sentences[name] = _first_sentence(text)
            case ast.Assign(targets=[ast.Name(name)], value=ast.Call(keywords=given)), _:
                summaries = [k.value for k in given if k.arg == "summary"]
                if summaries:
                    sentences[name] = ast.literal_eval(summaries[0])
    return sentences


def _first_sentence(text: str) -> str:
    """Without what stands in brackets after it."""
    plain = " ".join(text.partition("\n\n")[0].split()).replace("`", "")
    match = _SENTENCE.match(plain)
    return match.group() if match else ""


def _entry(name: str, about: str) -> list[str]:
    """One line, or several where one is too short for it."""
    first = f"  {name:{COLUMN - 3}} "
    return textwrap.wrap(
        first + about, WIDTH, subsequent_indent=" " * COLUMN, drop_whitespace=True
    ) or [first.rstrip()]
