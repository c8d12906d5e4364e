"""Networks that were tested more than once: their tests as one, since one network is no competitor
of itself.

Runs that differ in their tests alone hold the same weights. Their rows become those of one network;
where two tests hold the same number, that of more test problems counts, then the newest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from foundations.records.made import Made
from reports.read.formats import plural
from reports.read.stored import Entry

if TYPE_CHECKING:
    from reports.read.load import Run

#: What a number in the table is of, beside the network.
_NUMBER = ["test_task", "test_difficulty", "exit_rule", "_budget"]
#: What of a run's row says how it was trained, where its spec leaves it out.
_TRAINING = ["task", "paradigm", "seed", "preset", "train_difficulty", "train_samples"]


def made_of(row: pd.Series, run: Run | None) -> Made:
    """What made a run, from a row of the table and its result."""
    result = run.result if run else {}
    precision, device = (row[name] or result.get(name) for name in ("precision", "device"))
    return Made.of(precision, device, result.get("version"))


def merge_tests(rows: pd.DataFrame, runs: dict[str, Run]) -> pd.DataFrame:
    """The rows with `run_id` that of the network, the run it was first trained as, and one row a
    number.

    Gives each `Run` of a network that was tested more than once all of its `tests`, those of more
    problems first.
    """
    groups = [names for names in _networks(rows, runs).values() if len(names) > 1]
    if not groups:
        return rows
    order: dict[str, int] = {}
    network: dict[str, str] = {}
    problems = rows.groupby("run_id")["n_test"].max().fillna(0)
    for names in groups:
        best = sorted(names, key=lambda name: (problems[name], *_age(runs[name])), reverse=True)
        first = min(names, key=lambda name: _age(runs[name]))
        for name in names:
            network[name] = first
            runs[name].tests = tuple(runs[each] for each in best)
        order |= {name: place for place, name in enumerate(best)}
    retested = rows["run_id"].isin(network)
    merged = rows[retested].assign(
        _order=rows["run_id"].map(order),
        _measured=rows["accuracy"].notna(),
        # The validated number of iterations is one of each test, whichever it is.
        _budget=rows["iterations"].where(rows["exit_rule"] != "validated", 0),
        run_id=rows["run_id"].map(network),
    )
    merged = merged.sort_values(
        ["_measured", "n_test", "_order"], ascending=[False, False, True], kind="stable"
    )
    merged = merged.drop_duplicates(["run_id", *_NUMBER]).drop(
        columns=["_order", "_measured", "_budget"]
    )
    return pd.concat([rows[~retested], merged]).sort_index().reset_index(drop=True)


def _networks(rows: pd.DataFrame, runs: dict[str, Run]) -> dict[str, list[str]]:
    """Runs by what determines their weights: how they were trained, and what made them."""
    networks: dict[str, list[str]] = {}
    for _, row in rows.drop_duplicates("run_id").iterrows():
        name = str(row["run_id"])
        run = runs.get(name)
        training = _training(run.spec) if run else {}
        facts: list[Any] = [name]  # nothing says how it was trained
        if run and training:
            facts = [training, *(row[c] for c in _TRAINING), *made_of(row, run)]
        networks.setdefault(json.dumps(facts, sort_keys=True, default=str), []).append(name)
    return networks


def _training(spec: Entry) -> Entry:
    """A spec without its tests. Their seed draws the validation problems too, which choose weights
    where training may stop early."""
    training = {key: value for key, value in spec.items() if key != "evaluation"}
    options, tests = spec.get("train"), spec.get("evaluation")
    if isinstance(options, dict) and options.get("patience") and isinstance(tests, dict):
        training["evaluation"] = {"seed": tests.get("seed")}
    return training


def _age(run: Run) -> tuple[bool, float, str]:
    """Sorts the runs of one network, the oldest first: those that took its weights came later."""
    return "trained_as" in run.result, run.written, run.run_id


def retests_note(runs: dict[str, Run]) -> list[str]:
    """A line where networks were tested more than once; else none."""
    several = {run.tests[0].run_id for run in runs.values() if run.tests}
    if not several:
        return []
    who = f"{plural(len(several), 'network')} {'was' if len(several) == 1 else 'were'}"
    return [
        f"{who} tested more than once: each is one network here, with all of its tests; of two"
        " tests at the same difficulty, that on more problems counts, then the newer."
    ]


def before_merging(rows: pd.DataFrame, merged: pd.DataFrame, runs: dict[str, Run]) -> pd.DataFrame:
    """The rows of every run, those that `merge_tests` left out too, with `section` and `series` of
    the merged, and `network`, the run that the network was first trained as."""
    if len(rows) == len(merged) and (rows["run_id"] == merged["run_id"]).all():
        return merged.assign(network=merged["run_id"])
    network = {run.run_id: r for r in set(merged["run_id"]) if r in runs for run in runs[r].tests}
    owner = rows["run_id"].map(network).fillna(rows["run_id"])
    named = merged.drop_duplicates(["run_id", "test_task"]).set_index(["run_id", "test_task"])
    places = list(zip(owner, rows["test_task"], strict=True))
    return rows.assign(
        network=owner,
        section=named["section"].reindex(places).to_numpy(),
        series=named["series"].reindex(places).to_numpy(),
    )
