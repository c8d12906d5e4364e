"""The sections of the page: what was trained on one difficulty of one task, as tables of means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from foundations.measures import aggregate
from reports.read.formats import count, percent, plural, points, span
from reports.read.rules import by_rule, main_rule
from reports.read.stored import Entry

if TYPE_CHECKING:
    from reports.read.load import Run


_LEARNT = 0.9  # share of the way from chance to perfect at which a task counts as learnt


class Accuracy(NamedTuple):
    """A network's accuracy and its 95 % interval.

    at: the place it was measured at, or what it cost, whichever is spoken of. seeds, n_test: the
    runs that it is a mean of, `each` their own, and test problems of each. iterations: mean number
    up to the answer. flops: of an answer.
    """

    series: str
    mean: float
    low: float
    high: float
    at: float
    seeds: int = 1
    n_test: float = np.nan
    each: tuple[float, ...] = ()
    iterations: float = np.nan
    flops: float = np.nan

    @property
    def interval(self) -> tuple[float, float, float]:
        """(mean, low, high)."""
        return self.mean, self.low, self.high

    @property
    def seeds_text(self) -> str:
        """`1 seed`, `2 seeds: 59.6, 74.5`; more than six are only counted."""
        text = plural(self.seeds, "seed")
        few = 1 < len(self.each) <= 6
        return f"{text}: {', '.join(map(points, self.each))}" if few else text

    @property
    def basis(self) -> str:
        """`95 % interval 76.1–88.0; 2 seeds: 80.1, 84.0; 1,000 problems each`."""
        problems = f"; {count(self.n_test)} problems each" if np.isfinite(self.n_test) else ""
        interval = f"95\N{NO-BREAK SPACE}% interval {span(self.low, self.high)}"
        return f"{interval}; {self.seeds_text}{problems}"

    def __str__(self) -> str:
        """`83.2 % (95 % interval 76.1–88.0; 1 seed; 1,000 problems each)`."""
        return f"{percent(self.mean)} ({self.basis})"


def accuracies(table: pd.DataFrame, at: str = "test_difficulty") -> list[Accuracy]:
    """The rows of `aggregate`, with a column of them as the place."""
    return [
        Accuracy(
            str(row["series"]), float(row["mean"]), float(row["low"]), float(row["high"]),
            float(row[at]), int(row["seeds"]), float(row["n_test"]), tuple(row.get("each", ())),
            float(row["exit_mean"]), float(row["flops"]),
        )
        for row in table.to_dict("records")
    ]  # fmt: skip


@dataclass(frozen=True)
class Section:
    """The runs trained on one difficulty of one task (with one set of options) and the tables the
    page shows of them.

    rows: all rows. main: those of each series' largest training set. rule: the exit rule that the
    page goes by. endless: by series whether it could iterate on, None where the records do not
    tell; recurrent: the same, but for networks that are recurrent over positions, which are.
    elsewhere: the problems are another task's than the trained one. study: that whose runs alone
    these are, where the page has sections by study. ruled: `aggregate` of main per
    series, test_difficulty and rule; cells: the same by these three.
    """

    name: str
    task: str
    rows: pd.DataFrame
    main: pd.DataFrame
    ruled: pd.DataFrame
    cells: dict[tuple[str, float, str], Accuracy]
    difficulty_name: str
    labels: dict[float, str]
    train_difficulties: list[float]
    chance: float
    endless: dict[str, bool | None]
    recurrent: dict[str, bool | None]
    rule: str
    elsewhere: bool
    study: str = ""

    @property
    def best(self) -> pd.DataFrame:
        """The table under the page's exit rule."""
        return self.ruled[self.ruled["rule"] == self.rule]

    @cached_property
    def series(self) -> list[str]:
        """The networks, in the order of the table."""
        return list(dict.fromkeys(self.rows["series"]))

    @property
    def sizes(self) -> list[float]:
        """The training-set sizes that were run, the smallest first."""
        return sorted(self.rows["train_samples"].dropna().unique())

    @cached_property
    def answers(self) -> pd.DataFrame:
        """All rows by exit rule, see `by_rule`."""
        return by_rule(self.rows)

    @cached_property
    def by_samples(self) -> pd.DataFrame:
        """`aggregate` of all rows per rule, test_difficulty, series and train_samples."""
        keys = ["rule", "test_difficulty", "series", "train_samples"]
        return aggregate(self.answers, keys, each=True)

    @property
    def goal(self) -> float:
        """The accuracy from which the trained difficulty counts as learnt."""
        return self.chance + _LEARNT * (1 - self.chance)

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
    def trained(self) -> list[float]:
        """The hardest of the trained difficulties that were tested, if any was."""
        return [d for d in self.train_difficulties if d in self.labels][-1:]

    @property
    def home(self) -> float | None:
        """The trained difficulty, where that was tested, else the easiest tested."""
        return next(iter([*self.trained, *self.difficulties]), None)

    @property
    def only(self) -> bool:
        """Whether the task has no degrees of difficulty, as far as its records tell."""
        return self.difficulty_name == "difficulty" and self.labels == {1.0: "1"}

    def label(self, difficulty: float) -> str:
        """`13`, in the task's own words for its difficulties."""
        return self.labels.get(difficulty, f"{difficulty:g}")

    def place(self, difficulty: float) -> str:
        """`size 13`."""
        if self.only:
            return "its only difficulty"
        return f"{self.difficulty_name} {self.label(difficulty)}"

    def panel(self, difficulty: float) -> str:
        """`place` as the title of a panel, which needs none where there is no other."""
        return "" if self.only else self.place(difficulty)

    def cell(self, series: str, difficulty: float, rule: str = "") -> Accuracy | None:
        """The accuracy under a rule, by default the page's, or None where nothing was measured."""
        return self.cells.get((series, difficulty, rule or self.rule))

    def runs_of(self, series: str) -> pd.DataFrame:
        """A row for each run of a series."""
        return self.main[self.main["series"] == series].drop_duplicates("run_id")

    def owners(self) -> list[tuple[str, str]]:
        """(series, run) for every run."""
        one = self.main.drop_duplicates("run_id")
        return list(zip(one["series"], one["run_id"], strict=True))

    def remaining(self, series: str) -> float:
        """Mean weights left over the runs of a series: those not pruned, all where nothing tells of
        pruning."""
        runs = self.runs_of(series)
        return float(runs["active_parameters"].fillna(runs["parameters"]).mean())


def section_entries(section: Section, runs: dict[str, Run], name: str) -> list[Entry]:
    """What the runs of a section stored under a name about the task it tests, with series and
    run."""
    tested = set(section.main["test_task"])
    return [
        {**entry, "series": series, "run_id": run_id}
        for series, run_id in section.owners()
        if run_id in runs
        for entry in runs[run_id].stored(name)
        if entry.get("test_task") in tested
    ]


def sections(rows: pd.DataFrame) -> list[Section]:
    """The sections of the page, in the order of the records but for those of one task, which stand
    together: the easiest trained difficulty first, then what was tested on other tasks."""
    rule = main_rule(rows)
    made = [_section(str(n), rows[rows["section"] == n], rule) for n in rows["section"].unique()]
    tasks = list(dict.fromkeys(section.task for section in made))
    return sorted(
        made, key=lambda s: (tasks.index(s.task), s.elsewhere, min(s.train_difficulties, default=0))
    )


def sections_by_study(
    rows: pd.DataFrame, networks: Mapping[str, str], studies: Mapping[str, Sequence[str]]
) -> list[Section]:
    """The sections of each study's runs, named after it, then those of runs of none. networks: by
    run, the run that its network was first trained as. studies: run ids by study."""
    made, left = [], set(rows["run_id"])
    for study, run_ids in studies.items():
        own = {networks.get(run_id, run_id) for run_id in run_ids}
        left -= own
        its = rows[rows["run_id"].isin(own)]
        made += [replace(s, name=f"{study}: {s.name}", study=study) for s in sections(its)]
    return made + sections(rows[rows["run_id"].isin(left)])


def goes_on(rows: pd.DataFrame) -> dict[str, bool | None]:
    """By series whether the network could iterate on, None where the records do not tell."""
    ends = rows.groupby("series")["max_iterations"].max()
    # A network that goes on has no largest number of iterations; one measured once cannot be told.
    steps = rows[rows["exit_rule"] == "fixed"].groupby("series")["iterations"].nunique()
    return {
        str(s): None if np.isnan(end) and steps.get(s, 0) < 2 else bool(np.isnan(end))
        for s, end in ends.items()
    }


def is_recurrent(rows: pd.DataFrame) -> dict[str, bool | None]:
    """By series whether the network is recurrent, over iterations or over the positions of one
    pass; None where the records do not tell."""
    over_positions = set(rows.loc[rows["over_positions"], "series"])
    return {s: True if s in over_positions else known for s, known in goes_on(rows).items()}


def _section(name: str, rows: pd.DataFrame, rule: str) -> Section:
    largest = rows.groupby("series")["train_samples"].transform("max")
    main = rows[(rows["train_samples"] == largest) | largest.isna()]
    measured = rows[rows["accuracy"].notna()]
    labels = dict(zip(measured["test_difficulty"], measured["difficulty_label"], strict=True))
    ruled = aggregate(by_rule(main), ["series", "test_difficulty", "rule"], each=True)
    cells = zip(ruled["rule"], accuracies(ruled), strict=True)
    return Section(
        name=name,
        task=str(rows["task"].iloc[0]),
        rows=rows,
        main=main,
        ruled=ruled,
        cells={(cell.series, cell.at, rule): cell for rule, cell in cells},
        difficulty_name=str(rows["difficulty_name"].iloc[0]),
        labels={float(k): str(v) for k, v in labels.items()},
        train_difficulties=sorted(rows["train_difficulty"].dropna().unique()),
        chance=float(rows["chance"].max()),
        endless=goes_on(rows),
        recurrent=is_recurrent(rows),
        rule=rule,
        elsewhere=bool((rows["test_task"] != rows["task"]).any()),
    )
