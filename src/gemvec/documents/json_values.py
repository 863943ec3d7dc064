"""JSON of any size, value by value: `JsonValues`."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from gemvec.documents.text import UnreadableDocument

_BLOCK_CHARACTERS = 2**20
# One value of a list, or a file that is one value.
MAX_VALUE_CHARACTERS = 64 * 2**20
# Numbers, texts and others in one value: each takes up to about a hundred bytes.
_MAX_VALUES = 1_000_000
TOO_MANY_VALUES = f"it has more than {_MAX_VALUES:,} values, which would take much memory; split it"
# An error so near the end of what was read may be that a value goes on behind it; a long text may begin anywhere.
_MAX_TOKEN_CHARACTERS = 16
_TEXT_GOES_ON = "Unterminated string"
_TEXT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")
# Brackets outside of texts; a text that does not end ends with its line, as no text of JSON goes over one.
_BRACKET = re.compile(r'"(?:[^"\\\n]|\\.)*+(?:"|(?=\n)|\Z)|[\[\]{}]')
_OPENING, _CLOSING = frozenset("{["), frozenset("}]")
_BELOW = re.compile(r"[ \t\n\r]*(?:,[ \t\n\r]*(?P<next>[^ \t\n\r])|(?P<end>\]))")

# An error counts the lines above it: so many characters that are done are kept at most.
_DONE_CHARACTERS = 2**16
_RAW = "Invalid control character"
# How far a text may go over line ends: one that lost its quote goes to the next one, wherever that is.
_MAX_RAW_CHARACTERS = 4 * 2**20

_decode_strictly, _decode_leniently = json.JSONDecoder().raw_decode, json.JSONDecoder(strict=False).raw_decode


def _decode(text: str, place: int) -> tuple[Any, int]:
    """Return the value at a place, and where it ends; line ends and tabs in a text may be written as they are.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _decode_strictly(text, place)
    except json.JSONDecodeError as error:
        if not error.msg.startswith(_RAW):
            raise
        try:
            return _decode_leniently(text, place)
        except json.JSONDecodeError as other:
            goes_on = other.msg.startswith(_TEXT_GOES_ON) and len(text) - place < _MAX_RAW_CHARACTERS
            raise (other if goes_on else error) from None


def has_many_values(text: str) -> bool:
    """Whether JSON would take much more memory than its text."""
    return _may_have_many(text) and _may_have_many(_TEXT.sub("", text))


def _may_have_many(text: str) -> bool:
    return len(text) > _MAX_VALUES and sum(map(text.count, ",[{")) > _MAX_VALUES


@dataclass(frozen=True, slots=True)
class BadValue:
    """An element of a list that is not JSON, and why."""

    reason: str


class JsonValues:
    """The values of a list, or the one value that a file is, or objects that follow each other.

    Args:
        file: what to read.

    Attributes:
        is_list: whether the file is a list.

    Raises:
        UnreadableDocument: it is not text.
    """

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self._text = ""
        self._place = 0  # of what comes next in `_text`
        self._left: int = 0  # characters before `_text`
        self._is_all = False
        self.is_list = self._next() == "["

    def __iter__(self) -> Iterator[Any]:
        """Yield the values; a `BadValue` for an object of a list that is not JSON, if it is sure where it ends.

        Raises:
            UnreadableDocument: it is not JSON from here on, neither a list nor an object, or a value is too large.
        """
        if not self.is_list:
            yield from self._read_objects()
            return
        self._place += 1
        if self._next() != "]":
            yield self._read_element()
            while self._next() == ",":
                self._place += 1
                self._next()
                yield self._read_element()
        if self._next() != "]":
            raise self._fail("Expecting ',' delimiter", self._place)
        self._place += 1
        if self._next():
            raise self._fail("Extra data", self._place)

    def _read_objects(self) -> Iterator[dict[str, Any]]:
        """Yield the one object, or several that follow each other: JSON Lines are also called `.json`."""
        is_first = True
        while is_first or self._next():
            place = self._left + self._place
            found = [self._read()]
            if not isinstance(found[0], dict) and is_first:
                raise UnreadableDocument("it is neither a JSON object nor a list of them")
            if not isinstance(found[0], dict):
                raise self._fail("Extra data", place - self._left)
            yield cast("dict[str, Any]", found.pop())  # which may be large, and is not held here
            is_first = False

    def _next(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._place)
            self._place = found.end() if found else self._place
            if self._place < len(self._text) or not self._read_more(_BLOCK_CHARACTERS):
                return self._text[self._place : self._place + 1]

    def _read_element(self) -> Any:
        try:
            return self._read()
        except UnreadableDocument as error:
            if not self._skip_object():
                raise
            self._drop()
            return BadValue(str(error))

    def _drop(self) -> None:
        """Let go of what is done."""
        if self._place > _DONE_CHARACTERS:
            self._text, self._left, self._place = self._text[self._place :], self._left + self._place, 0

    def _skip_object(self) -> bool:
        """Go to the end of an object that is not JSON; return whether another object, or the list's end, is below."""
        while self._text.startswith("{", self._place):
            end = _find_end(self._text, self._place)
            below = _BELOW.match(self._text, end) if end else None
            if below is not None:
                self._place = end
                return below["end"] is not None or below["next"] == "{"
            if self._is_all or (end and self._text[end:].strip(" \t\n\r,")):
                return False
            try:
                self._read_as_much_again()
            except UnreadableDocument:
                return False
        return False

    def _read(self) -> Any:
        """Read one value; as much more of the file as there is already, until that is enough."""
        while True:
            try:
                value, end = _decode(self._text, self._place)
            except json.JSONDecodeError as error:
                is_near = error.pos >= len(self._text) - _MAX_TOKEN_CHARACTERS or error.msg.startswith(_TEXT_GOES_ON)
                if self._is_all or not is_near:
                    raise self._fail(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:
                raise UnreadableDocument(f"it is not JSON: {error}") from error
            else:
                if end < len(self._text) or self._is_all:  # a number may go on
                    self._place = end
                    if end > _BLOCK_CHARACTERS:  # a large value is not held beside its text
                        self._text, self._left, self._place = self._text[end:], self._left + end, 0
                    return value
            self._read_as_much_again()

    def _read_as_much_again(self) -> None:
        rest = len(self._text) - self._place
        if rest > MAX_VALUE_CHARACTERS:
            raise UnreadableDocument(
                f"one of its values has more than {MAX_VALUE_CHARACTERS:,} characters, which would take much memory; "
                "use JSON Lines"
            )
        self._read_more(max(_BLOCK_CHARACTERS, rest))
        if has_many_values(self._text):
            raise UnreadableDocument(TOO_MANY_VALUES)

    def _read_more(self, characters: int) -> bool:
        try:
            more = self._file.read(characters)
        except UnicodeDecodeError as error:
            raise UnreadableDocument(f"it is not {error.encoding} text: {error.reason}") from error
        self._is_all = not more
        self._text, self._left, self._place = self._text[self._place :] + more, self._left + self._place, 0
        return bool(more)

    def _fail(self, message: str, place: int) -> UnreadableDocument:
        return UnreadableDocument(f"it is not JSON: {message} (character {self._left + place + 1:,})")


def _find_end(text: str, start: int) -> int:
    """Return where the bracket at `start` is closed; 0 if it is not."""
    depth = 0
    for found in _BRACKET.finditer(text, start):
        if found[0] in _OPENING:
            depth += 1
        elif found[0] in _CLOSING:
            depth -= 1
            if not depth:
                return found.end()
    return 0
