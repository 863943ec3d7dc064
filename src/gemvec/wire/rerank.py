"""The messages of the routes that score texts against a query, as Jina's and Cohere's clients speak them.

Fields that are not known are ignored, as both services do. Contracts: Jina's API reference for `POST /v1/rerank`,
Cohere's for `POST /v2/rerank`.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from gemvec.errors import EmptyText
from gemvec.wire.cohere import CohereApiVersion
from gemvec.wire.kinds import INT32, NUMBER, TEXT, Kind, Refused
from gemvec.wire.message import Field, JsonMessage

_TEXTS_PER_SEARCH = 100  # Cohere counts as many documents as one search


def _read_documents(value: Any) -> list[str]:
    """Return the texts of documents, each a text or an object with the field `text`."""
    if not isinstance(value, list) or not value:
        raise Refused("`{path}` is {value}, expected a list with at least one document", value)
    texts: list[str] = []
    for index, each in enumerate(cast("list[Any]", value)):
        text: Any = cast("dict[str, Any]", each).get("text") if isinstance(each, dict) else each
        if not isinstance(text, str):
            raise Refused("`{path}` is {value}, expected a text or an object with the field `text`", each, at=(index,))
        if not text:
            raise Refused("`{path}` is empty", at=(index,), error=EmptyText)
        texts.append(text)
    return texts


def read_query(value: Any) -> str:
    """Return a query, which must not be empty."""
    if not TEXT.read(value):
        raise Refused("`{path}` is empty", error=EmptyText)
    return value


def _read_count(value: Any) -> int:
    if INT32.read(value) < 1:
        raise Refused("`{path}` is {value}, expected 1 or more", value)
    return INT32.read(value)


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_DOCUMENT: dict[str, Any] = {"type": "object", "required": ["text"], "properties": {"text": _TEXT}}
QUERY = Kind(read_query, None, _TEXT)
DOCUMENTS = Kind(_read_documents, None, {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _DOCUMENT]}})
_COUNT = Kind(_read_count, None, {**INT32.schema, "minimum": 1})


class RerankRequest(JsonMessage, frozen=True, kw_only=True):
    """A query, and the documents to score against it."""

    query: Annotated[str, Field("What is looked for.", kind=QUERY, missing="`{path}` is missing")]
    documents: Annotated[
        list[str],
        Field(
            "What may answer it: texts, or objects with the field `text`.",
            kind=DOCUMENTS,
            missing="`{path}` is missing",
            is_indexed=True,
        ),
    ]
    model: Annotated[str | None, Field("The served cross-encoder's name; may be left out.")] = None
    top_n: Annotated[int | None, Field("Most results; all when absent.", kind=_COUNT)] = None


class JinaRerankRequest(RerankRequest, frozen=True, kw_only=True):
    """A query, and the documents to score against it."""

    return_documents: Annotated[bool, Field("Put each document into its result.", default=True)] = True


class CohereRerankRequest(RerankRequest, frozen=True, kw_only=True):
    """A query, and the documents to score against it."""

    max_tokens_per_doc: Annotated[
        int | None, Field("Tokens of a document that count; as many as fit when absent.", kind=_COUNT)
    ] = None


class RerankedDocument(JsonMessage, frozen=True, kw_only=True):
    """A document."""

    text: Annotated[str, Field("Its text.")]


class RerankResult(JsonMessage, frozen=True, kw_only=True):
    """How relevant a document is."""

    index: Annotated[int, Field("Its place among the documents.")]
    relevance_score: Annotated[float, Field("From 0 to 1, higher is better.", kind=NUMBER)]
    document: Annotated[RerankedDocument | None, Field("The document, where it was asked for.")] = None


class JinaUsage(JsonMessage, frozen=True, kw_only=True):
    """What was computed."""

    total_tokens: Annotated[int, Field("Tokens of all pairs of query and document.")]
    prompt_tokens: Annotated[int, Field("The same.")]


class JinaRerankResponse(JsonMessage, frozen=True, kw_only=True):
    """The documents by relevance."""

    model: Annotated[str, Field("The served cross-encoder's name.")]
    object: Annotated[str, Field("list")] = "list"
    usage: Annotated[JinaUsage, Field("What was computed.")]
    results: Annotated[list[RerankResult], Field("The most relevant first.")]


class CohereRerankUnits(JsonMessage, frozen=True, kw_only=True):
    """What Cohere would count."""

    search_units: Annotated[int, Field("One for each hundred documents begun.")]


class CohereRerankMeta(JsonMessage, frozen=True, kw_only=True):
    """About the answer."""

    api_version: Annotated[CohereApiVersion, Field("Which version of the API this is.")]
    billed_units: Annotated[CohereRerankUnits, Field("What Cohere would count; nothing is billed here.")]

    @classmethod
    def of(cls, documents: int) -> CohereRerankMeta:
        """Return it for a number of documents."""
        units = -(-documents // _TEXTS_PER_SEARCH)
        return cls(api_version=CohereApiVersion(), billed_units=CohereRerankUnits(search_units=units))


class CohereRerankResponse(JsonMessage, frozen=True, kw_only=True):
    """The documents by relevance."""

    id: Annotated[str, Field("The request's id.")]
    results: Annotated[list[RerankResult], Field("The most relevant first.")]
    meta: Annotated[CohereRerankMeta, Field("About the answer.")]
