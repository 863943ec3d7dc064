"""Reads a model's facts from its folder: the files that Hugging Face and sentence-transformers write beside weights.

A folder that gemvec fetched also has a manifest, `gemvec.json`: which model it is, where it came from, and the digest
of each file, so that a copied folder is still recognised and checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any, cast

import msgspec

from gemvec.errors import UnsupportedModel
from gemvec.models.prompts import Prompts, prompts_from_config
from gemvec.models.record import Engine, FolderSource, ModelFile, ModelRecord, Pooling

MANIFEST = "gemvec.json"

# The files an engine may load, the best first.
WEIGHTS: tuple[tuple[str, Engine], ...] = (
    ("model.safetensors", "bert"),
    ("openvino_model.xml", "openvino"),
    ("openvino/openvino_model.xml", "openvino"),
    ("model.onnx", "onnx"),
    ("onnx/model.onnx", "onnx"),
)
# Networks of BERT's shape by model_type, whose graph is built from safetensors; any other needs an ONNX or OpenVINO
# graph. RoBERTa numbers positions from padding_idx + 1, so two of its position vectors serve no token.
FIRST_POSITIONS = {"bert": 0, "roberta": 2, "xlm-roberta": 2, "camembert": 2}
_SANE_WINDOW = 1_000_000  # tokenizers say 1e30 for "none known"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What gemvec noted when it fetched a model.

    Attributes:
        id: the name that finds the record: its id, or the hub id of a model that the catalogue does not know.
        source: where the files came from, for people.
        files: every file with its digest.
    """

    id: str
    source: str
    files: tuple[ModelFile, ...]


def id_of(name: str) -> str:
    """Return the id a hub id or folder name is served under: its last part, in characters a model name may have.

    SDKs merge several texts into one for model names that contain "gemini", so no id of ours does.
    """
    last = PurePosixPath(name).name.lower().replace("gemini", "model")
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._") or "model"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the folder's manifest, or None when gemvec did not fetch it.

    Raises:
        UnsupportedModel: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the folder's manifest."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def read_folder(folder: Path) -> ModelRecord:
    """Return what the files in `folder` say of their model.

    Raises:
        UnsupportedModel: a file is missing, cannot be read, or describes something gemvec cannot run.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    config = _read_json(folder, "config.json") or {}
    if not (folder / "tokenizer.json").is_file():
        raise UnsupportedModel(f"{folder} has no tokenizer.json.")
    present = [path for path, _ in WEIGHTS if (folder / path).is_file()]
    weights_path, engine = choose_weights(present, str(config.get("model_type", "")), where=str(folder))
    if engine == "bert":
        _refuse_extra_modules(folder)
    return ModelRecord(
        id=id_of(manifest.id if manifest else folder.name),
        aliases=(manifest.id,) if manifest else (),
        sources=(FolderSource(folder=folder),),
        files=manifest.files if manifest else (),
        engine=engine,
        weights_path=weights_path,
        pooling=_pooling(folder),
        native_dim=_native_dim(folder, config),
        window_tokens=_window_tokens(folder, config),
        prompts=_prompts(folder),
        summary=f"The model in {folder}.",
    )


def _read_json(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error


def choose_weights(paths: Collection[str], model_type: str, *, where: str) -> tuple[str, Engine]:
    """Return the best file to load among `paths`, and the engine that loads it.

    Args:
        paths: the files there are.
        model_type: as config.json says it.
        where: what to call the place in the error.

    Raises:
        UnsupportedModel: none of them can be loaded.
    """
    present = [each for each in WEIGHTS if each[0] in paths]
    for path, engine in present:
        if engine != "bert" or model_type in FIRST_POSITIONS:
            return path, engine
    if present:
        raise UnsupportedModel(
            f"{where} holds a model of type {model_type or 'unknown'!r}. From safetensors gemvec runs"
            f" {', '.join(sorted(FIRST_POSITIONS))}; for others it needs an ONNX or OpenVINO graph"
            " (onnx/model.onnx or openvino/openvino_model.xml)."
        )
    raise UnsupportedModel(f"{where} has none of {', '.join(path for path, _ in WEIGHTS)}.")


def is_part_of_weights(path: str, weights_path: str) -> bool:
    """Return whether `path` is the weights file or a file that it reads: ONNX's external data, OpenVINO's .bin."""
    if weights_path.endswith(".xml"):
        return path in {weights_path, weights_path.removesuffix("xml") + "bin"}
    return path == weights_path or path.startswith((f"{weights_path}_data", f"{weights_path}.data"))


def _refuse_extra_modules(folder: Path) -> None:
    """Refuse layers after pooling that the graph built from safetensors would leave out."""
    path = folder / "modules.json"
    if not path.is_file():
        return
    try:
        modules = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error
    kinds = [str(each.get("type", "")).rsplit(".", 1)[-1] for each in modules]
    extra = [kind for kind in kinds if kind not in {"Transformer", "Pooling", "Normalize"}]
    if extra:
        raise UnsupportedModel(f"{path} names the module {extra[0]}, which gemvec runs only as part of an ONNX graph.")


def _pooling(folder: Path) -> Pooling:
    config = _read_json(folder, "1_Pooling/config.json") or {}
    chosen = sorted(name for name, value in config.items() if name.startswith("pooling_mode_") and value)
    if chosen in ([], ["pooling_mode_mean_tokens"]):
        return "mean"
    if chosen == ["pooling_mode_cls_token"]:
        return "cls"
    raise UnsupportedModel(
        f"{folder / '1_Pooling/config.json'} asks for {', '.join(chosen)}; gemvec pools by mean or cls."
    )


def _native_dim(folder: Path, config: dict[str, Any]) -> int:
    pooling = _read_json(folder, "1_Pooling/config.json") or {}
    for value in (config.get("hidden_size"), pooling.get("word_embedding_dimension")):
        if isinstance(value, int) and value > 0:
            return value
    raise UnsupportedModel(f"{folder / 'config.json'} does not say hidden_size, the length of the model's vectors.")


def _window_tokens(folder: Path, config: dict[str, Any]) -> int:
    asked = (_read_json(folder, "sentence_bert_config.json") or {}).get("max_seq_length")
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int):
        positions -= FIRST_POSITIONS.get(str(config.get("model_type")), 0)
    named = (_read_json(folder, "tokenizer_config.json") or {}).get("model_max_length")
    limits = [
        int(value) for value in (asked, positions, named) if isinstance(value, int | float) and 0 < value < _SANE_WINDOW
    ]
    return min(limits, default=512)


def _prompts(folder: Path) -> Prompts:
    config = _read_json(folder, "config_sentence_transformers.json") or {}
    named = config.get("prompts")
    if not isinstance(named, dict):
        return Prompts()
    texts = {str(name): text for name, text in cast("dict[Any, Any]", named).items() if isinstance(text, str)}
    default_name = config.get("default_prompt_name")
    return prompts_from_config(texts, default_name if isinstance(default_name, str) else None)
