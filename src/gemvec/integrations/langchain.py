"""LangChain: `GemvecEmbeddings` embeds, `GemvecVectorStore` searches a collection that gemvec has made, and adds to it.

from gemvec.integrations.langchain import GemvecVectorStore

store = GemvecVectorStore("./my.db", "docs")
store.similarity_search("how do I cancel a batch?", k=3)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self
from uuid import uuid4

from gemvec.client import GeminiEmbeddingFunction
from gemvec.client.background import run
from gemvec.errors import BadSetting, InvalidRequest, MissingDependency
from gemvec.milvus import Document, Hit, IngestReport, ingest, open_collection, search
from gemvec.milvus.context import read_document
from gemvec.milvus.overview import delete_documents
from gemvec.settings import Settings, read_variable

try:
    from langchain_core.documents import Document as LangChainDocument
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
except ImportError as error:
    raise MissingDependency("LangChain's classes need more packages.", extra="langchain") from error


class GemvecEmbeddings(Embeddings):
    """LangChain's embeddings from a gemvec server, or from a model in this process.

    Args:
        model: the model's name; the default model if None.
        base_url: address of a server; else GEMVEC_BASE_URL, else `local`, the model in this process.
        api_key: the server's key.
    """

    def __init__(self, model: str | None = None, *, base_url: str | None = None, api_key: str | None = None) -> None:
        place = base_url or read_variable("GEMVEC_BASE_URL") or "local"
        self.function = GeminiEmbeddingFunction(model or Settings().model[0], api_key, base_url=place)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each text."""
        return [vector.tolist() for vector in self.function.encode_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.function.encode_queries([text])[0].tolist()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vector of each text."""
        return [vector.tolist() for vector in await self.function.aencode_documents(texts)]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return (await self.function.aencode_queries([text]))[0].tolist()


class GemvecVectorStore(VectorStore):
    """A collection of gemvec as LangChain's vector store; close it, so that a Milvus Lite file is free again.

    A LangChain document is a passage that was found; its metadata are those of its document, with `source`, `position`,
    `heading`, `title` and `document_id`.

    Args:
        uri: a path ending in `.db` for Milvus Lite, or the address of a server.
        collection: its name; made when something is added.
        embeddings: must serve the collection's model; by default, that model is opened as `GemvecEmbeddings` does.
        token: what Milvus asks for.
    """

    def __init__(
        self, uri: str, collection: str = "docs", *, embeddings: GemvecEmbeddings | None = None, token: str = ""
    ) -> None:
        self.collection = open_collection(uri, collection, token=token)
        model = self.collection.resolve().fingerprint.model if self.collection.exists() else None
        self._embeddings = embeddings or GemvecEmbeddings(model)

    @property
    def embeddings(self) -> GemvecEmbeddings:
        """What embeds."""
        return self._embeddings

    def close(self) -> None:
        """Close the collection."""
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[LangChainDocument]:
        """Return the passages nearest to a query; keyword arguments are those of `gemvec.milvus.search`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[LangChainDocument, float]]:
        """Return passages with their scores: cosines, or from 0 to 1 with `hybrid=True`."""
        embedder = self._embeddings.function.client
        # A server is asked for its model here, because the loop that embeds cannot wait for itself.
        self.collection.resolve().fingerprint.find_served(embedder, collection=self.collection.name)
        hits = run(search(self.collection, embedder, query, limit=k, **kwargs))
        return [(_to_langchain(hit), hit.score) for hit in hits]

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts, cut into passages where they are long; a text with a known id replaces the one before.

        Returns:
            The ids.

        Raises:
            InvalidRequest: the numbers of texts, metadata and ids differ, or a text cannot be indexed.
        """
        if kwargs:
            raise InvalidRequest(f"There is no option {min(kwargs)!r}.", field=min(kwargs))
        all_texts = list(texts)
        names = ids or [uuid4().hex for _ in all_texts]
        values = metadatas or [{} for _ in all_texts]
        if not len(all_texts) == len(names) == len(values):
            raise InvalidRequest(
                f"There are {len(all_texts)} texts, {len(values)} metadata and {len(names)} ids.", field="ids"
            )
        documents = [
            Document(
                id=name,
                text=text,
                title=str(value.get("title") or ""),
                metadata={key: each for key, each in value.items() if key != "title"},
            )
            for name, text, value in zip(names, all_texts, values, strict=True)
        ]
        report: IngestReport = run(ingest(self.collection, self._embeddings.function.client, documents))
        if report.bad:
            raise InvalidRequest(f"Text {report.bad[0].id!r} was left out: {report.bad[0].reason}.", field="texts")
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by their ids.

        Raises:
            InvalidRequest: no ids are given, or a document is not there; nothing is deleted then.
        """
        if not ids or kwargs:
            raise InvalidRequest("delete takes a list of ids.", field="ids")
        delete_documents(self.collection.resolve(), ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[LangChainDocument]:
        """Return whole documents; ids that are not there are left out, as LangChain asks."""
        version = self.collection.resolve()
        found: list[LangChainDocument] = []
        for each in ids:
            try:
                stored = read_document(version, each)
            except InvalidRequest:
                continue
            metadata = {**stored.metadata, "source": stored.source, "title": stored.title}
            found.append(LangChainDocument(id=stored.id, page_content=stored.text, metadata=metadata))
        return found

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with texts; keyword arguments are those of the class, `uri` among them.

        Raises:
            BadSetting: the embeddings are not `GemvecEmbeddings`, so that nobody knows which vectors they make.
        """
        if not isinstance(embedding, GemvecEmbeddings):
            raise BadSetting("GemvecVectorStore takes GemvecEmbeddings, because a collection records its model.")
        store = cls(embeddings=embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _to_langchain(hit: Hit) -> LangChainDocument:
    names = ("source", "position", "heading", "title", "document_id")
    metadata = {**hit.metadata, **{name: getattr(hit, name) for name in names}}
    return LangChainDocument(id=hit.key, page_content=hit.text, metadata=metadata)
