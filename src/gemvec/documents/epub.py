"""Books (.epub): `read_chapters`, the text of each chapter in the order of reading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gemvec.documents.archive import Archive
from gemvec.documents.content import Content
from gemvec.documents.document import Note
from gemvec.documents.html import read_page
from gemvec.documents.text import UnreadableDocument

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DC = "{http://purl.org/dc/elements/1.1/}"
_TYPE = "{http://www.idpf.org/2007/ops}type"
_RIGHTS, _ENCRYPTION = "META-INF/rights.xml", "META-INF/encryption.xml"
_PAGE, _NCX = "html", "application/x-dtbncx+xml"
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)


def read_chapters(data: Content) -> tuple[list[str], str, dict[str, str], list[Note]]:
    """Return the chapters as Markdown, the title, the author and language as metadata, and what was left out.

    Raises:
        UnreadableDocument: it is not a book, or is protected.
    """
    archive = Archive(data, "an EPUB")
    root = archive.read_xml("META-INF/container.xml").find(".//{*}rootfile")
    package_name = root.get("full-path", "") if root is not None else ""
    package = archive.read_xml(package_name)
    items = list(package.findall(".//{*}item"))
    places = {each.get("id", ""): _find_place(archive, package_name, each.get("href", "")) for each in items}
    spine = [places.get(each.get("idref", ""), "") for each in package.findall(".//{*}itemref")]
    if not spine:
        spine = [places[each.get("id", "")] for each in items if _PAGE in each.get("media-type", "")]
    spine = list(dict.fromkeys(spine))  # a chapter that is there once more tells nothing more
    locked, notes = _find_locked(archive)
    locked &= set(spine)
    if _RIGHTS in archive.names or (locked and locked.issuperset(spine)):
        raise UnreadableDocument("it is protected (DRM)")
    labels = _find_labels(archive, items, places)
    chapters = list[str]()
    for name in spine:
        if name in locked:
            notes.append(Note(reason=f"its part {name} is protected (DRM), and left out", is_loss=True, place=name))
            continue
        try:
            page = read_page(archive.read(name))
            notes += [replace(each, place=name) for each in page.notes]
            if page.text:
                chapters.append(_add_heading(page.text, labels.get(name, "")))
        except UnreadableDocument:
            reason = f"its part {name or 'without a name'} is missing or damaged, and left out"
            notes.append(Note(reason=reason, is_loss=True, place=name))
    if not chapters:
        raise UnreadableDocument("it has no chapters with text")
    names = ("title", "creator", "language")
    said = {name: " ".join((package.findtext(f".//{_DC}{name}") or "").split()) for name in names}
    title = said.pop("title")
    return chapters, title, {name: value for name, value in said.items() if value}, notes


def _find_place(archive: Archive, base: str, address: str) -> str:
    """Return the name of the part that an address in another part leads to."""
    place = normpath(join(dirname(base), unquote(address.partition("#")[0])))
    if place in archive.names:
        return place
    return archive.names_by_case.get(place.casefold(), place)


def _find_locked(archive: Archive) -> tuple[set[str], list[Note]]:
    """Return the parts that are encrypted, and that they are not known if their list cannot be read."""
    if _ENCRYPTION not in archive.names:
        return set(), []
    try:
        found = archive.read_xml(_ENCRYPTION).findall(".//{*}CipherReference")
    except UnreadableDocument:  # mostly only fonts are named there
        reason = f"its part {_ENCRYPTION} cannot be read, so it is not known what is protected (DRM)"
        return set(), [Note(reason=reason, is_loss=True, place=_ENCRYPTION)]
    return {normpath(unquote(each.get("URI", ""))) for each in found}, []


def _find_labels(archive: Archive, items: Iterable[Element], places: Mapping[str, str]) -> dict[str, str]:
    """Return what the table of contents calls each part; nothing if it cannot be read.

    A link into a part names all of it only if no other one leads there.
    """
    labels, inner = dict[str, str](), dict[str, dict[str, str]]()
    menus = {places[item.get("id", "")]: item for item in items if item.get("media-type") == _NCX or _is_nav(item)}
    for name, item in menus.items():
        try:
            if item.get("media-type") == _NCX:
                found = list(_read_ncx(archive.read_xml(name)))
            else:
                found = list(_read_nav(archive.read_xml(name)))
        except UnreadableDocument:
            continue
        for address, said in found:
            place, label = _find_place(archive, name, address), " ".join(said.split())
            mark = address.partition("#")[2]
            (inner.setdefault(place, {}) if mark else labels).setdefault(mark or place, label)
    return {place: label for place, marks in inner.items() if len(marks) == 1 for label in marks.values()} | labels


def _is_nav(item: Element) -> bool:
    return "nav" in item.get("properties", "").split()


def _read_ncx(root: Element) -> Iterator[tuple[str, str]]:
    for point in root.findall(".//{*}navPoint"):
        link = point.find("{*}content")
        if link is not None:
            yield link.get("src", ""), point.findtext("{*}navLabel/{*}text") or ""


def _read_nav(root: Element) -> Iterator[tuple[str, str]]:
    waiting = [(root, False)]
    while waiting:  # each element once, however they are nested
        element, is_toc = waiting.pop()
        name = element.tag.rpartition("}")[2]
        if name == "nav":
            is_toc = element.get(_TYPE, "toc") == "toc"
        elif name == "a" and is_toc:
            yield element.get("href", ""), "".join(element.itertext())
            continue
        waiting += [(each, is_toc) for each in reversed(element)]


def _add_heading(text: str, label: str) -> str:
    """Return a chapter with a heading: what the table of contents calls it, if it has none itself."""
    if not label or _HEADING.search(text):
        return text
    first, _, rest = text.partition("\n")
    if first.strip(" *").casefold() == label.casefold():
        return f"# {label}\n{rest}"
    return f"# {label}\n\n{text}"
