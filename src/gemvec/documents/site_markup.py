"""What makers of web sites add to Markdown, as plain Markdown: `strip_site_markup`. Lines keep their numbers.

Attributes of headings and blocks (`{#id}`, `{: .wide}`), tags of templates (`{% if %}`, `{{< figure >}}`) and the marks
of notes and tabs (`:::tip`, `/// note`, `!!! note`, `=== "Linux"`, and those of `myst.py`) are no text. Titles in them
are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gemvec.documents.myst import has_directives, strip_directives

_ANY = re.compile(r"\{[%{#:.*< \w-]|^[ \t]*(?:!!!|\?\?\?|===|:::|///|--8<--|\[TOC\])", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
# One or more of `#id`, `.class`, `name=value`, as kramdown, Pandoc and Python-Markdown write them.
_VALUE = r"(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s{}\"']++)"
_ATTRIBUTES = rf"\{{:?[ \t]*+(?:(?:[#.][^\s{{}}.#\"'=]++|[\w:-]+={_VALUE}|data-[\w-]++|toc|-)[ \t]*+)++\}}"
_ATTRIBUTE_LINE = re.compile(rf"[ \t]*{_ATTRIBUTES}[ \t]*")
_HEADING_ATTRIBUTES = re.compile(rf"(?:[ \t]+|(?=\{{[#:])){_ATTRIBUTES}(?=[ \t]*#*[ \t]*$)")
# Lines that bring in another file or a table of contents.
_INCLUDE = re.compile(r"[ \t]*(?:\{\*.*\*\}|-{1,}8<-{1,}.*|\[\[?TOC\]?\]|\{:toc\})[ \t]*", re.IGNORECASE)
# Notes and tabs whose content is indented, as Python-Markdown has them.
_INDENTED = re.compile(
    r"(?P<indent>[ \t]*)(?:(?:!!!|\?\?\?\+?)[ \t]+(?P<kind>[\w-]+)(?:[ \t]+[\w-]+)*(?:[ \t]+\"(?P<title>[^\"]*)\")?"
    r"|===[!+]*[ \t]+\"(?P<tab>[^\"]*)\")[ \t]*(?:\{[^{}]*\})?[ \t]*"
)
_INDENT = 4
# Blocks between two lines of marks: `:::note Title`, `::: {.wide}`, `/// note | Title`.
_MARKED = re.compile(
    r"[ \t]*(?::{3,}[ \t]*(?:(?P<kind>\{?[\w-]+\}?)(?=[\s\[{]|$))?(?P<said>(?:[^:]|:(?!::))*?)(?P<end>:{3,})?"
    r"|/{3,}(?:[ \t]*(?P<name>[\w-]+)[ \t]*(?:\|(?P<title>.*))?)?)[ \t]*"
)
_OPTION = re.compile(r"[ \t]*:[\w-]+:(?:[ \t].*)?")
_KINDS = frozenset({"note", "info", "tip", "hint", "important", "warning", "caution", "danger", "attention", "error"})
_TITLE = re.compile(r"\[(?P<text>[^\[\]]*)\]")
# What readers see of the parameters of a tag or component.
_SHOWN = re.compile(
    r"(?<![\w-])(?:title|text|caption|label|summary|description|heading|header|figcaption)="
    r"(?:\"(?P<double>[^\"{}]*)\"|'(?P<single>[^'{}]*)')"
)
# The words that a page gives to a note that it includes, as themes of Jekyll have them.
_INCLUDED = re.compile(r"(?<![\w-])content[ \t\n]*=[ \t\n]*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')")
_LIQUID = r"\{%[-~+]?(?P<liquid>(?:[^%{]|%(?!\})|\{(?!%))*+)%\}"
_SHORTCODE = r"\{\{[<%](?!/\*)(?P<shortcode>(?:[^>%{]|[>%](?!\}\})|\{(?!\{[<%]))*+)[>%]\}\}"
_CODE_SPAN = r"(?<!`)(?P<mark>`+)(?!`).+?(?<!`)(?P=mark)(?!`)"
_SPAN_ATTRIBUTES = re.compile(rf"(?P<code>{_CODE_SPAN})(?:{_ATTRIBUTES})?|(?<=[)\]]){_ATTRIBUTES}")
_TAG = re.compile(f"{_LIQUID}|{_SHORTCODE}", re.DOTALL)
_TAG_OR_CODE = re.compile(f"{_CODE_SPAN}|{_LIQUID}|{_SHORTCODE}", re.DOTALL)
# Pairs of tags around code, and around what is not shown.
_CODE_TAG = re.compile(
    r"[ \t]*(?:\{%-?[ \t]*|\{\{[<%][ \t]*)(?P<name>highlight|codeblock|code-toggle|comment)\b"
    r"[ \t]*(?P<language>[\w+#-]*)(?P<rest>[^%>]*)[%>]\}\}?[ \t]*"
)
_QUOTED = re.compile(r"(?<![=\w])[\"“](?P<text>[^\"”/]*\w[^\"”/]*)[\"”]")
_MAX_TAG_LINES = 20


def strip_site_markup(text: str, *, is_template: bool) -> str:
    """Return Markdown without what a generator of sites would read.

    Args:
        text: the Markdown.
        is_template: whether tags of templates are read in it, and not shown, wherever they are; otherwise only those on
            lines of their own are taken for tags.
    """
    if has_directives(text):
        text = "\n".join(strip_directives(text.split("\n"), _write_title))
    if not _ANY.search(text):
        return text
    return "\n".join(_Translation(text.split("\n"), is_template=is_template).run())


def strip_template_tags(text: str) -> str:
    """Return a page without tags of templates; what they show stays."""
    return _TAG.sub(_read_tag, text)


def shown_values(markup: str) -> str:
    """Return what readers see of the parameters of a tag or component, such as its title."""
    return " ".join(found["double"] or found["single"] or "" for found in _SHOWN.finditer(markup)).strip()


class _Translation:
    """Goes through the lines once; `_indents` are the indents of the notes and tabs that the line is in."""

    def __init__(self, lines: list[str], *, is_template: bool) -> None:
        self._lines = lines
        self._is_template = is_template
        self._indents: list[int] = []
        self._fence = ""
        self._is_below_mark = False

    def run(self) -> list[str]:
        self._code_tags()
        made: list[str] = []
        paragraph: list[str] = []
        for place, written in enumerate(self._lines):
            line = self._dedent(written)
            if self._is_code(line):
                made += [*self._strip_tags(paragraph), line]
                paragraph = []
                continue
            read = self._translate(place, line)
            if read.strip():
                paragraph.append(read)
                continue
            made += [*self._strip_tags(paragraph), read]
            paragraph = []
        return [*made, *self._strip_tags(paragraph)]

    def _code_tags(self) -> None:
        """Write fences for the tags around code, and leave out comments: only where both tags are there."""
        opened, found = 0, None
        fence = ""
        for place, line in enumerate(self._lines):
            fence = follow_fence(fence, line) if found is None else fence
            if found is None and not fence and (start := _CODE_TAG.fullmatch(line)) and "/" not in start["rest"]:
                opened, found = place, start
            elif found is not None and _is_end(line, found["name"]):
                self._write_code(opened, place, found)
                found = None

    def _write_code(self, opened: int, closed: int, tag: re.Match[str]) -> None:
        inside = self._lines[opened + 1 : closed]
        if tag["name"] == "comment":
            self._lines[opened : closed + 1] = [""] * (closed + 1 - opened)
        elif not any(map(_FENCE.match, inside)):
            self._lines[opened] = f"```{tag['language'] if tag['name'] != 'code-toggle' else ''}"
            self._lines[closed] = "```"

    def _dedent(self, line: str) -> str:
        if not self._indents or not line.strip():
            return line
        indent = _count_indent(line)
        while self._indents and indent < self._indents[-1] + _INDENT:
            self._indents.pop()
            self._fence = ""
        return line.expandtabs(_INDENT)[_INDENT * len(self._indents) :] if self._indents else line

    def _is_code(self, line: str) -> bool:
        """Whether a line is one of a fenced block, its fences included."""
        was_open = bool(self._fence)
        self._fence = follow_fence(self._fence, line)
        return was_open or bool(self._fence)

    def _translate(self, place: int, line: str) -> str:
        is_below_mark, self._is_below_mark = self._is_below_mark, False
        start = line.lstrip()[:3]
        if start in {"!!!", "???", "==="} and (found := _INDENTED.fullmatch(line)) and self._has_content(place):
            self._indents.append(_count_indent(self._lines[place]))
            title = found["tab"] if found["tab"] is not None else found["title"]
            return found["indent"] + _write_title(found["kind"].title() if title is None else title)
        if start in {":::", "///"} and (found := _MARKED.fullmatch(line)):
            self._is_below_mark = True
            return _read_mark(found)
        if is_below_mark and _OPTION.fullmatch(line):
            self._is_below_mark = True
            return ""
        if _INCLUDE.fullmatch(line) or _ATTRIBUTE_LINE.fullmatch(line):
            return ""
        if "{" not in line:
            return line
        if _HEADING.match(line) or self._is_above_rule(place):
            line = _HEADING_ATTRIBUTES.sub("", line)
        return _SPAN_ATTRIBUTES.sub(lambda found: found["code"] or "", line)

    def _is_above_rule(self, place: int) -> bool:
        """Whether the next line makes a heading of this one."""
        below = self._lines[place + 1].strip() if place + 1 < len(self._lines) else ""
        return bool(below) and not below.strip(below[0]) and below[0] in "=-"

    def _has_content(self, place: int) -> bool:
        """Whether the next line with text is indented more."""
        indent = _count_indent(self._lines[place])
        below = next((line for line in self._lines[place + 1 : place + 1 + _MAX_TAG_LINES] if line.strip()), "")
        return bool(below) and _count_indent(below) >= indent + _INDENT

    def _strip_tags(self, lines: Sequence[str]) -> list[str]:
        """Return the lines of a paragraph without tags of templates."""
        text = "\n".join(lines)
        if not lines or ("{%" not in text and "{{" not in text):
            return list(lines)
        if self._is_template:
            return _fill_html(lines, _TAG_OR_CODE.sub(_read_tag, text).split("\n"))
        return [line if _TAG.sub("", line).strip() else _TAG.sub(_read_tag, line) for line in lines]


def _fill_html(written: Sequence[str], read: list[str]) -> list[str]:
    """Put comments in place of lines that were only tags, where a blank line would end the HTML around them."""
    for place, (before, after) in enumerate(zip(written, read, strict=True)):
        beside = [*written[max(place - 1, 0) : place], *written[place + 1 : place + 2]]
        if before.strip() and not after.strip() and any(line.lstrip().startswith("<") for line in beside):
            read[place] = "<!-- -->"
    return read


def follow_fence(fence: str, line: str) -> str:
    """Return the fence of the code that goes on below a line; empty for none."""
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    return "" if found[1].startswith(fence) and not line.strip().strip(fence[0]) else fence


def _count_indent(line: str) -> int:
    line = line.expandtabs(_INDENT)
    return len(line) - len(line.lstrip(" "))


def _is_end(line: str, name: str) -> bool:
    tag = "".join(line.split()).replace("-%}", "%}").replace("{%-", "{%")
    return tag in {f"{{%end{name}%}}", f"{{{{</{name}>}}}}", f"{{{{%/{name}%}}}}"}


def _write_title(title: str) -> str:
    title = title.strip()
    return f"**{title}**" if title else ""


def _read_mark(found: re.Match[str]) -> str:
    """Return the title of a note or tab, or what kind of note it is."""
    if found["end"] is not None and not (found["kind"] or found["said"].strip()):
        return ""
    kind = (found["kind"] or found["name"] or "").strip("{}").lower()
    said = (found["title"] if found["name"] else found["said"]) or ""
    if bracketed := _TITLE.search(said):
        return _write_title(bracketed["text"])
    if shown := shown_values(said):
        return _write_title(shown)
    plain = re.sub(r"\{[^{}]*\}", "", said)
    return _write_title("" if "=" in plain or "{" in plain else plain) or _write_title(
        kind.title() if kind in _KINDS else ""
    )


def _read_tag(found: re.Match[str]) -> str:
    """Return what is seen of a tag, with as many line ends as it has."""
    if (tag := found["liquid"] if found["liquid"] is not None else found["shortcode"]) is None:
        return found[0]  # code
    shown = shown_values(tag)
    if not shown and not tag.lstrip().startswith("/"):
        name, _, rest = tag.strip().partition(" ")
        if name == "include" and (content := _INCLUDED.search(rest)):
            shown = (content["double"] or content["single"] or "").strip()
        elif name == "data":  # a word of the sentence, of which only the name is here
            shown = rest.strip()
        elif found["shortcode"] is not None and "ref" not in name and "include" not in name:
            shown = " ".join(each["text"] for each in _QUOTED.finditer(rest))
    return shown + "\n" * (found[0].count("\n") - shown.count("\n"))
