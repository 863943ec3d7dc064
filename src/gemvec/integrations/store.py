"""A collection and what embeds for it: `TextStore`, which the classes for all frameworks wrap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from gemvec.client import GeminiEmbeddingFunction
from gemvec.client.background import run
from gemvec.embedding.models import ServedModel
from gemvec.errors import InvalidRequest
from gemvec.milvus import Document, Fingerprint, Hit, ingest, open_collection, search
from gemvec.milvus.context import StoredDocument, read_document
from gemvec.milvus.overview import delete_documents
from gemvec.settings import Settings, read_variable

# How many texts an error names that were left out.
_NAMED = 10


def open_function(
    model: str | None = None, *, base_url: str | None = None, api_key: str | None = None
) -> GeminiEmbeddingFunction:
    """Return what embeds.

    Args:
        model: the model's name; the default model if None.
        base_url: address of a server; else GEMVEC_BASE_URL, else `local`, the model in this process.
        api_key: the server's key.
    """
    place = base_url or read_variable("GEMVEC_BASE_URL") or "local"
    return GeminiEmbeddingFunction(model or Settings().model[0], api_key, base_url=place)


class TextStore:
    """A collection, and the function that embeds for it. Close it, so that a Milvus Lite file is free again.

    Args:
        uri: a path ending in `.db` for Milvus Lite, or the address of a server.
        collection: its name; made when something is added.
        function: must serve the collection's model; by default, that model is opened as `open_function` does.
        base_url: where it is opened.
        token: what Milvus asks for.
    """

    def __init__(
        self,
        uri: str,
        collection: str = "docs",
        *,
        function: GeminiEmbeddingFunction | None = None,
        base_url: str | None = None,
        token: str = "",
    ) -> None:
        self.collection = open_collection(uri, collection, token=token)
        model = self.collection.resolve().fingerprint.model if self.collection.exists() else None
        self.function = function or open_function(model, base_url=base_url)

    def close(self) -> None:
        """Close the collection."""
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def search(self, query: str, limit: int, **options: Any) -> list[Hit]:
        """Return the passages nearest to a query; the options are those of `gemvec.milvus.search`."""
        embedder = self.function.client
        # A server is asked for its model here, because the loop that embeds cannot wait for itself.
        self.collection.resolve().fingerprint.find_served(embedder, collection=self.collection.name)
        return run(search(self.collection, embedder, query, limit=limit, **options))

    def add(self, documents: Sequence[Document]) -> None:
        """Add documents, cut into passages where they are long; one with a known id replaces the one before.

        Raises:
            InvalidRequest: a document cannot be indexed; the others are added.
            ModelNotFound: the collection would be new, and the function's model is not served.
        """
        wanted = None if self.collection.exists() else Fingerprint.of(self._find_model())
        report = run(ingest(self.collection, self.function.client, documents, fingerprint=wanted))
        if report.bad:
            named = "; ".join(f"{each.id!r}: {each.reason}" for each in report.bad[:_NAMED])
            more = f"; and {len(report.bad) - _NAMED} more" if len(report.bad) > _NAMED else ""
            raise InvalidRequest(f"Texts were left out: {named}{more}.", field="texts")

    def _find_model(self) -> ServedModel:
        embedder, name = self.function.client, self.function.model_name.removeprefix("models/")
        # Only a model in this process can be a folder or a hub id, and then it is the only one.
        return embedder.get_model(name) if Path(name).name == name else embedder.list_models()[0]

    def delete(self, ids: Sequence[str]) -> None:
        """Delete documents by their ids.

        Raises:
            InvalidRequest: a document is not there; nothing is deleted then.
        """
        delete_documents(self.collection.resolve(), ids)

    def read(self, ids: Sequence[str]) -> Iterator[StoredDocument]:
        """Yield whole documents; ids that are not there are left out."""
        version = self.collection.resolve()
        for each in ids:
            try:
                yield read_document(version, each)
            except InvalidRequest:
                continue


def to_document(document_id: str, text: str, metadata: dict[str, Any]) -> Document:
    """Return a text with its metadata as a document; `title` in the metadata is the document's title."""
    rest = {key: value for key, value in metadata.items() if key != "title"}
    return Document(id=document_id, text=text, title=str(metadata.get("title") or ""), metadata=rest)


def describe_hit(hit: Hit) -> dict[str, Any]:
    """Return the metadata of a passage that was found: those of its document, and where it stands."""
    names = ("source", "position", "heading", "title", "document_id")
    return {**hit.metadata, **{name: getattr(hit, name) for name in names}}
