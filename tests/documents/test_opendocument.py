"""Texts, spreadsheets and presentations of LibreOffice, as archives and as flat files, and those that mean harm."""

import subprocess
import sys
import time

import pytest

from gemvec.documents import content, opendocument
from gemvec.documents.readers import find_reader
from gemvec.documents.text import UnreadableDocument
from office_files import make_archive, make_odt, write_opendocument


@pytest.fixture
def read(tmp_path):
    """Return what the reader of a file's suffix makes of some bytes."""

    def read_as(name, data):
        return find_reader(tmp_path / name).parse(data if isinstance(data, bytes) else data.encode())

    return read_as


def make_ods(body, styles="", **more):
    return make_archive({"content.xml": write_opendocument("spreadsheet", body, styles)} | more)


def make_odp(body, styles="", **more):
    return make_archive({"content.xml": write_opendocument("presentation", body, styles)} | more)


def cell(text, attributes=""):
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def row(*cells, attributes=""):
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def sheet(name, *rows, attributes=""):
    return f'<table:table table:name="{name}" {attributes}>{"".join(rows)}</table:table>'


EMPTY_END = row(
    '<table:table-cell table:number-columns-repeated="16384"/>', attributes='table:number-rows-repeated="1048576"'
)


def test_a_spreadsheet_is_read_sheet_by_sheet_with_values_as_they_are_shown(read):
    prices = sheet(
        "Prices",
        row(cell("Name"), cell("Share"), cell("Since")),
        row(
            cell("Tea | green"),
            cell("25 %", 'office:value-type="percentage" office:value="0.25"'),
            cell("1 May", 'office:value-type="date" office:date-value="2024-05-01"'),
            '<table:table-cell table:number-columns-repeated="16381"/>',
        ),
        row(cell("Coffee", 'table:number-columns-repeated="2"'), attributes='table:number-rows-repeated="2"'),
        row('<table:table-cell office:value-type="float" office:value="7"/>'),
        EMPTY_END,
    )
    made = read("a.ods", make_ods(prices + sheet("Empty", EMPTY_END) + sheet("More", row(cell("Only"), cell("this")))))
    assert made.text == (
        "## Prices\n\n| Name | Share | Since |\n| --- | --- | --- |\n| Tea \\| green | 25 % | 2024-05-01 |\n"
        "| Coffee | Coffee |\n| Coffee | Coffee |\n| 7 |\n\n## More\n\n| Only | this |\n| --- | --- |"
    )
    assert made.page_names == ("sheet Prices", "sheet More")
    assert made.notes == ()


def test_comments_boxes_and_charts_stand_below_the_cells_of_their_sheet_and_hidden_sheets_are_said(read):
    styles = (
        '<office:automatic-styles><style:style style:name="ta2" style:family="table"><style:table-properties '
        'table:display="false"/></style:style></office:automatic-styles>'
    )
    comment = (
        "<office:annotation><dc:creator>A</dc:creator><text:p>Too</text:p><text:p>dear.</text:p></office:annotation>"
    )
    chart = '<draw:frame><draw:object xlink:href="./Object 1"/></draw:frame>'
    box = "<draw:custom-shape><text:p>In a box.</text:p></draw:custom-shape>"
    body = sheet(
        "Data",
        f"<table:shapes>{box}</table:shapes>",
        row('<table:table-cell table:number-columns-repeated="27"/>', attributes='table:number-rows-repeated="4"'),
        row(
            cell("x"),
            '<table:covered-table-cell table:number-columns-repeated="26"/>',
            f"<table:table-cell>{comment}<text:p>7</text:p>{chart}</table:table-cell>",
        ),
    )
    hidden = sheet("Lists", row(cell("kept")), attributes='table:style-name="ta2"')
    title = "<chart:chart><chart:title><text:p>A year</text:p></chart:title></chart:chart>"
    data = make_ods(body + hidden, styles, **{"Object 1/content.xml": write_opendocument("chart", title)})
    made = read("a.ods", data)
    assert made.text.split("\n\n") == [
        *("## Data", "| x | 7 |\n| --- | --- |", "In a box.", "Comment on AB5: Too dear.", "A year"),
        *("## Lists", "| kept |\n| --- |"),
    ]
    assert [note.reason for note in made.notes] == ["sheets of it that are hidden are read, too: Lists"]


def test_cells_over_several_columns_and_rows_keep_those_beside_them_in_their_columns(read):
    body = sheet(
        "S",
        row(cell("Town"), cell("Year"), cell("People")),
        row(cell("Ulm", 'table:number-rows-spanned="3"'), cell("2020"), cell("1")),
        row("<table:covered-table-cell/>", cell("2021"), cell("2")),
        row("<table:covered-table-cell/>"),
        row(cell("Bonn"), cell("2022"), cell("3")),
    )
    assert read("a.ods", make_ods(body)).text.split("\n")[4:] == [
        *("| Ulm | 2020 | 1 |", "| Ulm | 2021 | 2 |", "| Ulm |", "| Bonn | 2022 | 3 |")
    ]


def test_a_presentation_is_read_slide_by_slide_with_lists_tables_and_notes(read):
    styles = (
        '<office:automatic-styles><style:style style:name="dp2" style:family="drawing-page">'
        '<style:drawing-page-properties presentation:visibility="hidden"/></style:style></office:automatic-styles>'
    )
    title = '<draw:frame presentation:class="title"><draw:text-box><text:p>Prices</text:p></draw:text-box></draw:frame>'
    inner = "<text:list><text:list-item><text:p>green</text:p></text:list-item></text:list>"
    points = (
        '<draw:frame presentation:class="outline"><draw:text-box><text:list><text:list-item><text:p>Tea</text:p>'
        f"{inner}</text:list-item></text:list></draw:text-box></draw:frame>"
    )
    rows = row(cell("Name"), cell("Price")) + row(cell("Tea"), cell("3"))
    table = f"<draw:frame><table:table>{rows}</table:table></draw:frame>"
    group = "<draw:g><draw:custom-shape><text:p>In a group</text:p></draw:custom-shape></draw:g>"
    number = (
        '<draw:frame presentation:class="page-number"><draw:text-box><text:p>1</text:p></draw:text-box></draw:frame>'
    )
    empty = '<draw:frame presentation:class="subtitle" presentation:placeholder="true"><draw:text-box/></draw:frame>'
    spoken = (
        '<draw:frame presentation:class="notes"><draw:text-box><text:p>Say it.</text:p></draw:text-box></draw:frame>'
    )
    notes = f'<presentation:notes><draw:page-thumbnail presentation:class="page"/>{spoken}</presentation:notes>'
    first = f'<draw:page draw:name="a">{notes}{points}{title}{table}{group}{number}{empty}</draw:page>'
    second = f'<draw:page draw:style-name="dp2">{title.replace("Prices", "Hidden")}</draw:page>'
    made = read("a.odp", make_odp(first + second, styles))
    assert made.text == (
        "## Prices\n\n- Tea\n  - green\n\n| Name | Price |\n| --- | --- |\n| Tea | 3 |\n\nIn a group\n\n"
        "Say it.\n\n## Hidden"
    )
    assert made.page_names == ("slide 1", "slide 2")
    assert [note.reason for note in made.notes] == ["slides of it that are hidden are read, too: 2"]


@pytest.mark.parametrize(
    ("kind", "suffix", "body", "text"),
    [
        ("text", "fodt", "<text:h>One</text:h><text:p>Two</text:p>", "# One\n\nTwo"),
        ("spreadsheet", "fods", sheet("S", row(cell("One"))), "## S\n\n| One |\n| --- |"),
        (
            "presentation",
            "fodp",
            "<draw:page><draw:custom-shape><text:p>One</text:p></draw:custom-shape></draw:page>",
            "One",
        ),
    ],
)
def test_a_flat_file_is_read_as_an_archive_is(read, kind, suffix, body, text):
    before = (
        "<office:meta><dc:title>The title</dc:title></office:meta><office:master-styles><style:master-page>"
        "<text:p>A footer</text:p></style:master-page></office:master-styles>"
    )
    data = '<?xml version="1.0" encoding="UTF-8"?>\n' + write_opendocument(kind, body, before, root="document")
    made = read(f"a.{suffix}", data)
    assert (made.text, made.title) == (text, "The title")
    assert read(f"a.{suffix[1:]}", data.replace("UTF-8", "UTF-16").encode("utf-16")).text == text


@pytest.mark.parametrize("suffix", ["odt", "ods", "odp", "fodt", "fods", "fodp"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no", "it is not an OpenDocument"),
        (b"", "it is not an OpenDocument"),
        (b"<a", "is not XML"),
        (b"<html/>", "it has no text part"),
        (make_archive({"a.txt": b""}), "content.xml is missing or damaged"),
        (make_archive({"content.xml": b"", "META-INF/manifest.xml": b"<a><encryption-data/></a>"}), "by a password"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "declares entities"),
    ],
)
def test_what_is_no_opendocument_is_named_as_what_it_is(read, suffix, data, reason):
    with pytest.raises(UnreadableDocument, match=reason):
        read(f"a.{suffix}", data)


def test_a_damaged_opendocument_is_read_up_to_the_damage_and_that_is_said(read):
    data = write_opendocument("spreadsheet", sheet("S", row(cell("One")), row(cell("Two")))).encode()
    made = read("a.ods", make_archive({"content.xml": data[: data.index(b"Two")]}))
    assert made.text == "## S\n\n| One |\n| --- |"
    assert [(note.reason, note.is_loss) for note in made.notes] == [
        ("it is damaged; what is after the damage is left out", True)
    ]


def test_what_is_repeated_very_often_is_read_less_often_and_that_is_said(read, monkeypatch):
    often = 'table:number-{}-repeated="999999999"'
    body = sheet("S", row(cell("x", often.format("columns")), attributes=often.format("rows")))
    made = read("a.ods", make_ods(body))
    assert made.text.count("x") <= 1_000_000
    assert [note.reason for note in made.notes] == [
        "its cells after the first 1,000,000 are left out",
        "a cell that is repeated 999,999,999 times is read 1,000 times on its sheet S",
        "a row that is repeated 999,999,999 times is read 1,000 times on its sheet S",
    ]


ROW = row(cell("word" * 10, 'table:number-columns-repeated="100"'))  # 4,000 characters
CHART = '<draw:page><draw:frame><draw:object xlink:href="./Object 1"/></draw:frame></draw:page>'


@pytest.mark.parametrize(
    ("suffix", "kind", "body"),
    [
        ("ods", "spreadsheet", sheet("S", ROW * 3)),
        ("ods", "spreadsheet", sheet("S", ROW) * 3),
        ("odt", "text", sheet("S", ROW * 3)),
        ("odt", "text", sheet("S", ROW) * 3),
        ("odp", "presentation", f"<draw:page><draw:frame>{sheet('S', ROW)}</draw:frame></draw:page>" * 3),
    ],
)
def test_texts_that_a_small_file_repeats_do_not_fill_the_memory(read, monkeypatch, suffix, kind, body):
    monkeypatch.setattr(content, "MAX_TEXT_BYTES", 10_000)
    with pytest.raises(UnreadableDocument, match="more than 10,000 characters"):
        read(f"a.{suffix}", make_archive({"content.xml": write_opendocument(kind, body)}))


def test_a_chart_that_many_frames_show_is_read_once(read):
    chart = f"<chart:chart><chart:title><text:p>A year</text:p></chart:title>{'<a/>' * 100_000}</chart:chart>"
    start = time.process_time()
    made = read("a.odp", make_odp(CHART * 100, **{"Object 1/content.xml": write_opendocument("chart", chart)}))
    assert made.text.strip() == "A year"
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("suffix", "kind", "body"),
    [
        ("odt", "text", "<text:list>{}</text:list>"),
        ("ods", "spreadsheet", "<table:table><table:table-row>{}</table:table-row></table:table>"),
        ("odp", "presentation", "<draw:page>{}</draw:page>"),
    ],
)
def test_one_list_row_or_slide_with_too_many_elements_is_named(read, monkeypatch, suffix, kind, body):
    monkeypatch.setattr(opendocument, "_MAX_ELEMENTS", 100)
    data = make_archive({"content.xml": write_opendocument(kind, body.format("<a/>" * 100))})
    with pytest.raises(UnreadableDocument, match="has more than 100 elements"):
        read(f"a.{suffix}", data)


@pytest.mark.parametrize("suffix", ["odt", "ods", "odp"])
def test_very_many_elements_in_a_small_file_do_not_fill_the_memory(tmp_path, suffix):
    kind = {"odt": "text", "ods": "spreadsheet", "odp": "presentation"}[suffix]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(make_archive({"content.xml": write_opendocument(kind, "<a/>" * 1_000_000)}))
    script = (
        "import resource, sys\nfrom pathlib import Path\nfrom gemvec.documents.readers import find_reader\n"
        "path = Path(sys.argv[1])\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    find_reader(path).parse(path.open('rb'))\nexcept Exception:\n    pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    made = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True, text=True)
    assert int(made.stdout) * 1024 < 60 * 2**20


SPANS = f"<text:p>{'<text:span>' * 2_000}x{'</text:span>' * 2_000}</text:p>"


@pytest.mark.parametrize(
    ("suffix", "kind", "body"),
    [
        ("odt", "text", SPANS),
        ("odt", "text", "<text:list><text:list-item>" * 1_000 + "</text:list-item></text:list>" * 1_000),
        ("ods", "spreadsheet", sheet("S", row(cell(SPANS)))),
        ("odp", "presentation", f"<draw:page>{'<draw:g>' * 1_000}{'</draw:g>' * 1_000}</draw:page>"),
    ],
)
def test_what_is_nested_too_deeply_is_named(read, suffix, kind, body):
    with pytest.raises(UnreadableDocument, match="nested too deeply: more than 500 of its elements are in each other"):
        read(f"a.{suffix}", make_archive({"content.xml": write_opendocument(kind, body)}))


def test_a_chart_that_is_nested_too_deeply_costs_the_chart_and_is_said(read):
    chart = write_opendocument("chart", f"<chart:chart><chart:title>{SPANS}</chart:title></chart:chart>")
    box = "<draw:frame><draw:text-box><text:p>Text.</text:p></draw:text-box></draw:frame></draw:page>"
    made = read("a.odp", make_odp(CHART.replace("</draw:page>", box), **{"Object 1/content.xml": chart}))
    assert made.text == "Text."
    assert [note.reason for note in made.notes] == ["a chart is nested too deeply and left out"]


def test_a_table_of_a_text_with_damaged_numbers_is_read(read):
    body = '<text:h text:outline-level="x">One</text:h><text:h text:outline-level="99">Two</text:h>'
    assert read("a.odt", make_odt(body)).text == "# One\n\n###### Two"


def test_a_damaged_chart_of_an_opendocument_costs_the_chart_and_is_said(read):
    page = '<draw:page><draw:frame><draw:object xlink:href="./Object 1"/></draw:frame><draw:g/></draw:page>'
    made = read("a.odp", make_odp(page, **{"Object 1/content.xml": "<broken"}))
    assert [note.reason for note in made.notes] == ["a chart (Object 1/content.xml) is damaged and left out"]
