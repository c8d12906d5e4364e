"""Lüddecke and Ecker, "CNNs efficiently learn long-range dependencies"."""

from __future__ import annotations

from collections.abc import Mapping

from comparisons.planning.overrides import Overrides, Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.verdicts import (
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

_RESIDUAL = overrides(paradigm={"residual": None})  # as it is by default
_PLAIN = overrides(paradigm={"residual": False})


def _net(paradigm: str, settings: Overrides | None = None) -> RunSelector:
    return RunSelector(TASK, paradigm, 6, samples=50_000, settings=settings or {})


_TEST = overrides(evaluation={"difficulties": (6,), "samples": 2000, "iterations": 12})
_LONG = overrides(task={"difficulty": 14})
_SCALES = {"quick": Scale(SEEDS, (50_000,), _TEST), "paper": Scale(settings=_LONG)}
_SIZES = ("super_narrow_resnet18", "narrow_resnet18", "resnet18", "larger_narrow_resnet18")

PATHFINDER = Study(
    summary="pathfinder: narrow ResNets and hGRU, size and samples",
    arms=(
        Arm(
            (TASK,),
            ("super_narrow_resnet18", "narrow_resnet18", "larger_narrow_resnet18", "hgru"),
            {
                "quick": _SCALES["quick"],
                "paper": Scale(settings=_LONG, paradigms=(*_SIZES, "hgru", "td_hcnn")),
            },
        ),
        Arm((TASK,), ("narrow_resnet18",), _SCALES, _PLAIN),
    ),
    claims=(
        Claim(
            "LE-T1-speed",
            SOURCE,
            "hGRU takes many times as long to train as a narrow ResNet18 (475 against 3 minutes).",
            takes_longer(_net("hgru"), _net("narrow_resnet18", settings=_RESIDUAL), 2.0),
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
                _net("narrow_resnet18", settings=_RESIDUAL),
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
                reaches(_net("narrow_resnet18", settings=_RESIDUAL), 0.963, 0.04),
                alike(
                    _net("narrow_resnet18", settings=_RESIDUAL),
                    _net("narrow_resnet18", settings=_PLAIN),
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
                    _net("narrow_resnet18", settings=_RESIDUAL),
                    _net("super_narrow_resnet18"),
                ),
                no_worse(
                    _net("larger_narrow_resnet18"),
                    _net("narrow_resnet18", settings=_RESIDUAL),
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

_FEW = 20_000
_BASE = Scale(SEEDS, (_FEW,), overrides(evaluation={"difficulties": (6,), "samples": 2000}))


def _technique(rate: float, task: Mapping[str, object] | None = None) -> RunSelector:
    settings = overrides(train={"learning_rate": rate}, task=task or {})
    return RunSelector(TASK, "narrow_resnet18", 6, samples=_FEW, settings=settings)


TECHNIQUES = Study(
    summary="pathfinder: rates, flips and weights from easier problems",
    arms=tuple(
        Arm((TASK,), ("narrow_resnet18",), {"quick": _BASE, "paper": _BASE}, settings)
        for settings in (
            overrides(train={"learning_rate": Sweep(0.001, 0.005)}),
            overrides(train={"learning_rate": 0.001}, task={"flips": True}),
        )
    ),
    claims=(
        Claim(
            "LE-F6-samples",
            SOURCE,
            "A larger learning rate, flips, and weights from the easiest difficulty each raise the"
            " narrow network's sample efficiency; flips only above 25,000 samples.",
            every(
                beats(
                    _technique(0.005),
                    _technique(0.001, {"flips": None}),
                ),
                no_worse(
                    _technique(0.001, {"flips": None}),
                    _technique(0.001, {"flips": True}),
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
