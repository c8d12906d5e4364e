"""One run from spec to stored result."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from comparisons.execution.examples import save_examples
from comparisons.execution.run_tests import Tests, test_run, untested_rows
from comparisons.execution.tracking import scores, tracked, untracked
from comparisons.hardware import device_name, package_versions
from comparisons.planning.repeat import repeat_command
from comparisons.probes.probe import probe_run
from comparisons.provenance.review import begin, read_record
from comparisons.storage.run_folder import RunFolder
from comparisons.testing.cost import Cost, count_cost
from comparisons.testing.session import Session
from comparisons.training.loop import Pause, Paused, Progress, never, train_run
from comparisons.training.pruning import Pruned, magnitude_scores, prune
from foundations.records.result import Result, plain
from foundations.records.spec import RunSpec
from paradigms import build_paradigm, paradigm_title
from paradigms.base import Paradigm, count_parameters
from paradigms.lottery import active_parameters, masked_layers
from tasks import load_task, task_title
from tasks.base import Task


@dataclass
class Trained:
    """The network to be tested, how its training went, the precision that ran, what pruning did, if
    any, and how the trainings went that it was pruned by."""

    tested: Paradigm
    progress: Progress
    precision: str
    pruned: Pruned | None
    earlier: tuple[Progress, ...] = ()


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
    pause: Pause = never,
) -> Trained:
    """Prune the network if it is to be, and train it unless nothing is left of it."""
    pruned = None
    earlier: list[Progress] = []
    if model.pruning:
        report({"pruning": model.pruning.criterion})
        rounds = partial(
            trained_magnitudes, spec, task, folder, accelerator, report, pause, earlier
        )
        pruned = prune(spec, task, model.to(accelerator.device), accelerator.device, rounds)
    if pruned and not pruned.connected:
        progress = Progress(status="collapsed", reason="no answer depends on the input any more")
        return Trained(model, progress, "fp32", pruned, tuple(earlier))
    own = train_run(spec, task, model, folder, accelerator, report, pause)
    return Trained(*own, pruned, tuple(earlier))


def execute(
    spec: RunSpec,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
    pause: Pause = never,
) -> Result:
    """Train, test and record one run, going on where an interrupted one stopped, or where one that
    differs in its tests alone ended. Returns its result; Paused where `pause` says so."""
    if accelerator.is_main_process:
        folder.open()
        begin(spec, folder, device_name(accelerator.device), accelerator.num_processes)
    accelerator.wait_for_everyone()
    with tracked(accelerator, spec, folder.out / "tracking"):
        _train_and_test(spec, folder, accelerator, report, pause)
    accelerator.wait_for_everyone()
    return folder.result()


def _train_and_test(
    spec: RunSpec,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
    pause: Pause,
) -> None:
    task, model = build(spec)
    done = trained(spec, task, model, folder, accelerator, report, pause)
    if pause("testing"):
        raise Paused
    record = record_of(spec, task, done, folder, accelerator)
    session = Session.of(accelerator, done.tested, task, done.precision)
    tests = Tests(rows=untested_rows(spec, task, record))
    if record.status == "complete":
        tests = test_run(spec, session, record, report)
    if accelerator.is_main_process:
        alone = session.alone()
        probed = []
        if record.status == "complete":
            save_examples(spec, alone, tests.stop, folder)
            probed = probe_run(replace(alone, precision="fp32"), spec.evaluation, folder, report)
        folder.save(folder.model_path, done.tested.state_dict())
        if tests.correct:
            folder.save(folder.answers_path, tests.correct)
        record = replace(
            record,
            set_aside=folder.notes,
            test_batches_cut=tests.cut,
            recovery=tests.recovery,
            inside=probed,
            exits=tests.exits,
            stopping=tests.stopping,
            rows=[plain(row) for row in tests.rows],
        )
        accelerator.log(scores(record), step=record.steps)
        folder.finish(record)


def record_of(
    spec: RunSpec, task: Task, done: Trained, folder: RunFolder, accelerator: Accelerator
) -> Result:
    """What there is to record of a trained run before it is tested."""
    progress, made = done.progress, read_record(folder)
    cost = train_cost(spec, task, done.tested)
    trainings = (*done.earlier, progress)
    return Result(
        run_id=spec.run_id,
        task=spec.task,
        paradigm=spec.paradigm,
        seed=spec.seed,
        preset=spec.preset,
        train_difficulty=task.spec.level(spec.train_difficulty),
        train_samples=spec.train_samples,
        parameters=count_parameters(done.tested),
        active_parameters=active_parameters(done.tested),
        train_iterations=done.tested.train_iterations,
        max_iterations=done.tested.max_iterations,
        titles={"task": task_title(spec.task), "paradigm": paradigm_title(spec.paradigm)},
        over_positions=done.tested.over_positions,
        difficulty_name=task.spec.difficulty_label,
        chance=task.spec.chance,
        train_flops=sum(trained_flops(spec, cost, one) for one in trainings),
        train_seconds=round(sum(one.seconds for one in trainings), 3),
        steps=progress.step,
        examples_seen=progress.step * spec.train.batch_size,
        precision=done.precision,
        device=device_name(accelerator.device),
        status=progress.status,
        reason=progress.reason,
        data_wait_share=round(progress.waited / max(progress.seconds, 1e-9), 5),
        processes=accelerator.num_processes,
        threads=torch.get_num_threads(),
        versions=package_versions(),
        version=made["version"] if made else "",
        command=repeat_command(spec),
        trained_as=progress.trained_as,
        batch_parts=progress.parts,
        speedups=progress.speedups,
        **(done.pruned.facts() if done.pruned else {}),
    )


def trained_magnitudes(
    spec: RunSpec,
    task: Task,
    folder: RunFolder,
    accelerator: Accelerator,
    report: Callable[[dict[str, Any]], None],
    pause: Pause,
    earlier: list[Progress],
    number: int,
    model: Paradigm,
) -> dict[str, torch.Tensor]:
    """|w| of each masked layer after training for round `number` of iterative magnitude pruning.

    A round has a checkpoint and metrics of its own, so that an interrupted one goes on. earlier:
    what each round took is added to it.
    """
    report({"round": number})
    of_round = folder.of_round(number)
    with untracked(accelerator):
        tested, progress, _ = train_run(spec, task, model, of_round, accelerator, report, pause)
    earlier.append(progress)
    return magnitude_scores(masked_layers(tested))


def train_cost(spec: RunSpec, task: Task, model: Paradigm) -> Cost:
    """FLOPs of one training problem, counted on a copy so that no state of the network is
    touched."""
    one = task.sample(spec.train_difficulty, 1, seed=spec.data_seed, split="train").inputs
    return count_cost(copy.deepcopy(model).cpu(), one)


def trained_flops(spec: RunSpec, cost: Cost, progress: Progress) -> float:
    """FLOPs of all training passes run so far, forward and backward."""
    steps = max(progress.step, 1)
    each = cost.training(
        progress.skipped_iterations / steps,
        progress.kept_iterations / steps,
        1 + progress.more_readouts / steps,
    )
    return each * progress.step * spec.train.batch_size
