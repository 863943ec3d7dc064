"""Large documents of each format, for `index_memory.py`: `CASES`, each a file of one document or of many records.

Their texts repeat, so that the cache of embeddings answers most of them and a case takes seconds and not minutes; what
is held in memory is the same.
"""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from base64 import encodebytes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import accumulate, count
from pathlib import Path
from pydoc_data.topics import topics

MB = 1_000_000
PARAGRAPHS, PARAGRAPHS_PER_SECTION, HEADINGS = 400, 8, 20

_random = random.Random(0)  # not a secret


def _write_paragraphs() -> list[str]:
    """Return words of Python's own documentation, in paragraphs of 20 to 90 words."""
    words = re.findall("[A-Za-z]+", " ".join(topics.values()))
    ends = list(accumulate(_random.randint(20, 90) for _ in range(PARAGRAPHS)))
    return [" ".join(words[start:end]).capitalize() + "." for start, end in zip([0, *ends], ends, strict=False)]


_TEXTS = _write_paragraphs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A large document.

    Attributes:
        name: what it is.
        suffix: of its file.
        megabytes: about how large it is; of an archive, what it unpacks to.
        write: writes it to a file.
        options: of `gemvec index`, more than the usual ones.
    """

    name: str
    suffix: str
    megabytes: int
    write: Callable[[Path, int], None]
    options: tuple[str, ...] = ()


def paragraphs() -> Iterator[str]:
    """Yield paragraphs endlessly."""
    for number in count():
        yield _TEXTS[number % PARAGRAPHS]


def sections(mark: Callable[[str], str], paragraph: Callable[[str], str]) -> Iterator[str]:
    """Yield sections endlessly, each with its heading."""
    texts = paragraphs()
    for number in count():
        body = "".join(paragraph(next(texts)) for _ in range(PARAGRAPHS_PER_SECTION))
        yield mark(f"Section {number % HEADINGS}") + body


def fill(path: Path, parts: Iterator[str], size: int, start: str = "", end: str = "") -> None:
    """Write parts until the file has `size` bytes."""
    with path.open("w", encoding="utf-8") as file:
        written = file.write(start)
        while written < size:
            written += file.write(next(parts))
        file.write(end)


def take(parts: Iterator[str], size: int) -> str:
    """Return parts of `size` characters together."""
    made, length = list[str](), 0
    while length < size:
        made.append(next(parts))
        length += len(made[-1])
    return "".join(made)


def make_noise(size: int) -> bytes:
    """Return bytes that cannot be compressed much, as those of pictures and films."""
    return _random.randbytes(MB) * (size // MB)


def write_text(path: Path, size: int) -> None:
    """Write paragraphs, a line each."""
    fill(path, (f"{each}\n\n" for each in paragraphs()), size)


def write_line(path: Path, size: int) -> None:
    """Write one line."""
    fill(path, (f"{each} " for each in paragraphs()), size)


def write_wide_text(path: Path, size: int) -> None:
    """Write paragraphs with accents, dashes and one pictograph, so that Python takes four bytes for each character."""
    fill(path, (f"\u00c9tude \u2013 {each}\n\n" for each in paragraphs()), size, start="\U0001f600\n\n")


def _page_section() -> Iterator[str]:
    def paragraph(text: str) -> str:
        first, _, rest = text.partition(" ")
        return (
            f'<p class="body">{first} <a href="#x"><em>{rest[:20]}</em></a> <code>{rest[20:30]}</code>{rest[30:]}</p>\n'
        )

    return (f"<section>\n{each}</section>\n" for each in sections(lambda name: f"<h2>{name}</h2>\n", paragraph))


_PAGE = "<!DOCTYPE html><html><head><title>Page</title></head><body><main><h1>Page</h1>\n"


def write_page(path: Path, size: int) -> None:
    """Write a web page of sections, with elements inside of lines."""
    fill(path, _page_section(), size, _PAGE, "</main></body></html>")


def write_page_table(path: Path, size: int) -> None:
    """Write a web page that is one table."""
    head = f"{_PAGE}<table><thead><tr><th>Number</th><th>Name</th><th>Text</th></tr></thead><tbody>\n"
    rows = (
        f"<tr><td>{number % 90}</td><td><b>{text[:8]}</b></td><td>{text[:160]}</td></tr>\n"
        for number, text in enumerate(paragraphs())
    )
    fill(path, rows, size, head, "</tbody></table></main></body></html>")


def write_page_list(path: Path, size: int) -> None:
    """Write a web page that is one list."""
    items = (f"<li><p><b>{text[:9]}</b> {text[9:200]}</p></li>\n" for text in paragraphs())
    fill(path, items, size, f"{_PAGE}<ul>\n", "</ul></main></body></html>")


def write_page_terms(path: Path, size: int) -> None:
    """Write a web page that is one list of terms."""
    items = (f'<dt><a href="#">{text[:12]}</a></dt><dd>{text[12:200]}</dd>\n' for text in paragraphs())
    fill(path, items, size, f"{_PAGE}<dl>\n", "</dl></main></body></html>")


def write_page_code(path: Path, size: int) -> None:
    """Write a web page that is one block of code, with each word in an element."""
    lines = ("".join(f'<span class="n">{word}</span> ' for word in text.split()[:12]) + "\n" for text in paragraphs())
    fill(path, lines, size, f"{_PAGE}<pre>\n", "</pre></main></body></html>")


def write_page_inline(path: Path, size: int) -> None:
    """Write a web page without a block: words in elements, and line breaks."""
    lines = (" ".join(f"<b>{word}</b>" for word in text.split()) + "<br>\n" for text in paragraphs())
    fill(path, lines, size, f"{_PAGE}<p>", "</p></main></body></html>")


def write_markdown(path: Path, size: int) -> None:
    """Write Markdown."""
    fill(path, sections(lambda name: f"## {name}\n\n", lambda text: f"{text}\n\n"), size, "# Notes\n\n")


def write_markdown_lists(path: Path, size: int) -> None:
    """Write Markdown of short list items."""
    fill(path, (f"- {text[:60]}\n" for text in paragraphs()), size, "# Notes\n\n")


def write_markdown_html(path: Path, size: int) -> None:
    """Write Markdown with blocks of HTML in it."""

    def paragraph(text: str) -> str:
        return f'<div class="note">\n<p><b>{text[:9]}</b> {text[9:]}</p>\n</div>\n\n{text} <br> more\n\n'

    fill(path, sections(lambda name: f"## {name}\n\n", paragraph), size, "# Notes\n\n")


def write_rst(path: Path, size: int) -> None:
    """Write reStructuredText."""
    parts = sections(lambda name: f"{name}\n{'=' * len(name)}\n\n", lambda text: f"{text} See :ref:`{text[:8]}`.\n\n")
    fill(path, parts, size)


def write_asciidoc(path: Path, size: int) -> None:
    """Write AsciiDoc."""
    fill(
        path, sections(lambda name: f"== {name}\n\n", lambda text: f"{text}\n\n* {text[:40]}\n\n"), size, "= Notes\n\n"
    )


def write_org(path: Path, size: int) -> None:
    """Write Org."""
    fill(path, sections(lambda name: f"* {name}\n\n", lambda text: f"{text}\n\n- {text[:40]}\n\n"), size)


def write_subtitles(path: Path, size: int) -> None:
    """Write subtitles."""
    cues = (
        f"{number + 1}\n{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02},000 --> 99:00:00,000\n"
        f"{text[:70]}\n\n"
        for number, text in enumerate(paragraphs())
    )
    fill(path, cues, size)


def _records() -> Iterator[str]:
    for number, text in enumerate(paragraphs()):
        yield json.dumps({"id": number, "title": text[:12], "text": text, "tags": [text[:4], text[5:9]], "year": 2020})


def write_json_lines(path: Path, size: int) -> None:
    """Write a record a line."""
    fill(path, (f"{each}\n" for each in _records()), size)


def write_json_array(path: Path, size: int) -> None:
    """Write one list of records."""
    fill(path, (f"{each},\n" for each in _records()), size, "[", '{"id": "last", "text": "The end."}]')


def write_json_object(path: Path, size: int) -> None:
    """Write one object with a long text."""
    texts = (json.dumps(f"{each}\n\n")[1:-1] for each in paragraphs())
    fill(path, texts, size, '{"id": 1, "text": "', '"}')


def write_json_values(path: Path, size: int) -> None:
    """Write one object with a short text and many small values."""
    values = (f'{{"a": {number}, "b": [{number}, 2.5]}},\n' for number in count())
    fill(path, values, size, '{"id": 1, "text": "Some words.", "values": [', "{}]}")


def write_csv(path: Path, size: int) -> None:
    """Write rows of a table."""
    rows = (f'{number},"{text[:12]}","{text}"\n' for number, text in enumerate(paragraphs()))
    fill(path, rows, size, "id,title,text\n")


def write_csv_quote(path: Path, size: int) -> None:
    """Write rows of a table, the first with a quote that is never closed."""
    rows = (f"{number},{text[:12]},{text}\n" for number, text in enumerate(paragraphs()))
    fill(path, rows, size, 'id,title,text\n0,"open,words\n')


def write_tsv(path: Path, size: int) -> None:
    """Write rows of a table with tabs."""
    fill(
        path,
        (f"{number}\t{text[:12]}\t{text}\n" for number, text in enumerate(paragraphs())),
        size,
        "id\ttitle\ttext\n",
    )


def write_notebook(path: Path, size: int) -> None:
    """Write a notebook of which nearly all is what its code has printed: lines, tables and pictures."""
    picture = encodebytes(_random.randbytes(60_000)).decode()

    def cells() -> Iterator[str]:
        for text in paragraphs():
            printed = [f"{word}\n" for word in text.split()] * 20
            outputs = [
                {"output_type": "stream", "name": "stdout", "text": printed},
                {"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}},
            ]
            code = {"cell_type": "code", "source": ["print(1)\n"], "outputs": outputs, "metadata": {}}
            yield f"{json.dumps({'cell_type': 'markdown', 'source': [text], 'metadata': {}})},\n{json.dumps(code)},\n"

    end = '{"cell_type": "markdown", "source": ["The end."], "metadata": {}}], "metadata": {}, "nbformat": 4}'
    fill(path, cells(), size, '{"cells": [', end)


def write_mail(path: Path, size: int) -> None:
    """Write a mail with a long text."""
    _write_mail(path, take((f"{each}\n\n" for each in paragraphs()), size), "plain")


def write_mail_page(path: Path, size: int) -> None:
    """Write a mail with a long page."""
    _write_mail(path, take(_page_section(), size), "html")


def write_mail_attachment(path: Path, size: int) -> None:
    """Write a mail with a large attachment."""
    _write_mail(path, "Please find the file attached.\n", "plain", make_noise(size * 3 // 4))


def _write_mail(path: Path, text: str, kind: str, attachment: bytes = b"") -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "A long one", "a@example.com", "b@example.com"
    mail.set_content(text, subtype=kind, cte="8bit" if kind == "plain" else "quoted-printable")
    if attachment:
        mail.add_attachment(attachment, maintype="application", subtype="zip", filename="files.zip")
    path.write_bytes(bytes(mail))


def _write_archive(path: Path, parts: dict[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_OFFICE = "http://schemas.openxmlformats.org"
_RELATIONS = f"{_OFFICE}/package/2006/relationships"
_TARGETS = f"{_OFFICE}/officeDocument/2006/relationships"


def _relate(*targets: tuple[str, str]) -> str:
    each = "".join(
        f'<Relationship Id="rId{number}" Type="{_TARGETS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'{_XML}<Relationships xmlns="{_RELATIONS}">{each}</Relationships>'


def _types(kinds: dict[str, str]) -> str:
    parts = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in kinds.items())
    known = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    known += '<Default Extension="xml" ContentType="application/xml"/>'
    return f'{_XML}<Types xmlns="{_OFFICE}/package/2006/content-types">{known}{parts}</Types>'


def write_docx(path: Path, size: int) -> None:
    """Write a Word document as Word does, with a few runs in each paragraph."""

    def paragraph(text: str) -> str:
        runs = "".join(
            f'<w:r w:rsidR="00A1"><w:rPr><w:lang w:val="en-GB"/></w:rPr><w:t xml:space="preserve">{some}</w:t></w:r>'
            for some in (text[:60], text[60:120], text[120:])
        )
        return f'<w:p w:rsidR="00A1" w:rsidRDefault="00A1">{runs}</w:p>'

    def mark(name: str) -> str:
        return f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>{name}</w:t></w:r></w:p>'

    body = take(sections(mark, paragraph), size)
    start = f'{_XML}<w:document xmlns:w="{_OFFICE}/wordprocessingml/2006/main"><w:body>'
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": _types({"word/document.xml": kind}),
        "_rels/.rels": _relate(("officeDocument", "word/document.xml")),
        "word/document.xml": f"{start}{body}</w:body></w:document>",
    }
    _write_archive(path, parts)


def write_odt(path: Path, size: int) -> None:
    """Write a text of LibreOffice."""
    body = take(
        sections(
            lambda name: f'<text:h text:outline-level="1">{name}</text:h>',
            lambda text: (
                f'<text:p text:style-name="P1">{text[:60]}<text:span>{text[60:90]}</text:span>{text[90:]}</text:p>'
            ),
        ),
        size,
    )
    names = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text"))
    start = f"{_XML}<office:document-content {names}><office:body><office:text>"
    _write_archive(path, {"content.xml": f"{start}{body}</office:text></office:body></office:document-content>"})


def write_pptx(path: Path, size: int) -> None:
    """Write a presentation of slides with much text."""
    names = f'xmlns:p="{_OFFICE}/presentationml/2006/main" xmlns:a="{_OFFICE}/drawingml/2006/main" xmlns:r="{_TARGETS}"'
    texts, slides, length = paragraphs(), dict[str, str | bytes](), 0
    while length < size:
        body = "".join(f"<a:p><a:r><a:t>{next(texts)}</a:t></a:r></a:p>" for _ in range(200))
        shape = f"<p:sp><p:nvSpPr><p:nvPr/></p:nvSpPr><p:txBody>{body}</p:txBody></p:sp>"
        slide = f"{_XML}<p:sld {names}><p:cSld><p:spTree>{shape}</p:spTree></p:cSld></p:sld>"
        slides[f"ppt/slides/slide{len(slides) + 1}.xml"] = slide
        length += len(slide)
    ids = "".join(f'<p:sldId id="{256 + number}" r:id="rId{number}"/>' for number in range(1, len(slides) + 1))
    _write_archive(
        path,
        {
            "ppt/presentation.xml": f"{_XML}<p:presentation {names}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": _relate(*(("slide", each.removeprefix("ppt/")) for each in slides)),
            **slides,
        },
    )


def write_xlsx(path: Path, size: int) -> None:
    """Write a spreadsheet with its texts in the cells."""
    rows = (
        f'<row r="{number}"><c r="A{number}"><v>{number}</v></c>'
        + "".join(
            f'<c r="{name}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
            for name, text in (("B", text[:20]), ("C", text[:200]))
        )
        + "</row>"
        for number, text in enumerate(paragraphs(), start=1)
    )
    main = f"{_OFFICE}/spreadsheetml/2006/main"
    book = '<sheets><sheet name="Rows" sheetId="1" r:id="rId1"/></sheets>'
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    cells = f'{_XML}<worksheet xmlns="{main}"><sheetData>{take(rows, size)}</sheetData></worksheet>'
    parts = {
        "[Content_Types].xml": _types(
            {"xl/workbook.xml": f"{sheet}.sheet.main+xml", "xl/worksheets/sheet1.xml": f"{sheet}.worksheet+xml"}
        ),
        "_rels/.rels": _relate(("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{main}" xmlns:r="{_TARGETS}">{book}</workbook>',
        "xl/_rels/workbook.xml.rels": _relate(("worksheet", "worksheets/sheet1.xml")),
        "xl/worksheets/sheet1.xml": cells,
    }
    _write_archive(path, parts)


def write_book(path: Path, size: int) -> None:
    """Write a book of one chapter."""
    chapter = f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml"><body>{take(_page_section(), size)}</body></html>'
    container = '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    package = '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml"/></manifest>'
    parts = {
        "META-INF/container.xml": f'{container}<rootfile full-path="book.opf"/></rootfiles></container>',
        "book.opf": f'{package}<spine><itemref idref="a"/></spine></package>',
        "a.xhtml": chapter,
    }
    _write_archive(path, parts)


def write_slides_with_films(path: Path, size: int) -> None:
    """Write a presentation of which nearly all is a film."""
    write_pptx(path, MB)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("ppt/media/film.mp4", make_noise(size))


def write_pdf(path: Path, size: int) -> None:
    """Write a PDF of 3,000 pages of text."""
    del size
    write_pages(path, pages=3_000, picture=b"")


def write_pdf_picture(path: Path, size: int) -> None:
    """Write a PDF of a few pages and a large picture."""
    write_pages(path, pages=10, picture=make_noise(size))


def write_pages(path: Path, *, pages: int, picture: bytes) -> None:
    """Write a PDF."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    if picture:
        head = b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        objects.append(head + b"/Length %d >>\nstream\n%b\nendstream" % (len(picture), picture))
    kids, texts = list[bytes](), paragraphs()
    for _ in range(pages):
        lines = [line for _ in range(6) for line in _wrap(next(texts))]
        shown = "".join(f"({line}) Tj T*\n" for line in lines)
        stream = f"BT /F1 9 Tf 11 TL 40 800 Td\n{shown}ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
        content = len(objects)
        fonts = b"/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] %b /Contents %d 0 R >>" % (fonts, content)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%b] >>" % (pages, b" ".join(kids))
    file, places = io.BytesIO(), list[int]()
    file.write(b"%PDF-1.4\n")
    for number, each in enumerate(objects, start=1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%b\nendobj\n" % (number, each))
    start = file.tell()
    file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    path.write_bytes(file.getvalue())


def _wrap(text: str) -> list[str]:
    return [text[place : place + 100] for place in range(0, len(text), 100)]


def write_folder(path: Path, size: int) -> None:
    """Write a folder of thousands of documents of several formats, of 1 to 40 kB each."""
    path.mkdir()
    writers = (
        write_markdown,
        write_page,
        write_rst,
        write_text,
        write_asciidoc,
        write_csv,
        write_docx,
        write_mail_page,
    )
    suffixes = ("md", "html", "rst", "txt", "adoc", "csv", "docx", "eml")
    for number in range(size // (12 * 1_000)):
        kind = number % len(writers)
        writers[kind](path / f"{number:05}.{suffixes[kind]}", int(_random.triangular(1_000, 40_000, 4_000)))


def write_small_documents(path: Path, size: int) -> None:
    """Write a folder of documents of a few words each, in many folders."""
    length = 0
    for number, text in enumerate(paragraphs()):
        if length >= size:
            return
        folder = path / f"part-{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        length += (folder / f"document-{number}.md").write_text(f"# Note {number}\n\n{text[:180]}\n")


def write_page_after_others(path: Path, size: int) -> None:
    """Write a folder of documents of random words, which no cache has, and a large page that is read after them."""
    path.mkdir()
    words, chosen = " ".join(_TEXTS).split(), random.SystemRandom()
    for number in range(60):
        texts = (" ".join(chosen.choices(words, k=chosen.randint(5, 200))) for _ in range(60))
        (path / f"{number:02}.md").write_text("# Notes\n\n" + "\n\n".join(texts))
    write_page_list(path / "later.html", size)


def write_code(path: Path, size: int) -> None:
    """Write a module of many classes with methods."""

    def method(step: int, text: str) -> str:
        body = f'        """{text[:90]}"""\n        return value + {step}  # {text[90:150]}\n\n'
        return f"    def step_{step}(self, value):\n{body}"

    parts = (
        f"class Thing{number}:\n" + "".join(method(step, text) for step in range(6))
        for number, text in enumerate(paragraphs())
    )
    fill(path, parts, size, '"""A module."""\n\n')


CASES = (
    Case(name="text, many lines", suffix="txt", megabytes=50, write=write_text),
    Case(name="text, one line", suffix="txt", megabytes=50, write=write_line),
    Case(name="text, characters of four bytes", suffix="txt", megabytes=50, write=write_wide_text),
    Case(name="HTML", suffix="html", megabytes=20, write=write_page),
    Case(name="HTML", suffix="html", megabytes=50, write=write_page),
    Case(name="HTML, one table", suffix="html", megabytes=20, write=write_page_table),
    Case(name="HTML, one list", suffix="html", megabytes=20, write=write_page_list),
    Case(name="HTML, one list of terms", suffix="html", megabytes=20, write=write_page_terms),
    Case(name="HTML, one block of code", suffix="html", megabytes=20, write=write_page_code),
    Case(name="HTML, one paragraph", suffix="html", megabytes=20, write=write_page_inline),
    Case(name="Markdown", suffix="md", megabytes=50, write=write_markdown),
    Case(
        name="Markdown, nothing in the cache",
        suffix="md",
        megabytes=4,
        write=write_markdown,
        options=("--embedding-cache-bytes", "0"),
    ),
    Case(name="Markdown, list items", suffix="md", megabytes=20, write=write_markdown_lists),
    Case(name="Markdown with HTML", suffix="md", megabytes=20, write=write_markdown_html),
    Case(name="reStructuredText", suffix="rst", megabytes=20, write=write_rst),
    Case(name="AsciiDoc", suffix="adoc", megabytes=20, write=write_asciidoc),
    Case(name="Org", suffix="org", megabytes=20, write=write_org),
    Case(name="subtitles", suffix="srt", megabytes=20, write=write_subtitles),
    Case(name="JSON Lines", suffix="jsonl", megabytes=50, write=write_json_lines),
    Case(name="JSON, one list", suffix="json", megabytes=50, write=write_json_array),
    Case(name="JSON, one text", suffix="json", megabytes=50, write=write_json_object),
    Case(name="JSON, many values", suffix="json", megabytes=50, write=write_json_values),
    Case(name="CSV", suffix="csv", megabytes=50, write=write_csv),
    Case(name="CSV, a quote never closed", suffix="csv", megabytes=50, write=write_csv_quote),
    Case(name="TSV", suffix="tsv", megabytes=50, write=write_tsv),
    Case(name="notebook, outputs", suffix="ipynb", megabytes=50, write=write_notebook),
    Case(name="mail, text", suffix="eml", megabytes=20, write=write_mail),
    Case(name="mail, HTML", suffix="eml", megabytes=20, write=write_mail_page),
    Case(name="mail, attachment", suffix="eml", megabytes=50, write=write_mail_attachment),
    Case(name="DOCX", suffix="docx", megabytes=60, write=write_docx),
    Case(name="DOCX", suffix="docx", megabytes=200, write=write_docx),
    Case(name="ODT", suffix="odt", megabytes=60, write=write_odt),
    Case(name="PPTX", suffix="pptx", megabytes=60, write=write_pptx),
    Case(name="PPTX, film", suffix="pptx", megabytes=300, write=write_slides_with_films),
    Case(name="XLSX", suffix="xlsx", megabytes=60, write=write_xlsx),
    Case(name="EPUB, one chapter", suffix="epub", megabytes=20, write=write_book),
    Case(name="PDF, 3,000 pages", suffix="pdf", megabytes=10, write=write_pdf),
    Case(name="PDF, one picture", suffix="pdf", megabytes=300, write=write_pdf_picture),
    Case(name="Python", suffix="py", megabytes=20, write=write_code, options=("--code",)),
    Case(name="a folder of 4,000 documents", suffix="", megabytes=48, write=write_folder),
    Case(name="a large page after others", suffix="", megabytes=20, write=write_page_after_others),
    Case(name="a folder of 50,000 small documents", suffix="", megabytes=10, write=write_small_documents),
)
