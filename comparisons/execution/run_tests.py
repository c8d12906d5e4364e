"""The tests of a trained run: every difficulty, exit rule, budget and perturbation that its spec
asks for, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from comparisons.planning.elsewhere import other_tests
from comparisons.probes.perturbations import halves, recovery
from comparisons.testing.cost import Cost, count_cost
from comparisons.testing.early_exit import TIMED_PROBLEMS, time_stopping
from comparisons.testing.evaluation import (
    Scores,
    Tally,
    evaluate,
    iterations_to_run,
    recorded_iterations,
)
from comparisons.testing.exits import exit_rule_class, stopping_rules, validated_iterations
from comparisons.testing.session import Session
from foundations.records.result import Facts, Row, facts_of
from foundations.records.spec import RunSpec
from foundations.statistics import wilson_interval
from tasks import load_task
from tasks.base import Difficulty, Task


@dataclass
class Tests:
    """stop: iterations of the rule "validated". rows: of the table. correct: uint8 [n] by
    `test_task/test_difficulty/exit_rule`, 1 where a problem is solved, so that runs can be compared
    problem by problem. exits: how many problems each rule that stops answered at which iteration.
    stopping: what stopping really costs, see `early_exit.time_stopping`. recovery: accuracy after
    each perturbation. cut: how many batches were halved because the device could not hold them."""

    stop: int = 0
    rows: list[Row] = field(default_factory=list)
    correct: dict[str, torch.Tensor] = field(default_factory=dict)
    exits: list[dict[str, Any]] = field(default_factory=list)
    stopping: list[dict[str, Any]] = field(default_factory=list)
    recovery: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0


def test_run(
    spec: RunSpec, session: Session, facts: Facts, report: Callable[[dict[str, Any]], None]
) -> Tests:
    """Every test difficulty at every recorded iteration, by every exit rule and after every
    perturbation."""
    report({"testing": "when to stop"})
    tests = Tests(stopping_iterations(spec, session))
    own = session.task.spec.name
    places = [(own, session.task, d) for d in spec.evaluation.difficulties]
    for other in other_tests(spec):
        task = load_task(other.task, **other.options)
        places += [(other.label, task, d) for d in other.difficulties]
    for label, task, difficulty in places:
        report({"testing": f"{label} {task.spec.difficulty_label} {difficulty}"})
        _test_difficulty(spec, session, label, task, difficulty, facts, tests)
    for axis, options in spec.evaluation.axes.items():
        if options == spec.task_options:
            mine = [row for row in tests.rows if row.test_task == own]
            tests.rows += [replace(row, test_task=f"{own}:{axis}") for row in mine]
    tests.recovery = recover_run(spec, session, report)
    return tests


def _test_difficulty(
    spec: RunSpec,
    session: Session,
    label: str,
    task: Task,
    difficulty: Difficulty,
    facts: Facts,
    tests: Tests,
) -> None:
    """Adds to `tests` what a network does on one difficulty of a task, as of the task `label`."""
    evaluation, model = spec.evaluation, session.model
    most = iterations_to_run(model, evaluation.iterations)
    rules = evaluation.exit_rules if model.max_iterations is None else ()
    one = task.sample(difficulty, 1, seed=evaluation.seed, split="test").inputs
    cost = count_cost(model, one.to(session.device))
    here = session.on(task)
    scores = evaluate(
        here,
        difficulty,
        split="test",
        count=evaluation.samples,
        seed=evaluation.seed,
        iterations=most,
        record=recorded_iterations(most, model.train_iterations),
        rules=rules,
        stop=tests.stop,
    )
    tests.cut += scores.cut
    rows = rows_of(facts, task, difficulty, scores, cost, tests.stop)
    tests.rows += [replace(row, test_task=label) for row in rows]
    where = {"test_task": label, "test_difficulty": task.spec.level(difficulty)}
    prefix = "/".join(map(str, where.values()))
    for name, correct in scores.correct.items():
        tests.correct[f"{prefix}/{name}"] = correct.to(torch.uint8)
    stopping = stopping_rules(rules)
    timed = stopping if label == task.spec.name else ()  # what stopping costs is no other axis's
    for name in stopping:
        at, problems = (t.tolist() for t in scores.exits[name].unique(return_counts=True))
        tests.exits.append({**where, "exit_rule": name, "iterations": at, "problems": problems})
    if timed and (session.accelerator is None or session.accelerator.is_main_process):
        costs = time_stopping(
            here,
            difficulty,
            timed,
            count=min(evaluation.samples, TIMED_PROBLEMS),
            seed=evaluation.seed,
            stop=tests.stop,
            most=most,
            cost=cost,
        )
        tests.stopping += [{**where, **by_rule} for by_rule in costs]


def recover_run(
    spec: RunSpec, session: Session, report: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """Accuracy after each perturbation asked for, at every test difficulty; nothing for a network
    of a single step, which has no state half-way. A network that ends is perturbed half-way through
    its depth and scored at its end: its layers before that were never trained to hold an answer."""
    evaluation, model, task = spec.evaluation, session.model, session.task
    before, after = halves(model, evaluation.iterations)
    if not evaluation.blows or not before:
        return []
    ends = model.max_iterations is not None
    curves = []
    for difficulty in evaluation.difficulties:
        report({"perturbing": f"{task.spec.difficulty_label} {difficulty}"})
        by_name = recovery(
            session,
            difficulty,
            perturbations=evaluation.blows,
            count=evaluation.samples,
            seed=evaluation.seed,
            before=before,
            record=[after] if ends else recorded_iterations(after, model.train_iterations),
        )
        curves += [
            {
                "test_task": task.spec.name,
                "test_difficulty": task.spec.level(difficulty),
                "blow": name,
                "before": before,
                "ends": ends,
                "n_test": evaluation.samples,
                "iterations": list(curve),
                "accuracy": [tally.correct / evaluation.samples for tally in curve.values()],
            }
            for name, curve in by_name.items()
        ]
    return curves


def stopping_iterations(spec: RunSpec, session: Session) -> int:
    """The number of iterations fixed on validation problems of the trained difficulty."""
    model = session.model
    most = iterations_to_run(model, spec.evaluation.iterations)
    if model.max_iterations is not None:
        return most  # a network that ends answers at its end
    count = spec.train.validation_samples
    scores = evaluate(
        session,
        spec.train_difficulty,
        split="validation",
        count=count,
        seed=spec.evaluation.seed,
        iterations=most,
        record=recorded_iterations(most, model.train_iterations),
    )
    accuracy = {i: t.correct / count for i, t in scores.fixed.items()}
    return validated_iterations(accuracy, count, harder=len(session.task.spec.difficulties) > 1)


def rows_of(
    facts: Facts, task: Task, difficulty: Difficulty, scores: Scores, cost: Cost, stop: int
) -> list[Row]:
    """The rows of a run on one difficulty."""
    # Where the number of iterations is fixed only the answer given is read out.
    answers: list[tuple[str, int, Tally, float, float]]
    answers = [("fixed", number, tally, number, 1) for number, tally in scores.fixed.items()]
    answers += [("validated", stop, scores.fixed[stop], stop, 1)]
    for name, by_budget in scores.rules.items():
        rule = exit_rule_class(name)
        for budget, tally in by_budget.items():
            # What is chosen among all iterations is known only after the last of them.
            run = tally.iterations / scores.n if rule.stops else budget
            answers.append((name, budget, tally, run, run if rule.reads_out else 1))
    of_task = facts_of(facts) | {
        "chance": task.spec.chance,
        "difficulty_name": task.spec.difficulty_label,
        "test_task": task.spec.name,
        "test_difficulty": task.spec.level(difficulty),
        "difficulty_label": str(difficulty),
        "n_test": scores.n,
    }
    rows = []
    for rule_name, iterations, tally, run, readouts in answers:
        low, high = wilson_interval(round(tally.correct), scores.n)
        rows.append(
            Row(
                **of_task,
                iterations=iterations,
                exit_rule=rule_name,
                exit_iterations_mean=tally.iterations / scores.n,
                accuracy=tally.correct / scores.n,
                element_accuracy=tally.elements / scores.n,
                ci_low=low,
                ci_high=high,
                flops_per_example=cost.inference(run) + (readouts - 1) * cost.readout,
            )
        )
    return rows


def untested_rows(spec: RunSpec, task: Task, facts: Facts) -> list[Row]:
    """A row a test difficulty without numbers, so that the run is seen and never counted as a low
    score."""
    return [
        Row(
            **facts_of(facts),
            test_task=spec.task,
            test_difficulty=task.spec.level(difficulty),
            difficulty_label=str(difficulty),
            iterations=facts.train_iterations,
            exit_rule="fixed",
            n_test=0,
        )
        for difficulty in spec.evaluation.difficulties
    ]
