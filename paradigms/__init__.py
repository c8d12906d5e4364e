"""Paradigms: ways of turning a problem into logits, one iteration at a time.

A new paradigm is one file here and one line in `PARADIGMS`. An entry is a factory
`make(spec, **options) -> Paradigm`; modules are imported on first use, so that listing names costs
nothing. A module may define `recipe(name, preset, spec)`: what studies of each size use for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foundations.errors import unknown_name
from foundations.registry import Registry

if TYPE_CHECKING:
    from paradigms.base import Paradigm, Signature

PARADIGMS = Registry(
    "paradigm",
    {
        "dt_net": "paradigms.dt_net:dt_net",
        "dt_net_recall": "paradigms.dt_net:dt_net_recall",
        "feed_forward": "paradigms.dt_net:feed_forward",
        "feed_forward_recall": "paradigms.dt_net:feed_forward_recall",
        "resnet18": "paradigms.resnet:resnet18",
        "narrow_resnet18": "paradigms.resnet:narrow_resnet18",
        "super_narrow_resnet18": "paradigms.resnet:super_narrow_resnet18",
        "larger_narrow_resnet18": "paradigms.resnet:larger_narrow_resnet18",
        "hgru": "paradigms.hgru:hgru",
        "hcnn": "paradigms.hgru:hcnn",
        "td_hcnn": "paradigms.hgru:td_hcnn",
        "recurrent_mlp": "paradigms.depth:recurrent_mlp",
        "mlp": "paradigms.depth:mlp",
        "recurrent_convnet": "paradigms.depth:recurrent_convnet",
        "convnet": "paradigms.depth:convnet",
        "recurrent_resnet": "paradigms.depth:recurrent_resnet",
        "resnet": "paradigms.depth:resnet",
        "recurrent_resnet_bn": "paradigms.depth:recurrent_resnet_bn",
        "resnet_bn": "paradigms.depth:resnet_bn",
        "recurrent_resnet18": "paradigms.depth:recurrent_resnet18",
        "lottery": "paradigms.lottery:lottery",
    },
    # The factory is called with NAME after the spec.
    prefixes={
        "timm": "paradigms.timm_models:timm_model",
        "lottery": "paradigms.lottery:lottery",
    },
)


def paradigm_names() -> list[str]:
    """The names that `build_paradigm` knows, beside those of the form `PREFIX:NAME`."""
    return list(PARADIGMS)


#: The largest number an option may have: a network of more layers or channels would not be built in
#: a day.
MOST = 10_000


def check_paradigm(name: str) -> None:
    """ValueError, the nearest names first, if there is no paradigm of that name. Imports nothing
    heavy."""
    PARADIGMS.entry(name)


def _factory(name: str) -> tuple[ModuleType, Callable[..., Paradigm]]:
    make = PARADIGMS.load(name)
    return sys.modules[make.__module__], make


def paradigm_module(name: str, base: object = None) -> list[ModuleType]:
    """The modules of a paradigm's factory and, for one that wraps another, of what it wraps (base,
    or its default)."""
    module, make = _factory(name)
    parameters = inspect.signature(make).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return [module]
    wrapped = name.partition(":")[2] or base or parameters["base"].default
    return [module, *paradigm_module(str(wrapped))]


def paradigm_options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a paradigm, by name; those of one that wraps another include the other's."""
    _, make = _factory(name)
    parameters = inspect.signature(make).parameters
    options = {k: p for k, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        options |= paradigm_options(name.partition(":")[2] or parameters["base"].default)
    return options


def build_paradigm(name: str, spec: Signature, **options: Any) -> Paradigm:
    """A network of that paradigm for a task's spec.

    ValueError for an unknown name or option (it names the known ones, nearest first) and for a task
    the paradigm makes no sense for (it says why).
    """
    _, make = _factory(name)
    known = paradigm_options(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of paradigm {name}", option, known)
        value = options[option]
        if isinstance(value, (int, float)) and not -MOST <= value <= MOST:
            raise ValueError(f"{option} of {name} must be at most {MOST:,}, not {value}")
    if ":" in name:
        return make(spec, name.partition(":")[2], **options)
    return make(spec, **options)


def paradigm_recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that preset uses for the paradigm: `options` and `train`, both may be
    absent."""
    module, _ = _factory(name)
    return module.recipe(name, preset, spec) if hasattr(module, "recipe") else {}
