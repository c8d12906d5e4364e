"""Testing: accuracy at every recorded iteration and by every exit rule, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from comparisons.hardware import sums_device
from comparisons.testing.exits import make_exit_rule
from comparisons.testing.session import Session
from paradigms.base import Paradigm
from tasks.base import Batch, Difficulty


@dataclass
class Tally:
    """Sums over problems; `iterations` is the sum of the iterations at which they were answered."""

    correct: float = 0.0
    elements: float = 0.0
    iterations: float = 0.0


@dataclass
class Scores:
    """n problems. fixed: by iteration. rules: by exit rule, then by budget, the most iterations
    allowed. correct: by exit rule, bool [n], whether each problem is solved with the whole budget.
    exits: by exit rule, int64 [n], the iterations at which each problem was answered. loss: the
    mean in nats at the last iteration. cut: how many batches were halved because the device could
    not hold them."""

    n: int
    loss: float
    fixed: dict[int, Tally] = field(default_factory=dict)
    rules: dict[str, dict[int, Tally]] = field(default_factory=dict)
    correct: dict[str, torch.Tensor] = field(default_factory=dict)
    exits: dict[str, torch.Tensor] = field(default_factory=dict)
    cut: int = 0


def recorded_iterations(most: int, train_iterations: int) -> list[int]:
    """Iterations worth a row: every one up to 8, then eight to the octave, the trained number, up
    to five more, one and a half and two and a half times as many, at which papers ask for answers,
    and the last."""
    grid = {round(2 ** (i / 8)) for i in range(8 * 20)}
    grid |= {train_iterations + more for more in range(1, 6)}
    grid |= {int(train_iterations * times) for times in (1.5, 2.5)}
    recorded = {i for i in grid if i <= most} | {min(train_iterations, most), most}
    return sorted(i for i in recorded if i >= 1)


def iterations_to_run(model: Paradigm, budget: int) -> int:
    """Steps worth taking: none past the end of a feed-forward network, never fewer than trained."""
    most = max(budget, model.train_iterations)
    return most if model.max_iterations is None else min(most, model.max_iterations)


def evaluate(
    session: Session,
    difficulty: Difficulty,
    *,
    split: str,
    count: int,
    seed: int,
    iterations: int,
    record: list[int],
    rules: tuple[str, ...] = (),
    stop: int | None = None,
) -> Scores:
    """Test on problems 0..count-1 of a split, iterating once; memory does not depend on
    `iterations`.

    stop: iterations, one of `record`, of the rule "validated", whose answers are kept problem by
    problem, as are those after the iterations of training ("trained") and those of `rules`. Each
    process takes every n-th batch and the sums are added up, so that no problem is counted twice or
    missed whatever the number of processes.
    """
    device = session.device
    named = (*(("validated", "trained") if stop else ()), *rules)
    rows = len(record) * (1 + len(rules))
    sums = torch.zeros(rows + 1, 3, dtype=torch.float64, device=sums_device(device))
    each = torch.zeros(2, len(named), count, dtype=torch.int64, device=device)
    score = partial(_score, session, iterations, record, rules, stop)
    cut = session.cut
    slices = session.slices(difficulty, count)
    for indices, (part, own) in session.each(score, difficulty, slices, seed=seed, split=split):
        sums += part
        each[:, :, indices] = own
    totals = session.total(sums).tolist()
    solved, exits = session.total(each).cpu()

    def tallies(group: int) -> dict[int, Tally]:
        first = group * len(record)
        own = totals[first : first + len(record)]
        return {i: Tally(*row) for i, row in zip(record, own, strict=True)}

    return Scores(
        n=count,
        loss=totals[-1][0] / count,
        fixed=tallies(0),
        rules={name: tallies(i) for i, name in enumerate(rules, start=1)},
        correct=dict(zip(named, solved.bool(), strict=True)),
        exits=dict(zip(named, exits, strict=True)),
        cut=session.cut - cut,
    )


def _score(
    session: Session,
    iterations: int,
    record: list[int],
    rules: tuple[str, ...],
    stop: int | None,
    batch: Batch,
    indices: np.ndarray,
) -> tuple[Tensor, Tensor]:
    """(sums, each) of one batch. sums: float64 [rows + 1, 3], what makes a `Tally` for each
    recorded iteration under no rule and then under each, and the loss. each: int64 [2, named
    answers, n], solved and answered when."""
    task, trained = session.task, session.model.train_iterations
    running = [make_exit_rule(name, trained) for name in rules]
    kept = (stop, trained) if stop else ()
    rows = len(record) * (1 + len(rules))
    sums = torch.zeros(rows + 1, 3, dtype=torch.float64, device=sums_device(session.device))
    each = torch.zeros(
        2, len(kept) + len(rules), len(batch), dtype=torch.int64, device=session.device
    )
    moves = any(rule.needs_change for rule in running)
    before = None
    wanted = {*record, *kept}
    for step in session.walk(
        batch, iterations, wanted=lambda number: bool(running) or number in wanted
    ):
        number = step.iteration
        correct, elements = worth = session.worth(batch, step)
        if running:
            seen = session.observe(batch, step, before, moves=moves, worth=worth)
            before = step.state if moves else None
            for rule in running:
                rule.update(seen)
        for place, at in enumerate(kept):
            if number == at:
                each[0, place] = correct
                each[1, place] = number
        if number in record:
            here = [(correct, elements, torch.full_like(elements, number))]
            here += [(rule.correct, rule.elements, rule.iteration) for rule in running]
            place = record.index(number)
            for parts, row in zip(here, sums[place : rows : len(record)], strict=True):
                row += torch.stack([part.sum().to(sums.device).double() for part in parts])
    for place, rule in enumerate(running, start=len(kept)):
        each[0, place], each[1, place] = rule.correct, rule.iteration
    sums[-1, 0] += task.loss(step.logits, batch).to(sums.device).double() * len(batch)
    return sums, each
