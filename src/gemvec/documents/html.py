"""Web pages: `html_to_markdown` returns what a reader of the page sees, as Markdown, without navigation."""

from __future__ import annotations

import gc
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from gemvec.documents.document import Note, note_decoding
from gemvec.documents.entities import raise_number
from gemvec.documents.html_plain import read_plain
from gemvec.documents.mathml import spell_formula
from gemvec.documents.text import DecodedText, decode_as, decode_text, drop_single_zeros, find_codec, is_utf8
from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# What browsers do not show, and what is there to be clicked and not to be read.
_UNSEEN = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "object", "embed", "canvas", "head", "title", "meta"}
    | {"rt", "rtc", "rp"}  # how the words below are read: with that among them, no word could be found
    | {"link", "nav", "menu", "button", "select", "datalist", "input", "textarea", "video", "audio", "map"}
)
_UNREAD_ROLES = frozenset({"navigation", "search", "menu", "menubar", "toolbar", "tablist"})
# What is read when a tab or a heading above it is chosen.
_PANEL_ROLES = frozenset({"tabpanel", "region"})
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# Links beside headings that lead to the headings themselves, and links past the navigation.
_MARK_CLASSES = frozenset(
    {"headerlink", "hash-link", "header-anchor", "anchor", "anchorjs-link", "heading-anchor", "skip-link", "sr-only"}
)
_MARKS = frozenset("#¶§🔗↩\ufe0e\ufe0f")
# The mark of a footnote, `[12]`: a link in the middle of a sentence that is no part of it.
_NOTE_MARK = re.compile(r"\[\w{1,4}\]|\(?\d{1,3}\)?|[*†‡]{1,3}")
_NOTE_ROLES = frozenset({"doc-noteref", "noteref"})
# Links to change a section of a wiki.
_EDIT_CLASSES = frozenset({"mw-editsection"})
# Pictures of text, whose words are read, and the source of a formula that a program of the page shows.
_PICTURES_OF_TEXT = frozenset({"math", "latex", "tex", "equation", "emoji"})
_TEX = "math/tex"
_DIGITS = re.compile(r"[\d\s]*")
# What makes a list a choice of languages.
_LANGUAGE = ("hreflang", "lang")
_BLOCKS = frozenset(
    {"address", "aside", "center", "details", "dialog", "dir", "fieldset", "figure", "form", "hgroup", "legend", "main"}
    | {"search", "summary"}
)
_TITLE = frozenset({"title"})
_FORMULAS = frozenset({"math", "m:math", "mml:math"})
_RAISED = frozenset({"sup"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_IN_CODE = frozenset({"pre", "table", "tbody", "tr", "td"})
_LISTS, _ITEMS = ["ul", "ol", "dl"], ["li", "dt", "dd"]
_QUESTIONS = _HEADINGS | {"dt"}
# What a page as a whole has, also while a dialog in front of it hides it from screen readers.
_WHOLE = ["h1", "main", "article"]
# What may belong to the page and not to its text.
_FURNITURE, _FURNITURE_ROLES = frozenset({"header", "footer", "ul", "ol"}), frozenset({"banner", "contentinfo"})
_SECTIONING = ["article", "main", "section", "aside", "blockquote", "figure", "details", "td"]
# A page footer with fewer words than this is only a legal line and links.
_MIN_FOOT_WORDS = 12
# A list outside the main part that is nearly all links is navigation, whatever its name.
_MIN_LINKS, _LINK_SHARE = 4, 0.9


# How deep elements may lie in each other: what reads the tree calls itself for every level.
_MAX_DEPTH = 150
# A page in another encoding than it names has more bytes that are no character.
_MAX_BAD_SHARE = 0.01
# In the headings of the page, until all that only looks like one is escaped.
_HEADING_MARK = "\x02"
_LIKE_HEADING = re.compile(
    r"(?P<start>[ \t]*(?:(?:[-*+>]|\d+[.)])[ \t]+)*)"
    rf"(?:(?P<mark>#{{1,6}})(?=[ \t](?!{_HEADING_MARK})|$)|(?:=+|-+)[ \t]*$)"
)
# How an item of a list starts.
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d+[.)])[ \t]")


@dataclass(frozen=True, slots=True)
class WebPage:
    """What was read from a page.

    Attributes:
        text: Markdown.
        title: the page's title, or its first heading; empty when it has neither.
        notes: how its encoding was found, and why its structure was not kept.
    """

    text: str
    title: str
    notes: tuple[Note, ...] = ()


def decode_page(data: bytes) -> DecodedText:
    """Return the markup of a page in UTF-8, in the encoding that its mark or the page itself names, or by a guess.

    Raises:
        UnreadableDocument: it is not text.
    """
    from bs4.dammit import EncodingDetector

    data = drop_single_zeros(data)  # browsers pass over them
    codec = find_codec(EncodingDetector.find_declared_encoding(data, is_html=True) or "")
    if codec and not codec.startswith("utf") and (data.isascii() or not is_utf8(data)):
        decoded = decode_as(data, codec)
        if decoded.text.count("\ufffd") <= _MAX_BAD_SHARE * len(decoded.text):
            return decoded
    return decode_text(data)


def read_page(data: bytes | str) -> WebPage:
    """Return the visible text of a page, or of a piece of one, as Markdown.

    Raises:
        UnreadableDocument: it is not text.
    """
    try:
        from gemvec.documents.html_tree import UnusualPage, parse_page
    except ImportError as error:
        raise MissingDependency("HTML needs more packages.", extra="milvus") from error
    decoded = decode_page(data) if isinstance(data, bytes) else DecodedText(data)
    notes, markup = note_decoding(decoded), _close_markup(decoded.text)
    del data, decoded
    page, reason = _Page(), ""
    try:
        parse_page(markup, _MAX_DEPTH, page.add)
    except UnusualPage as error:
        reason = str(error)
    if reason:
        gc.collect()  # the elements so far, which refer to each other
        text, title = read_plain(markup)
        return WebPage(text, _clean(title), (*notes, Note(reason=reason)))
    return WebPage("".join(page.parts).strip(), page.title or page.heading, notes)


class _Page:
    """The pieces of a page that were read, as Markdown."""

    def __init__(self) -> None:
        self.title = self.heading = ""
        self.parts: list[str] = []
        self._joint = ""

    def add(self, piece: BeautifulSoup, joint: str) -> None:
        """Read a piece; `joint` is between it and the next one."""
        from gemvec.documents.html_tree import BELOW_ROW, NO_HEADER

        titles = (title for title in _find(piece, _TITLE) if not title.find_parent("svg"))  # each icon may have one
        if not self.title and (title := next(titles, None)):
            self.title = _clean(title.get_text(" "))
        _drop_unread(piece)
        _flatten_code(piece)
        _name_blocks(piece)
        _fill_tables(piece)
        if not self.heading and (heading := piece.find("h1")):
            self.heading = _clean(heading.get_text(" "))
        _mark_headings(piece)
        text = _escape_marks(cast("str", _converter().convert_soup(piece.body or piece)))
        text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
        text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
        if self._joint == BELOW_ROW and f"{text}\n" == NO_HEADER:  # all rows of the piece are hidden
            text = ""
        elif self._joint == BELOW_ROW:
            self._joint = "\n" if text.startswith(NO_HEADER) else "\n\n"
            text = text.removeprefix(NO_HEADER)
        elif self._joint == "\n" and not _ITEM.match(text):  # the rest of the list is hidden
            self._joint = "\n\n"
        if text:
            self.parts += [self._joint, text] if self.parts else [text]
        if joint:
            piece.decompose()  # now, and not when the collector finds that its elements only refer to each other
        self._joint = joint if text else max(joint, self._joint, key=len)


def _flatten_code(page: BeautifulSoup) -> None:
    """Make lines of the rows of tables in code, whose other column had the numbers of lines."""
    for tag in [each for each in _find(page, _IN_CODE) if each.find_parent("pre") is not None]:
        if tag.name == "tr" and not tag.get_text().endswith("\n"):
            tag.append("\n")
        tag.name = "span"


def _name_blocks(page: BeautifulSoup) -> None:
    """Call all blocks by a name that the converter knows: it joins the words of others with those beside them."""
    for tag in _find(page, _BLOCKS):
        tag.name = "div"
    for heading in _find(page, _HEADINGS):
        for part in heading.find_parents(_LISTS):  # a heading is one only where a line begins
            for tag in [part, *part.find_all(_ITEMS, recursive=False)]:
                tag.name = "div"


def _fill_tables(page: BeautifulSoup) -> None:
    from gemvec.documents.html_tables import fill_tables

    fill_tables(page)


def _close_markup(markup: str) -> str:
    """Return a page with the beginnings of comments and elements that do not end as text: they take long to parse."""
    start = markup.find("<!--", max(markup.rfind("-->"), 0))
    if start >= 0:  # it may stand in a script or an attribute, so nothing is cut
        markup = markup[:start] + markup[start:].replace("<!--", "&lt;!--")
    end = markup.rfind(">") + 1
    return markup[:end] + markup[end:].replace("<", "&lt;") if markup.find("<", end) >= 0 else markup


def _clean(text: str) -> str:
    return " ".join(text.split())


def _drop_unread(page: BeautifulSoup) -> None:
    _write_out_pictures(page)
    _open_questions(page)
    _put([(tag, None) for tag in _find(page) if _is_unread(tag)])
    _put([(tag, f" {spell_formula(tag)} ") for tag in _find(page, _FORMULAS)])
    for tag in _find(page, _RAISED):
        if (raised := raise_number(text := tag.get_text())) != text:
            tag.string = raised
    _put([(tag, None) for tag in _find(page) if _is_furniture(tag)])


def _put(texts: Sequence[tuple[Tag, str | None]]) -> None:
    """Put texts in place of elements, or nothing for None.

    An element would be looked for among all that are beside it, so all that are beside each other are replaced at once.
    """
    made = {id(tag): text for tag, text in texts}
    parents = {id(tag.parent): tag.parent for tag, _ in texts}
    for parent in parents.values():
        if parent is None:
            continue
        for index, child in reversed(list(enumerate(parent.contents))):
            if id(child) not in made:
                continue
            child.extract(index)
            if (text := made[id(child)]) is None:
                child.decompose()
            else:
                parent.insert(index, text)


def _write_out_pictures(page: BeautifulSoup) -> None:
    """Put words in place of pictures of them, and of formulas that a program of the page would draw."""
    from bs4 import Tag
    from bs4.element import NavigableString

    made: list[tuple[Tag, str | None]] = []
    for tag in _find(page, frozenset({"img", "script"})):
        if tag.name == "script" and str(tag.get("type", "")).startswith(_TEX):
            drawn = tag.previous_sibling
            if isinstance(drawn, NavigableString) and not drawn.strip():
                drawn = drawn.previous_sibling
            if isinstance(drawn, Tag) and any(each.startswith("MathJax") for each in _read_classes(drawn)):
                drawn["hidden"] = ""
            made.append((tag, tag.get_text()))
        elif tag.name == "img" and tag.get("aria-hidden") != "true" and _read_classes(tag) & _PICTURES_OF_TEXT:
            made.append((tag, str(tag.get("alt", ""))))
    _put(made)


def _read_classes(tag: Tag) -> set[str]:
    return set(cast("list[str]", tag.get("class") or []))


def _open_questions(page: BeautifulSoup) -> None:
    """Call buttons by a name that is read if they are the text of a heading, which folds away what is below it."""
    for heading in _find(page, _QUESTIONS):
        text = _clean(heading.get_text())
        for button in heading.find_all("button"):
            if button.has_attr("aria-expanded") or _clean(button.get_text()) == text:
                button.name = "span"


def _find(page: BeautifulSoup, names: frozenset[str] | None = None) -> list[Tag]:
    """Return the elements with one of the names, or all of them; a fifth of the time that `find_all` takes."""
    from bs4 import Tag

    tags = (each for each in page.descendants if isinstance(each, Tag))
    return [each for each in tags if names is None or each.name in names]


def _is_unread(tag: Tag) -> bool:
    if tag.name in _UNSEEN:
        return True
    attributes = tag.attrs
    if "popover" in attributes or (tag.name == "dialog" and "open" not in attributes):
        return True
    if attributes.get("role") in _UNREAD_ROLES or (_is_hidden(tag) and not _is_panel(tag)):
        return True
    if "class" in attributes and _is_beside_text(tag):
        return True
    if tag.name == "sup" or attributes.get("role", attributes.get("epub:type")) in _NOTE_ROLES:
        return _is_note_mark(tag)
    return (tag.name == "a" and _is_mark(tag)) or (tag.name == "ul" and _is_language_list(tag))


def _is_hidden(tag: Tag) -> bool:
    attributes = tag.attrs
    if attributes.get("aria-hidden") == "true" and tag.find(_WHOLE) is None:
        return True
    if "hidden" in attributes and attributes["hidden"] != "until-found":
        return True
    # A formula may be written out for those who do not see its picture.
    return _HIDDEN_STYLE.search(str(attributes.get("style", ""))) is not None and not (
        tag.name == "span" and tag.find(_FORMULAS) is not None
    )


def _is_beside_text(tag: Tag) -> bool:
    """Whether something is no text of the page, but the number of a line, or a link to change a section."""
    from gemvec.documents.html_tree import LINE_NUMBER_CLASSES

    classes = _read_classes(tag)
    if classes & LINE_NUMBER_CLASSES:
        return _DIGITS.fullmatch(tag.get_text()) is not None
    return bool(classes & _EDIT_CLASSES)


def _is_panel(tag: Tag) -> bool:
    """Whether what is hidden is text for readers, which they open: a tab, or what a heading folds away."""
    if tag.get("role") in _PANEL_ROLES:
        return tag.has_attr("aria-labelledby") or tag["role"] == "tabpanel"
    above = tag.find_previous_sibling()
    return above is not None and above.name in _QUESTIONS and bool(above.select("[aria-expanded]"))


def _is_note_mark(tag: Tag) -> bool:
    """Whether a link, or something in or around one, only leads to a footnote: its number belongs to no word."""
    if _NOTE_MARK.fullmatch(_clean(tag.get_text())) is None:
        return False
    return tag.name == "a" or tag.find("a") is not None or _is_whole_link(tag)


def _is_whole_link(tag: Tag) -> bool:
    """Whether an element is in a link that has no other text."""
    link = tag.find_parent("a")
    while link is not None and tag is not link:
        # What follows comes first: then each text is looked at for the one element before it only.
        if any(each.get_text().strip() for each in chain(tag.next_siblings, tag.previous_siblings)):
            return False
        tag = cast("Tag", tag.parent)
    return link is not None


def _is_language_list(tag: Tag) -> bool:
    """Whether a list only leads to the same page in other languages."""
    links = tag.find_all("a")
    foreign = sum(any(link.has_attr(name) for name in _LANGUAGE) for link in links)
    return foreign >= _MIN_LINKS and foreign >= _LINK_SHARE * len(links) and _is_link_list(tag)


def _is_mark(link: Tag) -> bool:
    text = link.get_text().strip().strip("\u200b\u200c\u200d")
    classes = set(cast("list[str]", link.get("class") or []))
    return (not text.strip("".join(_MARKS)) and (bool(text) or bool(classes & _MARK_CLASSES))) or bool(
        classes & {"skip-link", "sr-only"}
    )


def _is_furniture(tag: Tag) -> bool:
    """Whether a part belongs to the page and not to its text: a header without a heading, a short footer, a menu."""
    role = tag.get("role")
    if (tag.name not in _FURNITURE and role not in _FURNITURE_ROLES) or tag.find_parent(_SECTIONING) is not None:
        return False
    if tag.name == "header" or role == "banner":
        return tag.find(["h1", "h2", "h3", "p"]) is None
    if tag.name == "footer" or role == "contentinfo":
        return len(_own_text(tag).split()) < _MIN_FOOT_WORDS
    return tag.name in {"ul", "ol"} and _is_link_list(tag)


def _is_link_list(tag: Tag) -> bool:
    links = tag.find_all("a")
    linked = sum(len(_clean(each.get_text())) for each in links)
    return len(links) >= _MIN_LINKS and linked >= _LINK_SHARE * len(_clean(tag.get_text()))


def _own_text(tag: Tag) -> str:
    return "".join(str(each) for each in tag.find_all(string=True) if each.find_parent("a") is None)


def _mark_headings(page: BeautifulSoup) -> None:
    """Put a mark into headings, so that text that looks like one is told apart."""
    for tag in _find(page, _HEADINGS):
        if tag.get_text().strip():
            tag.insert(0, _HEADING_MARK)
        else:  # with a picture, whose words may be there
            words = _clean(" ".join(str(each.get("alt", "")) for each in tag.find_all("img")))
            tag.string = f"{_HEADING_MARK}{words}"
            tag.name = tag.name if words else "div"


def _escape_marks(text: str) -> str:
    """Return Markdown in which only headings of the page look like headings, and no text like the rule below one."""
    made: list[str] = []
    is_code, above = False, ""
    for line in text.split("\n"):
        is_code = is_code != line.lstrip().startswith("```")
        found = None if is_code else _LIKE_HEADING.match(line)
        if found and (found["mark"] or above.strip()):
            made.append(f"{found['start']}\\{line[found.end('start') :]}")
        else:
            made.append(line)
        above = line
    return re.sub(f"{_HEADING_MARK} ?", "", "\n".join(made))


@cache
def _converter() -> Any:
    try:
        from markdownify import MarkdownConverter
    except ImportError as error:
        raise MissingDependency("HTML needs more packages.", extra="milvus") from error
    return MarkdownConverter(
        heading_style="ATX",
        strip=["a", "img"],
        escape_misc=False,
        escape_underscores=False,
        escape_asterisks=False,
        table_infer_header=True,
    )
