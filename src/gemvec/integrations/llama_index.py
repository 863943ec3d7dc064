"""LlamaIndex: `GemvecEmbedding` embeds, `GemvecRetriever` searches a collection that gemvec has made, and adds to it.

from gemvec.integrations.llama_index import GemvecRetriever

retriever = GemvecRetriever("./my.db", "docs")
retriever.retrieve("how do I cancel a batch?")
"""

# LlamaIndex is not installed where our types are checked: it would bring more packages than all of gemvec.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from gemvec.client import GeminiEmbeddingFunction
from gemvec.errors import MissingDependency
from gemvec.integrations.store import TextStore, describe_hit, open_function, to_document

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise MissingDependency("LlamaIndex's classes need more packages.", extra="llama-index") from error

_TEXTS_PER_CALL = 100


class GemvecEmbedding(BaseEmbedding):
    """LlamaIndex's embeddings from a gemvec server, or from a model in this process.

    Args:
        model: the model's name; the default model if None.
        base_url: address of a server; else GEMVEC_BASE_URL, else `local`, the model in this process.
        api_key: the server's key.
    """

    _function: GeminiEmbeddingFunction = PrivateAttr()

    def __init__(self, model: str | None = None, *, base_url: str | None = None, api_key: str | None = None) -> None:
        function = open_function(model, base_url=base_url, api_key=api_key)
        super().__init__(model_name=function.model_name, embed_batch_size=_TEXTS_PER_CALL)
        self._function = function

    @property
    def function(self) -> GeminiEmbeddingFunction:
        """What embeds."""
        return self._function

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._function.encode_queries([query])[0].tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self._function.encode_documents(texts)]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._function.aencode_queries([query]))[0].tolist()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in await self._function.aencode_documents(texts)]


class GemvecRetriever(BaseRetriever):
    """A collection of gemvec as LlamaIndex's retriever; close it, so that a Milvus Lite file is free again.

    A node is a passage that was found; its metadata are those of its document, with `source`, `position`, `heading`,
    `title` and `document_id`.

    Args:
        uri: a path ending in `.db` for Milvus Lite, or the address of a server.
        collection: its name; made when something is added.
        embedding: must serve the collection's model; by default, that model is opened as `GemvecEmbedding` does.
        top_k: most passages wanted.
        token: what Milvus asks for.
        options: those of `gemvec.milvus.search`, such as `hybrid` and `where`.
    """

    def __init__(  # as LlamaIndex's retrievers are made
        self,
        uri: str,
        collection: str = "docs",
        *,
        embedding: GemvecEmbedding | None = None,
        top_k: int = 5,
        token: str = "",
        **options: Any,
    ) -> None:
        super().__init__()
        self.store = TextStore(uri, collection, function=embedding.function if embedding else None, token=token)
        self.top_k = top_k
        self._options = options

    def close(self) -> None:
        """Close the collection."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_documents(self, documents: Sequence[Document]) -> list[str]:
        """Add documents, cut into passages where they are long; one with a known id replaces the one before.

        Returns:
            Their ids.

        Raises:
            InvalidRequest: a document cannot be indexed.
        """
        self.store.add([to_document(each.doc_id, each.text, each.metadata) for each in documents])
        return [each.doc_id for each in documents]

    def delete_documents(self, ids: Sequence[str]) -> None:
        """Delete documents by their ids.

        Raises:
            InvalidRequest: a document is not there; nothing is deleted then.
        """
        self.store.delete(ids)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.store.search(query_bundle.query_str, self.top_k, **self._options)
        return [
            NodeWithScore(node=TextNode(id_=hit.key, text=hit.text, metadata=describe_hit(hit)), score=hit.score)
            for hit in hits
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
