"""Which model a command embeds with, and where: in this process, through a server, or through Google."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gemvec.errors import BadSetting
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.embedding.embedder import Embedder
    from gemvec.embedding.models import ServedModel
    from gemvec.milvus import Fingerprint

# The settings that decide what a model in this process computes, and those of the cache around it.
TARGET_SETTINGS = ("precision", "long_text", "streams", "cache_dir", "embedding_cache_bytes")

ModelName = Annotated[
    str | None,
    typer.Option("--model", help="Model to embed with; the collection's own when it exists. [GEMVEC_MODEL]"),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="Embed through a gemvec server, or any that speaks the Gemini API, instead of in this process."),
]
Google = Annotated[bool, typer.Option("--google", help="Embed through Google; the key comes from GEMINI_API_KEY.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a command embeds.

    Attributes:
        base_url: a server's address, Google's included; None or `local` for this process.
        model: the name to ask for; None for the target's default.
    """

    base_url: str | None
    model: str | None

    @classmethod
    def of(cls, *, model: str | None, base_url: str | None, google: bool) -> Target:
        """Return what the options mean.

        Raises:
            BadSetting: they contradict each other.
        """
        if not google:
            return cls(base_url=base_url, model=model)
        if base_url is not None:
            raise BadSetting("--google and --base-url name two places; give one.")
        from gemvec.client.target import GOOGLE_URL

        return cls(base_url=GOOGLE_URL, model=model or "gemini-embedding-001")

    @property
    def server(self) -> str | None:
        """The address of who computes; None for this process."""
        return None if self.base_url == "local" else self.base_url

    def or_model(self, name: str | None) -> Target:
        """Return this target with the model `name` where none was asked for."""
        return self if self.model else replace(self, model=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTarget:
    """A target ready to embed.

    Attributes:
        embedder: computes vectors, through the cache; loads the model when it is first asked for something.
        model: the name to ask it for; None for its first.
        opening_name: what opens the model again: `model`, or the folder or hub id of one that no catalogue knows.
        tokenizer_file: the tokenizer of a model in this process.
    """

    embedder: Embedder
    model: str | None
    opening_name: str | None = None
    tokenizer_file: Path | None = None

    def get_model(self) -> ServedModel:
        """Return what the embedder is asked for."""
        return self.embedder.get_model(self.model) if self.model else self.embedder.list_models()[0]

    def get_fingerprint(self, dimensionality: int | None = None) -> Fingerprint:
        """Return which vectors a collection of this model has."""
        from gemvec.milvus import Fingerprint

        fingerprint = Fingerprint.of(self.get_model(), dimensionality)
        return replace(fingerprint, model=self.opening_name) if self.opening_name else fingerprint


@asynccontextmanager
async def open_target(settings: Settings, target: Target) -> AsyncGenerator[OpenTarget]:
    """Open what `target` names, with the cache around it; close it at the end.

    Weights that are not here yet are fetched now, with a progress bar.
    """
    from gemvec.cache import local_source, with_cache

    opened = _open_in_process(settings, target.model) if target.server is None else _open_remote(target)
    embedder = with_cache(opened.embedder, settings, source=target.server or local_source(settings))
    try:
        yield replace(opened, embedder=embedder)
    finally:
        await embedder.close()


def _open_in_process(settings: Settings, name: str | None) -> OpenTarget:
    from gemvec.cli.late import LateEmbedder
    from gemvec.client.in_process import require_packages
    from gemvec.client.progress import show_fetch
    from gemvec.embedding.gemini_names import find_gemini_name
    from gemvec.models.catalogue import find_known
    from gemvec.models.weights import load_model

    require_packages()
    is_alias = name is not None and find_gemini_name(name) is not None
    weights = settings.model[0] if name is None or is_alias else name
    with show_fetch() as progress:
        loaded = load_model(weights, settings.cache_dir, progress=progress)

    def open_model() -> Embedder:
        from gemvec.models.local import open_embedder

        return open_embedder(replace(settings, model=(weights,)))

    is_folder = Path(weights).expanduser().is_dir()
    return OpenTarget(
        embedder=LateEmbedder(open_model),
        model=name if is_alias else loaded.record.id,
        opening_name=None
        if is_alias or find_known(weights)
        else str(loaded.folder.absolute())
        if is_folder
        else weights,
        tokenizer_file=loaded.folder / "tokenizer.json",
    )


def _open_remote(target: Target) -> OpenTarget:
    from gemvec.client.target import find_target, open_target

    found = find_target(target.base_url)
    return OpenTarget(
        embedder=open_target(found, model=target.model) if target.model else open_target(found), model=target.model
    )
