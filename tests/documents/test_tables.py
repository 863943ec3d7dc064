"""Tables with cells over several columns or rows: every text is there, below its own header, in reading order."""

from pathlib import Path

import docx
import openpyxl
import pptx
import pytest

from gemvec.documents.readers import find_reader
from office_files import make_odt, saved

# Of every format: a header of two rows, a cell over two rows, one over two columns.
TABLE = [
    "| Name | Sizes low | Sizes high |",
    "| --- | --- | --- |",
    "| Tea | 1 | 2 |",
    "| Coffee | 3 | 4 |",
    "| Coffee | 5 | 6 |",
    "| Both | all sizes |",
]
ROWS = [
    ["Name", "Sizes", ""],
    ["", "low", "high"],
    ["Tea", 1, 2],
    ["Coffee", 3, 4],
    ["", 5, 6],
    ["Both", "all sizes", ""],
]
MERGED = [((0, 0), (1, 0)), ((0, 1), (0, 2)), ((3, 0), (4, 0)), ((5, 1), (5, 2))]


def read(name, data):
    return find_reader(Path(name)).read(data if isinstance(data, bytes) else data.encode()).text


def fill(table):
    """Fill a table of python-docx or python-pptx, and merge its cells."""
    for y, row in enumerate(ROWS):
        for x, value in enumerate(row):
            table.cell(y, x).text = str(value)
    for (top, left), (bottom, right) in MERGED:
        table.cell(top, left).merge(table.cell(bottom, right))
        table.cell(top, left).text = str(ROWS[top][left])


def make_docx():
    document = docx.Document()
    fill(document.add_table(rows=6, cols=3))
    return saved(document)


def make_pptx():
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    fill(slide.shapes.add_table(6, 3, 0, 0, 100, 100).table)
    return saved(presentation)


def make_xlsx(above=()):
    book = openpyxl.Workbook()
    for row in [*above, *ROWS]:
        book.active.append([value if value != "" else None for value in row])
    for (top, left), (bottom, right) in MERGED:
        shift = len(above) + 1
        book.active.merge_cells(
            start_row=top + shift, end_row=bottom + shift, start_column=left + 1, end_column=right + 1
        )
    if above:
        book.active.merge_cells("A1:C1")
    return saved(book)


def make_odt_table():
    covered = "<table:covered-table-cell/>"

    def cell(text, columns=1, rows=1):
        spans = f'table:number-columns-spanned="{columns}" table:number-rows-spanned="{rows}"'
        return f"<table:table-cell {spans}><text:p>{text}</text:p></table:table-cell>" + covered * (columns - 1)

    rows = [
        cell("Name", rows=2) + cell("Sizes", 2),
        covered + cell("low") + cell("high"),
        cell("Tea") + cell("1") + cell("2"),
        cell("Coffee", rows=2) + cell("3") + cell("4"),
        covered + cell("5") + cell("6"),
        cell("Both") + cell("all sizes", 2),
    ]
    return make_odt(
        "<table:table>" + "".join(f"<table:table-row>{row}</table:table-row>" for row in rows) + "</table:table>"
    )


HTML = """<table><tr><th rowspan=2>Name<th colspan=2>Sizes<tr><th>low<th>high<tr><td>Tea<td>1<td>2
<tr><td rowspan=2>Coffee<td>3<td>4<tr><td>5<td>6<tr><td>Both<td colspan=2>all sizes</table>"""
GRID = """
+--------+-----------+
| Name   | Sizes     |
|        +-----+-----+
|        | low | high|
+========+=====+=====+
| Tea    | 1   | 2   |
+--------+-----+-----+
| Coffee | 3   | 4   |
|        +-----+-----+
|        | 5   | 6   |
+--------+-----+-----+
| Both   | all sizes |
+--------+-----------+
"""
FILES = {
    "a.html": HTML,
    "a.md": f"# Title\n\nText.\n\n{HTML}\n\nMore.\n",
    "a.rst": GRID,
    "a.docx": make_docx,
    "a.pptx": make_pptx,
    "a.xlsx": make_xlsx,
    "a.odt": make_odt_table,
}


@pytest.mark.parametrize("name", FILES)
def test_merged_cells_are_written_out_below_their_headers(name):
    data = FILES[name]
    text = read(name, data() if callable(data) else data)
    assert "\n".join(TABLE) in text.replace("| Both | all sizes |  |", "| Both | all sizes |")


def make_tall_xlsx(first, height):
    """Return a sheet of which a cell goes over all rows, beside names of one and of two columns."""
    book = openpyxl.Workbook()
    for row in (first, *[["", f"{number}a", f"{number}b", f"{number}c"] for number in range(1, height)], "wxyz"):
        book.active.append(list(row))
    book.active.merge_cells(f"A1:A{height}")
    book.active.merge_cells("C1:D1")
    return saved(book)


def make_tall_page(first, height):
    rows = "".join(f"<tr><td>{number}a<td>{number}b<td>{number}c" for number in range(1, height))
    return f"<table><tr><td rowspan={height}>{first[0]}<td>{first[1]}<td colspan=2>{first[2]}{rows}<tr><td>w</table>"


def make_tall_odt(first, height):
    tall = f'<table:table-cell table:number-rows-spanned="{height}"><text:p>{first[0]}</text:p></table:table-cell>'
    rows = [
        f"{tall}{write_cell(first[1])}{write_cell(first[2], 2)}",
        *("".join(write_cell(f"{number}{letter}") for letter in "abc") for number in range(1, height)),
        write_cell("w"),
    ]
    return make_odt(
        f"<table:table>{''.join(f'<table:table-row>{row}</table:table-row>' for row in rows)}</table:table>"
    )


def write_cell(text, columns=1):
    return f'<table:table-cell table:number-columns-spanned="{columns}"><text:p>{text}</text:p></table:table-cell>'


TALL = {"a.xlsx": make_tall_xlsx, "a.html": make_tall_page, "a.odt": make_tall_odt}


@pytest.mark.parametrize("height", [3, 15])
@pytest.mark.parametrize("name", TALL)
def test_a_cell_over_many_rows_does_not_make_a_header_of_the_data_beside_it(name, height):
    text = read(name, TALL[name](["Part", "Whole", "Area"], height))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0] == "| Part | Whole | Area | Area |"
    assert table[2 : height + 1] == [f"| Part | {number}a | {number}b | {number}c |" for number in range(1, height)]


@pytest.mark.parametrize("name", TALL)
def test_a_header_has_no_more_than_five_rows(name):
    text = read(name, TALL[name](["Part", "", "Area"], 6))
    assert "| Part | 1a | 1b | 1c |" in text
    assert "| Part | 1a 2a 3a 4a | Area 1b 2b 3b 4b | Area 1c 2c 3c 4c |" in read(
        name, TALL[name](["Part", "", "Area"], 5)
    )


def test_a_long_text_over_several_rows_is_there_once():
    long = "A long remark that is about all of these rows, and is longer than what a row would be called. " * 3
    rows = f"<tr><th>Key<th>Remark<tr><td>1<td rowspan=3>{long}<tr><td>2<tr><td>3"
    assert read("a.html", f"<table>{rows}</table>").count("A long remark") == 3


def test_the_title_of_a_table_is_above_it_and_not_its_header():
    assert "Prices of 2024\n\n| Name | Sizes low | Sizes high |\n" in read("a.xlsx", make_xlsx([["Prices of 2024"]]))
    page = "<table><tr><td colspan=2>Prices<tr><td>Tea<td>1</table>"
    assert read("a.html", page) == "Prices\n\n| Tea | 1 |\n| --- | --- |"


@pytest.mark.parametrize(
    "above", ["<caption>Above</caption>", "<colgroup><col><col></colgroup>", "<colgroup><col><col>"]
)
def test_a_table_with_a_caption_or_groups_of_columns_has_a_header(above):
    page = f"<p>Above<table>{above}<tr><th>A<th>B<tr><td>1<td>2</table>"
    text = read("a.html", page)
    assert text.endswith("\n\n| A | B |\n| --- | --- |\n| 1 | 2 |")
    assert text.count("Above") == 1 + ("Above" in above)


def test_a_table_that_lays_out_a_page_is_read_as_its_blocks():
    page = "<table><tr><td><h1>Title</h1><p>One.</p><td><table><tr><th>A<th>B<tr><td>1<td>2</table></table>"
    assert read("a.html", page) == "# Title\n\nOne.\n\n| A | B |\n| --- | --- |\n| 1 | 2 |"


def test_an_asciidoc_table_may_have_cells_over_several_others():
    table = (
        '[cols="1,1,1",options="header"]\n|===\n|Name |Low |High\n\n2+|Tea and milk |5\n.2+|Coffee |1 |2\n|3 |4\n'
        "3*|same\n2.2+^.^s|Block |6\n|7\n|===\n"
    )
    assert (
        "| Name | Low | High |\n| --- | --- | --- |\n| Tea and milk |  | 5 |\n| Coffee | 1 | 2 |\n| Coffee | 3 | 4 |\n"
        "| same | same | same |\n| Block |  | 6 |\n| Block |  | 7 |\n"
    ) in read("a.adoc", table)
    assert "Tea and milk" in read("a.adoc", table.replace("|7\n", ""))


@pytest.mark.parametrize("cell", ["0*|a", "0+|a", f"{'9' * 5_000}+|a", f"{'9' * 5_000}*|a", ".2+|a .2+|b"])
def test_an_asciidoc_table_with_odd_numbers_loses_no_text(cell):
    text = read("a.adoc", f"[%header,cols=2*]\n|===\n{cell}\n|c |d\n|===\n\nBelow.\n")
    assert {"a", "c", "d", "Below."} <= {*text.replace("|", " ").split()}


def test_asciidoc_cells_over_whole_rows_make_no_rows_without_cells():
    table = "[%header]\n|===\n|A\n\n" + ".1000+|tall\n" * 50 + "|===\n"
    assert read("a.adoc", table).count("tall") == 50


def test_a_merged_cell_of_a_sheet_may_go_over_empty_rows():
    book = openpyxl.Workbook()
    for row in (["Group", "Name"], ["A", "one"], [], [None, "two"], ["B", "three"]):
        book.active.append(row)
    book.active.merge_cells("A2:A4")
    del book.active._cells[3, 1]  # as other programs write it: a row without cells is not there
    table = read("a.xlsx", saved(book))
    assert "| Group | Name |\n| --- | --- |\n| A | one |\n| A |\n| A | two |\n| B | three |" in table


@pytest.mark.parametrize("name", ["a.html", "a.adoc", "a.xlsx"])
def test_a_cell_that_says_it_goes_over_everything_costs_little(name):
    book = openpyxl.Workbook()
    for row in range(1, 500, 2):
        book.active.cell(row, 1).value = "wide"
        book.active.cell(row, 17).value = "end"
        book.active.merge_cells(f"A{row}:P{row + 1}")
    data = {
        "a.html": "<table>" + '<tr><td rowspan="65534" colspan="1000">wide<td>end' * 1_000 + "</table>",
        "a.adoc": "[%header,cols=2*]\n|===\n|A |B\n\n" + "900.900+|wide\n|end\n" * 500 + "|===\n",
        "a.xlsx": saved(book),
    }[name]
    text = read(name, data)
    assert text.count("wide") >= 250
    assert len(text) < 1_000_000


def test_a_table_of_one_column_without_a_header_is_a_frame_around_text():
    page = "<table><tbody><tr><td><p>Dear Ada,</p><p>it is sent.</p></td></tr><tr><td>Bye</td></tr></tbody></table>"
    assert read("a.html", page) == "Dear Ada,\n\nit is sent.\n\nBye"
    assert read("a.html", "<table><tr><th>Host</th></tr><tr><td>p1</td></tr></table>").startswith("| Host |")


def test_lines_above_the_table_of_a_sheet_are_not_its_header():
    book = openpyxl.Workbook()
    for row in (["Report of 2024"], [None, "made on Monday"], [], ["Name", "Price"], ["Tea", 3]):
        book.active.append(row)
    table = "Report of 2024\n\nmade on Monday\n\n| Name | Price |\n| --- | --- |\n| Tea | 3 |"
    assert table in read("a.xlsx", saved(book))
    book.active.merge_cells("D8:E9")
    assert table in read("a.xlsx", saved(book))
    names = openpyxl.Workbook()
    for name in ("Ada", "Grace"):
        names.active.append([name])
    assert "| Ada |\n| --- |\n| Grace |" in read("a.xlsx", saved(names))
