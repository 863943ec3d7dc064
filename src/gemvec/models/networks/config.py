"""What the config.json files of networks have in common: reading, sizes, activations, the base of rotary positions.

A struct names each field that the graph depends on and its supported values, so that any other value is refused. Other
fields do not change the vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gemvec.errors import UnsupportedModel

Size = Annotated[int, msgspec.Meta(ge=1)]
Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swiglu", "swish"]
LayerKind = Literal["full_attention", "sliding_attention"]

_Config = TypeVar("_Config", bound=msgspec.Struct)
# msgspec cannot learn of a struct in two threads at once.
_converting = threading.Lock()


def convert_config(document: Mapping[str, Any], kind: type[_Config]) -> _Config:
    """Return a config.json as the struct that a family's graph depends on.

    Raises:
        UnsupportedModel: a field is missing, or has a value that is not supported; the message names it.
    """
    try:
        with _converting:
            return msgspec.convert(dict(document), kind)
    except msgspec.ValidationError as error:
        raise UnsupportedModel(
            f"gemvec cannot build the network of config.json (model_type {document.get('model_type')!r}): {error}."
        ) from error


def require_causality(document: Mapping[str, Any]) -> None:
    """Refuse a decoder whose tokens see later ones, which only some versions of transformers do.

    Raises:
        UnsupportedModel: config.json says so.
    """
    if document.get("is_causal", True) is not True:
        raise UnsupportedModel(f"config.json has is_causal {document['is_causal']!r}, expected true.")


def rotary_base(document: Mapping[str, Any], default: float | None, kind: LayerKind | None = None) -> float:
    """Return the base of the rotary positions' frequencies.

    Args:
        document: the model's config.json, with `rope_parameters` (since transformers 5) or `rope_theta`.
        default: the base if config.json has none; None if there is no usual one.
        kind: which layers, if the two kinds have their own bases.

    Raises:
        UnsupportedModel: positions are scaled, or only a part of each head is rotated.
    """
    stated: Any = document.get("rope_parameters") or {}
    stated = stated.get(kind, stated)
    scaled: tuple[Any, ...] = (stated, document.get("rope_scaling") or {})
    for where in scaled:
        scaling: Any = where.get("rope_type", where.get("type", "default"))
        if scaling != "default":
            raise UnsupportedModel(f"config.json scales rotary positions by {scaling!r}, which is not supported.")
    part = stated.get("partial_rotary_factor", document.get("partial_rotary_factor", 1.0))
    if part != 1:
        raise UnsupportedModel(f"config.json has partial_rotary_factor {part}, expected 1.")
    base = stated.get("rope_theta", document.get("rope_theta", default))
    if not isinstance(base, int | float):
        raise UnsupportedModel("config.json lacks rope_theta, the base of its rotary positions.")
    return float(base)
