"""From what was asked to the list of runs, checked before anything is trained or written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from comparisons.planning.elsewhere import axes_named, transfer_options
from comparisons.planning.overrides import Overrides, Sweep, combinations, of_group
from comparisons.planning.presets import PRESETS, task_preset, without_budgets
from foundations.errors import Unsuitable, unknown_name
from foundations.records.spec import (
    OBJECTIVES,
    PROBES,
    EvaluationSpec,
    RunSpec,
    TrainSpec,
    check_limits,
    typed,
)

if TYPE_CHECKING:
    from paradigms.base import Paradigm
    from tasks.base import Difficulty, Task


@dataclass(frozen=True)
class Request:
    """What the user asked for. None: the preset's choice. settings: what --set says, a run for each
    value of a Sweep. transfer: pairs of tasks, trained on the first and tested on the second as
    well. match: see `match.MATCHES`; the first paradigm is the reference. recipes: settings of
    single paradigms, over all others."""

    tasks: tuple[str, ...]
    paradigms: tuple[str, ...]
    preset: str = "quick"
    seeds: tuple[int, ...] | None = None
    train_samples: tuple[int, ...] | None = None
    settings: Overrides = field(default_factory=dict)
    transfer: tuple[tuple[str, str], ...] = ()
    match: str = "samples"
    recipes: Mapping[str, Overrides] = field(default_factory=dict)

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The tasks that are trained on, and those that are tested on alone."""
        return (*self.tasks, *(target for _, target in self.transfer))


@dataclass(frozen=True)
class Plan:
    """runs, a line for each pair of task and paradigm left out because it makes no sense, and one
    for each that was made equal to the reference."""

    runs: tuple[RunSpec, ...]
    skipped: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()


def _check(spec: RunSpec) -> None:
    """ValueError for what no field says alone: what the machine has, and names that can be added
    to."""
    from comparisons.hardware import check_precision, expected_device
    from comparisons.probes.perturbations import check_perturbation
    from comparisons.testing.exits import make_exit_rule
    from comparisons.training.compiling import check_compiler

    check_limits(spec)
    device = expected_device()
    check_precision(spec.train.precision, device)
    if spec.train.compile:
        check_compiler(device)
    for rule in spec.evaluation.exit_rules:
        make_exit_rule(rule, 1)
    for name in spec.evaluation.blows:
        check_perturbation(name)
    for name in spec.evaluation.probes:
        PROBES.load(name)
    if spec.evaluation.probes and not spec.evaluation.inside:
        raise ValueError("evaluation.probes needs evaluation.inside, the problems to probe with")
    if spec.seed < 0 or spec.data_seed < 0:
        raise ValueError("seeds must be at least 0")


def _loaded_task(
    task_name: str, preset: str, values: Overrides
) -> tuple[Task, dict[str, Any], Difficulty]:
    """The task with the preset's options and those of `values`, these options, and the difficulty
    to train on."""
    from tasks import load_task

    of_task = task_preset(task_name, preset)
    options = of_group(values, "task")
    difficulty = options.pop("difficulty", of_task.get("train_difficulty"))
    options = {**of_task.get("options", {}), **options}
    task = load_task(task_name, **options)
    return task, options, task.spec.train_difficulty if difficulty is None else difficulty


def _at_most_all(count: int, task: Task, difficulties: Iterable[Difficulty], split: str) -> int:
    """So many problems, or as many as the split has where that is fewer."""
    capacities = (task.capacity(difficulty, split) for difficulty in difficulties)
    return min([count, *(capacity for capacity in capacities if capacity)])


def make_spec(
    task_name: str,
    paradigm: str,
    preset: str,
    seed: int,
    train_samples: int,
    values: Overrides,
    transfer: Iterable[str] = (),
) -> RunSpec:
    """One run: the preset's values, then the task's, then the paradigm's, then `values`.

    Loads the task and builds the network without its weights, so that what makes no sense is a
    ValueError now and not after an hour of training.
    """
    from paradigms import paradigm_recipe
    from tasks import load_task

    task, task_options, difficulty = _loaded_task(task_name, preset, values)
    of_task = task_preset(task_name, preset)
    recipe = without_budgets(paradigm_recipe(paradigm, preset, task.spec), preset)
    train: dict[str, Any] = {"validation_samples": TrainSpec.validation_samples}
    evaluation: dict[str, Any] = {"samples": EvaluationSpec.samples}
    for layer in (PRESETS[preset], of_task, recipe):
        train |= layer.get("train", {})
        evaluation |= layer.get("evaluation", {})
    usual = of_task.get("test_difficulties", task.spec.difficulties)
    tests = tuple(values.get(("evaluation", "difficulties"), usual))
    for each in (difficulty, *tests):
        task.check_difficulty(each)
    train["validation_samples"] = _at_most_all(
        train["validation_samples"], task, (difficulty,), "validation"
    )
    evaluation["samples"] = _at_most_all(evaluation["samples"], task, tests, "test")
    evaluation |= of_group(values, "evaluation") | {"difficulties": tests}
    axes = axes_named(task, evaluation.pop("axes", ()))
    spec = RunSpec(
        task=task_name,
        paradigm=paradigm,
        train_difficulty=difficulty,
        train_samples=train_samples,
        seed=seed,
        preset=preset,
        task_options=task_options,
        paradigm_options={**recipe.get("options", {}), **of_group(values, "paradigm", paradigm)},
        train=typed("train", TrainSpec, train | of_group(values, "train")),
        evaluation=typed("evaluation", EvaluationSpec, evaluation),
    )
    _check_counts(spec, task)
    samples, options = spec.evaluation.samples, of_group(values, "transfer")
    others = {name: transfer_options(task, name, preset, options, samples) for name in transfer}
    spec = replace(spec, evaluation=replace(spec.evaluation, transfer=others, axes=axes))
    for along in axes.values():
        _check_tests(spec, load_task(task_name, **along))
    _check(spec)
    model = _built(spec, task)  # what is wrong with it is not the objective's fault
    _check_objective(spec, task)
    asked_for_scale = ("train", "recurrent_lr_scale") in values
    return replace(spec, train=_scaled(spec, model, asked_for_scale))


def _check_objective(spec: RunSpec, task: Task) -> None:
    """ValueError for an objective from outside that gives no loss."""
    if spec.train.objective in OBJECTIVES.outside:
        from comparisons.planning.outside import try_objective

        try_objective(spec, task)


def _check_counts(spec: RunSpec, task: Task) -> None:
    """ValueError where a split has fewer problems than a run uses."""
    counts = [(spec.train_difficulty, "train", spec.train_samples)]
    if spec.train.easiest_steps:
        counts.append((task.spec.difficulties[0], "train", spec.train_samples))
    counts.append((spec.train_difficulty, "validation", spec.train.validation_samples))
    for difficulty, split, count in counts:
        task.check_count(difficulty, split, count)
    _check_tests(spec, task)


def _check_tests(spec: RunSpec, task: Task) -> None:
    """ValueError where a task has not the test problems of a run."""
    for difficulty in spec.evaluation.difficulties:
        task.check_difficulty(difficulty)
        task.check_count(difficulty, "test", spec.evaluation.samples)


def _built(spec: RunSpec, task: Task) -> Paradigm:
    """The network of a run, without its weights; ValueError where its options make no sense. One
    from outside is built whole and must answer a problem."""
    import torch

    from paradigms import PARADIGMS, build_paradigm

    name = spec.paradigm
    if name.rpartition(":")[2] in PARADIGMS.outside:
        from comparisons.planning.outside import tried

        return tried(spec, task)
    try:
        with torch.device("meta"):
            return build_paradigm(name, task.spec, **spec.paradigm_options)
    except TypeError as error:
        raise ValueError(f"option of paradigm {name} of the wrong type: {error}") from error
    except RuntimeError as error:
        raise ValueError(f"no {name} can be built with these options: {error}") from error


def _scaled(spec: RunSpec, model: Paradigm, asked_for: bool) -> TrainSpec:
    """The training of a network that may have no recurrent parameters: a rate of their own is then
    an error if it was asked for, and left out if it came with the task's preset, which is for all
    networks."""
    train = spec.train
    if train.recurrent_lr_scale == 1 or any(True for _ in model.recurrent_parameters()):
        return train
    if asked_for:
        raise ValueError(
            f"train.recurrent_lr_scale must be 1 for {spec.paradigm}, which has no recurrent"
            f" parameters, not {train.recurrent_lr_scale}"
        )
    return replace(train, recurrent_lr_scale=1.0)


def _preset_samples(task_name: str, preset: str, values: Overrides) -> list[int]:
    """The preset's numbers of training problems for a task, none above what there is."""
    counts = task_preset(task_name, preset).get("train_samples", PRESETS[preset]["train_samples"])
    task, _, difficulty = _loaded_task(task_name, preset, values)
    task.check_difficulty(difficulty)
    return sorted({_at_most_all(count, task, (difficulty,), "train") for count in counts})


def _planned(
    request: Request, task: str, paradigm: str, seed: int, count: int, values: Overrides
) -> tuple[RunSpec, str]:
    """One run of a request, and a line on how closely it was made equal to the reference ("" where
    nothing but the samples are to be equal)."""
    transfer = [target for source, target in request.transfer if source == task]

    def spec_of(name: str, more: Overrides) -> RunSpec:
        others = set(request.paradigms) - {name}
        own = {key: value for key, value in values.items() if key[0] not in others}
        own |= request.recipes.get(name, {})
        return make_spec(task, name, request.preset, seed, count, {**own, **more}, transfer)

    spec = spec_of(paradigm, {})
    if request.match == "samples":
        return spec, ""
    from comparisons.planning.match import matching, outcome

    reference = spec_of(request.paradigms[0], {})
    if more := matching(request.match, spec, reference):
        spec = spec_of(paradigm, more)
    return spec, outcome(request.match, spec, reference)


def _check_names(request: Request) -> None:
    """ValueError for a name that nothing has, the nearest first, or a setting that --match has to
    solve for."""
    from paradigms import check_paradigm
    from tasks import task_class

    if request.preset not in PRESETS:
        raise unknown_name("preset", request.preset, PRESETS)
    for name in request.tasks:
        task_class(name)
    for name in request.paradigms:
        check_paradigm(name)
    for name, recipe in request.recipes.items():
        if name not in request.paradigms:
            raise unknown_name("paradigm of a recipe", name, request.paradigms)
        for (group, option), value in recipe.items():
            if isinstance(value, Sweep):
                raise ValueError(f"{group}.{option} of a recipe must be one value, not several")
    for source, target in request.transfer:
        task_class(target)
        if source not in request.tasks:
            raise unknown_name("task to be trained on in --transfer", source, request.tasks)
    combinations(request.settings, request.paradigms)
    if request.match != "samples":
        from comparisons.planning.match import check_settings

        check_settings(request.match, request.settings, request.paradigms)


def make_plan(request: Request) -> Plan:
    """Every run of a study, in an order that shows each paradigm early. ValueError: one line, what
    is allowed."""
    _check_names(request)
    seeds = request.seeds or PRESETS[request.preset]["seeds"]
    if min(seeds) < 0:
        raise ValueError("seeds must be at least 0")
    skipped: list[str] = []
    matched: list[str] = []
    # Runs of other seeds are the same but for their seed: nothing is loaded or built for them.
    first: list[RunSpec] = []
    for task in request.tasks:
        each = [
            (count, paradigm, values)
            for values in combinations(request.settings, request.paradigms)
            for count in request.train_samples or _preset_samples(task, request.preset, values)
            for paradigm in request.paradigms
        ]
        for count, paradigm, values in sorted(each, key=lambda one: -one[0]):
            try:
                spec, line = _planned(request, task, paradigm, seeds[0], count, values)
            except Unsuitable as error:
                skipped.append(f"{paradigm} on {task}: {error}")
            else:
                first.append(spec)
                matched += [line] if line else []
    all_seeds = (replace(spec, seed=seed) for seed in seeds for spec in first)
    runs = {spec.run_id: spec for spec in all_seeds}
    for paradigm in request.paradigms:
        if not any(spec.paradigm == paradigm for spec in runs.values()):
            raise ValueError(next(line for line in skipped if line.startswith(f"{paradigm} on ")))
    return Plan(tuple(runs.values()), tuple(dict.fromkeys(skipped)), tuple(dict.fromkeys(matched)))


def names_in(text: str | Iterable[str]) -> tuple[str, ...]:
    """Comma-separated names, repeats dropped."""
    words = text.split(",") if isinstance(text, str) else text
    return tuple(dict.fromkeys(w.strip() for w in words if w.strip()))
