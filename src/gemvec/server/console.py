"""The console for browsers: its page, the files of the page, and what no other route tells it."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gemvec.console.assets import load_assets
from gemvec.embedding.models import ServedModel
from gemvec.embedding.task_type import TaskType
from gemvec.server.bodies import answer, read_query
from gemvec.server.context import services_of
from gemvec.server.key_aliases import embedder_of
from gemvec.server.key_changes import may_change_keys
from gemvec.server.keys import Key, KeyStore
from gemvec.server.limits import limiter_of
from gemvec.storage.database import Database
from gemvec.storage.threads import in_database_thread
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import DayUsage, Usage, read_days, read_usage
from gemvec.wire.console import KeyDay, KeyDays, KeyInUse, KeyLimitValues, KeyQuery, KeysInUse, ServedName, ServedNames
from gemvec.wire.message import to_wire

_SHOWN_DAYS = 90

# Scripts and styles come from files of this server only; nothing in a page can run, and no other page can frame it.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


async def asset(request: Request) -> Response:
    """Answer with one of the console's files."""
    return send_asset(request, request.path_params["file"])


def send_asset(request: Request, name: str) -> Response:
    """Return the answer with one of the console's files; the browser asks each time whether its copy is still right.

    Raises:
        HTTPException: 404, there is no such file.
    """
    found = load_assets().get(name)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    headers = PAGE_HEADERS | {"cache-control": "no-cache", "etag": found.tag}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


async def served_names(request: Request) -> Response:
    """Tell what is served under which name, as far as the caller may use it."""
    models = limiter_of(request).visible(request.state.caller, embedder_of(request).list_models())
    task_types = [each.name for each in TaskType if each is not TaskType.TASK_TYPE_UNSPECIFIED]
    return answer(request, to_wire(ServedNames(names=[_named(each) for each in models], task_types=task_types)))


async def keys_in_use(request: Request) -> Response:
    """Tell which keys there are and what each has used."""
    services = services_of(request)
    await in_database_thread(services.usage.flush)
    return answer(
        request,
        to_wire(
            KeysInUse(keys=await in_database_thread(_list_keys, services.database), may_change=may_change_keys(request))
        ),
    )


async def key_days(request: Request) -> Response:
    """Tell what a key has used on each of the last days."""
    services, name = services_of(request), read_query(request, KeyQuery).name
    await in_database_thread(services.usage.flush)
    return answer(request, to_wire(KeyDays(days=await in_database_thread(_list_days, services.database, name))))


def _list_days(database: Database, name: str) -> list[KeyDay]:
    key_id, today = KeyStore(database).get(name).key_id, utc_now().date()
    with database.read() as connection:
        used = {each.day: each for each in read_days(connection, key_id)}
    days = (today - timedelta(days=back) for back in reversed(range(_SHOWN_DAYS)))
    shown = (used.get(day) or DayUsage(owner=key_id, day=day) for day in days)
    return [KeyDay(day=each.day.isoformat(), calls=each.calls, texts=each.texts, tokens=each.tokens) for each in shown]


def _list_keys(database: Database) -> list[KeyInUse]:
    with database.read() as connection:
        used = read_usage(connection)
    return [_in_use(key, used.get(key.key_id)) for key in KeyStore(database).list()]


def _in_use(key: Key, used: Usage | None) -> KeyInUse:
    return KeyInUse(
        name=key.name,
        state=key.state_at(utc_now()),
        is_admin=key.is_admin,
        models=list(key.models) or None,
        limits=KeyLimitValues(**key.limits.values()),
        created_at=key.created_at,
        expires_at=key.expires_at,
        calls=used.calls if used else 0,
        texts=used.texts if used else 0,
        tokens=used.tokens if used else 0,
        last_used_at=used.last_used_at if used else None,
    )


def _named(model: ServedModel) -> ServedName:
    return ServedName(
        name=model.name,
        weights=model.weights,
        description=model.description,
        languages=model.languages or None,
        input_token_limit=model.input_token_limit,
        native_dimensionality=model.native_dim,
        default_dimensionality=model.default_dimensionality,
        takes_options=model.takes_options,
        retired_at=model.retired_at.isoformat() if model.retired_at else None,
    )
