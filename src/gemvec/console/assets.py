"""The console's files, read once: bytes, media type, and a tag that changes with them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file of the console.

    Attributes:
        content: its bytes.
        media_type: their media type.
        tag: changes when the bytes change; for `ETag`.
    """

    content: bytes
    media_type: str
    tag: str


@functools.cache
def load_assets() -> Mapping[str, Asset]:
    """Return every file of the console by its name."""
    folder = files("gemvec.console") / "static"
    return {each.name: _asset(each.name, each.read_bytes()) for each in folder.iterdir()}


def _asset(name: str, content: bytes) -> Asset:
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    return Asset(content=content, media_type=media_type, tag=f'"{sha256(content).hexdigest()[:16]}"')
