"""Files turned into text with its structure kept: one reader per kind of file, in the table `READERS`.

HTML and reStructuredText become Markdown, so that headings and code blocks of all three are cut the same way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gemvec.documents.document import MAX_METADATA_BYTES, DocumentFormat, has_more_values, to_json
from gemvec.errors import MissingDependency


class UnreadableDocument(ValueError):
    """A file is not what its name says; the message is one sentence for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadText:
    """What a reader makes of a file. Fields mean what they mean in `Document`."""

    text: str
    title: str = ""
    format: DocumentFormat = "text"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    page_starts: tuple[int, ...] = ()
    has_lines: bool = True


_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
_FIRST_HEADING = re.compile(r"^#[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
# Line of punctuation that underlines a heading in reStructuredText.
_ADORNMENT = re.compile(r"^([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_ROLE = re.compile(r":[a-zA-Z:+-]+:`([^`<]+?)(?:[ \t]*<[^`>]*>)?`")
# Parts of a web page that are not its text.
_FURNITURE = ["script", "style", "nav", "header", "footer", "aside", "noscript", "template", "svg", "form", "iframe"]


def decode(data: bytes) -> str:
    """Return the text of a file, UTF-8 with or without a mark, or UTF-16 with one; lines end with a line feed.

    Raises:
        UnreadableDocument: it is neither.
    """
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableDocument(f"it is not {encoding.removesuffix('-sig')} text: {error.reason}") from error
    if "\0" in text:
        raise UnreadableDocument("it is not text: it holds NUL characters")
    return re.sub(r"\r\n?", "\n", text)


def read_text(data: bytes) -> ReadText:
    """Read plain text."""
    return ReadText(text=decode(data))


def read_markdown(data: bytes) -> ReadText:
    """Read Markdown; a front matter block between `---` lines gives title and metadata."""
    text, metadata = _split_front_matter(decode(data))
    heading = _FIRST_HEADING.search(text)
    title = metadata.pop("title", None) or (heading[1] if heading else "")
    return ReadText(text=text, title=str(title), format="markdown", metadata=metadata)


def _split_front_matter(text: str) -> tuple[str, dict[str, Any]]:
    found = _FRONT_MATTER.match(text)
    if not found:
        return text, {}
    import yaml

    try:
        loaded = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError) as error:
        raise UnreadableDocument("its front matter is not YAML, or nested too deeply") from error
    if not isinstance(loaded, dict):
        return text, {}
    if has_more_values(loaded, MAX_METADATA_BYTES):
        raise UnreadableDocument(f"its front matter has more than {MAX_METADATA_BYTES} values, repeated ones counted")
    values = {str(name): to_json(value) for name, value in cast("dict[Any, Any]", loaded).items()}
    # Blank lines in its place keep the numbers of the lines that follow.
    return "\n" * found[0].count("\n") + text[found.end() :], values


def read_html(data: bytes) -> ReadText:
    """Read a web page: its main part as Markdown, without menus, scripts and forms."""
    try:
        from bs4 import BeautifulSoup
        from markdownify import MarkdownConverter
    except ImportError as error:
        raise MissingDependency("HTML needs more packages.", extra="milvus") from error
    page = BeautifulSoup(data, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for tag in page(_FURNITURE):
        tag.decompose()
    main = page.find("main") or page.find("article") or page.body or page
    first = page.find("h1")
    convert = MarkdownConverter(heading_style="ATX", strip=["a", "img"], escape_misc=False, escape_underscores=False)
    text = re.sub(r"\n{3,}", "\n\n", convert.convert_soup(main)).strip()
    title = title or (first.get_text(" ", strip=True) if first else "")
    return ReadText(text=text, title=title, format="markdown", has_lines=False)


def read_rst(data: bytes) -> ReadText:
    """Read reStructuredText: headings become Markdown's, roles their text; all else stays, line by line.

    docutils would drop the content of every directive it does not know, which in Sphinx documentation is most.
    """
    lines = decode(data).splitlines()
    levels: dict[str, int] = {}
    for index in range(1, len(lines)):
        underline, heading = lines[index], lines[index - 1].strip()
        if not heading or not _ADORNMENT.match(underline) or _ADORNMENT.match(heading):
            continue
        if len(underline.rstrip()) < len(heading) and not _is_overlined(lines, index):
            continue
        mark = underline[0] + ("o" if _is_overlined(lines, index) else "")
        level = levels.setdefault(mark, min(len(levels) + 1, 6))
        if _is_overlined(lines, index):
            lines[index - 2] = ""
        lines[index - 1], lines[index] = f"{'#' * level} {heading}", ""
    text = _ROLE.sub(r"\1", "\n".join(lines)).replace("``", "`")
    heading = _FIRST_HEADING.search(text)
    return ReadText(text=text, title=heading[1] if heading else "", format="markdown")


def _is_overlined(lines: list[str], index: int) -> bool:
    return index > 1 and lines[index - 2].rstrip() == lines[index].rstrip()


def read_pdf(data: bytes) -> ReadText:
    """Read the text of a PDF, page by page; a scanned page without a text layer has none."""
    import io

    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingDependency("PDF needs more packages.", extra="milvus") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it logs what it also raises
    try:
        reader = PdfReader(io.BytesIO(data))
        pages = [page.extract_text() for page in reader.pages]
        title = (reader.metadata.title if reader.metadata else None) or ""
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        # A damaged PDF fails anywhere inside the library.
        raise UnreadableDocument(f"it is not a readable PDF: {error}") from error
    starts = [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page) + 2)
    return ReadText(text="\n\n".join(pages), title=str(title), page_starts=tuple(starts))


# Suffix -> reader of a file that is one document.
READERS: dict[str, Callable[[bytes], ReadText]] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".text": read_text,
    ".html": read_html,
    ".htm": read_html,
    ".rst": read_rst,
    ".pdf": read_pdf,
}


def read_file(path: Path) -> ReadText:
    """Read one file by its suffix.

    Raises:
        UnreadableDocument: no reader knows the suffix, or the file is not what its name says.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(READERS))
        raise UnreadableDocument(f"there is no reader for {path.suffix or 'a file without suffix'} (known: {known})")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(f"it cannot be read: {error.strerror}") from error
    return reader(data)
