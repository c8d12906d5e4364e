"""Means, intervals and what they allow to be said.

Every number here comes from rules that do not see the answer, but for `peaks`, which says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

_Z = 1.959964  # two-sided 95 % of the normal distribution
# The same of Student's t for 1, 2, ... degrees of freedom.
# fmt: off
_T = np.array([
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179,
    2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06,
])
# fmt: on

RULES = {
    "validated": "the most iterations that cost nothing on validation problems of the trained difficulty",
    "last": "the last recorded iteration",
    "trained": "as many iterations as in training",
    "n_plus_2": "two iterations more than in training",
    "agreement": "agreement (stops when an answer repeats)",
    "maximum_confidence": "maximum confidence",
    "convergence": "convergence (stops when the state moves by under 1 %)",
}
#: Accuracy at the trained difficulty from which a run counts as converged, as in Bansal et al. 2022.
CONVERGED = 0.99
ORACLE = "the first right answer (oracle: an upper bound)"


def wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % score interval of a proportion (Wilson 1927); (0, 1) where n is unknown or 0."""
    share, n = np.asarray(share, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    known = (n > 0) & np.isfinite(share)
    low = np.where(known, np.clip(centre - half, 0, 1), np.where(np.isfinite(share), 0.0, np.nan))
    high = np.where(known, np.clip(centre + half, 0, 1), np.where(np.isfinite(share), 1.0, np.nan))
    return np.minimum(low, share), np.maximum(high, share)


def student_t(degrees: np.ndarray) -> np.ndarray:
    """The 97.5 % quantile of Student's t; Cornish and Fisher's expansion beyond the table."""
    degrees = np.asarray(degrees)
    tabled = _T[np.clip(degrees.astype(int), 1, len(_T)) - 1]
    beyond = _Z + (_Z**3 + _Z) / (4 * np.maximum(degrees, 1))
    return np.where(degrees <= len(_T), tabled, beyond)


def aggregate(rows: pd.DataFrame, by: Sequence[str], each: bool = False) -> pd.DataFrame:
    """Mean accuracy over seeds with a 95 % interval, one row per group.

    `rows` must hold one row per run and group. Adds mean, low, high, seeds, n_test (problems per run),
    element, and means of the numeric columns that figures use. The interval is that of Student's t over
    the seeds' accuracies, widened to Wilson's for the problems of a single run: seeds share their test
    problems, so more seeds do not shrink that part. With one seed it is the recorded one, else Wilson's,
    and says nothing about other seeds. each: also the seeds' own accuracies, sorted, as lists.
    """
    rows = rows[rows["accuracy"].notna()]
    grouped = rows.groupby(list(by), sort=True)
    table = grouped.agg(
        mean=("accuracy", "mean"),
        spread=("accuracy", "std"),
        seeds=("run_id", "nunique"),
        n_test=("n_test", "min"),
        element=("element_accuracy", "mean"),
        ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"),
        parameters=("parameters", "mean"),
        active=("active_parameters", "mean"),
        flops=("flops_per_example", "mean"),
        train_flops=("train_flops", "mean"),
        train_seconds=("train_seconds", "mean"),
        exit_mean=("exit_iterations_mean", "mean"),
    ).reset_index()
    if each:
        lists = [] if table.empty else grouped["accuracy"].agg(lambda values: sorted(values))
        table["each"] = list(lists)
    mean = table["mean"].to_numpy()
    low, high = wilson(mean, table["n_test"].to_numpy())
    alone = (table["seeds"] == 1).to_numpy()
    recorded = alone & (table["ci_low"] <= mean + 1e-9) & (table["ci_high"] >= mean - 1e-9)
    low = np.where(recorded, np.clip(table["ci_low"], 0, 1), low)
    high = np.where(recorded, np.clip(table["ci_high"], 0, 1), high)
    seeds = table["seeds"].to_numpy()
    half = student_t(seeds - 1) * table["spread"].fillna(0).to_numpy() / np.sqrt(seeds)
    table["low"] = np.where(alone, low, np.minimum(low, np.clip(mean - half, 0, 1)))
    table["high"] = np.where(alone, high, np.maximum(high, np.clip(mean + half, 0, 1)))
    return table.drop(columns=["spread", "ci_low", "ci_high"])


_CONDITION = ["run_id", "test_difficulty"]


def by_rule(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, difficulty and rule that does not see the answer; column `rule`.

    last: the last of the fixed iterations; trained: the fixed iterations used in training (for a network
    that ends, its end); and every other exit rule under its own name.
    """
    fixed = rows[rows["exit_rule"] == "fixed"].sort_values("iterations", kind="stable")
    last = fixed.drop_duplicates(_CONDITION, keep="last").assign(rule="last")
    most = np.fmin(fixed["train_iterations"], fixed["max_iterations"])
    upto = fixed[fixed["iterations"] <= most.fillna(np.inf)]
    upto = upto[upto["train_iterations"].notna()]
    trained = upto.drop_duplicates(_CONDITION, keep="last")
    whole = np.fmin(trained["train_iterations"], trained["max_iterations"])
    trained = trained[trained["iterations"] == whole].assign(rule="trained")
    others = rows[~rows["exit_rule"].isin(["fixed", "oracle"])].sort_values(
        "iterations", kind="stable"
    )
    others = others.drop_duplicates([*_CONDITION, "exit_rule"], keep="last")
    return pd.concat([last, trained, others.assign(rule=others["exit_rule"])], ignore_index=True)


def main_rule(rows: pd.DataFrame) -> str:
    """The rule that the page goes by: "validated" where every measured run has it, else "last"."""
    measured = rows[rows["accuracy"].notna()]
    have = measured.loc[measured["exit_rule"] == "validated", "run_id"]
    return "validated" if len(have) and set(have) == set(measured["run_id"]) else "last"


def oracle(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series and difficulty the accuracy of stopping at the first right answer: what no rule can beat."""
    told = rows[rows["exit_rule"] == "oracle"].sort_values("iterations", kind="stable")
    return aggregate(told.drop_duplicates(_CONDITION, keep="last"), ["series", "test_difficulty"])


def peaks(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series and difficulty the iterations of highest mean accuracy: chosen on the test data."""
    fixed = rows[rows["exit_rule"] == "fixed"]
    table = aggregate(fixed, ["series", "test_difficulty", "iterations"])
    # Iterations that only some of the seeds ran would compare different runs.
    full = table.groupby(["series", "test_difficulty"])["seeds"].transform("max")
    table = table[table["seeds"] == full]
    order = table.sort_values(["mean", "iterations"], ascending=[False, True], kind="stable")
    return order.drop_duplicates(["series", "test_difficulty"])


def percent(share: float) -> str:
    """`83.2 %`; never rounded up to 100 or down to 0."""
    return f"{points(share)}\N{NO-BREAK SPACE}%" if np.isfinite(share) else "–"


def points(share: float) -> str:
    """`percent` without its sign, for the cells of a table."""
    if 0 < share < 0.0005:
        return "<0.1"
    if 0.9995 <= share < 1:
        return ">99.9"
    return f"{100 * share:.1f}"


def span(low: float, high: float) -> str:
    """`76.1–88.0`, in percent."""
    return f"{100 * low:.1f}–{100 * high:.1f}"


def count(value: float) -> str:
    """A whole number with thousands separated; – if unknown."""
    return f"{value:,.0f}" if np.isfinite(value) else "–"


def seeds_text(cell: pd.Series) -> str:
    """`1 seed`, `2 seeds: 59.6, 74.5`; more than six are only counted."""
    values = cell["each"]
    text = plural(int(cell["seeds"]), "seed")
    return f"{text}: {', '.join(map(points, values))}" if 1 < len(values) <= 6 else text


def plural(n: int, word: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


@dataclass(frozen=True)
class Section:
    """The runs of one task (with one set of options) and the tables the page shows of them.

    rows: all rows. main: those of each series' largest training set. rule: the exit rule that the page
    goes by. elsewhere: the problems are another task's than the trained one. best: `aggregate` of main under it, per series and test_difficulty. ruled: the same under
    every blind rule.
    """

    name: str
    task: str
    rows: pd.DataFrame
    main: pd.DataFrame
    ruled: pd.DataFrame
    difficulty_name: str
    labels: dict[float, str]
    train_difficulties: list[float]
    chance: float
    recurrent: dict[str, bool]
    rule: str
    elsewhere: bool

    @property
    def best(self) -> pd.DataFrame:
        return self.ruled[self.ruled["rule"] == self.rule]

    @property
    def series(self) -> list[str]:
        return list(dict.fromkeys(self.rows["series"]))

    @property
    def difficulties(self) -> list[float]:
        return sorted(self.labels)

    @property
    def only(self) -> bool:
        """Whether the task has no degrees of difficulty, as far as its records tell."""
        return self.difficulty_name == "difficulty" and self.labels == {1.0: "1"}

    def place(self, difficulty: float) -> str:
        """`size 13`."""
        if self.only:
            return "its only difficulty"
        return f"{self.difficulty_name} {self.labels.get(difficulty, f'{difficulty:g}')}"

    def panel(self, difficulty: float) -> str:
        """`place` as the title of a panel, which needs none where there is no other."""
        return "" if self.only else self.place(difficulty)

    def cell(self, series: str, difficulty: float, rule: str = "") -> pd.Series | None:
        """The aggregated row under a rule, by default the page's, or None where nothing was measured."""
        t = self.ruled
        hit = t[
            (t["series"] == series)
            & (t["test_difficulty"] == difficulty)
            & (t["rule"] == (rule or self.rule))
        ]
        return None if hit.empty else hit.iloc[0]


def sections(rows: pd.DataFrame) -> list[Section]:
    """The sections of the page, in the order of the records."""
    rule = main_rule(rows)
    return [
        _section(str(name), rows[rows["section"] == name], rule)
        for name in rows["section"].unique()
    ]


def _section(name: str, rows: pd.DataFrame, rule: str) -> Section:
    largest = rows.groupby("series")["train_samples"].transform("max")
    main = rows[(rows["train_samples"] == largest) | largest.isna()]
    measured = rows[rows["accuracy"].notna()]
    labels = dict(zip(measured["test_difficulty"], measured["difficulty_label"], strict=True))
    ends = rows.groupby("series")["max_iterations"].max()
    # A network that goes on has no largest number of iterations; one measured once cannot be told.
    steps = rows[rows["exit_rule"] == "fixed"].groupby("series")["iterations"].nunique()
    recurrent = {s: bool(np.isnan(end) and steps.get(s, 0) > 1) for s, end in ends.items()}
    return Section(
        name=name,
        task=str(rows["task"].iloc[0]),
        rows=rows,
        main=main,
        ruled=aggregate(by_rule(main), ["series", "test_difficulty", "rule"], each=True),
        difficulty_name=str(rows["difficulty_name"].iloc[0]),
        labels={float(k): str(v) for k, v in labels.items()},
        train_difficulties=sorted(rows["train_difficulty"].dropna().unique()),
        chance=float(rows["chance"].max()),
        recurrent=recurrent,
        rule=rule,
        elsewhere=bool((rows["test_task"] != rows["task"]).any()),
    )
