"""Text of Word documents that mammoth leaves out, or fails at, in a form that it reads: `open_markup`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from xml.sax.saxutils import escape

# Elements around text: fields whose value is saved, and text whose direction is set.
_AROUND = re.compile(rb"</?w:(?:fldSimple|bdo|dir)(?:\s[^<>]*)?>")
# How the words below it are read, and what is around the words.
_READING = re.compile(rb"<w:(rt|rubyPr)(?:\s[^<>]*)?(?<!/)>[^<]*+(?:<(?!/?w:\1[\s>])[^<]*+)*+</w:\1>")
_RUBY = re.compile(rb"</?w:(?:ruby|rubyBase)(?:\s[^<>]*)?>")
_LINK = re.compile(rb"""(?P<start><w:hyperlink\b[^<>]*?)\sr:id=(?P<mark>["'])(?P<id>[^"'<>]*)(?P=mark)""")

# A run that holds no others, how it looks, and what hides it; without an end, it goes up to the next one.
_RUN = re.compile(
    rb"<w:r(?:\s[^<>]*+)?>\s*+<w:rPr>(?P<look>[^<]*+(?:<(?!/?w:r(?:Pr)?[\s>])[^<]*+)*+)</w:rPr>"
    rb"(?P<held>[^<]*+(?:<(?!/?w:r[\s>])[^<]*+)*+)</w:r>"
)
_HIDING = re.compile(rb"""<w:vanish(?!\w)(?![^<>]*?w:val=["'](?:0|false|off)["'])""")
_FIELD = (b"<w:fldChar", b"<w:instrText")

# A drawing that holds none: one with a text box may hold others.
_DRAWING = re.compile(rb"<w:drawing(?:\s[^<>]*)?>[^<]*+(?:<(?!/?w:drawing[\s>])[^<]*+)*+</w:drawing>")
_MARK = re.compile(rb"""<(?:c:chart|dgm:relIds)\b[^<>]*?\sr:(?:id|dm)=["']([^"'<>]*)""")
# A text box is written once more for older programs; more often, the words of a small file could fill the memory.
_MAX_TIMES = 2


def find_drawings(text: bytes) -> set[str]:
    """Return the ids of the charts and diagrams in the text of a Word document, as XML."""
    return {found[1].decode(errors="replace") for found in _MARK.finditer(text)}


def write_drawings(text: bytes, words: Mapping[str, str]) -> bytes:
    """Return the text with the words of charts and diagrams, by id, in their places."""
    times: Counter[str] = Counter()

    def write(found: re.Match[bytes]) -> bytes:
        marks = [each[1].decode(errors="replace") for each in _MARK.finditer(found[0])]
        times.update(marks)
        shown = [words[mark] for mark in marks if mark in words and times[mark] <= _MAX_TIMES]
        lines = [line for each in shown for line in each.split("\n")]
        written = "<w:br/>".join(f"<w:t>{escape(line)}</w:t>" for line in lines if line)
        return written.encode() or found[0]

    return _DRAWING.sub(write, text) if words else text


def open_markup(text: bytes, targets: Collection[str]) -> bytes:
    """Return the text of a Word document, as XML, with all words that a reader sees where mammoth finds them.

    Args:
        text: the XML.
        targets: ids of what the document refers to; a link to anything else has none.
    """
    if b"<w:ruby" in text:
        text = _RUBY.sub(b"", _READING.sub(b"", text))
    if b"<w:vanish" in text:
        text = _RUN.sub(_read_run, text)
    text = _AROUND.sub(b"", text).replace(b"<w:cr/>", b"<w:br/>")
    known = frozenset(each.encode() for each in targets)
    return _LINK.sub(lambda found: found[0] if found["id"] in known else found["start"], text)


def _read_run(found: re.Match[bytes]) -> bytes:
    """Return a run, or nothing for one that a reader does not see; marks of fields stay."""
    is_hidden = _HIDING.search(found["look"]) and not any(mark in found["held"] for mark in _FIELD)
    return b"" if is_hidden else found[0]
