"""Bad input: any option of any command with any value, any spec, any record. It works, or one line
says what is wrong."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import string
from dataclasses import fields
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_records import make_records

import benchmarks.__main__ as benchmarks_command
import benchmarks.targets as targets_command
import comparisons.execution.study
import comparisons.testing.long_horizon as think_command
import reports.__main__ as reports_command
import tasks.__main__ as tasks_command
from comparisons.cli import main
from comparisons.execution import search
from comparisons.options import parse_setting
from comparisons.studies import study_names
from foundations.command import writable_file
from foundations.records.spec import EvaluationSpec, RunSpec, TrainSpec
from paradigms import paradigm_names
from reports.page.page import render
from reports.read.load import NoRecords, load_records
from tasks import load_task, task_names
from tasks.chess_sources import read_file

#: Values that some parser somewhere takes for what they are not.
ODD = (
    "", " ", ",", "=", "0", "-1", "1", "2", "9", "1,2", "1,1", ",1", "1,", "1.5", "-0.0", "1e3",
    "1e400", "nan",
    "inf", "-inf", "0x10", "1_000", "٣", "²", "99999999999999999999", "-99999999999999999999",
    "true", "none",
    "None", "null", "[]", "{}", "a:b", "maze:maze", "cifar10:svhn", "../..", "/", "/dev/null", "~",
    "*", "é", "\n",
    "'; ls", "%s", "{0}", "<b>", "x" * 300, "maze", "prefix_sums", "mze", "hgru", "quick", "smoke",
    "all",
)  # fmt: skip
ODD_TEXT = st.one_of(st.sampled_from(ODD), st.text(string.printable, max_size=12))
PLAIN = ("--tasks=maze", "--preset=smoke", "--paradigms=dt_net_recall")
OPTIONS = (
    "--tasks", "--paradigms", "--preset", "--seeds", "--train-samples", "--transfer", "--match",
    "--search",
    "--study", "--set", "--data-dir", "--distribute", "--workers", "--track", "--out", "--no-such",
    "--list",
)  # fmt: skip
NAMES = {
    "task": ("difficulty", "size", "test_difficulties", "data_dir", "source", "augment", "bogus"),
    "paradigm": ("width", "iterations", "density", "criterion", "bogus"),
    "train": tuple(f.name for f in fields(TrainSpec)),
    "evaluation": tuple(f.name for f in fields(EvaluationSpec)),
    "transfer": ("size",),
    "bogus": ("bogus",),
}
KEYS = st.sampled_from([f"{group}.{name}" for group, names in NAMES.items() for name in names])
NUMBERS = st.one_of(
    st.integers(-2, 12), st.integers(0, 10**13), st.floats(allow_nan=True), st.floats(0, 1)
).map(str)
SETTINGS = st.builds("{}={}".format, KEYS, st.one_of(NUMBERS, NUMBERS, ODD_TEXT))
LISTS = st.lists(st.integers(-1, 10**6), min_size=1, max_size=3).map(
    lambda v: ",".join(map(str, v))
)
#: What is likely to be accepted, so that what lies behind the parser is reached.
LIKELY = {
    "--tasks": st.lists(st.sampled_from(task_names()), min_size=1, max_size=2).map(",".join),
    "--paradigms": (
        st.lists(
            st.sampled_from((*paradigm_names(), "timm:resnet18", "lottery:hgru")),
            min_size=1,
            max_size=2,
        ).map(",".join)
    ),
    "--preset": st.sampled_from(("smoke", "quick", "paper")),
    "--seeds": LISTS,
    "--train-samples": LISTS,
    "--transfer": st.builds("{}:{}".format, *[st.sampled_from(task_names())] * 2),
    "--match": st.sampled_from(("samples", "parameters", "flops")),
    "--search": st.integers(0, 12).map(str),
    "--study": st.sampled_from(study_names()),
    "--set": SETTINGS,
    "--data-dir": st.sampled_from((".", "/nowhere", "/dev/null")),
    "--distribute": st.sampled_from(("runs", "data")),
    "--workers": st.integers(0, 4).map(str),
    "--track": st.sampled_from(("tensorboard", "wandb", "none")),
    "--out": st.sampled_from(("here", "a/b/c", "/dev/null/x", ".")),
}


@st.composite
def command_lines(draw) -> list[str]:
    """Options with likely and with odd values, some given twice, some that contradict each
    other."""
    often = st.sampled_from(list(LIKELY))
    chosen = draw(
        st.lists(st.one_of(often, often, st.sampled_from(OPTIONS)), min_size=1, max_size=5)
    )
    line = list(PLAIN) if draw(st.booleans()) else []
    for option in chosen:
        value = draw(LIKELY.get(option, ODD_TEXT) if draw(st.integers(0, 4)) else ODD_TEXT)
        line.append(option if draw(st.integers(0, 19)) == 0 else f"{option}={value}")
    return line


def outcome(command, arguments: list[str]) -> tuple[int, str]:
    """Exit status, and what was said on standard error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = command(arguments)
        except SystemExit as stop:
            status = stop.code
    return status, said.getvalue()


def check(status: int, error: str) -> None:
    """It works, or it is one line with status 2."""
    assert status in (0, 2), error
    if status == 2:
        assert error.strip(), "status 2 and not a word"
        assert len(error.strip().splitlines()) == 1, error
        assert "Traceback" not in error


@contextlib.contextmanager
def nothing_runs(folder: Path):
    """compare.py up to where it would start to train, in a folder of its own."""
    before = os.getcwd()
    os.chdir(folder)
    done = (0, Path("report.html"))
    try:
        with (
            mock.patch.object(comparisons.execution.study, "run_study", return_value=done),
            mock.patch.object(search, "search", lambda plan, *a, **k: (plan, 0)),
        ):
            yield
    finally:
        os.chdir(before)


def any_command_line(tmp_path_factory, arguments):
    folder = tmp_path_factory.mktemp("cwd", numbered=True)
    with nothing_runs(folder):
        status, error = outcome(main, arguments)
    check(status, error)
    if status == 2:
        assert not list(folder.iterdir()), "refused, yet something was made"


QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "phases": [Phase.generate, Phase.shrink],
}


@settings(max_examples=120, **QUIET)
@given(command_lines())
def test_any_command_line_works_or_is_refused_in_one_line(tmp_path_factory, arguments):
    any_command_line(tmp_path_factory, arguments)


@pytest.mark.slow
@settings(max_examples=3000, derandomize=False, **QUIET)
@given(command_lines())
def test_many_command_lines(tmp_path_factory, arguments):
    any_command_line(tmp_path_factory, arguments)


@settings(max_examples=150, **QUIET)
@given(SETTINGS)
def test_any_setting_works_or_is_refused_in_one_line(tmp_path_factory, setting):
    any_command_line(tmp_path_factory, [*PLAIN, f"--set={setting}"])


def test_numbers_beyond_any_machine_are_refused(tmp_path_factory):
    for name in (
        "paradigm.width",
        "paradigm.iterations",
        "train.steps",
        "train.batch_size",
        "evaluation.iterations",
        "evaluation.samples",
    ):
        folder = tmp_path_factory.mktemp("cwd")
        with nothing_runs(folder):
            status, error = outcome(main, [*PLAIN, f"--set={name}=99999999999"])
        assert status == 2
        assert "must be at most" in error or "distinct" in error


def test_a_file_to_be_written_is_tried_first_and_nothing_else_is_replaced(tmp_path):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "behind")
    os.mkfifo(pipe)
    assert writable_file(str(link)) == (tmp_path / "behind").resolve()
    assert not (tmp_path / "behind").exists()
    for wrong in (str(pipe), str(tmp_path), "", str(tmp_path / "no" / "folder")):
        with pytest.raises(argparse.ArgumentTypeError, match="can't be written"):
            writable_file(wrong)


# The other commands.


@st.composite
def other_command_lines(draw, run: str, out: str):
    """(command, arguments) of everything else that can be called."""
    word = st.one_of(ODD_TEXT, st.sampled_from((run, out, "maze")))
    which = draw(st.sampled_from(("tasks", "reports", "think", "benchmarks", "targets")))
    first = {
        "tasks": ["preview", "maze", "--count=2", f"--out={out}/picture.png"],
        "reports": [out],
        "think": [run, "--difficulty=9", "--count=1", "--iterations=2"],
        "benchmarks": ["--only=no such case"],
        "targets": [],
    }[which]
    options = {
        "tasks": ("--difficulty", "--count", "--seed", "--split", "--data-dir", "--set", "--out"),
        "reports": ("--figures", "--csv"),
        "think": (
            "--difficulty",
            "--count",
            "--iterations",
            "--rule",
            "--look",
            "--seed",
            "--precision",
        ),
        "benchmarks": ("--repeats", "--only", "--threads", "--out"),
        "targets": ("--only", "--seeds", "--out"),
    }[which]
    line = list(first) if draw(st.integers(0, 3)) else draw(st.lists(word, max_size=3))
    for option in draw(st.lists(st.sampled_from((*options, "--bogus")), max_size=3)):
        line.append(f"{option}={draw(st.one_of(word, NUMBERS.filter(lambda n: len(n) < 5)))}")
    return which, line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A results folder with one finished run."""
    out = tmp_path_factory.mktemp("finished")
    small = (
        "train.steps=2",
        "evaluation.samples=4",
        "train.validation_samples=4",
        "paradigm.width=4",
    )
    assert main([*PLAIN, *(f"--set={s}" for s in small), f"--out={out}", "--workers=1"]) == 0
    return out


COMMANDS = {
    "tasks": tasks_command.main,
    "reports": reports_command.main,
    "think": think_command.main,
    "benchmarks": benchmarks_command.main,
    "targets": targets_command.main,
}


@settings(max_examples=150, **QUIET)
@given(st.data())
def test_any_use_of_the_other_commands_works_or_is_refused_in_one_line(
    finished, tmp_path_factory, data
):
    (run,) = (finished / "runs").iterdir()
    which, line = data.draw(other_command_lines(str(run), str(finished)))
    folder = tmp_path_factory.mktemp("cwd")
    with (
        nothing_runs(folder),
        mock.patch.object(targets_command, "reach", side_effect=ValueError("would run")),
        mock.patch.object(
            benchmarks_command, "roofline", return_value=benchmarks_command.Roof(1e9, 1e9)
        ),
        mock.patch.object(benchmarks_command, "convolution", return_value=[]),
        mock.patch.object(benchmarks_command, "network", return_value=[]),
        mock.patch.object(benchmarks_command, "sweep", return_value=[]),
        mock.patch.object(benchmarks_command, "generators", return_value=[]),
    ):
        try:
            status, error = outcome(COMMANDS[which], line)
        except ValueError as would:
            assert which == "targets"
            assert str(would) == "would run"
            return
    last = error.strip().splitlines()[-1:] if which in ("think", "benchmarks") else [error]
    if status == 2:
        assert last
        check(status, last[0])
        assert "Traceback" not in error
    else:
        assert status == 0, error


# Specs, settings, records, puzzles.

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ODD_TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(ODD_TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
WHOLE = RunSpec("maze", "dt_net_recall", 9, 10).to_dict()


@settings(max_examples=300, **QUIET)
@given(st.data())
def test_any_spec_is_read_as_it_is_or_refused(data):
    spec = json.loads(json.dumps(WHOLE))
    for _ in range(data.draw(st.integers(0, 3))):
        part = data.draw(st.sampled_from((spec, spec.get("train"), spec.get("evaluation"))))
        if isinstance(part, dict):
            key = data.draw(st.one_of(st.sampled_from(sorted(part) or ["x"]), ODD_TEXT))
            if data.draw(st.booleans()):
                part.pop(key, None)
            else:
                part[key] = data.draw(JSON)
    try:
        read = RunSpec.from_dict(spec)
    except ValueError as error:
        assert str(error)
    else:
        again = RunSpec.from_dict(json.loads(json.dumps(read.to_dict())))
        assert again.run_id == read.run_id
        assert set(read.run_id) <= set(string.ascii_letters + string.digits + "._-")


@given(JSON)
def test_anything_at_all_for_a_spec_is_no_traceback(value):
    with contextlib.suppress(ValueError):
        RunSpec.from_dict(value)


@given(st.text(max_size=60))
def test_any_text_for_a_setting_is_parsed_or_refused(text):
    with contextlib.suppress(ValueError):
        group, name, values = parse_setting(text)
        assert group
        assert name
        assert values


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return make_records(
        tmp_path_factory.mktemp("records"),
        ("maze",),
        ("dt_net_recall",),
        (0,),
        (1000,),
        4,
        2,
        metrics=2,
    )


FILES = ("study.json", "verdicts.json", "search.json", "results.csv", "results.parquet",
         "spec.json", "result.json",
         "metrics.jsonl", "examples.safetensors", "answers.safetensors",
         "inside.safetensors")  # fmt: skip
RESULT_PARTS = ("rows", "recovery", "inside", "exits", "stopping", "set_aside", "layer_weights",
                "status", "reason",
                "command", "kept", "run_id")  # fmt: skip


@settings(max_examples=150, **QUIET)
@given(st.data())
def test_a_report_is_made_of_any_records_whatever_their_files_hold(records, data):
    """Files replaced by noise, by JSON of another shape, or with parts of another shape; each is
    put back after."""
    (run,) = (records / "runs").iterdir()
    held = {p: p.read_bytes() for p in (*records.glob("*.*"), *run.glob("*.*"))}
    try:
        for name in data.draw(
            st.lists(st.sampled_from(FILES), min_size=1, max_size=3, unique=True)
        ):
            path = (
                run if name in {p.name for p in run.iterdir()} or "safetensors" in name else records
            ) / name
            kind = data.draw(st.sampled_from(("noise", "json", "part")))
            if kind == "noise":
                path.write_bytes(data.draw(st.binary(max_size=80)))
            elif kind == "json" or name != "result.json":
                path.write_text(json.dumps(data.draw(JSON)))
            else:
                stored = json.loads(held[path])
                part = data.draw(st.sampled_from(RESULT_PARTS))
                stored[part] = data.draw(
                    st.one_of(
                        JSON, st.lists(st.dictionaries(ODD_TEXT, JSON, max_size=4), max_size=2)
                    )
                )
                path.write_text(json.dumps(stored))
        try:
            page = render(load_records(records))
        except NoRecords as error:
            assert str(error)
        else:
            assert "<script>alert" not in page
            assert "The answer" in page
    finally:
        for path in (*records.glob("*.*"), *run.glob("*.*")):
            if path not in held:
                path.unlink()
        for path, content in held.items():
            path.write_bytes(content)


FEN = "r1bqkb1r/pppp1ppp/2n2n2/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - 4 4"
HEAD = b"PuzzleId,FEN,Moves,Rating\n"
GOOD = f"1,{FEN.replace(' w ', ' b ')},a7a6 h5f7,500\n".encode()


PACKERS = {".csv": bytes, ".csv.gz": gzip.compress, ".csv.zst": zstandard.compress}


@st.composite
def spoiled_csv(draw) -> bytes:
    """A puzzle file with bytes changed, cut out, put in or doubled, or with fields swapped for
    anything."""
    text = HEAD + GOOD * draw(st.integers(0, 3))
    if draw(st.booleans()):
        fields = [
            draw(ODD_TEXT) if draw(st.booleans()) else f for f in GOOD.decode().strip().split(",")
        ]
        text += (",".join(fields) + "\n").encode("utf-8", "replace")
    data = bytearray(text)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 6))
        data[place : place + length] = draw(st.binary(max_size=4))
    return bytes(data)


@settings(max_examples=300, **QUIET)
@given(
    spoiled_csv(),
    st.sampled_from((".csv", ".csv.gz", ".csv.zst")),
    st.booleans(),
    st.integers(0, 9),
)
def test_any_puzzle_file_is_read_or_refused_in_one_line(tmp_path_factory, data, ending, packs, cut):
    path = tmp_path_factory.mktemp("csv") / f"puzzles{ending}"
    packed = PACKERS[ending](data) if packs else data
    path.write_bytes(packed[: len(packed) - cut])
    try:
        columns, left_out = read_file(path)
    except ValueError as error:
        assert str(error)
        return
    assert len(columns["rating"]) > 0
    assert all(len(column) == len(columns["rating"]) for column in columns.values())
    assert all(isinstance(line, str) for line in left_out)


@pytest.mark.parametrize(
    "attack",
    [
        "{0.__class__}",
        "__import__('os').system('touch mark')",
        "$(touch mark)",
        "!!python/object/apply:os.system [touch mark]",
    ],
)
def test_data_files_are_data_and_run_nothing(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_bytes(
        HEAD + GOOD + attack.encode() + b"," + attack.encode() + b",e2e4,1\n"
    )
    with contextlib.suppress(ValueError):
        load_task("chess", source=str(tmp_path / "p.csv")).sample("0-100%", 1)
    images = tmp_path / "images"
    images.mkdir()
    (images / "train.parquet").write_bytes(attack.encode())
    (images / "test.parquet").write_bytes(np.random.default_rng(0).bytes(100))
    (images / "images.py").write_text("open('mark', 'w')")
    with contextlib.suppress(ValueError):
        load_task("cifar10", data_dir=str(images)).sample(1, 1)
    assert not (tmp_path / "mark").exists()
