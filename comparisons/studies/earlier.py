"""What quick studies were run with before the quick preset was made shorter. They keep it, so that
their records are still those of their plans."""

from __future__ import annotations

from comparisons.planning.overrides import Overrides, overrides

_EVERY = {"patience": 0, "validate_every": 250, "validation_samples": 512, "batch_size": 50}

#: By task. The rate is for paradigms whose own recipe names none.
_EARLIER: dict[str, Overrides] = {
    "maze": overrides(
        train={**_EVERY, "steps": 1500, "learning_rate": 1e-3}, evaluation={"samples": 1000}
    ),
    "prefix_sums": overrides(
        train={**_EVERY, "steps": 1500, "learning_rate": 3e-3}, evaluation={"samples": 1000}
    ),
    "pathfinder": overrides(train=_EVERY, evaluation={"samples": 2000}),
}


def earlier(task: str, paradigms: tuple[str, ...]) -> Overrides:
    """The settings of a quick arm, under its own. ValueError where some of the paradigms have a
    rate of their own and some have not."""
    from paradigms import paradigm_recipe
    from tasks import load_task

    found = dict(_EARLIER.get(task, {}))
    if ("train", "learning_rate") in found:
        spec = load_task(task).spec
        rates = {"learning_rate" in paradigm_recipe(p, "quick", spec).get("train", {})
                 for p in paradigms}  # fmt: skip
        if len(rates) > 1:
            raise ValueError(f"{', '.join(paradigms)} on {task} need arms of their own")
        if rates == {True}:
            del found["train", "learning_rate"]
    return found
