"""Any network between the ends of hGRU: squared Gabor responses in, a maximum over sites out.

Networks that were published for images differ in what they see and in how they decide as much as in
what lies between. With the stem and the readout of hGRU (Linsley et al. 2018, arXiv 1805.08315) for
all of them they differ in the latter alone: on Pathfinder DT-nets and their feed-forward twins stay
at chance with a stem and a mean of their own, and learn with these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from foundations.errors import Unsuitable
from paradigms.base import Paradigm, Signature, State
from paradigms.hgru.net import GlobalReadout, SiteReadout, Stem
from paradigms.layers import channels_last

#: What each site says to the readout: that it is on a contour that answers yes, or no.
SITE_OUTPUTS = 2
FILTERS = 32
#: What is the inner network's own.
OF_INNER = ("train_iterations", "max_iterations", "over_positions", "progressive", "same_from")


@dataclass(frozen=True)
class Maps:
    """The task as a network behind the stem knows it: maps in, something for each site out."""

    name: str
    in_channels: int
    spatial_dims: int
    size: tuple[int, ...] | None
    outputs: int = SITE_OUTPUTS
    dense: bool = True


def maps_of(spec: Signature, filters: int, shrink: int) -> Maps:
    """What `filters` Gabor filters, pooled by `shrink`, make of a task's inputs."""
    size = spec.size and tuple(-(-side // shrink) for side in spec.size)
    return Maps(spec.name, filters, spec.spatial_dims, size)


def usual_shrink(spec: Signature) -> int:
    """Sites of a side to pool to one: as many as leave at most 16 of images of up to 64."""
    side = 0 if spec.dense else max(spec.size or (0,))
    return 4 if side > 32 else 2 if side > 16 else 1


class Gabor(Paradigm):
    """A network for dense answers behind a Gabor stem, and hGRU's readout of its answers: a norm
    and, where the task's answer is not dense, their maximum over sites.

    What the network recalls, if it does, are the stem's maps. filters: of the stem. shrink: sites
    of a side that are pooled to one.
    """

    def __init__(self, spec: Signature, inner: Paradigm, filters: int, shrink: int) -> None:
        super().__init__()
        dims = spec.spatial_dims
        self.stem = Stem(dims, spec.in_channels, filters, shrink)
        self.inner = inner
        self.head = (SiteReadout if spec.dense else GlobalReadout)(dims, SITE_OUTPUTS, spec.outputs)
        for name in OF_INNER:
            setattr(self, name, getattr(inner, name))
        self.recurrent_parts = tuple(f"inner.{name}" for name in inner.recurrent_parts)

    def encode(self, x: Tensor) -> State:
        return self.inner.encode(self._seen(x))

    def context(self, x: Tensor) -> Any:
        return self.inner.context(self._seen(x))

    def begin(self, x: Tensor) -> tuple[State, Any]:
        return self.inner.begin(self._seen(x))

    def advance(self, state: State, context: Any) -> State:
        return self.inner.advance(state, context)

    def readout(self, state: State) -> Tensor:
        return self.head(self.inner.readout(state))

    def _seen(self, x: Tensor) -> Tensor:
        return self.stem(channels_last(x))


def gabor(
    spec: Signature,
    base: str = "dt_net_recall",
    *,
    filters: int = FILTERS,
    shrink: int | None = None,
    **options: Any,
) -> Paradigm:
    """A network between the Gabor stem and the readout of hGRU (its option `base`, or NAME).

    filters: of the stem. shrink: sites of a side that are pooled to one after it, by default as
    many as leave 16 of a side, 1 for a dense answer. options: of the base. ValueError for another
    number of either, `Unsuitable` (a ValueError) for networks that are to be wrapped around this
    one.
    """
    from paradigms import build_paradigm

    shrink = usual_shrink(spec) if shrink is None else shrink
    if min(filters, shrink) < 1:
        raise ValueError(f"filters and shrink must be at least 1, not {filters} and {shrink}")
    if shrink > 1 and spec.dense:
        raise ValueError(f"shrink must be 1 for a dense task, not {shrink}")
    prefix = base.partition(":")[0]
    if prefix in ("adaptive", "lottery"):
        raise Unsuitable(f"gabor makes no sense for {base}: it is {prefix}:gabor:NAME")
    inner = build_paradigm(base, maps_of(spec, filters, shrink), **options)
    return Gabor(spec, inner, filters, shrink)


def recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """That of the paradigm it is made of, for the stem's maps."""
    from paradigms import paradigm_recipe

    base = name.partition(":")[2] or "dt_net_recall"
    return paradigm_recipe(base, preset, maps_of(spec, FILTERS, usual_shrink(spec)))
