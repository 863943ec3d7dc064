"""Reads questions with the documents that answer them: folders as BEIR has them, files as SQuAD and XQuAD have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gemvec.errors import InvalidRequest
from gemvec.evaluation.datasets import CorpusDocument, RetrievalSet
from gemvec.evaluation.lines import bad_line, read_lines

_TREC_COLUMNS = 4


class _Record(msgspec.Struct):
    id: str | int = msgspec.field(name="_id")
    text: str
    title: str | None = ""


class _Question(msgspec.Struct):
    id: str
    question: str
    is_impossible: bool = False


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]


class _Reading(msgspec.Struct):
    data: list[_Article]


def load_retrieval(folder: Path, *, split: str = "test") -> RetrievalSet:
    """Read a folder laid out as BEIR's: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.

    Documents and queries are objects with `_id`, `text` and, for documents, `title`. Judgments are tab-separated:
    query id, document id, grade, with or without a header; TREC's four columns also do. Queries without a
    judgment are left out.

    Raises:
        InvalidRequest: a file is missing or is something else.
    """
    records = {_id(each): each for each in _read_records(folder / "corpus.jsonl")}
    texts = {_id(each): each.text for each in _read_records(folder / "queries.jsonl")}
    judgments: dict[str, dict[str, int]] = {}
    for query, document, grade in _read_judgments(_find_judgments(folder / "qrels", split)):
        judgments.setdefault(query, {})[document] = grade
    unknown = next((query for query in judgments if query not in texts), None)
    if unknown is not None:
        raise InvalidRequest(f"{folder}: query {unknown!r} is judged but not in queries.jsonl.", field=str(folder))
    if not records or not judgments:
        raise InvalidRequest(f"{folder} has no {'judgments' if records else 'documents'}.", field=str(folder))
    return RetrievalSet(
        name=folder.resolve().name,
        corpus={key: CorpusDocument(text=each.text, title=each.title or "") for key, each in records.items()},
        queries={query: texts[query] for query in judgments},
        judgments=judgments,
    )


def load_reading(path: Path) -> RetrievalSet:
    """Read a file of SQuAD's layout as retrieval: each question should find its own paragraph among all of the file.

    Paragraphs get ids by their order (`paragraph 1`). Equal paragraphs are one document. The titles of articles are
    left out: they belong to many paragraphs. Questions marked as impossible to answer are left out.

    Raises:
        InvalidRequest: the file cannot be read or is something else, or two questions have the same id.
    """
    ids: dict[str, str] = {}
    queries: dict[str, str] = {}
    judgments: dict[str, dict[str, int]] = {}
    for paragraph in (each for article in _decode_reading(path).data for each in article.paragraphs):
        document = ids.setdefault(paragraph.context, f"paragraph {len(ids) + 1}")
        for each in paragraph.qas:
            if each.id in queries:
                raise InvalidRequest(f"{path}: two questions have the id {each.id!r}.", field=str(path))
            if not each.is_impossible:
                queries[each.id], judgments[each.id] = each.question, {document: 1}
    if not queries:
        raise InvalidRequest(f"{path} has no questions.", field=str(path))
    corpus = {document: CorpusDocument(text=text) for text, document in ids.items()}
    return RetrievalSet(name=path.stem, corpus=corpus, queries=queries, judgments=judgments)


def _decode_reading(path: Path) -> _Reading:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Reading)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", field=str(path)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} does not have SQuAD's layout: {error}.", field=str(path)) from error


def _read_records(path: Path) -> Iterator[_Record]:
    decoder = msgspec.json.Decoder(_Record)
    for number, line in read_lines(path):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise bad_line(path, number, str(error)) from error


def _find_judgments(folder: Path, split: str) -> Path:
    found = folder / f"{split}.tsv"
    if not found.is_file():
        others = ", ".join(sorted(each.stem for each in folder.glob("*.tsv"))) or "none"
        raise InvalidRequest(f"{found} does not exist; there are these splits: {others}.", field=str(found))
    return found


def _read_judgments(path: Path) -> Iterator[tuple[str, str, int]]:
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) == _TREC_COLUMNS:
            del columns[1]
        if number == 1 and columns[-1].lower() in {"score", "relevance"}:
            continue
        try:
            query, document, grade = columns
            yield query, document, int(grade)
        except ValueError as error:
            raise bad_line(path, number, "expected a query id, a document id and a whole number") from error


def _id(record: _Record) -> str:
    return str(record.id)
