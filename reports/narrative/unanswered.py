"""What a page without a single accuracy says first: what became of the runs, and how to go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reports.read.formats import listed, plural
from reports.read.load import Records, Run
from reports.read.stored import items, number, part_of

_MOST_REASONS = 3


@dataclass(frozen=True)
class Unanswered:
    """sentences: what became of the runs. ways: what to do, each with its command."""

    sentences: list[str]
    ways: list[tuple[str, str]]


def unanswered(records: Records) -> Unanswered | None:
    """None where any accuracy was recorded."""
    if records.rows["accuracy"].notna().any():
        return None
    planned = [str(run_id) for run_id in items(records.study.get("runs"))]
    runs = [
        records.runs.get(r, Run(r, written=-1.0)) for r in dict.fromkeys([*planned, *records.runs])
    ]
    became = Counter("not begun" if run.written < 0 else run.status for run in runs)
    kinds = [f"{n} {status}" for status, n in became.most_common()]
    sentences = [
        f"No answer yet: no run has an accuracy ({listed(kinds, len(kinds))})."
        if runs
        else "No answer yet: no run was planned."
    ]
    ended = [run for run in runs if run.result]
    reasons = Counter(str(why) for run in ended if (why := run.result.get("reason")))
    sentences += [f"{plural(n, 'run')}: {why}." for why, n in reasons.most_common(_MOST_REASONS)]
    command = str(records.study.get("command") or "")
    ways = []
    if command and len(ended) < len(runs):
        ways.append(("This goes on where it stopped:" if ended else "This makes them:", command))
    if command and ended:
        said = (
            "Runs that have ended are not trained again. With other settings they are other runs:"
        )
        ways.append((said, f"{command} --set train.learning_rate={_lower_rate(ended)}"))
    return Unanswered(sentences, ways)


def _lower_rate(runs: list[Run]) -> str:
    """Half of the lowest learning rate among them."""
    rates = [number(part_of(run.spec, "train").get("learning_rate")) for run in runs]
    return f"{min((rate for rate in rates if rate > 0), default=0.001) / 2:g}"
