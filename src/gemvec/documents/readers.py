"""Files turned into text that keeps its structure: one reader for each kind of file, in the table `READERS`.

HTML and reStructuredText become Markdown, so that headings and code blocks of all three are cut the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import IO, Any

from gemvec.documents.asciidoc import asciidoc_to_markdown, is_prose
from gemvec.documents.code_blocks import CodeBlock
from gemvec.documents.content import Content, measure, refuse_large_file, refuse_large_text, refuse_large_utf8
from gemvec.documents.document import DocumentFormat, Note, note_decoding
from gemvec.documents.epub import read_chapters
from gemvec.documents.front_matter import split_front_matter
from gemvec.documents.html import WebPage, read_page
from gemvec.documents.languages import LANGUAGE, LANGUAGES, Language
from gemvec.documents.mail import Mail, read_eml
from gemvec.documents.markdown import find_title, html_to_markdown, is_mdx, mdx_to_markdown
from gemvec.documents.notebook import read_cells
from gemvec.documents.obsidian import strip_comments
from gemvec.documents.opendocument import read_odt
from gemvec.documents.opendocument_sheets import read_ods
from gemvec.documents.opendocument_slides import read_odp
from gemvec.documents.org import org_to_markdown
from gemvec.documents.outlook import read_msg
from gemvec.documents.pdf import read_pages
from gemvec.documents.pgp import find_signed_text
from gemvec.documents.program import read_program
from gemvec.documents.rst import rst_to_markdown
from gemvec.documents.rtf import read_rtf
from gemvec.documents.sheets import read_sheets
from gemvec.documents.site_markup import strip_site_markup, strip_template_tags
from gemvec.documents.slides import read_slides
from gemvec.documents.subtitles import read_cues
from gemvec.documents.text import DecodedText, UnreadableDocument, decode_text, fold
from gemvec.documents.word import read_docx

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadText:
    """What a reader returns for a file. Fields have the same meaning as in `Document`."""

    text: str
    title: str = ""
    format: DocumentFormat = "text"
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    page_starts: tuple[int, ...] = ()
    page_names: tuple[str, ...] = ()
    has_lines: bool = True
    blocks: tuple[CodeBlock, ...] = ()
    notes: tuple[Note, ...] = ()


def decode(data: bytes) -> tuple[str, tuple[Note, ...]]:
    """Return the text of a file in plain characters, with notes if its encoding is a guess, or it has bad spots.

    Raises:
        UnreadableDocument: it is not text.
    """
    refuse_large_utf8(data)
    decoded = decode_text(data)
    return fold(refuse_large_text(decoded.text)), note_decoding(decoded)


def note_guess(encoding: str) -> tuple[Note, ...]:
    """Return the note for an encoding that was guessed; none when `encoding` is empty."""
    return note_decoding(DecodedText("", guess=encoding))


def read_text(data: bytes) -> ReadText:
    """Read plain text."""
    text, notes = decode(data)
    return ReadText(text=text, notes=notes)


def read_markdown(data: bytes) -> ReadText:
    """Read Markdown and its HTML; title and metadata come from front matter."""
    decoded, notes = decode(data)
    written = mdx_to_markdown(decoded) if is_mdx(decoded) else decoded
    body, metadata, more = split_front_matter(written)
    plain = strip_site_markup(strip_comments(body), is_template=body != written)
    text, has_lines = html_to_markdown(plain)
    said = "" if isinstance(metadata.get("title"), list | dict) else metadata.pop("title", None)
    title = " ".join(str(said or "").split()) or find_title(text)
    return ReadText(
        text=text,
        title=title,
        format="markdown",
        metadata=metadata,
        has_lines=has_lines,
        notes=(*notes, *more),
    )


def read_html(data: bytes) -> ReadText:
    """Read a web page as Markdown: what a reader sees, without navigation.

    One with front matter is a page of a site that is not made yet: title and metadata come from there.
    """
    if data.startswith((b"---", b"+++")):
        decoded, notes = decode(data)
        body, metadata, more = split_front_matter(decoded)
        if body != decoded:
            read = _from_page(read_page(strip_template_tags(body)))
            title = str(metadata.pop("title", None) or read.title)
            return replace(read, title=title, metadata=metadata, notes=(*notes, *more, *read.notes))
    return _from_page(read_page(data))


def _from_page(page: WebPage) -> ReadText:
    return ReadText(text=fold(page.text), title=fold(page.title), format="markdown", has_lines=False, notes=page.notes)


def read_rst(data: bytes) -> ReadText:
    """Read reStructuredText as Markdown, line by line."""
    decoded, notes = decode(data)
    text = rst_to_markdown(decoded)
    return ReadText(text=text, title=find_title(text), format="markdown", notes=notes)


def read_pdf(data: Content) -> ReadText:
    """Read the text of a PDF, page by page."""
    pages, title, notes = read_pages(data)
    return _join_pages(pages, (), title=title, notes=tuple(notes))


def _join_pages(pages: Sequence[str], names: Iterable[str], **fields: Any) -> ReadText:
    """Return pages, slides, sheets or chapters as one text that knows where each of them starts."""
    starts = [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page) + 2)
    return ReadText(text="\n\n".join(pages), page_starts=tuple(starts), page_names=tuple(names), **fields)


def read_mdx(data: bytes) -> ReadText:
    """Read MDX: Markdown without its imports, exports and expressions; components are read as HTML."""
    read = read_markdown(mdx_to_markdown(decode(data)[0]).encode())
    return replace(read, notes=(*decode(data)[1], *read.notes))


def read_asciidoc(data: bytes) -> ReadText:
    """Read AsciiDoc as Markdown, line by line."""
    decoded, notes = decode(data)
    text = asciidoc_to_markdown(decoded)
    return ReadText(text=text, title=find_title(text), format="markdown", notes=notes)


def read_asc(data: bytes) -> ReadText:
    """Read a file that may be AsciiDoc or anything of PGP.

    Raises:
        UnreadableDocument: it is neither AsciiDoc nor a signed text.
    """
    text, notes = decode(data)
    signed = find_signed_text(text)
    if signed is not None:
        return ReadText(text=signed, notes=notes)
    if text.strip() and not is_prose(text):
        raise UnreadableDocument("it is not AsciiDoc: it has more numbers and signs than words")
    return read_asciidoc(data)


def read_org(data: bytes) -> ReadText:
    """Read Org as Markdown, line by line."""
    decoded, notes = decode(data)
    text, title, metadata = org_to_markdown(decoded)
    return ReadText(text=text, title=title or find_title(text), format="markdown", metadata=dict(metadata), notes=notes)


def read_notebook(data: bytes) -> ReadText:
    """Read the text and the code of a notebook, without what the code has printed."""
    decoded, notes = decode(data)
    body, metadata, more = split_front_matter(read_cells(decoded))
    text, _ = html_to_markdown(strip_site_markup(body, is_template=False))
    title = str(metadata.pop("title", None) or "") or find_title(text)
    return ReadText(
        text=text, title=title, format="markdown", metadata=metadata, has_lines=False, notes=(*notes, *more)
    )


def read_subtitles(data: bytes) -> ReadText:
    """Read the words of subtitles; positions are times."""
    decoded, notes = decode(data)
    words, times = read_cues(decoded)
    starts, offset = list[int](), 0
    for each in words:
        starts.append(offset)
        offset += len(each) + 1
    return ReadText(text="\n".join(words), page_starts=tuple(starts), page_names=tuple(times), notes=notes)


def read_mail(data: bytes) -> ReadText:
    """Read an e-mail without its attachments."""
    return _from_mail(read_eml(data))


def read_outlook(data: bytes) -> ReadText:
    """Read a message of Outlook without its attachments."""
    return _from_mail(read_msg(data))


def _from_mail(mail: Mail) -> ReadText:
    metadata = {name: fold(value) for name, value in mail.headers.items()}
    return ReadText(
        text=fold(mail.text), title=fold(mail.subject), metadata=metadata, has_lines=False, notes=mail.notes
    )


def read_word(data: Content) -> ReadText:
    """Read a document of Word."""
    text, title, notes = read_docx(data)
    return replace(_from_markdown(text, title), notes=tuple(notes))


def read_opendocument(data: Content) -> ReadText:
    """Read a text of LibreOffice."""
    text, title, notes = read_odt(data)
    return replace(_from_markdown(text, title), notes=tuple(notes))


def _from_markdown(text: str, title: str) -> ReadText:
    text = fold(text)
    return ReadText(text=text, title=fold(title) or find_title(text), format="markdown", has_lines=False)


def read_rich_text(data: bytes) -> ReadText:
    """Read a file in Rich Text Format."""
    read = read_rtf(data)
    return replace(_from_markdown(read.text, read.title), notes=read.notes)


def read_presentation(data: Content) -> ReadText:
    """Read the slides of a presentation, with tables and notes."""
    return _join_slides(*read_slides(data))


def read_opendocument_presentation(data: Content) -> ReadText:
    """Read the slides of a presentation of LibreOffice, with tables and notes."""
    return _join_slides(*read_odp(data))


def _join_slides(slides: list[str], names: list[str], title: str, notes: list[Note]) -> ReadText:
    pages = [fold(each) for each in slides]
    return _join_pages(pages, names, title=fold(title), format="markdown", has_lines=False, notes=tuple(notes))


def read_spreadsheet(data: Content) -> ReadText:
    """Read the sheets of a spreadsheet as tables."""
    sheets, names, notes = read_sheets(data)
    return _join_sheets(sheets, names, "", notes)


def read_opendocument_spreadsheet(data: Content) -> ReadText:
    """Read the sheets of a spreadsheet of LibreOffice as tables."""
    return _join_sheets(*read_ods(data))


def _join_sheets(sheets: list[str], names: list[str], title: str, notes: list[Note]) -> ReadText:
    named = (f"sheet {name}" for name in names)
    pages = [fold(each) for each in sheets]
    return _join_pages(pages, named, title=fold(title), format="markdown", has_lines=False, notes=tuple(notes))


def read_book(data: Content) -> ReadText:
    """Read the chapters of a book."""
    chapters, title, metadata, notes = read_chapters(data)
    names = (f"chapter {number}" for number in range(1, len(chapters) + 1))
    pages = [fold(each) for each in chapters]
    return _join_pages(
        pages,
        names,
        title=fold(title),
        format="markdown",
        metadata=dict(metadata),
        has_lines=False,
        notes=tuple(notes),
    )


def read_code(data: bytes, language: Language) -> ReadText:
    """Read source code as it is, with the places where it may be cut."""
    program = read_program(data, language)
    return ReadText(
        text=program.text,
        format="code",
        metadata={LANGUAGE: language.name},
        blocks=program.blocks,
        notes=program.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How files of one kind become documents.

    Attributes:
        suffixes: in lower case.
        read: turns the bytes of a file into its text.
        becomes: what a file becomes, for the documentation.
        position: what the position of a passage names: `line`, `page` or `part`.
        libraries: packages that parse the file, which takes long; their versions decide what the text is.
        extra: the extra of gemvec that brings them.
        is_opened: whether it reads only parts of a file, which may be of any size.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Any], ReadText]
    becomes: str
    position: str = "line"
    libraries: tuple[str, ...] = ()
    extra: str = "milvus"
    is_opened: bool = False

    def parse(self, data: Content) -> ReadText:
        """Return the text of a file.

        Raises:
            UnreadableDocument: it is not of its kind, or too large.
        """
        self.refuse_large(measure(data))
        if isinstance(data, bytes):
            return self.read(data)
        data.seek(0)
        return self.read(data if self.is_opened else data.read())

    def refuse_large(self, size: int) -> None:
        """Refuse a file that would take too much memory.

        Raises:
            UnreadableDocument: it does.
        """
        if not self.is_opened:
            refuse_large_file(size)

    @property
    def is_slow(self) -> bool:
        """Whether parsing takes much longer than reading."""
        return bool(self.libraries)

    def digest(self, data: Content) -> str:
        """Return a digest of a file that is the same while the file would become the same text."""
        versions = repr((READERS_VERSION, self.suffixes[0], *map(_find_version, self.libraries)))
        digest = blake2b(versions.encode(), digest_size=16)
        if isinstance(data, bytes):
            digest.update(data)
        else:
            data.seek(0)
            for block in iter(partial(data.read, _BLOCK_BYTES), b""):
                digest.update(block)
        return digest.hexdigest()


@cache
def _find_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


# Part of the digest of a file: raise it when a reader would turn the same file into another text.
READERS_VERSION = 8

READERS = (
    Reader(
        suffixes=(".md", ".markdown"),
        read=read_markdown,
        becomes="one document; title from the front matter (YAML, TOML or JSON) or the first `#` heading, other front "
        "matter is metadata; HTML in it is read as HTML, components that it imports as MDX; attributes (`{#id}`), tags "
        "of templates, comments (also `%%`) and the marks of notes and tabs, also those of MyST, are left out, their "
        "titles are kept",
    ),
    Reader(
        suffixes=(".rst",),
        read=read_rst,
        becomes="one document, with headings, code, notes and tables, without comments, link targets and tables of "
        "contents",
    ),
    Reader(
        suffixes=(".html", ".htm"),
        read=read_html,
        becomes="one document; what a reader of the page sees, without navigation, form controls and scripts; front "
        "matter is read as that of Markdown",
        position="part",
        libraries=("beautifulsoup4", "markdownify"),
    ),
    Reader(suffixes=(".txt", ".text"), read=read_text, becomes="one document"),
    Reader(
        suffixes=(".pdf",),
        read=read_pdf,
        is_opened=True,
        becomes="one document; the text layer and the values of forms, without running heads, page numbers and "
        "comments",
        position="page",
        libraries=("pypdfium2",),
    ),
    Reader(
        suffixes=(".mdx",),
        read=read_mdx,
        becomes="one document, as Markdown; without imports, exports, expressions, and the tags of components but for "
        "their titles",
    ),
    Reader(
        suffixes=(".adoc", ".asciidoc"),
        read=read_asciidoc,
        becomes="one document, with headings, lists, code and tables, without comments, attributes and includes",
    ),
    Reader(
        suffixes=(".asc",),
        read=read_asc,
        becomes="one document, as AsciiDoc, or the text that is signed by PGP; signatures, keys and files of "
        "measurements are left out",
    ),
    Reader(
        suffixes=(".org",),
        read=read_org,
        becomes="one document, with headings, lists, code and tables, without drawers and comments; `#+AUTHOR` and the "
        "like are metadata",
    ),
    Reader(
        suffixes=(".ipynb",),
        read=read_notebook,
        becomes="one document; text and code of a notebook, without what the code has printed",
        position="part",
    ),
    Reader(
        suffixes=(".srt", ".vtt"),
        read=read_subtitles,
        becomes="one document; the words of subtitles",
        position="time",
    ),
    Reader(
        suffixes=(".eml",),
        read=read_mail,
        becomes="one document; subject and body of an e-mail, sender, receivers and date as metadata; attachments are "
        "named and left out",
        position="part",
    ),
    Reader(
        suffixes=(".msg",),
        read=read_outlook,
        becomes="one document, as other e-mail; text that is only there as compressed RTF is read as `.rtf`; messages "
        "that are encrypted are left out",
        position="part",
        libraries=("python-oxmsg", "olefile", "compressed-rtf"),
        extra="documents",
    ),
    Reader(
        suffixes=(".docx",),
        read=read_word,
        is_opened=True,
        becomes="one document, with headings, lists, tables, notes and words of charts and diagrams, without pictures, "
        "headers, hidden text and comments",
        position="part",
        libraries=("mammoth",),
        extra="documents",
    ),
    Reader(
        suffixes=(".odt", ".fodt"),
        read=read_opendocument,
        is_opened=True,
        becomes="one document, with headings, lists and tables, without pictures, charts and comments",
        position="part",
        libraries=("defusedxml",),
        extra="documents",
    ),
    Reader(
        suffixes=(".rtf",),
        read=read_rich_text,
        becomes="one document, with headings, lists, tables, notes and text boxes, without pictures, headers, hidden "
        "text and comments",
        position="part",
    ),
    Reader(
        suffixes=(".odp", ".fodp"),
        read=read_opendocument_presentation,
        is_opened=True,
        becomes="one document; titles, texts, tables, charts and notes of the slides, also of hidden ones, without "
        "comments",
        position="slide",
        libraries=("defusedxml",),
        extra="documents",
    ),
    Reader(
        suffixes=(".ods", ".fods"),
        read=read_opendocument_spreadsheet,
        is_opened=True,
        becomes="one document; each sheet, also a hidden one, as a table, values as they are shown, dates in ISO 8601; "
        "below it the text of boxes, titles of charts, and comments",
        position="sheet",
        libraries=("defusedxml",),
        extra="documents",
    ),
    Reader(
        suffixes=(".pptx",),
        read=read_presentation,
        is_opened=True,
        becomes="one document; titles, texts, tables, charts, diagrams and notes of the slides, also of hidden ones",
        position="slide",
        libraries=("defusedxml",),
        extra="documents",
    ),
    Reader(
        suffixes=(".xlsx", ".xlsm"),
        read=read_spreadsheet,
        is_opened=True,
        becomes="one document; each sheet, also a hidden one, as a table, values instead of formulas, numbers as they "
        "are shown, dates in ISO 8601; below it the text of boxes, charts and diagrams, and comments",
        position="sheet",
        libraries=("openpyxl",),
        extra="documents",
    ),
    Reader(
        suffixes=(".epub",),
        read=read_book,
        is_opened=True,
        becomes="one document; the chapters of a book, author and language as metadata",
        position="chapter",
        libraries=("defusedxml",),
        extra="documents",
    ),
    *(
        Reader(
            suffixes=each.suffixes,
            read=partial(read_code, language=each),
            becomes=f"one document; source code in {each.name}, read with `--code`",
            libraries=("tree-sitter", each.package),
            extra="code",
        )
        for each in LANGUAGES
    ),
)
# Suffix -> reader of a file that is one document.
READERS_BY_SUFFIX = {suffix: reader for reader in READERS for suffix in reader.suffixes}


def find_reader(path: Path) -> Reader:
    """Return the reader for a file, by its suffix.

    Raises:
        UnreadableDocument: no reader knows the suffix.
    """
    reader = READERS_BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(READERS_BY_SUFFIX))
        raise UnreadableDocument(f"there is no reader for {path.suffix or 'a file without suffix'} (known: {known})")
    return reader


@contextmanager
def open_file(path: Path) -> Generator[IO[bytes]]:
    """Open a file for reading.

    Raises:
        UnreadableDocument: it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableDocument(f"it cannot be read: {error.strerror}") from error
    with file:
        yield file
