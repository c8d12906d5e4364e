"""Schwarzschild, Gupta, Goldblum and Goldstein 2021, "Thinking Deeply with Recurrence"."""

from __future__ import annotations

from comparisons.planning.overrides import Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check, every, provided
from comparisons.studies.verdicts import alike, beats, no_worse, reaches

SEEDS = (0, 1, 2)
#: Equivalence of two networks within a few points takes about as many.
MORE_SEEDS = (*range(8),)
SOURCE = "Schwarzschild et al. 2021"
TASK = "maze"
DEPTHS = (20, 44)
QUICK = "width 32, 1,500 steps"
STANDARD = "width 32, trained until validation loss has not fallen for 2,500 steps"


def as_trained(
    task: str, paradigm: str, difficulty: int | None = None, **options: object
) -> RunSelector:
    """At the depth it was trained with: what is said of an effective depth is not about iterating
    further."""
    settings = overrides(paradigm=options)
    return RunSelector(
        task, paradigm, difficulty, rule="fixed", iterations="trained", settings=settings
    )


def _net(paradigm: str, depth: int, size: int, dilation: int | None = None) -> RunSelector:
    return as_trained(TASK, paradigm, size, depth=depth, dilation=dilation)


def _twins(depth: int, size: int, dilation: int | None = None) -> tuple[RunSelector, RunSelector]:
    """The recurrent network and its feed-forward twin. At depth 8 they are one network, whose
    module is applied once: a comparison would say nothing."""
    recurrent = _net("recurrent_resnet", depth, size, dilation)
    return recurrent, _net("resnet", depth, size, dilation)


_BOTH = ("recurrent_resnet", "resnet")
_WIDTH = overrides(paradigm={"width": 32})
_SAMPLES = overrides(evaluation={"samples": 500})
_SIZES = overrides(evaluation={"difficulties": (9, 13)})
_THREE_SIZES = overrides(evaluation={"difficulties": (9, 11, 13)})
_ONE_SIZE = overrides(evaluation={"difficulties": (9,)})
#: One step of the optimiser sees as many mazes in every arm, at the rate of the published code.
_EQUAL = overrides(train={"batch_size": 50})
_PUBLISHED = Scale(train_samples=(50_000,))

_DILATED = (8, 12, 16, 20)
_DILATED_ALL = overrides(paradigm={"depth": Sweep(*_DILATED)})
_IMAGE_DEPTHS = {
    "resnet_bn": (11, 15, 19),
    "mlp": (5, 8, 10),
    "convnet": (6, 8),
}  # in the fewest layers twins are one network


def _dilated(depths: tuple[int, ...]) -> Check:
    """Twins alike at every depth at which they differ, and deeper is no worse, from the first to
    the second better."""
    deeper = [_net("recurrent_resnet", depth, 9, 2) for depth in depths]
    return every(
        *(alike(*_twins(depth, 9, 2), 0.05) for depth in depths[1:]),
        beats(deeper[1], deeper[0]),
        *(no_worse(deeper[i + 1], deeper[i], 0.02) for i in range(1, len(deeper) - 1)),
    )


def _images_alike(task: str, depths: dict[str, tuple[int, ...]]) -> Check:
    return every(
        *(
            alike(
                as_trained(task, f"recurrent_{name}", depth=depth),
                as_trained(task, name, depth=depth),
                0.03,
            )
            for name, each in depths.items()
            for depth in each
        )
    )


def _image_arms() -> tuple[Arm, ...]:
    """Digits in quick and standard studies, CIFAR-10 at the published size."""
    resnets, others = ("recurrent_resnet_bn", "resnet_bn"), ("mlp", "convnet")
    quick = tuple(f"{kind}{name}" for name in others for kind in ("recurrent_", ""))
    deeper = {
        names: overrides(paradigm={"depth": Sweep(*_IMAGE_DEPTHS[names[1]])})
        for names in (resnets, *((f"recurrent_{name}", name) for name in others))
    }
    return (
        Arm(
            ("digits",),
            resnets,
            {"quick": Scale(SEEDS, settings=_WIDTH)},
            overrides(paradigm={"depth": Sweep(7, 11, 15)}),
        ),
        Arm(("digits",), quick, {"quick": Scale(SEEDS)}, overrides(paradigm={"depth": 6})),
        *(
            Arm(
                (task,),
                names,
                {preset: Scale(settings=_WIDTH if small and names == resnets else {})},
                depths,
            )
            for names, depths in deeper.items()
            for preset, task, small in (("standard", "digits", True), ("paper", "cifar10", False))
        ),
    )


def _standard_mazes() -> tuple[Arm, ...]:
    """Of the standard study. Its deepest recurrent network is that of Table 5 (`SIZES`), trained
    and tested once for both."""
    scale = Scale(MORE_SEEDS, settings=_WIDTH | _EQUAL)
    shallow = overrides(paradigm={"depth": Sweep(8, 20)}) | _SIZES
    deep = overrides(paradigm={"depth": 44})
    return (
        Arm((TASK,), _BOTH, {"standard": scale}, shallow),
        Arm((TASK,), ("resnet",), {"standard": scale}, deep | _SIZES),
        Arm((TASK,), ("recurrent_resnet",), {"standard": scale}, deep | _THREE_SIZES),
    )


DEPTH = Study(
    summary="mazes and digits: depth by repeated or by distinct layers",
    arms=(
        Arm(
            (TASK,),
            _BOTH,
            {
                "quick": Scale(SEEDS, (50_000,), _WIDTH | _SAMPLES),
                "paper": _PUBLISHED,
            },
            overrides(paradigm={"depth": Sweep(8, 20, 44)}) | _SIZES,
        ),
        *_standard_mazes(),
        Arm(
            (TASK,),
            _BOTH,
            {
                "quick": Scale(SEEDS, (50_000,), _WIDTH | _ONE_SIZE | _SAMPLES),
                "standard": Scale(MORE_SEEDS, settings=_WIDTH | _ONE_SIZE | _EQUAL | _DILATED_ALL),
                "paper": Scale(train_samples=(50_000,), settings=_ONE_SIZE | _DILATED_ALL),
            },
            overrides(paradigm={"depth": Sweep(8, 12, 20), "dilation": 2}),
        ),
        *_image_arms(),
    ),
    claims=(
        Claim(
            "S21-T2-dilated",
            SOURCE,
            "Dilated networks solve more mazes of size 9 the deeper they are (75 to 95 % from depth"
            " 7 to 19), and as many with repeated as with distinct layers.",
            _dilated((8, 12, 20)),
            scale=f"{QUICK}; dilation 2, depths 8, 12 and 20",
            figure="parameters",
            at=dict.fromkeys(("standard", "paper"), _dilated(_DILATED)),
            scales={"standard": f"{STANDARD}; dilation 2, depths 8, 12, 16 and 20"},
        ),
        Claim(
            "S21-F7-depth-maze",
            SOURCE,
            "Accuracy on mazes rises with effective depth from 8 to 44, alike for recurrent and"
            " feed-forward networks, and falls with the size of the maze.",
            every(
                beats(_net("recurrent_resnet", 20, 9), _net("recurrent_resnet", 8, 9)),
                no_worse(_net("recurrent_resnet", 44, 9), _net("recurrent_resnet", 20, 9), 0.02),
                *(alike(*_twins(depth, 9), 0.05) for depth in DEPTHS),
                beats(_net("resnet", 44, 9), _net("resnet", 44, 13)),
            ),
            scale=QUICK,
            figure="parameters",
            scales={"standard": STANDARD},
        ),
        Claim(
            "S21-F8-generalise",
            SOURCE,
            "Trained on mazes of size 9 and tested on 13, recurrent networks beat feed-forward ones"
            " of the same effective depth.",
            every(
                *(
                    provided(
                        alike(*_twins(depth, 9), 0.05),
                        beats(*_twins(depth, 13)),
                        "the two are not shown to be alike at the trained size, so that size 13"
                        " compares how well they were trained",
                    )
                    for depth in DEPTHS
                )
            ),
            scale=QUICK,
            scales={"standard": STANDARD},
        ),
        Claim(
            "S21-F3-depth",
            SOURCE,
            "For MLPs, ConvNets and ResNets on images, repeated layers are as accurate as distinct"
            " ones at every effective depth.",
            _images_alike("digits", {"resnet_bn": (11, 15), "mlp": (6,), "convnet": (6,)}),
            scale=(
                "the digits that come with scikit-learn, 8 x 8 pixels, in place of CIFAR-10, SVHN"
                " and EMNIST"
            ),
            figure="parameters",
            at={
                "standard": _images_alike("digits", _IMAGE_DEPTHS),
                "paper": _images_alike("cifar10", _IMAGE_DEPTHS),
            },
            scales={"standard": "digits in place of CIFAR-10, SVHN and EMNIST"},
        ),
    ),
)


def _trained(on: int, size: int) -> RunSelector:
    settings = overrides(paradigm={"depth": 44}, task={"difficulty": on})
    return RunSelector(
        TASK, "recurrent_resnet", size, rule="fixed", iterations="trained", settings=settings
    )


_OWN_SIZE = {9: 0.9739, 11: 0.9615, 13: 0.9454}  # Table 5, its diagonal

SIZES = Study(
    summary="mazes: trained on 9, 11 and 13, tested on each",
    arms=(
        Arm(
            (TASK,),
            ("recurrent_resnet",),
            {
                "quick": Scale(SEEDS, (50_000,), _WIDTH | _SAMPLES),
                "standard": Scale(settings=_WIDTH | _EQUAL),
                "paper": _PUBLISHED,
            },
            overrides(task={"difficulty": Sweep(9, 11, 13)}, paradigm={"depth": 44}) | _THREE_SIZES,
        ),
    ),
    claims=(
        Claim(
            "S21-T5-sizes",
            SOURCE,
            "At depth 43, networks solve over 94 % of mazes of the size they were trained on, and"
            " fewer of larger ones the smaller that was (22.5, 81.7 and 94.5 % of size 13 from 9,"
            " 11 and 13); of small ones no fewer.",
            every(
                *(reaches(_trained(size, size), at, 0.05) for size, at in _OWN_SIZE.items()),
                beats(_trained(13, 13), _trained(11, 13)),
                beats(_trained(11, 13), _trained(9, 13)),
                no_worse(_trained(11, 9), _trained(9, 9), 0.02),
            ),
            scale=f"{QUICK}; depth 44",
            scales={"standard": f"{STANDARD}; depth 44"},
        ),
    ),
)


#: Smoothed labels, which the quick recipe for mazes has, teach a network not to be sure: where an
#: answer is chosen by how sure it is, they would be part of what is measured. The published
#: networks were trained without.
_STOPPED = overrides(train={"alpha": 0.0, "label_smoothing": 0.0})
_EXIT_SCALE = "width 32, 16 iterations, 1,500 steps, labels not smoothed"
_EXIT_SCALES = {"standard": "width 32, 20 iterations, labels not smoothed"}
#: Iterations that rules may take. Published: two more than in training (Figure 9), 30 after 20
#: (Figure 11), and far more (Figure 12; a row of this budget tells, whatever more was run).
_TWO_MORE, _HALF_AGAIN, _FAR = "trained+2", "trained*1.5", "trained*2.5"


def _exit(rule: str, iterations: str, size: int = 13) -> RunSelector:
    return RunSelector(TASK, "dt_net", size, rule=rule, iterations=iterations, settings=_STOPPED)


def _reused(task: str) -> Check:
    settings = overrides(paradigm={"depth": 8})
    network = RunSelector(
        task, "recurrent_convnet", rule="inside:reused_by_count", settings=settings
    )
    return reaches(network, 0.5)


#: The published probe is of a ConvNet that repeats its layer five times.
_REUSE = overrides(paradigm={"depth": 8}, evaluation={"inside": 64})

EXITS = Study(
    summary="mazes: when to stop; images: filters used again and again",
    arms=(
        Arm(
            (TASK,),
            ("dt_net",),
            {
                "quick": Scale(
                    SEEDS, (50_000,), overrides(evaluation={"samples": 1000, "iterations": 100})
                ),
                "standard": Scale(settings=_EQUAL | overrides(paradigm={"iterations": 20})),
                "paper": Scale(None, (50_000,), overrides(paradigm={"iterations": 20})),
            },
            _STOPPED | _SIZES | overrides(evaluation={"inside": 64}),
        ),
        Arm(("digits",), ("recurrent_convnet",), {"quick": Scale(SEEDS)}, _REUSE),
        Arm(("cifar10",), ("recurrent_convnet",), {"standard": Scale(), "paper": Scale()}, _REUSE),
    ),
    claims=(
        Claim(
            "S21-F9-exit",
            SOURCE,
            "On mazes of size 13 after training on 9, maximum confidence is at least as good as"
            " agreement, that as two iterations more, and that as the iterations of training.",
            every(
                no_worse(_exit("maximum_confidence", _TWO_MORE), _exit("agreement", _TWO_MORE)),
                no_worse(_exit("agreement", _TWO_MORE), _exit("fixed", _TWO_MORE)),
                no_worse(_exit("fixed", _TWO_MORE), _exit("fixed", "trained")),
            ),
            scale=f"{_EXIT_SCALE}; every rule within two iterations more",
            figure="iterations",
            scales=_EXIT_SCALES,
        ),
        Claim(
            "S21-F11-exit",
            SOURCE,
            "There, maximum confidence solves 82.6 % and agreement 70.9 % of the mazes.",
            every(
                beats(_exit("maximum_confidence", _HALF_AGAIN), _exit("agreement", _HALF_AGAIN)),
                reaches(_exit("maximum_confidence", _HALF_AGAIN), 0.8257, 0.05),
            ),
            scale=f"{_EXIT_SCALE}; within half as many iterations more, as published",
            figure="iterations",
            scales=_EXIT_SCALES,
        ),
        Claim(
            "S21-F12-budget",
            SOURCE,
            "Far beyond the iterations of training the last answer gets worse, while agreement and"
            " maximum confidence hold.",
            every(
                beats(_exit("fixed", "trained"), _exit("fixed", _FAR), by=0.1),
                beats(_exit("agreement", _FAR), _exit("fixed", _FAR)),
                beats(_exit("maximum_confidence", _FAR), _exit("fixed", _FAR)),
            ),
            scale=f"{_EXIT_SCALE}; 2.5 times as many iterations",
            figure="iterations",
            scales=_EXIT_SCALES,
        ),
        Claim(
            "S21-F4-reuse",
            SOURCE,
            "Most filters keep at least a fifth of their peak activity on the iteration where they"
            " are least active.",
            _reused("digits"),
            scale="digits in place of CIFAR-10; most is taken as half of the filters ever active",
            figure="inside",
            at=dict.fromkeys(("standard", "paper"), _reused("cifar10")),
            scales={"standard": "width 32; most is taken as half of the filters ever active"},
        ),
    ),
)
