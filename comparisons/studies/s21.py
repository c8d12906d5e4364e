"""Schwarzschild, Gupta, Goldblum and Goldstein 2021, "Thinking Deeply with Recurrence"."""

from __future__ import annotations

from typing import Any

from comparisons.planning.overrides import Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.verdicts import alike, beats, every, no_worse, reaches

SEEDS = (0, 1, 2)
SOURCE = "Schwarzschild et al. 2021"
TASK = "maze"
DEPTHS = (8, 20, 44)
QUICK = "width 32, 1,500 steps"


def _as_trained(
    task: str, paradigm: str, difficulty: int | None = None, **options: object
) -> RunSelector:
    """At the depth it was trained with: what is said of an effective depth is not about iterating
    further."""
    settings = overrides(paradigm=options)
    return RunSelector(
        task, paradigm, difficulty, rule="fixed", iterations="trained", settings=settings
    )


def _net(paradigm: str, depth: int, size: int, dilation: int | None = None) -> RunSelector:
    return _as_trained(TASK, paradigm, size, depth=depth, dilation=dilation)


_BOTH = ("recurrent_resnet", "resnet")
_WIDTH = overrides(paradigm={"width": 32})
_SAMPLES = overrides(evaluation={"samples": 500})
_SIZES = overrides(evaluation={"difficulties": (9, 13)})
_ONE_SIZE = overrides(evaluation={"difficulties": (9,)})

DEPTH = Study(
    summary="mazes and digits: depth by repeated or by distinct layers",
    arms=(
        Arm(
            (TASK,),
            _BOTH,
            {"quick": Scale(SEEDS, (50_000,), _WIDTH | _SAMPLES), "paper": Scale()},
            overrides(paradigm={"depth": Sweep(*DEPTHS)}) | _SIZES,
        ),
        Arm(
            (TASK,),
            _BOTH,
            {"quick": Scale(SEEDS, (50_000,), _WIDTH | _ONE_SIZE | _SAMPLES), "paper": Scale()},
            overrides(paradigm={"depth": Sweep(8, 12, 20), "dilation": 2}),
        ),
        Arm(
            ("digits",),
            ("recurrent_resnet_bn", "resnet_bn"),
            {"quick": Scale(SEEDS, settings=_WIDTH), "paper": Scale()},
            overrides(paradigm={"depth": Sweep(7, 11, 15)}),
        ),
        Arm(
            ("digits",),
            ("recurrent_mlp", "mlp", "recurrent_convnet", "convnet"),
            {"quick": Scale(SEEDS), "paper": Scale()},
            overrides(paradigm={"depth": 6}),
        ),
    ),
    claims=(
        Claim(
            "S21-T2-dilated",
            SOURCE,
            "Dilated networks solve more mazes of size 9 the deeper they are (75 to 95 % from depth"
            " 7 to 19), and as many with repeated as with distinct layers.",
            every(
                *(
                    alike(_net("recurrent_resnet", d, 9, 2), _net("resnet", d, 9, 2), 0.05)
                    for d in (8, 12, 20)
                ),
                beats(_net("recurrent_resnet", 12, 9, 2), _net("recurrent_resnet", 8, 9, 2)),
                no_worse(
                    _net("recurrent_resnet", 20, 9, 2), _net("recurrent_resnet", 12, 9, 2), 0.02
                ),
            ),
            scale=f"{QUICK}; dilation 2, depths 8, 12 and 20",
            figure="parameters",
        ),
        Claim(
            "S21-F7-depth-maze",
            SOURCE,
            "Accuracy on mazes rises with effective depth from 8 to 44, alike for recurrent and"
            " feed-forward networks, and falls with the size of the maze.",
            every(
                beats(_net("recurrent_resnet", 20, 9), _net("recurrent_resnet", 8, 9)),
                no_worse(_net("recurrent_resnet", 44, 9), _net("recurrent_resnet", 20, 9), 0.02),
                *(
                    alike(_net("recurrent_resnet", d, 9), _net("resnet", d, 9), 0.05)
                    for d in DEPTHS
                ),
                no_worse(_net("resnet", 44, 9), _net("resnet", 44, 13)),
            ),
            scale=QUICK,
            figure="parameters",
        ),
        Claim(
            "S21-F8-generalise",
            SOURCE,
            "Trained on mazes of size 9 and tested on 13, recurrent networks beat feed-forward ones"
            " of the same effective depth.",
            every(
                *(beats(_net("recurrent_resnet", d, 13), _net("resnet", d, 13)) for d in (20, 44))
            ),
            scale=QUICK,
        ),
        Claim(
            "S21-F3-depth",
            SOURCE,
            "For MLPs, ConvNets and ResNets on images, repeated layers are as accurate as distinct"
            " ones at every effective depth.",
            every(
                *(
                    alike(
                        _as_trained("digits", "recurrent_resnet_bn", depth=d),
                        _as_trained("digits", "resnet_bn", depth=d),
                        0.03,
                    )
                    for d in (7, 11, 15)
                ),
                *(
                    alike(_as_trained("digits", f"recurrent_{n}"), _as_trained("digits", n), 0.03)
                    for n in ("mlp", "convnet")
                ),
            ),
            scale=(
                "the digits that come with scikit-learn, 8 x 8 pixels, in place of CIFAR-10, SVHN"
                " and EMNIST"
            ),
            figure="parameters",
        ),
        Claim(
            "S21-F13-images",
            SOURCE,
            "Image classifiers gain nothing from more iterations than they were trained with.",
            no_worse(
                _as_trained("digits", "recurrent_resnet_bn", depth=15),
                RunSelector(
                    "digits",
                    "recurrent_resnet_bn",
                    rule="fixed",
                    settings=overrides(paradigm={"depth": 15}),
                ),
                0.005,
            ),
            scale="digits in place of CIFAR-10, SVHN and EMNIST",
            figure="iterations",
        ),
    ),
)


def _trained(on: int, size: int) -> RunSelector:
    settings = overrides(paradigm={"depth": 44}, task={"difficulty": on})
    return RunSelector(TASK, "recurrent_resnet", size, settings=settings)


SIZES = Study(
    summary="mazes: trained on 9, 11 and 13, tested on each",
    arms=(
        Arm(
            (TASK,),
            ("recurrent_resnet",),
            {"quick": Scale(SEEDS, (50_000,)), "paper": Scale(None, (50_000,))},
            overrides(
                task={"difficulty": Sweep(9, 11, 13)},
                paradigm={"depth": 44, "width": 32},
                evaluation={"difficulties": (9, 11, 13), "samples": 500},
            ),
        ),
    ),
    claims=(
        Claim(
            "S21-T5-sizes",
            SOURCE,
            "At depth 43, networks solve over 94 % of mazes of the size they were trained on, and"
            " fewer of larger ones the smaller that was (22.5, 81.7 and 94.5 % of size 13 from 9,"
            " 11 and 13).",
            every(
                *(reaches(_trained(size, size), 0.95, 0.05) for size in (9, 11, 13)),
                beats(_trained(13, 13), _trained(9, 13)),
                beats(_trained(11, 13), _trained(9, 13)),
            ),
            scale=f"{QUICK}; depth 44",
        ),
    ),
)


#: Smoothed labels, which the quick recipe for mazes has, teach a network not to be sure: where an
#: answer is chosen by how sure it is, they would be part of what is measured. The published
#: networks were trained without.
_STOPPED = overrides(train={"alpha": 0.0, "label_smoothing": 0.0})
_EXIT_SCALE = "width 32, 16 iterations, 1,500 steps, labels not smoothed"


def _exit(rule: str, size: int = 13, **more: Any) -> RunSelector:
    return RunSelector(TASK, "dt_net", size, rule=rule, settings=_STOPPED, **more)


EXITS = Study(
    summary="mazes: when to stop, and filters used again and again",
    arms=(
        Arm(
            (TASK,),
            ("dt_net",),
            {
                "quick": Scale(
                    SEEDS, (50_000,), overrides(evaluation={"samples": 1000, "iterations": 100})
                ),
                "paper": Scale(None, (50_000,), overrides(paradigm={"iterations": 20})),
            },
            _STOPPED | _SIZES | overrides(evaluation={"inside": 64}),
        ),
    ),
    claims=(
        Claim(
            "S21-F9-exit",
            SOURCE,
            "On mazes of size 13 after training on 9, maximum confidence is at least as good as"
            " agreement, that as two iterations more, and that as the iterations of training.",
            every(
                no_worse(_exit("maximum_confidence"), _exit("agreement")),
                no_worse(_exit("agreement"), _exit("n_plus_2")),
                no_worse(_exit("n_plus_2"), _exit("fixed", iterations="trained")),
            ),
            scale=_EXIT_SCALE,
            figure="iterations",
        ),
        Claim(
            "S21-F11-exit",
            SOURCE,
            "There, maximum confidence solves 82.6 % and agreement 70.9 % of the mazes.",
            every(
                beats(_exit("maximum_confidence"), _exit("agreement")),
                reaches(_exit("maximum_confidence"), 0.8257, 0.05),
            ),
            scale=_EXIT_SCALE,
            figure="iterations",
        ),
        Claim(
            "S21-F12-budget",
            SOURCE,
            "Far beyond the iterations of training the last answer gets worse, while agreement and"
            " maximum confidence hold.",
            every(
                beats(_exit("agreement"), _exit("fixed")),
                beats(_exit("maximum_confidence"), _exit("fixed")),
            ),
            scale="up to 100 iterations after training with 16, labels not smoothed",
            figure="iterations",
        ),
        Claim(
            "S21-F4-reuse",
            SOURCE,
            "Most filters keep at least a fifth of their peak activity on the iteration where they"
            " are least active.",
            reaches(_exit("inside:reused", 9), 0.5),
            scale="most is taken as half of the filters that are ever active",
            figure="inside",
        ),
    ),
)


_TABLE1 = {
    "cifar10": ("S21-T1-cifar10", "CIFAR-10", 93.99, 94.69),
    "svhn": ("S21-T1-svhn", "SVHN", 96.04, 95.48),
    "emnist": ("S21-T1-emnist", "EMNIST", 87.42, 87.71),
}
_SMALL = overrides(
    train={"steps": 1500},
    recurrent_resnet_bn={"depth": 15, "width": 32},
    resnet18={"width": 16},
)

IMAGES = Study(
    summary="CIFAR-10, SVHN and EMNIST: recurrent ResNets (needs their data)",
    arms=tuple(
        Arm(
            (task,),
            ("recurrent_resnet_bn", "resnet18"),
            {"quick": Scale(SEEDS, settings=_SMALL), "paper": Scale()},
        )
        for task in _TABLE1
    ),
    claims=tuple(
        Claim(
            claim,
            SOURCE,
            f"On {words} a recurrent ResNet with a third of the parameters reaches {ours} %, a"
            f" ResNet18 {theirs} %: within a point of each other.",
            no_worse(_as_trained(task, "recurrent_resnet_bn"), _as_trained(task, "resnet18"), 0.02),
            scale="1,500 steps; recurrent width 32, ResNet18 of width 16; two points are allowed",
            figure="parameters",
        )
        for task, (claim, words, ours, theirs) in _TABLE1.items()
    ),
)
