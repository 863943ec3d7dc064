"""What PGP writes as text (`.asc`): `find_signed_text`, and the names of what holds no text."""

from __future__ import annotations

import re

from gemvec.documents.text import UnreadableDocument

_ARMOR = re.compile(r"\s*-----BEGIN PGP (?P<kind>[A-Z ,/0-9]+)-----")
_SIGNED = "SIGNED MESSAGE"
_KINDS = {
    "SIGNATURE": "it is a signature of PGP, and no text",
    "PUBLIC KEY BLOCK": "it is a key of PGP, and no text",
    "PRIVATE KEY BLOCK": "it is a private key of PGP, and no text",
    "MESSAGE": "it is encrypted or packed (PGP)",
}
_END = "-----BEGIN PGP SIGNATURE-----"


def find_signed_text(text: str) -> str | None:
    """Return the text that a message of PGP has between its head and its signature, each line where it was.

    Returns:
        None if it is nothing that PGP writes.

    Raises:
        UnreadableDocument: it is a signature, a key or an encrypted message.
    """
    found = _ARMOR.match(text)
    if found is None:
        return None
    if found["kind"] != _SIGNED:
        raise UnreadableDocument(_KINDS.get(found["kind"], "it is written by PGP, and no text"))
    lines = text.split("\n")
    head = text.count("\n", 0, found.end())
    while head < len(lines) and lines[head].strip():  # which digest it has
        head += 1
    end = lines.index(_END) if _END in lines else len(lines)
    return "\n".join([""] * head + [line.removeprefix("- ") for line in lines[head:end]])
