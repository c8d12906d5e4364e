"""Registry: named things, loaded on first use, built in or registered from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from foundations.errors import unknown_name


class Registry(dict[str, Any]):
    """Entries by name: either `MODULE:ATTRIBUTE`, imported on first use, so that listing names
    costs nothing, or the thing itself.

    kind: what the entries are, for messages. prefixes: families of names `PREFIX:NAME`, an entry
    each, for things that take NAME as well.
    """

    def __init__(
        self, kind: str, entries: Mapping[str, Any], prefixes: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(entries)
        self.kind = kind
        self.prefixes = dict(prefixes or {})

    def names(self) -> Iterator[str]:
        """The names that may be asked for, families as `PREFIX:NAME`."""
        yield from self
        yield from (f"{prefix}:NAME" for prefix in self.prefixes)

    def register(self, name: str, thing: Any) -> None:
        """Add an entry. ValueError where the name is taken."""
        if name in self:
            raise ValueError(f"there is a {self.kind} named {name!r} already")
        self[name] = thing

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
        """The thing behind a name. ValueError as of `entry`."""
        found = self.entry(name)
        if not isinstance(found, str):
            return found
        module, attribute = found.split(":")
        return getattr(import_module(module), attribute)
