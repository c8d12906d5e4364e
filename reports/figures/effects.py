"""What was found of a claim's part as a picture: the effect with its interval, and the bar that the
claim holds it against."""

from __future__ import annotations

import math
from html import escape

from reports.read.formats import points
from reports.read.stored import Entry, items, number

_WIDTH, _HEIGHT, _MARGIN = 220, 26, 8


def effect_svg(effect: Entry) -> str:
    """A dot with its interval, small ones for single seeds, and a diamond at each bar, on an axis
    from -100 to +100 points (a difference), 0 to 100 % (an accuracy or a share) or over powers of
    ten (a ratio). Empty where nothing was measured."""
    value, low, high = (number(effect.get(key)) for key in ("value", "low", "high"))
    bars = [bar for bar in map(number, items(effect.get("bars"))) if math.isfinite(bar)]
    each = [seed for seed in map(number, items(effect.get("each"))) if math.isfinite(seed)]
    kind = str(effect.get("kind", ""))
    known = [v for v in (value, low, high, *bars, *each) if math.isfinite(v)]
    if not math.isfinite(value) or (kind == "ratio" and min(known) <= 0):
        return ""
    start, end, ends, zero = _axis(kind, known)

    def at(v: float) -> float:
        v = math.log10(v) if kind == "ratio" else v
        share = min(1.0, max(0.0, (v - start) / (end - start)))
        return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)

    low, high = (v if math.isfinite(v) else value for v in (low, high))
    said = f"{_words(kind, value)} ({_words(kind, low)} to {_words(kind, high)})"
    held = f", held against {' and '.join(_words(kind, bar) for bar in bars)}" if bars else ""
    parts = [
        f'<svg class="effect" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(said + held)}"><title>{escape(said + held)}</title>'
        f'<path class="grid" d="M{_MARGIN} 9H{_WIDTH - _MARGIN}"/>'
    ]
    if zero is not None:
        parts.append(f'<path class="zero" d="M{at(zero)} 2V16"/>')
    parts += [f'<path class="bar" d="M{at(b)} 3l5 6l-5 6l-5-6Z"/>' for b in bars]
    parts.append(f'<path class="span" d="M{at(low)} 9H{at(high)}"/>')
    if each:
        parts.append(f'<path class="seeds" d="{"".join(f"M{at(seed)} 9h0" for seed in each)}"/>')
    parts.append(f'<circle class="found" cx="{at(value)}" cy="9" r="3.5"/>')
    places = ((_MARGIN, "start", ends[0]), (_WIDTH - _MARGIN, "end", ends[1]))
    parts += [f'<text x="{x}" y="25" text-anchor="{how}">{text}</text>' for x, how, text in places]
    return "".join(parts) + "</svg>"


def _axis(kind: str, known: list[float]) -> tuple[float, float, tuple[str, str], float | None]:
    """Where the axis begins and ends, in words too, and where nothing differs."""
    if kind == "ratio":
        most = max(1, math.ceil(max(abs(math.log10(v)) for v in known)))
        return -most, most, (f"1/{10**most:,}", f"×{10**most:,}"), 1.0
    if kind == "difference" or min(known) < 0:
        return -1.0, 1.0, ("\N{MINUS SIGN}100", "+100 points"), 0.0
    return 0.0, 1.0, ("0", "100 %"), None


def _words(kind: str, value: float) -> str:
    if kind == "ratio":
        return f"{value:.3g} times"
    if kind == "difference" or value < 0:
        return f"{100 * value:+.1f} points"
    return f"{points(value)} %"
