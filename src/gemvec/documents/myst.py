"""Directives of MyST in Markdown, which stand between the fences of code: `strip_directives`. Lines keep their numbers.

Notes, tabs, figures and the like hold prose, which is read as such; tables of contents and files brought in hold none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<rest>.*)")
_DIRECTIVE = re.compile(r"\{(?P<name>[A-Za-z][\w:+-]*)\}[ \t]*(?P<said>.*?)[ \t]*")
_QUOTED = re.compile(r"(?P<mark> {0,3}>[ \t]?)(?P<text>.*)")
_QUOTED_DIRECTIVE = re.compile(r"[> \t]*(?:`{3,}|~{3,})\{")
_MAX_QUOTES = 5
_OPTION = re.compile(r"[ \t]*:(?P<name>[\w-]+):(?:[ \t]+(?P<value>.*))?")
_RULE = re.compile(r"[ \t]*-{3,}[ \t]*")
# Directives whose name is a label of their content.
_SPOKEN = frozenset(
    {"note", "warning", "tip", "important", "caution", "danger", "attention", "hint", "error", "seealso", "todo"}
    | {"versionadded", "versionchanged", "versionremoved", "deprecated"}
)
# Others that hold prose, below a title that may stand beside their name.
_PROSE = frozenset(
    {"admonition", "topic", "sidebar", "margin", "aside", "dropdown", "details", "card", "grid", "grid-item", "div"}
    | {"grid-item-card", "tab-set", "tab-item", "tab", "tabbed", "panels", "table", "list-table", "glossary", "rubric"}
    | {"epigraph", "pull-quote", "highlights", "blockquote", "quote", "container", "centered", "compound", "exercise"}
    | {"solution", "exercise-start", "exercise-end", "solution-start", "solution-end", "question", "answer", "abstract"}
)
_PROSE_DOMAINS = ("prf:", "proof:")
# What stands beside their names is no title.
_UNTITLED = frozenset({"container", "div", "grid", "tab-set", "panels", "solution", "solution-start"})
_PICTURES = frozenset({"figure", "image", "figure-md", "subfigure"})
_CODE = frozenset({"code-block", "code", "sourcecode", "code-cell", "parsed-literal", "prompt"})
_UNREAD = frozenset(
    {"toctree", "tableofcontents", "contents", "index", "include", "literalinclude", "bibliography", "raw"}
    | {"autosummary", "highlight", "currentmodule", "meta"}
)
_MAX_OPTIONS = 50
# A role touches its text: a space behind its mark is that behind code which began on the line above.
_ROLE = re.compile(
    r"(?P<code>(?<!`)(?P<mark>`+)(?!`).+?(?<!`)(?P=mark)(?!`))"
    r"|(?<![\w$}\\])\{[A-Za-z][\w:+-]*\}`(?!\W?\s)[~!]?(?P<said>[^`\n<]+)(?:<[^`<>\n]*>)?`(?!`)"
)
_TARGET = re.compile(r"\([\w:. -]+\)=[ \t]*")


def has_directives(text: str) -> bool:
    """Whether a text may have directives, roles or targets."""
    return "}`" in text or "```{" in text or "~~~{" in text or ")=" in text


def strip_directives(lines: list[str], write_title: Callable[[str], str]) -> list[str]:
    """Return the lines with the prose of directives as prose, and their code as code.

    Args:
        lines: of Markdown.
        write_title: how the title of a note is written.
    """
    return _read_quotes(_Translation(lines, write_title).run(), write_title)


def _read_quotes(lines: list[str], write_title: Callable[[str], str], depth: int = 1) -> list[str]:
    """Return the lines with the directives in block quotes read in the same way; quotes may be in each other."""
    made, fence = list[str](), ""
    while len(made) < len(lines):
        place = len(made)
        found = None if fence else _QUOTED.fullmatch(lines[place])
        if found is None:
            fence = _follow(fence, lines[place])
            made.append(lines[place])
            continue
        below = (_QUOTED.fullmatch(lines[number]) for number in range(place, len(lines)))
        quoted = [each for each in takewhile(bool, below) if each]
        inside = [each["text"] for each in quoted]
        if depth < _MAX_QUOTES and any(map(_QUOTED_DIRECTIVE.match, inside)):
            read = _read_quotes(_Translation(inside, write_title).run(), write_title, depth + 1)
            made += [f"{each['mark']}{line}".rstrip() for each, line in zip(quoted, read, strict=True)]
        else:
            made += [each[0] for each in quoted]
    return made


def _follow(fence: str, line: str) -> str:
    """Return the fence of the code that goes on below a line; empty for none."""
    found = _FENCE.fullmatch(line)
    if found is None:
        return fence
    is_end = found["mark"].startswith(fence) and not found["rest"].strip()
    return ("" if is_end else fence) if fence else found["mark"]


class _Translation:
    """Goes through the lines once; `_open` has the fences of the directives of prose that the line is in."""

    def __init__(self, lines: list[str], write_title: Callable[[str], str]) -> None:
        self._lines = lines
        self._write_title = write_title
        self._made: list[str] = []
        self._open: list[str] = []
        self._fence = ""  # of code
        self._is_unread = False  # whether that is not read

    def run(self) -> list[str]:
        while len(self._made) < len(self._lines):
            line = self._lines[len(self._made)]
            found = _FENCE.fullmatch(line)
            if self._fence:
                is_end = found is not None and found["mark"].startswith(self._fence) and not found["rest"].strip()
                self._made.append("" if self._is_unread else line)
                self._fence = "" if is_end else self._fence
            elif found:
                self._read_fence(line, found)
            else:
                self._made.append(_read_line(line))
        return self._made

    def _read_fence(self, line: str, found: re.Match[str]) -> None:
        mark, rest = found["mark"], found["rest"].strip()
        if not rest and self._open and mark.startswith(self._open[-1]):
            self._open.pop()
            self._made.append("")
            return
        directive = _DIRECTIVE.fullmatch(rest)
        name, said = (directive["name"].lower(), directive["said"]) if directive else ("", "")
        if name in _SPOKEN or name in _PROSE or name in _PICTURES or name.startswith(_PROSE_DOMAINS):
            self._open.append(mark)
            place = len(self._made)
            self._made.append("")
            options = self._skip_options()
            title = options.get("alt", "") if name in _PICTURES else self._find_title(name, said)
            self._made[place] = found["indent"] + title if title else ""
            return
        self._fence, self._is_unread = mark, name in _UNREAD
        if name in _CODE:
            self._made.append(f"{found['indent']}{mark}{said}")
            self._skip_options()
        else:
            self._made.append("" if self._is_unread else line)

    def _find_title(self, name: str, said: str) -> str:
        if name not in _SPOKEN:
            return self._write_title("" if name in _UNTITLED else said)
        is_version = bool(said) and name.startswith(("version", "deprecated"))
        return self._write_title(f"{name.capitalize()}: {said}" if is_version else said or name.capitalize())

    def _skip_options(self) -> dict[str, str]:
        """Leave out the options below the name of a directive, and return them."""
        options: dict[str, str] = {}
        first = len(self._made)
        if first < len(self._lines) and _RULE.fullmatch(self._lines[first]):  # YAML between two rules
            below = self._lines[first + 1 : first + 1 + _MAX_OPTIONS]
            last = next((place for place, line in enumerate(below) if _RULE.fullmatch(line)), -1)
            if last >= 0 and not any(map(_FENCE.fullmatch, below[:last])):
                self._made += [""] * (last + 2)
            return options
        while len(self._made) < len(self._lines) and (found := _OPTION.fullmatch(self._lines[len(self._made)])):
            options[found["name"]] = found["value"] or ""
            self._made.append("")
        return options


def _read_line(line: str) -> str:
    if _TARGET.fullmatch(line):
        return ""
    if "}`" not in line:
        return line
    return _ROLE.sub(lambda found: found["code"] or found["said"].rstrip(), line)
