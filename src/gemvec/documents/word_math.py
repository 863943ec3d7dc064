"""Formulas of Word documents as text: `spell_formulas`, because mammoth leaves them out."""

from __future__ import annotations

import io
import re
from zipfile import ZipFile

from gemvec.documents.archive import Archive

_TEXT_PART = "word/document.xml"
_FORMULA = re.compile(r"<m:oMath(?:\s[^>]*)?(?<!/)>(.*?)</m:oMath>", re.DOTALL)
_PARAGRAPH = re.compile(r"<m:oMathParaPr>.*?</m:oMathParaPr>|</?m:oMathPara(?:\s[^>]*)?>", re.DOTALL)
_PIECE = re.compile(r"<m:t(?:\s[^>]*)?(?<!/)>([^<]*)</m:t>|<m:(den|sup|sub)>")
# What stands before the lower part of a fraction, an exponent and an index.
_SIGNS = {"den": "/", "sup": "^", "sub": "_"}


def spell_formulas(archive: Archive, data: bytes) -> bytes:
    """Return a Word document with its formulas as plain text, `r^2`.

    Args:
        archive: the document; its parts have been checked.
        data: the same, as bytes, which are returned when there is no formula.

    Raises:
        UnreadableDocument: the part with the text is damaged.
    """
    written = archive.read(_TEXT_PART)
    if b"<m:oMath" not in written:
        return data
    text = _PARAGRAPH.sub("", _FORMULA.sub(_spell, written.decode(errors="replace")))
    file = io.BytesIO()
    with ZipFile(file, "w") as spelled:
        for name in archive.names:
            spelled.writestr(name, text if name == _TEXT_PART else archive.read(name))
    return file.getvalue()


def _spell(found: re.Match[str]) -> str:
    pieces = (_SIGNS[piece[2]] if piece[2] else piece[1] for piece in _PIECE.finditer(found[1]))
    return f'<w:r><w:t xml:space="preserve">{"".join(pieces)}</w:t></w:r>'
