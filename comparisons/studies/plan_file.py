"""Plan files: a study in TOML, with what the command line can say and what it can't.

A list of requests, recipes of single paradigms, and claims of one's own with the rule that judges
them; see docs/plan_files.md. What is wrong is told in one line that names the line of the file.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from comparisons.planning.overrides import Overrides, extended, setting
from comparisons.planning.plan import Plan, Request, make_plan
from comparisons.planning.presets import default_paradigms
from comparisons.studies import STUDIES, Claim, Study, ratios, verdicts
from comparisons.studies.evidence import RunSelector
from comparisons.studies.finding import Check
from foundations.errors import one_line, unknown_name
from foundations.plugins import load_plugins
from foundations.records.spec import RunSpec

WORDS, NUMBERS = [str], [int]
#: What each table may hold, by key the type of its value; [type] is a list of such.
SCHEMA: dict[str, dict[str, Any]] = {
    "the plan": {
        "title": str,
        "preset": str,
        "out": str,
        "plugins": WORDS,
        "seeds": NUMBERS,
        "request": [dict],
        "claim": [dict],
    },
    "request": {
        "tasks": WORDS,
        "paradigms": WORDS,
        "seeds": NUMBERS,
        "train_samples": NUMBERS,
        "match": str,
        "transfer": WORDS,
        "axes": WORDS,
        "set": dict,
        "recipe": dict,
    },
    "claim": {
        "id": str,
        "text": str,
        "rule": str,
        "runs": [dict],
        "source": str,
        "scale": str,
        "figure": str,
        # Beside these, the numbers that the rule takes.
        **dict.fromkeys(("published", "margin", "bar", "by", "times", "target"), float),
    },
    "run of a claim": {
        "task": str,
        "paradigm": str,
        "difficulty": float,
        "rule": str,
        "iterations": (int, str),
        "samples": int,
        "test_task": str,
        "set": dict,
    },
}
REQUIRED = {
    "the plan": ("request",),
    "request": ("tasks",),
    "claim": ("id", "text", "rule", "runs"),
    "run of a claim": ("task", "paradigm"),
}
#: The rules of claims that take one or two kinds of runs.
RULES: dict[str, Callable[..., Check]] = {
    rule.__name__: rule
    for rule in (
        verdicts.beats, verdicts.no_worse, verdicts.alike, verdicts.reaches, verdicts.stays_below,
        verdicts.converges_more, ratios.saturates_before, ratios.takes_longer,
        ratios.reaches_farther, ratios.fewer_steps, ratios.fewer_flops,
    )
}  # fmt: skip
RECIPE_GROUPS = ("paradigm", "train")

Where = tuple[str | int, ...]


class PlanFileError(ValueError):
    """A plan file that makes no sense; one line that names the line."""


@dataclass
class PlanFile:
    """What a file says. lines: by place in the file, such as ("request", 0, "set"), its line."""

    path: Path
    said: dict[str, Any]
    lines: dict[Where, int]
    text: list[str] = field(default_factory=list)

    def error(self, where: Where, message: object) -> PlanFileError:
        """An error at a place, or at what is around it: of the first line there that has the word
        that the message quotes or the setting that it names, else of its beginning."""
        while where and where not in self.lines:
            where = where[:-1]
        said, first = one_line(message), self.lines.get(where, 1)
        after = [n for p, n in self.lines.items() if n > first and p[: len(where)] != where]
        last = min(after, default=len(self.text) + 1) - 1
        quoted = re.search(r"'([^']+)'", said)
        words = rf"(?<!\w){re.escape(quoted[1])}(?!\w)" if quoted else r"(?!)"
        having = [n for n in range(first, last + 1) if re.search(words, self.text[n - 1])]
        for place, number in self.lines.items():
            if first <= number <= last and f"{'.'.join(map(str, place[-2:]))} " in said:
                having.append(number)
        return PlanFileError(f"{self.path}, line {min(having, default=first)}: {said}")

    @contextmanager
    def at(self, where: Where) -> Iterator[None]:
        """Errors of what is done here are those of that place."""
        try:
            yield
        except PlanFileError:
            raise
        except (ValueError, TypeError) as error:
            raise self.error(where, error) from error

    def check(self, what: str, table: Mapping[str, Any], where: Where) -> None:
        """PlanFileError unless a table has what it must, and nothing it may not."""
        for key, value in table.items():
            if key not in SCHEMA[what]:
                known = unknown_name(f"key of {what}", key, SCHEMA[what])
                raise self.error((*where, key), known)
            kind = SCHEMA[what][key]
            if not _is_of(value, kind):
                raise self.error((*where, key), f"{key} must be {_said(kind)}, not {value!r}")
        for key in REQUIRED[what]:
            if not table.get(key):
                raise self.error(where, f"{what} needs {key}")


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is_of(item, kind[0]) for item in value)
    if kind is float:
        kind = (int, float)
    return isinstance(value, kind) and not isinstance(value, bool)


def _said(kind: Any) -> str:
    words = {str: "text", int: "a whole number", float: "a number", dict: "a table"}
    if isinstance(kind, list):
        return f"a list, each {words[kind[0]]}"
    return " or ".join(words[k] for k in kind) if isinstance(kind, tuple) else words[kind]


_TABLE = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<name>[^\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?P<name>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _lines(text: str) -> dict[Where, int]:
    """The line of each table and key. (What looks like a key in a text of several lines counts as
    one, too: it names a place that nobody asks for.)"""
    lines: dict[Where, int] = {}
    counts: dict[str, int] = {}
    here: Where = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if table := _TABLE.match(line):
            names = [part.strip("\"'") for part in _PART.findall(table["name"])]
            if table["open"] == "[[":
                counts[names[0]] = counts.get(names[0], -1) + 1
            top: Where = (names[0], counts[names[0]]) if names[0] in counts else (names[0],)
            here = (*top, *names[1:])
            lines.setdefault(here, number)
        elif key := _KEY.match(line):
            parts = [part.strip("\"'") for part in _PART.findall(key["name"])]
            for end in range(1, len(parts) + 1):
                lines.setdefault((*here, *parts[:end]), number)
    return lines


def read_plan_file(path: Path) -> PlanFile:
    """A file of the right form. Its plugins are loaded, from its own folder where they are files.
    PlanFileError names the line."""
    try:
        text = path.read_text(encoding="utf-8")
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanFileError(f"{path}: {one_line(error)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PlanFileError(f"--plan {path} can't be read: {one_line(error)}") from error
    file = PlanFile(path, said, _lines(text), text.splitlines())
    file.check("the plan", said, ())
    for number, request in enumerate(said["request"]):
        file.check("request", request, ("request", number))
    for number, claim in enumerate(said.get("claim", [])):
        file.check("claim", claim, ("claim", number))
        for run in claim["runs"]:
            file.check("run of a claim", run, ("claim", number, "runs"))
    with file.at(("plugins",)):
        here = [path.parent / plugin for plugin in said.get("plugins", [])]
        load_plugins(
            str(found) if found.suffix == ".py" else given
            for found, given in zip(here, said.get("plugins", []), strict=True)
        )
    return file


def _settings(file: PlanFile, groups: Mapping[str, Any], where: Where) -> Overrides:
    """`set` or a recipe: a table of options by group, a list of values for several runs."""
    found: Overrides = {}
    for group, options in groups.items():
        if not isinstance(options, dict):
            raise file.error((*where, group), f"{group} must be GROUP.OPTION, as in train.steps")
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            if not values or not all(isinstance(v, str | int | float | bool) for v in values):
                raise file.error((*where, group, name), f"{value!r} is no value of an option")
            key, made = setting(group, name, values)
            found[key] = made
    return found


def _request(file: PlanFile, number: int, preset: str, seeds: tuple[int, ...] | None) -> Request:
    said, where = file.said["request"][number], ("request", number)
    tasks = tuple(said["tasks"])
    settings = _settings(file, said.get("set", {}), (*where, "set"))
    if "axes" in said:
        settings = extended(settings, {("evaluation", "axes"): tuple(said["axes"])})
    recipes = {}
    for name, groups in said.get("recipe", {}).items():
        place = (*where, "recipe", name)
        if not isinstance(groups, dict) or set(groups) - set(RECIPE_GROUPS):
            raise file.error(place, "a recipe is of paradigm.OPTION and train.FIELD")
        recipes[name] = _settings(file, groups, place)
    pairs = [tuple(word.split(":")) for word in said.get("transfer", [])]
    if any(len(pair) != 2 for pair in pairs):
        raise file.error((*where, "transfer"), "transfer is of the form A:B, as in cifar10:svhn")
    own_seeds = said.get("seeds", file.said.get("seeds"))
    return Request(
        tasks=tasks,
        paradigms=tuple(said.get("paradigms") or default_paradigms(tasks)),
        preset=preset,
        seeds=seeds or (tuple(own_seeds) if own_seeds else None),
        train_samples=tuple(said["train_samples"]) if said.get("train_samples") else None,
        settings=settings,
        transfer=tuple((source, target) for source, target in pairs),
        match=said.get("match", "samples"),
        recipes=recipes,
    )


def _claim(file: PlanFile, number: int) -> Claim:
    said, where = file.said["claim"][number], ("claim", number)
    if said["rule"] not in RULES:
        raise file.error((*where, "rule"), unknown_name("rule", said["rule"], RULES))
    numbers = {k: v for k, v in said.items() if SCHEMA["claim"][k] is float}
    selectors = _selectors(file, number)
    rule = RULES[said["rule"]]
    try:
        inspect.signature(rule).bind(*selectors, **numbers)
    except TypeError as error:
        wanted = ", ".join(inspect.signature(rule).parameters)
        raise file.error(where, f"rule {said['rule']} takes {wanted}: {error}") from error
    more = {key: said[key] for key in ("scale", "figure") if key in said}
    return Claim(said["id"], said.get("source", ""), said["text"], rule(*selectors, **numbers),
                 **more)  # fmt: skip


def _selectors(file: PlanFile, number: int) -> list[RunSelector]:
    """The kinds of runs that a claim names."""
    found = []
    for run in file.said["claim"][number]["runs"]:
        values = {f.name: run[f.name] for f in fields(RunSelector) if f.name in run}
        settings = _settings(file, run.get("set", {}), ("claim", number, "runs"))
        found.append(RunSelector(**values, settings=settings))
    return found


def _check_planned(file: PlanFile, runs: Sequence[RunSpec]) -> None:
    """PlanFileError for a claim about runs that are not among the plan's, or difficulties that
    these are not tested on."""
    for number in range(len(file.said.get("claim", []))):
        for selector in _selectors(file, number):
            where = ("claim", number, "runs")
            meant = [spec for spec in runs if selector.selects(spec)]
            if not meant:
                raise file.error(where, f"no planned run is {selector}")
            tested = dict.fromkeys(d for spec in meant for d in spec.evaluation.difficulties)
            place = selector.difficulty
            if selector.test_task is None and place is not None and place not in tested:
                among = ", ".join(map(str, tested))
                raise file.error(where, f"{selector}: planned runs are tested on {among}")


def plan_of_file(
    file: PlanFile,
    preset: str,
    seeds: tuple[int, ...] | None = None,
    settings: Overrides | None = None,
) -> tuple[Plan, dict[str, tuple[RunSpec, ...]], str]:
    """The runs of all requests, each once; those that its claims are judged by, under its name; and
    its title. preset: where the file names none. seeds, settings: of the command line, over the
    file's and beside them."""
    preset = file.said.get("preset", preset)
    runs: dict[str, RunSpec] = {}
    skipped: list[str] = []
    matched: list[str] = []
    for number in range(len(file.said["request"])):
        with file.at(("request", number)):
            request = _request(file, number, preset, seeds)
            more = extended(request.settings, settings or {})
            plan = make_plan(replace(request, settings=more))
        runs |= {spec.run_id: spec for spec in plan.runs}
        skipped += plan.skipped
        matched += plan.matched
    title = file.said.get("title", file.path.stem)
    made = Plan(tuple(runs.values()), tuple(dict.fromkeys(skipped)), tuple(dict.fromkeys(matched)))
    claims = tuple(_claim(file, number) for number in range(len(file.said.get("claim", []))))
    if not claims:
        return made, {}, title
    if not skipped and not settings:  # else it may be about what is left out, or set otherwise
        _check_planned(file, made.runs)
    name, whose = file.path.stem, str(file.path.resolve())
    if name in STUDIES and STUDIES.outside.get(name) != whose:
        raise PlanFileError(f"{file.path}: there is a study named {name}: rename the file")
    STUDIES[name], STUDIES.outside[name] = Study(title, (), claims), whose
    return made, {name: made.runs}, title
