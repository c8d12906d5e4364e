"""What a plan costs, before it is run: FLOPs, and seconds from a measurement of about two, of days
somewhat longer.

Estimates are of all training steps: training that stops early takes less.
"""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event, Thread
from typing import Any, NamedTuple

import torch

from comparisons.hardware import resolve_precision, wait_for
from comparisons.planning.elsewhere import other_tests
from comparisons.planning.match import cost_of, expected_step, network_of
from comparisons.probes.perturbations import halves
from comparisons.testing.cost import Cost
from comparisons.testing.early_exit import TIMED_PROBLEMS
from comparisons.testing.evaluation import evaluate, iterations_to_run, recorded_iterations
from comparisons.testing.exits import stopping_rules
from comparisons.testing.session import Session
from comparisons.training.learner import Learner
from comparisons.training.optimizers import make_optimizer
from foundations.records.spec import RunSpec
from paradigms import build_paradigm
from paradigms.base import Paradigm
from tasks import load_task
from tasks.base import Difficulty, Task

BUDGET_SECONDS = 2.0
#: Of what a plan is thought to take, what measuring it may take beyond that: in a plan of days more
#: kinds of runs are timed.
SHARE = 1e-4
#: Work that is over before a measurement of it would be.
SMALL_FLOPS = 2e10
#: FLOPs a second where nothing was measured: of a core, so that an estimate is rather too long.
PLAIN_SPEED = 1e10
#: Of all iterations, those that rules which stop are taken to need; what they do need is known only
#: afterwards.
STOPPED_AFTER = 0.5
#: Iterations of a test that are timed, after two that are not.
TIMED = 4


@dataclass(frozen=True)
class Load:
    """FLOPs of a run. problems: how many are made for its tests."""

    training: float
    testing: float
    problems: int

    @property
    def flops(self) -> float:
        """All of them."""
        return self.training + self.testing


class Pace(NamedTuple):
    """Seconds of a training FLOP, of a testing FLOP, and of making a test problem."""

    training: float
    testing: float
    making: float

    def seconds(self, load: Load) -> float:
        """Of a whole run."""
        return (
            load.training * self.training
            + load.testing * self.testing
            + load.problems * self.making
        )


@dataclass(frozen=True)
class Estimate:
    """By run: FLOPs, and seconds of one worker. measured: whether a measurement was worth its
    while."""

    flops: dict[str, float]
    seconds: dict[str, float]
    measured: bool


def load_of(spec: RunSpec, tests: bool = True, trained: bool = False) -> Load:
    """What a run costs. tests: whether it is tested, or trained and validated alone, as a trial of
    a search is. trained: whether its training is stored, and only its tests are left."""
    task, model = network_of(spec)
    train, evaluation = spec.train, spec.evaluation
    cost = cost_of(spec, spec.train_difficulty)
    rounds = model.pruning.rounds if model.pruning and model.pruning.criterion == "imp" else 0
    trainings = 0 if trained else 1 + rounds
    validations = trainings * (train.total_steps // train.validate_every + 1)
    count = train.validation_samples
    testing = validations * count * cost.inference(model.train_iterations)
    problems = validations * count
    if tests:
        most = iterations_to_run(model, evaluation.iterations)
        ends = model.max_iterations is not None
        if not ends:
            testing += count * cost.inference(most)
            problems += count
        for options, difficulty in _tested(spec, task):
            name, of_task = options
            here = cost_of(replace(spec, task=name, task_options=of_task), difficulty)
            testing += _test_flops(spec, here, model, most)
            problems += evaluation.samples
    return Load(trainings * expected_step(spec) * train.total_steps, testing, problems)


def _tested(spec: RunSpec, task: Task) -> Iterator[tuple[tuple[str, dict[str, Any]], Difficulty]]:
    """Name and options of each task that a run is tested on, and the difficulty."""
    for difficulty in spec.evaluation.difficulties:
        yield (spec.task, spec.task_options), difficulty
    for other in other_tests(spec):
        for difficulty in other.difficulties:
            yield (other.task, other.options), difficulty


def _test_flops(spec: RunSpec, cost: Cost, model: Paradigm, most: int) -> float:
    """Of one test difficulty: one walk through all iterations, one for each rule that stops, and
    what comes after perturbations."""
    evaluation = spec.evaluation
    rules = evaluation.exit_rules if model.max_iterations is None else ()
    readouts = most if rules else len(recorded_iterations(most, model.train_iterations))
    walk = cost.inference(most) + (readouts - 1) * cost.readout
    count, perturbations = evaluation.samples, len(evaluation.blows)
    flops = count * walk
    if stopping := stopping_rules(rules):
        flops += min(count, TIMED_PROBLEMS) * (1 + len(stopping)) * STOPPED_AFTER * walk
    before, after = halves(model, evaluation.iterations)
    if perturbations and before:
        flops += count * (cost.fixed + (before + perturbations * after) * cost.step)
    return flops


@torch.random.fork_rng(devices=[])
def estimate(
    runs: Sequence[RunSpec],
    device: torch.device,
    *,
    together: int = 1,
    done: Container[str] = (),
    trained: Container[str] = (),
    tests: bool = True,
    always: bool = False,
    budget: float = BUDGET_SECONDS,
) -> Estimate:
    """Of every run. together: processes that train each run. done: names of those that are stored,
    for which nothing is measured. trained: of those whose training is. tests: as of `load_of`.
    always: measure also what is small."""
    by_kind: dict[tuple[str, bool], Load] = {}  # of runs that differ in their seeds alone
    loads = {}
    for spec in runs:
        tests_alone = spec.run_id in trained
        alike = replace(spec, seed=0).run_id, tests_alone
        if alike not in by_kind:
            by_kind[alike] = load_of(spec, tests, tests_alone)
        loads[spec.run_id] = by_kind[alike]
    flops = {name: load.flops for name, load in loads.items()}
    left = sum(f for name, f in flops.items() if name not in done)
    if not left or (left < SMALL_FLOPS and not always):
        return Estimate(flops, {n: f / PLAIN_SPEED for n, f in flops.items()}, False)
    kinds: dict[str, list[RunSpec]] = {}
    for spec in runs:
        kinds.setdefault(kind_of(spec), []).append(spec)
    weights = {
        kind: sum(flops[s.run_id] for s in group if s.run_id not in done)
        for kind, group in kinds.items()
    }
    todo = sorted((k for k in kinds if weights[k]), key=lambda k: -weights[k])
    paces: dict[str, Pace] = {}
    began = time.perf_counter()

    def seconds() -> dict[str, float]:
        return {
            spec.run_id: _nearest(kinds, kind, paces, spec).seconds(loads[spec.run_id])
            for kind, group in kinds.items()
            for spec in group
        }

    for place, kind in enumerate(todo):
        spent = time.perf_counter() - began
        if place and spent >= budget:
            left_of = (took for name, took in seconds().items() if name not in done)
            budget = max(budget, SHARE * sum(left_of))
            if spent >= budget:
                break
        rest = (budget - spent) / (len(todo) - place)
        paces[kind] = measure(kinds[kind][0], device, together, rest)
    return Estimate(flops, seconds(), True)


def kind_of(spec: RunSpec) -> str:
    """The same for runs that differ in seed, number of samples or learning rate alone: they take as
    long."""
    train = replace(spec.train, steps=1, learning_rate=1.0)
    return replace(spec, seed=0, data_seed=0, train_samples=1, train=train).run_id


def _nearest(
    kinds: dict[str, list[RunSpec]], kind: str, paces: dict[str, Pace], spec: RunSpec
) -> Pace:
    """The pace measured, or the mean of those of the same task, or the same paradigm, or all."""
    if kind in paces:
        return paces[kind]
    for alike in ("task", "paradigm"):
        like = getattr(spec, alike)
        measured = [p for k, p in paces.items() if getattr(kinds[k][0], alike) == like]
        if measured:
            return _mean(measured)
    return _mean(list(paces.values()))


def _mean(paces: list[Pace]) -> Pace:
    return Pace(*(sum(values) / len(paces) for values in zip(*paces, strict=True)))


def measure(spec: RunSpec, device: torch.device, together: int, budget: float) -> Pace:
    """Time a few training steps, of this process's share, and iterations of a test of a run, for
    about `budget` seconds; nothing is kept."""
    task = load_task(spec.task, **spec.task_options)
    model = build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)
    layout = torch.channels_last if task.spec.spatial_dims == 2 else torch.contiguous_format
    model = model.to(device).to(memory_format=layout)
    size = max(1, spec.train.batch_size // together)
    step = _training_step_seconds(spec, task, model, device, size, budget / 2)
    testing, making = _testing_seconds(spec, task, model, device)
    return Pace(step / max(expected_step(spec), 1.0), testing / together, making / together)


def _training_step_seconds(
    spec: RunSpec, task: Task, model: Paradigm, device: torch.device, size: int, budget: float
) -> float:
    precision = resolve_precision(spec.train.precision, device)
    learner = Learner(model, task, spec.train, precision, shared=False)
    optimizer = make_optimizer(model, spec.train)
    made = task.sample(spec.train_difficulty, size, seed=spec.data_seed, split="train")
    batch = made.to(device)
    most = model.train_iterations
    mean = (most - 1) // 2, max(1, (most + 3) // 4)
    learner.train()
    times = []
    for number in range(50):
        began = time.perf_counter()
        with learner.running():
            # The first finds its kernels and memory; it need not be a whole one.
            continued = spec.train.continued // 2 if learner.continues and number % 5 else None
            loss = learner(batch, *(mean if number else (0, 1)), continued)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        wait_for(device)
        times.append(time.perf_counter() - began)
        if number and sum(times) > budget:
            break
    return sum(times[1:]) / len(times[1:])


def _testing_seconds(
    spec: RunSpec, task: Task, model: Paradigm, device: torch.device
) -> tuple[float, float]:
    """Seconds of a FLOP of the test at the last difficulty, and of making a problem of it."""
    evaluation = spec.evaluation
    difficulty = evaluation.difficulties[-1]
    session = Session(model, task, device, resolve_precision(spec.train.precision, device))
    count = max(1, len(session.slices(difficulty, evaluation.samples)[0]) // 8)
    began = time.perf_counter()
    task.sample(difficulty, count, seed=evaluation.seed, split="test")
    making = (time.perf_counter() - began) / count
    cost = cost_of(spec, difficulty)
    ends = model.max_iterations
    lengths = (2, 2 + TIMED) if ends is None else (ends,)
    took = []
    for most in lengths:
        began = time.perf_counter()
        evaluate(
            session,
            difficulty,
            split="test",
            count=count,
            seed=evaluation.seed,
            iterations=most,
            record=recorded_iterations(most, model.train_iterations),
            rules=evaluation.exit_rules if ends is None else (),
        )
        wait_for(device)
        took.append(time.perf_counter() - began)
    if ends is not None:
        return max(took[0] - count * making, 0.0) / (count * cost.inference(lengths[0])), making
    flops = count * TIMED * (cost.step + cost.readout)
    return max(took[1] - took[0], 0.0) / flops, making


def wall_seconds(seconds: Sequence[float], workers: int) -> float:
    """From the first to the last of runs that `workers` take up one after the other, in this
    order."""
    free = [0.0] * max(1, workers)
    for each in seconds:
        free[free.index(min(free))] += each
    return max(free)


@contextmanager
def company(others: int) -> Iterator[None]:
    """As many other threads that compute, so that what is timed has the cores and the memory as in
    a study of several workers."""
    threads, stop = torch.get_num_threads(), Event()

    def compute() -> None:
        torch.set_num_threads(threads)  # of this thread: a new one has as many as there are cores
        x, w = torch.rand(8, 32, 32, 32), torch.rand(32, 32, 3, 3)
        with torch.inference_mode():
            while not stop.is_set():
                torch.nn.functional.conv2d(x, w, padding=1)

    working = [Thread(target=compute, daemon=True) for _ in range(others)]
    for thread in working:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in working:
            thread.join()
