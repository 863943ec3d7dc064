"""Positions of a request: in the caller's call, and in the call that it was sent on with."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, TypeVar, cast

from gemvec.errors import ApiError, InvalidRequest

_Indexed = TypeVar("_Indexed", bound=InvalidRequest | ApiError)


def at_positions(error: _Indexed, positions: Sequence[int]) -> _Indexed:
    """Return `error` about a request with its position in the caller's call.

    Args:
        error: has the position among the requests that were sent on; a position beyond them is ignored.
        positions: the position of each of them in the caller's call.
    """
    translated = copy(error)
    if error.index is not None:
        translated.index = positions[error.index] if error.index < len(positions) else None
    if isinstance(translated, ApiError) and translated.index is not None:
        old, new = f"requests[{error.index}]", f"requests[{translated.index}]"
        translated.details = [_with_paths_moved(each, old, new) for each in translated.details]
    return translated


def _with_paths_moved(detail: Any, old: str, new: str) -> Any:
    """Return a google.rpc.BadRequest with `new` instead of `old` at the start of its field paths."""
    if not isinstance(detail, dict):
        return detail
    given = cast("dict[str, Any]", detail)
    violations: Any = given.get("fieldViolations")
    if not isinstance(violations, list):
        return given
    return given | {"fieldViolations": [_with_path_moved(each, old, new) for each in cast("list[Any]", violations)]}


def _with_path_moved(violation: Any, old: str, new: str) -> Any:
    if not isinstance(violation, dict):
        return violation
    given = cast("dict[str, Any]", violation)
    path: Any = given.get("field")
    is_ours = isinstance(path, str) and path.startswith(old)
    return given | {"field": new + path.removeprefix(old)} if is_ours else given
