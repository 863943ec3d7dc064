"""Source code as text with the places where it may be cut: `read_program`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gemvec.documents.code_blocks import CodeBlock, find_code_blocks
from gemvec.documents.document import Note, note_decoding
from gemvec.documents.languages import Language
from gemvec.documents.text import UnreadableDocument, decode_text, find_codec

# Nobody writes such a line; it is what a program has made: minified code, data, a picture.
MAX_LINE_CHARACTERS = 5_000

# Only looked for where a line starts, or each of its characters would be tried.
_LONG_LINE = re.compile(f"^[^\n]{{{MAX_LINE_CHARACTERS + 1},}}", re.MULTILINE)
# A declaration of the encoding in the first two lines, as Python, Ruby, Emacs and Vim know it.
_DECLARED = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*(?:#|//|/\*|--)[^\n]*?coding[:=][ \t]*([-\w.]+)")
_XML = re.compile(r"\s*<(?:\?xml|!DOCTYPE TS)\b", re.IGNORECASE)
_LETTER = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A file of source code.

    Attributes:
        text: as it is in the file, with line feeds; lines that are left out are empty.
        blocks: where it may be cut.
        notes: what was guessed or left out.
    """

    text: str
    blocks: tuple[CodeBlock, ...]
    notes: tuple[Note, ...]


def read_program(data: bytes, language: Language) -> Program:
    """Read source code.

    Raises:
        UnreadableDocument: it is not text, or nothing of it was written by people.
        MissingDependency: the parser of the language is not installed.
    """
    decoded = decode_text(_recode(data))
    if _XML.match(decoded.text):  # Qt's translations are called `.ts`, too
        raise UnreadableDocument(f"it is XML, although its name says {language.name}")
    notes = [*note_decoding(decoded)]
    text = decoded.text
    if long := _LONG_LINE.search(text):
        notes.append(_describe_long_lines(text, long.start()))
        text = _LONG_LINE.sub("", text)
        if not _LETTER.search(text):
            raise UnreadableDocument(
                f"it is minified or generated: all of it is in lines of more than {MAX_LINE_CHARACTERS:,} characters"
            )
    if text.strip() and not _LETTER.search(text):
        raise UnreadableDocument("it has no words")
    return Program(text=text, blocks=find_code_blocks(text, language), notes=tuple(notes))


def _recode(data: bytes) -> bytes:
    """Return text in UTF-8 that declares another encoding; as it is if the declaration is wrong."""
    declared = _DECLARED.match(data)
    codec = find_codec(declared[1].decode("ascii", "replace")) if declared else ""
    try:
        data.decode()
    except UnicodeDecodeError:
        try:
            return data.decode(codec).encode() if codec else data
        except UnicodeError:
            return data
    return data


def _describe_long_lines(text: str, first: int) -> Note:
    count, line = sum(1 for _ in _LONG_LINE.finditer(text)), text.count("\n", 0, first) + 1
    which = f"line {line} and {count - 1:,} more" if count > 1 else f"line {line}"
    reason = f"{which} left out: longer than {MAX_LINE_CHARACTERS:,} characters, so made by a program"
    return Note(reason=reason, is_loss=True)
