"""Steps of single sites: for networks whose step gives a site from its neighbours and itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

#: A board is not looked through for sites that are fewer than one of so many: they are sorted.
FEW = 64


def crossed(a: Tensor, b: Tensor) -> Tensor:
    """All sums of a's rows and b's, [k, w] and [l, v] to [k l, w v]."""
    return (a[:, None, :, None] + b[None, :, None, :]).reshape(len(a) * len(b), -1)


class Neighbours:
    """The 3^d sites around each site of boards, itself among them, by number; where one is beyond
    the border, the number after the last site of all boards."""

    def __init__(self, sites: torch.Size, boards: int, device: Any) -> None:
        self.sites, self.boards = sites.numel(), boards
        table = beyond = torch.zeros(1, 1, dtype=torch.int64)
        for size in sites:
            at = torch.arange(size)[:, None] + torch.arange(-1, 2)
            beyond = crossed(beyond, ((at < 0) | (at >= size)).long())
            table = crossed(table * size, at)
        self._table = table.masked_fill(beyond > 0, self.sites).to(device)  # of one board

    def of(self, numbers: Tensor) -> Tensor:
        """int64 [k, 3^d], in the order of a flattened convolution; numbers: int64 [k]."""
        if self.boards == 1:
            return self._table.index_select(0, numbers)
        at = numbers % self.sites
        near = self._table.index_select(0, at)
        beyond = near == self.sites
        return (near + (numbers - at)[:, None]).masked_fill_(beyond, self.boards * self.sites)


class SiteSteps:
    """`Paradigm.site_step` on boards. given: the context, [n sites, width]."""

    def __init__(
        self, step: Callable[[Tensor, Any], Tensor], sites: torch.Size, boards: int, given: Tensor
    ) -> None:
        self._step, self._given = step, given
        self.neighbours = Neighbours(sites, boards, given.device)

    def reached(self, moved: Tensor) -> Tensor:
        """The sites that have one of these among their neighbours, int64, in order."""
        near, sites = self.neighbours.of(moved).flatten(), len(self._given)
        if len(near) * FEW < sites:
            found = near.unique()
            return found[: len(found) - int(found[-1:].sum() == sites)]  # without what is beyond
        marked = torch.zeros(sites + 1, dtype=torch.bool, device=moved.device)
        marked[near] = True
        return marked[:-1].nonzero().flatten()

    def taken(self, rows: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """[k, width] each: some sites as they are, and after a step. rows: of all sites, and a last
        one of zeros."""
        around = self.neighbours.of(numbers)
        near = rows.index_select(0, around.flatten()).view(*around.shape, rows.shape[1])
        return near[:, around.shape[1] // 2], self._step(near, self._given[numbers])
