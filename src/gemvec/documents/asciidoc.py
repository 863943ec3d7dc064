"""AsciiDoc as Markdown, line by line: `asciidoc_to_markdown`. Lines keep their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

from gemvec.documents.entities import ENTITY, read_entity
from gemvec.documents.markdown_table import Cell, fill_rows, read_span, write_rows

_HEADING = re.compile(r"^(={1,6}|#{1,6})[ \t]+(?P<name>\S.*?)(?:[ \t]+=+)?$")
# A line that makes a heading of the one above, if it is as long, and what may be one.
_UNDERLINE = re.compile(r"^([=\-~^+])\1+$")
_LEVELS = {"=": 1, "-": 2, "~": 3, "^": 4, "+": 5}
_TITLE = re.compile(r"^(?!\.|\[|//|[-*+|=]+\s)\S.*\w")
_FENCE = re.compile(r"^(-{4,}|\.{4,}|`{3,}\w*)$")
_COMMENT_FENCE = re.compile(r"^/{4,}$")
# Example, sidebar, quote, open and pass blocks: only their content counts.
_FRAME = re.compile(r"^(={4,}|\*{4,}|_{4,}|--|\+{4,})$")
_TABLE = re.compile(r"^[|,:!]={3,}$")
_ATTRIBUTE = re.compile(r"^:!?[\w-]+!?:(?:[ \t].*)?$")
_DEFINITION = re.compile(r"^:(?P<name>\w[\w-]*):[ \t]+(?P<value>[^{}]+)$")
_REFERENCE = re.compile(r"(?<![\\$+{])\{(?P<name>\w[\w-]*)\}(?!\})")
# A short text may become longer by so much where its attributes are named.
_MORE_CHARACTERS = 100_000
_BLOCK_ATTRIBUTES = re.compile(r"^\[(?P<said>[^\]]*)\]$")
_LANGUAGE = re.compile(r"^(?:source|,)[^,]*,\s*([\w+#-]+)")
_ANCHOR_LINE = re.compile(r"^\[\[[^\]]*\]\]$")
# Lines below which a paragraph begins.
_NO_TEXT = (_BLOCK_ATTRIBUTES, _ANCHOR_LINE, _FENCE, _TABLE)
_BLOCK_TITLE = re.compile(r"^\.(?P<name>[^\s.].*)$")
# Attributes, an anchor or a title.
_ABOVE_TABLE = re.compile(r"^(?:\[.*\]|\.[^\s.].*)$")
_MAX_LINES_ABOVE = 8
_MAX_ATTRIBUTES = 20
_BLOCK_MACRO = re.compile(r"^(?:include|toc|ifdef|ifndef|ifeval|endif|image|video|audio)::")
_PICTURE = re.compile(r"^image::[^\s\[]+[^\[]*\[(?P<said>.*)\]$")
_INLINE_PICTURE = re.compile(r"\bimage:(?!:)[^\s\[\]]+\[(?P<said>[^\]]*)\]")
_QUOTE = re.compile(r"^(?:quote|verse)(?:[#.%][^,\]]*)?,(?P<said>.*)$")
# A value of an attribute list, which may have a name.
_SAID = re.compile(
    r"""\s*(?:(?P<name>[\w-]+)\s*=\s*)?(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^,]*))[^,]*(?:,|$)"""
)
_LIST = re.compile(r"^(?P<marks>\*{1,5}|-|\.{1,5})[ \t]+(?=\S)")
_ANCHOR = re.compile(r"\[\[[^\]]*\]\]|\[#[\w-]+\]|anchor:[\w-]+\[\]")
_LINK = re.compile(
    r"(?:link:|xref:|mailto:|<<)(?P<target>[^\[\]<>,\s]+)(?:\[(?P<text>[^\]]*)\]|(?:,(?P<named>[^<>]*))?>>)"
)
_URL = re.compile(r"(?P<url>https?://[^\s\[\]]+)\[(?P<text>[^\],^]*)[^\]]*\]")
_INLINE_MACRO = re.compile(r"\b(?:kbd|btn|menu|footnote|pass|icon):[^\s\[\]]*\[(?P<text>[^\]]*)\]")
# Entries of an index, which are not shown, or shown where they are.
_HIDDEN_TERM = re.compile(r"\(\(\([^()\n]*\)\)\)")
_SHOWN_TERM = re.compile(r"\(\((?P<text>[^()\n]*)\)\)")
# Quotation marks, `"`so written`"`.
_CURVED = re.compile(r"""(?<!\w)(?P<mark>["'])`(?=\S)(?P<text>[^\n]{0,500}?\S)`(?P=mark)(?!\w)""")
_CHARACTERS = {"nbsp": " ", "empty": "", "blank": "", "sp": " ", "plus": "+", "apos": "'", "quot": '"', "amp": "&"}
_CHARACTER = re.compile(rf"(?<!\\)\{{({'|'.join(_CHARACTERS)})\}}")
_COLUMNS = re.compile(r"""\bcols\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^,\]]+))""")
# More digits than these would be more columns than a table has cells.
_REPEATED = re.compile(r"(\d{1,9})\d*\*")
_HEADER = re.compile(r"""(?<=[%,"'= ])header(?=[,%"'\].# ])""")
_OTHER_SEPARATOR = re.compile(r"\b(?:format|separator)\s*=")
# What may be written before a cell's bar: over how many columns and rows it goes, its alignment and its style.
_SPECIFICATION = r"(?P<times>(?:\d+(?:\.\d+)?|\.\d+)[+*])?(?:[<^>](?:\.[<^>])?|\.[<^>])?[adehlmsv]?"
_CELL = re.compile(rf"(?:^|\s){_SPECIFICATION.replace('?P<times>', '?:')}\|")
_BAR = re.compile(rf"(?:(?<!\S){_SPECIFICATION})?(?<!\\)\|")


# What is no text in a file that may be one: numbers and codes.
_WORD = re.compile(r"[^\W\d_]{2,}")
_WORD_SHARE = 0.5


def is_prose(text: str) -> bool:
    """Whether most of what stands between spaces are words, as in AsciiDoc; files of measurements are numbers."""
    parts = text.split()
    return sum(map(bool, map(_WORD.search, parts))) > _WORD_SHARE * len(parts)


def asciidoc_to_markdown(text: str) -> str:
    """Return the text as Markdown, each line where it was."""
    return _Translation(text.split("\n")).run()


class _Translation:
    """Goes through the lines once; `_fence` is the line that ends the block that is open, or empty."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line.rstrip() for line in lines]
        self._fence = ""
        self._is_comment = False
        self._is_table = False
        self._language = ""
        self._attributes: dict[str, str] = {}
        # Characters that may still be written for attributes: a long text, named very often, could fill the memory.
        self._room = _MORE_CHARACTERS + sum(map(len, lines))

    def run(self) -> str:
        made = list[str]()
        opened = 0
        for place, line in enumerate(self._lines):
            if len(made) > place:  # the line below a heading
                continue
            if self._is_table and not self._fence:
                line = self._lines[place] = self._resolve(line)  # noqa: PLW2901 - its cells are read again
            if level := self._find_underlined(place):
                made += [f"{'#' * level} {_translate_inline(line).strip()}", ""]
                continue
            was_table = self._is_table
            made.append(self._translate(line))
            if self._is_table and not was_table:
                opened = place
            elif was_table and not self._is_table:
                made[opened:place] = self._translate_table(opened, place) or made[opened:place]
        if self._fence and not self._is_comment:
            made.append("```")
        return "\n".join(made)

    def _find_underlined(self, place: int) -> int:
        """Return the level of the heading that the next line makes of a line; 0 if it makes none."""
        if self._fence or self._is_table or place + 1 >= len(self._lines):
            return 0
        line, below = self._lines[place], self._lines[place + 1]
        if not _UNDERLINE.match(below) or abs(len(line) - len(below)) > 1:
            return 0
        if not _TITLE.match(line) or _is_unread(line):
            return 0
        above = self._lines[place - 1] if place else ""
        return _LEVELS[below[0]] if not above or _is_unread(above) or any(each.match(above) for each in _NO_TEXT) else 0

    def _translate(self, line: str) -> str:
        if self._fence:
            return self._translate_inside(line)
        if _COMMENT_FENCE.match(line) or _FENCE.match(line):
            return self._open(line)
        if _TABLE.match(line):
            self._is_table = not self._is_table
            return ""
        if self._is_table:
            return _translate_row(line)
        return self._translate_line(line)

    def _translate_table(self, opened: int, closed: int) -> list[str] | None:
        """Return a table of Markdown and blank lines for the lines before a table's end; None if it is read by rows."""
        if not (self._lines[opened] == self._lines[closed] and self._lines[opened].startswith("|")):
            return None
        above = takewhile(_ABOVE_TABLE.match, reversed(self._lines[max(0, opened - _MAX_LINES_ABOVE) : opened]))
        attributes = ",".join(line for line in above if not line.startswith((".", "[[")))
        rows = _read_table(self._lines[opened + 1 : closed], attributes)
        written = write_rows(rows).split("\n") if rows else []
        blank = [""] * (closed - opened - len(written))
        return [*blank[:1], *written, *blank[1:]] if written and len(written) <= closed - opened else None

    def _translate_inside(self, line: str) -> str:
        if line == self._fence:
            was_comment, self._fence, self._is_comment = self._is_comment, "", False
            return "" if was_comment else "```"
        return "" if self._is_comment else line

    def _open(self, line: str) -> str:
        self._is_comment = bool(_COMMENT_FENCE.match(line))
        self._fence = "```" if line.startswith("```") else line
        language, self._language = line.strip("`") if line.startswith("```") else self._language, ""
        return "" if self._is_comment else f"```{language}"

    def _translate_line(self, line: str) -> str:
        if found := _DEFINITION.match(line):
            self._attributes[found["name"]] = found["value"].strip()
        line = self._resolve(line)
        if attributes := _BLOCK_ATTRIBUTES.match(line):
            found = _LANGUAGE.match(attributes["said"])
            self._language = found[1] if found else ""
            quote = _QUOTE.match(attributes["said"])
            return _write_source(quote["said"]) if quote else ""
        if picture := _PICTURE.match(line):
            return _translate_inline(_find_alternative(picture["said"]))
        if _is_unread(line):
            return ""
        if heading := _HEADING.match(line):
            return f"{'#' * len(heading[1])} {_translate_inline(heading['name']).strip()}"
        if title := _BLOCK_TITLE.match(line):
            return f"{_translate_inline(title['name'])}:"
        return _translate_inline(_LIST.sub(_translate_mark, line))

    def _resolve(self, line: str) -> str:
        """Return a line with the values of the attributes that it names."""
        return _REFERENCE.sub(self._read_attribute, line) if "{" in line and self._attributes else line

    def _read_attribute(self, found: re.Match[str]) -> str:
        value = self._attributes.get(found["name"])
        if value is None or len(value) > self._room:
            return found[0]
        self._room -= len(value)
        return value


def _read_attributes(said: str) -> dict[str, str]:
    """Return the values of an attribute list by their names, or by their places, from 0."""
    values: dict[str, str] = {}
    place = 0
    for number in range(_MAX_ATTRIBUTES):
        found = _SAID.match(said, place)
        if found is None or place >= len(said):
            break
        value = found["double"] or found["single"] or found["plain"] or ""
        values[found["name"] or str(number)] = value.strip()
        place = found.end()
    return values


def _find_alternative(said: str) -> str:
    """Return what stands for a picture where it cannot be seen."""
    values = _read_attributes(said)
    return values.get("alt") or values.get("0", "")


def _write_source(said: str) -> str:
    """Return who said what is quoted below, and where."""
    values = _read_attributes(said)
    named = (values.get("attribution") or values.get("0", ""), values.get("citetitle") or values.get("1", ""))
    source = ", ".join(filter(None, named))
    return f"{_translate_inline(source)}:" if source else ""


def _is_unread(line: str) -> bool:
    return line.startswith("//") or line == "+" or any(each.match(line) for each in (_ATTRIBUTE, _BLOCK_MACRO, _FRAME))


def _translate_mark(found: re.Match[str]) -> str:
    marks = found["marks"]
    return "  " * (len(marks) - 1) + ("1. " if marks[0] == "." else "- ")


def _read_table(lines: Sequence[str], attributes: str) -> list[list[str]] | None:
    """Return the rows of a table, the first one its header; None if it has no header or is not understood."""
    is_first_apart = len(lines) > 1 and bool(lines[0]) and not lines[1]
    has_header = bool(_HEADER.search(attributes)) or (is_first_apart and "noheader" not in attributes)
    if not has_header or _OTHER_SEPARATOR.search(attributes) or any(map(_is_fence, lines)):
        return None
    text = "\n".join(lines)
    bars = list(_BAR.finditer(text))
    if not bars or text[: bars[0].start()].strip():
        return None
    bounds = [*(bar.start() for bar in bars[1:]), len(text)]
    parts = [_read_cells(bar["times"] or "", text[bar.end() : end]) for bar, end in zip(bars, bounds, strict=True)]
    line_end = (text + "\n").index("\n", bars[0].start())
    first = sum(cell.columns for bar, some in zip(bars, parts, strict=True) if bar.end() <= line_end for cell in some)
    width = _count_columns(attributes) or first
    rows = _divide([cell for some in parts for cell in some], width)
    if not rows or not any(cell.text for cell in rows[0]) or (first != width and not _HEADER.search(attributes)):
        return None
    return fill_rows(rows)


def _read_cells(times: str, text: str) -> list[Cell]:
    """Return a cell, or several with the same text (`3*`); what is before its bar says over how much it goes."""
    number, mark = times[:-1], times[-1:]
    columns, _, rows = number.partition(".")
    if mark == "*":
        return [Cell(_read_cell(text))] * read_span(columns)
    return [Cell(_read_cell(text), read_span(columns), read_span(rows))]


def _divide(cells: Sequence[Cell], width: int) -> list[list[Cell]] | None:
    """Return the rows that cells fill one after the other; None if they do not fill one, or none begins in it."""
    rows: list[list[Cell]] = []
    taken: Counter[int] = Counter()  # columns of rows that cells of rows above take
    left = list(reversed(cells))
    while left:
        row, room = list[Cell](), width - taken[len(rows)]
        while left and room > 0:
            row.append(left.pop())
            room -= row[-1].columns
            for below in range(1, row[-1].rows):
                taken[len(rows) + below] += row[-1].columns
        if room != 0 or not row:
            return None
        rows.append(row)
    return rows


def _is_fence(line: str) -> bool:
    return bool(_FENCE.match(line) or _COMMENT_FENCE.match(line))


def _read_cell(text: str) -> str:
    return _translate_inline(text.strip().replace(" +\n", "\n").replace("\\|", "|"))


def _count_columns(attributes: str) -> int:
    """Return the number of columns that attributes name, 0 for none."""
    found = _COLUMNS.search(attributes)
    said = (found["double"] or found["single"] or found["plain"] or "").strip() if found else ""
    if not said or said.isdecimal():
        return int(said[:9] or 0)
    repeated = (_REPEATED.match(each.strip()) for each in re.split("[,;]", said))
    return sum(int(times[1]) if times else 1 for times in repeated)


def _translate_row(line: str) -> str:
    cells = [cell.strip() for cell in _CELL.split(line) if cell.strip()]
    return " | ".join(_translate_inline(cell) for cell in cells)


def _translate_inline(line: str) -> str:
    line = _ANCHOR.sub("", line)
    if "((" in line:
        line = _SHOWN_TERM.sub(r"\g<text>", _HIDDEN_TERM.sub("", line))
    if "`" in line:
        line = _CURVED.sub(r"\g<mark>\g<text>\g<mark>", line)
    if "{" in line:
        line = _CHARACTER.sub(lambda found: _CHARACTERS[found[1]], line)
    if "&" in line:
        line = ENTITY.sub(read_entity, line)
    if "image:" in line:
        line = _INLINE_PICTURE.sub(lambda found: _find_alternative(found["said"]), line)
    line = _LINK.sub(lambda found: found["text"] or found["named"] or found["target"], line)
    line = _URL.sub(lambda found: found["text"] or found["url"], line)
    return _INLINE_MACRO.sub(r"\g<text>", line)
