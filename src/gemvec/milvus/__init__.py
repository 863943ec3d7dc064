"""Documents in Milvus: read, cut, embedded, stored without doing work twice, searched, moved to another model.

    from gemvec.milvus import Sources, ingest, open_collection, search

    with open_collection("./my.db", "docs") as collection:
        report = await ingest(collection, embedder, Sources(["docs"]))
        hits = await search(collection, embedder, "how do I cancel a batch?")

`embedder` is any `gemvec.models.embed.Embedder`. pymilvus loads when a collection is opened.
"""

from __future__ import annotations

from gemvec.milvus.chunking import Chunk, Chunker, ChunkOptions
from gemvec.milvus.collection import Collection, open_collection
from gemvec.milvus.datasets import load_datasets
from gemvec.milvus.documents import BadDocument, Document
from gemvec.milvus.dry_run import IngestPlan, plan_ingest
from gemvec.milvus.evaluation import EvaluationOptions, Measurement, evaluate
from gemvec.milvus.exchange import ExportReport, ImportReport, export_collection, import_collection
from gemvec.milvus.fingerprint import Fingerprint
from gemvec.milvus.generation import Generation
from gemvec.milvus.ingest import IngestReport, Progress, ingest
from gemvec.milvus.records import RecordFields
from gemvec.milvus.reembed import ReembedReport, reembed
from gemvec.milvus.report import render_report
from gemvec.milvus.search import Hit, search
from gemvec.milvus.sources import Sources

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
