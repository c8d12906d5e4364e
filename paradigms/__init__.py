"""Paradigms: ways of turning a problem into logits, one iteration at a time.

A new paradigm is one file here and one line in `PARADIGMS`. An entry is a factory `make(spec,
**options) -> Paradigm`, whose keyword-only parameters are the options, or, with a recipe for
studies, an `Entry`. Modules are imported on first use, so that listing names costs nothing.

A family is a table in its module, of one `functools.partial` of the shared factory a network. It
sets what makes the network what it is (positional parameters, which are no options) and those
defaults in which it differs; the string under it says what it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from foundations.errors import unknown_name
from foundations.registry import Registry

if TYPE_CHECKING:
    from paradigms.base import Paradigm, Signature


class Entry(NamedTuple):
    """A factory, and `recipe(name, preset, spec)`: what studies of each size use for it, see
    `paradigm_recipe`. Each is the thing itself or `MODULE:ATTRIBUTE`. title: what reports call
    it, its name if empty."""

    make: str | Callable[..., Paradigm]
    recipe: str | Callable[[str, str, Signature], dict[str, Any]] | None = None
    title: str = ""


def _family(module: str, **titles: str) -> dict[str, Entry]:
    """The factories of those names in a module, with their titles and the recipe that it has for
    them all."""
    recipe = f"{module}:recipe"
    return {name: Entry(f"{module}:{name}", recipe, title) for name, title in titles.items()}


PARADIGMS = Registry(
    "paradigm",
    {
        **_family(
            "paradigms.dt_net",
            dt_net="DT-net",
            dt_net_recall="DT-net with recall",
            feed_forward="feed-forward DT-net",
            feed_forward_recall="feed-forward DT-net with recall",
            dt_net_lipschitz="DT-L",
        ),
        **_family(
            "paradigms.resnet",
            resnet18="ResNet18",
            narrow_resnet18="narrow ResNet18",
            super_narrow_resnet18="super-narrow ResNet18",
            larger_narrow_resnet18="larger narrow ResNet18",
        ),
        **_family("paradigms.hgru", hgru="hGRU", hcnn="hCNN", td_hcnn="td+hCNN"),
        **_family(
            "paradigms.depth",
            recurrent_mlp="recurrent MLP",
            mlp="MLP",
            recurrent_convnet="recurrent convnet",
            convnet="convnet",
            recurrent_resnet="recurrent ResNet",
            resnet="ResNet",
            recurrent_resnet_bn="recurrent ResNet with BatchNorm",
            resnet_bn="ResNet with BatchNorm",
        ),
        **_family("paradigms.recurrent_resnet18", recurrent_resnet18="recurrent ResNet18"),
        **_family("paradigms.lottery", lottery="pruned network"),
        **_family("paradigms.conv_rnn", conv_gru="ConvGRU", conv_lstm="ConvLSTM", locrnn="LocRNN"),
        **_family("paradigms.adaptive", adaptive="network that halts"),
        **_family("paradigms.gabor", gabor="Gabor-stem DT-net with recall"),
        **_family("paradigms.deq", deq="DEQ"),
        **_family("paradigms.trm", trm="TRM"),
        **_family("paradigms.position_rnn", gru="GRU over positions", lstm="LSTM over positions"),
        **_family("paradigms.linear_rnn", linear_rnn="linear RNN over positions"),
        **_family("paradigms.dilated_cnn", dilated_cnn="dilated CNN"),
        **_family("paradigms.unet", unet="U-Net"),
        **_family(
            "paradigms.transformer",
            transformer="transformer",
            looped_transformer="looped transformer",
        ),
        **_family(
            "paradigms.timm_models",
            resnet50d="ResNet-50-D",
            convnext_nano="ConvNeXt nano",
            vit_tiny="ViT tiny",
        ),
    },
    # The factory is called with NAME after the spec.
    prefixes={
        "timm": Entry("paradigms.timm_models:timm_model", "paradigms.timm_models:recipe"),
        "lottery": Entry("paradigms.lottery:lottery", "paradigms.lottery:recipe", "pruned"),
        "adaptive": Entry("paradigms.adaptive:adaptive", "paradigms.adaptive:recipe", "halting"),
        "gabor": Entry("paradigms.gabor:gabor", "paradigms.gabor:recipe", "Gabor-stem"),
    },
    group="paradigms",
)
#: `register("tiny", Tiny)`, or `@register("tiny")`: a network from outside, any module class or
#: function that builds a module. It is given the task's spec first, if it takes anything without a
#: default; what has a default is an option.
register = PARADIGMS.register


def paradigm_names() -> list[str]:
    """The names that `build_paradigm` knows, beside those of the form `PREFIX:NAME`."""
    PARADIGMS.discover()
    return list(PARADIGMS)


#: The largest number an option may have: a network of more layers or channels would not be built in
#: a day.
MOST = 10_000


def check_paradigm(name: str) -> None:
    """ValueError, the nearest names first, if there is no paradigm of that name. Imports nothing
    heavy."""
    PARADIGMS.entry(name)


def paradigm_entry(name: str) -> Entry:
    """What is registered under a name, not loaded. ValueError as of `check_paradigm`."""
    found = PARADIGMS.entry(name)
    return found if isinstance(found, Entry) else Entry(found)


def paradigm_title(name: str) -> str:
    """What reports call a paradigm: `DT-net with recall`, `pruned DT-net`. ValueError as of
    `check_paradigm`."""
    title, (_, colon, wrapped) = paradigm_entry(name).title, name.partition(":")
    if not colon:
        return title or name
    return f"{title} {paradigm_title(wrapped)}" if title else wrapped


def _factory(name: str) -> Any:
    """What makes a paradigm, loaded."""
    make = PARADIGMS.resolved(name, paradigm_entry(name).make)
    if inspect.isclass(make) or (callable(make) and not hasattr(make, "parameters")):
        return make
    raise PARADIGMS.wrong(name, "must be a class or function that builds a network")


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    """Of a paradigm's factory, with the values that a row of a table sets as defaults."""
    make: Any = _factory(name)
    made, given = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    parameters = inspect.signature(made).parameters
    return {k: p.replace(default=given.get(k, p.default)) for k, p in parameters.items()}


def _wrapped(name: str, base: object = None) -> str | None:
    """The paradigm that one wraps, whose options it takes too: NAME of PREFIX:NAME, base, or what
    its factory wraps by default."""
    parameters = _parameters(name)
    takes_more = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if not takes_more or "base" not in parameters:
        return None
    return str(name.partition(":")[2] or base or parameters["base"].default)


def paradigm_module(name: str, base: object = None) -> list[ModuleType]:
    """The modules of a paradigm's factory and, for one that wraps another, of what it wraps (base,
    or its default)."""
    make, wrapped = paradigm_entry(name).make, _wrapped(name, base)
    if isinstance(make, str):
        module = make.partition(":")[0]
    else:
        module = (make.func if isinstance(make, partial) else make).__module__
    return [import_module(module), *(paradigm_module(wrapped) if wrapped else ())]


def paradigm_options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a paradigm, by name; those of one that wraps another include the other's."""
    kinds: set[Any] = {inspect.Parameter.KEYWORD_ONLY}
    wrapped = _wrapped(name)
    parameters = _parameters(name)
    if name in PARADIGMS.outside:  # its positional parameters are no rows' values
        kinds.add(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = {k: p for k, p in parameters.items() if k != _task_parameter(name)}
    options = {k: p for k, p in parameters.items() if p.kind in kinds}
    return options | (paradigm_options(wrapped) if wrapped else {})


def _task_parameter(name: str) -> str | None:
    """The parameter of a network from outside that takes the task's spec: the first, unless it has
    a default; None for none."""
    first = next(iter(_parameters(name).values()), None)
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        return None
    return first.name if first.default is first.empty else None


def build_paradigm(name: str, spec: Signature, **options: Any) -> Paradigm:
    """A network of that paradigm for a task's spec.

    ValueError for an unknown name or option (it names the known ones, nearest first) and for a task
    the paradigm makes no sense for (it says why).
    """
    known = paradigm_options(name)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of paradigm {name}", option, known)
        value = options[option]
        if isinstance(value, (int, float)) and not -MOST <= value <= MOST:
            raise ValueError(f"{option} of {name} must be at most {MOST:,}, not {value}")
    make = _factory(name)
    if ":" in name:
        return make(spec, name.partition(":")[2], **options)
    if name not in PARADIGMS.outside:
        return make(spec, **options)
    from paradigms.adapted import as_paradigm

    return as_paradigm(make(*((spec,) if _task_parameter(name) else ()), **options))


def paradigm_recipe(name: str, preset: str, spec: Signature) -> dict[str, Any]:
    """What a study of that preset uses for the paradigm: `options` and `train`, both may be
    absent."""
    recipe = PARADIGMS.resolved(name, paradigm_entry(name).recipe)
    return recipe(name, preset, spec) if recipe else {}
