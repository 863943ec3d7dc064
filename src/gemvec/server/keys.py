"""API keys that the operator makes, with a name, limits, the models they may use and an expiry; kept as hashes.

A name stays when its key is replaced: files and batches belong to the name. A key is 256 random bits, which cannot be
guessed, so one round of SHA-256 is enough to hide it from readers of the database. It is shown once, when it is made.
`KeyStore` keeps keys in the database; a running server asks a `KeyRing` (`key_ring.py`).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gemvec.errors import InvalidRequest, NotFound
from gemvec.files.rows import cancel_uploads_of
from gemvec.server.key_limits import KEY_LIMITS, KeyLimits
from gemvec.settings import Settings
from gemvec.storage.database import Database, database_of, open_database
from gemvec.storage.schema import deleted_owners, keys
from gemvec.storage.timestamps import utc_now
from gemvec.storage.usage import forget_usage
from gemvec.wire.names import parse_model_name

PREFIX = "gv-"
_MAX_NAME = 128
_MAX_ALIASES = 100  # they are looked through at each call


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, without the key itself.

    Attributes:
        key_id: the owner of files and batches made with the key; stays when the key is replaced.
        name: what the operator calls it.
        is_admin: whether it may read what the server reports about all callers.
        models: served names it may use; empty means all.
        limits: what it may use.
        aliases: names that only this key knows, with the served names that they mean.
        created_at: when it was made.
        expires_at: when it stops working, None for never.
        revoked_at: when it was revoked, None if it was not.
    """

    key_id: str
    name: str
    is_admin: bool
    models: tuple[str, ...]
    limits: KeyLimits
    aliases: Mapping[str, str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_usable(self, now: datetime) -> bool:
        """Say whether the key works at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def state_at(self, now: datetime) -> str:
        """Return the state of the key at `now`: active, revoked or expired."""
        return "revoked" if self.revoked_at else "active" if self.is_usable(now) else "expired"


class KeyStore:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        *,
        is_admin: bool = False,
        models: tuple[str, ...] = (),
        limits: KeyLimits | None = None,
        aliases: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """Make a key.

        Returns:
            The stored key, and the key itself, which cannot be read again.

        Raises:
            InvalidRequest: the name is not valid or is taken, one of the models is not a valid name, or a limit or
                an alias cannot be one.
        """
        limits = limits or KeyLimits()
        limits.check()
        name = name.strip()
        if not (name.isprintable() and 0 < len(name) <= _MAX_NAME):
            raise InvalidRequest(f"A key needs a name of up to {_MAX_NAME} characters on one line.", field="name")
        models = tuple(parse_model_name(each) for each in models)
        secret = _new_secret()
        row: dict[str, Any] = {
            "key_id": secrets.token_hex(8),
            "name": name,
            "sha256": hash_of(secret),
            "is_admin": is_admin,
            "models": ",".join(models),
            "aliases": _format_aliases(aliases or {}, models),
            "created_at": utc_now(),
            "expires_at": expires_at,
            **limits.values(),
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(keys).values(row))
        except IntegrityError as error:
            raise InvalidRequest(f"There is a key named {name!r} already.", field="name") from error
        return self.get(name), secret

    def rotate(
        self, name: str, *, expires_at: datetime | None = None, overlap: timedelta | None = None
    ) -> tuple[Key, str]:
        """Replace the key of a name; files, batches, limits and the role stay. A revoked name works again.

        Args:
            name: whose key.
            expires_at: when the new key stops working; as before when None.
            overlap: how long the old key works beside the new one; not at all when None, or if it was revoked.

        Returns:
            The stored key, and the new key itself, which cannot be read again.

        Raises:
            NotFound: there is no such key.
            InvalidRequest: the new key would have expired already.
        """
        secret, now = _new_secret(), utc_now()
        with self._database.write(is_way_out=True) as connection:
            row = _find(connection, name)
            old, ends_at = _key(row), expires_at or row.expires_at
            if ends_at is not None and ends_at <= now:
                raise InvalidRequest(
                    f"The key {old.name!r} has expired: say when the new one does.", field="expires_at"
                )
            values: dict[str, Any] = {"sha256": hash_of(secret), "expires_at": ends_at, "revoked_at": None}
            values |= {"previous_sha256": None, "previous_until": None}
            if overlap is not None and old.is_usable(now):
                until = min(now + overlap, old.expires_at or now + overlap)
                values |= {"previous_sha256": row.sha256, "previous_until": until}
            connection.execute(update(keys).where(keys.c.key_id == old.key_id).values(values))
        return self.get(name), secret

    def set_limits(self, name: str, changes: Mapping[str, int | None]) -> Key:
        """Change limits of a key; running servers keep to them within a second. Return the key as it is then.

        Args:
            name: whose limits.
            changes: new values by the names of `KeyLimits`; None for the server's own limit. Others stay.

        Raises:
            NotFound: there is no such key.
            InvalidRequest: a value cannot be a limit.
        """
        KeyLimits(**changes).check()
        with self._database.write() as connection:
            key_id = _find(connection, name).key_id
            if changes:
                connection.execute(update(keys).where(keys.c.key_id == key_id).values(dict(changes)))
            return _key(_find(connection, name))

    def set_aliases(self, name: str, aliases: Mapping[str, str]) -> Key:
        """Give a key other aliases instead of those that it has; running servers know them within a second.

        Raises:
            NotFound: there is no such key.
            InvalidRequest: one of them cannot be an alias of this key.
        """
        with self._database.write() as connection:
            key = _key(_find(connection, name))
            values = {"aliases": _format_aliases(aliases, key.models)}
            connection.execute(update(keys).where(keys.c.key_id == key.key_id).values(values))
            return _key(_find(connection, name))

    def find_limits(self, owner: str) -> KeyLimits:
        """Return the limits of the key whose `key_id` is `owner`; without any of its own if there is no such key."""
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.key_id == owner)).first()
        return KeyLimits() if row is None else _key(row).limits

    def delete(self, name: str) -> bool:
        """Delete a name and its key; return whether there is another key.

        What it owns is removed later, by the server (`key_removal.py`); its uploads end at once. The name may be used
        for another key, which does not get the old one's files.

        Raises:
            NotFound: there is no such key.
        """
        with self._database.write(is_way_out=True) as connection:
            key_id = _find(connection, name).key_id
            connection.execute(delete(keys).where(keys.c.key_id == key_id))
            connection.execute(insert(deleted_owners).values(owner=key_id, deleted_at=utc_now()))
            cancel_uploads_of(connection, key_id)
            forget_usage(connection, key_id)
            return _has_any(connection)

    def get(self, name: str) -> Key:
        """Return the key called `name`.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return _key(_find(connection, name))

    def find_by_hash(self, sha256: str) -> Key | None:
        """Return the key with this hash, usable or not, or None; a replaced key ends when its overlap does.

        The time of a look-up by hash does not reveal how much of a guess is right.
        """
        replaced = and_(keys.c.previous_sha256 == sha256, keys.c.previous_until > utc_now())
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(or_(keys.c.sha256 == sha256, replaced))).first()
        if row is None:
            return None
        return _key(row) if row.sha256 == sha256 else replace(_key(row), expires_at=row.previous_until)

    def may_go_on(self, owner: str) -> bool:
        """Say whether an owner may finish what it has begun: not if its key was revoked, deleted or has expired."""
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.key_id == owner)).first()
            deleted = connection.execute(select(deleted_owners).where(deleted_owners.c.owner == owner)).first()
        return deleted is None and (row is None or _key(row).is_usable(utc_now()))

    def is_in_use(self) -> bool:
        """Say whether there is a key: then a key is needed, even if all of them are revoked."""
        with self._database.read() as connection:
            return _has_any(connection)

    def list(self) -> list[Key]:
        """Return every key, the oldest first, including revoked and expired ones."""
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.name))]

    def revoke(self, name: str) -> Key:
        """Stop a key from working, now and for good; revoking again changes nothing.

        Raises:
            NotFound: there is no such key.
        """
        with self._database.write(is_way_out=True) as connection:
            key_id = _find(connection, name).key_id
            unrevoked = (keys.c.key_id == key_id) & keys.c.revoked_at.is_(None)
            changes = {"revoked_at": utc_now(), "previous_sha256": None, "previous_until": None}
            connection.execute(update(keys).where(unrevoked).values(changes))
        return self.get(name)


def has_stored_keys(settings: Settings) -> bool:
    """Say whether there is a key in the database that `settings` name."""
    where = database_of(settings)
    if isinstance(where, Path) and not where.exists():
        return False
    database = open_database(where)
    try:
        return KeyStore(database).is_in_use()
    finally:
        database.close()


def hash_of(secret: str) -> str:
    """Return what the database keeps of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _format_aliases(aliases: Mapping[str, str], models: tuple[str, ...]) -> str | None:
    """Return aliases as they are stored.

    Raises:
        InvalidRequest: there are too many, one means another of them, or a model that the key may not use.
    """
    if len(aliases) > _MAX_ALIASES:
        raise InvalidRequest(f"A key has {len(aliases)} aliases; at most {_MAX_ALIASES} are allowed.", field="aliases")
    meant: dict[str, str] = {}
    for name, model in ((each.removeprefix("models/"), parse_model_name(aliases[each])) for each in aliases):
        if meant.setdefault(name, model) != model:
            raise InvalidRequest(f"The alias {name} means both {meant[name]} and {model}.", field="aliases")
    for name, model in meant.items():
        if model in meant:
            raise InvalidRequest(f"The alias {name} means {model}, which is an alias of this key too.", field="aliases")
        if models and model not in models:
            may = ", ".join(models)
            raise InvalidRequest(f"The alias {name} means {model}, but this key may use only {may}.", field="aliases")
    return json.dumps(meant) if meant else None


def _find(connection: Connection, name: str) -> Row[Any]:
    name = name.strip()
    row = connection.execute(select(keys).where(keys.c.name == name)).first()
    if row is None:
        raise NotFound(f"There is no key named {name!r}.")
    return row


def _has_any(connection: Connection) -> bool:
    return connection.execute(select(keys.c.key_id).limit(1)).first() is not None


def _key(row: Row[Any]) -> Key:
    return Key(
        key_id=row.key_id,
        name=row.name,
        is_admin=row.is_admin,
        models=tuple(row.models.split(",")) if row.models else (),
        limits=KeyLimits(**{name: getattr(row, name) for name in KEY_LIMITS}),
        aliases=json.loads(row.aliases) if row.aliases else {},
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
