"""Bansal et al. 2022, "End-to-end Algorithm Synthesis with Recurrent Networks" (arXiv
2202.05826)."""

from __future__ import annotations

from comparisons.planning.plan import Request
from comparisons.studies import Claim, Study
from comparisons.studies.verdicts import Where, beats, every, no_worse, reaches

SEEDS = (0, 1, 2)
SOURCE = "Bansal et al. 2022"

PROGRESSIVE = {"train.alpha": (0.01, 1.0)}
FINAL = {"train.alpha": 0.0}


def _maze(paradigm: str, size: int, options: dict) -> Where:
    return Where("maze", paradigm, size, options=options)


MAZE = Study(
    plans={
        "quick": (
            Request(
                ("maze",),
                ("dt_net_recall", "feed_forward"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=("evaluation.difficulties=9,13,21,29", "evaluation.samples=500"),
            ),
            Request(
                ("maze",),
                ("dt_net_recall", "dt_net"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0",
                    "evaluation.difficulties=9,13,21,29",
                    "evaluation.samples=500",
                ),
            ),
        ),
        "paper": (
            Request(
                ("maze",),
                ("dt_net_recall", "dt_net", "feed_forward"),
                preset="paper",
                train_samples=(50_000,),
                settings=("train.alpha=0,0.01", "evaluation.iterations=300"),
            ),
        ),
    },
    claims=(
        Claim(
            "B22-maze-13",
            SOURCE,
            "Trained on mazes of size 9, networks with recall solve nearly all of size 13 (99.88 %"
            " with the progressive loss), far more than without recall (85.9 %) and than"
            " feed-forward twins (38.2 %).",
            every(
                reaches(_maze("dt_net_recall", 13, PROGRESSIVE), 0.9988, margin=0.02),
                beats(_maze("dt_net_recall", 13, PROGRESSIVE), _maze("dt_net", 13, FINAL)),
                beats(_maze("dt_net_recall", 13, PROGRESSIVE), Where("maze", "feed_forward", 13)),
            ),
            scale="width 32, 16 iterations, 1,500 steps, progressive loss alone",
        ),
    ),
)


def _well_trained(*tests: str) -> Request:
    """The quick recipe that goes furthest, see docs/recipes.md; trained once, whatever the
    tests."""
    recipe = ("train.steps=7000", "paradigm.iterations=30", "train.average=0.998")
    return Request(
        ("maze",),
        ("dt_net_recall",),
        seeds=SEEDS,
        train_samples=(1_000_000,),
        settings=(*recipe, *tests),
    )


_FEW = "width 32, 7,000 steps with the progressive loss alone; 10 mazes"

LARGE = Study(
    plans={
        "quick": (
            _well_trained(
                "evaluation.difficulties=29,59",
                "evaluation.samples=100",
                "evaluation.iterations=384",
            ),
            Request(
                ("maze",),
                ("dt_net_recall", "dt_net", "feed_forward"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0",
                    "evaluation.difficulties=29,59",
                    "evaluation.samples=100",
                    "evaluation.iterations=256",
                ),
            ),
        ),
        "paper": (
            Request(
                ("maze",),
                ("dt_net_recall", "dt_net", "feed_forward"),
                preset="paper",
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0,0.01",
                    "evaluation.difficulties=59",
                    "evaluation.iterations=1000",
                    "evaluation.samples=500",
                ),
            ),
        ),
    },
    claims=(
        Claim(
            "B22-maze-59",
            SOURCE,
            "Trained on size 9, recall with the progressive loss solves 97.3 % of mazes of size 59;"
            " with the final loss 82.7 %; without recall, or feed-forward, none.",
            every(
                reaches(Where("maze", "dt_net_recall", 59, options=PROGRESSIVE), 0.973, 0.10),
                beats(
                    Where("maze", "dt_net_recall", 59, options=PROGRESSIVE),
                    Where("maze", "dt_net", 59, options=FINAL),
                    by=0.5,
                ),
                beats(
                    Where("maze", "dt_net_recall", 59, options=PROGRESSIVE),
                    Where("maze", "feed_forward", 59, options=FINAL),
                    by=0.5,
                ),
                beats(
                    Where("maze", "dt_net_recall", 59, options=PROGRESSIVE),
                    Where("maze", "dt_net_recall", 59, options=FINAL),
                ),
            ),
            scale=(
                "width 32; 7,000 steps with the progressive loss alone, 1,500 for the others; 100"
                " mazes"
            ),
        ),
    ),
)

HUGE = Study(
    plans={
        "quick": (
            _well_trained(
                "evaluation.difficulties=201",
                "evaluation.samples=10",
                "evaluation.iterations=1000",
                "evaluation.exit_rules=oracle",
                "evaluation.pictures=1",
            ),
        ),
        "paper": (
            Request(
                ("maze",),
                ("dt_net_recall",),
                preset="paper",
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0.01",
                    "evaluation.difficulties=201",
                    "evaluation.iterations=1000",
                    "evaluation.samples=500",
                ),
            ),
        ),
    },
    claims=(
        Claim(
            "B22-maze-201",
            SOURCE,
            "Trained on size 9, recall with the progressive loss solves 74 % of mazes of size 201.",
            reaches(_maze("dt_net_recall", 201, PROGRESSIVE), 0.74, 0.05),
            scale=_FEW,
        ),
        Claim(
            "B22-201",
            "You and Yu, citing Bansal et al. 2022",
            "Mazes of size 201 are solved at a high rate after training on size 9.",
            reaches(_maze("dt_net_recall", 201, PROGRESSIVE), 0.74, 0.24),
            scale=f"{_FEW}; high is taken as at least half",
        ),
    ),
)

SUMS = Study(
    plans={
        "quick": (
            Request(
                ("prefix_sums",),
                ("dt_net_recall", "feed_forward_recall"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "evaluation.difficulties=16,64,256,512",
                    "evaluation.samples=500",
                    "evaluation.iterations=300",
                ),
            ),
        ),
        "paper": (
            Request(
                ("prefix_sums",),
                ("dt_net_recall",),
                preset="paper",
                train_samples=(10_000,),
                settings=("evaluation.difficulties=512", "evaluation.iterations=600"),
            ),
        ),
    },
    claims=(
        Claim(
            "B22-prefix-512",
            SOURCE,
            "Trained on strings of 32 bits, recall with the progressive loss solves 97.1 % of"
            " strings of 512.",
            every(
                reaches(Where("prefix_sums", "dt_net_recall", 512), 0.9712, 0.05),
                no_worse(
                    Where("prefix_sums", "dt_net_recall", 256),
                    Where("prefix_sums", "feed_forward_recall", 256),
                ),
            ),
            scale="width 64, trained on 16 bits",
        ),
    ),
)
