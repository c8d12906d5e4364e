"""What a person sees at the terminal: options, progress of all workers, estimates, and the table at
the end."""

from __future__ import annotations

import importlib
import io
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import ROOT
from rich.console import Console

from comparisons.cli import main
from comparisons.execution import progress
from comparisons.execution.closing import results_table
from comparisons.execution.progress import Screen
from comparisons.listing import listing
from comparisons.options import parse_settings
from comparisons.planning import estimate as estimating
from comparisons.planning.estimate import Estimate, Pace, company, estimate, load_of, wall_seconds
from comparisons.planning.plan import Request, make_plan
from comparisons.storage.leases import MARKER
from comparisons.storage.run_folder import RunFolder
from foundations import VERSION
from foundations.records.reading import collect
from paradigms import paradigm_names
from tasks import task_names

SETTINGS = (
    "train.steps=6",
    "train.alpha=0",
    "train.validate_every=6",
    "train.validation_samples=8",
    "evaluation.samples=16",
    "evaluation.iterations=8",
    "paradigm.width=8",
)
SMALL = ["--preset=smoke", "--tasks=prefix_sums", "--paradigms=dt_net_recall", "--seeds=0,1,2"]
SMALL += [f"--set={setting}" for setting in SETTINGS]


def small_plan():
    return make_plan(
        Request(
            ("prefix_sums",),
            ("dt_net_recall",),
            "smoke",
            (0, 1, 2),
            settings=parse_settings(SETTINGS),
        )
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Three small runs, done one after the other."""
    out = tmp_path_factory.mktemp("finished")
    assert main([*SMALL, "--workers=1", f"--out={out}"]) == 0
    return out


# Options.

COMMANDS = {
    "comparisons.cli": ("--task", "--tasks"),
    "reports.__main__": ("--figure", "--figures"),
    "comparisons.testing.long_horizon": ("--diff", "--difficulty"),
    "benchmarks.__main__": ("--repeat", "--repeats"),
    "benchmarks.targets": ("--seed", "--seeds"),
    "benchmarks.report_page": ("--run", "--runs"),
    "tasks.__main__": ("--diff", "--difficulty"),
    "tasks.chess_mates": ("--coun", "--count"),
}


@pytest.mark.parametrize("module", COMMANDS)
def test_a_part_of_an_option_is_refused_in_one_line_that_names_the_nearest(module, capsys):
    part, whole = COMMANDS[module]
    words = ["preview", "maze"] if module == "tasks.__main__" else []
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(module).main([*words, f"{part}=1"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"unknown option '{part}'; known: {whole}," in line


def test_what_follows_two_dashes_is_no_option(capsys):
    with pytest.raises(SystemExit):
        main(["--", "--task"])
    assert "unknown option" not in capsys.readouterr().err


def test_help_has_groups_and_examples_that_are_valid(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for title in ("what is compared:", "fair budgets:", "where it runs:", "results:", "examples:"):
        assert f"\n{title}\n" in text
    examples = text.partition("\nexamples:\n")[2].replace("\\\n", " ")
    commands = re.findall(r"^  \S.*compare\.py.*$", examples, re.M)
    assert len(commands) >= 3
    for command in commands:
        arguments = shlex.split(command.partition("compare.py")[2])
        assert main([*arguments, "--list"]) == 0


def test_there_is_one_version(compare):
    assert compare("--version").stdout.split() == ["compare.py", VERSION]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "foundations.VERSION"}
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == VERSION
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changes, re.M)[1] == VERSION


def test_every_task_and_paradigm_is_described_in_a_line():
    lines = listing().splitlines()
    assert max(map(len, lines)) <= 80
    described = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("  ")}
    for name in (*task_names(), *paradigm_names(), "timm:NAME", "lottery:NAME"):
        assert len(described[name]) > 2, name


README_COMMANDS = sorted(
    set(re.findall(r"accelerate launch[^`\n]* compare\.py", (ROOT / "README.md").read_text()))
)


@pytest.mark.parametrize("warned", [False, True])
def test_commands_of_the_readme_print_no_warnings(tmp_path, warned):
    """Those that begin with accelerate name what it warns of; without that it works as well."""
    found = [c for c in README_COMMANDS if "--num_machines" in c]
    assert len(found) == 1
    assert "accelerate launch compare.py" not in (ROOT / "README.md").read_text().replace(
        "(`accelerate launch compare.py` will do", ""
    )
    command = "accelerate launch compare.py" if warned else found[0]
    command = command.replace("--num_processes 4", "--num_processes 1").split()
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *command[2:-1]]
    environment = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*launcher, str(ROOT / "compare.py"), "--version"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.split() == ["compare.py", VERSION]
    assert bool(done.stderr) is warned


# Progress.


def screen_of(out: Path, width: int) -> tuple[Screen, io.StringIO]:
    """A screen on a terminal of that width, and what is written to it."""
    screen, written = Screen(small_plan(), out), io.StringIO()
    screen.console = Console(file=written, force_terminal=True, width=width, highlight=False)
    return screen, written


def test_runs_of_other_workers_are_counted_and_told_in_the_order_in_which_they_end(
    finished, tmp_path
):
    runs = small_plan().runs
    (tmp_path / "runs").mkdir()
    screen, written = screen_of(tmp_path, 100)
    with screen:
        for spec in (runs[2], runs[0], runs[1]):
            source = finished / "runs" / spec.run_id
            target = tmp_path / "runs" / spec.run_id
            target.mkdir()
            for name in ("spec.json", "result.json"):
                (target / name).write_text((source / name).read_text())
            screen.look()
    told = re.findall(r"\[(\d)/3\] dt_net_recall on prefix_sums.*?seed (\d)", written.getvalue())
    assert told == [("1", "2"), ("2", "0"), ("3", "1")]


def test_the_time_left_is_of_all_workers_and_follows_what_they_have_done(tmp_path):
    screen, _ = screen_of(tmp_path, 80)
    names = [spec.run_id for spec in small_plan().runs]
    screen.announce(2, 1, "cpu", Estimate({}, dict.fromkeys(names, 60.0), True))
    # Three runs, two workers: one of them has two.
    assert screen.left() == pytest.approx(120, rel=0.02)
    screen.seen[names[0]].done = True
    assert screen.left() < 70


@pytest.mark.parametrize("width", [80, 100])
def test_bars_fit_the_terminal_and_show_every_run_in_progress(tmp_path, width):
    plan = make_plan(Request(("prefix_sums",), ("feed_forward_recall",), "smoke", tuple(range(10))))
    screen = Screen(plan, tmp_path)
    screen.console = Console(file=io.StringIO(), force_terminal=True, width=width)
    names = [spec.run_id for spec in plan.runs]
    screen.announce(2, 1, "cpu", Estimate({}, dict.fromkeys(names, 3000.0), True))
    for number, name in enumerate(names):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
        entry = {"step": 10 + number, "split": "train"}
        (folder / "metrics.jsonl").write_text(json.dumps(entry) + "\n")
    screen.start(plan.runs[0])
    screen.report({"step": 30, "training loss": 0.123456, "accuracy": 0.5})
    screen.look()
    shown = io.StringIO()
    console = Console(file=shown, width=width, force_terminal=True, color_system=None)
    console.print(screen.picture())
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("0 of 10 runs done, 0:00 so far, about ")
    assert lines[0].rstrip().endswith(" left")
    assert "feed_forward_recall on prefix_sums" in lines[2]
    assert "30/60" in lines[2]
    assert "loss 0.123" in lines[2]
    assert "14/60" in lines[6]
    assert lines[-1].rstrip() == "and 2 more in progress"


def test_a_run_whose_process_was_killed_is_not_shown_as_in_progress(tmp_path):
    screen, _ = screen_of(tmp_path, 80)
    folder = RunFolder(tmp_path, screen.plan.runs[0]).path
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    screen.look()
    assert "in progress" in screen.line()
    os.utime(folder / MARKER, (time.time() - 600,) * 2)
    screen.look()
    assert "in progress" not in screen.line()


def test_elsewhere_there_is_a_line_a_minute(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.2)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    screen = Screen(small_plan(), tmp_path)
    with screen:
        time.sleep(1)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    for line in lines:
        assert re.fullmatch(r"\d\d:\d\d 0 of 3 runs done, 0 %, about .* left", line)


def test_a_piped_study_says_what_it_does_first_and_ends_with_a_table_and_the_report(
    compare, tmp_path
):
    done = compare(*SMALL, "--workers=2", "--out=found")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert said[0].startswith("plan: 3 runs; dt_net_recall on prefix_sums; 1,000 training samples;")
    assert said[1] == "results folder: found"
    assert said[2].startswith("workers: 2 on ")
    assert said[3].startswith("estimate: ")
    assert len(said) == 4
    lines = done.stdout.splitlines()
    assert lines[-1] == "report: found/report.html"
    assert "prefix_sums: accuracy in % with 95 % interval, means over 3 seeds" in lines
    assert max(map(len, lines)) <= 80
    again = compare(*SMALL, "--workers=2", "--out=found")
    assert "already there: 3 of 3 runs" in again.stderr.splitlines()
    assert again.stdout == done.stdout


# The table at the end.


def test_the_table_holds_accuracy_with_its_interval_samples_parameters_and_minutes(finished):
    table, _ = collect(finished)
    runs = [spec.run_id for spec in small_plan().runs]
    chosen = table[table["exit_rule"] == "validated"].set_index(["run_id", "test_difficulty"])
    trained = [chosen.loc[(name, 16), "accuracy"] for name in runs]
    shown = io.StringIO()
    Console(file=shown, width=80).print(results_table(table, runs))
    text = shown.getvalue()
    assert "length 16" in text
    assert "(trained)" in text
    assert "length 32" in text
    assert "(hardest)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("dt_net_recall")]
    assert row.split()[1:3] == ["1,000", f"{100 * sum(trained) / 3:.1f}"]
    assert re.search(r"\(\d+\.\d–\d+\.\d\)", row)
    assert row.split()[-2] == f"{table['parameters'].iloc[0]:,.0f}"
    one = io.StringIO()
    Console(file=one, width=80).print(results_table(table, runs[:1]))
    assert "seeds" not in one.getvalue()


def test_training_that_diverged_is_named_in_the_table(finished):
    table, _ = collect(finished)
    table = table[table["exit_rule"] == "fixed"].assign(status="diverged", accuracy=None)
    shown = io.StringIO()
    Console(file=shown, width=80).print(results_table(table, table["run_id"]))
    assert "diverged" in shown.getvalue()


# Before it: what a plan costs.


def test_a_dry_run_lists_runs_cost_and_minutes_and_trains_and_writes_nothing(
    finished, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--workers=1", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    row = next(line for line in text.splitlines() if line.startswith("prefix_sums")).split()
    assert row[1:5] == ["dt_net_recall", "1,000", "0,1,2", "6"]
    assert float(row[5]) == pytest.approx(load_of(small_plan().runs[0]).flops, rel=0.1)
    assert float(row[6]) >= 0
    assert row[7] == "no"
    assert re.search(r"to do: 3 runs of 3, \S+ FLOPs, about \d+ \w+ with 1 worker", text)
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.rglob("*"))
    assert main([*SMALL, "--workers=1", "--dry-run", f"--out={finished}"]) == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in finished.rglob("*")) == before
    text = capsys.readouterr().out
    assert "3 of 3" in text
    assert "to do: 0 runs of 3" in text


def test_a_dry_run_counts_the_tests_alone_of_what_is_trained(finished, capsys):
    words = [w.replace("evaluation.samples=16", "evaluation.samples=7") for w in SMALL]
    others = [*words, "--workers=1", "--dry-run", f"--out={finished}"]
    assert main(others) == 0
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("prefix_sums")).split()
    assert row[7] == "trained"
    (spec, *_) = small_plan().runs
    spec = replace(spec, evaluation=replace(spec.evaluation, samples=7))
    left = load_of(spec, trained=True)
    assert left.training == 0
    assert float(row[5]) == pytest.approx(left.flops, rel=0.1)
    assert left.flops < load_of(spec).testing < load_of(spec).flops
    assert "to do: 3 runs of 3" in text
    untrained = [w.replace("train.steps=6", "train.steps=7") for w in others]
    assert main(untrained) == 0
    text = capsys.readouterr().out
    assert next(line for line in text.splitlines() if line.startswith("prefix_")).endswith("no    ")


def test_a_dry_run_counts_the_trials_of_a_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--workers=1", "--dry-run", "--search=2"]) == 0
    text = capsys.readouterr().out
    assert "to do: 2 trials of 2" in text
    assert "in all: about" in text
    assert not list(tmp_path.iterdir())


def test_flops_are_those_that_training_will_have_spent(finished):
    table, _ = collect(finished)
    for spec in small_plan().runs:
        spent = table.loc[table["run_id"] == spec.run_id, "train_flops"].iloc[0]
        assert load_of(spec).training == pytest.approx(spent)


def test_estimates_are_of_the_size_of_what_training_takes(tmp_path):
    """Other processes share the cores, so within a factor of ten: a wrong unit or a step left out
    is further off."""
    settings = ("train.steps=150", "evaluation.samples=4", "evaluation.iterations=8")
    settings += ("paradigm.width=16", "paradigm.iterations=6")
    request = Request(
        ("prefix_sums",), ("feed_forward_recall",), "smoke", settings=parse_settings(settings)
    )
    (spec,) = make_plan(request).runs
    before = torch.random.get_rng_state()
    predicted = estimate([spec], torch.device("cpu"), always=True)
    assert torch.equal(torch.random.get_rng_state(), before)
    words = [f"--set={setting}" for setting in settings]
    began = time.perf_counter()
    command = ["--preset=smoke", "--tasks=prefix_sums", "--paradigms=feed_forward_recall", *words]
    assert main([*command, "--workers=1", f"--out={tmp_path}"]) == 0
    took = time.perf_counter() - began
    assert took / 10 < predicted.seconds[spec.run_id] < took * 10


def test_what_is_alike_is_measured_once_and_what_there_is_no_time_for_goes_by_flops():
    plan = make_plan(
        Request(
            ("prefix_sums",),
            ("dt_net", "dt_net_recall"),
            "smoke",
            (0, 1),
            settings=parse_settings(SETTINGS),
        )
    )
    found = estimate(plan.runs, torch.device("cpu"), always=True, budget=0.0)
    pace = {found.seconds[s.run_id] / found.flops[s.run_id] for s in plan.runs}
    assert max(pace) < 1.5 * min(pace)
    first, other = (s for s in plan.runs if s.paradigm == "dt_net")
    assert found.seconds[first.run_id] == found.seconds[other.run_id]


@pytest.mark.parametrize(("speed", "timed"), [(1e-10, 1), (1.0, 4)])
def test_of_a_plan_of_days_more_kinds_of_runs_are_timed(monkeypatch, speed, timed):
    measured = []
    clock = itertools.count()

    def measure(spec, *_):
        measured.append(spec.paradigm)
        return Pace(speed, speed, 0.0)

    monkeypatch.setattr(estimating, "measure", measure)
    monkeypatch.setattr(estimating.time, "perf_counter", lambda: float(next(clock)))
    names = ("dt_net", "dt_net_recall", "feed_forward", "feed_forward_recall")
    plan = make_plan(Request(("prefix_sums",), names, "smoke", (0, 1)))
    found = estimate(plan.runs, torch.device("cpu"), always=True, budget=2.0)
    assert len(measured) == timed
    assert all(seconds > 0 for seconds in found.seconds.values())


def test_workers_take_up_runs_one_after_the_other():
    assert wall_seconds([5, 1, 1, 1], 2) == 5
    assert wall_seconds([1, 1, 1], 2) == 2
    assert wall_seconds([1, 1, 5], 1) == 7
    assert wall_seconds([], 3) == 0


def test_the_company_of_a_measurement_ends_with_it():
    import threading

    before = threading.active_count()
    with company(2):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
