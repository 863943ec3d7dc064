"""`gemvec keys`: make, list and revoke the API keys of a server on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gemvec.cli.completion import complete_key, complete_model
from gemvec.cli.options import AsJson, with_settings
from gemvec.errors import InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.server.keys import Key, KeyStore

app = typer.Typer(help="Make, list and revoke the API keys of a server on this machine.", no_args_is_help=True)

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST = 2**63 - 1  # a database's largest integer


@app.command("create")
@with_settings("data_dir", "database_url")
def create(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A served model that it may use; can be repeated. [default: all]", autocompletion=complete_model
        ),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=_MOST, metavar="N", help="Most texts per minute that may be embedded with it."),
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=_MOST, metavar="N", help="Most tokens per minute that may be embedded with it."),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it expires, such as 12h, 30d or 52w from now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it once.

    Examples:
        gemvec keys create laptop
        gemvec keys create ci --requests-per-minute 600 --expires-in 30d
    """
    with _opened(settings) as store:
        key, secret = store.create(
            name,
            models=tuple(model or ()),
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            expires_at=_end_of(expires_in) if expires_in is not None else None,
        )
    if as_json:
        typer.echo(json.dumps({"key": secret, **_to_json(key)}))
        return
    typer.echo(secret)
    Console(stderr=True).print(
        f"This is the key [bold]{escape(key.name)}[/]. Only its hash is stored: save it now.",
        highlight=False,
        soft_wrap=True,
    )


@app.command("list")
@with_settings("data_dir", "database_url")
def list_keys(settings: Settings, *, as_json: AsJson = False) -> None:
    """List every key, including revoked and expired ones.

    Examples:
        gemvec keys list
        gemvec keys list --json
    """
    with _opened(settings) as store:
        found = store.list()
    if as_json:
        typer.echo(json.dumps([_to_json(key) for key in found]))
        return
    table = Table("name", Column("models", overflow="fold"), "texts/min", "tokens/min", "expires", "state", box=None)
    for key in found:
        shown = _to_json(key)
        cells = [shown[name] for name in ("name", "models", "requestsPerMinute", "tokensPerMinute")]
        day = key.expires_at.date().isoformat() if key.expires_at else "-"
        table.add_row(*(_cell(each) for each in cells), day, shown["state"])
    Console().print(table)


@app.command("revoke")
@with_settings("data_dir", "database_url")
def revoke(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="Which key.", autocompletion=complete_key)],
    as_json: AsJson = False,
) -> None:
    """Revoke a key.

    Running servers refuse it within a second.

    Examples:
        gemvec keys revoke laptop
    """
    with _opened(settings) as store:
        key = store.revoke(name)
    typer.echo(json.dumps(_to_json(key)) if as_json else f"{key.name} is revoked.")


@contextmanager
def _opened(settings: Settings) -> Generator[KeyStore]:
    from gemvec.server.keys import KeyStore
    from gemvec.storage.database import database_of, open_database

    database = open_database(database_of(settings))
    try:
        yield KeyStore(database)
    finally:
        database.close()


def _end_of(life: str) -> datetime:
    """Return when a key with this lifetime expires if it is made now."""
    from gemvec.storage.timestamps import utc_now

    found = re.fullmatch("([0-9]+)([mhdw])", life)
    try:
        if found and (number := int(found[1])):
            return utc_now() + timedelta(**{_UNITS[found[2]]: number})
    except (OverflowError, ValueError):  # beyond the year 9999, or more digits than Python reads
        pass
    raise InvalidRequest(f"--expires-in has value {life!r}: expected a number and m, h, d or w, such as 30d.")


def _to_json(key: Key) -> dict[str, Any]:
    from gemvec.storage.timestamps import utc_now
    from gemvec.wire.proto_json import format_timestamp

    state = "revoked" if key.revoked_at else "active" if key.is_usable(utc_now()) else "expired"
    return {
        "name": key.name,
        "id": key.key_id,
        "models": list(key.models),
        "requestsPerMinute": key.requests_per_minute,
        "tokensPerMinute": key.tokens_per_minute,
        "createdAt": format_timestamp(key.created_at),
        "expiresAt": format_timestamp(key.expires_at) if key.expires_at else None,
        "state": state,
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(escape(str(each)) for each in value) or "all"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # any JSON list
    return "-" if value is None else escape(str(value))
