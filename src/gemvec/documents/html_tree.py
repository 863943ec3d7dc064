"""A web page as a tree: `parse_page` closes elements where a browser would, and refuses what is nested too deeply."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.element import PageElement

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


class TooDeep(Exception):
    """Elements lie in each other more deeply than asked for."""


def parse_page(data: bytes | str, max_depth: int) -> BeautifulSoup:
    """Return the tree of a page, or of a piece of one.

    Raises:
        TooDeep: elements lie in each other more than `max_depth` levels deep.
    """
    page = _Page(data, max_depth)
    for each in page.find_all("ol"):
        _divide(page, each)
    return page


class _Page(BeautifulSoup):
    def __init__(self, data: bytes | str, max_depth: int) -> None:
        self._max_depth = max_depth
        super().__init__(data, "html.parser")

    def handle_starttag(self, name: str, *args: Any, **kwargs: Any) -> Tag | None:
        """Close what ends here, then open an element."""
        if name in _BLOCKS:
            self._close(*_PARAGRAPH)
        if name in _IMPLIED:
            self._close(*_IMPLIED[name])
        if len(self.tagStack) > self._max_depth:
            raise TooDeep
        return super().handle_starttag(name, *args, **kwargs)

    def _close(self, ended: frozenset[str], bounds: frozenset[str]) -> None:
        for tag in reversed(self.tagStack):
            if tag.name in ended:
                self.handle_endtag(tag.name)
                return
            if tag.name in bounds:
                return


def _divide(page: BeautifulSoup, numbered: Tag) -> None:
    """Make several lists of a long numbered one, so that each number is found quickly."""
    if sum(map(_is_item, numbered.children)) <= _MAX_ITEMS:
        return
    first = str(numbered.get("start", "1"))
    start = int(first) if first.isascii() and first.isdigit() else 1
    count, part = 0, None
    for child in list(numbered.contents):  # always the first that is left, so it is found at once
        if part is None or (_is_item(child) and count and count % _MAX_ITEMS == 0):
            part = page.new_tag("ol", attrs={"start": str(start + count)})
            numbered.insert_before(part)
        part.append(child.extract())
        count += _is_item(child)
    numbered.extract()


def _is_item(element: PageElement) -> bool:
    return isinstance(element, Tag) and element.name == "li"
