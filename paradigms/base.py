"""What every paradigm is: a state, a step that refines it, and a readout.

A feed-forward network is a paradigm whose steps end: its layers, or the whole of it, are its
iterations, and going on past the last one changes nothing. So one loop serves every network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class Signature(Protocol):
    """What a paradigm may know about a task; `tasks.base.TaskSpec` has it."""

    @property
    def name(self) -> str: ...
    @property
    def in_channels(self) -> int: ...
    @property
    def spatial_dims(self) -> int: ...
    @property
    def dense(self) -> bool: ...
    @property
    def outputs(self) -> int: ...
    @property
    def size(self) -> tuple[int, ...] | None: ...


class State(NamedTuple):
    """What is carried from one iteration to the next.

    hidden: a tensor [n, width, *S], or a tuple of such, of tuples too. iteration: how many steps
    have been taken, for networks whose steps differ (distinct weights, a BatchNorm each).
    """

    hidden: Any
    iteration: int = 0

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The tensors of `hidden`, in order."""
        return tuple(_tensors(self.hidden))

    def map(self, f: Callable[[Tensor], Tensor]) -> State:
        """The state with `f` of every part in the part's place, at the same iteration."""
        return self.together(f, self)

    @staticmethod
    def together(f: Callable[..., Tensor], *states: State) -> State:
        """One state out of several of the same structure: each part is `f` of theirs, the iteration
        is the first one's."""
        return State(_combined(f, [s.hidden for s in states]), states[0].iteration)


def first_of(hidden: Any) -> Tensor:
    """The first tensor of a `State.hidden`. A function, since the compiler of torch 2.8 does not
    see through properties of a named tuple."""
    while isinstance(hidden, tuple):
        hidden = hidden[0]
    return hidden


def _tensors(hidden: Any) -> Iterator[Tensor]:
    if isinstance(hidden, tuple):
        for part in hidden:
            yield from _tensors(part)
    else:
        yield hidden


def _combined(f: Callable[..., Tensor], hiddens: Sequence[Any]) -> Any:
    if isinstance(hiddens[0], tuple):
        return tuple(_combined(f, parts) for parts in zip(*hiddens, strict=True))
    return f(*hiddens)


class Paradigm(nn.Module):
    """A network that turns a problem into logits, one iteration at a time.

    A subclass sets `train_iterations` and `max_iterations` and defines `encode`, `advance`,
    `readout` and, where part of a step depends on the input alone, `context`. x is float [n, C,
    *S]; logits are [n, K, *S] for a dense task, else [n, K].
    """

    train_iterations: int = 1
    #: Steps after which nothing changes any more; None for a recurrent network, which goes on.
    max_iterations: int | None = None
    #: Whether it is recurrent all the same, over the positions of one pass.
    over_positions: bool = False
    #: Whether the progressive loss (start at a random iteration) makes sense for it.
    progressive: bool = False
    #: The submodules that run again at every iteration; a twin with distinct weights names the same
    #: ones.
    recurrent_parts: tuple[str, ...] = ()
    #: The iteration from which on all steps are one and the same function of state and context.
    same_from: int = 0
    #: By what objective it learns when to halt, if it does (`paradigms.adaptive.HALTINGS`).
    halts: str = ""
    #: How its weights are to be pruned before training (`paradigms.lottery.Pruning`), if they are.
    pruning: Any = None

    @property
    def step_radius(self) -> int | None:
        """Sites from a site to the farthest one of state and context that a step lets it depend on,
        outside training; the step must be the same from `same_from` on and pad at borders only.
        None where it may depend on all sites, or where steps differ for ever."""
        return None

    @property
    def readout_radius(self) -> int | None:
        """The same of the readout, where there are logits for each site; else None."""
        return None

    @property
    def site_step(self) -> Callable[[Tensor, Any], Tensor] | None:
        """For a network whose step gives a site from its 3^d neighbours and its own context, and
        whose state is one tensor: that step for any k sites, from their neighbours [k, 3^d, width]
        (zeros beyond the border; in the order of a flattened convolution) and their context [k,
        width], to [k, width]. None for others."""
        return None

    def encode(self, x: Tensor) -> State:
        """The state before the first step."""
        raise NotImplementedError

    def context(self, x: Tensor) -> Any:
        """What every step needs of the input, computed once."""
        return x

    def begin(self, x: Tensor) -> tuple[State, Any]:
        """`encode(x)` and `context(x)`, for networks in which the two share work."""
        return self.encode(x), self.context(x)

    def advance(self, state: State, context: Any) -> State:
        """One step, given `context(x)`; called only below `max_iterations`."""
        raise NotImplementedError

    def readout(self, state: State) -> Tensor:
        """The logits a state stands for."""
        raise NotImplementedError

    def halted(self, state: State) -> Tensor | None:
        """bool [n]: the network itself says that it is done; None for one that has no such say."""
        return None

    def recurrent_parameters(self) -> Iterator[nn.Parameter]:
        """The weights of `recurrent_parts`, in the order of `parameters()`: what
        `train.recurrent_lr_scale` is for."""
        parts = [self.get_submodule(name) for name in self.recurrent_parts]
        chosen = {id(p) for part in parts for p in part.parameters()}
        return (p for p in self.parameters() if id(p) in chosen)

    def ended(self, state: State) -> bool:
        """True once further steps change nothing."""
        return self.max_iterations is not None and state.iteration >= self.max_iterations

    def step(self, state: State, x: Tensor) -> State:
        """One step from the input itself; loops that take many use `context` and `advance`."""
        return state if self.ended(state) else self.advance(state, self.context(x))

    def states(self, x: Tensor, iterations: int, state: State | None = None) -> Iterator[State]:
        """The states after 1..iterations steps from `state` (by default the encoded input)."""
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, not {iterations}")
        state, context = self.begin(x) if state is None else (state, self.context(x))
        for _ in range(iterations):
            if not self.ended(state):
                state = self.advance(state, context)
            yield state

    def iterates(
        self, x: Tensor, iterations: int | None = None, *, tolerance: float | None = None
    ) -> Iterator[Tensor]:
        """The logits after each step, one at a time, so that memory does not grow with their
        number. tolerance: where given, only what changes by more is computed again, as float32
        logits (see `paradigms.sparse.SparseWalk`)."""
        if tolerance is not None:
            from paradigms.sparse import SparseWalk

            walk = SparseWalk(self, x, tolerance)
            yield from (walk.logits() for _ in walk.states(self._number(iterations)))
            return
        last: tuple[State, Tensor] | None = None
        for state in self.states(x, self._number(iterations)):
            if last is None or state is not last[0]:
                last = (state, self.readout(state))
            yield last[1]

    def forward(self, x: Tensor, iterations: int | None = None) -> Tensor:
        """The logits after `iterations` steps (by default as many as in training)."""
        return self.readout(self.run(x, self._number(iterations)))

    def run(self, x: Tensor, iterations: int, state: State | None = None) -> State:
        """The last of `states`."""
        states = self.states(x, iterations, state)
        last = next(states)
        for last in states:  # noqa: B007
            pass
        return last

    def _number(self, iterations: int | None) -> int:
        return self.train_iterations if iterations is None else iterations


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
