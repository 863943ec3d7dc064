"""An `Embedder` that asks a server: Google's, gemvec's, or any other that has models.batchEmbedContents."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import structs

from gemvec.client.api import ApiClient, read
from gemvec.client.background import run
from gemvec.client.embed import decode_answer, encode_request, join_requests
from gemvec.client.google import fit_to_google, is_google
from gemvec.client.micro_batches import MicroBatchLimits, check_concurrency, estimate_tokens, split
from gemvec.client.retries import LastAnswer
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.transport import Request, Response, Transport
from gemvec.embedding.embed import Embedding, EmbedRequest, Float32Array, Priority, Tokens
from gemvec.embedding.embedder import OnDone
from gemvec.embedding.gemini_names import GEMINI_NAMES, GeminiName, find_gemini_name
from gemvec.embedding.in_order import run_in_order
from gemvec.embedding.models import ServedModel
from gemvec.embedding.positions import at_positions
from gemvec.embedding.without_tokens import WithoutTokens
from gemvec.errors import ApiError, BadAnswer, EmptyText, InvalidRequest, ModelNotFound
from gemvec.figures import Figure
from gemvec.wire import message
from gemvec.wire.models import CountTokensResponse, ListModelsResponse, Model
from gemvec.wire.names import format_model_name, parse_model_name
from gemvec.wire.truncation import TRUNCATED_HEADER, parse_truncated

T = TypeVar("T")

# The most bytes of an answer: 16,384 values of 32 characters for each text, and the rest.
_MAX_VECTOR_BYTES = 2**19
_MAX_ANSWER_BYTES = 2**20

WEIGHTS_HEADER = "x-gemvec-model"

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class _Call:
    """The requests of one call as JSON, and what is known about each."""

    name: str
    encoded: Sequence[bytes]
    estimates: Sequence[int]
    dimensionalities: Sequence[int | None]
    last_answer: LastAnswer = field(default_factory=LastAnswer)


class RemoteEmbedder(WithoutTokens):
    """Embeds by asking a server.

    Safe to use from several event loops; `close` closes the running loop's connections.

    Attributes:
        weights: the weights that a gemvec server named in its last answer, such as `all-minilm-l6-v2@53aa5117`; None
            before the first answer and for other servers.
    """

    why_without_tokens = "The server gives one vector for each text."

    def __init__(
        self,
        transport: Transport,
        *,
        retries: RetryPolicy | None = None,
        limits: MicroBatchLimits | None = None,
        max_concurrency: int = 4,
    ) -> None:
        """Send nothing yet.

        Args:
            transport: sends requests to the server.
            retries: how long to keep trying.
            limits: how large one call may be.
            max_concurrency: most calls at the same time.

        Raises:
            BadSetting: `max_concurrency` is less than 1.
        """
        check_concurrency(max_concurrency)
        self.weights: str | None = None
        self._api = ApiClient(transport, retries or RetryPolicy())
        self._limits = limits or MicroBatchLimits()
        self._max_concurrency = max_concurrency
        self._host = urlsplit(transport.base_url).hostname or ""
        self._served: dict[str, ServedModel] = {}
        self._usual: dict[tuple[str, str | None], int] = {}  # (name, weights) -> values in a vector
        self._asking: set[asyncio.Future[Any]] = set()

    def __repr__(self) -> str:
        return f"RemoteEmbedder({self._api.transport!r})"

    @property
    def is_google(self) -> bool:
        """Whether the server is Google's."""
        return is_google(self._api.transport.base_url)

    async def embed(
        self,
        model: ServedModel,
        requests: Sequence[EmbedRequest],
        *,
        priority: Priority = Priority.INTERACTIVE,  # noqa: ARG002 # the wire has no word for it
        on_done: OnDone | None = None,
    ) -> list[Embedding]:
        """Embed any number of texts, in as many calls as necessary; see `ask`."""
        return await self.ask(model.name, requests, on_done=on_done)

    async def ask(
        self, model: str, requests: Sequence[EmbedRequest], *, on_done: OnDone | None = None
    ) -> list[Embedding]:
        """Embed like `embed`, but with a name that was not looked up at the server before.

        Args:
            model: the model's name, with or without `models/`.
            requests: what to embed.
            on_done: called with the embeddings of each micro-batch as it arrives, in any order.

        Returns:
            One embedding per request, in the same order. A server counts the tokens of a call, not of a text: the token
            counts are estimates that add up to the server's count, or zeros if it has none.

        Raises:
            InvalidRequest: a text cannot be sent; `index` says which. Nothing was sent.
            ApiError: the server refused; `index` says which text it refused, where it named one.
            TransportFailure: no answer came in time.
        """
        name = parse_model_name(model)
        known = find_gemini_name(name)
        prepared = [self._prepare(name, request, index) for index, request in enumerate(requests)]
        call = _Call(
            name,
            encoded=[encode_request(name, request, index) for index, request in enumerate(prepared)],
            estimates=[estimate_text_tokens(request.text, known) for request in prepared],
            dimensionalities=[request.output_dimensionality for request in prepared],
        )

        async def embed_run(positions: range) -> list[Embedding]:
            embeddings = await self._embed_run(call, positions)
            if on_done is not None:
                on_done(embeddings)
            return embeddings

        runs = split([len(each) + 1 for each in call.encoded], call.estimates, self._limits)
        return await run_in_order(runs, embed_run, max_concurrency=self._max_concurrency)

    async def tokenize(self, model: ServedModel, requests: Sequence[EmbedRequest]) -> list[EmbedRequest]:
        """Return the requests with their tokens as the server counts them, with one call for each text.

        Raises:
            ApiError: the server refused.
            TransportFailure: no answer came in time.
        """
        counts = await self.count_tokens(model, [each.text for each in requests])
        return [structs.replace(request, tokens=Tokens(count)) for request, count in zip(requests, counts, strict=True)]

    async def count_tokens(self, model: ServedModel, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text as the server counts them, with one call for each text.

        Raises:
            ApiError: the server refused.
            TransportFailure: no answer came in time.
        """
        path = f"/{format_model_name(model.name)}:countTokens"

        async def count(positions: range) -> list[int]:
            body = msgspec.json.encode({"contents": [{"parts": [{"text": texts[positions.start]}]}]})
            answer = await self._call(Request(method="POST", path=path, body=body))
            return [read(answer, _token_count_of)]

        runs = [range(index, index + 1) for index in range(len(texts))]
        return await run_in_order(runs, count, max_concurrency=self._max_concurrency)

    def list_models(self) -> Sequence[ServedModel]:
        """Return every name that is served; ask the server, unless it is Google's, whose names are known."""
        if self.is_google:
            return [_served_by_google(each) for each in GEMINI_NAMES if each.retired_at is None]
        return run(self._until_closed(self._fetch_models()))

    def get_model(self, name: str) -> ServedModel:
        """Return what serves `name`; ask the server once, and again after an answer from other weights.

        Google's names are known.

        Raises:
            ModelNotFound: nothing does.
        """
        name = parse_model_name(name)
        if self.is_google:
            known = find_gemini_name(name)
            if known is None:
                raise ModelNotFound(f"Google serves no embedding model {name!r}.", name=name)
            return self._served.setdefault(name, _served_by_google(known))
        if name not in self._served:
            self._served[name] = run(self._until_closed(self._fetch_model(name)))
        return self._served[name]

    def knows(self, name: str) -> bool:
        """Whether `get_model` needs no server: it was asked before, and the weights have not changed since."""
        return name in self._served

    def figures(self) -> Iterable[Figure]:
        """Return nothing: calls are counted by the callers of this class."""
        return ()

    async def close(self) -> None:
        """Close the connections and end look-ups of models in other threads; another call opens new connections."""
        for task in list(self._asking):
            task.get_loop().call_soon_threadsafe(task.cancel)
        await self._api.close()

    def _prepare(self, name: str, request: EmbedRequest, index: int) -> EmbedRequest:
        """Return the request as this server needs it."""
        if not request.text:
            raise EmptyText("{field} is empty.", field="content", index=index)
        return fit_to_google(name, request) if self.is_google else request

    async def _embed_run(self, call: _Call, positions: range) -> list[Embedding]:
        own = slice(positions.start, positions.stop)
        request = Request(
            method="POST",
            path=f"/{format_model_name(call.name)}:batchEmbedContents",
            body=join_requests(call.encoded[own]),
            max_answer_bytes=_MAX_ANSWER_BYTES + len(positions) * _MAX_VECTOR_BYTES,
        )
        try:
            answer = await self._call(request, last_answer=call.last_answer)
        except ApiError as error:
            raise at_positions(error, positions) from error
        self._compare_weights(call.name, answer)
        dimensionalities = call.dimensionalities[own]
        vectors, token_count = decode_answer(answer.body, dimensionalities)
        self._compare_dimensionality(call.name, answer, vectors, dimensionalities)
        counts = share_tokens(token_count, call.estimates[own])
        truncated = parse_truncated(answer.headers.get(TRUNCATED_HEADER, ""))
        return [
            Embedding(vector, count, truncated.get(index))
            for index, (vector, count) in enumerate(zip(vectors, counts, strict=True))
        ]

    def _compare_weights(self, name: str, answer: Response) -> None:
        """Forget what is known about a name if other weights than before have answered."""
        known, answered = self._served.get(name), answer.headers.get(WEIGHTS_HEADER)
        if known is not None and answered is not None and known.weights != answered:
            self._served.pop(name, None)

    def _compare_dimensionality(
        self, name: str, answer: Response, vectors: Sequence[Float32Array], wanted: Sequence[int | None]
    ) -> None:
        """Refuse vectors of another length than before from the same weights, if the caller gave no dimensionality."""
        usual = next((vector.size for vector, each in zip(vectors, wanted, strict=True) if each is None), None)
        if usual is None:
            return
        before = self._usual.setdefault((name, answer.headers.get(WEIGHTS_HEADER)), usual)
        if before != usual:
            raise BadAnswer(f"{self._host} returned vectors of {before} values for {name} before, and now of {usual}.")

    async def _call(self, request: Request, *, last_answer: LastAnswer | None = None) -> Response:
        response = await self._api.call(request, last_answer=last_answer)
        self.weights = response.headers.get(WEIGHTS_HEADER, self.weights)
        return response

    async def _until_closed(self, asking: Coroutine[Any, Any, T]) -> T:
        """Run what another thread waits for, so that `close` can cancel it."""
        task = asyncio.ensure_future(asking)
        self._asking.add(task)
        try:
            return await task
        finally:
            self._asking.discard(task)

    async def _fetch_models(self) -> list[ServedModel]:
        names: list[str] = []
        async for page in self._api.pages("/models", _embedding_models_of, page_size=1000):
            names += page
        self._served = {name: await self._fetch_model(name) for name in names}
        return list(self._served.values())

    async def _fetch_model(self, name: str) -> ServedModel:
        try:
            answer = await self._call(Request(method="GET", path=f"/{format_model_name(name)}"))
        except ApiError as error:
            if error.code != _NOT_FOUND:
                raise
            raise ModelNotFound(f"{self._host} serves no model {name!r}.", name=name) from error
        display_name, description, input_token_limit = read(answer, _description_of)
        model_id, _, revision = answer.headers.get(WEIGHTS_HEADER, f"{name}@{self._host}").partition("@")
        known = find_gemini_name(name)
        dimensionality = known.default_dimensionality if known else await self._probe(name)
        return ServedModel(
            name=name,
            model_id=model_id,
            revision=revision,
            display_name=display_name or name,
            description=description,
            input_token_limit=input_token_limit,
            native_dim=dimensionality,
            default_dimensionality=dimensionality,
            takes_options=known.takes_options if known else True,
            retired_at=known.retired_at if known else None,
        )

    async def _probe(self, name: str) -> int:
        [embedding] = await self.ask(name, [EmbedRequest(text="How many values?")])
        return embedding.vector.size


def share_tokens(token_count: int, estimates: Sequence[int]) -> list[int]:
    """Divide the tokens that a server counted for a call among its texts, in proportion to the estimates.

    >>> share_tokens(10, [1, 1, 2])
    [2, 3, 5]
    """
    total = sum(estimates)
    bounds = [0]
    for estimate in estimates:
        bounds.append(bounds[-1] + estimate)
    return [token_count * end // total - token_count * start // total for start, end in pairwise(bounds)]


def estimate_text_tokens(text: str, known: GeminiName | None) -> int:
    """Estimate how many tokens of a text a model counts, rather too high than too low, but at most its limit."""
    tokens = estimate_tokens(len(text) if text.isascii() else len(text.encode(errors="replace")))
    return min(tokens, known.input_token_limit) if known else tokens


def _embedding_models_of(page: Any) -> list[str]:
    models = message.read(ListModelsResponse, page, ignore_unknown=True).models or []
    return [parse_model_name(each.name or "") for each in models if _embeds(each)]


def _embeds(model: Model) -> bool:
    return "batchEmbedContents" in (model.supported_generation_methods or ["batchEmbedContents"])


def _description_of(answer: Any) -> tuple[str, str, int]:
    model = message.read(Model, answer, ignore_unknown=True)
    return model.display_name or "", model.description or "", model.input_token_limit or 0


def _token_count_of(answer: Any) -> int:
    count = message.read(CountTokensResponse, answer, ignore_unknown=True).total_tokens
    if count is None or count < 0:
        raise InvalidRequest(f"totalTokens is {count}")
    return count


def _served_by_google(known: GeminiName) -> ServedModel:
    return ServedModel(
        name=known.name,
        model_id=known.name,
        revision="google",
        display_name=known.display_name,
        description=f"{known.display_name}, served by Google.",
        input_token_limit=known.input_token_limit,
        native_dim=known.default_dimensionality,
        default_dimensionality=known.default_dimensionality,
        takes_options=known.takes_options,
        retired_at=known.retired_at,
    )
