"""Every figure of a report as files for a paper: SVG and PDF, and the numbers as CSV."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import FuncFormatter, NullFormatter

from reports.figures.catalogue import figures_of
from reports.figures.drawing import MOST_BARS
from reports.figures.figure_model import Axis, Figure, Line, Panel
from reports.figures.styles import COLOURS_LIGHT, Style, styles_of
from reports.read.formats import human
from reports.read.load import Records

PANEL = (2.3, 1.9)  # inches; three panels fill the text of a page
ALONE = (3.3, 2.4)  # one panel, a column of two
_MARKERS = ("o", "s", "^", "D", "v", "P", "h", "X")
_DASHES = ("-", "--", ":", "-.")
#: Text stays text, in a font that journals accept embedded.
_STYLE: Any = {
    "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 7, "font.family": "sans-serif",
    "axes.titlesize": 7, "axes.linewidth": 0.6, "lines.linewidth": 1.0, "lines.markersize": 3.0,
    "svg.hashsalt": "reports",  # the same records give the same files
}  # fmt: skip


def export_figures(records: Records, folder: str | Path) -> list[Path]:
    """Write FIGURE.svg, .pdf and .csv for each figure; returns the paths. OSError where that
    fails."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    styles = styles_of(records.rows)
    written = []
    for name, figure in figures_of(records).items():
        with matplotlib.rc_context(_STYLE):
            sheet = draw(figure, styles)
            for kind in ("svg", "pdf"):
                path = folder / f"{name}.{kind}"
                undated = {"Date": None} if kind == "svg" else {"CreationDate": None}
                sheet.savefig(path, metadata=undated)
                written.append(path)
        path = folder / f"{name}.csv"
        path.write_text(figure.csv(), encoding="utf-8")
        written.append(path)
    return written


def draw(figure: Figure, styles: dict[str, Style]) -> Sheet:
    """The figure in matplotlib, panels side by side, one legend below."""
    columns = min(3, len(figure.panels))
    rows = -(-len(figure.panels) // columns)
    width, height = ALONE if len(figure.panels) == 1 else PANEL
    shown = list(dict.fromkeys(line.series for panel in figure.panels for line in panel.lines))
    legend = 0.16 * math.ceil(len(shown) / (columns + 1)) + 0.1
    size = (width * columns, height * rows + legend)
    sheet = Sheet(figsize=size, layout="constrained")
    FigureCanvasAgg(sheet)
    axes = sheet.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, figure.panels, strict=False):
        _panel(ax, panel, styles)
    for ax in axes[len(figure.panels) :]:
        ax.set_axis_off()
    handles = [_key(series, styles[series]) for series in shown]
    sheet.legend(
        handles=handles, loc="outside lower center", ncols=columns + 1, frameon=False, fontsize=6
    )
    return sheet


def _plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _key(series: str, style: Style) -> Any:
    from matplotlib.lines import Line2D

    looks: dict[str, Any] = {"marker": _MARKERS[style.marker], "ls": _DASHES[style.dash]}
    return Line2D([], [], color=COLOURS_LIGHT[style.colour], label=_plain(series), **looks)


def _panel(ax: Any, panel: Panel, styles: dict[str, Style]) -> None:
    for line in panel.lines:
        _line(ax, line, styles[line.series], banded=not panel.crowded)
    marks = panel.seen_marks
    for along, value, text in marks:
        (ax.axvline if along == "x" else ax.axhline)(value, color="0.6", lw=0.6, ls=":", zorder=0)
        place = (value, 1.0) if along == "x" else (1.0, value)
        transform = ax.get_xaxis_transform() if along == "x" else ax.get_yaxis_transform()
        # Clear of a line that runs along the mark; lines lie above the lower of two.
        below = along == "y" and value < max(v for a, v, _ in marks if a == "y")
        ax.annotate(
            text, place, xycoords=transform, xytext=(0, -3 if below else 3), ha="right",
            textcoords="offset points", va="top" if below else "bottom", fontsize=5, color="0.4",
        )  # fmt: skip
    if any(along == "y" for along, *_ in marks):
        ax.margins(y=0.12)  # for what the uppermost mark says
    ax.set_title(_plain(panel.title))
    _axis(ax, "x", panel.x)
    _axis(ax, "y", panel.y)
    ax.spines[["top", "right"]].set_visible(False)


def _line(ax: Any, line: Line, style: Style, *, banded: bool) -> None:
    colour = COLOURS_LIGHT[style.colour]
    few = len(line.x) <= MOST_BARS
    dash = "none" if line.kind == "points" else _DASHES[style.dash]
    marker = _MARKERS[style.marker] if few and line.kind != "thin" else None
    thin = line.kind == "thin"
    ax.plot(
        line.x, line.y, color=colour, ls=dash, marker=marker, lw=0.6 if thin else None,
        alpha=0.8 if thin else 1.0,
    )  # fmt: skip
    if line.low is not None and line.high is not None:
        if few:
            reach = [
                [max(y - low, 0) for y, low in zip(line.y, line.low, strict=True)],
                [max(high - y, 0) for y, high in zip(line.y, line.high, strict=True)],
            ]
            ax.errorbar(line.x, line.y, reach, fmt="none", ecolor=colour, elinewidth=0.7, capsize=1)
        elif banded:
            ax.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, lw=0)
    if line.ring is not None and (line.kind == "points" or not few):
        look: dict[str, Any] = {"mfc": "none", "ms": 6} if line.kind == "points" else {"mfc": "w"}
        ring = _MARKERS[style.marker]
        ax.plot(line.x[line.ring], line.y[line.ring], ring, color=colour, **look)


def _axis(ax: Any, which: str, axis: Axis) -> None:
    getattr(ax, f"set_{which}label")("\n".join(textwrap.wrap(_plain(axis.label), 28)))
    if axis.log:
        getattr(ax, f"set_{which}scale")("log")
    side = getattr(ax, f"{which}axis")
    if axis.percent:
        low = axis.low or 0.0
        pad = 0.03 * (1 - low)
        getattr(ax, f"set_{which}lim")(low - pad, 1 + pad)
        side.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f}"))
    elif which == "y" and axis.high is not None:
        getattr(ax, f"set_{which}lim")(top=axis.high)
    if axis.ticks and not axis.percent:
        side.set_ticks([v for v, _ in axis.ticks], [_plain(t) for _, t in axis.ticks])
        side.set_minor_formatter(NullFormatter())
    elif axis.log and not axis.percent:
        side.set_major_formatter(FuncFormatter(lambda v, _: human(v)))
        side.set_minor_formatter(NullFormatter())
