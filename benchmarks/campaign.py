"""`python -m benchmarks --campaign OUT`: runs of published size in the order of what they decide,
in leases of a few minutes.

A lease ends by itself: the run that is on is saved between two steps, and two archives are written,
OUT/results.zip (what is finished) and OUT/resume.zip (what the same command needs on a machine that
has nothing else). `python -m comparisons merge` takes both.
"""

from __future__ import annotations

import multiprocessing
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from benchmarks.agenda import (
    FIRST,
    Entry,
    Question,
    agenda,
    checkpoint_bytes,
    open_questions,
    questions,
    usual_studies,
)
from comparisons.execution.progress import counted, duration
from comparisons.execution.run import execute
from comparisons.execution.study import Tracking, run_all, write_study
from comparisons.hardware import device_name, expected_device
from comparisons.options import parse_settings
from comparisons.planning.estimate import estimate
from comparisons.planning.plan import Plan, names_in
from comparisons.planning.presets import PRESETS
from comparisons.storage.archives import pack
from comparisons.storage.run_folder import RunFolder, StoreError, folder_trouble, training_of
from comparisons.studies import load_study
from comparisons.studies.ledger import write_verdicts
from comparisons.training.loop import Paused
from foundations.command import Parser, whole_number
from foundations.errors import INTERRUPTED, USAGE, one_line, unknown_name
from foundations.records.reading import collect, write_table
from foundations.records.spec import RunSpec

#: FLOP/s that a dry run without a GPU takes one to do: a fifth of an H100's bf16 products.
ASSUMED = 150e12
#: Seconds of a lease kept for saving and packing, at most a tenth of it.
RESERVE = 20.0
MIB = 1 << 20


@dataclass(frozen=True)
class Times:
    """Predicted seconds of a run's training and of its tests."""

    training: float
    testing: float


@dataclass(frozen=True)
class Lease:
    """What a worker does with each run: go on with it as long as there is time, then leave it
    saved. Plain data, so that a process of its own can be given it.

    ends: in seconds of `time.time`. times: by run, predicted. travel: runs whose checkpoints fit
    into an archive; another is not begun unless it will be over in time. save: what writes the
    archives.
    """

    ends: float
    times: Mapping[str, Times]
    travel: frozenset[str]
    save: Callable[[], object]

    def __call__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        accelerator: Accelerator,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        """Of `study.run_all`: the work of one run."""
        times, left = self.times[spec.run_id], self.ends - time.time()
        rest = times.training * (1 - trained_share(folder))
        stays = spec.run_id not in self.travel
        if (
            left <= 0
            or (rest == 0 and times.testing > left)
            or (stays and rest + times.testing > left)
        ):
            return
        with suppress(Paused):
            execute(spec, folder, accelerator, report, partial(self.over, times.testing))
        if multiprocessing.parent_process() is None:
            self.save()

    def over(self, testing: float, phase: str) -> bool:
        """Whether a run is to be left: tests, which can't be, are begun only if they will end in
        time."""
        return time.time() + (testing if phase == "testing" else 0.0) >= self.ends


def trained_share(folder: RunFolder) -> float:
    """How much of a run's training its checkpoint has behind it, 0 to 1."""
    stored = folder.checkpoint(mine=False)
    return stored[1]["step"] / folder.spec.train.total_steps if stored else 0.0


@dataclass(frozen=True)
class Save:
    """Writes both archives of a folder: the finished runs among `runs`, and what goes on. most: MiB
    of each."""

    out: Path
    runs: tuple[RunSpec, ...]
    most: tuple[int, int]

    def __call__(self) -> list[str]:
        """Names of the runs for whose checkpoints there was no room."""
        folders = [RunFolder(self.out, spec) for spec in self.runs]
        finished = [folder for folder in folders if folder.complete]
        begun = [folder for folder in folders if not folder.complete and folder.begun]
        awaited = {training_of(f.spec) for f in folders if not f.complete and not f.begun}
        sources = {training_of(f.spec): f for f in finished}
        taken = [folder for key, folder in sources.items() if key in awaited]
        pack(self.out, self.out / "results.zip", finished, most=self.most[0] * MIB)
        return pack(self.out, self.out / "resume.zip", (), [*begun, *taken], self.most[1] * MIB)


def predicted(entries: Sequence[Entry], out: Path, speed: float) -> dict[str, Times]:
    """Seconds of every run: at so many FLOP/s, or (0) as measured here within a few seconds."""
    found: dict[str, Times] = {}
    runs = [entry.spec for entry in entries]
    seconds: Mapping[str, float] = {e.spec.run_id: e.load.flops / (speed or 1) for e in entries}
    if not speed:
        done = {spec.run_id for spec in runs if RunFolder(out, spec).complete}
        seconds = estimate(runs, expected_device(), done=done).seconds
    for entry in entries:
        share = entry.load.testing / max(entry.load.flops, 1.0)
        whole = seconds[entry.spec.run_id]
        found[entry.spec.run_id] = Times(whole * (1 - share), whole * share)
    return found


def lines_of(entries: Sequence[Entry], times: Mapping[str, Times], out: Path) -> list[str]:
    """The agenda as Markdown: runs that differ in seed alone and follow one another share a
    line."""
    groups: list[list[Entry]] = []
    for entry in entries:
        same = groups and _kind(groups[-1][0]) == _kind(entry)
        if same:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    lines = [
        "| run | seeds | minutes, training + tests | finished | then decided |",
        "|---|---|---|---|---|",
    ]
    for group in groups:
        training = sum(times[e.spec.run_id].training for e in group if not e.shared) / 60
        testing = sum(times[e.spec.run_id].testing for e in group) / 60
        seeds = ",".join(str(entry.spec.seed) for entry in group)
        finished = sum(RunFolder(out, entry.spec).complete for entry in group)
        claims = ", ".join(claim for entry in group for claim in entry.decides)
        lines.append(
            f"| {_kind(group[0])} | {seeds} | {training:.1f} + {testing:.1f}"
            f" | {finished} of {len(group)} | {claims} |"
        )
    return lines


def _kind(entry: Entry) -> str:
    spec = entry.spec
    options = " ".join(f"{k}={v}" for k, v in spec.paradigm_options.items())
    tests = ",".join(map(str, spec.evaluation.difficulties))
    parts = [spec.paradigm, options, f"alpha={spec.train.alpha:g}", f"on {spec.task}"]
    parts += [f"{spec.train_difficulty}, {spec.train_samples:,} samples, tested on {tests}"]
    return " ".join(part for part in parts if part) + (" (trained above)" if entry.shared else "")


def make_parser() -> Parser:
    """The options."""
    parser = Parser(
        prog="python -m benchmarks",
        description=(
            "Runs of published size in the order of what they decide, in leases: the same command"
            " goes on where the last one stopped."
        ),
    )
    parser.add_argument("--campaign", type=Path, required=True, metavar="OUT", help="its folder")
    add = parser.add_argument
    add(
        "--minutes",
        type=whole_number(0, 10_000),
        default=8,
        help="of a lease (default 8; 0: no end)",
    )
    add("--preset", default="paper", help="scale of the studies (default paper)")
    add(
        "--studies",
        help="names, comma-separated (default all; without --data-dir those that need no data)",
    )
    add("--seeds", type=whole_number(1, 100), help="seeds 0 to SEEDS-1 (default: of each claim that"
        " OUT does not tell the seeds of its next look)")  # fmt: skip
    add("--most-tested", type=whole_number(0, 10**7), default=0, metavar="N",
        help="test problems of a difficulty at most, which names the runs otherwise (default: as"
        " many as published)")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as of compare.py")
    add("--data-dir", type=Path, metavar="FOLDER", help="as of compare.py --study")
    add(
        "--workers", type=whole_number(0, 64), default=0, help="runs side by side, as of compare.py"
    )
    add("--speed", type=whole_number(0, 10**6), default=0, metavar="GFLOPS",
        help="predict at so many GFLOP/s (default: measured; in a dry run without a GPU"
        f" {ASSUMED / 1e9:,.0f})")  # fmt: skip
    add("--results-mib", type=whole_number(1, 4096), default=16, help="most of OUT/results.zip")
    add("--resume-mib", type=whole_number(1, 4096), default=40, help="most of OUT/resume.zip")
    add("--dry-run", action="store_true", help="the runs, their minutes and claims; nothing is run")
    return parser


def main(arguments: list[str]) -> int:
    """Exit status: 0 where the lease ended as it should, 2 with one line where it could not
    begin."""
    began = time.time()
    parser = make_parser()
    options = parser.parse_args(arguments)
    out: Path = options.campaign
    try:
        if options.preset not in PRESETS:
            raise unknown_name("preset", options.preset, PRESETS)
        names = names_in(options.studies or usual_studies(options.data_dir))
        for name in names:
            load_study(name)
        ask = _asking(options, names)
        asked, lines = ask()
        entries = _ordered(asked, options)
        if not entries:
            raise ValueError(
                f"no run of preset {options.preset} decides any claim of {', '.join(names)}"
                + "".join(f"; {line}" for line in lines)
            )
        if not options.dry_run:
            out.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {one_line(error)}", file=sys.stderr)
        return USAGE
    if options.dry_run:
        speed = options.speed * 1e9
        if not speed and expected_device().type != "cuda":
            speed = ASSUMED if options.preset == "paper" else 0.0
        _show(entries, predicted(entries, out, speed), out, lines, speed)
        return 0
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    return _leased(ask, asked, entries, out, options, began, command)


def _ordered(asked: Sequence[Question], options: Any) -> list[Entry]:
    """What is asked, in order: of published size the studies first whose networks need a GPU
    most."""
    every = {spec.run_id: spec for question in asked for spec in question.runs}
    done = {name for name, spec in every.items() if RunFolder(options.campaign, spec).complete}
    return agenda(asked, FIRST if options.preset == "paper" else (), done)


Asked = tuple[list[Question], list[str]]


def _asking(options: Any, names: Sequence[str]) -> Callable[[], Asked]:
    """What the campaign asks, as it stands whenever it is called."""
    settings, data = parse_settings(options.set), options.data_dir
    if options.seeds:
        seeds = tuple(range(options.seeds))
        return partial(questions, names, options.preset, seeds, settings, data, options.most_tested)
    out = options.campaign
    return partial(open_questions, names, options.preset, settings, data, out, options.most_tested)


def _show(
    entries: Sequence[Entry],
    times: Mapping[str, Times],
    out: Path,
    lines: Sequence[str],
    speed: float,
) -> None:
    for line in lines:
        print(f"left out: {line}")
    print("\n".join(lines_of(entries, times, out)))
    each = [(times[entry.spec.run_id], entry.shared) for entry in entries]
    whole = sum(t.testing + (0.0 if shared else t.training) for t, shared in each)
    how = (
        f"at {speed / 1e12:g} TFLOP/s"
        if speed
        else f"as measured on {device_name(expected_device())}"
    )
    print(f"{counted(len(entries), 'run')}, about {duration(whole)} in all, {how}; nothing was run")


def _leased(
    ask: Callable[[], Asked],
    asked: list[Question],
    entries: list[Entry],
    out: Path,
    options: Any,
    began: float,
    command: str,
) -> int:
    """Work until the lease ends or nothing is left to ask, then save, judge and say how it stands.
    asked, entries: what comes first."""
    length = 60.0 * options.minutes or float("inf")
    ends = began + length - min(RESERVE, 0.1 * length)
    runs: dict[str, RunSpec] = {}
    met: list[Question] = []
    most = options.results_mib, options.resume_mib
    save = Save(out, (), most)
    try:
        while entries and time.time() < ends:
            runs |= {entry.spec.run_id: entry.spec for entry in entries}
            met += asked
            save = Save(out, tuple(runs.values()), most)
            _work_off(entries, out, options, began, ends, save, command)
            if not all(RunFolder(out, entry.spec).complete for entry in entries):
                break
            asked = ask()[0]
            entries = [e for e in _ordered(asked, options) if e.spec.run_id not in runs]
        _judged(met, out, options.preset, command)
        unsaved = save()
    except (StoreError, OSError) as error:
        trouble = folder_trouble(out, error) or error
        print(f"python -m benchmarks: {one_line(trouble)}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        save()
        print(f"python -m benchmarks: interrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    for name in unsaved:
        print(f"no room in {out / 'resume.zip'}: {name} begins anew elsewhere", file=sys.stderr)
    finished = {name for name, spec in runs.items() if RunFolder(out, spec).complete}
    claims = dict.fromkeys(q.claim for q in met)
    decided = dict.fromkeys(q.claim for q in met if all(spec.run_id in finished for spec in q.runs))
    print(
        f"{len(finished)} of {counted(len(runs), 'run')} finished, {len(decided)} of"
        f" {counted(len(claims), 'claim')} decided ({', '.join(decided) or 'none yet'})"
    )
    for name in ("results.zip", "resume.zip"):
        print(f"{out / name}: {(out / name).stat().st_size / MIB:.2f} MiB")
    return 0


def _work_off(
    entries: Sequence[Entry],
    out: Path,
    options: Any,
    began: float,
    ends: float,
    save: Save,
    command: str,
) -> None:
    """Do what can be done of runs until the lease ends."""
    times = predicted(entries, out, options.speed * 1e9)
    too_long = [e.spec for e in entries if times[e.spec.run_id].testing > ends - began]
    for spec in too_long:
        minutes = times[spec.run_id].testing / 60
        print(f"left for a longer lease: {spec.run_id}, whose tests take {minutes:.0f} min")
    runs = tuple(e.spec for e in entries if e.spec not in too_long)
    room = options.resume_mib * MIB
    travel = frozenset(spec.run_id for spec in runs if checkpoint_bytes(spec) < 0.95 * room)
    if runs:
        plan, lease = Plan(runs), Lease(ends, times, travel, save)
        write_study(plan, out, command, "Campaign: runs that decide claims")
        run_all(plan, out, "runs", options.workers, Tracking("", out / "tracking"), lease)


def _judged(asked: Sequence[Question], out: Path, preset: str, command: str) -> None:
    """The table, and verdicts on what the runs decide."""
    write_table(out, collect(out)[0])
    of_study: dict[str, dict[str, RunSpec]] = {}
    for question in asked:
        of_study.setdefault(question.study, {}).update({s.run_id: s for s in question.runs})
    write_verdicts(out, preset, {n: tuple(r.values()) for n, r in of_study.items()}, (), command)
