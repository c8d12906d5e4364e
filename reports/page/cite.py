"""How to cite the library, as CITATION.cff says it, for LaTeX."""

from __future__ import annotations

_ENTRY = """@software{{recurrence_or_depth,
  title   = {{Recurrence or depth: a comparative study library}},
  author  = {{{{The recurrence-or-depth authors}}}},
  version = {{{version}}},
  note    = {{MIT license}}
}}"""


def citation(version: str) -> str:
    """BibTeX of the library in the version that made the runs."""
    return _ENTRY.format(version=version or "unknown")
