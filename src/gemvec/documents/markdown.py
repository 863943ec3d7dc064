"""Markdown that contains HTML, turned into plain Markdown: `html_to_markdown`; and its first heading: `find_title`."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache, partial

from gemvec.documents.blocks import find_blocks, find_lines
from gemvec.documents.entities import ENTITY, raise_number, read_entity
from gemvec.documents.html import read_page
from gemvec.documents.site_markup import shown_values

# A text with this share of HTML lines is a web page that is only called Markdown.
_PAGE_SHARE = 0.5
# Characters of a block of HTML that may come again in other pages of a site, such as one that opens a note.
_SHORT_BLOCK = 300
_INLINE_TAG = re.compile(
    r"</?(?P<name>a|abbr|acronym|b|bdi|bdo|big|blockquote|br|caption|center|cite|code|col|colgroup|dd|del|details|dfn|div|dl"
    r"|dt|em|figcaption|figure|font|h[1-6]|hr|i|img|ins|kbd|li|mark|nobr|ol|p|picture|pre|q|rb|rp|rt|ruby|s|samp|small"
    r"|source|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|var|wbr)"
    r"(?:\s(?:=\s*\"[^\"]*\"|=\s*'[^']*'|[^<>])*+)?/?>|<!--.*?-->",
    re.IGNORECASE,
)
_RAISED = re.compile(r"<sup\b[^<>]*>(?P<text>[^<]{1,8})</sup>", re.IGNORECASE)
# How words above it are read.
_READING = re.compile(r"<(?P<name>rt|rp)\b[^<>]*>[^<]*(?:</(?P=name)>)?", re.IGNORECASE)
# Tags between words that a reader sees apart.
_APART = frozenset(
    {"blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6"}
    | {"hr", "li", "ol", "p", "pre", "summary", "table", "td", "th", "tr", "ul"}
)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)")
_ANY_TAG = re.compile(r"<[!/a-zA-Z]")
# In text that came from HTML, where a reader sees what looks like a tag or an entity; and back.
_SEEN = str.maketrans({"<": "\ufdd0", "&": "\ufdd1"})
_AS_SEEN = str.maketrans({"\ufdd0": "<", "\ufdd1": "&"})
# What would mean something else in Markdown: a mark where a line starts, and the end of a table's cell.
_MARKS = frozenset("#>-+*=`~<&|_:")


def html_to_markdown(text: str) -> tuple[str, bool]:
    """Return `text` with its HTML as Markdown, and whether its lines have kept their numbers."""
    if not _ANY_TAG.search(text) and not ENTITY.search(text):
        return text, True
    lines = text.split("\n")
    html, prose = find_lines(text)
    spans = _close_code(html, lines)
    written = sum(bool(line.strip()) for line in lines)
    in_html = sum(bool(line.strip()) for start, end in spans for line in lines[start:end])
    if in_html > _PAGE_SHARE * written:
        return read_page(text).text, False
    has_numbers = True
    for start, end in reversed(spans):
        made = _read_block("\n".join(lines[start:end])).translate(_SEEN).split("\n")
        has_numbers = has_numbers and len(made) <= end - start
        lines[start:end] = made + [""] * (end - start - len(made))
    if not has_numbers or spans != html:
        lines = "\n".join(lines).split("\n")  # as Markdown that came from HTML makes them
        prose = find_lines("\n".join(lines)).prose
    for place in prose:
        lines[place] = strip_tags(lines[place])
    made = "\n".join(lines)
    return made.translate(_AS_SEEN) if spans else made, has_numbers


def _read_block(block: str) -> str:
    return _read_short_block(block) if len(block) <= _SHORT_BLOCK else read_page(block).text


@lru_cache(maxsize=256)
def _read_short_block(block: str) -> str:
    return read_page(block).text


def _close_code(spans: list[tuple[int, int]], lines: list[str]) -> list[tuple[int, int]]:
    """Return blocks of HTML with the rest of their code, which a blank line would end in Markdown."""
    ends = [place for place, line in enumerate(lines) if "</pre>" in line]
    closed: list[tuple[int, int]] = []
    for start, found in spans:
        end = found
        if closed and start < closed[-1][1]:
            continue
        block = "\n".join(lines[start:end])
        if block.rfind("<pre") > block.rfind("</pre>") and (below := bisect_left(ends, end)) < len(ends):
            end = ends[below] + 1
            while end < len(lines) and lines[end].strip():
                end += 1
        closed.append((start, end))
    return closed


_MODULE_LINE = re.compile(r"^(?:import|export)\b.*(?:from\s+[\"'].*|[\"'];?|[={(].*)$")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})")
_IMPORT = re.compile(r"^import\s+(?P<names>[\w*{}\s,$]{1,500}?)\s+from\s+[\"'][^\"'\n]+[\"']", re.MULTILINE)
# Code in a line, which stays; components of MDX, comments, and expressions that are a line by themselves.
_COMPONENT = re.compile(
    r"(?P<mark>`+)(?!`)[^\n]+?(?<!`)(?P=mark)(?!`)|(?P<tag></?[A-Z][\w.]*(?:\s(?:\{(?:[^{}]|\{[^{}]*\})*+\}|=>|[^<>{}])*+)?>)|\{/\*.*?\*/\}|^\{[^{}\n]*\}$",
    re.DOTALL | re.MULTILINE,
)


def is_mdx(text: str) -> bool:
    """Whether Markdown uses components that it imports, as it does where a generator of sites reads it as MDX."""
    names = (name for found in _IMPORT.finditer(text) for name in re.findall(r"\b[A-Z]\w*", found["names"]))
    return any(f"<{name}" in text for name in names)


def mdx_to_markdown(text: str) -> str:
    """Return MDX as Markdown, each line where it was: without imports, exports, components and expressions.

    Titles and labels of components stay.
    """
    made, prose, fence = list[str](), list[str](), ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if not fence and not found:
            prose.append(line)
            continue
        made += [*_strip_program(prose), line]
        prose = []
        if found and (not fence or found[1].startswith(fence)):
            fence = "" if fence else found[1]
    return "\n".join([*made, *_strip_program(prose)])


def _strip_program(lines: list[str]) -> list[str]:
    is_open, is_start, kept = False, True, list[str]()
    for line in lines:
        # A block of imports and exports ends at the next blank line.
        is_open = bool(line.strip()) and (is_open or (is_start and bool(_MODULE_LINE.match(line))))
        is_start = not line.strip() or line == "---"  # also below front matter
        kept.append("" if is_open else line)
    text = _COMPONENT.sub(_read_component, "\n".join(kept))
    return text.split("\n") if lines else []


def _read_component(found: re.Match[str]) -> str:
    if found["mark"]:
        return found[0]
    shown = shown_values(found[0]) if found["tag"] else ""
    title = f"**{shown}** " if shown else ""
    return title + "\n" * (found[0].count("\n") - title.count("\n"))


def strip_tags(line: str) -> str:
    """Return a line of prose without inline HTML and entities; code between backticks stays."""
    if "<" not in line and "&" not in line:
        return line
    line = _READING.sub("", line) if "<ruby" in line else line
    made, end = list[str](), 0
    for code in _CODE_SPAN.finditer(line):
        made += [_read_markup(line[end : code.start()], is_start=not end), code[0]]
        end = code.end()
    return "".join([*made, _read_markup(line[end:], is_start=not end)])


def _read_markup(text: str, *, is_start: bool) -> str:
    if "<" in text:
        text = _RAISED.sub(lambda found: raise_number(found["text"]), text) if "<sup" in text else text
        text = _INLINE_TAG.sub(_read_tag, text)
    return ENTITY.sub(partial(_read_entity, is_start=is_start), text) if "&" in text else text


def _read_entity(found: re.Match[str], *, is_start: bool) -> str:
    """Return the character that an entity is, escaped where it would be a mark of Markdown."""
    character = read_entity(found)
    is_first = is_start and not found.string[: found.start()].strip(" \t>*+-#0123456789.)")
    return f"\\{character}" if character == "|" or (is_first and character in _MARKS) else character


def _read_tag(found: re.Match[str]) -> str:
    is_apart = (found["name"] or "").lower() in _APART
    beside = found.string[max(found.start() - 1, 0) : found.start()], found.string[found.end() : found.end() + 1]
    return " " if is_apart and not any(each in {"", " "} for each in beside) else ""


def find_title(text: str) -> str:
    """Return the first heading of the first level; empty when there is none."""
    return next((name for block in find_blocks(text) if block.level == 1 and (name := block.headings[-1])), "")
