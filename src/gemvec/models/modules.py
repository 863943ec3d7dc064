"""What follows a network until there is one vector per text: pooling, dense layers and so on, as in modules.json.

sentence-transformers treats modules.json as a program: each module has a folder with its settings. This module reads
that program, and `module_graph.py` turns it into nodes of a graph. An unknown module is refused by name, because
leaving it out would give wrong vectors without an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

import msgspec

from gemvec.errors import UnsupportedModel

PoolingMode = Literal["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
DenseActivation = Literal["Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid"]

_MODULES = "modules.json"
_CONFIG = "config.json"
_PACKAGE = "sentence_transformers."
# Flags in pooling files before sentence-transformers 5.4, in the order in which the vectors are joined.
_POOLING_FLAGS: Mapping[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLING_FIELDS = {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt"}
# Modules that treat a query and a document differently, which is told to none of our encoders.
_ROUTERS = {"Asym", "Router"}
# Key of the text vector in the values that sentence-transformers' modules pass on.
_TEXT_VECTOR = "sentence_embedding"
# msgspec cannot learn of a struct in two threads at once.
_decoding = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """Turns token vectors into one vector; the vectors of several modes are concatenated.

    Attributes:
        modes: how to pool.
        includes_prompt: whether the prompt's tokens count.
    """

    modes: tuple[PoolingMode, ...]
    includes_prompt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """A matrix, an optional bias, and an activation.

    Attributes:
        path: the module's folder in the model's folder.
        size: number of output values.
        activation: the last part of torch's name.
        has_bias: whether a bias is added.
    """

    path: str
    size: int
    activation: DenseActivation
    has_bias: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm:
    """Centres and scales to variance 1, then applies a trained scale and shift."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalize:
    """Scales to length 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate:
    """Keeps the first values: `truncate_dim`."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What only sentence-transformers runs, in its own process or with code of the model's own.

    Attributes:
        kind: its class, with its package if that is not sentence-transformers.
        path: the module's folder in the model's folder.
    """

    kind: str
    path: str


Module = Pooling | Dense | LayerNorm | Normalize | Truncate | Other

MEAN_POOLING = Pooling(modes=("mean",))
CLS_POOLING = Pooling(modes=("cls",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a folder's modules.json says.

    Attributes:
        kind: what the first vectors are: a network's last layer, or rows of a table.
        path: the folder, in the model's folder, with the network's config, weights and tokenizer.
        modules: what follows, in order.
    """

    kind: Literal["Transformer", "StaticEmbedding"]
    path: str
    modules: tuple[Module, ...]


def vector_size(modules: tuple[Module, ...], size: int) -> int:
    """Return the number of output values of the modules for `size` input values."""
    for module in modules:
        if isinstance(module, Pooling):
            size *= len(module.modes)
        elif isinstance(module, Dense):
            size = module.size
        elif isinstance(module, Truncate):
            size = min(size, module.size)
    return size


def read_document(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the JSON object in a file of a model's folder, None if there is no such file.

    Raises:
        UnsupportedModel: the file is not a JSON object.
    """
    return _read(folder / name, dict[str, Any])


def list_modules(folder: Path, *, takes_code: bool = False) -> list[tuple[str, str]] | None:
    """Return the kind and the folder of each module in order, None if there is no modules.json.

    Args:
        folder: the model's folder.
        takes_code: whether a module may be code of the model's own; its kind has a dot.

    Raises:
        UnsupportedModel: it cannot be read, is empty, or names a folder outside the model's.
    """
    listed: list[dict[str, Any]] | None = _read(folder / _MODULES, list[dict[str, Any]])
    if listed is None:
        return None
    if not listed:
        raise UnsupportedModel(f"{folder / _MODULES} lists no modules.")
    _refuse_shared_names(folder, listed)
    return [(_kind(folder, each, takes_code=takes_code), _path(folder, each)) for each in listed]


def read_program(folder: Path) -> Program | None:
    """Return what the folder's modules.json says, None if there is no such file.

    Raises:
        UnsupportedModel: a file cannot be read, or a module is not one that gemvec runs.
    """
    entries = list_modules(folder)
    if entries is None:
        return None
    first, path = entries[0]
    if first not in {"Transformer", "StaticEmbedding"}:
        raise _unknown(folder, first)
    modules = [_read_module(folder, *each) for each in _lasting(entries[1:])]
    _check_order(folder, first, modules)
    return Program(
        kind=cast("Literal['Transformer', 'StaticEmbedding']", first),
        path=path,
        modules=(*modules, *_read_truncation(folder)),
    )


def read_foreign_program(folder: Path) -> Program | None:
    """Return what the folder's modules.json says to sentence-transformers, with what only that runs as `Other`.

    Raises:
        UnsupportedModel: a file cannot be read, the first module is neither a Transformer nor the model's own code, or
            a module has its weights only as a pickle.
    """
    entries = list_modules(folder, takes_code=True)
    if entries is None:
        return None
    first, path = entries[0]
    if first != "Transformer" and "." not in first:
        raise _unknown(folder, first)
    modules = [_read_any_module(folder, *each) for each in _lasting(entries[1:])]
    return Program(kind="Transformer", path=path, modules=(*modules, *_read_truncation(folder)))


def _lasting(entries: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the modules that have an effect outside training."""
    return [each for each in entries if each[0] != "Dropout"]


def _read_module(folder: Path, kind: str, path: str) -> Module:
    reader = _READERS.get(kind)
    if reader is None:
        raise _unknown(folder, kind)
    return reader(folder, path)


def _read_any_module(folder: Path, kind: str, path: str) -> Module:
    try:
        return _read_module(folder, kind, path)
    except UnsupportedModel:
        if kind in _ROUTERS:
            raise
        if (folder / path / "pytorch_model.bin").is_file():
            _require_weights(folder, path)
        return Other(kind=kind, path=path)


def _read_truncation(folder: Path) -> list[Module]:
    truncate = (read_document(folder, "config_sentence_transformers.json") or {}).get("truncate_dim") or 0
    if not isinstance(truncate, int) or truncate < 0:
        raise UnsupportedModel(f"{folder} has truncate_dim {truncate!r}, expected a number of values.")
    return [Truncate(size=truncate)] if truncate else []


def _check_order(folder: Path, first: str, modules: list[Module]) -> None:
    """Refuse modules without pooling, modules between network and pooling, and pooling twice."""
    places = [place for place, module in enumerate(modules) if isinstance(module, Pooling)]
    expected = [0] if first == "Transformer" else []
    if places == expected:
        return
    if not places:
        raise UnsupportedModel(
            f"{folder / _MODULES} has no Pooling module: gemvec does not use the network's own pooled output."
        )
    raise UnsupportedModel(
        f"{folder / _MODULES} has Pooling as module {places[-1] + 1} after {first}; gemvec pools once, right after a"
        " Transformer."
    )


def _unknown(folder: Path, kind: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"{folder / _MODULES} names the module {kind!r}, which gemvec does not run. It runs Transformer,"
        f" StaticEmbedding, {', '.join(sorted(_READERS))} and Dropout. An ONNX graph that"
        " gives `sentence_embedding` needs no modules."
    )


def _refuse_shared_names(folder: Path, listed: list[dict[str, Any]]) -> None:
    """Refuse two modules of one name: sentence-transformers runs only the last one, in the place of the first."""
    names = [str(each.get("name", place)) for place, each in enumerate(listed)]
    shared = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if shared is not None:
        raise UnsupportedModel(
            f"{folder / _MODULES} gives the name {shared!r} to two modules; sentence-transformers runs only one."
        )


def _kind(folder: Path, entry: Mapping[str, Any], *, takes_code: bool) -> str:
    """Return a module's class without its package if that is sentence-transformers' own."""
    name = str(entry.get("type", ""))
    if name.startswith(_PACKAGE):
        return name.rsplit(".", 1)[-1]
    if takes_code and "." in name:
        return name
    raise UnsupportedModel(
        f"{folder / _MODULES} names the module {name!r}, code outside sentence-transformers, which gemvec's own engines"
        " never run. A version of the model for transformers itself, or its ONNX graph, can be served."
    )


def _path(folder: Path, entry: Mapping[str, Any]) -> str:
    path = PurePosixPath(str(entry.get("path", "")))
    if path.is_absolute() or ".." in path.parts:
        raise UnsupportedModel(f"{folder / _MODULES} names the path {path}, which is not in the model's folder.")
    return "" if path == PurePosixPath() else path.as_posix()


def _read_pooling(folder: Path, path: str) -> Pooling:
    config = read_document(folder / path, _CONFIG)
    file = folder / path / _CONFIG
    if config is None:
        raise UnsupportedModel(f"{file}, which says how token vectors are pooled, is missing.")
    flagged = [mode for name, mode in _POOLING_FLAGS.items() if config.get(name)] or ["mean"]
    asked = config.get("pooling_mode", flagged)
    modes = cast("list[Any]", asked if isinstance(asked, list) else [asked])
    unknown = sorted(config.keys() - _POOLING_FIELDS - _POOLING_FLAGS.keys())
    unknown += [str(mode) for mode in modes if mode not in get_args(PoolingMode)]
    if unknown or not modes:
        what = unknown[0] if unknown else "no pooling"
        raise UnsupportedModel(f"{file} asks for {what}; gemvec pools by {', '.join(get_args(PoolingMode))}.")
    return Pooling(modes=tuple(modes), includes_prompt=bool(config.get("include_prompt", True)))


def _read_dense(folder: Path, path: str) -> Dense:
    config, file = read_document(folder / path, _CONFIG) or {}, folder / path / _CONFIG
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    name = activation.rsplit(".", 1)[-1]
    if not activation.startswith("torch.nn.") or name not in get_args(DenseActivation):
        raise UnsupportedModel(
            f"{file} has activation_function {activation!r}, expected one of {', '.join(get_args(DenseActivation))}"
            " of torch.nn."
        )
    _refuse_detours(file, config)
    if config.get("use_residual"):
        raise UnsupportedModel(f"{file} has use_residual, which gemvec does not run.")
    size = config.get("out_features")
    if not isinstance(size, int):
        raise UnsupportedModel(f"{file} does not state out_features.")
    _require_weights(folder, path)
    return Dense(
        path=path, size=size, activation=cast("DenseActivation", name), has_bias=bool(config.get("bias", True))
    )


def _read_layer_norm(folder: Path, path: str) -> LayerNorm:
    _require_weights(folder, path)
    return LayerNorm(path=path)


def _read_normalize(folder: Path, path: str) -> Normalize:
    _refuse_detours(folder / path / _CONFIG, read_document(folder / path, _CONFIG) or {})
    return Normalize()


_READERS: Mapping[str, Callable[[Path, str], Module]] = {
    "Dense": _read_dense,
    "LayerNorm": _read_layer_norm,
    "Normalize": _read_normalize,
    "Pooling": _read_pooling,
}


def _refuse_detours(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse a module that reads or writes anything but the text vector, such as token vectors."""
    for key in ("module_input_name", "module_output_name"):
        name = config.get(key)
        if name not in {None, _TEXT_VECTOR}:
            raise UnsupportedModel(f"{file} has {key} {name!r}, expected {_TEXT_VECTOR!r}.")


def _require_weights(folder: Path, path: str) -> None:
    where = folder / path
    if (where / "model.safetensors").is_file():
        return
    if (where / "pytorch_model.bin").is_file():
        raise UnsupportedModel(
            f"{where} has its weights only as pytorch_model.bin, a pickle, which can run any code when it is read."
            f" {RESAVE}"
        )
    raise UnsupportedModel(f"{where / 'model.safetensors'} is missing.")


# The command that converts what only sentence-transformers can read.
RESAVE = (
    'Convert the model once with sentence-transformers: python -c "from sentence_transformers import'
    " SentenceTransformer as S; S('MODEL').save('converted')\", and serve ./converted."
)


def _read(path: Path, kind: type[Any]) -> Any:
    if not path.is_file():
        return None
    try:
        with _decoding:
            return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error
