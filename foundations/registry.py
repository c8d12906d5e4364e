"""Registry: named things, loaded on first use, built in or registered from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from foundations.errors import unknown_name
from foundations.plugins import being_loaded, import_plugin, installed


class Registry(dict[str, Any]):
    """Entries by name: either `MODULE:ATTRIBUTE`, imported on first use, so that listing names
    costs nothing, or the thing itself.

    kind: what the entries are, for messages. prefixes: families of names `PREFIX:NAME`, an entry
    each, for things that take NAME as well. group: of the entry points by which installed packages
    add to it ("tasks"), "" for none. outside: the plugin that brought a name, "" where code outside
    any plugin did; names that are built in are not in it.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, Any],
        prefixes: Mapping[str, Any] | None = None,
        group: str = "",
    ) -> None:
        super().__init__(entries)
        self.kind = kind
        self.prefixes = dict(prefixes or {})
        self.group = group
        self.outside: dict[str, str] = {}

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self.discover()
        return super().__contains__(name)

    def discover(self) -> None:
        """Add what installed packages offer, once; of names that are taken they get none."""
        group, self.group = self.group, ""
        for name, (where, package) in (installed(group) if group else {}).items():
            if not super().__contains__(name):
                self[name], self.outside[name] = where, package

    def names(self) -> Iterator[str]:
        """The names that may be asked for, families as `PREFIX:NAME`."""
        self.discover()
        yield from self
        yield from (f"{prefix}:NAME" for prefix in self.prefixes)

    def register(self, name: str, thing: Any = None) -> Any:
        """Add an entry and return it; `@register(name)` adds what it decorates. ValueError where
        the name is taken, or could not be asked for. (A notebook's cell may be run again, and what
        is an entry point be decorated too.)"""
        if thing is None:
            return partial(self.register, name)
        module = getattr(thing, "__module__", "")
        again = module == "__main__" or self.get(name) == f"{module}:{_name_of(thing)}"
        if super().__contains__(name) and not (again and name in self.outside):
            raise ValueError(f"there is a {self.kind} named {name!r} already")
        if not re.fullmatch(r"[\w.+-]+", name):
            raise ValueError(f"{name!r} can't name a {self.kind}: letters, digits, _, ., + and -")
        self[name], self.outside[name] = thing, being_loaded()
        return thing

    def entry(self, name: str) -> Any:
        """What is registered under a name, not loaded. ValueError lists the names, nearest
        first."""
        prefix, _, rest = str(name).partition(":")
        if rest and prefix in self.prefixes:
            return self.prefixes[prefix]
        if name not in self:
            raise unknown_name(self.kind, name, self.names())
        return self[name]

    def load(self, name: str) -> Any:
        """The thing behind a name. ValueError as of `entry`; PluginError where a plugin's can't be
        imported."""
        return self.resolved(name, self.entry(name))

    def resolved(self, name: str, thing: Any) -> Any:
        """What is registered under a name, or a part of that, imported if it is
        `MODULE:ATTRIBUTE`."""
        if not isinstance(thing, str):
            return thing
        module, attribute = thing.split(":")
        plugin = self.outside.get(name)
        found = import_plugin(plugin, module) if plugin else import_module(module)
        try:
            return getattr(found, attribute)
        except AttributeError:
            if not plugin:
                raise
            raise self.wrong(name, f"{module} has no {attribute}") from None

    def wrong(self, name: str, why: str) -> ValueError:
        """Error for an entry that is not what it must be; it names the plugin."""
        plugin = self.outside.get(name)
        return ValueError(f"{f'plugin {plugin}: ' if plugin else ''}{self.kind} {name!r}: {why}")


def _name_of(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", ""))
