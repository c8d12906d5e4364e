"""Lüddecke and Ecker, "CNNs efficiently learn long-range dependencies"."""

from __future__ import annotations

from comparisons.planning.plan import Request
from comparisons.studies import Claim, Study
from comparisons.studies.verdicts import (
    Where,
    absent,
    alike,
    beats,
    every,
    no_worse,
    reaches,
    takes_longer,
)

SEEDS = (0, 1, 2)
SOURCE = "Lüddecke and Ecker"
TASK = "pathfinder"
QUICK = "images of 64 x 64, path length 6, 50,000 samples, 2,000 steps of 50"


def _net(paradigm: str, **more) -> Where:
    return Where(TASK, paradigm, 6, samples=50_000, **more)


_TEST = ("evaluation.difficulties=6", "evaluation.samples=2000", "evaluation.iterations=12")

PATHFINDER = Study(
    plans={
        "quick": (
            Request(
                (TASK,),
                ("super_narrow_resnet18", "narrow_resnet18", "larger_narrow_resnet18", "hgru"),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=_TEST,
            ),
            Request(
                (TASK,),
                ("narrow_resnet18",),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=("paradigm.residual=false", *_TEST),
            ),
        ),
        "paper": (
            Request(
                (TASK,),
                (
                    "super_narrow_resnet18",
                    "narrow_resnet18",
                    "resnet18",
                    "larger_narrow_resnet18",
                    "hgru",
                    "td_hcnn",
                ),
                preset="paper",
                settings=("task.difficulty=14",),
            ),
            Request(
                (TASK,),
                ("narrow_resnet18",),
                preset="paper",
                settings=("task.difficulty=14", "paradigm.residual=false"),
            ),
        ),
    },
    claims=(
        Claim(
            "LE-T1-speed",
            SOURCE,
            "hGRU takes many times as long to train as a narrow ResNet18 (475 against 3 minutes).",
            takes_longer(
                _net("hgru"), _net("narrow_resnet18", options={"paradigm.residual": None}), 2.0
            ),
            scale=(
                "quick hGRU: maps of 16 x 16, kernel 5, six steps, 1/144 of the work; at least"
                " twice as long is asked for"
            ),
            figure="compute",
        ),
        Claim(
            "LE-T2-size",
            SOURCE,
            "Larger ResNet18s solve more of pathfinder: 97.3, 98.1 and 98.7 % for the super-narrow,"
            " narrow and full ones.",
            beats(
                _net("narrow_resnet18", options={"paradigm.residual": None}),
                _net("super_narrow_resnet18"),
            ),
            scale=QUICK,
            figure="parameters",
        ),
        Claim(
            "LE-T3-samples",
            SOURCE,
            "With 54,000 samples a narrow ResNet18 reaches 96.3 %, as much without residual"
            " additions (95.8 %), the super-narrow 94.6 % and the larger 96.6 %.",
            every(
                reaches(_net("narrow_resnet18", options={"paradigm.residual": None}), 0.963, 0.04),
                alike(
                    _net("narrow_resnet18", options={"paradigm.residual": None}),
                    _net("narrow_resnet18", options={"paradigm.residual": False}),
                    0.03,
                ),
            ),
            scale=QUICK,
            figure="samples",
        ),
        Claim(
            "LE-F5-iterations",
            SOURCE,
            "The smaller the network, the more training it needs.",
            every(
                beats(
                    _net("narrow_resnet18", options={"paradigm.residual": None}),
                    _net("super_narrow_resnet18"),
                ),
                no_worse(
                    _net("larger_narrow_resnet18"),
                    _net("narrow_resnet18", options={"paradigm.residual": None}),
                    0.01,
                ),
            ),
            scale=f"{QUICK}; seen as accuracy after the same number of steps",
            figure="parameters",
        ),
        Claim(
            "LE-F3-stability",
            SOURCE,
            "On paths of 14, batches of 12 may not converge; larger ones are steadier.",
            absent(
                "no quick network learns paths of 14; the paper preset trains them with batches of"
                " 196 only"
            ),
        ),
    ),
)

_BASE = ("evaluation.difficulties=6", "evaluation.samples=2000")
_FEW = 20_000


def _technique(**options) -> Where:
    paths = {name.replace("__", "."): value for name, value in options.items()}
    return Where(TASK, "narrow_resnet18", 6, samples=_FEW, options=paths)


TECHNIQUES = Study(
    plans={
        preset: (
            Request(
                (TASK,),
                ("narrow_resnet18",),
                preset=preset,
                seeds=SEEDS,
                train_samples=(_FEW,),
                settings=("train.learning_rate=0.001,0.005", *_BASE),
            ),
            Request(
                (TASK,),
                ("narrow_resnet18",),
                preset=preset,
                seeds=SEEDS,
                train_samples=(_FEW,),
                settings=("train.learning_rate=0.001", "task.flips=true", *_BASE),
            ),
        )
        for preset in ("quick", "paper")
    },
    claims=(
        Claim(
            "LE-F6-samples",
            SOURCE,
            "A larger learning rate, flips, and weights from the easiest difficulty each raise the"
            " narrow network's sample efficiency; flips only above 25,000 samples.",
            every(
                beats(
                    _technique(train__learning_rate=0.005),
                    _technique(train__learning_rate=0.001, task__flips=None),
                ),
                no_worse(
                    _technique(train__learning_rate=0.001, task__flips=None),
                    _technique(train__learning_rate=0.001, task__flips=True),
                    0.02,
                ),
            ),
            scale=(
                "20,000 samples: the larger rate, and that flips do not yet help; length 6 is the"
                " easiest already"
            ),
            figure="samples",
        ),
    ),
)
