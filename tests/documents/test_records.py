import datetime as dt
import json
import time

import pyarrow as pa
import pytest
from pyarrow import parquet

from gemvec.documents import json_values
from gemvec.documents.document import BadDocument, Document, settle_document
from gemvec.documents.records import RecordFields, read_records
from gemvec.documents.text import UnreadableDocument

RECORDS = [
    {"id": "a", "title": "First", "text": "The first text.", "lang": "en"},
    {"id": "b", "title": "Second", "text": "The second text.", "lang": "de"},
]


def write(path, records):
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".csv":
        path.write_text("id,title,text,lang\n" + "".join(",".join(each.values()) + "\n" for each in records))
    else:
        path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def read(path, fields=None):
    return list(read_records(path, path.name, fields or RecordFields()))


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.csv", "a.parquet"])
def test_every_record_is_a_document_and_other_fields_are_metadata(tmp_path, name):
    documents = read(write(tmp_path / name, RECORDS))
    assert [document.id for document in documents] == [f"{name}#a", f"{name}#b"]
    assert [document.text for document in documents] == ["The first text.", "The second text."]
    assert [document.title for document in documents] == ["First", "Second"]
    assert documents[0].metadata == {"id": "a", "lang": "en"}
    assert documents[1].place in {"line 2", "row 2"}
    assert documents[-1].read_bytes == (tmp_path / name).stat().st_size


def test_columns_without_a_name_or_with_the_same_lose_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("text,text,,,text_2\none here,two,3,4,5\n")
    (document,) = read(tmp_path / "a.csv")
    assert document.text == "one here"
    assert document.metadata == {"text_2": "two", "column_3": "3", "column_4": "4", "text_2_2": "5"}


def test_thousands_of_columns_with_the_same_name_are_told_apart(tmp_path):
    (tmp_path / "a.csv").write_text("text" + ",a" * 5_000 + "\none here" + ",1" * 5_000 + "\n")
    (document,) = read(tmp_path / "a.csv")
    assert len(document.metadata) == 5_000
    assert {"a", "a_2", "a_5000"} <= document.metadata.keys()


def test_the_first_line_of_a_table_for_excel_names_the_delimiter(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\ntext;n\r\nhello, there;1\r\n")
    (document,) = read(tmp_path / "a.csv")
    assert (document.text, document.metadata, document.notes) == ("hello, there", {"n": "1"}, ())


def test_fields_can_be_named(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"nr": 7, "headline": "H", "story": "S", "text": "not this"}])
    (document,) = read(path, RecordFields(text=("story",), id=("nr",), title=("headline",)))
    assert (document.id, document.title, document.text) == ("a.jsonl#7", "H", "S")


def test_a_record_without_id_keeps_its_id_when_it_moves(tmp_path):
    first = read(write(tmp_path / "a.jsonl", [{"text": "one"}, {"text": "two"}]))
    second = read(write(tmp_path / "a.jsonl", [{"text": "zero"}, {"text": "one"}, {"text": "two"}]))
    assert [document.id for document in first] == [document.id for document in second[1:]]


def test_bad_lines_are_reported_with_their_place_and_the_others_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\nnot json\n[1]\n{"id": 1}\n\xff\n\n{"text": "good too"}\n')
    found = read(path)
    assert [each.text for each in found if isinstance(each, Document)] == ["good", "good too"]
    assert [(each.place, each.reason) for each in found if isinstance(each, BadDocument)] == [
        ("line 2", "it is not JSON"),
        ("line 3", "it is not a JSON object"),
        ("line 4", "it has no field text or content or body or passage"),
        ("line 5", "it is not JSON"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": ["a"]}', "its field 'text' is not text"),
        (b'{"text": "a", "id": {"b": 1}}', "its field 'id' is not text"),
        (b'{"text": "a", "title": ["b"]}', "its field 'title' is not text"),
        (b'{"text": "", "id": 2}', "its field 'text' is empty"),
        (b'{"content": null}', "its field 'content' is empty"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
    ],
)
def test_a_line_that_is_json_of_another_kind_is_reported(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(line + b'\n{"text": 5, "id": 1, "title": 2}\n')
    bad, good = read(path)
    assert bad.reason == reason
    assert (good.text, good.id, good.title) == ("5", "a.jsonl#1", "2")


def test_dates_and_not_a_number_become_json(tmp_path):
    path = tmp_path / "a.parquet"
    when = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
    write(path, [{"text": "x", "when": when, "share": float("nan"), "tags": ["a"]}])
    assert read(path)[0].metadata == {"when": "2026-11-21 00:00:00+00:00", "share": None, "tags": ["a"]}


def test_an_integer_beyond_64_bits_becomes_text(tmp_path):
    (document,) = read(write(tmp_path / "a.jsonl", [{"text": "x", "large": 2**63 - 1, "larger": 2**63, "yes": True}]))
    assert document.metadata == {"large": 2**63 - 1, "larger": str(2**63), "yes": True}


def test_a_file_that_is_no_parquet_is_bad_as_a_whole(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR2")
    with pytest.raises(UnreadableDocument, match="not Parquet"):
        read(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_table_is_found(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    rows = [("id", "text", "lang"), ("1", "Some text, or more; all of it", "es"), ("2", "More", "de")]
    path.write_text("".join(delimiter.join(f'"{value}"' for value in row) + "\n" for row in rows))
    first, second = read(path)
    assert (first.text, first.metadata) == ("Some text, or more; all of it", {"id": "1", "lang": "es"})
    assert (second.id, second.notes) == ("a.csv#2", ())


def test_a_table_without_a_text_column_takes_those_that_hold_sentences_and_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sku,price,Description\nA-1,10,A red chair of wood\nA-2,12,A blue table of steel\n")
    first, second = read(path)
    assert (first.text, first.metadata) == ("A red chair of wood", {"sku": "A-1", "price": "10"})
    assert [note.reason for note in first.notes] == ["no column is called text; used as text: Description"]
    assert second.notes == ()


def test_a_table_of_single_words_takes_the_columns_of_words_and_says_so(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,age,city\nAnna,30,Berlin\nBoris,25,Oslo\n")
    first, _ = read(path)
    assert ("Anna" in first.text, "Berlin" in first.text, first.metadata) == (True, True, {"age": "30"})
    assert [note.reason for note in first.notes] == ["no column is called text; used as text: name, city"]


def test_several_columns_are_joined_when_they_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,question,answer\n1,Why?,Because.\n2,How?,\n")
    first, second = read(path, RecordFields(joined_text=("question", "answer")))
    assert (first.text, second.text) == ("Why?\n\nBecause.", "How?")


def test_a_table_without_a_header_has_numbered_columns_and_says_so(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\tThe first of some texts\n2\tThe second of some texts\n")
    first, _ = read(path)
    assert (first.text, first.metadata) == ("The first of some texts", {"column_1": "1"})
    assert any("no header" in note.reason for note in first.notes)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_quote_that_is_never_closed_costs_its_line_and_not_the_rows_after_it(tmp_path, end):
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,"one\nline"\n2,"two never closes\n3,three\n\n4,"four ""quoted"""' + end)
    found = read(path)
    assert [(each.id, each.text) for each in found if isinstance(each, Document)] == [
        ("a.csv#1", "one\nline"),
        ("a.csv#3", "three"),
        ("a.csv#4", 'four "quoted"'),
    ]
    (bad,) = [each for each in found if isinstance(each, BadDocument)]
    assert (bad.place, bad.reason) == ("row 2", "it opens a quote that is never closed")


def test_a_value_of_several_lines_may_have_spaces_after_its_quote(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text,lang\r\n1,"one, ""two""\r\nthree" ,en\r\n2,"four\r\nfive"\t\r\n', newline="")
    assert [each.text.split() for each in read(path)] == [["one,", '"two"', "three"], ["four", "five"]]


@pytest.mark.parametrize(
    "above",
    ["# exported on Monday\n", "# exported by Ada, Bob\n", "Pumps of 2024\n\n", "Pumps,,,\nMade by,Ada,,\n,,,\n"],
)
def test_what_stands_above_a_table_is_left_out_and_said(tmp_path, above):
    rows = "id,text,kind,year\n1,One pump,a,2023\n2,Two pumps,b,2024\n"
    (tmp_path / "pumps.csv").write_text(above + rows)
    found = read(tmp_path / "pumps.csv")
    assert [(each.id, each.text) for each in found] == [("pumps.csv#1", "One pump"), ("pumps.csv#2", "Two pumps")]
    assert "above its table" in found[0].notes[0].reason


def test_a_table_whose_rows_have_gaps_begins_with_its_first_row(tmp_path):
    (tmp_path / "gaps.csv").write_text("text,,\nOne pump,,\nTwo pumps,a,b\n")
    found = read(tmp_path / "gaps.csv")
    assert [each.text for each in found] == ["One pump", "Two pumps"]


def test_fields_are_named_in_upper_or_lower_case(tmp_path):
    (tmp_path / "a.csv").write_text("Key,Question,Answer,Name\n7,Why?,So.,First\n")
    (found,) = read(tmp_path / "a.csv", RecordFields(joined_text=("question", "ANSWER"), id=("KEY",), title=("name",)))
    assert (found.id, found.title, found.text, found.metadata) == ("a.csv#7", "First", "Why?\n\nSo.", {"Key": "7"})


def test_a_column_that_a_table_does_not_have_is_said(tmp_path):
    (tmp_path / "a.csv").write_text("question,answer\nWhy?,So.\n")
    (found,) = read(tmp_path / "a.csv", RecordFields(joined_text=("question", "reply")))
    assert (found.text, [note.reason for note in found.notes]) == ("Why?", ["it has no column reply"])


def test_what_is_noted_about_a_table_is_said_also_if_its_first_row_is_bad(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,n\nOne,2,3,4\nGröße,1\n".encode("cp1252"))
    bad, found = read(tmp_path / "a.csv")
    assert isinstance(bad, BadDocument)
    assert "its encoding is a guess" in found.notes[0].reason


def test_text_that_a_parquet_file_keeps_as_bytes_is_text(tmp_path):
    columns = {"text": pa.array(["Größe".encode(), b"\xff\xfe\xfd"], pa.binary()), "n": [b"a", b"b"]}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    found, bad = read(tmp_path / "a.parquet")
    assert (found.text, found.metadata) == ("Größe", {"n": "a"})
    assert bad.reason == "its field 'text' is not text"


def test_a_record_without_a_text_names_the_fields_that_may_be_it(tmp_path):
    (bad,) = read(write(tmp_path / "a.jsonl", [{"id": 1, "question": "Why?", "answer": "So.", "tags": ["a"]}]))
    assert bad.reason.endswith("; it has question, answer (--text-field names the text)")


def test_a_malformed_row_costs_that_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,good\n2,a, b, c\n3,good too\n")
    first, bad, last = read(path)
    assert (first.text, last.text) == ("good", "good too")
    assert (bad.place, bad.reason) == ("row 2", "it has 4 values, and the table 2 columns")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_records_are_read_in_their_encoding(tmp_path, name, encoding):
    text = "El presupuesto fue aprobado por la comisión el año pasado."
    lines = f"id,text\n1,{text}\n" if name == "a.csv" else json.dumps({"id": 1, "text": text}, ensure_ascii=False)
    (tmp_path / name).write_bytes(lines.encode(encoding))
    (document,) = read(tmp_path / name)
    assert (document.text, document.id) == (text, f"{name}#1")
    assert [note.reason for note in document.notes] == (
        ["its encoding is a guess: windows-1252"] if encoding == "latin-1" else []
    )


def test_a_line_in_another_encoding_than_the_rest_is_read_by_itself(tmp_path):
    path = tmp_path / "a.jsonl"
    line = '{"text": "%s"}\n'
    german = "Die Größe der Übung überrascht für einen schönen Tag in München."
    path.write_bytes((line % "plain").encode() + (line % german).encode("cp1252") + (line % "höher").encode())
    assert [document.text for document in read(path)] == ["plain", german, "höher"]


@pytest.mark.parametrize("spot", [b"\xe9 ", b"\xe6\x97 ", b"\xed\xa0\xbd "])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_a_bad_spot_costs_that_spot_of_its_record_and_is_said(tmp_path, name, spot):
    text = "Резервное копирование"
    line = '{"id": %d, "text": "%s%s"}'
    row = {"a.csv": "%d,%s%s\n", "a.jsonl": f"{line}\n", "a.json": f"{line},"}[name]
    rows = [(row % (number, text, "@" * (number == 2))).encode().replace(b"@", spot) for number in range(1, 5)]
    start, end = {"a.csv": (b"id,text\n", b""), "a.jsonl": (b"", b""), "a.json": (b"[", b'{"text": "end"}]')}[name]
    (tmp_path / name).write_bytes(start + b"".join(rows) + end)
    documents = [settle_document(each) for each in read(tmp_path / name)][:4]
    assert [each.text.rstrip() for each in documents] == [text, f"{text}\ufffd", text, text]
    assert [bool(each.notes) for each in documents] == [False, True, False, False]


def test_a_zero_in_a_row_costs_no_other_row(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,text\n1,good one\n2,bad\0 row\n" + b"3,good too\n" * 20)
    assert [each.text for each in read(tmp_path / "a.csv")][:3] == ["good one", "bad row", "good too"]


GOOD = [
    json.dumps({"id": number, "text": f"text {number} {{[", "inner": [{"text": "x"}, {"text": "y"}]})
    for number in range(3)
]


@pytest.mark.parametrize("joint", [",", ",\n", " ,\n  "])
@pytest.mark.parametrize(
    "bad",
    [
        '{"id": 9,, "text": "two commas"}',
        '{"id": 9, "text": "no colon", "inner" [{"text": "x"}, {"text": "y"}]}',
        "{'id': 9, 'text': 'other quotes'}",
        '{"id": 9, "text": undefined, "inner": [{"text": "x"}, {"text": "y"}]}',
        '{"id": 9, "text": "a comma behind",}',
        '{"id": 9, "text": "he said "yes, no" and left"}',
        '{"id": 9, "text": "a \\q wrong escape", "inner": {"text": "}"}}',
        '{"id": ' + "9" * 5_000 + ', "text": "a number without end"}',
    ],
)
def test_an_object_of_a_list_that_is_not_json_costs_only_itself(tmp_path, bad, joint):
    path = tmp_path / "a.json"
    path.write_text("[" + joint.join([*GOOD[:2], bad, GOOD[2]]) + "]")
    found = read(path)
    assert [each.id for each in found if isinstance(each, Document)] == ["a.json#0", "a.json#1", "a.json#2"]
    (left_out,) = [each for each in found if isinstance(each, BadDocument)]
    assert left_out.place == "record 3"
    assert left_out.reason.startswith("it is not JSON: ")
    path.write_text("[" + joint.join([bad, GOOD[0], bad]) + "]")
    assert [type(each) for each in read(path)] == [BadDocument, Document, BadDocument]


@pytest.mark.parametrize(
    "bad", ['{"text": "never closed"', '{"text": [1}', '"text', '{"text": "one quote"too"}', '{"text": "a\nb" } c"}']
)
def test_what_follows_a_value_whose_end_is_not_sure_is_left_out_and_said(tmp_path, bad):
    (tmp_path / "a.json").write_text(f"[{GOOD[0]}, {bad}, {GOOD[1]}]")
    with pytest.raises(UnreadableDocument, match="it is not JSON: "):
        read(tmp_path / "a.json")


def test_an_object_that_is_not_json_and_long_costs_only_itself(tmp_path):
    bad = '{"text": "' + "word " * 500_000 + '",, "id": 9}'
    (tmp_path / "a.json").write_text("[" + ",".join([GOOD[0], bad, GOOD[1]] * 2) + "]")
    assert [type(each) for each in read(tmp_path / "a.json")] == [Document, BadDocument, Document] * 2


def test_objects_that_follow_each_other_in_a_json_file_are_documents(tmp_path):
    (tmp_path / "a.json").write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}{"id": 3, "text": "three"}\n')
    assert [each.text for each in read(tmp_path / "a.json")] == ["one", "two", "three"]


def test_what_follows_an_object_and_is_none_is_said(tmp_path):
    (tmp_path / "a.json").write_text('{"text": "one"} 2')
    with pytest.raises(UnreadableDocument, match="Extra data"):
        read(tmp_path / "a.json")


def test_commas_in_a_table_of_one_column_are_part_of_its_texts(tmp_path):
    (tmp_path / "a.csv").write_text('text\nno comma here\none, two, three\n"quoted, too"\n')
    assert [each.text for each in read(tmp_path / "a.csv")] == ["no comma here", "one, two, three", "quoted, too"]


@pytest.mark.parametrize("characters", [1, 7, 1_000])
def test_line_ends_and_tabs_in_a_text_of_json_cost_nothing(tmp_path, monkeypatch, characters):
    monkeypatch.setattr(json_values, "_BLOCK_CHARACTERS", characters)
    path = tmp_path / "a.json"
    path.write_text('[{"text": "one\nline\tand", "n": 1}, {"text": "two"}, {"text": "three\r\n"}]', newline="")
    assert [each.text for each in read(path)] == ["one\nline\tand", "two", "three\r\n"]
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one\ttab"}\n{"text": "two"}\n')
    assert [each.text for each in read(path)] == ["one\ttab", "two"]


@pytest.mark.parametrize("bad", ["{x}", '{"a": "\n}', '{"text": 1 2}'])
def test_very_many_bad_objects_take_time_that_grows_with_their_number(tmp_path, bad):
    path = tmp_path / "a.json"
    path.write_text("[" + ",\n".join([bad] * 60_000) + ',\n{"text": "last"}]')
    start = time.process_time()
    found = read(path)
    assert time.process_time() - start < 10
    assert found[-1].text == "last"
    assert len(found) == 60_001
