"""PDF files: `read_pdf`, the text of each page without running heads, page numbers and words cut at line ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, cast

from gemvec.documents.content import Content, refuse_many_characters, to_file
from gemvec.documents.document import Note
from gemvec.documents.pdf_fields import close_form, is_xfa, open_form, read_written
from gemvec.documents.text import UnreadableDocument, fold, replace_halves
from gemvec.documents.titles import choose_title
from gemvec.errors import MissingDependency

# PDFium's reasons for not opening a file (FPDF_ERR_*).
_PASSWORD, _SECURITY = 4, 5
# How many lines at the top and bottom of a page may be running heads, and the share of pages that must repeat them.
_EDGE_LINES, _MIN_PAGES, _SHARE, _SHARE_OF_BOTH = 2, 4, 0.5, 0.8
# Further in, only the same words repeat in a running head of several lines, and only numbers of lines below that.
_DEEP_LINES, _NUMBERED_LINES = 4, 60
_LINE_NUMBER = re.compile(r"[a-z]{0,2}\d{1,4}[a-z]{0,2}")
_NUMBERS_SHOWN = 10
_LOOK_BYTES = 1_000
# What a form has in place of its pages, for programs that cannot make them.
_ADOBE_ONLY = re.compile(r"Adobe\s+Reader", re.IGNORECASE)
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")
# A hyphen at a line's end. PDFium gives U+FFFE for one that it takes for a soft one, and leaves out the line's end.
_HYPHEN = re.compile("(?<![^\\W\\d_])([^\\W\\d_]+)(?:(?:-|\u2010|\u00ad|\ufffe)[ \\t]*(\n)[ \\t]*|\ufffe)([^\\W\\d_]+)")
_COMPOUND = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")
# Numbers of shapes in a font, where their characters should be.
_NAMELESS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffd]")
_NAMELESS_ON_PAGE, _NAMELESS_IN_LINE = 0.04, 0.08
# Small capitals and old-style digits, as Adobe's list of glyphs numbers them.
_ADOBE_FORMS = {0xF700 + ord(letter): letter for letter in "0123456789abcdefghijklmnopqrstuvwxyz"}
_SOFT = re.compile("[\ufffe\u00ad]")


def read_pages(data: Content) -> tuple[list[str], str, list[Note]]:
    """Return the text of each page, the title, and which pages were left out.

    Raises:
        UnreadableDocument: it is not a PDF, it is protected, or no page has text.
    """
    document = _open(data)
    form = open_form(document)
    try:
        title = choose_title(fold(cast("str", document.get_metadata_value("Title") or "")))
        read = _read_pages(document, form)
        has_xfa = is_xfa(document)
        attached = document.count_attachments()
    finally:
        close_form(form)
        document.close()
    found, written = [drop_nameless(text) if text else text for text, _ in read], [lines for _, lines in read]
    nameless = [number for number, (text, _) in enumerate(read, start=1) if text != found[number - 1]]
    if has_xfa and any(text and _ADOBE_ONLY.search(text) for text in found):
        raise UnreadableDocument("it is a form (XFA) that only programs of Adobe can show")
    damaged = [number for number, text in enumerate(found, start=1) if text is None]
    empty = [
        number for number, (text, lines) in enumerate(read, start=1) if text is not None and not (text + lines).strip()
    ]
    if nameless and not any(written) and not any(text and text.strip() for text in found):
        raise UnreadableDocument("its fonts do not say which characters they show; it would need OCR")
    if len(damaged) == len(found):
        raise UnreadableDocument("it is not a readable PDF: all of its pages are damaged")
    if len(damaged) + len(empty) == len(found):
        raise UnreadableDocument("its pages have no text; it seems to be scanned, and would need OCR")
    notes = [
        Note(reason=f"{_name_pages(pages)} {what}, and left out", is_loss=True)
        for pages, what in ((damaged, "damaged"), (empty, "without text (empty or scanned)"))
        if pages
    ]
    if nameless:
        what = "partly in fonts that do not say which characters they show"
        notes.append(Note(reason=f"{_name_pages(nameless)} {what}; these lines are left out", is_loss=True))
    if attached:
        files = "a file is" if attached == 1 else f"{attached} files are"
        notes.append(Note(reason=f"{files} attached to it, and left out", is_loss=True))
    pages = drop_running_lines([text or "" for text in found])
    compounds = {found for text in pages for found in _COMPOUND.findall(text)}
    joined = [join_hyphenated(text, compounds) for text in pages]
    return ["\n".join(filter(None, both)) for both in zip(joined, written, strict=True)], title, notes


def _open(data: Content) -> Any:
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingDependency("PDF needs more packages.", extra="milvus") from error
    file = to_file(data)
    file.seek(0)
    if not file.read(_LOOK_BYTES).strip():
        raise UnreadableDocument("it is not a readable PDF: it is empty")
    # PDFium gives no reason for a file without pages, and would name that of the file before.
    pypdfium2.raw.FPDF_LoadMemDocument64(b"-", 1, None)
    try:
        return pypdfium2.PdfDocument(data if isinstance(data, bytes) else file)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in {_PASSWORD, _SECURITY} or "password" in str(error).lower():
            raise UnreadableDocument("it is protected by a password") from error
        raise UnreadableDocument(
            "it is not a readable PDF: it is damaged, or uses what PDFium does not know"
        ) from error


def _read_pages(document: Any, form: Any) -> list[tuple[str | None, str]]:
    read, length = list[tuple[str | None, str]](), 0
    for number in range(len(document)):
        text, written = _read_page(document, number, form)
        length += len(text or "") + len(written)
        refuse_many_characters(length)  # many pages may share one long text or field
        read.append((text, written))
    return read


def _read_page(document: Any, number: int, form: Any) -> tuple[str | None, str]:
    """Return a page's text, None when it is damaged, and what people have written on it."""
    import pypdfium2

    try:
        page = document[number]
        text_page = page.get_textpage()
        text = cast("str", text_page.get_text_range(errors="replace"))
        written = "\n".join(read_written(page, form))
    except UnreadableDocument:
        raise
    except (pypdfium2.PdfiumError, ValueError, OSError):
        return None, ""
    text = re.sub(r"\r\n?", "\n", text).replace("\0", "").translate(_ADOBE_FORMS)
    return replace_halves(text)[0], replace_halves(written)[0]


def _name_pages(numbers: Sequence[int]) -> str:
    more = len(numbers) - _NUMBERS_SHOWN
    shown = ", ".join(map(str, numbers[:_NUMBERS_SHOWN])) + (f" and {more} more" if more > 0 else "")
    return f"page {shown} is" if len(numbers) == 1 else f"pages {shown} are"


def drop_nameless(text: str) -> str:
    """Return a page without lines in fonts that do not say which characters they show: what is read of them is noise.

    A page with a few such characters is left as it is: they are signs in a formula.
    """
    if _count_nameless(text) <= _NAMELESS_ON_PAGE * len(text):
        return text
    return "\n".join(line for line in text.split("\n") if _count_nameless(line) <= _NAMELESS_IN_LINE * len(line))


def _count_nameless(text: str) -> int:
    return len(_NAMELESS.findall(text))


def drop_running_lines(pages: Sequence[str]) -> list[str]:
    """Return the pages without heads, feet and numbers: lines at the edge that most pages share, but for digits."""
    lines = [[line for line in page.split("\n") if line.strip()] for page in pages]
    known = [each for each in lines if _is_long(each)]
    if len(known) < _MIN_PAGES:
        return list(pages)
    repeated: set[tuple[int, str]] = set()
    for side in (range(_NUMBERED_LINES), range(-1, -_NUMBERED_LINES - 1, -1)):
        for place in side:
            found = _find_repeated(known, place)
            if not found:
                break
            repeated |= found
    return ["\n".join(_without(page, repeated)) if _is_long(page) else "\n".join(page) for page in lines]


def _find_repeated(pages: Sequence[Sequence[str]], place: int) -> set[tuple[int, str]]:
    """Return what most pages share at one place, counted from the start or the end of a page."""
    counts = Counter(shape for page in pages if (shape := _shape(page, place)))
    found = {(place, shape) for shape, count in counts.items() if count >= _SHARE * len(pages)}
    # Left and right pages differ; each kind is about half of the pages.
    pairs = [(shape, count) for shape, count in counts.most_common(2) if count > 1]
    if sum(count for _, count in pairs) >= _SHARE_OF_BOTH * len(pages):
        found |= {(place, shape) for shape, _ in pairs}
    return found


def _is_long(lines: Sequence[str]) -> bool:
    return len(lines) > 2 * _EDGE_LINES


def _shape(lines: Sequence[str], place: int) -> str:
    """Return what may repeat at a place; empty when that is nothing."""
    depth = place if place >= 0 else -place - 1
    if depth >= len(lines):
        return ""
    line = " ".join(lines[place].lower().split())
    if depth < _EDGE_LINES:
        return _DIGITS.sub("#", line)
    return line if depth < _DEEP_LINES or _LINE_NUMBER.fullmatch(line) else ""


def _without(lines: Sequence[str], repeated: set[tuple[int, str]]) -> list[str]:
    """Return the lines without repeated ones, removed from the edges inwards, so that no line between them is lost."""
    kept = list(lines)
    for side in (range(len(lines)), range(-1, -len(lines) - 1, -1)):
        for place in side:
            if (place, _shape(lines, place)) not in repeated:
                break
            kept[place] = ""
    return [line for line in kept if line]


def join_hyphenated(text: str, compounds: Collection[str] = ()) -> str:
    """Return `text` in plain characters, with words joined that the end of a line has cut in two.

    Args:
        text: a page.
        compounds: words that are written with a hyphen in the document; by default, those of the page.
    """
    known = compounds or set(_COMPOUND.findall(text))

    def join(found: re.Match[str]) -> str:
        first, end, second = found[1], found[2] or "", found[3]
        if f"{first}-{second}" in known:
            return f"{first}-{second}"
        return first + second if second[0].islower() else f"{first}-{end}{second}"

    return fold(_SOFT.sub("-", _HYPHEN.sub(join, text)))
