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
    """The settings of a quick arm, under its own. ValueError where some of the paradigms have
    another rate by their own recipe than others."""
    from paradigms import paradigm_recipe
    from tasks import load_task

    found = dict(_EARLIER.get(task, {}))
    rate = found.get(("train", "learning_rate"))
    if rate is not None:
        spec = load_task(task).spec
        recipes = [paradigm_recipe(p, "quick", spec).get("train", {}) for p in paradigms]
        rates = {recipe.get("learning_rate", rate) for recipe in recipes}
        if len(rates) > 1:
            raise ValueError(f"{', '.join(paradigms)} on {task} need arms of their own")
        found["train", "learning_rate"] = rates.pop()
    return found
