"""Table 1 and Figure 13 of Schwarzschild et al. 2021: recurrent networks on images."""

from __future__ import annotations

from comparisons.planning.overrides import Overrides, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check, every
from comparisons.studies.s21 import SEEDS, SOURCE, as_trained
from comparisons.studies.verdicts import gains_nothing, no_worse, reaches
from comparisons.studies.yy import OOD_ARM, ood

_TABLE1 = {
    "cifar10": ("S21-T1-cifar10", "CIFAR-10", 93.99, 94.69),
    "svhn": ("S21-T1-svhn", "SVHN", 96.04, 95.48),
    "emnist": ("S21-T1-emnist", "EMNIST", 87.42, 87.71),
}
_SMALL = overrides(recurrent_resnet_bn={"depth": 15, "width": 32}, resnet18={"width": 16})
_SHORT: Overrides = overrides(train={"steps": 1500}) | _SMALL


def _table1(task: str) -> tuple[RunSelector, RunSelector]:
    return as_trained(task, "recurrent_resnet_bn"), as_trained(task, "resnet18")


def _published(task: str, ours: float, theirs: float) -> Check:
    """At the published size the published accuracies are asked for, too."""
    recurrent, plain = _table1(task)
    return every(
        no_worse(recurrent, plain, 0.02),
        reaches(recurrent, ours / 100, 0.02),
        reaches(plain, theirs / 100, 0.02),
    )


IMAGES = Study(
    summary="CIFAR-10, SVHN and EMNIST: recurrent ResNets (needs their data)",
    arms=(
        *(
            Arm(
                (task,),
                ("recurrent_resnet_bn", "resnet18"),
                {
                    "quick": Scale(SEEDS, settings=_SHORT),
                    "standard": Scale(settings=_SMALL),
                    "paper": Scale(),
                },
            )
            for task in _TABLE1
        ),
        OOD_ARM,
    ),
    claims=(
        *(
            Claim(
                claim,
                SOURCE,
                f"On {words} a recurrent ResNet with a third of the parameters reaches {ours} %, a"
                f" ResNet18 {theirs} %: within a point of each other.",
                no_worse(*_table1(task), 0.02),
                scale=(
                    "1,500 steps; recurrent width 32, ResNet18 of width 16; two points are allowed"
                ),
                figure="parameters",
                at={"paper": _published(task, ours, theirs)},
                scales={
                    "standard": "recurrent width 32, ResNet18 of width 16; two points are allowed"
                },
            )
            for task, (claim, words, ours, theirs) in _TABLE1.items()
        ),
        Claim(
            "S21-F13-images",
            SOURCE,
            "Image classifiers gain nothing from more iterations than they were trained with.",
            every(
                gains_nothing(RunSelector("cifar10", "recurrent_resnet_bn"), 0.01),
                gains_nothing(RunSelector("emnist", "recurrent_resnet_bn"), 0.01),
                gains_nothing(ood(), 0.01),
            ),
            scale=(
                "1,500 steps; ResNets on CIFAR-10 and EMNIST, and You and Yu's on CIFAR-10; a point"
                " is allowed; no SVHN"
            ),
            figure="iterations",
            scales={
                "standard": "widths 32 and 16; a point is allowed; no SVHN",
                "paper": "a point is allowed; CIFAR-10 and EMNIST alone",
            },
        ),
    ),
)
