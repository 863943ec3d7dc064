"""Callers' texts as requests to embed (`document_requests`, `query_requests`), and what was embedded (`Usage`)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from gemvec.client.config import EmbedOptions
from gemvec.embedding.embed import Embedding, EmbedRequest, truncated_counts
from gemvec.embedding.task_type import QUERY_TASKS, TaskType
from gemvec.errors import EmptyText, InvalidRequest, TitleNotAllowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What has been embedded so far.

    Attributes:
        texts: texts embedded.
        tokens: their tokens as the server counted them; 0 for a server that does not count.
        truncated: those of the texts that were cut at the model's token limit; Google's service does not say it.
    """

    texts: int = 0
    tokens: int = 0
    truncated: int = 0

    def __add__(self, embeddings: Sequence[Embedding]) -> Usage:
        return Usage(
            texts=self.texts + len(embeddings),
            tokens=self.tokens + sum(each.token_count for each in embeddings),
            truncated=self.truncated + len(truncated_counts(embeddings)),
        )


def document_requests(
    documents: Iterable[str] | str,
    titles: Iterable[str | None] | None,
    options: EmbedOptions,
    task_type: TaskType | None = None,
) -> list[EmbedRequest]:
    """Return one request per document.

    Args:
        documents: the texts; one string is one document.
        titles: a title or None for each document.
        options: the config; its title is used if `titles` has none.
        task_type: another task type for this call; None for that of the config.

    Raises:
        InvalidRequest: a document or a title cannot be embedded; `index` says which.
    """
    texts = _read_texts(documents, "documents")
    titles = [None] * len(texts) if titles is None else _read_titles(titles, len(texts))
    usual = TaskType.RETRIEVAL_DOCUMENT
    if options.task_type is not None and options.task_type not in QUERY_TASKS:
        usual = options.task_type
    task_type = (task_type or usual) if options.takes_task_type else TaskType.TASK_TYPE_UNSPECIFIED
    takes_titles = task_type is TaskType.RETRIEVAL_DOCUMENT
    if not takes_titles and options.takes_task_type and any(titles):
        raise TitleNotAllowed(f"Titles require task type RETRIEVAL_DOCUMENT, not {task_type.name}.")
    return [
        EmbedRequest(
            text=text,
            task_type=task_type,
            title=(title or options.title) if takes_titles else None,
            output_dimensionality=options.output_dimensionality,
            auto_truncate=options.auto_truncate,
        )
        for text, title in zip(texts, titles, strict=True)
    ]


def query_requests(
    queries: Iterable[str] | str, options: EmbedOptions, task_type: TaskType | None = None
) -> list[EmbedRequest]:
    """Return one request per query; arguments as for `document_requests`.

    Raises:
        InvalidRequest: a query cannot be embedded; `index` says which.
    """
    usual = TaskType.RETRIEVAL_QUERY
    if options.task_type is not None and options.task_type is not TaskType.RETRIEVAL_DOCUMENT:
        usual = options.task_type
    task_type = (task_type or usual) if options.takes_task_type else TaskType.TASK_TYPE_UNSPECIFIED
    return [
        EmbedRequest(
            text=text,
            task_type=task_type,
            output_dimensionality=options.output_dimensionality,
            auto_truncate=options.auto_truncate,
        )
        for text in _read_texts(queries, "queries")
    ]


@contextmanager
def naming_fields(noun: str) -> Generator[None]:
    """Name what an embedder refuses as the caller calls it.

    Args:
        noun: the caller's name for the texts: `documents` or `queries`.
    """
    try:
        yield
    except InvalidRequest as error:
        names = {"content": f"{noun}[{error.index}]", "title": f"titles[{error.index}]"}
        if error.field is not None and error.index is not None:
            error.field = names.get(error.field, f"config.{error.field}")
        raise


def _read_texts(texts: object, noun: str) -> list[str]:
    if not isinstance(texts, Iterable):
        raise InvalidRequest(f"{noun} is a {type(texts).__name__}: expected strings.", field=noun)
    given: list[object] = [texts] if isinstance(texts, str) else list(cast("Iterable[object]", texts))
    for index, text in enumerate(given):
        if not isinstance(text, str):
            raise InvalidRequest(
                f"{noun}[{index}] is a {type(text).__name__}: expected a string.",
                field=f"{noun}[{index}]",
                index=index,
            )
        if not text:
            raise EmptyText(f"{noun}[{index}] is empty.", field=f"{noun}[{index}]", index=index)
    return [_plain(text) for text in given if isinstance(text, str)]


def _plain(text: str) -> str:
    """Return a plain string: numpy's strings have another class, which the JSON encoder does not take."""
    return text if type(text) is str else str.__str__(text)


def _read_titles(titles: object, count: int) -> list[str | None]:
    is_list = isinstance(titles, Iterable) and not isinstance(titles, str)
    given = list(cast("Iterable[object]", titles)) if is_list else []
    if len(given) != count:
        raise InvalidRequest(
            f"titles must be a list with one title or None for each of {count} documents.", field="titles"
        )
    read: list[str | None] = []
    for index, title in enumerate(given):
        if title is not None and not isinstance(title, str):
            raise InvalidRequest(
                f"titles[{index}] is a {type(title).__name__}: expected a string or None.",
                field=f"titles[{index}]",
                index=index,
            )
        read.append(None if title is None else _plain(title))
    return read
