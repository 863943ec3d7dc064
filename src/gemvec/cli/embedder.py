"""Which model a command embeds with, and where: in this process, at a server, or at Google."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gemvec.cli.completion import complete_model
from gemvec.cli.ray import check_address, join_cluster
from gemvec.cli.server import ServerOptions, announce, find_running_server
from gemvec.errors import FingerprintMismatch
from gemvec.settings import Settings, is_variable_set

if TYPE_CHECKING:
    from gemvec.client.target import Target
    from gemvec.embedding.embedder import Embedder
    from gemvec.embedding.models import ServedModel
    from gemvec.milvus import Fingerprint
    from gemvec.ray.embedder import RayEmbedder

# The settings of a model in this process, and of the cache around it.
EMBEDDER_SETTINGS = (
    "engine",
    "device",
    "trust_remote_code",
    "precision",
    "long_text",
    "streams",
    "cache_dir",
    "embedding_cache_bytes",
)

_GOOGLE_MODEL = "gemini-embedding-001"

ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Model to embed with. [GEMVEC_MODEL; default: the collection's model if it exists]",
        autocompletion=complete_model,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderChoice:
    """The choice of model and server in a command's options.

    Attributes:
        server: the options that name a server.
        model: the name to ask for; None for the default of whatever embeds.
        ray: the address of the Ray cluster that computes, or `auto`; None for no cluster.
    """

    server: ServerOptions
    model: str | None = None
    ray: str | None = None

    def or_model(self, name: str | None) -> EmbedderChoice:
        """Return this choice with the model `name` if it names no model."""
        return self if self.model else replace(self, model=name)

    def check(self, settings: Settings) -> None:
        """Make sure, before anything is read, fetched or written, that there is one place to compute.

        Raises:
            BadSetting: a server and a cluster are named, or the cluster's address cannot be used.
            MissingDependency: a cluster is to compute, and Ray is not installed.
        """
        if self.ray is not None:
            named = "--google" if self.server.google else "--base-url" if self.server.base_url is not None else None
            check_address(settings, self.ray, server=named)

    def resolve(self, settings: Settings) -> ResolvedChoice:
        """Decide where to embed.

        The options or GEMVEC_BASE_URL decide; otherwise the server that runs on this machine is used, which is
        announced on standard error; otherwise this process. A running server that was not named is not used if it lacks
        the model, if it has other weights under the name that the settings give a model, or if the settings ask for a
        different computation than the default.

        Raises:
            BadSetting: the address or the key cannot be used.
            KeyMissing: Google is chosen and there is no key.
            TransportFailure: nothing listens at the address.
        """
        if self.ray is not None:
            return ResolvedChoice(target=None, model=self.model, ray=self.ray)
        target = self.server.find_named("GEMVEC_BASE_URL")
        if target is not None:
            model = self.model or (_GOOGLE_MODEL if self.server.google else None)
            return ResolvedChoice(target=None if target.is_local else target, model=model)
        return self._find_running(settings) or ResolvedChoice(target=None, model=self.model)

    def _find_running(self, settings: Settings) -> ResolvedChoice | None:
        running = None if _computes_unusually(settings) else find_running_server(settings)
        if running is None or not running.models:
            return None
        named = _configured_name(settings)
        wanted = self.model or named or running.models[0]
        target = running.target(self.server.api_key)
        if wanted.removeprefix("models/") not in running.models or (
            not self.model and named and not _is_same_model(target, named, settings)
        ):
            return None
        announce(f"Embedding with {wanted} at {running.url}.\nUse --base-url local to embed in this process.")
        return ResolvedChoice(target=target, model=wanted, is_here=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedChoice:
    """Where a command embeds.

    Attributes:
        target: the server to ask; None for the model in this process.
        model: the name to ask for; None for the default of whatever embeds.
        is_here: whether the server runs on this machine.
        ray: the address of the Ray cluster that computes for this process; None for no cluster.
    """

    target: Target | None
    model: str | None
    is_here: bool = False
    ray: str | None = None

    @property
    def server(self) -> str | None:
        """The address of the server; None for this process."""
        return self.target.base_url if self.target else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEmbedder:
    """An embedder that is ready, and what a command needs to know about it.

    Attributes:
        embedder: computes vectors, through the cache; loads the model when it is first used.
        model: the name to use with it; None for its first model.
        server: the server's address; None for this process.
        opening_name: the folder or hub id that opens the model again if it is not in the catalogue.
        tokenizer_file: the model's tokenizer, if it is on this machine.
        on_cluster: what computes below the cache; None where it is no Ray cluster.
    """

    embedder: Embedder
    model: str | None
    server: str | None = None
    opening_name: str | None = None
    tokenizer_file: Path | None = None
    on_cluster: RayEmbedder | None = None

    def get_model(self) -> ServedModel:
        """Return the model to embed with."""
        return self.embedder.get_model(self.model) if self.model else self.embedder.list_models()[0]

    def get_fingerprint(self, dimensionality: int | None = None) -> Fingerprint:
        """Return the fingerprint of a collection of this model."""
        from gemvec.milvus import Fingerprint

        fingerprint = Fingerprint.of(self.get_model(), dimensionality)
        return replace(fingerprint, model=self.opening_name) if self.opening_name else fingerprint


@asynccontextmanager
async def open_embedder(settings: Settings, choice: EmbedderChoice | ResolvedChoice) -> AsyncGenerator[OpenEmbedder]:
    """Open the chosen embedder with the cache around it; close it at the end.

    Missing weights are fetched now, with a progress bar.
    """
    from gemvec.cache import local_source, with_cache

    resolved = choice.resolve(settings) if isinstance(choice, EmbedderChoice) else choice
    opened = _open_in_process(settings, resolved.model) if resolved.target is None else _open_remote(settings, resolved)
    if resolved.ray is not None:
        opened = await _on_cluster(settings, opened, resolved)
    embedder = with_cache(opened.embedder, settings, source=opened.server or local_source(settings))
    try:
        yield replace(opened, embedder=embedder)
    finally:
        await embedder.close()


def _default(name: str) -> Any:
    return next(each.default for each in fields(Settings) if each.name == name)


def _configured_name(settings: Settings) -> str | None:
    """Return what the first model is served as if the settings name one: a name of the operator's own, or the model."""
    from gemvec.models.naming import split_name

    if settings.model == _default("model") and not is_variable_set("model"):
        return None
    own, model = split_name(settings.model[0])
    return own or model


def _is_same_model(target: Target, name: str, settings: Settings) -> bool:
    """Whether `name` means the same to a server as to the settings: an id does, an operator's own name may not."""
    from gemvec.client.background import run
    from gemvec.client.target import open_remote
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.naming import load_named_model, split_name

    if not split_name(settings.model[0])[0]:
        return True
    remote = open_remote(target)
    try:
        served = remote.get_model(name)
    finally:
        run(remote.close())
    choice = EngineChoice.of(settings)
    return served.revision == load_named_model(settings.model[0], settings.cache_dir, choice=choice).revision


def _computes_unusually(settings: Settings) -> bool:
    """Whether the settings ask for other vectors than a server computes by default, or for another way to them."""
    return any(getattr(settings, name) != _default(name) for name in ("precision", "long_text", "engine", "device"))


def _open_in_process(settings: Settings, name: str | None) -> OpenEmbedder:
    from gemvec.cli.lazy import LazyEmbedder
    from gemvec.client.in_process import require_packages
    from gemvec.client.progress import show_fetch
    from gemvec.embedding.gemini_names import find_gemini_name
    from gemvec.models.catalogue import find_known
    from gemvec.models.engine_choice import EngineChoice
    from gemvec.models.weights import load_model

    require_packages()
    is_alias = name is not None and find_gemini_name(name) is not None
    weights = _find_weights(settings, name)
    with show_fetch() as progress:
        loaded = load_model(weights, settings.cache_dir, choice=EngineChoice.of(settings), progress=progress)

    def open_model() -> Embedder:
        from gemvec.models.local import open_embedder as open_local_embedder

        return open_local_embedder(replace(settings, model=(weights,)))

    is_folder = Path(weights).expanduser().is_dir()
    return OpenEmbedder(
        embedder=LazyEmbedder(open_model),
        model=name if is_alias else loaded.record.id,
        opening_name=None
        if is_alias or find_known(weights)
        else str(loaded.folder.absolute())
        if is_folder
        else weights,
        tokenizer_file=loaded.folder / "tokenizer.json",
    )


async def _on_cluster(settings: Settings, opened: OpenEmbedder, choice: ResolvedChoice) -> OpenEmbedder:
    """Let a cluster compute what an embedder of this process would."""
    assert choice.ray is not None
    own = replace(settings, model=(_find_weights(settings, choice.model),))
    embedder = await join_cluster(own, opened.embedder, choice.ray)
    return replace(opened, embedder=embedder, on_cluster=embedder)


def _find_weights(settings: Settings, name: str | None) -> str:
    """Return the model that a name means in this process: a catalogue id, a hub id or a folder."""
    from gemvec.embedding.gemini_names import find_gemini_name
    from gemvec.models.naming import split_name

    if name is None or find_gemini_name(name) is not None:
        return split_name(settings.model[0])[1]
    return dict(map(split_name, reversed(settings.model))).get(name, name)


def _open_remote(settings: Settings, choice: ResolvedChoice) -> OpenEmbedder:
    from gemvec.client.target import open_target

    assert choice.target is not None
    embedder = open_target(choice.target, model=choice.model) if choice.model else open_target(choice.target)
    return OpenEmbedder(
        embedder=embedder,
        model=choice.model,
        server=choice.server,
        tokenizer_file=_find_tokenizer(settings, choice.model) if choice.is_here and choice.model else None,
    )


def _find_tokenizer(settings: Settings, model: str) -> Path | None:
    """Return the tokenizer of a model that a server on this machine serves, so that passages are cut as without it."""
    from gemvec.embedding.gemini_names import find_gemini_name
    from gemvec.models.catalogue import find_known
    from gemvec.models.naming import split_name
    from gemvec.models.weights import cached_folder

    record = find_known(split_name(settings.model[0])[1] if find_gemini_name(model) else model)
    file = cached_folder(record, settings.cache_dir) / "tokenizer.json" if record else None
    return file if file and file.is_file() else None


def refuse_other_model(settings: Settings, choice: ResolvedChoice, stored: Fingerprint, *, collection: str) -> None:
    """Refuse a model for this process that cannot have filled a collection, before it is fetched.

    Args:
        settings: decide which model the Gemini names mean.
        choice: the model and server that will be used.
        stored: the fingerprint of the collection.
        collection: its name, for the error.

    Raises:
        FingerprintMismatch: the collection has vectors of another model.
    """
    from gemvec.embedding.gemini_names import find_gemini_name
    from gemvec.models.catalogue import find_record
    from gemvec.models.naming import split_name

    if choice.target is not None or choice.model is None:
        return
    name = split_name(settings.model[0])[1] if find_gemini_name(choice.model) else choice.model
    if Path(name).expanduser().is_dir():
        return  # nothing has to be fetched: the weights themselves are compared
    if find_record(name).id != stored.weights.partition("@")[0]:
        raise FingerprintMismatch(
            f"Collection {collection!r} holds vectors of {stored}, which do not mix with those of {choice.model}. "
            "Use the collection's own model, another collection, or `gemvec reembed`."
        )
