import pytest

from gemvec.documents.readers import UnreadableDocument, decode, read_file, read_html, read_markdown, read_pdf, read_rst


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


def test_front_matter_that_is_no_yaml_makes_the_document_bad():
    with pytest.raises(UnreadableDocument, match="front matter"):
        read_markdown(b"---\na: [\n---\ntext\n")


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
def test_front_matter_that_would_fill_the_memory_makes_the_document_bad(front_matter):
    with pytest.raises(UnreadableDocument, match="front matter"):
        read_markdown(f"---\n{front_matter}\n---\ntext\n".encode())


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


def test_rst_headings_become_markdown_and_lines_keep_their_numbers():
    read = read_rst(b"=====\nTitle\n=====\n\nText with :ref:`a name <target>` and ``code``.\n\nPart\n----\n\nMore.\n")
    assert read.title == "Title"
    assert read.text.splitlines()[1] == "# Title"
    assert read.text.splitlines()[6] == "## Part"
    assert "Text with a name and `code`." in read.text


def test_rst_keeps_what_stands_in_directives_it_does_not_know():
    read = read_rst(b"Title\n=====\n\n.. versionadded:: 3.1\n   Something new.\n")
    assert "Something new." in read.text


def test_pdf_gives_text_title_and_where_pages_begin():
    read = read_pdf(make_pdf("First page here", "Second page here"))
    assert read.title == "A title"
    assert len(read.page_starts) == 2
    assert read.text[read.page_starts[1] :].startswith("Second page here")


@pytest.mark.parametrize("data", [b"", b"no pdf at all", make_pdf("text")[:200]])
def test_a_damaged_pdf_is_a_bad_document(data):
    with pytest.raises(UnreadableDocument, match="not a readable PDF"):
        read_pdf(data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_the_encodings_that_name_themselves(encoding):
    assert decode("naïve Ünïcode".encode(encoding)) == "naïve Ünïcode"


def test_text_in_no_known_encoding_is_a_bad_document():
    with pytest.raises(UnreadableDocument, match="not utf-8"):
        decode(b"\xe4\xf6\xfc")


def test_a_file_of_unknown_kind_names_the_known_ones(tmp_path):
    path = tmp_path / "a.docx"
    path.write_bytes(b"x")
    with pytest.raises(UnreadableDocument, match=r"\.docx.*\.md"):
        read_file(path)
