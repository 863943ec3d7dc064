"""Data to measure with: sentence pairs with a gold score, translations, and queries with judged documents."""

from __future__ import annotations

from dataclasses import dataclass


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
class Translations:
    """Sentences of one language and their translations into another.

    Attributes:
        name: for people, such as `tatoeba.deu-eng`.
        first: the sentences in the first language.
        second: their translations, in the same order.
    """

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusDocument:
    """One document of a corpus; `title` may be empty."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSet:
    """Documents, queries, and which documents answer which query.

    Attributes:
        name: the folder's or file's name.
        corpus: passages by document id.
        queries: the judged queries by id.
        judgments: grades by query id and document id; above 0 is relevant.
    """

    name: str
    corpus: dict[str, CorpusDocument]
    queries: dict[str, str]
    judgments: dict[str, dict[str, int]]


Dataset = SentencePairs | Translations | RetrievalSet
