"""One run from spec to stored result."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from comparisons.execution.tracking import tracked
from comparisons.hardware import autocast, device_name, package_versions
from comparisons.planning.plan import repeat_command, transfer_difficulties
from comparisons.probes.answer_frames import FRAMES, spread_over, struck_frames, thoughts
from comparisons.probes.perturbations import halves, recovery
from comparisons.probes.probe import look_inside
from comparisons.provenance.review import begin, read_record
from comparisons.storage.run_folder import RunFolder
from comparisons.testing.cost import Cost, count_cost
from comparisons.testing.early_exit import TIMED_PROBLEMS, time_stopping
from comparisons.testing.evaluation import Scores, evaluate, iterations_to_run, recorded_iterations
from comparisons.testing.exits import exit_rule_class, stopping_rules, validated_iterations
from comparisons.training.loop import Progress, train_run
from comparisons.training.pruning import Pruned, magnitude_scores, prune
from foundations.records.spec import RunSpec
from foundations.statistics import wilson_interval
from paradigms import build_paradigm
from paradigms.base import Paradigm, count_parameters
from paradigms.layers import channels_last
from paradigms.lottery import masked_layers
from tasks import load_task
from tasks.base import Difficulty, Task


@dataclass
class Trained:
    """The network to be tested, how its training went, the precision that ran, and what pruning
    did, if any."""

    tested: Paradigm
    progress: Progress
    precision: str
    pruned: Pruned | None


def build(spec: RunSpec) -> tuple[Task, Paradigm]:
    """The task of a run and its network as it starts."""
    task = load_task(spec.task, **spec.task_options)
    torch.manual_seed(spec.seed)
    return task, build_paradigm(spec.paradigm, task.spec, **spec.paradigm_options)


def trained(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
) -> Trained:
    """Prune the network if it is to be, and train it unless nothing is left of it."""
    pruned = None
    if model.pruning:
        report({"pruning": model.pruning.criterion})
        rounds = partial(trained_magnitudes, spec, task, folder, accelerator, report)
        pruned = prune(spec, task, model.to(accelerator.device), accelerator.device, rounds)
    if pruned and not pruned.connected:
        progress = Progress(status="collapsed", reason="no answer depends on the input any more")
        return Trained(model, progress, "fp32", pruned)
    with tracked(accelerator, spec):
        return Trained(*train_run(spec, task, model, folder, accelerator, report), pruned)


def execute(
    spec: RunSpec,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train, test and record one run, going on where an interrupted one stopped, or where one that
    differs in its tests alone ended. Returns its result."""
    if accelerator.is_main_process:
        folder.open()
        begin(spec, folder, device_name(accelerator.device), accelerator.num_processes)
    accelerator.wait_for_everyone()
    task, model = build(spec)
    parameters = count_parameters(model)
    cost = train_cost(spec, task, model)
    done = trained(spec, task, model, folder, accelerator, report)
    tested, progress, precision, pruned = done.tested, done.progress, done.precision, done.pruned
    facts = {
        "run_id": spec.run_id,
        "task": spec.task,
        "paradigm": spec.paradigm,
        "seed": spec.seed,
        "preset": spec.preset,
        "train_difficulty": task.spec.level(spec.train_difficulty),
        "train_samples": spec.train_samples,
        "parameters": parameters,
        "active_parameters": active_parameters(tested),
        "train_iterations": tested.train_iterations,
        "max_iterations": tested.max_iterations,
        "difficulty_name": task.spec.difficulty_label,
        "chance": task.spec.chance,
        "train_flops": trained_flops(spec, cost, progress),
        "train_seconds": round(progress.seconds, 3),
        "steps": progress.step,
        "examples_seen": progress.step * spec.train.batch_size,
        "precision": precision,
        "device": device_name(accelerator.device),
        "status": progress.status,
    }
    rows = _rows_untested(spec, task, facts)
    stop, blows, looks, tests = tested.train_iterations, [], [], Tests()
    if progress.status == "complete":
        report({"testing": "when to stop"})
        stop = stopping_iterations(spec, task, tested, accelerator, precision)
        tests = test_run(spec, task, tested, facts, stop, accelerator, report)
        rows = tests.rows
        blows = strike(spec, task, tested, accelerator, precision, report)
    if accelerator.is_main_process:
        if progress.status == "complete":
            save_examples(spec, task, tested, stop, folder, accelerator.device, precision)
            looks = look_inside(spec, task, tested, folder, accelerator.device, report)
        folder.save(folder.model_path, tested.state_dict())
        if tests.correct:
            folder.save(folder.answers_path, tests.correct)
        result = {
            **facts,
            "reason": progress.reason,
            "data_wait_share": round(progress.waited / max(progress.seconds, 1e-9), 5),
            "processes": accelerator.num_processes,
            "threads": torch.get_num_threads(),
            "versions": package_versions(),
            **({"version": made["version"]} if (made := read_record(folder)) else {}),
            "command": repeat_command(spec),
            **({"trained_as": progress.trained_as} if progress.trained_as else {}),
            **({"set_aside": folder.notes} if folder.notes else {}),
            **({"batch_parts": progress.parts} if progress.parts > 1 else {}),
            **({"test_batches_cut": tests.cut} if tests.cut else {}),
            **(pruned.facts() if pruned else {}),
            **({"recovery": blows} if blows else {}),
            **({"inside": looks} if looks else {}),
            **({"exits": tests.exits, "stopping": tests.stopping} if tests.exits else {}),
            "rows": rows,
        }
        folder.finish(result)
    accelerator.wait_for_everyone()
    return folder.result()


def trained_magnitudes(
    spec: RunSpec,
    task: Task,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
    number: int,
    model: Paradigm,
) -> dict[str, torch.Tensor]:
    """|w| of each masked layer after training for round `number` of iterative magnitude pruning.

    A round has a checkpoint and metrics of its own, so that an interrupted one goes on.
    """
    report({"round": number})
    tested, _, _ = train_run(spec, task, model, folder.of_round(number), accelerator, report)
    return magnitude_scores(masked_layers(tested))


def active_parameters(model: Paradigm) -> int:
    """Trainable weights that are not pruned away: entries of a `mask` buffer that are zero are left
    out."""
    masked = sum(int((b == 0).sum()) for n, b in model.named_buffers() if n.endswith("mask"))
    return count_parameters(model) - masked


def train_cost(spec: RunSpec, task: Task, model: Paradigm) -> Cost:
    """FLOPs of one training problem, counted on a copy so that no state of the network is
    touched."""
    one = task.sample(spec.train_difficulty, 1, seed=spec.data_seed, split="train").inputs
    return count_cost(copy.deepcopy(model), one)


def trained_flops(spec: RunSpec, cost: Cost, progress: Progress) -> float:
    """FLOPs of all training passes run so far, forward and backward."""
    steps = max(progress.step, 1)
    each = cost.training(progress.skipped_iterations / steps, progress.kept_iterations / steps)
    return each * progress.step * spec.train.batch_size


@dataclass
class Tests:
    """rows: of the table. correct: uint8 [n] by `test_task/test_difficulty/exit_rule`, 1 where a
    problem is solved, so that runs can be compared problem by problem. exits: how many problems
    each rule that stops answered at which iteration. stopping: what stopping really costs, see
    `early_exit.time_stopping`. cut: how many batches were halved because the device could not hold
    them."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    correct: dict[str, torch.Tensor] = field(default_factory=dict)
    exits: list[dict[str, Any]] = field(default_factory=list)
    stopping: list[dict[str, Any]] = field(default_factory=list)
    cut: int = 0


def test_run(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    facts: dict[str, Any],
    stop: int,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
) -> Tests:
    """Every test difficulty at every recorded iteration and by every exit rule.

    stop: iterations of the rule "validated".
    """
    tests = Tests()
    asked = spec.evaluation
    most = iterations_to_run(model, asked.iterations)
    record = recorded_iterations(most, model.train_iterations)
    rules = asked.exit_rules if model.max_iterations is None else ()
    tested = [(task, difficulty) for difficulty in asked.difficulties]
    for name, options in asked.transfer.items():
        other = load_task(name, **options)
        tested += [(other, d) for d in transfer_difficulties(other, spec.preset)]
    for task, difficulty in tested:
        report({"testing": f"{task.spec.name} {task.spec.difficulty_label} {difficulty}"})
        one = task.sample(difficulty, 1, seed=asked.seed, split="test").inputs
        cost = count_cost(model, one.to(accelerator.device))
        scores = evaluate(
            model,
            task,
            difficulty,
            split="test",
            count=asked.samples,
            seed=asked.seed,
            iterations=most,
            record=record,
            rules=rules,
            stop=stop,
            accelerator=accelerator,
            precision=facts["precision"],
        )
        tests.rows += _rows(facts, task, difficulty, scores, cost, stop)
        tests.cut += scores.cut
        where = {"test_task": task.spec.name, "test_difficulty": task.spec.level(difficulty)}
        prefix = "/".join(map(str, where.values()))
        for name, correct in scores.correct.items():
            tests.correct[f"{prefix}/{name}"] = correct.to(torch.uint8)
        stopping = stopping_rules(rules)
        for name in stopping:
            at, problems = scores.exits[name].unique(return_counts=True)
            tests.exits.append(
                {
                    **where,
                    "exit_rule": name,
                    "iterations": at.tolist(),
                    "problems": problems.tolist(),
                }
            )
        if stopping and accelerator.is_main_process:
            tests.stopping += [
                {**where, **costs}
                for costs in time_stopping(
                    model,
                    task,
                    difficulty,
                    stopping,
                    count=min(asked.samples, TIMED_PROBLEMS),
                    seed=asked.seed,
                    stop=stop,
                    most=most,
                    cost=cost,
                    device=accelerator.device,
                    precision=facts["precision"],
                )
            ]
    return tests


def strike(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    accelerator: Accelerator,
    precision: str,
    report: Callable[[dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Accuracy after each blow asked for, at every test difficulty; nothing for a network of a
    single step, which has no state half-way. A network that ends is struck half-way through its
    depth and scored at its end: its layers before that were never trained to hold an answer."""
    asked = spec.evaluation
    before, after = halves(model, asked.iterations)
    if not asked.blows or not before:
        return []
    ends = model.max_iterations is not None
    record = [after] if ends else recorded_iterations(after, model.train_iterations)
    found = []
    for difficulty in asked.difficulties:
        report({"perturbing": f"{task.spec.difficulty_label} {difficulty}"})
        curves = recovery(
            model,
            task,
            difficulty,
            blows=asked.blows,
            count=asked.samples,
            seed=asked.seed,
            before=before,
            record=record,
            accelerator=accelerator,
            precision=precision,
        )
        found += [
            {
                "test_task": task.spec.name,
                "test_difficulty": task.spec.level(difficulty),
                "blow": blow,
                "before": before,
                "ends": ends,
                "n_test": asked.samples,
                "iterations": list(curve),
                "accuracy": [tally.correct / asked.samples for tally in curve.values()],
            }
            for blow, curve in curves.items()
        ]
    return found


def stopping_iterations(
    spec: RunSpec, task: Task, model: Paradigm, accelerator: Accelerator, precision: str
) -> int:
    """The number of iterations fixed on validation problems of the trained difficulty."""
    most = iterations_to_run(model, spec.evaluation.iterations)
    if model.max_iterations is not None:
        return most  # a network that ends answers at its end
    record = recorded_iterations(most, model.train_iterations)
    count = spec.train.validation_samples
    scores = evaluate(
        model,
        task,
        spec.train_difficulty,
        split="validation",
        count=count,
        seed=spec.evaluation.seed,
        iterations=most,
        record=record,
        accelerator=accelerator,
        precision=precision,
    )
    accuracy = {i: t.correct / count for i, t in scores.fixed.items()}
    return validated_iterations(accuracy, count, harder=len(task.spec.difficulties) > 1)


def _rows(
    facts: dict[str, Any],
    task: Task,
    difficulty: Difficulty,
    scores: Scores,
    cost: Cost,
    stop: int,
) -> list[dict[str, Any]]:
    # Where the number of iterations is fixed only the answer given is read out.
    answers = [("fixed", number, tally, number, 1) for number, tally in scores.fixed.items()]
    answers += [("validated", stop, scores.fixed[stop], stop, 1)]
    for name, by_budget in scores.rules.items():
        rule = exit_rule_class(name)
        for budget, tally in by_budget.items():
            # What is chosen among all iterations is known only after the last of them.
            run = tally.iterations / scores.n if rule.stops else budget
            answers.append((name, budget, tally, run, run if rule.reads_out else 1))
    rows = []
    for rule_name, iterations, tally, run, readouts in answers:
        low, high = wilson_interval(round(tally.correct), scores.n)
        rows.append(
            {
                **facts,
                "test_task": task.spec.name,
                "chance": task.spec.chance,
                "difficulty_name": task.spec.difficulty_label,
                "test_difficulty": task.spec.level(difficulty),
                "difficulty_label": str(difficulty),
                "iterations": iterations,
                "exit_rule": rule_name,
                "exit_iterations_mean": tally.iterations / scores.n,
                "accuracy": tally.correct / scores.n,
                "element_accuracy": tally.elements / scores.n,
                "n_test": scores.n,
                "ci_low": low,
                "ci_high": high,
                "flops_per_example": cost.inference(run) + (readouts - 1) * cost.readout,
            }
        )
    return rows


def _rows_untested(spec: RunSpec, task: Task, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a test difficulty without numbers, so that the run is seen and never counted as a low
    score."""
    return [
        {
            **facts,
            "test_task": spec.task,
            "test_difficulty": task.spec.level(difficulty),
            "difficulty_label": str(difficulty),
            "iterations": facts["train_iterations"],
            "exit_rule": "fixed",
            "n_test": 0,
        }
        for difficulty in spec.evaluation.difficulties
    ]


def pictured(correct: torch.Tensor, count: int) -> torch.Tensor:
    """Which problems to show, solved ones first: half of either, and more of one where the other
    has too few.

    correct: bool [n]. int64 [min(count, n)].
    """
    solved, unsolved = correct.nonzero().flatten(), (~correct).nonzero().flatten()
    wrong = min(max(count // 2, count - len(solved)), len(unsolved))
    return torch.cat([solved[: count - wrong], unsolved[:wrong]])


@torch.inference_mode()
def save_examples(
    spec: RunSpec,
    task: Task,
    model: Paradigm,
    iterations: int,
    folder: RunFolder,
    device: torch.device,
    precision: str,
) -> None:
    """Pictures of a few solved and unsolved test problems of each difficulty, with the answers
    given."""
    tensors: dict[str, torch.Tensor] = {}
    model.eval()
    for difficulty in spec.evaluation.difficulties:
        looked_at = min(32, spec.evaluation.samples)
        batch = task.sample(difficulty, looked_at, seed=spec.evaluation.seed, split="test").to(
            device
        )
        if batch.inputs[0, 0].numel() > 100_000 or not spec.evaluation.pictures:
            continue
        with autocast(device, precision):
            logits = model(channels_last(batch.inputs), iterations=iterations).float()
        correct = task.correct(logits, batch)
        shown = pictured(correct, spec.evaluation.pictures)
        level = task.spec.level(difficulty)
        pictures = (task.picture(batch.inputs[shown].cpu()) * 255).round().to(torch.uint8)
        tensors |= {
            f"{level}.picture": pictures.permute(0, 2, 3, 1),
            f"{level}.targets": batch.targets[shown].cpu(),
            f"{level}.predictions": task.predict(logits, batch)[shown].cpu(),
            f"{level}.correct": correct[shown].cpu().to(torch.uint8),
        }
        if task.spec.dense and iterations_to_run(model, spec.evaluation.iterations) > 2:
            most = iterations_to_run(model, spec.evaluation.iterations)
            steps = spread_over(recorded_iterations(most, model.train_iterations), FRAMES)
            with autocast(device, precision):
                frames = thoughts(model, batch[shown[:1]], steps)
                struck = struck_frames(
                    model, task, difficulty, int(shown[0]), spec.evaluation, device
                )
            tensors |= {f"{level}.blow.{name}": tensor for name, tensor in struck.items()}
            tensors[f"{level}.thoughts"] = frames
            tensors[f"{level}.thought_iterations"] = torch.tensor(steps)
    metadata = {
        "dense": str(task.spec.dense).lower(),
        "spatial_dims": str(task.spec.spatial_dims),
        "iterations": str(iterations),
        "answers": json.dumps(task.spec.answers),
    }
    if tensors:
        folder.save(folder.examples_path, tensors, metadata)
