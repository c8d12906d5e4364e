"""Exit rules: which iteration's answer counts, decided while iterating, for each problem by itself.

The first three are those of Schwarzschild et al. 2021. A rule sees the answers, never whether they
are right, but for the oracle. A new rule is one file, a subclass of `ExitRule`, and one line in
`EXIT_RULES`; whoever iterates goes by what the class says of itself, never by a rule's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from foundations.registry import Registry
from foundations.statistics import wilson_interval
from paradigms.base import State


class Observation(NamedTuple):
    """What one more iteration shows of n problems.

    answer: int64 [n, ...]. confidence: float [n], mean over the elements. change: float [n], how
    far the state moved as a share of its length; infinite after the first step, which has none
    before it; None where no rule needs it. correct: bool [n] and elements: float [n], what the
    answer is worth; None where nobody knows. halted: bool [n], where the network itself says that
    it is done; None for networks without such a say. A rule is shown `change`, and `correct` and
    `elements`, only if it says that it needs them: else they are None.
    """

    iteration: int
    answer: Tensor
    confidence: Tensor
    change: Any
    correct: Any
    elements: Any
    halted: Any = None


class ExitRule:
    """Holds, per problem, the iteration chosen so far and what the answer there was worth.

    At any time it holds what the rule would answer if the iterations ended there. stopped: bool
    [n], where no further iteration can change that, so that the problem may leave the batch. What a
    rule remembers from one iteration to the next are attributes that are tensors [n, ...]: they
    follow the problems when some leave the batch, and are stored when long thinking is interrupted.

    A subclass says what it needs and does:

    needs_change: it reads how far the state moved (`Observation.change`), which is computed only
    for such rules. stops: it ends the iteration; if false it chooses among all iterations, so that
    its answer is known only after the last. reads_out: it looks at the answer after each iteration,
    which costs a readout each. sees_right: it reads whether answers are right
    (`Observation.correct`, `Observation.elements`): a bound, not a result.
    """

    needs_change: ClassVar[bool] = False
    stops: ClassVar[bool] = True
    reads_out: ClassVar[bool] = True
    sees_right: ClassVar[bool] = False

    def __init__(self, train_iterations: int) -> None:
        self.train_iterations = train_iterations
        # Empty before the first iteration.
        self.iteration = torch.zeros(0, dtype=torch.int64)
        self.stopped = torch.zeros(0, dtype=torch.bool)
        self.correct = torch.zeros(0, dtype=torch.bool)
        self.elements = torch.zeros(0)  # both empty where nobody knows what answers are worth

    def update(self, seen: Observation) -> None:
        """One more iteration."""
        shown = seen if self.needs_change else seen._replace(change=None)
        if not self.sees_right:  # so that no rule can depend on its company
            shown = shown._replace(correct=None, elements=None)
        if not len(self.stopped):
            n, device = len(seen.answer), seen.answer.device
            self.iteration = torch.full((n,), seen.iteration, device=device)
            self.stopped = torch.zeros(n, dtype=torch.bool, device=device)
            if seen.correct is not None:
                self.correct, self.elements = seen.correct, seen.elements
        taken = self.chooses(shown)
        self.iteration = torch.where(taken, seen.iteration, self.iteration)
        if seen.correct is not None:
            self.correct = torch.where(taken, seen.correct, self.correct)
            self.elements = torch.where(taken, seen.elements, self.elements)

    def keep(self, which: Tensor) -> None:
        """Go on with some of the problems: which, bool [n] or their numbers."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and len(value):
                setattr(self, name, value[which])

    def chooses(self, seen: Observation) -> Tensor:
        """bool [n]: this iteration's answer replaces the one held. Sets `stopped` where it is
        final."""
        raise NotImplementedError

    def stop_at(self, done: Tensor) -> Tensor:
        """Take this iteration wherever the rule has not stopped, and stop there where `done`."""
        going = ~self.stopped
        self.stopped = self.stopped | done
        return going


class NPlusTwo(ExitRule):
    """Two iterations more than in training."""

    reads_out = False

    def chooses(self, seen: Observation) -> Tensor:
        done = seen.iteration >= self.train_iterations + 2
        return self.stop_at(torch.full_like(self.stopped, done))


class Agreement(ExitRule):
    """Stop when an answer repeats the one before it; the last answer where none does."""

    previous: Tensor | None = None

    def chooses(self, seen: Observation) -> Tensor:
        repeats = torch.zeros_like(self.stopped)
        if self.previous is not None:
            repeats = (seen.answer == self.previous).reshape(len(repeats), -1).all(1)
        self.previous = seen.answer
        return self.stop_at(repeats)


class MaximumConfidence(ExitRule):
    """The answer with the highest mean confidence of its elements over all iterations run."""

    stops = False
    best: Tensor | None = None

    def chooses(self, seen: Observation) -> Tensor:
        if self.best is None:
            self.best = seen.confidence
            return torch.ones_like(self.stopped)
        better = seen.confidence > self.best
        self.best = torch.maximum(self.best, seen.confidence)
        return better


class Convergence(ExitRule):
    """Stop when the state moves by less than 1 % of its length; the last answer where it never
    does.

    bfloat16 tells values apart to about 0.4 %, so much less could not be seen with it.
    """

    needs_change = True
    tolerance = 0.01

    def chooses(self, seen: Observation) -> Tensor:
        return self.stop_at(seen.change < self.tolerance)


class Halting(ExitRule):
    """Stop where the network itself says so, as ACT and PonderNet teach it (`paradigms.adaptive`);
    the last answer where it never does, or cannot."""

    reads_out = False

    def chooses(self, seen: Observation) -> Tensor:
        return self.stop_at(self.stopped & False if seen.halted is None else seen.halted)


class Oracle(ExitRule):
    """The first right answer; the last where there is none. It sees what is right: an upper bound
    for any rule, never a result."""

    sees_right = True

    def chooses(self, seen: Observation) -> Tensor:
        return self.stop_at(seen.correct)


EXIT_RULES = Registry(
    "exit rule",
    {
        "n_plus_2": "comparisons.testing.exits:NPlusTwo",
        "agreement": "comparisons.testing.exits:Agreement",
        "maximum_confidence": "comparisons.testing.exits:MaximumConfidence",
        "convergence": "comparisons.testing.exits:Convergence",
        "oracle": "comparisons.testing.exits:Oracle",
        "halting": "comparisons.testing.exits:Halting",
    },
    group="exit_rules",
)

#: The one to stop by where none is asked for.
USUAL_RULE = "agreement"


def exit_rule_class(name: str) -> type[ExitRule]:
    """The class behind a name; ValueError names the known ones, nearest first."""
    found = EXIT_RULES.load(name)
    if not hasattr(found, "chooses"):
        raise EXIT_RULES.wrong(name, "must be a subclass of comparisons.testing.exits.ExitRule")
    return found


def make_exit_rule(name: str, train_iterations: int) -> ExitRule:
    """A fresh rule; ValueError names the known ones, nearest first."""
    return exit_rule_class(name)(train_iterations)


def stopping_rules(names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Those of the rules (by default all) that end an iteration by what they see of it, and not by
    what is right: the ones that can be used for real."""
    classes = {name: exit_rule_class(name) for name in (EXIT_RULES if names is None else names)}
    return tuple(name for name, rule in classes.items() if rule.stops and not rule.sees_right)


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

    Where there are harder problems than those, the most that cost nothing: the accuracy is not
    below the 95 % interval (Wilson) of the best one. Harder problems take more iterations than
    validation can tell, so of equals the most are taken; a network that decays past its training is
    stopped where that begins to show. Where there are none, as for images, nothing is to be gained
    by more: the best, of equals the fewest. accuracy: by number of iterations.
    """
    best = max(accuracy.values())
    if not harder:
        return min(i for i, share in accuracy.items() if share == best)
    low, _ = wilson_interval(round(best * n), n)
    return max(i for i, share in accuracy.items() if share >= low)


def state_change(before: State | None, after: State) -> Tensor:
    """float [n]: length of the difference of two states, as a share of the first's; all parts of a
    state are taken as one long vector. before: None where there was none: the change is infinite
    then."""
    new = after.parts
    if before is None:
        return torch.full((len(new[0]),), torch.inf, device=new[0].device)
    # In the states' own precision and layout, where little has changed the difference is exact;
    # lengths in float32.
    moved = _length([b - a for a, b in zip(before.parts, new, strict=True)])
    return moved / _length(before.parts).clamp_min(1e-6)


def _length(parts: Sequence[Tensor]) -> Tensor:
    each = [
        torch.linalg.vector_norm(part, dim=tuple(range(1, part.dim())), dtype=torch.float32)
        for part in parts
    ]
    return torch.stack(each).norm(dim=0)
