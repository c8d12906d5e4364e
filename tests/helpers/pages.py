"""Examples of the docs: blocks of a page that begin with the name of their file."""

from __future__ import annotations

import re

from commands import ROOT

_BLOCK = re.compile(r"```python\n# (?P<name>\w+\.py)\n(?P<code>.*?)```", re.DOTALL)


def examples(page: str) -> dict[str, str]:
    """The code of a page's examples by file name."""
    return {m["name"]: m["code"] for m in _BLOCK.finditer((ROOT / "docs" / page).read_text())}
