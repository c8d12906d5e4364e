"""From figures to pictures: static SVG, and the data that the page's script draws from.

Colours are CSS variables, so that one picture serves light, dark and print.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from reports.figures.figure_model import Axis, Figure, Line, Panel, short
from reports.figures.styles import MARKERS, Style
from reports.read.formats import human

MOST_BARS = 12  # points a line may have to get an error bar and a marker each, not a band


def figure_data(figure: Figure, styles: dict[str, Style]) -> dict[str, Any]:
    """The figure as JSON-ready values; series by their index."""
    return {
        "panels": [
            {
                "title": panel.title,
                "x": _axis_data(panel.x, [v for line in panel.lines for v in line.x]),
                "y": _axis_data(panel.y, [v for line in panel.lines for v in line.y]),
                "marks": [[a, v, text] for a, v, text in panel.marks],
                "lines": [_line_data(line, styles[line.series].index) for line in panel.lines],
            }
            for panel in figure.panels
        ]
    }


def _axis_data(axis: Axis, values: list[float]) -> dict[str, Any]:
    # Plotly labels a log axis in digits of two sizes that few can read; those of the static picture
    # do.
    ticks = _Scale(axis, values, 0, 1).ticks() if axis.log or axis.ticks or axis.whole else []
    return {
        "label": axis.label,
        "log": axis.log,
        "percent": axis.percent,
        "ticks": [[short(v), t] for v, t in ticks],
        "range": [axis.low, axis.high],
    }


def _line_data(line: Line, series: int) -> dict[str, Any]:
    columns = {key: getattr(line, key) for key in ("x", "y", "low", "high", "seeds", "tests")}
    data: dict[str, Any] = {"s": series, "kind": line.kind}
    data |= {k: [short(v) for v in values] for k, values in columns.items() if values is not None}
    if line.each is not None:
        data["each"] = [[short(v) for v in values] for values in line.each]
    if line.ring is not None:
        data["ring"] = line.ring
    return data | ({"run": line.run} if line.run else {})


def spaced(axis: Axis, room: float = 0.055) -> list[tuple[float, str]]:
    """The given ticks, without those that would stand on their neighbour's text."""
    if len(axis.ticks) < 2:
        return list(axis.ticks)
    at = [math.log(v) if axis.log else v for v, _ in axis.ticks]
    whole = at[-1] - at[0]
    kept: list[int] = []
    for i in range(len(at)):
        needed = room * whole * max(1.0, len(axis.ticks[i][1]) / 3)
        if not kept or at[i] - at[kept[-1]] >= needed:
            kept.append(i)
    return [axis.ticks[i] for i in kept]


class _Scale:
    """Places values of an axis on pixels."""

    def __init__(self, axis: Axis, values: list[float], start: float, end: float) -> None:
        self.axis, self.start, self.end = axis, start, end
        values = [v for v in values if math.isfinite(v) and (not axis.log or v > 0)]
        low = axis.low if axis.low is not None and (not axis.log or axis.low > 0) else None
        self.low = low if low is not None else min(values, default=1.0)
        self.high = axis.high if axis.high is not None else max(values, default=2.0)
        self.ends = (self.low, self.high)
        if axis.log:
            self.low, self.high = math.log10(self.low), math.log10(self.high)
        if self.high <= self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        pad = 0.045 * (self.high - self.low)
        self.low -= pad
        self.high += pad

    def __call__(self, value: float) -> float:
        value = math.log10(max(value, 1e-300)) if self.axis.log else value
        value = min(max(value, self.low), self.high)
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        if self.axis.ticks:
            return spaced(self.axis)
        if self.axis.percent:
            return [(v / 100, str(v)) for v in (0, 20, 40, 60, 80, 100)]
        if self.axis.log:
            return self._log_ticks()
        step = 10 ** math.floor(math.log10(max(self.high - self.low, 1e-12) / 2))
        step *= next(m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 6)
        step = max(step, 1) if self.axis.whole else step
        first = math.ceil(self.low / step)
        return [(i * step, human(i * step)) for i in range(first, math.floor(self.high / step) + 1)]

    def _log_ticks(self) -> list[tuple[float, str]]:
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        for factors in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 8)):
            ticks = [f * 10.0**d for d in decades for f in factors]
            ticks = [t for t in ticks if self.low <= math.log10(t) <= self.high]
            if len(ticks) >= 3:
                break
        if len(ticks) < 2:  # too narrow a range for round numbers: its ends
            ticks = sorted({*self.ends, *ticks})[:: max(1, len(ticks))]
        return [(t, human(t)) for t in ticks[:: math.ceil(len(ticks) / 7)]]


def panel_svg(panel: Panel, styles: dict[str, Style], name: str, wide: bool) -> str:
    """The panel as an SVG element, for readers without scripts, for print and while loading."""
    width, height = (720, 380) if wide else (380, 290)
    left, right, top, bottom = 52, 10, 18, 44
    lines = panel.lines
    x = _Scale(panel.x, [v for n in lines for v in n.x], left, width - right)
    y = _Scale(panel.y, [v for n in lines for v in n.y], height - bottom, top)
    middle, base = (top + height - bottom) / 2, height - bottom
    parts = [
        f'<svg class="static" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(name)}">'
    ]
    for value, text in y.ticks():
        at = y(value)
        parts.append(f'<path class="grid" d="M{left} {at}H{width - right}"/>')
        parts.append(_text(text, f'x="{left - 6}" y="{at + 4}" text-anchor="end"'))
    for value, text in x.ticks():
        at = x(value)
        parts.append(f'<path class="grid" d="M{at} {top}V{base}"/>')
        parts.append(_text(text, f'x="{at}" y="{base + 16}" text-anchor="middle"'))
    for axis, value, text in panel.marks:
        at = x(value) if axis == "x" else y(value)
        across = f"M{at} {top}V{base}" if axis == "x" else f"M{left} {at}H{width - right}"
        place = f'x="{at}" y="{top - 5}" text-anchor="middle"'
        place = place if axis == "x" else f'x="{left + 4}" y="{at - 4}"'
        parts.append(f'<path class="mark" d="{across}"/>')
        parts.append(_text(text, f'class="mark" {place}'))
    for label, place in (
        (panel.x.label, f'x="{(left + width - right) / 2}" y="{height - 8}"'),
        (panel.y.label, f'transform="translate(13 {middle}) rotate(-90)"'),
    ):
        parts.append(_text(label, f'class="label" {place} text-anchor="middle"'))
    parts += [_line_svg(line, styles[line.series], x, y) for line in lines]
    return "".join(parts) + "</svg>"


def _text(text: str, attributes: str) -> str:
    return f"<text {attributes}>{escape(text)}</text>"


def _line_svg(line: Line, style: Style, x: _Scale, y: _Scale) -> str:
    finite = [math.isfinite(a) and math.isfinite(b) for a, b in zip(line.x, line.y, strict=True)]
    keep = [i for i, shown in enumerate(finite) if shown]
    across = {i: x(line.x[i]) for i in keep}
    at = [(across[i], y(line.y[i])) for i in keep]
    out = [f'<g data-series="{style.index}" style="color:var(--c{style.colour})">']
    if line.kind == "thin":
        every = max(1, len(at) // 40)
        at = at[::every] + ([at[-1]] if at and (len(at) - 1) % every else [])
    if line.kind != "points" and len(at) > 1:
        path = "M" + "L".join(f"{a} {b}" for a, b in at)
        out.append(f'<path class="{line.kind}" d="{path}"{style.dash_svg}/>')
    if line.low is not None and line.high is not None:
        low, high = ({i: y(ends[i]) for i in keep} for ends in (line.low, line.high))
        if line.kind == "flat" or len(keep) > MOST_BARS:
            round_trip = [(i, high) for i in keep] + [(i, low) for i in reversed(keep)]
            outline = "L".join(f"{across[i]} {end[i]}" for i, end in round_trip)
            out.append(f'<path class="band" d="M{outline}Z"/>')
        else:
            bars = [f"M{across[i]} {low[i]}V{high[i]}" for i in keep]
            out += [f'<path class="bar" d="{bar}"/>' for bar in bars]
    for i in keep if line.each is not None else []:
        spots = "".join(f"M{across[i]} {y(v)}h0" for v in (line.each or [])[i])
        out.append(f'<path class="seed" d="{spots}"/>')
    dots = keep if line.kind in ("line", "points") and len(keep) <= MOST_BARS else []
    points = line.kind == "points"
    signs = [(i, 4.2, "dot") for i in dots if points or i != line.ring]
    if line.ring is not None:
        signs.append((line.ring, 8.5, "front") if points else (line.ring, 6.5, "ring"))
    for i, size, kind in signs:
        place = f"translate({x(line.x[i])} {y(line.y[i])}) scale({size})"
        out.append(f'<path class="{kind}" transform="{place}" d="{MARKERS[style.marker][1]}"/>')
    return "".join(out) + "</g>"


def swatch(style: Style) -> str:
    """A small SVG of the line and marker of a series."""
    return (
        '<svg class="swatch" viewBox="0 0 28 14" aria-hidden="true"'
        f' style="color:var(--c{style.colour})"><path class="line" d="M1 7H27"{style.dash_svg}/>'
        '<path class="dot" transform="translate(14 7) scale(4.5)"'
        f' d="{MARKERS[style.marker][1]}"/></svg>'
    )
