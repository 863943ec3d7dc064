"""STS files and BEIR-style folders are read as their layouts say; what is wrong is named with file and line."""

import json

import pytest

from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import CorpusDocument, load_datasets, load_pairs, load_retrieval


@pytest.fixture
def folder(tmp_path):
    """Return a retrieval set of three documents and two judged queries."""
    folder = tmp_path / "animals"
    (folder / "qrels").mkdir(parents=True)
    write_records(
        folder / "corpus.jsonl",
        {"_id": "d1", "title": "Cats", "text": "They purr."},
        {"_id": "d2", "title": "", "text": "They bark.", "metadata": {"url": "x"}},
        {"_id": 3, "text": "They moo."},
    )
    write_records(
        folder / "queries.jsonl",
        {"_id": "q1", "text": "what purrs?", "metadata": {}},
        {"_id": "q2", "text": "what moos?"},
        {"_id": "q3", "text": "nobody judged this"},
    )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\t3\t1\n")
    return folder


def write_records(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_a_retrieval_set_has_passages_and_the_judged_queries(folder):
    found = load_retrieval(folder)
    assert found.name == "animals"
    assert found.corpus == {
        "d1": CorpusDocument(title="Cats", text="They purr."),
        "d2": CorpusDocument(text="They bark."),
        "3": CorpusDocument(text="They moo."),
    }
    assert found.queries == {"q1": "what purrs?", "q2": "what moos?"}
    assert found.judgments == {"q1": {"d1": 2, "d2": 0}, "q2": {"3": 1}}


def test_judgments_may_have_trecs_columns_and_no_header(folder):
    (folder / "qrels" / "dev.tsv").write_text("q1\t0\td1\t1\n")
    assert load_retrieval(folder, split="dev").judgments == {"q1": {"d1": 1}}


def test_pairs_of_two_languages_are_a_set_of_their_own(tmp_path):
    for name in ("2017.ar-en.tsv", "2017.es-es.test.tsv", "2016.news.tsv", "2016.mail.tsv"):
        (tmp_path / name).write_text("1\tone\tuno\n2\ttwo\tdos\n")
    sizes = {each.name: len(each.gold) for each in load_datasets([tmp_path])}
    assert sizes == {"STS16": 4, "STS17.ar-en": 2, "STS17.es-es": 2}


def test_pairs_of_one_year_are_one_set(tmp_path):
    (tmp_path / "2013.a.test.tsv").write_text('1\tone "quoted\tuno\n')
    (tmp_path / "2013.b.test.tsv").write_text("2.5\ttwo \tdos\r\n")
    (tmp_path / "2014.a.test.tsv").write_text("3\tthree\ttrés\n1\tx\ty\n", encoding="utf-8")
    (tmp_path / "mine.tsv").write_text("4\tfour\tcuatro\n1\tx\ty\n")
    first, second, third = load_datasets([tmp_path])
    assert (first.name, first.gold, first.first, first.second) == (
        "STS13",
        (1.0, 2.5),
        ('one "quoted', "two "),
        ("uno", "dos"),
    )
    assert (second.name, second.second) == ("STS14", ("trés", "y"))
    assert third.name == "mine"


def test_a_line_separator_inside_a_sentence_does_not_end_the_line(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\tone\u2028still one\x0band still\ttwo\n2\tx\ty\n", encoding="utf-8")
    assert load_pairs([path], name="a").first == ("one\u2028still one\x0band still", "x")


def test_kinds_of_data_may_be_mixed(folder, tmp_path):
    (tmp_path / "mine.tsv").write_text("4\tfour\tcuatro\n1\tx\ty\n")
    assert [each.name for each in load_datasets([folder, tmp_path / "mine.tsv"])] == ["mine", "animals"]


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\nnot json\n', "corpus.jsonl:2"),
        ("corpus.jsonl", '{"_id": "d1"}\n', "corpus.jsonl:1"),
        ("corpus.jsonl", "", "animals"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "animals"),
        ("queries.jsonl", '{"_id": "other", "text": "x"}\n', "animals"),
        ("qrels/test.tsv", "q1\td1\t1\nq1\td2\n", "test.tsv:2"),
        ("qrels/test.tsv", "q1\td1\tmuch\n", "test.tsv:1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(folder, file, content, place):
    (folder / file).write_text(content)
    with pytest.raises(InvalidRequest) as caught:
        load_retrieval(folder)
    assert caught.value.field.endswith(place)
    assert place in caught.value.message


def test_missing_files_and_splits_are_named(folder, tmp_path):
    with pytest.raises(InvalidRequest, match="there are these splits: test"):
        load_retrieval(folder, split="train")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(InvalidRequest, match=r"queries.jsonl cannot be read: No such file"):
        load_retrieval(folder)
    with pytest.raises(InvalidRequest, match="nothing"):
        load_datasets([tmp_path / "nothing"])


@pytest.mark.parametrize("content", [b"", b"1\tone\ttwo\n", b"1\tone\n", b"much\tone\ttwo\n", b"\xff\xfe\n"])
def test_a_file_that_is_no_table_of_pairs_is_refused(tmp_path, content):
    path = tmp_path / "mine.tsv"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="mine"):
        load_datasets([path])
