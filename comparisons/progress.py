"""What is shown while a study runs: bars on a terminal, a line a run elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from comparisons.plan import Plan
from comparisons.spec import RunSpec
from comparisons.store import RunFolder


class Screen:
    """Progress of a study. quiet: show nothing (all processes but the first)."""

    def __init__(self, plan: Plan, out: Path, quiet: bool = False) -> None:
        self.plan, self.quiet = plan, quiet
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
        )
        self.shown: set[str] = set()
        already = sum(RunFolder(out, spec).complete for spec in plan.runs)
        for line in plan.skipped:
            self.say(f"left out: {line}")
        if already:
            self.say(f"{already} of {len(plan.runs)} runs are already there")
            self.shown = {s.run_id for s in plan.runs if RunFolder(out, s).complete}
        self.all = self.bars.add_task("runs", total=len(plan.runs), completed=already, note="")
        self.one = self.bars.add_task("steps", total=None, visible=False, note="")

    def __enter__(self) -> Screen:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def say(self, line: str) -> None:
        """One line, whatever the screen."""
        self.console.print(line, markup=False, soft_wrap=True)

    def start(self, spec: RunSpec) -> None:
        """A run begins."""
        self.current, self.notes = spec, {}
        self.bars.update(self.all, note=f"{spec.paradigm} on {spec.task}")
        self.bars.reset(self.one, total=spec.train.total_steps, visible=True, note="")

    def report(self, news: dict[str, Any]) -> None:
        """Step, losses and accuracies of the run that is on."""
        self.notes |= {k: v for k, v in news.items() if k != "step"}
        shown = [
            f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in self.notes.items()
        ]
        values = {"completed": news["step"]} if "step" in news else {}
        self.bars.update(self.one, note=", ".join(shown), **values)

    def done(self, spec: RunSpec, folder: RunFolder) -> None:
        """A run is over; says its outcome once."""
        if spec.run_id in self.shown or not folder.complete:
            return
        self.shown.add(spec.run_id)
        self.bars.advance(self.all)
        result = folder.result()
        outcome = self._accuracies(result) if result["status"] == "complete" else result["status"]
        for line in result.get("set_aside", []):
            self.say(line)
        took = f"trained in {result['train_seconds']:.0f} s"
        self.say(
            f"[{len(self.shown)}/{len(self.plan.runs)}] {spec.paradigm} on {spec.task}, "
            f"{spec.train_samples:,} samples, seed {spec.seed}: {outcome} ({took})"
        )

    def failed(self, spec: RunSpec, why: str) -> None:
        """A run ended in an error."""
        self.say(f"failed: {spec.paradigm} on {spec.task}, seed {spec.seed}: {why}")

    @staticmethod
    def _accuracies(result: dict[str, Any]) -> str:
        """Accuracy by test difficulty under the rule fixed on validation problems; a trial has no tests."""
        if not result["rows"] and "accuracy" in result:
            return f"{100 * result['accuracy']:.1f} % of validation problems"
        rows = [row for row in result["rows"] if row["exit_rule"] == "validated"]
        return ", ".join(
            f"{row['difficulty_name']} {row['difficulty_label']} {100 * row['accuracy']:.1f} %"
            for row in rows
        )
