"""`python -m benchmarks.reference`: what pages of tasks and paradigms in docs/ say by the code and
the results that are kept. The rest of a page is written by hand: what stands between `made` and
`end` is made anew, a name without a page is given one, and docs/reference.md lists them all."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.schematics import facts
from comparisons.listing import described
from comparisons.planning.match import kept_parameters
from comparisons.planning.presets import task_preset
from foundations.command import Parser
from foundations.errors import Unsuitable
from paradigms import (
    PARADIGMS,
    build_paradigm,
    paradigm_entry,
    paradigm_names,
    paradigm_options,
    paradigm_recipe,
    paradigm_title,
)
from tasks import TASKS, load_task, task_class, task_names, task_title
from tasks.base import TaskSpec

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RESULTS = DOCS / "results"
OF_RIVALS = "the [rivals](../results/README.md)"
#: Kept tables with a row per run, difficulty and exit rule, and what pages call them.
TABLES = {
    "default": "the [default study](../results/README.md)",
    "studies": "the [published claims](../results/studies/README.md)",
    "own": "[our claims](../results/own/README.md)",
    "rivals/digits": OF_RIVALS,
    "rivals/pathfinder": OF_RIVALS,
    "rivals/chess": OF_RIVALS,
}
RIVALS = {"sums": "prefix_sums", "mazes": "maze"}
#: Tasks and presets at which networks are counted.
SIZES = ("maze", "prefix_sums", "pathfinder", "cifar10")
PRESETS = ("quick", "paper")
SCORED = """Problems solved entirely, in %: the mean over training seeds, in brackets the lowest and
the highest; answered after the number of iterations that was chosen on validation problems. Names
have the settings in which the runs of a study differ; recipes are those of their time."""
#: Pictures of a task on its page, of the gallery's.
SHOWN = 3
HEAD = """# Reference

A page for every task and every paradigm: picture, law, published numbers, ours, traps. Problems in
pictures: [gallery](gallery.md). What paradigms have in common: [paradigms](paradigms.md). Options
of a task are `--set task.NAME=VALUE`, of a paradigm `--set paradigm.NAME=VALUE`, or
`--set PARADIGM.NAME=VALUE` for one. `python -m benchmarks.reference` makes this list, and on the
pages what comes from the code and from the [results that are kept](results/README.md).
"""
#: A page before anybody has written anything on it; its law is what the code says.
NEW = """# {title} (`{name}`)

<!-- made: picture -->
<!-- end -->

## Law

<!-- made: law -->
<!-- end -->

## Published numbers

None are known here.

## Our numbers

<!-- made: numbers -->
<!-- end -->

## Traps

None are known yet.
"""
PARTS = ("Law", "Published numbers", "Our numbers", "Traps")
BLOCK = re.compile(r"(?ms)^( *)((?:<!--|#) made: (\w+)[^\n]*\n).*?(?=^ *(?:<!--|#) end)")


def told(docstring: str | None) -> str:
    """A docstring as Markdown: its paragraphs, indentation and links to code as they are."""
    text = inspect.cleandoc(docstring or "")
    return re.sub(r"(?m)^([<*_#])", r"\\\1", text)


def options(parameters: Mapping[str, inspect.Parameter]) -> str:
    """`width=64`, ..., in a line; without those that have no default."""
    shown = [f"`{n}={p.default!r}`" for n, p in parameters.items() if p.default is not p.empty]
    return f"Options and their defaults: {', '.join(shown)}." if shown else "It has no options."


def said_of(name: str) -> str:
    """What the listing says of a paradigm, whole."""
    return f"{described(paradigm_entry(name).make)}."


# --- blocks of a task's page


def task_picture(name: str) -> str:
    """The easiest problems of the gallery and the hardest, as many as the page shows."""
    listed = re.findall(rf"!\[[^\]]*\]\(images/gallery/{name}_.*?\)", _read(DOCS / "gallery.md"))
    some = listed[: SHOWN - 1] + listed[SHOWN - 1 :][-1:]
    lines = [line.replace("](images", "](../images") for line in some]
    if not lines:
        command = f"python -m tasks preview {name} --data-dir FOLDER --out {name}.png"
        lines = [f"No picture: its images do not come with the library. Of a folder: `{command}`."]
    else:
        lines.append(f"\nMore: [gallery](../gallery.md#{name}).")
    return "\n".join(lines)


def task_law(name: str) -> str:
    """What the code says of a task, with its options."""
    made = task_class(name)
    lines = [told(made.__doc__), options(inspect.signature(made).parameters)]
    if made.perturbations:
        said = "; ".join(f"`{key}`: {words}" for key, words in made.perturbations.items())
        lines.append(f"Perturbations beside those of the state: {said}.")
    if made.layouts:
        layouts = ", ".join(f"`{layout}`" for layout in made.layouts)
        lines.append(f"Reads and writes the [published files](../published_sets.md) {layouts}.")
    return "\n\n".join(lines)


# --- blocks of a paradigm's page


def paradigm_picture(names: list[str]) -> str:
    """The schematics of the names that differ in them."""
    different = {facts(name): name for name in reversed(names)}
    shown = [name for name in names if name in different.values()]
    return "\n".join(f"![{paradigm_title(n)}](../images/paradigms/{n}.svg)" for n in shown)


@cache
def _spec(task: str, preset: str) -> TaskSpec:
    return load_task(task, **task_preset(task, preset).get("options", {})).spec


def sizes(name: str) -> Iterator[str]:
    """A row for each task that a paradigm reads: weights and iterations at each preset."""
    for task in SIZES:
        cells = []
        for preset in PRESETS:
            spec = _spec(task, preset)
            chosen = paradigm_recipe(name, preset, spec).get("options", {})
            try:
                with torch.device("meta"):
                    model = build_paradigm(name, spec, **chosen)
            except Unsuitable:
                break
            weights, said = kept_parameters(model), " ".join(f"{k}={v}" for k, v in chosen.items())
            cells += [f"{weights:,.0f}", str(model.train_iterations), f"`{said}`" if said else "–"]
        else:
            yield f"| `{name}` | {task_title(task)} | {' | '.join(cells)} |"


def paradigm_law(names: list[str]) -> str:
    """What the code says of each name, its options, and how large it is."""
    lines = []
    for name in names:
        lines.append(f"**`{name}`**: {said_of(name)} {options(paradigm_options(name))}")
    table = ["| network | on | weights, quick | iterations | options | weights, published size"
             " | iterations | options |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    table += [row for name in names for row in sizes(name)]
    return "\n\n".join([*lines, "\n".join(table)])


# --- numbers


@cache
def scores_kept() -> pd.DataFrame:
    """A row a run and difficulty, answered after the number of iterations that was chosen on
    validation problems; of runs that differ in the budget of that number alone, the largest."""
    parts = []
    for folder, source in TABLES.items():
        table = pd.read_parquet(RESULTS / folder / "results.parquet")
        chosen = table[table["exit_rule"] == "validated"]
        largest = chosen.groupby(["task", "label"])["train_samples"].transform("max")
        chosen = chosen[chosen["train_samples"] == largest]
        alone = chosen["task"].map(lambda t: len(_spec(t, "quick").difficulties) == 1)
        unit = chosen["difficulty_name"] + " "
        place = (unit + chosen["difficulty_label"]).where(~alone, "test images")
        along = chosen["test_task"].str.partition(":")[2]
        place += along.where(along == "", ", " + along)
        on = unit.where(~alone, "") + chosen["train_difficulty"].astype(str).where(~alone, "")
        on = (on + ", ").where(~alone, "") + chosen["train_samples"].map("{:,}".format)
        parts.append(chosen.assign(place=place, on=on, problems=chosen["n_test"], source=source))
    for name, task in RIVALS.items():
        table = pd.read_csv(RESULTS / "rivals" / f"{name}.csv")
        label = f"{_spec(task, 'quick').difficulty_label} "
        parts.append(
            table.assign(
                task=task,
                label=table["paradigm"],
                test_difficulty=table["difficulty"],
                place=label + table["difficulty"].astype(str),
                on=f"{label}{_spec(task, 'quick').train_difficulty}, 50,000",
                problems=table["n_test"],
                source=OF_RIVALS,
                max_iterations=64,
            )
        )
    kept = pd.concat(parts, ignore_index=True).sort_values("max_iterations", kind="stable")
    kept["label"] = kept["label"].str.replace(" trained on .*", "", regex=True)  # has a column
    key = ["task", "paradigm", "label", "on", "place", "problems", "source", "seed"]
    kept = kept.drop_duplicates(key, keep="last").sort_index()
    return kept[[*key, "test_difficulty", "accuracy"]]


def _cell(accuracy: pd.Series) -> str:
    """The mean and, over several seeds, the lowest and highest."""
    mean, low, high = (f"{100 * a:.1f}" for a in (accuracy.mean(), accuracy.min(), accuracy.max()))
    return mean if len(accuracy) == 1 or low == high else f"{mean} ({low}–{high})"


def _padded(labels: pd.Series) -> pd.Series:
    """Labels whose numbers are in the order of their size, `depth=8` before `depth=12`."""
    return labels.str.replace(r"\d+", lambda number: number[0].zfill(9), regex=True)


def _row(key: tuple[Any, ...], mine: pd.DataFrame, places: list[str], page: str) -> str:
    """A network's line of a table; page: of the network, if its name is a link."""
    label, on, problems = key
    name, shown = str(mine["paradigm"].iloc[0]), f"`{label}`"
    if page:
        more = f" `{label[len(name) + 1 :]}`" if label != name else ""
        shown = f"[`{name}`](../paradigms/{page}.md){more}"
    found = [mine.loc[mine["place"] == place, "accuracy"] for place in places]
    cells = " | ".join(_cell(accuracy) if len(accuracy) else "" for accuracy in found)
    return f"| {shown} | {on} | {mine['seed'].nunique()} | {problems:,.0f} | {cells} |"


def numbers(rows: pd.DataFrame, of_task: bool) -> str:
    """A table a task and source, a row a network, a column a difficulty, in %. of_task: on the
    page of that task, so that networks and not the task are links."""
    if rows.empty:
        return "No run of it is kept."
    pages = page_of() if of_task else {}
    tables = [SCORED]
    order = {name: i for i, name in enumerate(paradigm_names())}
    by: Any = {"paradigm": lambda names: names.map(order), "label": _padded}
    for (task, source), group in rows.groupby(["task", "source"], sort=False):
        group = group.sort_values(list(by), key=lambda c: by[c.name](c), kind="stable")
        ordered = group.sort_values(["test_difficulty", "place"], kind="stable")
        places = list(ordered["place"].unique())
        where = "" if of_task else f"On [{task_title(str(task))}](../tasks/{task}.md), "
        lines = [f"| network | trained on | seeds | of | {' | '.join(places)} |"]
        lines.append("|---" * (len(places) + 4) + "|")
        for key, mine in group.groupby(["label", "on", "problems"], sort=False):
            lines.append(
                _row(key, mine, places, pages.get(listed_as(mine["paradigm"].iloc[0]), ""))
            )
        tables += [f"{where}{'From' if of_task else 'from'} {source}:", "\n".join(lines)]
    return "\n\n".join(tables)


# --- pages


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def names_on(page: str) -> list[str]:
    """The names in a page's title."""
    return re.findall(r"`([\w:]+)`", page.partition("\n")[0])


def listed_as(name: str) -> str:
    """How pages list a paradigm: `adaptive:NAME` for `adaptive:dt_net_recall`."""
    prefix, colon, _ = name.partition(":")
    return f"{prefix}:NAME" if colon else name


def page_of(kind: str = "paradigms") -> dict[str, str]:
    """The page of each name that has one, without its ending."""
    pages = {path.stem: _read(path) for path in sorted((DOCS / kind).glob("*.md"))}
    return {name: stem for stem, page in pages.items() for name in names_on(page)}


def filled(page: str, made: Mapping[str, str]) -> str:
    """A page with what stands between its marks made anew."""

    def block(found: re.Match[str]) -> str:
        indent, mark, name = found.groups()
        inside = "\n".join(indent + line if line else "" for line in made[name].splitlines())
        return f"{indent}{mark}{inside}\n"

    return BLOCK.sub(block, page)


def task_page(page: str) -> str:
    """A task's page as it should be."""
    (name,) = names_on(page)
    scores = scores_kept()
    mine = scores[scores["task"] == name]
    found = numbers(mine, of_task=True)
    return filled(page, {"picture": task_picture(name), "law": task_law(name), "numbers": found})


def paradigm_page(page: str) -> str:
    """A paradigm's page as it should be."""
    every = names_on(page)
    names = [name for name in every if ":" not in name]
    scores = scores_kept()
    mine = scores["paradigm"].map(listed_as).isin(every)
    made = {
        "picture": paradigm_picture(names),
        "law": paradigm_law(names),
        "numbers": numbers(scores[mine], of_task=False),
    }
    return filled(page, made)


def index() -> str:
    """docs/reference.md."""
    of_task, of_paradigm = page_of("tasks"), page_of()
    tasks = ["| task | name | what is asked |", "|---|---|---|"]
    for name in task_names():
        said = described(TASKS[name])
        tasks.append(f"| [{task_title(name)}](tasks/{of_task[name]}.md) | `{name}` | {said}. |")
    lines = ["| paradigm | name | what it is |", "|---|---|---|"]
    for name in [*paradigm_names(), *(n for n in PARADIGMS.names() if ":" in n)]:
        title = paradigm_title(name) if ":" not in name else f"{name.partition(':')[0]}: of another"
        page = f"paradigms/{of_paradigm[name]}.md"
        lines.append(f"| [{title}]({page}) | `{name}` | {said_of(name)} |")
    parts = [HEAD.rstrip(), "## Tasks", "\n".join(tasks), "## Paradigms", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def contents(page: str) -> str:
    """mkdocs.yml with the pages of tasks and paradigms in its contents."""
    made = {}
    for kind, name_of in (("tasks", task_title), ("paradigms", paradigm_title)):
        stems = dict.fromkeys(page_of(kind)[name] for name in _names(kind))
        made[kind] = "\n".join(f"- {name_of(_first(kind, s))}: {kind}/{s}.md" for s in stems)
    return filled(page, made)


def _names(kind: str) -> list[str]:
    return task_names() if kind == "tasks" else paradigm_names()


def _first(kind: str, stem: str) -> str:
    return names_on(_read(DOCS / kind / f"{stem}.md"))[0]


def written() -> Iterator[tuple[Path, str]]:
    """Every file that this makes or completes, and what it should hold."""
    kinds: dict[str, Any] = {
        "tasks": (task_page, task_title),
        "paradigms": (paradigm_page, paradigm_title),
    }
    for kind, (complete, title) in kinds.items():
        for path in sorted((DOCS / kind).glob("*.md")):
            yield path, complete(_read(path))
        for name in set(_names(kind)) - set(page_of(kind)):
            yield DOCS / kind / f"{name}.md", complete(NEW.format(title=title(name), name=name))
    yield DOCS / "reference.md", index()
    yield ROOT / "mkdocs.yml", contents(_read(ROOT / "mkdocs.yml"))


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = Parser(prog="python -m benchmarks.reference", description=__doc__)
    parser.parse_args(arguments)
    for path, text in written():  # the list is made after the pages that it lists
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
