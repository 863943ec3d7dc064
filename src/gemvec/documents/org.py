"""Org as Markdown, line by line: `org_to_markdown`. Lines keep their numbers."""

from __future__ import annotations

import re

_HEADING = re.compile(
    r"^(?P<stars>\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)[ \t]+)?(?:\[#[A-Z]\][ \t]*)?"
    r"(?P<name>.*?)(?P<tags>[ \t]+:[\w@:]+:)?$"
)
_KEYWORD = re.compile(r"^\s*#\+(?P<name>\w+)(?:\[[^\]]*\])?:?(?:[ \t]+(?P<value>.*))?$")
_BEGIN = re.compile(r"^\s*#\+begin_(?P<kind>\w+)(?:[ \t]+(?P<said>\S+))?", re.IGNORECASE)
_DRAWER = re.compile(r"^\s*:[\w-]+:\s*$")
_PLANNING = re.compile(r"^\s*(?:SCHEDULED|DEADLINE|CLOSED|CLOCK):")
_RULE_OF_TABLE = re.compile(r"^\s*\|[-+]+\|\s*$")
_COMMENT = re.compile(r"^\s*#(?:\s|$)")
_RULE = re.compile(r"^\s*-{5,}\s*$")
# A line of an example: `: text`.
_LITERAL = re.compile(r"^(?P<indent>\s*):(?: (?P<text>.*))?$")
# A comma keeps a line of an example from being read as Org.
_ESCAPED = re.compile(r"^(\s*),(?=,*(?:\*|#\+))")
_LINK = re.compile(r"\[\[(?P<target>[^\[\]]+)\](?:\[(?P<text>[^\[\]]+)\])?\]")
_MARK = re.compile(
    r"(?<![^\s\-('\"{|])([~=])(?P<text>\S|\S[^\n]{0,500}?\S)\1(?=[\s\-.,;:!?'\")}\[|\\]|$)", re.MULTILINE
)
_MACRO = re.compile(r"\{\{\{[A-Za-z][\w-]*(?:\((?P<said>(?:[^)]|\)(?!\}\}\})){0,1000}+)\))?\}\}\}")
_SNIPPET = re.compile(r"@@[\w-]{1,50}:.*?@@")
_NOTE = re.compile(r"\[fn:[\w-]+\]")
# The start of a note inside the text; its end may be lines below.
_NOTE_INSIDE = re.compile(r"\[fn:[\w-]*:\s*")
_CODE, _UNREAD = frozenset({"src", "example", "export"}), frozenset({"comment"})
_MAX_LEVEL = 6


def org_to_markdown(text: str) -> tuple[str, str, dict[str, str]]:
    """Return the text as Markdown, each line where it was, the title, and other keywords of the file as metadata."""
    return _Translation().run(text.split("\n"))


class _Translation:
    """Goes through the lines once; `_block` is the kind of block that is open, `_is_drawer` whether a drawer is."""

    def __init__(self) -> None:
        self._block = ""
        self._is_drawer = False
        self._title = ""
        self._metadata: dict[str, str] = {}

    def run(self, lines: list[str]) -> tuple[str, str, dict[str, str]]:
        made: list[str] = []
        paragraph: list[str] = []  # links and the like may go over line ends
        for each in lines:
            was_code = self._block in _CODE
            line = self._translate(each.rstrip())
            if was_code or self._block in _CODE or not line.strip():
                made += [*_translate_paragraph(paragraph), line]
                paragraph = []
            else:
                paragraph.append(line)
        made += _translate_paragraph(paragraph)
        if self._block in _CODE:
            made.append("```")
        return "\n".join(made), self._title, self._metadata

    def _translate(self, line: str) -> str:
        if self._block:
            return self._translate_inside(line)
        if self._is_drawer:
            self._is_drawer = line.strip().upper() != ":END:"
            return ""
        if begin := _BEGIN.match(line):
            return self._open(begin)
        if _DRAWER.match(line):
            self._is_drawer = True
            return ""
        return self._translate_line(line)

    def _translate_inside(self, line: str) -> str:
        if re.match(rf"\s*#\+end_{self._block}\b", line, re.IGNORECASE):
            is_code, self._block = self._block in _CODE, ""
            return "```" if is_code else ""
        if self._block in _UNREAD:
            return ""
        return _ESCAPED.sub(r"\1", line) if self._block in _CODE else line

    def _open(self, begin: re.Match[str]) -> str:
        self._block = begin["kind"].lower()
        return f"```{begin['said'] or ''}" if self._block in _CODE else ""

    def _translate_line(self, line: str) -> str:
        if keyword := _KEYWORD.match(line):
            return self._read_keyword(keyword["name"].lower(), (keyword["value"] or "").strip())
        if heading := _HEADING.match(line):
            level = min(len(heading["stars"]), _MAX_LEVEL)
            return f"{'#' * level} {heading['name']}" if heading["name"] else ""
        if _COMMENT.match(line) or _PLANNING.match(line):
            return ""
        if literal := _LITERAL.match(line):
            return f"    {literal['indent']}{literal['text'] or ''}"
        if _RULE_OF_TABLE.match(line):
            return re.sub(r"\+", "|", line)
        return _RULE.sub("***", line)

    def _read_keyword(self, name: str, value: str) -> str:
        """Note what a keyword says about the file, and return what a reader sees of it: a caption."""
        if name == "title":
            self._title = f"{self._title} {value}".strip()
        elif name in {"author", "date", "language", "description", "filetags", "category"} and value:
            self._metadata[name] = value
        return value if name == "caption" else ""


def _translate_paragraph(lines: list[str]) -> list[str]:
    text = _LINK.sub(_read_link, "\n".join(lines))
    text = _SNIPPET.sub("", _MACRO.sub(_read_macro, text))
    text = _NOTE_INSIDE.sub(" [", _NOTE.sub("", text))
    return _MARK.sub(r"`\g<text>`", text).split("\n") if lines else []


def _read_link(found: re.Match[str]) -> str:
    """Return the text of a link, with as many line ends as it has."""
    shown = found["text"] or found["target"].lstrip("*#")
    return shown + "\n" * (found[0].count("\n") - shown.count("\n"))


def _read_macro(found: re.Match[str]) -> str:
    """Return what a macro is given, which nearly all of them show."""
    shown = (found["said"] or "").replace("\\,", ",")
    return shown + "\n" * (found[0].count("\n") - shown.count("\n"))
