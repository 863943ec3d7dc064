"""Documents in Milvus: embedded, stored without doing work twice, searched, moved to another model, exchanged.

    from gemvec.milvus import Sources, ingest, open_collection, search

    with open_collection("./my.db", "docs") as collection:
        report = await ingest(collection, embedder, Sources(["docs"]))
        hits = await search(collection, embedder, "how do I cancel a batch?")

`embedder` is any `gemvec.embedding.embedder.Embedder`. pymilvus loads when a collection is opened. What a program needs
for an ingest comes from `gemvec.documents` and can be imported from here, too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gemvec.documents import BadDocument, Document, Passage, PassageOptions, RecordFields, Sources, Splitter
from gemvec.milvus.collection import Collection, open_collection
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.hit import Hit
from gemvec.milvus.ingest import IngestReport, Progress, ingest
from gemvec.milvus.reembed import ReembedReport, reembed
from gemvec.milvus.search import search
from gemvec.milvus.version import CollectionVersion

if TYPE_CHECKING:
    from gemvec.milvus.dry_run import IngestPlan, plan_ingest
    from gemvec.milvus.exchange import ExportReport, ImportReport, export_collection, import_collection

__all__ = [
    "BadDocument",
    "Collection",
    "CollectionVersion",
    "Document",
    "ExportReport",
    "Fingerprint",
    "Hit",
    "ImportReport",
    "IngestPlan",
    "IngestReport",
    "Passage",
    "PassageOptions",
    "Progress",
    "RecordFields",
    "ReembedReport",
    "Sources",
    "Splitter",
    "export_collection",
    "import_collection",
    "ingest",
    "open_collection",
    "plan_ingest",
    "reembed",
    "search",
]

# What an ingest or a search does not need loads when it is first used; none of these names is that of a module.
_HOMES = {
    "IngestPlan": "dry_run",
    "plan_ingest": "dry_run",
    "ExportReport": "exchange",
    "ImportReport": "exchange",
    "export_collection": "exchange",
    "import_collection": "exchange",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gemvec.milvus.{_HOMES[name]}"), name)
