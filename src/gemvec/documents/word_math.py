"""Formulas of Word documents as text: `spell_formulas`, because mammoth leaves them out."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"<m:oMath(?:\s[^<>]*+)?(?<!/)>([^<]*+(?:<(?!/?m:oMath[\s>])[^<]*+)*+)</m:oMath>")
_PARAGRAPH = re.compile(
    r"<m:oMathParaPr>[^<]*+(?:<(?!/?m:oMathParaPr>)[^<]*+)*+</m:oMathParaPr>|</?m:oMathPara(?:\s[^<>]*+)?>"
)
_PIECE = re.compile(r"<m:t(?:\s[^<>]*+)?(?<!/)>([^<]*+)</m:t>|<m:(den|sup|sub)>")
# What stands before the lower part of a fraction, an exponent and an index.
_SIGNS = {"den": "/", "sup": "^", "sub": "_"}


def spell_formulas(text: bytes) -> bytes | None:
    """Return the text of a Word document, as XML, with its formulas as plain text, `r^2`; None if there are none."""
    if b"<m:oMath" not in text:
        return None
    return _PARAGRAPH.sub("", _FORMULA.sub(_spell, text.decode(errors="replace"))).encode()


def _spell(found: re.Match[str]) -> str:
    pieces = (_SIGNS[piece[2]] if piece[2] else piece[1] for piece in _PIECE.finditer(found[1]))
    return f'<w:r><w:t xml:space="preserve">{"".join(pieces)}</w:t></w:r>'
