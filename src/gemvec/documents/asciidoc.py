"""AsciiDoc as Markdown, line by line: `asciidoc_to_markdown`. Lines keep their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gemvec.documents.markdown_table import write_rows

_HEADING = re.compile(r"^(={1,6}|#{1,6})[ \t]+(?P<name>\S.*?)(?:[ \t]+=+)?$")
_FENCE = re.compile(r"^(-{4,}|\.{4,}|`{3,}\w*)$")
_COMMENT_FENCE = re.compile(r"^/{4,}$")
# Example, sidebar, quote, open and pass blocks: only their content counts.
_FRAME = re.compile(r"^(={4,}|\*{4,}|_{4,}|--|\+{4,})$")
_TABLE = re.compile(r"^[|,:!]={3,}$")
_ATTRIBUTE = re.compile(r"^:!?[\w-]+!?:(?:[ \t].*)?$")
_BLOCK_ATTRIBUTES = re.compile(r"^\[(?P<said>[^\]]*)\]$")
_LANGUAGE = re.compile(r"^(?:source|,)[^,]*,\s*([\w+#-]+)")
_BLOCK_TITLE = re.compile(r"^\.(?P<name>[^\s.].*)$")
_BLOCK_MACRO = re.compile(r"^(?:include|toc|ifdef|ifndef|ifeval|endif|image|video|audio)::")
_LIST = re.compile(r"^(?P<marks>\*{1,5}|-|\.{1,5})[ \t]+(?=\S)")
_ANCHOR = re.compile(r"\[\[[^\]]*\]\]|\[#[\w-]+\]|anchor:[\w-]+\[\]")
_LINK = re.compile(
    r"(?:link:|xref:|mailto:|<<)(?P<target>[^\[\]<>,\s]+)(?:\[(?P<text>[^\]]*)\]|(?:,(?P<named>[^<>]*))?>>)"
)
_URL = re.compile(r"(?P<url>https?://[^\s\[\]]+)\[(?P<text>[^\],^]*)[^\]]*\]")
_INLINE_MACRO = re.compile(r"\b(?:kbd|btn|menu|footnote|pass|icon):[^\s\[\]]*\[(?P<text>[^\]]*)\]")
_COLUMNS = re.compile(r'cols\s*=\s*(?:"(?P<quoted>[^"]+)"|(?P<plain>[^,\]]+))')
_LINE_BREAK = re.compile(r" \+$", re.MULTILINE)
_REPEATED = re.compile(r"(\d+)\*")
_HEADER = re.compile(r"(?<!no)header")
_CELL = re.compile(r"(?:^|\s)(?:\d*[.\d]*[+*]?[<^>]?(?:\.[<^>])?[aehlmsv]?)?\|", re.MULTILINE)


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

    def run(self) -> str:
        made = list[str]()
        opened = 0
        for place, line in enumerate(self._lines):
            was_table = self._is_table
            made.append(self._translate(line))
            if self._is_table and not was_table:
                opened = place
            elif was_table and not self._is_table:
                attributes = self._lines[opened - 1] if opened else ""
                made[opened + 1 : place] = _translate_table(self._lines[opened + 1 : place], attributes)
        if self._fence and not self._is_comment:
            made.append("```")
        return "\n".join(made)

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
        if attributes := _BLOCK_ATTRIBUTES.match(line):
            found = _LANGUAGE.match(attributes["said"])
            self._language = found[1] if found else ""
            return ""
        if _is_unread(line):
            return ""
        if heading := _HEADING.match(line):
            return f"{'#' * len(heading[1])} {_translate_inline(heading['name']).strip()}"
        if title := _BLOCK_TITLE.match(line):
            return f"{_translate_inline(title['name'])}:"
        return _translate_inline(_LIST.sub(_translate_mark, line))


def _is_unread(line: str) -> bool:
    return line.startswith("//") or line == "+" or any(each.match(line) for each in (_ATTRIBUTE, _BLOCK_MACRO, _FRAME))


def _translate_mark(found: re.Match[str]) -> str:
    marks = found["marks"]
    return "  " * (len(marks) - 1) + ("1. " if marks[0] == "." else "- ")


def _translate_table(lines: Sequence[str], attributes: str) -> list[str]:
    """Return as many lines: a table of Markdown and blank ones if it has a header, else row by row."""
    said = attributes if _BLOCK_ATTRIBUTES.match(attributes) else ""
    is_first_apart = len(lines) > 1 and bool(lines[0]) and not lines[1]
    has_header = bool(_HEADER.search(said)) or (is_first_apart and "noheader" not in said)
    first = next(filter(None, lines), "")
    text = _LINE_BREAK.sub("", "\n".join(map(_translate_inline, lines)))
    cells = [cell.strip() for cell in _CELL.split(text)[1:]]
    width = _count_columns(said) or len(_CELL.split(first)) - 1
    if not has_header or not width or len(cells) % width:
        return [_translate_row(line) for line in lines]
    written = write_rows([cells[start : start + width] for start in range(0, len(cells), width)]).split("\n")
    if len(written) > len(lines):
        return [_translate_row(line) for line in lines]
    return written + [""] * (len(lines) - len(written))


def _count_columns(attributes: str) -> int:
    """Return the number of columns that attributes name, 0 for none."""
    found = _COLUMNS.search(attributes)
    specifications = re.split("[,;]", found["quoted"] or found["plain"]) if found else []
    repeated = (_REPEATED.match(each.strip()) for each in specifications)
    return sum(int(times[1]) if times else 1 for times in repeated)


def _translate_row(line: str) -> str:
    cells = [cell.strip() for cell in _CELL.split(line) if cell.strip()]
    return " | ".join(_translate_inline(cell) for cell in cells)


def _translate_inline(line: str) -> str:
    line = _ANCHOR.sub("", line)
    line = _LINK.sub(lambda found: found["text"] or found["named"] or found["target"], line)
    line = _URL.sub(lambda found: found["text"] or found["url"], line)
    return _INLINE_MACRO.sub(r"\g<text>", line)
