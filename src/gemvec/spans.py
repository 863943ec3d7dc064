"""How long the steps of a request take, for whoever traces it; costs nothing when nobody does.

`span` is called where a step happens. Whoever wants to know says with `traced_by` how spans are opened: the server does
when it is told where to send traces. What a span says of itself are names, counts and durations: never a text, a key or
an error's message. `add_seconds` and `timed` are the same for sums that a log line has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Attribute = str | int | float | bool

# Takes a name and attributes; the span lasts as long as the context manager. The innermost one that is open in a
# context is the parent of the next.
OpenSpan = Callable[[str, Mapping[str, Attribute]], AbstractContextManager[object]]

_seconds: ContextVar[dict[str, float] | None] = ContextVar("gemvec_seconds", default=None)
_open_span: ContextVar[OpenSpan | None] = ContextVar("gemvec_open_span", default=None)


@contextmanager
def traced_by(open_span: OpenSpan) -> Generator[None]:
    """Open the spans of what happens inside, and of tasks and threads begun there, with `open_span`."""
    token = _open_span.set(open_span)
    try:
        yield
    finally:
        _open_span.reset(token)


@contextmanager
def timed() -> Generator[dict[str, float]]:
    """Give the seconds that `add_seconds` is told of inside, and in tasks begun there, by name."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


def add_seconds(name: str, seconds: float) -> None:
    """Say how long something took, to whoever asked with `timed`."""
    known = _seconds.get()
    if known is not None:
        known[name] = known.get(name, 0.0) + seconds


def span(name: str, **attributes: Attribute) -> AbstractContextManager[object]:
    """Open a span around one step."""
    open_span = _open_span.get()
    return nullcontext() if open_span is None else open_span(name, attributes)
