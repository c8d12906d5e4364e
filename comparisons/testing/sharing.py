"""A trained network for others: a folder as the Hugging Face Hub takes it.

python -m comparisons share RUN FOLDER [--push OWNER/NAME]

The folder has the weights (model.safetensors), what the run is (config.json), what made it
(made.json) and a model card (README.md). `load_run` loads it, from a disk or as hf://OWNER/NAME.
Of paths (of data, of plugins) the last part alone is written.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comparisons.testing.trained import CONFIG, Run, load_run
from foundations.command import Parser
from foundations.errors import USAGE, one_line
from foundations.files import write_atomically
from foundations.plugins import add_option, load_plugins
from foundations.records.reading import read_json, read_result
from foundations.records.result import Result

RULE = "validated"  # the number of iterations is fixed on validation problems, as in the report


def share(run: Path, folder: Path, licence: str = "mit") -> Path:
    """Put a finished run into a folder, which must be empty or not there. Returns it. ValueError
    for a run or folder that won't do."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not an empty folder")
    loaded, result = load_run(run), read_result(run)
    folder.mkdir(parents=True, exist_ok=True)
    config = loaded.spec.to_dict()
    evaluation = config["evaluation"]
    others = (*evaluation["transfer"].values(), *evaluation["axes"].values())
    for options in (config["task_options"], *others):
        options |= {name: _name(value) for name, value in options.items()}
    write_atomically(folder / CONFIG, json.dumps(config, indent=1))
    write_atomically(folder / "made.json", json.dumps(_made(run), indent=1))
    write_atomically(folder / "README.md", card(loaded, result, licence))
    shutil.copyfile(run / "model.safetensors", folder / "model.safetensors")
    return folder


def _made(run: Path) -> dict[str, Any]:
    """What made the run, plugins by their names alone."""
    try:
        made = read_json(run / "made.json")
    except (OSError, ValueError):
        return {}
    kept = {k: made[k] for k in ("version", "commit", "dirty", "made", "torch") if k in made}
    plugins = [Path(plugin).name for plugin in made.get("plugins", [])]
    return kept | ({"plugins": plugins} if plugins else {})


def _name(value: Any) -> Any:
    """Of a path the last part alone."""
    return Path(value).name if isinstance(value, str) and "/" in value else value


def _without_places(command: str) -> str:
    """The command without folders of this machine."""
    words = []
    for word in shlex.split(command):
        key, equals, value = word.partition("=")
        words.append(key + equals + _name(value) if equals else _name(word))
    return shlex.join(words)


def card(run: Run, result: Result, licence: str) -> str:
    """The model card: results with their intervals, the command, how to load it."""
    from huggingface_hub import EvalResult, ModelCardData

    spec, name = run.spec, f"{run.spec.paradigm} on {run.spec.task}"
    label = run.task.spec.difficulty_label
    rows = [row for row in result.rows if row["exit_rule"] == RULE and row["n_test"]]
    facts = ModelCardData(
        license=licence,
        library_name="recurrence-or-depth",
        tags=["recurrence-or-depth", spec.task, spec.paradigm.replace(":", "-")],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="other",
                dataset_type=row["test_task"],
                dataset_name=f"{row['test_task']}, {label} {row['difficulty_label']}",
                metric_type="exact_match",
                metric_value=round(row["accuracy"], 4),
            )
            for row in rows
        ]
        or None,
    )
    table = "\n".join(
        f"| {row['test_task']} | {row['difficulty_label']} | {row['iterations']} |"
        f" {100 * row['accuracy']:.1f} % ({100 * row['ci_low']:.1f}–{100 * row['ci_high']:.1f}) |"
        f" {100 * row['element_accuracy']:.1f} % | {row['n_test']:,} |"
        for row in rows
    )
    return f"""\
---
{facts.to_yaml()}
---

# {name}

A network with {result.parameters:,} parameters ({result.active_parameters:,} of them not pruned),
trained on {spec.train_samples:,} problems of {label} {spec.train_difficulty} for {result.steps:,}
steps with {result.train_iterations} iterations (seed {spec.seed}, preset {spec.preset},
{result.precision} on {result.device}; {result.status}).

| tested on | {label} | iterations | wholly right (95 % interval) | elements right | problems |
|---|---|---|---|---|---|
{table}

The number of iterations was fixed on validation problems of the trained {label}. Intervals
(Wilson) are of the test problems; another training seed may give another result.

Trained again by:

    {_without_places(result.command)}

Loaded by:

```python
from comparisons import evaluate_model, load_run

spec, task, model = load_run("hf://OWNER/NAME")  # or the folder
print(evaluate_model(model, task, samples=100))
```

Licence: {licence}.
"""


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload a folder to the Hub as OWNER/NAME, by the login that huggingface_hub has; returns its
    address. ValueError, one line, for what the Hub refuses."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        api = HfApi()
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="A trained network")
    except (HfHubHTTPError, LocalTokenNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name} can't be uploaded to the Hub: {one_line(error)[:300]}") from error
    return str(address)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, or 2 with one line on what is wrong."""
    parser = Parser(
        prog="python -m comparisons share",
        description="Make a folder of a finished run that the Hugging Face Hub takes as it is.",
    )
    parser.add_argument("run", type=Path, help="folder of a finished run, OUT/runs/RUN")
    parser.add_argument("folder", type=Path, help="to be made")
    parser.add_argument(
        "--licence", default="mit", help="of the weights, as the Hub names it (mit)"
    )
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="upload it, logged in by `hf auth login`"
    )
    parser.add_argument("--private", action="store_true", help="with --push: for you alone")
    add_option(parser)
    options = parser.parse_args(arguments)
    try:
        if options.push and not re.fullmatch(r"[\w.-]+/[\w.-]+", options.push):
            raise ValueError(f"--push {options.push} is not of the form OWNER/NAME")
        load_plugins(options.plugin)
        folder = share(options.run, options.folder, options.licence)
        where = push(folder, options.push, options.private) if options.push else str(folder)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {one_line(error)}", file=sys.stderr)
        return USAGE
    print(f"shared: {where}")
    return 0
