"""What intervals allow to be said about accuracies measured at one place: a best one only if it is
separated.

A network is named as the best only where its 95 % interval overlaps that of no other there; else
the networks whose intervals overlap the highest one's are named together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports.read.formats import listed, percent
from reports.read.sections import Accuracy

NAMED = 3  # networks that a sentence names one by one; of more it gives the number


def level(measured: Sequence[Accuracy]) -> tuple[list[Accuracy], list[Accuracy]]:
    """(the highest and all whose intervals overlap its, the others), each the highest first.

    Exactly equal accuracies keep their order. One in the first list among several is a best one.
    """
    order = sorted(measured, key=lambda a: -a.mean)
    equal = [a for a in order if a is order[0] or a.high >= order[0].low]
    return equal, [a for a in order if a not in equal]


def leader(measured: Sequence[Accuracy]) -> Accuracy | None:
    """The best of at least two, None if it is not separated from every other."""
    equal, others = level(measured)
    return equal[0] if len(equal) == 1 and others else None


def ranking(
    measured: Sequence[Accuracy],
    say: Callable[[Accuracy], str] = lambda a: percent(a.mean),
    cost: Callable[[Accuracy], str] = lambda a: "",
) -> str:
    """`a solves most, 90.0 %; next b, 70.0 %`, or `a solves 90.0 %, not separated from b 88.0 %`,
    or `a solves 90.0 %`.

    say: the accuracy in words; cost: what follows it, such as ` with 1,000 parameters`.
    """
    equal, others = level(measured)
    first, first_text = equal[0], f"{say(equal[0])}{cost(equal[0])}"
    if len(equal) > 1:
        # From the highest: two of the others may well be separated from each other.
        rest = listed([f"{a.series} {say(a)}{cost(a)}" for a in equal[1:]], NAMED)
        return (
            f"{first.series} solves {first_text}, not separated from {rest} "
            "(95\N{NO-BREAK SPACE}% intervals overlap)"
        )
    if not others:
        return f"{first.series} solves {first_text}"
    after = others[0]
    return (
        f"{first.series} solves most, {first_text}; next {after.series}, {say(after)}{cost(after)}"
    )
