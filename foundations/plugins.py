"""Plugins: modules of the user's own, which register tasks, paradigms, exit rules and more.

They are named by `--plugin`, or found as entry points of installed packages. What is built in comes
first: a plugin adds names and takes none over.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from foundations.errors import one_line

#: Entry points are of the groups `recurrence_or_depth.tasks`, `.paradigms` and so on.
DISTRIBUTION = "recurrence_or_depth"


class PluginError(ValueError):
    """A plugin that can't be used; the message is one line and names it."""


_loaded: list[str] = []
_loading: list[str] = []
_folders: dict[str, str] = {}  # of its files, or its one file: the plugin


def loaded() -> tuple[str, ...]:
    """The plugins of this process in words that `load_plugins` takes in any folder: names of
    modules, whole paths of files."""
    return tuple(_loaded)


def being_loaded() -> str:
    """The plugin that is registering things now, "" for none."""
    return _loading[-1] if _loading else ""


def load_plugins(plugins: Iterable[str]) -> None:
    """Import each once: a module by its name, looked for in the current folder too, or a file by
    its path. PluginError for one that can't be imported."""
    for given in plugins:
        is_file = given.endswith(".py") or os.sep in given
        path = Path(given).resolve()
        plugin = str(path) if is_file else given
        if plugin in _loaded:
            continue
        if is_file and not path.is_file():
            raise PluginError(f"plugin {given}: there is no such file")
        folder = str(path.parent if is_file else Path.cwd())
        if folder not in sys.path:
            sys.path.append(folder)  # at the end: what it holds stands in nobody's way
        importlib.invalidate_caches()
        found = import_plugin(plugin, path.stem if is_file else given, path if is_file else None)
        file = Path(getattr(found, "__file__", None) or os.devnull).resolve()
        if file.parent == Path.cwd().resolve():  # a name that means nothing in another folder
            plugin = str(file)
        if plugin not in _loaded:
            _loaded.append(plugin)


def import_plugin(plugin: str, module: str, path: Path | None = None) -> ModuleType:
    """A module of a plugin, of the file `path` if given. PluginError names the plugin."""
    if path:
        _folders[str(path)] = plugin  # before it runs: for errors in it
    _loading.append(plugin)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {plugin}: {_words(error)}") from error
    finally:
        _loading.pop()
    file = Path(getattr(found, "__file__", None) or os.devnull).resolve()
    if path and file != path:
        raise PluginError(
            f"plugin {plugin}: there is another module named {module}; give the file another name"
        )
    _folders[str(file.parent if file.name == "__init__.py" else file)] = plugin
    return found


def _words(error: BaseException) -> str:
    """What went wrong, and in which line of a file."""
    kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
    lines = [f for f in traceback.extract_tb(error.__traceback__) if _plugin_of(f.filename)]
    at = f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    return f"{kind}{one_line(error)}{at}"


def _plugin_of(filename: str) -> str:
    path = Path(filename)
    return next((_folders[str(p)] for p in (path, *path.parents) if str(p) in _folders), "")


def blamed(error: BaseException) -> str:
    """One line on an error that was raised in a plugin, naming it and the line; "" for others."""
    frames = traceback.extract_tb(error.__traceback__)
    plugins = [plugin for frame in frames if (plugin := _plugin_of(frame.filename))]
    return f"plugin {plugins[-1]}: {_words(error)}" if plugins else ""


@cache
def _installed() -> Any:
    """The entry points of all packages: looking through them takes a moment, so once."""
    return entry_points()


def installed(kind: str) -> dict[str, tuple[str, str]]:
    """What installed packages offer of a kind ("tasks"), by name: `MODULE:ATTRIBUTE`, and the
    package with its version."""
    found: dict[str, tuple[str, str]] = {}
    for entry in _installed().select(group=f"{DISTRIBUTION}.{kind}"):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
        found.setdefault(entry.name, (entry.value, package))
    return found


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """`--plugin`, for commands that take names."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE_OR_FILE",
        help="a module or file of yours that registers tasks, paradigms and so on; may be repeated",
    )
