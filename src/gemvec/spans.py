"""How long the steps of a request take, for tracing; costs nothing when tracing is off.

`span` is called where a step happens. `traced_by` sets how spans are opened; the server calls it when it has an address
for traces. A span contains names, counts and durations, and never a text, a key or an error's message. `add_seconds`
and `timed` do the same for sums in a log line.
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
    """Open spans inside the block, and in tasks and threads that start there, with `open_span`."""
    token = _open_span.set(open_span)
    try:
        yield
    finally:
        _open_span.reset(token)


@contextmanager
def timed() -> Generator[dict[str, float]]:
    """Yield the seconds that `add_seconds` gets inside the block, and in tasks that start there, by name."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


def add_seconds(name: str, seconds: float) -> None:
    """Add to the time of a step, for `timed`."""
    known = _seconds.get()
    if known is not None:
        known[name] = known.get(name, 0.0) + seconds


def span(name: str, **attributes: Attribute) -> AbstractContextManager[object]:
    """Open a span around one step."""
    open_span = _open_span.get()
    return nullcontext() if open_span is None else open_span(name, attributes)
