"""How active each filter is at each iteration: do later iterations use the filters that earlier
ones did?

Schwarzschild et al. 2021, Figs. 4, 16 and 17: most filters of a recurrent network keep a good part
of their peak activity on the iteration at which they are least active.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: What a filter belongs to: a convolution, or the weights of a fully connected layer.
LAYERS = frozenset((F.conv1d, F.conv2d, F.linear))
#: A filter counts as reused if its least activity is at least this share of its peak (S21).
REUSED = 0.2


class FilterMeter(TorchFunctionMode):
    """While active, sums up what every filter returned, layer by layer in the order they run.

    Hooks would see only layers that are modules of their own; the horizontal units convolve with
    bare parameters. amount: per layer float64 [filters], the sum over problems of the mean positive
    part over sites. count: the sum of the share of sites where it is positive. Both before any
    shortcut is added, and NaN for a layer that reads nothing but zeros: a state that starts as zero
    has nothing to use its filters on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.amount: list[Tensor] = []
        self.count: list[Tensor] = []
        self._place = 0

    def __enter__(self) -> FilterMeter:
        self._place = 0
        return super().__enter__()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        returned = func(*args, **(kwargs or {}))
        if func in LAYERS:
            self._add(args[0].detach(), returned.detach())
        return returned

    def _add(self, given: Tensor, response: Tensor) -> None:
        sites = response.float().flatten(2) if response.dim() > 2 else response.float()[..., None]
        amount = sites.relu().mean(2).sum(0).cpu().double()
        count = (sites > 0).float().mean(2).sum(0).cpu().double()
        if not given.any():
            amount, count = (torch.full_like(part, torch.nan) for part in (amount, count))
        if self._place == len(self.amount):
            self.amount.append(torch.zeros_like(amount))
            self.count.append(torch.zeros_like(count))
        self.amount[self._place] += amount
        self.count[self._place] += count
        self._place += 1

    def add(self, other: FilterMeter) -> None:
        """What another one summed up over other problems."""
        pairs = ((self.amount, other.amount), (self.count, other.count))
        self.amount, self.count = (
            [a + b for a, b in zip(mine, theirs, strict=True)] if mine else theirs
            for mine, theirs in pairs
        )


@dataclass(frozen=True)
class Activity:
    """iterations: ascending. amount, count: float64 [iterations, filters] of all layers side by
    side, means over problems (see `FilterMeter`). layers: filters of each layer."""

    iterations: list[int]
    amount: Tensor
    count: Tensor
    layers: list[int]


def activity_of(meters: dict[int, FilterMeter], problems: int) -> Activity:
    """From a meter for each iteration that has seen all `problems`. ValueError if their layers
    differ."""
    iterations = sorted(meters)
    layers = [len(layer) for layer in meters[iterations[0]].amount]
    for number in iterations:
        if [len(layer) for layer in meters[number].amount] != layers:
            raise ValueError(f"iteration {number} runs other layers than iteration {iterations[0]}")

    def table(name: str) -> Tensor:
        rows = [torch.cat(getattr(meters[i], name) or [torch.zeros(0)]) for i in iterations]
        return torch.stack(rows) / problems

    return Activity(iterations, table("amount"), table("count"), layers)


def least_over_peak(activity: Tensor) -> Tensor:
    """float64 [filters]: the least activity of each over the iterations [iterations, filters], as a
    share of its peak; NaN for a filter that is never active. Iterations that are NaN do not
    count."""
    absent = activity.isnan()
    peak = activity.masked_fill(absent, -torch.inf).amax(0)
    least = activity.masked_fill(absent, torch.inf).amin(0)
    return torch.where(peak > 0, least / peak, torch.nan)


def reuse(activity: Activity, train_iterations: int) -> dict[str, Any]:
    """What is stored of it. `reused`: the share of filters with at least `REUSED` of their peak at
    their least active iteration, over those that are ever active; over the iterations of training,
    as published, by the mean positive response. `reused_by_count`: by the share of sites where it
    is positive. `reused_beyond`: as `reused`, over all iterations measured. `curve`: percentiles 0,
    5 .. 100 of least over peak."""
    trained = torch.tensor([i <= train_iterations for i in activity.iterations])
    ratio = least_over_peak(activity.amount[trained])
    active = ratio[~ratio.isnan()]
    facts = {
        "layers": len(activity.layers),
        "filters": len(ratio),
        "never_active": int(ratio.isnan().sum()),
        "iterations": int(trained.sum()),
        "reused": share_reused(ratio),
        "reused_by_count": share_reused(least_over_peak(activity.count[trained])),
        "reused_beyond": share_reused(least_over_peak(activity.amount)),
        "reused_by_layer": [share_reused(part) for part in ratio.split(activity.layers)],
    }
    if len(active):
        facts["curve"] = torch.quantile(active, torch.linspace(0, 1, 21).double()).tolist()
    return facts


def share_reused(ratio: Tensor) -> float | None:
    """Share of the ratios that reach `REUSED`, NaNs left out; None if there are no others."""
    active = ratio[~ratio.isnan()]
    return float((active >= REUSED).double().mean()) if len(active) else None
