"""Results folders of made-up but plausible numbers, as comparisons write them."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from foundations.statistics import wilson
from reports import build_report
from reports.narrative.answer import answer
from reports.read.load import load_records
from reports.read.sections import sections

#: How far each made-up paradigm carries: accuracy at the trained difficulty, loss per step of
#: difficulty.
PARADIGMS = {
    "dt_net_recall": {"parameters": 49_000, "max_iterations": None, "top": 0.995, "fall": 0.03},
    "dt_net": {"parameters": 39_800, "max_iterations": None, "top": 0.97, "fall": 0.22},
    "feed_forward_recall": {"parameters": 730_000, "max_iterations": 16, "top": 0.98, "fall": 0.3},
    "narrow_resnet18": {"parameters": 119_697, "max_iterations": 1, "top": 0.93, "fall": 0.35},
}
TASKS = {
    "maze": {"name": "size", "difficulties": [9, 13, 17, 21, 29], "dims": 2},
    "prefix_sums": {"name": "length", "difficulties": [16, 32, 48, 64], "dims": 1},
    "pathfinder": {"name": "path length", "difficulties": [6, 9, 14], "dims": 2, "chance": 0.5},
}


def _accuracy(facts: dict, place: int, samples: int, iterations: int, rng) -> float:
    top = facts["top"] * (1 - 0.5 * math.exp(-samples / 2500))
    far = max(0.0, top - facts["fall"] * place**1.3)
    if facts["max_iterations"] != 1:
        far *= 1 / (1 + math.exp(-(iterations - 6 - 4 * place) / 2))
    if "recall" not in facts["paradigm"] and iterations > 24:
        far *= math.exp(-(iterations - 24) / 12)  # overthinking
    return float(np.clip(far + rng.normal(0, 0.01), 0, 1))


def make_rows(run: dict, task: dict, facts: dict, iterations: int, rng) -> list[dict]:
    """Rows as comparisons store them: fixed iterations, then the exit rules of recurrent
    networks."""
    rows = []
    end = facts["max_iterations"]
    steps = list(range(1, (end or iterations) + 1)) if end != 1 else [1]
    for place, difficulty in enumerate(task["difficulties"]):
        answers = [("fixed", s, s) for s in steps]
        if end is None:
            answers += [("n_plus_2", 18, 18.0), ("agreement", iterations, 14.2 + 3 * place)]
            answers += [("maximum_confidence", iterations, 17.9 + 3 * place)]
        for rule, budget, mean in answers:
            accuracy = _accuracy(facts, place, run["train_samples"], int(mean), rng)
            accuracy = run["chance"] + (1 - run["chance"]) * accuracy
            low, high = wilson(accuracy, 1000)
            rows.append(
                {
                    **run,
                    "test_difficulty": difficulty,
                    "difficulty_name": task["name"],
                    "difficulty_label": str(difficulty),
                    "iterations": budget,
                    "exit_rule": rule,
                    "exit_iterations_mean": float(mean),
                    "accuracy": accuracy,
                    "element_accuracy": 1 - (1 - accuracy) / 5,
                    "n_test": 1000,
                    "ci_low": float(low),
                    "ci_high": float(high),
                    "flops_per_example": 2e6 * mean * (1 + place),
                    "status": "complete",
                }
            )
    return rows


def make_examples(path: Path, task: dict, rng) -> None:
    """Pictures with a wall pattern, an answer along a row, and a wrong one for every second
    problem."""
    tensors = {}
    for difficulty in task["difficulties"]:
        shape = (difficulty + 2,) * 2 if task["dims"] == 2 else (difficulty,)
        targets = (rng.random((4, *shape)) < 0.3).astype(np.int64)
        predictions = targets.copy()
        flips = rng.random((4, *shape)) < 0.05
        flips[:2] = False
        flips.reshape(4, -1)[2:, 0] = True
        predictions[flips] = 1 - predictions[flips]
        drawn = targets if task["dims"] == 2 else targets[:, None]
        wall = np.maximum(rng.random(drawn.shape) < 0.5, drawn)
        tensors[f"{difficulty}.picture"] = np.repeat(wall[..., None], 3, -1).astype(np.uint8) * 255
        tensors[f"{difficulty}.targets"] = targets
        tensors[f"{difficulty}.predictions"] = predictions
        tensors[f"{difficulty}.correct"] = np.array([1, 1, 0, 0], np.uint8)
        sure = np.linspace(0, 255, 5).astype(np.uint8).reshape(5, *[1] * targets[0].ndim)
        tensors[f"{difficulty}.thoughts"] = sure * targets[:1].astype(np.uint8)
        tensors[f"{difficulty}.thought_iterations"] = np.array([1, 2, 4, 8, 16])
        tensors[f"{difficulty}.first.picture"] = tensors[f"{difficulty}.picture"][:1]
        tensors[f"{difficulty}.first.thoughts"] = tensors[f"{difficulty}.thoughts"][1:]
        tensors[f"{difficulty}.first.thought_iterations"] = np.array([2, 4, 8, 16])
    facts = {"dense": "true", "spatial_dims": str(task["dims"]), "iterations": "48"}
    save_file(tensors, path, metadata=facts)


def make_metrics(steps: int, rng) -> str:
    lines = []
    for step in range(1, steps + 1):
        loss = 0.7 * math.exp(-2.5 * step / steps) + abs(rng.normal(0, 0.02))
        entry = {"step": step * 10, "examples": step * 500, "split": "train", "loss": loss}
        lines.append({**entry, "learning_rate": 0.001})
        if step % 10 == 0:
            accuracy = float(np.clip(1 - 1.2 * math.exp(-3 * step / steps), 0, 1))
            more = {"split": "validation", "accuracy": accuracy, "element_accuracy": 0.9}
            lines.append({**entry, **more})
    return "".join(json.dumps(line) + "\n" for line in lines)


def make_records(
    out: Path,
    tasks=("maze", "prefix_sums"),
    paradigms=tuple(PARADIGMS),
    seeds=(0, 1),
    samples=(1000, 10000),
    iterations: int = 48,
    difficulties: int | None = None,
    rename: dict[str, str] | None = None,
    metrics: int = 100,
) -> Path:
    """A results folder as comparisons write it, of made-up but plausible numbers."""
    rng = np.random.default_rng(0)
    rename = rename or {}
    rows, ids = [], []
    for name in tasks:
        task = {**TASKS[name], "difficulties": TASKS[name]["difficulties"][:difficulties]}
        for paradigm in paradigms:
            for size in samples:
                for seed in seeds:
                    facts = {**PARADIGMS[paradigm], "paradigm": paradigm}
                    run_id = f"{name}-{paradigm}-{size}-s{seed}"
                    run = {
                        "run_id": run_id,
                        "task": rename.get(name, name),
                        "paradigm": rename.get(paradigm, paradigm),
                        "label": rename.get(paradigm, paradigm),
                        "seed": seed,
                        "preset": "quick",
                        "train_difficulty": task["difficulties"][0],
                        "train_samples": size,
                        "parameters": facts["parameters"],
                        "active_parameters": facts["parameters"],
                        "train_iterations": facts["max_iterations"] or 16,
                        "max_iterations": facts["max_iterations"],
                        "chance": task.get("chance", 0.0),
                        "train_flops": 3e12 + facts["parameters"] * 1e8,
                        "train_seconds": 60.0 + facts["parameters"] / 5e3,
                        "steps": 10 * metrics,
                        "examples_seen": 500 * metrics,
                        "precision": "bf16",
                        "device": "cpu",
                    }
                    ids.append(run_id)
                    rows += make_rows(run, task, facts, iterations, rng)
                    folder = out / "runs" / run_id
                    folder.mkdir(parents=True)
                    spec = {key: run[key] for key in ("task", "paradigm", "seed", "preset")}
                    spec |= {"task_options": {}, "paradigm_options": {}, "train": {"steps": 1000}}
                    (folder / "spec.json").write_text(json.dumps(spec))
                    (folder / "metrics.jsonl").write_text(make_metrics(metrics, rng))
                    result = {"run_id": run_id, "status": "complete", "reason": None}
                    result["command"] = f"python compare.py --tasks {name} --paradigms {paradigm}"
                    (folder / "result.json").write_text(json.dumps(result))
                    if not task.get("chance"):  # one answer a problem
                        make_examples(folder / "examples.safetensors", task, rng)
    table = pd.DataFrame(rows)
    table.to_parquet(out / "results.parquet", index=False)
    study = {"schema": 1, "command": "accelerate launch compare.py", "preset": "quick"}
    study |= {"created": "2026-01-02T03:04:05+00:00", "runs": ids, "title": "Mazes and sums"}
    (out / "study.json").write_text(json.dumps(study))
    return out


def make_failures(out: Path) -> Path:
    """Two runs, both of which diverged: no accuracy anywhere."""
    make_records(out, ("maze",), ("dt_net_recall", "narrow_resnet18"), (0,), (1000,), metrics=20)
    lost = {"accuracy": np.nan, "element_accuracy": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    lost |= {"n_test": 0, "status": "diverged"}
    rewrite(out, lambda table: table.drop_duplicates("run_id").assign(**lost))
    for run in (out / "runs").iterdir():
        (run / "examples.safetensors").unlink()
        result = json.loads((run / "result.json").read_text())
        result |= {"status": "diverged", "reason": "the loss is not finite at step 30"}
        (run / "result.json").write_text(json.dumps(result))
    return out


def make_nothing(out: Path) -> Path:
    """A study that was planned and stopped before its first run."""
    make_records(out, ("maze",), ("dt_net_recall",), (0,), (1000,), metrics=20)
    shutil.rmtree(out / "runs")
    rewrite(out, lambda table: table.head(0))
    return out


def sections_of(out: Path) -> list:
    return sections(load_records(out).rows)


def said(out: Path) -> str:
    """All verdicts of a folder, with plain spaces."""
    text = " ".join(sentence for s in sections_of(out) for sentence in answer(s))
    return text.replace("\N{NO-BREAK SPACE}", " ")


def page_of(out: Path) -> str:
    return build_report(out).read_text(encoding="utf-8")


def table_of(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "results.parquet")


def rewrite(out: Path, change) -> None:
    change(table_of(out)).to_parquet(out / "results.parquet", index=False)
