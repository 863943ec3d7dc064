"""Who a call is for: a name that follows the call through tasks and threads, so that the model takes turns.

The name is only compared with others. It is an owner of API keys or an address; nothing shows it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_caller: ContextVar[str] = ContextVar("gemvec_caller", default="")


@contextmanager
def on_behalf_of(name: str) -> Generator[None]:
    """Let calls inside the block, and in tasks and threads that start there, be for `name`."""
    token = _caller.set(name)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> str:
    """Return who the present call is for; "" where nobody has said so."""
    return _caller.get()
