"""Query parameters, read like messages: in either spelling, numbers as strings; unknown ones are ignored."""

from __future__ import annotations

from typing import Annotated, ClassVar

from gemvec.wire.message import Field, ProtoMessage


class Query(ProtoMessage, frozen=True, kw_only=True):
    """The parameters of a query."""

    ignores_unknown: ClassVar[bool] = True


class PageQuery(Query, frozen=True, kw_only=True):
    """The page of a list to return."""

    page_size: Annotated[int | None, Field("Most items on the page.")] = None
    page_token: Annotated[str | None, Field("`nextPageToken` of the previous page.")] = None


class UpdateMaskQuery(Query, frozen=True, kw_only=True):
    """What to change."""

    update_mask: Annotated[
        str | None,
        Field("`displayName`, `priority`, or both with a comma; by default the fields in the body."),
    ] = None


class DownloadQuery(Query, frozen=True, kw_only=True):
    """Options of a download."""

    alt: Annotated[str | None, Field("`media`; optional.")] = None


class Page(ProtoMessage, frozen=True, kw_only=True):
    """What all pages of lists have in common."""

    ignores_unknown: ClassVar[bool] = True

    next_page_token: Annotated[str | None, Field("`pageToken` of the next page; absent on the last.")] = None
