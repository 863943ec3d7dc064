"""Files turned into text that keeps its structure: one reader for each kind of file, in the table `READERS`.

HTML and reStructuredText become Markdown, so that headings and code blocks of all three are cut the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemvec.documents.document import DocumentFormat, Note
from gemvec.documents.front_matter import split_front_matter
from gemvec.documents.html import read_page
from gemvec.documents.markdown import find_title, html_to_markdown
from gemvec.documents.pdf import read_pages
from gemvec.documents.rst import rst_to_markdown
from gemvec.documents.text import UnreadableDocument, decode_text, fold


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadText:
    """What a reader returns for a file. Fields have the same meaning as in `Document`."""

    text: str
    title: str = ""
    format: DocumentFormat = "text"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    page_starts: tuple[int, ...] = ()
    has_lines: bool = True
    notes: tuple[Note, ...] = ()


def decode(data: bytes) -> tuple[str, tuple[Note, ...]]:
    """Return the text of a file in plain characters, with a note if its encoding is a guess.

    Raises:
        UnreadableDocument: it is not text.
    """
    decoded = decode_text(data)
    return fold(decoded.text), note_guess(decoded.guess)


def note_guess(encoding: str) -> tuple[Note, ...]:
    """Return the note for an encoding that was guessed; none when `encoding` is empty."""
    return (Note(reason=f"its encoding is a guess: {encoding}"),) if encoding else ()


def read_text(data: bytes) -> ReadText:
    """Read plain text."""
    text, notes = decode(data)
    return ReadText(text=text, notes=notes)


def read_markdown(data: bytes) -> ReadText:
    """Read Markdown and its HTML; title and metadata come from front matter between `---` or `+++` lines."""
    decoded, notes = decode(data)
    body, metadata, more = split_front_matter(decoded)
    text, has_lines = html_to_markdown(body)
    title = metadata.pop("title", None) or find_title(text)
    return ReadText(
        text=text,
        title=str(title),
        format="markdown",
        metadata=metadata,
        has_lines=has_lines,
        notes=(*notes, *more),
    )


def read_html(data: bytes) -> ReadText:
    """Read a web page as Markdown: what a reader sees, without navigation."""
    page = read_page(data)
    reason = "it is nested too deeply to keep its headings and lists"
    notes = (Note(reason=reason),) if page.is_plain else ()
    return ReadText(text=fold(page.text), title=fold(page.title), format="markdown", has_lines=False, notes=notes)


def read_rst(data: bytes) -> ReadText:
    """Read reStructuredText as Markdown, line by line."""
    decoded, notes = decode(data)
    text = rst_to_markdown(decoded)
    return ReadText(text=text, title=find_title(text), format="markdown", notes=notes)


def read_pdf(data: bytes) -> ReadText:
    """Read the text of a PDF, page by page."""
    pages, title, notes = read_pages(data)
    starts = [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page) + 2)
    return ReadText(text="\n\n".join(pages), title=title, page_starts=tuple(starts), notes=tuple(notes))


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
        UnreadableDocument: no reader knows the suffix, or the content does not fit it.
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
