"""A real HTTP server in a thread that answers as its script says, and embeds when the script is empty."""

import asyncio
import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

DIMENSIONALITY = 8


def vector_of(text, dimensionality=DIMENSIONALITY):
    """What the scripted server answers for `text`: another direction for every text, and not of length 1."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dimensionality).astype(np.float32)


def unit_vector_of(text, dimensionality=DIMENSIONALITY):
    vector = vector_of(text, dimensionality)
    return vector / np.linalg.norm(vector)


def error_body(code, status, message, *details):
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def bad_request(field):
    """What a server answers that refuses what stands there."""
    violations = [{"field": field, "description": f"{field} is refused"}]
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    return error_body(400, "INVALID_ARGUMENT", f"{field} is refused", detail)


def quota_exceeded(retry_delay):
    """Google's 429 with a RetryInfo."""
    retry_info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay}
    help_link = {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more"}]}
    return Answer(429, error_body(429, "RESOURCE_EXHAUSTED", "You exceeded your quota.", help_link, retry_info))


@dataclass
class Answer:
    """One scripted answer.

    `cut` drops the connection in the middle of the body. With `method` it waits for such a request, and is not given to
    another one, which an earlier test may have left under way.
    """

    code: int = 200
    body: object = None
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    method: str | None = None


class ScriptedServer:
    def __init__(self):
        self.url = ""
        self.script = []
        self.default_dimensionality = DIMENSIONALITY
        self.delay_of = lambda texts: 0.0
        self.refused = set()  # texts that it takes no call with
        self.seen = []  # what came: method, path, headers, body, client_port
        self.under_way = self.most_under_way = 0
        self._has_request = threading.Event()

    @property
    def bodies(self):
        return [each["body"] for each in self.seen]

    @property
    def requests(self):
        return [request for body in self.bodies for request in body.get("requests", [])]

    async def wait_for_request(self):
        """Return, in whatever event loop, as soon as a request is being answered."""
        await asyncio.to_thread(self._has_request.wait, 10)

    async def answer(self, request):
        body = json.loads(await request.body() or b"{}")
        self.seen.append(
            {
                "method": request.method,
                "path": request.scope["raw_path"].decode(),
                "headers": dict(request.headers),
                "body": body,
                "client_port": request.client.port,
            }
        )
        self._has_request.set()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request, body)
        finally:
            self.under_way -= 1

    async def _answer(self, request, body):
        is_meant = self.script and self.script[0].method in {None, request.method}
        scripted = self.script.pop(0) if is_meant else self.respond(body)
        await asyncio.sleep(scripted.delay or self.delay_of([_text(each) for each in body.get("requests", [])]))
        content = scripted.body if isinstance(scripted.body, bytes) else json.dumps(scripted.body).encode()
        headers = {"content-type": "application/json"} | scripted.headers
        if scripted.cut:
            headers["content-length"] = str(len(content) + 10)
        return Response(content, scripted.code, headers)

    def respond(self, body):
        """Embed, or refuse the first text that is to be refused."""
        for index, each in enumerate(body.get("requests", [])):
            if _text(each) in self.refused:
                return Answer(400, bad_request(f"requests[{index}].content"))
        return Answer(body=self._embed(body))

    def _embed(self, body):
        requests = body.get("requests", [])
        vectors = [
            vector_of(_text(each), each.get("outputDimensionality") or self.default_dimensionality) for each in requests
        ]
        return {
            "embeddings": [{"values": vector.tolist()} for vector in vectors],
            "usageMetadata": {"promptTokenCount": 5 * len(requests)},
        }


def _text(request):
    return request["content"]["parts"][0]["text"]


def by_path(app):
    """Pass on requests by their path alone, also those that name a host before it, as a proxy gets them."""

    async def pass_on(scope, receive, send):
        if scope["type"] == "http" and scope["path"].startswith("http://"):
            for name, slash in (("path", "/"), ("raw_path", b"/")):
                scope[name] = slash + scope[name].split(slash, 3)[3]
        await app(scope, receive, send)

    return pass_on


@contextlib.contextmanager
def serving(app, **options):
    """Serve an ASGI app on a free port, in a thread; yields its address."""
    config = uvicorn.Config(by_path(app), port=0, log_level="critical", timeout_graceful_shutdown=1, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        scheme = "https" if options else "http"
        yield f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def _scripted_server():
    server = ScriptedServer()
    app = Starlette(routes=[Route("/{path:path}", server.answer, methods=["GET", "POST"])])
    with serving(app) as server.url:
        yield server


@pytest.fixture
def server(_scripted_server):
    url = _scripted_server.url
    _scripted_server.__init__()
    _scripted_server.url = url
    return _scripted_server
