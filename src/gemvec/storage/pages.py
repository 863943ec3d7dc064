"""Pages of a list, and page tokens: where the list goes on, opaque to the caller.

A token holds the sort key of the last item shown, so that items added or removed between two pages neither repeat nor
hide others.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

import msgspec

from gemvec.errors import InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Key = tuple[int, Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]]  # no database looks for a NUL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: newest first.
        next_page_token: token for the next page; None on the last one.
    """

    items: tuple[T, ...]
    next_page_token: str | None


def cut_page(found: Sequence[T], page_size: int, sort_key: Callable[[T], tuple[datetime, str]]) -> Page[T]:
    """Return a page of what a query found.

    Args:
        found: items in order, one more than `page_size` where there are more.
        page_size: most items on the page.
        sort_key: returns the moment and the id by which an item is sorted.
    """
    shown = tuple(found[:page_size])
    if len(found) <= page_size:
        return Page(shown, None)
    return Page(shown, format_page_token(*sort_key(shown[-1])))


def format_page_token(moment: datetime, item_id: str) -> str:
    """Return the token of the page after the item that was created at `moment` and is called `item_id`."""
    key = ((moment - _EPOCH) // _MICROSECOND, item_id)
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def parse_page_token(token: str) -> tuple[datetime, str]:
    """Return the moment and the id that a token was made of.

    Raises:
        InvalidRequest: it is not a valid token.
    """
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        microseconds, item_id = msgspec.json.decode(decoded, type=_Key)
        return _EPOCH + microseconds * _MICROSECOND, item_id
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise InvalidRequest("* page_token: the page token is not valid\n", field="page_token") from error


def page_size_within(asked: int | None, *, default: int, largest: int) -> int:
    """Return the number of items on a page: the default when none is asked for, never more than the largest.

    Raises:
        InvalidRequest: a negative number is asked for.
    """
    if asked is not None and asked < 0:
        raise InvalidRequest(f"* page_size: {asked} is negative\n", field="page_size")
    return min(asked or default, largest)
