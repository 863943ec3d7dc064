"""Documents that would take too much memory are left out by name, and what only looks large is read."""

import io
import json
import random
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from gemvec.documents import Document, Sources, content, json_values, records, tables
from gemvec.documents.records import RecordFields, read_records
from gemvec.documents.text import UnreadableDocument
from office_files import make_archive


def read(path):
    return list(Sources([str(path)], root=path.parent))


def read_rows(path):
    return list(read_records(path, path.name, RecordFields()))


def test_a_text_whose_characters_are_wide_is_refused_before_it_is_in_memory(monkeypatch):
    monkeypatch.setattr(content, "_PIECE_BYTES", 7)
    monkeypatch.setattr(content, "MAX_TEXT_BYTES", 400)
    for text, size in (("\u00e9" * 401, 401), ("\u0434" * 201, 402), ("a" * 100 + "\U0001f600", 404)):
        with pytest.raises(UnreadableDocument, match=f"{len(text)} characters, which take {size} bytes in memory"):
            content.refuse_large_utf8(text.encode())
        content.refuse_large_utf8(text[1:].encode())
    content.refuse_large_utf8(b"a" * 400 + b"\xe9")  # not UTF-8


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "rst", "adoc", "org", "ipynb", "srt", "eml", "mdx"])
def test_a_file_that_is_too_large_is_named_with_its_size_and_what_to_do(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_text("word " * 300)
    monkeypatch.setattr(content, "MAX_FILE_BYTES", 1_000)
    (bad,) = read(path)
    assert bad.source == path.name
    assert bad.reason == "it has 1,500 bytes, more than 1,000, which would take much memory; split it"


def test_a_text_that_takes_too_much_memory_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    monkeypatch.setattr(content, "MAX_TEXT_BYTES", 2_000)
    path.write_text("word " * 300)
    assert isinstance(read(path)[0], Document)
    path.write_text("word " * 300 + "\N{GRINNING FACE}")  # each character takes four bytes now
    (bad,) = read(path)
    assert "1,501 characters" in bad.reason
    assert bad.reason.endswith("more than 2,000; split it")
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": 1, "text": "word " * 500}) + '\n{"id": 2, "text": "short"}\n')
    bad, good = read(path)
    assert (bad.id, good.text) == ("a.jsonl#1", "short")
    assert "2,500 characters" in bad.reason


def test_what_is_in_a_file_beside_its_text_may_be_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "MAX_FILE_BYTES", 1_000)
    names = '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    names += 'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0">'
    body = f"{names}<office:body><office:text><text:p>Words.</text:p></office:text></office:body>"
    data = io.BytesIO(make_archive({"content.xml": f"{body}</office:document-content>"}))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("Pictures/film.mp4", bytes(range(256)) * 20)
    path = tmp_path / "a.odt"
    path.write_bytes(data.getvalue())
    (document,) = read(path)
    assert document.text == "Words."


def test_a_long_line_of_json_lines_is_one_bad_record(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 50)
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "one"}}\n{{"text": "{"x" * 300_000}"}}\n{{"text": "three"}}\n')
    one, bad, three = read_rows(path)
    assert (one.text, one.place, three.text, three.place) == ("one", "line 1", "three", "line 3")
    assert (bad.place, bad.reason) == ("line 2", "it has more than 50 bytes, which would take much memory; split it")
    assert three.read_bytes == path.stat().st_size


VALUES = [{"text": 'Ä \\ " ] } , one', "n": [1.5, -2e9, None, True]}, [1], "text", 12, {"text": "two", "m": {"a": []}}]


@pytest.mark.parametrize("characters", [1, 2, 7, 1_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_is_read_value_by_value(tmp_path, monkeypatch, characters, indent):
    monkeypatch.setattr(json_values, "_BLOCK_CHARACTERS", characters)
    path = tmp_path / "a.json"
    path.write_text(f" {json.dumps(VALUES, indent=indent)}\n")
    first, *bad, last = read_rows(path)
    assert (first.text, first.metadata, first.place) == (VALUES[0]["text"], {"n": VALUES[0]["n"]}, "record 1")
    assert (last.text, last.metadata, last.place) == ("two", {"m": {"a": []}}, "record 5")
    assert [each.reason for each in bad] == ["it is not a JSON object"] * 3
    path.write_text(json.dumps(VALUES[0], indent=indent))
    (document,) = read_rows(path)
    assert (document.text, document.place) == (VALUES[0]["text"], "")
    path.write_text("[ ]")
    assert read_rows(path) == []


@pytest.mark.parametrize("characters", [1, 1_000])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("", "Expecting ',' delimiter (character 16)"),
        (", x]", "Expecting value (character 18)"),
        (', {"a": b}]', "Expecting value (character 24)"),
        ("] x", "Extra data (character 18)"),
        (', "open', "Unterminated string starting at (character 18)"),
    ],
)
def test_what_is_before_a_fault_in_json_is_read(tmp_path, monkeypatch, characters, end, reason):
    monkeypatch.setattr(json_values, "_BLOCK_CHARACTERS", characters)
    path = tmp_path / "a.json"
    path.write_text(f'[{{"text": "one"}}{end}'.replace('": "', '":"'))
    good, bad = read(path)
    assert (good.text, bad.reason) == ("one", f"it is not JSON: {reason}")


def test_json_with_too_many_values_or_one_too_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(json_values, "_MAX_VALUES", 100)
    monkeypatch.setattr(json_values, "_BLOCK_CHARACTERS", 10)
    monkeypatch.setattr(json_values, "MAX_VALUE_CHARACTERS", 1_000)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"text": "one", "values": list(range(200))}))
    (bad,) = read(path)
    assert bad.reason == json_values.TOO_MANY_VALUES
    path.write_text(json.dumps({"text": "word " * 500}))
    (bad,) = read(path)
    assert bad.reason == (
        "one of its values has more than 1,000 characters, which would take much memory; use JSON Lines"
    )
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "one", "values": list(range(200))}))
    (bad,) = read(path)
    assert bad.reason == json_values.TOO_MANY_VALUES
    path.write_text(json.dumps({"text": 'a "b", [c], {d}, ' * 40}))
    assert isinstance(read(path)[0], Document)


def test_a_quote_that_is_never_closed_takes_one_row_and_not_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_MAX_ROW_CHARACTERS", 200)
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"open words\n' + "".join(f"{number},some words\n" for number in range(2, 60)))
    bad, *rows = read_rows(path)
    assert bad.reason == "it opens a quote that is never closed"
    assert [each.id for each in rows] == [f"a.csv#{number}" for number in range(2, 60)]


def test_rows_of_parquet_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_ROWS_BYTES", 1_000_000)
    path = tmp_path / "a.parquet"
    texts = [random.randbytes(10_000).hex() for _ in range(1_000)]
    parquet.write_table(pa.table({"text": texts}), path, write_batch_size=10)  # one group of rows
    before, held = pa.total_allocated_bytes(), []
    for found, text in zip(read_records(path, path.name, RecordFields()), texts, strict=True):
        assert found.text == text
        held.append(pa.total_allocated_bytes() - before)
    assert max(held) < sum(map(len, texts)) / 2
