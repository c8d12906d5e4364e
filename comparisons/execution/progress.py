"""What is shown while a study runs: bars on a terminal, a line a minute elsewhere.

All of it is read from the results folder, so it is of all processes that work there, whoever
started them.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, RLock, Thread
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from comparisons.planning.estimate import Estimate, wall_seconds
from comparisons.planning.plan import Plan
from comparisons.storage.leases import LEASE_SECONDS, MARKER
from comparisons.storage.run_folder import RunFolder
from foundations.records.result import Result
from foundations.records.spec import RunSpec

LOOK_SECONDS = 1.0
LINE_SECONDS = 60.0
MOST_SHOWN = 8  # runs with a bar of their own
#: For so long the estimate of before the study counts as much as what is seen of it.
TRUSTED_SECONDS = 30.0


def duration(seconds: float) -> str:
    """`45 s`, `7 min`, `3 h 20 min`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, what: str) -> str:
    """`1 run`, `12 runs`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def plan_lines(plan: Plan, out: Path, what: str = "run") -> list[str]:
    """What a plan is, in a line, and its folder in another."""
    runs = plan.runs
    samples = sorted({spec.train_samples for spec in runs})
    seeds = sorted({spec.seed for spec in runs})
    parts = [
        (
            f"{_some([spec.paradigm for spec in runs], 'paradigms')} on"
            f" {_some([spec.task for spec in runs], 'tasks')}"
        ),
        f"{_some([f'{n:,}' for n in samples], 'numbers of')} training samples",
        f"seed{'s' if len(seeds) > 1 else ''} {_some([str(seed) for seed in seeds], 'seeds')}",
        f"preset {runs[0].preset}",
    ]
    return [f"plan: {counted(len(runs), what)}; {'; '.join(parts)}", f"results folder: {out}"]


def _some(names: list[str], what: str) -> str:
    """The distinct names, or how many where there are many."""
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct) if len(distinct) <= 4 else f"{len(distinct)} {what}"


@dataclass
class Seen:
    """What the folder says of a run. step: of the last line of its log. running: whether a process
    works on it now."""

    done: bool = False
    step: int = 0
    running: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


class Screen:
    """Progress of a study. quiet: show nothing (all processes but the first). what: a run is
    called."""

    def __init__(self, plan: Plan, out: Path, quiet: bool = False, what: str = "run") -> None:
        self.plan, self.out, self.quiet, self.what = plan, out, quiet, what
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.folders = {spec.run_id: RunFolder(out, spec) for spec in plan.runs}
        self.seen = {name: Seen(folder.complete) for name, folder in self.folders.items()}
        self.already = sum(seen.done for seen in self.seen.values())
        self.seconds = dict.fromkeys(self.folders, 1.0)
        self.workers, self.began, self.credit = 1, time.monotonic(), 0.0
        self.mine = ""  # the run that this process works on
        self._lock, self._over = RLock(), Event()
        self._watch: Thread | None = None
        self._live: Live | None = None

    def announce(
        self, workers: int, threads: int, device: str, estimate: Estimate, together: int = 1
    ) -> None:
        """The plan, where it goes, who works on it and how long it may take. together: processes
        that train each run."""
        self.workers, self.seconds = workers, estimate.seconds
        self.credit = self._done_seconds()
        for line in self.plan.skipped:
            self.say(f"left out: {line}")
        for line in plan_lines(self.plan, self.out, self.what):
            self.say(line)
        if self.already:
            self.say(f"already there: {self.already} of {counted(len(self.plan.runs), self.what)}")
        each = f", {counted(threads, 'thread')} each" if device == "cpu" else ""
        processes = f" of {together} processes" if together > 1 else ""
        self.say(f"workers: {workers}{processes} on {device.upper()}{each}")
        left = [estimate.seconds[n] for n, seen in self.seen.items() if not seen.done]
        if left:
            took = wall_seconds(left, workers)
            words = "less than a minute" if not estimate.measured else f"about {duration(took)}"
            self.say(f"estimate: {words}")

    def __enter__(self) -> Screen:
        if self.quiet:
            return self
        if self.console.is_terminal:
            self._live = Live(
                console=self.console,
                get_renderable=self.picture,
                auto_refresh=False,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start()
        self.began = time.monotonic()
        self._watch = Thread(target=self._keep_watch, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._watch:
            self._watch.join()
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line, whatever the screen."""
        self.console.print(line, markup=False, soft_wrap=True)

    def start(self, spec: RunSpec) -> None:
        """A run begins in this process."""
        self.mine = spec.run_id
        self.seen[spec.run_id].notes = {}

    def report(self, news: dict[str, Any]) -> None:
        """Step, losses and accuracies of the run that is on in this process."""
        seen = self.seen[self.mine]
        seen.notes |= {k: v for k, v in news.items() if k != "step"}
        seen.step = news.get("step", seen.step)

    def done(self, spec: RunSpec) -> None:
        """A run is over in this process; says the outcome of all that are and were not told yet."""
        if self.mine == spec.run_id:
            self.mine = ""
        self.look()

    def failed(self, spec: RunSpec, why: str) -> None:
        """A run ended in an error."""
        self.say(f"failed: {spec.paradigm} on {spec.task}, seed {spec.seed}: {why}")

    def look(self) -> None:
        """Read what all processes have done since the last look, and tell of the runs that ended,
        in their order."""
        if self.quiet:
            return
        with self._lock:
            ended = []
            for name, folder in self.folders.items():
                seen = self.seen[name]
                if seen.done:
                    continue
                if folder.complete:
                    ended.append((_changed(folder.result_path), name))
                    continue
                seen.running = name == self.mine or _is_running(folder.path / MARKER)
                if name != self.mine and seen.running:
                    seen.step = max(seen.step, last_step(folder.metrics_path))
            for _, name in sorted(ended):
                self.seen[name] = Seen(done=True)
                if self._live:
                    # what is printed goes above the bars as they were last drawn
                    self._live.refresh()
                self._tell(self.folders[name])

    def _tell(self, folder: RunFolder) -> None:
        """The outcome of a run: every one on a terminal, elsewhere those that were not trained to
        their end."""
        try:
            result = folder.result()
        except (ValueError, OSError):
            return  # gone again, or set aside: it will be made anew
        for line in result.set_aside:
            self.say(line)
        whole = result.status == "complete"
        if whole and not self._live:
            return
        spec = folder.spec
        number = sum(seen.done for seen in self.seen.values())
        outcome = accuracies(result) if whole else result.status
        self.console.print(
            f"[{number}/{len(self.plan.runs)}] {spec.paradigm} on {spec.task}, "
            f"{spec.train_samples:,} samples, seed {spec.seed}: {outcome} "
            f"(trained in {duration(result.train_seconds)})",
            markup=False,
            soft_wrap=not self._live,
        )

    def _keep_watch(self) -> None:
        line_at = time.monotonic() + LINE_SECONDS
        while not self._over.wait(LOOK_SECONDS):
            self.look()
            if self._live:
                self._live.refresh()
            elif time.monotonic() >= line_at:
                line_at += LINE_SECONDS
                self.say(self.line())

    def _done_seconds(self) -> float:
        """Of the estimate, what is done by now."""
        return sum(self.seconds[name] * self._share(name) for name in self.folders)

    def _share(self, name: str) -> float:
        seen, total = self.seen[name], self.folders[name].spec.train.total_steps
        # The rest, tests above all, has no steps.
        return 1.0 if seen.done else 0.9 * min(seen.step / total, 1.0)

    def left(self) -> float:
        """Seconds until all is done, by the estimate and the pace so far, all workers together."""
        elapsed = time.monotonic() - self.began
        pace = (self._done_seconds() - self.credit + self.workers * TRUSTED_SECONDS) / (
            elapsed + TRUSTED_SECONDS
        )
        rest = [self.seconds[name] * (1 - self._share(name)) for name in self.folders]
        # The last runs have fewer workers than there are.
        return wall_seconds([r for r in rest if r > 0] or [0.0], self.workers) * self.workers / pace

    def _so_far(self) -> tuple[int, str]:
        done = sum(seen.done for seen in self.seen.values())
        return done, f"about {duration(self.left())} left"

    def line(self) -> str:
        """The state of all runs in one line."""
        done, left = self._so_far()
        on = [self._named(name) for name in self._running()]
        more = f"; in progress: {'; '.join(on)}" if on else ""
        total = counted(len(self.plan.runs), self.what)
        share = self._done_seconds() / max(sum(self.seconds.values()), 1e-9)
        return f"{time.strftime('%H:%M')} {done} of {total} done, {100 * share:.0f} %, {left}{more}"

    def _running(self) -> list[str]:
        return [name for name, seen in self.seen.items() if seen.running and not seen.done]

    def _named(self, name: str) -> str:
        spec, seen = self.folders[name].spec, self.seen[name]
        total = spec.train.total_steps
        step = f"step {seen.step:,} of {total:,}" if seen.step < total else "testing"
        return f"{spec.paradigm} on {spec.task}, {step}"

    def picture(self) -> Group:
        """A bar for all runs and one for each that is in progress, within the width of the
        terminal."""
        width = self.console.width
        done, left = self._so_far()
        total = counted(len(self.plan.runs), self.what)
        elapsed = _clock(time.monotonic() - self.began)
        head = Text(f"{done} of {total} done, {elapsed} so far, {left}", no_wrap=True)
        head.truncate(width - 1, overflow="ellipsis")
        weight = max(sum(self.seconds.values()), 1e-9)
        whole = Table.grid()
        whole.add_row(ProgressBar(total=weight, completed=self._done_seconds(), width=width - 1))
        running = self._running()
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", max_width=width // 2 - 4)
        rows.add_column(width=max(8, width // 8))
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for name in running[:MOST_SHOWN]:
            rows.add_row(*self._row(name))
        parts: list[Any] = [head, whole, rows]
        if len(running) > MOST_SHOWN:
            parts.append(Text(f"and {len(running) - MOST_SHOWN} more in progress"))
        return Group(*parts)

    def _row(self, name: str) -> tuple[Any, ...]:
        spec, seen = self.folders[name].spec, self.seen[name]
        total = spec.train.total_steps
        step = min(seen.step, total)
        bar = ProgressBar(total=total, completed=step)
        notes = [
            f"{_SHORT.get(k, k)} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
            for k, v in list(seen.notes.items())[-2:]
        ]
        what = Text(f"{spec.paradigm} on {spec.task}")
        return what, bar, Text(f"{step:,}/{total:,}"), Text(", ".join(notes))


_SHORT = {"training loss": "loss", "element_accuracy": "per element"}


def _is_running(marker: Path) -> bool:
    """Whether a process has shown that it works on a run, and lately: one that was killed leaves
    its marker."""
    try:
        return time.time() - marker.stat().st_mtime < LEASE_SECONDS
    except OSError:
        return False


def _clock(seconds: float) -> str:
    """`2:05`, `1:02:05`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def last_step(log: Path) -> int:
    """The step of the last whole line of a run's log; 0 where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 2000))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):
            continue
    return 0


def accuracies(result: Result) -> str:
    """Accuracy by test difficulty under the rule fixed on validation problems; a trial has no
    tests."""
    if not result.rows and result.accuracy is not None:
        return f"{result.accuracy:.1%} of validation problems"
    rows = [row for row in result.rows if row["exit_rule"] == "validated"]
    return ", ".join(
        f"{row['difficulty_name']} {row['difficulty_label']} {row['accuracy']:.1%}" for row in rows
    )
