"""Query parameters, which are read like messages: either spelling, numbers as strings; unknown ones are ignored."""

from __future__ import annotations

from typing import Annotated, ClassVar

from gemvec.wire.message import Field, ProtoMessage


class Query(ProtoMessage, frozen=True, kw_only=True):
    """The parameters of a query."""

    ignores_unknown: ClassVar[bool] = True


class PageQuery(Query, frozen=True, kw_only=True):
    """Which page of a list to answer with."""

    page_size: Annotated[int | None, Field("Most items in one answer.")] = None
    page_token: Annotated[str | None, Field("`nextPageToken` of the page before.")] = None


class UpdateMaskQuery(Query, frozen=True, kw_only=True):
    """What to change."""

    update_mask: Annotated[
        str | None,
        Field("`displayName`, `priority`, or both with a comma; what the body has when absent."),
    ] = None


class DownloadQuery(Query, frozen=True, kw_only=True):
    """How to download."""

    alt: Annotated[str | None, Field("`media`; may be left out.")] = None


class Page(ProtoMessage, frozen=True, kw_only=True):
    """What all pages of lists have in common."""

    ignores_unknown: ClassVar[bool] = True

    next_page_token: Annotated[str | None, Field("`pageToken` of the next page; absent on the last.")] = None
