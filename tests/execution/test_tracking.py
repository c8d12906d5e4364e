"""Runs in whatever tracker Accelerate knows. The trackers' packages are stood in for, Accelerate's
own classes are not; those that are installed are used as they are."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from unittest.mock import MagicMock

import pytest
from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from comparisons.cli import main
from comparisons.execution import tracking
from comparisons.execution.run import execute
from comparisons.execution.tracking import KINDS, PROJECT, check_tracker, configuration, tracked
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.training.loop import Paused


class Notebook(GeneralTracker):
    """Writes down what it is told."""

    name = "notebook"
    requires_logging_directory = False

    def __init__(self):
        super().__init__()
        self.config, self.values, self.begun, self.finished = {}, [], 0, 0

    @property
    def tracker(self):
        return self

    def start(self):
        self.begun += 1

    def store_init_configuration(self, values):
        assert not self.config, "told once"
        self.config = values

    def log(self, values, step=None, **_):
        self.values.append((step, values))

    def finish(self):
        self.finished += 1


CHOSEN = {("train", "steps"): 60, ("train", "batch_size"): 4, ("train", "validate_every"): 30}
CHOSEN |= {("train", "validation_samples"): 8, ("evaluation", "samples"): 8}
CHOSEN |= {("evaluation", "difficulties"): (16, 24), ("evaluation", "iterations"): 12}


def small(paradigm: str = "dt_net_recall", **more):
    chosen = CHOSEN | {("paradigm", k): v for k, v in ({"width": 8} | more).items()}
    return make_spec("prefix_sums", paradigm, "smoke", 0, 50, chosen)


def run(spec, out, book, pause=lambda phase: False):
    accelerator = Accelerator(cpu=True, log_with=book)
    execute(spec, RunFolder(out, spec), accelerator, lambda _: None, pause)


def test_a_run_is_tracked_from_its_spec_to_its_test_scores(tmp_path):
    spec, book = small(), Notebook()
    run(spec, tmp_path, book)
    assert book.config == configuration(spec)
    assert [s for s, v in book.values if "train/loss" in v] == [50, 60]
    assert [s for s, v in book.values if "validation/accuracy" in v] == [30, 60]
    step, last = book.values[-1]
    assert step == 60
    rows = RunFolder(tmp_path, spec).result().rows
    for difficulty in spec.evaluation.difficulties:
        (row,) = [
            row
            for row in rows
            if row["exit_rule"] == "validated" and row["test_difficulty"] == difficulty
        ]
        assert last[f"test/prefix_sums/{difficulty}/validated"] == row["accuracy"]
    assert last["cost/parameters"] == RunFolder(tmp_path, spec).result().parameters
    assert all(isinstance(value, float) for value in last.values())
    assert book.begun == book.finished == 1


def test_the_configuration_is_the_whole_spec_on_one_level():
    config = configuration(small())
    assert config["run_id"] == small().run_id
    assert config["train.steps"] == 60
    assert config["train.compile"] is False
    assert config["evaluation.difficulties"] == "[16, 24]"
    assert all(isinstance(value, (bool, int, float, str)) for value in config.values())


def test_an_interrupted_run_is_ended_in_the_tracker_and_goes_on_there(tmp_path):
    spec, book = small(), Notebook()
    asked = iter([False] * 30)
    with pytest.raises(Paused):
        run(spec, tmp_path, book, lambda phase: next(asked, True))
    assert (book.begun, book.finished) == (1, 1)
    assert not any("cost/parameters" in v for _, v in book.values)
    run(spec, tmp_path, book)
    assert (book.begun, book.finished) == (2, 2)
    assert [s for s, v in book.values if "train/loss" in v] == [50, 60]
    assert "cost/parameters" in book.values[-1][1]


def test_rounds_of_pruning_are_no_part_of_the_curves(tmp_path):
    book = Notebook()
    run(small("lottery", criterion="imp", rounds=1, density=0.5), tmp_path, book)
    assert [s for s, v in book.values if "train/loss" in v] == [50, 60]


class Absent(Exception):
    """What a stand-in raises."""


#: The call that begins a run in a tracker, of its package; what it is begun with, and gone on with.
BEGINS = {
    "wandb": ("init", {"id": "RUN", "resume": "allow", "project": PROJECT}, {"id": "RUN"}),
    "trackio": ("init", {"name": "RUN", "resume": "allow", "project": PROJECT}, {"name": "RUN"}),
    "comet_ml": ("start", {"project_name": PROJECT}, {"project_name": PROJECT}),
    "aim": ("Run", {"experiment": PROJECT}, {"run_hash": "GIVEN"}),
    "mlflow": ("start_run", {"run_name": "RUN", "run_id": None}, {"run_id": "GIVEN"}),
    "clearml": (
        "Task.init",
        {"task_name": "RUN", "project_name": PROJECT, "reuse_last_task_id": False},
        {"reuse_last_task_id": "GIVEN", "continue_last_task": 0},
    ),
    "dvclive": ("Live", {"resume": True}, {"resume": True}),
    "swanlab": ("init", {"experiment_name": "RUN", "resume": "allow"}, {"resume": "allow"}),
}


def stand_in(name, monkeypatch):
    """A package that records what it is told, and the call of it that begins a run."""
    package = MagicMock()
    package.__version__ = "99.0"
    package.utils.validation.MAX_PARAM_VAL_LENGTH = 6000
    package.utils.validation.MAX_PARAMS_TAGS_PER_BATCH = 100
    package.search_experiments.return_value = []
    package.Task.current_task.return_value = None
    package.plots.Metric.could_log = lambda value: True
    for module, stands in ((name, package), (f"{name}.plots", package.plots)):
        monkeypatch.setitem(sys.modules, module, stands)
    begin = package
    for part in BEGINS[name][0].split("."):
        begin = getattr(begin, part)
    begun = begin.return_value
    begun.info.run_id = begun.hash = begun.id = "GIVEN"
    return package, begin


@pytest.mark.parametrize("name", sorted(set(BEGINS) & set(LOGGER_TYPE_TO_CLASS)))
def test_a_resumed_run_goes_on_in_the_same_run_of_the_tracker(name, tmp_path, monkeypatch):
    for variable in ("WANDB_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(variable, str(tmp_path))
    _, begin = stand_in(name, monkeypatch)
    spec = small()
    told = []
    kind = LOGGER_TYPE_TO_CLASS[name]
    monkeypatch.setattr(kind, "store_init_configuration", lambda self, values: told.append(values))
    accelerator = Accelerator(cpu=True, project_dir=tmp_path)
    accelerator.log_with = [name]
    for _ in range(3):
        with tracked(accelerator, spec, tmp_path):
            assert len(accelerator.trackers) == 1
            accelerator.log({"train/loss": 1.0}, step=50)
        assert accelerator.trackers == []
    first, *later = [call.kwargs for call in begin.call_args_list]
    _, fresh, known = BEGINS[name]
    named = {"RUN": spec.run_id}
    assert first.items() >= {k: named.get(v, v) for k, v in fresh.items()}.items()
    assert len(later) == 2
    for again in later:
        assert again.items() >= {k: named.get(v, v) for k, v in known.items()}.items()
    if not KINDS[name].given:
        assert first == later[0]
    assert told == [configuration(spec)], "told once"


def test_every_tracker_of_accelerate_has_a_way_to_go_on():
    assert set(KINDS) >= set(LOGGER_TYPE_TO_CLASS)
    assert set(BEGINS) | {"tensorboard"} == set(KINDS)


@pytest.mark.parametrize(("name", "length"), [("comet_ml", 32), ("swanlab", 21)])
def test_keys_are_as_long_as_a_tracker_wants_and_a_run_s_own(name, length):
    keys = [
        {"experiment_key", "id"} & set(given) and given.get("experiment_key", given.get("id"))
        for given in (KINDS[name].begin(run, tracking.Path()) for run in ("a", "b", "a"))
    ]
    assert keys[0] == keys[2] != keys[1]
    assert len(keys[0]) == length
    assert keys[0].isalnum()


def test_a_tracker_that_can_t_begin_is_left_alone_by_the_next_run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    _, begin = stand_in("wandb", monkeypatch)
    accelerator = Accelerator(cpu=True, project_dir=tmp_path)
    accelerator.log_with = ["wandb"]
    begin.side_effect = Absent
    with pytest.raises(Absent), tracked(accelerator, small(), tmp_path):
        pass
    assert accelerator.trackers == []
    begin.side_effect = None
    with tracked(accelerator, small(), tmp_path):
        assert len(accelerator.trackers) == 1
    assert begin.call_args.kwargs["id"] == small().run_id


def test_where_a_tracker_keeps_files_is_the_user_s_to_say(tmp_path, monkeypatch):
    stand_in("wandb", monkeypatch)
    accelerator = Accelerator(cpu=True, project_dir=tmp_path)
    accelerator.log_with = ["wandb"]
    monkeypatch.setenv("WANDB_DIR", "elsewhere")
    with tracked(accelerator, small(), tmp_path):
        assert tracking.os.environ["WANDB_DIR"] == "elsewhere"
    monkeypatch.delenv("WANDB_DIR")
    with tracked(accelerator, small(), tmp_path):
        assert tracking.os.environ["WANDB_DIR"] == str(tmp_path)
    monkeypatch.delenv("WANDB_DIR")


@pytest.mark.skipif(not find_spec("tensorboard"), reason="needs tensorboard")
def test_tensorboard_reads_what_an_interrupted_run_wrote(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    spec = small()
    asked = iter([False] * 30)
    for pause in (lambda phase: next(asked, True), lambda phase: False):
        accelerator = Accelerator(
            cpu=True, log_with="tensorboard", project_dir=tmp_path / "tracking"
        )
        try:
            execute(spec, RunFolder(tmp_path, spec), accelerator, lambda _: None, pause)
        except Paused:
            assert not RunFolder(tmp_path, spec).complete
    read = EventAccumulator(str(tmp_path / "tracking" / spec.run_id)).Reload()
    assert [event.step for event in read.Scalars("train/loss")] == [50, 60]
    assert [event.step for event in read.Scalars("validation/accuracy")] == [30, 60]
    assert len(read.Scalars("test/prefix_sums/16/validated")) == 1
    settings = list((tmp_path / "tracking" / spec.run_id).rglob("hparams.yml"))
    assert len(settings) == 1
    assert "train.steps: 60" in settings[0].read_text()


@pytest.mark.skipif(not find_spec("mlflow"), reason="needs mlflow")
def test_mlflow_has_one_run_for_an_interrupted_one(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    spec = small()
    asked = iter([False] * 30)
    for pause in (lambda phase: next(asked, True), lambda phase: False):
        accelerator = Accelerator(cpu=True, log_with="mlflow", project_dir=tmp_path / "tracking")
        try:
            execute(spec, RunFolder(tmp_path, spec), accelerator, lambda _: None, pause)
        except Paused:
            assert not RunFolder(tmp_path, spec).complete
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/tracking/mlflow.db")
    (experiment,) = client.search_experiments(filter_string=f"name = '{PROJECT}'")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == spec.run_id
    assert found.data.params["train.steps"] == "60"
    assert "test/prefix_sums/16/validated" in found.data.metrics


def test_a_tracker_that_is_unknown_or_not_installed_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    for name, words in (("wand", "unknown tracker 'wand'; known: wandb"), ("wandb", "pip install")):
        assert main([f"--track={name}", f"--out={tmp_path / 'out'}"]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_tracker_that_is_installed_passes(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: name == "tensorboardX")
    check_tracker("tensorboard")
    with pytest.raises(ValueError, match="pip install wandb"):
        check_tracker("wandb")
