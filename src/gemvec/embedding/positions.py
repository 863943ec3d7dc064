"""Where a request stands: in the call of whoever asked, and in the call that it was sent on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, TypeVar, cast

from gemvec.errors import ApiError, InvalidRequest

_Json = TypeVar("_Json")
_Indexed = TypeVar("_Indexed", bound=InvalidRequest | ApiError)


def at_positions(error: _Indexed, positions: Sequence[int]) -> _Indexed:
    """Return `error` about one of some requests as one about the call that they are part of.

    Args:
        error: names its request by its place among those that were sent on.
        positions: the place of each of them in the call.
    """
    if error.index is None:
        return error
    translated = copy(error)
    old, new = error.index, positions[error.index]
    translated.index = new
    translated.message = renumbered(error.message, old, new)
    if isinstance(translated, InvalidRequest):
        translated.field = renumbered(translated.field, old, new)
    else:
        # `client/status.py`'s words; the others are the server's.
        translated.message = translated.message.replace(f"(text {old} of", f"(text {new} of")
        translated.details = renumbered(translated.details, old, new)
    translated.args = (translated.message,)
    return translated


def renumbered(value: _Json, old: int, new: int) -> _Json:
    """Return a JSON value in which `requests[old]` is `requests[new]`, wherever it is written."""
    renumber: Callable[[Any], Any] = partial(renumbered, old=old, new=new)
    found: Any = value
    match found:
        case str():
            found = found.replace(f"requests[{old}]", f"requests[{new}]")
        case list():
            found = [renumber(each) for each in cast("list[Any]", found)]
        case dict():
            found = {name: renumber(each) for name, each in cast("dict[str, Any]", found).items()}
        case _:
            pass
    return found
