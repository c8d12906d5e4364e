"""Numbers as the page writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percent(share: float) -> str:
    """`83.2 %`; never rounded up to 100 or down to 0."""
    return f"{points(share)}\N{NO-BREAK SPACE}%" if math.isfinite(share) else "–"


def points(share: float) -> str:
    """`percent` without its sign, for the cells of a table."""
    if 0 < share < 0.0005:
        return "<0.1"
    if 0.9995 <= share < 1:
        return ">99.9"
    return f"{100 * share:.1f}"


def span(low: float, high: float) -> str:
    """`76.1–88.0`, in percent; like `points` never rounded up to 100 or down to 0."""
    return f"{points(low)}–{points(high)}"


def count(value: float) -> str:
    """A whole number with thousands separated; – if unknown."""
    return f"{value:,.0f}" if math.isfinite(value) else "–"


def plural(n: int, word: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def capital(text: str) -> str:
    """Text as a sentence begins."""
    return text[:1].upper() + text[1:]


def human(value: float) -> str:
    """`10k`, `2.5M`: few characters for an axis."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def flops(value: float) -> str:
    """`2.5 MFLOPs`."""
    text = human(value)
    unit = text[-1:] if text[-1:].isalpha() else ""
    return f"{text.removesuffix(unit)} {unit}FLOPs"


def listed(names: Sequence[str], most: int) -> str:
    """`a`, `a and b`, `a, b and c`; of more than `most`, `a, b, c and 4 more`."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
