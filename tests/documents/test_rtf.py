"""Rich Text Format: what a reader sees is read, in its structure, in any encoding; harmful files cost nothing."""

import time

import pytest

from gemvec.documents import rtf_blocks
from gemvec.documents.readers import find_reader
from gemvec.documents.rtf import read_rtf
from gemvec.documents.text import UnreadableDocument

STYLES = (
    rb"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 Heading 2;}{\s3\outlinelevel2 Chapter;}{\s9 Title;}}"
)


def read(written, start=rb"{\rtf1\ansi\ansicpg1252\deff0"):
    data = written.encode() if isinstance(written, str) else written
    return read_rtf(start + data + b"}")


def reasons(made):
    return [note.reason for note in made.notes]


def test_headings_lists_tables_and_notes_keep_their_structure(tmp_path):
    written = (
        rb"{\rtf1\ansi\ansicpg1252" + STYLES + rb"{\info{\title The handbook}{\author Ann}}"
        rb"{\header Repeated}\pard\s9 Handbook\par\pard\s1 One {\b bold}\par\pard\s0 Text{\super\chftn}"
        rb"{\footnote\pard\plain\chftn  A note.\par More.} goes on.\line Next line.\par"
        rb"{\listtext\pard\plain 1.\tab}\ls1 first\par{\pntext\f3\'B7\tab}\ilvl1 second\par\pard\s2 Two\par"
        rb"\pard\s3 Three\par\trowd\trhdr\cellx1\cellx2\pard\intbl Name\cell Price\cell\row"
        rb"\trowd\cellx1\cellx2\pard\intbl Tea\par green\cell 3\cell\row\pard After\par}"
    )
    path = tmp_path / "a.rtf"
    made = find_reader(path).parse(written)
    assert (made.title, made.notes) == ("The handbook", ())
    assert made.text.split("\n\n") == [
        *("# Handbook", "# One bold", "Text[1] goes on.\nNext line.", "1. first\n  - second", "## Two", "### Three"),
        *("| Name | Price |\n| --- | --- |\n| Tea green | 3 |", "After", "[1] A note.", "More."),
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (rb"\uc1 Gr\'fc\u223?e", "Grüße"),
        (rb"{\uc2\u30000\'a1\'a1 x}\u-10179?\u-8694?", "田 x😊"),
        (rb"{\uc0\u8364}\emdash\~\ldblquote a\rdblquote\_b\-c", "€— “a”-bc"),
        (rb"{\fonttbl{\f1\fcharset204 Arial;}{\f2\fcharset128 MS;}}{\f1\'cf\'f0}{\f2\'93\'fa\'96\{}", "Пр日本"),
        (rb"{ \fonttbl {\f1\fcharset204 Arial;} }{\f1\'cf}", "П"),
        (rb"a\{b\}\\c\par", "a{b}\\c"),
        (rb"seen{\v hidden}{\deleted gone}{\v h\plain  seen}", "seen seen"),
        (rb'{\field{\*\fldinst HYPERLINK "x"}{\fldrslt a link}}', "a link"),
        (rb"{\*\bkmkstart a}{\pict 0011}{\*\unknown x}{\object{\*\objdata 00}{\result shown}}", "shown"),
        (rb"{\*\shppict{\pict\bin3 }}}}}a", "a"),
        (
            rb"before{\shp{\*\shpinst{\sp{\sn a}{\sv b}}{\shptxt in a box\par}}{\shprslt again}}after",
            "in a box\n\nbeforeafter",
        ),
        (rb"{\mmath{\*\moMath{\mf{\mfPr{\mctrlPr x}}{\mnum a}{\mden b}}}}", "ab"),
        (
            rb"\pard\intbl a\cell{\pard\intbl\itap2 b\nestcell{\*\nesttableprops\trowd\nestrow}}\pard\intbl\cell\row",
            "| a | b |\n| --- | --- |",
        ),
    ],
)
def test_characters_and_marks_are_read_as_a_reader_sees_them(written, shown):
    made = read(written)
    assert (made.text, made.notes) == (shown, ())


def test_cells_over_several_columns_and_rows_keep_those_beside_them_in_their_columns():
    written = (
        rb"\trowd\cellx1\cellx2\cellx3\intbl Town\cell Year\cell People\cell\row"
        rb"\trowd\clvmgf\cellx1\cellx2\cellx3\intbl Ulm\cell 2020\cell 1\cell\row"
        rb"\trowd\clvmrg\cellx1\cellx2\cellx3\intbl\cell 2021\cell 2\cell\row"
        rb"\trowd\cellx1\clmgf\cellx2\clmrg\cellx3\intbl Bonn\cell none\cell\cell\row"
    )
    assert read(written).text.split("\n")[2:] == ["| Ulm | 2020 | 1 |", "| Ulm | 2021 | 2 |", "| Bonn | none |"]


def test_a_page_that_a_mail_program_has_put_into_rtf_is_read_as_that_page():
    written = (
        rb"\fromhtml1{\*\htmltag64}\uc1\pard\plain{\*\htmltag19 <html><body>}{\*\htmltag64 <h1>}\htmlrtf {\b \htmlrtf0 "
        rb"One{\*\htmltag72 </h1>}\htmlrtf\par}\htmlrtf0{\*\htmltag <p>\par}A \'fc{\*\htmltag &lt;}\htmlrtf <\htmlrtf0"
        rb"b{\*\mhtmltag1 x}{\*\htmltag <br>}\htmlrtf\line\htmlrtf0 c\{\}{\*\htmltag </p>}"
    )
    assert read(written).text == "# One\n\nA ü<b\nc{}"


@pytest.mark.parametrize(
    ("data", "text", "reason"),
    [
        (rb"{\rtf1 One\par{\b Two", "One\n\nTwo", "its end is missing"),
        (rb"{\rtf1 One}{\rtf1 Two}", "One", "what is after its end is left out"),
        (rb"{\rtf1\ansicpg932 One\'81}", "One�", "it has bytes that are no characters of its encoding, replaced by �"),
        (rb"{\rtf1 One}" + b"\0\r\n\x1a", "One", ""),
    ],
)
def test_damage_costs_itself_and_is_said(data, text, reason):
    made = read_rtf(data)
    assert (made.text, reasons(made)) == (text, [reason] if reason else [])


@pytest.mark.parametrize("data", [b"", b"text", b"PK\3\4", rb"\rtf1 x"])
def test_what_is_no_rtf_is_said(data):
    with pytest.raises(UnreadableDocument, match="it is not RTF"):
        read_rtf(data)


def test_groups_and_cells_without_end_are_refused(monkeypatch):
    with pytest.raises(UnreadableDocument, match="more than 10,000 of its groups are in each other"):
        read(b"{" * 20_000)
    monkeypatch.setattr(rtf_blocks, "_MAX_CELLS", 10)
    with pytest.raises(UnreadableDocument, match="more than 10 cells"):
        read(rb"\cell" * 11)


@pytest.mark.parametrize(
    "mark",
    [
        *(b"{}", rb"\par ", rb"x\par ", rb"\u9999?", rb"\trowd\cellx1", rb"{\footnote x}", rb"\'e4", b"a ", b"\n"),
        *(rb"{\shptxt x}", rb"\bin1 x", rb"\fromhtml1 x\par", rb"\clvmrg\cellx1", rb"{\listtext 1}x\par"),
        *(rb"{\*\pict 0}", b"\\"),
    ],
)
def test_marks_without_an_end_take_linear_time(mark):
    start = time.process_time()
    read(mark * (300_000 // len(mark)))
    assert time.process_time() - start < 5
