"""`python -m benchmarks.reference`: docs/reference.md, every task and paradigm with its options
and, of paradigms, what they scored in the results that are kept."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from foundations.command import Parser
from paradigms import PARADIGMS, paradigm_entry, paradigm_names, paradigm_options, paradigm_title
from tasks import task_class, task_names, task_title

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
#: Kept tables with a row per run, difficulty and exit rule, and what the page calls them.
TABLES = {"default": "the default study", "studies": "the published claims", "own": "our claims"}
RIVALS = {"sums": "prefix_sums", "mazes": "maze"}
HEAD = """# Reference

Every task and paradigm with its options, made by `python -m benchmarks.reference` from the code
and from the [results that are kept](results/README.md). What tasks are: [tasks](tasks.md), in
pictures: [gallery](gallery.md). What paradigms are, and when to choose them:
[paradigms](paradigms.md). Options of a task are `--set task.NAME=VALUE`, of a paradigm
`--set paradigm.NAME=VALUE`, or `--set PARADIGM.NAME=VALUE` for one. Scores are of runs with default
options, answered after the number of iterations that was chosen on validation problems.
"""


def told(docstring: str | None) -> str:
    """A docstring as Markdown: its paragraphs, indentation and links to code as they are."""
    text = inspect.cleandoc(docstring or "")
    return re.sub(r"(?m)^([<*_#])", r"\\\1", text)


def options(parameters: Mapping[str, inspect.Parameter]) -> str:
    """`width=64`, ..., in a line; without those that have no default."""
    shown = [f"`{n}={p.default!r}`" for n, p in parameters.items() if p.default is not p.empty]
    return f"Options and their defaults: {', '.join(shown)}." if shown else "It has no options."


def task_part(name: str) -> str:
    """A task's section."""
    made = task_class(name)
    lines = [f"### {task_title(name)} (`{name}`)", told(made.__doc__)]
    lines.append(options(inspect.signature(made).parameters))
    if made.perturbations:
        said = "; ".join(f"`{key}`: {words}" for key, words in made.perturbations.items())
        lines.append(f"Perturbations beside those of the state: {said}.")
    if made.layouts:
        layouts = ", ".join(f"`{layout}`" for layout in made.layouts)
        lines.append(f"Reads and writes the [published files](published_sets.md) {layouts}.")
    return "\n\n".join(lines)


def said_of(name: str) -> str:
    """What the listing says of a paradigm, whole."""
    from comparisons.listing import described

    return f"{described(paradigm_entry(name).make)}."


def paradigm_part(name: str, scores: pd.DataFrame) -> str:
    """A paradigm's section."""
    lines = [f"### {paradigm_title(name)} (`{name}`)", said_of(name)]
    lines.append(options(paradigm_options(name)))
    mine = scores[scores["paradigm"] == name]
    if len(mine):
        table = [
            "| task | tested on | solved, by training seed | of | from |",
            "|---|---|---|---|---|",
        ]
        keys = ["task", "test_difficulty", "problems", "source"]
        for (task, place, problems, source), rows in mine.groupby(keys, sort=False):
            each = ", ".join(f"{100 * a:.1f}" for a in rows.sort_values("seed")["accuracy"])
            table.append(
                f"| {task_title(str(task))} | {place} | {each} % | {problems:,.0f} | {source} |"
            )
        lines.append("\n".join(table))
    return "\n\n".join(lines)


def scores_kept() -> pd.DataFrame:
    """A row a run and difficulty of networks with their default options, answered after the number
    of iterations that was chosen on validation problems."""
    parts = []
    for folder, source in TABLES.items():
        table = pd.read_parquet(RESULTS / folder / "results.parquet")
        chosen = table[(table["exit_rule"] == "validated") & (table["label"] == table["paradigm"])]
        largest = chosen.groupby(["task", "paradigm"])["train_samples"].transform("max")
        chosen = chosen[
            (chosen["train_samples"] == largest) & (chosen["test_task"] == chosen["task"])
        ]
        alone = chosen.groupby("task")["difficulty_name"].transform("first") == "difficulty"
        place = (chosen["difficulty_name"] + " " + chosen["difficulty_label"]).where(~alone, "–")
        parts.append(chosen.assign(place=place, problems=chosen["n_test"], source=source))
    for name, task in RIVALS.items():
        table = pd.read_csv(RESULTS / "rivals" / f"{name}.csv")
        unit = "length " if task == "prefix_sums" else "size "
        place = unit + table["difficulty"].astype(str)
        parts.append(
            table.assign(task=task, place=place, problems=table["n_test"], source="rivals")
        )
    kept = pd.concat(parts, ignore_index=True)
    kept["test_difficulty"] = kept["place"]
    columns = ["task", "paradigm", "seed", "test_difficulty", "accuracy", "problems", "source"]
    return kept[columns]


def page() -> str:
    """The whole page."""
    scores = scores_kept()
    parts = [HEAD.rstrip(), "## Tasks", *map(task_part, task_names())]
    parts += ["## Paradigms", *(paradigm_part(name, scores) for name in paradigm_names())]
    prefixed = [name for name in PARADIGMS.names() if ":" in name]
    parts.append("### By the name of another")
    parts.append("\n".join(f"- `{name}`: {said_of(name)}" for name in prefixed))
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(prog="python -m benchmarks.reference", description="Write docs/reference.md.")
    parser.parse_args(arguments)
    (ROOT / "docs" / "reference.md").write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
