"""Bytes as text, and text as a reader sees it: `decode_text`, `fold`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
# How much a guess looks at; more takes seconds and does not help.
SAMPLE_BYTES = 2**18
# Used instead of a guess with little confidence: the encoding of most files that are not UTF-8.
_MIN_CONFIDENCE, _USUAL_ENCODING = 0.06, "cp1252"
# Byte order marks in the middle of a text, spaces without width, and hyphens that only show at the end of a line.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
# Letters, signs and spaces of living scripts; not the rare ones that come from a wrong encoding.
_USUAL = re.compile(
    "[\t\n\r\x20-\x7e\xa0-\u052f\u0590-\u06ff\u0900-\u0e7f\u2010-\u20bf\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_USUAL_SHARE, _ZERO_SHARE = 0.95, 0.6
_FOLDED_KINDS = frozenset({"wide", "narrow", "font", "initial", "medial", "final", "isolated", "square", "noBreak"})


class UnreadableDocument(ValueError):
    """A file is not of the kind that its name says; the message is one sentence for the report."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of some bytes.

    Attributes:
        text: lines end with a line feed.
        guess: the encoding, if it was guessed; otherwise empty.
    """

    text: str
    guess: str = ""


def decode_text(data: bytes) -> DecodedText:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte order mark, otherwise by a guess.

    Raises:
        UnreadableDocument: it is not text.
    """
    encoding, is_guess = find_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if not is_guess:
            raise UnreadableDocument(f"it is not {encoding.removesuffix('-sig')} text: {error.reason}") from error
        text = data.decode(encoding, errors="replace")  # the sample was right
    if "\0" in text:
        raise UnreadableDocument("it is not text: it holds NUL characters")
    return DecodedText(re.sub(r"\r\n?", "\n", text), encoding if is_guess else "")


def find_encoding(data: bytes) -> tuple[str, bool]:
    """Return the encoding of the start of a file, or of all of it, and whether it is a guess.

    Raises:
        UnreadableDocument: it is not text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, False
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # The start of a file may end inside a character.
        if error.reason == "unexpected end of data" and error.start > len(data) - 4 and len(data) >= SAMPLE_BYTES:
            return "utf-8", False
    else:
        if b"\0" not in data:
            return "utf-8", False
    return _guess(data[:SAMPLE_BYTES]), True


def _guess(sample: bytes) -> str:
    if wide := _find_wide(sample):
        return wide
    if b"\0" in sample:
        raise UnreadableDocument("it is not text: it holds NUL characters")
    import chardet

    found = chardet.detect(sample, encoding_era=chardet.EncodingEra.MODERN_WEB)
    encoding = found["encoding"] or _USUAL_ENCODING
    return encoding.lower() if found["confidence"] >= _MIN_CONFIDENCE else _USUAL_ENCODING


def _find_wide(sample: bytes) -> str:
    """Return UTF-16 or UTF-32 for text without a mark: most characters of most texts have the same high bytes."""
    # Chinese and Japanese letters have no zero bytes, but the spaces and line ends between them do.
    is_chinese = b"\0" in sample and not _is_utf8(sample)
    for width, name in ((4, "utf-32"), (2, "utf-16")):
        whole = sample[: len(sample) // width * width]
        if len(whole) < 2 * width:
            continue
        for order in ("le", "be"):
            places = range(1, width) if order == "le" else range(width - 1)
            zeros = sum(whole[place::width].count(0) for place in places)
            has_zeros = zeros >= _ZERO_SHARE * len(places) * len(whole) / width
            if (has_zeros or is_chinese) and _is_text(whole, f"{name}-{order}"):
                return f"{name}-{order}"
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_text(data: bytes, encoding: str) -> bool:
    """Whether nearly all of the bytes are characters that texts contain."""
    try:
        text = data.decode(encoding)[:10_000]
    except UnicodeDecodeError:
        return False
    return len(_USUAL.findall(text)) >= _USUAL_SHARE * len(text)


def fold(text: str) -> str:
    """Return `text` in characters that people type: ligatures, wide and presentation forms become plain letters.

    Superscripts, fractions and similar characters stay, because their plain forms mean something else.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text).translate(_FORMS))


def replace_halves(text: str) -> tuple[str, int]:
    """Return `text` with each half of a character (a lone surrogate) replaced by U+FFFD, and how many there were."""
    return re.subn("[\ud800-\udfff]", "\ufffd", text)


class _Forms(dict[int, str]):
    """What each character is folded to; computed when it first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    kind, _, _ = unicodedata.decomposition(character).removeprefix("<").partition(">")
    folded = unicodedata.normalize("NFKC", character)
    if kind in _FOLDED_KINDS or (kind == "compat" and folded.isalnum()):
        return folded
    return character


_FORMS = _Forms()
