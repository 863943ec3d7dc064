"""The seam between callers that want vectors and the parts that compute them: `Embedder`.

Server, batches, client and ingest call an `Embedder` and nothing below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gemvec.embedding.embed import Embedding, EmbedRequest, Priority
from gemvec.embedding.models import ServedModel


class Embedder(Protocol):
    """Computes vectors; implemented by the local model here and by a remote service in `client`."""

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
        self, model: str, requests: Sequence[EmbedRequest], *, priority: Priority = Priority.INTERACTIVE
    ) -> list[Embedding]:
        """Embed texts.

        Args:
            model: a served name.
            requests: what to embed; any number, each with its own options.
            priority: whether anybody waits for the answer.

        Returns:
            One embedding per request, in the same order.

        Raises:
            ModelNotFound: nothing serves `model`.
            InvalidRequest: a request cannot be embedded as asked; `index` says which. Nothing was computed.
            Overloaded: too much work waits; try again later.
        """
        ...

    async def count_tokens(self, model: str, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and free the model."""
        ...
