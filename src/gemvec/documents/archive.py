"""Files that are zip archives of XML, opened within limits, because they may be malicious."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Collection, Iterable
from posixpath import dirname, join, normpath
from typing import IO, TYPE_CHECKING
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from gemvec.documents.content import Content, to_file
from gemvec.documents.document import Note
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.titles import choose_title
from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# A book of a thousand pages has a few megabytes of XML. Pictures count only when they are read, which they are not.
MAX_XML_BYTES = 64 * 2**20
MAX_MEMBERS = 20_000
# What an element takes in memory, and its first attribute.
_ELEMENT_BYTES, _ATTRIBUTE_BYTES, _MAX_TREE_BYTES = 100, 250, 256 * 2**20
_XML = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")
_ENCRYPTED = 0x1
# How files of Office before 2007 begin, and what is in one that is encrypted.
_COMPOUND, _LOCKED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "EncryptedPackage".encode("utf-16-le")
# Pictures do not shrink so much; what does is not a picture, whatever its name says.
_MAX_RATIO_OF_PICTURES = 20
_BYTES_PER_LOOK, _MAX_MARK_BYTES = 2**20, 32
_LOOKED_AT = 64 * 2**20
# What the library raises for a damaged part.
BAD_PARTS = (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
# Names of elements and relationships in the strict form of Office's standard, and in the form that is usual.
_STRICT_NAME = b"http://purl.oclc.org/ooxml/"
_STRICT, _LOOSE = re.compile(_STRICT_NAME + rb"(\w+)/"), rb"http://schemas.openxmlformats.org/\1/2006/"
_DECLARATIONS = tuple(
    mark.encode(encoding) for mark in ("<!DOCTYPE", "<!ENTITY") for encoding in ("ascii", "utf-16-le", "utf-16-be")
)


class Archive:
    """A zip archive.

    Args:
        data: the file, or its bytes.
        kind: what it should be, for messages: `an EPUB`.

    Raises:
        UnreadableDocument: it is not an archive, is protected, or would unpack to more than is read.
    """

    def __init__(self, data: Content, kind: str) -> None:
        self._kind = kind
        try:
            self._zip = ZipFile(to_file(data))
        except (BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise UnreadableDocument(_find_other_kind(data) or f"it is not {kind}: {error}") from error
        members = self._zip.infolist()
        self.names = dict.fromkeys(each.filename for each in members)
        # The first part of each name, in whatever case it is written.
        self.names_by_case = {name.casefold(): name for name in reversed(self.names)}
        self._made: dict[str, str | UnreadableDocument] = {}
        if len(members) > MAX_MEMBERS:
            raise UnreadableDocument(f"it has {len(members):,} parts, more than {MAX_MEMBERS:,}")
        size = sum(each.file_size for each in members if _counts(each))
        if size > MAX_XML_BYTES:
            raise UnreadableDocument(f"it would unpack to {size:,} bytes, more than {MAX_XML_BYTES:,}")
        if any(each.flag_bits & _ENCRYPTED for each in members):
            raise UnreadableDocument("it is protected by a password")

    def read(self, name: str) -> bytes:
        """Return a part.

        Raises:
            UnreadableDocument: it is not there, or damaged.
        """
        try:
            with self._zip.open(name) as part:
                data = part.read(MAX_XML_BYTES + 1)  # without a limit, what follows a wrong size would be unpacked, too
        except (KeyError, *BAD_PARTS) as error:
            raise UnreadableDocument(f"it is not {self._kind}: its part {name} is missing or damaged") from error
        if len(data) > MAX_XML_BYTES:
            raise UnreadableDocument(f"its part {name} has more than {MAX_XML_BYTES:,} bytes")
        return data

    def open(self, name: str) -> IO[bytes]:
        """Open a part, to read it piece by piece; it has no more bytes than the archive says.

        Raises:
            UnreadableDocument: it is not there, or damaged.
        """
        try:
            return self._zip.open(name)
        except (KeyError, *BAD_PARTS) as error:
            raise UnreadableDocument(f"it is not {self._kind}: its part {name} is missing or damaged") from error

    def read_xml(self, name: str) -> Element:
        """Return the root of a part.

        Raises:
            UnreadableDocument: it is not there, damaged, or declares entities.
        """
        try:
            from defusedxml import DefusedXmlException
            from defusedxml.ElementTree import ParseError, fromstring
        except ImportError as error:
            raise MissingDependency(f"Reading {self._kind} needs more packages.", extra="documents") from error
        try:
            return fromstring(_refuse_many_elements(self.read(name), name))
        except DefusedXmlException as error:
            raise UnreadableDocument(f"its part {name} declares entities, which could fill the memory") from error
        except (ParseError, ValueError, LookupError) as error:
            raise UnreadableDocument(f"it is not {self._kind}: its part {name} is not XML") from error

    def make_once(self, name: str, make: Callable[[], str]) -> str:
        """Return what a part becomes; it is read once, however often it is used.

        Raises:
            UnreadableDocument: `make` does.
        """
        if name not in self._made:
            try:
                self._made[name] = make()
            except UnreadableDocument as error:
                self._made[name] = error
        made = self._made[name]
        if isinstance(made, UnreadableDocument):
            raise made
        return made

    def check_parts(self) -> list[str]:
        """Check all parts before they are read by a library without limits; return those that are damaged.

        Raises:
            UnreadableDocument: a part declares entities.
        """
        damaged: list[str] = []
        for name in self.names:
            try:
                declares_entities = self._declares_entities(name)
            except BAD_PARTS:
                damaged.append(name)
                continue
            if declares_entities:
                raise UnreadableDocument(f"its part {name} declares entities, which could fill the memory")
        return damaged

    def _declares_entities(self, name: str) -> bool:
        end = b""
        with self._zip.open(name) as part:
            while some := part.read(_BYTES_PER_LOOK):
                if any(mark in end + some for mark in _DECLARATIONS):
                    return name.lower().endswith(_XML)
                end = some[-_MAX_MARK_BYTES:]
        return False

    def is_strict(self, name: str) -> bool:
        """Whether a part is written by the strict form of Office's standard, whose elements have other names."""
        return name in self.names and _STRICT_NAME in self.read(name)

    def pack(self, without: Collection[str], *, is_loose: bool = False) -> bytes:
        """Return the archive without some parts and without pictures.

        Args:
            without: parts that are left out.
            is_loose: whether names of the strict form become those that all libraries know.
        """
        file = io.BytesIO()
        with ZipFile(file, "w", ZIP_DEFLATED) as packed:
            for name in self.names:
                if name not in without and name.lower().endswith(_XML):
                    part = self.read(name)
                    packed.writestr(name, _STRICT.sub(_LOOSE, part) if is_loose else part)
        return file.getvalue()


def _refuse_many_elements(data: bytes, name: str) -> bytes:
    """Return XML that has not too many elements and attributes, which take many times as much memory.

    Raises:
        UnreadableDocument: it has.
    """
    elements = data.count(b"<") - data.count(b"</")
    needed = elements * _ELEMENT_BYTES + data.count(b"=") * _ATTRIBUTE_BYTES
    if needed > _MAX_TREE_BYTES:
        raise UnreadableDocument(
            f"its part {name} has {elements:,} elements, which would take {needed:,} bytes in memory, more than "
            f"{_MAX_TREE_BYTES:,}; split it"
        )
    return data


def note_damage(names: Iterable[str]) -> list[Note]:
    """Return notes for damaged parts that are left out; none for pictures, which are not read."""
    return [
        Note(reason=f"its part {name} is damaged and left out", is_loss=True)
        for name in names
        if name.lower().endswith(_XML)
    ]


def _find_other_kind(data: Content) -> str:
    """Return what is known of an office file that is no archive; empty if nothing is."""
    if not isinstance(data, bytes):
        data.seek(0)
        data = data.read(_LOOKED_AT)
    if data.startswith(_COMPOUND):
        is_locked = _LOCKED in data
        return (
            "it is protected by a password" if is_locked else "it is in the form of an older Office, which is not read"
        )
    return "it is RTF; name it .rtf" if data.startswith(rb"{\rtf") else ""


def _counts(member: ZipInfo) -> bool:
    """Whether a part counts against the bound: one that is read, or that shrinks like text."""
    return member.filename.lower().endswith(_XML) or member.file_size > _MAX_RATIO_OF_PICTURES * member.compress_size


def find_title(archive: Archive, name: str) -> str:
    """Return the title in a part with Dublin Core's elements, such as `docProps/core.xml`; empty when there is none.

    A damaged part costs only the title.
    """
    if name not in archive.names:
        return ""
    try:
        found = archive.read_xml(name).find(".//{http://purl.org/dc/elements/1.1/}title")
    except UnreadableDocument:
        return ""
    return choose_title("".join(found.itertext())) if found is not None else ""


def find_ids(archive: Archive, name: str) -> set[str]:
    """Return the ids of all relationships of a part, also of those to addresses."""
    return set(_find_relationships(archive, name))


def find_targets(archive: Archive, name: str) -> dict[str, str]:
    """Return the parts that a part refers to, by the ids of its relationships."""
    found = _find_relationships(archive, name)
    parts = {each: normpath(join(dirname(name), target)).lstrip("/") for each, target in found.items()}
    return {each: part for each, part in parts.items() if part in archive.names}


def _find_relationships(archive: Archive, name: str) -> dict[str, str]:
    file = f"{dirname(name)}/_rels/{name.rpartition('/')[2]}.rels"
    if file not in archive.names:
        return {}
    return {each.get("Id", ""): each.get("Target", "") for each in archive.read_xml(file)}
