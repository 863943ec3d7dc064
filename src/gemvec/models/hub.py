"""Fetches a model's files from the model hub, through huggingface_hub with its telemetry and its own output off.

The repository's own description decides which files are fetched. They are checked in `weights.py`, or here against the
hub's digests if the catalogue has no pins.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from gemvec.errors import ChecksumMismatch, UnsupportedModel, WeightsMissing
from gemvec.models.checksum import digest
from gemvec.models.engine_choice import EngineChoice, is_torch_installed, or_torch, require_torch
from gemvec.models.modules import list_modules, read_document
from gemvec.models.own_code import find_code, require_trust
from gemvec.models.progress import Progress, watched
from gemvec.models.record import HubSource, ModelRecord
from gemvec.models.sentence_config import SENTENCE_CONFIGS
from gemvec.models.weights_choice import SAFETENSORS, choose_weights, find_task, is_part_of_weights
from gemvec.settings import read_variable

# Files that say how to use the weights, in the model's folder and in those of its modules; all small.
_DESCRIPTIONS = {
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    *SENTENCE_CONFIGS,
    "tokenizer.json",
    "tokenizer_config.json",
}
# What else transformers makes a tokenizer of.
_TOKENIZER_FILES = {
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
}
_ADAPTER = "adapter_config.json"
# Folders of a repository with other forms of the same weights.
_GRAPH_FOLDERS = {"onnx", "openvino"}
_HUB = "huggingface.co"
# How long to wait for the hub's first answer before trying the next source.
_TIMEOUT_SECONDS = 5.0


def fetch_from_hub(
    record: ModelRecord, source: HubSource, staging: Path, choice: EngineChoice, progress: Progress | None
) -> Path:
    """Fetch the record's files and return a folder below `staging` that contains only them.

    Args:
        record: the model.
        source: where it is.
        staging: an empty folder.
        choice: which engines may run it.
        progress: called with the progress.

    Raises:
        WeightsMissing: the hub cannot be reached, or lacks a file; the message says which.
        ChecksumMismatch: a file's digest differs from the hub's.
        UnsupportedModel: the repository has no weights that gemvec can run.
    """
    repository = _Repository(source, staging / "hub")
    if record.files:
        wanted = {each.path: source.renamed.get(each.path, each.path) for each in record.files}
    else:
        wanted = {path: path for path in repository.choose(record, choice)}
    with watched(repository.folder, repository.size_bytes(wanted.values()), str(source), progress):
        repository.download(list(wanted.values()))
    return _arranged(repository.folder, wanted, staging / "model")


class _Repository:
    """One revision of a repository: its list of files, and the files that are already here."""

    def __init__(self, source: HubSource, folder: Path) -> None:
        """Ask the hub for the list of files.

        Raises:
            WeightsMissing: there is no answer, or no such repository.
        """
        from huggingface_hub import HfApi

        self.folder = folder
        folder.mkdir(parents=True)
        self._endpoint = read_variable("HF_ENDPOINT")
        self._source = source
        with _quiet_hub(self._endpoint):
            info = HfApi(endpoint=self._endpoint, token=token_for(self._endpoint)).model_info(
                source.repository, revision=source.revision, timeout=_TIMEOUT_SECONDS, files_metadata=True
            )
        self._commit = info.sha or source.revision
        inside = (each for each in info.siblings or () if ".." not in PurePosixPath(each.rfilename).parts)
        self._files = {each.rfilename: each for each in inside}

    def choose(self, record: ModelRecord, choice: EngineChoice) -> list[str]:
        """Return the paths to fetch for a record without pins; the repository's description decides on the weights."""
        described = [path for path in self._files if PurePosixPath(path).name in _DESCRIPTIONS]
        described = [path for path in described if PurePosixPath(path).parts[0] not in _GRAPH_FOLDERS]
        if record.is_read:
            return described + self._weights(record.weights_path)
        self.download([path for path in described if path.endswith(("config.json", "modules.json"))])
        if choice.prefers_torch:
            return described + self._for_torch(choice)
        try:
            return described + self._for_own_engines()
        except UnsupportedModel as refusal:
            return described + self._for_torch(choice, refusal)

    def _for_own_engines(self) -> list[str]:
        modules = list_modules(self.folder)
        (kind, here), *after = modules or [("Transformer", "")]
        chosen = (
            "model.safetensors" if kind == "StaticEmbedding" else self._choose_network(here, has_pooling=bool(after))
        )
        of_modules = [f"{path}/model.safetensors" for _, path in after if f"{path}/model.safetensors" in self._files]
        return self._weights((PurePosixPath(here) / chosen).as_posix()) + of_modules

    def _for_torch(self, choice: EngineChoice, refusal: UnsupportedModel | None = None) -> list[str]:
        """Return what sentence-transformers needs.

        Args:
            choice: whether code in the repository is trusted.
            refusal: why no other engine runs the model, if that was asked.

        Raises:
            UnsupportedModel: it cannot run the model either, is not installed, or needs code that is not trusted.
            MissingDependency: it is wanted, and is not installed.
        """
        (_, here), *after = list_modules(self.folder, takes_code=True) or [("Transformer", "")]
        self._find_task(here, has_pooling=bool(after))
        paths = [(PurePosixPath(here) / name).as_posix() for name in SAFETENSORS]
        chosen = next((path for path in paths if path in self._files), None)
        if chosen is None:
            raise refusal or UnsupportedModel(
                f"{self._source} has no {' or '.join(paths)}, which --engine torch needs."
            )
        if refusal and not is_torch_installed():
            raise or_torch(refusal)
        require_torch()
        code = find_code(self.folder)
        require_trust(str(self._source), code, is_trusted=choice.trusts_code)
        folders = {here, *(path for _, path in after)}
        beside = [path for path in self._files if PurePosixPath(path).parent.as_posix().removeprefix(".") in folders]
        named = [path for path in beside if PurePosixPath(path).name in _TOKENIZER_FILES]
        of_modules = [f"{path}/model.safetensors" for _, path in after if f"{path}/model.safetensors" in self._files]
        programs = [path for path in self._files if path.endswith(".py")] if code else []
        return list(dict.fromkeys([*self._weights(chosen), *of_modules, *named, *programs]))

    def _choose_network(self, here: str, *, has_pooling: bool) -> str:
        self._find_task(here, has_pooling=has_pooling)
        config = read_document(self.folder / here, "config.json") or {}
        prefix = f"{here}/" if here else ""
        paths = [path.removeprefix(prefix) for path in self._files if path.startswith(prefix)]
        return choose_weights(paths, config, where=str(self._source))[0]

    def _find_task(self, here: str, *, has_pooling: bool) -> None:
        """Refuse a model that neither embeds nor reranks."""
        config = read_document(self.folder / here, "config.json") or {}
        model_config = read_document(self.folder, "config_sentence_transformers.json") or {}
        find_task(str(self._source), config, model_config, has_pooling=has_pooling, is_adapter=_ADAPTER in self._files)

    def _weights(self, weights_path: str) -> list[str]:
        return [path for path in self._files if is_part_of_weights(path, weights_path)]

    def size_bytes(self, paths: Collection[str]) -> int:
        """Return the total size of `paths` in bytes, as far as the hub knows it."""
        return sum(self._files[path].size or 0 for path in paths if path in self._files)

    def download(self, paths: Sequence[str]) -> None:
        """Fetch files.

        Raises:
            WeightsMissing: a file is not in the repository, or the transfer failed.
            ChecksumMismatch: a file's digest differs from the hub's.
        """
        for path in paths:
            if path not in self._files:
                raise WeightsMissing(f"the repository has no {path}")
            try:
                self._download(path)
            except WeightsMissing:  # not every version of the library resumes a broken transfer by itself
                self._download(path)
            large = self._files[path].lfs
            if large and large.sha256 != (found := digest(self.folder / path)):
                raise ChecksumMismatch(f"{path} has SHA-256 {found}, the hub says {large.sha256}")

    def _download(self, path: str) -> None:
        from huggingface_hub import hf_hub_download  # pyright: ignore[reportUnknownVariableType] # tqdm is untyped

        with _quiet_hub(self._endpoint):
            hf_hub_download(
                self._source.repository,
                path,
                revision=self._commit,
                local_dir=self.folder,
                endpoint=self._endpoint,
                etag_timeout=_TIMEOUT_SECONDS,
                token=token_for(self._endpoint),
            )


def _arranged(folder: Path, wanted: Mapping[str, str], target: Path) -> Path:
    for path, remote in wanted.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / remote).rename(target / path)
    return target


def token_for(endpoint: str | None) -> bool | None:
    """Return what the library takes as token: None for the user's own, if there is one; False for none.

    The hub's token is for the hub: it goes neither to a mirror that HF_ENDPOINT names, nor over plain http.
    """
    if endpoint is None:
        return None
    address = urlsplit(endpoint)
    return None if (address.scheme, address.netloc.lower()) == ("https", _HUB) else False


def _without_token(endpoint: str | None) -> str:
    """Return what to add to an error if the user has a token that was not sent."""
    from huggingface_hub import get_token

    if token_for(endpoint) is None or get_token() is None:
        return ""
    return f" (without the hub's token, which goes only to https://{_HUB}, not to HF_ENDPOINT={endpoint})"


@contextlib.contextmanager
def _quiet_hub(endpoint: str | None) -> Generator[None]:
    """Turn the hub library's telemetry, progress bars and warnings off, and its errors into ours."""
    from huggingface_hub import constants
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils import logging as hub_logs

    constants.HF_HUB_DISABLE_TELEMETRY = True
    had_bars, verbosity = not are_progress_bars_disabled(), hub_logs.get_verbosity()
    disable_progress_bars()
    hub_logs.set_verbosity(logging.CRITICAL)
    try:
        yield
    except Exception as error:  # the library raises errors of its HTTP library, which differs between versions
        raise WeightsMissing(_reason(error) + _without_token(endpoint)) from error
    finally:
        hub_logs.set_verbosity(verbosity)
        if had_bars:
            enable_progress_bars()


def _reason(error: Exception) -> str:
    """Return the first line of an error, without the advice the library adds."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if type(error).__name__ in lines[0] else f"{type(error).__name__}: {lines[0]}"
