"""E-mail: `read_eml`, the text of a message with its subject, senders and date; attachments are named and left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.feedparser import BytesFeedParser
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from gemvec.documents.document import Note, note_decoding
from gemvec.documents.html import read_page
from gemvec.documents.text import DecodedText, UnreadableDocument, decode_text, find_codec

HEADERS = ("from", "to", "cc", "date")
_SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURES = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"})
_RAW = re.compile("[\udc80-\udcff]")
_CHARSET = re.compile(rb"""<meta\s[^<>]*charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_LOOK_BYTES = 2_000
_BLOCK_BYTES = 2**16
# The library makes an object of each line; a mail of 64 MiB with attachments has a million.
_MAX_LINES = 1_500_000
_USUAL = frozenset({"", "cp1252", "utf-8"})
_PGP = "-----BEGIN PGP MESSAGE-----"
# The line before a part, and the first header of the part.
_BOUNDARY = re.compile(
    rb"^--(?P<name>[^\s<>\"]{1,70})[ \t]*\r?\n(?=Content-[\w-]+:|MIME-Version:)", re.MULTILINE | re.IGNORECASE
)
# A text of not more is a notice that a program cannot show the page, if the page has this many times its words.
_MAX_NOTICE_BYTES, _NOTICE_SHARE = 400, 3
_NEW_MARK = "part-of-the-mail"
_MAX_DIVIDED = 20  # parts in each other; each is parsed once more
_NO_BOUNDARY = "the mark between its parts is missing or wrong; the parts were told apart by what looks like one"
_NO_PARTS = "its parts cannot be told apart, so all of its body is read as text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message.

    Attributes:
        text: its body; HTML as Markdown.
        subject: empty when it has none.
        headers: `from`, `to`, `cc` and `date`, as far as it has them.
        notes: the attachments that were left out.
    """

    text: str
    subject: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    notes: tuple[Note, ...] = ()


def read_eml(data: bytes) -> Mail:
    """Return the message in an `.eml` file.

    Raises:
        UnreadableDocument: it is not a message, is encrypted, or has too many lines.
    """
    if (lines := max(data.count(b"\n"), data.count(b"\r"))) > _MAX_LINES:
        raise UnreadableDocument(
            f"it has {lines:,} lines, more than {_MAX_LINES:,}, which would take much memory; split it"
        )
    message = _parse(data)
    if not message.keys():
        raise UnreadableDocument("it is not an e-mail: it has no header")
    _refuse_encrypted(message)
    notes: list[Note] = []
    parts = list(_find_parts(message, notes))
    # The body may have a name if nothing else is one.
    shown = list(filter(_is_shown, parts)) or list(filter(_is_text, parts[:1]))
    names = [_find_name(each) for each in parts if each not in shown and each.get_content_type() not in _SIGNATURES]
    bodies = [_read_body(each) for each in shown]
    text = "\n\n".join(body.text for body in bodies)
    if text.lstrip().startswith(_PGP):
        raise UnreadableDocument("it is encrypted (PGP)")
    return Mail(
        text=text,
        subject=read_header(message, "subject"),
        headers={name: value for name in HEADERS if (value := read_header(message, name))},
        notes=(
            *dict.fromkeys(notes),
            *(note for body in bodies for note in note_decoding(body)),
            *note_attachments(names),
        ),
    )


def _parse(data: bytes) -> EmailMessage:
    """Parse a mail block by block: as a whole, the library would hold it with four bytes for each character."""
    parser = BytesFeedParser(policy=default)
    for start in range(0, len(data), _BLOCK_BYTES):
        parser.feed(data[start : start + _BLOCK_BYTES])
    return cast("EmailMessage", parser.close())


def read_header(message: EmailMessage, name: str) -> str:
    """Return a header in plain characters, a date in ISO 8601; empty if there is none or it is damaged."""
    written = next((str(value) for key, value in message.raw_items() if key.lower() == name), "")
    if _RAW.search(written):  # letters without a name of their encoding
        return " ".join(decode_text(written.encode(errors="surrogateescape")).text.split())
    try:
        value: Any = message[name]
    except (ValueError, IndexError, AttributeError):  # the library fails on some damaged headers
        return ""
    moment = getattr(value, "datetime", None)
    return moment.isoformat() if isinstance(moment, datetime) else " ".join(str(value or "").split())


def note_attachments(names: Iterable[str]) -> tuple[Note, ...]:
    """Return a note for each attachment that is left out."""
    return tuple(Note(reason=f"its attachment {name!r} is left out", is_loss=True) for name in names)


def _refuse_encrypted(message: EmailMessage) -> None:
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        raise UnreadableDocument("it is encrypted (PGP)")
    if kind in _SMIME:
        is_signed = message.get_param("smime-type") == "signed-data"
        raise UnreadableDocument(
            "its text is inside a signature of S/MIME, which is not read" if is_signed else "it is encrypted (S/MIME)"
        )


def _find_parts(message: EmailMessage, notes: list[Note]) -> Iterator[EmailMessage]:
    """Yield texts and attachments: of alternatives the best one, and no pictures that a page shows."""
    if message.get_content_maintype() == "multipart" and not message.is_multipart():
        message = _divide(message, notes)
    kind = message.get_content_type()
    parts = cast("list[EmailMessage]", list(message.iter_parts()))
    if message.get_content_maintype() != "multipart":
        yield message
    elif kind == "multipart/alternative":
        found = [message.get_body((each,)) for each in ("plain", "html")]
        bodies = [cast("EmailMessage", each) for each in found if each is not None]
        yield from _order_by_text(bodies)[:1]
        inside = (each for part in parts for each in _find_parts(part, notes))
        yield from (each for each in inside if each.get_content_maintype() != "text" or each.is_attachment())
    elif kind == "multipart/related":
        root = next((each for each in parts if each.get_content_maintype() in {"text", "multipart"}), None)
        yield from _find_parts(root, notes) if root is not None else ()
        yield from (each for each in parts if each is not root and each.is_attachment())
    else:
        for each in parts:
            yield from _find_parts(each, notes)


def _order_by_text(bodies: Sequence[EmailMessage]) -> list[EmailMessage]:
    """Return the same message as a text and as a page, the better one first: the text, if it is not only a notice."""
    filled = [each for each in bodies if _has_text(each)]
    if len(filled) > 1:
        words, words_of_page = (
            len(_read_body(each).text.split()) if _is_short(filled[0]) else 0 for each in filled[:2]
        )
        if words_of_page > _NOTICE_SHARE * words:
            filled.reverse()
    return filled or list(bodies)


def _divide(message: EmailMessage, notes: list[Note]) -> EmailMessage:
    """Return a message whose parts nothing divides as one with parts, or if there are no signs of them, as a text."""
    decoded = cast("bytes", message.get_payload(decode=True) or b"")
    del message["Content-Transfer-Encoding"]  # which only a part may have, or what is all of the body
    body = cast("bytes", message.get_payload(decode=True) or b"")
    found = _BOUNDARY.search(body) if len(notes) < _MAX_DIVIDED else None
    if found is None:
        notes.append(Note(reason=_NO_PARTS))
        return _parse(b"Content-Type: text/plain\n\n" + decoded)
    notes.append(Note(reason=_NO_BOUNDARY))
    # The mark may have characters that no header can name.
    marks = re.compile(rb"^--" + re.escape(found["name"]) + rb"(?=(?:--)?[ \t]*\r?$)", re.MULTILINE)
    head = f'Content-Type: {message.get_content_type()}; boundary="{_NEW_MARK}"\n\n'
    return _parse(head.encode() + marks.sub(f"--{_NEW_MARK}".encode(), body))


def _is_shown(part: EmailMessage) -> bool:
    """Whether a part is the body, or text that a reader sees below it, such as the footer of a mailing list."""
    return _is_text(part) and not part.get_filename()


def _is_text(part: EmailMessage) -> bool:
    return part.get_content_type() in {"text/plain", "text/html"} and not part.is_attachment()


def _has_text(part: EmailMessage) -> bool:
    return bool(cast("bytes", part.get_payload(decode=True) or b"").strip())


def _is_short(part: EmailMessage) -> bool:
    return len(cast("bytes", part.get_payload(decode=True) or b"")) <= _MAX_NOTICE_BYTES


def _find_name(part: EmailMessage) -> str:
    kind = part.get_content_type()
    name = part.get_filename()
    if not name and kind == "message/rfc822":
        inner = next(iter(part.iter_parts()), None)
        name = read_header(cast("EmailMessage", inner), "subject") if inner is not None else ""
    return name or kind


def _read_body(body: EmailMessage) -> DecodedText:
    payload = cast("bytes", body.get_payload(decode=True) or b"")
    is_page = body.get_content_type() == "text/html"
    said = _CHARSET.search(payload[:_LOOK_BYTES]) if is_page else None
    decoded = _decode(payload, body.get_content_charset("") or (said[1].decode("ascii") if said else ""))
    return replace(decoded, text=read_page(decoded.text).text) if is_page else decoded


def _decode(payload: bytes, charset: str) -> DecodedText:
    """Return the text of a part in the encoding that it names, or in a guessed one if that is wrong."""
    codec = find_codec(charset)
    # Programs name the usual ones when they do not know.
    codecs = ["utf-8"] if codec in _USUAL and not payload.isascii() else []
    codecs += [codec] if charset and codec else []
    for each in codecs:
        try:
            return DecodedText(payload.decode(each).replace("\r\n", "\n"))
        except UnicodeDecodeError:
            continue
    return decode_text(payload)
