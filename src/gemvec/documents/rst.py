"""reStructuredText as Markdown, line by line: `rst_to_markdown`.

docutils would drop the content of every directive it does not know, which in Sphinx documentation is most of the text.
Lines keep their numbers.
"""

from __future__ import annotations

import re
from itertools import takewhile

from gemvec.documents.markdown_table import write_rows
from gemvec.documents.rst_tables import Rows, find_drawn_table, find_simple_end, read_csv_table, read_list_table

# Line of punctuation that underlines a heading.
_ADORNMENT = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
# Inline markup may go over the end of a line.
_ROLE = re.compile(r":[a-zA-Z][\w:+.-]*:`([^`<]+)(?:<[^`>]*>)?`")
_LINK = re.compile(r"(?<!`)`([^`<]+)<[^`>]*>`__?")
_REFERENCE = re.compile(r"(?<!`)`([^`]+)`__?(?!\w)")
_LITERAL = re.compile(r"(``.+?``(?!`))", re.DOTALL)
_ITEM = re.compile(r"(?:[-*+•]|#\.|\(?(?:\d+|[a-zA-Z])[.)])[ ]+")
_SUBSTITUTION = re.compile(r"^[ \t]*\.\.[ ]+\|(?P<name>[^|\n]+)\|[ ]+replace::(?P<text>.*)$")
_NAME = re.compile(r"``.+?``|\|(?P<name>[^|\s](?:[^|\n]*[^|\s])?)\|_{0,2}")
_TARGET = re.compile(r"^\.\.[ ]+(?:_[^:]+:|__:|__ )|^__[ ]")
_DIRECTIVE = re.compile(r"^\.\.[ ]+(?:\|[^|]+\|[ ]+)?(?P<name>[A-Za-z][\w:.+-]*?)::(?:[ ]+(?P<said>.*))?$")
_NOTE = re.compile(r"^\.\.[ ]+\[[^\]]+\][ ]")
_OPTION = re.compile(r"^\s*:[\w-]+:(?:\s+(?P<value>.*))?$")
_RULE_OF_TABLE = re.compile(r"^\s*(?:=+(?:\s+=+)+|\+(?:[-=]+\+)+)\s*$")
# Directives whose content is code, and those without text to read. Others of the same names describe objects of a
# domain, such as `py:class` and `rst:role`, and their content is text.
_CODE = frozenset({"code-block", "code", "sourcecode", "parsed-literal", "prompt", "ipython", "doctest", "testcode"})
_UNREAD = frozenset(
    {"toctree", "contents", "index", "highlight", "currentmodule", "include", "literalinclude", "raw", "meta"}
    | {"default-role", "role", "sectnum", "tabularcolumns", "graphviz", "digraph", "plot", "autosummary"}
    | {"program-output", "sectionauthor", "codeauthor"}
    | {"replace", "unicode", "date"}
)
_PICTURES = frozenset({"image", "figure"})
# Directives that are given a condition, or a class for style sheets, and no title.
_UNTITLED = frozenset({"only", "ifconfig", "container", "rst-class", "cssclass"})
_TABLES = {"list-table": read_list_table, "csv-table": read_csv_table}
# A longer drawn table is read line by line, so that text with many rules takes linear time.
_MAX_TABLE_LINES = 1_000
# A short text may become longer by so much where names stand for its words.
_MORE_CHARACTERS = 100_000
# Directives whose name is a label of their content; others only contain it.
_SPOKEN = frozenset(
    {"note", "warning", "tip", "important", "caution", "danger", "attention", "hint", "error", "seealso"}
    | {"versionadded", "versionchanged", "versionremoved", "deprecated"}
)


def rst_to_markdown(text: str) -> str:
    """Return the text as Markdown, each line where it was."""
    return _Translation(text.split("\n")).run()


class _Translation:
    """Goes through the lines once, block by block; lines indented below a line belong to it."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = [line.expandtabs(8).rstrip() for line in lines]
        self._made = [""] * len(self._lines)
        self._prose: set[int] = set()  # lines whose inline markup is still to be translated
        self._levels: dict[str, int] = {}
        self._substitutes: dict[str, str] = {}
        # Characters that may still be written for names: a long text, named very often, could fill the memory.
        self._room = _MORE_CHARACTERS + sum(map(len, lines))

    def run(self) -> str:
        self._find_substitutions()
        self._translate(0, len(self._lines), 0)
        self._translate_prose()
        return "\n".join(self._made)

    def _find_substitutions(self) -> None:
        """Note the texts that stand for names between bars (`.. |name| replace:: text`)."""
        last = 0
        for place, line in enumerate(self._lines):
            if place >= last and (found := _SUBSTITUTION.match(line)):
                first, last = self._find_block(place + 1, len(self._lines), _count_indent(line))
                more = (each.strip() for each in self._lines[first:last])
                self._substitutes[found["name"]] = " ".join(filter(None, [found["text"].strip(), *more]))

    def _read_inline(self, text: str) -> str:
        """Return text without inline markup, with what stands for names between bars in their places."""
        if self._substitutes and "|" in text:
            text = _NAME.sub(self._substitute, text)
        return _translate_inline(text)

    def _substitute(self, found: re.Match[str]) -> str:
        text = self._substitutes.get(found["name"] or "")
        if text is None or len(text) > self._room:
            return found[0]
        self._room -= len(text)
        return text

    def _translate(self, start: int, end: int, indent: int) -> None:
        """Translate lines that are indented by `indent` or more, as in lists, and remove that indentation."""
        place = start
        while place < end:
            line = self._lines[place][indent:]
            markup = line.lstrip()
            if markup.startswith((".. ", "__ ")) or markup == "..":
                place = self._translate_markup(place, end, _count_indent(self._lines[place]), markup)
            elif not indent and (after := self._translate_heading(place)):
                place = after
            elif line.endswith("::") and not markup.startswith(":"):
                place = self._translate_literal(place, end, indent, line)
            elif _RULE_OF_TABLE.match(line):
                place = self._translate_drawn_table(place, end, indent)
            else:
                self._write(place, line)
                place += 1

    def _translate_drawn_table(self, place: int, end: int, indent: int) -> int:
        """Write a table that is drawn with rules, and return the line after it; after the rule if it has no header."""
        if self._made[place - 1] and self._lines[place - 1]:  # text directly above: no table starts here
            return place + 1
        indent += _count_indent(self._lines[place][indent:])
        below = self._lines[place : min(end, place + _MAX_TABLE_LINES)]
        lines = [line[indent:] for line in takewhile(lambda line: not line or _count_indent(line) >= indent, below)]
        table = find_drawn_table(lines)
        if table and self._write_table(place + 1, place + table[0], table[1]):
            return place + table[0]
        size = find_simple_end(lines)
        for number, line in enumerate(lines[:size], start=place):  # none is a heading, whatever is below it
            self._write(number, line if line.strip("-= ") else "")
        return place + max(size, 1)

    def _write_table(self, first: int, last: int, rows: Rows) -> bool:
        """Write a table of Markdown at the start of some lines, so that the lines after it stay where they are.

        Return False, and write nothing, if it does not fit or if its header is empty or shorter than a row.
        """
        if not any(map(str.strip, rows[0])) or max(map(len, rows)) > len(rows[0]):
            return False
        written = write_rows(rows).split("\n")
        if len(written) > last - first:
            return False
        for place, line in enumerate(written, start=first):
            self._write(place, line)
        return True

    def _write(self, place: int, text: str) -> None:
        """Write a line of text."""
        self._made[place] = text
        if text:
            self._prose.add(place)

    def _translate_prose(self) -> None:
        """Translate the inline markup of paragraphs: runs of lines of text."""
        for first in [place for place in sorted(self._prose) if place - 1 not in self._prose]:
            last = first
            while last in self._prose:
                last += 1
            self._made[first:last] = self._read_inline("\n".join(self._made[first:last])).split("\n")

    def _translate_heading(self, place: int) -> int:
        """Write a heading if one starts at `place`; return the line after it, or 0."""
        lines = self._lines
        line, below = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
        if _ADORNMENT.match(line) and place + 2 < len(lines) and lines[place + 2] == line and below.strip():
            heading, mark, last = below.strip(), line[0] + "o", place + 2
            written = place + 1
        elif line[:1].strip() and not _ADORNMENT.match(line) and _ADORNMENT.match(below) and len(below) >= len(line):
            heading, mark, last = line, below[0], place + 1
            written = place
        else:
            return 0
        level = self._levels.setdefault(mark, min(len(self._levels) + 1, 6))
        self._made[written] = f"{'#' * level} {self._read_inline(heading)}"
        return last + 1

    def _translate_literal(self, place: int, end: int, indent: int, line: str) -> int:
        """Write a paragraph's last line that ends with two colons, and the code below it."""
        self._write(place, "" if line.strip() == "::" else line[:-1])
        item = _ITEM.match(line.lstrip())
        first, last = self._find_block(place + 1, end, indent + _count_indent(line) + (item.end() if item else 0))
        return self._write_code(first, last, fence=place + 1, language="", bound=end)

    def _translate_markup(self, place: int, end: int, indent: int, line: str) -> int:
        first, last = self._find_block(place + 1, end, indent)
        if _NOTE.match(line):
            self._write(place, _NOTE.sub("", line))
            self._translate(first, last, self._indent_of(first, last))
            return last
        directive = None if _TARGET.match(line) else _DIRECTIVE.match(line)
        if directive is None:  # a comment or a target
            return last
        if directive["name"] in _CODE:
            language = (directive["said"] or "").strip()
            return self._write_code(self._skip_options(first, last), last, fence=place, language=language, bound=end)
        self._translate_directive(directive, place, first, last)
        return last

    def _translate_directive(self, directive: re.Match[str], place: int, first: int, last: int) -> None:
        name, said = directive["name"], (directive["said"] or "").strip()
        options = self._skip_options(first, last)
        if name in _PICTURES:
            self._made[place] = self._find_option(first, options, "alt")
        elif name in _UNREAD or (name == "class" and options == last):
            return
        else:
            words = [name.capitalize()] if name in _SPOKEN else []
            self._write(place, ": ".join([*words, "" if name in _UNTITLED else said]).rstrip())
        rows = _TABLES[name](self._lines[first:last]) if name in _TABLES else None
        if rows and self._write_table(first, last, rows):
            return
        self._translate(options, last, self._indent_of(options, last))

    def _write_code(self, first: int, last: int, *, fence: int, language: str, bound: int) -> int:
        """Write lines as a fenced block; its fences replace blank lines, or share a line with code."""
        while first < last and not self._lines[first].strip():
            first += 1
        end = last
        while end > first and not self._lines[end - 1].strip():
            end -= 1
        if first >= end:
            return last
        indent = self._indent_of(first, end)
        self._made[first:end] = [line[indent:] for line in self._lines[first:end]]
        opening = min(first, fence)
        if opening < first:
            self._made[opening] = f"```{language}"
        else:
            self._made[first] = f"```{language}\n{self._made[first]}"
        if end < bound and not self._lines[end].strip():
            self._made[end] = "```"
            return max(last, end + 1)
        self._made[end - 1] += "\n```"
        return last

    def _find_block(self, start: int, end: int, indent: int) -> tuple[int, int]:
        """Return the lines from `start` on that are indented further than `indent`, blank ones between them too."""
        last = place = start
        while place < end:
            line = self._lines[place]
            if line.strip():
                if _count_indent(line) <= indent:
                    break
                last = place + 1
            place += 1
        return start, last

    def _indent_of(self, first: int, last: int) -> int:
        written = [line for line in self._lines[first:last] if line.strip()]
        return min(map(_count_indent, written), default=0)

    def _skip_options(self, first: int, last: int) -> int:
        while first < last and _OPTION.match(self._lines[first]):
            first += 1
        return first

    def _find_option(self, first: int, last: int, name: str) -> str:
        for line in self._lines[first:last]:
            found = _OPTION.match(line)
            if found and line.strip().startswith(f":{name}:"):
                return found["value"] or ""
        return ""


def _count_indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _translate_inline(text: str) -> str:
    parts = _LITERAL.split(text)
    for place in range(0, len(parts), 2):
        for markup in (_ROLE, _LINK, _REFERENCE):
            parts[place] = markup.sub(_read_inline, parts[place])
    return "".join(parts).replace("``", "`")


def _read_inline(found: re.Match[str]) -> str:
    """Return the words of inline markup, and as many line ends as it had."""
    words = found[1].rstrip()
    return words + "\n" * (found[0].count("\n") - words.count("\n"))
