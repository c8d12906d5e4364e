"""Results folders of any kind, drawn for properties: any seeds, sizes, failures, ties."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from foundations.statistics import wilson

#: Runs of these are drawn: (label, parameters, where it ends or None, share of weights kept).
DRAWN = (
    ("dt_net_recall", 49_000, None, 1.0),
    ("dt_net", 39_800, None, 0.1),
    ("feed_forward", 730_000, 16, 1.0),
    ("narrow_resnet18", 119_697, 1, 0.01),
)
_LEVELS = st.sampled_from([0.0, 0.004, 0.46, 0.5, 0.52, 0.75, 0.9, 0.94, 0.98, 0.9996, 1.0])


@st.composite
def drawn_tasks(draw, several_trained: bool = False) -> list[dict]:
    """What some made-up study measured: a task each, with any seeds, sizes, failures and ties."""
    tasks = []
    for name in draw(st.sampled_from([("maze",), ("maze", "path"), ("a", "b", "c", "d")])):
        degrees = draw(st.integers(1, 3))
        paradigms = draw(st.lists(st.sampled_from(DRAWN), min_size=1, max_size=4, unique=True))
        runs = []
        for label, parameters, end, kept in paradigms:
            trained = draw(st.integers(0, degrees - 1)) if several_trained else 0
            tested = draw(st.sampled_from([range(degrees), range(degrees), range(1)]))
            for size in draw(st.sampled_from([(1000,), (1000,), (100, 1000), (5000,)])):
                levels = [draw(_LEVELS) for _ in range(degrees)]
                for seed in range(draw(st.integers(1, 3))):
                    off = draw(st.sampled_from([0.0, 0.0, 0.01, -0.02, 0.2]))
                    status = draw(st.sampled_from(["complete"] * 6 + ["collapsed", "diverged"]))
                    runs.append(
                        {
                            "label": label,
                            "parameters": parameters,
                            "end": end,
                            "kept": kept,
                            "size": size,
                            "seed": seed,
                            "status": status,
                            "trained": trained,
                            "accuracy": {d: min(max(levels[d] + off, 0.0), 1.0) for d in tested},
                            "settled": draw(st.sampled_from([0, 3, 8])),
                            "spike": draw(st.sampled_from([1.0, 1.0, 1e12])),
                        }
                    )
        n_test = draw(st.sampled_from([10, 100, 1000]))
        chance = draw(st.sampled_from([0.0, 0.5]))
        plain = draw(st.booleans()) and degrees == 1
        tasks.append(
            {
                "name": name,
                "degrees": degrees,
                "n": n_test,
                "chance": chance,
                "plain": plain,
                "runs": runs,
            }
        )
    return tasks


def one_task(*runs, n=1000, chance=0.0, degrees=2) -> list[dict]:
    """A task as `drawn_tasks` draws it: runs are (label, accuracies from easy to hard, what else is
    unlike)."""
    ends = {"dt_net": None, "feed_forward": 16}
    made = [
        {
            "label": label,
            "parameters": 1000,
            "end": ends[label],
            "kept": 1.0,
            "size": 1000,
            "seed": 0,
            "status": "complete",
            "trained": 0,
            "settled": 0,
            "spike": 1.0,
            "accuracy": dict(enumerate(accuracies)),
            **more,
        }
        for label, accuracies, more in runs
    ]
    facts = {"name": "maze", "degrees": degrees, "n": n, "chance": chance, "plain": False}
    return [{**facts, "runs": made}]


def write_drawn(out: Path, tasks: list[dict]) -> Path:
    """A results folder of what was drawn."""
    rows = []
    for task in tasks:
        for run in task["runs"]:
            run_id = f"{task['name']}.{run['label']}-{run['size']}-s{run['seed']}"
            rows += list(_drawn_rows(run_id, task, run))
            folder = out / "runs" / run_id
            folder.mkdir(parents=True)
            (folder / "spec.json").write_text(
                json.dumps({"task": task["name"], "seed": run["seed"]})
            )
            (folder / "result.json").write_text(json.dumps(_drawn_result(task, run)))
            steps = [{"examples": i, "split": "train", "loss": 0.7 / i} for i in range(1, 31)]
            steps[17]["loss"] *= run["spike"]
            steps.append({"examples": 30, "split": "validation", "accuracy": run["accuracy"][0]})
            (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, steps)) + "\n")
    pd.DataFrame(rows).to_parquet(out / "results.parquet", index=False)
    (out / "study.json").write_text(json.dumps({"title": "Anything", "command": "compare"}))
    return out


def _degrees(task: dict) -> list[int]:
    return [1] if task["plain"] else [9, 13, 21][: task["degrees"]]


def _drawn_rows(run_id: str, task: dict, run: dict) -> Iterator[dict]:
    places = _degrees(task)
    end = run["end"]
    for d, accuracy in run["accuracy"].items():
        answers = [("fixed", i, accuracy * i / 16) for i in (1, 8, 16) if i <= (end or 16)]
        if end == 1:
            answers = [("fixed", 1, accuracy)]
        if end is None:
            answers += [("fixed", 32, accuracy), ("agreement", 32, accuracy * 0.97)]
            answers += [("maximum_confidence", 32, min(1.0, accuracy * 1.1))]
        for rule, iterations, share in answers:
            right = round(share * task["n"])
            low, high = wilson(right / task["n"], task["n"])
            lost = run["status"] == "diverged"
            yield {
                "run_id": run_id,
                "task": task["name"],
                "paradigm": run["label"],
                "label": run["label"],
                "seed": run["seed"],
                "preset": "quick",
                "train_difficulty": places[run["trained"]],
                "train_samples": run["size"],
                "parameters": run["parameters"],
                "active_parameters": run["parameters"] * run["kept"],
                "train_iterations": end or 16,
                "max_iterations": end,
                "test_difficulty": places[d],
                "difficulty_name": "difficulty" if task["plain"] else "size",
                "difficulty_label": str(places[d]),
                "iterations": iterations,
                "exit_rule": rule,
                "exit_iterations_mean": float(iterations),
                "accuracy": np.nan if lost else right / task["n"],
                "element_accuracy": np.nan,
                "n_test": task["n"],
                "ci_low": np.nan if lost else float(low),
                "ci_high": np.nan if lost else float(high),
                "chance": task["chance"],
                "flops_per_example": 1e6 * iterations,
                "train_flops": 1e12 * run["seed"] + 1e12,
                "train_seconds": 60.0,
                "status": run["status"],
                "device": "cpu",
            }


def _drawn_result(task: dict, run: dict) -> dict:
    """What was stored beside the rows: when it answered, and what is inside it."""
    result = {"status": run["status"], "exits": [], "inside": []}
    if run["end"] is not None or run["status"] == "diverged":
        return result
    for d in run["accuracy"]:
        about = {"test_task": task["name"], "test_difficulty": _degrees(task)[d]}
        result["exits"].append(
            {**about, "exit_rule": "agreement", "iterations": [2, 5, 32], "problems": [1, 6, 3]}
        )
        kinds = {"fixed point": run["settled"], "cycle": 0, "settling": 0}
        reused = 0.083 * (run["seed"] + 1)
        result["inside"].append(
            {
                **about,
                "n": 8,
                "train_iterations": 16,
                "ends": False,
                "grid": [1, 2, 4, 8],
                "rest": {key: [1.0, 0.5, 0.25, 0.2] for key in ("low", "median", "high")},
                "step": {key: [1.0, 0.5, 0.25, 0.03] for key in ("low", "median", "high")},
                "limits": {**kinds, "drift": 8 - run["settled"]},
                "filters": {
                    "filters": 8, "never_active": 0, "reused": reused, "reused_by_count": 0.9996,
                    "curve": np.linspace(0, 0.5, 21).tolist(),
                },
            }
        )  # fmt: skip
    return result
