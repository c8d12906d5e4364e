"""You and Yu, "The Lottery Initialization and Generalizability Analysis of Deep Recurrent
Networks"."""

from __future__ import annotations

from comparisons.planning.plan import Request
from comparisons.studies import Claim, Study
from comparisons.studies.verdicts import Where, alike, beats, every, saturates_before

SEEDS = (0, 1, 2)
SOURCE = "You and Yu"
_CRITERIA = "lottery.criterion=snip,magnitude,random,grasp"
_SCALE = "width 64 (sums) and 32 (mazes), 1,500 steps, trained on 16 bits and size 9; density 0.9"


def _pruned(task: str, criterion: str, place: int, **more) -> Where:
    options = {"paradigm.criterion": criterion, "paradigm.density": 0.9}
    return Where(task, "lottery", place, options=options, **more)


def _whole(task: str, place: int, **more) -> Where:
    return Where(task, "dt_net_recall", place, **more)


LOTTERY = Study(
    plans={
        "quick": (
            Request(
                ("prefix_sums",),
                ("dt_net_recall", "lottery"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(_CRITERIA, "lottery.density=0.9"),
            ),
            Request(
                ("maze",),
                ("dt_net_recall", "lottery"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(_CRITERIA, "lottery.density=0.9", "evaluation.difficulties=9,13"),
            ),
        ),
        "paper": (
            Request(
                ("prefix_sums",),
                ("dt_net_recall", "lottery"),
                preset="paper",
                train_samples=(10_000,),
                settings=(
                    _CRITERIA,
                    "lottery.density=0.9",
                    "evaluation.difficulties=512",
                    "evaluation.iterations=600",
                ),
            ),
            Request(
                ("maze",),
                ("dt_net_recall", "lottery"),
                preset="paper",
                train_samples=(50_000,),
                settings=(_CRITERIA, "lottery.density=0.9", "evaluation.difficulties=13"),
            ),
        ),
    },
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
    plans={
        "quick": (
            Request(
                ("cifar10",),
                ("recurrent_resnet18",),
                seeds=SEEDS,
                settings=("train.steps=1500", "evaluation.iterations=20"),
            ),
        ),
        "paper": (
            Request(
                ("cifar10",),
                ("recurrent_resnet18",),
                preset="paper",
                settings=("evaluation.iterations=20",),
                transfer=(("cifar10", "svhn"),),
            ),
        ),
    },
    claims=(
        Claim(
            "YY-T1-ood",
            SOURCE,
            "A recurrent ResNet trained on CIFAR-10 with 5 iterations falls from 94.8 to 16.4 % at"
            " 20, and stays at chance on SVHN.",
            beats(
                Where("cifar10", "recurrent_resnet18", rule="fixed", iterations="trained"),
                Where("cifar10", "recurrent_resnet18", rule="fixed"),
                by=0.3,
            ),
            scale="width 16, 1,500 steps; CIFAR-10 alone",
            figure="iterations",
        ),
    ),
)
