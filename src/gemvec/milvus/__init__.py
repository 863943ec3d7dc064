"""Documents in Milvus: read, cut, embedded, stored without doing work twice, searched, moved to another model.

    from gemvec.milvus import Sources, ingest, open_collection, search

    with open_collection("./my.db", "docs") as collection:
        report = await ingest(collection, embedder, Sources(["docs"]))
        hits = await search(collection, embedder, "how do I cancel a batch?")

`embedder` is any `gemvec.models.embed.Embedder`. pymilvus loads when a collection is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gemvec.milvus.chunking import Chunk, Chunker, ChunkOptions
from gemvec.milvus.collection import Collection, open_collection
from gemvec.milvus.documents import BadDocument, Document
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.generation import Generation
from gemvec.milvus.ingest import IngestReport, Progress, ingest
from gemvec.milvus.records import RecordFields
from gemvec.milvus.reembed import ReembedReport, reembed
from gemvec.milvus.search import Hit, search
from gemvec.milvus.sources import Sources

if TYPE_CHECKING:
    from gemvec.milvus.datasets import load_datasets
    from gemvec.milvus.dry_run import IngestPlan, plan_ingest
    from gemvec.milvus.evaluation import EvaluationOptions, Measurement, evaluate
    from gemvec.milvus.exchange import ExportReport, ImportReport, export_collection, import_collection
    from gemvec.milvus.report import render_report

__all__ = [
    "BadDocument",
    "Chunk",
    "ChunkOptions",
    "Chunker",
    "Collection",
    "Document",
    "EvaluationOptions",
    "ExportReport",
    "Fingerprint",
    "Generation",
    "Hit",
    "ImportReport",
    "IngestPlan",
    "IngestReport",
    "Measurement",
    "Progress",
    "RecordFields",
    "ReembedReport",
    "Sources",
    "evaluate",
    "export_collection",
    "import_collection",
    "ingest",
    "load_datasets",
    "open_collection",
    "plan_ingest",
    "reembed",
    "render_report",
    "search",
]

# What an ingest or a search does not need loads when it is first used; no module of these has the name of one.
_HOMES = {
    "load_datasets": "datasets",
    "IngestPlan": "dry_run",
    "plan_ingest": "dry_run",
    "EvaluationOptions": "evaluation",
    "Measurement": "evaluation",
    "evaluate": "evaluation",
    "ExportReport": "exchange",
    "ImportReport": "exchange",
    "export_collection": "exchange",
    "import_collection": "exchange",
    "render_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gemvec.milvus.{_HOMES[name]}"), name)
