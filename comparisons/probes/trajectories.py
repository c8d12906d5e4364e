"""Where a state goes: how far from its limit it is, what that limit is, and in how many dimensions
it moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from paradigms.base import State

#: A state has come back if it is this close to where it was, as a share of its length. Rounding in
#: float32 is about 1e-7 of a number (trained networks at rest were seen to return to within 1e-6),
#: so that this is far above what rounding makes of an iteration; and a state that drifts by so
#: little over a whole window would take tens of thousands of iterations to become another.
TOLERANCE = 1e-3
#: Iterations past the last one during which a state is watched. A period has to be seen twice.
WINDOW = 64
LONGEST_PERIOD = WINDOW // 2
#: A state that still moves is settling if its steps shrink to less than this within the window,
#: else it drifts.
SHRINKING = 0.5
#: Numbers of a state that enter its principal components: all, or so many drawn at random.
COORDINATES = 4096
COMPONENTS = 3

KINDS = ("fixed point", "cycle", "settling", "drift")


@dataclass(frozen=True)
class Limit:
    """kind: one of `KINDS`. period: iterations until the state is back, 1 for a fixed point, 0
    where it is not."""

    kind: str
    period: int


def flat(state: State) -> Tensor:
    """A state of n problems as float32 [n, numbers]."""
    return torch.cat([part.float().flatten(1) for part in state.parts], 1)


def distance(a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """float [n]: how far the rows of a are from those of b, as a share of `length` [n]."""
    return (a - b).square().sum(1).sqrt() / length


def watch(
    anchor: State,
    advance: Callable[[State], State],
    look: Callable[[State], None] = lambda state: None,
) -> tuple[Tensor, Tensor]:
    """(returned, steps), each float [WINDOW, n]: how far a state is from `anchor` after 1, 2, ..
    iterations, and how long each of those iterations' steps is, as a share of the anchor's length.

    Memory: the anchor and one state more. look: is shown each state on the way.
    """
    start = flat(anchor)
    length = start.square().sum(1).sqrt().clamp_min(1e-12)
    state, before = anchor, start
    returned, steps = [], []
    for _ in range(WINDOW):
        state = advance(state)
        now = flat(state)
        returned.append(distance(now, start, length))
        steps.append(distance(now, before, length))
        before = now
        look(state)
    return torch.stack(returned), torch.stack(steps)


def limits(returned: Tensor, steps: Tensor, tolerance: float = TOLERANCE) -> list[Limit]:
    """What each of n states reached in, from what `watch` saw.

    A period of p: back after p, 2p, 3p .. iterations, all through the window, for the smallest such
    p up to `LONGEST_PERIOD`. That all multiples count is what tells rest from a slow drift, whose
    distance grows.
    """
    near = (returned <= tolerance).cpu()
    quarter = max(1, len(steps) // 4)
    shrunk = (steps[-quarter:].mean(0) < SHRINKING * steps[:quarter].mean(0)).tolist()
    reached = []
    for problem, settling in enumerate(shrunk):
        periods = (p for p in range(1, len(near) // 2 + 1) if near[p - 1 :: p, problem].all())
        period = next(periods, 0)
        if period:
            reached.append(Limit("fixed point" if period == 1 else "cycle", period))
        else:
            reached.append(Limit("settling" if settling else "drift", 0))
    return reached


def limit_states(
    anchor: State, advance: Callable[[State], State], reached: list[Limit]
) -> list[Tensor]:
    """The states that the limits consist of, each [n, numbers]: the anchor and, where some of them
    are cycles, those that follow it, as many as the longest period."""
    states, state = [flat(anchor)], anchor
    for _ in range(max((limit.period for limit in reached), default=0) - 1):
        state = advance(state)
        states.append(flat(state))
    return states


def to_limit(now: Tensor, states: list[Tensor], reached: list[Limit]) -> Tensor:
    """float [n]: distance of states [n, numbers] from the nearest state of their limit, as a share
    of the length of the limit's first; a limit that is none consists of the last state reached."""
    length = states[0].square().sum(1).sqrt().clamp_min(1e-12)
    each = torch.stack([distance(now, state, length) for state in states])
    for problem, limit in enumerate(reached):
        each[max(limit.period, 1) :, problem] = torch.inf
    return each.amin(0)


def chosen_coordinates(numbers: int) -> Tensor:
    """int64, ascending: which of a state's numbers its principal components are taken of, always
    the same."""
    if numbers <= COORDINATES:
        return torch.arange(numbers)
    drawn = np.random.default_rng(0).choice(numbers, COORDINATES, replace=False)
    return torch.from_numpy(np.sort(drawn))


def components(path: Tensor) -> tuple[list[float], Tensor] | None:
    """(explained, places) of one trajectory [iterations, numbers]: the share of its variance along
    each of the first `COMPONENTS` principal components, and where it is along them, float
    [iterations, components], in units of its root mean square distance from its mean. None for a
    state that stands still or is not finite."""
    data = path.double().numpy()
    if len(data) < 2 or not np.isfinite(data).all():
        return None
    spread = data.var(0).sum()
    if not np.isfinite(spread) or spread <= 1e-20:
        return None
    model = PCA(min(COMPONENTS, *data.shape), svd_solver="full")
    places = model.fit_transform(data) / np.sqrt(spread)
    return model.explained_variance_ratio_.tolist(), torch.from_numpy(places)
