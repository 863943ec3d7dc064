"""One server's API: `ApiClient` sends requests, retries them, and checks the answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

from gemvec.client.background import run
from gemvec.client.errors import parse_error
from gemvec.client.retries import LastAnswer, Outcome, is_transient, send_with_retries
from gemvec.client.retry_policy import RetryPolicy
from gemvec.client.transport import MAX_ANSWER_BYTES, Request, Response, Transport
from gemvec.errors import BadAnswer, InvalidRequest
from gemvec.wire import message
from gemvec.wire.paging import Page
from gemvec.wire.proto_json import parse_json

T = TypeVar("T")


class ApiClient:
    """Talks to one server for `RemoteEmbedder`, `BatchClient` and `FileClient`.

    Attributes:
        transport: sends requests to the server.
        retries: how long to keep trying.
    """

    def __init__(self, transport: Transport, retries: RetryPolicy) -> None:
        self.transport = transport
        self.retries = retries

    async def call(
        self,
        request: Request,
        *,
        last_answer: LastAnswer | None = None,
        may_repeat: Callable[[Outcome], bool] = is_transient,
    ) -> Response:
        """Send `request`, retry if that may help, and return the answer.

        Args:
            request: what to send.
            last_answer: shared by calls that run at the same time.
            may_repeat: whether to retry after this outcome.

        Raises:
            ApiError: the server refused.
            TransportFailure: no answer came in time.
        """

        async def send(seconds: float) -> Response:
            return await self.transport.send(request, timeout_seconds=seconds)

        return await self.repeat(send, last_answer=last_answer, may_repeat=may_repeat)

    async def repeat(
        self,
        send: Callable[[float], Awaitable[Response]],
        *,
        last_answer: LastAnswer | None = None,
        may_repeat: Callable[[Outcome], bool] = is_transient,
    ) -> Response:
        """Call `send` with the seconds that it may take, and retry; see `call`."""
        response = await send_with_retries(send, self.retries, last_answer=last_answer, may_repeat=may_repeat)
        if not response.is_success:
            raise parse_error(response)
        return response

    async def fetch(self, path: str, parse: Callable[[Any], T], *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> T:
        """Fetch `path` and return the parsed answer.

        Raises:
            ApiError: the server refused.
            BadAnswer: the answer cannot be parsed.
            TransportFailure: no answer came in time.
        """
        request = Request(method="GET", path=path, max_answer_bytes=max_answer_bytes)
        return read(await self.call(request), parse)

    async def pages(
        self, path: str, parse: Callable[[Any], T], *, page_size: int, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> AsyncGenerator[T]:
        """Yield the pages of the list at `path`, fetching each one when it is needed.

        Raises:
            BadAnswer: a page cannot be parsed, or leads back to an earlier one.
        """
        seen = {""}
        token = ""
        while True:
            query = urlencode({"pageSize": page_size} | ({"pageToken": token} if token else {}))
            page, token = await self.fetch(
                f"{path}?{query}",
                lambda page: (parse(page), message.read(Page, page).next_page_token or ""),
                max_answer_bytes=max_answer_bytes,
            )
            yield page
            if not token:
                return
            if token in seen:
                raise BadAnswer(f"The list at {path} leads back to an earlier page.")
            seen.add(token)

    async def close(self) -> None:
        """Close the connections; another call opens new ones."""
        await self.transport.close()


def read(response: Response, parse: Callable[[Any], T]) -> T:
    """Return the parsed answer.

    Raises:
        BadAnswer: it cannot be parsed.
    """
    try:
        return parse(parse_json(response.body))
    except InvalidRequest as error:
        raise BadAnswer(f"The answer is not what was asked for: {error.message.strip()}") from error


def iterate(pages: AsyncIterator[T]) -> Iterator[T]:
    """Yield what `pages` yields, fetching each page on the background loop when it is needed."""
    while (page := run(_next(pages))) is not None:
        yield page


async def _next(pages: AsyncIterator[T]) -> T | None:
    return await anext(pages, None)
