"""Replaces `pymilvus.model`: `dense` with gemvec's class, and everything else from Milvus."""

from __future__ import annotations

from typing import Any

from gemvec.pymilvus.model import dense
from gemvec.pymilvus.theirs import find_theirs, install_their_modules

__all__ = ["dense"]

install_their_modules()


def __getattr__(name: str) -> Any:
    return find_theirs("pymilvus.model", name)
