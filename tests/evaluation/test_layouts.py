"""Test sets are read in the layouts in which they are published; what is wrong is named with file and line."""

import json

import pytest

from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import CorpusDocument, Translations
from gemvec.evaluation.layouts import load_datasets
from gemvec.evaluation.retrieval_files import load_reading, load_retrieval
from gemvec.evaluation.sentence_files import load_pairs, load_scored_pairs, load_translations


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


@pytest.fixture
def semeval(tmp_path):
    """Return the two folders of a SemEval task with two pairs of languages."""
    sentences, scores = tmp_path / "STS2017.eval.v1.1", tmp_path / "STS2017.gs"
    for folder in (sentences, scores):
        folder.mkdir()
    (sentences / "README.txt").write_text("not data")
    (sentences / "STS.input.track1.ar-ar.txt").write_text("قطة\tكلب\nقطة\tقطة\n", encoding="utf-8")
    (scores / "STS.gs.track1.ar-ar.txt").write_text("1.5\n5\n")
    (sentences / "STS.input.track6.tr-en.txt").write_text("kedi\ta cat\tsource\na\tb\nköpek\ta cat\nc\td\ne\tf\n")
    (scores / "STS.gs.track6.tr-en.txt").write_text("5\n\n1\n")
    return sentences, scores


def test_the_two_files_of_a_semeval_task_are_read_together(semeval):
    first, second = load_datasets(semeval)
    assert (first.name, first.gold, first.first, first.second) == (
        "STS17.track1.ar-ar",
        (1.5, 5.0),
        ("قطة", "قطة"),
        ("كلب", "قطة"),
    )
    assert second.name == "STS17.track6.tr-en"


def test_pairs_that_nobody_scored_are_left_out(semeval):
    _, found = load_datasets(semeval)
    assert (found.first, found.second, found.gold) == (("kedi", "köpek"), ("a cat", "a cat"), (5.0, 1.0))


def test_scores_without_pairs_are_refused(semeval):
    sentences, scores = semeval[0] / "STS.input.track1.ar-ar.txt", semeval[1] / "STS.gs.track1.ar-ar.txt"
    scores.write_text("1\n2\n3\n")
    with pytest.raises(InvalidRequest, match=r"STS.gs.track1.ar-ar.txt:3: STS.input.track1.ar-ar.txt has no pair"):
        load_scored_pairs(sentences, scores, name="x")
    scores.write_text("1\nmuch\n")
    with pytest.raises(InvalidRequest, match=r"ar-ar.txt:2: expected a score"):
        load_scored_pairs(sentences, scores, name="x")
    scores.write_text("1\n2\n")
    sentences.write_text("one\tuno\ntwo\n")
    with pytest.raises(InvalidRequest, match=r"ar-ar.txt:2: expected a sentence, a tab, a sentence"):
        load_scored_pairs(sentences, scores, name="x")


def test_half_of_a_semeval_task_is_refused_with_the_name_of_the_other(semeval):
    sentences, scores = semeval
    with pytest.raises(InvalidRequest, match=r"give STS.gs.track1.ar-ar.txt or its folder too"):
        load_datasets([sentences])
    with pytest.raises(InvalidRequest, match=r"give STS.input.track1.ar-ar.txt or its folder too"):
        load_datasets([scores])


@pytest.fixture
def tatoeba(tmp_path):
    """Return a folder with the sentences of two languages and their translations."""
    folder = tmp_path / "v1"
    folder.mkdir()
    for name, text in {
        "tatoeba.deu-eng.deu": "Ja.\nNein, danke.\n",
        "tatoeba.deu-eng.eng": "Yes.\nNo, thanks.\n",
        "tatoeba.fra-eng.fra": "Oui.\nNon.\n",
        "tatoeba.fra-eng.eng": "Yes.\nNo.\n",
        "README.md": "not data",
    }.items():
        (folder / name).write_text(text)
    return folder


def test_translations_are_two_files_with_a_sentence_a_line(tatoeba):
    german, french = load_datasets([tatoeba])
    assert german == Translations(name="tatoeba.deu-eng", first=("Ja.", "Nein, danke."), second=("Yes.", "No, thanks."))
    assert french.name == "tatoeba.fra-eng"


def test_one_file_of_translations_or_both_name_the_pair_once(tatoeba):
    for names in (["deu"], ["eng"], ["deu", "eng"]):
        (found,) = load_datasets([tatoeba / f"tatoeba.deu-eng.{name}" for name in names])
        assert found.first == ("Ja.", "Nein, danke.")


def test_sentences_without_a_translation_are_refused(tatoeba):
    german, english = (tatoeba / f"tatoeba.deu-eng.{name}" for name in ("deu", "eng"))
    english.write_text("Yes.\n\nMore.\n")
    with pytest.raises(InvalidRequest, match=r"tatoeba.deu-eng.deu:2: tatoeba.deu-eng.eng has no translation"):
        load_translations(german, english, name="x")
    german.write_text("Ja.\n")
    with pytest.raises(InvalidRequest, match=r"tatoeba.deu-eng.eng:3: tatoeba.deu-eng.deu has no translation"):
        load_translations(german, english, name="x")
    english.write_text("Yes.\n")
    with pytest.raises(InvalidRequest, match="fewer than two sentences"):
        load_translations(german, english, name="x")
    english.unlink()
    with pytest.raises(InvalidRequest, match="cannot be read"):
        load_datasets([german])


QUESTION = {"id": "q", "question": "What?"}


@pytest.fixture
def reading(tmp_path):
    """Return a file in SQuAD's layout: three paragraphs, of which two are equal, and four questions."""

    def paragraph(context, *questions):
        return {"context": context, "qas": [{"id": each, "question": f"{each}?", "answers": []} for each in questions]}

    articles = [
        {"title": "Cats", "paragraphs": [paragraph("They purr.", "q1", "q2"), paragraph("They climb.", "q3")]},
        {"title": "Lions", "paragraphs": [paragraph("They purr.", "q4")]},
    ]
    articles[0]["paragraphs"][1]["qas"].append({"id": "q5", "question": "Who?", "answers": [], "is_impossible": True})
    path = tmp_path / "xquad.en.json"
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


def test_questions_of_squads_layout_should_find_their_paragraph(reading):
    found = load_reading(reading)
    assert found.name == "xquad.en"
    assert {key: each.text for key, each in found.corpus.items()} == {
        "paragraph 1": "They purr.",
        "paragraph 2": "They climb.",
    }
    assert found.queries == {"q1": "q1?", "q2": "q2?", "q3": "q3?", "q4": "q4?"}
    assert {query: next(iter(judged)) for query, judged in found.judgments.items()} == {
        "q1": "paragraph 1",
        "q2": "paragraph 1",
        "q3": "paragraph 2",
        "q4": "paragraph 1",
    }


def test_a_folder_of_such_files_has_a_set_for_each(reading):
    reading.with_name("xquad.de.json").write_text(reading.read_text())
    assert [each.name for each in load_datasets([reading.parent])] == ["xquad.de", "xquad.en"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"data": [{"title": "x"}]}', "does not have SQuAD's layout: Object missing required field `paragraphs`"),
        ("[1", "does not have SQuAD's layout"),
        ('{"data": []}', "has no questions"),
        (
            json.dumps({"data": [{"paragraphs": [{"context": "x", "qas": [QUESTION] * 2}]}]}),
            "two questions have the id 'q'",
        ),
    ],
)
def test_a_json_file_of_another_layout_is_refused(reading, content, said):
    reading.write_text(content)
    with pytest.raises(InvalidRequest, match=r"xquad\.en\.json") as caught:
        load_datasets([reading])
    assert said in caught.value.message


def test_a_folder_without_data_is_refused_with_the_layouts_there_are(tmp_path):
    (tmp_path / "README.md").write_text("not data")
    with pytest.raises(InvalidRequest, match=r"has no data in a layout that gemvec reads: a folder with corpus.jsonl"):
        load_datasets([tmp_path])


def test_sets_come_as_pairs_then_translations_then_retrieval(semeval, tatoeba, reading, folder):
    found = load_datasets([folder, reading, tatoeba, *semeval])
    assert [each.name for each in found] == [
        "STS17.track1.ar-ar",
        "STS17.track6.tr-en",
        "tatoeba.deu-eng",
        "tatoeba.fra-eng",
        "xquad.en",
        "animals",
    ]
