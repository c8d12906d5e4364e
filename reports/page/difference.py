"""Two results folders side by side: what changed beyond noise."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from foundations.measures import aggregate
from foundations.statistics import interval_of_difference
from reports.read.formats import percent
from reports.read.load import Records
from reports.read.rules import by_rule, main_rule
from reports.read.sections import Accuracy, accuracies

_KEYS = ["section", "series", "train_samples", "test_difficulty"]


@dataclass(frozen=True)
class Change:
    """One paradigm at one difficulty in both folders; accuracies in 0..1.

    low, high: the 95 % interval of after - before, from the intervals of both (Newcombe 1998,
    method 10). beyond_noise: it leaves 0 out, Bonferroni not applied: of 20 lines without a change,
    one looks like one.
    """

    task: str
    series: str
    train_samples: float
    difficulty: str
    before: float
    after: float
    low: float
    high: float
    seeds: tuple[int, int]

    @property
    def beyond_noise(self) -> bool:
        return not self.low <= 0 <= self.high


def changes(before: Records, after: Records) -> tuple[list[Change], list[str]]:
    """What both folders measured, and a line for each thing only one did.

    Both are answered by the rule that both have. Seeds are averaged; folders may hold different
    seeds.
    """
    rules = {main_rule(records.rows) for records in (before, after)}
    rule = rules.pop() if len(rules) == 1 else "last"
    first, second = (_accuracies(records, rule) for records in (before, after))
    both, alone = [], []
    for key in first | second:
        task, samples, series, difficulty = key
        a, b = first.get(key), second.get(key)
        if a is None or b is None:
            name = f"{series} on {task}, {samples:,.0f} samples, difficulty {difficulty:g}"
            alone.append(f"only in {'B' if a is None else 'A'}: {name}")
            continue
        low, high = interval_of_difference(b.interval, a.interval)
        means, place = (a.mean, b.mean), f"{difficulty:g}"
        both.append(Change(task, series, samples, place, *means, low, high, (a.seeds, b.seeds)))
    return both, alone


def _accuracies(records: Records, rule: str) -> dict[tuple[str, float, str, float], Accuracy]:
    """By section, training samples, series and difficulty."""
    ruled = by_rule(records.rows)
    ruled = ruled[ruled["rule"] == rule].fillna({"train_samples": -1})
    table = aggregate(ruled, _KEYS)
    sections, samples = table["section"].astype(str), table["train_samples"].astype(float)
    cells = zip(sections, samples, accuracies(table), strict=True)
    return {(section, size, cell.series, cell.at): cell for section, size, cell in cells}


def as_text(both: list[Change], alone: list[str]) -> str:
    """The changes beyond noise, then how many are within it, then what only one folder has."""
    moved = sorted((c for c in both if c.beyond_noise), key=lambda c: -abs(c.after - c.before))
    lines = [
        f"{c.series} on {c.task}, {c.train_samples:,.0f} samples, difficulty {c.difficulty}: "
        f"{percent(c.before)} -> {percent(c.after)} "
        f"({100 * (c.after - c.before):+.1f} points, 95 % interval {100 * c.low:+.1f} to "
        f"{100 * c.high:+.1f}; {c.seeds[0]} and {c.seeds[1]} seeds)"
        for c in moved
    ]
    head = f"{len(moved)} of {len(both)} accuracies changed beyond noise" + ":" * bool(moved)
    return "\n".join([head, *lines, *alone])


def as_csv(both: list[Change]) -> str:
    """Every pair, tidy."""
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(
        ["task", "paradigm", "train_samples", "difficulty", "before", "after", "low", "high",
         "seeds_before", "seeds_after", "beyond_noise"]
    )  # fmt: skip
    for c in both:
        write.writerow(
            [c.task, c.series, c.train_samples, c.difficulty, c.before, c.after, c.low, c.high,
             *c.seeds, c.beyond_noise]
        )  # fmt: skip
    return out.getvalue()
