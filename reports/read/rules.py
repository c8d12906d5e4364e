"""Exit rules: which recorded accuracy is a network's answer.

All but the oracle and the peak, which say so, are blind to the right answer.
"""

from __future__ import annotations

import pandas as pd

from foundations.measures import aggregate

RULES = {
    "validated": "the number of iterations chosen on validation problems",
    "last": "the last recorded iteration",
    "trained": "as many iterations as in training",
    "n_plus_2": "two iterations more than in training",
    "agreement": "agreement (stops when an answer repeats)",
    "maximum_confidence": "maximum confidence",
    "convergence": "convergence (stops when the state moves by under 1 %)",
    "halting": "halting (stops where the network itself says so)",
}
#: How that number is chosen, said once a page.
CHOSEN = {
    "validated": (
        "the most iterations at which no accuracy is lost at the trained difficulty; for tasks"
        " without degrees of difficulty, the best number"
    ),
}
ORACLE = "the first right answer (oracle: an upper bound)"
_CONDITION = ["run_id", "test_difficulty"]


def by_rule(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, difficulty and rule that does not see the answer; column `rule`.

    last: the last of the fixed iterations; trained: the fixed iterations used in training (for a
    network that ends, its end); and every other exit rule under its own name.
    """
    rows = rows.sort_values("iterations", kind="stable")
    fixed = rows[rows["exit_rule"] == "fixed"]
    last = fixed.drop_duplicates(_CONDITION, keep="last").assign(rule="last")
    most = fixed[["train_iterations", "max_iterations"]].min(axis=1)
    within = fixed[(fixed["iterations"] <= most) & fixed["train_iterations"].notna()]
    trained = within.drop_duplicates(_CONDITION, keep="last").assign(rule="trained")
    trained = trained[trained["iterations"] == most.reindex(trained.index)]
    others = rows[~rows["exit_rule"].isin(["fixed", "oracle"])]
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
    bound = rows[rows["exit_rule"] == "oracle"].sort_values("iterations", kind="stable")
    return aggregate(bound.drop_duplicates(_CONDITION, keep="last"), ["series", "test_difficulty"])


def by_iterations(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series, difficulty and number of fixed iterations the accuracy over seeds. Iterations
    that only some of the seeds recorded, which would compare different runs, are left out."""
    fixed = rows[rows["exit_rule"] == "fixed"]
    table = aggregate(fixed, ["test_difficulty", "series", "iterations"])
    return table[
        table["seeds"] == table.groupby(["series", "test_difficulty"])["seeds"].transform("max")
    ]


def peaks(rows: pd.DataFrame) -> pd.DataFrame:
    """Per series and difficulty the iterations of highest mean accuracy: chosen on the test
    data."""
    order = by_iterations(rows).sort_values(
        ["mean", "iterations"], ascending=[False, True], kind="stable"
    )
    return order.drop_duplicates(["series", "test_difficulty"])


def interval_note(table: pd.DataFrame) -> str:
    """What the intervals of aggregated rows stand on."""
    if (table["seeds"].max() if len(table) else 0) < 2:
        return (
            "95\N{NO-BREAK SPACE}% intervals: Wilson's over test problems; they are of one seed"
            " and say nothing about others"
        )
    alone = " (of one seed: Wilson's over test problems)" if table["seeds"].min() < 2 else ""
    return (
        "95\N{NO-BREAK SPACE}% intervals over seeds and test problems, whose variances add up"
        f"{alone}"
    )
