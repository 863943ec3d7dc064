"""Books (.epub): `read_chapters`, the text of each chapter in the order of reading."""

from __future__ import annotations

from dataclasses import replace
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from gemvec.documents.archive import Archive
from gemvec.documents.content import Content
from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.text import UnreadableDocument

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_RIGHTS = "META-INF/rights.xml"


def read_chapters(data: Content) -> tuple[list[str], str, dict[str, str], list[Note]]:
    """Return the chapters as Markdown, the title, the author and language as metadata, and what was left out.

    Raises:
        UnreadableDocument: it is not a book, or is protected.
    """
    archive = Archive(data, "an EPUB")
    root = archive.read_xml("META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
    package_name = root.get("full-path", "") if root is not None else ""
    package = archive.read_xml(package_name)
    places = {
        each.get("id", ""): normpath(join(dirname(package_name), unquote(each.get("href", ""))))
        for each in package.iter(f"{_OPF}item")
    }
    spine = [places.get(each.get("idref", ""), "") for each in package.iter(f"{_OPF}itemref")]
    if _RIGHTS in archive.names:
        raise UnreadableDocument("it is protected (DRM)")
    chapters, notes = list[str](), list[Note]()
    for name in spine:
        try:
            page = read_page(archive.read(name))
            notes += [replace(each, place=name) for each in page.notes]
            if page.text:
                chapters.append(page.text)
        except UnreadableDocument:
            reason = f"its part {name or 'without a name'} is missing or damaged, and left out"
            notes.append(Note(reason=reason, is_loss=True, place=name))
    if not chapters:
        raise UnreadableDocument("it has no chapters with text")
    names = ("title", "creator", "language")
    said = {name: " ".join((package.findtext(f".//{_DC}{name}") or "").split()) for name in names}
    title = said.pop("title")
    return chapters, title, {name: value for name, value in said.items() if value}, notes
