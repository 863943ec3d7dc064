"""What people have written into a PDF: `read_written`, the values of its form and the texts put on its pages."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any, cast

from gemvec.documents.content import refuse_many_characters
from gemvec.documents.text import fold

# Flags of PDF: an annotation that is not shown, and a field whose value is not.
_UNSEEN, _PASSWORD = 1 << 1 | 1 << 5, 1 << 13
_MAX_NAME_CHARACTERS = 100


def open_form(document: Any) -> Any:
    """Return what reads the fields of a document, until `close_form`; None if it has none."""
    from pypdfium2 import raw

    if document.get_formtype() == raw.FORMTYPE_NONE:
        return None
    settings = raw.FPDF_FORMFILLINFO(version=2)
    form = cast("Any", raw.FPDFDOC_InitFormFillEnvironment(document, settings))
    return (form, settings) if form else None  # the settings have to live as long


def close_form(form: Any) -> None:
    """Let what `open_form` returned go."""
    from pypdfium2 import raw

    if form is not None:
        raw.FPDFDOC_ExitFormFillEnvironment(form[0])


def is_xfa(document: Any) -> bool:
    """Whether a document is a form whose pages only programs of Adobe can make."""
    from pypdfium2 import raw

    return document.get_formtype() == raw.FORMTYPE_XFA_FULL


def read_written(page: Any, form: Any) -> list[str]:
    """Return the values of the fields on a page, with the names that readers see, and the texts put on it.

    Raises:
        UnreadableDocument: they have too many characters.
    """
    texts, length = list[str](), 0
    for each in _find_annotations(page):
        if text := fold(_read(each, form)):
            length += len(text)
            refuse_many_characters(length)
            texts.append(text)
    return texts


def _find_annotations(page: Any) -> Iterator[Any]:
    from pypdfium2 import raw

    for number in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, number)
        if annotation:
            try:
                yield annotation
            finally:
                raw.FPDFPage_CloseAnnot(annotation)


def _read(annotation: Any, form: Any) -> str:
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetSubtype(annotation)
    if kind not in {raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_WIDGET} or raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
        return ""
    if kind == raw.FPDF_ANNOT_FREETEXT:
        return _take(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
    if form is None:
        return ""
    fields = {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}
    if raw.FPDFAnnot_GetFormFieldType(form[0], annotation) not in fields:
        return ""
    if raw.FPDFAnnot_GetFormFieldFlags(form[0], annotation) & _PASSWORD:
        return ""
    value = _take(raw.FPDFAnnot_GetFormFieldValue, form[0], annotation)
    name = " ".join(_take(raw.FPDFAnnot_GetFormFieldAlternateName, form[0], annotation).split())
    return f"{name.rstrip(':')}: {value}" if value and 0 < len(name) <= _MAX_NAME_CHARACTERS else value


def _take(read: Callable[..., int], *place: Any) -> str:
    """Return a text that PDFium writes into memory that is given to it."""
    from pypdfium2 import raw

    size = read(*place, None, 0)
    memory = ctypes.create_string_buffer(max(size, 2))
    read(*place, ctypes.cast(memory, cast("Any", ctypes.POINTER(raw.FPDF_WCHAR))), size)
    text = memory.raw[: max(size - 2, 0)].decode("utf-16-le", errors="replace").replace("\0", "")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
