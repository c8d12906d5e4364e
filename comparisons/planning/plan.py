"""From what was asked to the list of runs, checked before anything is trained or written."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from comparisons.planning.presets import PRESETS
from foundations.errors import Unsuitable, unknown_name
from foundations.records.spec import EvaluationSpec, RunSpec, TrainSpec

if TYPE_CHECKING:
    from paradigms.base import Paradigm
    from tasks.base import Difficulty, Task


@dataclass(frozen=True)
class Request:
    """What the user asked for. None: the preset's choice. settings: the values of --set, in order.
    transfer: pairs of tasks, trained on the first and tested on the second as well. match: see
    `match.MATCHES`; the first paradigm is the reference."""

    tasks: tuple[str, ...]
    paradigms: tuple[str, ...]
    preset: str = "quick"
    seeds: tuple[int, ...] | None = None
    train_samples: tuple[int, ...] | None = None
    settings: tuple[str, ...] = ()
    transfer: tuple[tuple[str, str], ...] = ()
    match: str = "samples"


@dataclass(frozen=True)
class Plan:
    """runs, a line for each pair of task and paradigm left out because it makes no sense, and one
    for each that was made equal to the reference."""

    runs: tuple[RunSpec, ...]
    skipped: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()


def parse_value(text: str) -> Any:
    """A number, a truth value, nothing (None or null), or the words themselves; "none" is a word,
    for options that have it as a choice."""
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered == "null" or text.strip() == "None":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()


def parse_setting(setting: str) -> tuple[str, str, list[Any]]:
    """`GROUP.FIELD=V1,V2` as (group, field, values); ValueError says what form is wanted."""
    key, equals, text = setting.partition("=")
    group, dot, name = key.strip().rpartition(".")
    if not (equals and dot and group and name and text.strip()):
        raise ValueError(
            f"--set {setting!r} is not of the form KEY=VALUE with KEY one of task.OPTION,"
            " paradigm.OPTION, train.FIELD, evaluation.FIELD or PARADIGM.OPTION"
        )
    return group, name, [parse_value(v) for v in text.split(",")]


_LISTS = {("evaluation", name) for name in ("difficulties", "exit_rules", "blows")}
_ALIASES = {("task", "test_difficulties"): ("evaluation", "difficulties")}


def _choices(settings: Sequence[str], paradigms: Sequence[str]) -> list[dict[tuple[str, str], Any]]:
    """Every combination of the values of the settings: several values of one key are several
    runs."""
    values: dict[tuple[str, str], list[Any]] = {}
    groups = ["task", "paradigm", "train", "evaluation", "transfer", *paradigms]
    for setting in settings:
        group, name, given = parse_setting(setting)
        key = _ALIASES.get((group, name), (group, name))
        if key[0] not in groups:
            raise unknown_name("group in --set", group, groups)
        if key in values:
            raise ValueError(f"--set {group}.{name} is given twice")
        values[key] = [tuple(given)] if key in _LISTS else given
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


def _checked(kind: str, cls: type, values: Mapping[str, Any]) -> Any:
    """A TrainSpec or EvaluationSpec from loose values; ValueError for unknown fields or wrong
    types."""
    known = {f.name: f for f in fields(cls) if f.default is not MISSING}
    clean = {}
    for name, value in values.items():
        if name not in known:
            raise unknown_name(f"{kind} field", name, known)
        default = known[name].default
        wanted = type(default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise ValueError(f"{kind}.{name} must be of type {wanted.__name__}, not {value!r}")
        clean[name] = value
    return cls(**clean)


_AT_LEAST = {
    ("train", "steps"): 1,
    ("train", "easiest_steps"): 0,
    ("train", "batch_size"): 1,
    ("train", "validate_every"): 1,
    ("train", "validation_samples"): 1,
    ("train", "patience"): 0,
    ("train", "warmup_steps"): 0,
    ("train", "learning_rate"): 0,
    ("train", "recurrent_lr_scale"): 0,
    ("train", "weight_decay"): 0,
    ("train", "clip"): 0,
    ("evaluation", "samples"): 1,
    ("evaluation", "iterations"): 1,
    ("evaluation", "seed"): 0,
    ("evaluation", "pictures"): 0,
    ("evaluation", "inside"): 0,
}
#: Beyond these a number is a slip of the hand: nothing would end, or fit any memory.
_AT_MOST = {
    ("train", "batch_size"): 10**6,
    ("train", "validation_samples"): 10**7,
    ("evaluation", "samples"): 10**7,
    ("evaluation", "iterations"): 10**6,
    ("evaluation", "pictures"): 1000,
}
_MOST = 10**9
_SHARES = (("train", "alpha"), ("train", "label_smoothing"), ("train", "average"))


def _check_ranges(spec: RunSpec) -> None:
    from comparisons.hardware import PRECISIONS, check_precision, expected_device
    from comparisons.probes.perturbations import check_perturbation
    from comparisons.testing.exits import make_exit_rule
    from comparisons.training.compiling import check_compiler
    from comparisons.training.objectives import SCHEDULES
    from comparisons.training.optimizers import OPTIMIZERS

    for (group, name), least in _AT_LEAST.items():
        value = getattr(getattr(spec, group), name)
        if not value >= least or value == float("inf"):
            raise ValueError(f"{group}.{name} must be at least {least} and finite, not {value}")
        most = _AT_MOST.get((group, name), _MOST)
        if value > most:
            raise ValueError(f"{group}.{name} must be at most {most:,}, not {value}")
    for group, name in _SHARES:
        value = getattr(getattr(spec, group), name)
        if not 0 <= value <= 1:
            raise ValueError(f"{group}.{name} must be from 0 to 1, not {value}")
    if spec.train.average == 1:
        raise ValueError("train.average must be below 1: at 1 the average never moves")
    named = (
        ("precision", spec.train.precision, PRECISIONS),
        ("schedule", spec.train.schedule, SCHEDULES),
        ("optimizer", spec.train.optimizer, OPTIMIZERS),
    )
    for kind, value, known in named:
        if value not in known:
            raise unknown_name(kind, value, known)
    device = expected_device()
    check_precision(spec.train.precision, device)
    if spec.train.compile:
        check_compiler(device)
    for rule in spec.evaluation.exit_rules:
        make_exit_rule(rule, 1)
    for blow in spec.evaluation.blows:
        check_perturbation(blow)
    if spec.seed < 0 or spec.data_seed < 0:
        raise ValueError("seeds must be at least 0")


def _merged(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer or {}
    return merged


def _in_group(chosen: Mapping[tuple[str, str], Any], group: str) -> dict[str, Any]:
    """The chosen values of one group of settings, by name."""
    return {name: value for (g, name), value in chosen.items() if g == group}


def _task_asked(
    task_name: str, preset: str, chosen: Mapping[tuple[str, str], Any]
) -> tuple[Task, dict[str, Any], Difficulty]:
    """The task with the preset's options and those asked for, these options, and what to train
    on."""
    from tasks import load_task, task_class

    of_task = task_class(task_name).presets.get(preset, {})
    asked = _in_group(chosen, "task")
    difficulty = asked.pop("difficulty", of_task.get("train_difficulty"))
    options = _merged(of_task.get("options"), asked)
    task = load_task(task_name, **options)
    return task, options, task.spec.train_difficulty if difficulty is None else difficulty


def _other_task(
    task: Task, other: str, preset: str, options: Mapping[str, Any], samples: int
) -> dict[str, Any]:
    """The options of the task to be tested on as well; ValueError unless its problems look the
    same."""
    from tasks import load_task, task_class

    options = _merged(task_class(other).presets.get(preset, {}).get("options"), options)
    tested = load_task(other, **options)
    for name in ("in_channels", "spatial_dims", "dense", "outputs", "size"):
        mine, theirs = getattr(task.spec, name), getattr(tested.spec, name)
        if mine != theirs:
            raise ValueError(
                f"--transfer {task.spec.name}:{other} needs tasks of the same shape, but {name} is"
                f" {mine} and {theirs}"
            )
    for difficulty in transfer_difficulties(tested, preset):
        tested.check_count(difficulty, "test", samples)
    return options


def transfer_difficulties(task: Task, preset: str) -> tuple[Difficulty, ...]:
    """The difficulties of a task on which networks trained on another are tested."""
    return tuple(task.presets.get(preset, {}).get("test_difficulties", task.spec.difficulties))


_SIZE_FIELD = {"validation": ("validation_samples", 512), "test": ("samples", 1000)}


def _held(
    task: Task, difficulties: Iterable[Difficulty], split: str, values: Mapping[str, Any]
) -> int:
    """The preset's number of problems, or as many as the split holds where that is fewer."""
    name, usual = _SIZE_FIELD[split]
    held = [task.capacity(d, split) for d in difficulties]
    return min([values.get(name, usual), *(h for h in held if h)])


def make_spec(
    task_name: str,
    paradigm: str,
    preset: str,
    seed: int,
    train_samples: int,
    chosen: Mapping[tuple[str, str], Any],
    transfer: Iterable[str] = (),
) -> RunSpec:
    """One run: the preset's values, then the task's, then the paradigm's, then what was asked for.

    Loads the task and builds the network without its weights, so that what makes no sense is a
    ValueError now and not after an hour of training.
    """
    from paradigms import paradigm_recipe
    from tasks import task_class

    base = PRESETS[preset]
    of_task = task_class(task_name).presets.get(preset, {})

    def asked(group: str) -> dict[str, Any]:
        return _in_group(chosen, group)

    task, task_options, difficulty = _task_asked(task_name, preset, chosen)
    recipe = paradigm_recipe(paradigm, preset, task.spec)
    options = _merged(recipe.get("options"), asked("paradigm"), asked(paradigm))
    tested = of_task.get("test_difficulties", task.spec.difficulties)
    tests = tuple(asked("evaluation").get("difficulties", tested))
    for d in (difficulty, *tests):
        task.check_difficulty(d)
    train = _merged(base["train"], of_task.get("train"), recipe.get("train"))
    train["validation_samples"] = _held(task, (difficulty,), "validation", train)
    evaluation = _merged(base["evaluation"], of_task.get("evaluation"), recipe.get("evaluation"))
    evaluation["samples"] = _held(task, tests, "test", evaluation)
    train = _checked("train", TrainSpec, train | asked("train"))
    evaluation = _checked(
        "evaluation", EvaluationSpec, evaluation | asked("evaluation") | {"difficulties": tests}
    )
    task.check_count(difficulty, "train", train_samples)
    if train.easiest_steps:
        task.check_count(task.spec.difficulties[0], "train", train_samples)
    task.check_count(difficulty, "validation", train.validation_samples)
    for d in tests:
        task.check_count(d, "test", evaluation.samples)
    others = {
        other: _other_task(task, other, preset, asked("transfer"), evaluation.samples)
        for other in transfer
    }
    evaluation = replace(evaluation, transfer=others)
    spec = RunSpec(
        task=task_name,
        paradigm=paradigm,
        train_difficulty=difficulty,
        train_samples=train_samples,
        seed=seed,
        preset=preset,
        task_options=task_options,
        paradigm_options=options,
        train=train,
        evaluation=evaluation,
    )
    _check_ranges(spec)
    asked_for_scale = "recurrent_lr_scale" in asked("train")
    return replace(spec, train=_scaled(train, _built(spec, task), paradigm, asked_for_scale))


def _built(spec: RunSpec, task: Task) -> Paradigm:
    """The network of a run, without its weights; ValueError where its options make no sense."""
    import torch

    from paradigms import build_paradigm

    name = spec.paradigm
    try:
        with torch.device("meta"):
            return build_paradigm(name, task.spec, **spec.paradigm_options)
    except TypeError as error:
        raise ValueError(f"option of paradigm {name} of the wrong type: {error}") from error
    except RuntimeError as error:
        raise ValueError(f"no {name} can be built with these options: {error}") from error


def _scaled(train: TrainSpec, model: Paradigm, paradigm: str, asked: bool) -> TrainSpec:
    """The training of a network that may have no recurrent parameters: a rate of their own is then
    an error if it was asked for, and left out if it came with the task's preset, which is for all
    networks."""
    if train.recurrent_lr_scale == 1 or any(True for _ in model.recurrent_parameters()):
        return train
    if asked:
        raise ValueError(
            f"train.recurrent_lr_scale must be 1 for {paradigm}, which has no recurrent parameters,"
            f" not {train.recurrent_lr_scale}"
        )
    return replace(train, recurrent_lr_scale=1.0)


def _samples_held(task_name: str, preset: str, chosen: Mapping[tuple[str, str], Any]) -> list[int]:
    """The preset's numbers of training problems for a task, none above what there is."""
    from tasks import task_class

    of_task = task_class(task_name).presets.get(preset, {})
    samples = of_task.get("train_samples", PRESETS[preset]["train_samples"])
    task, _, difficulty = _task_asked(task_name, preset, chosen)
    task.check_difficulty(difficulty)
    held = task.capacity(difficulty, "train")
    return sorted({min(s, held or s) for s in samples})


def _planned(
    request: Request,
    task: str,
    seed: int,
    count: int,
    chosen: Mapping[tuple[str, str], Any],
    transfer: Iterable[str],
    paradigm: str,
    more: Mapping[tuple[str, str], Any] | None = None,
) -> RunSpec:
    """One run of a request; more: settings beside those that were asked for."""
    others = set(request.paradigms) - {paradigm}
    mine = {k: v for k, v in chosen.items() if k[0] not in others} | dict(more or {})
    return make_spec(task, paradigm, request.preset, seed, count, mine, transfer)


def make_plan(request: Request) -> Plan:
    """Every run of a study, in an order that shows each paradigm early. ValueError: one line, what
    is allowed."""
    from paradigms import check_paradigm
    from tasks import task_class

    if request.preset not in PRESETS:
        raise unknown_name("preset", request.preset, PRESETS)
    for name in request.tasks:
        task_class(name)
    for name in request.paradigms:
        check_paradigm(name)
    for source, target in request.transfer:
        task_class(target)
        if source not in request.tasks:
            raise unknown_name("task to be trained on in --transfer", source, request.tasks)
    preset = PRESETS[request.preset]
    choices = _choices(request.settings, request.paradigms)
    runs: dict[str, RunSpec] = {}
    skipped: list[str] = []
    matched: list[str] = []
    if request.match != "samples":
        from comparisons.planning.match import MATCHES, check_settings

        if request.match not in MATCHES:
            raise unknown_name("--match", request.match, MATCHES)
        for chosen in choices:
            check_settings(request.match, chosen, request.paradigms)
    for seed in request.seeds or preset["seeds"]:
        for task in request.tasks:
            transfer = [target for source, target in request.transfer if source == task]
            pairs: list[tuple[int, str, dict[tuple[str, str], Any]]] = []
            for chosen in choices:
                samples = request.train_samples or _samples_held(task, request.preset, chosen)
                pairs += [(c, p, chosen) for c in samples for p in request.paradigms]
            for count, paradigm, chosen in sorted(pairs, key=lambda pair: -pair[0]):
                try:
                    planned = partial(_planned, request, task, seed, count, chosen, transfer)
                    spec = planned(paradigm)
                    if request.match != "samples":
                        from comparisons.planning.match import matched_choice, outcome

                        reference = planned(request.paradigms[0])
                        more = matched_choice(request.match, spec, reference)
                        spec = planned(paradigm, more=more) if more else spec
                        matched.append(outcome(request.match, spec, reference))
                except Unsuitable as error:
                    skipped.append(f"{paradigm} on {task}: {error}")
                    continue
                runs[spec.run_id] = spec
    for paradigm in request.paradigms:
        if not any(spec.paradigm == paradigm for spec in runs.values()):
            raise ValueError(next(line for line in skipped if line.startswith(f"{paradigm} on ")))
    return Plan(tuple(runs.values()), tuple(dict.fromkeys(skipped)), tuple(dict.fromkeys(matched)))


def repeat_command(spec: RunSpec) -> str:
    """The command that repeats one run."""
    from tasks import task_class

    # With the task's own options: they say where its data are, without which nothing can be
    # planned.
    given = {("task", key): value for key, value in spec.task_options.items()}
    plain = make_spec(spec.task, spec.paradigm, spec.preset, spec.seed, spec.train_samples, given)
    usual = task_class(spec.task).presets.get(spec.preset, {}).get("options", {})
    parts = [
        "python compare.py",
        f"--tasks {spec.task}",
        f"--paradigms {shlex.quote(spec.paradigm)}",
    ]
    others = spec.evaluation.transfer
    parts += [f"--transfer {spec.task}:{other}" for other in others]
    parts += [
        f"--preset {spec.preset}",
        f"--seeds {spec.seed}",
        f"--train-samples {spec.train_samples}",
    ]
    pairs: list[tuple[str, Any, Any]] = [
        ("task.difficulty", spec.train_difficulty, plain.train_difficulty)
    ]
    for group, mine, theirs in (
        ("task", spec.task_options, usual),
        ("paradigm", spec.paradigm_options, plain.paradigm_options),
        ("train", vars(spec.train), vars(plain.train)),
        ("evaluation", vars(spec.evaluation), vars(plain.evaluation)),
        *(("transfer", options, {}) for options in list(others.values())[:1]),
    ):
        pairs += [(f"{group}.{key}", value, theirs.get(key)) for key, value in mine.items()]
    pairs = [pair for pair in pairs if pair[0] != "evaluation.transfer"]
    parts += [
        f"--set {shlex.quote(f'{key}={_text(value)}')}" for key, value, was in pairs if value != was
    ]
    return " ".join(parts)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def names_in(text: str | Iterable[str]) -> tuple[str, ...]:
    """Comma-separated names, repeats dropped."""
    words = text.split(",") if isinstance(text, str) else text
    return tuple(dict.fromkeys(w.strip() for w in words if w.strip()))
