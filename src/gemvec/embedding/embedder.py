"""The seam between callers that want vectors and the parts that compute them: `Embedder`.

Server, batches, client and ingest call an `Embedder` and nothing below it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority, TextToken
from gemvec.embedding.models import ServedModel
from gemvec.figures import Figure

# Called with embeddings as they are found or computed, in any order.
OnDone = Callable[[Sequence[Embedding]], None]
# Awaited with the number of values in all vectors of a call, before any is computed; what it raises ends the call.
OnSized = Callable[[int], Awaitable[None]]


class Embedder(Protocol):
    """Computes vectors, in this process or by asking a server.

    `get_model` resolves a name; everything else takes what it returned.
    """

    def list_models(self) -> Sequence[ServedModel]:
        """Return every name that is served, the default model's own name first."""
        ...

    def get_model(self, name: str) -> ServedModel:
        """Return what serves `name`.

        Raises:
            ModelNotFound: nothing does.
        """
        ...

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Embed texts.

        Args:
            model: what `get_model` returned.
            requests: what to embed; any number, each with its own options.
            priority: whether somebody waits for the answer.
            on_done: called with embeddings as they are found or computed, each once, in any order.

        Returns:
            One embedding per request, in the same order.

        Raises:
            ModelNotFound: the name is no longer served.
            InvalidRequest: a request cannot be embedded as asked; `index` says which. Nothing was computed.
            Overloaded: too much work waits; try again later.
        """
        ...

    async def embed_tokens(
        self, model: ServedModel, requests: Sequence[EmbedRequest], *, on_sized: OnSized | None = None
    ) -> list[Embedding]:
        """Embed the tokens of texts one by one: the output of the network's last layer, without any pooling.

        Args:
            model: what `get_model` returned.
            requests: what to embed; the length of vectors cannot be chosen.
            on_sized: learns how large the result will be, and may refuse it.

        Returns:
            One result per request, in the same order. Its `vector` is float32[tokens, size], a row for each token in
            their order, special ones and the prompt's included, and not normalised.

        Raises:
            InvalidRequest: a request cannot be embedded as asked (`index` says which), or the model has no vectors of
                single tokens. A text counts as too long beyond the network's window.
            Overloaded: too much work waits; try again later.
        """
        ...

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """Return the requests with their tokens, for callers that must know how many there are before they embed.

        `embed` does not tokenize such a request again.

        Raises:
            InvalidRequest: a request cannot be embedded as asked; `index` says which.
        """
        ...

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, without special tokens."""
        ...

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts of these ids in the model's vocabulary, without special tokens.

        Raises:
            InvalidRequest: an id is not a token of the model (`index` says in which text), or its vocabulary is not
                available.
        """
        ...

    async def list_tokens(
        self, model: ServedModel, texts: Sequence[str], *, special_tokens: bool = True
    ) -> list[list[TextToken]]:
        """Return the tokens of each text, without any prompt.

        Args:
            model: what `get_model` returned.
            texts: any number, none of them long: nothing is cut.
            special_tokens: whether those that the model wants around a text are among them.

        Raises:
            InvalidRequest: the model's vocabulary is not available.
        """
        ...

    def figures(self) -> Iterable[Figure]:
        """Return figures for metrics."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and free the model."""
        ...


class WrapperEmbedder:
    """An `Embedder` around another that passes everything on; a subclass overrides what it changes.

    Args:
        embedder: the wrapped one; closed with this one.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    def list_models(self) -> Sequence[ServedModel]:
        """See `Embedder.list_models`."""
        return self.embedder.list_models()

    def get_model(self, name: str) -> ServedModel:
        """See `Embedder.get_model`."""
        return self.embedder.get_model(name)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """See `Embedder.embed`."""
        return await self.embedder.embed(model, requests, priority=priority, on_done=on_done)

    async def embed_tokens(
        self, model: ServedModel, requests: Sequence[EmbedRequest], *, on_sized: OnSized | None = None
    ) -> list[Embedding]:
        """See `Embedder.embed_tokens`."""
        return await self.embedder.embed_tokens(model, requests, on_sized=on_sized)

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """See `Embedder.tokenize`."""
        return await self.embedder.tokenize(model, requests)

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """See `Embedder.count_tokens`."""
        return await self.embedder.count_tokens(model, texts)

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """See `Embedder.decode`."""
        return await self.embedder.decode(model, token_ids)

    async def list_tokens(
        self, model: ServedModel, texts: Sequence[str], *, special_tokens: bool = True
    ) -> list[list[TextToken]]:
        """See `Embedder.list_tokens`."""
        return await self.embedder.list_tokens(model, texts, special_tokens=special_tokens)

    def figures(self) -> Iterable[Figure]:
        """See `Embedder.figures`."""
        return self.embedder.figures()

    async def close(self) -> None:
        """See `Embedder.close`."""
        await self.embedder.close()
