"""`KeyRing`: the keys for a running server. Each is read at most once a second, and never on the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from gemvec.errors import StorageFailure
from gemvec.server.keys import Key, KeyStore, hash_of
from gemvec.storage.threads import in_key_thread
from gemvec.storage.timestamps import utc_now

# How long a running server keeps what it read: a key that is revoked meanwhile works for this much longer.
_TTL_SECONDS = 1.0
_MAX_ENTRIES = 1024


class _Entry(NamedTuple):
    until: float  # on the ring's clock
    key: Key | None


class _Answer(NamedTuple):
    asked_at: float  # on the ring's clock
    is_in_use: bool


class KeyRing:
    """The keys for one event loop."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._found: dict[str, _Entry] = {}  # by hash, the oldest first
        self._answer: _Answer | None = None

    async def is_in_use(self) -> bool:
        """Say whether there is a key; wait until that was read, or callers without a key could get in."""
        now, known = self._clock(), self._answer
        if known is not None and now < known.asked_at + _TTL_SECONDS:
            return known.is_in_use
        try:
            is_in_use = await in_key_thread(self._store.is_in_use)
        except StorageFailure:
            if known is None:
                raise
            is_in_use = known.is_in_use  # as it was when the database last answered
        if self._answer is None or self._answer.asked_at <= now:  # the latest question has the latest answer
            self._answer = _Answer(now, is_in_use)
        return self._answer.is_in_use

    async def find(self, secret: str) -> Key | None:
        """Return the usable key that `secret` is, or None."""
        sha256, now = hash_of(secret), self._clock()
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
