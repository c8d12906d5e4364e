"""What made a run is written down; code that has come to compute something else is never taken for
it."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import paradigms
from comparisons.cli import main
from comparisons.options import parse_settings
from comparisons.planning.plan import Request, make_plan
from comparisons.provenance import fingerprint as computed
from comparisons.provenance import review as provenance
from comparisons.provenance.fingerprint import PARTS, differing, digest, fingerprint
from comparisons.provenance.review import (
    OTHER_MACHINE,
    SAME_MACHINE,
    Meaning,
    origin,
    review,
)
from comparisons.provenance.sources import source_hash, sources, sources_from
from comparisons.storage.run_folder import RunFolder
from comparisons.testing import exits
from comparisons.training import loop as training
from foundations import VERSION
from foundations.errors import USAGE
from tasks.prefix_sums import PrefixSums

NETWORK = '''
"""A network of one's own."""
from torch import nn
from paradigms.base import Paradigm, State
from {helper} import nonlinearity

class Tiny(Paradigm):
    def __init__(self, spec, width):
        super().__init__()
        self.train_iterations = 3
        self.first = nn.Conv1d(spec.in_channels, width, 3, padding=1)
        self.recurrent = nn.Conv1d(width, width, 3, padding=1)
        self.head = nn.Conv1d(width, spec.outputs, 1)

    def encode(self, x):
        return State(self.first(x))

    def advance(self, state, x):
        return State(nonlinearity(self.recurrent(state.hidden)), state.iteration + 1)

    def readout(self, state):
        return self.head(state.hidden)

def tiny(spec, *, width=4):
    return Tiny(spec, width)
'''
HELPER = "import torch\n\ndef nonlinearity(x):\n    return torch.tanh(x)\n"
ASKED = (
    "--tasks=prefix_sums",
    "--paradigms=tiny",
    "--preset=smoke",
    "--workers=1",
    "--set=train.steps=2",
    "--set=train.validation_samples=8",
    "--set=evaluation.samples=8",
    "--set=evaluation.iterations=4",
    "--set=evaluation.pictures=0",
    "--set=train.precision=fp32",
)


class Mine:
    """A network in a file of its own that can be edited, and the command that trains it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.write("my_network", NETWORK.format(helper="my_helper"))
        self.write("my_helper", HELPER)

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        for cached in (source_hash, sources_from):
            cached.cache_clear()
        for known in ("my_helper", "my_network"):
            sys.modules.pop(known, None)

    def run(self, *more: str) -> int:
        return main([*ASKED, f"--out={self.out}", *more])

    @property
    def folders(self) -> list[Path]:
        return sorted((self.out / "runs").iterdir())

    def made(self) -> dict:
        return json.loads((self.folders[0] / "made.json").read_text())

    def finished(self) -> int:
        return (self.folders[0] / "result.json").stat().st_mtime_ns


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Mine:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(paradigms.PARADIGMS, "tiny", "my_network:tiny")
    made = Mine(tmp_path)
    assert made.run() == 0
    return made


def one_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("compare.py:")]
    assert len(lines) == 1, text
    return lines[0]


def test_a_run_records_version_commit_source_and_fingerprint(mine):
    made = mine.made()
    assert made["version"] == VERSION
    assert {"my_network", "my_helper", "tasks.prefix_sums", "tasks.base"} <= set(made["sources"])
    assert {"commit", "dirty", "made", "torch", "cpu"} <= set(made)
    assert set(made["fingerprint"]) == set(PARTS)
    result = json.loads((mine.folders[0] / "result.json").read_text())
    assert result["version"] == VERSION


@pytest.mark.parametrize("edited", ["my_network", "my_helper"])
def test_changed_code_is_refused_with_what_changed_and_since_when(mine, edited, capsys):
    before = mine.finished()
    change(mine, edited)
    assert mine.run() == USAGE
    line = one_line(capsys.readouterr().err)
    assert PARTS["step"] in line
    assert edited in line
    assert mine.made()["made"][:10] in line
    assert "--again" in line
    assert "--keep" in line
    assert mine.finished() == before


def change(mine: Mine, edited: str) -> None:
    if edited == "my_helper":
        mine.write("my_helper", HELPER.replace("tanh", "relu"))
    else:
        text = NETWORK.format(helper="my_helper")
        mine.write("my_network", text.replace("State(self.first(x))", "State(2 * self.first(x))"))


def test_again_sets_the_old_folder_aside_and_trains_anew(mine, capsys):
    old = (mine.folders[0] / "model.safetensors").read_bytes()
    change(mine, "my_helper")
    assert mine.run("--again") == 0
    assert "set aside" in capsys.readouterr().err
    aside = mine.out / "set-aside" / mine.folders[0].name
    assert (aside / "model.safetensors").read_bytes() == old
    assert (aside / "made.json").exists()
    assert (mine.folders[0] / "model.safetensors").read_bytes() != old
    assert mine.run() == 0
    assert "set aside" not in capsys.readouterr().err


def test_keep_is_written_into_the_record_and_asked_for_once(mine, capsys):
    before = mine.finished()
    change(mine, "my_helper")
    assert mine.run("--keep") == 0
    kept = mine.made()["kept"]
    assert kept[0]["modules"] == ["my_helper"]
    assert any("first step" in part for part in kept[0]["changed"])
    assert mine.run() == 0
    assert mine.finished() == before
    change(mine, "my_network")
    assert mine.run() == USAGE
    capsys.readouterr()


@pytest.mark.parametrize("edit", ["comment", "rewritten", "moved"])
def test_other_source_that_computes_the_same_goes_on(mine, edit, capsys):
    before = mine.finished()
    if edit == "comment":
        mine.write("my_helper", f"# why\n{HELPER}")
    elif edit == "rewritten":
        mine.write("my_helper", HELPER.replace("torch.tanh(x)", "2 * torch.sigmoid(2 * x) - 1"))
    else:
        mine.write("another", HELPER)
        mine.write("my_network", NETWORK.format(helper="another"))
    capsys.readouterr()
    assert mine.run() == 0
    said = capsys.readouterr().err
    assert ("computes the same" in said) is (edit != "comment")
    assert mine.finished() == before
    assert mine.run() == 0
    assert "computes the same" not in capsys.readouterr().err


def test_runs_without_a_record_are_unknown_and_go_on(mine, capsys):
    (mine.folders[0] / "made.json").unlink()
    before = mine.finished()
    change(mine, "my_helper")
    capsys.readouterr()
    assert mine.run() == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "unknown" in line]
    assert line.startswith("1 run was made before")
    assert mine.finished() == before


def test_an_option_whose_meaning_changed_is_named(mine, monkeypatch, capsys):
    later = Meaning("9.0.0", "train.clip", "it clips values, not norms", lambda s: s.train.clip > 0)
    monkeypatch.setattr(provenance, "MEANINGS", (later,))
    assert mine.run() == USAGE
    line = one_line(capsys.readouterr().err)
    assert "train.clip" in line
    assert "9.0.0" in line
    assert mine.run("--keep") == 0
    assert mine.run() == 0


def test_an_option_that_a_run_does_not_use_concerns_nobody(mine, monkeypatch):
    other = Meaning("9.0.0", "train.patience", "counted in steps", lambda s: s.train.patience > 0)
    monkeypatch.setattr(provenance, "MEANINGS", (other,))
    assert mine.run() == 0


def test_an_interrupted_run_of_other_code_is_not_gone_on_with(mine, capsys):
    (mine.folders[0] / "result.json").unlink()
    change(mine, "my_network")
    assert mine.run() == USAGE
    assert "--again" in one_line(capsys.readouterr().err)
    assert mine.run("--again") == 0


def test_training_of_other_code_is_not_taken_over(mine):
    """A run that differs in its tests alone begins with the other's checkpoint, unless other code
    trained that."""
    old = mine.folders[0]
    change(mine, "my_helper")
    assert mine.run("--set=evaluation.difficulties=16") == 0
    (new,) = [folder for folder in mine.folders if folder != old]
    assert "trained_as" not in json.loads((new / "result.json").read_text())
    assert mine.run("--set=evaluation.difficulties=24") == 0
    (third,) = [folder for folder in mine.folders if folder not in (old, new)]
    assert json.loads((third / "result.json").read_text())["trained_as"] == new.name
    record = json.loads((third / "made.json").read_text())
    assert record["made"] == json.loads((new / "made.json").read_text())["made"]


# ---- the fingerprint ----


@pytest.fixture(scope="module")
def spec():
    request = Request(("prefix_sums",), ("dt_net_recall",), preset="smoke", train_samples=(100,))
    return make_plan(request).runs[0]


def test_a_fingerprint_repeats_and_leaves_random_numbers_alone(spec):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = fingerprint(spec)
    assert torch.equal(torch.rand(3), expected)
    assert differing(first, fingerprint(spec), 0.0) == ()
    assert differing(json.loads(json.dumps(first)), fingerprint(spec), 1e-7) == ()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("weights", lambda s: replace(s, seed=1)),
        ("problems", lambda s: replace(s, data_seed=1)),
        ("step", lambda s: replace(s, train=replace(s.train, label_smoothing=0.1))),
        ("step", lambda s: replace(s, train=replace(s.train, recurrent_lr_scale=0.5))),
        ("step", lambda s: replace(s, train=replace(s.train, schedule="linear"))),
        ("step", lambda s: replace(s, train=replace(s.train, alpha=0.5))),
        (
            "rules",
            lambda s: replace(s, evaluation=replace(s.evaluation, exit_rules=("agreement",))),
        ),
    ],
)
def test_a_fingerprint_sees_what_a_setting_changes(spec, part, change):
    assert part in differing(fingerprint(spec), fingerprint(change(spec)), SAME_MACHINE)


@pytest.mark.parametrize(
    ("part", "where", "name", "new"),
    [
        ("problems", PrefixSums, "make", lambda f: lambda s, d, i, *r: f(s, d, i + 1, *r)),
        ("step", PrefixSums, "loss", lambda f: lambda *a: 2 * f(*a)),
        ("step", computed, "progressive_draw", lambda f: lambda n, s, t: f(n, s + 1, t)),
        ("step", computed, "learning_rate", lambda f: lambda t, s: f(t, s) / 2),
        ("rules", exits.Agreement, "chooses", lambda f: lambda s, k: s.stop_at(~s.stopped)),
        ("rules", exits.Convergence, "tolerance", lambda f: 0.1),
    ],
)
def test_a_fingerprint_sees_what_edited_code_computes(spec, part, where, name, new, monkeypatch):
    before = fingerprint(spec)
    monkeypatch.setattr(where, name, new(getattr(where, name)))
    assert part in differing(before, fingerprint(spec), SAME_MACHINE)


def test_pruned_networks_show_what_is_pruned(monkeypatch):
    from comparisons.training import pruning

    request = Request(("prefix_sums",), ("lottery",), preset="smoke", train_samples=(100,))
    pruned = make_plan(request).runs[0]
    before = fingerprint(pruned)
    scores = pruning.snip_scores
    monkeypatch.setattr(pruning, "snip_scores", lambda *a: {k: -v for k, v in scores(*a).items()})
    assert "step" in differing(before, fingerprint(pruned), SAME_MACHINE)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.data())
def test_a_digest_sees_any_number_move(values, data):
    place = data.draw(st.integers(0, len(values) - 1))
    moved = [v + (10 + abs(v)) * (i == place) for i, v in enumerate(values)]
    assert digest(values) == digest(list(values))
    old, new = ({part: [digest(v)] for part in PARTS} for v in (values, moved))
    assert differing(old, new, 1e-9) == tuple(PARTS)


def test_the_rounding_of_another_machine_is_no_difference():
    values = torch.linspace(-1, 1, 1000, dtype=torch.float64)
    rounded = values + 1e-5 * torch.cos(torch.arange(1000))
    old, new = ({part: [digest(v)] for part in PARTS} for v in (values, rounded))
    assert differing(old, new, OTHER_MACHINE) == ()
    assert differing(old, new, 1e-9) == tuple(PARTS)


def test_comments_and_docstrings_are_not_source(tmp_path):
    files = {}
    for name, text in {
        "plain": "def f(x):\n    return x + 1\ng = f\n",
        "said": '"""Why."""\ndef f(x):\n    """Adds."""\n    # one\n    return (x\n      + 1)\n'
        'g = f\n"""Adds, too."""\n',
        "other": "def f(x):\n    return x + 2\ng = f\n",
    }.items():
        files[name] = tmp_path / f"{name}.py"
        files[name].write_text(text)
    assert source_hash(files["plain"]) == source_hash(files["said"])
    assert source_hash(files["plain"]) != source_hash(files["other"])


def test_sources_are_the_projects_own_and_those_of_a_wrapped_network():
    request = Request(("maze",), ("lottery:hgru",), preset="smoke", train_samples=(100,))
    found = sources(make_plan(request).runs[0])
    assert {
        "tasks.mazes",
        "paradigms.lottery",
        "paradigms.hgru",
        "comparisons.training.loop",
    } <= set(found)
    assert not any(name.split(".")[0] in ("torch", "numpy", "numba", "os") for name in found)


def test_a_finished_run_of_the_same_code_needs_no_fingerprint(mine, monkeypatch):
    monkeypatch.setattr(provenance, "fingerprint", None)
    spec = make_plan(
        Request(
            ("prefix_sums",),
            ("tiny",),
            preset="smoke",
            settings=parse_settings(
                option.removeprefix("--set=") for option in ASKED if option.startswith("--set")
            ),
        )
    ).runs[0]
    folder = RunFolder(mine.out, spec)
    assert folder.complete
    assert origin(spec, folder).kind == "same"
    said: list[str] = []
    review([spec], mine.out, "", said.append)
    assert said == []


def test_training_steps_of_a_refused_run_are_none(mine, monkeypatch):
    steps: list[int] = []
    monkeypatch.setattr(training, "_backward", lambda *given: steps.append(1))
    change(mine, "my_helper")
    assert mine.run() == USAGE
    assert steps == []
