"""Rich Text Format (.rtf, and messages of Outlook): `read_rtf`, with headings, lists, tables and notes as Markdown.

A file is a tree of groups. Words that begin with a backslash say what a group is for (a destination), how its text
looks, and which characters it has; what is set in a group ends with it.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.rtf_blocks import Blocks, join_halves
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.titles import choose_title

_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{\\rtf")
_TOKEN = re.compile(
    rb"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    rb"|\\'(?P<hex>[0-9A-Fa-f]{2})"
    rb"|\\(?P<sign>.)"
    rb"|(?P<brace>[{}])"
    rb"|[\r\n\0]+"
    rb"|(?P<text>[^\\{}\r\n\0]+)"
    rb"|\\",
    re.DOTALL,
)
# Destinations that are no text, or text that repeats on every page or is there once more. Those that a reader need not
# know are marked by `\*`; of them, a few hold text.
_UNREAD = frozenset(
    {
        "colortbl",
        "pict",
        "header",
        "headerl",
        "headerr",
        "headerf",
        "footer",
        "footerl",
        "footerr",
        "footerf",
        "fldinst",
    }
    | {"xe", "tc", "rxe", "sp", "shprslt", "nonshppict", "nonesttables", "objdata", "datafield", "pntxta", "pntxtb"}
    | {"nesttableprops", "annotation", "atnid", "listname", "leveltext", "levelnumbers", "themedata", "info", "upr"}
)
_READ_ALTHOUGH_MARKED = frozenset(
    {"shpinst", "do", "moMath", "moMathPara", "htmltag", "fonttbl", "stylesheet", "footnote"}
)
_PROPERTIES_OF_FORMULA = re.compile(r"m[a-zA-Z]*Pr")
_BOXES = frozenset({"shptxt", "dptxbxtext"})
_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "lbr": "\n",
    "emdash": "\u2014",
    "endash": "\u2013",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
}
_SIGNS = {"~": " ", "_": "-"}
_LETTERS = frozenset({b"{", b"}", b"\\"})  # behind a backslash, also the second half of a character
_ENDS = frozenset({"par", "sect", "page", "column"})
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
# Encodings by what a file calls them: all of it, or the script of a font.
_FILES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_PAGES = {10000: "mac_roman", 65001: "utf-8"}
_SCRIPTS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
_WESTERN = "cp1252"
_TEXT_LEVEL = 9
_MAX_DEPTH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RichText:
    """What a file holds: its text as Markdown, its title, and what was left out."""

    text: str
    title: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class _State:
    """What holds for the text of a group.

    Attributes:
        destination: what the group is for; empty for text.
        font: its number.
        skipped: how many characters stand for one that is named by its number, for older programs.
        is_hidden: whether a reader does not see it: hidden, deleted, or there once more as HTML.
        style, level: number of the paragraph's style, and its level in the outline, from 1.
        item: the level of the list's item that it is.
        is_cell: whether it is in a table.
    """

    destination: str = ""
    font: int = -1
    skipped: int = 1
    is_hidden: bool = False
    style: int = -1
    level: int = 0
    item: int = 0
    is_cell: bool = False


def read_rtf(data: bytes) -> RichText:
    """Return the text of a file in Rich Text Format; of a page that a mail program has put into one, that of the page.

    Raises:
        UnreadableDocument: it is not in this format, or its groups are in each other without end.
    """
    if not _START.match(data):
        raise UnreadableDocument("it is not RTF")
    return _Reader(data).read()


class _Reader:
    """Goes once through the tokens of a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._state = _State()
        self._groups: list[_State] = []
        self._is_start = self._is_marked = False  # of a group; whether it may be left out
        self._blocks = Blocks()
        self._page: io.StringIO | None = None  # the page that the file was made of
        self._encoding = _WESTERN
        self._fonts: dict[int, str] = {}
        self._font = -1  # in the table of fonts
        self._levels: dict[int, int] = {}  # of the styles of headings
        self._style, self._style_name, self._style_level = -1, "", 0
        self._bytes = bytearray()
        self._skipping = 0
        self._title = ""
        self._is_damaged = False
        self._words: dict[str, Callable[[int | None], None]] = {
            "ansicpg": self._set_page,
            "u": self._add_number,
            "uc": lambda number: self._set(skipped=max(number or 0, 0)),
            "f": self._set_font,
            "fcharset": self._set_script,
            "v": lambda number: self._hide(number) if self._page is None else None,
            "deleted": self._hide,
            "htmlrtf": self._hide,
            "pard": lambda _: self._set(style=-1, level=0, item=0, is_cell=False),
            "plain": lambda _: self._set(is_hidden=False) if self._page is None else None,
            "s": self._set_style,
            "outlinelevel": self._set_level,
            "ilvl": lambda number: self._set(item=min(max(number or 0, 0), _TEXT_LEVEL)),
            "intbl": lambda _: self._set(is_cell=True),
            "fromhtml": lambda _: self._begin_page(),
            "chftn": lambda _: self._add_text(self._blocks.name_note()),
            "trowd": lambda _: self._blocks.begin_row(),
            "trhdr": lambda _: self._blocks.mark_head(),
            "clmrg": lambda _: self._blocks.merge(is_row=False),
            "clvmrg": lambda _: self._blocks.merge(is_row=True),
            "cellx": lambda _: self._blocks.end_definition(),
            "cell": lambda _: self._end_cell(),
            "nestcell": lambda _: self._add_text(" "),
            "nestrow": lambda _: self._add_text(" "),
            "row": lambda _: self._end_row(),
        }

    def read(self) -> RichText:
        end = self._go()
        self._add_bytes()
        notes: list[Note] = []
        if self._groups:
            notes.append(Note(reason="its end is missing", is_loss=True))
        elif self._data[end:].strip(b"\0 \r\n\t\x1a}"):
            notes.append(Note(reason="what is after its end is left out", is_loss=True))
        if self._is_damaged:
            notes.append(Note(reason="it has bytes that are no characters of its encoding, replaced by \ufffd"))
        while self._blocks.is_inside:
            self._blocks.leave()
        text = self._blocks.write() if self._page is None else read_page(join_halves(self._page.getvalue())).text
        return RichText(text=text, title=choose_title(self._title), notes=tuple(notes))

    def _go(self) -> int:
        """Read the file up to the end of its outer group, and return where that is."""
        place = 0
        while token := _TOKEN.match(self._data, place):
            place = token.end()
            kind = token.lastgroup
            if kind == "brace":
                self._add_bytes()
                self._skipping = 0
                self._open() if token["brace"] == b"{" else self._close()
                if not self._groups:
                    break
            elif kind in {"word", "number"}:
                self._add_bytes()
                number = int(token["number"]) if token["number"] else None
                word = token["word"].decode("ascii")
                if word == "bin":
                    place += max(number or 0, 0)
                self._read_word(word, number)
            elif kind == "sign" and token["sign"] not in _LETTERS:
                self._read_sign(token["sign"].decode("latin-1"))
            elif kind:
                self._read_bytes(bytes.fromhex(token["hex"].decode()) if kind == "hex" else token[kind])
        return place

    def _open(self) -> None:
        if len(self._groups) >= _MAX_DEPTH:
            raise UnreadableDocument(f"more than {_MAX_DEPTH:,} of its groups are in each other")
        self._groups.append(self._state)
        self._is_start, self._is_marked = True, False

    def _close(self) -> None:
        before = self._groups.pop()
        here = self._state.destination
        if here == "stylesheet":
            self._end_style()
        if here != before.destination and (here == "footnote" or here in _BOXES):
            self._blocks.leave()
        self._state = before
        self._is_start = False

    def _set(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # pyright: ignore[reportArgumentType] # names of its fields

    def _read_word(self, word: str, number: int | None) -> None:
        is_start, self._is_start = self._is_start, False
        self._skipping = 0
        if is_start and self._enter(word):
            return
        if self._state.destination == "unread":
            return
        if word in self._words:
            self._words[word](number)
        elif word in _ENDS:
            self._end_paragraph()
        elif word in _FILES:
            self._encoding = _FILES[word]
        elif word in _CHARACTERS:
            self._add_text(_CHARACTERS[word])

    def _enter(self, word: str) -> bool:
        """Set what a group is for, if its first word says so."""
        is_unread = word in _UNREAD or bool(_PROPERTIES_OF_FORMULA.fullmatch(word))
        if self._state.destination == "unread":
            if word == "title":
                self._set(destination="title")
            return True
        if is_unread or (self._is_marked and word not in _READ_ALTHOUGH_MARKED):
            self._set(destination="unread")
        elif word in {"fonttbl", "stylesheet", "htmltag", "listtext", "pntext"}:
            self._set(destination=word)
        elif word == "footnote" or word in _BOXES:
            self._set(destination=word, is_cell=False, style=-1, level=0, is_hidden=False)
            self._blocks.enter(is_note=word == "footnote")
        else:
            return False
        return True

    def _read_sign(self, sign: str) -> None:
        if sign == "*":
            self._is_marked = self._is_start
            return
        self._add_bytes()
        self._is_start = False
        if self._skipping:
            self._skipping -= 1
        elif sign in "\r\n":
            self._end_paragraph()
        else:
            self._add_text(_SIGNS.get(sign, ""))

    def _read_bytes(self, data: bytes) -> None:
        self._is_start = self._is_start and data.isspace()
        skipped = min(self._skipping, len(data))
        self._skipping -= skipped
        self._bytes += data[skipped:]

    def _add_bytes(self) -> None:
        """Add the characters that were read as bytes."""
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        if self._state.destination == "unread":
            return
        encoding = self._fonts.get(self._state.font, self._encoding)
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            text = data.decode(encoding, errors="replace")
            self._is_damaged = True
        self._add_text(text)

    def _add_text(self, text: str) -> None:
        destination = self._state.destination
        if destination == "stylesheet":
            self._style_name += text
        elif destination == "title":
            self._title += text
        elif destination in {"unread", "fonttbl"}:
            return
        elif self._page is not None:
            if destination == "htmltag" or not self._state.is_hidden:
                self._page.write(text)
        elif destination in {"listtext", "pntext"}:
            self._blocks.mark(text)
        elif destination != "htmltag" and not self._state.is_hidden:
            self._blocks.add(text)

    def _add_number(self, number: int | None) -> None:
        """Add a character by its number; what stands for it in older programs is left out."""
        self._add_text(chr((number or 0) & 0xFFFF))
        self._skipping = self._state.skipped

    def _hide(self, number: int | None) -> None:
        self._set(is_hidden=number is None or number > 0)

    def _begin_page(self) -> None:
        self._page = io.StringIO() if self._page is None else self._page

    def _set_page(self, number: int | None) -> None:
        self._encoding = _find_encoding(number or 0)

    def _set_font(self, number: int | None) -> None:
        if self._state.destination == "fonttbl":
            self._font = -1 if number is None else number
        else:
            self._set(font=-1 if number is None else number)

    def _set_script(self, number: int | None) -> None:
        if number in _SCRIPTS:
            self._fonts[self._font] = _SCRIPTS[number]

    def _set_style(self, number: int | None) -> None:
        if self._state.destination == "stylesheet":
            self._style = -1 if number is None else number
        else:
            self._set(style=-1 if number is None else number)

    def _set_level(self, number: int | None) -> None:
        level = number + 1 if number is not None and 0 <= number < _TEXT_LEVEL else 0
        if self._state.destination == "stylesheet":
            self._style_level = level
        else:
            self._set(level=level)

    def _end_style(self) -> None:
        """Note the level of a style whose definition has ended; a heading has one, or the name of one."""
        name = self._style_name.strip().rstrip(";").strip()
        named = _HEADING.fullmatch(name)
        level = int(named[1]) if named else int(name.lower() == "title") or self._style_level
        if name and level:
            self._levels[self._style] = level
        if name:
            self._style, self._style_name, self._style_level = -1, "", 0

    def _end_paragraph(self) -> None:
        if self._page is not None:
            self._add_text("\n")
        elif self._is_text:
            level = self._state.level or self._levels.get(self._state.style, 0)
            self._blocks.end_paragraph(level=level, item=self._state.item, is_cell=self._state.is_cell)

    def _end_cell(self) -> None:
        if self._page is None and self._is_text:
            self._blocks.end_cell()

    def _end_row(self) -> None:
        if self._page is None and self._is_text:
            self._blocks.end_row()

    @property
    def _is_text(self) -> bool:
        return self._state.destination in {"", "footnote", *_BOXES}


def _find_encoding(page: int) -> str:
    try:
        return codecs.lookup(_PAGES.get(page, f"cp{page}")).name
    except LookupError:
        return _WESTERN
