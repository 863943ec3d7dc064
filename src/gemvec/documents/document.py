"""What goes into a collection: `Document`, `UnreadDocument`, `BadDocument` for one that was left out, `Note`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Literal, cast

from gemvec.documents.code_blocks import CodeBlock
from gemvec.documents.text import DecodedText, UnreadableDocument, replace_halves
from gemvec.documents.titles import shorten_title
from gemvec.errors import GemvecError, MissingDependency

DocumentFormat = Literal["markdown", "text", "code"]

# Lengths of the collection's fields in bytes (Milvus counts bytes, and refuses a longer value).
MAX_ID_BYTES = 1024
MAX_METADATA_BYTES = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What was guessed, repaired or left out in a document that is indexed.

    Attributes:
        reason: one sentence.
        is_loss: whether a part of the document is missing, such as a page.
        source, id: those of the document; empty until the reader has returned.
        place: the record or page; empty when the whole file is meant.
    """

    reason: str
    is_loss: bool = False
    source: str = ""
    place: str = ""
    id: str = ""


def note_decoding(decoded: DecodedText) -> tuple[Note, ...]:
    """Return the notes for a text whose encoding was guessed, or which has bad spots."""
    guess = f"its encoding is a guess: {decoded.guess}" if decoded.guess else ""
    return tuple(Note(reason=reason) for reason in (guess, decoded.damage) if reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text to index.

    Attributes:
        id: the document's name in the collection, the same in every run.
        text: the whole text.
        title: embedded together with every passage.
        source: where it came from: a path as the user wrote it, or an address.
        format: how its structure is written; `markdown` has headings and code blocks, `code` is source code.
        metadata: JSON values to filter by.
        place: the position of a record in `source`, such as `line 12`; empty when the source is this one document.
        page_starts: character offsets at which pages start (PDF); empty when there are none.
        page_names: what the pages are called, such as `slide 3`; empty when they are called `page 3`.
        has_lines: whether lines of `text` are lines of the source, so that positions can name them.
        blocks: where source code may be cut.
        notes: what was guessed, repaired or left out when it was read.
        content: digest of the file that it was read from and of how it was read; empty when only the text can tell.
        read_bytes: bytes of all sources consumed when this document had been read, for progress.
    """

    id: str
    text: str
    title: str = ""
    source: str = ""
    format: DocumentFormat = "text"
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    place: str = ""
    page_starts: tuple[int, ...] = ()
    page_names: tuple[str, ...] = ()
    has_lines: bool = True
    blocks: tuple[CodeBlock, ...] = ()
    notes: tuple[Note, ...] = ()
    content: str = ""
    read_bytes: int = 0

    def hash(self, splitter_version: str) -> str:
        """Return 32 characters that change when any row of the document changes."""
        if self.content and not self.notes:  # one with notes is read in every run, so that they are said again
            return _hash_content(self.id, self.source, self.content, splitter_version)
        content = (self.id, self.text, self.title, self.source, self.format, self.place, self.page_starts)
        if self.page_names:
            content = (*content, self.page_names)
        metadata = json.dumps(dict(self.metadata), sort_keys=True, ensure_ascii=False)
        return blake2b(repr((content, metadata, splitter_version)).encode(), digest_size=16).hexdigest()


def _hash_content(document_id: str, source: str, content: str, splitter_version: str) -> str:
    return blake2b(repr((document_id, source, content, splitter_version)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadDocument:
    """A file that takes long to parse. It is not parsed when the collection has it already.

    Attributes:
        id, source, content: those of the document that it would become.
        read: parses the file.
        read_bytes: as in `Document`.
        held_bytes: bytes that it keeps in memory until it is parsed.
        read_elsewhere: the same on another machine, picklable; it returns None where the file is another one. None if
            only this machine can read it.
    """

    id: str
    source: str
    content: str
    read: Callable[[], Document | BadDocument]
    read_bytes: int = 0
    held_bytes: int = 0
    read_elsewhere: Callable[[], Document | BadDocument | None] | None = None

    def hash(self, splitter_version: str) -> str:
        """Return the hash of the document, if it has no notes."""
        return _hash_content(self.id, self.source, self.content, splitter_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDocument:
    """One document that was left out, and why.

    Attributes:
        source: the file.
        reason: one sentence.
        place: the record in it; empty when the whole file is meant.
        id: its document id; empty when it is not known.
        read_bytes: as in `Document`.
        is_gone: whether it is sure that there is no such document any more, so that its rows may be deleted.
    """

    source: str
    reason: str
    place: str = ""
    id: str = ""
    read_bytes: int = 0
    is_gone: bool = False


def explain_unread(error: Exception, source: str, document_id: str = "") -> BadDocument:
    """Return why something is left out; raise what concerns more than this document."""
    if isinstance(error, UnreadableDocument | MissingDependency):
        return BadDocument(source=source, reason=str(error), id=document_id)
    if isinstance(error, GemvecError):
        raise error
    reason = f"it cannot be read: {str(error) or type(error).__name__}"
    return BadDocument(source=source, reason=reason, id=document_id)


def to_json(value: Any) -> Any:
    """Return `value` in a form that Milvus' JSON can hold: dates and integers beyond 64 bits as text, NaN as null."""
    if isinstance(value, dict):
        return {str(name): to_json(item) for name, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def has_more_values(value: Any, most: int) -> bool:
    """Whether `value` holds more than `most` others; shared and repeated ones count each time that they occur.

    A few lines of YAML that refer to each other can hold billions of values, or infinitely many; written out they would
    fill the memory.
    """
    waiting, count = [value], 0
    while waiting and count + len(waiting) <= most:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting += cast("dict[Any, Any]", found).values()
        elif isinstance(found, list | tuple):
            waiting += cast("Sequence[Any]", found)
        count += 1
    return count + len(waiting) > most


def repair_document(document: Document) -> Document:
    """Return `document` with each half of a character (a lone surrogate) replaced by U+FFFD; its id stays."""
    texts = {name: getattr(document, name) for name in ("text", "title", "source", "place")}
    repaired = {name: _repair_text(text) for name, text in texts.items()}
    metadata = _repair_value(dict(document.metadata))
    if repaired == texts and metadata == document.metadata:
        return document
    note = Note(reason="it has half a character, or bytes that are no character, replaced by \ufffd")
    return replace(document, **repaired, metadata=metadata, notes=(*document.notes, note))


def _repair_text(text: str) -> str:
    return text if text.isascii() else replace_halves(text)[0]


def _repair_value(value: Any) -> Any:
    if isinstance(value, str):
        return _repair_text(value)
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_repair_value(name): _repair_value(item) for name, item in items}
    if isinstance(value, list):
        return [_repair_value(item) for item in cast("list[Any]", value)]
    return value


def check_id(document_id: str) -> str | None:
    """Return why a document of this id cannot be indexed, or None."""
    try:
        size = len(document_id.encode())
    except UnicodeEncodeError:
        return "its id has half a character, or bytes that are no character"
    if not 0 < size <= MAX_ID_BYTES:
        return f"its id must have 1 to {MAX_ID_BYTES} bytes"
    return "its id has control characters" if min(document_id) < " " else None


def check_document(document: Document) -> str | None:
    """Return why `document` cannot be indexed, or None."""
    import orjson

    try:
        for text in (document.text, document.title, document.source):
            text.encode()
        metadata = orjson.dumps(dict(document.metadata))  # as pymilvus does
    except UnicodeEncodeError:
        return "it has half a character (a lone surrogate)"
    except orjson.JSONEncodeError as error:
        return f"its metadata is not JSON: {error}"
    reasons = {
        "it has no text": not document.text.strip(),
        f"its metadata has {len(metadata)} bytes, more than {MAX_METADATA_BYTES}": len(metadata) > MAX_METADATA_BYTES,
    }
    return next((reason for reason, holds in reasons.items() if holds), None) or check_id(document.id)


def settle_title(document: Document) -> Document:
    """Return `document` with a title that is not too long to be embedded with every passage.

    One that is too long is shortened, and is the first paragraph of the text if the text does not have it.
    """
    title = shorten_title(document.title)
    if title == document.title or document.format == "code":  # the title of code is its path, whose end says most
        return document
    text, page_starts = document.text, document.page_starts
    if document.title not in text:
        # What is above the text of a file with lines is blank there, so its lines keep their numbers.
        joint = "" if text.startswith("\n\n") else "\n\n"
        moved = len(document.title) + len(joint)
        text = f"{document.title}{joint}{text}"
        page_starts = (0, *(start + moved for start in page_starts[1:])) if page_starts else ()
    reason = f"its title has {len(document.title):,} characters; it is shortened, and all of it is read as text"
    notes = (*document.notes, Note(reason=reason))
    return replace(document, title=title, text=text, page_starts=page_starts, notes=notes)


def settle_document(each: Document | BadDocument) -> Document | BadDocument:
    """Return a document as it is indexed, or why it cannot be."""
    if isinstance(each, BadDocument):
        return each
    document = settle_title(repair_document(each))
    reason = check_document(document)
    return document if reason is None else refuse_document(document, reason)


def refuse_document(document: Document, reason: str) -> BadDocument:
    """Return what stands for a document that is left out."""
    return BadDocument(
        source=document.source, place=document.place, id=document.id, reason=reason, read_bytes=document.read_bytes
    )
