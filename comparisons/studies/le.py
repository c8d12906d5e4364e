"""Lüddecke and Ecker, "CNNs efficiently learn long-range dependencies"."""

from __future__ import annotations

from comparisons.planning.overrides import Overrides, Sweep, overrides
from comparisons.studies import Arm, Claim, Scale, Study
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check, absent, every
from comparisons.studies.ratios import fewer_steps, takes_longer
from comparisons.studies.verdicts import (
    alike,
    beats,
    converges_more,
    no_worse,
    reaches,
)

SEEDS = (0, 1, 2)
SOURCE = "Lüddecke and Ecker"
TASK = "pathfinder"
QUICK = "images of 64 x 64, path length 6, 50,000 samples, 2,000 steps of 50"
STANDARD = (
    "images of 64 x 64, path length 6, the distance of the discs tells nothing, 50,000 samples"
)

_PLAIN = overrides(paradigm={"residual": False})
_BATCHES = {"narrow_resnet18": 24, "resnet18": 12}  # that did not always converge


def _net(
    paradigm: str, length: int, samples: int, settings: Overrides | None = None
) -> RunSelector:
    """A network as published: with residual additions, and in batches of 196 of the longest
    paths, unless settings say otherwise."""
    usual = overrides(paradigm={"residual": None}) if "narrow_" in paradigm else {}
    usual |= overrides(train={"batch_size": 196}) if length == 14 else {}
    return RunSelector(TASK, paradigm, length, samples=samples, settings=usual | (settings or {}))


_TEST = overrides(evaluation={"difficulties": (6,), "samples": 2000, "iterations": 12})
#: A classifier that sees only how far apart the discs are is right on 89.9 % of quick images.
_FAIR = overrides(
    task={"matched": True},
    train={"batch_size": 50},
    evaluation={"difficulties": (6,), "samples": 2000},
)
_LONG = overrides(task={"difficulty": 14}, evaluation={"difficulties": (14,)})
_LARGE = {**_LONG, **overrides(train={"batch_size": 196})}
_SIZES = ("super_narrow_resnet18", "narrow_resnet18", "resnet18", "larger_narrow_resnet18")

#: The published networks on images of the published size, so few steps that they only tell how
#: long a step takes.
_TIMED = overrides(
    task={"size": 150, "canvas": 300, "border": 22},
    train={"steps": 12, "patience": 0, "validate_every": 12, "validation_samples": 8,
           "batch_size": 8},
    evaluation={"difficulties": (6,), "samples": 8, "exit_rules": (), "pictures": 0},
    hgru={"iterations": 8, "kernel": 15, "pool": 1},
)  # fmt: skip


def _timed(paradigm: str) -> RunSelector:
    options = {"pool": 1} if paradigm == "hgru" else {"residual": None}
    settings = overrides(task={"size": 150}, train={"steps": 12}, paradigm=options)
    return RunSelector(TASK, paradigm, 6, settings=settings)


def _larger_is_better(length: int, samples: int) -> Check:
    """The full network beats the super-narrow one; between neighbours, a point apart as published,
    the larger is no worse."""
    small, narrow, full = (_net(name, length, samples) for name in _SIZES[:3])
    return every(beats(full, small), no_worse(narrow, small, 0.005), no_worse(full, narrow, 0.005))


def _sample_efficiency(length: int, samples: int, margin: float) -> Check:
    """Of Table 3, the accuracies less a margin, and that residual additions do not matter."""
    published = {"narrow_resnet18": 0.963, "super_narrow_resnet18": 0.946}
    published["larger_narrow_resnet18"] = 0.966
    narrow = _net("narrow_resnet18", length, samples)
    return every(
        *(reaches(_net(name, length, samples), at, margin) for name, at in published.items()),
        alike(narrow, _net("narrow_resnet18", length, samples, _PLAIN), 0.03),
    )


def _smaller_needs_more(length: int, samples: int, target: float, *names: str) -> Check:
    """Each network reaches an accuracy in fewer steps than the next smaller one."""
    nets = [_net(name, length, samples) for name in names]
    pairs = zip(nets[1:], nets[:-1], strict=True)
    return every(*(fewer_steps(large, small, target) for large, small in pairs))


def _steadier() -> Check:
    return every(
        *(
            converges_more(_batched(name, 196), _batched(name, batch), 0.9)
            for name, batch in _BATCHES.items()
        )
    )


def _batched(paradigm: str, batch: int) -> RunSelector:
    return _net(paradigm, 14, 360_000, overrides(train={"batch_size": batch}))


PATHFINDER = Study(
    summary="pathfinder: narrow ResNets and hGRU, size and samples",
    arms=(
        Arm(
            (TASK,),
            ("super_narrow_resnet18", "narrow_resnet18", "larger_narrow_resnet18", "hgru"),
            {
                "quick": Scale(SEEDS, (50_000,), _TEST),
                "standard": Scale(settings=_FAIR, paradigms=_SIZES),
                "paper": Scale(
                    train_samples=(54_000, 360_000),
                    settings=_LARGE,
                    paradigms=(*_SIZES, "hgru", "td_hcnn"),
                ),
            },
        ),
        Arm(
            (TASK,),
            ("narrow_resnet18",),
            {
                "quick": Scale(SEEDS, (50_000,), _TEST),
                "standard": Scale(settings=_FAIR),
                "paper": Scale(train_samples=(54_000,), settings=_LARGE),
            },
            _PLAIN,
        ),
        Arm((TASK,), ("hgru", "narrow_resnet18"), {"standard": Scale(SEEDS, (1000,))}, _TIMED),
        *(
            Arm(
                (TASK,),
                (name,),
                {
                    "paper": Scale(
                        (*range(10),),
                        (360_000,),
                        _LONG | overrides(train={"batch_size": Sweep(batch, 196)}),
                    )
                },
            )
            for name, batch in _BATCHES.items()
        ),
    ),
    claims=(
        Claim(
            "LE-T1-speed",
            SOURCE,
            "hGRU takes many times as long to train as a narrow ResNet18 (475 against 3 minutes).",
            takes_longer(_net("hgru", 6, 50_000), _net("narrow_resnet18", 6, 50_000), 2.0),
            scale=(
                "quick hGRU: maps of 16 x 16, kernel 5, six steps, 1/144 of the work; at least"
                " twice as long is asked for"
            ),
            figure="compute",
            at={
                "standard": takes_longer(_timed("hgru"), _timed("narrow_resnet18"), 79),
                "paper": takes_longer(
                    _net("hgru", 14, 360_000), _net("narrow_resnet18", 14, 360_000), 79
                ),
            },
            scales={
                "standard": (
                    "networks and images of the published size, 12 steps of 8 images; half of the"
                    " published ratio is asked for; of answers alone see docs/speed.md"
                )
            },
        ),
        Claim(
            "LE-T2-size",
            SOURCE,
            "Larger ResNet18s solve more of pathfinder: 97.3, 98.1 and 98.7 % for the super-narrow,"
            " narrow and full ones.",
            every(
                beats(
                    _net("narrow_resnet18", 6, 50_000),
                    _net("super_narrow_resnet18", 6, 50_000),
                ),
                absent("the full ResNet18 is not in a quick study"),
            ),
            scale=f"{QUICK}; without the full network",
            figure="parameters",
            at={
                "standard": _larger_is_better(6, 50_000),
                "paper": _larger_is_better(14, 360_000),
            },
            scales={"standard": STANDARD},
        ),
        Claim(
            "LE-T3-samples",
            SOURCE,
            "With 54,000 samples a narrow ResNet18 reaches 96.3 %, as much without residual"
            " additions (95.8 %), the super-narrow 94.6 % and the larger 96.6 %.",
            _sample_efficiency(6, 50_000, 0.04),
            scale=f"{QUICK}; four points are allowed; no cABC",
            figure="samples",
            at={
                "standard": _sample_efficiency(6, 50_000, 0.04),
                "paper": _sample_efficiency(14, 54_000, 0.02),
            },
            scales={"standard": f"{STANDARD}; four points are allowed; no cABC"},
        ),
        Claim(
            "LE-F5-iterations",
            SOURCE,
            "The smaller the network, the more training it needs.",
            _smaller_needs_more(
                6, 50_000, 0.85, "super_narrow_resnet18", "narrow_resnet18",
                "larger_narrow_resnet18",
            ),
            scale=f"{QUICK}; steps to 85 % of validation problems",
            figure="parameters",
            at={
                "standard": _smaller_needs_more(6, 50_000, 0.85, *_SIZES[:3]),
                "paper": _smaller_needs_more(14, 360_000, 0.95, *_SIZES[:3]),
            },
            scales={"standard": f"{STANDARD}; steps to 85 % of validation problems"},
        ),
        Claim(
            "LE-F3-stability",
            SOURCE,
            "On paths of 14, batches of 12 may not converge; larger ones are steadier.",
            absent(
                "no quick or standard network learns paths of 14; the paper preset trains them in"
                " batches of 12, 24 and 196, ten seeds each"
            ),
            at={"paper": _steadier()},
        ),
    ),
)  # fmt: skip

_FEW = 20_000
_EASIEST = 2000  # steps on the shortest paths before those of the difficulty


def _technique(
    samples: int,
    length: int = 6,
    rate: float = 0.001,
    flips: bool | None = None,
    easiest: int = 0,
) -> RunSelector:
    settings = overrides(
        train={"learning_rate": rate, "easiest_steps": easiest}, task={"flips": flips}
    )
    return RunSelector(TASK, "narrow_resnet18", length, samples=samples, settings=settings)


def _techniques(length: int, few: int, many: int) -> Check:
    """Each helps at `few` samples but flips, which help above 25,000 alone."""
    base = _technique(few, length)
    return every(
        beats(_technique(few, length, rate=0.005), base),
        beats(_technique(few, length, easiest=_EASIEST), base),
        no_worse(base, _technique(few, length, flips=True), 0.02),
        beats(_technique(many, length, flips=True), _technique(many, length)),
    )


def _technique_arms() -> tuple[Arm, ...]:
    quick = Scale(SEEDS, (_FEW,), overrides(evaluation={"difficulties": (6,), "samples": 2000}))
    nine = overrides(
        task={"difficulty": 9, "matched": True},
        train={"batch_size": 50},
        evaluation={"difficulties": (9,), "samples": 2000},
    )
    more = {
        "standard": Scale(train_samples=(10_000, 50_000), settings=nine),
        "paper": Scale(train_samples=(10_000, 100_000), settings=_LARGE),
    }
    return (
        *(
            Arm((TASK,), ("narrow_resnet18",), {"quick": quick, **more}, settings)
            for settings in (
                overrides(train={"learning_rate": Sweep(0.001, 0.005)}),
                overrides(train={"learning_rate": 0.001}, task={"flips": True}),
            )
        ),
        Arm(
            (TASK,),
            ("narrow_resnet18",),
            more,
            overrides(train={"learning_rate": 0.001, "easiest_steps": _EASIEST}),
        ),
    )


TECHNIQUES = Study(
    summary="pathfinder: rates, flips and weights from easier problems",
    arms=_technique_arms(),
    claims=(
        Claim(
            "LE-F6-samples",
            SOURCE,
            "A larger learning rate, flips, and weights from the easiest difficulty each raise the"
            " narrow network's sample efficiency; flips only above 25,000 samples.",
            every(
                beats(_technique(_FEW, rate=0.005), _technique(_FEW)),
                no_worse(_technique(_FEW), _technique(_FEW, flips=True), 0.02),
                absent("length 6 is the easiest already, and flips have few samples alone"),
            ),
            scale="20,000 samples of length 6: the larger rate, and that flips do not yet help",
            figure="samples",
            at={
                "standard": _techniques(9, 10_000, 50_000),
                "paper": _techniques(14, 10_000, 100_000),
            },
            scales={"standard": "images of 64 x 64, length 9, 10,000 and 50,000 samples"},
        ),
    ),
)
