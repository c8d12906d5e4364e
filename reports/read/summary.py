"""Means, intervals and what they allow to be said.

Every number here comes from rules that do not see the answer, but for `peaks`, which says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from foundations.measures import aggregate

RULES = {
    "validated": (
        "the most iterations that cost nothing on validation problems of the trained difficulty"
    ),
    "last": "the last recorded iteration",
    "trained": "as many iterations as in training",
    "n_plus_2": "two iterations more than in training",
    "agreement": "agreement (stops when an answer repeats)",
    "maximum_confidence": "maximum confidence",
    "convergence": "convergence (stops when the state moves by under 1 %)",
}
ORACLE = "the first right answer (oracle: an upper bound)"


_CONDITION = ["run_id", "test_difficulty"]


def by_rule(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, difficulty and rule that does not see the answer; column `rule`.

    last: the last of the fixed iterations; trained: the fixed iterations used in training (for a
    network that ends, its end); and every other exit rule under its own name.
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
    """Per series and difficulty the accuracy of stopping at the first right answer: what no rule
    can beat."""
    told = rows[rows["exit_rule"] == "oracle"].sort_values("iterations", kind="stable")
    return aggregate(told.drop_duplicates(_CONDITION, keep="last"), ["series", "test_difficulty"])


def peaks(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series and difficulty the iterations of highest mean accuracy: chosen on the test
    data."""
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
    """`76.1–88.0`, in percent; like `points` never rounded up to 100 or down to 0."""
    return f"{points(low)}–{points(high)}"


def count(value: float) -> str:
    """A whole number with thousands separated; – if unknown."""
    return f"{value:,.0f}" if np.isfinite(value) else "–"


def interval_words(table: pd.DataFrame) -> str:
    """What the intervals of aggregated rows stand on."""
    most = table["seeds"].max() if len(table) else 0
    if most < 2:
        return (
            "95\N{NO-BREAK SPACE}% intervals: Wilson's over test problems; of one seed, so they say"
            " nothing of others"
        )
    alone = " (of one seed: Wilson's alone)" if table["seeds"].min() < 2 else ""
    return (
        "95\N{NO-BREAK SPACE}% intervals: Student's t over seeds, at least Wilson's over test "
        f"problems{alone}"
    )


def remaining(section: Section, series: str) -> float:
    """Mean weights left over the runs of a series: those not pruned, all where nothing tells of
    pruning."""
    runs = section.main[section.main["series"] == series].drop_duplicates("run_id")
    return float(runs["active_parameters"].fillna(runs["parameters"]).mean())


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
    """The runs trained on one difficulty of one task (with one set of options) and the tables the
    page shows of them.

    rows: all rows. main: those of each series' largest training set. rule: the exit rule that the
    page goes by. recurrent: by series whether it could go on, None where the records do not tell.
    elsewhere: the problems are another task's than the trained one. best: `aggregate` of main under
    it, per series and test_difficulty. ruled: the same under every blind rule.
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
    recurrent: dict[str, bool | None]
    rule: str
    elsewhere: bool

    @property
    def best(self) -> pd.DataFrame:
        return self.ruled[self.ruled["rule"] == self.rule]

    @property
    def series(self) -> list[str]:
        return list(dict.fromkeys(self.rows["series"]))

    @property
    def sizes(self) -> list[float]:
        """The training-set sizes that were run, the smallest first."""
        return sorted(self.rows["train_samples"].dropna().unique())

    @property
    def compares_samples(self) -> bool:
        """Whether some series was measured with two training-set sizes or more: only then is there
        a curve."""
        measured = self.rows[self.rows["accuracy"].notna()]
        return bool((measured.groupby("series")["train_samples"].nunique() > 1).any())

    @property
    def difficulties(self) -> list[float]:
        return sorted(self.labels)

    @property
    def home(self) -> float | None:
        """The trained difficulty, where that was tested, else the easiest tested."""
        trained = [d for d in self.train_difficulties if d in self.labels][-1:]
        return (trained or self.difficulties[:1] or [None])[0]

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
        """The aggregated row under a rule, by default the page's, or None where nothing was
        measured."""
        t = self.ruled
        hit = t[
            (t["series"] == series)
            & (t["test_difficulty"] == difficulty)
            & (t["rule"] == (rule or self.rule))
        ]
        return None if hit.empty else hit.iloc[0]


def sections(rows: pd.DataFrame) -> list[Section]:
    """The sections of the page, in the order of the records but for those of one task, which stand
    together: the easiest trained difficulty first, then what was tested on other tasks."""
    rule = main_rule(rows)
    made = [
        _section(str(name), rows[rows["section"] == name], rule)
        for name in rows["section"].unique()
    ]
    tasks = list(dict.fromkeys(section.task for section in made))
    return sorted(
        made, key=lambda s: (tasks.index(s.task), s.elsewhere, min(s.train_difficulties, default=0))
    )


def _section(name: str, rows: pd.DataFrame, rule: str) -> Section:
    largest = rows.groupby("series")["train_samples"].transform("max")
    main = rows[(rows["train_samples"] == largest) | largest.isna()]
    measured = rows[rows["accuracy"].notna()]
    labels = dict(zip(measured["test_difficulty"], measured["difficulty_label"], strict=True))
    ends = rows.groupby("series")["max_iterations"].max()
    # A network that goes on has no largest number of iterations; one measured once cannot be told.
    steps = rows[rows["exit_rule"] == "fixed"].groupby("series")["iterations"].nunique()
    recurrent = {
        s: None if np.isnan(end) and steps.get(s, 0) < 2 else bool(np.isnan(end))
        for s, end in ends.items()
    }
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
