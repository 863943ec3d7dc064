"""Which reader a page of the web gets: by the kind that the server names, and by its name (`find_suffix`)."""

from __future__ import annotations

import codecs
import mimetypes
from pathlib import PurePosixPath

from gemvec.documents.document import Note
from gemvec.documents.languages import CODE_NOT_ASKED_FOR, CODE_SUFFIXES
from gemvec.documents.text import UnreadableDocument, find_codec
from gemvec.documents.walk import SUFFIXES

# Kind -> the suffix whose reader reads it. Kinds that say nothing (`text/plain`) leave it to the name.
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/x-rst": ".rst",
    "text/asciidoc": ".adoc",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "text/vtt": ".vtt",
    "application/json": ".json",
    "application/jsonl": ".jsonl",
    "application/x-ndjson": ".jsonl",
    "application/x-ipynb+json": ".ipynb",
    "application/pdf": ".pdf",
    "application/x-pdf": ".pdf",
    "application/epub+zip": ".epub",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.apache.parquet": ".parquet",
    "message/rfc822": ".eml",
    "application/mbox": ".mbox",
    "application/vnd.ms-outlook": ".msg",
    "application/rtf": ".rtf",
    "text/rtf": ".rtf",
}
_UNKNOWN = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "application/zip", "application/x-download"}
)
# A page of HTML in the place of such a file is a login, an error or a notice.
_BINARY = frozenset(
    {".pdf", ".docx", ".odt", ".odp", ".ods", ".pptx", ".xlsx", ".xlsm", ".epub", ".parquet", ".msg", ".rtf"}
)
_PROGRAMS = frozenset({".zip", ".7z", ".rar", ".exe", ".dmg", ".iso", ".jar", ".js", ".css", ".wasm"})
_HTML_STARTS = (b"<!doctype html", b"<html")
_LOOK_BYTES = 1_000
_WIDE = ("utf-16", "utf-32")


def find_suffix(media_type: str, name: str, body: bytes = b"", *, reads_code: bool = False) -> str:
    """Return the suffix whose reader reads a page.

    Args:
        media_type: what the server says; may be empty.
        name: the last part of its address.
        body: how it begins, for a page of which nothing else is known.
        reads_code: whether source code is asked for; servers seldom know its kinds, so its name decides.

    Raises:
        UnreadableDocument: there is no reader for it, or its name promises another kind of file.
    """
    named = PurePosixPath(name).suffix.lower()
    said = _SUFFIXES.get(media_type)
    if said == ".html" and named in _BINARY:
        raise UnreadableDocument(f"its name ends with {named}, but the server sent a web page")
    if said == ".json" and named in {".ipynb", ".jsonl", ".ndjson"}:
        return named
    if said:
        return said
    if reads_code and named in CODE_SUFFIXES:
        return named
    if suffix := _find_unnamed(media_type, named, body):
        return suffix
    if named in CODE_SUFFIXES:
        raise UnreadableDocument(CODE_NOT_ASKED_FOR)
    raise UnreadableDocument(f"there is no reader for {media_type or 'a page whose kind the server does not name'}")


def _find_unnamed(media_type: str, named: str, body: bytes) -> str:
    """Return the suffix for a kind that says nothing; empty if its name and its start do not say it either."""
    if media_type not in _UNKNOWN and not media_type.startswith("text/"):
        return ""
    if named in SUFFIXES - CODE_SUFFIXES and not (media_type.startswith("text/") and named in _BINARY):
        return named
    if media_type == "text/plain":
        return ".txt"
    start = body[:_LOOK_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return ".html" if media_type in _UNKNOWN and start.startswith(_HTML_STARTS) else ""


def is_text(suffix: str) -> bool:
    """Whether files of this suffix are text in one encoding. An e-mail names one for each of its parts."""
    return suffix not in _BINARY and suffix not in {".eml", ".mbox"}


def is_no_document(name: str, *, reads_code: bool = False) -> bool:
    """Whether a name is that of a picture, a film, an archive, a program or the like, for which there is no reader."""
    suffix = PurePosixPath(name).suffix.lower()
    if not suffix or (suffix in SUFFIXES and (reads_code or suffix not in CODE_SUFFIXES)):
        return False
    kind, packing = mimetypes.guess_type(f"file{suffix}")
    return bool(packing) or suffix in _PROGRAMS or (kind or "").partition("/")[0] in {"image", "audio", "video", "font"}


def to_utf8(body: bytes, charset: str) -> tuple[bytes, tuple[Note, ...]]:
    """Return text in UTF-8 that came in the encoding that the server named, with a note if that was wrong.

    A byte order mark decides before the server, as in browsers. Text that is UTF-8 is taken as such whatever the server
    says: no other text happens to be.
    """
    name = find_codec(charset)
    if not name or body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return body, ()
    if not name.startswith(_WIDE) and not body.isascii() and _decodes(body, "utf-8"):
        is_wrong = not name.startswith("utf-8")
        notes = (Note(reason=f"it is UTF-8 text, although the server named {charset}"),) if is_wrong else ()
        return _mark(body), notes
    try:
        return _mark(body.decode(name).encode()), ()
    except (UnicodeError, LookupError):
        return body, (Note(reason=f"it is not {charset} text, although the server says so"),)


def _mark(text: bytes) -> bytes:
    """Return UTF-8 text with a byte order mark, which a reader believes before anything that stands in the text."""
    return text if text.isascii() else codecs.BOM_UTF8 + text


def _decodes(body: bytes, encoding: str) -> bool:
    try:
        body.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
