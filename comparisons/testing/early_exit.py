"""Stopping for real: a problem that is answered leaves the batch, so what it saves is time and not
a count.

`evaluation.evaluate` walks all iterations once and asks every rule what it would have answered;
here one rule at a time decides when to stop, as it would for somebody who only wants the answers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comparisons.hardware import wait_for
from comparisons.testing.cost import Cost
from comparisons.testing.exits import make_exit_rule
from comparisons.testing.session import Session, fast_layout
from paradigms.base import State
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty

LEAVE_SHARE = 0.25  # of a batch that must be done before it is packed again: copying has a price
#: Of a difficulty: each rule walks them once more, which costs as much as the test itself would of
#: as many.
TIMED_PROBLEMS = 64
# iterations of the turn that is not timed: enough for kernels to be chosen and memory to be had
WARM_UP = 2


def answer_early(
    session: Session, batch: Batch, rule_name: str, most: int
) -> tuple[Tensor, Tensor, int]:
    """Answer each problem of a batch of the session's when the rule, one of
    `exits.stopping_rules()`, says so, or after `most` iterations.

    Returns (logits of the answers, float32 [n, K, *S] or [n, K]; iterations int64 [n] at which each
    was given; steps of one problem that were computed in all, those waiting for the batch to be
    packed included).
    """
    with session.running():
        return _answer_early(session, batch, rule_name, most)


def _answer_early(
    session: Session, batch: Batch, rule_name: str, most: int
) -> tuple[Tensor, Tensor, int]:
    rule = make_exit_rule(rule_name, session.model.train_iterations)
    places = torch.arange(len(batch), device=session.device)
    taken = torch.zeros_like(places)
    latest = torch.zeros(0)  # logits of the answer that the rule would give now
    given: list[tuple[Tensor, Tensor]] = []  # places and logits of problems that have left
    state: State | None = None
    steps = number = 0
    while len(places):
        before = state
        for step in session.walk(batch, most - number, state, after=number):
            number = step.iteration
            steps += len(places)
            rule.update(session.observe(batch, step, before, moves=rule.needs_change))
            before = step.state
            answers = torch.eq(rule.iteration, number).view(-1, *[1] * (step.logits.dim() - 1))
            latest = torch.where(answers, step.logits, latest) if len(latest) else step.logits
            if number == most or rule.stopped.sum() >= max(1, LEAVE_SHARE * len(places)):
                break
        leaving = rule.stopped if number < most else torch.ones_like(rule.stopped)
        given.append((places[leaving], latest[leaving]))
        taken[places[leaving]] = rule.iteration[leaving]
        going = ~leaving
        places, latest = places[going], latest[going]
        batch = fast_layout(batch[going])
        rule.keep(going)
        state = step.state.map(partial(_rows, going))
    order = torch.cat([left for left, _ in given]).argsort()
    return torch.cat([logits for _, logits in given])[order], taken, steps


def _rows(which: Tensor, part: Tensor) -> Tensor:
    return channels_last(part[which])


def _answer(
    session: Session, batch: Batch, rule_name: str, stop: int, most: int
) -> tuple[Tensor, Tensor, int, int]:
    """As `answer_early`, and how many readouts it took; by the rule "validated" after `stop`
    iterations."""
    if rule_name != "validated":
        answers, taken, steps = answer_early(session, batch, rule_name, most)
        return answers, taken, steps, steps
    at = min(stop, most)
    with session.running():
        answers = session.model(batch.inputs, iterations=at).float()
    return answers, torch.full((len(batch),), at), at * len(batch), len(batch)


def time_stopping(
    session: Session,
    difficulty: Difficulty,
    rules: Sequence[str],
    *,
    count: int,
    seed: int,
    stop: int,
    most: int,
    cost: Cost,
) -> list[dict[str, Any]]:
    """What answering test problems 0..count-1 costs by each of the rules, which stop, and at the
    fixed number `stop`.

    Seconds are those of the network and the rule, on batches that are there already; the rules take
    turns, batch by batch, after a short one that is not timed. FLOPs are those computed, readouts
    included.
    """
    names = ("validated", *rules)
    slices = session.slices(difficulty, count)

    def measure(most: int, batch: Batch, indices: np.ndarray) -> Tensor:
        """float64 [rules, 4]: seconds, problems solved, iterations taken and FLOPs of a batch."""
        rows = []
        for name in names:
            wait_for(session.device)
            start = time.perf_counter()
            answers, taken, steps, readouts = _answer(session, batch, name, stop, most)
            wait_for(session.device)
            seconds = time.perf_counter() - start
            solved = float(session.task.correct(answers, batch).sum())
            flops = len(batch) * cost.fixed + steps * cost.step + readouts * cost.readout
            rows.append((seconds, solved, float(taken.sum()), flops))
        return torch.tensor(rows, dtype=torch.float64)

    alone = session.alone()
    for limit, batches in ((min(most, WARM_UP), slices[:1]), (most, slices)):
        timed = alone.each(partial(measure, limit), difficulty, batches, seed=seed, running=False)
        sums = torch.stack([row for _, row in timed]).sum(0)
    return [
        {
            "exit_rule": name,
            "n_test": count,
            "accuracy": solved / count,
            "iterations_mean": iterations / count,
            "seconds_per_example": seconds / count,
            "flops_per_example": flops / count,
        }
        for name, (seconds, solved, iterations, flops) in zip(names, sums.tolist(), strict=True)
    ]
