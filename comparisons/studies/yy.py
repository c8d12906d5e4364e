"""You and Yu, "The Lottery Initialization and Generalizability Analysis of Deep Recurrent
Networks"."""

from __future__ import annotations

from functools import partial
from typing import Any

from comparisons.planning.overrides import Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check, absent, every
from comparisons.studies.ratios import saturates_before
from comparisons.studies.verdicts import (
    alike,
    beats,
    has_room,
    noting_share,
    stays_below,
)

SEEDS = (0, 1, 2)
TWENTY = (*range(20),)
SOURCE = "You and Yu"
_SCALE = "width 64 (sums) and 32 (mazes), 1,500 steps, trained on 16 bits and size 9; density 0.9"
_NARROW = "sums: width 24, 20 seeds; density 0.9"
_CRITERIA = overrides(
    lottery={"criterion": Sweep("snip", "magnitude", "random", "grasp"), "density": 0.9}
)


def _pruned(task: str, criterion: str, place: int, **more: Any) -> RunSelector:
    settings = overrides(lottery={"criterion": criterion, "density": 0.9})
    return RunSelector(task, "lottery", place, settings=settings, **more)


def _whole(task: str, place: int, **more: Any) -> RunSelector:
    return RunSelector(task, "dt_net_recall", place, **more)


_sums = partial(_pruned, "prefix_sums")


def _prefix(bits: int) -> Check:
    """SNIP beats no pruning, where that leaves room, and with fewer iterations. How many seeds
    converge is said beside it: networks of sums either learn them or do not."""
    snip, whole = _sums("snip", bits), _whole("prefix_sums", bits)
    return every(
        noting_share(has_room(whole, beats(snip, whole, by=0.012)), (snip, whole), 0.9),
        saturates_before(snip, whole),
    )


def _saturation(bits: int) -> Check:
    whole = _whole("prefix_sums", bits)
    return every(
        *(saturates_before(_sums(criterion, bits), whole) for criterion in ("snip", "grasp")),
        *(saturates_before(whole, _sums(criterion, bits)) for criterion in ("random", "magnitude")),
    )


def _near_50(*sizes: int) -> Check:
    """Where the unpruned network leaves room at 50 iterations, SNIP is worth five points."""
    checks = []
    for size in sizes:
        snip, whole = (
            make(size, rule="fixed", iterations=50)
            for make in (partial(_pruned, "maze", "snip"), partial(_whole, "maze"))
        )
        checks.append(has_room(whole, beats(snip, whole, by=0.05), 0.94))
    return every(*checks)


def _final(size: int) -> Check:
    """SNIP is as good as no pruning at 13, and better than random pruning at a size where that
    leaves room."""
    snip, random = _pruned("maze", "snip", size), _pruned("maze", "random", size)
    return every(
        alike(_pruned("maze", "snip", 13), _whole("maze", 13), 0.03),
        has_room(random, beats(snip, random, by=0.1), 0.89),
    )


LOTTERY = Study(
    summary="sums and mazes: DT-nets pruned before training",
    arms=(
        Arm(
            ("prefix_sums",),
            ("dt_net_recall", "lottery"),
            {
                "quick": Scale(
                    SEEDS, (50_000,), overrides(evaluation={"difficulties": (16, 32, 48, 64)})
                ),
                "standard": Scale(
                    TWENTY,
                    (10_000,),
                    overrides(
                        paradigm={"width": 24},
                        task={"difficulty": 32},
                        evaluation={"difficulties": (32, 512), "samples": 500, "iterations": 300},
                    ),
                ),
                "paper": Scale(
                    train_samples=(10_000,),
                    settings=overrides(evaluation={"difficulties": (512,), "iterations": 600}),
                ),
            },
            _CRITERIA,
        ),
        Arm(
            ("maze",),
            ("dt_net_recall", "lottery"),
            {
                "quick": Scale(SEEDS, (50_000,), overrides(evaluation={"difficulties": (9, 13)})),
                "standard": Scale(
                    settings=overrides(evaluation={"difficulties": (9, 13, 29, 59), "samples": 200})
                ),
                "paper": Scale(
                    None, (50_000,), overrides(evaluation={"difficulties": (13, 29, 59)})
                ),
            },
            _CRITERIA,
        ),
    ),
    claims=(
        Claim(
            "YY-F4-prefix",
            SOURCE,
            "On sums of 512 bits after 32, DT-nets pruned by SNIP beat unpruned ones by 1.2 to 12.9"
            " points, and with fewer iterations.",
            _prefix(64),
            scale=f"{_SCALE}; tested on 64 bits",
            figure="iterations",
            at=dict.fromkeys(("standard", "paper"), _prefix(512)),
            scales={"standard": _NARROW},
        ),
        Claim(
            "YY-F4-saturation",
            SOURCE,
            "GraSP and SNIP saturate before the unpruned network (180, 190 and 200 iterations),"
            " random and magnitude pruning after it (250, 285).",
            _saturation(64),
            scale=f"{_SCALE}; tested on 64 bits",
            figure="iterations",
            at=dict.fromkeys(("standard", "paper"), _saturation(512)),
            scales={"standard": _NARROW},
        ),
        Claim(
            "YY-F5-maze",
            SOURCE,
            "On mazes of size 13 after 9, SNIP is worth 12.9 points near 50 iterations.",
            _near_50(13),
            scale=f"{_SCALE}; five points are asked for",
            figure="iterations",
            at={"standard": _near_50(29, 59), "paper": _near_50(13)},
            scales={
                "standard": "width 32, sizes 29 and 59, where the unpruned network leaves room;"
                " five points are asked for"
            },
        ),
        Claim(
            "YY-F5-final",
            SOURCE,
            "On mazes of size 13, SNIP ends at 96 %, the unpruned network at 95 % and random"
            " pruning at 75 %.",
            _final(13),
            scale=_SCALE,
            at={"standard": _final(29), "paper": _final(13)},
            scales={
                "standard": "width 32; against random pruning on size 29, where that leaves room"
            },
        ),
    ),
)


def ood(**more: Any) -> RunSelector:
    """You and Yu's recurrent ResNet on CIFAR-10."""
    return RunSelector("cifar10", "recurrent_resnet18", **more)


OOD_ARM = Arm(
    ("cifar10",),
    ("recurrent_resnet18",),
    {
        "quick": Scale(SEEDS, settings=overrides(train={"steps": 1500})),
        "standard": Scale(),
        "paper": Scale(transfer=(("cifar10", "svhn"),)),
    },
    overrides(evaluation={"iterations": 20}),
)
_FALLS = beats(ood(rule="fixed", iterations="trained"), ood(rule="fixed", iterations=20), by=0.3)
_UNSEEN = absent("the part on SVHN is tested by the paper preset alone, which has its data")

OOD = Study(
    summary="CIFAR-10 to SVHN: more iterations than trained with (needs their data)",
    arms=(OOD_ARM,),
    claims=(
        Claim(
            "YY-T1-ood",
            SOURCE,
            "A recurrent ResNet trained on CIFAR-10 with 5 iterations falls from 94.8 to 16.4 % at"
            " 20, and stays at chance on SVHN.",
            every(_FALLS, _UNSEEN),
            scale="width 16, 1,500 steps; half of the claim, CIFAR-10 alone",
            figure="iterations",
            at={
                "paper": every(
                    _FALLS,
                    *(
                        stays_below(
                            ood(rule="fixed", iterations=steps, difficulty=1, test_task="svhn"),
                            0.15,
                        )
                        for steps in (5, 20)
                    ),
                )
            },
            scales={"standard": "width 16; half of the claim, CIFAR-10 alone"},
        ),
    ),
)
