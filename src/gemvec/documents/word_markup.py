"""Text of Word documents that mammoth leaves out, or fails at, in a form that it reads: `open_markup`."""

from __future__ import annotations

import re
from collections.abc import Collection

# Elements around text: fields whose value is saved, and text whose direction is set.
_AROUND = re.compile(rb"</?w:(?:fldSimple|bdo|dir)(?:\s[^>]*)?>")
# How the words below it are read, and what is around the words.
_READING = re.compile(rb"<w:(rt|rubyPr)(?:\s[^>]*)?(?<!/)>.*?</w:\1>", re.DOTALL)
_RUBY = re.compile(rb"</?w:(?:ruby|rubyBase)(?:\s[^>]*)?>")
_LINK = re.compile(rb"""(?P<start><w:hyperlink\b[^>]*?)\sr:id=(?P<mark>["'])(?P<id>[^"'>]*)(?P=mark)""")


def open_markup(text: bytes, targets: Collection[str]) -> bytes:
    """Return the text of a Word document, as XML, with all of its words where mammoth finds them.

    Args:
        text: the XML.
        targets: ids of what the document refers to; a link to anything else has none.
    """
    if b"<w:ruby" in text:
        text = _RUBY.sub(b"", _READING.sub(b"", text))
    text = _AROUND.sub(b"", text)
    known = frozenset(each.encode() for each in targets)
    return _LINK.sub(lambda found: found[0] if found["id"] in known else found["start"], text)
