"""What was announced with Bansal et al. 2022: recovery, plain ResNets, and a maze of size 801."""

from __future__ import annotations

from dataclasses import replace

from comparisons.planning.overrides import overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check, absent, every
from comparisons.studies.verdicts import no_worse, reaches, stays_below

SOURCE = "announcement of Bansal et al. 2022"
_NET = ("maze", "dt_net_recall", 13)
_DAMAGES = ("none", "noise", "zeros", "other", "start", "end")
#: Each change of the problem beside the same problem solved from scratch: where carving began is
#: always a dead end, where a start is moved to is one in 12 % of mazes, and other mazes are harder.
_MOVES = ("start", "start:afresh", "end", "end:afresh")
_TRAINED_ON_13 = overrides(task={"difficulty": 13})
_EQUAL = overrides(train={"batch_size": 50})


def _after(name: str, among: tuple[str, ...]) -> RunSelector:
    """What is solved after a perturbation, of the runs that were given these."""
    settings = overrides(evaluation={"blows": among})
    return RunSelector(*_NET, rule=f"blow:{name}", settings=settings)


def _recovers() -> Check:
    return every(
        *(
            no_worse(_after(name, _DAMAGES), _after("none", _DAMAGES), 0.02)
            for name in ("noise", "zeros", "other")
        ),
        *(
            no_worse(_after(name, _MOVES), _after(f"{name}:afresh", _MOVES), 0.02)
            for name in ("start", "end")
        ),
    )


def _plain(paradigm: str) -> Check:
    return every(
        reaches(RunSelector("maze", paradigm, 13, settings=_TRAINED_ON_13), 1.0, 0.05),
        stays_below(RunSelector("maze", paradigm, 21, settings=_TRAINED_ON_13), 0.1),
    )


_SCALE = Scale((0, 1, 2), (50_000,), overrides(evaluation={"samples": 500}))

RECOVERY = Study(
    summary="mazes: damaged states, moved ends, plain ResNets",
    arms=(
        *(
            Arm(
                ("maze",),
                ("dt_net_recall",),
                {
                    "quick": _SCALE,
                    "standard": Scale(settings=_EQUAL),
                    "paper": replace(_SCALE, seeds=None),
                },
                overrides(
                    evaluation={"difficulties": (13,), "iterations": 128, "blows": perturbations}
                ),
            )
            for perturbations in (_DAMAGES, _MOVES)
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
                "standard": Scale((0, 1, 2), settings=_EQUAL),
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
            _recovers(),
            scale="width 32, size 13, perturbed after 64 of 128 iterations; two points are allowed",
            scales=dict.fromkeys(
                ("standard", "paper"), "perturbed after 64 of 128 iterations; two points allowed"
            ),
            figure="recovery",
        ),
        Claim(
            "TH-resnet",
            SOURCE,
            "A ResNet18 solves all unseen mazes of the size it was trained on, 13, and fails on"
            " larger ones.",
            _plain("narrow_resnet18"),
            scale="a narrow ResNet18, 4,000 steps",
            at=dict.fromkeys(("standard", "paper"), _plain("resnet18")),
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
