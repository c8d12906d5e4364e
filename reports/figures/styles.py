"""How a network looks in every figure: colour and line say what kind of thing it is, shade and
marker which one.

Recurrent networks are blue and solid, feed-forward ones orange and dashed, pruned ones grey-green
and dotted, others grey. Blue and orange stay apart for every kind of colour blindness (Okabe and
Ito 2008), lines and markers without colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from reports.read.sections import is_recurrent

#: Names, and outlines in a box of -1..1.
MARKERS = [
    ("circle", "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z"),
    ("square", "M-.9-.9H.9V.9H-.9Z"),
    ("triangle-up", "M0-1.15L1.1.8H-1.1Z"),
    ("diamond", "M0-1.25L1.25 0L0 1.25L-1.25 0Z"),
    ("triangle-down", "M0 1.15L1.1-.8H-1.1Z"),
    ("cross", "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z"),
    ("hexagon", "M0-1.1L.95-.55V.55L0 1.1L-.95.55V-.55Z"),
    ("x", "M-1.1-.55L-.55-1.1L0-.55L.55-1.1L1.1-.55L.55 0"
          "L1.1.55L.55 1.1L0 .55L-.55 1.1L-1.1.55L-.55 0Z"),
]  # fmt: skip
DASHES = [("solid", ""), ("dash", "7 4"), ("dot", "2 3"), ("dashdot", "8 3 2 3")]


class Family(NamedTuple):
    """dash: place in `DASHES`. marker: place in `MARKERS` of the first. light, dark: shades."""

    dash: int
    marker: int
    light: tuple[str, ...]
    dark: tuple[str, ...]


FAMILIES = {
    "recurrent": Family(
        0, 0,
        ("#0a58a8", "#4a9fe0", "#5b4fa8", "#0f8a9d"), ("#5aa9f0", "#a8d4ff", "#a99cf0", "#3cc4d6"),
    ),
    "feed-forward": Family(
        1, 1,
        ("#d55e00", "#9c3d00", "#c98a00", "#7a5c2e"), ("#f5814a", "#ffb48a", "#f0b53c", "#d9b98a"),
    ),
    "pruned": Family(
        2, 2, ("#4f7a55", "#8aa583", "#2f5a4a"), ("#8fc096", "#bcd6b6", "#5fa08c")
    ),
    "other": Family(3, 3, ("#6b6b6b",), ("#b9b9b9",)),
}  # fmt: skip
COLOURS_LIGHT = [colour for family in FAMILIES.values() for colour in family.light]
COLOURS_DARK = [colour for family in FAMILIES.values() for colour in family.dark]
INK = ("#1b1f24", "#e6e8ea")  # of text, light and dark


def ink(colour: str, towards: str) -> str:
    """A shade as a colour of letters, which need more contrast than lines: partly the text's."""
    parts = zip(*(bytes.fromhex(c[1:]) for c in (colour, towards)), strict=True)
    return "#" + bytes(round(0.55 * one + 0.45 * other) for one, other in parts).hex()


@dataclass(frozen=True)
class Style:
    """How a series looks everywhere on the page. index: of the series. place: among those of its
    family."""

    index: int
    family: str = "other"
    place: int = 0

    @property
    def colour(self) -> int:
        """Place in `COLOURS_LIGHT` and `COLOURS_DARK`."""
        before = list(FAMILIES)[: list(FAMILIES).index(self.family)]
        first = sum(len(FAMILIES[name].light) for name in before)
        return first + self.place % len(FAMILIES[self.family].light)

    @property
    def marker(self) -> int:
        """Place in `MARKERS`. With every round of shades it moves on by one more, so that many
        networks of a family differ."""
        family = FAMILIES[self.family]
        return (family.marker + self.place + self.place // len(family.light)) % len(MARKERS)

    @property
    def dash(self) -> int:
        """Place in `DASHES`."""
        return FAMILIES[self.family].dash

    @property
    def dash_svg(self) -> str:
        dash = DASHES[self.dash][1]
        return f' stroke-dasharray="{dash}"' if dash else ""


def styles_of(rows: pd.DataFrame) -> dict[str, Style]:
    """The look of every series of the records, in their order."""
    recurrent = is_recurrent(rows)
    pruned = set(rows.loc[rows["active_parameters"] < rows["parameters"], "series"])
    styles: dict[str, Style] = {}
    kinds = {True: "recurrent", False: "feed-forward", None: "other"}
    for index, name in enumerate(dict.fromkeys(rows["series"])):
        family = "pruned" if name in pruned else kinds[recurrent.get(name)]
        place = sum(style.family == family for style in styles.values())
        styles[name] = Style(index, family, place)
    return styles
