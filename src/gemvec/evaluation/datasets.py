"""Data to measure with: sentence pairs with a gold score (STS), and queries with judged documents (BEIR's layout)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gemvec.errors import InvalidRequest

_YEAR = re.compile(r"20(\d\d)\b")
# A year's file for a pair of languages, such as `2017.ar-en.tsv`; each is a task of its own.
_PAIR_OF_LANGUAGES = re.compile(r"20\d\d\.[a-z]{2}-[a-z]{2}(?=\.)")
_TREC_COLUMNS, _BEIR_COLUMNS = 4, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePairs:
    """Pairs of sentences and how similar people found them.

    Attributes:
        name: for people, such as `STS13`.
        first: one sentence of each pair.
        second: the other one, in the same order.
        gold: the score of each pair; only their order counts.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    gold: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusDocument:
    """One document of a corpus; `title` may be empty."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """Documents, queries, and which documents answer which query.

    Attributes:
        name: the folder's name.
        corpus: passages by document id.
        queries: the judged queries by id.
        judgments: grades by query id and document id; above 0 is relevant.
    """

    name: str
    corpus: dict[str, CorpusDocument]
    queries: dict[str, str]
    judgments: dict[str, dict[str, int]]


Dataset = SentencePairs | RetrievalSet


class _Record(msgspec.Struct):
    id: str | int = msgspec.field(name="_id")
    text: str
    title: str | None = ""


def load_datasets(paths: Sequence[Path], *, split: str = "test") -> list[Dataset]:
    """Read the data in `paths`.

    A folder with `corpus.jsonl` is one retrieval set. Any other folder stands for its `.tsv` files; files with the same
    name up to the first dot are one set of pairs, like the files of one year of the STS tasks. A file for a pair of
    languages, such as `2017.ar-en.tsv`, is a set of its own, as in MTEB.

    Args:
        paths: folders and `.tsv` files.
        split: which file of a retrieval set's `qrels`.

    Raises:
        InvalidRequest: there is nothing to read, or a file is not valid; `field` names file and line.
    """
    retrieval: list[Dataset] = []
    tables: list[Path] = []
    for path in paths:
        if (path / "corpus.jsonl").is_file():
            retrieval.append(load_retrieval(path, split=split))
        else:
            tables += _find_tables(path)
    groups: dict[str, list[Path]] = {}
    for table in tables:
        own = _PAIR_OF_LANGUAGES.match(table.name)
        groups.setdefault(own[0] if own else table.name.split(".")[0], []).append(table)
    return [load_pairs(group, name=_YEAR.sub(r"STS\1", name)) for name, group in groups.items()] + retrieval


def load_pairs(paths: Iterable[Path], *, name: str) -> SentencePairs:
    """Read tab-separated files of three columns: gold score, sentence, sentence; UTF-8, no header, no quoting.

    Raises:
        InvalidRequest: a line is something else.
    """
    rows = [row for path in paths for row in _read_pairs(path)]
    if len({gold for gold, _, _ in rows}) < 2:  # noqa: PLR2004 # an order needs two
        raise InvalidRequest(f"{name} has no pairs with different scores.", field=name)
    gold, first, second = zip(*rows, strict=True)
    return SentencePairs(name=name, first=first, second=second, gold=gold)


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


def _find_tables(path: Path) -> list[Path]:
    found = sorted(path.glob("*.tsv")) if path.is_dir() else [path] if path.is_file() else []
    if not found:
        raise InvalidRequest(
            f"{path} is neither a .tsv file nor a folder with .tsv files or a corpus.jsonl.", field=str(path)
        )
    return found


def _read_pairs(path: Path) -> Iterator[tuple[float, str, str]]:
    for number, line in _read_lines(path):
        try:
            gold, first, second = line.split("\t")
            yield float(gold), first, second
        except ValueError as error:
            raise _bad_line(path, number, "expected a score, a tab, a sentence, a tab, a sentence") from error


def _read_records(path: Path) -> Iterator[_Record]:
    decoder = msgspec.json.Decoder(_Record)
    for number, line in _read_lines(path):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise _bad_line(path, number, str(error)) from error


def _find_judgments(folder: Path, split: str) -> Path:
    found = folder / f"{split}.tsv"
    if not found.is_file():
        others = ", ".join(sorted(each.stem for each in folder.glob("*.tsv"))) or "none"
        raise InvalidRequest(f"{found} does not exist; there are these splits: {others}.", field=str(found))
    return found


def _read_judgments(path: Path) -> Iterator[tuple[str, str, int]]:
    for number, line in _read_lines(path):
        columns = line.split("\t")
        if len(columns) == _TREC_COLUMNS:
            del columns[1]
        if number == 1 and columns[-1].lower() in {"score", "relevance"}:
            continue
        try:
            query, document, grade = columns
            yield query, document, int(grade)
        except ValueError as error:
            raise _bad_line(path, number, "expected a query id, a document id and a whole number") from error


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers; only a line feed ends one."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8.", field=str(path)) from error
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", field=str(path)) from error


def _bad_line(path: Path, number: int, expected: str) -> InvalidRequest:
    place = f"{path}:{number}"
    return InvalidRequest(f"{place}: {expected}.", field=place)


def _id(record: _Record) -> str:
    return str(record.id)
