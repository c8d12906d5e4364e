"""From figures to pictures: SVG, and the numbers that the page's script says of its points.

Colours are CSS variables, so that one picture serves light, dark and print.
"""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from reports.figures.figure_model import MAX_BANDS, Axis, Figure, Line, Panel, short
from reports.figures.names import HEIGHT, Name, named_panels, placed
from reports.figures.styles import MARKERS, Style
from reports.read.formats import human, points

MOST_BARS = 12  # points a line may have to get an error bar and a marker each, not a band
MOST_THIN = 40  # about as many points of a single run's curve are drawn


def figure_data(figure: Figure, styles: dict[str, Style]) -> dict[str, Any]:
    """What the page's script says of a point under the mouse, as JSON-ready values; series by their
    index."""
    return {"panels": [_panel_data(panel, styles, _wide(figure)) for panel in figure.panels]}


def _panel_data(panel: Panel, styles: dict[str, Style], wide: bool) -> dict[str, Any]:
    x, y = _scales(panel, wide)
    return {
        "x": _axis_data(panel.x, x),
        "y": _axis_data(panel.y, y),
        "lines": [_line_data(line, styles[line.series].index) for line in panel.lines],
    }


def _axis_data(axis: Axis, scale: _Scale) -> dict[str, Any]:
    """place: the pixels of the picture at which the axis begins and ends, and its values there (of
    a log axis, their logarithms)."""
    return {
        "label": axis.label,
        "log": axis.log,
        "percent": axis.percent,
        "ticks": [[short(v), t] for v, t in axis.ticks],
        "place": [scale.start, scale.end, short(scale.low), short(scale.high)],
    }


def _line_data(line: Line, series: int) -> dict[str, Any]:
    kept = _kept(line)
    columns = {key: getattr(line, key) for key in ("x", "y", "low", "high", "seeds", "tests")}
    data: dict[str, Any] = {"s": series, "kind": line.kind}
    data |= {k: [short(v[i]) for i in kept] for k, v in columns.items() if v is not None}
    if line.each is not None:
        data["each"] = [[short(v) for v in line.each[i]] for i in kept]
    if line.ring is not None and line.ring in kept:
        data["ring"] = kept.index(line.ring)
    return data | ({"run": line.run} if line.run else {})


def _kept(line: Line) -> list[int]:
    """The points that are drawn: those with a place, and of a single run's curve not all."""
    both = zip(line.x, line.y, strict=True)
    kept = [i for i, (x, y) in enumerate(both) if math.isfinite(x) and math.isfinite(y)]
    if line.kind != "thin":
        return kept
    every = max(1, len(kept) // MOST_THIN)
    return kept[::every] + (kept[-1:] if kept and (len(kept) - 1) % every else [])


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
            low = round(100 * (self.axis.low or 0.0))
            step = next(s for s in (2, 5, 10, 20) if (100 - low) / s <= 5)
            return [(v / 100, str(v)) for v in range(low, 101, step)]
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
            ticks = sorted(set(self.ends))
        return [(t, human(t)) for t in ticks[:: math.ceil(len(ticks) / 7)]]


#: Pixels of a panel that its axes leave free.
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 18, 44


def _size(wide: bool) -> tuple[int, int]:
    return (720, 380) if wide else (380, 290)


def _wide(figure: Figure) -> bool:
    """Whether a figure's panel has the width of the page for itself."""
    return len(figure.panels) == 1


def _scales(panel: Panel, wide: bool) -> tuple[_Scale, _Scale]:
    width, height = _size(wide)
    x = _Scale(panel.x, [v for n in panel.lines for v in n.x], _LEFT, width - _RIGHT)
    return x, _Scale(panel.y, [v for n in panel.lines for v in n.y], height - _BOTTOM, _TOP)


class Drawn(NamedTuple):
    """A panel as an SVG element. room: the pixels that the names of its lines take beyond its right
    edge, as a share of the panel's own width; 0 where it has none."""

    svg: str
    room: float


def figure_svgs(figure: Figure, styles: dict[str, Style]) -> list[Drawn]:
    """Each panel as drawn."""
    wide = _wide(figure)
    width, height = _size(wide)
    drawn = []
    for panel, named in zip(figure.panels, named_panels(figure), strict=True):
        names: list[Name | None] = [None] * len(panel.lines)
        if named:
            names = placed(_ends(panel, wide), 4, height - 4)
        svg = _panel_svg(panel, styles, f"{figure.title}. {panel.title}", wide, names)
        right = max((name.right for name in names if name), default=0.0)
        drawn.append(Drawn(svg, round(max(0.0, right - width) / width, 3)))
    return drawn


def _ends(panel: Panel, wide: bool) -> list[tuple[str, tuple[float, float]]]:
    """The name and the last point of each line."""
    x, y = _scales(panel, wide)
    last = [(line, kept[-1] if (kept := _kept(line)) else None) for line in panel.lines]
    return [
        (line.series, (math.nan, math.nan) if i is None else (x(line.x[i]), y(line.y[i])))
        for line, i in last
    ]


def _panel_svg(
    panel: Panel, styles: dict[str, Style], name: str, wide: bool, names: list[Name | None]
) -> str:
    """The panel as an SVG element, called `name`. names: of its lines."""
    width, height = _size(wide)
    left, right, top, bottom = _LEFT, _RIGHT, _TOP, _BOTTOM
    x, y = _scales(panel, wide)
    middle, base = (top + height - bottom) / 2, height - bottom
    parts = [
        f'<svg {_kind(panel)} viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(name)}">'
    ]
    if panel.beyond is not None:
        at, room = x(panel.beyond), f'x="{width - right}" y="{top - 5}" text-anchor="end"'
        parts.append(f'<path class="beyond" d="M{at} {top}H{width - right}V{base}H{at}Z"/>')
        parts.append(_text("harder than in training", f'class="mark" {room}'))
    for value, text in y.ticks():
        at = y(value)
        parts.append(f'<path class="grid" d="M{left} {at}H{width - right}"/>')
        parts.append(_text(text, f'x="{left - 6}" y="{at + 4}" text-anchor="end"'))
    for value, text in x.ticks():
        at = x(value)
        parts.append(f'<path class="grid" d="M{at} {top}V{base}"/>')
        parts.append(_text(text, f'x="{at}" y="{base + 16}" text-anchor="middle"'))
    said = []
    for axis, value, text in panel.seen_marks:
        at = x(value) if axis == "x" else y(value)
        across = f"M{at} {top}V{base}" if axis == "x" else f"M{left} {at}H{width - right}"
        place = f'x="{at}" y="{top - 5}" text-anchor="middle"'
        if axis == "y":
            clear = _clear(panel, x, (left, width - right))
            place = f'x="{clear}" y="{at - 4}" text-anchor="middle"'
        parts.append(f'<path class="mark" d="{across}"/>')
        said.append(_text(text, f'class="mark" {place}'))
    for label, place in (
        (panel.x.label, f'x="{(left + width - right) / 2}" y="{height - 8}"'),
        (panel.y.label, f'transform="translate(13 {middle}) rotate(-90)"'),
    ):
        parts.append(_text(label, f'class="label" {place} text-anchor="middle"'))
    parts += [
        _line_svg(line, styles[line.series], x, y, own)
        for line, own in zip(panel.lines, names, strict=True)
    ]
    return "".join(parts + said) + "</svg>"


def _kind(panel: Panel) -> str:
    """The attributes by which style and script know what to do with a panel."""
    if not panel.crowded:
        return 'class="static"'
    return f'class="static crowded" data-most="{MAX_BANDS}"'


def _clear(panel: Panel, x: _Scale, ends: tuple[float, float]) -> float:
    """Where what lines across say stands: in the middle of the widest gap between points, the first
    of several, since names of lines begin at their right."""
    points = {x(line.x[i]) for line in panel.lines for i in _kept(line)}
    gaps = pairwise([ends[0], *sorted(points), ends[1]])
    low, high = max(gaps, key=lambda gap: round(gap[1] - gap[0]))
    return (low + high) / 2


def _text(text: str, attributes: str) -> str:
    return f"<text {attributes}>{escape(text)}</text>"


def _line_svg(line: Line, style: Style, x: _Scale, y: _Scale, name: Name | None) -> str:
    keep = _kept(line)
    across = {i: x(line.x[i]) for i in keep}
    at = [(across[i], y(line.y[i])) for i in keep]
    out = [f'<g data-series="{style.index}" style="color:var(--c{style.colour})">']
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
    alone = line.kind == "points"
    signs = [(i, 4.2, "dot") for i in dots if alone or i != line.ring]
    if line.ring is not None:
        signs.append((line.ring, 8.5, "front") if alone else (line.ring, 6.5, "ring"))
    for i, size, kind in signs:
        place = f"translate({x(line.x[i])} {y(line.y[i])}) scale({size})"
        out.append(f'<path class="{kind}" transform="{place}" d="{MARKERS[style.marker][1]}"/>')
    if name:
        out.append(_name_svg(name, style))
    return "".join(out) + "</g>"


def _name_svg(name: Name, style: Style) -> str:
    rows = "".join(
        f'<tspan x="{name.x}" dy="{HEIGHT if i else 0}">{escape(row)}</tspan>'
        for i, row in enumerate(name.rows)
    )
    middle = name.y - 4 + HEIGHT / 2 * (len(name.rows) - 1)
    start, end = name.end[0] + 6, name.x - 3
    lead = f'<path class="named lead" d="M{start:.1f} {name.end[1]}L{end:.1f} {middle:.1f}"/>'
    return (lead if name.leads else "") + (
        f'<text class="named" y="{name.y}" style="fill:var(--n{style.colour})">{rows}</text>'
    )


def dots_svg(shares: list[float]) -> str:
    """A dot a seed on a line from 0 to 100 %; nothing where no seed has a value."""
    known = [share for share in shares if math.isfinite(share)]
    if not known:
        return ""
    spots = "".join(f"M{4 + 72 * share:.1f} 6h0" for share in known)
    each = ", ".join(points(share) for share in known)
    return (
        f'<svg class="dots" viewBox="0 0 80 12" role="img" aria-label="each seed, in %: {each}">'
        f'<title>{each} %</title><path class="grid" d="M4 6H76M4 2V10M76 2V10"/>'
        f'<path class="seed" d="{spots}"/></svg>'
    )


def curves_svg(lines: list[Line]) -> str:
    """Learning curves, small: a share in % over the examples seen; nothing without lines."""
    if not lines:
        return ""
    most = max(line.x[-1] for line in lines)
    x = _Scale(Axis("", low=0.0, high=most), [], 30, 228)
    y = _Scale(Axis("", percent=True, low=0.0, high=1.0), [], 74, 6)
    parts = [
        '<svg class="static curves" viewBox="0 0 240 96" role="img"'
        ' aria-label="Validation accuracy by examples seen, a line a run">'
    ]
    for value in (0.0, 0.5, 1.0):
        parts.append(f'<path class="grid" d="M30 {y(value)}H228"/>')
        parts.append(_text(f"{100 * value:.0f}", f'x="26" y="{y(value) + 4}" text-anchor="end"'))
    parts.append(_text(f"{human(most)} examples", 'x="228" y="92" text-anchor="end"'))
    for line in lines:
        path = "L".join(f"{x(a)} {y(b)}" for a, b in zip(line.x, line.y, strict=True))
        parts.append(f'<path class="thin" d="M{path}"/>')
    return "".join(parts) + "</svg>"


def swatch(style: Style) -> str:
    """A small SVG of the line and marker of a series."""
    return (
        '<svg class="swatch" viewBox="0 0 28 14" aria-hidden="true"'
        f' style="color:var(--c{style.colour})"><path class="line" d="M1 7H27"{style.dash_svg}/>'
        '<path class="dot" transform="translate(14 7) scale(4.5)"'
        f' d="{MARKERS[style.marker][1]}"/></svg>'
    )
