"""`GeminiEmbeddingFunction`: the class of the same name in Milvus, with the same calls and its faults corrected."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gemvec.client.background import Held, arun, run
from gemvec.client.bound_embedder import BoundEmbedder, open_bound_embedder
from gemvec.client.config import EmbedOptions, parse_task_type, read_config, refuse_arguments
from gemvec.client.micro_batches import check_concurrency
from gemvec.client.progress import show_fetch, show_progress
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.target import find_target
from gemvec.client.texts import Usage, document_requests, naming_fields, query_requests
from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array, truncated_counts
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.gemini_names import GeminiName, find_gemini_name
from gemvec.embedding.task_type import TaskType
from gemvec.errors import BadDimensionality
from gemvec.wire.names import parse_model_name

if TYPE_CHECKING:
    from google.genai import types

    from gemvec.cache import EmbeddingCache
    from gemvec.client.batches import OnProgress
    from gemvec.client.config import ConfigLike


class GeminiEmbeddingFunction:
    """Turns texts into vectors for Milvus: with Google, a gemvec server or the model in this process.

    One call takes any number of texts. They are sent in micro-batches, several at a time, and retried while the server
    is busy. The vectors are returned in order, each a float32 array of shape (dim,) and length 1. Instances can be
    pickled (the pickle contains the key), copied, shared by threads and used after a fork.

    >>> function = GeminiEmbeddingFunction("gemini-embedding-001", base_url="http://127.0.0.1:8000")  # doctest: +SKIP
    >>> [vector.shape for vector in function.encode_documents(["one text", "another"])]  # doctest: +SKIP
    [(3072,), (3072,)]
    """

    def __init__(
        self,
        model_name: str = "gemini-embedding-001",
        api_key: str | None = None,
        config: ConfigLike = None,
        *,
        base_url: str | None = None,
        http_options: types.HttpOptions | Mapping[str, Any] | None = None,
        timeout_seconds: float = 300.0,
        max_concurrency: int = 4,
        show_progress: bool = False,
        cache: bool | str | Path | EmbeddingCache = False,
        **kwargs: Any,
    ) -> None:
        """Decide where to embed; nothing is sent or loaded before the first call.

        Args:
            model_name: the model, with or without `models/`; with base_url="local" also a catalogue id, a hub id or
                a folder.
            api_key: the key; else GEMINI_API_KEY or GOOGLE_API_KEY.
            config: how to embed: an `EmbedConfig`, a dict or google-genai's `types.EmbedContentConfig`.
            base_url: address of a gemvec server, or `local` for the model in this process; else that of `http_options`,
                GEMVEC_BASE_URL or GOOGLE_GEMINI_BASE_URL; else Google.
            http_options: google-genai's `types.HttpOptions` or a dict: base_url, api_version, headers, timeout.
            timeout_seconds: time limit of one micro-batch with all its attempts; it starts again while the server
                limits the rate (429 with a retry delay) and accepts others of the same call.
            max_concurrency: most micro-batches at the same time.
            show_progress: show a progress bar on standard error.
            cache: keep embeddings and reuse them: True for the file that the command line uses, a path for another
                file, or an `EmbeddingCache`. An embedding is reused only for the same text, model, weights and options.
            **kwargs: other arguments of `genai.Client`; those for Vertex AI may only be None or False.

        Raises:
            KeyMissing: neither a key nor an address is known.
            InvalidRequest: the model name or the config cannot be used.
            BadSetting: another argument cannot be used.
        """
        refuse_arguments(kwargs)
        self.show_progress = show_progress
        self._cache = cache
        self._model_name = model_name
        self._target = find_target(
            base_url, api_key=api_key, http_options=http_options or read_config(config).http_options
        )
        self._retries = RetryPolicy(timeout_seconds=timeout_seconds, attempt_seconds=self._target.attempt_seconds)
        check_concurrency(max_concurrency)
        self._max_concurrency = max_concurrency
        self._usage = Usage()
        self._probed_dim: int | None = None
        self._has_warned = self._has_warned_of_cuts = False
        self._held: Held[BoundEmbedder] | None = None
        if not self._target.is_local:
            parse_model_name(model_name, field="model_name")
        self.config = config

    def __repr__(self) -> str:
        key = "***" if self._target.api_key else None
        return (
            f"GeminiEmbeddingFunction(model_name={self._model_name!r}, api_key={key!r}, config={self._config!r}, "
            f"base_url={self._target.base_url!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_held": None}

    @property
    def model_name(self) -> str:
        """The model name as it was given."""
        return self._model_name

    @property
    def config(self) -> ConfigLike:
        """How to embed, as it was given; can be set."""
        return self._config

    @config.setter
    def config(self, config: ConfigLike) -> None:
        self._config = config
        self._read_options()

    @property
    def client(self) -> Embedder:
        """What computes the vectors: a `RemoteEmbedder`, or the model in this process."""
        return run(self._hold()).embedder

    @property
    def dim(self) -> int:
        """Number of values in each vector; for a model that is not Google's, one text is embedded once to find out."""
        dimensionality = self._read_options().output_dimensionality
        if dimensionality is not None:
            return dimensionality
        if known := self._known():
            return known.default_dimensionality
        if self._probed_dim is None:
            [vector] = self.encode_queries(["How many values?"])
            self._probed_dim = vector.size
        return self._probed_dim

    @property
    def usage(self) -> Usage:
        """What this instance has embedded so far."""
        return self._usage

    def encode_documents(
        self,
        documents: Iterable[str] | str,
        *,
        titles: Iterable[str | None] | None = None,
        task_type: TaskType | str | int | None = None,
    ) -> list[Float32Array]:
        """Embed documents, with task type RETRIEVAL_DOCUMENT unless the config has one for documents and queries alike.

        Args:
            documents: the texts; one string is one document.
            titles: a title or None for each document; the config's title where it is None.
            task_type: another task type for this call.

        Returns:
            One float32[dim] per document, in the same order.

        Raises:
            InvalidRequest: a document is not a string or is empty; `index` says which. Nothing was sent.
            ApiError: the server refused; `index` says which document it refused, where it named one.
            TransportFailure: no answer came in time.
        """
        return self._run(self._document_requests(documents, titles, task_type), "documents")

    def encode_documents_batch(
        self,
        documents: Iterable[str] | str,
        *,
        titles: Iterable[str | None] | None = None,
        task_type: TaskType | str | int | None = None,
        display_name: str = "",
        on_progress: OnProgress | None = None,
    ) -> list[Float32Array]:
        """Embed documents like `encode_documents`, but through a batch job, and wait for it.

        For large amounts: Google bills batches at half the price and may take a day. The job is deleted once its
        vectors are here, and kept if anything goes wrong.

        Args:
            documents: the texts; one string is one document.
            titles: a title or None for each document; the config's title where it is None.
            task_type: another task type for this call.
            display_name: a human-readable name for the job.
            on_progress: called with the job each time its state was fetched.

        Raises:
            InvalidRequest: a document is not a string or is empty; or base_url is `local`, which has no batches.
            ApiError: the server refused, the job failed, or a document failed; `index` says which.
            TransportFailure: no answer came in time; the job goes on.
        """
        from gemvec.client.batches import BatchClient
        from gemvec.client.encode_batch import encode_batch

        requests = self._document_requests(documents, titles, task_type)
        with BatchClient(self._target) as client:
            embeddings = encode_batch(
                client, self._model_name, requests, display_name=display_name, on_progress=on_progress
            )
        self._usage += embeddings
        return self._vectors_of(embeddings, "documents")

    def encode_queries(
        self, queries: Iterable[str] | str, *, task_type: TaskType | str | int | None = None
    ) -> list[Float32Array]:
        """Embed queries like documents; the task type is RETRIEVAL_QUERY unless the config has another for queries."""
        return self._run(self._query_requests(queries, task_type), "queries")

    def __call__(self, texts: Iterable[str] | str) -> list[Float32Array]:
        """Embed texts as documents."""
        return self.encode_documents(texts)

    async def aencode_documents(
        self,
        documents: Iterable[str] | str,
        *,
        titles: Iterable[str | None] | None = None,
        task_type: TaskType | str | int | None = None,
    ) -> list[Float32Array]:
        """Embed documents without blocking the event loop; like `encode_documents`."""
        return await self._arun(self._document_requests(documents, titles, task_type), "documents")

    async def aencode_queries(
        self, queries: Iterable[str] | str, *, task_type: TaskType | str | int | None = None
    ) -> list[Float32Array]:
        """Embed queries without blocking the event loop; like `encode_queries`."""
        return await self._arun(self._query_requests(queries, task_type), "queries")

    def close(self) -> None:
        """Close connections and free the model; another call opens them again."""
        if self._held is not None:
            self._held.close()
            self._held = None

    async def aclose(self) -> None:
        """Close connections and free the model without blocking the event loop."""
        if self._held is not None:
            await self._held.aclose()
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _document_requests(
        self,
        documents: Iterable[str] | str,
        titles: Iterable[str | None] | None,
        task_type: TaskType | str | int | None,
    ) -> list[EmbedRequest]:
        options, asked = self._read_options(), parse_task_type(task_type)
        self._say_what_is_left_out(options, has_task_type=asked is not None, has_title=titles is not None)
        return document_requests(documents, titles, options, asked)

    def _query_requests(
        self, queries: Iterable[str] | str, task_type: TaskType | str | int | None
    ) -> list[EmbedRequest]:
        options, asked = self._read_options(), parse_task_type(task_type)
        self._say_what_is_left_out(options, has_task_type=asked is not None)
        return query_requests(queries, options, asked)

    def _say_what_is_left_out(self, options: EmbedOptions, *, has_task_type: bool, has_title: bool = False) -> None:
        """Warn once about options that the caller gave and the model does not take."""
        if options.takes_task_type or self._has_warned:
            return
        given = read_config(self._config)
        named = {"task type": has_task_type or given.task_type is not None, "title": has_title or bool(given.title)}
        left_out = " and the ".join(name for name, is_given in named.items() if is_given)
        if left_out:
            self._has_warned = True
            message = f"{self._model_name} takes neither task types nor titles; left out: the {left_out}."
            warnings.warn(message, stacklevel=4)

    def _run(self, requests: list[EmbedRequest], noun: str) -> list[Float32Array]:
        with naming_fields(noun):
            return self._vectors_of(run(self._embed(requests)) if requests else [], noun)

    async def _arun(self, requests: list[EmbedRequest], noun: str) -> list[Float32Array]:
        with naming_fields(noun):
            return self._vectors_of(await arun(self._embed(requests)) if requests else [], noun)

    def _vectors_of(self, embeddings: Sequence[Embedding], noun: str) -> list[Float32Array]:
        """Return the vectors; warn, once, where texts were cut."""
        truncated = truncated_counts(embeddings)
        if truncated and not self._has_warned_of_cuts:
            self._has_warned_of_cuts = True
            index, tokens = next(iter(truncated.items()))
            warnings.warn(
                f"{len(truncated)} of {len(embeddings)} {noun} were cut at the token limit of {self._model_name}: "
                f"{noun}[{index}] has {tokens} tokens or more. auto_truncate=False in the config refuses such texts.",
                stacklevel=4,
            )
        return [each.vector for each in embeddings]

    async def _embed(self, requests: list[EmbedRequest]) -> list[Embedding]:
        bound = await self._hold()
        with show_progress(len(requests), is_wanted=self.show_progress) as advance:

            def on_done(embeddings: Sequence[Embedding]) -> None:
                self._usage += embeddings
                advance(len(embeddings))

            return await bound.embed(requests, on_done=on_done)

    async def _hold(self) -> BoundEmbedder:
        """Return the embedder of this process; open it if necessary. Always called on the background loop."""
        if self._held is None or not self._held.is_usable:
            with show_fetch() as progress:
                bound = open_bound_embedder(
                    self._target,
                    self._model_name,
                    cache=self._cache,
                    retries=self._retries,
                    max_concurrency=self._max_concurrency,
                    progress=progress,
                )
            self._held = Held(bound, owner=self)
        return self._held.value

    def _known(self) -> GeminiName | None:
        return find_gemini_name(self._model_name.removeprefix("models/"))

    def _read_options(self) -> EmbedOptions:
        """Return the options in the current config that the model takes."""
        options = read_config(self._config)
        known = self._known()
        if known is None or known.takes_options:
            return options
        if options.output_dimensionality not in {None, known.default_dimensionality}:
            raise BadDimensionality(
                f"{known.name} gives vectors of {known.default_dimensionality} values only, "
                f"not {options.output_dimensionality}.",
                field="output_dimensionality",
            )
        return EmbedOptions(takes_task_type=False, auto_truncate=options.auto_truncate)
