"""The key of a cached embedding: a hash of everything that decides the vector."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from gemvec.embedding.embed import EmbedRequest
from gemvec.embedding.models import ServedModel

# Part of every key; change it when the meaning of a key changes.
_KEY_LAYOUT = b"gemvec embedding 1"
_KEY_BYTES = 20


def make_keys(source: bytes, served: ServedModel, requests: Sequence[EmbedRequest]) -> list[bytes]:
    """Return the key of each request, 20 bytes; equal only for requests that get equal vectors."""
    beginning = blake2b(digest_size=_KEY_BYTES)
    parts = (_KEY_LAYOUT, source, served.name.encode(), served.weights.encode(), b"%d" % served.input_token_limit)
    for part in parts:
        _feed(beginning, part)
    return [_make_key(beginning.copy(), served, request) for request in requests]


def _make_key(key: blake2b, served: ServedModel, request: EmbedRequest) -> bytes:
    dimensionality = request.output_dimensionality or served.default_dimensionality
    key.update(b"%d %d %d " % (request.task_type, dimensionality, request.auto_truncate))
    _feed(key, b"" if request.title is None else b"title " + request.title.encode(errors="surrogatepass"))
    key.update(request.text.encode(errors="surrogatepass"))
    return key.digest()


def _feed(key: blake2b, part: bytes) -> None:
    """Add a part with its length, so that no two lists of parts look the same."""
    key.update(b"%d " % len(part))
    key.update(part)
