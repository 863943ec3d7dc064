"""Messages of Outlook (`.msg`): `read_msg`. Their properties have numbers, see MS-OXPROPS."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from struct import Struct
from typing import TYPE_CHECKING, Any, cast

from gemvec.documents.content import MAX_FILE_BYTES
from gemvec.documents.document import Note, note_decoding
from gemvec.documents.html import read_page
from gemvec.documents.mail import HEADERS, Mail, note_attachments, read_eml, read_header
from gemvec.documents.rtf import read_rtf
from gemvec.documents.text import UnreadableDocument, decode_text
from gemvec.errors import MissingDependency

if TYPE_CHECKING:
    from oxmsg.storage import Storage

_CLASS, _SUBJECT, _HEADERS = 0x001A, 0x0037, 0x007D
_SENT, _DELIVERED = 0x0039, 0x0E06
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP, _SENT_FOR = 0x0C1A, 0x0C1F, 0x5D01, 0x0042
_BODY, _RTF, _HTML = 0x1000, 0x1009, 0x1013
_MESSAGE_CODEPAGE, _BODY_CODEPAGE, _LOCALE = 0x3FFD, 0x3FDE, 0x3FF1
_NAME, _ADDRESS, _SMTP, _RECEIVER_KIND = 0x3001, 0x3003, 0x39FE, 0x0C15
_FILE, _SHORT_FILE, _LONG_FILE, _FILE_KIND = 0x3701, 0x3704, 0x3707, 0x370E
_FILE_FLAGS, _IS_IN_BODY, _HIDDEN = 0x3714, 0x4, 0x7FFE
_RECEIVERS = {"to": 1, "cc": 2}
_BINARY, _TEXT, _BYTE_TEXT = 0x0102, 0x001F, 0x001E
_LIST = "__properties_version1.0"
# The kind of a property, its number, its flags, and its value if that is short.
_PROPERTY = Struct("<2xH4x8s")
_EPOCH, _TICKS_PER_SECOND = datetime(1601, 1, 1, tzinfo=UTC), 10_000_000
# Where the list of properties starts in the messages, receivers and attachments of a file.
_MESSAGE_OFFSET, _PART_OFFSET = 32, 8
# The code pages of Windows by language, of those that have not the one of Western Europe.
_TAIWAN, _LANGUAGE_BITS = frozenset({0x0404, 0x0C04, 0x1404}), 0x3FF
_CODEPAGES = {
    0x04: 936,
    0x11: 932,
    0x12: 949,
    0x08: 1253,
    0x0D: 1255,
    0x2A: 1258,
    0x1E: 874,
    **dict.fromkeys((0x02, 0x19, 0x22, 0x23, 0x2F), 1251),  # Bulgarian, Russian, Ukrainian, Belarusian, Macedonian
    **dict.fromkeys((0x05, 0x0E, 0x15, 0x18, 0x1A, 0x1B, 0x1C, 0x24), 1250),  # languages of Central Europe
    **dict.fromkeys((0x1F, 0x2C), 1254),
    **dict.fromkeys((0x01, 0x20, 0x29), 1256),
    **dict.fromkeys((0x25, 0x26, 0x27), 1257),
}
_WESTERN = 1252
# Two bytes of compressed RTF may become 17.
_MAX_PACKED_BYTES = MAX_FILE_BYTES // 8
# What programs name when they do not know.
_USUAL = frozenset({"cp1252", "iso8859-1", "ascii"})
_DAMAGES = (OSError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)


def read_msg(data: bytes) -> Mail:
    """Return the message in a `.msg` file.

    Raises:
        UnreadableDocument: it is not a message, is damaged or encrypted, or its text is in a form that is not read.
    """
    message = _Item(_open(data), _MESSAGE_OFFSET)
    files = list(message.find("__attach_version1.0_#"))
    if any(each.text(_LONG_FILE).lower() == "message.rpmsg" for each in files):
        raise UnreadableDocument("it is protected (rights management)")
    headers = _read_headers(message)
    subject = " ".join(message.text(_SUBJECT).split())
    if message.text(_CLASS).upper().startswith("IPM.NOTE.SMIME"):
        signed = _read_signed(files)
        return Mail(text=signed.text, subject=subject, headers=headers, notes=signed.notes)
    names = [each.file_name for each in files if not each.is_in_body]
    text = _read_body(message)
    notes = (*dict.fromkeys(message.notes), *note_attachments(names))
    return Mail(text=text, subject=subject, headers=headers, notes=notes)


def _open(data: bytes) -> Storage:
    try:
        from olefile import OleFileIO
        from olefile.olefile import STGTY_STREAM
        from oxmsg.storage import Storage
    except ImportError as error:
        raise MissingDependency("Reading MSG needs more packages.", extra="documents") from error
    try:
        with cast("Any", OleFileIO)(io.BytesIO(data)) as file:
            entries: list[Any] = [each for each in file.direntries if each and each.entry_type == STGTY_STREAM]
            # Streams that share their bytes could fill the memory.
            storage = Storage.from_ole(file) if sum(each.size for each in entries) <= len(data) else None
    except _DAMAGES as error:
        raise UnreadableDocument(f"it is not an Outlook message: {error}") from error
    if storage is None:
        raise UnreadableDocument("it is not an Outlook message: it is damaged, or only a part of one")
    if _LIST not in {each.name for each in storage.streams}:
        raise UnreadableDocument("it is not an Outlook message: it has no list of properties")
    return storage


class _Item:
    """A message, one of its receivers, or one of its attachments.

    Attributes:
        notes: on texts whose encoding was guessed.
    """

    def __init__(self, storage: Storage, offset: int, above: _Item | None = None) -> None:
        self._storage = storage
        self._above = above
        self._values = dict(_PROPERTY.iter_unpack(_cut_properties(storage, offset)))
        self.notes: list[Note] = above.notes if above else []

    def find(self, name: str) -> Iterator[_Item]:
        """Yield the items whose names start with `name`."""
        for each in self._storage.storages:
            if each.name.startswith(name):
                yield _Item(each, _PART_OFFSET, self._above or self)

    def data(self, number: int, kind: int = _BINARY) -> bytes:
        """Return the bytes of a property; none when there is no such property."""
        try:
            return self._storage.property_stream_bytes(number, kind)
        except KeyError:
            return b""

    def text(self, number: int, codepage: int = _MESSAGE_CODEPAGE) -> str:
        """Return a text; `codepage` is the property that names its encoding if it is not Unicode."""
        if data := self.data(number, _TEXT):
            text = data.decode("utf-16-le", errors="replace")
        elif data := self.data(number, _BYTE_TEXT):
            text = self._decode(data, codepage)
        else:
            return ""
        return text.rstrip("\0").replace("\r\n", "\n")

    def html(self) -> bytes | str:
        """Return the body as HTML; as bytes if only the HTML itself tells its encoding."""
        if data := self.data(_HTML):
            return _decode(data, self._find_encodings(_BODY_CODEPAGE)[:1]) or data
        return self.text(_HTML, _BODY_CODEPAGE)

    def number(self, number: int) -> int:
        """Return an integer or a truth value; 0 when there is no such property."""
        return int.from_bytes(self._values.get(number, b"")[:4], "little")

    def time(self, number: int) -> str:
        """Return a time in ISO 8601; empty when there is no such property."""
        ticks = int.from_bytes(self._values.get(number, b""), "little")
        try:
            return (_EPOCH + timedelta(seconds=ticks // _TICKS_PER_SECOND)).isoformat() if ticks else ""
        except OverflowError:
            return ""

    @property
    def file_name(self) -> str:
        """The name of an attachment; of a message, its subject."""
        names = (self.text(each) for each in (_LONG_FILE, _SHORT_FILE, _NAME, _FILE_KIND))
        return next(filter(None, names), "without a name")

    @property
    def is_in_body(self) -> bool:
        """Whether an attachment is a picture that the body shows."""
        return bool(self.number(_HIDDEN) or self.number(_FILE_FLAGS) & _IS_IN_BODY)

    def _decode(self, data: bytes, codepage: int) -> str:
        text = _decode(data, self._find_encodings(codepage))
        if text is not None:
            return text
        decoded = decode_text(data.rstrip(b"\0"))
        self.notes += note_decoding(decoded)
        return decoded.text

    def _find_encodings(self, codepage: int) -> list[str]:
        """Return the encodings that properties of the message name, the most likely first."""
        message = self._above or self
        pages = [message.number(codepage), message.number(_MESSAGE_CODEPAGE)]
        if locale := message.number(_LOCALE):
            language = locale & _LANGUAGE_BITS
            pages.append(950 if locale in _TAIWAN else _CODEPAGES.get(language, _WESTERN))
        pages.append(message.number(_BODY_CODEPAGE))
        return list(filter(None, (_name_encoding(page) for page in dict.fromkeys(pages) if page)))


def _decode(data: bytes, encodings: Sequence[str]) -> str | None:
    """Return a text in the first of some encodings that it can be in; None if it can be in none of them."""
    is_unsure = bool(encodings) and encodings[0] in _USUAL and not data.isascii()
    for encoding in ["utf-8", *encodings] if is_unsure else encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _cut_properties(storage: Storage, offset: int) -> bytes:
    """Return the list of properties, without what may follow the last whole one."""
    try:
        data = storage.properties_stream_bytes[offset:]
    except KeyError:
        return b""
    return data[: len(data) // _PROPERTY.size * _PROPERTY.size]


def _name_encoding(codepage: int) -> str:
    """Return Python's name of a code page of Windows; empty for one that it does not know."""
    from oxmsg.domain.encodings import encoding_from_codepage
    from oxmsg.domain.model import UnrecognizedCodePageError, UnsupportedEncodingError

    try:
        return codecs.lookup(f"cp{codepage}").name
    except LookupError:
        pass
    try:
        return codecs.lookup(encoding_from_codepage(codepage).removeprefix("x-")).name
    except (LookupError, UnrecognizedCodePageError, UnsupportedEncodingError):
        return ""


def _read_headers(message: _Item) -> dict[str, str]:
    """Return who wrote to whom and when: as the mail's own headers say it, otherwise from the properties."""
    sent = message_from_string(message.text(_HEADERS), _class=EmailMessage, policy=default)
    found = {name: read_header(sent, name) for name in HEADERS}
    found["from"] = found["from"] or _read_sender(message)
    found["date"] = found["date"] or message.time(_SENT) or message.time(_DELIVERED)
    receivers = list(message.find("__recip_version1.0_#"))
    for name, kind in _RECEIVERS.items():
        people = (
            _write_person(each.text(_NAME), each.text(_SMTP) or each.text(_ADDRESS))
            for each in receivers
            if each.number(_RECEIVER_KIND) == kind
        )
        found[name] = found[name] or ", ".join(filter(None, people))
    return {name: value for name, value in found.items() if value}


def _read_sender(message: _Item) -> str:
    name = message.text(_SENDER) or message.text(_SENT_FOR)
    return _write_person(name, message.text(_SENDER_SMTP) or message.text(_SENDER_ADDRESS))


def _write_person(name: str, address: str) -> str:
    """Return a name and an address as mails write them; names within an organisation (`/O=...`) are no addresses."""
    name, address = name.strip(), address.strip()
    if not address or address.startswith("/"):
        return name
    return f"{name} <{address}>" if name and name != address else address


def _read_body(message: _Item) -> str:
    if text := message.text(_BODY, _BODY_CODEPAGE):
        return text
    if html := message.html():
        return read_page(html).text
    if packed := message.data(_RTF):
        read = read_rtf(_unpack(packed))
        message.notes += read.notes
        return read.text
    return ""


def _unpack(packed: bytes) -> bytes:
    """Return Rich Text Format that Outlook has compressed."""
    try:
        import compressed_rtf
    except ImportError as error:
        raise MissingDependency("Reading MSG needs more packages.", extra="documents") from error
    if len(packed) > _MAX_PACKED_BYTES:
        raise UnreadableDocument(
            f"its text has {len(packed):,} bytes as compressed RTF, more than {_MAX_PACKED_BYTES:,}; split it"
        )
    try:
        return cast("bytes", cast("Any", compressed_rtf).decompress(packed))
    except Exception as error:  # the library raises no narrower one
        raise UnreadableDocument(f"its text is only there as compressed RTF, which is damaged: {error}") from error


def _read_signed(files: list[_Item]) -> Mail:
    """Return the mail inside the one attachment of a signed message."""
    inner = files[0].data(_FILE) if len(files) == 1 else b""
    if not inner:
        raise UnreadableDocument("it is encrypted or signed (S/MIME), and its content is not there")
    return read_eml(inner)
