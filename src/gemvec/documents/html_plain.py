"""The text of a web page without its structure: `read_plain`, for pages that are nested too deeply for a tree."""

from __future__ import annotations

from html.parser import HTMLParser

# Elements inside a line of text; all others begin a new line.
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "q"}
    | {"s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"}
)
_UNSEEN = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "nav", "menu", "select", "textarea"})


def read_plain(markup: str) -> tuple[str, str]:
    """Return the text of a page, a line for each of its blocks, and its title."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line), "".join(reader.title)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self._unseen = 0  # open elements that are not shown
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._unseen += tag in _UNSEEN
        self._in_title = tag == "title" or (self._in_title and tag in _INLINE)
        if tag not in _INLINE:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        if tag not in _INLINE:
            self._in_title = False
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._unseen:
            self.parts.append(" ".join(data.split("\n")))
