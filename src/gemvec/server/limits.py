"""The limits of one caller: Google's limits, for tests against this server, and the limits of an API key.

Batches are not counted: Google has other quotas for them, and here they go behind interactive calls. Source:
https://ai.google.dev/gemini-api/docs/rate-limits and 400 and 429 answers in public issues.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from gemvec.embedding.embed import EmbedRequest, TextToken
from gemvec.embedding.embedder import Embedder
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest, ModelForbidden, ModelNotFound
from gemvec.server.auth import Caller
from gemvec.server.quota import (
    DAY_SECONDS,
    Meter,
    Quota,
    per_day_requests,
    per_minute_requests,
    per_minute_tokens,
)
from gemvec.settings import Settings

_GOOGLE_TEXTS = 100
_GOOGLE_BODY_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of every caller.

    Attributes:
        max_texts: texts in one call; None for no limit.
        max_body_bytes: bytes of one body, except for batches; None for `max_request_bytes`.
        has_retired_names: whether names that Google has ended are served.
        quotas: what is counted for each caller.
        has_googles_words: whether refusals have Google's words on OpenAI's routes too.
    """

    max_texts: int | None = None
    max_body_bytes: int | None = None
    has_retired_names: bool = True
    quotas: tuple[Quota, ...] = ()
    has_googles_words: bool = False


def limits_of(settings: Settings) -> Limits:
    """Return the limits that `settings` ask for."""
    if settings.limits == "off":
        return Limits()
    asked = (
        per_minute_requests(settings.requests_per_minute),
        per_minute_tokens(settings.tokens_per_minute),
        per_day_requests(settings.requests_per_day),
    )
    return Limits(
        max_texts=_GOOGLE_TEXTS,
        max_body_bytes=_GOOGLE_BODY_BYTES,
        has_retired_names=False,
        has_googles_words=True,
        quotas=tuple(each for each in asked if each.limit),
    )


class Limiter:
    """Holds callers to the limits of the server and of their keys; belongs to one event loop."""

    def __init__(self, limits: Limits, meter: Meter) -> None:
        self._limits = limits
        self._meter = meter

    @property
    def has_googles_words(self) -> bool:
        """Whether refusals have Google's words on OpenAI's routes too."""
        return self._limits.has_googles_words

    def max_body_bytes(self, max_bytes: int) -> int:
        """Return how large the body of one call may be if the server takes at most `max_bytes`."""
        return min(max_bytes, self._limits.max_body_bytes or max_bytes)

    def visible(self, caller: Caller, models: Iterable[ServedModel]) -> list[ServedModel]:
        """Return the models that the caller may use."""
        return [each for each in models if self._is_served(each) and caller.may_use_served(each.name)]

    def check_model(self, caller: Caller, model: ServedModel) -> None:
        """Refuse a model that the caller may not use.

        Raises:
            ModelNotFound: Google has ended it.
            ModelForbidden: the caller's key may not use it.
        """
        if not self._is_served(model):
            raise ModelNotFound(name=model.name)
        if not caller.may_use_served(model.name):
            raise _forbidden(model.name)

    def check_name(self, caller: Caller, name: str) -> None:
        """Refuse a model's name that the caller's key may not use.

        Raises:
            ModelForbidden: it may not.
        """
        if not caller.may_use(name):
            raise _forbidden(name)

    def describe(self, caller: Caller, max_bytes: int) -> dict[str, int | None]:
        """Return the caller's limits by name; None for no limit.

        Args:
            caller: who asks.
            max_bytes: the largest body that the server takes.
        """
        described: dict[str, int | None] = {
            "texts_per_call": self._limits.max_texts,
            "body_bytes": self.max_body_bytes(max_bytes),
        }
        for quota in self._quotas(caller):
            window = "minute" if quota.window_seconds < DAY_SECONDS else "day"
            name = f"{quota.unit}_per_{window}"
            described[name] = min(quota.limit, described.get(name) or quota.limit)
        return described

    async def admit(
        self, caller: Caller, model: ServedModel, requests: Sequence[EmbedRequest], embedder: Embedder
    ) -> Sequence[EmbedRequest]:
        """Count one call, each of its texts as one request; tokens are counted only if they are limited.

        Returns:
            The requests, with their tokens if those were counted.

        Raises:
            InvalidRequest: it has too many texts.
            RateLimited: it does not fit into what is left.
        """
        most = self._limits.max_texts
        if most is not None and len(requests) > most:
            raise InvalidRequest(
                f"* BatchEmbedContentsRequest.requests: at most {most} requests can be in one batch\n", field="requests"
            )
        quotas, tokens = self._check_texts(caller, model, len(requests)), 0
        if not quotas:
            return requests
        if any(each.unit == "tokens" for each in quotas):
            requests = await embedder.tokenize(model, requests)
            tokens = sum(each.tokens.count for each in requests if each.tokens is not None)
        await self._meter.spend(
            caller.owner, caller.meant_name(model.name), quotas, requests=len(requests), tokens=tokens
        )
        return requests

    def check_pairs(self, caller: Caller, name: str, count: int, *, field: str) -> None:
        """Refuse a call that scores too many texts, before anything is tokenized.

        Args:
            caller: who asks.
            name: the cross-encoder's name.
            count: how many texts are scored; each is one request and has at least one token.
            field: what the caller calls the texts.

        Raises:
            InvalidRequest: it has too many texts.
            RateLimited: it does not fit into what is left.
        """
        most = self._limits.max_texts
        if most is not None and count > most:
            raise InvalidRequest(f"{{field}} has {count} texts; at most {most} can be in one call.", field=field)
        self._meter.check(caller.owner, name, self._quotas(caller), requests=count, tokens=count)

    async def spend_pairs(self, caller: Caller, name: str, count: int, tokens: int) -> None:
        """Count a call that scores texts.

        Raises:
            RateLimited: it does not fit into what is left.
        """
        await self._meter.spend(caller.owner, name, self._quotas(caller), requests=count, tokens=tokens)

    async def spend_call(self, caller: Caller) -> None:
        """Count a call that another server answers as one text, because its tokens are not known here.

        Raises:
            RateLimited: it does not fit into what is left.
        """
        # All models together: callers choose their names.
        await self._meter.spend(caller.owner, "", self._quotas(caller), requests=1, tokens=0)

    async def count_tokens(
        self, caller: Caller, model: ServedModel, texts: Sequence[str], embedder: Embedder
    ) -> list[int]:
        """Count the tokens of texts, which costs the caller as much as embedding them.

        Raises:
            RateLimited: it does not fit into what is left.
        """
        quotas = self._check_texts(caller, model, len(texts))
        counts = await embedder.count_tokens(model, texts)
        await self._meter.spend(
            caller.owner, caller.meant_name(model.name), quotas, requests=len(texts), tokens=sum(counts)
        )
        return counts

    async def list_tokens(
        self, caller: Caller, model: ServedModel, texts: Sequence[str], embedder: Embedder, *, special_tokens: bool
    ) -> list[list[TextToken]]:
        """Return the tokens of texts, which costs the caller as much as embedding them; see `Embedder.list_tokens`.

        Raises:
            RateLimited: it does not fit into what is left.
        """
        quotas = self._check_texts(caller, model, len(texts))
        tokens = await embedder.list_tokens(model, texts, special_tokens=special_tokens)
        token_count = sum(map(len, tokens))
        await self._meter.spend(
            caller.owner, caller.meant_name(model.name), quotas, requests=len(texts), tokens=token_count
        )
        return tokens

    async def decode(
        self, caller: Caller, model: ServedModel, token_ids: Sequence[Sequence[int]], embedder: Embedder
    ) -> list[str]:
        """Return the texts that have these ids, which costs the caller as much as embedding them.

        Raises:
            RateLimited: it does not fit into what is left.
        """
        quotas, token_count = self._quotas(caller), sum(map(len, token_ids))
        await self._meter.spend(
            caller.owner, caller.meant_name(model.name), quotas, requests=len(token_ids), tokens=token_count
        )
        return await embedder.decode(model, token_ids)

    def _check_texts(self, caller: Caller, model: ServedModel, count: int) -> list[Quota]:
        """Refuse texts that cannot fit before they are tokenized: each has at least one token."""
        quotas = self._quotas(caller)
        self._meter.check(caller.owner, caller.meant_name(model.name), quotas, requests=count, tokens=count)
        return quotas

    def _quotas(self, caller: Caller) -> list[Quota]:
        return [*self._limits.quotas, *(caller.key.limits.quotas() if caller.key else ())]

    def _is_served(self, model: ServedModel) -> bool:
        return self._limits.has_retired_names or model.retired_at is None


def _forbidden(name: str) -> ModelForbidden:
    return ModelForbidden(f"The API key may not use models/{name}.")


def limiter_of(request: Request) -> Limiter:
    """Return the limiter of the server that `request` came to."""
    return cast("Limiter", request.app.state.limiter)
