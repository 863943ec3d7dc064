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
from gemvec.errors import BadSetting, InvalidRequest, MissingDependency
from gemvec.integrations.store import TextStore, describe_hit, open_function, to_document
from gemvec.milvus import Hit

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
        self.function = open_function(model, base_url=base_url, api_key=api_key)

    @classmethod
    def of(cls, function: GeminiEmbeddingFunction) -> Self:
        """Return the embeddings that a function computes."""
        made = cls.__new__(cls)
        made.function = function
        return made

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
        self._store = TextStore(uri, collection, function=embeddings.function if embeddings else None, token=token)
        self._embeddings = embeddings or GemvecEmbeddings.of(self._store.function)

    @property
    def embeddings(self) -> GemvecEmbeddings:
        """What embeds."""
        return self._embeddings

    def close(self) -> None:
        """Close the collection."""
        self._store.close()

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
        hits = self._store.search(query, k, **kwargs)
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
        self._store.add([to_document(*each) for each in zip(names, all_texts, values, strict=True)])
        return names

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents by their ids.

        Raises:
            InvalidRequest: no ids are given, or a document is not there; nothing is deleted then.
        """
        if not ids or kwargs:
            raise InvalidRequest("delete takes a list of ids.", field="ids")
        self._store.delete(ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[LangChainDocument]:
        """Return whole documents; ids that are not there are left out, as LangChain asks."""
        return [
            LangChainDocument(
                id=each.id,
                page_content=each.text,
                metadata={**each.metadata, "source": each.source, "title": each.title},
            )
            for each in self._store.read(ids)
        ]

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
    return LangChainDocument(id=hit.key, page_content=hit.text, metadata=describe_hit(hit))
