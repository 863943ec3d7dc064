"""Numbers of spreadsheets as a reader sees them: `write_number`, by the cell's format, such as `0.0%`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from math import isfinite

_GENERAL = "general"
_TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)"?
    | \\(?P<escaped>.)
    | (?P<room>[_*].?)                        # room of a character's width, or a character that fills the cell
    | \[\$(?P<currency>[^\]\-]*)(?:-[^\]]*)?\]
    | (?P<color>\[(?:black|blue|cyan|green|magenta|red|white|yellow|colou?r[ ]?\d+)\])
    | (?P<digit>[0#?])
    | (?P<unknown>\[|[eE][+\-]|[/@])          # conditions, exponents, fractions, texts
    | (?P<text>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# A part for some numbers only, which may leave the sign of others to the parts that follow.
_CONDITION = re.compile(r"\[[<>=]")
# More places than these, or a longer format, are not for reading.
_MAX_PLACES, _MAX_CHARACTERS = 30, 500
_ZERO_SECTION = 2
_POINT, _PERCENT, _COMMA = ".", "%", ","


@dataclass(frozen=True, slots=True)
class _Section:
    """How numbers of one sign are written.

    Attributes:
        whole: the marks before the point, a text or the mark of a digit each.
        places: the marks of digits after the point.
        rest: what follows them.
        is_grouped: whether thousands are divided by commas.
        power: of ten, by which a number is multiplied.
    """

    whole: tuple[tuple[str, bool], ...]
    places: str
    rest: str
    is_grouped: bool
    power: int

    @property
    def has_digits(self) -> bool:
        return bool(self.places) or any(is_digit for _, is_digit in self.whole)


def write_number(value: float, code: str) -> str:
    """Return a number in the format that its cell has; as it is if the format is not one of plain numbers.

    Args:
        value: the number.
        code: the format, as Excel writes it: `0.0%`, `#,##0.00 "€"`, `0;(0);"none"`.
    """
    sections = _read_format(code)
    index = _ZERO_SECTION if not value else int(value < 0)
    section = sections[index] if index < len(sections) else sections[0] if sections else None
    if section is None or (isinstance(value, float) and not isfinite(value)):
        return write_plain(value)
    sign = "-" if value < 0 and len(sections) == 1 else ""
    try:
        text = sign + _write(Decimal(repr(value)), section)
    except InvalidOperation:  # more digits than are for reading
        return write_plain(value)
    # A format without any mark hides the number; only of a zero nothing is lost.
    return " ".join(text.split()) or ("" if not value else write_plain(value))


def write_plain(value: float) -> str:
    """Return a number without a format."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@lru_cache(maxsize=1_000)
def _read_format(code: str) -> tuple[_Section | None, ...]:
    """Return the sections of a format; None for one that is not understood."""
    if code.lower() == _GENERAL or len(code) > _MAX_CHARACTERS or _CONDITION.search(code):
        return ()
    return tuple(map(_read_section, _cut_sections(code)[: _ZERO_SECTION + 1]))


def _cut_sections(code: str) -> list[str]:
    sections, start = list[str](), 0
    for token in _TOKEN.finditer(code):
        if token["text"] == ";":
            sections.append(code[start : token.start()])
            start = token.end()
    return [*sections, code[start:]]


def _read_section(code: str) -> _Section | None:
    tokens = list(_TOKEN.finditer(code))
    return None if any(token["unknown"] for token in tokens) else _Reading().read(tokens)


class _Reading:
    """Goes once through the tokens of a section."""

    def __init__(self) -> None:
        self._whole: list[tuple[str, bool]] = []
        self._places, self._rest = "", ""
        self._is_after_point = self._is_grouped = False
        self._commas = self._percents = 0

    def read(self, tokens: list[re.Match[str]]) -> _Section | None:
        for token in tokens:
            if token["digit"]:
                self._add_digit(token["digit"])
            elif token["text"] == _POINT and not self._is_after_point:
                self._is_after_point = True
            elif token["text"] == _COMMA:
                self._commas += 1
            else:
                self._percents += token["text"] == _PERCENT
                self._add_text(_read_text(token))
        if _GENERAL in "".join(text for text, _ in self._whole).lower() or len(self._places) > _MAX_PLACES:
            return None
        power = 2 * self._percents - 3 * self._commas  # commas that no digit follows stand for thousands
        return _Section(tuple(self._whole), self._places, self._rest, self._is_grouped, power)

    def _add_digit(self, mark: str) -> None:
        if self._is_after_point:
            self._places += mark
            return
        self._is_grouped, self._commas = self._is_grouped or bool(self._commas), 0
        self._whole.append((mark, True))

    def _add_text(self, text: str) -> None:
        if self._is_after_point:
            self._rest += text
        elif text:
            self._whole.append((text, False))


def _read_text(token: re.Match[str]) -> str:
    if token["room"]:
        return " " if token["room"].startswith("_") else ""
    return token["quoted"] or token["escaped"] or token["currency"] or token["text"] or ""


def _write(value: Decimal, section: _Section) -> str:
    if not section.has_digits:
        return "".join(text for text, _ in section.whole) + section.rest
    number = value.copy_abs().scaleb(section.power)
    rounded = number.quantize(Decimal(1).scaleb(-len(section.places)), rounding=ROUND_HALF_UP)
    whole, _, places = f"{rounded:f}".partition(".")
    shown = len(places.rstrip("0"))
    needed = len(section.places.rstrip("#?"))
    places = places[: max(shown, needed)]
    point = _POINT + places if places else ""
    return _write_whole(whole.lstrip("0"), section, point) + section.rest


def _write_whole(digits: str, section: _Section, point: str) -> str:
    """Return the digits before the point in their places, with the texts between them."""
    marks = "".join(text for text, is_digit in section.whole if is_digit)
    digits = digits.zfill(len(marks.lstrip("#?")))
    if section.is_grouped and digits:
        digits = f"{int(digits):,}" if not digits.startswith("0") else digits
    left = len(marks)
    texts = [point]
    for text, is_digit in reversed(section.whole):
        if not is_digit:
            texts.append(text)
            continue
        left -= 1
        # What is more than the marks stands at the first of them.
        cut = 0 if not left or section.is_grouped else max(len(digits) - 1, 0)
        texts.append(digits[cut:])
        digits = digits[:cut]
    return "".join(reversed(texts))
