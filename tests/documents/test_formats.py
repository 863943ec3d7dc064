"""Files of many kinds become text that keeps its structure; files that mean harm cost nothing but themselves."""

import io
import json
import random
import re
import struct
import time
import zipfile
from datetime import date
from email.message import EmailMessage

import docx
import openpyxl
import pptx
import pytest
import xlsxwriter
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE

from gemvec.documents import BadDocument, Sources, Splitter, sheets
from gemvec.documents.archive import MAX_XML_BYTES
from gemvec.documents.readers import READERS, find_reader
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.word import read_docx
from gemvec.documents.word_markup import find_drawings, open_markup, write_drawings
from gemvec.documents.word_math import spell_formulas
from office_files import make_archive, make_odt, saved
from outlook_files import make_ole


@pytest.fixture
def read(tmp_path):
    """Return what the reader of a file's suffix makes of some bytes."""

    def read_as(name, data):
        return find_reader(tmp_path / name).read(data if isinstance(data, bytes) else data.encode())

    return read_as


def make_docx():
    document = docx.Document()
    document.core_properties.title = "The handbook"
    document.add_heading("Batches", level=1)
    document.add_paragraph("A batch is a durable job.")
    document.add_heading("Cancel", level=2)
    document.add_paragraph("Send cancel.", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip([*table.rows[0].cells, *table.rows[1].cells], ["Name", "Price", "Tea", "3"], strict=True):
        cell.text = text
    return saved(document)


def make_pptx():
    presentation = pptx.Presentation()
    for title, points in [("Welcome", ["First point", "Second point"]), ("Prices", ["All prices"])]:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(points)
        slide.placeholders[1].text_frame.paragraphs[-1].level = 1
    slide.notes_slide.notes_text_frame.text = "Say this aloud."
    table = slide.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for place, text in enumerate(["Name", "Price", "Tea", "3"]):
        table.cell(place // 2, place % 2).text = text
    return saved(presentation)


def test_formulas_of_slides_are_read_and_shapes_in_two_forms_once(read):
    names = {
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "a14": "http://schemas.microsoft.com/office/drawing/2010/main",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "p": "http://schemas.openxmlformats.org/presentationml/2006/main",
    }
    spaces = " ".join(f'xmlns:{name}="{address}"' for name, address in names.items())
    shape = "<p:sp><p:nvSpPr><p:nvPr/></p:nvSpPr><p:txBody>{}</p:txBody></p:sp>"
    power = "<m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
    formula = f"<a:p><a:r><a:t>Area </a:t></a:r><a14:m><m:oMath>{power}</m:oMath></a14:m></a:p>"
    both = (
        f"<mc:AlternateContent {spaces}><mc:Choice Requires='a14'>{shape.format(formula)}</mc:Choice>"
        f"<mc:Fallback>{shape.format('<a:p><a:r><a:t>Area r2</a:t></a:r></a:p>')}</mc:Fallback></mc:AlternateContent>"
    )
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    slide.shapes._spTree.append(parse_xml(both))
    assert read("a.pptx", saved(presentation)).text == "Area r^2"


def make_xlsx():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    for row in [["Name", "Price", "Since"], ["Tea | green", 3.0, date(2024, 5, 1)], [], ["Coffee", 2.5, None]]:
        sheet.append(row)
    book.create_sheet("Empty")
    book.create_sheet("More").append(["Only", "this"])
    return saved(book)


CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
    "<dc:title>A book</dc:title><dc:creator>Somebody</dc:creator><dc:language>en</dc:language></metadata><manifest>"
    '<item id="b" href="two%20.xhtml"/><item id="a" href="one.xhtml"/></manifest>'
    '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
)


def make_epub(**more):
    page = "<!DOCTYPE html><html><body><h1>{}</h1><p>Text of {}.</p></body></html>"
    parts = {
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/one.xhtml": page.format("One", "one"),
        "OPS/two .xhtml": page.format("Two", "two"),
    }
    return make_archive(parts | more)


def test_a_word_document_keeps_headings_lists_and_tables(read):
    made = read("a.docx", make_docx())
    assert (made.title, made.format) == ("The handbook", "markdown")
    assert made.text == (
        "# Batches\n\nA batch is a durable job.\n\n## Cancel\n\n* Send cancel.\n\n"
        "| Name | Price |\n| --- | --- |\n| Tea | 3 |"
    )


def test_word_styles_with_a_level_or_the_name_of_a_heading_are_headings():
    document = docx.Document()
    names = {"ChapterTitle": None, "HeadA": None, "Abschnitt": "2", "Unterart": None, "Code": None}
    for name, level in names.items():
        style = document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        if level:
            style.element.get_or_add_pPr().append(parse_xml(f'<w:outlineLvl {nsdecls("w")} w:val="{level}"/>'))
    document.styles["Unterart"].base_style = document.styles["Abschnitt"]
    for name in names:
        document.add_paragraph(f"In {name}", style=name)
    document.add_paragraph("  more();", style="Code")
    text, *_ = read_docx(saved(document))
    assert text == (
        "# In ChapterTitle\n\n## In HeadA\n\n### In Abschnitt\n\n### In Unterart\n\n```\nIn Code\n  more();\n```"
    )


def test_formulas_of_word_are_spelled():
    document = docx.Document()
    fraction = "<m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f>"
    power = "<m:sSup><m:e><m:r><m:t>r</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
    space = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    inline = parse_xml(f"<m:oMath {space}><m:r><m:t>A=π</m:t></m:r>{power}</m:oMath>")
    document.add_paragraph("The area ")._p.append(inline)
    document.add_paragraph()._p.append(parse_xml(f"<m:oMathPara {space}><m:oMath>{fraction}</m:oMath></m:oMathPara>"))
    assert read_docx(saved(document))[0] == "The area A=πr^2\n\na/b"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('RUN(Figure )<w:fldSimple w:instr=" SEQ Figure ">RUN(12)</w:fldSimple>RUN( shows)', "Figure 12 shows"),
        ('RUN(Say )<w:bdo w:val="rtl">RUN(this)</w:bdo><w:dir w:val="rtl">RUN( too)</w:dir>', "Say this too"),
        (
            "<w:r><w:ruby><w:rubyPr/><w:rt>RUN(さえぎ)</w:rt><w:rubyBase>RUN(遮)</w:rubyBase></w:ruby></w:r>RUN(られて)",
            "遮られて",
        ),
        ("RUN(One)<w:r><w:cr/></w:r>RUN(two)", "One\ntwo"),
        ('RUN(See )<w:hyperlink r:id="rId999" w:history="1">RUN(the page)</w:hyperlink>RUN(.)', "See the page."),
    ],
)
def test_fields_directions_readings_and_broken_links_of_word_cost_no_words(read, written, shown):
    runs = re.sub(r"RUN\((.*?)\)", r'<w:r><w:t xml:space="preserve">\1</w:t></w:r>', written)
    parts = unpack(make_docx())
    parts["word/document.xml"] = re.sub(
        rb"(<w:body>).*(</w:body>)",
        rf"\g<1><w:p>{runs}</w:p>\g<2>".encode(),
        parts["word/document.xml"],
        flags=re.DOTALL,
    )
    document = read("a.docx", make_archive(parts))
    assert (document.text, document.notes) == (shown, ())


def test_runs_that_word_hides_are_not_read():
    def run(text, look="<w:rPr><w:b/>{}</w:rPr>", mark=""):
        return f"<w:r w:rsidR='1'>{look.format(mark)}<w:t>{text}</w:t></w:r>"

    hidden, shown = "<w:vanish/>", '<w:vanish w:val="0"/>'
    field = "<w:r><w:rPr><w:vanish/></w:rPr><w:instrText>XE</w:instrText></w:r>"
    written = f"<w:p>{run('One')}{run('secret', mark=hidden)}{run('two', mark=shown)}{run('three', '')}{field}</w:p>"
    opened = open_markup(written.encode(), set()).decode()
    assert opened == written.replace(run("secret", mark=hidden), "")


@pytest.mark.parametrize(
    "tag", ["<w:r><w:rPr><w:vanish/>", "<w:r><w:rPr><w:vanish/></w:rPr>", "<w:r ", "<w:r><w:rPr><w:vanish "]
)
def test_hidden_runs_of_word_without_an_end_take_linear_time(tag):
    written = (tag * 100_000).encode()
    start = time.process_time()
    assert open_markup(written, set()) == written
    assert time.process_time() - start < 5


@pytest.mark.parametrize("tag", ["<m:oMath>", "<m:oMath ", "<m:oMathParaPr>", "<m:oMath><m:t ", "<m:oMathPara "])
def test_formulas_of_word_without_an_end_take_linear_time(tag):
    written = ("<m:oMath>" + tag * 100_000).encode()
    start = time.process_time()
    spell_formulas(written)
    assert time.process_time() - start < 5


def test_blocks_in_a_cell_of_an_opendocument_table_are_apart(read):
    items = "<text:list><text:list-item><text:p>One</text:p></text:list-item></text:list>"
    cell = (
        f"<table:table-cell>{items}<text:p>Two</text:p><text:p>Th<text:span>ree</text:span></text:p></table:table-cell>"
    )
    made = read("a.odt", make_odt(f"<table:table><table:table-row>{cell}</table:table-row></table:table>"))
    assert made.text.startswith("| One Two Three |")


def test_a_presentation_is_read_slide_by_slide_with_tables_and_notes(read):
    made = read("a.pptx", make_pptx())
    first, second = made.text[: made.page_starts[1]], made.text[made.page_starts[1] :]
    assert first == "## Welcome\n\nFirst point\n- Second point\n\n"
    assert second.startswith("## Prices\n\n- All prices\n\n| Name | Price |\n| --- | --- |\n| Tea | 3 |")
    assert "Say this aloud." in second
    assert made.page_names == ("slide 1", "slide 2")


def make_charted_slide(charts=1):
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Sales"
    data = CategoryChartData()
    data.categories = ["East", "West"]
    data.add_series("Units sold", (1, 2))
    for _ in range(charts):
        chart = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, 0, 0, 10_000, 10_000, data).chart
        chart.has_title = True
        chart.chart_title.text_frame.text = "A year of sales"
    slide._element.set("show", "0")
    return saved(presentation)


def test_words_of_charts_and_hidden_slides_of_a_presentation_are_read(read):
    document = read("a.pptx", make_charted_slide())
    assert document.text == "## Sales\n\nA year of sales\nUnits sold\nEast, West"
    assert [note.reason for note in document.notes] == ["slides of it that are hidden are read, too: 1"]


def test_charts_with_the_same_words_on_a_slide_are_all_read(read):
    words = "A year of sales\nUnits sold\nEast, West"
    assert read("a.pptx", make_charted_slide(3)).text == "\n\n".join(["## Sales", *[words] * 3])


def test_a_damaged_chart_costs_the_chart_and_is_said(read):
    parts = unpack(make_charted_slide())
    chart = next(name for name in parts if name.startswith("ppt/charts/chart"))
    document = read("a.pptx", make_archive(parts | {chart: b"<broken"}))
    assert document.text == "## Sales"
    assert document.notes[0].reason == "a chart or diagram on slide 1 is damaged and left out"


DIAGRAM = (
    '<d:dataModel xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:p><a:r><a:t>Plan &amp; do</a:t></a:r></a:p>'
    "<a:p/><a:p><a:r><a:t>Check</a:t></a:r></a:p></d:dataModel>"
)


FRAME = (
    '<w:r><w:drawing><a:graphicData xmlns:a="a"><dgm:relIds xmlns:dgm="d" xmlns:r="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships" r:dm="rId77" r:lo="rId78"/></a:graphicData></w:drawing></w:r>'
)


def make_diagrammed_docx(paragraphs, diagram=DIAGRAM):
    parts = unpack(make_docx())
    relations = "word/_rels/document.xml.rels"
    more = b'<Relationship Id="rId77" Type="x" Target="diagrams/data1.xml"/></Relationships>'
    parts[relations] = parts[relations].replace(b"</Relationships>", more)
    parts["word/diagrams/data1.xml"] = diagram
    start, _, rest = parts["word/document.xml"].partition(b"<w:body>")
    parts["word/document.xml"] = start + b"<w:body>" + paragraphs.encode() + rest
    return make_archive(parts)


@pytest.mark.parametrize(
    ("diagram", "text", "reasons"),
    [
        (DIAGRAM, "Plan & do\nCheck", []),
        ("<broken", "", ["a chart or diagram (word/diagrams/data1.xml) is damaged and left out"]),
    ],
)
def test_words_of_diagrams_of_word_are_read_in_their_place(read, diagram, text, reasons):
    document = read("a.docx", make_diagrammed_docx(f"<w:p>{FRAME}</w:p>", diagram))
    assert " ".join(document.text.split()).startswith(" ".join(text.split()))
    assert [note.reason for note in document.notes] == reasons
    assert "A batch" in document.text or text in document.text


def test_a_diagram_in_a_text_box_of_word_is_read_in_the_form_for_older_programs(read):
    paragraph = (
        '<w:p><w:r><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wps="wps" xmlns:v="urn:schemas-microsoft-com:vml"><mc:Choice Requires="wps"><w:drawing><wps:txbx>'
        f"<w:txbxContent><w:p>{FRAME}</w:p></w:txbxContent></wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict>"
        f"<v:shape><v:textbox><w:txbxContent><w:p>{FRAME}</w:p></w:txbxContent></v:textbox></v:shape></w:pict>"
        "</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    document = read("a.docx", make_diagrammed_docx(paragraph))
    assert document.text.startswith("Plan & do\nCheck\n")
    assert document.text.count("Plan & do") == 1


def test_a_diagram_that_word_refers_to_very_often_does_not_fill_the_memory(read):
    document = read("a.docx", make_diagrammed_docx(f"<w:p>{FRAME}</w:p>" * 50))
    assert document.text.count("Plan & do") == 2


@pytest.mark.parametrize("tag", [b"<w:rt>", b"<w:rt ", b"<w:dir ", b"<w:hyperlink "])
def test_marks_of_word_without_an_end_take_linear_time(tag):
    start = time.process_time()
    assert open_markup(b"<w:ruby>" + tag * 100_000, set()) == tag * 100_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("tag", [b"<w:drawing>", b"<c:chart "])
def test_drawings_of_word_without_an_end_take_linear_time(tag):
    start = time.process_time()
    assert not find_drawings(tag * 100_000)
    assert write_drawings(tag * 100_000, {"rId1": "words"}) == tag * 100_000
    assert time.process_time() - start < 5


def test_a_spreadsheet_is_read_sheet_by_sheet_as_tables(read):
    made = read("a.xlsx", make_xlsx())
    assert made.text == (
        "## Prices\n\n| Name | Price | Since |\n| --- | --- | --- |\n| Tea \\| green | 3 | 2024-05-01 |\n"
        "| Coffee | 2.5 |\n\n## More\n\n| Only | this |\n| --- | --- |"
    )
    assert made.page_names == ("sheet Prices", "sheet More")


def test_numbers_of_a_spreadsheet_are_read_as_they_are_shown(read):
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("Data")
    sheet.write_row(0, 0, ["Share", "Price", "Since", "Took", "Kept", "Code"])
    formats = ["0.0%", '#,##0.00 "€"', "d/m/yy", "[h]:mm", "General", "00000"]
    for column, (value, code) in enumerate(zip([0.256, 1234.5, 45413, 1.5, 0.1, 1234], formats, strict=True)):
        sheet.write_number(1, column, value, book.add_format({"num_format": code}))
    sheet.write_number(2, 2, 45413, book.add_format({"num_format": 57}))  # known by its number, in East Asia
    sheet.write_boolean(2, 3, True, book.add_format({"num_format": "0.0%"}))
    book.close()
    assert read("a.xlsx", file.getvalue()).text.split("\n")[4:] == [
        "| 25.6% | 1,234.50 € | 2024-05-01 | 36:00:00 | 0.1 | 01234 |",
        "|  |  | 2024-05-01 | True |",
    ]


def test_numbers_of_a_spreadsheet_without_their_styles_are_read_as_they_are(read):
    parts = unpack(make_xlsx())
    del parts["xl/styles.xml"]
    parts["xl/worksheets/sheet1.xml"] = re.sub(rb' s="\d+"', b"", parts["xl/worksheets/sheet1.xml"])
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b'<c r="B2"', b'<c r="B2" s="9"')
    assert "| 3 |" in read("a.xlsx", make_archive(parts)).text


def make_sheet_with_drawings():
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet("Data")
    sheet.write_row(0, 0, ["Name", "Value"])
    sheet.write_row(1, 0, ["alpha", 3])
    sheet.insert_textbox("D2", "Text in a box.\nIts second line.")
    sheet.write_comment("B2", "A comment on three.")
    chart = book.add_chart({"type": "line"})
    chart.add_series({"values": "=Data!$B$2"})
    chart.set_title({"name": "Sales of a year"})
    sheet.insert_chart("D9", chart)
    book.add_worksheet("Only a box").insert_textbox("A1", "Alone.")
    hidden = book.add_worksheet("Lists")
    hidden.write("A1", "kept")
    hidden.hide()
    book.close()
    return file.getvalue()


def test_boxes_charts_comments_and_hidden_sheets_of_a_spreadsheet_are_read(read):
    document = read("a.xlsx", make_sheet_with_drawings())
    assert document.text.split("\n\n") == [
        *("## Data", "| Name | Value |\n| --- | --- |\n| alpha | 3 |", "Text in a box.\nIts second line."),
        *("Sales of a year", "Comment on B2: A comment on three.", "## Only a box", "Alone."),
        *("## Lists", "| kept |\n| --- |"),
    ]
    assert [note.reason for note in document.notes] == ["sheets of it that are hidden are read, too: Lists"]


@pytest.mark.parametrize("drawing", [b"<broken", b"<a>" * 3_000 + b"</a>" * 3_000])
def test_a_damaged_or_endless_drawing_costs_only_what_stands_beside_the_cells(read, drawing):
    parts = unpack(make_sheet_with_drawings())
    name = next(name for name in parts if name.startswith("xl/drawings/drawing"))
    document = read("a.xlsx", make_archive(parts | {name: drawing}))
    assert "| alpha | 3 |" in document.text
    assert document.notes[0].is_loss
    assert document.notes[0].reason.startswith("what stands beside the cells of its sheet")


def test_an_answered_comment_of_a_spreadsheet_is_read_once_with_its_answers(read):
    parts = unpack(make_sheet_with_drawings())
    parts["xl/comments1.xml"] = (
        parts["xl/comments1.xml"]
        .replace(b"<author></author>", b"<author>tc={1}</author>")
        .replace(b"A comment", b"[Threaded comment] Your version of Excel ... A comment")
    )
    relations = "xl/worksheets/_rels/sheet1.xml.rels"
    more = b'<Relationship Id="rId9" Type="x" Target="../threadedComments/threadedComment1.xml"/></Relationships>'
    parts[relations] = parts[relations].replace(b"</Relationships>", more)
    parts["xl/threadedComments/threadedComment1.xml"] = (
        '<ThreadedComments xmlns="x"><threadedComment ref="B2"><text>Why three?</text></threadedComment>'
        '<threadedComment ref="B2"><text>Because.</text></threadedComment></ThreadedComments>'
    )
    text = read("a.xlsx", make_archive(parts)).text
    assert "Comment on B2: Why three?\n\nComment on B2: Because." in text
    assert "Threaded" not in text


def test_diagrams_of_a_spreadsheet_are_read(read):
    parts = unpack(make_sheet_with_drawings())
    relations = "xl/drawings/_rels/drawing1.xml.rels"
    more = b'<Relationship Id="rId90" Type="x" Target="../diagrams/data1.xml"/></Relationships>'
    parts[relations] = parts[relations].replace(b"</Relationships>", more)
    parts["xl/diagrams/data1.xml"] = (
        '<dgm:dataModel xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:p><a:r><a:t>Plan</a:t></a:r></a:p>'
        "<a:p><a:r><a:t>Build it</a:t></a:r></a:p></dgm:dataModel>"
    )
    assert "Sales of a year\n\nPlan\nBuild it\n\nComment on B2" in read("a.xlsx", make_archive(parts)).text


def test_damaged_drawings_of_a_spreadsheet_cost_only_themselves(read):
    parts = unpack(make_sheet_with_drawings())
    parts["xl/drawings/drawing1.xml"] = b"<broken"
    document = read("a.xlsx", make_archive(parts))
    assert "| alpha | 3 |" in document.text
    assert any("beside the cells of its sheet Data is damaged" in note.reason for note in document.notes)


def test_a_book_is_read_in_the_order_of_its_spine(read):
    made = read("a.epub", make_epub())
    assert made.text == "# One\n\nText of one.\n\n# Two\n\nText of two."
    assert (made.title, made.metadata) == ("A book", {"creator": "Somebody", "language": "en"})
    assert made.page_names == ("chapter 1", "chapter 2")


def test_a_chapter_without_a_heading_is_called_what_the_table_of_contents_calls_it(read):
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>The storm</text>'
        '</navLabel><content src="one.xhtml#top"/></navPoint></navMap></ncx>'
    )
    nav = (
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>'
        '<nav epub:type="landmarks"><a href="one.xhtml">Begin reading</a></nav>'
        '<nav epub:type="toc"><a href="one.xhtml">The storm</a><a href="two%20.xhtml">Other</a></nav></body></html>'
    )
    items = {
        '<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/>': {"OPS/toc.ncx": ncx},
        '<item id="n" href="toc.xhtml" properties="nav"/>': {"OPS/toc.xhtml": nav},
    }
    for item, part in items.items():
        package = PACKAGE.replace("</manifest>", f"{item}</manifest>")
        for page in ("<p>It rained.</p>", "<p><b>The Storm</b></p><p>It rained.</p>"):
            made = read("a.epub", make_epub(**{"OPS/book.opf": package, "OPS/one.xhtml": page}, **part))
            assert made.text == "# The storm\n\nIt rained.\n\n# Two\n\nText of two."


def test_a_part_of_several_chapters_is_not_called_as_the_first_of_them(read):
    links = "".join(f'<a href="one.xhtml#c{number}">Chapter {number}</a>' for number in (1, 2))
    items = '<item id="n" href="toc.xhtml" properties="nav"/></manifest>'
    parts = {
        "OPS/book.opf": PACKAGE.replace("</manifest>", items),
        "OPS/one.xhtml": "<p id='c1'>It rained.</p><p id='c2'>It snowed.</p>",
        "OPS/toc.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body><nav>{links}</nav></body></html>',
    }
    assert read("a.epub", make_epub(**parts)).text == "It rained.\n\nIt snowed.\n\n# Two\n\nText of two."
    named = parts["OPS/toc.xhtml"].replace("</nav>", '<a href="one.xhtml">Weather</a></nav>')
    assert read("a.epub", make_epub(**parts | {"OPS/toc.xhtml": named})).text.startswith("# Weather\n\nIt rained.")


def test_each_part_of_a_book_is_read_once(read):
    depth = 20_000
    toc = f"<html><body>{'<nav><a>' * depth}Contents{'</a></nav>' * depth}</body></html>"
    items, again = '<item id="n" href="toc.xhtml" properties="nav"/>' * 1_000, '<itemref idref="a"/>' * 10_000
    package = PACKAGE.replace("</manifest>", f"{items}</manifest>").replace("</spine>", f"{again}</spine>")
    start = time.process_time()
    made = read("a.epub", make_epub(**{"OPS/book.opf": package, "OPS/toc.xhtml": toc}))
    assert made.text == "# One\n\nText of one.\n\n# Two\n\nText of two."
    assert time.process_time() - start < 5


def test_many_links_of_a_book_that_lead_nowhere_take_no_time(read):
    links = "".join(f'<item id="i{number}" href="{number}"/>' for number in range(60_000))
    package = PACKAGE.replace("</manifest>", f"{links}</manifest>")
    start = time.process_time()
    read("a.epub", make_epub(**{"OPS/book.opf": package}, **{f"{number}.txt": "" for number in range(15_000)}))
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (' xmlns="http://www.idpf.org/2007/opf"', ""),
        ("one.xhtml", "ONE.xhtml#top"),
        ('<spine><itemref idref="a"/><itemref idref="b"/></spine>', ""),
    ],
)
def test_a_book_whose_package_is_odd_is_read(read, old, new):
    package = PACKAGE.replace(old, new).replace('.xhtml"', '.xhtml" media-type="application/xhtml+xml"')
    made = read("a.epub", make_epub(**{"OPS/book.opf": package}))
    assert "Text of one." in made.text
    assert "Text of two." in made.text


def test_an_opendocument_text_keeps_headings_lists_and_tables(read):
    body = (
        '<text:h text:outline-level="2">Batches</text:h><text:p>A <text:span>durable</text:span><text:s/>job.</text:p>'
        "<text:list><text:list-item><text:p>One</text:p><text:list><text:list-item><text:p>Inner</text:p>"
        "</text:list-item></text:list></text:list-item></text:list><table:table><table:table-row>"
        "<table:table-cell><text:p>Name</text:p></table:table-cell><table:table-cell><text:p>Price</text:p>"
        "</table:table-cell></table:table-row></table:table><text:tracked-changes><text:p>Gone</text:p>"
        "</text:tracked-changes>"
    )
    made = read("a.odt", make_odt(body))
    assert made.text == "## Batches\n\nA durable job.\n\n- One\n  - Inner\n\n| Name | Price |\n| --- | --- |"


def test_a_notebook_gives_text_and_code_and_not_what_was_printed(read):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Some words."]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": "secret output"}]},
        {"cell_type": "code", "source": ""},
    ]
    made = read("a.ipynb", json.dumps({"cells": cells, "metadata": {"language_info": {"name": "python"}}}))
    assert made.text == "# Title\n\nSome words.\n\n```python\nprint(1)\n```"
    assert made.title == "Title"
    old = {"worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": "Old"}]}]}
    assert read("a.ipynb", json.dumps(old)).text == "## Old"


def test_text_of_a_notebook_is_read_as_markdown_with_html_is(read):
    cells = [
        {
            "cell_type": "markdown",
            "source": ["<h1 align='center'>Title &amp; more</h1>\n", "\n", "Words<br>apart &lt;x&gt;.\n"],
        },
        {"cell_type": "markdown", "source": "```{note}\nA **note**.\n```"},
        {"cell_type": "code", "source": "x = '<b>&amp;</b>'"},
    ]
    document = read("a.ipynb", json.dumps({"cells": cells, "nbformat": 4}))
    assert document.title == "Title & more"
    assert document.text.split() == [
        "#",
        "Title",
        "&",
        "more",
        "Words",
        "apart",
        "<x>.",
        "**Note**",
        "A",
        "**note**.",
        "```",
        "x",
        "=",
        "'<b>&amp;</b>'",
        "```",
    ]


def test_code_without_an_end_in_a_cell_does_not_go_on_in_the_next_one(read):
    cells = [
        {"cell_type": "markdown", "source": "```python\nx = 1"},
        {"cell_type": "markdown", "source": "<b>Words</b> after it."},
        {"cell_type": "code", "source": "````\nticks\n````"},
        {"cell_type": "markdown", "source": "# A heading"},
    ]
    made = read("a.ipynb", json.dumps({"cells": cells}))
    assert made.text == "```python\nx = 1\n```\n\nWords after it.\n\n`````\n````\nticks\n````\n`````\n\n# A heading"
    assert made.title == "A heading"


def test_the_front_matter_of_a_notebook_is_no_text(read):
    cells = [
        {"cell_type": "raw", "source": "---\ntitle: Pumps\nauthor: Ada\n---"},
        {"cell_type": "markdown", "source": "Words."},
    ]
    made = read("a.ipynb", json.dumps({"cells": cells}))
    assert (made.title, made.text.strip(), made.metadata) == ("Pumps", "Words.", {"author": "Ada"})


def test_an_email_gives_subject_body_and_headers_and_names_its_attachments(read):
    message = EmailMessage()
    message["Subject"] = "Größe der Bücher"
    message["From"] = "A <a@example.org>"
    message["To"] = "b@example.org"
    message["Date"] = "Fri, 01 Nov 2024 10:00:00 +0000"
    message.set_content("Hello there.\n\n> quoted")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="x.pdf")
    made = read("a.eml", message.as_bytes())
    assert (made.title, made.text) == ("Größe der Bücher", "Hello there.\n\n> quoted\n")
    assert made.metadata == {"from": "A <a@example.org>", "to": "b@example.org", "date": "2024-11-01T10:00:00+00:00"}
    assert [(note.reason, note.is_loss) for note in made.notes] == [("its attachment 'x.pdf' is left out", True)]


def test_an_email_of_html_only_is_read_as_a_page_also_in_an_unknown_encoding(read):
    head = "Subject: S\nContent-Type: text/html; charset={}\n\n"
    for encoding in ("utf-8", "no-such-encoding"):
        assert read("a.eml", head.format(encoding) + "<h1>Hi</h1><p>Größe</p>").text == "# Hi\n\nGröße"


def test_text_below_a_blank_line_belongs_to_the_subtitle_above(read):
    srt = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\nstill one\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n\n\nand two\n"
    assert read("a.srt", srt).text == "One\nstill one\nTwo\nand two"
    vtt = "WEBVTT\n\nSTYLE\n::cue {}\n\n1\n00:01.000 --> 00:02.000\nOne\n\nNOTE a remark\nof two lines\n\nmore\n"
    assert read("a.vtt", vtt).text == "One\nmore"


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.pptx", "a.odt", "a.epub"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_ole({"EncryptedPackage": b"x" * 5000, "EncryptionInfo": b"y"}), "protected by a password"),
        (make_ole({"WordDocument": b"x" * 5000}), "an older Office"),
        (b"{\\rtf1 text}", "RTF"),
    ],
)
def test_an_office_file_of_another_kind_is_named(read, name, data, reason):
    with pytest.raises(UnreadableDocument, match=reason):
        read(name, data)


def test_subtitles_without_a_blank_line_between_them_are_told_apart(read):
    srt = (
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n00:00:05,000 --> 00:00:06,000\n3"
    )
    made = read("a.srt", srt)
    assert (made.text, made.page_names) == ("One\nTwo\n3", ("00:00:01", "00:00:03", "00:00:05"))


def test_subtitles_give_words_at_their_times(read):
    srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i> there.\n\n2\n00:01:05,500 --> 00:01:07,000\nSecond\nline.\n"
    made = read("a.srt", srt)
    assert made.text == "Hello there.\nSecond\nline."
    assert made.page_names == ("00:00:01", "00:01:05")
    vtt = "WEBVTT\n\nNOTE a remark\n\nid\n00:01.000 --> 00:02.000 align:left\n<v Ann>Hello &amp; bye\n\n"
    vtt += "00:03.000 --> 00:04.000\nHello &amp; bye\n"
    made = read("a.vtt", vtt)
    assert (made.text, made.page_names) == ("Hello & bye", ("00:01",))


def test_asciidoc_keeps_headings_lists_code_and_tables_line_by_line(read):
    source = """= The guide
:toc:
// a comment

== Install it [[install]]

Run link:start.html[this page] and https://example.org[that].

[source,python]
----
# not a heading
----

* One
** Inner
. First

|===
|Name |Price

|Tea |3
|===

////
hidden
////
NOTE: Last line."""
    made = read("a.adoc", source)
    lines = made.text.split("\n")
    assert made.title == "The guide"
    assert lines[4] == "## Install it"
    assert lines[6] == "Run this page and that."
    assert lines[9:12] == ["```python", "# not a heading", "```"]
    assert lines[13:16] == ["- One", "  - Inner", "1. First"]
    assert lines[18:21] == ["| Name | Price |", "| --- | --- |", "| Tea | 3 |"]
    assert len(lines) == len(source.split("\n"))
    assert lines[-1] == "NOTE: Last line."
    assert not {"hidden", "comment", ":toc:"} & set(made.text.replace("\n", " ").split(" "))


@pytest.mark.parametrize(
    "table",
    [
        "|===\n|Name |Price\n\n|Tea |3 or more\n|Oil |5\n|===",
        '[cols="1,2a",options="header"]\n|===\n|Name\n|Price\n|Tea\n|3 or +\nmore\n|Oil\n|5\n|===',
        "[%header,cols=2*]\n|===\n|Name |Price |Tea |3 or more\n\n|Oil |5\n\n|===",
    ],
)
def test_asciidoc_tables_with_a_header_are_tables_and_the_lines_below_keep_their_numbers(read, table):
    source = f"= The guide\n\n{table}\n\nEnd here."
    text = read("a.adoc", source.encode()).text
    assert "| Name | Price |\n| --- | --- |\n| Tea | 3 or more |\n| Oil | 5 |\n" in text
    assert text.split("\n").index("End here.") == source.split("\n").index("End here.")


@pytest.mark.parametrize("attributes", ["", "[%noheader]\n"])
def test_asciidoc_tables_without_a_header_are_read_row_by_row(read, attributes):
    text = read("a.adoc", f"= The guide\n\n{attributes}|===\n|Tea |3\n|Oil |5\n|===\n".encode()).text
    assert "Tea | 3\nOil | 5\n" in text


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ('[cols="1,1",options="header"]\n|===\n|A|B\n|1|2\n|===', ["A | B", "1 | 2"]),
        ("[%header,cols=3]\n|===\n|A\n|B\n|C\n|1\n|2\n|3\n|===", ["A | B | C", "1 | 2 | 3"]),
        ("[options='header',cols='1,2']\n.Title\n|===\n|A\n|B\n|1\n|2\n|===", ["A | B", "1 | 2"]),
        ('[%header,cols="3*^"]\n|===\n|A|B|C\n|1|2\n^.>s|3\n|===', ["A | B | C", "1 | 2 | 3"]),
        ("|===\n|A|B\n\n|a \\| b|C +\n|a 3|in 4\n|===", ["A | B", "a \\| b | C +", "a 3 | in 4"]),
    ],
)
def test_cells_of_asciidoc_tables_are_below_their_header(read, table, rows):
    text = read("a.adoc", f"= The guide\n\n{table}\n\nEnd here.".encode()).text
    assert all(f"\n| {row} |\n" in text for row in rows)


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("[%header]\n|===\n|A |B\n2+|Section 1\n|1\n|===", ["A | B", "Section 1", "1"]),
        ("[%header]\n|===\n|A |B\n.2+|1\n|2 |3\n|4\n|===", ["1", "2 | 3", "4"]),
        ("[%header]\n|===\n|A |B\n2*|same\n|1\n|===", ["same", "1"]),
        ("[%header,format=csv]\n|===\nA,B |C\n1,2 |3\n|===", ["A,B | C", "1,2 | 3"]),
        ("[%header]\n,===\nA,B |C\n1,2 |3\n,===", ["A,B | C", "1,2 | 3"]),
        ("[%header,separator=¦]\n|===\n|A¦B\n|1¦2\n|===", ["A¦B", "1¦2"]),
        ("[%header]\n|===\nlost? |A |B\n|1 |2\n|===", ["lost? | A", "1 | 2"]),
        ("|===\n|A\n\na|\n----\nif a || b\n----\n|1\n|===", ["```\nif a || b\n```", "1"]),
        ("|===\n|Tea |3\n----\nif a || b\n----\n////\nhidden\n////\n|===", ["```\nif a || b\n```", "Tea | 3"]),
        ("[%header]\n|===\n|\n|\n|1\n|2\n|===", ["1", "2"]),
        ("[[header]]\n[.header]\n.Without a header\n|===\n|A |B\n|1 |2\n\n|===", ["A | B", "1 | 2"]),
        (f"[%header,cols={'9' * 5_000}]\n|===\n|A |B\n|1 |2\n|3\n|===", ["A | B"]),
    ],
)
def test_asciidoc_tables_that_are_not_understood_are_read_row_by_row(read, table, kept):
    text = read("a.adoc", f"= The guide\n\n{table}\n\nEnd here.".encode()).text
    assert all(each in text for each in kept)
    assert not any(each in text for each in ("| --- |", "hidden"))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("(((branches, switching)))\nSwitch to a branch.(((git)))", "\nSwitch to a branch."),
        ("A ((branch)) is (so ((they))) said.", "A branch is (so they) said."),
        ('The "`SSH keys`" and \'`it\'s`\' and `"code"`.', 'The "SSH keys" and \'it\'s\' and `"code"`.'),
        ("C{plus}{plus} and{nbsp}{empty}more, \\{plus} {name}", "C++ and more, \\{plus} {name}"),
        ("----\n(((x))) {plus}\n----", "```\n(((x))) {plus}\n```"),
    ],
)
def test_terms_of_an_index_quotes_and_named_characters_of_asciidoc_are_read(read, written, shown):
    assert read("a.adoc", written).text == shown


def test_attributes_of_asciidoc_are_read_where_they_are_named(read):
    text = ":name: Acme Corp\n\n= About {name}\n\nBy {name} and {other} \\{name}.\n\n----\n{name}\n----\n"
    made = read("a.adoc", text).text
    assert "# About Acme Corp\n\nBy Acme Corp and {other} \\{name}.\n\n```\n{name}\n```" in made
    assert made.count("\n") == text.count("\n")


def test_entities_of_asciidoc_are_read_as_they_are_shown(read):
    assert (
        read("a.adoc", "Q&amp;A&nbsp;&#8212; AT&T\n\n----\n&amp;\n----\n").text
        == "Q&A \u2014 AT&T\n\n```\n&amp;\n```\n"
    )


def test_headings_of_asciidoc_may_have_a_line_below_them(read):
    text = """git-log(1)
==========

[[name]]
NAME
----
git-log - Show `logs`

A line:
----
no heading
----
Sub part
~~~~~~~~
[verse]
Words

[TIP]
====
A tip.
====

.Sides
======
An example.
======

* one
-----
x
-----
"""
    document = read("git-log.adoc", text)
    assert [line for line in document.text.split("\n") if line.startswith("#")] == [
        "# git-log(1)",
        "## NAME",
        "### Sub part",
    ]
    assert document.title == "git-log(1)"
    assert document.text.count("\n") == text.count("\n")
    assert "```\nno heading\n```" in document.text


@pytest.mark.parametrize("mark", ["= Guide", "[[start]]", ":toc:", "Guide\n-----", "[source,ruby]\n----\nx\n----"])
def test_asc_is_asciidoc(read, mark):
    document = read("guide.asc", f"{mark}\n\nSee link:a.html[the words].\n".encode())
    assert "See the words." in document.text
    assert document.format == "markdown"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-----BEGIN PGP SIGNATURE-----\n\niQIzBAAB\n-----END PGP SIGNATURE-----\n", "it is a signature of PGP"),
        ("\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF\n", "it is a key of PGP"),
        ("-----BEGIN PGP MESSAGE-----\n\nhQIMA\n", "it is encrypted or packed"),
        ("ncols 4\nnrows 6\n1.5 2.5 3.5\n", "it is not AsciiDoc"),
    ],
)
def test_asc_that_is_no_text_is_named(read, text, reason):
    with pytest.raises(UnreadableDocument, match=reason):
        read("file.asc", text.encode())


def test_an_empty_asc_file_has_no_text_and_no_wrong_reason(read):
    assert not read("file.asc", b"\n").text.strip()


def test_a_text_that_pgp_signs_is_read_without_its_signature(read):
    signed = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

The announcement.
- -- dashes

-----BEGIN PGP SIGNATURE-----

iQIzBAAB
-----END PGP SIGNATURE-----
"""
    assert read("news.asc", signed.encode()).text == "\n\n\nThe announcement.\n-- dashes\n"


def test_org_keeps_headings_and_code_line_by_line(read):
    source = """#+TITLE: Notes
#+AUTHOR: Me
* TODO [#A] Shopping :errand:
  :PROPERTIES:
  :ID: 1
  :END:
See [[https://example.org][the page]] and =code=.
** Inner
#+BEGIN_SRC python
* not a heading
#+END_SRC
# a comment
#+begin_quote
Wise words.
#+end_quote"""
    made = read("a.org", source)
    lines = made.text.split("\n")
    assert (made.title, made.metadata) == ("Notes", {"author": "Me"})
    assert lines[2] == "# Shopping"
    assert lines[6:11] == ["See the page and `code`.", "## Inner", "```python", "* not a heading", "```"]
    assert lines[13] == "Wise words."
    assert len(lines) == len(source.split("\n"))
    assert "ID" not in made.text
    assert "comment" not in made.text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("- item\n  # no heading\n  more", "- item\n\n  more"),
        ("Text\n-----\nmore", "Text\n***\nmore"),
        ("See [[*Some\n heading]] and [[#here][this]].", "See Some\n heading and this."),
        ("Press {{{kbd(C-c C-c)}}}, in {{{version}}} {{{var(a\\, b)}}}.", "Press C-c C-c, in  a, b."),
        ("Word[fn:1] and more[fn:: a\nnote] here[fn:b: this].", "Word and more [a\nnote] here [this]."),
        ("[fn:1] The note.", " The note."),
        ("| =+;%.1f= | Like =+=, as =%.1f=. | a=b=c |", "| `+;%.1f` | Like `+`, as `%.1f`. | a=b=c |"),
        ("@@html:<b>@@bold@@html:</b>@@", "bold"),
        (": # no heading\n: * none\n:\nText", "    # no heading\n    * none\n    \nText"),
        ("#+begin_example\n,* a\n ,#+b\n,c\n#+end_example", "```\n* a\n #+b\n,c\n```"),
        ("#+begin_src c\n[[x]] =y= {{{z}}}\n#+end_src", "```c\n[[x]] =y= {{{z}}}\n```"),
    ],
)
def test_org_is_read_as_it_is_exported(read, written, shown):
    assert read("a.org", written).text == shown


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        *((".org", start) for start in ("=a ", "{{{a(", "@@a:", "[[a", "[fn:a")),
        *((".adoc", start) for start in ('"`a ', "(((a", "((a", "{nbsp")),
    ],
)
def test_marks_that_do_not_end_are_read_in_time_that_grows_with_their_length(read, suffix, start):
    assert read(f"a{suffix}", start * 50_000).text


def test_expressions_in_the_tags_of_components_end_no_tag(read):
    source = "<Tab label={`x > y`} f={() => {a > b}} g={{c: '>'}}>Words\n</Tab>\n\n<Open a={ 1 < 2 and text\n"
    assert read("a.mdx", source).text == "Words\n\n\n<Open a={ 1 < 2 and text\n"


def test_mdx_is_markdown_without_its_program(read):
    source = """---
title: Tabs
---
import Tabs from '@theme/Tabs';
export const meta = {
  title: 'x',
};

# Heading {/* remark */}

<Tabs><TabItem value="a">

Install it with `import x from "y"`.

</TabItem></Tabs>

{props.value}

```js
import kept from "here";
```
"""
    made = read("a.mdx", source)
    assert made.title == "Tabs"
    assert "Install it with" in made.text
    assert 'import kept from "here";' in made.text
    assert not any(word in made.text for word in ("@theme", "meta", "remark", "props", "TabItem"))


def test_positions_name_slides_sheets_chapters_and_times(tmp_path):
    for name, data, position in [
        ("a.pptx", make_pptx(), "slide 1"),
        ("a.xlsx", make_xlsx(), "sheet Prices"),
        ("a.epub", make_epub(), "chapter 1"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n", "00:00:01"),
    ]:
        (tmp_path / name).write_bytes(data)
        (document,) = Sources([str(tmp_path / name)])
        assert Splitter().split(document)[0].position.startswith(position)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.suffixes[0])
@pytest.mark.parametrize("data", [b"", b"\0\1\2 no such file", b"PK\3\4 broken"], ids=["empty", "binary", "zip"])
def test_a_file_that_is_not_of_its_kind_is_left_out_and_nothing_else(tmp_path, reader, data):
    for suffix in reader.suffixes:
        (tmp_path / f"a{suffix}").write_bytes(data)
    for found in Sources([str(tmp_path)]):
        assert isinstance(found, BadDocument) or not found.text.strip() or b"zip" not in data
        if isinstance(found, BadDocument):
            assert found.reason


ARCHIVES = {".docx": make_docx, ".pptx": make_pptx, ".xlsx": make_xlsx, ".epub": make_epub}
# The part of each that is XML and read first.
FIRST_PARTS = {
    ".docx": "word/document.xml",
    ".pptx": "ppt/presentation.xml",
    ".xlsx": "xl/workbook.xml",
    ".epub": "OPS/book.opf",
}


def unpack(data):
    """Return the parts of an archive by their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(data, change):
    """Return an archive with each part replaced by what `change` makes of its name and content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return make_archive({name: change(name, archive.read(name)) for name in archive.namelist()})


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(read, suffix):
    def blow_up(name, data):
        return data + b" " * (MAX_XML_BYTES + 1) if name == FIRST_PARTS[suffix] else data

    bomb = rewrite(ARCHIVES[suffix](), blow_up)
    assert len(bomb) < 2**20
    with pytest.raises(UnreadableDocument, match="would unpack to"):
        read(f"a{suffix}", bomb)


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_a_zip_bomb_that_lies_about_its_size_is_refused(read, suffix):
    def blow_up(name, data):
        return data + b" " * 2**24 if name == FIRST_PARTS[suffix] else data

    bomb = bytearray(rewrite(ARCHIVES[suffix](), blow_up))
    with zipfile.ZipFile(io.BytesIO(bytes(bomb))) as archive:
        size = struct.pack("<L", archive.getinfo(FIRST_PARTS[suffix]).file_size)
    assert bomb.count(size) == 2
    with pytest.raises(UnreadableDocument, match=r"damaged|not XML"):
        read(f"a{suffix}", bytes(bomb).replace(size, struct.pack("<L", 100)))


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_xml_that_declares_entities_is_refused(read, suffix):
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
    head = f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]>'.encode()

    def laugh(name, data):
        if name != FIRST_PARTS[suffix]:
            return data
        declaration, found, rest = data.rpartition(b"?>")
        return declaration + found + head + rest

    with pytest.raises(UnreadableDocument, match="declares entities"):
        read(f"a{suffix}", rewrite(ARCHIVES[suffix](), laugh))


def test_a_sheet_with_one_cell_far_away_costs_nothing(read):
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "far away"
    book.active["A1"] = "near"
    made = read("a.xlsx", saved(book))
    assert "near" in made.text


def damage(data, name):
    """Return an archive in which the bytes of one part are wrong."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = archive.getinfo(name)
        start = found.header_offset + 30 + len(name.encode())
        end = start + min(found.compress_size, 20)
    return data[:start] + bytes(255 - each for each in data[start:end]) + data[end:]


def test_a_damaged_sheet_costs_that_sheet_and_is_said(read):
    book = openpyxl.Workbook()
    book.active["A1"] = "lost"
    book.create_sheet("Second")["A1"] = "kept"
    made = read("a.xlsx", damage(make_archive(unpack(saved(book))), "xl/worksheets/sheet1.xml"))
    assert ("kept" in made.text, "lost" in made.text) == (True, False)
    assert [each.reason for each in made.notes] == ["its part xl/worksheets/sheet1.xml is damaged and left out"]


def test_a_sheet_that_is_cut_off_keeps_the_rows_before(read):
    book = openpyxl.Workbook()
    book.active.append(["kept"])
    book.active.append(["lost"])
    parts = unpack(saved(book))
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet[: sheet.rindex(b"</row>")] + b"</bad>"
    made = read("a.xlsx", make_archive(parts))
    assert ("kept" in made.text, "lost" in made.text) == (True, False)
    assert [each.is_loss for each in made.notes] == [True]


def test_a_spreadsheet_whose_styles_are_not_understood_is_read(read):
    parts = unpack(make_xlsx())
    parts["xl/styles.xml"] = parts["xl/styles.xml"].replace(b"<cellStyle ", b'<cellStyle odd="1" ')
    made = read("a.xlsx", make_archive(parts))
    assert "Tea" in made.text
    assert "styles are not understood" in made.notes[0].reason


@pytest.mark.parametrize("suffix", [".xlsx", ".docx"])
def test_the_strict_form_of_office_files_is_read(read, suffix):
    def be_strict(_name, data):
        for name in (b"spreadsheetml", b"wordprocessingml", b"officeDocument", b"drawingml"):
            data = data.replace(
                b"http://schemas.openxmlformats.org/%s/2006/" % name, b"http://purl.oclc.org/ooxml/%s/" % name
            )
        return data

    made = read(f"a{suffix}", rewrite(ARCHIVES[suffix](), be_strict))
    assert made.text == read(f"a{suffix}", ARCHIVES[suffix]()).text
    assert "Tea" in made.text


def test_damaged_styles_and_pictures_of_word_cost_no_text(read):
    parts = unpack(make_docx())
    parts["word/media/picture.png"] = b"a picture" * 10
    picture = read("a.docx", damage(make_archive(parts), "word/media/picture.png"))
    styles = read("a.docx", damage(make_archive(parts), "word/styles.xml"))
    parts["word/styles.xml"] = parts["word/styles.xml"].replace(b' w:type="paragraph"', b"", 1)
    odd = read("a.docx", make_archive(parts))
    assert all("A batch is a durable job." in each.text for each in (picture, styles, odd))
    assert (picture.text, picture.notes) == (read("a.docx", make_docx()).text, ())
    assert all(each.notes[0].is_loss for each in (styles, odd))


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        *((made, "") for made in ("PowerPoint Presentation", "Présentation PowerPoint", "Presentación de PowerPoint")),
        *((made, "") for made in ("Slide 1", "Diapositive 12", "Word Document", "Document1", "Normal.dot", "Untitled")),
        ("Microsoft Word - The plan.doc", "The plan.doc"),
        ("Presentation of results", "Presentation of results"),
        ("Document 12 of the treaty", "Document 12 of the treaty"),
    ],
)
def test_a_title_that_a_program_has_written_is_none(read, written, chosen):
    presentation = pptx.Presentation()
    presentation.core_properties.title = written
    presentation.slides.add_slide(presentation.slide_layouts[0]).shapes.title.text = "Welcome"
    assert read("a.pptx", saved(presentation)).title == chosen


@pytest.mark.parametrize("bad", [None, b"<p:sld", b""], ids=["missing", "cut off", "empty"])
def test_one_bad_slide_costs_one_slide_and_is_said(read, bad):
    parts = {}
    with zipfile.ZipFile(io.BytesIO(make_pptx())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["ppt/slides/slide1.xml"] = bad
    made = read("a.pptx", make_archive({name: data for name, data in parts.items() if data is not None}))
    assert "First point" not in made.text
    assert "All prices" in made.text
    assert made.page_names == ("slide 2",)
    assert [(note.place, note.is_loss) for note in made.notes] == [("slide 1", True)]


@pytest.mark.parametrize("bad", ["OPS/one.xhtml", "OPS/two .xhtml"])
def test_one_missing_chapter_costs_one_chapter_and_is_said(read, bad):
    with zipfile.ZipFile(io.BytesIO(make_epub())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != bad}
    made = read("a.epub", make_archive(parts))
    assert made.text.count("Text of") == 1
    assert [(note.place, note.is_loss) for note in made.notes] == [(bad, True)]


def test_a_protected_archive_is_named_as_protected(read):
    with pytest.raises(UnreadableDocument, match="protected"):
        read("a.epub", make_epub(**{"META-INF/rights.xml": "<rights/>"}))


def test_only_chapters_of_a_book_that_are_encrypted_are_left_out(read):
    def lock(*names):
        places = "".join(f'<e:CipherReference xmlns:e="urn:e" URI="{name}"/>' for name in names)
        return {"META-INF/encryption.xml": f"<encryption>{places}</encryption>"}

    assert not read("a.epub", make_epub(**lock("OPS/font.otf"))).notes
    made = read("a.epub", make_epub(**lock("OPS/font.otf", "OPS/two%20.xhtml")))
    assert made.text == "# One\n\nText of one."
    assert [(note.place, note.is_loss) for note in made.notes] == [("OPS/two .xhtml", True)]
    with pytest.raises(UnreadableDocument, match="DRM"):
        read("a.epub", make_epub(**lock("OPS/one.xhtml", "OPS/two%20.xhtml")))


@pytest.mark.parametrize("damaged", ["", "<encryption><Cipher", "\x00\x01", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_damaged_list_of_what_is_encrypted_costs_no_book_and_is_said(read, damaged):
    made = read("a.epub", make_epub(**{"META-INF/encryption.xml": damaged}))
    assert made.text == read("a.epub", make_epub()).text
    assert [(note.place, note.is_loss) for note in made.notes] == [("META-INF/encryption.xml", True)]
    locked = {"META-INF/encryption.xml": damaged, "OPS/two .xhtml": random.Random(1).randbytes(2_000)}
    made = read("a.epub", make_epub(**locked))
    assert made.text == "# One\n\nText of one."
    assert [(note.place, note.is_loss) for note in made.notes] == [(name, True) for name in locked]


def test_lists_of_opendocument_that_are_nested_too_deeply_are_left_out_and_said(tmp_path):
    depth = 5_000
    body = "<text:list><text:list-item>" * depth + "</text:list-item></text:list>" * depth
    (tmp_path / "a.odt").write_bytes(make_odt(body))
    (found,) = Sources([str(tmp_path)])
    assert isinstance(found, BadDocument)


def test_json_is_a_list_of_records_or_one_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text('[{"id": 1, "text": "One.", "lang": "en"}, {"text": "Two."}, 3]')
    (tmp_path / "b.json").write_text('{"title": "T", "body": "Three."}')
    (tmp_path / "c.json").write_text('{"name": "no text here"}')
    found = list(Sources(["."]))
    assert [each.text for each in found if not isinstance(each, BadDocument)] == ["One.", "Two.", "Three."]
    assert [(each.source, each.place) for each in found if isinstance(each, BadDocument)] == [
        ("a.json", "record 3"),
        ("c.json", ""),
    ]
    assert found[0].metadata == {"id": 1, "lang": "en"}


@pytest.mark.parametrize(("name", "make"), [("a.pptx", make_pptx), ("a.docx", make_docx)])
def test_a_damaged_title_costs_the_title(read, name, make):
    with zipfile.ZipFile(io.BytesIO(make())) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    whole = read(name, make())
    damaged = read(name, make_archive(parts | {"docProps/core.xml": b"<damaged"}))
    assert damaged.text == whole.text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("image::a/b.png[The parts of a server,300,200]", "The parts of a server"),
        ('image::b.png["Parts, and more", role="x"]', "Parts, and more"),
        ("image::b.png[width=50,alt=Parts]", "Parts"),
        ("image::b.png[]", ""),
        ("See image:b.png[the mark] here.", "See the mark here."),
        ('[quote, "Ann, of Ulm", A book]\n____\nSo it is.\n____', "Ann, of Ulm, A book:\n\nSo it is.\n"),
        ("[verse.x, Ann]\nSo it is.", "Ann:\nSo it is."),
        ("[quote]\nSo it is.", "\nSo it is."),
        (
            ":v: 2.1\n|===\n|Name |Version\n\n|Tea |{v}\n|===",
            "\n\n| Name | Version |\n| --- | --- |\n| Tea | 2.1 |\n",
        ),
        (":v: 2.1\n|===\n|Tea |{v}\n|===", "\n\nTea | 2.1\n"),
    ],
)
def test_pictures_sources_of_quotes_and_attributes_in_tables_of_asciidoc_are_read(read, written, shown):
    assert read("a.adoc", written).text == shown


def test_captions_of_org_are_read(read):
    written = (
        "#+CAPTION: Prices in [[http://a.b][euros]]\n#+NAME: x\n| Tea | 3 |\n\n#+caption[Short]: Longer\n[[./a.png]]"
    )
    made = read("a.org", written).text
    assert made == "Prices in euros\n\n| Tea | 3 |\n\nLonger\n./a.png"


def test_conditions_and_classes_of_restructuredtext_are_no_text(read):
    written = ".. only:: html and not latex\n\n   Shown.\n\n.. container:: wide\n\n   Also."
    assert read("a.rst", written).text.split() == ["Shown.", "Also."]


def multiply(data, part, pattern, times, **more):
    """Return an archive in a part of which what matches a pattern stands several times."""
    parts = unpack(data)
    found = re.search(pattern, parts[part], re.DOTALL)[0]
    return make_archive(parts | {part: parts[part].replace(found, found * times)} | more)


def test_a_slide_or_chapter_that_a_small_file_names_very_often_is_read_once(read):
    slides = multiply(make_pptx(), "ppt/presentation.xml", rb"<p:sldId [^>]*/>", 20_000)
    assert read("a.pptx", slides).text == read("a.pptx", make_pptx()).text
    chapters = multiply(make_epub(), "OPS/book.opf", rb'<itemref idref="a"/>', 20_000)
    assert read("a.epub", chapters).text == read("a.epub", make_epub()).text


def test_a_chart_that_a_slide_shows_very_often_is_read_once(read):
    name = "ppt/slides/slide1.xml"
    data = multiply(make_charted_slide(), name, rb"<p:graphicFrame>.*</p:graphicFrame>", 5_000)
    start = time.process_time()
    assert read("a.pptx", data).text == read("a.pptx", make_charted_slide()).text
    assert time.process_time() - start < 5


def test_a_part_of_a_spreadsheet_that_is_several_sheets_is_refused_and_a_shared_drawing_is_read_once(read):
    again = b'<sheet name="Again" sheetId="99" r:id="rId1"/>'
    parts = unpack(make_sheet_with_drawings())
    book = parts["xl/workbook.xml"]
    shared = make_archive(parts | {"xl/workbook.xml": book.replace(b"</sheets>", again * 1_000 + b"</sheets>")})
    with pytest.raises(UnreadableDocument, match=r"several of its sheets are its part xl/worksheets/sheet1\.xml"):
        read("a.xlsx", shared)
    relations = "xl/worksheets/_rels/sheet1.xml.rels"
    more = multiply(make_sheet_with_drawings(), relations, rb"<Relationship [^>]*drawing[^>]*/>", 20_000)
    assert read("a.xlsx", more).text == read("a.xlsx", make_sheet_with_drawings()).text


def test_a_long_text_that_cells_of_many_sheets_share_does_not_fill_the_memory(read, monkeypatch):
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet(), book.create_sheet()):
        sheet.append(["word" * 1_000])
    monkeypatch.setattr(sheets, "MAX_TEXT_BYTES", 10_000)
    with pytest.raises(UnreadableDocument, match="its sheets have more than 10,000 characters"):
        read("a.xlsx", saved(book))


@pytest.mark.parametrize("body", ["<a/>" * 4_000_000, '<a b=""/>' * 1_000_000])
def test_a_part_of_very_many_elements_is_refused_before_they_take_memory(read, body):
    parts = unpack(make_pptx())
    parts["ppt/slides/slide1.xml"] = f"<p:sld xmlns:p='p'>{body}</p:sld>"
    (note,) = read("a.pptx", make_archive(parts)).notes
    assert (note.reason, note.is_loss) == ("slide 1 is missing or damaged, and left out", True)
