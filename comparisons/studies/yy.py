"""You and Yu, "The Lottery Initialization and Generalizability Analysis of Deep Recurrent
Networks"."""

from __future__ import annotations

from typing import Any

from comparisons.planning.overrides import Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.verdicts import alike, beats, every, saturates_before

SEEDS = (0, 1, 2)
SOURCE = "You and Yu"
_SCALE = "width 64 (sums) and 32 (mazes), 1,500 steps, trained on 16 bits and size 9; density 0.9"
_CRITERIA = overrides(
    lottery={"criterion": Sweep("snip", "magnitude", "random", "grasp"), "density": 0.9}
)


def _pruned(task: str, criterion: str, place: int, **more: Any) -> RunSelector:
    settings = overrides(lottery={"criterion": criterion, "density": 0.9})
    return RunSelector(task, "lottery", place, settings=settings, **more)


def _whole(task: str, place: int, **more: Any) -> RunSelector:
    return RunSelector(task, "dt_net_recall", place, **more)


LOTTERY = Study(
    summary="sums and mazes: DT-nets pruned before training",
    arms=(
        Arm(
            ("prefix_sums",),
            ("dt_net_recall", "lottery"),
            {
                "quick": Scale(SEEDS, (50_000,)),
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
                "paper": Scale(None, (50_000,), overrides(evaluation={"difficulties": (13,)})),
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
            every(
                beats(
                    _pruned("prefix_sums", "snip", 64, rule="fixed", iterations="trained"),
                    _whole("prefix_sums", 64, rule="fixed", iterations="trained"),
                    by=0.012,
                ),
                saturates_before(_pruned("prefix_sums", "snip", 64), _whole("prefix_sums", 64)),
            ),
            scale=f"{_SCALE}; tested on 64 bits",
            figure="iterations",
        ),
        Claim(
            "YY-F4-saturation",
            SOURCE,
            "GraSP and SNIP saturate before the unpruned network (180, 190 and 200 iterations),"
            " random and magnitude pruning after it (250, 285).",
            every(
                saturates_before(_pruned("prefix_sums", "snip", 64), _whole("prefix_sums", 64)),
                saturates_before(_pruned("prefix_sums", "grasp", 64), _whole("prefix_sums", 64)),
                saturates_before(_whole("prefix_sums", 64), _pruned("prefix_sums", "random", 64)),
                saturates_before(
                    _whole("prefix_sums", 64), _pruned("prefix_sums", "magnitude", 64)
                ),
            ),
            scale=f"{_SCALE}; tested on 64 bits",
            figure="iterations",
        ),
        Claim(
            "YY-F5-maze",
            SOURCE,
            "On mazes of size 13 after 9, SNIP is worth 12.9 points near 50 iterations.",
            beats(
                _pruned("maze", "snip", 13, rule="fixed", iterations=50),
                _whole("maze", 13, rule="fixed", iterations=50),
                by=0.05,
            ),
            scale=f"{_SCALE}; five points are asked for",
            figure="iterations",
        ),
        Claim(
            "YY-F5-final",
            SOURCE,
            "On mazes of size 13, SNIP ends at 96 %, the unpruned network at 95 % and random"
            " pruning at 75 %.",
            every(
                alike(_pruned("maze", "snip", 13), _whole("maze", 13), 0.03),
                beats(_pruned("maze", "snip", 13), _pruned("maze", "random", 13), by=0.1),
            ),
            scale=_SCALE,
        ),
    ),
)

OOD = Study(
    summary="CIFAR-10 to SVHN: more iterations than trained with (needs their data)",
    arms=(
        Arm(
            ("cifar10",),
            ("recurrent_resnet18",),
            {
                "quick": Scale(SEEDS, settings=overrides(train={"steps": 1500})),
                "paper": Scale(transfer=(("cifar10", "svhn"),)),
            },
            overrides(evaluation={"iterations": 20}),
        ),
    ),
    claims=(
        Claim(
            "YY-T1-ood",
            SOURCE,
            "A recurrent ResNet trained on CIFAR-10 with 5 iterations falls from 94.8 to 16.4 % at"
            " 20, and stays at chance on SVHN.",
            beats(
                RunSelector("cifar10", "recurrent_resnet18", rule="fixed", iterations="trained"),
                RunSelector("cifar10", "recurrent_resnet18", rule="fixed"),
                by=0.3,
            ),
            scale="width 16, 1,500 steps; CIFAR-10 alone",
            figure="iterations",
        ),
    ),
)
