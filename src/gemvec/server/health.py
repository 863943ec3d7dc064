"""Whether the process is alive, whether it takes requests, and what it is: `/healthz`, `/readyz`, `/`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

import gemvec
from gemvec.errors import ShuttingDown
from gemvec.server.bodies import answer
from gemvec.server.console import send_asset
from gemvec.server.context import services_of
from gemvec.server.models import find_default, models_shown_to
from gemvec.storage.threads import in_key_thread
from gemvec.wire.health import Health, Welcome
from gemvec.wire.message import to_wire


async def healthz(request: Request) -> Response:
    """Say that the process is alive."""
    return answer(request, to_wire(Health(status="alive")))


async def readyz(request: Request) -> Response:
    """Say that the model is loaded and requests are taken; `storage` says what is wrong with files and batches.

    Embeddings need neither database nor bytes, so a server without them stays in service.

    Raises:
        ShuttingDown: requests are no longer taken, or soon will not be.
    """
    if request.app.state.gate.is_closing:
        raise ShuttingDown
    services = services_of(request)
    trouble = await in_key_thread(services.database.trouble) or await services.place_watch.trouble()
    return answer(request, to_wire(Health(status="ready", storage=trouble or None)))


async def root(request: Request) -> Response:
    """Say what this is: to a browser with the console, to a program in JSON.

    Where keys are needed, only a caller with one learns what is served.
    """
    if "text/html" in request.headers.get("accept", ""):
        page = send_asset(request, "index.html")
        page.headers["vary"] = "accept"
        return page
    models = await models_shown_to(request)
    default = find_default(request, models)
    welcome = Welcome(
        name="gemvec",
        version=gemvec.__version__,
        weights=default.weights if default else None,
        models=[each.name for each in models] or None,
        docs="/docs",
    )
    response = answer(request, to_wire(welcome))
    response.headers["vary"] = "accept"
    return response
