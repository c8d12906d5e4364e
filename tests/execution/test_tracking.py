"""Curves of a run in whatever tracker Accelerate knows."""

from __future__ import annotations

import pytest
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

from comparisons.cli import main
from comparisons.execution import tracking
from comparisons.execution.run import execute
from comparisons.execution.tracking import check_tracker
from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder


class Notebook(GeneralTracker):
    """Writes down what it is told."""

    name = "notebook"
    requires_logging_directory = False

    def __init__(self):
        super().__init__()
        self.config, self.values, self.finished = {}, [], False

    @property
    def tracker(self):
        return self

    def start(self):
        pass

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None, **_):
        self.values.append((step, values))

    def finish(self):
        self.finished = True


def test_a_run_is_tracked_from_its_first_loss_to_its_last_validation(tmp_path):
    chosen = {("train", "steps"): 60, ("train", "batch_size"): 4, ("train", "validate_every"): 30}
    chosen |= {("train", "validation_samples"): 8, ("evaluation", "samples"): 8}
    spec = make_spec("prefix_sums", "dt_net_recall", "smoke", 0, 50, chosen)
    book = Notebook()
    execute(spec, RunFolder(tmp_path, spec), Accelerator(cpu=True, log_with=book), lambda _: None)
    assert book.config["paradigm"] == "dt_net_recall"
    assert [s for s, v in book.values if "train/loss" in v] == [50, 60]
    assert [s for s, v in book.values if "validation/accuracy" in v] == [30, 60]
    assert book.finished


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
