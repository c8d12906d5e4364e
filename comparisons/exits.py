"""Exit rules: which iteration's answer counts, decided while iterating, for each problem by itself.

The first three are those of Schwarzschild et al. 2021. A rule sees the answers, never whether they are
right, but for the oracle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from comparisons.statistics import wilson_interval
from names import unknown_name


class Look(NamedTuple):
    """What one more iteration shows of n problems.

    answer: int64 [n, ...]. confidence: float [n], mean over the elements. change: float [n], how far the state
    moved as a share of its length; infinite after the first step. correct: bool [n] and elements: float
    [n], what the answer is worth; only the oracle looks at them.
    """

    iteration: int
    answer: Tensor
    confidence: Tensor
    change: Tensor
    correct: Tensor
    elements: Tensor


class ExitRule:
    """Holds, per problem, the iteration chosen so far and what the answer there was worth.

    At any time it holds what the rule would answer if the iterations ended there. stopped: bool [n], where
    no further iteration can change that, so that the problem may leave the batch.
    """

    def __init__(self, train_iterations: int) -> None:
        self.train_iterations = train_iterations
        self.iteration: Tensor | None = None  # int64 [n]
        self.correct: Tensor | None = None  # bool [n]
        self.elements: Tensor | None = None  # float [n]
        self.stopped: Tensor | None = None  # bool [n]

    def update(self, look: Look) -> None:
        """One more iteration."""
        if self.stopped is None:
            self.iteration = torch.full_like(look.correct, look.iteration, dtype=torch.int64)
            self.correct, self.elements = look.correct.clone(), look.elements.clone()
            self.stopped = torch.zeros_like(look.correct)
        chosen = self.chooses(look)
        self.iteration = torch.where(chosen, look.iteration, self.iteration)
        self.correct = torch.where(chosen, look.correct, self.correct)
        self.elements = torch.where(chosen, look.elements, self.elements)

    def keep(self, which: Tensor) -> None:
        """Go on with some of the problems: which, bool [n] or their numbers."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[which])

    def chooses(self, look: Look) -> Tensor:
        """bool [n]: this iteration's answer replaces the one held. Sets `stopped` where it is final."""
        raise NotImplementedError

    def stop_at(self, done: Tensor) -> Tensor:
        """Take this iteration wherever the rule has not stopped, and stop there where `done`."""
        going = ~self.stopped
        self.stopped = self.stopped | done
        return going


class NPlusTwo(ExitRule):
    """Two iterations more than in training."""

    def chooses(self, look: Look) -> Tensor:
        done = look.iteration >= self.train_iterations + 2
        return self.stop_at(torch.full_like(self.stopped, done))


class Agreement(ExitRule):
    """Stop when an answer repeats the one before it; the last answer where none does."""

    previous: Tensor | None = None

    def chooses(self, look: Look) -> Tensor:
        repeats = torch.zeros_like(self.stopped)
        if self.previous is not None:
            repeats = (look.answer == self.previous).reshape(len(repeats), -1).all(1)
        self.previous = look.answer
        return self.stop_at(repeats)


class MaximumConfidence(ExitRule):
    """The answer with the highest mean confidence of its elements over all iterations run."""

    best: Tensor | None = None

    def chooses(self, look: Look) -> Tensor:
        if self.best is None:
            self.best = look.confidence
            return torch.ones_like(self.stopped)
        better = look.confidence > self.best
        self.best = torch.maximum(self.best, look.confidence)
        return better


class Convergence(ExitRule):
    """Stop when the state moves by less than 1 % of its length; the last answer where it never does.

    bfloat16 tells values apart to about 0.4 %, so much less could not be seen with it.
    """

    tolerance = 0.01

    def chooses(self, look: Look) -> Tensor:
        return self.stop_at(look.change < self.tolerance)


class Oracle(ExitRule):
    """The first right answer; the last where there is none. It sees what is right: an upper bound for any
    rule, never a result."""

    def chooses(self, look: Look) -> Tensor:
        return self.stop_at(look.correct)


EXIT_RULES: dict[str, type[ExitRule]] = {
    "n_plus_2": NPlusTwo,
    "agreement": Agreement,
    "maximum_confidence": MaximumConfidence,
    "convergence": Convergence,
    "oracle": Oracle,
}


def make_exit_rule(name: str, train_iterations: int) -> ExitRule:
    """A fresh rule; ValueError names the known ones, nearest first."""
    if name not in EXIT_RULES:
        raise unknown_name("exit rule", name, EXIT_RULES)
    return EXIT_RULES[name](train_iterations)


def mean_confidence(logits: Tensor, mask: Tensor | None) -> Tensor:
    """float [n]: probability of the likeliest answer, averaged over the elements that count."""
    logits = logits.float()
    if logits.shape[1] == 1:
        each = torch.sigmoid(logits[:, 0].abs())
    elif logits.shape[1] == 2:
        each = torch.sigmoid((logits[:, 1] - logits[:, 0]).abs())
    else:
        each = F.softmax(logits, dim=1).amax(1)
    each = each.reshape(len(each), -1)
    if mask is None:
        return each.mean(1)
    mask = mask.reshape(len(each), -1)
    return (each * mask).sum(1) / mask.sum(1)


def validated_iterations(accuracy: Mapping[int, float], n: int, harder: bool = True) -> int:
    """The number of iterations, fixed on n validation problems, that reports go by.

    Where there are harder problems than those, the most that cost nothing: the accuracy is not below the 95 % interval
    (Wilson) of the best one. Harder problems take more iterations than validation can tell, so of equals
    the most are taken; a network that decays past its training is stopped where that begins to show.
    Where there are none, as for images, nothing is to be gained by more: the best, of equals the fewest.
    accuracy: by number of iterations.
    """
    best = max(accuracy.values())
    if not harder:
        return min(i for i, share in accuracy.items() if share == best)
    low, _ = wilson_interval(round(best * n), n)
    return max(i for i, share in accuracy.items() if share >= low)


def state_change(before: Any, after: Any) -> Tensor:
    """float [n]: length of the difference of two hidden states, as a share of the first's; states are
    tensors [n, ...] or tuples of them, taken as one long vector."""
    old = before if isinstance(before, tuple) else (before,)
    new = after if isinstance(after, tuple) else (after,)
    # In the states' own precision and layout, where little has changed the difference is exact; lengths in float32.
    moved = _length([b - a for a, b in zip(old, new, strict=True)])
    return moved / _length(old).clamp_min(1e-6)


def _length(parts: Sequence[Tensor]) -> Tensor:
    each = [
        torch.linalg.vector_norm(part, dim=tuple(range(1, part.dim())), dtype=torch.float32)
        for part in parts
    ]
    return torch.stack(each).norm(dim=0)
