"""What an embedder answers about single tokens if it knows none: `WithoutTokens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn

from gemvec.embedding.embed import Embedding, EmbedRequest, TextToken
from gemvec.embedding.embedder import OnSized
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest


class WithoutTokens:
    """The methods of an `Embedder` about single tokens, all of which refuse; a subclass has the others.

    Attributes:
        why_without_tokens: why they have no vectors, as a sentence.
    """

    why_without_tokens: ClassVar[str]

    async def embed_tokens(
        self,
        model: ServedModel,  # noqa: ARG002 # refused
        requests: Sequence[EmbedRequest],  # noqa: ARG002
        *,
        on_sized: OnSized | None = None,  # noqa: ARG002
    ) -> list[Embedding]:
        """Refuse; see `Embedder.embed_tokens`."""
        refuse_token_vectors(self.why_without_tokens)

    async def decode(self, model: ServedModel, token_ids: Sequence[Sequence[int]]) -> list[str]:  # noqa: ARG002 # refused
        """Refuse; see `Embedder.decode`."""
        raise InvalidRequest("{field} has token ids, but this model's vocabulary is not available: send texts instead.")

    async def list_tokens(
        self,
        model: ServedModel,  # noqa: ARG002 # refused
        texts: Sequence[str],  # noqa: ARG002
        *,
        special_tokens: bool = True,  # noqa: ARG002
    ) -> list[list[TextToken]]:
        """Refuse; see `Embedder.list_tokens`."""
        raise InvalidRequest("This model's vocabulary is not available, so its tokens cannot be listed.")


def refuse_token_vectors(reason: str) -> NoReturn:
    """Refuse to embed single tokens.

    Args:
        reason: why they have no vectors, as a sentence.

    Raises:
        InvalidRequest: always.
    """
    raise InvalidRequest(f"This model has no vectors of single tokens. {reason}")
