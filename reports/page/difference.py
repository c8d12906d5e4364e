"""Two results folders side by side: what changed beyond noise."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from foundations.measures import aggregate
from reports.read.load import Records
from reports.read.summary import by_rule, main_rule, percent

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
    tables = [_table(records, rule) for records in (before, after)]
    found, alone = [], []
    for key in dict.fromkeys([*tables[0].index, *tables[1].index]):
        task, series, samples, difficulty = key
        name = f"{series} on {task}, {samples:,.0f} samples, difficulty {difficulty:g}"
        if key not in tables[0].index or key not in tables[1].index:
            alone.append(f"only in {'B' if key not in tables[0].index else 'A'}: {name}")
            continue
        a, b = tables[0].loc[key], tables[1].loc[key]
        d = b["mean"] - a["mean"]
        found.append(
            Change(
                str(task),
                str(series),
                float(samples),
                f"{difficulty:g}",
                float(a["mean"]),
                float(b["mean"]),
                float(d - np.hypot(b["mean"] - b["low"], a["high"] - a["mean"])),
                float(d + np.hypot(b["high"] - b["mean"], a["mean"] - a["low"])),
                (int(a["seeds"]), int(b["seeds"])),
            )
        )
    return found, alone


def _table(records: Records, rule: str) -> pd.DataFrame:
    ruled = by_rule(records.rows)
    ruled = ruled[ruled["rule"] == rule].fillna({"train_samples": -1})
    return aggregate(ruled, _KEYS).set_index(_KEYS)


def as_text(found: list[Change], alone: list[str]) -> str:
    """The changes beyond noise, then how many are within it, then what only one folder has."""
    moved = sorted((c for c in found if c.beyond_noise), key=lambda c: -abs(c.after - c.before))
    lines = [
        f"{c.series} on {c.task}, {c.train_samples:,.0f} samples, difficulty {c.difficulty}: "
        f"{percent(c.before)} -> {percent(c.after)} "
        f"({100 * (c.after - c.before):+.1f} points, 95 % interval {100 * c.low:+.1f} to "
        f"{100 * c.high:+.1f}; {c.seeds[0]} and {c.seeds[1]} seeds)"
        for c in moved
    ]
    lines.insert(
        0, f"{len(moved)} of {len(found)} accuracies changed beyond noise" + ":" * bool(moved)
    )
    return "\n".join([*lines, *alone])


def as_csv(found: list[Change]) -> str:
    """Every pair, tidy."""
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(
        ["task", "paradigm", "train_samples", "difficulty", "before", "after", "low", "high",
         "seeds_before", "seeds_after", "beyond_noise"]
    )  # fmt: skip
    for c in found:
        write.writerow(
            [c.task, c.series, c.train_samples, c.difficulty, c.before, c.after, c.low, c.high,
             *c.seeds, c.beyond_noise]
        )  # fmt: skip
    return out.getvalue()
