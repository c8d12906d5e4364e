"""What was announced with Bansal et al. 2022: recovery, plain ResNets, and a maze of size 801."""

from __future__ import annotations

from comparisons.planning.plan import Request
from comparisons.studies import Claim, Study
from comparisons.studies.verdicts import Where, absent, every, no_worse, reaches, stays_below

SEEDS = (0, 1, 2)
SOURCE = "announcement of Bansal et al. 2022"
_NET = ("maze", "dt_net_recall", 13)

RECOVERY = Study(
    plans={
        preset: (
            Request(
                ("maze",),
                ("dt_net_recall",),
                preset=preset,
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "evaluation.difficulties=13",
                    "evaluation.samples=500",
                    "evaluation.iterations=128",
                    "evaluation.blows=none,noise,zeros,other,start,end",
                ),
            ),
            Request(
                ("maze",),
                ("narrow_resnet18" if preset == "quick" else "resnet18",),
                preset=preset,
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "task.difficulty=13",
                    "evaluation.difficulties=13,21,29",
                    "evaluation.samples=500",
                    *(("train.steps=4000",) if preset == "quick" else ()),
                ),
            ),
        )
        for preset in ("quick", "paper")
    },
    claims=(
        Claim(
            "TH-recover",
            SOURCE,
            "A state that is damaged half-way always recovers; when the start or the end is moved"
            " after solving, the maze is solved again.",
            every(
                *(
                    no_worse(
                        Where(*_NET, rule=f"blow:{blow}"), Where(*_NET, rule="blow:none"), 0.02
                    )
                    for blow in ("noise", "zeros", "other", "start", "end")
                )
            ),
            scale="width 32, size 13, struck after 64 of 128 iterations; two points are allowed",
            figure="recovery",
        ),
        Claim(
            "TH-resnet",
            SOURCE,
            "A ResNet18 solves all unseen mazes of the size it was trained on, 13, and fails on"
            " larger ones.",
            every(
                reaches(
                    Where("maze", "narrow_resnet18", 13, options={"train_difficulty": 13}),
                    1.0,
                    0.05,
                ),
                stays_below(
                    Where("maze", "narrow_resnet18", 21, options={"train_difficulty": 13}), 0.1
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
