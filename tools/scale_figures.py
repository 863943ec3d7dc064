"""The figures that the model of scale stands on, each with its source: measured here, published, or assumed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gemvec.batches.lines import CHUNK_BYTES, CHUNK_REQUESTS, FAST_CHUNK_REQUESTS, MAX_REQUESTS
from gemvec.milvus.prices import PRICES, PRICES_AS_OF, PRICES_SOURCE
from gemvec.settings import Settings

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"

MEASURED, PUBLISHED, ASSUMED, CODE = "measured here", "published", "assumed", "in the code"
GOOGLE_MODEL = "gemini-embedding-001"

_VECTORDBBENCH = (
    "[VectorDBBench of Zilliz, Milvus' makers](https://github.com/zilliztech/VectorDBBench/blob/"
    "82b84761f74aeaae0f4d6a71a512e50251ff849b/vectordb_bench/results/Milvus/result_20260403_standard_milvus.json), "
    "April 2026: Milvus 2.6.14 on 16 cores and 64 GB, one client, 10,000,000 vectors of 768 values, HNSW_SQ with M = 16"
)
_EC2_PRICES = (
    "[AWS' price list of 19 January 2026](https://github.com/aws/karpenter-provider-aws/blob/"
    "031e72b6099630e960dacb88b48a7e9bb780945f/pkg/providers/pricing/zz_generated.pricing_aws.go), us-east-1, on demand"
)
_SBERT = (
    "[sentence-transformers' table of models](https://github.com/UKPLab/sentence-transformers/blob/"
    "0027ac07936af6c7a3f047ecb4c2f70684db5cd0/docs/_static/html/models_en_sentence_embeddings.html); it does not say "
    "how long its sentences are, so this is the most that can be hoped for"
)
_INFINITY = (
    "[infinity's benchmarks](https://github.com/michaelfeil/infinity/blob/0d1c358dc6d2d88f320bdacd79c4e1fea4ddf9db/"
    "docs/docs/benchmarking.md), text-embeddings-inference: 0.54 requests a second of 256 texts, 115,000 tokens"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number, and where it comes from.

    Attributes:
        what: what it says, with its unit.
        value: the number.
        kind: how it came about: one of the constants of this module.
        source: where to find it; Markdown.
    """

    what: str
    value: float
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What one model costs.

    Attributes:
        name: the name in the catalogue, or of its makers.
        values: values of a vector.
        cpu: CPU seconds of the engine for a text, at two lengths in tokens; empty where nothing was measured.
        gpu: what a GPU does, if somebody has published it; texts a second, or tokens.
        gpu_hour: US dollars for an hour of the machine with that GPU.
        gpu_counts_tokens: whether `gpu` is in tokens a second.
        chunk_requests: requests in a chunk of a batch.
    """

    name: str
    values: int
    cpu: tuple[tuple[float, float], ...] = ()
    gpu: Figure | None = None
    gpu_hour: Figure | None = None
    gpu_counts_tokens: bool = False
    chunk_requests: int = CHUNK_REQUESTS

    def cpu_seconds(self, tokens: float) -> float:
        """Return the CPU seconds of the engine for a text of this length, on the line through the measured lengths."""
        (first, low), (second, high) = self.cpu
        return low + (high - low) * (tokens - first) / (second - first)

    def gpu_seconds(self, tokens: float) -> float:
        """Return the seconds of a GPU for a text of this length."""
        assert self.gpu
        return tokens / self.gpu.value if self.gpu_counts_tokens else 1 / self.gpu.value


@cache
def result(name: str) -> Any:
    """Return a result of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def link(*names: str) -> str:
    """Return links to results of benchmarks."""
    return ", ".join(f"[{name}.json](../benchmarks/results/{name}.json)" for name in names)


def middle(runs: Iterable[dict[str, Any]], name: str) -> float:
    """Return the median of one figure of several rounds."""
    return statistics.median(each[name] for each in runs)


# The texts of benchmarks/batches.py have 4 to 16 common words, each of which is one token, and MiniLM's tokenizer adds
# two.
BENCHMARK_WORDS = 10
BENCHMARK_TOKENS = BENCHMARK_WORDS + 2
GEMMA_TOKENS = (32, 256)


def _measured() -> dict[str, Figure]:
    ingest, batches, scale = result("ingest"), result("batches"), result("scale_costs")
    engine_cpu = statistics.median(ingest["cpu_seconds"]["engine"])
    alone, batch = (middle(batches["figures"][case], "cpu") for case in ("engine_processes", "batch"))
    values = Figure(
        what="CPU seconds that a batch takes for each value of its vectors: JSON, checksums, files",
        value=(batch - alone) / batches["texts"] / 256,
        kind=MEASURED,
        source=f"{link('batches')}: a batch over the engine in two processes, 256 values a text",
    )
    return {
        "minilm": Figure(
            what="tokens that all-minilm-l6-v2 embeds in a CPU second",
            value=ingest["tokens"] / engine_cpu,
            kind=MEASURED,
            source=f"{link('ingest')}: the engine alone on passages of 90 tokens",
        ),
        "static": Figure(
            what="texts of 10 words that wordllama-256 embeds in a CPU second",
            value=batches["texts"] / alone,
            kind=MEASURED,
            source=f"{link('batches')}: the engine alone in two processes",
        ),
        **{
            f"gemma_{length}": Figure(
                what=f"texts of {length} tokens that embeddinggemma-300m embeds in a CPU second",
                value=result("model_sizes")["models"]["embeddinggemma-300m"]["gemvec fast"][
                    f"texts_per_cpu_second_{length}"
                ],
                kind=MEASURED,
                source=f"{link('model_sizes')}: random weights of its size; other lengths are on the line through both",
            )
            for length in GEMMA_TOKENS
        },
        "cores": Figure(
            what="share of its cores that the engine uses",
            value=engine_cpu / (ingest["machine"]["cores"] * statistics.median(ingest["seconds"]["engine"])),
            kind=MEASURED,
            source=f"{link('ingest')}: on two cores; that it is so on more is an assumption",
        ),
        "values": values,
        "ray": Figure(
            what="CPU seconds that Ray adds to those of a batch, as a share",
            value=result("ray_batches")["one_node"]["cost"]["ray_over_batch"]["cpu"],
            kind=MEASURED,
            source=f"{link('ray_batches')}: one node",
        ),
        "result_bytes": Figure(
            what="bytes of a batch's results for each value",
            value=middle(batches["figures"]["batch"], "output_bytes") / batches["texts"] / 256,
            kind=MEASURED,
            source=f"{link('batches')}: 256 values a text, keys and counts of tokens included",
        ),
        "commits": Figure(
            what="writing transactions of PostgreSQL for a chunk, where servers share it",
            value=scale["batch"]["writes_a_chunk"],
            kind=MEASURED,
            source=link("scale_costs"),
        ),
        "idle_commits": Figure(
            what="transactions of an idle server in a second, almost all of which only read",
            value=scale["batch"]["transactions_a_second_idle"],
            kind=MEASURED,
            source=link("scale_costs"),
        ),
        "object_requests": Figure(
            what="requests to the object store for a chunk, until its batch has ended",
            value=sum(scale["batch"]["object_requests_a_chunk"].values()),
            kind=MEASURED,
            source=link("scale_costs"),
        ),
        "row_bytes": Figure(
            what="bytes that PostgreSQL keeps for a chunk: its row and that of its part of the results, with indexes",
            value=scale["queue"]["chunks_bytes_a_row"] + scale["queue"]["file_parts_bytes_a_row"],
            kind=MEASURED,
            source=f"{link('scale_costs')}, right after the batch, before PostgreSQL has cleaned up",
        ),
        "chunks_a_second": Figure(
            what="chunks of one batch that a PostgreSQL counts in a second, for four servers",
            value=scale["queue"]["runners_4"]["chunks_a_second"],
            kind=MEASURED,
            source=f"{link('scale_costs')}: nothing is computed; servers, PostgreSQL and others shared two cores",
        ),
        "chunks_a_second_alone": Figure(
            what="the same for one server",
            value=scale["queue"]["runners_1"]["chunks_a_second"],
            kind=MEASURED,
            source=f"{link('scale_costs')}: the same",
        ),
        "end": Figure(
            what="seconds for each chunk in the transaction that ends a batch",
            value=scale["queue"]["runners_1"]["seconds_to_end"] / scale["queue"]["chunks"],
            kind=MEASURED,
            source=f"{link('scale_costs')}: parts in a folder",
        ),
        "sweep": Figure(
            what="milliseconds that each hourly sweep spends on a chunk of an ended batch",
            value=scale["queue"]["sweep_milliseconds_a_chunk"],
            kind=MEASURED,
            source=f"{link('scale_costs')}: parts in a folder; an object store is asked once for 1,000 parts",
        ),
    }


def _published() -> dict[str, Figure]:
    return {
        "google": Figure(
            what=f"US dollars for a million tokens with {GOOGLE_MODEL}, in a batch",
            value=PRICES[GOOGLE_MODEL].batch,
            kind=PUBLISHED,
            source=f"[Google's price list]({PRICES_SOURCE}), {PRICES_AS_OF}; the same price in [its announcement]"
            "(https://developers.googleblog.com/gemini-batch-api-now-supports-embeddings-and-openai-compatibility) of "
            "10 September 2025",
        ),
        "core_hour": Figure(
            what="US dollars for a core and an hour",
            value=0.82112 / 16,
            kind=PUBLISHED,
            source=f"{_EC2_PRICES}: c7a.4xlarge (16 cores, AMD EPYC with AVX-512 BF16), 0.82112",
        ),
        "milvus_hour": Figure(
            what="US dollars for an hour of a machine for Milvus with 16 cores and 64 GB",
            value=0.92736,
            kind=PUBLISHED,
            source=f"{_EC2_PRICES}: m7a.4xlarge",
        ),
        "storage": Figure(
            what="US dollars for a GB and a month in an object store",
            value=0.023,
            kind=PUBLISHED,
            source="[AWS' prices](https://aws.amazon.com/s3/pricing/) for S3 Standard in us-east-1, as [noted]"
            "(https://gist.github.com/EverettBerry/a37438006529a55f42da6fdbc44a505c) in July 2022",
        ),
        "insert": Figure(
            what="values of vectors that Milvus takes from one client in a second",
            value=10_000_000 * 768 / 1444.847,
            kind=PUBLISHED,
            source=f"{_VECTORDBBENCH}: 1,445 s",
        ),
        "index": Figure(
            what="values of vectors that it puts into an index in a second",
            value=10_000_000 * 768 / 7859.1353,
            kind=PUBLISHED,
            source="the same: 7,859 s",
        ),
        "graph": Figure(
            what="bytes of an HNSW index with M = 16 for a vector, beside the vector",
            value=128,
            kind=PUBLISHED,
            source="[Milvus](https://milvus.io/ai-quick-reference/how-much-memory-overhead-is-typically-introduced-by-"
            "indexes-like-hnsw-or-ivf-for-a-given-number-of-vectors-and-how-can-this-overhead-be-managed-or-configured)"
            ": 32 connections of 4 bytes",
        ),
        "characters": Figure(
            what="bytes of text for a token",
            value=4,
            kind=PUBLISHED,
            source="[Google](https://ai.google.dev/gemini-api/docs/tokens) on English text; other languages differ",
        ),
    }


def _assumed() -> dict[str, Figure]:
    return {
        "milvus_fill": Figure(
            what="share of the memory of Milvus' machines that vectors and their index may take",
            value=0.75,
            kind=ASSUMED,
            source="the rest is for queries and the system",
        ),
        "retention_days": Figure(
            what="days that results are kept",
            value=Settings().batch_retention_seconds / 86400,
            kind=CODE,
            source="`--batch-retention-seconds`; delete a batch as soon as its results are in Milvus",
        ),
        "envelope": Figure(
            what="bytes of a line of input beside its text",
            value=len(
                json.dumps(
                    {
                        "key": "request_12345678",
                        "request": {"content": {"parts": [{"text": ""}]}, "task_type": "RETRIEVAL_DOCUMENT"},
                    }
                )
            )
            + 1,
            kind=CODE,
            source="counted: a key of 16 characters and a task type",
        ),
        "chunk_bytes": Figure(
            what="bytes of lines in a chunk, at most",
            value=CHUNK_BYTES,
            kind=CODE,
            source=f"`batches/lines.py`; and {CHUNK_REQUESTS} requests, {FAST_CHUNK_REQUESTS:,} of a static model",
        ),
        "batch_requests": Figure(
            what="requests in a batch, at most", value=MAX_REQUESTS, kind=CODE, source="`--max-batch-requests`"
        ),
        "file_bytes": Figure(
            what="bytes of a batch's input, at most",
            value=Settings().max_file_bytes,
            kind=CODE,
            source="`--max-file-bytes`",
        ),
    }


@cache
def figures() -> dict[str, Figure]:
    """Return all figures by their short names."""
    return _measured() | _published() | _assumed()


@cache
def models() -> dict[str, Model]:
    """Return the models that something is known of, by name."""
    minilm = 1 / figures()["minilm"].value
    static = 1 / figures()["static"].value
    found = [
        Model(
            name="wordllama-256",
            values=256,
            cpu=((BENCHMARK_WORDS, static), (10 * BENCHMARK_WORDS, 10 * static)),
            chunk_requests=FAST_CHUNK_REQUESTS,
        ),
        Model(
            name="all-minilm-l6-v2",
            values=384,
            cpu=((1, minilm), (100, 100 * minilm)),
            gpu=Figure(what="texts a second on a V100", value=14_200, kind=PUBLISHED, source=_SBERT),
            gpu_hour=Figure(
                what="US dollars for an hour of a machine with a V100",
                value=3.06,
                kind=PUBLISHED,
                source=f"{_EC2_PRICES}: p3.2xlarge",
            ),
        ),
        Model(
            name="embeddinggemma-300m",
            values=768,
            cpu=tuple((length, 1 / figures()[f"gemma_{length}"].value) for length in GEMMA_TOKENS),
        ),
        Model(
            name="bge-large-en-v1.5",
            values=1024,
            gpu=Figure(
                what="tokens a second on an L4, texts of 449 tokens",
                value=0.54 * 115_000,
                kind=PUBLISHED,
                source=_INFINITY,
            ),
            gpu_hour=Figure(
                what="US dollars for an hour of a machine with an L4",
                value=0.8048,
                kind=PUBLISHED,
                source=f"{_EC2_PRICES}: g6.xlarge",
            ),
            gpu_counts_tokens=True,
        ),
    ]
    return {model.name: model for model in found}
