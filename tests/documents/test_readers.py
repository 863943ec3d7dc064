import io
import time
from collections import Counter

import bs4
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

from gemvec.documents import content
from gemvec.documents.asciidoc import asciidoc_to_markdown
from gemvec.documents.blocks import find_blocks
from gemvec.documents.html import read_page
from gemvec.documents.pdf import drop_running_lines, join_hyphenated
from gemvec.documents.readers import decode, find_reader, read_html, read_markdown, read_pdf, read_rst
from gemvec.documents.rst import rst_to_markdown
from gemvec.documents.text import UnreadableDocument, fold


def make_pdf(*pages, title="A title"):
    """Write a PDF of one line of text a page."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (5 + 2 * number) for number in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (%s) >>" % title.encode(),
    ]
    for number, page in enumerate(pages):
        content = b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % page.encode()
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d >> stream\n%s\nendstream" % (len(content), content))
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(data))
    return data + table + trailer


def test_markdown_takes_its_title_from_the_first_heading():
    read = read_markdown(b"Some words.\n\n# The title #\n\n## Not this\n")
    assert (read.title, read.format) == ("The title", "markdown")


def test_front_matter_gives_title_and_metadata_and_keeps_line_numbers():
    read = read_markdown(b"---\ntitle: From above\ntags: [a, b]\ndate: 2026-11-21\n---\n# Heading\n")
    assert read.title == "From above"
    assert read.metadata == {"tags": ["a", "b"], "date": "2026-11-21"}
    assert read.text == "\n\n\n\n\n# Heading\n"


def test_line_ends_of_windows_are_line_ends():
    read = read_markdown(b"---\r\ntitle: T\r\n---\r\n# Heading\r\n\r\nText.\r\n")
    assert (read.title, read.text) == ("T", "\n\n\n# Heading\n\nText.\n")
    assert read_markdown(b"# Heading\r\n\r\nText.\r\n").title == "Heading"


@pytest.mark.parametrize(
    ("front_matter", "title", "metadata"),
    [
        pytest.param(
            "title: Release 2.0: what is new\ndate: 2024-01-01",
            "Release 2.0: what is new",
            {"date": "2024-01-01"},
            id="colon",
        ),
        pytest.param("title: T\ndate: 0000-00-00", "T", {"date": "0000-00-00"}, id="a date of zeros"),
        pytest.param("title: T\nlist:\n\t- a", "T", {"list": "- a"}, id="a tab"),
        pytest.param("title: T\nhost: !ENV [HOST, x]", "T", {"host": ["HOST", "x"]}, id="an unknown tag"),
        pytest.param("title: %title%\nlang: en", "%title%", {"lang": "en"}, id="a placeholder"),
        pytest.param("title: T\na: [\nlang: en", "T", {"a": "[", "lang": "en"}, id="an open bracket"),
        pytest.param("title: T\nauthor: @me", "T", {"author": "@me"}, id="an at sign"),
    ],
)
def test_front_matter_is_read_as_far_as_it_can_be_understood(front_matter, title, metadata):
    read = read_markdown(f"---\n{front_matter}\n---\n# Heading\n".encode())
    assert (read.title, read.metadata) == (title, metadata)
    assert read.text.strip() == "# Heading"


def test_what_of_front_matter_was_taken_as_plain_text_is_said():
    (note,) = read_markdown(b"---\ntitle: Release 2.0: what is new\n---\nRelease text that matters.\n").notes
    assert note.reason == "its front matter is not YAML; taken as plain text: title"


def test_toml_between_plus_signs_is_front_matter():
    read = read_markdown(b'+++\ntitle = "T"\ntags = ["a"]\n+++\nText.\n')
    assert (read.title, read.metadata, read.text) == ("T", {"tags": ["a"]}, "\n\n\n\nText.\n")


@pytest.mark.parametrize(
    "tag", ["address", "aside", "center", "fieldset", "figure", "form", "hgroup", "main", "search"]
)
def test_words_of_blocks_beside_each_other_are_not_joined(tag):
    page = f"<p>zero</p><{tag}>one</{tag}><{tag}>two</{tag}>three"
    assert read_html(page.encode()).text == "zero\n\none\n\ntwo\n\nthree"


def test_the_summary_of_details_and_the_legend_of_fields_are_blocks():
    page = b"<details><summary>More</summary>inside</details><form><fieldset><legend>Who</legend>you</fieldset></form>"
    assert read_html(page).text == "More\n\ninside\n\nWho\n\nyou"


def test_a_json_object_above_the_text_is_front_matter():
    read = read_markdown(b'{\n"title": "T",\n"tags": ["a"]\n}\n\nText.\n')
    assert (read.title, read.metadata, read.text) == ("T", {"tags": ["a"]}, "\n\n\n\n\nText.\n")
    for text in ("{\n} and text\n", "{ not JSON }\n\nText.\n", '{"a": 1}\n\nText.\n'):
        assert read_markdown(text.encode()).text == text


def test_a_text_between_two_rules_at_the_top_is_text():
    text = "---\n\nNote: this page is old.\nIt is no longer changed, and nobody reads it.\n\n---\n\nMore.\n"
    read = read_markdown(text.encode())
    assert (read.text, read.metadata) == (text, {})


@pytest.mark.parametrize(
    "front_matter",
    [
        pytest.param("a: &a [1, *a]", id="holds itself"),
        pytest.param("a: " + "[" * 5000 + "]" * 5000, id="nested 5000 deep"),
        pytest.param(
            "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)),
            id="9 to the power of 19 values",
        ),
    ],
)
def test_front_matter_that_would_fill_the_memory_is_left_out_and_the_text_read(front_matter):
    read = read_markdown(f"---\n{front_matter}\n---\ntext\n".encode())
    assert read.text.strip() == "text"
    assert "front matter" in read.notes[0].reason


def test_front_matter_that_is_too_long_for_a_row_keeps_its_title_and_what_fits():
    keys = "".join(f"key{number}: a value\n" for number in range(20_000))
    read = read_markdown(f"---\n{keys}title: The title\n---\nThe text\n".encode())
    assert (read.title, read.text.strip()) == ("The title", "The text")
    assert read.metadata["key0"] == "a value"
    assert "left out: key" in read.notes[0].reason
    assert read.notes[0].is_loss


@pytest.mark.parametrize("title", ["No", "1.10", "12:30:45", "0x1F", "007", "1_000", "2024-01-01", ".inf", "on"])
def test_a_title_is_what_is_written(title):
    read = read_markdown(f"---\ntitle: {title}\n---\n# Heading\n".encode())
    assert read.title == title


@pytest.mark.parametrize("value", ["no", "yes", "on", "12:30", "007", "1_000", "0o17"])
def test_words_and_times_in_front_matter_are_no_truth_values_and_numbers(value):
    assert read_markdown(f"---\nkey: {value}\n---\n# Heading\n".encode()).metadata == {"key": value}


def test_a_title_over_several_lines_is_one_line():
    assert read_markdown(b"---\ntitle: |\n  One\n  title\n---\ntext").title == "One title"


def test_front_matter_may_name_a_value_and_use_it_again():
    read = read_markdown(b"---\nauthor: &me [Ada, Alan]\neditor: *me\n---\ntext\n")
    assert read.metadata == {"author": ["Ada", "Alan"], "editor": ["Ada", "Alan"]}


def test_a_rule_at_the_top_is_no_front_matter():
    assert read_markdown(b"---\nJust a sentence.\n---\nText.\n").text.endswith("Text.\n")


def test_html_keeps_headings_lists_and_code_and_leaves_menus_out():
    page = b"""<html><head><title>Page</title><script>var x</script></head><body><nav>Menu</nav>
    <main><h1>One</h1><p>First <a href="/x">link</a>.</p><h2>Two</h2><pre><code>x = 1
y = 2</code></pre><ul><li>item</li></ul></main><footer>Imprint</footer></body></html>"""
    read = read_html(page)
    assert (read.title, read.format) == ("Page", "markdown")
    assert "# One" in read.text
    assert "## Two" in read.text
    assert "First link." in read.text
    assert "x = 1\ny = 2" in read.text
    assert not any(word in read.text for word in ("Menu", "Imprint", "var x", "/x"))


def test_html_keeps_everything_that_is_seen():
    page = b"""<!doctype html><html><head><title>Install | Acme</title></head><body><nav>Menu</nav><main><article>
    <div class="markdown"><header><h1>Install</h1><p>Lead paragraph: needs 4 GB.</p></header><p>Body text.</p>
    <aside class="admonition">Warning: never delete the lock file.</aside></div></article>
    <article><p>A second article.</p></article><form><p>Text in a form.</p><button>Send</button></form></main></body>
    </html>"""
    read = read_html(page)
    assert read.title == "Install | Acme"
    for seen in ("# Install", "needs 4 GB", "Body text", "never delete", "second article", "Text in a form"):
        assert seen in read.text
    assert "Menu" not in read.text
    assert "Send" not in read.text


def test_how_words_are_read_is_not_among_them():
    ruby = "<ruby>遮<rp>(</rp><rt>さえぎ</rt><rp>)</rp></ruby>られて"
    assert read_html(f"<p>{ruby}</p>".encode()).text == "遮られて"
    assert read_markdown(f"文は{ruby}、<ruby>屋<rt>や</ruby>の".encode()).text == "文は遮られて、屋の"


@pytest.mark.parametrize(
    ("formula", "spelled"),
    [
        ("<msub>\n <mi>x</mi>\n <mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow>\n</msub>", "x_(n+1)"),
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", "(a+b)/2"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup><msqrt><mi>y</mi></msqrt>", "x_i^2√y"),
        (
            "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>2</mn></mtd></mtr></mtable>",
            "1, 0; 2",
        ),
        ("<semantics><mi>z</mi><annotation encoding='application/x-tex'>z</annotation></semantics>", "z"),
    ],
)
def test_formulas_of_pages_are_on_one_line(formula, spelled):
    page = f"<p>So\n<math>\n{formula}\n</math>\nholds.</p>"
    assert " ".join(read_html(page.encode()).text.split(" ")).split() == ["So", *spelled.split(), "holds."]


def test_text_that_looks_like_a_heading_of_markdown_is_none():
    page = (
        "<h1>Start</h1><p># => Now browse</p><ul><li># first<li>#tag</ul><p>Words<br>===<br>end</p><hr>"
        "<pre># comment\n---</pre><h2>Next</h2><p>Text.</p>"
    )
    read = read_html(page.encode())
    headings = [block.headings[-1] for block in find_blocks(read.text) if block.level]
    assert headings == ["Start", "Next"]
    assert "```\n# comment\n---\n```" in read.text
    assert "\n\n---\n\n" in read.text


def test_html_beside_an_empty_main_is_read():
    page = b"<html><title>SPA</title><body><main></main><div id=c><p>The real text is here.</p></div></body></html>"
    assert read_html(page).text == "The real text is here."


def test_html_without_a_title_takes_its_first_heading_and_leaves_out_what_is_not_shown():
    page = b"""<body><div role="navigation">Menu</div><ul><li><a href=a>Aaaa</a><li><a href=b>Bbbb</a>
    <li><a href=c>Cccc</a><li><a href=d>Dddd</a></ul>
    <h1>Title<a class="headerlink" href="#t">\xc2\xb6</a></h1><p hidden>Hidden.</p>
    <p style="display: none">Not shown.</p><!-- a comment --><p>Shown.</p></body>"""
    read = read_html(page)
    assert (read.title, read.text) == ("Title", "# Title\n\nShown.")


def test_a_dialog_is_read_if_it_is_open_and_what_pops_up_is_not():
    page = b"""<p>Before.</p><dialog open><p>Shown words.</p><button>OK</button></dialog><dialog><p>Closed.</p></dialog>
    <div popover>Popping up.</div><p>After.</p>"""
    assert read_html(page).text.split() == ["Before.", "Shown", "words.", "After."]


def test_questions_that_are_buttons_and_answers_that_they_fold_away_are_read():
    page = b"""<h2><button aria-expanded="false">How to reset?</button></h2><div><p>Hold it.</p></div>
    <h3><button aria-controls="a">Which oil?</button></h3><div id="a" role="region" aria-labelledby="q" hidden>SAE
    30.</div>
    <h3><span aria-expanded="false">How much?</span></h3><div style="display:none">Two litres.</div>
    <h3>Where? <button>Copy</button></h3><div hidden>Unseen.</div><p hidden="until-found">In the tank.</p>"""
    assert read_html(page).text == (
        "## How to reset?\n\nHold it.\n\n### Which oil?\n\nSAE\n30.\n\n### How much?\n\nTwo litres.\n\n### Where?\n\n"
        "In the tank."
    )


def test_all_tabs_are_read_and_a_page_behind_a_dialog():
    page = b"""<div aria-hidden="true"><main><h1>Install</h1><div role="tabpanel"><p>npm install</p></div>
    <div role="tabpanel" hidden><p>yarn add</p></div><i aria-hidden="true">menu_icon</i></main></div>
    <div class="modal" aria-hidden="true"><p>Sure?</p></div>"""
    assert read_html(page).text == "# Install\n\nnpm install\n\nyarn add"


def test_the_number_of_a_footnote_belongs_to_no_word():
    page = """<p>Pumps<sup id="r1"><a href="#n1">1</a></sup> need<a epub:type="noteref" href="n#2">2</a> oil<a
    role="doc-noteref" href="#n3"><sup>3</sup></a><sup><a href="#n4">*</a></sup>, 10<sup>3</sup> litres.</p>
    <p>A note. <a href="#r1">↩︎</a></p>"""
    assert read_html(page.encode()).text == "Pumps need oil, 10³ litres.\n\nA note."


NUMBERED_CODE = [
    """<table class="highlighttable"><tr><td class="linenos"><pre>1\n2</pre></td>
    <td class="code"><pre>a = 1\nb = 2</pre></td></tr></table>""",
    """<pre><code><table class="rouge-table"><tr><td class="gutter"><pre class="lineno">1\n2\n</pre></td>
<td><pre>a = 1\nb = 2\n</pre></td></tr></table></code></pre>""",
    """<pre><table class="hljs-ln"><tr><td class="hljs-ln-numbers">1</td><td>a = 1</td></tr><tr><td
    class="hljs-ln-numbers"></td><td>b = 2</td></tr></table></pre>""",
    """<pre><span class="linenos">1</span>a = <span class="mi">1</span>\n<span class="linenos">2</span>b = 2</pre>""",
]


@pytest.mark.parametrize("code", NUMBERED_CODE)
def test_code_with_numbered_lines_is_code_without_the_numbers(code):
    assert read_html(f"<p>Above</p>{code}<p>Below</p>".encode()).text == "Above\n\n```\na = 1\nb = 2\n```\n\nBelow"


def test_formulas_are_read_where_a_page_shows_a_picture_of_them():
    page = b"""<p>So <span style="display: none;"><math><mi>E</mi></math></span><img
    aria-hidden="true" class="math" alt="E=mc^2">, <img class="math" alt="a+b">, <span
    class="MathJax">drawn</span><script type="math/tex">x^2</script> and <script>no</script>it.</p>"""
    assert read_html(page).text.split() == ["So", "E", ",", "a+b,", "x^2", "and", "it."]


def test_numbers_that_are_raised_stay_so():
    text = "10<sup>3</sup> m<sup>-2</sup>, H<sub>2</sub>O, the 5<sup>th</sup>"
    shown = "10³ m⁻², H2O, the 5th"
    assert read_html(f"<p>{text}</p>".encode()).text == shown
    assert read_markdown(f"{text} `a<sup>2</sup>`".encode()).text == f"{shown} `a<sup>2</sup>`"


def test_an_empty_heading_is_none_and_one_of_a_picture_is_its_words():
    page = b"""<h2></h2><p>One.</p><h2><img src="a" alt="The pump"></h2><p>Two.</p>
    <h3><img src="b"></h3><p>Three.</p>"""
    assert read_html(page).text == "One.\n\n## The pump\n\nTwo.\n\nThree."


def test_links_to_edit_a_section_are_not_in_its_heading():
    page = b"""<h2>History<span class="mw-editsection">[<a href="e">edit</a>]</span></h2>"""
    assert read_html(page).text == "## History"


def test_a_power_in_a_link_is_no_number_of_a_footnote():
    page = b"""<h2><a href="#a">Area in m<sup>2</sup></a></h2><p>See <a href="b">10<b><sup>3</sup></b> litres</a>.<a
    href="#n"> <b><sup>4</sup></b></a></p>"""
    assert read_html(page).text == "## Area in m²\n\nSee 10**³** litres."


@pytest.mark.parametrize(
    "page",
    [
        "<h1>" + "<button>ab</button>" * 9_000,
        "<a>" + "<i></i><sup>1</sup>" * 5_000,
        "<p>" + "a<script type='math/tex'>x</script>" * 8_000,
    ],
)
def test_many_buttons_in_a_heading_formulas_in_a_paragraph_and_numbers_in_a_link_take_no_time(page):
    begin = time.process_time()
    read_html(page.encode())
    assert time.process_time() - begin < 8


@pytest.mark.parametrize(
    "element",
    [
        "<!-- a -->",
        "<?php a ?>",
        "<math><mi>x</mi></math>",
        "<button>a</button>",
        "<script type='math/tex'>x</script>",
        "<img class='math' alt='x'>",
    ],
)
def test_what_is_not_read_and_formulas_are_not_looked_for_among_all_that_is_beside_them(monkeypatch, element):
    looked_at = 0
    find = bs4.Tag.index

    def count(tag, child):
        nonlocal looked_at
        place = find(tag, child)
        looked_at += place + 1
        return place

    monkeypatch.setattr(bs4.Tag, "index", count)
    many = 500
    text = read_html(f"<p>{f'a{element}' * many}b</p>".encode()).text
    assert (text.count("a"), text.count("x"), text[-1]) == (many, many if "x" in element else 0, "b")
    assert looked_at < many


def test_a_comment_between_words_leaves_them_as_they_are():
    assert read_html(b"<p>o<!-- a -->ne<!-- b --> two</p><pre>a <!-- c --> b</pre>").text == "one two\n\n```\na  b\n```"


def test_a_heading_in_a_list_is_a_heading():
    page = b"""<ul><li><section><h2>Methods</h2><ul><li><h3>flush</h3><p>Flushes at once.</p></li></ul></section></li>
    </ul>    <dl><dt><h3>Oil?</h3></dt><dd>SAE 30.</dd></dl><ul><li>An item</li></ul>"""
    assert read_html(page).text == "## Methods\n\n### flush\n\nFlushes at once.\n\n### Oil?\n\nSAE 30.\n\n* An item"


HTML_IN_MARKDOWN = b"""<h1 id="Ops" class="anchor">Operations<button data-href="#Ops"><svg viewBox="0 0 16 16">
<path d="M4 9h1v1H4c-1.5 0-3-1.69-3-3.5"></path></svg></button></h1><h2 id="x">How to resize a pool</h2>
<p>Set <code>pool.size</code> to <strong>16</strong>.</p>

<table><tr><th>name</th><th>value</th></tr><tr><td>pool.size</td><td>16</td></tr></table>
"""


def test_markdown_that_is_html_is_read_as_html():
    read = read_markdown(HTML_IN_MARKDOWN)
    assert read.title == "Operations"
    assert "# Operations\n" in read.text
    assert "## How to resize a pool\n" in read.text
    assert "Set `pool.size` to **16**." in read.text
    assert "| pool.size | 16 |" in read.text
    assert not any(mark in read.text for mark in ("<", "svg", "M4"))


def test_html_among_markdown_is_read_and_lines_keep_their_numbers():
    read = read_markdown(
        b"<p align=center>\n<img src=a.png>\n</p>\n\n# Title\n\nPress <kbd>a</kbd><br>then `<b>`.\n\n"
        b"<details>\n<summary>More</summary>\n\nInside.\n\n</details>\n\n```html\n<p>code</p>\n```\n"
    )
    lines = read.text.split("\n")
    assert (read.title, read.has_lines, lines[4]) == ("Title", True, "# Title")
    assert "Press a then `<b>`." in lines
    assert "Inside." in lines
    assert "<p>code</p>" in lines
    assert not [line for line in lines if "<p a" in line or "details" in line]


def test_blank_lines_in_the_code_of_html_in_markdown_do_not_end_it():
    page = """<div><pre><code><span class="k">def</span> f():

    <span class="k">return</span> &quot;x&quot;

</code></pre>
<h2>Below</h2></div>

## Markdown

More words of it.

And others.

- One
- Two
- Three
"""
    text = read_markdown(page.encode()).text
    assert 'def f():\n\n    return "x"' in text
    assert "## Below\n" in text
    assert "## Markdown\n\nMore words" in text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Tom&nbsp;&amp;&nbsp;Jerry &lt;3 &copy; &#169;&#x2014;&hellip;", "Tom & Jerry <3 © ©—…"),
        (
            "`&amp;` and ``a ` &lt;`` &gt; stay &notanentity; AT&T \\&amp;",
            "`&amp;` and ``a ` &lt;`` > stay &notanentity; AT&T \\&amp;",
        ),
        ("One&shy;word, &amp;lt; is written so", "Oneword, &lt; is written so"),
        ("&#35; no heading\n\n- &lt;!-- no comment", "\\# no heading\n\n- \\<!-- no comment"),
        ("    code &amp; block\n\n```\n&amp;\n```", "    code &amp; block\n\n```\n&amp;\n```"),
        ("| a &amp; b | c &#124; d |\n| - | - |\n| &lt; | e |", "| a & b | c \\| d |\n| - | - |\n| < | e |"),
        ("<p>A &lt;b&gt; and &amp;lt; &amp; c</p>\n\nwords\n\nwords", "A <b> and &lt; & c\n\nwords\n\nwords"),
    ],
)
def test_entities_in_markdown_are_read_as_they_are_shown(written, shown):
    assert read_markdown(written.encode()).text == shown


def test_entities_in_a_heading_are_read_in_the_title():
    assert read_markdown(b"# Q&amp;A &ndash; more\n\nText.\n").title == "Q&A \u2013 more"


def test_a_title_is_a_heading_and_no_comment_in_code():
    text = "Getting started\n===============\n\nRun this.\n\n```bash\n# install the tool\npip install tool\n```\n"
    assert read_markdown(text.encode()).title == "Getting started"
    assert read_markdown(b"Run this.\n\n```bash\n# install the tool\n```\n").title == ""


RST = b"""Installing
==========

.. _a-target:
.. a comment
   of two lines

Run this:

.. code-block:: bash

   # install the tool
   pip install tool

A paragraph::

   Literal block title
   -------------------
   inside literal

===== =====
A     B
===== =====
one   two
===== =====

Sub section
-----------

See :doc:`other page </other>` and :ref:`x`. ``code`` and `link <http://a.b>`_.

.. note::

   Notes are useful.

.. image:: x.png
   :alt: alt text

.. toctree::

   a
   b

.. list-table::
   :header-rows: 1

   * - Key
     - Value
"""


def test_html_keeps_no_marks_of_notes_and_no_choice_of_languages():
    links = "".join(f'<li><a hreflang="{each}" href="#">Name {each}</a></li>' for each in ("de", "fr", "ja", "ru"))
    note = '<sup class="reference"><a href="#n">[34]</a></sup>'
    page = f"<main><header><h1>T</h1><ul>{links}</ul></header><p>A sentence.{note} H<sup>2</sup> more.</p></main>"
    assert read_html(page.encode()).text == "# T\n\nA sentence. H² more."


@pytest.mark.parametrize("start", ["<div>", "<ul><li>x", "<table><tr><td>", "<b>"])
def test_html_that_is_nested_too_deeply_is_read_as_plain_text_and_said(start):
    page = f"<title>A title</title><nav>Menu</nav><p>First.<p>Second <b>one</b>.{start * 20_000}The end &amp; more."
    read = read_html(page.encode())
    assert read.title == "A title"
    assert read.text.startswith("First.\nSecond one.")
    assert read.text.endswith("The end & more.")
    assert [note.reason for note in read.notes] == ["it is nested too deeply to keep its headings and lists"]


def test_html_elements_without_end_tags_end_where_they_do_in_a_browser():
    rows = "<tr><td>a<td>b" * 300
    read = read_html(
        f"<h1>T</h1>{'<p>Text.' * 300}<ul><li>One<li>Two<ul><li>In</ul></ul><table>{rows}</table>".encode()
    )
    assert not read.notes
    assert read.text.startswith("# T\n\nText.\n\nText.")
    assert "* One\n* Two\n  + In" in read.text
    assert read.text.count("| a | b |") == 300


@pytest.mark.parametrize(
    "odd",
    ['<script>var s = "<!--";</script>', "<style>a { } <!-- </style>", '<p title="<!--">x</p>', "<!-- x --!>"],
)
def test_what_looks_like_a_comment_that_does_not_end_hides_nothing(odd):
    assert "after" in read_page(f"<p>before</p>{odd}<h1>Hi</h1><p>after</p>").text


def test_utf_16_is_read_as_it_is():
    assert "tail a < b" in read_page("\ufeff<p>one</p>tail a < b".encode("utf-16-le")).text


def test_items_of_a_long_numbered_list_keep_their_numbers():
    text = read_html(f"<ol start=5>{'<li>x</li>' * 450}</ol>".encode()).text
    assert [line for line in text.split("\n") if line] == [f"{number}. x" for number in range(5, 455)]


@pytest.mark.parametrize("start", ["<!--", "</", "<?", "<a "])
def test_html_markup_that_does_not_end_costs_nothing_but_itself(start):
    assert read_html(f"<p>Text.</p>{start * 20_000}".encode()).text.startswith("Text.")


def test_rst_headings_are_those_of_the_text_and_not_of_code():
    read = read_rst(RST)
    headings = {block.headings for block in find_blocks(read.text) if block.headings}
    assert headings == {("Installing",), ("Installing", "Sub section")}
    assert read.title == "Installing"
    assert len(read.text.split("\n")) == len(RST.decode().split("\n"))


def test_rst_is_read_as_a_reader_sees_it():
    text = read_rst(RST).text
    for seen in ("```bash\n\n# install the tool\npip install tool\n```", "A paragraph:\n", "| one | two |", "alt text"):
        assert seen in text
    assert "See other page and x. `code` and link." in text
    assert "Note:\n\nNotes are useful." in text
    assert "| Key | Value |" in text
    assert not any(mark in text for mark in ("a-target", "comment", "=====", "toctree", "header-rows", "x.png"))


def test_rst_formulas_and_what_stands_for_names_are_read():
    text = """.. |product| replace:: The *Acme*
   suite
.. |logo| image:: x.png

About |product|
===============

|product| is |not known|, ``|product|``.

.. math:: E = m c^2
   :label: energy

.. math::

   a^2 + b^2 = c^2

A | B | C
"""
    read = read_rst(text.encode())
    assert read.title == "About The *Acme* suite"
    for shown in ("The *Acme* suite is |not known|, `|product|`.", "E = m c^2", "a^2 + b^2 = c^2", "A | B | C"):
        assert shown in read.text
    assert read.text.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("translate", "written", "name"),
    [(rst_to_markdown, ".. |x| replace:: {}\n\n{}\n", "|x|"), (asciidoc_to_markdown, ":x: {}\n\n{}\n", "{x}")],
)
def test_a_long_text_that_is_named_very_often_does_not_fill_the_memory(translate, written, name):
    data = written.format("y" * 50_000, " ".join([name] * 1_000))
    text = translate(data)
    assert text.count("y" * 50_000) >= 2
    assert name in text
    assert len(text) <= 2 * len(data) + 100_000


def test_rst_headings_become_markdown_and_lines_keep_their_numbers():
    read = read_rst(b"=====\nTitle\n=====\n\nText with :ref:`a name <target>` and ``code``.\n\nPart\n----\n\nMore.\n")
    assert read.title == "Title"
    assert read.text.splitlines()[1] == "# Title"
    assert read.text.splitlines()[6] == "## Part"
    assert "Text with a name and `code`." in read.text


def test_rst_markup_inside_lists_is_read_like_that_outside():
    text = read_rst(
        b"""\
#. Install it.

   .. _target: https://example.com

   .. tab:: Unix

      .. code-block:: shell

         pip install it

   .. note::
      Take care::

          * in code

* See::

    the code

  And more.
"""
    ).text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines == [
        *("#. Install it.", "Unix", "```shell", "pip install it", "```"),
        *("Note:", "Take care:", "```", "* in code", "```", "* See:", "```", "the code", "```", "And more."),
    ]


@pytest.mark.parametrize("directive", ["rst:role", "py:class", "class", "autoclass", "py:function", "c:macro"])
def test_rst_keeps_what_is_said_of_a_documented_object(directive):
    rst = (
        f".. {directive}:: Name(args)\n   :no-index:\n\n   What it is.\n\n   .. method:: act()\n\n      What it does.\n"
    )
    text = read_rst(rst.encode()).text
    assert [line for line in text.split("\n") if line] == ["Name(args)", "What it is.", "act()", "What it does."]


def test_rst_markup_over_the_end_of_a_line_is_read():
    rst = b"See `the\nguide <https://example.com>`_, :ref:`Long\nname <x>` and `the\nsurvey`_.\n\nEnd\n===\n"
    read = read_rst(rst)
    assert read.text.split("\n")[:4] == ["See the", "guide, Long", "name and the", "survey."]
    assert read.text.split("\n")[5] == "# End"
    assert (
        read_rst(b".. note:: See `the guide\n   <https://example.com>`__ now.\n").text == "Note: See the guide\n now.\n"
    )


_GRID = """+------+-------+
| Name | Price |
+======+=======+
| Tea  | 3 or  |
|      | more  |
+------+-------+
| Oil  | 5     |
+------+-------+
"""
_SIMPLE = """====  ========
Name  Price
====  ========
Tea   3 or
      more

Oil   5
====  ========
"""
_LIST = """.. list-table::
   :header-rows: 1
   :widths: 10 20

   * - Name
     - Price
   * - Tea
     - 3 or
       more
   * - Oil
     - 5
"""
_CSV = """.. csv-table::
   :header: Name, Price

   Tea, "3 or more"
   Oil, 5
"""


@pytest.mark.parametrize("indent", ["", "   "])
@pytest.mark.parametrize("table", [_GRID, _SIMPLE, _LIST, _CSV])
def test_rst_tables_with_a_header_are_tables_and_the_lines_below_keep_their_numbers(table, indent):
    item = "* Prices:\n\n" if indent else "Prices\n\n"
    rst = item + "".join(f"{indent}{line}".rstrip() + "\n" for line in table.split("\n")) + "\nEnd here.\n"
    text = read_rst(rst.encode()).text
    assert "| Name | Price |\n| --- | --- |\n| Tea | 3 or more |\n| Oil | 5 |\n" in text
    assert text.split("\n").index("End here.") == rst.split("\n").index("End here.")


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        ("====  ==\nTea   3\nOil   5\n====  ==\n", ["Tea   3", "Oil   5"]),
        ("+-----+---+\n| Tea | 3 |\n+-----+---+\n", ["| Tea | 3 |"]),
        (".. list-table::\n\n   * - Tea\n     - 3\n", ["Tea", "3"]),
        (".. csv-table::\n\n   Tea, 3\n", ["Tea, 3"]),
        (".. csv-table::\n   :header: a\n   :delim: ;;\n\n   Tea;; 3\n", ["Tea;; 3"]),
        ("=====  =====\nName   Price\n=====  =====\nTea    3\n", ["Name   Price", "Tea    3"]),
    ],
)
def test_rst_tables_without_a_header_or_an_end_lose_nothing(table, kept):
    text = read_rst(f"Title\n-----\n\n{table}\nEnd\n".encode()).text
    assert all(each in text for each in [*kept, "End"])


@pytest.mark.parametrize(("row", "written"), [("| 茶 | 3 |", "| 茶 | 3 |"), ("| a whole row  |", "| a whole row |  |")])
def test_cells_of_a_grid_are_whole_where_letters_are_wide_or_a_cell_spans(row, written):
    grid = f"+------+-------+\n| Name | Price |\n+======+=======+\n{row}\n+------+-------+\n"
    text = read_rst(grid.encode()).text
    assert f"| --- | --- |\n{written}\n" in text


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["+---+---+", "|A  |B  |", "+===+===+", "|1  |C++|", "|+1 |b  |", "+---+---+"], ["| 1 +1 | C++ b |"]),
        (["+-+-+", "|A|B|", "+=+=+", "|+|-|", "+-+-+", "|-|+|", "+-+-+"], ["| + | - |", "| - | + |"]),
        (["+---+--------+", "| A | B      |", "+===+========+", "| 1 | +-0.1  |", "|   | or +-1 |", "+---+--------+"],
         ["| 1 | +-0.1 or +-1 |"]),
        (["+---+---+---+", "| Inputs|Out|", "+---+---+---+", "| A | B |   |", "+===+===+===+", "| 1 | 2 | 3 |",
          "+---+---+---+", "| 4     | 6 |", "+-------+---+"],
         ["| Inputs A | B | Out |", "| 1 | 2 | 3 |", "| 4 |  | 6 |"]),
        (["+----+------+", "| A  | B    |", "+====+======+", "| 1  | rows |", "+----+ span |", "| 2  | two  |",
          "+----+------+"], ["| 1 | rows span two |", "| 2 | rows span two |"]),
        (["+----+------+", "| 茶 | B    |", "+====+======+", "| one| +--+ |", "| two+------+", "|    | y    |",
          "+----+------+"], ["| 茶 | B |", "| one two | +--+ |", "| one two | y |"]),
        (["+------+-------------+", "| Name | Sizes       |", "|      +------+------+", "|      | low  | high |",
          "+======+======+======+", "| All sizes   | 1    |", "|             +------+", "|             | 2    |",
          "+------+------+------+", "| A wide one         |", "+--------------------+"],
         ["| Name | Sizes low | Sizes high |", "| All sizes |  | 1 |", "| All sizes |  | 2 |", "| A wide one |"]),
        (["=====  =====  ======", "   Inputs     Output", "------------  ------", "  A      B    A or B",
          "=====  =====  ======", "False  False  False", "Both are 1    True", "------------  ------",
          "and    so     on", "       more", "=====  =====  ======"],
         ["| Inputs A | Inputs B | Output A or B |", "| False | False | False |", "| Both are 1 |  | True |",
          "| and | so more | on |"]),
        (["=  =", "A  B", "=  =", "-  -", "=  ="], ["| A | B |", "| - | - |"]),
        (["====  ====", "Key   Text", "====  ====", "茶    tea", "Oil   longer than its rule", "====  ===="],
         ["| 茶 | tea |", "| Oil | longer than its rule |"]),
    ],
)  # fmt: skip
def test_cells_of_rst_tables_are_as_written_and_below_their_header(lines, rows):
    text = read_rst("\n".join(["Title", "-----", "", *lines, "", "End"]).encode()).text
    assert all(f"\n{row}\n" in text for row in rows)


@pytest.mark.parametrize(
    "lines",
    [
        ["+---+---+", "| A | B |", "+===+===+", "| 1   2 |", "|   +---+", "| 3 | 4 |", "+---+---+"],
        ["+----+----+----+", "| A  | B  | C  |", "+====+====+====+", "| spans two | long text |", "+----+----+----+"],
        ["+---+---+", "| A | B |", "+===+===+", "| 1 | 2 |", "+---+---+", "| 3 | 4", "+---+---+"],
        ["===  ===", "Key  Text", "===  ===", "茶茶  tea", "===  ==="],
        ["=====  =====", "A      B", "=====  =====", "across both", "True   False", "=====  ====="],
    ],
)  # fmt: skip
def test_rst_tables_that_are_not_understood_are_read_line_by_line(lines):
    text = read_rst("\n".join(["Title", "-----", "", *lines, "", "End"]).encode()).text
    assert text.count("#") == 1
    assert "---|" not in text.replace(" ", "")
    assert all(line in text for line in lines if not set(line) <= set("+-= ") or line == "-  -")


def test_an_rst_table_ends_where_its_list_item_ends():
    item = "* Item\n\n  ===  ===\n  A    B\n  ===  ===\n  1    2\n\nSome prose.\n\n  ===  ===\n\nEnd\n"
    text = read_rst(item.encode()).text
    assert all(each in text for each in ("A    B", "1    2", "Some prose.", "End"))


@pytest.mark.parametrize(
    "lines",
    [
        [":header: a,", "  b", "", "1,2"],
        [":header: a,b", "", '"not closed,2', "3,4"],
        [":header: a,b", ":quote: '", "", "'one,two',3"],
        [":header: a,b", ":escape: $", "", '"one $" two",3'],
        [":header: a", "", "1,2"],
        [":header: a,b", ":delim: ,,", "", "1,,2"],
    ],
)
def test_csv_tables_of_rst_that_are_not_understood_are_read_line_by_line(lines):
    text = read_rst("\n".join([".. csv-table::", *(f"   {line}" for line in lines), "", "End"]).encode()).text
    assert all(line in text for line in lines[lines.index("") :])
    assert " | " not in text


def test_csv_tables_of_rst_keep_the_words_of_cells_with_line_ends_apart():
    rst = b'.. csv-table::\n   :header: Key, Text\n   :delim: ;\n\n   1; "If we took\n   the bones"\n\nEnd\n'
    assert "| Key | Text |\n| --- | --- |\n| 1 | If we took the bones |\n" in read_rst(rst).text


# Any letters, digits and signs, without those of inline markup; some are wide, and some of no width.
_MARKS = st.sampled_from("+|-=\"',;.#*/!¦茶é\u0301\u0947") | st.characters(categories=["L", "M", "N"])
_CELLS = st.lists(st.text(_MARKS, min_size=1, max_size=8), max_size=2).map(" ".join)
_TABLES = st.integers(2, 3).flatmap(
    lambda width: st.lists(st.lists(_CELLS, min_size=width, max_size=width), min_size=2, max_size=4)
)


def draw_grid(rows):
    widths = [max(map(len, column)) or 1 for column in zip(*rows, strict=True)]
    rules = ["+" + "".join(mark * width + "+" for width in widths) for mark in "-="]
    lines = ["|" + "".join(f"{cell:{width}}|" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [rules[0], lines[0], rules[1], *(each for line in lines[1:] for each in (line, rules[0]))]


def draw_simple(rows):
    widths = [max(map(len, column)) or 1 for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [rule, lines[0], rule, *lines[1:], rule]


def draw_list(rows):
    lines = [f"   {'*' if not place else ' '} - {cell}" for row in rows for place, cell in enumerate(row)]
    return [".. list-table::", "   :header-rows: 1", "", *lines]


def draw_csv(rows):
    return [".. csv-table::", "   :header-rows: 1", "", *(f"   {','.join(row)}" for row in rows)]


def write_csv(rows):
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return [".. csv-table::", "   :header-rows: 1", "", *(f"   {line}" for line in quoted)]


def draw_asciidoc(rows):
    """Draw a table with a space before each bar: `2*` or `a` directly before one would be no text."""
    lines = ["".join("|" + cell.replace("|", "\\|") + " " for cell in row) for row in rows]
    return ["[%header]", "|===", *lines, "|==="]


def draw_asciidoc_cell_by_cell(rows):
    return [f"[%header,cols={len(rows[0])}*]", "|===", *draw_asciidoc([[cell] for row in rows for cell in row])[2:]]


@pytest.mark.parametrize(
    ("draw", "translate"),
    [(draw, rst_to_markdown) for draw in (draw_grid, draw_simple, draw_list, draw_csv, write_csv)]
    + [(draw, asciidoc_to_markdown) for draw in (draw_asciidoc, draw_asciidoc_cell_by_cell)],
)
@settings(max_examples=60, deadline=None)
@given(rows=_TABLES)
def test_no_word_of_a_table_is_lost(draw, translate, rows):
    lines = draw(rows)
    text = translate("\n".join(["A title", "", *lines, "", "End", ""]))
    letters = Counter(mark for cell in [*rows, ["End"]] for each in cell for mark in each if mark.isalnum())
    assert not letters - Counter(text)


def test_rst_keeps_the_content_of_unknown_directives():
    read = read_rst(b"Title\n=====\n\n.. versionadded:: 3.1\n   Something new.\n")
    assert "Something new." in read.text


def test_pdf_gives_text_title_and_where_pages_begin():
    read = read_pdf(make_pdf("First page here", "Second page here"))
    assert read.title == "A title"
    assert len(read.page_starts) == 2
    assert read.text[read.page_starts[1] :].startswith("Second page here")


def test_a_damaged_page_of_a_pdf_costs_that_page():
    data = make_pdf("First page here", "Second page here", "Third page here")
    begin, end = data.index(b"7 0 obj"), data.index(b"9 0 obj")
    damaged = data[begin:end].replace(b"/Type /Page ", b"/Type /Nope ").replace(b"<< /Length", b"(( /Length")
    read = read_pdf(data[:begin] + damaged + data[end:])
    assert "First page here" in read.text
    assert "Third page here" in read.text
    (note,) = read.notes
    assert note.is_loss
    assert note.reason.startswith("page 2 is")


def encrypt(data, **passwords):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt(**passwords, algorithm="AES-256")
    encrypted = io.BytesIO()
    writer.write(encrypted)
    return encrypted.getvalue()


def test_an_encrypted_pdf_that_opens_without_a_password_is_read():
    data = encrypt(make_pdf("First page here"), user_password="", owner_password="secret")
    assert b"/Encrypt" in data
    assert "First page here" not in data.decode("latin-1")
    assert "First page here" in read_pdf(data).text


def test_a_pdf_that_asks_for_a_password_is_named_as_protected():
    with pytest.raises(UnreadableDocument, match="protected by a password"):
        read_pdf(encrypt(make_pdf("First page here"), user_password="secret"))


def test_a_pdf_without_text_is_named_as_scanned():
    with pytest.raises(UnreadableDocument, match="scanned"):
        read_pdf(make_pdf("", ""))


def write_on(data, *annotations, form="", files=()):
    """Return a PDF with annotations on its first page; those with a type of field are its form."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    made = ArrayObject()
    for kind, values in annotations:
        entries = {"/Type": NameObject("/Annot"), "/Subtype": NameObject(kind)}
        entries["/Rect"] = ArrayObject(map(NumberObject, (10, 10, 90, 30)))
        for name, value in values.items():
            kinds = {int: NumberObject, str: NameObject if str(value).startswith("/") else TextStringObject}
            entries[name] = kinds[type(value)](value)
        made.append(writer._add_object(DictionaryObject({NameObject(name): each for name, each in entries.items()})))
    writer.pages[0][NameObject("/Annots")] = made
    fields = ArrayObject(each for each in made if "/FT" in each.get_object())
    entries = DictionaryObject({NameObject("/Fields"): fields})
    if form:
        entries[NameObject("/XFA")] = writer._add_object(
            StreamObject.initialize_from_dictionary({"__streamdata__": form})
        )
        writer.root_object[NameObject("/NeedsRendering")] = BooleanObject(True)
    writer.root_object[NameObject("/AcroForm")] = entries
    for name in files:
        writer.add_attachment(name, b"bytes")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_what_people_have_written_into_a_pdf_is_read():
    field = {"/FT": "/Tx", "/F": 4}
    data = write_on(
        make_pdf("Application", "Second page"),
        ("/Widget", {**field, "/T": "f1", "/TU": "Last name:", "/V": "Lovelace"}),
        ("/Widget", {**field, "/T": "f2", "/V": "Two\r\rlines"}),
        ("/Widget", {**field, "/T": "f3", "/V": "secret", "/Ff": 1 << 13}),
        ("/Widget", {**field, "/T": "f4", "/V": "unseen", "/F": 2}),
        ("/Widget", {**field, "/T": "f5"}),
        ("/FreeText", {"/Contents": "Approved."}),
        ("/Text", {"/Contents": "A comment."}),
    )
    read = read_pdf(data)
    assert read.text == "Application\nLast name: Lovelace\nTwo\nlines\nApproved.\n\nSecond page"
    assert read.text[read.page_starts[1] :] == "Second page"
    assert not read.notes


def test_a_text_that_pages_or_fields_of_a_pdf_share_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(content, "MAX_TEXT_BYTES", 10_000)
    notes = [("/FreeText", {"/Contents": "word" * 1_000})] * 3
    for data in (make_pdf(*["word" * 1_000] * 3), write_on(make_pdf("First page"), *notes)):
        with pytest.raises(UnreadableDocument, match="more than 10,000 characters"):
            read_pdf(data)


def test_a_page_with_nothing_but_what_people_wrote_is_not_empty():
    assert read_pdf(write_on(make_pdf(""), ("/FreeText", {"/Contents": "Approved."}))).text == "Approved."


def test_files_that_are_attached_to_a_pdf_are_said_to_be_left_out():
    (note,) = read_pdf(write_on(make_pdf("First page"), files=["a.txt", "b.txt"])).notes
    assert (note.reason, note.is_loss) == ("2 files are attached to it, and left out", True)


def test_a_form_of_which_only_a_notice_is_there_is_named():
    with pytest.raises(UnreadableDocument, match="only programs of Adobe"):
        read_pdf(write_on(make_pdf("Please wait... You need Adobe Reader 8."), form=b"<xdp/>"))


def test_a_pdf_without_pages_is_not_said_to_be_protected_as_the_one_before():
    empty = io.BytesIO()
    pypdf.PdfWriter().write(empty)
    with pytest.raises(UnreadableDocument, match="protected"):
        read_pdf(encrypt(make_pdf("First page here"), user_password="secret"))
    with pytest.raises(UnreadableDocument, match="not a readable PDF"):
        read_pdf(empty.getvalue())


def test_lines_in_fonts_that_do_not_name_their_characters_are_left_out_and_said():
    noise, words = "0SVIQ\\004MTWYQ\\004HSPSV\\004WMX\\004EQIX", "Words that are read"
    read = read_pdf(make_pdf(words, f"{words}) Tj 0 -20 Td ({noise}"))
    assert read.text == f"{words}\n\n{words}"
    (note,) = read.notes
    assert note.is_loss
    assert note.reason.startswith("page 2 is partly in fonts that do not say")
    with pytest.raises(UnreadableDocument, match="fonts do not say"):
        read_pdf(make_pdf(noise))
    formula = "the sum \\020 of all parts of a long sentence \\021"
    assert "parts" in read_pdf(make_pdf(f"{words} {words} {words} {formula}")).text


def test_words_that_a_line_end_has_cut_are_whole_again():
    assert join_hyphenated("the index-\ning of \ufb01les") == "the indexing of files"
    assert join_hyphenated("a well-known and well-\nknown word") == "a well-known and well-known word"
    assert join_hyphenated("Berlin-\nMitte") == "Berlin-\nMitte"
    # PDFium removes the line's end itself and leaves U+FFFE.
    assert join_hyphenated("the inter\ufffepreter of Berlin\ufffeMitte") == "the interpreter of Berlin-Mitte"
    assert join_hyphenated("at run\ufffetime", {"run-time"}) == "at run-time"


def test_running_heads_and_page_numbers_go():
    pages = [
        f"The Handbook\nLine one of {word}.\nLine two.\nLine three.\nLine four.\n{number}"
        for number, word in enumerate("abcdef", 1)
    ]
    cleaned = drop_running_lines(pages)
    assert not any("Handbook" in page or page.split("\n")[-1].isdigit() for page in cleaned)
    assert [page.split("\n")[0] for page in cleaned] == [f"Line one of {word}." for word in "abcdef"]


def test_numbers_of_lines_go_and_repeated_text_between_the_edges_stays():
    numbers = "\n".join(map(str, range(1, 34)))
    pages = [
        f"Text {word}.\nThis certifies\nthat this\nperson is\na member of\nthe club.\n{numbers}\nProof\nPage {n}"
        for n, word in enumerate("abcdef")
    ]
    assert drop_running_lines(pages) == [
        f"Text {word}.\nThis certifies\nthat this\nperson is\na member of\nthe club." for word in "abcdef"
    ]


@pytest.mark.parametrize("data", [b"", b"no pdf at all", make_pdf("text")[:200]])
def test_a_damaged_pdf_is_a_bad_document(data):
    with pytest.raises(UnreadableDocument, match="not a readable PDF"):
        read_pdf(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_in_the_encodings_that_name_themselves(encoding):
    assert decode("naïve Ünïcode".encode(encoding)) == ("naïve Ünïcode", ())


SPANISH = "El presupuesto fue aprobado por la comisión el año pasado."
GERMAN = "Die Größe der Übung überrascht für einen schönen Tag in München, sagte der Bäcker."
RUSSIAN = "Резервное копирование выполняется каждую ночь, и старые копии удаляются через неделю."
CHINESE = "本产品支持自动备份功能。每天凌晨备份一次\uff0c备份文件保存七天。\n"
KOREAN = "이 제품은 자동 백업을 지원합니다. 매일 밤 백업을 하고 오래된 파일은 일주일 뒤에 지웁니다."
HINDI = "हर रात बैकअप लिया जाता है और पुरानी फ़ाइलें एक सप्ताह बाद हटा दी जाती हैं।"
JAPANESE = "この製品は自動バックアップに対応しています。毎晩バックアップを行います。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (SPANISH, "latin-1"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "cp1251"),
        (CHINESE, "gbk"),
        (JAPANESE, "shift_jis"),
        ("名前,年齢,住所\n佐藤太郎,30,東京\n髙橋淳,35,名古屋\n", "cp932"),
        (GERMAN, "utf-16-le"),
        (CHINESE * 3, "utf-16-be"),
        (GERMAN, "utf-32-le"),
        (RUSSIAN, "utf-16-le"),
        (RUSSIAN, "utf-16-be"),
        (HINDI, "utf-16-le"),
        (JAPANESE, "iso-2022-jp"),
        (JAPANESE + "\n" + KOREAN, "iso-2022-jp-2"),
        (KOREAN, "iso-2022-kr"),
        (RUSSIAN, "cp866"),
        (KOREAN, "euc-kr"),
        (RUSSIAN, "koi8-r"),
    ],
)
def test_an_encoding_without_a_name_is_guessed_and_the_guess_said(text, encoding):
    decoded, notes = decode(text.encode(encoding))
    assert decoded == fold(text)
    assert "a guess" in notes[0].reason


# A byte of another encoding, a character that is cut off, and half of one as some programs write it in UTF-8.
BAD_SPOTS = {"byte": b"\xe9 ", "cut": b"\xe6\x97 ", "half": b"\xed\xa0\xbd "}


@pytest.mark.parametrize(
    "text",
    [
        "Przed wymianą oleju wyłącz zasilanie i sprawdź uszczelkę, żeby nie było przecieków.",
        "Před výměnou oleje vypněte napájení a zkontrolujte těsnění, šroub, žárovku a tašku.",
        "Olajcsere előtt kapcsolja ki az áramot, és ellenőrizze a tömítést.",
    ],
)
@pytest.mark.parametrize("encoding", ["cp1250", "iso8859-2"])
def test_the_two_encodings_of_central_europe_are_told_apart(text, encoding):
    assert decode(f"{text}\n".encode(encoding))[0] == f"{text}\n"


def test_utf_16_without_a_mark_is_found_where_letters_are_beyond_those_of_europe():
    text = "Máy bơm vận chuyển nước. Hãy tắt nguồn điện trước."
    assert decode(text.encode("utf-16-le"))[0] == text


@pytest.mark.parametrize("spot", BAD_SPOTS)
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE, KOREAN, HINDI, JAPANESE])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_bad_spot_in_utf_8_costs_that_spot_and_is_said(text, spot, mark):
    decoded, notes = decode(mark + text.encode() + BAD_SPOTS[spot] + text.encode())
    assert decoded == fold(f"{text}\ufffd {text}")
    assert [each.reason for each in notes] == ["not all of it is utf-8 text: 1 spot is replaced by \ufffd"]


@pytest.mark.parametrize(
    ("before", "encoding", "spot", "after"),
    [
        (b"\xff\xfe", "utf-16-le", b"\x3d\xd8", b""),
        (b"\xfe\xff", "utf-16-be", b"", b"\x20"),
        (b"\xff\xfe\0\0", "utf-32-le", b"\xff\xff\xff\xff", b""),
        (b"", "utf-16-le", b"\x3d\xd8", b""),
    ],
)
def test_a_bad_spot_in_wide_text_costs_that_spot(before, encoding, spot, after):
    decoded, notes = decode(before + GERMAN.encode(encoding) + spot + GERMAN.encode(encoding) + after)
    assert decoded.replace("\ufffd", "") == GERMAN + GERMAN
    assert notes


def test_a_character_that_is_written_in_two_halves_is_one():
    halves = "\ud83d\ude00".encode(errors="surrogatepass")
    assert decode(GERMAN.encode() + halves) == (f"{GERMAN}\U0001f600", ())


def test_an_encoding_is_guessed_from_where_it_shows():
    assert decode(b"word " * 100_000 + GERMAN.encode("cp1252"))[0].endswith(GERMAN)


@pytest.mark.parametrize("head", ["", '<meta charset="utf-8">', '<?xml version="1.0" encoding="UTF-8"?><html>'])
@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE.strip(), JAPANESE])
def test_a_bad_spot_in_a_page_costs_that_spot_and_is_said(text, head):
    page = f"{head}<title>{text}</title><p>{text}".encode() + b"\xe9 </p><p>" + text.encode() + b"</p>"
    read = read_html(page)
    assert read.title == fold(text)
    assert read.text == fold(f"{text}\ufffd\n\n{text}")
    assert "1 spot is replaced" in read.notes[0].reason


@pytest.mark.parametrize(("text", "encoding"), [(RUSSIAN, "koi8-r"), (JAPANESE, "shift_jis"), (CHINESE, "gb2312")])
def test_a_page_is_read_in_the_encoding_that_it_names(text, encoding):
    page = f'<meta charset="{encoding}"><p>{text.strip()}</p>'.encode(encoding)
    read = read_html(page)
    assert read.text == fold(text.strip().replace("\uff0c", "\uff0c"))
    assert not read.notes


@pytest.mark.parametrize(
    "page", [b'<?xml version="1.0"?><doc><p>Hello</p></doc>', b"./file/path.html", b"https://a.example/"]
)
def test_a_page_that_hardly_looks_like_one_is_read_without_warnings(page):
    assert read_html(page).text


@pytest.mark.parametrize("unseen", ['<?xml version="1.0"?>', "<?php echo 1 ?>", "<!ENTITY a>", "<!-- a -->"])
def test_what_browsers_take_for_comments_is_no_text(unseen):
    assert read_html(f"{unseen}<p>Seen {unseen}too</p>".encode()).text == "Seen too"


def test_a_zero_in_a_page_is_passed_over_and_what_is_packed_is_no_page():
    assert read_html(b"<p>One\0 word</p>").text == "One word"
    with pytest.raises(UnreadableDocument, match="NUL"):
        read_html(b"%PDF-1.4 " + bytes(range(256)) * 8)


def test_the_title_of_an_icon_is_not_that_of_the_page():
    icon = b"<svg><title>Icon</title></svg>"
    assert read_html(b"<body>" + icon + b"<h1>Heading</h1><p>Text").title == "Heading"
    assert read_html(b"<body>" + icon + b"<title>Page</title><p>Text").title == "Page"


def test_the_title_of_a_page_without_a_head_is_no_text():
    read = read_html(b"<!doctype html><title>The title</title><p>The text")
    assert (read.title, read.text) == ("The title", "The text")


def test_a_page_in_another_encoding_than_it_names_is_guessed():
    read = read_html(f'<meta charset="utf-8"><p>{GERMAN}</p>'.encode("cp1252"))
    assert read.text == GERMAN
    assert "a guess" in read.notes[0].reason


@pytest.mark.parametrize(
    "data", [b"\0\1\2\0\xff", b"PK\x03\x04\0\0\x08\0\xb7", b"text with a \0 NUL", b"a/b.md\0c/d.md\0e\0"]
)
def test_bytes_that_are_no_text_are_refused(data):
    with pytest.raises(UnreadableDocument, match="NUL"):
        decode(data)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("\ufb01le o\ufb03ce", "file office"),
        ("\uff21\uff30\uff29\u3000\uff4b\uff45\uff59", "API key"),
        ("ﾊﾞｯｸｱｯﾌﾟ", "バックアップ"),
        ("\u0065\u0301", "é"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("\u200fright\u200e \u202bto\u202c \u2068left\u2069", "right to left"),
        ("x² + ½ and 10\u00a0€", "x² + ½ and 10 €"),
        ("e\u2010mail, no\u2011one \u2013 but", "e-mail, no-one \u2013 but"),
        ("\U0001d41b\U0001d428\U0001d425\U0001d41d", "bold"),
    ],
)
def test_characters_that_look_alike_are_folded_and_those_that_mean_something_stay(written, read):
    assert fold(written) == read


def test_a_file_of_unknown_kind_names_the_known_ones(tmp_path):
    with pytest.raises(UnreadableDocument, match=r"\.xyz.*\.md"):
        find_reader(tmp_path / "a.xyz")
