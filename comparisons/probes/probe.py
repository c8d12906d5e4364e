"""Inside the network: which filters it reuses, where its state goes, and how far it looks, per
iteration.

All of it in float32, whatever the network was trained in: bfloat16 cannot tell rest from a slow
drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from comparisons.probes.filter_reuse import FilterMeter, activity_of, reuse
from comparisons.probes.receptive_field import MOST_KEPT, radius, receptive_fields, uniform_radius
from comparisons.probes.trajectories import (
    KINDS,
    Limit,
    chosen_coordinates,
    components,
    distance,
    flat,
    limit_states,
    limits,
    to_limit,
    watch,
)
from comparisons.storage.run_folder import RunFolder
from comparisons.testing.evaluation import iterations_to_run, recorded_iterations
from comparisons.testing.session import Session
from foundations.records.spec import PROBES, EvaluationSpec
from paradigms.base import Paradigm, State
from tasks.base import Batch, Difficulty

#: Problems whose principal components and receptive fields are taken: each costs a decomposition
#: and a backward pass.
CLOSELY = 8
NOT_REUSED = "every filter is used once: its layers have weights of their own"
NO_STATES = "one pass without states in between"
NO_SITES = "neither its answer nor its state has sites"
TOO_LARGE = "its inputs are too large to keep the iterations that a gradient needs"


@dataclass
class Trace:
    """What one or more batches of problems showed. grid: iterations looked at. rest, step: float
    [grid, n], how far the state is from its limit and how far it came in that iteration, as shares
    of the limit's length. paths: of the first problems, each [grid, numbers]. moved: how far states
    that drift are from where they were when the watch ends. same_answer: problems whose answer
    stays while watched. solved: whether each problem's answer after the last iteration is right."""

    grid: list[int]
    meters: dict[int, FilterMeter] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    rest: list[Tensor] = field(default_factory=list)
    step: list[Tensor] = field(default_factory=list)
    paths: list[Tensor] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    same_answer: int = 0
    solved: list[bool] = field(default_factory=list)

    def add(self, new: Trace) -> None:
        """What one more batch showed."""
        for number, meter in new.meters.items():
            self.meters[number].add(meter)
        self.limits += new.limits
        self.rest += new.rest
        self.step += new.step
        self.paths += new.paths
        self.moved += new.moved
        self.same_answer += new.same_answer
        self.solved += new.solved


def trace(session: Session, seen: Trace, iterations: int, batch: Batch) -> Trace:
    """What a batch shows, as one more `Trace` like `seen`. It is run twice: to the end, to know the
    limit, and once more to measure the way there. Memory: a few states, more only by the period of
    a cycle."""
    model = session.model
    context = model.context(batch.inputs)

    def advance(state: State) -> State:
        return model.advance(state, context)

    new = Trace(seen.grid, {number: FilterMeter() for number in seen.meters})
    state = start = model.encode(batch.inputs)
    for number in range(1, iterations + 1):
        with new.meters.get(number, nullcontext()):
            state = advance(state)

    def again(now: State) -> State:
        """The step as it is after all iterations (norms of a step may differ)."""
        return advance(now)._replace(iteration=state.iteration)

    new.limits = [Limit("ends", 0)] * len(batch)
    if model.max_iterations is None:
        _watch_limits(session, batch, state, again, new)
    ends = limit_states(state, again, new.limits)
    coordinates = chosen_coordinates(ends[0].shape[1]).to(session.device)
    length = ends[0].square().sum(1).sqrt().clamp_min(1e-12)
    rest, step, points = [], [], []
    before = start
    for number in range(1, iterations + 1):
        state_now = advance(before)
        if number in seen.grid:
            now = flat(state_now)
            rest.append(to_limit(now, ends, new.limits).cpu())
            step.append(distance(flat(before), now, length).cpu())
            points.append(now[: CLOSELY - len(seen.paths), coordinates].cpu())
        before = state_now
    new.rest, new.step = [torch.stack(rest)], [torch.stack(step)]
    new.paths = list(torch.stack(points, 1))
    return new


def _watch_limits(
    session: Session, batch: Batch, state: State, advance: Callable[[State], State], new: Trace
) -> None:
    """Go on from the last state, to see what it ends in and whether the answer stays."""

    def answer(now: State) -> Tensor:
        return session.task.predict(session.model.readout(now).float(), batch).reshape(n, -1)

    n = len(batch)
    last = answer(state)
    stays = torch.ones(n, dtype=torch.bool, device=last.device)

    def look(now: State) -> None:
        nonlocal stays
        stays = stays & (answer(now) == last).all(1)

    logits = session.model.readout(state).float()
    new.solved = session.task.correct(logits, batch).tolist()
    returned, steps = watch(state, advance, look)
    new.same_answer = int(stays.sum())
    new.limits = limits(returned, steps)
    gone = zip(new.limits, returned[-1].tolist(), strict=True)
    new.moved = [far for limit, far in gone if limit.kind == "drift"]


def probe(
    session: Session, difficulty: Difficulty, *, count: int, seed: int, budget: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(facts, tensors) about test problems 0..count-1 of one difficulty, with up to `budget`
    iterations.

    facts are numbers for the record; what a network has not is absent, and `not_applicable` says
    why. tensors: `activity`, uint8 [shown, filters], each filter's as a share of its peak;
    `receptive`, uint8 [iterations, *S].
    """
    model, task = session.model, session.task
    most = iterations_to_run(model, budget)
    seen = Trace(recorded_iterations(most, model.train_iterations))
    recurrent = model.max_iterations is None
    if recurrent:
        metered = {*seen.grid, *range(1, min(model.train_iterations, most) + 1)}
        seen.meters = {number: FilterMeter() for number in metered}
    facts: dict[str, Any] = {
        "test_task": task.spec.name,
        "test_difficulty": task.spec.level(difficulty),
        "n": count,
        "iterations": most,
        "train_iterations": model.train_iterations,
        "ends": not recurrent,
        "not_applicable": {},
    }
    tensors: dict[str, Tensor] = {}
    if recurrent or most > 1:
        slices = session.slices(difficulty, count)
        for _, new in session.each(
            lambda batch, indices: trace(session, seen, most, batch), difficulty, slices, seed=seed
        ):
            seen.add(new)
        facts |= _of_trace(seen)
    else:
        facts["not_applicable"]["states"] = NO_STATES
    if recurrent:
        activity = activity_of(seen.meters, count)
        facts["filters"] = reuse(activity, model.train_iterations)
        facts["filters"]["shown"] = activity.iterations
        tensors["activity"] = _shares(activity.amount)
    else:
        facts["not_applicable"]["filters"] = NOT_REUSED
    some = task.sample(difficulty, min(count, CLOSELY), seed=seed, split="test").to(session.device)
    with session.running(gradients=True):
        fields, maps = _receptive(model, some, most, task.spec.dense)
    if fields and maps is not None:
        facts["receptive"], tensors["receptive"] = fields, maps
    else:
        small = some.inputs[0, 0].numel() <= MOST_KEPT
        facts["not_applicable"]["receptive"] = NO_SITES if small else TOO_LARGE
    return facts, tensors


def _of_trace(seen: Trace) -> dict[str, Any]:
    facts: dict[str, Any] = {"grid": seen.grid}
    for name in ("rest", "step"):
        values = torch.cat(getattr(seen, name), 1).double()
        quartiles = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75]).double(), dim=1)
        facts[name] = {
            part: [_finite(v) for v in row.tolist()]
            for part, row in zip(("low", "median", "high"), quartiles, strict=True)
        }
    kinds = Counter(limit.kind for limit in seen.limits)
    if "ends" not in kinds:
        periods = Counter(limit.period for limit in seen.limits if limit.period > 1)
        facts["limits"] = {kind: kinds[kind] for kind in KINDS}
        facts["periods"] = {str(period): periods[period] for period in sorted(periods)}
        facts["same_answer"] = seen.same_answer
        right = zip(seen.limits, seen.solved, strict=True)
        solved = Counter(limit.kind for limit, is_solved in right if is_solved)
        facts["solved"] = {kind: solved[kind] for kind in KINDS}
        if seen.moved:
            facts["drift_distance"] = _finite(float(torch.tensor(seen.moved).median()))
    decomposed = [made for made in map(components, seen.paths) if made is not None]
    if decomposed:
        longest = max(len(explained) for explained, _ in decomposed)
        explained = [e + [0.0] * (longest - len(e)) for e, _ in decomposed]
        facts["components"] = {
            "n": len(decomposed),
            "explained": torch.tensor(explained).mean(0).tolist(),
            "path": [[round(v, 4) for v in row] for row in decomposed[0][1].tolist()],
        }
    return facts


def _receptive(
    model: Paradigm, some: Batch, most: int, dense: bool
) -> tuple[dict[str, Any] | None, Tensor | None]:
    """Radii by iteration, the median over problems, and the fields of the first problem."""
    wanted = {2**i for i in range(most.bit_length())} | {min(model.train_iterations, most), most}
    radii: dict[int, list[float]] = {}
    whole, maps, shown = [], [], []
    for i in range(len(some)):
        one = some[i : i + 1]
        mask = None if one.mask is None else one.mask[0]
        fields = receptive_fields(model, one.inputs, sorted(wanted), dense=dense, mask=mask)
        for number, (values, centre) in fields.items():
            size = radius(values, centre)
            if size is not None:
                radii.setdefault(number, []).append(size)
            if i == 0:
                shown.append(number)
                maps.append(_shares(values[None].flatten(1).T).reshape(values.shape))
                whole.append(uniform_radius(tuple(values.shape), centre))
    if not radii:
        return None, None
    facts = {
        "iterations": sorted(radii),
        "n": [len(radii[i]) for i in sorted(radii)],
        "radius": [float(torch.tensor(radii[i]).median()) for i in sorted(radii)],
        "uniform": whole[0],
        "shown": shown,
    }
    return facts, torch.stack(maps)


def _shares(values: Tensor) -> Tensor:
    """uint8: non-negative values [rows, columns] as a share of the largest of their column,
    0..255."""
    values = values.nan_to_num(0)
    return (values / values.amax(0).clamp_min(1e-30) * 255).round().to(torch.uint8)


def _finite(value: float) -> float | None:
    return value if abs(value) < 1e30 else None


def probe_run(
    session: Session,
    evaluation: EvaluationSpec,
    folder: RunFolder,
    report: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """The facts of `probe` at every test difficulty, for as many problems as are asked for, by one
    process, and of the probes from outside under "own"; the tensors go to the run's folder under
    `LEVEL.NAME`. Nothing where none are asked for."""
    every: list[dict[str, Any]] = []
    stored: dict[str, Tensor] = {}
    for difficulty in evaluation.difficulties if evaluation.inside else ():
        report({"probing": f"{session.task.spec.difficulty_label} {difficulty}"})
        facts, tensors = probe(
            session,
            difficulty,
            count=evaluation.inside,
            seed=evaluation.seed,
            budget=evaluation.iterations,
        )
        asked = (session, difficulty, evaluation.inside, evaluation.seed, evaluation.iterations)
        if evaluation.probes:
            facts["own"] = {name: PROBES.load(name)(*asked) for name in evaluation.probes}
        every.append(facts)
        stored |= {f"{facts['test_difficulty']}.{name}": t for name, t in tensors.items()}
    if stored:
        folder.save(folder.inside_path, stored)
    return every
