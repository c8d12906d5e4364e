"""Undoing what tests register and load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from foundations import plugins
from foundations.registry import Registry


@contextmanager
def undone(*registries: Registry) -> Iterator[None]:
    """Registries, plugins and modules are as before at the end."""
    names = [(r, dict(r), dict(r.outside), r.group) for r in registries]
    modules, path = set(sys.modules), list(sys.path)
    loaded, folders = list(plugins._loaded), dict(plugins._folders)
    try:
        yield
    finally:
        for registry, entries, outside, group in names:
            registry.clear()
            registry.update(entries)
            registry.outside, registry.group = outside, group
        for module in set(sys.modules) - modules:
            file = getattr(sys.modules[module], "__file__", None) or ""
            if any(file.startswith(f) for f in set(plugins._folders) - set(folders)):
                del sys.modules[module]
        sys.path[:] = path
        plugins._loaded[:] = loaded
        plugins._folders.clear()
        plugins._folders.update(folders)
        plugins._installed.cache_clear()
