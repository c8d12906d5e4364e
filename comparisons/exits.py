"""Exit rules: which iteration's answer counts, decided while iterating, for each problem by itself.

Schwarzschild et al. 2021. A rule sees the answers, never whether they are right.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from comparisons.statistics import wilson_interval
from names import unknown_name


class ExitRule:
    """Holds, per problem, the iteration chosen so far and what the answer there was worth."""

    def __init__(self, train_iterations: int) -> None:
        self.train_iterations = train_iterations
        self.iteration: Tensor | None = None  # int64 [n]
        self.correct: Tensor | None = None  # bool [n]
        self.elements: Tensor | None = None  # float [n]

    def update(
        self, iteration: int, answer: Tensor, confidence: Tensor, correct: Tensor, elements: Tensor
    ) -> None:
        """One more iteration. answer: int64 [n, ...]; confidence: float [n], mean over the elements."""
        if self.iteration is None:
            self.iteration = torch.full_like(correct, iteration, dtype=torch.int64)
            self.correct, self.elements = correct.clone(), elements.clone()
            self.chooses(iteration, answer, confidence)
            return
        chosen = self.chooses(iteration, answer, confidence)
        self.iteration = torch.where(chosen, iteration, self.iteration)
        self.correct = torch.where(chosen, correct, self.correct)
        self.elements = torch.where(chosen, elements, self.elements)

    def chooses(self, iteration: int, answer: Tensor, confidence: Tensor) -> Tensor:
        """bool [n]: this iteration's answer replaces the one held."""
        raise NotImplementedError


class NPlusTwo(ExitRule):
    """Two iterations more than in training."""

    def chooses(self, iteration: int, answer: Tensor, confidence: Tensor) -> Tensor:
        take = iteration <= self.train_iterations + 2
        return torch.full((len(answer),), take, device=answer.device)


class Agreement(ExitRule):
    """Stop when an answer repeats the one before it; the last answer where none does."""

    previous: Tensor | None = None
    stopped: Tensor | None = None

    def chooses(self, iteration: int, answer: Tensor, confidence: Tensor) -> Tensor:
        if self.previous is None:
            self.stopped = torch.zeros(len(answer), dtype=torch.bool, device=answer.device)
            going = ~self.stopped
        else:
            going = ~self.stopped
            self.stopped |= (answer == self.previous).reshape(len(answer), -1).all(1)
        self.previous = answer
        return going


class MaximumConfidence(ExitRule):
    """The answer with the highest mean confidence of its elements over all iterations run."""

    best: Tensor | None = None

    def chooses(self, iteration: int, answer: Tensor, confidence: Tensor) -> Tensor:
        if self.best is None:
            self.best = confidence
            return torch.ones_like(confidence, dtype=torch.bool)
        better = confidence > self.best
        self.best = torch.maximum(self.best, confidence)
        return better


EXIT_RULES: dict[str, type[ExitRule]] = {
    "n_plus_2": NPlusTwo,
    "agreement": Agreement,
    "maximum_confidence": MaximumConfidence,
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


def validated_iterations(accuracy: Mapping[int, float], n: int) -> int:
    """The most iterations that cost nothing on n validation problems: the rule that reports go by.

    Costing nothing: the accuracy is not below the 95 % interval (Wilson) of the best one. Harder problems
    take more iterations than validation can tell, so of equals the most are taken; a network that
    decays past its training is stopped where that begins to show. accuracy: by number of iterations.
    """
    best = max(accuracy.values())
    low, _ = wilson_interval(round(best * n), n)
    return max(i for i, share in accuracy.items() if share >= low)
