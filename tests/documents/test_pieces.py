"""A long page is read in pieces, and that shows nowhere but in the memory that it takes."""

import subprocess
import sys

import docx
import pytest

from gemvec.documents import html_tree, word, word_pieces
from gemvec.documents.html import read_page
from gemvec.documents.text import UnreadableDocument
from gemvec.documents.word import read_docx
from office_files import saved

ROWS = "".join(f"<tr><td>{number}</td><td>cell <b>{number}</b></td></tr>" for number in range(6))
HIDDEN = "".join(f"<tr hidden><td>{number}</td><td>no</td></tr>" for number in range(12))
SPANNED = "<tr><td rowspan=2>both</td><td>x</td></tr><tr><td>y</td></tr><tr><td>a</td><td>b</td></tr>"
LISTS = "<ol start=7><li>one<li><p>two</p><p>more</p><ol><li>in</li><li>it</li></ol></li><li>three</li></ol>"
BODIES = [
    "<h1>Title</h1><p>A <b>bold</b> word.</p>text <i>between</i><p>B</p>\n<div>C<div>D</div></div>E<hr>F",
    f"<main><section><h2>Lists</h2>{LISTS}<ul><li>a</li>\n<li>b<ul><li>c</li><li>d</li></ul></li></ul></section></main>",
    f"<table><thead><tr><th>n</th><th>text</th></tr></thead><tbody>{ROWS}</tbody></table><p>After.</p>",
    f"<p>Before.</p><table><caption>Name</caption>{ROWS}{SPANNED}{ROWS}</table><table>{SPANNED}</table>",
    f"<table><tr><th>a</th><th>b</th></tr>{SPANNED * 3}</table><table role=presentation>{ROWS}</table>",
    f"<table><tr><th>n</th><th>text</th></tr>{ROWS}{HIDDEN}{ROWS}{HIDDEN}</table><p>After.</p>",
    f"<table><tr><td><h2>Layout</h2></td></tr>{ROWS}</table>",
    "<p>Before.</p><ul hidden><li>no</li><li>no</li><li>no</li></ul><h2>After</h2>",
    "<dl><dt>term</dt><dd>what</dd><dd>it is</dd><dt>a</dt><dt>b</dt><dd><p>both</p><p>x</p></dd></dl>",
    "<pre>\n<span class=k>def</span> <span class=n>f</span>():\n\n    <span hidden>no</span><b>x</b>\n</pre><p>a</p>",
    "<span><pre><span class=k>a</span> <span>b</pre></span><p>c</p></span></span><p>d</p>",
    "<article><header><h1>H</h1><p>by me</p></header><blockquote><p>q</p><p>r</p></blockquote><p>s</p></article>",
    "<nav><div>no</div><div>no</div></nav><div hidden><p>no</p><p>no</p></div><div><p>yes</p><p>and</p></div>",
    "<div role=banner><p>a</p><div>b</div></div><footer><p>c</p><p>d</p></footer><p>kept</p><p>too</p>",
    "<x-page><x-part><p>one</p><p>two</p></x-part>three<p>four</p></x-page><center><font><p>five</p>six</font></center>",
    "<form><fieldset><legend>Who</legend><p>a</p><p>b</p><label>c</label></fieldset></form><p><p></p>d<p>e",
    "one<!-- no --><p>two</p><!-- <p>no</p> --><p>three</p> <address>four</address>\n\n<p>five</p>",
]


@pytest.mark.parametrize("elements", [1, 3, 7])
@pytest.mark.parametrize("body", [*BODIES, "".join(BODIES)])
def test_the_pieces_of_a_page_have_the_text_of_the_whole(body, elements, monkeypatch):
    page = f"<!DOCTYPE html><html><head><title>T</title></head><body>{body}</body></html>"
    whole = read_page(page)
    monkeypatch.setattr(html_tree, "_PIECE_ELEMENTS", elements)
    assert read_page(page) == whole
    assert read_page(body).text == whole.text


def test_a_page_is_cut_between_paragraphs_items_and_rows(monkeypatch):
    monkeypatch.setattr(html_tree, "_PIECE_ELEMENTS", 20)
    rows, items, paragraphs = ROWS * 20, "<li>item</li>" * 100, "<p>text</p>" * 100
    page = f"<body><div><table>{rows}</table><ul>{items}</ul>{paragraphs}</div></body>"
    sizes = []
    html_tree.parse_page(page, 150, lambda piece, _: sizes.append(len(piece.find_all(True))))
    assert max(sizes) < 40


def test_a_part_with_too_many_elements_is_read_as_plain_text_and_said(monkeypatch):
    monkeypatch.setattr(html_tree, "_MAX_ELEMENTS", 50)
    monkeypatch.setattr(html_tree, "_PIECE_ELEMENTS", 20)
    page = read_page(f"<title>T</title><h1>A</h1><p>{'<b>word</b> ' * 60}</p><h2>B</h2>")
    assert page.text == f"A\n{'word ' * 59}word\nB"
    assert page.title == "T"
    assert [each.reason for each in page.notes] == [
        "it is too large to keep its headings and lists: one of its parts has too many elements"
    ]


@pytest.mark.parametrize("elements", [1, 30, 100])
def test_the_pieces_of_a_word_document_have_the_text_of_the_whole(elements, monkeypatch):
    document = docx.Document()
    for number in range(12):
        document.add_heading(f"Part {number}", level=1 + number % 3)
        document.add_paragraph(f"Some {number} words").add_run(" in bold").bold = True
        for style in ("List Number", "List Bullet", "List Number"):
            document.add_paragraph(f"An item {number}", style=style)
        table = document.add_table(rows=2, cols=2)
        for each in (*table.rows[0].cells, *table.rows[1].cells):
            each.text = f"cell {number}"
    data = saved(document)
    whole = read_docx(data)
    pieces = []
    monkeypatch.setattr(word_pieces, "_PIECE_ELEMENTS", elements)
    monkeypatch.setattr(word, "read_page", lambda page: pieces.append(page) or read_page(page))
    assert read_docx(data) == whole
    assert len(pieces) >= 4


def test_a_table_of_word_with_too_many_elements_is_named(monkeypatch):
    document = docx.Document()
    document.add_table(rows=20, cols=5)
    monkeypatch.setattr(word_pieces, "_PIECE_ELEMENTS", 10)
    monkeypatch.setattr(word_pieces, "_MAX_ELEMENTS", 100)
    with pytest.raises(UnreadableDocument, match="more than 100 elements, which would take much memory; split it"):
        read_docx(saved(document))


def test_a_page_takes_a_bounded_amount_of_memory():
    program = [
        "import resource, sys",
        "from gemvec.documents.html import read_page",
        "read_page('<p>a</p>')",
        "page = sys.stdin.buffer.read()",
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss",
        "text = read_page(page).text",
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(text))",
    ]
    parts = [
        "<section><h2>Part</h2><p>Some <a href='#'>words</a> and <code>code</code>.</p></section>" * 6_000,
        f"<table>{'<tr><td>1</td><td>two</td><td>three</td></tr>' * 6_000}</table>",
        f"<ul>{'<li><p>An <b>item</b></p></li>' * 8_000}</ul>",
        f"<pre>{'<span class=k>word</span> ' * 50_000}</pre>",
    ]
    page = f"<body><main>{''.join(parts)}</main></body>".encode()
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], input=page, capture_output=True, check=True)
    kibibytes, characters = map(int, done.stdout.split())
    assert characters > 600_000
    assert kibibytes < 70 * 1024  # as one tree, it is more than three times that
