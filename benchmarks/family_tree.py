"""`python -m benchmarks.family_tree --out docs/images/family_tree.png`: the paradigms by what they
repeat, each under the one it is made from, with what it adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from matplotlib.figure import Figure

from foundations.command import Parser, writable_file


class Member(NamedTuple):
    """names: the paradigms of one publication. adds: to the member above it. under: those made from
    it."""

    names: str
    year: str
    adds: str
    under: tuple[Member, ...] = ()


#: By what is repeated, with its colour.
LANES: dict[tuple[str, str], tuple[Member, ...]] = {
    ("repeat one block, over depth", "#2166ac"): (
        Member(
            "recurrent_mlp, recurrent_convnet, recurrent_resnet", "2021",
            "one body for all depths; twins: mlp, convnet, resnet",
            (
                Member(
                    "dt_net", "2021", "a dense answer; twin: feed_forward",
                    (
                        Member(
                            "dt_net_recall", "2022",
                            "the input again at every step; twin: feed_forward_recall",
                            (
                                Member("dt_net_lipschitz", "2024", "bounded norms"),
                                Member("deq", "2019, 2022", "a solver for the fixed point"),
                                Member("trm", "2025", "two states, deep supervision"),
                            ),
                        ),
                    ),
                ),
            ),
        ),
        Member("recurrent_resnet18", "2023", "one of a ResNet's blocks repeated"),
        Member("looped_transformer", "2023", "attention to all sites; twin: transformer"),
        Member("adaptive:NAME", "2016, 2021", "a unit that says when to halt, on any of these"),
        Member("gabor:NAME", "2018", "any network between the ends of hgru"),
    ),
    ("repeat a gated cell at every site, over depth", "#168080"): (
        Member("conv_lstm, conv_gru", "2015, 2016", "the cells of lstm and gru, convolved"),
        Member(
            "hgru", "2018", "wide lateral connections, over Gabor responses",
            (
                Member("hcnn, td_hcnn", "2020", "without, with feedback from a deeper unit"),
                Member("locrnn", "2023", "excitation and inhibition gated apart"),
            ),
        ),
    ),
    ("repeat a cell, over positions", "#7b5ea7"): (
        Member("lstm, gru", "1997, 2014", "gates; boards by rows and columns"),
        Member("linear_rnn", "2018–2024", "a product a channel, by a scan"),
    ),
    ("repeat nothing: depth", "#c45500"): (
        Member("mlp, convnet, resnet", "2021", "twins of the first above"),
        Member("feed_forward, feed_forward_recall", "2021, 2022", "twins of DT-nets"),
        Member(
            "resnet18, narrow_resnet18, …", "2015, 2020", "four widths",
            (
                Member("resnet50d", "2019", "bottlenecks and a better stem"),
                Member("convnext_nano", "2022", "wide depth-wise kernels"),
            ),
        ),
        Member("dilated_cnn", "2016", "reach that doubles from layer to layer"),
        Member("unet", "2015", "coarse maps, and up again"),
        Member("transformer", "2017", "attention", (Member("vit_tiny", "2021", "patches"),)),
        Member("lottery:NAME", "2019–2023", "any network, pruned before training"),
    ),
}  # fmt: skip
STEP, RIGHT = 0.28, 6.0


def rows(members: tuple[Member, ...], depth: int = 0) -> Iterator[tuple[Member, int]]:
    """Every member with its depth in the tree, from above."""
    for member in members:
        yield member, depth
        yield from rows(member.under, depth + 1)


def draw() -> Figure:
    """A row a member, elbows from each to those under it."""
    count = sum(1 + len(list(rows(lane))) for lane in LANES.values())
    figure = Figure(figsize=(9.6, 0.26 * (count + len(LANES))), dpi=150)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    height = 0.0
    for (title, colour), lane in LANES.items():
        axes.text(0, height, title, color=colour, weight="bold", va="center", size=11)
        above = [height]  # the heights of the members that the next may hang on
        for member, depth in rows(lane):
            height += 1
            del above[depth + 1 :]
            left = STEP * (depth + 0.3)
            axes.plot(
                [left, left, left + 0.6 * STEP], [above[depth] + 0.35, height, height],
                color=colour, lw=1.2,
            )  # fmt: skip
            axes.text(left + 0.75 * STEP, height, member.names, va="center", family="monospace")
            axes.text(RIGHT - 0.95, height, member.year, va="center", color="#555", size=9)
            axes.text(RIGHT, height, member.adds, va="center", size=9.5)
            above.append(height)
        height += 1.8
    axes.set_ylim(height - 1, -0.8)
    axes.set_xlim(-0.05, 10)
    axes.axis("off")
    return figure


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(prog="python -m benchmarks.family_tree", description=__doc__)
    parser.add_argument("--out", type=writable_file, required=True, help="FILE.png or FILE.svg")
    draw().savefig(parser.parse_args(arguments).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
