"""Whether a passage is more than markup: `has_words`."""

from __future__ import annotations

import re

from gemvec.documents.document import DocumentFormat
from gemvec.documents.titles import HEADING

# Also the embedded files of Obsidian, `![[picture.png]]`.
_PICTURE = re.compile(r"!\[[^\[\]]*\](?:\([^()]*\)|\[[^\[\]]*\])|!\[\[[^\[\]]*\]\]")
_LINK = re.compile(r"\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_LINK_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+" + _LINK.pattern + r"\s*")
_DEFINITION = re.compile(r"^ {0,3}\[[^\[\]]+\]:[ \t]*\S+[^\n]*$", re.MULTILINE)
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|<!--[^>]*-->|https?://\S+")
_MAY_BE_MARKUP = re.compile(r"[\[<]|https?:")
_LETTER = re.compile(r"[^\W_]")
# This many links without a word between them are a list of links.
_MIN_LINKS = 3


def has_words(text: str, document_format: DocumentFormat) -> bool:
    """Whether a passage has anything to read: words that are not markup, an address, or part of a list of links."""
    if document_format == "code":  # of code everything is kept, also a line of brackets
        return bool(text)
    if document_format == "text" or not _MAY_BE_MARKUP.search(text):
        return _LETTER.search(text) is not None
    rest = _PICTURE.sub("", _MARKUP.sub("", _DEFINITION.sub("", text)))
    unlinked, links = _LINK.subn("", rest)
    if links < _MIN_LINKS and not _is_link_list(rest):
        return _LETTER.search(_LINK.sub(r"\1", rest)) is not None
    return any(_LETTER.search(line) for line in unlinked.split("\n") if not HEADING.match(line))


def _is_link_list(text: str) -> bool:
    """Whether all lines are headings, or items of a list that are each only a link."""
    lines = [line for line in text.split("\n") if line.strip() and not HEADING.match(line)]
    return bool(lines) and all(_LINK_ITEM.fullmatch(line) for line in lines)
