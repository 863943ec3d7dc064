"""A web page as trees, one for each piece of it: `parse_page` closes elements where a browser would.

An element takes about fifty times the memory of its tag, so a page of many elements is never a tree as a whole. A piece
has copies of the elements that are open where it starts, so that it reads as it would in the page.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

from bs4 import BeautifulSoup, CData, MarkupResemblesLocatorWarning, Tag, XMLParsedAsHTMLWarning
from bs4.element import NavigableString, PageElement, PreformattedString

from gemvec.documents.content import refuse_large_page
from gemvec.documents.html_tables import is_layout

# A start tag that ends an open element without an end tag (`<li>One<li>Two`): the tag, what it ends, and what an open
# element outside of is left alone.
_CELLS, _GROUPS, _TABLE = frozenset({"td", "th"}), frozenset({"thead", "tbody", "tfoot"}), frozenset({"table"})
_TERMS, _OPTIONS = frozenset({"dt", "dd"}), frozenset({"option", "optgroup"})
_IMPLIED = {
    "li": (frozenset({"li"}), frozenset({"ul", "ol", "menu"})),
    **dict.fromkeys(_TERMS, (_TERMS, frozenset({"dl"}))),
    **dict.fromkeys(_CELLS, (_CELLS, _TABLE | {"tr"})),
    "tr": (frozenset({"tr"}), _TABLE),
    **dict.fromkeys(_GROUPS, (_GROUPS, _TABLE)),
    "option": (frozenset({"option"}), frozenset({"select", "datalist"})),
    "optgroup": (_OPTIONS, frozenset({"select"})),
}
_PARAGRAPH = (frozenset({"p"}), _TABLE | _CELLS | {"caption", "button", "object", "template"})
# Elements that cannot be in a paragraph.
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "center", "details", "dialog", "dir", "div", "dl", "fieldset"}
    | {"figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "main"}
    | {"menu", "nav", "ol", "p", "pre", "search", "section", "summary", "table", "ul"}
)
# Numbers of a list's items are counted from its start, which is quadratic in a long one.
_MAX_ITEMS = 200


# A piece ends where it may once it has this many elements; a page with fewer is one piece.
_PIECE_ELEMENTS = 10_000
# More elements that cannot be in different pieces, such as those of one paragraph, take too much memory.
_MAX_ELEMENTS = 50_000
# Elements that only hold others: a piece may end inside of them, if nothing else is open.
_HOLDERS = frozenset(
    {BeautifulSoup.ROOT_TAG_NAME, "html", "body", "main", "article", "section", "div", "aside", "center", "details"}
    | {"fieldset", "form", "font", "span", "dl"}
)
_LISTS, _GROUPS_OF_ROWS = frozenset({"ul", "ol"}), frozenset({"tbody", "table"})
_NO_HOLDER_ROLES = frozenset({"banner", "contentinfo"})  # whether they are read depends on all that is in them
# Elements with an empty line before and after them, between which a piece may end.
_APART = frozenset(
    {"address", "article", "aside", "center", "details", "div", "dl", "fieldset", "form", "h1", "h2", "h3", "h4", "h5"}
    | {"h6", "hr", "main", "ol", "p", "pre", "section", "table", "ul"}
)
_TOO_LARGE = "it is too large to keep its headings and lists: one of its parts has too many elements"
# Classes of the numbers of lines beside code.
LINE_NUMBER_CLASSES = frozenset(
    {"linenos", "lineno", "linenodiv", "linenumber", "gutter", "rouge-gutter", "hljs-ln-numbers", "blob-num"}
)
# Attributes that say nothing about whether and how text is read.
_OUTWARD = frozenset({"class", "id"})
# What is between the text of two pieces where a table goes on, and how the text of the second one starts.
BELOW_ROW, NO_HEADER = "\n|", "|  |\n| --- |\n"


class UnusualPage(Exception):
    """A page has no tree that can be read; the message says why it has no structure."""


def parse_page(markup: str, max_depth: int, take: Callable[[BeautifulSoup, str], None]) -> None:
    """Parse a page, or a piece of one.

    Args:
        markup: the page.
        max_depth: how many levels deep elements may lie in each other.
        take: called with the tree of each piece, and what is between its text and that of the next one; `BELOW_ROW`
            where a table goes on; then the next piece has its rows below `NO_HEADER`.

    Raises:
        UnusualPage: elements lie too deeply in each other, or too many are in one that cannot be divided.
    """
    with warnings.catch_warnings():
        for each in (MarkupResemblesLocatorWarning, XMLParsedAsHTMLWarning):  # it is a page because its name says so
            warnings.simplefilter("ignore", each)
        pieces = _Page(markup, max_depth, take)
    pieces.end()


class _Page(BeautifulSoup):
    def __init__(self, markup: str, max_depth: int, take: Callable[[BeautifulSoup, str], None]) -> None:
        self._max_depth = max_depth
        self._take = take
        super().__init__(markup, "html.parser")

    def reset(self) -> None:
        """Start."""
        refuse_large_page(cast("str", self.markup))
        self._elements, self._next_try = 0, _PIECE_ELEMENTS
        self._skipped: list[bool] = []  # of the `span` elements that are open in code: whether it has no tag
        self._is_code = False
        super().reset()

    def end(self) -> None:
        """Give the last piece, which is the page if there is no other one."""
        _finish(self)
        self._take(self, "")

    def handle_starttag(self, name: str, *args: Any, **kwargs: Any) -> Tag | None:
        """Close what ends here, then open an element."""
        if self._is_code and name == "span":  # each word of a program is in one
            attributes = cast("dict[str, Any]", args[2])
            is_number = not LINE_NUMBER_CLASSES.isdisjoint(str(attributes.get("class", "")).split())
            self._skipped.append(_OUTWARD.issuperset(attributes) and not is_number)
            if self._skipped[-1]:
                return None
        if name in _BLOCKS:
            self._close(*_PARAGRAPH)
        if name in _IMPLIED:
            self._close(*_IMPLIED[name])
        if len(self.tagStack) > self._max_depth:
            raise UnusualPage("it is nested too deeply to keep its headings and lists")
        self._elements += 1
        if self._elements > self._next_try:
            self._give_piece(name)
        self._is_code = self._is_code or name == "pre"
        return super().handle_starttag(name, *args, **kwargs)

    def handle_endtag(self, name: str, nsprefix: str | None = None) -> None:
        """Close an element."""
        if name == "span" and self._skipped and self._skipped.pop():
            return
        if name == "pre":
            self._is_code, self._skipped = False, []
        super().handle_endtag(name, nsprefix)

    def endData(self, containerClass: type[NavigableString] | None = None) -> None:  # noqa: N802, N803
        """Add the text so far, unless it is a comment, also `<?xml ...?>` and `<?php ...?>`: browsers show none."""
        if containerClass and issubclass(containerClass, PreformattedString) and not issubclass(containerClass, CData):
            self.current_data = []
        else:
            super().endData(containerClass)

    def _close(self, ended: frozenset[str], bounds: frozenset[str]) -> None:
        for tag in reversed(self.tagStack):
            if tag.name in ended:
                self.handle_endtag(tag.name)
                return
            if tag.name in bounds:
                return

    def _give_piece(self, name: str) -> None:
        """Give what is complete, if an element of this name may be the first of the next piece."""
        self.endData()
        joint = self._find_joint(name)
        if not joint:
            if self._elements > _MAX_ELEMENTS:
                raise UnusualPage(_TOO_LARGE)
            return
        piece = _cut_off(self.tagStack)
        self._most_recent_element = _find_end(self.tagStack[-1])
        self._elements, self._next_try = 0, _PIECE_ELEMENTS
        _finish(piece)
        self._take(piece, joint)

    def _find_joint(self, name: str) -> str:
        """Return what is between the last element and the next one, if they may be in different pieces."""
        open_tags: Sequence[Tag] = self.tagStack
        inner = open_tags[-1]
        above = _find_last(inner)
        if name == "tr" and above == "tr" and inner.name in _GROUPS_OF_ROWS:
            if not all(map(_is_holder, open_tags[: -1 if inner.name == "table" else -2])):
                return ""
            if _goes_on_below(inner):
                self._next_try += _PIECE_ELEMENTS // 10
                return ""
            return BELOW_ROW
        if name == "li" and above == "li" and inner.name in _LISTS:
            return "\n" if all(map(_is_holder, open_tags[:-1])) else ""
        is_apart = name in _APART and (not above or above in _APART)
        is_term = name == "dt" and above == "dd"
        return "\n\n" if (is_apart or is_term) and all(map(_is_holder, open_tags)) else ""


def _finish(page: BeautifulSoup) -> None:
    for each in page.find_all("ol"):
        _divide(page, each)


def _is_holder(tag: Tag) -> bool:
    return (tag.name in _HOLDERS or "-" in tag.name) and tag.attrs.get("role") not in _NO_HOLDER_ROLES


def _find_last(tag: Tag) -> str:
    """Return the name of the last element of `tag`, `text` if text is below that, and nothing if it is empty."""
    for child in reversed(tag.contents):
        if isinstance(child, Tag):
            return child.name
        if type(child) is NavigableString and child.strip():
            return "text"
    return ""


def _goes_on_below(group: Tag) -> bool:
    """Whether a cell of the rows so far goes over rows that follow."""
    rows = group.find_all("tr", recursive=False)
    for number, row in enumerate(rows):
        for cell in row.find_all(["td", "th"], recursive=False, rowspan=True):
            span = str(cell["rowspan"]).strip()
            if not span.isdigit() or int(span) == 0 or number + int(span) > len(rows):
                return True
    return False


def _cut_off(open_tags: Sequence[Tag]) -> BeautifulSoup:
    """Return a page of all that is complete, in copies of the open elements; only these stay where they were."""
    piece = BeautifulSoup("", "html.parser")
    holder: Tag = piece
    for tag, inner in zip(open_tags, [*open_tags[1:], None], strict=True):
        items = 0
        for child in list(tag.contents):  # always the first that is left, so it is found at once
            if child is not inner:
                holder.append(child.extract())
                items += _is_item(child)
        if tag.name == "ol" and items:
            tag["start"] = str(_read_start(tag) + items)
        if inner is not None:
            copy = piece.new_tag(inner.name, attrs={name: cast("Any", value) for name, value in inner.attrs.items()})
            holder.append(copy)
            holder = copy
    table = next((tag for tag in open_tags if tag.name == "table"), None)
    above = next((tag for tag in (holder, holder.parent) if tag and tag.name == "table"), None)
    if table and above:
        _begin_again(piece, table, above)
    return piece


def _find_end(tag: Tag) -> Tag:
    """Return the last element in `tag`, which is complete but for that."""
    while tag.contents and isinstance(tag.contents[-1], Tag):
        tag = tag.contents[-1]
    return tag


def _begin_again(page: BeautifulSoup, table: Tag, above: Tag) -> None:
    """Give a table that goes on a header, or the converter would take its next row for one.

    What is only there for the layout above is so below.
    """
    if is_layout(above):
        table["role"] = "presentation"
    head, row = page.new_tag("thead"), page.new_tag("tr")
    row.append(page.new_tag("th"))
    head.append(row)
    table.insert(0, head)


def _divide(page: BeautifulSoup, numbered: Tag) -> None:
    """Make several lists of a long numbered one, so that each number is found quickly."""
    if sum(map(_is_item, numbered.children)) <= _MAX_ITEMS:
        return
    start = _read_start(numbered)
    count, part = 0, None
    for child in list(numbered.contents):  # always the first that is left, so it is found at once
        if part is None or (_is_item(child) and count and count % _MAX_ITEMS == 0):
            part = page.new_tag("ol", attrs={"start": str(start + count)})
            numbered.insert_before(part)
        part.append(child.extract())
        count += _is_item(child)
    numbered.extract()


def _read_start(numbered: Tag) -> int:
    first = str(numbered.get("start", "1"))
    return int(first) if first.isascii() and first.isdigit() else 1


def _is_item(element: PageElement) -> bool:
    return isinstance(element, Tag) and element.name == "li"
