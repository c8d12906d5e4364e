"""Complete results of planned runs that were never made, and a study's evidence of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from comparisons.planning.elsewhere import other_tests
from comparisons.studies.evidence import Evidence
from comparisons.testing.evaluation import recorded_iterations
from foundations.records.result import Result
from foundations.records.spec import RunSpec


def made_up(spec: RunSpec, accuracy: float) -> Result:
    """A complete result of a run: every row, curve and probe that its tests would give."""
    trained = int(spec.paradigm_options.get("iterations", 8))
    evaluation = spec.evaluation
    tested = [(spec.task, d) for d in evaluation.difficulties]
    tested += [(test.label, d) for test in other_tests(spec) for d in test.difficulties]
    rows = [
        {
            "test_task": task,
            "test_difficulty": difficulty,
            "exit_rule": rule,
            "iterations": iterations,
            "accuracy": accuracy,
            "n_test": evaluation.samples,
        }
        for task, difficulty in tested
        for rule in ("fixed", "validated", *evaluation.exit_rules)
        for iterations in recorded_iterations(max(evaluation.iterations, trained), trained)
    ]
    filters = {"filters": 100, "never_active": 0, "reused_by_count": accuracy, "reused": accuracy}
    return Result.from_dict(
        {
            **{k: v for k, v in asdict(spec).items() if k in Result.__dataclass_fields__},
            "run_id": spec.run_id,
            "status": "complete",
            "train_iterations": trained,
            "max_iterations": None,
            "steps": spec.train.total_steps,
            "train_seconds": 60.0 * (1 + spec.seed),
            "rows": rows,
            "recovery": [
                {"blow": name, "test_difficulty": d, "n_test": evaluation.samples,
                 "accuracy": [accuracy]}
                for name in evaluation.blows
                for d in evaluation.difficulties
            ],
            "inside": [{"test_difficulty": d, "filters": filters} for d in evaluation.difficulties],
        }
    )  # fmt: skip


class MadeUp(Evidence):
    """Of planned runs, as if all had ended; notes which runs a claim finds."""

    def __init__(self, runs) -> None:
        super().__init__(Path("nowhere"), runs)
        self.found: dict[str, tuple[int, ...]] = {}

    def result(self, spec):
        return made_up(spec, 0.9 + 0.001 * spec.seed)

    def measured(self, selector):
        found = super().measured(selector)
        self.found[str(selector)] = found.planned
        return found

    def _solved(self, *arguments):
        return None

    def _validated(self, spec):
        return {100: 0.5, 1000 + spec.seed: 0.99}
