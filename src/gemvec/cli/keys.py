"""`gemvec keys`: make, list, change, replace, revoke and delete the API keys of a server here, and see their use."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gemvec.cli.completion import complete_key, complete_model
from gemvec.cli.key_limits import describe_limits, limits_to_json, summarise_limits, with_limits
from gemvec.cli.options import AsJson, with_settings
from gemvec.errors import InvalidRequest
from gemvec.settings import Settings

if TYPE_CHECKING:
    from gemvec.server.keys import Key, KeyStore
    from gemvec.storage.database import Database
    from gemvec.storage.usage import DayUsage, Usage

app = typer.Typer(
    help="Make, list, change, replace, revoke and delete API keys of a server on this machine.",
    no_args_is_help=True,
)

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_COUNTS = ("calls", "texts", "tokens")
_NO_KEYS = "There are no keys. gemvec keys create NAME makes one."


class Period(StrEnum):
    """For how long use is summed up."""

    DAY = "day"


@app.command("create")
@with_settings("data_dir", "database_url")
@with_limits
def create(
    settings: Settings,
    limits: dict[str, int | None],
    *,
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    admin: Annotated[bool, typer.Option("--admin", help="Let it read /metrics, which tell of all callers.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A served model that it may use; can be repeated. [default: all]", autocompletion=complete_model
        ),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="A name that only this key knows for a served model; can be repeated."),
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
        gemvec keys create nightly --max-open-batches 5 --max-stored-bytes 20GiB
        gemvec keys create prometheus --admin
    """
    from gemvec.embedding.aliases import parse_aliases
    from gemvec.server.key_limits import KeyLimits

    with _opened(settings) as database:
        key, secret = _store(database).create(
            name,
            is_admin=admin,
            models=tuple(model or ()),
            limits=KeyLimits(**limits),
            aliases=parse_aliases(alias or ()),
            expires_at=_end_of("--expires-in", expires_in),
        )
    _show(key, secret, as_json=as_json)


@app.command("set")
@with_settings("data_dir", "database_url")
@with_limits
def set_limits(
    settings: Settings,
    limits: dict[str, int | None],
    *,
    name: Annotated[str, typer.Argument(help="Which key.", autocompletion=complete_key)],
    alias: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="As at create, instead of the aliases that it has; the word none takes them away.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change limits or aliases of a key; those that are not named stay.

    Running servers keep to them within a second. What was begun before goes on.

    Examples:
        gemvec keys set ci --requests-per-minute 1200
        gemvec keys set ci --max-stored-bytes 50GiB --tokens-per-day default
        gemvec keys set ci --alias text-embedding-3-small=all-minilm-l6-v2
    """
    from gemvec.embedding.aliases import parse_aliases

    if not limits and alias is None:
        raise InvalidRequest("Name what to change, such as --requests-per-minute 600; --help lists all limits.")
    with _opened(settings) as database:
        store = _store(database)
        if alias:
            store.set_aliases(name, {} if alias == ["none"] else parse_aliases(alias))
        key = store.set_limits(name, limits)
    _print_key(key, as_json=as_json)


@app.command("show")
@with_settings("data_dir", "database_url")
def show(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(help="Which key.", autocompletion=complete_key)],
    as_json: AsJson = False,
) -> None:
    """Show a key with each of its limits, by the flags that set them.

    Examples:
        gemvec keys show ci
    """
    with _opened(settings) as database:
        key = _store(database).get(name)
    _print_key(key, as_json=as_json)


@app.command("rotate")
@with_settings("data_dir", "database_url")
def rotate(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(help="Whose key.", autocompletion=complete_key)],
    expires_in: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the new key stops working: 12h, 30d, 52w. As before when left out."),
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long the old key works beside it. Not at all when left out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replace the key of a name and show the new one, once.

    Files, batches and limits stay. A name that was revoked works again.

    Examples:
        gemvec keys rotate laptop
        gemvec keys rotate ci --overlap 1d
    """
    with _opened(settings) as database:
        key, secret = _store(database).rotate(
            name,
            expires_at=_end_of("--expires-in", expires_in),
            overlap=None if overlap is None else _duration("--overlap", overlap),
        )
    _show(key, secret, as_json=as_json)


@app.command("list")
@with_settings("data_dir", "database_url")
def list_keys(settings: Settings, *, as_json: AsJson = False) -> None:
    """List every key, including revoked and expired ones.

    Examples:
        gemvec keys list
        gemvec keys list --json
    """
    with _opened(settings) as database:
        found = _store(database).list()
    if as_json:
        typer.echo(json.dumps([_to_json(key) for key in found]))
        return
    if not found:
        typer.echo(_NO_KEYS)
        return
    table = Table("name", Column("models", overflow="fold"), "limits", "expires", "state", box=None)
    for key in found:
        shown = _to_json(key)
        day = key.expires_at.date().isoformat() if key.expires_at else "-"
        state = f"{shown['state']}, admin" if key.is_admin else shown["state"]
        table.add_row(escape(key.name), _models_text(key), summarise_limits(key.limits.values()), day, state)
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
    with _opened(settings) as database:
        key = _store(database).revoke(name)
    typer.echo(json.dumps(_to_json(key)) if as_json else f"{key.name} is revoked.")


@app.command("delete")
@with_settings("data_dir", "database_url")
def delete(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="Which key.", autocompletion=complete_key)],
    as_json: AsJson = False,
) -> None:
    """Delete a key with its files and batches.

    A running server refuses it within a second, and removes the files and batches within a quarter of an hour. When no
    key is left, a server on this machine asks for none.

    Examples:
        gemvec keys delete laptop
    """
    with _opened(settings) as database:
        is_one_left = _store(database).delete(name)
    if as_json:
        typer.echo(json.dumps({"name": name.strip(), "state": "deleted", "asksForKeys": is_one_left}))
        return
    typer.echo(f"{name.strip()} is deleted. Its files and batches are removed by the server.")
    if not is_one_left:
        typer.echo(
            "No key is left: a server on a loopback address takes calls without a key now, unless it was started with "
            "--api-key.",
            err=True,
        )


@app.command("usage")
@with_settings("data_dir", "database_url")
def show_usage(
    settings: Settings,
    name: Annotated[
        str | None, typer.Argument(help="Which key. All when left out.", autocompletion=complete_key)
    ] = None,
    by: Annotated[Period | None, typer.Option(help="Show each day (UTC) with use, of the last 400.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what each key has used, and when it was last used.

    A running server writes the counts every few seconds. Keys of --api-key are shown by the id that logs show. The
    counts of a deleted key are removed with it; those of a replaced one go on.

    Examples:
        gemvec keys usage
        gemvec keys usage laptop --by day --json
    """
    from gemvec.storage.usage import read_days, read_usage

    with _opened(settings) as database:
        store = _store(database)
        names = {key.key_id: key.name for key in (store.list() if name is None else [store.get(name)])}
        with database.read() as connection:
            if by is Period.DAY:
                days = read_days(connection, None if name is None else next(iter(names)))
                _print_days(days, names, as_json=as_json)
                return
            used = read_usage(connection)
    owners = [*names, *(sorted(used.keys() - names) if name is None else ())]
    found = [_usage_to_json(names.get(owner), owner, used.get(owner)) for owner in owners]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo(_NO_KEYS)
        return
    table = Table("name", "last used", *(Column(each, justify="right") for each in _COUNTS), box=None)
    for each in found:
        day = (each["lastUsedAt"] or "-").partition(".")[0].removesuffix("Z").replace("T", " ")
        table.add_row(escape(each["name"] or each["id"]), day, *(f"{each[count]:,}" for count in _COUNTS))
    Console().print(table)


def _print_days(days: Sequence[DayUsage], names: Mapping[str, str], *, as_json: bool) -> None:
    """Print the use of each day; `names` has the name of every owner that has a stored key."""
    if as_json:
        typer.echo(json.dumps([_day_to_json(names.get(each.owner), each) for each in days]))
        return
    if not days:
        typer.echo("There was no use in the last days that are kept.")
        return
    table = Table("day", "name", *(Column(each, justify="right") for each in _COUNTS), box=None)
    for each in days:
        counts = (f"{getattr(each, count):,}" for count in _COUNTS)
        table.add_row(each.day.isoformat(), escape(names.get(each.owner, each.owner)), *counts)
    Console().print(table)


def _day_to_json(name: str | None, used: DayUsage) -> dict[str, Any]:
    counts = {count: getattr(used, count) for count in _COUNTS}
    return {"name": name, "id": used.owner, "day": used.day.isoformat(), **counts}


@contextmanager
def _opened(settings: Settings) -> Generator[Database]:
    from gemvec.storage.database import database_of, open_database

    database = open_database(database_of(settings))
    try:
        yield database
    finally:
        database.close()


def _store(database: Database) -> KeyStore:
    from gemvec.server.keys import KeyStore

    return KeyStore(database)


def _show(key: Key, secret: str, *, as_json: bool) -> None:
    """Print a new key."""
    if as_json:
        typer.echo(json.dumps({"key": secret, **_to_json(key)}))
        return
    typer.echo(secret)
    Console(stderr=True).print(
        f"This is the key [bold]{escape(key.name)}[/]. Only its hash is stored: save it now.",
        highlight=False,
        soft_wrap=True,
    )


def _print_key(key: Key, *, as_json: bool) -> None:
    """Print what is known of a key, one thing a line."""
    shown = _to_json(key)
    if as_json:
        typer.echo(json.dumps(shown))
        return
    table = Table(show_header=False, box=None)
    for label, text in (
        ("name", escape(key.name)),
        ("state", shown["state"]),
        ("role", shown["role"]),
        ("models", _models_text(key)),
        ("aliases", "\n".join(escape(f"{name}={model}") for name, model in key.aliases.items()) or "none"),
        ("expires", shown["expiresAt"] or "never"),
        *describe_limits(key.limits.values()),
    ):
        table.add_row(label, text)
    Console().print(table)


def _end_of(flag: str, life: str | None) -> datetime | None:
    """Return when a key with this lifetime expires if it is made now, None without one."""
    from gemvec.storage.timestamps import utc_now

    return None if life is None else utc_now() + _duration(flag, life)


def _duration(flag: str, text: str) -> timedelta:
    """Return a duration that ends before the year 9999.

    Raises:
        InvalidRequest: the text is not a duration.
    """
    from gemvec.storage.timestamps import utc_now

    found = re.fullmatch("([0-9]+)([mhdw])", text)
    try:
        if found and (number := int(found[1])):
            duration = timedelta(**{_UNITS[found[2]]: number})
            if utc_now() + duration:
                return duration
    except (OverflowError, ValueError):  # beyond the year 9999, or more digits than Python reads
        pass
    raise InvalidRequest(f"{flag} has value {text!r}: expected a number and m, h, d or w, such as 30d.")


def _to_json(key: Key) -> dict[str, Any]:
    from gemvec.storage.timestamps import utc_now
    from gemvec.wire.proto_json import format_timestamp

    return {
        "name": key.name,
        "id": key.key_id,
        "role": "admin" if key.is_admin else "user",
        "models": list(key.models),
        "aliases": dict(key.aliases),
        **limits_to_json(key.limits.values()),
        "createdAt": format_timestamp(key.created_at),
        "expiresAt": format_timestamp(key.expires_at) if key.expires_at else None,
        "state": key.state_at(utc_now()),
    }


def _usage_to_json(name: str | None, owner: str, used: Usage | None) -> dict[str, Any]:
    from gemvec.wire.proto_json import format_timestamp

    return {
        "name": name,
        "id": owner,
        "lastUsedAt": format_timestamp(used.last_used_at) if used else None,
        **{count: getattr(used, count) if used else 0 for count in _COUNTS},
    }


def _models_text(key: Key) -> str:
    return "\n".join(map(escape, key.models)) or "all"
