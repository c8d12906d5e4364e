"""Schwarzschild, Gupta, Goldblum and Goldstein 2021, "Thinking Deeply with Recurrence"."""

from __future__ import annotations

from comparisons.planning.plan import Request
from comparisons.studies import Claim, Study
from comparisons.studies.verdicts import Where, alike, beats, every, no_worse, reaches

SEEDS = (0, 1, 2)
SOURCE = "Schwarzschild et al. 2021"
TASK = "maze"
DEPTHS = (8, 20, 44)
QUICK = "width 32, 1,500 steps"


def _as_trained(task: str, paradigm: str, difficulty: int | None = None, **options) -> Where:
    """At the depth it was trained with: what is said of an effective depth is not about iterating
    further."""
    chosen = {f"paradigm.{name}": value for name, value in options.items()}
    return Where(task, paradigm, difficulty, rule="fixed", iterations="trained", options=chosen)


def _net(paradigm: str, depth: int, size: int, dilation: int | None = None) -> Where:
    return _as_trained(TASK, paradigm, size, depth=depth, dilation=dilation)


_BOTH = ("recurrent_resnet", "resnet")
_SIZES = "evaluation.difficulties=9,13"
_SAMPLES = "evaluation.samples=500"

_UNDILATED = Request(
    (TASK,),
    _BOTH,
    seeds=SEEDS,
    train_samples=(50_000,),
    settings=("paradigm.depth=8,20,44", "paradigm.width=32", _SIZES, _SAMPLES),
)
_DILATED = Request(
    (TASK,),
    _BOTH,
    seeds=SEEDS,
    train_samples=(50_000,),
    settings=(
        "paradigm.depth=8,12,20",
        "paradigm.width=32",
        "paradigm.dilation=2",
        "evaluation.difficulties=9",
        _SAMPLES,
    ),
)
_DIGITS = Request(
    ("digits",),
    ("recurrent_resnet_bn", "resnet_bn"),
    seeds=SEEDS,
    settings=("paradigm.depth=7,11,15", "paradigm.width=32"),
)
_DIGITS_MORE = Request(
    ("digits",),
    ("recurrent_mlp", "mlp", "recurrent_convnet", "convnet"),
    seeds=SEEDS,
    settings=("paradigm.depth=6",),
)


def _paper(*requests: Request) -> tuple[Request, ...]:
    return tuple(
        Request(r.tasks, r.paradigms, preset="paper", train_samples=(50_000,), settings=r.settings)
        for r in requests
    )


DEPTH = Study(
    plans={
        "quick": (_UNDILATED, _DILATED, _DIGITS, _DIGITS_MORE),
        "paper": (
            Request((TASK,), _BOTH, preset="paper", settings=("paradigm.depth=8,20,44", _SIZES)),
            Request(
                (TASK,),
                _BOTH,
                preset="paper",
                settings=("paradigm.depth=8,12,20", "paradigm.dilation=2"),
            ),
            Request(
                ("digits",),
                ("recurrent_resnet_bn", "resnet_bn"),
                preset="paper",
                settings=("paradigm.depth=7,11,15",),
            ),
            Request(
                ("digits",),
                ("recurrent_mlp", "mlp", "recurrent_convnet", "convnet"),
                preset="paper",
                settings=("paradigm.depth=6",),
            ),
        ),
    },
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
                Where(
                    "digits", "recurrent_resnet_bn", rule="fixed", options={"paradigm.depth": 15}
                ),
                0.005,
            ),
            scale="digits in place of CIFAR-10, SVHN and EMNIST",
            figure="iterations",
        ),
    ),
)

_TRAINED = Request(
    (TASK,),
    ("recurrent_resnet",),
    seeds=SEEDS,
    train_samples=(50_000,),
    settings=(
        "task.difficulty=9,11,13",
        "paradigm.depth=44",
        "paradigm.width=32",
        "evaluation.difficulties=9,11,13",
        _SAMPLES,
    ),
)


def _trained(on: int, size: int) -> Where:
    return Where(
        TASK, "recurrent_resnet", size, options={"paradigm.depth": 44, "train_difficulty": on}
    )


SIZES = Study(
    plans={"quick": (_TRAINED,), "paper": _paper(_TRAINED)},
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
_PLAIN_LABELS = "train.label_smoothing=0"
_STOPPED = {"train.alpha": 0.0, "train.label_smoothing": 0.0}
_EXIT_SCALE = "width 32, 16 iterations, 1,500 steps, labels not smoothed"


def _exit(rule: str, size: int = 13, **more) -> Where:
    return Where(TASK, "dt_net", size, rule=rule, options=_STOPPED, **more)


EXITS = Study(
    plans={
        "quick": (
            Request(
                (TASK,),
                ("dt_net",),
                seeds=SEEDS,
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0",
                    _PLAIN_LABELS,
                    _SIZES,
                    "evaluation.samples=1000",
                    "evaluation.iterations=100",
                    "evaluation.inside=64",
                ),
            ),
        ),
        "paper": (
            Request(
                (TASK,),
                ("dt_net",),
                preset="paper",
                train_samples=(50_000,),
                settings=(
                    "train.alpha=0",
                    _PLAIN_LABELS,
                    "paradigm.iterations=20",
                    _SIZES,
                    "evaluation.inside=64",
                ),
            ),
        ),
    },
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
            reaches(Where(TASK, "dt_net", 9, rule="inside:reused", options=_STOPPED), 0.5),
            scale="most is taken as half of the filters that are ever active",
            figure="inside",
        ),
    ),
)


def _images(task: str, preset: str) -> tuple[Request, ...]:
    small = ("train.steps=1500",) if preset == "quick" else ()
    sizes = (
        ("recurrent_resnet_bn.depth=15", "recurrent_resnet_bn.width=32", "resnet18.width=16")
        if preset == "quick"
        else ()
    )
    return (
        Request(
            (task,),
            ("recurrent_resnet_bn", "resnet18"),
            preset=preset,
            seeds=SEEDS if preset == "quick" else None,
            settings=(*small, *sizes),
        ),
    )


_TABLE1 = {
    "cifar10": ("S21-T1-cifar10", "CIFAR-10", 93.99, 94.69),
    "svhn": ("S21-T1-svhn", "SVHN", 96.04, 95.48),
    "emnist": ("S21-T1-emnist", "EMNIST", 87.42, 87.71),
}

IMAGES = Study(
    plans={
        preset: tuple(r for task in _TABLE1 for r in _images(task, preset))
        for preset in ("quick", "paper")
    },
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
