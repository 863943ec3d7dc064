"""gemvec's classes for LlamaIndex, over a collection in the current folder; the argument is the model."""

import asyncio
import sys

import gemvec_paths  # noqa: F401 - before gemvec
from llama_index.core.schema import Document

from gemvec.errors import InvalidRequest
from gemvec.integrations.llama_index import GemvecEmbedding, GemvecRetriever

embedding = GemvecEmbedding(sys.argv[1], base_url="local")
many = embedding.get_text_embedding_batch(["a text", "another", "a third"])
assert many[0] == embedding.get_text_embedding("a text")
assert asyncio.run(embedding.aget_query_embedding("a text")) == embedding.get_query_embedding("a text")

with GemvecRetriever("./my.db", embedding=embedding, top_k=2) as retriever:
    texts = {"a": "Refunds take three days.", "b": "We ship on weekdays.", "c": "Tea is green."}
    documents = [Document(doc_id=name, text=text, metadata={"n": len(name)}) for name, text in texts.items()]
    assert retriever.add_documents(documents) == ["a", "b", "c"]
    found = retriever.retrieve("Refunds take three days.")
    assert len(found) == 2
    assert found[0].text == texts["a"]
    assert found[0].metadata["document_id"] == "a"
    assert found[0].metadata["n"] == 1
    assert found[0].score > found[1].score
    assert len(asyncio.run(retriever.aretrieve("tea"))) == 2
    retriever.delete_documents(["a"])
    assert texts["a"] not in [each.text for each in retriever.retrieve("Refunds take three days.")]
    try:
        retriever.delete_documents(["a"])
    except InvalidRequest as error:
        refused = str(error)
    assert "'a'" in refused

with GemvecRetriever("./my.db", embedding=embedding, top_k=1, where='metadata["n"] == 1', hybrid=True) as retriever:
    assert [each.text for each in retriever.retrieve("Tea is green.")] == [texts["c"]]
print("done")
