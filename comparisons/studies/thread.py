"""What was announced with Bansal et al. 2022: recovery, plain ResNets, and a maze of size 801."""

from __future__ import annotations

from dataclasses import replace

from comparisons.planning.overrides import overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.verdicts import absent, every, no_worse, reaches, stays_below

SOURCE = "announcement of Bansal et al. 2022"
_NET = ("maze", "dt_net_recall", 13)
_PERTURBATIONS = ("noise", "zeros", "other", "start", "end")
_TRAINED_ON_13 = overrides(task={"difficulty": 13})
_SCALE = Scale((0, 1, 2), (50_000,), overrides(evaluation={"samples": 500}))

RECOVERY = Study(
    summary="mazes: damaged states, moved ends, plain ResNets",
    arms=(
        Arm(
            ("maze",),
            ("dt_net_recall",),
            {"quick": _SCALE, "paper": _SCALE},
            overrides(
                evaluation={
                    "difficulties": (13,),
                    "iterations": 128,
                    "blows": ("none", *_PERTURBATIONS),
                }
            ),
        ),
        Arm(
            ("maze",),
            ("resnet18",),
            {
                "quick": replace(
                    _SCALE,
                    settings=_SCALE.settings | overrides(train={"steps": 4000}),
                    paradigms=("narrow_resnet18",),
                ),
                "paper": _SCALE,
            },
            _TRAINED_ON_13 | overrides(evaluation={"difficulties": (13, 21, 29)}),
        ),
    ),
    claims=(
        Claim(
            "TH-recover",
            SOURCE,
            "A state that is damaged half-way always recovers; when the start or the end is moved"
            " after solving, the maze is solved again.",
            every(
                *(
                    no_worse(
                        RunSelector(*_NET, rule=f"blow:{name}"),
                        RunSelector(*_NET, rule="blow:none"),
                        0.02,
                    )
                    for name in _PERTURBATIONS
                )
            ),
            scale="width 32, size 13, perturbed after 64 of 128 iterations; two points are allowed",
            figure="recovery",
        ),
        Claim(
            "TH-resnet",
            SOURCE,
            "A ResNet18 solves all unseen mazes of the size it was trained on, 13, and fails on"
            " larger ones.",
            every(
                reaches(
                    RunSelector("maze", "narrow_resnet18", 13, settings=_TRAINED_ON_13),
                    1.0,
                    0.05,
                ),
                stays_below(
                    RunSelector("maze", "narrow_resnet18", 21, settings=_TRAINED_ON_13), 0.1
                ),
            ),
            scale="a narrow ResNet18, 4,000 steps",
        ),
        Claim(
            "TH-801",
            SOURCE,
            "Trained on size 9 with 30 iterations, a maze of size 801 is solved with 25,000.",
            absent(
                "hours on a CPU: `python -m comparisons.testing.long_horizon RUN --difficulty 801"
                " --count 1 --iterations 25000` gives it to any trained network"
            ),
        ),
    ),
)
