"""Where a request stands: in the call of whoever asked, and in the call that it was sent on with."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TypeVar

from gemvec.errors import ApiError, InvalidRequest

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
    translated.index = positions[error.index]
    if isinstance(translated, InvalidRequest):
        old, new = f"requests[{error.index}]", f"requests[{translated.index}]"
        translated.field = translated.field and translated.field.replace(old, new)
    else:  # these words are `client/status.py`'s; the others are the server's
        old, new = f"(text {error.index} of", f"(text {translated.index} of"
    translated.message = translated.message.replace(old, new)
    translated.args = (translated.message,)
    return translated
