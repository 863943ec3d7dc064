"""E-mail: `read_eml`, the text of a message with its subject, senders and date; attachments are named and left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.text import UnreadableDocument, decode_text


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
        UnreadableDocument: it is not a message.
    """
    message = message_from_bytes(data, policy=default)
    if not message.keys():
        raise UnreadableDocument("it is not an e-mail: it has no header")
    body = message.get_body(("plain", "html"))
    text = _read_body(cast("EmailMessage", body)) if body is not None else ""
    names = [each.get_filename() or each.get_content_type() for each in message.iter_attachments()]
    return Mail(
        text=text,
        subject=_header(message, "subject"),
        headers={name: value for name in ("from", "to", "cc", "date") if (value := _header(message, name))},
        notes=tuple(Note(reason=f"its attachment {name!r} is left out", is_loss=True) for name in names),
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        value: Any = message[name]
    except (ValueError, IndexError, AttributeError):  # the library fails on some damaged headers
        return ""
    moment = getattr(value, "datetime", None)
    return moment.isoformat() if isinstance(moment, datetime) else " ".join(str(value or "").split())


def _read_body(body: EmailMessage) -> str:
    try:
        text = str(body.get_content())
    except (LookupError, UnicodeError):  # an encoding that does not exist or is wrong
        text = decode_text(cast("bytes", body.get_payload(decode=True))).text
    text = text.replace("\r\n", "\n")
    return read_page(text).text if body.get_content_type() == "text/html" else text
