"""Long thinking: the same answers as in a study, resumable at any moment, in memory that does not
grow."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from commands import ROOT

from comparisons.planning.plan import make_spec
from comparisons.storage.run_folder import RunFolder
from comparisons.storage.tensors import save_tensors
from comparisons.testing import long_horizon as think
from comparisons.testing import session
from comparisons.testing.evaluation import evaluate
from comparisons.testing.exits import EXIT_RULES, ExitRule
from comparisons.testing.session import Session
from foundations.files import write_atomically
from paradigms import build_paradigm
from tasks import load_task


@pytest.fixture
def run(tmp_path):
    """The folder of a run whose network was never trained: what it answers does not matter here."""
    chosen = {("paradigm", "width"): 8, ("paradigm", "iterations"): 4}
    spec = make_spec("maze", "dt_net_recall", "smoke", 0, 100, chosen)
    folder = RunFolder(tmp_path, spec)
    folder.path.mkdir(parents=True)
    torch.manual_seed(1)
    model = build_paradigm(
        spec.paradigm, load_task(spec.task, **spec.task_options).spec, **spec.paradigm_options
    )
    write_atomically(folder.path / "spec.json", json.dumps(spec.to_dict()))
    save_tensors(folder.model_path, model.state_dict())
    return folder.path


def ask(run, *more: str) -> int:
    common = ["--difficulty", "7", "--count", "12", "--precision", "fp32"]
    return think.main([str(run), *common, *more])


def answers(run, asked: str) -> dict:
    """What was found; asked: the rule, the iterations and every how many are looked at."""
    return json.loads((run / "thinking" / f"7-12-{asked}-seed0-fp32.json").read_text())


class Slowing(ExitRule):
    """Reads how far the state moved, under a name that nobody knows."""

    needs_change = True

    def chooses(self, look):
        return self.stop_at(look.change < 0.4)


@pytest.mark.parametrize("rule", ["agreement", "convergence", "n_plus_2", "slowing"])
def test_answers_are_those_of_an_evaluation(run, rule, monkeypatch):
    monkeypatch.setitem(EXIT_RULES, "slowing", f"{__name__}:Slowing")
    assert ask(run, "--rule", rule, "--iterations", "30") == 0
    _, task, model = think.load_run(run)
    scores = evaluate(
        Session(model, task, torch.device("cpu")),
        7,
        split="test",
        count=12,
        seed=0,
        iterations=30,
        record=[30],
        rules=(rule,),
    )
    found = answers(run, f"{rule}-it30-look1")["answers"]
    if rule == "slowing":
        assert 1 < scores.exits[rule].max() < 30, "so that it tells something"
    assert [a["iterations"] for a in found] == scores.exits[rule].tolist()
    assert [a["correct"] for a in found] == scores.correct[rule].tolist()


@pytest.mark.parametrize("rule", ["agreement", "convergence"])
def test_interrupted_thinking_goes_on_to_the_same_answers(run, rule, monkeypatch, capsys):
    monkeypatch.setattr(session, "MOST_PROBLEMS", 6)
    more = ("--rule", rule, "--iterations", "25", "--look", "2")
    assert ask(run, *more) == 0
    whole = answers(run, f"{rule}-it25-look2")["answers"]
    for path in (run / "thinking").iterdir():
        path.unlink()

    right, calls = think.ExitRule.update, []

    def interrupted(self, look):
        right(self, look)
        calls.append(look.iteration)
        if len(calls) in (3, 7):
            raise KeyboardInterrupt

    monkeypatch.setattr(think.ExitRule, "update", interrupted)
    assert ask(run, *more) == think.INTERRUPTED
    assert "to go on: python -m comparisons.testing.long_horizon" in capsys.readouterr().err
    statuses = [ask(run, *more), ask(run, *more)]
    assert statuses[-1] == 0
    assert answers(run, f"{rule}-it25-look2")["answers"] == whole


@pytest.mark.parametrize("rule", ["agreement", "convergence"])
def test_with_tolerance_nought_the_answers_are_the_same_and_shares_are_kept(
    run, rule, monkeypatch, capsys
):
    monkeypatch.setattr(session, "MOST_PROBLEMS", 6)
    more = ("--rule", rule, "--iterations", "25", "--look", "2")
    assert ask(run, *more) == 0
    dense = answers(run, f"{rule}-it25-look2")["answers"]
    assert not any("active" in answer for answer in dense)
    right, calls = think.ExitRule.update, []

    def interrupted(self, look):
        right(self, look)
        calls.append(look.iteration)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(think.ExitRule, "update", interrupted)
    assert ask(run, *more, "--tolerance", "0") == think.INTERRUPTED
    assert ask(run, *more, "--tolerance", "0") == 0
    (path,) = (run / "thinking").glob("*-fp32-tolerance0.json")
    found = json.loads(path.read_text())
    assert found["tolerance"] == 0
    shares = [answer.pop("active") for answer in found["answers"]]
    assert found["answers"] == dense
    for each in shares:
        assert all(0 <= moving <= 1 and 0 <= active <= 1 for _, active, moving in each)
        assert [number for number, *_ in each] == sorted({number for number, *_ in each})


def test_another_question_does_not_go_on_from_an_old_state(run):
    assert ask(run, "--iterations", "20") == 0
    assert ask(run, "--iterations", "3", "--look", "3") == 0
    assert max(a["iterations"] for a in answers(run, "agreement-it3-look3")["answers"]) == 3


OTHERWISE = {
    "iterations": "--iterations=21",
    "look": "--look=2",
    "seed": "--seed=1",
    "precision": "--precision=bf16",
}


@pytest.fixture
def interrupted(monkeypatch):
    """Asks a question and interrupts it at once: status of the command."""

    def asked(run, *more: str) -> int:
        def interrupt(self, look):
            if look.iteration == 3:
                raise KeyboardInterrupt
            return right(self, look)

        right = think.ExitRule.update
        with monkeypatch.context() as patch:
            patch.setattr(think.ExitRule, "update", interrupt)
            return ask(run, "--iterations", "20", *more)

    return asked


def steps_of(monkeypatch) -> list[int]:
    """Filled, from now on, with the iterations that are computed."""
    taken, right = [], think.ExitRule.update

    def counted(self, look):
        taken.append(look.iteration)
        return right(self, look)

    monkeypatch.setattr(think.ExitRule, "update", counted)
    return taken


@pytest.mark.parametrize("field", OTHERWISE)
def test_a_second_question_leaves_what_was_found_for_the_first(
    run, field, interrupted, monkeypatch
):
    assert interrupted(run) == think.INTERRUPTED
    kept = {path: path.read_bytes() for path in (run / "thinking").iterdir()}
    assert kept
    assert ask(run, "--iterations", "20", OTHERWISE[field]) == 0
    for path, content in kept.items():
        assert path.read_bytes() == content
    taken = steps_of(monkeypatch)
    assert ask(run, "--iterations", "20") == 0
    assert taken[0] == 3, "goes on after the two iterations of the first time"
    found = [json.loads(path.read_text()) for path in (run / "thinking").glob("*.json")]
    assert len(found) == 2
    assert len({one[field] for one in found}) == 2


def test_hours_kept_under_the_name_that_files_had_are_gone_on_from(run, interrupted, monkeypatch):
    assert interrupted(run) == think.INTERRUPTED
    (path,) = (run / "thinking").glob("*.safetensors")
    older = path.with_name("7-12-agreement.safetensors")
    path.rename(older)
    content = older.read_bytes()
    taken = steps_of(monkeypatch)
    assert ask(run, "--iterations", "20", "--look", "2") == 0
    assert taken[0] == 2, "a file of that name about another question"
    del taken[:]
    assert ask(run, "--iterations", "20") == 0
    assert taken[0] == 3
    assert older.read_bytes() == content, "never overwritten"


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (("--rule", "oracle"), "agreement"),
        (("--iterations", "0"), "--iterations: '0' is not a whole number from 1"),
        (("--look", "-1"), "--look: '-1' is not a whole number from 1"),
        (("--precision", "fp8"), "bf16"),
        (("--difficulty", "8"), "odd"),
        (("--tolerance", "1"), "tolerance"),
    ],
)
def test_wrong_usage_is_one_line(run, more, names, capsys):
    try:
        status = ask(run, *more)
    except SystemExit as stopped:
        status = stopped.code
    error = capsys.readouterr().err
    assert status == 2
    assert names in error
    assert error.count("\n") == 1


def test_a_folder_without_a_run_is_named(tmp_path, capsys):
    assert think.main([str(tmp_path), "--difficulty", "9"]) == 2
    assert str(tmp_path) in capsys.readouterr().err


MEASURED = """
import resource, sys, torch
from comparisons.testing.evaluation import evaluate
from comparisons.testing.session import Session
from paradigms import build_paradigm
from tasks import load_task
torch.set_num_threads(1)
task = load_task("maze")
model = build_paradigm("dt_net_recall", task.spec, width=8, iterations=4)
most = int(sys.argv[1])
scores = evaluate(Session(model, task, torch.device("cpu")), 5, split="test", count=16, seed=0,
                  iterations=most, record=[1, most],
                  rules=("agreement", "maximum_confidence", "convergence"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, scores.fixed[most].iterations / 16)
"""


def test_five_thousand_iterations_take_no_more_memory_than_thirty():
    def memory(iterations: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(iterations)],
            capture_output=True,
            text=True,
            check=True,
        )
        kib, walked = done.stdout.split()
        assert float(walked) == iterations
        return float(kib)

    assert memory(5000) < 1.05 * memory(30)


def test_the_former_name_of_the_command_works_and_says_what_it_is_now():
    old, new = (
        subprocess.run(
            [sys.executable, "-m", name, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in ("comparisons.think", "comparisons.testing.long_horizon")
    )
    assert old.stdout == new.stdout
    assert not new.stderr
    assert old.stderr == (
        "python -m comparisons.think is now python -m comparisons.testing.long_horizon\n"
    )
