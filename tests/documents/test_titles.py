"""A title is embedded with each passage, so it has a bound; the words of a longer one are text."""

import docx
import pytest

from gemvec.documents import Document, Sources, Splitter
from gemvec.documents.document import settle_document
from gemvec.documents.titles import MAX_TITLE_BYTES, shorten_title
from office_files import saved

LONG = " ".join(f"word{number}" for number in range(3_000))


def read(folder, name, data):
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return [settle_document(each) for each in Sources([str(folder / name)], root=folder)]


def write_docx():
    document = docx.Document()
    document.core_properties.title = LONG[:250]  # as much as Word takes
    document.add_paragraph("Body text.")
    return saved(document)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("front.md", f"---\ntitle: {LONG}\ntags: a\n---\nBody text.\n"),
        ("heading.md", f"# {LONG}\n\nBody text.\n"),
        ("page.html", f"<title>{LONG}</title><p>Body text.</p>"),
        ("title.org", f"#+TITLE: {LONG}\n\nBody text.\n"),
        ("heading.rst", f"{LONG}\n{'=' * len(LONG)}\n\nBody text.\n"),
        ("heading.adoc", f"= {LONG}\n\nBody text.\n"),
        ("subject.eml", f"Subject: {LONG}\nFrom: a@example.com\n\nBody text.\n"),
        ("record.jsonl", f'{{"title": "{LONG}", "text": "Body text."}}\n'),
        ("table.csv", f"title,text\n{LONG},Body text.\n"),
        ("core.docx", write_docx()),
    ],
)
def test_a_title_that_is_too_long_is_shortened_said_and_read_as_text(tmp_path, name, data):
    (document,) = read(tmp_path, name, data)
    assert len(document.title.encode()) <= MAX_TITLE_BYTES
    assert document.title.startswith("word0 word1 ")
    passages = Splitter().split(document)
    text = " ".join(each.text for each in passages)
    assert all(f" {word} " in f" {text} " for word in LONG[: 250 if name == "core.docx" else None].split()[:-1])
    assert passages[-1].text.endswith("Body text.")
    assert all(len(each.title.encode()) <= 3 * MAX_TITLE_BYTES for each in passages)
    (note,) = document.notes
    assert "its title has" in note.reason
    assert not note.is_loss


def test_lines_and_pages_stay_where_they_were_below_a_title_that_is_read_as_text(tmp_path):
    (document,) = read(tmp_path, "front.md", f"---\ntitle: {LONG}\n---\n\nBody text.\n")
    assert document.text.split("\n")[4] == "Body text."
    pages = Document(id="a", text="One.\n\nTwo.", title=LONG, page_starts=(0, 6), has_lines=False)
    settled = settle_document(pages)
    assert settled.text[settled.page_starts[1] :] == "Two."
    assert settle_document(settled) == settled


@pytest.mark.parametrize("title", ["", "A title", "x" * MAX_TITLE_BYTES, "é" * (MAX_TITLE_BYTES // 2)])
def test_a_title_that_fits_is_kept(title):
    assert shorten_title(title) == title


@pytest.mark.parametrize("character", ["x", "é", "向", "😀"])
def test_a_title_without_spaces_is_cut_between_characters(character):
    short = shorten_title(character * 1_000)
    assert short == character * (len(short) - 1) + "…"
    assert MAX_TITLE_BYTES - 4 <= len(short.encode()) <= MAX_TITLE_BYTES
