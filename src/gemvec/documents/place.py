"""One place of a source, with one document or many records: a file, an object of a bucket, a page: `Place`."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Protocol

from gemvec.documents.content import Content, measure, refuse_large_text
from gemvec.documents.document import BadDocument, Document, DocumentFormat, UnreadDocument
from gemvec.documents.readers import Reader
from gemvec.documents.records import RecordFields
from gemvec.documents.text import UnreadableDocument

Found = Document | BadDocument | UnreadDocument

# Of a path, the end says most, and a title takes room in every passage.
_PARTS_OF_TITLE = 4
# How a file begins that Git LFS keeps elsewhere.
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Place(Protocol):
    """Something that is read as a whole.

    Attributes:
        name: the id of its document, and the source of its records.
        size_bytes: for progress; 0 when it is not known.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 # see above

    @property
    def size_bytes(self) -> int: ...  # noqa: D102 # see above

    def read(self, fields: RecordFields) -> Iterator[Found]:
        """Yield its documents; `read_bytes` counts from the start of the place.

        Raises:
            UnreadableDocument: it cannot be read.
        """
        ...


def make_document(
    data: Content, reader: Reader, source: str, *, content: str = "", size_bytes: int | None = None
) -> Document:
    """Return the document that the bytes of a file become.

    Args:
        data: the file, or its bytes.
        reader: for its kind.
        source: its name, which becomes the id.
        content: what `Document.content` is to be, if anything but the bytes decides it.
        size_bytes: how much of the sources was read; the size of the file if None.

    Raises:
        UnreadableDocument: it is not of its kind, or too large.
    """
    refuse_pointer(data)
    read = reader.parse(data)
    return Document(
        id=source,
        text=refuse_large_text(read.text),
        title=read.title or _make_title(source, read.format),
        source=source,
        format=read.format,
        metadata=read.metadata,
        page_starts=read.page_starts,
        page_names=read.page_names,
        has_lines=read.has_lines,
        blocks=read.blocks,
        notes=read.notes,
        content=content or (reader.digest(data) if reader.is_slow else ""),
        read_bytes=measure(data) if size_bytes is None else size_bytes,
    )


def _make_title(source: str, document_format: DocumentFormat) -> str:
    """Return the title of a file that has none: its name, of source code also the folders that it is in."""
    path = PurePosixPath(source)
    return "/".join(path.parts[-_PARTS_OF_TITLE:]) if document_format == "code" else path.stem


def refuse_pointer(data: Content) -> None:
    """Refuse a file of Git LFS that is not here.

    Raises:
        UnreadableDocument: it is one.
    """
    if not isinstance(data, bytes):
        data.seek(0)
        data = data.read(len(_LFS_POINTER))
    if data.startswith(_LFS_POINTER):
        raise UnreadableDocument("its content is not here: it is a pointer of Git LFS (git lfs pull fetches it)")


def digest_of(*parts: object) -> bytes:
    """Return bytes that are the same while all parts are, for `Reader.digest`."""
    return blake2b(repr(parts).encode(errors="surrogatepass"), digest_size=16).digest()
