"""Stopping for real: a problem that is answered leaves the batch, so what it saves is time and not
a count.

`evaluation.evaluate` walks all iterations once and asks every rule what it would have answered;
here one rule at a time decides when to stop, as it would for somebody who only wants the answers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from comparisons.hardware import autocast
from comparisons.testing.cost import Cost
from comparisons.testing.evaluation import batch_slices
from comparisons.testing.exits import Look, make_exit_rule, mean_confidence, state_change
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from tasks.base import Batch, Difficulty, Task

LEAVE_SHARE = 0.25  # of a batch that must be done before it is packed again: copying has a price
TIMED_PROBLEMS = 256
# iterations of the turn that is not timed: enough for kernels to be chosen and memory to be had
WARM_UP = 2


@torch.inference_mode()
def answer_early(
    model: Paradigm, task: Task, batch: Batch, rule_name: str, most: int
) -> tuple[Tensor, Tensor, int]:
    """Answer each problem when the rule, one of `exits.stopping_rules()`, says so, or after `most`
    iterations.

    Returns (logits of the answers, float32 [n, K, *S] or [n, K]; iterations int64 [n] at which each
    was given; steps of one problem that were computed in all, those waiting for the batch to be
    packed included).
    """
    rule = make_exit_rule(rule_name, model.train_iterations)
    x = channels_last(batch.inputs)
    answers: Tensor | None = None
    taken = torch.zeros(len(batch), dtype=torch.int64, device=x.device)
    places = torch.arange(len(batch), device=x.device)
    held: Tensor | None = None
    before: Any = None
    steps = 0
    unseen = torch.zeros(
        len(batch), device=x.device
    )  # no rule that stops may look at what is right
    states = model.states(x, most)
    for number in range(1, most + 1):
        state = next(states)
        steps += len(places)
        logits = model.readout(state).float()
        answer = task.predict(logits, batch)
        change = state_change(before, state.hidden) if rule.needs_change else None
        before = state.hidden
        confidence = mean_confidence(logits, batch.mask)
        rule.update(Look(number, answer, confidence, change, unseen.bool(), unseen))
        chosen = (rule.iteration == number).view(-1, *[1] * (logits.dim() - 1))
        held = logits if held is None else torch.where(chosen, logits, held)
        done = int(rule.stopped.sum())
        if done < max(1, LEAVE_SHARE * len(places)) and number < most:
            continue
        leaving = rule.stopped if number < most else torch.ones_like(rule.stopped)
        if answers is None:
            answers = torch.zeros_like(held)
        answers[places[leaving]] = held[leaving]
        taken[places[leaving]] = rule.iteration[leaving]
        going = ~leaving
        places = places[going]
        if not len(places):
            break
        batch, held, unseen = batch[going], held[going], unseen[going]
        rule.keep(going)
        hidden = _kept(state.hidden, going)
        before = hidden
        states = model.states(
            channels_last(batch.inputs), most - number, State(hidden, state.iteration)
        )
    return answers, taken, steps


def _kept(hidden: Any, which: Tensor) -> Any:
    if isinstance(hidden, tuple):
        return tuple(_kept(part, which) for part in hidden)
    return channels_last(hidden[which])


def time_stopping(
    model: Paradigm,
    task: Task,
    difficulty: Difficulty,
    rules: Sequence[str],
    *,
    count: int,
    seed: int,
    stop: int,
    most: int,
    cost: Cost,
    device: torch.device,
    precision: str,
) -> list[dict[str, Any]]:
    """What answering test problems 0..count-1 costs by each of the rules, which stop, and at the
    fixed number `stop`.

    Seconds are those of the network and the rule, on batches that are there already; the rules take
    turns, batch by batch, after a short one that is not timed. FLOPs are those computed, readouts
    included.
    """
    names = ("validated", *rules)
    seconds, right, iterations, flops = ([0.0] * len(names) for _ in range(4))
    was_training = model.training
    model.eval()
    slices = batch_slices(task, difficulty, count)
    for turn, indices in enumerate([slices[0], *slices]):
        batch = task.sample(difficulty, seed=seed, split="test", indices=indices).to(device)
        limit = most if turn else min(most, WARM_UP)
        for place, name in enumerate(names):
            _wait_for(device)
            start = time.perf_counter()
            with autocast(device, precision), parametrize.cached():
                if name == "validated":
                    answers, taken, steps = _answer_at(model, batch, min(stop, limit))
                    readouts = len(batch)
                else:
                    answers, taken, steps = answer_early(model, task, batch, name, limit)
                    readouts = steps
            _wait_for(device)
            spent = time.perf_counter() - start
            if not turn:
                continue
            seconds[place] += spent
            right[place] += float(task.correct(answers, batch).sum())
            iterations[place] += float(taken.sum())
            flops[place] += len(batch) * cost.fixed + steps * cost.step + readouts * cost.readout
    model.train(was_training)
    return [
        {
            "exit_rule": name,
            "n_test": count,
            "accuracy": right[place] / count,
            "iterations_mean": iterations[place] / count,
            "seconds_per_example": seconds[place] / count,
            "flops_per_example": flops[place] / count,
        }
        for place, name in enumerate(names)
    ]


@torch.inference_mode()
def _answer_at(model: Paradigm, batch: Batch, stop: int) -> tuple[Tensor, Tensor, int]:
    logits = model(channels_last(batch.inputs), iterations=stop).float()
    return logits, torch.full((len(batch),), stop), stop * len(batch)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
