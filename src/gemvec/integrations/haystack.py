"""Haystack: `GemvecRetriever` searches a collection that gemvec has made, `GemvecDocumentStore` adds to it.

from gemvec.integrations.haystack import GemvecDocumentStore, GemvecRetriever

retriever = GemvecRetriever(GemvecDocumentStore("./my.db", "docs"))
retriever.run(query="how do I cancel a batch?")["documents"]
"""

# Haystack is not installed where our types are checked: it would bring many packages.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import Any

from gemvec.errors import InvalidRequest, MissingDependency
from gemvec.integrations.store import TextStore, describe_hit, open_function, to_document
from gemvec.milvus.overview import count_documents

try:
    from haystack.core.component import component
    from haystack.core.serialization import default_from_dict, default_to_dict
    from haystack.dataclasses import Document
    from haystack.document_stores.types import DuplicatePolicy
except ImportError as error:
    raise MissingDependency("Haystack's classes need more packages.", extra="haystack") from error


class GemvecDocumentStore:
    """A collection of gemvec as Haystack's document store; close it, so that a Milvus Lite file is free again.

    It embeds what it is given, so a pipeline that writes to it needs no embedder.

    Args:
        uri: a path ending in `.db` for Milvus Lite, or the address of a server.
        collection: its name; made when something is added.
        model: must be the collection's; by default it is, and the default model for a new one.
        base_url: address of a gemvec server; else GEMVEC_BASE_URL, else `local`, the model in this process.
    """

    def __init__(
        self, uri: str, collection: str = "docs", *, model: str | None = None, base_url: str | None = None
    ) -> None:
        self._parameters = {"uri": uri, "collection": collection, "model": model, "base_url": base_url}
        function = open_function(model, base_url=base_url) if model else None
        self.store = TextStore(uri, collection, function=function, base_url=base_url)

    def close(self) -> None:
        """Close the collection."""
        self.store.close()

    def to_dict(self) -> dict[str, Any]:
        """Return what makes the store again."""
        return default_to_dict(self, **self._parameters)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GemvecDocumentStore:
        """Make a store as `to_dict` describes it."""
        return default_from_dict(cls, data)

    def count_documents(self) -> int:
        """Return the number of documents, which may have several passages each."""
        return count_documents(self.store.collection.resolve()).documents if self.store.collection.exists() else 0

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return all documents, whole.

        Raises:
            InvalidRequest: filters are given; `where` of the retriever takes a filter in Milvus' language.
        """
        if filters:
            raise InvalidRequest("filters are not read; give the retriever a `where`.", field="filters")
        if not self.store.collection.exists():
            return []
        ids = {row["document_id"] for row in self.store.collection.resolve().scan(["document_id"])}
        return [
            Document(id=each.id, content=each.text, meta={**each.metadata, "source": each.source, "title": each.title})
            for each in self.store.read(sorted(ids))
        ]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Add documents, cut into passages where they are long; one with a known id replaces the one before.

        Returns:
            How many there were.

        Raises:
            InvalidRequest: a document cannot be indexed, or `policy` asks to skip or to refuse known documents.
        """
        if policy not in {DuplicatePolicy.NONE, DuplicatePolicy.OVERWRITE}:
            raise InvalidRequest("policy must be OVERWRITE; a document with a known id is replaced.", field="policy")
        self.store.add([to_document(each.id, each.content or "", each.meta) for each in documents])
        return len(documents)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by their ids.

        Raises:
            InvalidRequest: a document is not there; nothing is deleted then.
        """
        self.store.delete(document_ids)


@component
class GemvecRetriever:
    """Finds the passages of a `GemvecDocumentStore` that are nearest to a query.

    A Haystack document is a passage that was found; its metadata are those of its document, with `source`, `position`,
    `heading`, `title` and `document_id`.

    Args:
        document_store: where to look.
        top_k: most passages wanted.
        hybrid: also match words.
        where: a filter in Milvus' language, such as `metadata["lang"] == "en"`.
    """

    def __init__(
        self, document_store: GemvecDocumentStore, *, top_k: int = 5, hybrid: bool = False, where: str = ""
    ) -> None:
        self.document_store = document_store
        self.top_k = top_k
        self.hybrid = hybrid
        self.where = where

    def to_dict(self) -> dict[str, Any]:
        """Return what makes the component again."""
        store = self.document_store.to_dict()
        return default_to_dict(self, document_store=store, top_k=self.top_k, hybrid=self.hybrid, where=self.where)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> GemvecRetriever:
        """Make a component as `to_dict` describes it."""
        parameters = dict(data["init_parameters"])
        if isinstance(parameters["document_store"], dict):
            parameters["document_store"] = GemvecDocumentStore.from_dict(parameters["document_store"])
        return cls(**parameters)

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None, where: str | None = None) -> dict[str, list[Document]]:
        """Return the passages nearest to a query."""
        options = {"hybrid": self.hybrid, "where": self.where if where is None else where}
        hits = self.document_store.store.search(query, self.top_k if top_k is None else top_k, **options)
        found = [Document(id=hit.key, content=hit.text, meta=describe_hit(hit), score=hit.score) for hit in hits]
        return {"documents": found}
