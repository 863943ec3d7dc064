"""What is known of pages that were fetched before: `PageNotes`, so that unchanged pages are not fetched again.

A note says by which ETag or time a server recognises the page, and what its bytes were. It says nothing about
collections; losing it costs one more fetch.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b
from pathlib import Path

import msgspec


class PageNote(msgspec.Struct, frozen=True, kw_only=True):
    """One page as it was last fetched.

    Attributes:
        etag, last_modified: by which the server recognises it.
        suffix: whose reader reads it.
        digest: of its bytes and of the encoding that the server named.
        size_bytes: how long it was.
    """

    etag: str = ""
    last_modified: str = ""
    suffix: str = ""
    digest: str = ""
    size_bytes: int = 0


_decode = msgspec.json.Decoder(PageNote).decode


class PageNotes:
    """Notes in a folder, one file a page.

    Args:
        folder: where they are; made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, location: str) -> PageNote | None:
        """Return the note about a page, or None."""
        try:
            return _decode(self._path(location).read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None

    def save(self, location: str, note: PageNote) -> None:
        """Keep a note, or none if it cannot be written."""
        path = self._path(location)
        beside = path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.write_bytes(msgspec.json.encode(note))
            beside.replace(path)

    def _path(self, location: str) -> Path:
        # A digest, because an address may hold a key, which belongs into no file.
        digest = blake2b(location.encode(errors="surrogatepass"), digest_size=16)
        return self._folder / f"{digest.hexdigest()}.json"
