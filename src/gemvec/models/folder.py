"""Reads a model's facts from its folder: from the files that Hugging Face and sentence-transformers write.

A folder that gemvec fetched also has a manifest, `gemvec.json`, with the model, its source and the digest of each file,
so that a copied folder is still recognised and checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import msgspec

from gemvec.errors import UnsupportedModel
from gemvec.models.engine_choice import is_torch_installed, or_torch
from gemvec.models.modules import (
    CLS_POOLING,
    MEAN_POOLING,
    Program,
    list_modules,
    read_document,
    read_foreign_program,
    read_program,
    vector_size,
)
from gemvec.models.networks import FAMILIES, check_config
from gemvec.models.own_code import find_code
from gemvec.models.prompts import NO_PROMPTS, Prompts, find_prompts, prompts_from_config
from gemvec.models.record import FolderSource, ModelFile, ModelRecord, Task
from gemvec.models.sentence_config import SentenceConfig
from gemvec.models.weights_choice import SAFETENSORS, choose_weights, find_task

MANIFEST = "gemvec.json"
_MODEL_CONFIG = "config_sentence_transformers.json"

_SANE_WINDOW = 1_000_000
# The window of a network without a limit: the largest token limit of any served name.
_MAX_WINDOW = 8192
_NAME_IN_CARD = re.compile(r"^\s*-?\s*(?:name|base_model):\s*[\"']?([\w./-]+)", re.MULTILINE)
# A code, codes in brackets, or a list of codes.
_LANGUAGES_IN_CARD = re.compile(r"^language:(?P<codes> *[^\n]+|(?:\s*\n *- *[\w'\"-]+)+)", re.MULTILINE)
_SPELLED_LANGUAGES = 5
_CARD_CHARACTERS = 4000


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What gemvec recorded when it fetched a model.

    Attributes:
        id: the name that finds the record: its id, or its hub id if the model is not in the catalogue.
        source: where the files came from, as readable text.
        files: every file with its digest.
    """

    id: str
    source: str
    files: tuple[ModelFile, ...]


class _Cut(msgspec.Struct, frozen=True):
    max_length: int | None = None
    direction: str = "right"


class _TokenizerFile(msgspec.Struct, frozen=True):
    """What is looked up in a tokenizer.json, which may have 250,000 words beside it."""

    truncation: _Cut | None = None


_decode = msgspec.json.Decoder(Manifest).decode
_decode_tokenizer = msgspec.json.Decoder(_TokenizerFile).decode


def id_of(name: str) -> str:
    """Return the served id for a hub id or folder name: its last part, in characters that a model name may have.

    SDKs merge several texts into one for model names that contain "gemini", so none of our ids contains it.
    """
    last = PurePosixPath(name).name.lower().replace("gemini", "model")
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._") or "model"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the folder's manifest, or None if gemvec did not fetch it.

    Raises:
        UnsupportedModel: the manifest cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return _decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{path} cannot be read: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the folder's manifest."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def read_folder(folder: Path) -> ModelRecord:
    """Return what the files in `folder` say about their model.

    Raises:
        UnsupportedModel: a file is missing, cannot be read, or describes something gemvec cannot run.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    try:
        described = _Folder.read(folder)
        facts = described.static_facts() if described.program.kind == "StaticEmbedding" else described.network_facts()
    except UnsupportedModel as refusal:
        described, facts = _read_for_torch(folder, refusal)
    name = manifest.id if manifest else repository_of(folder)
    return ModelRecord(
        id=id_of(name or folder.name),
        aliases=(name,) if name else (),
        sources=(FolderSource(folder=folder),),
        files=manifest.files if manifest else (),
        task=described.task,
        network_path=described.program.path,
        modules=described.program.modules,
        languages=described.languages(),
        prompts=described.prompts(name or folder.as_posix()),
        summary=f"The model in {folder}.",
        **facts,
    )


def _read_for_torch(root: Path, refusal: UnsupportedModel) -> tuple[_Folder, dict[str, Any]]:
    """Return what sentence-transformers needs of a folder that gemvec's own engines refuse.

    Raises:
        UnsupportedModel: it would not run it either, or is not installed; then the error is the refusal, with what to
            install.
    """
    try:
        described = _Folder.read_for_torch(root)
        facts = described.torch_facts(refusal.reason)
    except UnsupportedModel:
        raise refusal from None
    if not is_torch_installed():
        raise or_torch(refusal) from refusal
    return described, facts


def repository_of(folder: Path) -> str:
    """Return the repository of a folder in the hub's own cache, `models--acme--tiny/snapshots/0123`; else nothing."""
    home = folder.parent.parent.name
    is_snapshot = folder.parent.name == "snapshots" and home.startswith("models--")
    return home.removeprefix("models--").replace("--", "/") if is_snapshot else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """A model's folder with the documents that describe it.

    Attributes:
        root: the model's folder.
        task: what the model is for.
        here: the folder in it with the network's files.
        program: what modules.json says, or what sentence-transformers does without one.
        config: config.json; empty if there is none.
        sentence_config: sentence_bert_config.json, or the same under an older name.
        model_config: config_sentence_transformers.json.
        cut: how tokenizer.json cuts a text that is too long.
    """

    root: Path
    task: Task
    here: Path
    program: Program
    config: Mapping[str, Any]
    sentence_config: SentenceConfig
    model_config: Mapping[str, Any]
    cut: _Cut

    @classmethod
    def read(cls, root: Path) -> _Folder:
        """Read the documents.

        Raises:
            UnsupportedModel: one cannot be read, or describes a kind of model that gemvec does not run.
        """
        listed = list_modules(root) or [("Transformer", "")]
        path = listed[0][1]
        here, config, model_config, task = _read_task(root, listed)
        program = _scoring_program(root, path, model_config) if task == "rerank" else read_program(root)
        if program is None:
            kind = "StaticEmbedding" if config.get("model_type") == "model2vec" else "Transformer"
            modules = (MEAN_POOLING,) if kind == "Transformer" else ()
            program = Program(kind=kind, path="", modules=modules)
        sentence_config = SentenceConfig() if program.kind == "StaticEmbedding" else SentenceConfig.read(here, task)
        return cls(
            root=root,
            task=task,
            here=here,
            program=program,
            config=config,
            sentence_config=sentence_config,
            model_config=model_config,
            cut=_read_cut(here / "tokenizer.json"),
        )

    @classmethod
    def read_for_torch(cls, root: Path) -> _Folder:
        """Read the documents as far as sentence-transformers leaves anything to know.

        Raises:
            UnsupportedModel: one cannot be read, or the model is of a kind that makes no vectors.
        """
        listed = list_modules(root, takes_code=True) or [("Transformer", "")]
        here, config, model_config, task = _read_task(root, listed)
        sees = {"vision_config", "audio_config"} & config.keys() and len(listed) == 1
        if task != "embed" or sees or config.get("model_type") == "model2vec":
            raise UnsupportedModel(f"{root} is not a network that embeds texts.")
        return cls(
            root=root,
            task=task,
            here=here,
            program=read_foreign_program(root) or Program(kind="Transformer", path="", modules=(MEAN_POOLING,)),
            config=config,
            sentence_config=SentenceConfig.read_for_torch(here),
            model_config=model_config,
            cut=_read_cut(here / "tokenizer.json"),
        )

    def torch_facts(self, refusal: str) -> dict[str, Any]:
        """Return the facts about a network that sentence-transformers runs.

        Args:
            refusal: why no other engine does.
        """
        chosen = next((name for name in SAFETENSORS if (self.here / name).is_file()), None)
        if chosen is None:
            raise UnsupportedModel(f"{self.here} has no {' or '.join(SAFETENSORS)}.")
        self._require_cuts_at_the_end()
        return {
            "engine": "torch",
            "weights_path": self._from_root(chosen),
            "window_tokens": self._window_tokens(),
            "code": find_code(self.root),
            "refusal": refusal,
        }

    def network_facts(self) -> dict[str, Any]:
        """Return the facts about a model with a network."""
        chosen, engine = choose_weights(self._paths(), self.config, where=str(self.here))
        if self.task == "rerank" and engine != "network":
            raise UnsupportedModel(f"{self.here / chosen} is a graph; gemvec runs a reranker from its safetensors.")
        self._require_tokenizer()
        # The check imports OpenVINO, so it is left to the engine if nothing else could run the model.
        if engine == "network" and self.task == "embed" and is_torch_installed():
            check_config(self.config)
        size = self._network_size() if engine == "network" else 0
        return {
            "engine": engine,
            "weights_path": self._from_root(chosen),
            "native_dim": vector_size(self.program.modules, size) if size else 0,
            "window_tokens": self._window_tokens(),
            "lower_cases": self.sentence_config.lower_cases,
        }

    def static_facts(self) -> dict[str, Any]:
        """Return the facts about a model that is a table of vectors."""
        self._require_tokenizer()
        if not (self.here / "model.safetensors").is_file():
            raise UnsupportedModel(f"{self.here / 'model.safetensors'}, the table of a static model, is missing.")
        return {
            "engine": "static",
            "weights_path": self._from_root("model.safetensors"),
            "window_tokens": self._cut_tokens(),
        }

    def prompts(self, name: str) -> Prompts:
        """Return the prompts in the files, else those of the family that they name."""
        file = self.root / _MODEL_CONFIG
        named: Any = self.model_config.get("prompts") or {}
        default = self.model_config.get("default_prompt_name")
        if not isinstance(named, dict):
            raise UnsupportedModel(f"{file} has prompts {named!r}, expected an object.")
        pairs = cast("dict[Any, Any]", named).items()
        texts = {str(key): text for key, text in pairs if isinstance(text, str)}
        if default is not None and default not in texts:
            raise UnsupportedModel(f"{file} has default_prompt_name {default!r}, which is not one of its prompts.")
        if any(texts.values()):
            return prompts_from_config(texts, default)
        return find_prompts([name, *self._names()]) or NO_PROMPTS

    def _names(self) -> list[str]:
        """Return what the files call the model, or the model that it was trained from."""
        return [str(self.config.get("_name_or_path", "")), *_NAME_IN_CARD.findall(self._head_of_card())]

    def languages(self) -> str:
        """Return the languages that the model's card names, by their codes, or how many they are."""
        found = _LANGUAGES_IN_CARD.search(self._head_of_card())
        codes = re.findall(r"\b(?:multilingual|[a-z]{2,3})\b", found["codes"]) if found else []
        return ", ".join(codes) if len(codes) <= _SPELLED_LANGUAGES else f"{len(codes)} languages"

    def _head_of_card(self) -> str:
        """Return the part of the model's card that is for machines."""
        card = self.root / "README.md"
        if not card.is_file():
            return ""
        return card.read_text(encoding="utf-8", errors="replace")[:_CARD_CHARACTERS].split("\n---", 1)[0]

    def _paths(self) -> list[str]:
        """Return the files beside the network's config.json, and those in folders of graphs."""
        return sorted(
            path.relative_to(self.here).as_posix()
            for pattern in ("*", "onnx/*", "openvino/*")
            for path in self.here.glob(pattern)
            if path.is_file()
        )

    def _from_root(self, path: str) -> str:
        return (PurePosixPath(self.program.path) / path).as_posix()

    def _cut_tokens(self) -> int:
        """Return the length at which tokenizer.json cuts texts; sentence-transformers uses it for static models."""
        return min([*_windows(self.cut.max_length), _MAX_WINDOW])

    def _require_tokenizer(self) -> None:
        if (self.here / "tokenizer.json").is_file():
            self._require_cuts_at_the_end()
            return
        others = [
            name
            for name in ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
            if (self.here / name).is_file()
        ]
        found = f", only {others[0]}" if others else ""
        raise UnsupportedModel(
            f"{self.here} has no tokenizer.json{found}. Write one with transformers: python -c"
            f" \"from transformers import AutoTokenizer as T; T.from_pretrained('{self.here}')"
            f".save_pretrained('{self.here}')\"."
        )

    def _require_cuts_at_the_end(self) -> None:
        """Refuse a tokenizer that keeps the end of a text that is too long, and not its start."""
        settings = read_document(self.here, "tokenizer_config.json") or {}
        side = str(settings.get("truncation_side", self.cut.direction)).lower()
        if side != "right":
            raise UnsupportedModel(
                f"{self.here} has truncation_side {side!r} in its tokenizer's files: of a text that is too long the end"
                " would count. gemvec keeps the start; change it to 'right' if that is what you want."
            )

    def _network_size(self) -> int:
        size = self.config.get(FAMILIES[str(self.config.get("model_type"))].size_key)
        if not isinstance(size, int) and isinstance(self.config.get("text_config"), dict):
            size = self.config["text_config"].get("embedding_dim")
        return size if isinstance(size, int) else 0

    def _window_tokens(self) -> int:
        """Return the window as sentence-transformers chooses it, within the limit of the network's positions."""
        family = FAMILIES.get(str(self.config.get("model_type")))
        positions = self.config.get("max_position_embeddings")
        served = family.window_tokens(self.config) if family else positions
        asked = _windows(self.sentence_config.max_seq_length)
        if not asked:
            settings = read_document(self.here, "tokenizer_config.json") or {}
            asked = _windows(settings.get("model_max_length"), positions)
        return min([*asked, *_windows(served)], default=_MAX_WINDOW)


def _read_task(root: Path, listed: list[tuple[str, str]]) -> tuple[Path, Mapping[str, Any], Mapping[str, Any], Task]:
    """Return the network's folder, its config.json, config_sentence_transformers.json, and what the model is for."""
    here = root / listed[0][1]
    config, model_config = read_document(here, "config.json") or {}, read_document(root, _MODEL_CONFIG) or {}
    is_adapter = any((each / "adapter_config.json").is_file() for each in (root, here))
    task = find_task(str(root), config, model_config, has_pooling=len(listed) > 1, is_adapter=is_adapter)
    return here, config, model_config, task


def _read_cut(file: Path) -> _Cut:
    """Return how a tokenizer.json cuts texts; the defaults if there is no such file or it cuts none."""
    if not file.is_file():
        return _Cut()
    try:
        return _decode_tokenizer(file.read_bytes()).truncation or _Cut()
    except (OSError, msgspec.DecodeError) as error:
        raise UnsupportedModel(f"{file} cannot be read: {error}") from error


def _scoring_program(root: Path, path: str, model_config: Mapping[str, Any]) -> Program:
    """Return what becomes of a pair before its head: the vector of its first token."""
    if model_config.get("default_prompt_name"):
        raise UnsupportedModel(
            f"{root / _MODEL_CONFIG} has default_prompt_name, which gemvec does not put before the texts of a reranker."
        )
    return Program(kind="Transformer", path=path, modules=(CLS_POOLING,))


def _windows(*values: object) -> list[int]:
    """Return the values that are numbers of tokens; tokenizers write 1e30 for "not known"."""
    return [int(each) for each in values if isinstance(each, int | float) and 0 < each < _SANE_WINDOW]
