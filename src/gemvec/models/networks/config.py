"""What the config.json files of networks have in common: reading, sizes, activations, the base of rotary positions.

A struct names each field that the graph depends on and its supported values, so that any other value is refused. Other
fields do not change the vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import msgspec

from gemvec.errors import UnsupportedModel

Size = Annotated[int, msgspec.Meta(ge=1)]
Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swiglu", "swish"]
LayerKind = Literal["full_attention", "sliding_attention"]

_KINDS = {*get_args(LayerKind)}
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


def check_causality(document: Mapping[str, Any], *, is_causal: bool) -> None:
    """Refuse a decoder whose tokens see later ones, or an encoder whose tokens do not, as some versions do.

    Raises:
        UnsupportedModel: config.json says so.
    """
    if document.get("is_causal", is_causal) is not is_causal:
        expected = "true" if is_causal else "false"
        raise UnsupportedModel(f"config.json has is_causal {document['is_causal']!r}, expected {expected}.")


def check_usual(document: Mapping[str, Any]) -> None:
    """Refuse what no family runs: quantised weights, and kinds of layers for another number of layers.

    Args:
        document: the model's config.json.

    Raises:
        UnsupportedModel: config.json says so.
    """
    if quantised := document.get("quantization_config"):
        method = cast("dict[str, Any]", quantised).get("quant_method") if isinstance(quantised, dict) else quantised
        raise UnsupportedModel(
            f"config.json has quantization_config ({method}): gemvec does not read quantised weights. Name the model"
            " that they were made from."
        )
    text: Mapping[str, Any] = document.get("text_config") or document
    kinds, count = text.get("layer_types"), text.get("num_hidden_layers")
    if isinstance(kinds, list) and len(cast("list[Any]", kinds)) != count:
        raise UnsupportedModel(
            f"config.json has layer_types for {len(cast('list[Any]', kinds))} layers, but num_hidden_layers {count!r}."
        )


def rotary_base(document: Mapping[str, Any], default: float | None, kind: LayerKind | None = None) -> float:
    """Return the base of the rotary positions' frequencies.

    Args:
        document: the model's config.json, with `rope_parameters` (since transformers 5) or `rope_theta`.
        default: the base if config.json has none; None if there is no usual one.
        kind: which layers, if the two kinds have their own bases.

    Raises:
        UnsupportedModel: positions are scaled, or only a part of each head is rotated.
    """
    stated, old = (_read_rotation(document, name) for name in ("rope_parameters", "rope_scaling"))
    if stated and (kind is not None) != bool(_KINDS & stated.keys()):
        expected = "one object for all layers" if kind is None else "an object for each kind of layer"
        raise UnsupportedModel(f"config.json has rope_parameters {stated}, expected {expected}.")
    if kind is not None:
        stated: dict[str, Any] = stated.get(kind) or {}
    _check_rotation(stated, old, document)
    beside = document.get("rope_theta", default)
    base = stated.get("rope_theta", beside)
    if old and old.get("rope_theta", base if not stated else beside) != base:
        raise UnsupportedModel(
            f"config.json has rope_theta {base} in rope_parameters, but another one for rope_scaling; versions of"
            " transformers differ in which counts."
        )
    if not isinstance(base, int | float):
        raise UnsupportedModel("config.json lacks rope_theta, the base of its rotary positions.")
    return float(base)


def _check_rotation(stated: Mapping[str, Any], old: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    for where in (stated, old):
        scaling: Any = where.get("rope_type", where.get("type", "default"))
        if scaling != "default":
            raise UnsupportedModel(f"config.json scales rotary positions by {scaling!r}, which is not supported.")
    for where in (stated, old, document):
        if (part := where.get("partial_rotary_factor", 1.0)) != 1:
            raise UnsupportedModel(f"config.json has partial_rotary_factor {part}, expected 1.")


def _read_rotation(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a field about rotary positions, empty if there is none."""
    found: Any = document.get(name) or {}
    if not isinstance(found, dict):
        raise UnsupportedModel(f"config.json has {name} {found!r}, expected an object.")
    return cast("dict[str, Any]", found)
