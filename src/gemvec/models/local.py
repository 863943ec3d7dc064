"""The embedder that computes on this machine: `open_embedder` and `LocalEmbedder`.

It knows which names are served by which models; `shelf.py` has the models, and `pipeline.py` processes the texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority, TextToken
from gemvec.embedding.embedder import OnDone, OnSized
from gemvec.embedding.models import ServedModel, find_served
from gemvec.errors import BadSetting, GemvecError, InvalidRequest
from gemvec.figures import Figure
from gemvec.models.engine_choice import EngineChoice, check_device_is_used
from gemvec.models.engines import engine_of
from gemvec.models.naming import find_named_record, load_named_model
from gemvec.models.pipeline import MAX_TEXT_TOKENS, Pipeline, describe_model
from gemvec.models.progress import Progress
from gemvec.models.shelf import UNLIMITED, Shelf, ShelvedModel, unload
from gemvec.models.token_pipeline import TokenPipeline
from gemvec.models.weights import LoadedModel
from gemvec.settings import Settings
from gemvec.spans import span

# Calls with up to this many characters are tokenized in about a millisecond, not worth another thread.
_INLINE_CHARACTERS = 8_000
# After a model's id: the same weights without pooling, on the shelf and in figures.
_OF_TOKENS = ":tokens"
_Result = TypeVar("_Result")


def open_embedder(settings: Settings, *, progress: Progress | None = None) -> LocalEmbedder:
    """Load the first of the models in the settings, and prepare the others to be loaded at their first use.

    The files of all are fetched and checked now. A model whose files do not say what its vectors are like is loaded to
    find out, and unloaded again if there is no room for it.

    Args:
        settings: `model`, `engine`, `device`, `trust_remote_code`, `model_memory`, `precision`, `long_text`, `streams`,
            `token_budget`, `max_waiting_tokens` and `cache_dir`.
        progress: called with the progress of a fetch.

    Raises:
        BadSetting: two different models have the same id.
        ModelNotFound: a model's name is not a catalogue id, hub id or folder.
        ModelUnavailable: a model's files cannot be fetched, are incomplete or cannot be run.
    """
    if not settings.model:
        raise BadSetting("--model names no model.")
    with ThreadPoolExecutor(1) as beside:  # the digests of the files leave the interpreter to others
        beside.submit(_import_engine, settings.model[0])
        first, *others = _load_models(settings, progress)
    pipeline = Pipeline(first, settings)
    served = [pipeline.own_name, *pipeline.gemini_names()]
    limit_bytes = settings.model_memory or UNLIMITED
    shelved = {first.record.id: _shelve(first, settings, pipeline), **_shelve_tokens(first, settings)}
    for model in others:
        described = _describe(model, settings)
        opened = None if described else Pipeline(model, settings)
        served.append(described or (opened or pipeline).own_name)
        shelved[model.record.id] = here = _shelve(model, settings, opened)
        shelved |= _shelve_tokens(model, settings)
        if opened and sum(each.size_bytes for each in shelved.values() if each.pipeline) > limit_bytes:
            unload(here)
    return LocalEmbedder(served, Shelf(shelved, limit_bytes=limit_bytes))


def _import_engine(name: str) -> None:
    """Import what runs a model; what is wrong with the model's name is said when it is loaded."""
    with suppress(GemvecError):
        engine_of(find_named_record(name)).import_modules()


def _load_models(settings: Settings, progress: Progress | None) -> Iterable[LoadedModel]:
    models: dict[str, LoadedModel] = {}
    choice = EngineChoice.of(settings)
    for name in settings.model:
        model = load_named_model(name, settings.cache_dir, choice=choice, progress=progress)
        if models.setdefault(model.record.id, model).folder != model.folder:
            raise BadSetting(f"--model names two models that would both be served as {model.record.id!r}.")
    check_device_is_used(settings, [each.record for each in models.values()])
    return models.values()


def _shelve(model: LoadedModel, settings: Settings, pipeline: Pipeline | None) -> ShelvedModel:
    return ShelvedModel(
        open=partial(Pipeline, model, settings),
        size_bytes=model.count_memory(settings),
        pipeline=pipeline,
        loads=int(pipeline is not None),
    )


def _shelve_tokens(model: LoadedModel, settings: Settings) -> dict[str, ShelvedModel]:
    """Return the model's network without pooling, under a name of its own."""
    opens, size_bytes = partial(TokenPipeline, model, settings), model.count_memory(settings)
    return {model.record.id + _OF_TOKENS: ShelvedModel(open=opens, size_bytes=size_bytes, is_extra=True)}


def _describe(model: LoadedModel, settings: Settings) -> ServedModel | None:
    """Return what a model is served as, None if it has to be loaded to know."""
    if not model.record.native_dim or settings.long_text == "truncate":
        return None
    engine_of(model.record).check(model.record, model.folder)
    return describe_model(model, model.record.native_dim, MAX_TEXT_TOKENS)


class LocalEmbedder:
    """An `Embedder` over one or several models in this process; the Gemini names are answered by the first."""

    def __init__(self, served: Sequence[ServedModel], shelf: Shelf) -> None:
        """Take over what `open_embedder` made.

        Args:
            served: every name, the default model's own name first.
            shelf: the models by their ids.
        """
        own = [each for each in served if each.name == each.model_id]
        self._served = {each.name: each for each in (*own, *served)}
        self._shelf = shelf
        self._without_tokens: dict[str, str] = {}  # why these models have no vectors of tokens

    def list_models(self) -> list[ServedModel]:
        """Return every name that is served, the default model's own name first."""
        return list(self._served.values())

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`."""
        return find_served(self._served, name)

    def figures(self) -> Iterable[Figure]:
        """Return figures on each model and its load."""
        return self._shelf.figures()

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Embed texts; see `Embedder.embed`."""
        is_small = _is_small(requests)
        async with self._shelf.borrow(model.model_id) as pipeline:
            with span("tokenize", texts=len(requests)):
                prepared = await _run(is_small, lambda: pipeline.prepare(model, requests))
            with span("compute", windows=len(prepared.inputs)):
                vectors = await pipeline.scheduler.encode(prepared.inputs, priority)
            embeddings, unknown = await _run(is_small, lambda: _count_unknown(prepared.finish(vectors)))
            pipeline.unknown_texts += unknown
        if on_done is not None:
            on_done(embeddings)
        return embeddings

    async def embed_tokens(
        self, model: ServedModel, requests: Sequence[EmbedRequest], *, on_sized: OnSized | None = None
    ) -> list[Embedding]:
        """Embed the tokens of texts one by one; see `Embedder.embed_tokens`."""
        if model.model_id in self._without_tokens:
            raise InvalidRequest(self._without_tokens[model.model_id])
        is_small = _is_small(requests)
        async with self._borrow_tokens(model.model_id) as pipeline:
            prepared = await _run(is_small, lambda: pipeline.prepare_tokens(model, requests))
            if on_sized is not None:
                await on_sized(sum(map(len, prepared.inputs)) * pipeline.own_name.native_dim)
            with span("compute", windows=len(prepared.inputs)):
                vectors = await pipeline.scheduler.encode(prepared.inputs, Priority.INTERACTIVE)
            embeddings, unknown = _count_unknown(prepared.finish(vectors))
            pipeline.unknown_texts += unknown
        return embeddings

    @asynccontextmanager
    async def _borrow_tokens(self, model_id: str) -> AsyncGenerator[TokenPipeline]:
        """Give a model without pooling, as `Shelf.borrow` does.

        Raises:
            InvalidRequest: the model has no vectors of single tokens; it is not loaded again to find that out.
        """
        async with AsyncExitStack() as stack:
            try:
                pipeline = await stack.enter_async_context(self._shelf.borrow(model_id + _OF_TOKENS))
            except InvalidRequest as error:
                self._without_tokens[model_id] = str(error)
                raise
            assert isinstance(pipeline, TokenPipeline)
            yield pipeline

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """Return the requests with their tokens; see `Embedder.tokenize`."""
        async with self._shelf.borrow(model.model_id) as pipeline:
            return await _run(_is_small(requests), lambda: pipeline.tokenize(model, requests))

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""
        is_small = sum(map(len, texts)) <= _INLINE_CHARACTERS
        async with self._shelf.borrow(model.model_id) as pipeline:
            return await _run(is_small, lambda: pipeline.tokenizer.count_tokens(texts))

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts that have these ids; see `Embedder.decode`."""
        is_small = sum(map(len, token_ids)) <= _INLINE_CHARACTERS
        async with self._shelf.borrow(model.model_id) as pipeline:
            return await _run(is_small, lambda: pipeline.decode(token_ids))

    async def list_tokens(
        self, model: ServedModel, texts: Sequence[str], *, special_tokens: bool = True
    ) -> list[list[TextToken]]:
        """Return the tokens of each text; see `Embedder.list_tokens`."""
        is_small = sum(map(len, texts)) <= _INLINE_CHARACTERS
        async with self._shelf.borrow(model.model_id) as pipeline:
            tokenizer = pipeline.tokenizer
            return await _run(is_small, lambda: tokenizer.list_tokens(texts, special_tokens=special_tokens))

    async def close(self) -> None:
        """Finish what was accepted and free the models."""
        await self._shelf.close()


def _count_unknown(embeddings: list[Embedding]) -> tuple[list[Embedding], int]:
    """Return them, and of how many the texts were mostly unknown."""
    return embeddings, sum(each.is_mostly_unknown for each in embeddings if each.unknown_count)


def _is_small(requests: Sequence[EmbedRequest]) -> bool:
    characters = 0
    for each in requests:
        characters += len(each.text) + len(each.title or "")
        if characters > _INLINE_CHARACTERS:
            return False
    return True


async def _run(is_small: bool, work: Callable[[], _Result]) -> _Result:
    return work() if is_small else await asyncio.to_thread(work)
