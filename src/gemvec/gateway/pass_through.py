"""Passes calls on to another server as they are: `PassThrough`, for what a server of embeddings does not answer itself.

The method, path, query and body go as they came, and the answer comes back as it was made, block by block. Of the
headers, only those go that belong to the call: cookies, addresses and other credentials stay here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus, urlsplit

from gemvec.client.google import is_google
from gemvec.client.transport import BLOCK_BYTES, MAX_ERROR_BYTES, Request, Response, Transport
from gemvec.errors import BadAnswer, InvalidRequest, TransportFailure
from gemvec.gateway.blocks import MAX_WAITING, Blocks

# Models may think for minutes before the first byte of an answer.
_STEP_SECONDS = 600.0
# Memory of an answer on its way: what waits, what is being read and what is being sent.
ANSWER_BYTES = (MAX_WAITING + 2) * BLOCK_BYTES

# What of a call's headers belongs to the call.
_PASSED = {
    "accept": "Accept",
    "accept-language": "Accept-Language",
    "content-type": "Content-Type",
    "idempotency-key": "Idempotency-Key",
    "if-match": "If-Match",
    "if-none-match": "If-None-Match",
    "openai-beta": "OpenAI-Beta",
    "range": "Range",
    "user-agent": "User-Agent",
    "x-goog-api-client": "X-Goog-Api-Client",
    "x-goog-api-version": "X-Goog-Api-Version",
    "x-goog-fieldmask": "X-Goog-FieldMask",
    "x-goog-request-params": "X-Goog-Request-Params",
    "x-server-timeout": "X-Server-Timeout",
}
# Where callers put their keys, and whom they name to pay.
_KEYS = {
    "authorization": "Authorization",
    "api-key": "Api-Key",
    "openai-organization": "OpenAI-Organization",
    "openai-project": "OpenAI-Project",
    "x-api-key": "X-Api-Key",
    "x-goog-api-key": "X-Goog-Api-Key",
    "x-goog-user-project": "X-Goog-User-Project",
}
# What of an answer's headers is about the connection, the server or its browsers, and not about the answer.
_KEPT_BACK = {
    "alt-svc",
    "connection",
    "content-encoding",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "set-cookie",
    "strict-transport-security",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
}
# By RFC 9110, section 9.2.2.
_REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
_VERSION_AT_END = re.compile(r"/v[0-9]+[a-z0-9]*$")
# A path that asks for vectors, as any API spells it. Those of two models in one collection would be wrong in silence.
_ABOUT_EMBEDDINGS = re.compile(r":\w*embed|/embed(?:dings?|_\w+)?(?:[^\w-]|$)|/[^/:]*embed[^/:]*$", re.IGNORECASE)
# Google's names of versions, and its paths for OpenAI's clients.
_GOOGLES = re.compile(r"/v1(?:beta|alpha)?/.+")
_GOOGLES_FOR_OPENAI = re.compile(r"/v1(?:beta|alpha)?/openai/.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to pass on.

    Attributes:
        method: the HTTP method.
        path: as it came, percent-encoded.
        query: as it came, without the question mark.
        headers: by lower-case name.
        body: as it came.
    """

    method: str
    path: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        """Refuse a path that would lead to another server, behind an `@`, or out of the address with `..`.

        Behind a `#`, it would be another path there than here.

        Raises:
            InvalidRequest: it does.
        """
        has_dots = not {".", ".."}.isdisjoint(unquote(self.path).split("/"))
        if not self.path.startswith("/") or "#" in self.path or has_dots:
            raise InvalidRequest("The path of a call to pass on must begin with a slash and have no #, . or .. in it.")


class Answer:
    """The answer to a call: its head, and `blocks` of its body while they come in. Close it when done.

    Attributes:
        code: the HTTP status code.
        headers: those that are about the answer, by lower-case name.
    """

    def __init__(self, head: Response, blocks: Blocks, sending: asyncio.Task[Response]) -> None:
        self.code = head.code
        self.headers = {
            name: value
            for name, value in head.headers.items()
            if name not in _KEPT_BACK and not name.startswith("access-control-")
        }
        self._blocks, self._sending = blocks, sending
        if not head.is_success:  # it is whole, and as long as it is now
            self.headers.pop("content-length", None)

    async def blocks(self) -> AsyncGenerator[bytes]:
        """Yield the body.

        Raises:
            TransportFailure: the server broke off.
        """
        while (block := await self._blocks.take()) is not None:
            yield block
        yield self._sending.result().body

    async def close(self) -> None:
        """End the exchange if it is still under way."""
        await _end(self._sending, self._blocks)


class PassThrough:
    """Passes calls on to one server.

    Attributes:
        host: the server's, with its port.
        sends_callers_key: whether each call goes with the key that it came with.
    """

    def __init__(self, base_url: str, *, api_key: str | None = None, sends_callers_key: bool = False) -> None:
        """Open no connection yet.

        Args:
            base_url: the server's address; an API version at its end is left out, because paths have it.
            api_key: goes with every call, instead of the key that the call came with.
            sends_callers_key: whether each call goes with the key that it came with instead.

        Raises:
            BadSetting: the environment names a proxy that cannot be used.
        """
        self.host = urlsplit(base_url).netloc
        self.sends_callers_key = sends_callers_key
        self._api_key = None if sends_callers_key else api_key
        self._transport = Transport(_VERSION_AT_END.sub("", base_url), api_key=self._api_key)
        self._is_google = is_google(base_url)

    def takes(self, path: str, *, is_geminis: bool) -> bool:
        """Whether a call for which there is no route here is passed on.

        Args:
            path: its path, decoded.
            is_geminis: whether the path resembles that of no other API than Gemini's.
        """
        if _ABOUT_EMBEDDINGS.search(path):
            return False
        if not self._is_google:
            return True
        return bool((_GOOGLES if is_geminis else _GOOGLES_FOR_OPENAI).fullmatch(path))

    async def send(self, call: Call) -> Answer:
        """Send a call and return as soon as the head of its answer is there.

        The server may close a kept connection at the moment when a call is sent on it. A call that may be made twice is
        then sent again.

        Raises:
            TransportFailure: no answer came.
            BadAnswer: it is compressed, although that was not requested, or an error that is too long.
        """
        try:
            return await self._send(call)
        except TransportFailure as error:
            if not error.connected or call.method not in _REPEATABLE:
                raise
            return await self._send(call)

    async def _send(self, call: Call) -> Answer:
        loop = asyncio.get_running_loop()
        blocks, head = Blocks(), loop.create_future()

        def open_sink(response: Response) -> Callable[[bytes], None]:
            loop.call_soon_threadsafe(_settle, head, response)
            return blocks.write

        sending = asyncio.create_task(
            self._transport.send(self._request_of(call), timeout_seconds=_STEP_SECONDS, sink=open_sink)
        )
        sending.add_done_callback(lambda _: blocks.end())
        try:
            await asyncio.wait({sending, head}, return_when=asyncio.FIRST_COMPLETED)
            response = head.result() if head.done() else sending.result()
            _check_is_whole(response)
            return Answer(response, blocks, sending)
        except BaseException:
            await _end(sending, blocks)
            raise

    async def close(self) -> None:
        """Close the idle connections."""
        await self._transport.close()

    def _request_of(self, call: Call) -> Request:
        query = call.query if self.sends_callers_key else _without_key(call.query)
        return Request(
            method=call.method,
            path=call.path + (f"?{query}" if query else ""),
            body=call.body,
            headers=self._headers_of(call),
            has_key=False,  # it is among the headers, in the place of the caller's
            is_long=True,
            follows_redirects=False,
        )

    def _headers_of(self, call: Call) -> dict[str, str]:
        names = _PASSED | (_KEYS if self.sends_callers_key else {})
        # Not compressed, so that a refusal that repeats the key is noticed.
        headers = {"Accept-Encoding": "identity"}
        headers |= {names[name]: value for name, value in call.headers.items() if name in names}
        if self._api_key:
            is_bearer = call.headers.get("authorization", "").lower().startswith("bearer ")
            headers |= {"Authorization": f"Bearer {self._api_key}"} if is_bearer else {"X-Goog-Api-Key": self._api_key}
        return headers


def _settle(head: asyncio.Future[Response], response: Response) -> None:
    if not head.done():
        head.set_result(response)


def _check_is_whole(response: Response) -> None:
    if not response.is_success and len(response.body) >= MAX_ERROR_BYTES:
        raise BadAnswer(f"The other server answers with an error of {MAX_ERROR_BYTES} bytes or more.")


async def _end(sending: asyncio.Task[Response], blocks: Blocks) -> None:
    sending.cancel()
    await asyncio.wait({sending})
    blocks.leave()


def _without_key(query: str) -> str:
    return "&".join(each for each in query.split("&") if unquote_plus(each.partition("=")[0]) != "key")
