"""API keys that the operator makes, with a name, limits, the models they may use and an expiry; kept as hashes.

A key is 256 random bits, which cannot be guessed, so one round of SHA-256 is enough to hide it from readers of the
database. It is shown once, when it is made. `KeyStore` keeps keys in the database, and a running server asks `KeyRing`.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from gemvec.errors import InvalidRequest, NotFound, StorageFailure
from gemvec.settings import Settings
from gemvec.storage.database import Database, database_of, open_database
from gemvec.storage.schema import keys
from gemvec.storage.threads import in_key_thread
from gemvec.storage.timestamps import utc_now
from gemvec.wire.names import parse_model_name

PREFIX = "gv-"
_MAX_NAME = 128

# How long a running server keeps what it read: a key that is revoked meanwhile works for this much longer.
_TTL_SECONDS = 1.0
_MAX_ENTRIES = 1024
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, without the key itself.

    Attributes:
        key_id: the owner of files and batches made with the key.
        name: what the operator calls it.
        models: served names it may use; empty means all.
        requests_per_minute: texts that it may embed in a minute, None for no limit.
        tokens_per_minute: tokens that it may embed in a minute, None for no limit.
        created_at: when it was made.
        expires_at: when it stops working, None for never.
        revoked_at: when it was revoked, None if it was not.
    """

    key_id: str
    name: str
    models: tuple[str, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_usable(self, now: datetime) -> bool:
        """Say whether the key works at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyStore:
    """The keys in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        name: str,
        *,
        models: tuple[str, ...] = (),
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """Make a key.

        Returns:
            The stored key, and the key itself, which cannot be read again.

        Raises:
            InvalidRequest: the name is not valid or is taken, or one of the models is not a valid name.
        """
        name = name.strip()
        if not (name.isprintable() and 0 < len(name) <= _MAX_NAME):
            raise InvalidRequest(f"A key needs a name of up to {_MAX_NAME} characters on one line.", field="name")
        secret = PREFIX + secrets.token_urlsafe(32)
        row: dict[str, Any] = {
            "key_id": secrets.token_hex(8),
            "name": name,
            "sha256": _hash(secret),
            "models": ",".join(parse_model_name(each) for each in models),
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "created_at": utc_now(),
            "expires_at": expires_at,
        }
        try:
            with self._database.write() as connection:
                connection.execute(insert(keys).values(row))
        except IntegrityError as error:
            raise InvalidRequest(f"There is a key named {name!r} already.", field="name") from error
        return self.get(name), secret

    def get(self, name: str) -> Key:
        """Return the key called `name`.

        Raises:
            NotFound: there is none.
        """
        name = name.strip()
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.name == name)).first()
        if row is None:
            raise NotFound(f"There is no key named {name!r}.")
        return _key(row)

    def find_by_hash(self, sha256: str) -> Key | None:
        """Return the key with this hash, usable or not, or None.

        The time of a look-up by hash does not reveal how much of a guess is right.
        """
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.sha256 == sha256)).first()
        return _key(row) if row else None

    def may_go_on(self, owner: str) -> bool:
        """Say whether an owner may finish what it has begun: not if its key was revoked or has expired since."""
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.key_id == owner)).first()
        return row is None or _key(row).is_usable(utc_now())

    def is_in_use(self) -> bool:
        """Say whether a key was ever made: from then on a key is needed, even if all keys are revoked."""
        with self._database.read() as connection:
            return connection.execute(select(keys.c.key_id).limit(1)).first() is not None

    def list(self) -> list[Key]:
        """Return every key, the oldest first, including revoked and expired ones."""
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.name))]

    def revoke(self, name: str) -> Key:
        """Stop a key from working, now and for good; revoking again changes nothing.

        Raises:
            NotFound: there is no such key.
        """
        name = name.strip()
        with self._database.write(is_way_out=True) as connection:
            unrevoked = (keys.c.name == name) & keys.c.revoked_at.is_(None)
            connection.execute(update(keys).where(unrevoked).values(revoked_at=utc_now()))
        return self.get(name)


class _Entry(NamedTuple):
    until: float  # on the ring's clock
    key: Key | None


class KeyRing:
    """The keys for a running server: each is read at most once a second, and never on the event loop."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._found: dict[str, _Entry] = {}  # by hash, the oldest first
        self._is_in_use = False
        self._in_use_until = _NEVER

    async def is_in_use(self) -> bool:
        """Say whether a key was ever made; wait until that was read, or callers without a key could get in."""
        now = self._clock()
        if not self._is_in_use and now >= self._in_use_until:
            try:
                is_in_use = await in_key_thread(self._store.is_in_use)
            except StorageFailure:
                if self._in_use_until == _NEVER:
                    raise
                is_in_use = False  # as it was when the database last answered
            self._is_in_use = self._is_in_use or is_in_use  # a later call may have got a newer answer first
            self._in_use_until = now + _TTL_SECONDS
        return self._is_in_use

    async def find(self, secret: str) -> Key | None:
        """Return the usable key that `secret` is, or None."""
        sha256, now = _hash(secret), self._clock()
        entry = self._found.get(sha256)
        if entry is None or now >= entry.until:
            try:
                key = await in_key_thread(self._store.find_by_hash, sha256)
            except StorageFailure:
                if entry is None or entry.key is None:
                    raise
                key = entry.key  # a known key goes on working while the database cannot be reached
            self._found.pop(sha256, None)
            entry = self._found[sha256] = _Entry(now + _TTL_SECONDS, key)
            if len(self._found) > _MAX_ENTRIES:
                del self._found[next(iter(self._found))]
        return entry.key if entry.key and entry.key.is_usable(utc_now()) else None


def has_stored_keys(settings: Settings) -> bool:
    """Say whether a key was ever made in the database that `settings` name."""
    where = database_of(settings)
    if isinstance(where, Path) and not where.exists():
        return False
    database = open_database(where)
    try:
        return KeyStore(database).is_in_use()
    finally:
        database.close()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _key(row: Row[Any]) -> Key:
    return Key(
        key_id=row.key_id,
        name=row.name,
        models=tuple(row.models.split(",")) if row.models else (),
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
