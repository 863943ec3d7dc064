"""Passages with their neighbours: `join_neighbours`, `read_around`; all passages of a document: `read_document`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, cast

from gemvec.errors import InvalidRequest
from gemvec.milvus.connection import call_milvus
from gemvec.milvus.hit import Hit
from gemvec.milvus.version import CollectionVersion, format_list

# A passage may repeat the end of the one before it; a shorter match is more likely chance.
_MIN_REPEATED, _MAX_REPEATED = 12, 2_000
_JOINED = ("chunk", "text", "position")
_LINE = re.compile(r"line (\d+)")


def join_neighbours(version: CollectionVersion, hits: Sequence[Hit], count: int) -> list[Hit]:
    """Return the hits with the passages before and after them in their documents.

    Args:
        version: where the passages are.
        hits: best first; one that stands in the text of a better one is left out.
        count: how many passages before, and how many after.
    """
    if not hits:
        return []
    near = [f"(document_id == {_quote(hit.document_id)} and {_within(hit, count)})" for hit in hits]
    rows = call_milvus(
        version.client.query,
        version.name,
        filter=" or ".join(near),
        output_fields=["document_id", *_JOINED],
    )
    known = {(row["document_id"], row["chunk"]): row for row in cast("list[dict[str, Any]]", rows)}
    shown: set[tuple[str, int]] = set()
    joined: list[Hit] = []
    for hit in hits:
        if (hit.document_id, hit.chunk) in shown:
            continue
        places = [(hit.document_id, chunk) for chunk in range(hit.chunk - count, hit.chunk + count + 1)]
        found = [place for place in places if place in known]
        shown.update(found)
        text = _join([known[place] for place in found], version)
        joined.append(replace(hit, text=text, position=known[found[0]]["position"]) if found else hit)
    return joined


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPassage:
    """A passage at its place in its document.

    Attributes:
        chunk: its number in the document, from 0.
        chunks: how many passages the document has.
        text, heading, position: see `Passage`.
    """

    chunk: int
    chunks: int
    text: str
    heading: str
    position: str


def read_around(version: CollectionVersion, document_id: str, number: int, count: int) -> list[StoredPassage]:
    """Return a passage with the `count` ones before and after it, in the order of the document; [] for no document."""
    near = f"chunk >= {number - count} and chunk <= {number + count}"
    rows = call_milvus(
        version.client.query,
        version.name,
        filter=f"document_id == {_quote(document_id)} and {near}",
        output_fields=[each.name for each in fields(StoredPassage)],
    )
    found = [
        StoredPassage(**{each.name: row[each.name] for each in fields(StoredPassage)})
        for row in cast("list[dict[str, Any]]", rows)
    ]
    return sorted(found, key=lambda each: each.chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A document as its passages tell it.

    Attributes:
        id, title, source, metadata: see `Document`.
        text: its passages in order; what they left out, such as lists of links, is not there.
    """

    id: str
    title: str
    source: str
    text: str
    metadata: dict[str, Any]


def read_document(version: CollectionVersion, document_id: str) -> StoredDocument:
    """Return a document of a collection.

    Raises:
        InvalidRequest: there is none with this id.
    """
    fields = [*_JOINED, "title", "source", "metadata"]
    rows = call_milvus(
        version.client.query, version.name, filter=f"document_id == {_quote(document_id)}", output_fields=fields
    )
    ordered = sorted(cast("list[dict[str, Any]]", rows), key=lambda row: row["chunk"])
    if not ordered:
        raise InvalidRequest(f"The collection has no document {document_id!r}.", field="id")
    first = ordered[0]
    return StoredDocument(
        id=document_id,
        title=first["title"],
        source=first["source"],
        text=_join(ordered, version),
        metadata=first["metadata"],
    )


def _quote(text: str) -> str:
    return format_list([text])[1:-1]


def _within(hit: Hit, count: int) -> str:
    return f"chunk >= {hit.chunk - count} and chunk <= {hit.chunk + count}"


def _join(rows: Sequence[dict[str, Any]], version: CollectionVersion) -> str:
    """Return the text of passages that follow each other, without what the later ones repeat."""
    parts = [row["text"] for row in rows[:1]]
    for before, row in pairwise(rows):
        may_repeat = version.indexing.overlap_tokens != 0 and _may_overlap(before, row)
        repeated = _count_repeated(before["text"], row["text"]) if may_repeat else 0
        parts.append(row["text"][repeated:] if repeated else f"\n\n{row['text']}")
    return "".join(parts)


def _may_overlap(before: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether a passage may repeat the end of the one before it; otherwise the source itself has the text twice.

    Where lines are known, only passages that share one overlap.
    """
    first, second = (_LINE.fullmatch(each["position"]) for each in (before, row))
    return not (first and second) or int(second[1]) <= int(first[1]) + before["text"].count("\n")


def _count_repeated(before: str, text: str) -> int:
    """Return how many characters of the end of one passage the next one begins with."""
    longest = min(len(before), len(text), _MAX_REPEATED)
    return next((size for size in range(longest, _MIN_REPEATED - 1, -1) if before.endswith(text[:size])), 0)
