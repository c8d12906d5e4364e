"""Effective receptive field: how far from a site the input that its answer depends on lies, against
iterations.

Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks"
(arXiv 1701.04128): the gradient of a central output with respect to the input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from paradigms.base import Paradigm, State

#: Sites times iterations that are kept for a gradient, of one problem at a time. At 128 channels
#: and eight maps an iteration that is half a gigabyte.
MOST_KEPT = 1 << 17


def radius(field: Tensor, centre: Tensor) -> float | None:
    """The size of a receptive field [*S], non-negative: the root mean square distance, in sites,
    from the centre [dims] of all sites, each weighted by its value. None for a field that is zero
    or not finite."""
    total = field.double().sum()
    if not (torch.isfinite(total) and total > 0):
        return None
    return float(((_distances(field.shape, centre) ** 2 * field.double()).sum() / total).sqrt())


def uniform_radius(sites: tuple[int, ...], centre: Tensor) -> float:
    """`radius` of a field that is the same everywhere: what seeing the whole input equally
    gives."""
    return float((_distances(sites, centre) ** 2).mean().sqrt())


def _distances(sites: Any, centre: Tensor) -> Tensor:
    squares = torch.zeros((), dtype=torch.float64)
    for axis, (side, middle) in enumerate(zip(sites, centre.tolist(), strict=True)):
        shape = [-1 if i == axis else 1 for i in range(len(sites))]
        squares = squares + ((torch.arange(side).double() - middle) ** 2).reshape(shape)
    return squares.sqrt()


def central_site(sites: tuple[int, ...], mask: Tensor | None) -> tuple[int, ...]:
    """The site nearest to the middle, among those of the mask [*S] where there is one that allows
    any."""
    middle = torch.tensor([(side - 1) / 2 for side in sites])
    away = _distances(sites, middle)
    if mask is not None and mask.any():
        away = torch.where(mask.cpu(), away, torch.inf)
    return tuple(int(i) for i in torch.unravel_index(away.argmin(), away.shape))


def _map_of(state: State, dims: int) -> Tensor | None:
    """The map [n, width, *S] of a state that is one, or of its first part; None where it has no
    sites."""
    first = state.parts[0]
    return first if first.dim() == dims + 2 else None


def _at(site: tuple[int, ...]) -> tuple[int | slice, ...]:
    """The index of the first problem's channels at a site."""
    return (0, slice(None), *site)


def _output(
    model: Paradigm, state: State, dense: bool, sites: tuple[int, ...], mask: Tensor | None
) -> tuple[Tensor, Tensor] | None:
    """(scalar, centre): what is differentiated, and where in the input it is, float [dims]."""
    if dense:
        centre = central_site(sites, mask)
        logits = model.readout(state).float()[_at(centre)]
        # The logit of the answer given, over the mean of all: a margin, whatever the number of
        # classes.
        value = logits[0] if len(logits) == 1 else logits.max() - logits.mean()
        return value, torch.tensor(centre).double()
    inner = _map_of(state, len(sites))
    if inner is None:
        return None
    centre = central_site(tuple(inner.shape[2:]), None)
    scale = torch.tensor([a / b for a, b in zip(sites, inner.shape[2:], strict=True)])
    value = inner.float()[_at(centre)].square().sum() / 2
    return value, (torch.tensor(centre) + 0.5).double() * scale.double() - 0.5


def receptive_fields(
    model: Paradigm, x: Tensor, iterations: list[int], *, dense: bool, mask: Tensor | None = None
) -> dict[int, tuple[Tensor, Tensor]]:
    """By iteration (field, centre) of one problem x [1, C, *S]: |gradient| summed over channels,
    float [*S], of an output at the centre, float [dims].

    The output is the answer's logit, over the mean logit, at the site nearest to the middle that
    counts (mask [*S]). Where one answer is given for the whole input, it is half the squared length
    of the state at the middle site instead; empty where neither the answer nor the state has sites.
    iterations: ascending; those that would keep more than `MOST_KEPT` are left out.
    """
    sites = tuple(x.shape[2:])
    kept = [i for i in iterations if i * x[0, 0].numel() <= MOST_KEPT]
    fields: dict[int, tuple[Tensor, Tensor]] = {}
    if not kept:
        return fields
    with torch.enable_grad(), parametrize.cached():
        x = x.detach().clone().requires_grad_()
        for number, state in enumerate(model.states(x, kept[-1]), start=1):
            if number not in kept:
                continue
            made = _output(model, state, dense, sites, mask)
            if made is None:
                break
            value, centre = made
            gradient = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)[0]
            gradient = torch.zeros_like(x) if gradient is None else gradient
            fields[number] = gradient[0].abs().sum(0).detach().cpu(), centre
    return fields
