"""gemvec's classes for Haystack, over a collection in the current folder; the argument is the model."""

import sys

import gemvec_paths  # noqa: F401 - before gemvec
from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.types import DuplicatePolicy

from gemvec.errors import InvalidRequest
from gemvec.integrations.haystack import GemvecDocumentStore, GemvecRetriever

store = GemvecDocumentStore("./my.db", model=sys.argv[1], base_url="local")
texts = {"a": "Refunds take three days.", "b": "We ship on weekdays.", "c": "Tea is green."}
documents = [Document(id=name, content=text, meta={"n": len(name)}) for name, text in texts.items()]
assert store.count_documents() == 0
assert DocumentWriter(store).run(documents) == {"documents_written": 3}
assert store.count_documents() == 3
assert [each.content for each in store.filter_documents()] == list(texts.values())

pipeline = Pipeline()
pipeline.add_component("retriever", GemvecRetriever(store, top_k=2))
found = pipeline.run({"retriever": {"query": "Refunds take three days."}})["retriever"]["documents"]
assert [each.content for each in found][:1] == [texts["a"]]
assert found[0].meta["document_id"] == "a"
assert found[0].meta["n"] == 1
assert found[0].score > found[1].score
written = pipeline.dumps()

store.delete_documents(["a"])
assert store.count_documents() == 2
for refused in (
    lambda: store.delete_documents(["a"]),
    lambda: store.filter_documents({"field": "meta.n", "operator": "==", "value": 1}),
    lambda: store.write_documents(documents, DuplicatePolicy.SKIP),
    lambda: store.write_documents([Document(id="x", content=" ")]),
):
    try:
        refused()
    except InvalidRequest:
        continue
    raise AssertionError("nothing was refused")
store.close()

again = Pipeline.loads(written, allowed_modules=["gemvec.integrations.haystack"])
found = again.run({"retriever": {"query": "Tea is green.", "top_k": 1, "where": 'metadata["n"] == 1'}})
assert [each.content for each in found["retriever"]["documents"]] == [texts["c"]]
again.get_component("retriever").document_store.close()
print("done")
