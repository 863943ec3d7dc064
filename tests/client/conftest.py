"""The scripted server of the client's tests, started once and cleared for each test."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from scripted_server import ScriptedServer, serving


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
