"""What requests pass through, as small ASGI classes: error answers, draining, key, body limit.

The route decides which of them it has (`route.Route`). What they learn about a request is on `request.state`, which
`observed.py` describes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gemvec.embedding.caller import on_behalf_of
from gemvec.errors import AdminKeyNeeded, InvalidRequest, ShuttingDown
from gemvec.memory import MemoryBudget, Reservation
from gemvec.server.auth import Authenticator
from gemvec.server.budget import FREE_BYTES, payer_of
from gemvec.server.errors import error_response
from gemvec.server.usage import UsageMeter


class ErrorAnswers:
    """Answers errors that are raised inside it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer its error, unless the caller has hung up or already has part of an answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:  # the server waits no longer
            error: Exception = ShuttingDown()
        except Exception as raised:  # noqa: BLE001 - the one place where every error ends
            error = raised
        else:
            return
        response = error_response(error, scope)
        if not started:  # otherwise the server closes the connection, because nothing else can be done
            await response(scope, receive, send)


@dataclass(slots=True)
class Gate:
    """Whether the server lets requests in, whether it soon will not, and how many are inside."""

    is_closing: bool = False
    is_closed: bool = False
    in_progress: int = 0


class Gated:
    """Refuses requests when the gate is closed, and counts those that were let in."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raises:
            ShuttingDown: the gate is closed.
        """
        if self._gate.is_closed:
            raise ShuttingDown
        self._gate.in_progress += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._gate.in_progress -= 1


class Authenticated:
    """Sets the caller of a request, as `request.state.caller` and `request.state.owner`, and counts the call."""

    def __init__(
        self, app: ASGIApp, authenticator: Authenticator, usage: UsageMeter, *, needs_admin: bool = False
    ) -> None:
        self._app, self._authenticator, self._usage, self._needs_admin = app, authenticator, usage, needs_admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its owner.

        Raises:
            KeyMissing: the server asks for a key.
            KeyInvalid: the key is not known.
            AdminKeyNeeded: the route is for admin keys.
        """
        caller = await self._authenticator.authenticate(Request(scope))
        scope["state"]["caller"], scope["state"]["owner"] = caller, caller.owner
        if self._needs_admin and not caller.is_admin:
            raise AdminKeyNeeded
        self._usage.note(caller.owner, calls=1)
        await self._app(scope, receive, send)


class Budgeted:
    """Gives a request a reservation of memory, see `budget.reservation_of`.

    A route that reads its body in pieces gets the memory for these at once.
    """

    def __init__(self, app: ASGIApp, budget: MemoryBudget, *, stream_bytes: int = 0) -> None:
        self._app, self._budget, self._stream_bytes = app, budget, stream_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raises:
            Overloaded: there is no memory for it now.
        """
        caller = payer_of(scope)
        with on_behalf_of(caller), self._budget.reservation(caller) as memory:
            if self._stream_bytes:
                await memory.grow(self._stream_bytes, "pieces")
            scope["state"]["memory"] = memory
            await self._app(scope, receive, send)


class BodyTurns:
    """Lets large bodies be received one piece at a time, in turn.

    Otherwise, each time the event loop looks for work it would find a piece of every large body that is arriving, and
    small calls would wait for all of them. A connection whose piece is not taken sends nothing more.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait until it is this body's turn: one in each round of the event loop."""
        async with self._turn:
            await asyncio.sleep(0)


class BodyLimit:
    """Refuses a body that is too large: at once by its announced length, or as soon as it gets too long.

    A large body takes memory from the budget for requests as it arrives, and turns with other large bodies.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, turns: BodyTurns) -> None:
        self._app, self._max_bytes, self._turns = app, max_bytes, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raises:
            InvalidRequest: the body is too large, or compressed.
            Overloaded: there is no memory for it now.
        """
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._max_bytes:
                raise self._too_large()
            if name == b"content-encoding" and value.lower() != b"identity":
                raise InvalidRequest("Compressed request bodies are not accepted; leave Content-Encoding out.")
        memory: Reservation = scope["state"]["memory"]
        received = counted = 0

        async def receive_within_limit() -> Message:
            nonlocal received, counted
            if received > FREE_BYTES:
                await self._turns.take()
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            if received > FREE_BYTES:
                # Twice: the pieces, and the whole body made of them.
                await memory.grow(2 * (received - counted), "body")
                counted = received
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> InvalidRequest:
        return InvalidRequest(f"Request payload size exceeds the limit: {self._max_bytes} bytes.")
