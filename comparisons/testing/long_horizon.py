"""Problems far larger than any study's, given to a network that was trained before.

python -m comparisons.testing.long_horizon OUT/runs/RUN --difficulty 201 --count 10 --iterations
5000 [--tolerance 0.001]

Hours on a CPU for a maze of size 801: so the state is saved every minute, Ctrl-C ends it cleanly,
and the same command goes on. Memory is that of one batch and its state, whatever the number of
iterations. With a tolerance only what still changes is computed (`paradigms.sparse`).
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from comparisons.hardware import PRECISIONS, device_name, resolve_precision
from comparisons.storage.tensors import Damaged, load_checkpoint, save_checkpoint
from comparisons.testing.evaluation import recorded_iterations
from comparisons.testing.exits import (
    USUAL_RULE,
    ExitRule,
    Observation,
    make_exit_rule,
    state_change,
    stopping_rules,
)
from comparisons.testing.session import Session, Step
from comparisons.testing.trained import load_run
from foundations.command import Parser, whole_number
from foundations.errors import INTERRUPTED, USAGE, one_line, unknown_name
from foundations.files import write_atomically
from foundations.plugins import add_option, load_plugins
from foundations.statistics import wilson_interval
from paradigms.base import Paradigm, State
from paradigms.layers import channels_last
from paradigms.sparse import check_sparse
from tasks.base import Batch, Difficulty, Task

MOST = 10**9  # problems or iterations


@dataclass(frozen=True)
class Question:
    """count problems of a difficulty, answered by an exit rule after at most `iterations` steps.
    look: read the answer out at every look-th step only; the rule then compares answers that many
    steps apart. tolerance: compute only what changes by more, see `paradigms.sparse.SparseWalk`;
    None: everything."""

    difficulty: Difficulty
    count: int
    iterations: int
    rule: str
    look: int
    seed: int
    precision: str
    tolerance: float | None = None

    @property
    def name(self) -> str:
        """All of it, readably, as a file name without its suffix: another question is another
        file."""
        rest = f"it{self.iterations}-look{self.look}-seed{self.seed}-{self.precision}"
        sparse = "" if self.tolerance is None else f"-tolerance{self.tolerance:g}"
        return f"{self.older_name}-{rest}{sparse}"

    @property
    def older_name(self) -> str:
        """What files were named after once, though questions may share it."""
        return f"{self.difficulty}-{self.count}-{self.rule}"


class Answers:
    """The answers so far and, in the middle of a batch, the state to go on from, kept in a file of
    `folder`."""

    def __init__(self, folder: Path, question: Question) -> None:
        self.path, self.question = folder / f"{question.name}.safetensors", question
        self.given: list[dict[str, Any]] = []
        self.seconds = 0.0
        self.iteration = 0  # steps taken in the batch at hand
        self.tensors: dict[str, Tensor] = {}  # its state and its rule's
        # Of that batch, with a tolerance: [iteration, share computed, share changed] a problem.
        self.shares: list[list[list[float]]] = []
        # A file of the older name may be about another question; then it is left to that one.
        for path in (self.path, folder / f"{question.older_name}.safetensors"):
            stored = self._stored(path)
            if stored:
                tensors, facts = stored
                self.given, self.seconds = facts["answers"], facts["seconds"]
                self.iteration, self.tensors = facts["number"], tensors.get("batch", {})
                self.shares = facts.get("shares", [])
                break

    def _stored(self, path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
        """What a file holds of this question; None where it holds nothing. A damaged file is set
        aside."""
        try:
            stored = load_checkpoint(path)
        except Damaged as error:
            path.replace(path.with_suffix(".damaged"))
            print(f"{error}; set aside, starting anew", file=sys.stderr)
            return None
        return stored if stored and stored[1]["question"] == _plain(self.question) else None

    def save(self) -> None:
        """Whole or not at all, so that a kill at any moment leaves something to go on from."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        facts = {
            "question": _plain(self.question),
            "answers": self.given,
            "seconds": self.seconds,
            "number": self.iteration,
        }
        if self.question.tolerance is not None:
            facts["shares"] = self.shares
        save_checkpoint(self.path, {"batch": self.tensors}, facts)

    @property
    def at_hand(self) -> int:
        """Problems of the batch that is not done; 0 where there is none."""
        return len(self.tensors["hidden.0"]) if self.tensors else 0

    def hold(self, step: Step, rule: ExitRule) -> None:
        """Remember where the batch at hand is."""
        self.iteration = step.iteration
        self.tensors = {f"hidden.{i}": part for i, part in enumerate(step.state.parts)}
        self.tensors |= {
            f"rule.{k}": v for k, v in vars(rule).items() if isinstance(v, Tensor) and v.numel()
        }

    def take_up(self, session: Session, batch: Batch, rule: ExitRule) -> State | None:
        """The state held of the batch, None before its first step; puts the rule back where it
        was."""
        if self.at_hand != len(batch):  # none, or of a batch that had to be halved
            self.iteration, self.tensors, self.shares = 0, {}, [[] for _ in range(len(batch))]
            return None
        tensors = {name: tensor.to(session.device) for name, tensor in self.tensors.items()}
        for name, tensor in tensors.items():
            if name.startswith("rule."):
                setattr(rule, name.removeprefix("rule."), tensor)
        parts = iter(range(len(tensors)))
        like = session.model.encode(batch.inputs)
        state = like.map(lambda part: channels_last(tensors[f"hidden.{next(parts)}"]))
        return state._replace(iteration=self.iteration)


def _plain(question: Question) -> dict[str, Any]:
    """As it is stored; as it always was where there is no tolerance."""
    facts = json.loads(json.dumps(asdict(question)))
    return {k: v for k, v in facts.items() if k != "tolerance" or v is not None}


def answer(
    session: Session,
    answers: Answers,
    say: Callable[[str], None],
    save_seconds: float = 60.0,
) -> list[dict[str, Any]]:
    """Answer what is left of the question: one entry a problem, in order."""
    question = answers.question
    slices = session.slices(
        question.difficulty, question.count, start=len(answers.given), size=answers.at_hand
    )
    measure = partial(_answer_batch, session, answers, say, save_seconds)
    for indices, rule in session.each(measure, question.difficulty, slices, seed=question.seed):
        answers.given += [
            {
                "problem": int(index),
                "iterations": int(rule.iteration[i]),
                "stopped": bool(rule.stopped[i]),
                "correct": bool(rule.correct[i]),
                "element_accuracy": float(rule.elements[i]),
                **({} if question.tolerance is None else {"active": answers.shares[i]}),
            }
            for i, index in enumerate(indices)
        ]
        answers.iteration, answers.tensors, answers.shares = 0, {}, []
        answers.save()
    return answers.given


def _answer_batch(
    session: Session,
    answers: Answers,
    say: Callable[[str], None],
    save_seconds: float,
    batch: Batch,
    indices: np.ndarray,
) -> ExitRule:
    """Iterate on one batch from where it was left, until every problem is answered; saved on the
    way."""
    question = answers.question
    rule = make_exit_rule(question.rule, session.model.train_iterations)
    saved = shown = start = time.perf_counter()
    earlier = answers.seconds
    before = state = answers.take_up(session, batch, rule)
    recorded = set(recorded_iterations(question.iterations, session.model.train_iterations))
    last: tuple[Step, Observation] | None = None
    for step in session.walk(
        batch,
        question.iterations - answers.iteration,
        state,
        after=answers.iteration,
        wanted=lambda number: number % question.look == 0 or number == question.iterations,
        tolerance=question.tolerance,
        moves=rule.needs_change,
    ):
        if last is not None and step.logits is last[0].logits:  # as before, in all it says
            change = step.change
            if rule.needs_change and change is None:
                change = state_change(before, step.state)
            seen = last[1]._replace(iteration=step.iteration, change=change)
        else:
            worth = session.worth(batch, step)
            seen = session.observe(batch, step, before, moves=rule.needs_change, worth=worth)
        rule.update(seen)
        before, last = step.state, (step, seen)
        if step.active is not None and step.moving is not None and step.iteration in recorded:
            pairs = zip(step.active.tolist(), step.moving.tolist(), strict=True)
            for shares, (active, moving) in zip(answers.shares, pairs, strict=True):
                shares.append([step.iteration, round(active, 5), round(moving, 5)])
        now = time.perf_counter()
        answers.seconds = earlier + now - start
        answers.hold(step, rule)
        if now - saved > save_seconds:
            answers.save()
            saved = now
        if now - shown > 10:
            say(
                f"problem {int(indices[0]) + 1} of {question.count}: {step.iteration:,} iterations,"
                f" {int(rule.stopped.sum())} of {len(batch)} answered"
            )
            shown = now
        if bool(rule.stopped.all()):
            break
    return rule


def _parser() -> Parser:
    parser = Parser(
        prog="python -m comparisons.testing.long_horizon",
        description=(
            "Give a trained network problems far larger than those of its study. The same command "
            "goes on where it was stopped."
        ),
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, OUT/runs/RUN")
    parser.add_argument("--difficulty", required=True, help="of the problems, e.g. a maze's size")
    parser.add_argument(
        "--count", type=whole_number(1, MOST), default=10, help="problems (default 10)"
    )
    parser.add_argument(
        "--iterations", type=whole_number(1, MOST), default=5000, help="at most (default 5000)"
    )
    parser.add_argument(
        "--rule",
        default=USUAL_RULE,
        help=f"when to stop: {'|'.join(stopping_rules())} (default {USUAL_RULE})",
    )
    parser.add_argument(
        "--look",
        type=whole_number(1, MOST),
        default=1,
        help="look at the answer at every LOOK-th iteration (default 1)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 2**63 - 1), default=0, help="of the problems (default 0)"
    )
    parser.add_argument("--precision", default="auto", help="|".join(PRECISIONS))
    add_option(parser)
    parser.add_argument(
        "--tolerance",
        type=float,
        help="compute only where a step changes a site's state by more than this share of it "
        "(default: everywhere)",
    )
    return parser


def _question(
    options: argparse.Namespace, task: Task, model: Paradigm, device: torch.device
) -> Question:
    if options.rule not in stopping_rules():
        raise unknown_name("rule that stops", options.rule, stopping_rules())
    if options.precision not in PRECISIONS:
        raise unknown_name("precision", options.precision, PRECISIONS)
    words = options.difficulty
    difficulty = int(words) if words.isdecimal() else words
    task.check_difficulty(difficulty)
    task.check_count(difficulty, "test", options.count)
    precision = resolve_precision(options.precision, device)
    if options.tolerance is not None:
        check_sparse(model, options.tolerance)
    return Question(
        difficulty,
        options.count,
        options.iterations,
        options.rule,
        options.look,
        options.seed,
        precision,
        options.tolerance,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 with one line on what is wrong, or 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        load_plugins(options.plugin)
        spec, task, model = load_run(options.run)
        question = _question(options, task, model, device)
    except ValueError as error:
        print(f"python -m comparisons.testing.long_horizon: {one_line(error)}", file=sys.stderr)
        return USAGE
    folder = options.run / "thinking"
    answers = Answers(folder, question)
    session = Session(model.to(device), task, device, question.precision)
    command = shlex.join(["python", "-m", "comparisons.testing.long_horizon", *arguments])
    try:
        given = answer(session, answers, console.print)
    except KeyboardInterrupt:
        answers.save()
        print(f"interrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    right = sum(answer["correct"] for answer in given)
    low, high = wilson_interval(right, len(given))
    result = {
        "run_id": spec.run_id,
        **_plain(question),
        "accuracy": right / len(given),
        "ci_low": low,
        "ci_high": high,
        "seconds": round(answers.seconds, 1),
        "peak_memory_gib": round(_peak_memory(device) / 2**30, 2),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "command": command,
        "answers": given,
    }
    path = folder / f"{question.name}.json"
    write_atomically(path, json.dumps(result, indent=1))
    mean = sum(answer["iterations"] for answer in given) / len(given)
    print(
        f"{right} of {len(given)} {task.spec.name} problems of {task.spec.difficulty_label}"
        f" {question.difficulty} solved ({low:.1%} to {high:.1%}), {mean:,.0f} iterations on"
        f" average, {answers.seconds:,.0f} s, {result['peak_memory_gib']} GiB: {path}"
    )
    return 0


def _peak_memory(device: torch.device) -> float:
    """Bytes: of the accelerator, else of the process."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


if __name__ == "__main__":
    sys.exit(main())
