"""Bytes as text, and text as a reader sees it: `decode_text`, `fold`."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass, replace

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
# How much a guess looks at; more takes seconds and does not help.
SAMPLE_BYTES = 2**18
# Text is UTF-8 with bad spots if it has this many good characters beyond ASCII for each bad byte. By chance, texts in
# other encodings have fewer: 0.6 for Russian in GBK.
_GOOD_FOR_BAD = 2
# Text in another encoding than its mark says has more bad spots than this.
_MAX_BAD_SHARE = 0.05
# Text with more zero bytes than this is none; what is packed has four times as many.
_MAX_ZERO_SHARE = 0.001
# How to decode text that may have bad spots, for `bytes.decode` and the like: each becomes half a character, which
# `repair_document` replaces and notes.
HALVE = "gemvec.halve"
# Used instead of a guess with little confidence: the encoding of most files that are not UTF-8.
_MIN_CONFIDENCE, _USUAL_ENCODING = 0.06, "cp1252"
# Bytes in words: letters in ISO 8859-2 that are signs in Windows' code page for Central Europe; what is the letter `š`
# in one and `ą` in the other; and letters that only Polish has, which are the same in both.
_OF_WINDOWS, _C1 = frozenset({"windows-1250"}), re.compile(b"[\x80-\x9f]")
_SIGNS = re.compile(b"(?<=[A-Za-z])[\xa6\xa9\xab\xac\xae\xb1\xb6\xbb](?=[a-z])|(?<=[a-z])[\xb1\xb6\xbc](?![a-z])")
_S_OR_A, _POLISH = re.compile(b"(?<=[a-z])\xb9|\xb9(?=[a-z])"), re.compile(b"[\xb3\xbf\xea]")
# Taken with less confidence where the usual encoding cannot be right: a few words of these say little about themselves.
_OF_ASIA = frozenset({"cp932", "shift_jis_2004", "euc-jp", "gb18030", "big5", "big5-hkscs", "cp949", "euc-kr"})
# For code pages of DOS and of old Macs, of which few texts are left.
_MIN_CONFIDENCE_OF_OLD = 0.2
_ESCAPED = ("iso2022_kr", "iso2022_jp_2", "iso2022_jp_3")
# Byte order marks in the middle of a text, spaces without width, hyphens that only show at the end of a line, and marks
# for the direction of writing.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# Letters, signs and spaces of living scripts; not the rare ones that come from a wrong encoding.
_USUAL = re.compile(
    "[\t\n\r\x20-\x7e\xa0-\u06ff\u0900-\u0e7f\u10a0-\u10ff\u1e00-\u1fff\u2010-\u20bf\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_USUAL_BEFORE_ASIA = re.compile("[\t\n\r\x20-\x7e\xa0-\u052f\u0590-\u06ff\u0900-\u0e7f\u2010-\u201f\u2026]")
_USUAL_SHARE, _ZERO_SHARE = 0.95, 0.6
_FOLDED_KINDS = frozenset({"wide", "narrow", "font", "initial", "medial", "final", "isolated", "square", "noBreak"})
# As browsers read these names.
_AS_BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932"}
_HYPHENS = "\u2010\u2011"
_HALF = re.compile("[\ud800-\udfff]")


class UnreadableDocument(ValueError):
    """A file is not of the kind that its name says; the message is one sentence for the report."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of some bytes.

    Attributes:
        text: lines end with a line feed; what could not be decoded is U+FFFD.
        guess: the encoding, if it was guessed; otherwise empty.
        damage: what could not be decoded, as a sentence; empty when everything could.
    """

    text: str
    guess: str = ""
    damage: str = ""


def decode_text(data: bytes) -> DecodedText:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte order mark, otherwise by a guess.

    Raises:
        UnreadableDocument: it is not text.
    """
    encoding, is_guess = find_encoding(data)
    decoded = decode_as(data, encoding)
    if "\0" in decoded.text:
        raise UnreadableDocument("it is not text: it holds NUL characters")
    return replace(decoded, guess=encoding) if is_guess else decoded


def decode_as(data: bytes, encoding: str) -> DecodedText:
    """Return text whose encoding is known, also if it has bad spots.

    Raises:
        UnreadableDocument: it has a byte order mark, and is not what the mark says.
    """
    text, damage = data.decode(encoding, errors=HALVE), ""
    if not text.isascii():
        text, bad = replace_halves(text)
        if bad > max(_MAX_BAD_SHARE * len(text), 1) and data.startswith(tuple(mark for mark, _ in _MARKS)):
            raise UnreadableDocument(f"it is not {encoding.removesuffix('-sig')} text, although it is marked as that")
        if bad:
            name = encoding.removesuffix("-sig")
            damage = (
                f"not all of it is {name} text: {bad:,} {'spot is' if bad == 1 else 'spots are'} replaced by \ufffd"
            )
    return DecodedText(text.replace("\r\n", "\n").replace("\r", "\n"), damage=damage)


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
        is_cut = error.reason == "unexpected end of data" and error.start > len(data) - 4 and len(data) >= SAMPLE_BYTES
        if is_cut or is_damaged_utf8(data):
            return "utf-8", False
        return _guess(_find_sample(data, error.start)), True
    if escaped := _find_escaped(data):
        return escaped, True
    if b"\0" not in data:
        return "utf-8", False
    return _guess(data[:SAMPLE_BYTES]), True


def drop_single_zeros(data: bytes) -> bytes:
    """Return bytes without zeros if these are so few that it may be text, as exports of databases have them."""
    count = 0 if data[:4].count(0) else data.count(0)
    return data.replace(b"\0", b"") if 0 < count <= max(1, _MAX_ZERO_SHARE * len(data)) else data


def _find_sample(data: bytes, first_bad: int) -> bytes:
    """Return what tells the encoding of bytes: their start, or if that is only ASCII, where other letters begin."""
    start = data[:SAMPLE_BYTES]
    if first_bad < SAMPLE_BYTES or b"\0" in start:
        return start
    return data[first_bad - SAMPLE_BYTES // 2 : first_bad + SAMPLE_BYTES // 2]


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8 text, also if it has bad spots."""
    return _decodes(data, "utf-8") or is_damaged_utf8(data)


def is_damaged_utf8(data: bytes) -> bool:
    """Whether bytes that cannot be decoded are UTF-8 text with bad spots, such as half a character."""
    if b"\0" in data:
        return False
    text = data.decode(errors=HALVE)
    bad = len(_HALF.findall(text))
    good = len(text) - len(text.encode("ascii", errors="ignore")) - bad
    return good >= _GOOD_FOR_BAD * bad


def _guess(sample: bytes) -> str:
    if wide := _find_wide(sample):
        return wide
    if b"\0" in sample:
        raise UnreadableDocument("it is not text: it holds NUL characters")
    import chardet

    for era, least in (
        (chardet.EncodingEra.MODERN_WEB, _MIN_CONFIDENCE),
        (chardet.EncodingEra.ALL, _MIN_CONFIDENCE_OF_OLD),
    ):
        found = chardet.detect(sample, encoding_era=era)
        if found["encoding"] and found["confidence"] >= least:
            name = found["encoding"].lower()
            return "iso8859-2" if name in _OF_WINDOWS and _is_latin_2(sample) else name
    if not _decodes(sample, _USUAL_ENCODING):
        name = (chardet.detect(sample, encoding_era=chardet.EncodingEra.MODERN_WEB)["encoding"] or "").lower()
        if name in _OF_ASIA and _is_text(sample, name, is_sure=False):
            return name
    return _USUAL_ENCODING


def _is_latin_2(sample: bytes) -> bool:
    """Whether letters of Central Europe are where ISO 8859-2 has them, which is hardly told from Windows' code page."""
    if _C1.search(sample):  # letters of Windows' code page
        return False
    signs, letters = len(_SIGNS.findall(sample)), len(_S_OR_A.findall(sample))
    return signs > letters if _POLISH.search(sample) else bool(signs or letters)


def _find_escaped(data: bytes) -> str:
    """Return an encoding of mails that switches between ASCII and letters of Asia, all in 7 bits; empty for none."""
    if b"\x1b$" not in data or not data.isascii():
        return ""
    whole = data[: data.rfind(b"\n") + 1] or data  # each line ends in ASCII
    return next((name for name in _ESCAPED if _decodes(whole, name)), "")


def _find_wide(sample: bytes) -> str:
    """Return UTF-16 or UTF-32 for text without a mark: most characters of most texts have the same high bytes."""
    for width, name in ((4, "utf-32"), (2, "utf-16")):
        whole = sample[: len(sample) // width * width]
        if len(whole) < 2 * width:
            continue
        for order in ("le", "be"):
            places = range(1, width) if order == "le" else range(width - 1)
            zeros = sum(whole[place::width].count(0) for place in places)
            has_zeros = zeros >= _ZERO_SHARE * len(places) * len(whole) / width
            if (has_zeros or b"\0" in sample) and _is_text(whole, f"{name}-{order}", is_sure=has_zeros):
                return f"{name}-{order}"
    return ""


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_text(data: bytes, encoding: str, *, is_sure: bool) -> bool:
    """Whether nearly all of the bytes are characters that texts contain.

    Letters of other scripts than ours have no zero bytes, but the spaces and line ends between them do. That is less
    sure: pairs of ASCII letters are letters of Chinese, but of no other script.
    """
    try:
        text = data.decode(encoding, errors="replace" if is_sure else "strict")[:10_000]
    except UnicodeDecodeError:
        return False
    usual = _USUAL if is_sure or not _decodes(data, "utf-8") else _USUAL_BEFORE_ASIA
    return len(usual.findall(text)) >= _USUAL_SHARE * len(text)


def find_codec(charset: str) -> str:
    """Return Python's name of an encoding of texts, or an empty one."""
    try:
        found = codecs.lookup(charset.strip().strip("'\"") or "unknown")
    except (LookupError, ValueError):
        return ""
    is_text = getattr(found, "_is_text_encoding", True)
    return _AS_BROWSERS.get(found.name, found.name) if is_text else ""


def fold(text: str) -> str:
    """Return `text` in characters that people type: ligatures, wide and presentation forms become plain letters.

    Superscripts, fractions and similar characters stay, because their plain forms mean something else.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text).translate(_FORMS))


def replace_halves(text: str) -> tuple[str, int]:
    """Return `text` with each half of a character (a lone surrogate) replaced by U+FFFD, and how many there were."""
    return _HALF.subn("\ufffd", text)


# Characters beyond the first 65,536 as some programs write them in UTF-8, in two halves; and one half alone.
_TWO_HALVES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_ONE_HALF = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")


def _halve(error: UnicodeError) -> tuple[str, int]:
    """Decode what cannot be decoded as half a character; two halves of UTF-8 as the character that they are."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    if error.encoding == "utf-8":
        if found := _TWO_HALVES.match(error.object, error.start):
            halves = found[0].decode(errors="surrogatepass")
            return halves.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le"), found.end()
        if found := _ONE_HALF.match(error.object, error.start):
            return "\udcff", found.end()
    return "\udcff", error.end


codecs.register_error(HALVE, _halve)


class _Forms(dict[int, str]):
    """What each character is folded to; computed when it first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(character: str) -> str:
    if character in _HYPHENS:
        return "-"
    kind, _, _ = unicodedata.decomposition(character).removeprefix("<").partition(">")
    folded = unicodedata.normalize("NFKC", character)
    if kind in _FOLDED_KINDS or (kind == "compat" and folded.isalnum()):
        return folded
    return character


_FORMS = _Forms()
